"""Folder: the files of a folder that can be read as documents."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from .. import process
from . import readers

# Folders that hold what was installed or made, not written.
PASSED_OVER = frozenset({"node_modules", "__pycache__", "venv", "site-packages", "target", "dist-packages"})
PATIENCE = 30.0


def files(folder: Path, patterns: Sequence[str] = ()) -> list[Path]:
    """The files below a folder that a reader takes and, where there are patterns, one of them names: in order.

    Hidden files and folders are passed over, and in a git checkout what git ignores. Links are not followed."""
    tracked = _known_to_git(folder)
    found = []
    for path in _walked(folder):
        name = path.relative_to(folder).as_posix()
        if tracked is not None and name not in tracked:
            continue
        if patterns and not any(_matches(name, pattern) for pattern in patterns):
            continue
        if readers.format_of(path.name) is not None:
            found.append(path)
    return found


def _matches(name: str, pattern: str) -> bool:
    """Whether a path is one that a pattern names: *.md anywhere, docs/*.md there, ** any number of folders."""
    if "/" not in pattern:
        return fnmatchcase(name.rpartition("/")[2], pattern)
    return fnmatchcase(name, pattern) or ("**/" in pattern and fnmatchcase(name, pattern.replace("**/", "")))


def _walked(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in PASSED_OVER)
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and not path.is_symlink():
                yield path


def _known_to_git(folder: Path) -> frozenset[str] | None:
    """The files below a folder that git tracks or would; None outside of a checkout, or where git does not answer."""
    from .. import gitstate

    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return None
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        with gitstate.harmless(folder) as env:
            # A folder that is asked for by name is wanted, though git ignores it.
            if process.run(["git", "check-ignore", "-q", "."], cwd=folder, env=env, timeout=PATIENCE).exit_code == 0:
                return None
            ended = process.run(argv, cwd=folder, env=env, timeout=PATIENCE, most=64_000_000)
    except (process.NotStarted, gitstate.Unclear, OSError):
        return None
    if ended.exit_code != 0 or ended.stdout.left_out:
        return None
    return frozenset(os.fsdecode(name) for name in ended.stdout.kept().split(b"\0") if name)
