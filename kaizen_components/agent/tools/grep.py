"""grep: lines that fit a regular expression."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import stat
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ... import process
from .. import matching, workspace
from ..tool import Access, Context, Given, Outcome, Tool, ToolError
from ..tree import Tree
from ..wildcards import Wildcard

# How many matching lines are shown, how many files are named, and how many characters come in all.
MOST_MATCHES, MOST_FILES, MOST_TEXT = 1_000, 1_000, 400_000
# How long a search may take, in seconds.
PATIENCE = 30.0
# ripgrep finds in any order and has no end; what says more than so many bytes is left to Python, which finds in order.
MOST_SAID = 4_000_000
# Of a line that a program found so many bytes are compared with the file.
MOST_COMPARED = 4_096

Mode = Literal["content", "files", "count"]

# Where Python and ripgrep read the same text as different expressions: Python's reading holds.
_READ_DIFFERENTLY = re.compile(r"\\[AZzGQE<>]|\\b\{|[*+?}]\+|\(\?[a-z]*x|\n")
_SET_OPERATORS = ("&&", "--", "~~")
# Wildcards that ripgrep is told of as well; of others it need not know, since what it finds is looked through once more.
_PLAIN = re.compile(r"(?!(?:.*/)?\.{0,2}(?:/|$))[\w.*/-]+(?:\{[\w.*-]+(?:,[\w.*-]+)+\})?[\w.*-]*")


class GrepGiven(Given):
    """What to look for, where, and what to say of it."""

    pattern: str = Field(
        min_length=1, max_length=10_000, description="The regular expression, as Python knows them; for each line"
    )
    path: workspace.PathText = Field(".", description="A folder or a file; absolute, or from the current folder")
    file_glob: str | None = Field(
        None,
        min_length=1,
        max_length=4_096,
        description="Only files that fit: *.py by name, src/**/*.ts by path, !*.min.js all others",
    )
    case_insensitive: bool = Field(False, description="Take small and capital letters for the same")
    context: int = Field(0, ge=0, le=50, description="Lines to show before and after each match (content)")
    output_mode: Mode = Field(
        "content", description="content: the lines; files: the names of files; count: matching lines per file"
    )


class Grep(Tool):
    """Search the lines of files for a regular expression.

    content gives path:number:line for matches and path-number-line for lines around them, files the names, count the number of matching
    lines of each file; all by path. What .gitignore leaves out, .git, binary files and, unless path names one, files that need a permission
    of their own (.env, keys) are not searched: where nothing fits, withheld in the metadata says how many of these there are. truncated
    says that there is more than is shown. To find files by name use glob.
    """

    name = "grep"
    group = "file"
    takes = GrepGiven
    rule_names = ("Grep", "Read")
    reads_only = True

    def accesses(self, given: GrepGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("read", given.path, context),)

    def danger(self, given: GrepGiven, context: Context) -> str:
        return workspace.danger_of_reading(given.path, context)

    def run(self, given: GrepGiven, context: Context) -> Outcome:
        fits = _file_filter(given.file_glob)
        same = _compiled(given.pattern)
        path = workspace.located(given.path, context)
        found = _Found(given.output_mode)
        state = workspace.state_of(given.path, context)
        if state is None:
            raise ToolError("not_found", f"{workspace.printable(given.path)}: no such file or folder.")
        if stat.S_ISDIR(state.st_mode):
            with workspace.opened_folder(given.path, context) as (descriptor, path):
                tree = Tree(descriptor, path, context, PATIENCE)
                inside, withheld = f"{path}/", workspace.withheld(path, context)
                place = _Place(descriptor, path, "", lambda name: fits(name) and not withheld(inside + name), tree)
                engine = _search(given, context, place, found, same)
                if not found.counts:
                    # By their names alone, so that nothing is told of what is in them.
                    found.withheld = sum(
                        fits(file.path) and withheld(inside + file.path) and not file.ignored for file in tree.files()
                    )
        else:
            engine = _in_file(given, context, path, fits, found, same)
            path = path.parent
        return _outcome(given, context, path, found, engine)

    def told(self, output: Any, metadata: Mapping[str, Any]) -> str:
        if isinstance(output, Mapping):
            output = [f"{name}:{count}" for name, count in output.items()]
        return output if isinstance(output, str) else "\n".join(output)


def _in_file(given: GrepGiven, context: Context, path: Path, fits: Callable[[str], bool], found: _Found, same: bool) -> str:
    """Search one file, whatever it is called and whoever ignores it."""
    from .read_file import text_blocks

    with workspace.opened(given.path, context) as (descriptor, _, _):
        text_blocks(descriptor, given.path)
    if not fits(path.name):
        return "none"
    with workspace.folder_at(path.parent) as folder:
        return _search(given, context, _Place(folder, path.parent, path.name, lambda name: True, None), found, same)


def _file_filter(pattern: str | None) -> Callable[[str], bool]:
    """Whether a path below the base is among the files that are asked for."""
    if pattern is None:
        return lambda path: True
    negated = pattern.startswith("!")
    try:
        wildcard = Wildcard(pattern.removeprefix("!"))
    except ValueError as fault:
        raise ToolError("bad_pattern", f"file_glob {workspace.printable(pattern)}: {fault}.") from None
    if "/" in pattern:
        return lambda path: wildcard.matches(path) is not negated
    return lambda path: wildcard.matches(path.rpartition("/")[2]) is not negated


def _compiled(pattern: str) -> bool:
    """Whether ripgrep reads an expression as Python does. Raises ToolError bad_pattern where Python cannot read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError, ValueError) as fault:
            raise ToolError("bad_pattern", f"{workspace.printable(pattern)} is no regular expression: {fault}.") from None
    return _READ_DIFFERENTLY.search(pattern) is None and not any(
        "[" in inside or any(operator in inside for operator in _SET_OPERATORS) for inside in _sets(pattern)
    )


def _sets(pattern: str) -> Iterator[str]:
    """What stands in the [..] of an expression."""
    place = 0
    while place < len(pattern):
        if pattern[place] == "\\":
            place += 2
        elif pattern[place] == "[":
            # The first character is never the end.
            end = place + (3 if pattern[place + 1 : place + 2] == "^" else 2)
            while end < len(pattern) and pattern[end] != "]":
                end += 2 if pattern[end] == "\\" else 1
            yield pattern[place + 1 : end]
            place = end + 1
        else:
            place += 1


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to search: a folder that is open, its real path; a file in it, or all that `wanted` says of a walk."""

    descriptor: int
    path: Path
    name: str
    wanted: Callable[[str], bool]
    tree: Tree | None

    def holds(self, name: str) -> bool:
        """Whether a file that a program found is among those to search."""
        return self.wanted(name) and (self.tree is None or self.tree.holds(name))

    def names(self) -> list[str]:
        """The files to search, by path."""
        if self.tree is None:
            return [self.name]
        return sorted((file.path for file in self.tree.files() if self.wanted(file.path) and not file.ignored), key=in_order)


@dataclass(slots=True)
class _Found:
    """What was found: by file the number of matching lines, and the lines to show."""

    mode: str
    counts: dict[str, int] = field(default_factory=dict)
    lines: dict[str, matching.Lines] = field(default_factory=dict)
    # The bytes that a program said these lines hold, with their place in the file: what is in the file has to be the same.
    said: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    matches: int = 0
    # Files that were passed over since they need a permission of their own; counted where nothing was found.
    withheld: int = 0
    # The walk ended before it was through.
    out_of_time: bool = False

    def add(self, path: str, count: int, lines: matching.Lines, said: list[tuple[int, bytes]] | None = None) -> None:
        self.counts[path], self.lines[path] = count, lines
        self.matches += count
        if said is not None:
            self.said[path] = said

    def drop(self, path: str) -> None:
        self.matches -= self.counts.pop(path)
        del self.lines[path]

    def clear(self) -> None:
        self.counts.clear()
        self.lines.clear()
        self.said.clear()
        self.matches = 0

    def paths(self) -> list[str]:
        """The files in order: folder by folder, in each by name."""
        return sorted(self.counts, key=in_order)


def in_order(path: str) -> list[str]:
    """By what paths are sorted, as ripgrep sorts them."""
    return path.split("/")


# --- the two engines -----------------------------------------------------------------------------


def _search(given: GrepGiven, context: Context, place: _Place, found: _Found, same: bool) -> str:
    """Search with ripgrep where it is there and reads the expression as we do, else with Python; which."""
    program = ripgrep(context) if same else None
    if program is not None and _by_ripgrep(program, given, context, place, found):
        return "ripgrep"
    _by_python(given, context, place, found)
    return "python"


def ripgrep(context: Context) -> str | None:
    """The program rg; None where there is none, or where it lies in the workspace, which anybody may have written."""
    found = shutil.which("rg")
    if found is None or Path(found).resolve().is_relative_to(context.workspace.resolve()):
        return None
    return found


def _by_ripgrep(program: str, given: GrepGiven, context: Context, place: _Place, found: _Found) -> bool:
    """Search with ripgrep; False where it could not."""
    argv = [program, "--no-config", "--json", "--hidden", "--crlf", "--no-mmap", "--no-messages", "--no-require-git"]
    argv += ["--no-ignore-parent", "--no-ignore-dot", "--no-ignore-global", "--no-ignore-exclude", "--glob", "!.git"]
    if given.file_glob is not None and _PLAIN.fullmatch(given.file_glob):
        argv += ["--glob", given.file_glob]
    if given.case_insensitive:
        argv.append("--ignore-case")
    if given.context and given.output_mode == "content":
        argv += ["--context", str(given.context)]
    argv += ["--regexp", given.pattern, "--", f"./{place.name}"]
    events = _Events(place, found)
    with contextlib.suppress(process.NotStarted):
        _run(argv, context, place, None, events.add, lambda: events.too_much)
    if events.over:
        _verify(place, found)
        return True
    # Not a ripgrep that we know, an expression that it refuses, or more than is ever shown: Python stops where there is enough.
    found.clear()
    return False


class _Events:
    """What ripgrep says, line by line of JSON, file by file. `over` is set at the end, `too_much` where it does not come to an end."""

    def __init__(self, place: _Place, found: _Found) -> None:
        self._place, self._found, self._left = place, found, MOST_SAID
        self._lines: matching.Lines = []
        self._said: list[tuple[int, bytes]] = []
        self._matches = 0
        self.over = self.too_much = False

    def add(self, line: bytes) -> None:
        self._left -= len(line)
        self.too_much = self.too_much or self._left < 0
        if self.too_much:
            return
        event = json.loads(line)
        kind, data = event["type"], event["data"]
        if kind == "begin":
            self._lines, self._said, self._matches = [], [], 0
        elif kind == "match":
            self._matches += 1
        if kind in ("match", "context") and self._matches <= MOST_MATCHES:
            self._line(data, kind == "match")
        elif kind == "end":
            self._end(data)
        elif kind == "summary":
            self.over = True

    def _line(self, data: Mapping[str, Any], matched: bool) -> None:
        raw = _bytes(data["lines"])
        self._said.append((data["absolute_offset"], raw[:MOST_COMPARED]))
        text = raw.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
        self._lines.append((data["line_number"], matching.shown(text), matched))

    def _end(self, data: Mapping[str, Any]) -> None:
        path = os.fsdecode(_bytes(data["path"])).removeprefix("./")
        if self._matches and data["binary_offset"] is None and self._place.holds(path):
            self._found.add(path, self._matches, self._lines, self._said)


def _bytes(data: Mapping[str, str]) -> bytes:
    return data["text"].encode() if "text" in data else base64.b64decode(data["bytes"])


def _verify(place: _Place, found: _Found) -> None:
    """Drop files that do not hold what was said of them.

    A program opens files by their paths, and a folder that becomes a link meanwhile leads it elsewhere. What is shown has to stand in the
    file that is opened here, without following a link.
    """
    matches = 0
    for path in found.paths():
        if found.mode == "content" and matches >= MOST_MATCHES:
            break
        if not _stands(place, path, found.said.get(path, ())):
            found.drop(path)
            continue
        matches += found.counts[path]


def _stands(place: _Place, path: str, said: Sequence[tuple[int, bytes]]) -> bool:
    folder, _, name = path.rpartition("/")
    try:
        with workspace.Below(place.descriptor, folder) as inner:
            descriptor, state = workspace.file_in(inner, name)
        try:
            mark = os.pread(descriptor, 3, 0)
            if mark[:2] in (b"\xff\xfe", b"\xfe\xff"):
                text = os.pread(descriptor, min(state.st_size, matching.LONGEST), 0).decode("utf-16", "replace")
                return all(raw.decode("utf-8", "replace") in text for _, raw in said)
            skip = 3 if mark == b"\xef\xbb\xbf" else 0
            return all(os.pread(descriptor, len(raw), offset + skip) == raw for offset, raw in said)
        finally:
            os.close(descriptor)
    except (OSError, ToolError):
        return False


def _by_python(given: GrepGiven, context: Context, place: _Place, found: _Found) -> None:
    """Search with Python's expressions, in a process that is ended when its time is over."""
    names = place.names()
    if place.tree is not None and place.tree.out_of_time:
        found.out_of_time = True
    if not names:
        return
    asked = {
        "pattern": given.pattern,
        "ignore_case": given.case_insensitive,
        "context": given.context,
        "most": MOST_MATCHES,
        "most_files": MOST_FILES,
        "mode": given.output_mode,
    }
    through = False

    def hear(line: bytes) -> None:
        nonlocal through
        answer = json.loads(line)
        if answer is None:
            through = True
            return
        name, count, lines = answer
        found.add(name, count, [tuple(item) for item in lines])

    argv = [sys.executable, "-I", "-S", "-W", "ignore", str(Path(matching.__file__))]
    text = json.dumps(asked) + "\n" + "".join(f"{name}\0" for name in names)
    try:
        said = _run(argv, context, place, text, hear).stderr.last(2_000).decode("utf-8", "replace").strip()
    except process.NotStarted as fault:
        said = f"its process could not be started: {fault}"
    if not through:
        raise ToolError("io_error", f"The search failed: {said.splitlines()[-1] if said else 'its process was ended'}.")


def _lines_to(hear: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """What takes blocks of bytes and hands on lines."""
    begun: list[bytes] = []

    def add(block: bytes) -> None:
        first, *lines = block.split(b"\n")
        begun.append(first)
        for line in lines:
            hear(b"".join(begun))
            begun[:] = [line]

    return add


def _run(
    argv: list[str],
    context: Context,
    place: _Place,
    text: str | None,
    hear: Callable[[bytes], None],
    enough: Callable[[], bool] = lambda: False,
) -> Any:
    """Run an engine in the folder that is open; `hear` gets its lines, `enough` ends it. Raises ToolError timeout, interrupted."""
    # The folder that was judged, though its path may lead elsewhere by now.
    by_descriptor = Path(f"/proc/self/fd/{place.descriptor}")
    cwd = by_descriptor if by_descriptor.exists() else place.path
    seconds = context.left(PATIENCE)
    ended = process.run(
        argv,
        cwd=cwd,
        env=process.environment(),
        text=text,
        timeout=seconds,
        asked=lambda: context.stop.asked or enough(),
        grace=0.0,
        most=10_000,
        stdout=_lines_to(hear),
    )
    if ended.interrupted:
        raise KeyboardInterrupt
    if context.stop.asked:
        raise ToolError("interrupted", "The run was asked to stop.")
    if ended.timed_out:
        raise ToolError(
            "timeout",
            f"The search took more than {seconds:.0f} seconds; use a simpler expression, or a smaller folder.",
            seconds=seconds,
        )
    return ended


# --- what is answered ----------------------------------------------------------------------------


def _outcome(given: GrepGiven, context: Context, base: Path, found: _Found, engine: str) -> Outcome:
    paths = found.paths()
    prefix = workspace.shown(base, context)
    named = {
        name: workspace.readable(name) if prefix == "." else f"{prefix.rstrip('/')}/{workspace.readable(name)}" for name in paths
    }
    if given.output_mode == "content":
        output, files, matches, cut = _content(found, paths, named, given.context)
    else:
        first = paths[:MOST_FILES]
        cut, files, matches = len(paths) > len(first), len(first), sum(found.counts[name] for name in first)
        output = [named[name] for name in first]
        if given.output_mode == "count":
            output = {named[name]: found.counts[name] for name in first}
    metadata: dict[str, Any] = {"files": files, "truncated": cut or found.out_of_time, "engine": engine}
    if given.output_mode != "files":
        metadata["matches"] = matches
    notes = [] if paths else ["No match."]
    if found.withheld:
        metadata["withheld"] = found.withheld
        notes.append(
            f"{found.withheld} {'file was' if found.withheld == 1 else 'files were'} not searched, as reading needs a permission"
            " of its own (keys, passwords, or a rule); name one in path to search it."
        )
    if found.out_of_time:
        notes.append(f"The search ended after {PATIENCE:g} seconds; look in a smaller folder.")
    if notes:
        metadata["note"] = " ".join(notes)
    return Outcome(output, metadata)


def _content(found: _Found, paths: Sequence[str], named: Mapping[str, str], around: int) -> tuple[str, int, int, bool]:
    """(the lines with path and number, the files and matches among them, whether there are more). Between lines that are no neighbours
    stands --."""
    said: list[str] = []
    files, matches, size = 0, 0, 0
    for path in paths:
        name, last, until = workspace.printable(named[path]), None, 0
        for number, text, matched in found.lines[path]:
            mark = ":" if matched else "-"
            line = f"{name}{mark}{number}{mark}{text}"
            over = matches >= MOST_MATCHES and (matched or number > until)
            if over or (said and size + len(line) > MOST_TEXT):
                return "\n".join(said), files, matches, not over or matches < found.matches
            if around and said and (last is None or number != last + 1):
                said.append("--")
            said.append(line)
            size += len(line) + 1
            if last is None:
                files += 1
            last = number
            if matched:
                matches, until = matches + 1, number + around
    return "\n".join(said), files, matches, matches < found.matches
