"""Rules: `Tool` and `Tool(specifier)`, as they stand in settings files and in the plane, and what each of them matches.

Bash(npm test)  Bash(git *)  Bash(npm run test:*)     commands: exactly, by beginning, with * for anything
Read(src/**)  Edit(/docs/*.md)  Read(~/.ssh/**)  Edit(//tmp/out/**)     files: patterns as in .gitignore
WebFetch(domain:example.org)  WebFetch(domain:*.example.org)            hosts
Task(reviewer)  Skill(release *)                                        names
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from ... import denial
from ...fields import shorten
from ..registry import NATIVE

# What a rule's specifier is about, by the name that stands before it.
COMMANDS = frozenset({"Bash", "bash_command"})
FILES = frozenset(
    "Read Write Edit MultiEdit Glob Grep LS NotebookEdit NotebookRead read_file write_file edit_file glob grep list_directory"
    " file_exists notebook_edit".split()
)
HOSTS = frozenset({"WebFetch", "web_fetch"})
NAMES = frozenset({"Task", "Agent", "Skill", "task", "skill"})
PLAIN = frozenset(
    "WebSearch TodoWrite AskUserQuestion EnterPlanMode ExitPlanMode KillShell KillBash TaskOutput BashOutput".split()
) | (frozenset(NATIVE) - COMMANDS - FILES - HOSTS - NAMES)
# Tools that exist elsewhere and not here: rules for them are fine, and match nothing.
ELSEWHERE = frozenset(
    "TodoRead SlashCommand ListMcpResourcesTool ReadMcpResourceTool LSP PowerShell Monitor ToolSearch SendMessage EnterWorktree"
    " ExitWorktree TaskCreate TaskGet TaskList TaskUpdate TaskStop TeamCreate TeamDelete CronCreate CronDelete CronList Computer"
    " Config Sleep StructuredOutput RemoteTrigger".split()
)
_MCP = re.compile(r"mcp__[A-Za-z0-9_.*-]+")
_SHAPE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\((.*)\))?", re.DOTALL)
_HOST = re.compile(r"\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[?[0-9a-f:.]+\]?")
_GLOBS = frozenset("*?[")
# A longer command of which a part is not known may be anything.
LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of files: as it is written, without a difference of upper and lower case, and the folder or file that it begins with
    (None: it may be anywhere)."""

    exact: Any
    folded: Any
    folded_root: str
    begins: str | None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A text with anything between its pieces; open-ended, it may go on behind a space. Matched in time linear in the text."""

    pieces: tuple[str, ...]
    open_ended: bool = False

    def matches(self, text: str) -> bool:
        if not self.open_ended:
            return self._is(text)
        # It ends there, or goes on behind white space: the last piece is found once more, with that behind it.
        if self._is(text):
            return True
        if len(self.pieces) == 1:
            rest = text.removeprefix(self.pieces[0])
            return rest != text and rest[:1].isspace()
        return any(Wildcard((*self.pieces[:-1], self.pieces[-1] + space, ""))._is(text) for space in " \t\n")

    def _is(self, text: str) -> bool:
        first, *others = self.pieces
        if not others:
            return text == first
        if not text.startswith(first):
            return False
        at = len(first)
        for piece in others[:-1]:
            found = text.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(text) - len(others[-1]) >= at and text.endswith(others[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule: allow, ask or deny; the tool's name and what stands behind it; and the place where it was written."""

    decision: str
    text: str
    source: str
    tool: str
    specifier: str | None = None
    # Of a rule about files: where the pattern starts (an absolute folder), and the pattern.
    root: str | None = None
    pattern: Pattern | None = None
    # Of a rule about commands: what the text of one has to be.
    command: Wildcard | None = None
    exact: bool = False
    # Why it is there, where somebody said so.
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.decision} {self.text} in {self.source}"

    def names(self, tool: str, rule_names: Iterable[str]) -> bool:
        """Whether the rule is about a tool. One that restricts writing restricts every tool that edits files."""
        known = set(rule_names) | {tool}
        if self.tool in known:
            return True
        editing = self.tool in ("Write", "MultiEdit", "write_file", "Edit", "edit_file")
        if editing and self.decision != "allow":
            return bool({"Edit", "Write"} & known)
        return self.tool == "MultiEdit" and "Edit" in known

    @property
    def broad(self) -> bool:
        """Whether it names a tool and nothing else."""
        return self.specifier in (None, "*", "**", ":*")

    def matches_command(self, texts: Iterable[str]) -> bool:
        """Whether one of the spellings of a command is meant."""
        return self.command is None or any(self.command.matches(text) for text in texts)

    def may_match_command(self, text: str, hole: str) -> bool:
        """Whether a command of which a part is not known could be meant."""
        return (
            self.command is None or len(text) > LONGEST or _overlap(_parts(str(self.specifier)), tuple(text.replace(hole, "\1")))
        )

    def matches_path(self, path: str) -> bool:
        """Whether an absolute path is meant. What restricts does so in upper and lower case alike."""
        if self.pattern is None or self.root is None:
            return True
        if self.decision == "allow":
            return _within(self.pattern.exact, self.root, path, folders=False)
        return _within(self.pattern.folded, self.pattern.folded_root, _folded(path), folders=True)

    def matches_host(self, host: str) -> bool:
        """Whether a host is meant: itself, or for *.HOST what lies under it."""
        wanted = (self.specifier or "").removeprefix("domain:").lower()
        if self.specifier is None or wanted == "*":
            return True
        if wanted.startswith("*."):
            return host.endswith(wanted[1:])
        return host == wanted.strip("[]")

    def matches_name(self, text: str) -> bool:
        """Whether a name is meant, * standing for anything."""
        return self.specifier is None or wildcard(self.specifier).matches(text)


def parse(decision: str, text: Any, source: str, *, project: Path, home: Path) -> Rule:
    """A rule from its text. `project` is the folder that the settings file belongs to, or the workspace. Raises DENIED_PERMISSION_RULE_INVALID."""
    if not isinstance(text, str):
        raise _invalid(str(text), source, "a rule is a text")
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        if _MCP.fullmatch(text.strip()):
            return Rule(decision, text.strip(), source, text.strip())
        raise _invalid(text, source, "it is neither Tool nor Tool(specifier)")
    tool, specifier = match[1], match[2]
    said = text.strip()
    if _MCP.fullmatch(tool) or tool in ELSEWHERE:
        return Rule(decision, said, source, tool, specifier)
    known = COMMANDS | FILES | HOSTS | NAMES | PLAIN
    if tool not in known:
        from difflib import get_close_matches

        near = get_close_matches(tool, sorted(known), n=2, cutoff=0.6)
        raise _invalid(
            text,
            source,
            f"there is no tool {tool!r}" + (f"; did you mean {' or '.join(near)}?" if near else "; N1 lists the tools"),
        )
    if specifier is None:
        return Rule(decision, said, source, tool)
    specifier = specifier.strip()
    if not specifier or any(ord(char) < 32 and char not in "\t\n" for char in specifier):
        raise _invalid(text, source, "the specifier is empty" if not specifier else "it holds a control character")
    if tool in COMMANDS:
        exact = not _wild(specifier)
        return Rule(decision, said, source, tool, specifier, command=wildcard(specifier), exact=exact)
    if tool in HOSTS:
        host = specifier.removeprefix("domain:")
        if host == specifier or not _HOST.fullmatch(host.lower()):
            raise _invalid(text, source, "write WebFetch(domain:HOST) or WebFetch(domain:*.HOST)")
        return Rule(decision, said, source, tool, specifier)
    if tool in NAMES:
        return Rule(decision, said, source, tool, specifier)
    if tool in PLAIN:
        raise _invalid(text, source, f"{tool} takes no specifier")
    root, pattern = _anchored(specifier, text, source, project, home)
    return Rule(decision, said, source, tool, specifier, root=root, pattern=pattern)


def _invalid(text: str, source: str, reason: str) -> denial.PermissionRuleInvalid:
    shown = shorten(text)
    return denial.PermissionRuleInvalid(
        message=f"{shown} in {source} is no permission rule: {reason}{'' if reason.endswith('?') else '.'}",
        rule=shown,
        source=source,
        reason=reason,
    )


# --- commands -------------------------------------------------------------------------------------


def _wild(specifier: str) -> bool:
    return specifier.endswith(":*") or "*" in specifier.replace("\\*", "")


def _parts(specifier: str) -> tuple[str, ...]:
    """A command's pattern as characters, with \\1 for anything. What ends in ` *` or `:*` matches without more words as well."""
    text = specifier[:-2] + " *" if specifier.endswith(":*") else specifier
    return tuple(text.replace("\\*", "\2").replace("*", "\1").replace("\2", "*"))


@lru_cache(maxsize=1024)
def wildcard(specifier: str) -> Wildcard:
    """What a text has to be for a specifier."""
    text = specifier[:-2] + " *" if specifier.endswith(":*") else specifier
    open_ended = text.endswith(" *") and len(text) > 2
    body = text[:-2] if open_ended else text
    pieces = [piece.replace("\2", "*") for piece in body.replace("\\*", "\2").split("*")]
    return Wildcard(tuple(pieces), open_ended)


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two texts with \\1 for anything can be the same."""
    if len(one) >= 2 and one[-2:] == (" ", "\1") and _overlap(one[:-2], other):
        return True
    reached = {0}

    def spread(places: set[int]) -> set[int]:
        places = set(places)
        for at in sorted(places):
            while at < len(one) and one[at] == "\1":
                at += 1
                places.add(at)
        return places

    reached = spread(reached)
    for char in other:
        if char == "\1":
            reached = set(range(min(reached), len(one) + 1)) if reached else reached
            continue
        following = set()
        for at in reached:
            if at < len(one):
                if one[at] == "\1":
                    following.add(at)
                elif one[at] == char:
                    following.add(at + 1)
        reached = spread(following)
    return len(one) in reached


# --- files ----------------------------------------------------------------------------------------


def _anchored(specifier: str, text: str, source: str, project: Path, home: Path) -> tuple[str, Pattern]:
    """(the folder where a pattern starts, the pattern)."""
    from pathspec import GitIgnoreSpec

    if specifier.startswith("//"):
        root, rest = _first_resolved(specifier[1:])
    elif specifier == "~" or specifier.startswith("~/"):
        root, rest = os.path.realpath(home), "/" + specifier[2:]
    elif specifier.startswith("~"):
        raise _invalid(text, source, "write ~/ for your home folder, //PATH for any other")
    else:
        root, rest = os.path.realpath(project), specifier
        rest = "/" + rest[2:] if rest.startswith("./") else rest
        while rest.startswith("../"):
            root, rest = os.path.dirname(root), "/" + rest[3:]  # noqa: PTH120
    if ".." in rest.split("/") or rest.startswith(("!", "#")) or "\\" in rest:
        raise _invalid(text, source, "the pattern cannot be used")
    rest = "/**" if rest == "/" else rest
    try:
        return root, Pattern(
            GitIgnoreSpec.from_lines([rest]), GitIgnoreSpec.from_lines([_folded(rest)]), _folded(root), _begins(root, rest)
        )
    except ValueError as fault:
        raise _invalid(text, source, str(fault)) from None


def _begins(root: str, pattern: str) -> str | None:
    """The folder or file that an anchored pattern begins with."""
    if pattern.strip("/") == "**":
        return root
    if "/" not in pattern.rstrip("/"):
        return None
    literal = list(takewhile(lambda part: not _GLOBS & set(part), pattern.strip("/").split("/")))
    return os.path.join(root, *literal) if literal else None  # noqa: PTH118


def _first_resolved(absolute: str) -> tuple[str, str]:
    """An absolute pattern with its first folder followed where it is a link, as /tmp is on some systems."""
    first, slash, rest = absolute[1:].partition("/")
    if first and not _GLOBS & set(first) and slash:
        return os.path.realpath("/" + first), "/" + rest
    return "/", absolute


def _within(pattern: Any, root: str, path: str, *, folders: bool) -> bool:
    if path == root:
        relative = ""
    elif root == "/":
        relative = path[1:]
    elif path.startswith(root + "/"):
        relative = path[len(root) + 1 :]
    else:
        return False
    if relative == "":
        return any(getattr(each, "pattern", None) in ("/**", "**", "*", "**/*") for each in pattern.patterns)
    # What covers a file covers it as a folder, too.
    return pattern.match_file(f"{relative}/" if folders else relative)


@lru_cache(maxsize=4096)
def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
