"""Tree: the files below a folder, without what .gitignore leaves out, walked by descriptor so that no link leads out of it.

.gitignore counts in the folder where it lies and below, from the workspace down; .git itself is left out always. A folder that is named
by the caller is walked although it is ignored. Symbolic links are not followed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import workspace
from .tool import ToolError

if TYPE_CHECKING:
    from .tool import Context

# How many folders may lie in each other: one descriptor is open for each.
DEEPEST = 200
MOST_RULES = 1_000_000
# A rule with more stars in a name, or more ** in all, could take for ever; it says nothing.
MOST_STARS = 3

# Rules of a .gitignore, the last first: whether what fits is ignored, and what fits.
Rules = tuple[tuple[bool, Callable[[str], object]], ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A folder on the way down: its path from the top with a slash at the end, its .gitignore, if any, and the folder above."""

    path: str
    rules: Rules
    above: Level | None

    def ignores(self, name: str, folder: bool) -> bool:
        """Whether something in this folder is left out."""
        if name == ".git":
            return True
        path = f"{self.path}{name}/" if folder else self.path + name
        level: Level | None = self
        while level is not None:
            below = path[len(level.path) :]
            for ignore, fits in level.rules:
                if fits(below):
                    return ignore
            level = level.above
        return False


class Found(NamedTuple):
    """A file on the walk, ignored or not: its path below the base, its name, its folder (open for this moment), the folder's level, and
    the folder's state."""

    path: str
    name: str
    folder: int
    level: Level
    state: Any

    @property
    def ignored(self) -> bool:
        return self.level.ignores(self.name, False)


class Tree:
    """The files below a folder that is open for listing, whose real path is `base`. `seconds` is how long a walk may take."""

    def __init__(self, descriptor: int, base: Path, context: Context, seconds: float) -> None:
        self._descriptor, self._context = descriptor, context
        self._deadline = time.monotonic() + context.left(seconds)
        self._levels: dict[str, Level | None] = {"": _start(descriptor, base, context)}
        # Folders that could not be read, or that lay too deep.
        self.unread = 0
        # The walk ended before it was through.
        self.out_of_time = False

    def files(self, enter: Callable[[Any, str], Any] | None = None, state: Any = True) -> Iterator[Found]:
        """Every regular file but those in folders that are ignored. `enter(state, name)` gives the state of a folder from that of the
        folder above; where it is false the folder is not entered. Raises ToolError interrupted."""
        start = self._levels[""]
        assert start is not None
        yield from self._walk(os.dup(self._descriptor), "", start, state, enter, 0)

    def _walk(self, folder: int, prefix: str, level: Level, state: Any, enter: Any, depth: int) -> Iterator[Found]:
        try:
            if self._context.stop.asked:
                raise ToolError("interrupted", "The run was asked to stop.")
            self.out_of_time = self.out_of_time or time.monotonic() > self._deadline
            if self.out_of_time:
                return
            below: list[str] = []
            try:
                entries = list(os.scandir(folder))
            except OSError:
                self.unread += 1
                return
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    yield Found(prefix + entry.name, entry.name, folder, level, state)
            for name in below:
                state_below = state if enter is None else enter(state, name)
                if not state_below or level.ignores(name, True):
                    continue
                try:
                    if depth >= DEEPEST:
                        raise OSError
                    inner = workspace.step(name, folder, workspace.LIST)
                except OSError:
                    self.unread += 1
                    continue
                yield from self._walk(inner, f"{prefix}{name}/", _level(inner, level, name), state_below, enter, depth + 1)
        finally:
            os.close(folder)

    def holds(self, path: str) -> bool:
        """Whether a walk would come upon a file, by its path below the base, and not leave it out."""
        folder, _, name = path.rpartition("/")
        level = self._level_of(folder)
        return level is not None and not level.ignores(name, False)

    def _level_of(self, path: str) -> Level | None:
        """The level of a folder below the base; None where it is ignored or not there."""
        if path not in self._levels:
            above_path, _, name = path.rpartition("/")
            above = self._level_of(above_path)
            self._levels[path] = None
            if above is not None and not above.ignores(name, True):
                try:
                    with self.opened_below(path) as folder:
                        self._levels[path] = _level(folder, above, name)
                except OSError:
                    pass
        return self._levels[path]

    def opened_below(self, path: str) -> workspace.Below:
        """A folder below the base, by its path, as a context; no link is followed. OSError."""
        return workspace.Below(self._descriptor, path)


def _start(descriptor: int, base: Path, context: Context) -> Level:
    """The level of the base, with the .gitignore files of the workspace above it where they do not leave the base itself out."""
    top = Path(os.path.realpath(context.workspace))
    if not base.is_relative_to(top):
        return Level("", _rules(descriptor), None)
    level: Level | None = None
    names = base.relative_to(top).parts
    try:
        with workspace.folder_at(top) as folder:
            level = Level("", _rules(folder), None)
            for number, name in enumerate(names, start=1):
                if level.ignores(name, True):
                    return Level("", _rules(descriptor), None)
                with workspace.Below(folder, "/".join(names[:number])) as inner:
                    level = _level(inner, level, name)
    except OSError:
        return Level("", _rules(descriptor), None)
    return level


def _level(folder: int, above: Level, name: str) -> Level:
    return Level(f"{above.path}{name}/", _rules(folder), above)


def _rules(folder: int) -> Rules:
    """What the .gitignore in a folder says; nothing where there is none that can be read."""
    try:
        descriptor, state = workspace.file_in(folder, ".gitignore")
    except (OSError, ToolError):
        return ()
    try:
        return _rules_of(b"".join(workspace.blocks(descriptor))) if state.st_size <= MOST_RULES else ()
    except OSError:
        return ()
    finally:
        os.close(descriptor)


@lru_cache(maxsize=100)
def _rules_of(data: bytes) -> Rules:
    """The rules in these bytes, the last first: the last that fits decides. Most calls read the same few files.

    A rule is held against each entry itself, never against what lies below it: the walk does not enter what is ignored.
    """
    from pathspec import GitIgnoreSpec

    made: list[tuple[bool, Callable[[str], object]]] = []
    for line in data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n"):
        line = line.removesuffix("\r")
        if any(name.count("*") > MOST_STARS for name in line.split("/")) or line.count("**/") > MOST_STARS:
            continue
        try:
            patterns = list(GitIgnoreSpec.from_lines([line]).patterns)
        except ValueError:
            # What is no pattern says nothing, as with git.
            continue
        made += [
            (pattern.include, _fitting(pattern.regex)) for pattern in patterns if pattern.include is not None and pattern.regex
        ]
    return tuple(reversed(made))


def _fitting(regex: re.Pattern[str]) -> Callable[[str], object]:
    """What fits a rule itself, given the expression that fits all that lies below as well. A folder's path ends with a slash."""
    if regex.pattern == ".":
        return lambda path: True
    if not regex.pattern.startswith("^"):
        return lambda path: path.endswith("/")
    if regex.pattern.endswith("/"):
        # folder/** is what lies in the folder.
        inside = re.compile(regex.pattern + ".", re.DOTALL)
        return inside.match
    return regex.fullmatch
