"""Verify: everything that docs/LEDGER.md says of a plane, recomputed from a copy of its file; the first fault is named."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial, hashing
from ..fields import ID, shorten
from ..ops import _index
from ..paths import Plane
from . import Store, ledger, schema
from .connection import APPLICATION_ID, JOURNALS, header
from .creation import refuse_foreign, refuse_lost_plane, scratch

if TYPE_CHECKING:
    import sqlite3

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
HASH = re.compile(r"[0-9a-f]{64}")
SALT = re.compile(r"[0-9a-f]{32}")
COUNTER = re.compile(r"[a-z_]+\.[a-z_]+(:\d{4}-\d\d-\d\d)?")
# The files that make up a database at rest: what a killed writer left in a journal belongs to it.
SUFFIXES = ("", *JOURNALS)
_CONTENT_KEYS = {"record", "salt", "reply", "reason"}
_NULLABLE = {"task_id", "agent", "session", "idempotency_key", "request_hash", "content"}
_SCALARS = frozenset({str, int, float, type(None)})
_TYPES = {"str": "text", "int": "integer", "float": "real", "bytes": "blob", "NoneType": "null"}


class Fault(Exception):
    """What is wrong, in a word (`fault`) and a sentence, and where: never what the record says."""

    def __init__(self, fault: str, message: str, **where: Any) -> None:
        super().__init__(message)
        self.message = message
        self.where = {"fault": fault, **where}


# --- the copy -------------------------------------------------------------------------------------


def refuse_no_plane(plane: Plane) -> None:
    """Verifying makes no plane: a missing one is refused, one whose records are gone as damaged, a foreign one as that."""
    found = header(plane.database)
    refuse_foreign(plane, found)
    if found is None:
        refuse_lost_plane(plane)
        message = "There is no data plane here, so there is nothing to verify."
        raise denial.PlaneNotFound(message=message, path=str(plane.database))


@contextlib.contextmanager
def copied(store: Store) -> Iterator[tuple[Path, str | None]]:
    """(copy of the plane's file, text of ledger.head), taken together under the lock; the lock is free again inside.

    The bytes are copied as they lie, journals and all: an engine that was to open them first would stumble over just
    the damage that is looked for, or repair it.
    """
    plane = store.plane
    refuse_no_plane(plane)
    target = scratch(plane) / f"verify-{os.getpid()}-{os.urandom(4).hex()}.db"
    try:
        try:
            with store.locked():
                head = _copy(plane, target)
        except denial.FileUnwritable:
            # A plane on a read-only medium can be verified as well.
            with store.locked_for_reading():
                head = _copy(plane, target)
        yield target, head
    finally:
        for path in target.parent.glob(target.name + "*"):
            path.unlink(missing_ok=True)


def _copy(plane: Plane, target: Path) -> str | None:
    """Copy the database and its journals; the text of ledger.head, None where there is none."""
    try:
        for suffix in SUFFIXES:
            source = plane.database.with_name(plane.database.name + suffix)
            if source.exists():
                shutil.copyfile(source, target.with_name(target.name + suffix))
        return plane.head.read_bytes().decode("utf-8", "replace") if plane.head.is_file() else None
    except OSError as fault:
        raise denial.FileUnwritable(path=str(target), reason=fault.strerror or str(fault)) from fault


def ledger_fault(path: Path, head: str | None = None) -> Fault | None:
    """The first fault of the ledger alone, in a database file that nobody else uses; `head` is as in Verifier.run()."""
    return _first_fault(path, lambda connection: Verifier(path).check_ledger(connection, head))


def schema_difference(path: Path) -> str | None:
    """How the tables of a database file that nobody else uses differ from Kaizen's."""
    fault = _first_fault(path, _check_schema)
    return fault.message if fault else None


def _first_fault(path: Path, check: Callable[[sqlite3.Connection], None]) -> Fault | None:
    import sqlite3

    try:
        with contextlib.closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
            check(connection)
    except Fault as fault:
        return fault
    except (sqlite3.Error, UnicodeError) as fault:
        return Fault("file", f"The database file is damaged: {type(fault).__name__}.")
    return None


# --- the verification -----------------------------------------------------------------------------


class Verifier:
    """One verification of a database file that nobody else uses. The counts say how far it came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._clear()

    def _clear(self) -> None:
        self.entries = self.erased = self.records = self.counters = self.files = 0
        self.seq, self.chain_hash = 0, ledger.START
        self.warnings.clear()
        # id -> (kind, seq of the first entry, seq of the newest) of every record that was not purged; then by kind.
        self._records: dict[str, tuple[str, int, int]] = {}
        self._awaited: dict[str, dict[str, tuple[int, int]]] = {}
        self._tasks: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()
        self._unknown: dict[str, None] = {}
        self._manifest: str | None = None

    def run(self, head: str | None = None, receipts: Sequence[tuple[int, str]] = ()) -> None:
        """Check all of it; the first Fault is raised. `head` is the text of ledger.head, None where there is none."""
        import sqlite3

        wanted = _receipts(head, receipts)
        try:
            try:
                self._run(str, wanted)
            except sqlite3.OperationalError as fault:
                # The engine quotes the text that is no UTF-8; reading bytes as they are finds the place without.
                if "decode" not in str(fault).lower():
                    raise
                self._clear()
                self._run(_tolerant, wanted)
        except sqlite3.Error as fault:
            name = getattr(fault, "sqlite_errorname", None) or type(fault).__name__
            raise Fault("file", f"The database file is damaged: SQLite stops with {name}.", reason=name) from None
        except UnicodeError:
            raise Fault("file", "The database file is damaged: its schema holds text that is no UTF-8.") from None
        if head is None:
            self.warnings.append("There is no ledger.head: only --expect can show whether the ledger's tail was cut.")

    def check_ledger(self, connection: sqlite3.Connection, head: str | None) -> None:
        """Check the ledger alone; the first Fault is raised."""
        connection.execute("PRAGMA query_only = 1")
        wanted = _receipts(head, ())
        self._check_ledger(connection, wanted)
        self._check_receipts(wanted)

    def _run(self, text: Callable[[bytes], str] | type[str], wanted: list[tuple[str, int, str]]) -> None:
        import sqlite3

        with contextlib.closing(sqlite3.connect(str(self.path), isolation_level=None)) as connection:
            connection.text_factory = text
            connection.execute("PRAGMA query_only = 1")
            connection.execute("PRAGMA trusted_schema = 0")
            self._check_application(connection)
            _check_fixed_tables(connection)
            self._check_ledger(connection, wanted)
            self._check_receipts(wanted)
            self._check_version(connection)
            for kind in sorted(_index.KINDS, key=lambda kind: _index.KINDS[kind].table):
                self._check_table(connection, kind)
            self._check_unknown()
            self._check_counters(connection)
            if self._manifest == _index.MANIFEST_HASH:
                _check_schema(connection)
            else:
                self.warnings.append(
                    "The plane's schema is not the one of this Kaizen (see K2): tables were compared with the ledger, "
                    "their definitions with nothing."
                )
            _check_pages(connection)

    # --- the ledger -------------------------------------------------------------------------------

    def _check_application(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        if found != APPLICATION_ID:
            raise Fault("application_id", "The file's application id is not Kaizen's.", expected=APPLICATION_ID, actual=found)

    def _check_ledger(self, connection: sqlite3.Connection, wanted: list[tuple[str, int, str]]) -> None:
        """The chain from its start: every entry's place, types, content, leaf and chain hash."""
        ids: set[str] = set()
        # id -> seq of the first entry without content, of the first with one: erasing takes all or nothing.
        without: dict[str, int] = {}
        with_content: dict[str, int] = {}
        purged: dict[str, int] = {}
        receipts = {seq: [] for _, seq, _ in wanted}
        for source, seq, chain in wanted:
            receipts[seq].append((source, chain))
        names = ", ".join(f'"{name}"' for name in ledger.COLUMNS)
        sound: set[tuple[type, ...]] = set()
        for values in connection.execute(f"SELECT {names} FROM ledger NOT INDEXED ORDER BY seq"):
            entry: dict[str, Any] = dict(zip(ledger.COLUMNS, values, strict=True))
            types = tuple(map(type, values))
            if types not in sound:
                _check_types(entry)
                sound.add(types)
            self._check_entry(entry)
            if entry["entry_id"] in ids:
                raise _bad(entry, "entry_id", "Two entries have this id.")
            ids.add(entry["entry_id"])
            for source, chain in receipts.get(entry["seq"], ()):
                if chain != entry["chain_hash"]:
                    raise _differs(source, entry["seq"], chain, entry["chain_hash"])
            record_id = entry["record_id"]
            if entry["action"] != "purge":
                (with_content if entry["content"] is not None else without).setdefault(record_id, entry["seq"])
            elif entry["content"] is None:
                raise _bad(entry, "content_missing", "The content of a purge is gone.")
            self.erased += entry["content"] is None
            self._note(entry, purged)
        if not self.entries:
            raise Fault("ledger_empty", "The ledger has no entries, not even the plane's own.")
        self._check_erased(connection, without, with_content, purged)

    def _check_entry(self, entry: Mapping[str, Any]) -> None:
        seq = entry["seq"]
        if seq != self.seq + 1:
            actual = seq if type(seq) is int else None
            raise Fault("seq", f"Ledger entry {self.seq + 1} is missing.", seq=self.seq + 1, actual=actual)
        try:
            content = self._content(entry)
            leaf = ledger.leaf_hash(entry)
        except UnicodeEncodeError:
            raise _bad(entry, "type", "A column holds no UTF-8 text.") from None
        if leaf != entry["leaf_hash"]:
            sealed = _hash(entry["leaf_hash"])
            raise _bad(entry, "leaf_hash", "The entry is not the one that was sealed.", expected=sealed, actual=leaf)
        chain = ledger.chain_hash(self.chain_hash, leaf)
        if chain != entry["chain_hash"]:
            raise _bad(entry, "chain_hash", "The chain is broken here.", expected=_hash(entry["chain_hash"]), actual=chain)
        if not TIME.fullmatch(entry["time"]):
            raise _bad(entry, "time", "time is no UTC time with microseconds.", column="time")
        if content is not None:
            _check_content(entry, content)
        self.seq, self.chain_hash = seq, chain
        self.entries += 1
        self._counted[f"ledger.entries:{entry['time'][:10]}"] += 1

    def _content(self, entry: Mapping[str, Any]) -> Any:
        """The entry's content, parsed; its hash and its canonical form are checked."""
        text = entry["content"]
        if text is None:
            return None
        actual = hashing.sha256(text)
        if actual != entry["content_hash"]:
            message = "The content is not the one that was sealed."
            raise _bad(entry, "content_hash", message, expected=_hash(entry["content_hash"]), actual=actual)
        # Numbers as large as the second way minds are rare, and it is slow.
        for parse_int in (None, _number):
            try:
                content = json.loads(text, parse_int=parse_int)
                if hashing.canonical(content) == text:
                    return content
            except (ValueError, RecursionError):
                continue
        raise _bad(entry, "content", "The content is no canonical JSON.")

    def _note(self, entry: Mapping[str, Any], purged: dict[str, int]) -> None:
        """Remember what the tables must hold because of this entry."""
        record_id, kind = entry["record_id"], entry["kind"]
        if record_id in purged:
            raise _bad(entry, "purged", "An entry follows the purge of its record.")
        if entry["task_id"] is not None:
            self._tasks[entry["task_id"]] += 1
        if kind not in _index.KINDS:
            self._unknown[kind] = None
        before = self._records.get(record_id)
        if entry["action"] == "purge":
            purged[record_id] = entry["seq"]
            self._records.pop(record_id, None)
        elif before is None:
            self._records[record_id] = (kind, entry["seq"], entry["seq"])
        elif before[0] != kind:
            raise _bad(entry, "kind", "The record changes its kind.")
        else:
            self._records[record_id] = (kind, before[1], entry["seq"])
        if self.entries == 1 and kind != "plane":
            raise _bad(entry, "genesis", "The first entry is not the plane's own record.")

    def _check_erased(
        self,
        connection: sqlite3.Connection,
        without: Mapping[str, int],
        with_content: Mapping[str, int],
        purged: Mapping[str, int],
    ) -> None:
        """Content is gone exactly where a purge entry says so."""
        missing = [seq for record_id, seq in without.items() if record_id not in purged]
        left = [seq for record_id, seq in with_content.items() if record_id in purged]
        if not missing and not left:
            return
        first = min(missing + left)
        entry_id, record_id = connection.execute("SELECT entry_id, record_id FROM ledger WHERE seq = ?", (first,)).fetchone()
        where = {"seq": first, "entry_id": _id(entry_id), "record_id": _id(record_id)}
        if first in missing:
            raise Fault("content_missing", f"Ledger entry {first}: the content is gone, and no purge says so.", **where)
        message = f"Ledger entry {first}: the content is still there, although entry {purged[record_id]} purged the record."
        raise Fault("content_left", message, **where, purged_by=purged[record_id])

    def _check_receipts(self, wanted: list[tuple[str, int, str]]) -> None:
        for source, seq, chain in wanted:
            if seq > self.seq:
                message = f"The ledger ends at entry {self.seq}, but {source} is of entry {seq}: its tail was cut."
                raise Fault("tail_cut", message, source=source, seq=seq, last_seq=self.seq, expected=chain)
            if seq == 0 and chain != ledger.START:
                raise _differs(source, 0, chain, ledger.START)

    # --- the tables -------------------------------------------------------------------------------

    def _check_version(self, connection: sqlite3.Connection) -> None:
        """The file's schema version is the one that the plane's own record names."""
        for record_id, (kind, first, newest) in self._records.items():
            self._awaited.setdefault(kind, {})[record_id] = (first, newest)
        self._records.clear()
        planes = list(self._awaited.get("plane", {}).values())
        if len(planes) != 1:
            raise Fault("genesis", "The ledger does not hold exactly one record of the plane itself.", count=len(planes))
        record = json.loads(_content_at(connection, planes[0][1]))["record"]
        self._manifest = record.get("manifest_hash")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found != record.get("schema_version"):
            raise Fault(
                "user_version",
                "The file's schema version is not the plane's.",
                expected=record.get("schema_version"),
                actual=found,
            )

    def _check_table(self, connection: sqlite3.Connection, kind: str) -> None:
        """Every row of a kind's table, column by column, against the newest entry of its record."""
        table = _index.KINDS[kind].table
        awaited = self._awaited.pop(kind, {})
        columns = _columns(connection, table)
        if not columns:
            if awaited or _is_something(connection, table):
                raise Fault("schema", f"The table {table} is missing.", table=table)
            return
        if "id" not in columns:
            raise Fault("schema", f"The table {table} has no column id.", table=table, column="id")
        place = list(columns).index("id")
        for row in connection.execute(f'SELECT {_quoted(columns)} FROM "{table}" NOT INDEXED'):
            found = awaited.pop(row[place], None) if isinstance(row[place], str) else None
            if found is None:
                message = f"{table} holds a row of a record that the ledger does not know, or purged, or it holds it twice."
                raise Fault("row_extra", message, table=table, id=_id(row[place]))
            expected = self._expected(connection, kind, found)
            wanted = tuple(map(expected.get, columns))
            if row != wanted or [*map(type, row)] != [*map(type, wanted)] or not expected.keys() <= columns.keys():
                _compare(table, columns, dict(zip(columns, row, strict=True)), expected, connection)
            self._counted.update(schema.counted(kind, expected))
            self.records += 1
        if awaited:
            first = min(awaited, key=lambda record_id: awaited[record_id])
            message = f"{table} has no row of a record that ledger entry {awaited[first][1]} describes."
            raise Fault("row_missing", message, table=table, id=_id(first), seq=awaited[first][1])

    def _expected(self, connection: sqlite3.Connection, kind: str, found: tuple[int, int]) -> dict[str, Any]:
        """The row that follows from the newest entry of a record."""
        created_seq, seq = found
        sql = "SELECT content, entry_id, content_hash FROM ledger WHERE seq = ?"
        text, entry_id, content_hash = connection.execute(sql, (seq,)).fetchone()
        record = json.loads(text)["record"]
        try:
            return schema.project(
                kind,
                record,
                entry_id=entry_id,
                content_hash=content_hash,
                created_seq=created_seq,
                updated_seq=seq,
                entry_count=self._tasks[record["id"]],
            )
        except KeyError as fault:
            message = f"Ledger entry {seq}: the record has no {fault.args[0]}."
            raise Fault("content", message, seq=seq, entry_id=_id(entry_id), column=fault.args[0]) from None

    def _check_unknown(self) -> None:
        """Kinds that this Kaizen does not know can only come from a newer one."""
        if not self._unknown:
            return
        kinds = ", ".join(sorted(shorten(kind, 40) for kind in self._unknown))
        if self._manifest == _index.MANIFEST_HASH:
            raise Fault("kind", f"The ledger holds records of kinds that do not exist: {kinds}.", kinds=kinds)
        self.warnings.append(f"Not compared with their tables, as this Kaizen does not know them: {kinds}.")

    def _check_counters(self, connection: sqlite3.Connection) -> None:
        """The counters say what the rows say."""
        expected = {name: value for name, value in self._counted.items() if value}
        for name, value in connection.execute("SELECT name, value FROM counters NOT INDEXED ORDER BY name"):
            self.counters += 1
            known = isinstance(name, str)
            if known and name.partition(".")[0] in self._unknown:
                continue
            wanted = expected.pop(name, None) if known else None
            if type(value) is not int or value != wanted:
                shown = name if known and COUNTER.fullmatch(name) else None
                actual = value if type(value) is int else None
                message = f"The counter {shown or '(with an unknown name)'} is not what the records say."
                raise Fault("counter", message, counter=shown, expected=wanted, actual=actual)
        if expected:
            name = min(expected)
            raise Fault("counter", f"The counter {name} is missing.", counter=name, expected=expected[name], actual=None)

    # --- the files --------------------------------------------------------------------------------

    def check_files(self, plane: Plane) -> None:
        """The files that the plane keeps for its records (reports, and artifacts under AI/db) are as they were."""
        import sqlite3

        with contextlib.closing(sqlite3.connect(str(self.path), isolation_level=None)) as connection:
            for kind in ("artifact", "report"):
                table = _index.KINDS[kind].table if kind in _index.KINDS else ""
                if not {"path", "sha256"} <= set(_columns(connection, table)):
                    continue
                sql = f'SELECT id, path, sha256 FROM "{table}" WHERE path IS NOT NULL AND sha256 IS NOT NULL ORDER BY created_seq'
                for record_id, path, sha256 in connection.execute(sql):
                    file = plane.base / path
                    if kind == "report" or file.is_relative_to(plane.folder):
                        self._check_file(file, table, record_id, path, sha256)

    def _check_file(self, file: Path, table: str, record_id: str, path: str, sha256: str) -> None:
        try:
            actual, _ = hashing.file_sha256(file)
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            raise Fault("file_missing", f"{path} cannot be read: {reason}.", table=table, id=record_id, path=path) from None
        if actual != sha256:
            message = f"{path} is not the file that was recorded."
            raise Fault("file_changed", message, table=table, id=record_id, path=path, expected=sha256, actual=actual)
        self.files += 1


# --- the pieces -----------------------------------------------------------------------------------


def _receipts(head: str | None, receipts: Sequence[tuple[int, str]]) -> list[tuple[str, int, str]]:
    """(where it is from, seq, chain hash) of everything that says how the ledger was."""
    wanted: list[tuple[str, int, str]] = []
    if head is not None:
        try:
            found = json.loads(head)
            seq, chain = found["seq"], found["chain_hash"]
        except (ValueError, KeyError, TypeError, RecursionError):
            seq, chain = None, None
        if type(seq) is not int or seq < 0 or not isinstance(chain, str) or not HASH.fullmatch(chain):
            raise Fault("head", "ledger.head cannot be read; it should hold seq and chain_hash as JSON.")
        wanted.append(("ledger.head", seq, chain))
    return wanted + [("--expect", seq, chain) for seq, chain in receipts]


def _tolerant(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _number(text: str) -> int | float:
    """A number as it was before it was written: from 2^53 on, only floats are."""
    return int(text) if len(text) < 16 or abs(int(text)) < 2**53 else float(text)


def _id(value: Any) -> str | None:
    """An id for a message; None for what has not its shape, as that may be anything."""
    return value if isinstance(value, str) and ID.match(value) else None


def _hash(value: Any) -> str | None:
    return value if isinstance(value, str) and HASH.fullmatch(value) else None


def _bad(entry: Mapping[str, Any], fault: str, message: str, **where: Any) -> Fault:
    """A fault of one entry."""
    named = {"seq": entry["seq"], "entry_id": _id(entry["entry_id"]), "record_id": _id(entry["record_id"])}
    return Fault(fault, f"Ledger entry {entry['seq']}: {message[0].lower()}{message[1:]}", **named, **where)


def _differs(source: str, seq: int, expected: str, actual: str) -> Fault:
    message = f"Ledger entry {seq} has another chain hash than {source} says: what was there was replaced."
    return Fault("receipt", message, source=source, seq=seq, expected=expected, actual=actual)


def _check_types(entry: Mapping[str, Any]) -> None:
    for name, value in entry.items():
        expected = "int" if name in ("seq", "kind_version") else "str"
        found = type(value).__name__
        if found != expected and not (value is None and name in _NULLABLE):
            wanted, actual = _TYPES[expected], _TYPES[found]
            raise _bad(entry, "type", f"{name} has a wrong type.", column=name, expected=wanted, actual=actual)


def _check_content(entry: Mapping[str, Any], content: Any) -> None:
    """The shape of an entry's content: the record (none in a purge), the salt, and what else may stand beside them."""
    message = "The content has not the shape of an entry's content."
    if not isinstance(content, dict) or not {"record", "salt"} <= content.keys() <= _CONTENT_KEYS:
        raise _bad(entry, "content", message)
    record, salt = content["record"], content["salt"]
    if not isinstance(salt, str) or not SALT.fullmatch(salt):
        raise _bad(entry, "content", message, column="salt")
    if entry["action"] == "purge":
        if record is not None:
            raise _bad(entry, "content", "A purge holds a record.")
        return
    if not isinstance(record, dict) or not _SCALARS.issuperset(map(type, record.values())):
        raise _bad(entry, "content", message, column="record")
    if record.get("id") != entry["record_id"]:
        raise _bad(entry, "content", "The content is of another record.", column="id")
    for name in ("created_at", "updated_at"):
        value = record.get(name)
        if not isinstance(value, str) or not TIME.fullmatch(value):
            raise _bad(entry, "time", f"{name} is no UTC time with microseconds.", column=name)


def _compare(
    table: str, columns: Mapping[str, str], row: Mapping[str, Any], expected: Mapping[str, Any], connection: sqlite3.Connection
) -> None:
    """Value and storage type of every column; one that the entry does not know is empty."""
    for name, declared in columns.items():
        actual, wanted = row[name], expected.get(name)
        if declared == "REAL" and type(wanted) is int:
            wanted = float(wanted)
        if type(actual) is type(wanted) and actual == wanted:
            continue
        message = f"{table}: the column {name} of a record is not what its newest ledger entry says."
        raise Fault(
            "column",
            message,
            table=table,
            id=_id(expected["id"]),
            column=name,
            seq=expected["updated_seq"],
            entry_id=_id(expected["current_revision_id"]),
            expected_type=_TYPES[type(wanted).__name__],
            actual_type=_TYPES[type(actual).__name__],
            **_hashes(table, row, expected, connection),
        )
    absent = next((name for name in expected if name not in columns), None)
    if absent is not None:
        message = f"{table} has no column {shorten(absent, 80)}, which its records have."
        raise Fault("schema", message, table=table, column=shorten(absent, 80), seq=expected["updated_seq"])


def _hashes(table: str, row: Mapping[str, Any], expected: Mapping[str, Any], connection: sqlite3.Connection) -> dict[str, Any]:
    """The content hash that the ledger holds, and the one of the row as it is: salted, so neither tells what is in it."""
    kind = next(kind for kind, entry in _index.KINDS.items() if entry.table == table)
    content = json.loads(_content_at(connection, expected["updated_seq"]), parse_int=_number)
    content["record"] = {name: row.get(name) for name in content["record"]}
    try:
        actual = hashing.sha256(hashing.canonical(content))
    except (ValueError, TypeError, RecursionError):
        actual = None
    return {"expected": expected[schema.hash_column(kind)], "actual": actual}


def _content_at(connection: sqlite3.Connection, seq: int) -> str:
    return connection.execute("SELECT content FROM ledger WHERE seq = ?", (seq,)).fetchone()[0]


# --- the schema -----------------------------------------------------------------------------------


def _quoted(names: Iterable[str]) -> str:
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Name -> declared type of a table's columns; nothing where there is no such table."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    if found is None:
        return {}
    return {row[1]: row[2].upper() for row in connection.execute(f"PRAGMA table_xinfo({_quoted([table])})")}


def _is_something(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None


def _check_fixed_tables(connection: sqlite3.Connection) -> None:
    """The two tables that are there before any record."""
    for table, needed in (("ledger", ledger.COLUMNS), ("counters", ("name", "value"))):
        columns = _columns(connection, table)
        if not columns:
            raise Fault("schema", f"The table {table} is missing.", table=table)
        absent = next((name for name in needed if name not in columns), None)
        if absent is not None:
            raise Fault("schema", f"The table {table} has no column {absent}.", table=table, column=absent)


def _check_schema(connection: sqlite3.Connection) -> None:
    """The schema is ours and nothing else: compared by meaning, as engines write the same definition in their own words."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        model.executescript(schema.snapshot())
        ours, found = _named(model), _named(connection)
        for name in [*ours, *(name for name in found if name not in ours)]:
            shown = shorten(" ".join(name), 120)
            if name not in found:
                raise Fault("schema", f"The {shown} is missing.", name=shown)
            if name not in ours:
                raise Fault("schema", f"The {shown} is not one of Kaizen's.", name=shown)
            expected, actual = _described(model, *name, *ours[name]), _described(connection, *name, *found[name])
            part = next((part for part in {**expected, **actual} if expected.get(part) != actual.get(part)), None)
            if part is not None:
                message = f"The {shown} is not defined as Kaizen defines it: {shorten(part, 80)}."
                raise Fault("schema", message, name=shown, part=shorten(part, 80))


def _named(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[str, str]]:
    """(type, name) -> (table, definition) of everything in a schema."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid")
    return {(str(row[0]), str(row[1])): (str(row[2]), row[3] or "") for row in rows}


def _described(connection: sqlite3.Connection, type_: str, name: str, table: str, sql: str) -> dict[str, Any]:
    """What a table or index is, part by part; the order of columns is not, as a migration adds them behind the others."""
    quoted = _quoted([name])
    if type_ == "table":
        columns = connection.execute(f"PRAGMA table_xinfo({quoted})").fetchall()
        keys = connection.execute(f"PRAGMA foreign_key_list({quoted})").fetchall()
        return {f"column {column[1]}": column[2:] for column in columns} | {"foreign keys": keys, "constraints": _oddities(sql)}
    parts = connection.execute(f"PRAGMA index_xinfo({quoted})").fetchall()
    unique = [row[2:5] for row in connection.execute(f"PRAGMA index_list({_quoted([table])})") if row[1] == name]
    # Of a part: column, descending, collation, whether it is in the key.
    columns = [part[2:] for part in parts if part[1] != -1]
    return {"table": table, "uniqueness": unique, "columns": columns, "condition": _condition(sql)}


_STRINGS = re.compile(r'"(?:[^"]|"")*"')


def _oddities(sql: str) -> list[str]:
    """What the pragmas do not tell of a table: checks, collations, conflict rules, rowid and strictness."""
    words = _STRINGS.sub("", sql.lower())
    found = re.findall(r"\bcheck\s*\(|\bcollate\b|\bon\s+conflict\b|\bautoincrement\b|\bvirtual\b", words)
    return found + re.findall(r"\w+", words.rpartition(")")[2])


def _condition(sql: str) -> str:
    """The condition of a partial index, without the spelling."""
    parts = re.split(r"\swhere\s", sql.lower(), maxsplit=1)
    return re.sub(r'[\s"()]', "", parts[1]) if len(parts) == 2 else ""


def _check_pages(connection: sqlite3.Connection) -> None:
    """The file's own structure; above all that every index leads to the rows that are there."""
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise Fault("file", f"The database file is damaged: {shorten(str(found))}.")
