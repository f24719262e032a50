"""Starters: programs that start others, and what they start: env, timeout, xargs, sh -c, find -exec and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .line import HOLE, Command, Unjudged, Word

SHELLS = frozenset({"sh", "bash", "dash"})
# Options of a program that take a value of their own, and those that take none; any other cannot be judged.
_VALUED = {
    "nice": ("n", "adjustment", ""),
    "timeout": ("ks", "kill-after signal", "v foreground preserve-status verbose"),
    "stdbuf": ("ioe", "input output error", ""),
    "ionice": ("cn", "class classdata", "t ignore"),
    "setsid": ("", "", "c f w ctty fork wait"),
    "nohup": ("", "", ""),
    "time": ("", "", "p v portability verbose"),
    "exec": ("a", "", "c l"),
    "sudo": ("ugpCrtThD", "user group prompt chdir host role type", "A b E e H i K k l n P S s v V"),
    "doas": ("uC", "", "n s"),
    "xargs": (
        "nPLdIEsa",
        "max-args max-procs max-lines delimiter replace max-chars arg-file",
        "0 r t x p o null no-run-if-empty verbose exit open-tty",
    ),
    "chroot": ("", "userspec groups", "skip-chdir"),
}
# Words of their own that come before the command.
_OWN = {"timeout": 1, "chroot": 1, "flock": 1}
# Long options whose value may be left out: what stands behind them is no value.
_OPTIONAL = {"xargs": ("replace", "max-lines")}
# What the tests and actions of find begin with; a word with a dash that is none of them may be an option of another find.
_TESTS = re.compile(
    r"-(?:[acm]?(?:min|time)|newer.*|i?name|i?path|i?wholename|i?regex|i?lname|x?type|size|empty|perm|user|group|uid|gid|nouser|nogroup|links|inum"
    r"|samefile|fstype|maxdepth|mindepth|depth|mount|xdev|follow|prune|quit|print0?|printf|ls|fprint0?|fprintf|fls|exec|execdir|ok|okdir|delete|not"
    r"|o|or|a|and|true|false|readable|writable|executable|used|daystart|regextype|warn|nowarn|noleaf|(?:no)?ignore_readdir_race|files0-from|context"
    r"|-?help|-?version)"
)


def started(command: Command) -> list[Command | str] | None:
    """What a command starts: commands, or the text of a line; None where it is no such program."""
    found = _started(command)
    for each in found or ():
        if isinstance(each, Command) and command.name != "find":
            _refuse_unknown(command, each)
    return found


def _refuse_unknown(command: Command, inner: Command) -> None:
    """Words before the command that is started, of which not all is known, may be more words than one, and another command."""
    for word in command.words[1 : len(command.words) - len(inner.words)]:
        assigned = re.match(r"[A-Za-z_][A-Za-z0-9_]*=", word.text) is not None
        if word.splits or word.pattern is not None or not (word.known or assigned):
            raise Unjudged(f"what {command.name} starts cannot be told")


def _started(command: Command) -> list[Command | str] | None:
    name, words = command.name, command.words
    if name == "env":
        return _env(command)
    if name == "command":
        if command.arguments and command.arguments[0].text in ("-v", "-V"):
            return None
        rest = command.arguments[1:] if command.arguments and command.arguments[0].text == "-p" else command.arguments
        return [_inner(command, rest)] if rest else None
    if name in ("busybox", "toybox"):
        return [_inner(command, command.arguments)] if command.arguments else None
    if name in _VALUED:
        rest = _behind_options(name, command.arguments)
        rest = rest[_OWN.get(name, 0) :]
        if name in ("sudo", "doas"):
            while rest and re.match(r"[A-Za-z_]\w*=", rest[0].text):
                rest = rest[1:]
        if name == "xargs":
            before = words[1 : len(words) - len(rest)]
            replaced = any(re.match(r"-[^-]*[Ii]|--replace", word.text) for word in before)
            if replaced:
                if rest and any(marker in rest[0].text for word in before for marker in _markers(word.text)):
                    raise Unjudged("which program xargs starts cannot be told")
                rest = (rest[0], *(Word(HOLE, word.raw, word.start, word.end) for word in rest[1:])) if rest else rest
            return [replace(_inner(command, rest), appended=True, stdin=False)] if rest else None
        if name == "time":
            return _timed(command, rest)
        return [_inner(command, rest)] if rest else None
    if name in SHELLS:
        return _shell(command)
    if name == "eval":
        if not all(word.known and word.pattern is None for word in command.arguments):
            raise Unjudged("eval runs what cannot be told")
        return [" ".join(word.text for word in command.arguments)]
    if name == "find":
        return _found(command)
    return None


def _timed(command: Command, rest: Sequence[Word]) -> list[Command | str] | None:
    """time, which is a word of the shell's: variables may be set behind it."""
    assignments = list(command.assignments)
    words = list(rest)
    while words and (match := re.match(r"([A-Za-z_][A-Za-z0-9_]*)\+?(=|\[)", words[0].raw)):
        if match[2] == "[":
            raise Unjudged("it assigns to a part of a variable")
        assignments.append((match[1], words.pop(0)))
    if not words:
        if assignments:
            raise Unjudged("it sets variables behind time")
        return None
    return [replace(_inner(command, words), assignments=tuple(assignments))]


def _inner(command: Command, words: Sequence[Word]) -> Command:
    text = " ".join(word.raw for word in words)
    return replace(command, words=tuple(words), text=text, wrappers=(*command.wrappers, command.name), transparent=False)


def _behind_options(name: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """The words behind the options of a program that starts another."""
    short, long, plain = _VALUED[name]
    flags = set(plain.split())
    rest = list(words)
    while rest and rest[0].text.startswith("-") and len(rest[0].text) > 1:
        text = rest.pop(0).text
        if text == "--":
            break
        if text.startswith("--"):
            option, equals, _ = text[2:].partition("=")
            if option in long.split():
                if not equals and option in _OPTIONAL.get(name, ()):
                    raise Unjudged(f"{name} has the option --{option} without a value")
                if not equals:
                    rest = rest[1:]
            elif option not in flags:
                raise Unjudged(f"{name} has the option --{option.replace(HOLE, '?')}")
            continue
        if name == "nice" and re.fullmatch(r"-\d+", text):
            continue
        letters = text[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in short:
                if not letters:
                    rest = rest[1:]
                break
            if letter not in flags:
                raise Unjudged(f"{name} has the option -{letter.replace(HOLE, '?')}")
    return tuple(rest)


def _env(command: Command) -> list[Command | str] | None:
    """env: variables, options, and the command behind them."""
    rest = list(command.arguments)
    assignments = list(command.assignments)
    while rest:
        text = rest[0].text
        if match := re.match(r"([A-Za-z_][A-Za-z0-9_]*)=", text):
            assignments.append((match[1], rest.pop(0)))
        elif text in ("-i", "-", "--ignore-environment", "-0", "--null", "-v", "--debug"):
            rest.pop(0)
        elif text in ("-u", "--unset"):
            rest = rest[2:]
        elif text.startswith("-") or HOLE in text or "=" in text:
            raise Unjudged("env has an option that cannot be judged")
        else:
            break
    if not rest:
        return None
    return [replace(_inner(command, rest), assignments=tuple(assignments))]


def _shell(command: Command) -> list[Command | str] | None:
    """sh -c TEXT; a script is a program like any other; without either it runs what it reads."""
    rest = list(command.arguments)
    code = False
    while rest and rest[0].text.startswith(("-", "+")) and len(rest[0].text) > 1:
        text = rest.pop(0).text
        if text in ("--version", "--help"):
            return None
        if not re.fullmatch(r"[-+][abefhkmnptuvxlicEHPT]+|--(?:norc|noprofile|posix|login)", text):
            raise Unjudged(f"{command.name} has an option that cannot be judged")
        code = code or (not text.startswith("--") and "c" in text)
    if not rest:
        raise Unjudged(f"{command.name} runs what it reads")
    if not code:
        return None
    if not rest[0].known:
        raise Unjudged(f"{command.name} runs what cannot be told")
    return [rest[0].text]


def _found(command: Command) -> list[Command | str] | None:
    """find ... -exec COMMAND ;: the command with the places where it looks."""
    roots = list(roots_of_find(command))
    found: list[Command | str] = []
    words = list(command.arguments)
    ends = next((word.text for word in words[_leading(words) :] if _is_test(word.text)), "-print")
    if ends not in ("(", "!") and not _TESTS.fullmatch(ends):
        raise Unjudged("where find looks cannot be told")
    at = 0
    while at < len(words):
        if words[at].text in ("-exec", "-execdir", "-ok", "-okdir"):
            # A + ends it behind {} alone; anywhere else it is an argument.
            plus = "+" if words[at].text.startswith("-exec") else None
            end = next(
                (
                    n
                    for n in range(at + 1, len(words))
                    if words[n].text == ";" or (words[n].text == plus and words[n - 1].text == "{}")
                ),
                None,
            )
            if end is None or end == at + 1:
                raise Unjudged("find runs what cannot be told")
            inner: list[Word] = []
            for word in words[at + 1 : end]:
                if "{}" not in word.text:
                    inner.append(word)
                elif word.text == "{}" and len(inner):
                    # What it finds lies in its roots, and may be a link: only what removes does not follow it.
                    itself = inner[0].text in ("rm", "rmdir", "unlink")
                    inner += [_below(root, "{}" if itself else HOLE) for root in roots]
                else:
                    inner.append(replace(word, text=word.text.replace("{}", HOLE)))
            if words[at].text in ("-execdir", "-okdir"):
                raise Unjudged("find runs a command in folders that are not known")
            found.append(replace(_inner(command, inner), stdin=False))
            at = end
        at += 1
    return found or None


def _below(root: Word, name: str) -> Word:
    """Something in a root; the root itself where that is no folder of the workspace's."""
    if not root.known or root.pattern is not None or root.text.startswith(("/", "~", "..")):
        return root
    return Word(f"{root.text}/{name}", root.raw, root.start, root.end)


def _leading(words: Sequence[Word]) -> int:
    """How many words of find's are options that stand before the places."""
    at = 0
    while at < len(words):
        text = words[at].text
        if text == "--":
            return at + 1
        if text == "-D":
            at += 2
        elif text in ("-H", "-L", "-P") or text.startswith("-O"):
            at += 1
        else:
            break
    return at


def _is_test(text: str) -> bool:
    """Whether a word ends the places of find: a lone dash, a comma and a closing bracket are places."""
    return (text.startswith("-") and len(text) > 1) or text in ("(", "!")


def _markers(text: str) -> Iterator[str]:
    """What a word before the program of xargs may say to be replaced."""
    yield "{}"
    if not text.startswith("-"):
        yield text
    for mark in ("I", "i", "="):
        if value := text.partition(mark)[2]:
            yield value


def roots_of_find(command: Command) -> Iterator[Word]:
    """Where find looks: the words before its tests; else the current folder."""
    seen = False
    for word in command.arguments[_leading(command.arguments) :]:
        if _is_test(word.text):
            break
        seen = True
        yield word
    if not seen:
        yield Word(".", ".", -1, -1)
