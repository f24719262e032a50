"""Creation: how a plane comes about, whole or not at all, and what is never taken for one."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from .. import clock, denial
from ..call import Call
from ..ops import _index
from ..paths import Plane
from . import files, schema
from .connection import APPLICATION_ID, Capabilities, Connection
from .head import read_head, write_head
from .lock import is_alive

MAKER = re.compile(r"[-.](\d+)(?=$|-)")


def with_journal(database: Path) -> tuple[Path, ...]:
    """A database file and what may lie beside it."""
    return database, *(database.with_name(database.name + suffix) for suffix in ("-wal", "-shm", "-journal"))


def abandoned(plane: Plane) -> list[Path]:
    """Copies and half-made files whose makers are gone: each has its maker's process id in its name."""
    found = [*plane.folder.glob("kaizen.db.new-*"), *plane.folder.glob("ledger.head.*"), *plane.temporary.glob("*.db*")]
    return [path for path in sorted(found) if path.is_file() and not _is_made_by_the_living(path)]


def _is_made_by_the_living(path: Path) -> bool:
    match = MAKER.search(path.name)
    return match is not None and is_alive(int(match[1]))


def scratch(plane: Plane) -> Path:
    """Where copies to compute on lie: in the plane, else where the system puts such things."""
    with contextlib.suppress(OSError):
        plane.temporary.mkdir(parents=True, exist_ok=True)
        if os.access(plane.temporary, os.W_OK):
            return plane.temporary
    import tempfile

    return Path(tempfile.gettempdir())


def refuse_lost_plane(plane: Plane) -> None:
    """A head without a database means that records are gone: an empty plane in their place would hide it."""
    head = read_head(plane)
    if head is not None:
        raise denial.PlaneDamaged(
            "Restore a backup with K11 db-restore; if the plane was removed on purpose, move AI/db/ledger.head away too.",
            message=f"AI/db/kaizen.db is missing, but ledger.head says that it held {head[0]} entries.",
            path=str(plane.database),
        )


def refuse_foreign(plane: Plane, found: tuple[int, int] | None) -> None:
    """A file of another program stays as it is; one of ours that lost its first page is damaged, not foreign."""
    log = plane.database.with_name("kaizen.db-log")
    if found is not None and found[0] == APPLICATION_ID:
        return
    if found is None and not (log.is_file() and log.stat().st_size):
        return
    start = b""
    with contextlib.suppress(OSError), plane.database.open("rb") as file:
        start = file.read(1 << 18)
    # Its schema stands in the first pages.
    if log.exists() or b"ledger_events" in start:
        message = "AI/db/kaizen.db is a data plane of agent-kaizen; it was left alone."
        raise denial.PlaneForeign(message=message, path=str(plane.database), found="agent-kaizen")
    if start and not start.startswith(b"SQLite format 3") and read_head(plane) is not None:
        raise denial.PlaneDamaged(path=str(plane.database), reason="its first page is no database header")
    raise denial.PlaneForeign(path=str(plane.database))


def make_folders(plane: Plane) -> None:
    """The folders of a plane, private by default."""
    try:
        for folder in (plane.exports, plane.manifests, plane.temporary, plane.ai / "generation"):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (plane.folder, plane.ai / "work", plane.ai / "generation"):
            ignore = folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("# Private by default: nothing in here belongs into git.\n*\n", encoding="utf-8")
    except OSError as fault:
        raise denial.FileUnwritable(path=str(plane.folder), reason=fault.strerror or str(fault)) from fault


def create(plane: Plane, call: Call) -> None:
    """Make a plane: built under another name and moved into place whole. The caller holds the lock."""
    make_folders(plane)
    building = plane.folder / f"kaizen.db.new-{os.getpid()}"
    for path in plane.folder.glob("kaizen.db.new-*"):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    build(building, plane, call, genesis=True)
    for path in with_journal(building)[1:]:
        path.unlink(missing_ok=True)
    os.replace(building, plane.database)
    files.sync(plane.folder)
    connection = Connection(plane.database)
    try:
        write_head(plane, *connection.execute("SELECT seq, chain_hash FROM ledger")[0])
    finally:
        connection.close()


def build(path: Path, plane: Plane, call: Call, *, genesis: bool, using: Capabilities | None = None) -> None:
    """An empty database with our schema at `path`; with `genesis`, the plane's own record as its first entry."""
    make_tables(path, using)
    connection = Connection(path, using=using)
    try:
        if genesis:
            from . import Store

            Store(plane).begin_ledger(connection, Call(op="K1", agent=call.agent, session=call.session), plane_record())
        connection.checkpoint()
    finally:
        connection.close()


def make_tables(path: Path, using: Capabilities | None = None) -> None:
    """The tables of our schema, empty, in a new file at `path`."""
    connection = Connection(path, using=using)
    try:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
        connection.write("BEGIN IMMEDIATE")
        connection.script(schema.snapshot())
        connection.write("COMMIT")
        connection.checkpoint()
    finally:
        connection.close()


def plane_record() -> schema.PlaneRecord:
    """The plane's own record, as this Kaizen writes it."""
    from .. import __version__

    return schema.PlaneRecord(
        status="active",
        writer_role="kaizen",
        schema_version=schema.SCHEMA_VERSION,
        migration_id=schema.MIGRATION_ID,
        tool_version=__version__,
        manifest_hash=_index.MANIFEST_HASH,
        oldest_writer=schema.OLDEST_WRITER,
        applied_at=clock.now(1),
    )
