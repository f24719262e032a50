"""Purge: records erased, content and salt, from the ledger, the tables and every file that follows from them."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import denial
from ..call import Result
from ..ops import _index
from ..paths import Plane
from . import Row, Store, files, links, vectors
from .backup import all_backups, holds
from .connection import Connection
from .creation import abandoned, with_journal

# An engine that leaves erased bytes in the file must not do the erasing.
ENGINE = "sqlite"
PENDING = "purge.pending"
_ANY_ID = re.compile(rb"[a-z]{1,6}_\d{14}_[0-9a-f]{10}")
# Some fields name a blob by its hash alone: those called ..._blob, and the diffs among the files that a tool call changed.
_BLOB = re.compile(r'(?:_blob|\\"diff)\\?": ?\\?"([0-9a-f]{64})(?![0-9a-f])')


def purge_test(store: Store) -> Result:
    """Erase every record marked as test data."""
    erasing = Store(store.plane, using=ENGINE)

    def work() -> Result:
        found = [
            (kind, row["id"])
            for kind in sorted(_index.KINDS)
            if kind != "plane"
            for row in erasing.list(kind, {"is_test": 1}, order="created_seq", columns=("id",))
        ]
        purged = Counter(entry["kind"] for entry in _erase(erasing, found, "Test data."))
        total = purged.total()
        counts = {entry.table: purged[kind] for kind, entry in sorted(_index.KINDS.items()) if kind != "plane"}
        said = f"{total} records were erased." if total else "There is no test data."
        return Result(message=said, purged=counts, total=total)

    return _performed(store, erasing, work)


def purge_record(store: Store, record_id: str, reason: str) -> Result:
    """Erase one record, all its revisions with it."""
    erasing = Store(store.plane, using=ENGINE)

    def work() -> Result:
        kind = erasing.kind_of(record_id)
        if kind == "plane":
            raise denial.KindInvalid("Only records that were added can be erased.", message="The plane's own record stays.")
        last = next(iter(reversed(erasing.history(record_id))), None)
        if last is not None and last["action"] == "purge":
            receipt = {"seq": last["seq"], "chain_hash": last["chain_hash"]}
            return _told(last, message="The record was erased before.", already=True, **receipt)
        erasing.get(kind, record_id)
        referring = links.referring(erasing.opened(), record_id)
        referred = _referred(erasing, record_id)
        entries = _erase(erasing, [(kind, record_id)], reason)
        purged = dict(Counter(_index.KINDS[entry["kind"]].table for entry in entries))
        told = {"purged": purged, "referenced_by": referring, "refers_to": referred}
        return _told(entries[0], message="The record was erased.", **told)

    return _performed(store, erasing, work)


def _told(entry: Row, **more: Any) -> Result:
    return Result(id=entry["record_id"], revision_id=entry["entry_id"], content_hash=entry["content_hash"], **more)


def _performed(store: Store, erasing: Store, work: Callable[[], Result]) -> Result:
    """Run the work in one transaction; then, still under the lock, leave nothing of it in any file."""

    def sweep(connection: Connection, result: Result) -> None:
        pending = _pending(store.plane)
        if pending is None:
            return
        try:
            result |= _sweep(store.plane, connection, pending)
        except (denial.Denial, OSError) as fault:
            reason = fault.detail.get("reason") if isinstance(fault, denial.Denial) else fault.strerror
            raise denial.PurgeUnfinished(reason=str(reason or fault), path=str(store.plane.folder)) from fault

    return erasing.perform(store.call, work, afterwards=sweep)


def _erase(erasing: Store, found: Sequence[tuple[str, str]], reason: str) -> list[Row]:
    """Erase records and the reports that mention them: the entries that say so."""
    if not found:
        return []
    plane = erasing.plane
    ids = {record_id for _, record_id in found}
    reports = [] if "report" not in _index.KINDS else _reports(erasing, _mentioning(plane, ids))
    everything = dict.fromkeys([*found, *(("report", record_id) for record_id in reports)])
    blobs = [blob for _, record_id in everything for blob in _blobs(erasing, record_id)]
    for kind, record_id in everything:
        if kind == "agent_execution":
            _forget_line(erasing, record_id)
    entries = [erasing.purge(kind, record_id, reason) for kind, record_id in everything]
    _note(plane, [record_id for _, record_id in everything], blobs)
    return entries


def _forget_line(erasing: Store, record_id: str) -> None:
    """Have the line of an execution taken out of the file beside the plane, which outsiders read."""
    from ..metrics import projection

    row = erasing.get("agent_execution", record_id)
    erasing.later(projection.forget, (row["agent"], row["fingerprint"]))


def _mentioning(plane: Plane, ids: Iterable[str]) -> list[Path]:
    """The exported files that mention one of some records."""
    wanted = {record_id.encode() for record_id in ids}
    found = (path for path in plane.exports.rglob("*") if path.is_file())
    return [path for path in sorted(found) if not wanted.isdisjoint(_ANY_ID.findall(path.read_bytes()))]


def _reports(erasing: Store, paths: Sequence[Path]) -> list[str]:
    """Ids of the reports whose files these are."""
    names = [erasing.plane.relative(path) for path in paths]
    return [row["id"] for name in names for row in erasing.list("report", {"path": name}, columns=("id",))]


def _blobs(erasing: Store, record_id: str) -> list[str]:
    """Names of the blobs that a record's contents refer to, by path or by hash, and of the file that a report was written to."""
    blobs = erasing.plane.blobs
    folders = tuple(f"{erasing.plane.relative(folder)}/" for folder in (blobs, erasing.plane.reports))
    found: dict[str, None] = {}
    for entry in erasing.history(record_id):
        record = (json.loads(entry["content"]).get("record") or {}) if entry["content"] else {}
        for value in record.values():
            if isinstance(value, str) and value.startswith(folders):
                found[value] = None
        hashes = _BLOB.findall(entry["content"] or "")
        found |= {erasing.plane.relative(blobs / name): None for name in hashes if (blobs / name).is_file()}
    return list(found)


def _referred(erasing: Store, record_id: str) -> list[str]:
    """Ids that a record's contents name, such as the artifacts of a proof: records of their own, which stay."""
    found = {
        match.decode() for entry in erasing.history(record_id) for match in _ANY_ID.findall((entry["content"] or "").encode())
    }
    return sorted(other for other in found - {record_id} if other.partition("_")[0] in _index.PREFIXES)


# --- what is pending ------------------------------------------------------------------------------


def _note(plane: Plane, ids: list[str], blobs: list[str]) -> None:
    """Write down what is about to be erased, before it is: who ends in between is finished by the next purge."""
    before = _pending(plane) or {"ids": [], "blobs": []}
    content = {"ids": [*before["ids"], *ids], "blobs": [*before["blobs"], *blobs]}
    files.write_whole(plane.folder / PENDING, json.dumps(content) + "\n")


def _pending(plane: Plane) -> dict[str, list[str]] | None:
    """What a purge has noted and not finished; None where nothing is."""
    try:
        found = json.loads((plane.folder / PENDING).read_text(encoding="utf-8"))
        return {"ids": list(found["ids"]), "blobs": list(found["blobs"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {"ids": [], "blobs": []}


def _sweep(plane: Plane, connection: Connection, pending: dict[str, list[str]]) -> dict[str, Any]:
    """Leave nothing of what was erased: free pages, journal, search index, vectors, exports, blobs, copies under way."""
    connection.execute("PRAGMA secure_delete=ON")
    connection.write("VACUUM")
    connection.checkpoint()
    erased = [record_id for record_id in pending["ids"] if not holds(connection, record_id)]
    deleted = list(dict.fromkeys([*_mentioning(plane, erased), *_unused_blobs(plane, connection, pending["blobs"])]))
    for path in [*deleted, *abandoned(plane), *with_journal(plane.search)]:
        path.unlink(missing_ok=True)
    vectors.erase(plane.vectors, erased)
    (plane.folder / PENDING).unlink(missing_ok=True)
    answer: dict[str, Any] = {
        "files_deleted": [plane.relative(path) for path in deleted],
        "backups": [plane.relative(path.parent) for path in all_backups(plane) if _still_holds(path, erased)],
    }
    if answer["backups"]:
        answer["note"] = "The backups named here still hold what was erased; a person decides what becomes of them."
    return answer


def _unused_blobs(plane: Plane, connection: Connection, blobs: Iterable[str]) -> list[Path]:
    """The blobs that no remaining record refers to."""
    unused = []
    for name in dict.fromkeys(blobs):
        path = plane.base / name
        if not _is_referred(connection, name, path.name):
            folders = (plane.blobs.resolve(), plane.reports.resolve())
            if _is_spelled(plane, path, name) and any(path.resolve().is_relative_to(folder) for folder in folders):
                unused.append(path)
    return unused


def _is_referred(connection: Connection, name: str, digest: str) -> bool:
    """Whether an entry names a file, by its path or, of a blob, by its hash; a hash may also stand for a content that is kept nowhere."""
    holding = connection.execute("SELECT content FROM ledger WHERE instr(content, ?)", (digest,))
    return any(name in content or digest in _BLOB.findall(content) for (content,) in holding)


def _is_spelled(plane: Plane, path: Path, name: str) -> bool:
    """Whether a file's name is just this. Any text may name a file; one that names it in another way than the record
    that owns it would have it deleted under its owner."""
    return ".." not in path.parts and path.is_file() and name in {plane.relative(other) for other in path.parent.iterdir()}


def _still_holds(path: Path, ids: Iterable[str]) -> bool:
    """Whether a backup holds one of some records; one that cannot be read may."""
    try:
        connection = Connection.frozen(path)
    except (denial.Denial, OSError):
        return True
    try:
        return any(holds(connection, record_id) for record_id in ids)
    except Exception:
        return True
    finally:
        with contextlib.suppress(Exception):
            connection.close()
