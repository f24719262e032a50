"""Shielded: files of a workspace that a program must not see or change and that no folder names, found by looking through it.

Hidden are files that usually hold keys and passwords, unless a rule allows to read them, and those that rules such as Read(*.sqlite) deny.
Protected are those that rules such as Edit(*.lock) deny or ask about, and what git runs in repositories further down.

The look is bounded, and what it did not reach is told.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from .permissions import files
from .permissions.rules import Rule
from .permissions.settings import Policy

# Files and folders that are looked at, nearest first, and of what is found so many of each.
MOST, MOST_FOUND = 10_000, 100
# Folders that tools fill by themselves: what lies there came from elsewhere, or can be made again.
SKIPPED = frozenset(
    ".git .hg .svn node_modules .venv venv site-packages __pycache__ .tox .nox .mypy_cache .pytest_cache .ruff_cache .gradle .terraform".split()
)
# A change within so many seconds of a look need not show in the time of the folder.
SETTLED = 2.0
MOST_CACHED = 4 * MOST


@dataclass(slots=True)
class Shielded:
    """What was found. `unseen` says what was not looked at, each in some words."""

    hidden: list[Path] = field(default_factory=list)
    protected: list[Path] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)


class _Folder(NamedTuple):
    """The names in a folder; of the files, those that may hold secrets."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    secrets: tuple[str, ...]


def look(
    roots: Sequence[str], policy: Policy, *, granted: Collection[str] = (), skipped: Collection[str] = (), bypass: bool = False
) -> Shielded:
    """What lies in some folders that has to be shielded. `granted` are files that a call was allowed to read, `skipped` folders that are
    looked after otherwise; with `bypass`, what would be asked about is not hidden. Paths are absolute, links followed."""
    found = Shielded()
    denied = tuple(rule for rule in policy.reading("deny") if _floats(rule))
    kept = tuple(rule for name in ("deny", "ask") for rule in policy.editing(name) if _floats(rule))
    wanted = _last_names(denied + kept)
    base = Path(roots[0])
    waiting, left, passed = deque(dict.fromkeys(roots)), MOST, set[str]()
    while waiting:
        folder = waiting.popleft()
        below = _listed(folder)
        left -= len(below.folders) + len(below.files)
        if left < 0 or max(len(found.hidden), len(found.protected)) > MOST_FOUND:
            found.unseen.append(f"what lies beyond the first {MOST:,} files, or the first {MOST_FOUND} that were found")
            break
        for name in below.secrets:
            path = f"{folder}/{name}"
            real = os.path.realpath(path)
            if real not in granted and _is_hidden(real, path, base, policy, bypass=bypass):
                found.hidden.append(Path(real))
        if wanted is not None:
            for name in (*below.files, *below.folders):
                if wanted.match(name.casefold()):
                    path = f"{folder}/{name}"
                    if path not in granted and any(_covers(rule, path) for rule in denied):
                        found.hidden.append(Path(path))
                    elif any(_covers(rule, path) for rule in kept):
                        found.protected.append(Path(path))
        for name in below.folders:
            path = f"{folder}/{name}"
            if name in SKIPPED:
                if name == ".git" and folder not in roots:
                    found.protected += of_git(Path(folder))
                elif name != ".git":
                    passed.add(name)
            elif path not in skipped and path not in roots:
                if files.sensitive(f"{path}/-") and not _opened_within(path, policy, granted):
                    found.hidden.append(Path(path))
                else:
                    waiting.append(path)
    if passed:
        found.unseen.append(f"what lies in {', '.join(sorted(passed))}")
    return found


def of_git(folder: Path) -> list[Path]:
    """What of a repository decides what git runs: its hooks and settings, and those of its submodules."""
    return [path for git in _repositories(folder / ".git") for path in _deciding(git)]


def _deciding(git: Path) -> Iterator[Path]:
    for name in ("hooks", "config", "config.worktree"):
        # Hooks that are not there could be made; settings are made with the repository.
        if name == "hooks" or os.path.lexists(git / name):
            yield git / name


def _repositories(git: Path) -> Iterator[Path]:
    """A folder of git, and those of its submodules."""
    yield git
    waiting = [git / "modules"]
    for _ in range(MOST_FOUND):
        if not waiting:
            break
        below = _listed(str(folder := waiting.pop()))
        if "HEAD" in below.files:
            yield folder
            waiting.append(folder / "modules")
        else:
            waiting += [folder / name for name in below.folders]


def _is_hidden(real: str, path: str, workspace: Path, policy: Policy, *, bypass: bool) -> bool:
    """Whether a file with a name of secrets is one, and nothing allows to read it."""
    try:
        if not stat.S_ISREG(os.stat(real).st_mode):  # noqa: PTH116 - the quick one
            return False
    except OSError:
        return False
    decision = files.judged("read", real, workspace, policy, path).decision
    return decision == "deny" or (decision == "ask" and not bypass)


def _opened_within(folder: str, policy: Policy, granted: Collection[str]) -> bool:
    """Whether something in a folder of keys may be read: then its files are judged one by one."""
    named = [rule.pattern.begins for rule in policy.reading("allow") if rule.pattern and rule.pattern.begins]
    return any(files.lies_in(path, folder) for path in (*named, *granted))


# --- patterns that begin nowhere ------------------------------------------------------------------


def _floats(rule: Rule) -> bool:
    return rule.pattern is not None and rule.pattern.begins is None


@lru_cache(maxsize=64)
def _last_names(rules: tuple[Rule, ...]) -> re.Pattern[str] | None:
    """What the name of a file or folder has to be for one of some rules to cover it, or all in it."""
    names = {
        next((part for part in reversed((rule.specifier or "").casefold().strip("/").split("/")) if part != "**"), "*")
        for rule in rules
    }
    return re.compile("|".join(fnmatch.translate(name.replace("[^", "[!")) for name in sorted(names))) if names else None


def _covers(rule: Rule, path: str) -> bool:
    return rule.matches_path(path) or rule.matches_path(f"{path}/-")


# --- folders --------------------------------------------------------------------------------------

_cache: dict[str, tuple[tuple[int, int], _Folder]] = {}


def _listed(folder: str) -> _Folder:
    """The names in a folder; those of last time, where nothing came or went since."""
    try:
        state = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return _Folder((), (), ())
    # Nobody can set this time; it changes with every name that comes or goes.
    stamp = (state.st_ctime_ns, state.st_ino)
    cached = _cache.get(folder)
    if cached is not None and cached[0] == stamp:
        return cached[1]
    below: list[str] = []
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                (below if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
                if len(below) + len(names) > MOST:
                    break
    except OSError:
        return _Folder((), (), ())
    own = os.path.basename(folder)  # noqa: PTH119 - as above
    found = _Folder(tuple(below), tuple(names), tuple(name for name in names if files.may_be_sensitive(own, name)))
    if time.time_ns() - state.st_ctime_ns > SETTLED * 1e9:
        if len(_cache) >= MOST_CACHED:
            _cache.clear()
        _cache[folder] = (stamp, found)
    return found
