"""Surfaces: the GOTCHA.md, LEARNING.md and LEARNED.md of a project, which become stubs that show Kaizen's commands."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import __version__, clock, denial
from .hashing import file_sha256
from .paths import Plane
from .store import files
from .store.lock import PlaneLock

# What a stub begins with, and how one is told from a text that people wrote.
MARK = "This file is a Kaizen command surface"

_STUB = """\
{mark}: it shows how to reach {what}, and holds none itself.

Each one is a record in the project's data plane, where it is searched, corrected, promoted and kept with its history. Run
these in the project's folder; `kaizen` stands for `python kaizen.py` where Kaizen is installed, and `--help` behind a code
shows all it takes.

```bash
{commands}
```

Text that stood here before is kept by M3 migration-apply under `AI/work/kaizen-v4-migration/backups/`, with a manifest.
"""


def _stub(what: str, *commands: tuple[str, str]) -> str:
    shown = "\n".join(f"# {purpose}\npython kaizen.py {command}" for purpose, command in commands)
    return _STUB.format(mark=MARK, what=what, commands=shown)


STUBS = {
    "GOTCHA.md": _stub(
        "GOTCHAs, the pitfalls met in the work",
        (
            "G1 gotcha-add: record a pitfall",
            'G1 --title "Stale cache" --summary "The cache outlives a deploy." --body "Clear it in the deploy script."',
        ),
        ("G2 gotcha-list: the newest", "G2 --limit 10"),
        ("G3 gotcha-query: find one before you meet it again", 'G3 --query "cache deploy"'),
        ("G4 gotcha-inspect: one in full", "G4 --id g_20260101000000_0123456789"),
        ("G5 gotcha-update: correct or close one", "G5 --id g_20260101000000_0123456789 --status resolved"),
        ("L2 promote-gotcha-learning: make it a LEARNING", "L2 --id g_20260101000000_0123456789"),
    ),
    "LEARNING.md": _stub(
        "LEARNING, the lessons that still have to prove themselves",
        (
            "L1 learning-add: record a lesson",
            'L1 --title "Warm the cache" --summary "A cold cache doubles the latency."',
        ),
        ("L2 promote-gotcha-learning: make a GOTCHA a lesson", "L2 --id g_20260101000000_0123456789"),
        ("L4 learning-list: the newest", "L4 --limit 10"),
        ("L5 learning-query: find one", 'L5 --query "cache"'),
        ("L6 learning-inspect: one in full", "L6 --id l_20260101000000_0123456789"),
        ("L3 promote-learning-learned: settle it as LEARNED", "L3 --id l_20260101000000_0123456789"),
    ),
    "LEARNED.md": _stub(
        "LEARNED, the lessons that are settled",
        ("L10 learned-context: what to know before work begins, with where it came from", "L10 --limit 10"),
        ("L3 promote-learning-learned: settle a LEARNING", "L3 --id l_20260101000000_0123456789"),
        ("L7 learned-list: the newest", "L7 --limit 10"),
        ("L8 learned-query: find one", 'L8 --query "cache"'),
        ("L9 learned-inspect: one in full", "L9 --id ld_20260101000000_0123456789"),
    ),
}

PRUNED = frozenset(".git .agents .claude node_modules .venv __pycache__ _src _corpus _tmp AI evals".split())

KEEP = "keep-stub"
REPLACE = "backup-and-replace-stub"
REMOVE = "backup-and-remove-old-sibling"
RELOCATE = "relocate-sibling-to-evals"
CREATE = "create-stub"
MEANING = {
    KEEP: "the stub is in its place",
    REPLACE: "the text in evals/ is backed up and replaced by the stub",
    REMOVE: "the file beside evals/ is backed up and removed, as the surface in evals/ takes its place",
    RELOCATE: "the file beside evals/ is backed up and removed, and the stub is put into evals/",
    CREATE: "there is none yet; the stub is put into evals/",
}


@dataclass(frozen=True, slots=True)
class File:
    """A surface's file as it is now. One behind a symlink that leads outside the root exists, but is not read."""

    path: Path
    exists: bool = False
    stub: bool = False
    sha256: str | None = None
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Surface:
    """One surface of a folder: its place in evals/ (target) and the older place beside evals/ (sibling)."""

    root: Path
    target: File
    sibling: File
    # The folder is a skill, or holds a surface: only then is a missing one unmigrated.
    in_use: bool

    def row(self) -> dict[str, Any]:
        """The surface as M1 shows it."""
        return {
            "root": str(self.root),
            "target_path": str(self.target.path),
            "target_exists": self.target.exists,
            "target_stub": self.target.stub,
            "target_sha256": self.target.sha256,
            "old_sibling_path": str(self.sibling.path),
            "old_sibling_exists": self.sibling.exists,
            "old_sibling_stub": self.sibling.stub,
            "old_sibling_sha256": self.sibling.sha256,
        }

    def actions(self) -> list[Action]:
        """What brings it into its place; keep-stub where nothing has to be done."""
        if self.sibling.exists and not self.target.exists:
            return [Action(RELOCATE, self, self.sibling)]
        found: list[Action] = []
        if not self.target.exists:
            found.append(Action(CREATE, self, self.target))
        elif not self.target.stub:
            found.append(Action(REPLACE, self, self.target))
        if self.sibling.exists:
            found.append(Action(REMOVE, self, self.sibling))
        return found or [Action(KEEP, self, self.target)]


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a migration, and the file it is about."""

    name: str
    surface: Surface
    file: File

    def row(self) -> dict[str, Any]:
        """The step as M2 shows it."""
        return {
            "path": str(self.file.path),
            "target_path": str(self.surface.target.path),
            "old_sibling_path": str(self.surface.sibling.path),
            "action": self.name,
            "sha256": self.file.sha256,
        }


@dataclass(frozen=True, slots=True)
class Saved:
    """An action with the copy of what it takes away: `backup` and `sha256` are None where there was nothing."""

    action: Action
    backup: Path | None
    sha256: str | None
    bytes: int


def home(plane: Plane) -> Path:
    """Where a plane keeps the backups and reports of migrations."""
    return plane.ai / "work" / "kaizen-v4-migration"


def roots(plane: Plane, named: Iterable[str] | None) -> list[Path]:
    """The named roots, each once (the project where none is named); DENIED_ROOT_NOT_ALLOWLISTED outside the project
    and KAIZEN_SKILLS_ROOT."""
    allowed = [plane.root, plane.base]
    skills = os.environ.get("KAIZEN_SKILLS_ROOT")
    if skills:
        allowed.append(_named(skills, plane.root))
    allowed = list(dict.fromkeys(allowed))
    found: list[Path] = []
    for text in named or (str(plane.root),):
        root = _named(text, plane.root)
        if not any(root.is_relative_to(folder) for folder in allowed):
            raise denial.RootNotAllowlisted(root=str(root), allowed_roots=[str(folder) for folder in allowed])
        found.append(root)
    return list(dict.fromkeys(found))


def scan(root: Path, warnings: list[str]) -> list[Surface]:
    """The surfaces of every folder under a root that has any, or is a skill, and of the root itself; nothing where
    there is no such root. Folders that cannot be read are named in `warnings`."""

    def skipped(fault: OSError) -> None:
        warnings.append(f"{fault.filename} cannot be read ({fault.strerror}); what is in it was not looked at.")

    found: list[Surface] = []
    for name, folders, _ in os.walk(root, onerror=skipped):
        folders[:] = sorted(set(folders) - PRUNED)
        folder = Path(name)
        try:
            found += _surfaces_of(folder, root)
        except OSError as fault:
            raise denial.FileNotFound(path=str(fault.filename or folder), reason=fault.strerror or str(fault)) from None
    return found


def _surfaces_of(folder: Path, root: Path) -> list[Surface]:
    pairs = [(_look(folder / "evals" / name, root), _look(folder / name, root)) for name in STUBS]
    in_use = (folder / "SKILL.md").exists() or any(target.stub or sibling.exists for target, sibling in pairs)
    if not in_use and folder != root:
        return []
    in_use = in_use or any(target.exists for target, _ in pairs)
    return [Surface(root, target, sibling, in_use) for target, sibling in pairs]


def _look(path: Path, root: Path) -> File:
    if not os.path.lexists(path):
        return File(path, outside=not _real(path.parent).is_relative_to(root))
    if not _real(path).is_relative_to(root):
        return File(path, exists=True, outside=True)
    if not path.is_file():
        return File(path)
    return File(path, exists=True, stub=is_stub(path), sha256=file_sha256(path)[0])


def is_stub(path: Path) -> bool:
    """Whether a file begins as a stub does."""
    with path.open("rb") as file:
        beginning = file.read(1000)
    return beginning.decode("utf-8-sig", errors="replace").lstrip().startswith(MARK)


def _named(text: str, base: Path) -> Path:
    """The folder that a user names; a ~ of nobody stays what it is, where Path.expanduser() raises."""
    return _real(base / os.path.expanduser(text))  # noqa: PTH111


def _real(path: Path) -> Path:
    """A path without symlinks; unlike Path.resolve() it takes a loop of them."""
    return Path(os.path.realpath(path))


def actions(folders: Iterable[Path], warnings: list[str]) -> list[Action]:
    """What every surface under the roots needs, each once where roots overlap."""
    surfaces: dict[Path, Surface] = {}
    for root in folders:
        for surface in scan(root, warnings):
            surfaces.setdefault(surface.target.path, surface)
    return [action for surface in surfaces.values() for action in surface.actions()]


def plan(folders: Iterable[Path], warnings: list[str]) -> list[Action]:
    """The actions of a migration, or a refusal before anything is touched: for a symlink that leads outside its root,
    and for something else in the place of a file."""
    found = actions(folders, warnings)
    for action in found:
        surface = action.surface
        for file in (surface.target, surface.sibling):
            if file.outside:
                raise denial.PathOutsideRepo(
                    "Put a file in the place of the link, or name the folder that it leads to with --root.",
                    message="A symlink leads outside the root; nothing was changed.",
                    path=str(file.path),
                    root=str(surface.root),
                )
        folder, place = surface.target.path.parent, surface.target.path
        if os.path.lexists(folder) and not folder.is_dir():
            raise denial.FileUnwritable(path=str(folder), reason="not a folder")
        if place.exists() and not place.is_file():
            raise denial.FileUnwritable(path=str(place), reason="not a file")
    return found


def pending(found: Iterable[Action]) -> list[Action]:
    """The actions that change something."""
    return [action for action in found if action.name != KEEP]


def unmigrated(found: Iterable[Action]) -> list[Action]:
    """The actions that are owed: what is pending, but for the stubs of a root that never had a surface."""
    return [action for action in pending(found) if action.surface.in_use]


def migrate(plane: Plane, folders: Iterable[Path], warnings: list[str]) -> tuple[list[dict[str, Any]], Path]:
    """Put every surface into its place: (what was changed, the manifest of what was backed up).

    All backups and their manifest are on the disk before the first change. A run that ends in the middle leaves
    every file whole, old or new, and the next run does the rest. What changed after its backup is left alone.
    """
    with PlaneLock(home(plane) / "lock", "M3"):
        owed = pending(plan(folders, warnings))
        folder = files.reserve_folder(home(plane) / "backups", clock.stamp())
        saved = _back_up(owed, folder)
        manifest = _write_manifest(saved, folder)
        changed: list[dict[str, Any]] = []
        for step in saved:
            if _carry_out(step):
                changed.append({**step.action.row(), "sha256": step.sha256, "backup": str(step.backup) if step.backup else None})
            else:
                warnings.append(f"{step.action.file.path} was changed by somebody else meanwhile and left alone; run M3 again.")
        return changed, manifest


def _back_up(owed: Iterable[Action], folder: Path) -> list[Saved]:
    """Copy whatever the actions take away, and have it on the disk."""
    copies = folder / "files"
    saved: list[Saved] = []
    number = 0
    with _writing(copies):
        copies.mkdir()
        for action in owed:
            if not action.file.exists:
                saved.append(Saved(action, None, None, 0))
                continue
            number += 1
            copy = copies / f"{number:04d}-{action.file.path.name}"
            saved.append(Saved(action, copy, *_copy(action.file.path, copy)))
        for changed in (copies, folder, folder.parent):
            _sync(changed)
    return saved


def _copy(source: Path, copy: Path) -> tuple[str, int]:
    """(sha256, bytes) of a file as it was copied."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as old, copy.open("xb") as new:
        while block := old.read(1 << 20):
            digest.update(block)
            size += new.write(block)
        new.flush()
        os.fsync(new.fileno())
    return digest.hexdigest(), size


def _write_manifest(saved: Iterable[Saved], folder: Path) -> Path:
    """The list of what is about to change, each with its copy; with it everything can be put back by hand."""
    steps = []
    for step in saved:
        path = step.action.file.path
        steps.append(
            {
                **step.action.row(),
                "sha256": step.sha256,
                "bytes": step.bytes,
                "backup": step.backup.relative_to(folder).as_posix() if step.backup else None,
                "link": str(path.readlink()) if path.is_symlink() else None,
            }
        )
    manifest = folder / "manifest.json"
    content = {"created_at": clock.now(), "tool_version": __version__, "count": len(steps), "actions": steps}
    files.write_whole(manifest, json.dumps(content, indent=2) + "\n")
    with _writing(folder):
        _sync(folder)
    return manifest


def _carry_out(step: Saved) -> bool:
    """Do a step; False where the file is no longer the one that was backed up."""
    target, sibling = step.action.surface.target.path, step.action.surface.sibling.path
    with _writing(step.action.file.path):
        if step.action.name != REMOVE:
            now = _look(target, step.action.surface.root)
            if not now.stub:
                if now.outside or (now.exists and now.sha256 != step.sha256):
                    return False
                _put(target, STUBS[target.name])
        if step.action.name in (REMOVE, RELOCATE):
            if not sibling.is_symlink() and sibling.exists() and file_sha256(sibling)[0] != step.sha256:
                return False
            sibling.unlink(missing_ok=True)
            _sync(sibling.parent)
    return True


def _put(path: Path, text: str) -> None:
    """Put a file into its place in one step, on the disk when this returns. The temporary file always has the same
    name, so that what a killed run left is gone after the next."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.kaizen")
    temporary.unlink(missing_ok=True)
    with temporary.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync(path.parent)
    _sync(path.parent.parent)


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns a fault of the file system into the refusal that names the file."""
    try:
        yield
    except OSError as fault:
        raise denial.FileUnwritable(path=str(fault.filename or path), reason=fault.strerror or str(fault)) from fault


def write_report(plane: Plane, folders: Iterable[Path], found: Iterable[Action]) -> Path:
    """Write the pending actions as Markdown, and return where."""
    owed = pending(found)
    lines = ["# Migration report", "", f"Made {clock.now()} by M5. Actions that M3 would take: {len(owed)}.", "", "Roots:", ""]
    lines += [f"- {_shown(plane, root)}" for root in folders]
    for name, meaning in MEANING.items():
        own = [action for action in owed if action.name == name]
        if own:
            lines += ["", f"## {name} ({len(own)})", "", f"That is: {meaning}.", ""]
            lines += _items(plane, own)
    if not owed:
        lines += ["", "Every surface is a stub in its place."]
    path = files.reserve(home(plane) / "reports", f"migration-report-{clock.stamp()}", ".md")
    files.write_whole(path, "\n".join(lines) + "\n")
    return path


def _items(plane: Plane, own: Iterable[Action]) -> Iterator[str]:
    for action in own:
        where = f" -> {_shown(plane, action.surface.target.path)}" if action.name == RELOCATE else ""
        hashed = f" (sha256 {action.file.sha256})" if action.file.sha256 else ""
        yield f"- {_shown(plane, action.file.path)}{where}{hashed}"


def _shown(plane: Plane, path: Path) -> str:
    """A path as a code span on one line, whatever its name holds."""
    name = "".join(sign if sign.isprintable() and sign != "`" else "?" for sign in plane.relative(path))
    return f"`{name}`"
