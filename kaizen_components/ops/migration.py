"""Migration: older GOTCHA, LEARNING and LEARNED files, turned into stubs that show Kaizen's commands."""

from pathlib import Path
from typing import Any

from .. import surfaces
from ..fields import RepoPath
from ..op import Result, op
from ..record import Field, Input
from ..store import Store


class Roots(Input):
    """Where to look."""

    scanned = False
    root: list[RepoPath] | None = Field(
        None, description="Folder to look through, in the project or in KAIZEN_SKILLS_ROOT; default the project; repeatable"
    )


class Verified(Roots):
    """Where to look, and how to end."""

    strict: bool = Field(False, description="Exit 1 where a surface is unmigrated")


@op(
    "M1",
    "migration-scan",
    needs_plane=False,
    keywords="gotcha learning learned markdown files inventory find",
    example="--root .",
)
def migration_scan(where: Roots, store: Store) -> Result:
    """List the GOTCHA, LEARNING and LEARNED files under the roots; nothing is written."""
    listed = []
    for root in surfaces.roots(store.plane, where.root):
        rows = [surface.row() for surface in surfaces.scan(root, store.warnings)]
        listed.append({"root": str(root), "exists": root.is_dir(), "files": rows, "count": len(rows)})
    result = Result(roots=listed)
    result.view = lambda _: "\n".join(line for root in listed for line in _inventory(root, store))
    return result


@op("M2", "migration-dry-run", needs_plane=False, keywords="gotcha learning learned markdown preview plan", example="--root .")
def migration_dry_run(where: Roots, store: Store) -> Result:
    """Show what M3 would do; nothing is written."""
    actions = surfaces.plan(surfaces.roots(store.plane, where.root), store.warnings)
    return _viewed(Result(dry_run=True, actions=[action.row() for action in actions], count=len(actions)), "actions", store)


@op("M3", "migration-apply", needs_plane=False, keywords="gotcha learning learned markdown stub backup apply", example="--root .")
def migration_apply(where: Roots, store: Store) -> Result:
    """Back up the old files and put stubs into evals/; safe to repeat, also after a run that was killed."""
    changed, manifest = surfaces.migrate(store.plane, surfaces.roots(store.plane, where.root), store.warnings)
    return _viewed(
        Result(changed=changed, count=len(changed), manifest=str(manifest)),
        "changed",
        store,
        f"Manifest: {store.plane.relative(manifest)}",
    )


@op(
    "M4",
    "migration-verify",
    needs_plane=False,
    keywords="gotcha learning learned markdown check stub",
    example="--root . --strict",
)
def migration_verify(where: Verified, store: Store) -> Result:
    """Check that every surface is a stub in evals/; a project that never had one has nothing to migrate."""
    actions = surfaces.actions(surfaces.roots(store.plane, where.root), store.warnings)
    unmigrated = [action.row() for action in surfaces.unmigrated(actions)]
    exit_code = int(where.strict and bool(unmigrated))
    return _viewed(
        Result(finding=bool(unmigrated), exit_code=exit_code, unmigrated=unmigrated, count=len(unmigrated)), "unmigrated", store
    )


@op("M5", "migration-report", needs_plane=False, keywords="gotcha learning learned markdown pending list", example="--root .")
def migration_report(where: Roots, store: Store) -> Result:
    """Write what M3 would do as a Markdown file."""
    roots = surfaces.roots(store.plane, where.root)
    actions = surfaces.plan(roots, store.warnings)
    path = surfaces.write_report(store.plane, roots, actions)
    return Result(path=store.plane.relative(path), count=len(surfaces.pending(actions)))


def _viewed(result: Result, name: str, store: Store, *tail: str) -> Result:
    """The answer with a line an action for people: a table would cut the paths to pieces."""
    rows: list[dict[str, Any]] = result[name]
    said = [f"{result['status']}: migration-verify"] if result["status"] != "OK" else []
    said.append(f"{name.capitalize()} ({len(rows)})" if rows else f"{name.capitalize()}: none")
    said += [f"  {row['action']:<30}  {_short(row['path'], store)}" for row in rows]
    result.view = lambda _: "\n".join([*said, *tail])
    return result


def _inventory(root: dict[str, Any], store: Store) -> list[str]:
    """A root of M1 for people: a line a place that is there, or missing in evals/."""
    lines = [f"{root['root']}: {root['count']} surfaces" if root["exists"] else f"{root['root']}: no such folder"]
    for row in root["files"]:
        state = ("stub" if row["target_stub"] else "text") if row["target_exists"] else "missing"
        lines.append(f"  {state:<8}  {_short(row['target_path'], store)}")
        if row["old_sibling_exists"]:
            lines.append(
                f"  {'old stub' if row['old_sibling_stub'] else 'old text':<8}  {_short(row['old_sibling_path'], store)}"
            )
    return lines


def _short(path: str, store: Store) -> str:
    return store.plane.relative(Path(path))
