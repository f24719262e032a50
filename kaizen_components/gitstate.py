"""Gitstate: the commit that a working tree stands on, and what in it is not committed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    top = _top(folder)
    if top is None:
        return None
    from . import process

    argv = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=all", "-z"]
    # Of a submodule the commit is looked at; git would go on in it with its settings.
    argv.append("--ignore-submodules=dirty")
    try:
        with harmless(folder) as env:
            ended = process.run(argv, cwd=folder, env=env, timeout=PATIENCE, most=64_000_000)
            if ended.exit_code == 0:
                return _with_submodules(_parsed(ended.stdout.kept(), top), top, env)
    except process.NotStarted as fault:
        return _unknown(f"git: {fault}")
    except (Unclear, OSError) as fault:
        return _unknown(str(fault))
    said = ended.stderr.kept().decode("utf-8", "replace").strip().splitlines()
    return _unknown("git took too long" if ended.timed_out else said[0] if said else "git status failed")


# --- looking without starting what a repository names -----------------------------------------------

# Git's variables for one repository: in a hook they name the hook's.
_OF_A_REPOSITORY = frozenset(
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE"
    " GIT_PREFIX GIT_CONFIG GIT_GRAFT_FILE GIT_SHALLOW_FILE GIT_IMPLICIT_WORK_TREE GIT_ATTR_SOURCE".split()
)
# What a repository may say of itself: how its files and its format are to be read. All else is left out.
_KEPT = frozenset(
    "core.repositoryformatversion core.filemode core.ignorecase core.symlinks core.autocrlf core.eol core.checkroundtripencoding"
    " core.precomposeunicode core.protectntfs core.protecthfs core.longpaths core.excludesfile core.attributesfile core.trustctime"
    " core.checkstat core.bigfilethreshold core.sparsecheckout core.sparsecheckoutcone index.sparse"
    " status.renames status.renamelimit diff.renames diff.renamelimit".split()
)
_LEFT_OUT = frozenset({"extensions.partialclone", "extensions.worktreeconfig"})
# What does not come along from the folder of a repository.
_NOT_LINKED = frozenset(
    {"HEAD", "config", "config.worktree", "hooks", "commondir", "gitdir", "info", "index.lock", "config.lock"}
)
MOST_SUBMODULES = 100


class Unclear(Exception):
    """A repository that nobody can look at so, and why."""


@contextlib.contextmanager
def harmless(folder: Path) -> Iterator[dict[str, str]]:
    """The variables with which git looks at the repository around `folder` and starts nothing that the repository names.

    Git is shown a folder of its own with the repository's objects, index and refs, and of its settings only those that say how to read files.
    So there are no filters, hooks, monitors, remotes and aliases but those of the user's own settings, whatever is written to the repository
    meanwhile. Git must not go on in submodules: their settings are theirs. Raises Unclear, NotStarted and OSError.
    """
    top = _top(folder)
    if top is None:
        raise Unclear(f"{folder} lies in no repository")
    own, common = _folders(top / ".git")
    with tempfile.TemporaryDirectory(prefix="kaizen-", ignore_cleanup_errors=True) as made:
        shown = Path(made, "git")
        shown.mkdir()
        env = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}
        env |= {
            "GIT_DIR": str(shown),
            "GIT_WORK_TREE": str(top),
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
        }
        if any(path.is_relative_to(os.path.realpath(top)) for path in _of_the_user()):
            # What lies in the working tree is not the user's word alone.
            env["GIT_CONFIG_GLOBAL"] = os.devnull
        said = _settings(own, common, env, Path(made))
        # The user may have switched a monitor on for all repositories; it would be started for this folder.
        said.append(("core.fsmonitor", "false"))
        (shown / "config").write_text("".join(map(_line, said)), encoding="utf-8", errors="surrogateescape")
        _link(common, shown)
        if own != common:
            # Each working tree has an index of its own, in parts or not.
            (shown / "index").unlink(missing_ok=True)
            _link(own, shown)
        (shown / "info").mkdir()
        for place, names in ((common, ("exclude", "attributes", "grafts", "sparse-checkout")), (own, ("sparse-checkout",))):
            for name in names:
                if (place / "info" / name).is_file():
                    (shown / "info" / name).unlink(missing_ok=True)
                    _show(place / "info" / name, shown / "info" / name)
        _head(own / "HEAD", shown / "HEAD")
        yield env


def _top(folder: Path) -> Path | None:
    """The working tree that a folder lies in, as git finds it: a folder `.git` without HEAD is none of git's."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay
    for place in (folder, *folder.parents):
        git = place / ".git"
        if git.is_file() or os.path.lexists(git / "HEAD"):
            return place
    return None


def _folders(git: Path) -> tuple[Path, Path]:
    """(the folder of a working tree's repository, the one that it shares with other working trees)."""
    if git.is_dir():
        if (git / "commondir").exists():
            # Only the folder of a linked working tree has that file; here it would lead git to another folder.
            raise Unclear(f"{git / 'commondir'} leads git to the settings of another folder")
        return git, git
    said = _first_line(git)
    if not said.startswith("gitdir: "):
        raise Unclear(f"{git} names no folder of git")
    own = git.parent / said.removeprefix("gitdir: ")
    common = own / _first_line(own / "commondir") if (own / "commondir").exists() else own
    if own != common and (common / "reftable").exists():
        raise Unclear("refs in tables are not looked at in a linked working tree")
    return own, common


def _first_line(path: Path) -> str:
    if not path.is_file():
        raise Unclear(f"{path} is no file")
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        return file.readline(10_000).rstrip("\r\n")


def _of_the_user() -> list[Path]:
    """The files with the user's own settings of git."""
    home = os.path.expanduser("~")  # noqa: PTH111 - without a home it stays a text
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    named = os.environ.get("GIT_CONFIG_GLOBAL")
    paths = [named] if named else [f"{home}/.gitconfig", f"{config}/git/config"]
    return [Path(os.path.realpath(path)) for path in paths if os.path.lexists(path)]


def _settings(own: Path, common: Path, env: dict[str, str], folder: Path) -> list[tuple[str, str | None]]:
    """What a repository says of how to read it: name, value. None as value is as git has it, true."""
    from . import process

    found: list[tuple[str, str | None]] = []
    per_tree = False
    for path in (common / "config", own / "config.worktree"):
        if not path.is_file() or (path.name == "config.worktree" and not per_tree):
            continue
        ended = process.run(
            ["git", "config", "--file", str(path), "--includes", "--list", "-z"],
            cwd=folder,
            env=env,
            timeout=PATIENCE,
            most=4_000_000,
        )
        if ended.exit_code != 0 or ended.stdout.left_out:
            raise Unclear(f"git cannot read {path}")
        for entry in ended.stdout.kept().decode("utf-8", "surrogateescape").split("\0"):
            name, equals, value = entry.partition("\n")
            per_tree |= name == "extensions.worktreeconfig" and value.lower() not in ("false", "no", "off", "0")
            if name in _KEPT or (_EXTENSION.fullmatch(name) and name not in _LEFT_OUT):
                found.append((name, value if equals else None))
    return found


_EXTENSION = re.compile(r"extensions\.[a-z0-9-]+")


def _line(setting: tuple[str, str | None]) -> str:
    """A setting as a file of git holds it."""
    section, _, name = setting[0].partition(".")
    if setting[1] is None:
        return f"[{section}]\n\t{name}\n"
    value = setting[1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'[{section}]\n\t{name} = "{value}"\n'


def _link(folder: Path, shown: Path) -> None:
    """Show what lies in the folder of a repository, but for what decides what git runs, and what is shown already."""
    for entry in os.scandir(folder):
        target = shown / entry.name
        if entry.name not in _NOT_LINKED and not os.path.lexists(target):
            _show(Path(os.path.abspath(entry.path)), target)  # noqa: PTH100 - as above


def _show(source: Path, target: Path) -> None:
    """A symbolic link; where there are none, a copy."""
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        if source.name == "objects":
            (target / "info").mkdir(parents=True)
            (target / "info" / "alternates").write_text(source.as_posix() + "\n", encoding="utf-8")
        elif source.is_dir():
            if source.name in ("refs", "reftable"):
                shutil.copytree(source, target)
        elif source.is_file():
            shutil.copy2(source, target)


def _head(source: Path, target: Path) -> None:
    if source.is_symlink():
        text = f"ref: {source.readlink()}\n"
    else:
        text = _first_line(source) + "\n"
    target.write_text(text, encoding="utf-8", errors="surrogateescape")


def _with_submodules(state: GitState, top: Path, env: dict[str, str]) -> GitState:
    """The state with what is not committed in submodules, each looked at by itself."""
    if not (top / ".gitmodules").exists():
        return state
    from . import process

    ended = process.run(["git", "ls-files", "--stage", "-z"], cwd=top, env=env, timeout=PATIENCE, most=64_000_000)
    names = [entry.partition(b"\t")[2] for entry in ended.stdout.kept().split(b"\0") if entry.startswith(b"160000 ")]
    changed, digest = state.changed_files, hashlib.sha256(state.fingerprint.encode())
    for name in names[:MOST_SUBMODULES]:
        place = top / os.fsdecode(name)
        # What a link leads to is no submodule, and may be the repository itself.
        linked = Path(os.path.realpath(place)) != Path(os.path.realpath(top)) / os.fsdecode(name)
        if linked or not os.path.lexists(place / ".git"):
            continue
        inner = read(place)
        if inner is not None and inner.error is None:
            changed += inner.dirty
            digest.update(name + b"\0" + inner.fingerprint.encode() + b"\0")
        elif inner is not None:
            return _unknown(f"submodule {os.fsdecode(name)}: {inner.error}")
    return replace(state, changed_files=changed, fingerprint=digest.hexdigest())


def _unknown(error: str) -> GitState:
    return GitState(None, None, 0, 0, "", error)


def _parsed(status: bytes, top: Path) -> GitState:
    """`git status --porcelain=v2 --branch -z`: headers `# branch.oid`, then one entry a path, renames with a second."""
    commit, branch, changed, untracked = None, None, 0, 0
    digest = hashlib.sha256()
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
