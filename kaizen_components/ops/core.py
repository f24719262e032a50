"""Core: the data plane itself: check, back up, restore, rebuild, purge, examine."""

from typing import Annotated

from .. import denial
from ..fields import Range, RawText, Text
from ..op import Result, op
from ..record import Field, Input
from ..store import Store

EXAMPLE_ID = "t_20260101000000_0123456789"


class PlaneCheck(Input):
    """What to check of the plane besides its schema."""

    integrity: bool = Field(False, description="Also look up every reference between records")
    restamp_manifest: bool = Field(False, description="Instead: accept a known difference of the schema manifest")


class BackupSource(Input):
    """The backup to restore."""

    scanned = False
    path: RawText = Field(missing=denial.PathRequired, description="A folder under AI/db/backups, or the database file in one")


class Erasure(Input):
    """The record to erase, and why; the id stands twice, as this cannot be undone."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the record")
    reason: Text = Field(
        missing=denial.ReasonRequired, description="Why; it stays in the ledger, so it must not repeat what is erased"
    )
    confirm: RawText | None = Field(None, description="The id once more")


class Examination(Input):
    """How patient the examination is."""

    scanned = False
    timeout: Annotated[float, Range(0, 3600)] = Field(5.0, description="Seconds to wait for whoever holds the plane")


@op(
    "K1",
    "db-check",
    "check-init",
    manages_store=True,
    needs_plane=False,
    keywords="init setup create start integrity orphans restamp manifest",
    example="--integrity",
)
def db_check(asked: PlaneCheck, store: Store) -> Result:
    """Make the data plane where there is none, else check it.

    With --integrity, orphans (references to records that were never written) are a finding: exit code 1.
    """
    from ..store import links, status
    from ..store.connection import Connection

    if asked.integrity and asked.restamp_manifest:
        raise denial.FlagConflict(
            message="--integrity and --restamp-manifest are two things; do one after the other.", flag="--restamp-manifest"
        )
    if asked.restamp_manifest:
        return status.restamp(store)
    result = status.check(store)
    if not asked.integrity:
        return result
    with store.snapshot() as copy:
        connection = Connection(copy, read_only=True)
        try:
            found = links.integrity(connection)
        finally:
            connection.close()
    values = {**result, "integrity": found}
    del values["status"]
    if found["total_orphans"]:
        values["message"] = f"{found['total_orphans']} references lead to records that were never written."
    elif not found["ok"]:
        values["message"] = "Tables are missing; K12 rebuild makes them anew from the ledger."
    return Result(finding=not found["ok"], **values)


@op(
    "K2", "schema-status", manages_store=True, needs_plane=False, keywords="version manifest which plane engine where", example=""
)
def schema_status(store: Store) -> Result:
    """Say which plane is used and why, and whether its schema is the one of this Kaizen; makes nothing."""
    from ..store import status

    return status.report(store)


@op("K3", "db-backup", manages_store=True, keywords="save copy snapshot", example="")
def db_backup(store: Store) -> Result:
    """Back up the plane: one consistent file and its manifest, in a folder of their own."""
    from ..store import backup

    return backup.backup(store)


@op("K6", "db-manifest", manages_store=True, keywords="inventory counts hashes files", example="")
def db_manifest(store: Store) -> Result:
    """Write a manifest of the plane: schema, row counts, file hashes."""
    from ..store import status

    return status.manifest(store)


@op("K7", "purge-test", writes=True, manages_store=True, keywords="clean erase delete test rows", example="")
def purge_test(store: Store) -> Result:
    """Erase every record that was written with --test, and every report that mentions one."""
    from ..store import purge

    return purge.purge_test(store)


@op(
    "K10",
    "doctor",
    manages_store=True,
    needs_plane=False,
    keywords="diagnose health why broken locked disk rights",
    example="--timeout 5",
)
def doctor(asked: Examination, store: Store) -> Result:
    """Tell whether writes work now, by doing one, and why not; exit code 1 when a check fails."""
    from ..store.doctor import Doctor

    checks = Doctor(store.plane, store.call, asked.timeout).examine()
    failed = [entry["check"] for entry in checks if not entry["ok"]]
    writes = any(entry["check"] == "write" and entry["ok"] for entry in checks)
    said = "Writes work." if writes else "Writes do not work now."
    said += f" Failed: {', '.join(failed)}." if failed else ""
    return Result(finding=bool(failed), message=said, writes_work=writes, checks=checks)


@op(
    "K11",
    "db-restore",
    manages_store=True,
    needs_plane=False,
    keywords="recover backup bring back undo",
    example="--path AI/db/backups/20260101T000000Z",
)
def db_restore(source: BackupSource, store: Store) -> Result:
    """Restore a backup once it is known to be whole; the plane it replaces is kept under AI/db/backups."""
    from ..store import backup

    return backup.restore(store, source.path)


@op("K12", "rebuild", manages_store=True, keywords="repair tables projection damaged again", example="")
def rebuild(store: Store) -> Result:
    """Make the tables anew from the ledger; a broken ledger is a finding, and then nothing changes."""
    from ..store import rebuild as rebuilding

    return rebuilding.rebuild(store)


@op(
    "K21",
    "record-purge",
    writes=True,
    manages_store=True,
    keywords="erase delete forget privacy secret gdpr",
    example=f'--id {EXAMPLE_ID} --reason "Named a customer." --confirm {EXAMPLE_ID}',
)
def record_purge(erasure: Erasure, store: Store) -> Result:
    """Erase one record, with all its revisions, from every file of the plane; hashes, reason and time stay.

    This cannot be undone, so --confirm must repeat the id. The answer names the backups that still hold the record.
    """
    from ..store import purge

    if erasure.confirm != erasure.id:
        refusal = denial.ConfirmationRequired(id=erasure.id)
        # An example ready to run would be one that erases.
        refusal.example = "python kaizen.py K21 --help"
        raise refusal
    return purge.purge_record(store, erasure.id, erasure.reason)
