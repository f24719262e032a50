"""Paths: whose plane is used, and where its things live."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from . import denial

PIN = ".kaizen/plane"


@dataclass(frozen=True, slots=True)
class Plane:
    """A data plane: `root` is the project whose files are meant, `base` the folder that holds AI/, `reason` why."""

    root: Path
    base: Path
    reason: str

    @property
    def ai(self) -> Path:
        return self.base / "AI"

    @property
    def folder(self) -> Path:
        return self.base / "AI" / "db"

    @property
    def database(self) -> Path:
        return self.folder / "kaizen.db"

    @property
    def lock(self) -> Path:
        return self.folder / "kaizen.lock"

    @property
    def head(self) -> Path:
        return self.folder / "ledger.head"

    @property
    def search(self) -> Path:
        return self.folder / "search.db"

    @property
    def vectors(self) -> Path:
        return self.folder / "vectors.db"

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    @property
    def reports(self) -> Path:
        return self.exports / "reports"

    @property
    def manifests(self) -> Path:
        return self.folder / "manifests"

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    @property
    def temporary(self) -> Path:
        return self.base / "AI" / "work" / "kaizen-runtime" / "tmp"

    def is_live(self, path: Path) -> bool:
        """Whether a file is one that Kaizen itself changes from call to call."""
        names = (self.database.name, self.lock.name, self.head.name, self.search.name, self.vectors.name)
        return path.parent == self.folder.resolve() and path.name.startswith(names)

    def relative(self, path: Path) -> str:
        """A path as records and replies name it: relative to the project, POSIX; absolute where it lies outside."""
        for folder in (self.base, self.root):
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return str(path)


def find(home: Path | None = None, *, create: bool = False) -> Plane:
    """The plane of this process: KAIZEN_REPO_ROOT, else the checkout whose kaizen.py runs (`home`), else the nearest
    folder above the current one with a plane or a pin. `create` (K1) settles for the git top level or the current
    folder; otherwise DENIED_PLANE_NOT_FOUND says how to make one."""
    plane = _find(home, create=create)
    _refuse_unusable(plane)
    return plane


def _find(home: Path | None, *, create: bool) -> Plane:
    named = os.environ.get("KAIZEN_REPO_ROOT")
    if named:
        try:
            root = _resolved(_at_home(named))
        except (OSError, ValueError) as fault:
            raise denial.EnvironmentInvalid(
                "Set KAIZEN_REPO_ROOT to the folder of a project, or unset it.",
                variable="KAIZEN_REPO_ROOT",
                value=named,
                reason=str(fault),
            ) from None
        return Plane(root, root, "KAIZEN_REPO_ROOT")
    if home is not None:
        return _of_checkout(home.resolve(), "the checkout of kaizen.py")
    try:
        here = Path.cwd().resolve()
    except FileNotFoundError:
        raise denial.PlaneNotFound(message="The current folder was removed.") from None
    for folder in (here, *here.parents):
        if (folder / PIN).is_file():
            return _pinned(folder)
        if (folder / "AI" / "db" / "kaizen.db").exists():
            return Plane(folder, folder, "the nearest folder with a plane")
        main = main_checkout(folder)
        if main is not None and (main / "AI" / "db" / "kaizen.db").exists():
            return Plane(folder, main, "the main checkout of this git worktree")
    if create:
        top = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
        return _of_checkout(top, "the git top level" if (top / ".git").exists() else "the current folder")
    raise denial.PlaneNotFound(path=str(here))


def of_root(root: Path) -> Plane:
    """The plane of a project that is named outright."""
    resolved = root.resolve()
    return Plane(resolved, resolved, "named by the caller")


def _refuse_unusable(plane: Plane) -> None:
    """Refuse a place whose name no engine, or no system, can take."""
    try:
        str(plane.base).encode()
        plane.database.stat()
    except UnicodeEncodeError:
        reason = "its name is no UTF-8 text"
    except OSError as fault:
        if fault.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            return
        reason = fault.strerror
    else:
        return
    raise denial.PlaneNotFound(
        "Move the project, or name another folder with KAIZEN_REPO_ROOT.",
        message="The project lies where no data plane can be.",
        path=str(plane.base),
        reason=reason,
    )


def _of_checkout(folder: Path, reason: str) -> Plane:
    """A checkout's own plane; a git worktree without one shares its main checkout's."""
    if (folder / PIN).is_file():
        return _pinned(folder)
    main = main_checkout(folder)
    if main is not None and not (folder / "AI" / "db" / "kaizen.db").exists():
        return Plane(folder, main, "the main checkout of this git worktree")
    return Plane(folder, folder, reason)


def _pinned(folder: Path) -> Plane:
    """The plane that a folder's pin names: a path, taken from the folder itself."""
    try:
        named = (folder / PIN).read_text(encoding="utf-8").strip()
        if not named:
            raise ValueError("the file is empty")
        return Plane(folder, _resolved(folder / _at_home(named)), f"the pin {PIN} in {folder}")
    except (OSError, ValueError) as fault:
        raise denial.PlaneNotFound(
            f"Write the path of a project into {PIN}, or remove the file.",
            message=f"The pin in {folder} names no project.",
            path=str(folder / PIN),
            reason=str(fault),
        ) from None


def _resolved(path: Path) -> Path:
    """A path without symlinks; ValueError where they lead in a circle."""
    try:
        return path.resolve()
    except RuntimeError as fault:
        raise ValueError(str(fault)) from None


def _at_home(text: str) -> Path:
    """A user's path with ~ resolved; a ~ of nobody stays what it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser() raises for it


def main_checkout(folder: Path) -> Path | None:
    """The main checkout of a linked git worktree, read from its .git file; None where `folder` is no worktree."""
    marker = folder / ".git"
    if not marker.is_file():
        return None
    try:
        line = marker.read_text(encoding="utf-8").strip()
        if not line.startswith("gitdir:"):
            return None
        private = (folder / line.removeprefix("gitdir:").strip()).resolve()
        common = (private / (private / "commondir").read_text(encoding="utf-8").strip()).resolve()
    except (OSError, UnicodeDecodeError):
        return None
    return common.parent if common.name == ".git" else None


def no_file(path: str, resolved: Path, reason: str) -> denial.FileNotFound:
    """The refusal of a path that is no file."""
    return denial.FileNotFound(
        "Check the path; a relative one starts at the project's folder, whichever folder you are in.",
        path=path,
        looked_at=str(resolved),
        reason=reason,
    )


def inside(plane: Plane, text: str, *, allow_external: bool = False) -> tuple[Path, str]:
    """A user's path resolved, symlinks and all, and the name records give it; DENIED_PATH_OUTSIDE_REPO beyond the root."""
    path = _at_home(text)
    # A worktree's plane lies elsewhere: what records call AI/db is that.
    start = plane.base if path.parts[:2] == ("AI", "db") else plane.root
    try:
        resolved = _resolved(start / path)
    except ValueError as fault:
        raise denial.FileNotFound(path=text, reason=str(fault)) from None
    for folder in (plane.root, plane.base):
        if resolved.is_relative_to(folder):
            return resolved, resolved.relative_to(folder).as_posix()
    if allow_external:
        return resolved, f"external:{resolved.name}"
    raise denial.PathOutsideRepo(path=text, root=str(plane.root))
