"""Agentic: the command kaizen-agentic, whose verbs are operations of Kaizen under the names that its users know.

It knows no rules of its own: flags, judgement and refusals are the operation's. docs/METRICS.md has the table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from typer.core import TyperArgument, TyperCommand, TyperOption
from typer.exceptions import Exit, TyperException

from . import __version__, cli, denial, output, paths
from .call import Result
from .op import Op, load, run
from .ops import _index

PROGRAM = "kaizen-agentic"


class Verb(NamedTuple):
    """A verb: its operation, the value of --action that it stands for, what is passed without a flag, and its example."""

    code: str
    action: str | None = None
    # A name with a question mark may be left out.
    words: tuple[str, ...] = ()
    example: str = ""


VERBS: dict[str, dict[str, Verb]] = {
    "metrics": {
        "record": Verb("P1", None, ("agent",), "code-reviewer --success --time 42 --quality 0.9"),
        "show": Verb("P2", None, ("agent",), "code-reviewer"),
        "list": Verb("P3"),
        "export": Verb("P4", None, ("agent?",), "code-reviewer --format csv"),
        "optimize": Verb("P5", None, ("agent?",)),
        "publish": Verb("P6", example="--target ."),
        "correlate": Verb("P7", None, ("uid",), "claude:0123"),
    },
    "memory": {
        "init": Verb("P8", None, ("agent",), "code-reviewer"),
        "show": Verb("P9", None, ("agent",), "code-reviewer"),
        "brief": Verb("P10", None, ("agent",), "code-reviewer"),
    },
    "schedule": {action: Verb("P11", action) for action in ("init", "validate", "list", "prepare", "print")},
}
# Verbs that read executions, and so have to know those that others wrote.
READING = ("P2", "P3", "P4", "P10", "P11")
# What of an answer is Kaizen's receipt: it is there with `kaizen`.
_RECEIPT = ("status", "seq", "chain_hash", "revision_id", "content_hash", "already", "replayed", "view", "count")


def main(argv: list[str] | None = None) -> int:
    """Run one command line; the exit code: 0 done, 1 not as it should be, 2 not understood."""
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    return cli.respond(lambda: _answer(arguments), as_json=as_json, show=_show)


def start() -> NoReturn:
    """Run sys.argv and end the process."""
    sys.exit(main())


def _answer(arguments: list[str]) -> tuple[Op | None, Result] | None:
    """What a command line comes to; None where it was help, which has been printed."""
    words = [word for word in arguments if word not in ("--help", "-h")]
    if arguments[:1] == ["--version"]:
        return None, Result(tool_version=__version__)
    if not words or words == ["help"]:
        output.text(_help())
        return None
    group = _known(words[0], list(VERBS), "group of verbs")
    if len(words) == 1:
        output.text(_help(group))
        return None
    verb = _known(words[1], list(VERBS[group]), f"verb of {group}")
    return _run(group, verb, VERBS[group][verb], arguments[2:])


def _known(word: str, names: list[str], what: str) -> str:
    if word in names:
        return word
    from difflib import get_close_matches

    near = get_close_matches(word, names, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise denial.Usage(f"{hint}Use one of: {', '.join(names)}.", message=f"{cli.denial_text(word)!r} is no {what}.")


def _run(group: str, name: str, verb: Verb, rest: list[str]) -> tuple[Op, Result] | None:
    operation = load(verb.code)
    own = {spec.key for spec in operation.input.specs} if operation.input else set()

    def callback(**values: Any) -> Result:
        if operation.manages_store:
            output.pass_stdout_through(not values["json"])
        del values["json"]
        root = None if "target" in own else values.pop("target", None)
        if verb.action:
            values["action"] = verb.action
        return _execute(operation, values, root)

    command = TyperCommand(
        name=name,
        callback=callback,
        params=_parameters(operation, verb, own),
        help=operation.purpose,
        epilog=f"Example: {PROGRAM} {group} {name} {verb.example}".strip(),
        rich_markup_mode=None,
        context_settings={"terminal_width": 110, "help_option_names": ["--help", "-h"]},
    )
    try:
        answer = command.main(rest, prog_name=f"{PROGRAM} {group} {name}", standalone_mode=False)
    except Exit:
        return None
    except TyperException as fault:
        message = getattr(fault, "message", None) or str(fault)
        raise denial.Usage(f"Run {PROGRAM} {group} {name} --help to see what it takes.", message=message) from None
    except denial.Denial as refusal:
        refusal.example = f"{PROGRAM} {group} {name} {verb.example}".strip()
        raise
    if answer == cli.INTERRUPTED:
        raise KeyboardInterrupt
    return (operation, answer) if isinstance(answer, Result) else None


def _parameters(operation: Op, verb: Verb, own: set[str]) -> list[Any]:
    """What a verb takes: words without a flag, the operation's flags but for those, and the project."""
    words = [word.removesuffix("?") for word in verb.words]
    made: list[Any] = [
        TyperArgument(param_decls=[word.removesuffix("?")], type=str, required=not word.endswith("?")) for word in verb.words
    ]
    hidden = {f"--{word}" for word in words} | ({"--action"} if verb.action else set())
    made += [option for option in cli.options(operation) if option.opts[0] not in hidden]
    if "target" not in own:
        text = "The project; default: the one that the current folder lies in"
        made.append(TyperOption(param_decls=["--target", "target"], type=str, metavar="PATH", help=text))
    return made


def _execute(operation: Op, values: dict[str, Any], root: str | None) -> Result:
    from .store import Store

    if root is not None and not Path(root).is_dir():
        raise denial.FileNotFound("Name the folder of a project.", field="target", path=root, reason="it is no folder")
    given = cli.read_files(operation.input, {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()})
    plane = paths.of_root(Path(root)) if root is not None else _project()
    if operation.code in READING:
        _take_in(plane)
    return run(operation, given, Store(plane) if operation.takes_store else None)  # type: ignore[arg-type]


def _take_in(plane: paths.Plane) -> None:
    """Take in what others wrote below .kaizen, so that who reads sees it; say what could not be."""
    from .metrics import projection
    from .store import Store

    if not projection.foreign_agents(plane):
        return
    taken = run(load("P16"), {}, Store(plane))
    if taken["problem_count"]:
        sys.stderr.write(output.clean(f"warning: {taken['message']} kaizen P16 names them.\n"))


def _project() -> paths.Plane:
    """The project of the current folder: where a plane is, else where its agents already have files, else as K1 would make one."""
    try:
        return paths.find()
    except denial.PlaneNotFound:
        here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if any((folder / ".kaizen" / name).is_dir() for name in ("metrics", "agents")):
            return paths.of_root(folder)
    return paths.find(create=True)


def _show(result: Result, operation: Op | None, as_json: bool) -> None:
    """Print an answer: as `kaizen` would for a person, without its receipt as JSON."""
    if not as_json or operation is None:
        output.reply(result, operation, False)
        return
    output.text(output.as_json_text(shape(result, operation.code)))


def shape(result: Result, code: str) -> Any:
    """An answer without Kaizen's receipt; a list of agents is the list itself."""
    shown = {name: value for name, value in result.items() if name not in _RECEIPT}
    if code == "P3":
        return shown["records"]
    if code == "P2":
        shown["executions"] = shown.pop("records")
    return shown


def _help(group: str | None = None) -> str:
    """The verbs, of one group or of all, with the first line of what each does."""
    lines = [f"Usage: {PROGRAM} {group or 'GROUP'} VERB [ARGUMENTS]", ""]
    for name in [group] if group else VERBS:
        for verb, entry in VERBS[name].items():
            words = "".join(f" [{word[:-1].upper()}]" if word.endswith("?") else f" {word.upper()}" for word in entry.words)
            purpose = f"Schedule of agents: {entry.action}." if entry.action else _index.OPS[entry.code].purpose
            lines.append(f"  {f'{name} {verb}{words}':<28} {purpose}")
    lines += ["", f"{PROGRAM} GROUP VERB --help shows the flags. Each is an operation of kaizen: docs/METRICS.md."]
    return "\n".join(lines)


if __name__ == "__main__":
    start()
