"""Gitstate: the commit that a working tree stands on, and what in it is not committed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Files whose content goes into the fingerprint: so many, and so many bytes; of the others their size does.
MOST_FILES, MOST_BYTES = 2_000, 64_000_000
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class GitState:
    """A working tree at one moment. Two equal fingerprints: the same commit and the same uncommitted content."""

    commit: str | None
    branch: str | None
    changed_files: int
    untracked_files: int
    fingerprint: str
    # Where git answered nothing: why.
    error: str | None = None

    @property
    def dirty(self) -> bool:
        return bool(self.changed_files or self.untracked_files)

    def record(self) -> dict[str, Any]:
        """The state as records and replies hold it."""
        if self.error:
            return {"error": self.error}
        return {
            "commit": self.commit,
            "branch": self.branch,
            "dirty": self.dirty,
            "changed_files": self.changed_files,
            "untracked_files": self.untracked_files,
            "fingerprint": self.fingerprint,
        }


def read(folder: Path) -> GitState | None:
    """The state of the working tree that `folder` lies in; None outside of any."""
    git = next((place / ".git" for place in (folder, *folder.parents) if (place / ".git").exists()), None)
    if git is None:
        return None
    if (git / "commondir").exists():
        # Only the folder of a linked working tree has that file; here it would make git run what another folder says.
        return _unknown(f"{git / 'commondir'} leads git to the settings of another folder")
    from . import process

    # A repository's own configuration must not start programs, and looking at it must not write to it.
    argv = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "status"]
    argv += ["--porcelain=v2", "--branch", "--untracked-files=all", "-z"]
    # Inside a hook these name the hook's repository, which need not be the one that is asked for.
    env = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    try:
        ended = process.run(argv, cwd=folder, env={**env, "LC_ALL": "C"}, timeout=PATIENCE, most=64_000_000)
    except process.NotStarted as fault:
        return _unknown(f"git: {fault}")
    if ended.exit_code != 0:
        said = ended.stderr.kept().decode("utf-8", "replace").strip().splitlines()
        return _unknown("git took too long" if ended.timed_out else said[0] if said else "git status failed")
    return _parsed(ended.stdout.kept(), folder)


def _unknown(error: str) -> GitState:
    return GitState(None, None, 0, 0, "", error)


def _parsed(status: bytes, folder: Path) -> GitState:
    """`git status --porcelain=v2 --branch -z`: headers `# branch.oid`, then one entry a path, renames with a second."""
    commit, branch, changed, untracked = None, None, 0, 0
    digest, top = hashlib.sha256(), _top(folder)
    files, budget = 0, MOST_BYTES
    entries = iter(status.split(b"\0"))
    for entry in entries:
        kind = entry[:2]
        if kind == b"# ":
            name, _, value = entry[2:].decode("utf-8", "backslashreplace").partition(" ")
            if name == "branch.oid":
                commit = None if value == "(initial)" else value
                digest.update(entry + b"\0")
            elif name == "branch.head":
                branch = None if value == "(detached)" else value
            continue
        if not entry:
            continue
        digest.update(entry + b"\0")
        if kind == b"? ":
            untracked += 1
            path = entry[2:]
        else:
            changed += 1
            path = entry.split(b" ", {b"1 ": 8, b"2 ": 9, b"u ": 10}.get(kind, 8))[-1]
            if kind == b"2 ":
                digest.update(next(entries, b"") + b"\0")
        files += 1
        content, read = _content(top / os.fsdecode(path), budget if files <= MOST_FILES else 0)
        budget -= read
        digest.update(content + b"\0")
    return GitState(commit, branch, changed, untracked, digest.hexdigest())


def _top(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if (place / ".git").exists())


def _content(path: Path, budget: int) -> tuple[bytes, int]:
    """What stands for a file in the fingerprint, and how many bytes were read for it: its hash, or else its size."""
    from .hashing import file_sha256

    try:
        if path.is_symlink():
            return os.fsencode(path.readlink()), 0
        if not path.is_file():
            return b"-", 0
        size = path.stat().st_size
        if size > budget:
            return str(size).encode(), 0
        return file_sha256(path)[0].encode(), size
    except OSError:
        return b"?", 0
