"""Backup: a consistent copy of the plane in a folder of its own, and the way back from one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from .. import clock, denial
from ..call import Result
from ..hashing import file_sha256
from ..paths import Plane
from . import Store, files, schema
from .connection import APPLICATION_ID, ENGINES, JOURNALS, Connection, header
from .creation import make_folders, refuse_foreign, with_journal
from .head import write_head
from .status import head_of

MANIFEST = "backup-manifest.json"
DATABASE = "kaizen.db"


def backup(store: Store) -> Result:
    """Copy the plane into AI/db/backups/<stamp>/, one file and its manifest, taken in one moment under the lock."""
    plane = store.plane
    folder = files.reserve_folder(plane.backups, clock.stamp())
    try:
        store.copy(folder / DATABASE)
        files.sync(folder / DATABASE)
        content = _written_manifest(plane, folder, "backup")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Result(
        backup_dir=plane.relative(folder),
        files=content["files"],
        manifest=plane.relative(folder / MANIFEST),
        ledger=content["ledger"],
        schema_version=content["schema_version"],
    )


def _written_manifest(plane: Plane, folder: Path, reason: str) -> dict[str, Any]:
    """Describe the database in a folder, in a manifest beside it: hash, size, where its ledger ends."""
    path = folder / DATABASE
    found = header(path)
    sha256, size = file_sha256(path)
    content: dict[str, Any] = {
        "reason": reason,
        "created_at": clock.now(),
        "schema_version": found[1] if found else None,
        "ledger": None,
        "files": [{"path": plane.relative(path), "bytes": size, "sha256": sha256}],
    }
    try:
        connection = Connection.frozen(path)
        try:
            content["ledger"] = head_of(connection)
        finally:
            connection.close()
    except Exception as fault:
        # What a restore replaces may be damaged; it is kept all the same.
        content["unreadable"] = str(fault)
    files.write_whole(folder / MANIFEST, json.dumps(content, indent=2) + "\n")
    return content


def all_backups(plane: Plane) -> list[Path]:
    """The database files under AI/db/backups, oldest folder first."""
    return sorted(path for path in plane.backups.rglob("*.db") if path.is_file()) if plane.backups.is_dir() else []


# --- the way back ---------------------------------------------------------------------------------


def restore(store: Store, name: str) -> Result:
    """Put a backup in the place of the plane, once it is known to be whole; what it replaces is kept."""
    plane = store.plane
    source = _found(plane, name)
    make_folders(plane)
    staged = plane.folder / f"kaizen.db.new-{os.getpid()}"
    try:
        _stage(source, staged)
        head = _judged(source, staged)
        with store.locked():
            back = _erased_since(plane, staged)
            replaced = _set_aside(plane)
            os.replace(staged, plane.database)
            files.sync(plane.folder)
            write_head(plane, head["seq"], head["chain_hash"])
            for path in with_journal(plane.search):
                path.unlink(missing_ok=True)
    except OSError as fault:
        raise denial.FileUnwritable(path=str(plane.folder), reason=fault.strerror or str(fault)) from fault
    finally:
        for path in with_journal(staged):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    if replaced is not None:
        _written_manifest(plane, replaced, "replaced")
    result = Result(
        message=f"The plane is the one of {plane.relative(source)} again, up to ledger entry {head['seq']}.",
        restored_from=plane.relative(source),
        replaced=plane.relative(replaced) if replaced else None,
        ledger=head,
    )
    if back:
        result["erased_since"] = back
        result["warnings"] = ["The backup still holds records that were erased after it; see erased_since and K21 record-purge."]
    return result


def _found(plane: Plane, name: str) -> Path:
    """The database file that a folder or file name means, from the project or the current folder."""
    given = Path(name).expanduser()
    for base in (plane.base, plane.root, Path()):
        path = base / given
        path = path / DATABASE if path.is_dir() else path
        if path.is_file():
            return path.resolve()
    raise denial.FileNotFound("Pass the backup_dir that K3 named, or the database file in it.", path=name)


def _stage(source: Path, staged: Path) -> None:
    """Copy a backup beside the plane, its journals with it where it has any."""
    shutil.copyfile(source, staged)
    for suffix in JOURNALS:
        journal = source.with_name(source.name + suffix)
        if journal.exists():
            shutil.copyfile(journal, staged.with_name(staged.name + suffix))


def _judged(source: Path, staged: Path) -> dict[str, Any]:
    """Where the staged ledger ends; refusals for a file that is foreign, changed, of a newer schema, or broken."""
    found = header(staged)
    if found is None or found[0] != APPLICATION_ID:
        raise denial.PlaneForeign(
            "Pass a backup that K3 made.", message="The file is no data plane of Kaizen; nothing was restored.", path=str(source)
        )
    if found[1] > schema.SCHEMA_VERSION:
        raise denial.SchemaStatus(
            message="The backup was written by a newer Kaizen.", schema_version=found[1], expected=schema.SCHEMA_VERSION
        )
    _compare(source, staged)
    connection = Connection(staged, using=ENGINES["sqlite"])
    try:
        connection.checkpoint()
    finally:
        connection.close()

    from . import verify

    fault = verify.ledger_fault(staged)
    if fault is not None:
        raise denial.BackupMismatch(message=f"The backup's ledger is broken: {fault.message}", path=str(source), **fault.where)
    files.sync(staged)
    connection = Connection(staged, read_only=True)
    try:
        return head_of(connection)
    finally:
        connection.close()


def _compare(source: Path, staged: Path) -> None:
    """The file against the manifest beside it; without one, the ledger alone must speak for it."""
    path = source.with_name(MANIFEST)
    if not path.exists():
        return
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["files"]
        wanted = next(entry["sha256"] for entry in listed if Path(entry["path"]).name == source.name)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise denial.BackupMismatch(message="The backup's manifest cannot be read.", path=str(path)) from None
    actual, _ = file_sha256(staged)
    if actual != wanted:
        raise denial.BackupMismatch(path=str(source), expected=wanted, actual=actual)


def _set_aside(plane: Plane) -> Path | None:
    """Keep the plane that is about to be replaced, with its head, in a folder of its own. The caller holds the lock."""
    with contextlib.suppress(denial.PlaneDamaged):
        refuse_foreign(plane, header(plane.database))
    if not plane.database.exists():
        return None
    folder = files.reserve_folder(plane.backups, f"replaced-{clock.stamp()}")
    # One that is damaged keeps its journal, which goes along as it is.
    with contextlib.suppress(Exception):
        connection = Connection(plane.database, using=ENGINES["sqlite"])
        try:
            connection.checkpoint()
        finally:
            connection.close()
    try:
        os.link(plane.database, folder / DATABASE)
    except OSError:
        shutil.copyfile(plane.database, folder / DATABASE)
    if plane.head.exists():
        shutil.copyfile(plane.head, folder / plane.head.name)
    # No head is better than one that another ledger does not reach, should this end here.
    plane.head.unlink(missing_ok=True)
    for path in with_journal(plane.database)[1:]:
        if path.exists():
            os.replace(path, folder / path.name)
    return folder


def _erased_since(plane: Plane, staged: Path) -> list[str]:
    """Ids of records that were erased from the plane and are in the backup still."""
    try:
        now = Connection.frozen(plane.database)
    except (denial.Denial, OSError):
        return []
    then = Connection(staged, read_only=True)
    try:
        erased = {row[0] for row in now.execute("SELECT record_id FROM ledger WHERE action = 'purge'")}
        return [record_id for record_id in sorted(erased) if holds(then, record_id)]
    except Exception:
        return []
    finally:
        now.close()
        then.close()


def holds(connection: Connection, record_id: str) -> bool:
    """Whether a plane still holds something of a record's content."""
    sql = "SELECT 1 FROM ledger WHERE record_id = ? AND action <> 'purge' AND content IS NOT NULL LIMIT 1"
    return bool(connection.execute(sql, (record_id,)))
