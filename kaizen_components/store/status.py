"""Status: what a plane says of itself: schema, manifest, row counts, file hashes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import clock, denial
from ..call import Result
from ..hashing import file_sha256
from ..ops import _index
from ..paths import Plane
from . import Store, files, ledger, schema
from .connection import Connection, engine, header
from .creation import make_folders, refuse_foreign

_STATED = ("schema_version", "migration_id", "applied_at", "tool_version", "manifest_hash")


def expected(plane: Plane) -> dict[str, Any]:
    """The schema status of a plane that is not there."""
    return {
        "db_path": str(plane.database),
        "exists": False,
        "expected_schema_version": schema.SCHEMA_VERSION,
        "expected_migration_id": schema.MIGRATION_ID,
        "schema_ok": False,
    }


def schema_status(plane: Plane, connection: Connection) -> dict[str, Any]:
    """What the plane says of its schema, and whether it is the one of this Kaizen."""
    row: dict[str, Any] = dict.fromkeys(_STATED)
    if connection.columns("schema_version"):
        found = connection.rows(f"SELECT {', '.join(_STATED)} FROM schema_version LIMIT 1")
        row |= found[0] if found else {}
    stated = (row["schema_version"], row["migration_id"])
    version = connection.execute("PRAGMA user_version")[0][0]
    ok = stated == (schema.SCHEMA_VERSION, schema.MIGRATION_ID) and version == schema.SCHEMA_VERSION
    return {
        **expected(plane),
        "exists": True,
        **row,
        "expected_manifest_hash": _index.MANIFEST_HASH,
        "manifest_match": row["manifest_hash"] == _index.MANIFEST_HASH,
        "schema_ok": ok,
    }


def which(plane: Plane) -> dict[str, Any]:
    """Which plane is used and why."""
    return {"root": str(plane.root), "base": str(plane.base), "reason": plane.reason}


def report(store: Store) -> Result:
    """Schema, plane and engine; makes nothing, also where there is no plane."""
    plane = store.plane
    if header(plane.database) is None:
        refuse_foreign(plane, None)
        return Result(schema=expected(plane), plane=which(plane), engine=engine().name)

    def read() -> Result:
        found = schema_status(plane, store.opened())
        seq, chain_hash = store.head()
        return Result(schema=found, plane=which(plane), engine=engine().name, ledger={"seq": seq, "chain_hash": chain_hash})

    return store.perform(store.call, read)


def check(store: Store) -> Result:
    """Make the plane where there is none; its schema status."""
    made = header(store.plane.database) is None
    result = store.perform(store.call, lambda: Result(message="", schema=schema_status(store.plane, store.opened())))
    found = result["schema"]
    if made:
        result["message"] = f"A data plane was made at {store.plane.database}."
        return result
    try:
        make_folders(store.plane)
    except denial.FileUnwritable as fault:
        result.setdefault("warnings", []).append(f"{fault.message} {fault.detail.get('path')}")
    if not found["schema_ok"]:
        result["message"] = "The data plane has another schema version than this Kaizen; see K2 schema-status."
    elif not found["manifest_match"]:
        result["message"] = "The data plane's schema manifest is not the one of this Kaizen; K1 --restamp-manifest accepts it."
    else:
        result["message"] = "The data plane is there and its schema is the one of this Kaizen."
    return result


def restamp(store: Store) -> Result:
    """Write this Kaizen's manifest hash into the plane's own record, where the tables really are those of this Kaizen."""
    plane = store.plane
    if header(plane.database) is None:
        refuse_foreign(plane, None)
        raise denial.RestampRefused(message="There is no data plane here.", schema=expected(plane))

    from . import verify

    with store.snapshot() as copy:
        connection = Connection(copy, read_only=True)
        try:
            before = schema_status(plane, connection)
        finally:
            connection.close()
        difference = verify.schema_difference(copy)
    if not before["schema_ok"]:
        raise denial.RestampRefused(message="The plane has another schema version than this Kaizen.", schema=before)
    if before["manifest_match"]:
        return Result(restamped=False, manifest_hash=_index.MANIFEST_HASH, note="The manifest is already the one of this Kaizen.")
    if difference is not None:
        raise denial.RestampRefused(
            "Run K12 rebuild, which makes the tables anew from the ledger, then K1 --restamp-manifest again.",
            message="The plane's tables are not those of this Kaizen.",
            reason=difference,
        )

    def stamp() -> Result:
        record = store.list("plane", limit=1)[0]
        store.revise("plane", record["id"], {"manifest_hash": _index.MANIFEST_HASH})
        return Result(restamped=True, manifest_hash=_index.MANIFEST_HASH, old_manifest_hash=record["manifest_hash"])

    return store.perform(store.call, stamp)


# --- the manifest ---------------------------------------------------------------------------------


def manifest(store: Store) -> Result:
    """Write a JSON manifest of schema, row counts and file hashes into AI/db/manifests."""
    plane = store.plane
    with store.snapshot() as copy:
        connection = Connection(copy, read_only=True)
        try:
            content = {
                "created_at": clock.now(),
                "schema": schema_status(plane, connection),
                "ledger": head_of(connection),
                "tables": _counts(connection),
            }
        finally:
            connection.close()
        sha256, size = file_sha256(copy)
    listed = [{"path": plane.relative(plane.database), "bytes": size, "sha256": sha256}]
    content["files"] = listed + [described(plane, path) for path in kept_files(plane)]
    path = files.reserve(plane.manifests, f"kaizen-db-manifest-{clock.stamp()}", ".json")
    files.write_whole(path, json.dumps(content, indent=2) + "\n")
    return Result(manifest_path=plane.relative(path), manifest=content)


def head_of(connection: Connection) -> dict[str, Any]:
    """Where the ledger ends."""
    last = connection.execute("SELECT seq, chain_hash FROM ledger ORDER BY seq DESC LIMIT 1")
    seq, chain_hash = last[0] if last else (0, ledger.START)
    return {"seq": seq, "chain_hash": chain_hash}


def _counts(connection: Connection) -> dict[str, int | None]:
    """Rows of each table; None for one that is missing."""
    tables = ["ledger", "counters", *sorted(entry.table for entry in _index.KINDS.values())]
    return {
        name: connection.execute(f"SELECT COUNT(*) FROM {name}")[0][0] if connection.columns(name) else None for name in tables
    }


def kept_files(plane: Plane) -> list[Path]:
    """The files beside the database that cannot be made anew from it."""
    found = [plane.head] if plane.head.is_file() else []
    for folder in (plane.exports, plane.blobs):
        found += sorted(path for path in folder.rglob("*") if path.is_file())
    return found


def described(plane: Plane, path: Path) -> dict[str, Any]:
    """A file as manifests name it: path, bytes, sha256."""
    sha256, size = file_sha256(path)
    return {"path": plane.relative(path), "bytes": size, "sha256": sha256}
