"""Cli: argv -> operation -> result -> output. With agentic.py, which asks here, the only module that imports typer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import Exit, TyperException

from . import __version__, denial, output
from .fields import ID, Json
from .op import COMMON, Common, Op, Result, common_of, load, run, unknown_operation
from .ops import _index
from .record import Input, Spec

# Flags of the program itself, on every operation: flag -> whether it takes a value.
GLOBAL_FLAGS = {"--json": False, "--help": False, "--version": False}
MAX_FILE_BYTES = 16_000_000
# Typer catches a KeyboardInterrupt and returns this instead.
INTERRUPTED = 130


def main(argv: list[str] | None = None, home: Path | None = None) -> int:
    """Run one command line; the exit code. `home` is the checkout whose kaizen.py was started."""
    arguments = sys.argv[1:] if argv is None else argv
    as_json = _wants_json(arguments)
    return respond(lambda: _answer(arguments, home, as_json), as_json=as_json, show=output.reply)


def respond(
    answer: Callable[[], tuple[Op | None, Result] | None], *, as_json: bool, show: Callable[[Result, Op | None, bool], None]
) -> int:
    """Print the answer that a program comes to, or why there is none: its exit code. None is for what has been printed."""
    output.prepare_streams()
    exit_code = 0
    try:
        result = answer()
        if result is None:
            return 0
        code, reply = result
        exit_code = reply.exit_code
        if not reply.streamed:
            show(reply, code, as_json)
        return exit_code
    except denial.Denial as refusal:
        output.refusal(refusal, as_json=as_json)
        return refusal.exit_code
    except BrokenPipeError:
        output.silence()
        return exit_code
    except output.AnswerLost as fault:
        output.error("ERROR_OUTPUT", f"The answer could not be written ({fault}); what was done stands.", 1, as_json=as_json)
        return 1
    except KeyboardInterrupt:
        output.error("ERROR_INTERRUPTED", "Interrupted.", 130, as_json=as_json)
        return 130
    except Exception as fault:
        if os.environ.get("KAIZEN_DEBUG"):
            raise
        output.error("ERROR_UNEXPECTED", f"{type(fault).__name__}: {fault}", 1, as_json=as_json)
        return 1


def _wants_json(arguments: list[str]) -> bool:
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in before


def _answer(arguments: list[str], home: Path | None, as_json: bool) -> tuple[Op | None, Result] | None:
    if len(arguments) > 1 and arguments[0].lower() == "help":
        arguments = [*arguments[1:], "--help"]
    name, flags, command = scan(arguments)
    if "--version" in flags:
        return None, Result(tool_version=__version__)
    if name is None or name.lower() == "help":
        from .help import root_help

        if name is None and not _only_globals(flags):
            raise denial.Usage(
                "Name an operation: python kaizen.py W1 --title ...; python kaizen.py K0 lists them.",
                message="There are flags but no operation.",
                flag=next(flag for flag in flags if flag not in GLOBAL_FLAGS),
            )
        output.text(root_help())
        return None
    group = KaizenGroup(name="kaizen.py", home=home, command=command, as_json=as_json)
    try:
        answer = group.main([name, *flags], prog_name="kaizen.py", standalone_mode=False)
    except Exit:
        return None
    except TyperException as fault:
        raise _usage(fault, name) from None
    if answer == INTERRUPTED:
        raise KeyboardInterrupt
    return answer if isinstance(answer, tuple) else None


def _only_globals(flags: list[str]) -> bool:
    return all(flag in GLOBAL_FLAGS for flag in flags)


def scan(arguments: list[str]) -> tuple[str | None, list[str], list[str]]:
    """(operation, flags and their values, what stands behind --): the operation may stand anywhere.

    A known flag is never taken for another flag's value, and an unknown flag is refused here, with the nearest
    real one, before its value could be mistaken for the operation.
    """
    name: str | None = None
    flags: list[str] = []
    unknown: list[str] = []
    stray: list[str] = []
    rest = list(arguments)
    command: list[str] = []
    while rest:
        token = rest.pop(0)
        if token == "--":
            command = ["--", *rest]
            break
        if token == "-h":
            flags.append("--help")
        elif token.startswith("--"):
            flag = token.partition("=")[0]
            if flag not in _index.FLAGS and flag not in GLOBAL_FLAGS:
                unknown.append(flag)
                continue
            flags.append(token)
            if _index.FLAGS.get(flag, GLOBAL_FLAGS.get(flag)) and "=" not in token:
                if not rest or rest[0] in _index.FLAGS or rest[0] in GLOBAL_FLAGS or rest[0] == "--":
                    raise denial.Usage(
                        f"Pass a value: {flag} VALUE; write {flag}=VALUE for a value that looks like a flag.",
                        message=f"{flag} needs a value.",
                        flag=flag,
                        operation=name,
                    )
                flags.append(rest.pop(0))
        elif name is None:
            name = token
        else:
            stray.append(token)
    if unknown:
        raise _unknown_flag(unknown[0], name)
    if stray:
        raise _stray(stray, name)
    return name, flags, command


def _flags_of(name: str | None) -> list[str]:
    """The flags of an operation, or all of them where there is none."""
    if name is None:
        return list(_index.FLAGS)
    return [flag for option in options(load(name)) for flag in option.opts]


def _unknown_flag(flag: str, name: str | None) -> denial.Usage:
    from difflib import get_close_matches

    known = _flags_of(name)
    # Without the dashes, which all have in common.
    names = {other.lstrip("-"): other for other in known}
    near = [names[other] for other in get_close_matches(flag.lstrip("-"), names, n=1, cutoff=0.6)]
    where = load(name).code if name else "Kaizen"
    if near:
        action = f"Did you mean {near[0]}?"
    else:
        action = f"{where} takes: {', '.join(known)}."
    return denial.Usage(
        action, message=f"{flag} is no flag of {where}.", flag=flag, operation=name, **({"nearest": near[0]} if near else {})
    )


def _stray(words: list[str], name: str | None) -> denial.Usage:
    shattered = any(sign in word for word in words for sign in "{\\}[]:")
    if shattered:
        hint = (
            "The shell broke a JSON argument into pieces: put it into a file and pass --payload-json-file PATH, or - for stdin."
        )
    else:
        hint = _flag_for(words, name) or "Put a text with spaces into quotes."
    return denial.Usage(
        hint,
        message=f"Unexpected argument {denial_text(words[0])!r}; one operation a call.",
        operation=name,
        value=denial_text(words[0]),
        **({"hint": hint} if shattered else {}),
    )


def _flag_for(words: list[str], name: str | None) -> str | None:
    """The flag that words without one were meant for, where that is plain: an id, or what to search for."""
    if name is None or (name.upper() not in _index.OPS and name.lower() not in _index.ALIASES):
        return None
    operation = load(name)
    known = _flags_of(name)
    if ID.match(words[0]) and "--id" in known:
        return f"Pass an id with its flag: {operation.code} --id {words[0]}."
    if "--query" in known and "--title" not in known:
        return f'Pass what to look for with its flag, in quotes: {operation.code} --query "{denial_text(" ".join(words))}".'
    return None


def denial_text(word: str) -> str:
    """A user's word for a message, never long."""
    return word if len(word) <= 80 else word[:79] + "…"


def _usage(fault: TyperException, name: str) -> denial.Denial:
    """Typer's complaint as a refusal with the flag and the way out."""
    option = getattr(fault, "option_name", None) or getattr(getattr(fault, "param", None), "opts", [None])[0]
    if type(fault).__name__ == "NoSuchOption" and option:
        return _unknown_flag(option, name)
    message = getattr(fault, "message", None) or str(fault)
    operation = load(name)
    refusal = denial.Usage(
        f"Run python kaizen.py {operation.code} --help to see what it takes.",
        message=f"{option}: {message}" if option else message,
        operation=operation.code,
        **({"flag": option} if option else {}),
    )
    refusal.example = f"python kaizen.py {operation.code} {operation.example}".strip()
    return refusal


class KaizenGroup(TyperGroup):
    """The program: its commands are the operations of the index, each made when it is called."""

    def __init__(self, *, home: Path | None, command: list[str], as_json: bool, **attributes: Any) -> None:
        super().__init__(rich_markup_mode=None, **attributes)
        self.home, self.behind_dashes, self.as_json = home, command, as_json

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_index.OPS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        return make_command(load(cmd_name), self)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0].upper() not in _index.OPS and args[0].lower() not in _index.ALIASES:
            raise unknown_operation(args[0])
        return args[0], self.get_command(ctx, args[0]), args[1:]


def options(operation: Op) -> list[TyperOption]:
    """The flags of an operation, from the fields of its input and what every writing operation has."""
    made: list[TyperOption] = []
    own = [spec for spec in operation.input.specs if spec.flagged] if operation.input else []
    for spec in sorted(own, key=lambda spec: not spec.required):
        made.append(_option(spec))
        if spec.file:
            text = f"File with the {spec.key.replace('_', ' ')}; - reads stdin"
            declarations = [f"{spec.flag}-file", f"{spec.key}_file"]
            made.append(TyperOption(param_decls=declarations, type=str, metavar="PATH", help=text))
    common = common_of(operation)
    made += [_option(spec) for spec in Common.specs if spec.key in common]
    made.append(TyperOption(param_decls=["--json", "json"], is_flag=True, default=False, help="Answer with one JSON object"))
    return made


def _option(spec: Spec) -> TyperOption:
    text = spec.description
    if spec.choices:
        text += f"; one of: {', '.join(spec.choices)}"
    if spec.required:
        text += "  [required]"
    elif spec.type is not bool and spec.default not in (None, ""):
        text += f"  [default: {spec.default}]"
    declarations = [spec.flag, spec.key]
    if spec.type is bool:
        return TyperOption(param_decls=declarations, is_flag=True, default=False, help=text)
    metavar = {int: "INTEGER", float: "NUMBER"}.get(
        spec.type, "JSON" if any(isinstance(rule, Json) for rule in spec.rules) else "TEXT"
    )
    return TyperOption(param_decls=declarations, type=spec.type, multiple=spec.many, metavar=metavar, help=text)


def make_command(operation: Op, group: KaizenGroup) -> TyperCommand:
    """The Typer command of an operation."""

    def callback(**values: Any) -> tuple[Op, Result]:
        values.pop("json", None)
        return operation, execute(operation, values, group)

    tail = " -- COMMAND [ARGS]..." if operation.takes_command else ""
    example = f"python kaizen.py {operation.code} {operation.example}".strip()
    return TyperCommand(
        name=operation.code,
        callback=callback,
        params=list(options(operation)),
        help=f"{operation.code} {', '.join(operation.aliases)}: {operation.purpose}",
        epilog=f"Example: {example}",
        options_metavar=f"[FLAGS]{tail}",
        rich_markup_mode=None,
        context_settings={"max_content_width": 110} if sys.stdout.isatty() else {"terminal_width": 110},
    )


def execute(operation: Op, values: Mapping[str, Any], group: KaizenGroup) -> Result:
    """Run an operation with what the command line gave it."""
    from . import paths
    from .store import Store

    command = group.behind_dashes
    if command and not operation.takes_command:
        raise denial.Usage(
            "Remove --; only Q11 proof-run and P12 optimize-run take a command behind it.",
            message=f"{operation.code} takes nothing behind --.",
            operation=operation.code,
        )
    try:
        given = read_files(operation.input, {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()})
    except denial.Denial as refusal:
        refusal.example = f"python kaizen.py {operation.code} {operation.example}".strip()
        raise
    if operation.takes_command or operation.manages_store:
        output.pass_stdout_through(not group.as_json)
    if operation.takes_store:
        store: Any = Store(paths.find(group.home, create=not operation.needs_plane))
    else:
        store = None
    return run(operation, given, store, command=command[1:])


def read_files(cls: type[Input] | None, values: dict[str, Any]) -> dict[str, Any]:
    """Values with every X_file read into X: UTF-8, byte order mark stripped, - for stdin. An inline value wins,
    except for payloads, where the file does."""
    if cls is None:
        return values
    stdin_for: str | None = None
    for spec in cls.specs:
        name = values.pop(f"{spec.key}_file", None) if spec.file else None
        if not name or (values.get(spec.key) and not spec.file_wins):
            continue
        if name == "-":
            if stdin_for:
                raise denial.FlagConflict(
                    "Give - to one flag only.", message=f"{stdin_for} and {spec.flag}-file both read stdin.", flag=spec.flag
                )
            stdin_for = f"{spec.flag}-file"
        values[spec.key] = read_text(name, spec.key)
    return values


def read_text(name: str, field: str) -> str:
    """The text of a file, or of stdin for -; refusals for a missing, huge or non-UTF-8 one."""
    try:
        if name == "-" and sys.stdin is None:
            raise ValueError("stdin is closed")
        if name == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise denial.FileNotFound(field=field, path=name, reason=reason) from None
    if len(data) > MAX_FILE_BYTES:
        raise denial.FileTooBig(field=field, path=name, limit=MAX_FILE_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise denial.FileNotUtf8(field=field, path=name, reason=str(fault)) from None


__all__ = ["COMMON", "GLOBAL_FLAGS", "main"]
