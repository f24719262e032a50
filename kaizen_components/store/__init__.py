"""Store: the only door to the data plane. Every change is one ledger entry and the row that follows from it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import clock, denial
from ..call import Call, Result
from ..fields import ID, linked_kind
from ..ops import _index
from ..paths import Plane
from ..record import Record, personal_data
from . import files, ledger, query, schema
from .access import Access
from .connection import Connection, engine
from .creation import create, plane_record
from .head import read_head, write_head
from .query import Where

if TYPE_CHECKING:
    from .migrations import Migration

Row = dict[str, Any]
# What documents write where an id belongs: TASK_ID, TASK_ID_FROM_W1.
PLACEHOLDER = re.compile(r"^[A-Z]+_ID(?:_FROM_[A-Z]\d+)?$")
_ABSENT: Any = object()
# Rows that are read in one question.
_AT_ONCE = 500


class _ReadsBack(BaseException):
    """A unit that was said to add only wants to read what it added: it has to run in a savepoint."""


class Store(Access):
    """One caller's access to one plane. Opens (and locks) late, closes early; nothing is half written.

    Public methods take and return plain rows by column name; kinds are named as in the ledger ("task").
    """

    # Whether the plane may stay open after a unit.
    _stays = False

    def __init__(self, plane: Plane, *, using: str | None = None) -> None:
        super().__init__(plane, using=using)
        self._writing = False
        self._grouped = False
        self._head: tuple[int, str] = (0, ledger.START)
        # Entries that are pending, and those of the unit under way, handed to the engine or not.
        self._entries: list[Row] = []
        self._unit: list[Row] = []
        self._unit_start = 0
        self._unit_undone = 0
        self._durable_seq = 0
        # Whether the unit under way has to be on the disk when it is acknowledged.
        self._waits = True
        # While the plane stays open: the end of the ledger in the file, as of a state of the file; rows that the last transaction wrote;
        # and lists that were asked for before. Nobody else writes meanwhile.
        self._end: tuple[int, str] | None = None
        self._end_as_of: Any = None
        self._written: dict[str, tuple[str, Row]] = {}
        self._listed: dict[str, dict[Any, list[Row]]] = {}
        # What ledger.head does not say yet.
        self._untold: tuple[int, str] | None = None
        # A unit that only adds is under way, without a savepoint.
        self._unsaved = False
        # The fault after which nothing of this transaction can be trusted to be there.
        self._broken: BaseException | None = None
        self._rows: dict[str, tuple[str, Row]] = {}
        self._new: dict[str, None] = {}
        # Rows that are in the file already, and which of their columns change.
        self._dirty: dict[str, frozenset[str]] = {}
        self._erased: dict[str, str] = {}
        self._counters: dict[str, int] = {}
        self._known: dict[str, None] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._waiting: dict[Callable[[Store, list[Any]], None], list[Any]] = {}

    # --- units of work ----------------------------------------------------------------------------

    def perform(
        self,
        call: Call,
        work: Callable[[], Result],
        *,
        afterwards: Callable[[Connection, Result], None] | None = None,
        waits: bool = True,
    ) -> Result:
        """Run one operation as a unit of work: all of it is written or nothing; the answer comes after the commit.
        `afterwards` is called with the open plane when all is durable and the lock is still held. A unit that does not wait for the disk
        is safe from the end of this process; a power cut may take it, until the next unit that waits."""
        self.call = call
        self._unit = []
        self._waits = waits or self._grouped
        if self._grouped:
            return self._perform_in_group(call, work)
        try:
            result = self._replayed(call) or self._answered(call, work())
            self.commit()
            if afterwards is not None:
                afterwards(self._reading(), result)
        except BaseException:
            self.roll_back()
            raise
        finally:
            self._waits = True
            self.close()
        self._do_waiting()
        return self.warned(result)

    def later(self, work: Callable[[Store, list[Any]], None], item: Any) -> None:
        """Call work(store, items) once all of this is durable and the plane is let go: once, with every item that was given for it
        since the last commit. It is for what follows from records, such as files and messages: where it fails, the answer warns."""
        self._waiting.setdefault(work, []).append(item)

    def _do_waiting(self) -> None:
        """Do what was left for later. It may perform units of its own; the call is afterwards what it was."""
        call = self.call
        while self._waiting:
            work, items = next(iter(self._waiting.items()))
            del self._waiting[work]
            try:
                work(self, items)
            except Exception as fault:
                if os.environ.get("KAIZEN_DEBUG"):
                    raise
                said = f"{type(fault).__name__}: {fault}"
                self.warnings.append(f"The records stand, but what follows from them was not done: {said}")
            finally:
                self.call = call

    def _perform_in_group(self, call: Call, work: Callable[[], Result]) -> Result:
        """One unit among several under one commit: one that fails takes back itself alone.

        A unit that only adds is kept in memory and undone there; any other gets a savepoint of its own.
        """
        if self._broken is not None:
            raise self._broken
        if call.writes:
            self._begin()
        if not call.only_adds:
            return self._perform_saved(call, work)
        self._unit_start, self._unit_undone, head = len(self._entries), len(self._undo), self._head
        self._unsaved = True
        try:
            return self.warned(self._replayed(call) or self._answered(call, work()))
        except _ReadsBack:
            self._take_back(head)
            self._unsaved = False
            self._unit = []
            return self._perform_saved(call, work)
        except BaseException:
            self._take_back(head)
            raise
        finally:
            self._unsaved = False

    def _perform_saved(self, call: Call, work: Callable[[], Result]) -> Result:
        """One unit of a group, inside a savepoint where it writes."""
        self.flush()
        if not call.writes:
            return self.warned(work())
        connection, head = self._begin(), self._head
        connection.write("SAVEPOINT unit")
        try:
            result = self._replayed(call) or self._answered(call, work())
            self.flush()
            connection.write("RELEASE unit")
        except BaseException:
            self._forget()
            self._known.clear()
            self._head = head
            self._engine("ROLLBACK TO unit")
            self._engine("RELEASE unit")
            raise
        return self.warned(result)

    def _engine(self, statement: str) -> None:
        """Steer the transaction. Where that fails, the engine may have dropped all of it: the group is lost."""
        try:
            self._reading().write(statement)
        except BaseException as fault:
            self._broken = fault
            raise

    def _take_back(self, head: tuple[int, str]) -> None:
        """Undo in memory what the current unit has put there."""
        while len(self._undo) > self._unit_undone:
            target, key, old = self._undo.pop()
            if old is _ABSENT:
                target.pop(key, None)
            else:
                target[key] = old
        del self._entries[self._unit_start :]
        if self._unit:
            self._head = head

    def warned(self, result: Result) -> Result:
        """Add the warnings gathered on the way: also by earlier units of the same operation, unless others share the store."""
        if self.warnings:
            result["warnings"] = list(dict.fromkeys(self.warnings))
            if self._grouped:
                self.warnings.clear()
        return result

    @contextlib.contextmanager
    def group(self) -> Iterator[None]:
        """Several units under one lock and one commit; a unit that fails takes back itself alone."""
        self._grouped = True
        try:
            yield
            if self._broken is not None:
                raise self._broken
            self.commit()
        except BaseException:
            self.roll_back()
            raise
        finally:
            self._grouped = False
            self.close()
        self._do_waiting()

    def settle(self) -> None:
        """For what closes the plane: refuse where this transaction has written, as that would be lost."""
        if self._writing and self._head[0] > self._durable_seq:
            raise denial.Uncommitted()

    def _answered(self, call: Call, result: Result) -> Result:
        """Add the receipt; with a key, seal the answer into the first entry, so that a repeat can give it again."""
        if call.key and self._unit:
            self._seal_reply(self._unit, result)
        if self._unit:
            result["seq"], result["chain_hash"] = self._head
        return result

    def _seal_reply(self, written: list[Row], result: Result) -> None:
        """Put the answer and its key into an entry of the unit, and chain what follows it anew."""
        # The entry that the answer names carries it; what that record refers to may have been written before it.
        answered = result.get("content_hash")
        written = written[next((n for n, entry in enumerate(written) if entry["content_hash"] == answered), 0) :]
        first = written[0]
        # An answer cannot hold the hash of what holds it: that it named it is said by not having the name.
        reply = {**result, "content_hash": answered, "span": len(written)}
        if own := first["content_hash"] == answered:
            del reply["content_hash"]
        content = {**first["_content"], "reply": reply}
        first["idempotency_key"] = self.call.key
        first["request_hash"] = ledger.request_hash(self.call.op, self.call.request or {}, content["salt"])
        first["content"], first["content_hash"] = ledger.seal(content)
        previous = first["_previous"]
        for entry in written:
            entry["leaf_hash"] = ledger.leaf_hash(entry)
            entry["_previous"] = previous
            previous = entry["chain_hash"] = ledger.chain_hash(previous, entry["leaf_hash"])
        self._head = (self._head[0], previous)
        pending = len(self._entries)
        for entry in written[: max(len(written) - pending, 0)]:
            self._begin().write(ledger.RESEAL, [entry[name] for name in (*ledger.RESEALED, "seq")])
        if own:
            result["content_hash"] = first["content_hash"]
        kind = first["kind"]
        row = self._find(kind, first["record_id"])
        if row is not None and row["current_revision_id"] == first["entry_id"]:
            self._put(kind, {**row, schema.hash_column(kind): first["content_hash"]}, row)

    def _replayed(self, call: Call) -> Result | None:
        """The first result of this key, or None; DENIED_KEY_CONFLICT where the key stood for another request."""
        if not call.key:
            return None
        found: Row | None = next((entry for entry in self._entries if entry["idempotency_key"] == call.key), None)
        if found is None:
            # Turso takes a partial index only where its condition is said.
            sql = "SELECT * FROM ledger WHERE idempotency_key = ? AND idempotency_key IS NOT NULL"
            rows = self._reading().rows(sql, (call.key,))
            found = rows[0] if rows else None
        if found is None:
            return None
        if found["content"] is None:
            raise denial.KeyConflict(message="This --key was used before and what it wrote was erased.", key=call.key)
        content = _parsed(found["content"])
        if found["request_hash"] != ledger.request_hash(call.op, call.request or {}, content["salt"]):
            raise denial.KeyConflict(key=call.key, id=found["record_id"], op=found["op"])
        reply = dict(content["reply"])
        last = found["seq"] + reply.pop("span") - 1
        status = reply.pop("status")
        result = Result(finding=status == "FAILED")
        result.update({"content_hash": found["content_hash"], **reply})
        if result["content_hash"] is None:
            del result["content_hash"]
        result["seq"], result["chain_hash"] = last, self._chain_at(last)
        result["replayed"] = True
        return result

    def _chain_at(self, seq: int) -> str:
        for entry in self._entries:
            if entry["seq"] == seq:
                return entry["chain_hash"]
        return self._reading().execute("SELECT chain_hash FROM ledger WHERE seq = ?", (seq,))[0][0]

    # --- opening and closing ----------------------------------------------------------------------

    def opened(self) -> Connection:
        """The open plane for a reading module of this package; pending rows are handed over first."""
        self.flush()
        return self._reading()

    def _begin(self) -> Connection:
        """The open plane, inside a write transaction."""
        connection = self._reading()
        if not self._writing:
            if self._unwritable is not None:
                raise self._unwritable
            if self._end is None:
                connection = self._refuse_schema(connection)
            connection.wait_for_disk(self._waits)
            connection.write("BEGIN IMMEDIATE")
            self._writing = True
            as_of = connection.changed_elsewhere()
            if self._end is None or as_of != self._end_as_of:
                self._forget_file()
                self._head = self._last(connection)
                self._refuse_cut(connection)
            else:
                self._head = self._end
            self._end_as_of = as_of
            self._durable_seq = self._head[0]
        return connection

    def _refuse_cut(self, connection: Connection) -> None:
        """Refuse to write behind a ledger that lost its tail: the next entry would make ledger.head forget it."""
        said = read_head(self.plane)
        if said is None or said == self._head:
            return
        at = connection.execute("SELECT chain_hash FROM ledger WHERE seq = ?", (said[0],))
        if not at or at[0][0] != said[1]:
            raise denial.LedgerCut(head_seq=said[0], ledger_seq=self._head[0], path=str(self.plane.head))

    def _refuse_schema(self, connection: Connection) -> Connection:
        """Refuse to write to a newer plane, or to one whose manifest is not ours; migrate an older one. The open plane."""
        found = connection.rows("SELECT schema_version, oldest_writer, manifest_hash FROM schema_version LIMIT 1")
        if not found:
            raise denial.SchemaStatus(message="The plane has no schema record.", path=str(self.plane.database))
        plane = found[0]
        if plane["schema_version"] > schema.SCHEMA_VERSION and plane["oldest_writer"] > schema.SCHEMA_VERSION:
            raise denial.SchemaStatus(
                message="The plane was written by a newer Kaizen; it can be read, not written.",
                schema_version=plane["schema_version"],
                expected=schema.SCHEMA_VERSION,
            )
        if plane["schema_version"] < schema.SCHEMA_VERSION:
            from . import migrations

            return self._migrate(plane["schema_version"], migrations.MIGRATIONS)
        if plane["manifest_hash"] != _index.MANIFEST_HASH and self.call.op != "K1":
            raise denial.SchemaDrift(manifest_hash=plane["manifest_hash"], expected=_index.MANIFEST_HASH)
        return connection

    def _migrate(self, version: int, steps: Sequence[Migration]) -> Connection:
        """Bring an older plane to this schema: a copy first, then every missing step and the plane's record at once."""
        connection = self._reading()
        connection.checkpoint()
        connection.close()
        self._connection = None
        folder = files.reserve_folder(self.plane.backups, f"before-schema-{schema.SCHEMA_VERSION}-{clock.stamp()}")
        shutil.copyfile(self.plane.database, folder / "kaizen.db")
        connection = self._connection = Connection(self.plane.database, using=self._using)
        connection.write("BEGIN IMMEDIATE")
        for step in steps:
            if step.version > version:
                step.apply(connection)
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
        self._writing = True
        self._head = self._last(connection)
        found = connection.rows("SELECT id FROM schema_version LIMIT 1")[0]
        call, self.call = self.call, Call(op="migrate", agent=self.call.agent, session=self.call.session)
        now = plane_record().values()
        kept = ("schema_version", "migration_id", "tool_version", "manifest_hash", "oldest_writer", "applied_at")
        self.revise("plane", found["id"], {name: now[name] for name in kept})
        self.call = call
        self.commit()
        self._unit.clear()
        return connection

    def _last(self, connection: Connection) -> tuple[int, str]:
        """(seq, chain hash) of the newest entry in the file."""
        last = connection.execute("SELECT seq, chain_hash FROM ledger ORDER BY seq DESC LIMIT 1")
        return (int(last[0][0]), last[0][1]) if last else (0, ledger.START)

    def begin_ledger(self, connection: Connection, call: Call, first: Record) -> None:
        """Write the first entry of a new plane, into a database that nobody else can see yet."""
        self._connection, self.call = connection, call
        connection.write("BEGIN IMMEDIATE")
        self._writing = True
        self.add(first)
        self.flush()
        connection.write("COMMIT")
        self._writing, self._connection = False, None

    def refuse_early(self) -> None:
        """Refuse now what a write would be refused for, before work that takes long."""
        self._begin()

    def commit(self) -> None:
        """Make everything durable, then say so in ledger.head."""
        if not self._writing or self._connection is None:
            return
        written = {name: self._rows[name] for name in (*self._new, *self._dirty)} if self._stays else {}
        self.flush()
        self._connection.write("COMMIT")
        self._writing = False
        self._end, self._written = self._head, written
        self._forget()
        if self._waits and self._head[0] > self._durable_seq:
            # The head may lag behind what is on the disk, never lead it; a commit of nothing syncs nothing.
            self._untold = self._head
        if not self._stays:
            self._tell()

    def _tell(self) -> None:
        """Say in ledger.head how far the ledger goes on the disk."""
        if self._untold is not None:
            write_head(self.plane, *self._untold)
            self._untold = None

    def _forget_file(self) -> None:
        """Forget what holds only while the plane stays open."""
        self._end = None
        self._written.clear()
        self._listed.clear()

    def roll_back(self) -> None:
        """Forget everything since the last commit."""
        self._forget()
        self._known.clear()
        self._waiting.clear()
        self._forget_file()
        if self._writing and self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.write("ROLLBACK")
        self._writing = False

    def close(self) -> None:
        """Close the file, then let the lock go. What was written and not committed is not dropped in silence."""
        self.settle()
        if self._writing:
            self.roll_back()
        self._rows.clear()
        self._known.clear()
        self._broken = None
        self._forget_file()
        self._tell()
        super().close()

    def leave(self) -> None:
        """Done with the plane for long: whatever was kept open for the next unit is closed."""
        self.close()

    @contextlib.contextmanager
    def reading_copy(self) -> Iterator[Store]:
        """A Store that reads a copy of the plane: whoever reads for long lets others write meanwhile."""
        with self.snapshot() as path:
            reader = Store(self.plane)
            reader._connection = Connection(path, read_only=True)
            try:
                yield reader
            finally:
                reader.close()

    # --- writing ----------------------------------------------------------------------------------

    def add(self, record: Record, *, action: str = "add", record_id: str | None = None) -> Row:
        """Write a new record; its row, with id, current_revision_id and content_hash. Links are looked up.
        `record_id` is for kinds whose ids follow from their content; it must be a new one."""
        self._begin()
        cls = type(record)
        values = record.values()
        self._check_links(cls, {spec.name: values[spec.name] for spec in cls.specs if spec.stored})
        position = self._head[0] + 1
        at = clock.moment(position)
        created = clock.iso(at)
        record_id = record_id or clock.new_id(cls.prefix, position, at)
        record.identified(record_id)
        values = record.values()
        content: Row = {
            "id": record_id,
            **values,
            "is_test": int(self.call.test),
            "created_at": created,
            "updated_at": created,
            "source_command": self.call.op,
            "retired_reason": None,
            "personal_data_json": personal_data(values),
        }
        content = {name: _plain(value) for name, value in content.items()}
        return self._append(cls.record_kind, cls.version, action, content, None)

    def revise(self, kind: str, record_id: str, changes: Mapping[str, Any], *, action: str = "revise") -> Row:
        """Write a further revision of a record: its row after the change. Unknown ids raise DENIED_RECORD_NOT_FOUND."""
        self._begin()
        before = self.get(kind, record_id)
        cls = record_class(kind)
        self._check_links(cls, changes)
        content = schema.content_of(kind, before)
        content.update({name: _plain(value) for name, value in changes.items()})
        content["updated_at"] = clock.now(self._head[0] + 1)
        own = {spec.name for spec in cls.specs}
        content["personal_data_json"] = personal_data({name: value for name, value in content.items() if name in own})
        return self._append(kind, cls.version, action, content, before)

    def _append(self, kind: str, version: int, action: str, content: Row, before: Row | None) -> Row:
        record_id = content["id"]
        task_id = record_id if kind == "task" else content.get(_index.KINDS[kind].task_column or "")
        seq = self._head[0] + 1
        salt = clock.token(seq, "salt", 16)
        sealed = {"record": content, "salt": salt}
        entry = self._entry(seq, action, kind, version, record_id, task_id, content["updated_at"], content["writer_role"], sealed)
        count = before["entry_count"] + 1 if before and kind == "task" else 1
        row = schema.project(
            kind,
            content,
            entry_id=entry["entry_id"],
            content_hash=entry["content_hash"],
            created_seq=before["created_seq"] if before else seq,
            updated_seq=seq,
            entry_count=count,
        )
        self._put(kind, row, before)
        if task_id is not None and kind != "task":
            self._touch_task(task_id)
        return row

    def _entry(
        self,
        seq: int,
        action: str,
        kind: str,
        version: int,
        record_id: str,
        task_id: str | None,
        time: str,
        writer_role: str,
        content: Row,
    ) -> Row:
        """Seal one ledger entry onto the chain."""
        entry: Row = {
            "seq": seq,
            "entry_id": clock.new_id("led", seq, clock.datetime.fromisoformat(time)),
            "time": time,
            "op": self.call.op,
            "action": action,
            "kind": kind,
            "kind_version": version,
            "record_id": record_id,
            "task_id": task_id,
            "agent": self.call.agent,
            "session": self.call.session,
            "writer_role": writer_role,
            "idempotency_key": None,
            "request_hash": None,
        }
        entry["content"], entry["content_hash"] = ledger.seal(content)
        entry["leaf_hash"] = ledger.leaf_hash(entry)
        entry["chain_hash"] = ledger.chain_hash(self._head[1], entry["leaf_hash"])
        entry["_content"], entry["_previous"] = content, self._head[1]
        self._entries.append(entry)
        self._unit.append(entry)
        self._head = (seq, entry["chain_hash"])
        self._listed.pop(kind, None)
        self._count(f"ledger.entries:{time[:10]}", 1)
        return entry

    def purge(self, kind: str, record_id: str, reason: str) -> Row:
        """Erase a record, and write that it was: its entry. That holds the reason; of the record only hashes stay.
        purge.py, the one caller, opens the plane with an engine that erases and sweeps the files afterwards."""
        connection = self._begin()
        assert connection.engine.erases
        connection.execute("PRAGMA secure_delete=ON")
        before = self.get(kind, record_id)
        task_id = record_id if kind == "task" else before.get(_index.KINDS[kind].task_column or "")
        seq = self._head[0] + 1
        content = {"record": None, "reason": reason, "salt": clock.token(seq, "salt", 16)}
        entry = self._entry(seq, "purge", kind, 1, record_id, task_id, clock.now(seq), "agent", content)
        for name in schema.counted(kind, before):
            self._count(name, -1)
        if task_id is not None and kind != "task":
            self._touch_task(task_id)
        for pending in (self._known, self._rows, self._new, self._dirty):
            pending.pop(record_id, None)
        self._erased[record_id] = kind
        return entry

    def _touch_task(self, task_id: str) -> None:
        """Count an entry for its task, where the task is a record here."""
        match = ID.match(task_id)
        if not match or match[1] != "t":
            return
        before = self._find("task", task_id)
        if before is not None:
            self._put("task", {**before, "entry_count": before["entry_count"] + 1}, before)

    def _put(self, kind: str, row: Row, before: Row | None) -> None:
        record_id = row["id"]
        if before is None:
            self._set(self._new, record_id, None)
        elif record_id not in self._new:
            self._set(self._dirty, record_id, self._dirty.get(record_id, frozenset()) | _changed(before, row))
        self._set(self._rows, record_id, (kind, row))
        for name in schema.counted(kind, before) if before else ():
            self._count(name, -1)
        for name in schema.counted(kind, row):
            self._count(name, 1)
        self._set(self._known, record_id, None)

    def _count(self, name: str, by: int) -> None:
        self._set(self._counters, name, self._counters.get(name, 0) + by)

    def _set(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        """Change a pending value; remember the old one while a group may have to take it back."""
        if self._grouped:
            self._undo.append((target, key, target.get(key, _ABSENT)))
        target[key] = value

    def _check_links(self, cls: type[Record], values: Mapping[str, Any]) -> None:
        for spec in cls.specs:
            is_link, kind = linked_kind(spec.rules)
            value = values.get(spec.name)
            if not is_link or value is None:
                continue
            targets = _parsed(value) if spec.name.endswith("_json") else [value]
            for target in targets:
                if isinstance(target, str):
                    self.check_link(target, kind, spec.key)

    def check_link(self, target: str, kind: str | None, field: str) -> None:
        """Refuse a reference that has the shape of a Kaizen id and is none (of the kind that is wanted)."""
        if PLACEHOLDER.match(target):
            action = "Put the id that an earlier command printed in its place."
            raise denial.ReferenceNotFound(action, message=f"{target} is a placeholder, not an id.", field=field, id=target)
        match = ID.match(target)
        if not match or match[1] not in _index.PREFIXES:
            return
        actual = _index.PREFIXES[match[1]]
        if kind is not None and actual != kind:
            raise denial.ReferenceNotFound(field=field, id=target, expected=kind, record_type=actual)
        if not self.exists(target):
            raise denial.ReferenceNotFound(field=field, id=target, record_type=actual)

    def exists(self, record_id: str) -> bool:
        """Whether a record of this id was written and not purged."""
        if record_id in self._known:
            return True
        last = self._reading().execute("SELECT action FROM ledger WHERE record_id = ? ORDER BY seq DESC LIMIT 1", (record_id,))
        if last and last[0][0] != "purge":
            self._known[record_id] = None
            return True
        return False

    def flush(self) -> None:
        """Hand everything pending to the engine, a table at a time."""
        if not (self._entries or self._dirty or self._counters):
            return
        if self._unsaved and self._unit:
            raise _ReadsBack
        try:
            self._hand_over(self._begin())
        except BaseException as fault:
            self._broken = fault
            raise
        self._forget()

    def _hand_over(self, connection: Connection) -> None:
        connection.write_many(ledger.INSERT, [[entry[name] for name in ledger.COLUMNS] for entry in self._entries])
        inserts: dict[tuple[str, tuple[str, ...]], list[list[Any]]] = {}
        for record_id in self._new:
            kind, row = self._rows[record_id]
            inserts.setdefault((_index.KINDS[kind].table, tuple(row)), []).append(list(row.values()))
        for (table, columns), rows in inserts.items():
            names = ", ".join(f'"{name}"' for name in columns)
            marks = ", ".join("?" * len(columns))
            connection.write_many(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
        updates: dict[tuple[str, tuple[str, ...]], list[list[Any]]] = {}
        for record_id, changed in self._dirty.items():
            kind, row = self._rows[record_id]
            columns = tuple(name for name in row if name in changed)
            if not columns:
                continue
            values = [row[name] for name in columns]
            updates.setdefault((_index.KINDS[kind].table, columns), []).append([*values, record_id])
        for (table, columns), rows in updates.items():
            names = ", ".join(f'"{name}" = ?' for name in columns)
            connection.write_many(f"UPDATE {table} SET {names} WHERE id = ?", rows)
        for record_id, kind in self._erased.items():
            connection.write(f"DELETE FROM {_index.KINDS[kind].table} WHERE id = ?", (record_id,))
            connection.write("UPDATE ledger SET content = NULL WHERE record_id = ? AND action <> 'purge'", (record_id,))
        counted = [(name, by) for name, by in self._counters.items() if by]
        if counted:
            connection.write_many(
                "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
                counted,
            )
            # A counter that is back at nothing is no counter: a rebuild would not have it.
            if any(by < 0 for _, by in counted):
                connection.write("DELETE FROM counters WHERE value = 0")

    def _forget(self) -> None:
        """Drop what is pending: it was written, or is not wanted any more."""
        for pending in (self._entries, self._rows, self._new, self._dirty, self._erased, self._counters, self._undo):
            pending.clear()
        self._unit_start = self._unit_undone = 0

    # --- reading ----------------------------------------------------------------------------------

    def _find(self, kind: str, record_id: str) -> Row | None:
        if record_id in self._rows:
            found, row = self._rows[record_id]
            return row if found == kind else None
        if record_id in self._erased:
            return None
        if self._writing and record_id in self._written:
            found, row = self._rows[record_id] = self._written[record_id]
            return row if found == kind else None
        if self._lacks(kind):
            return None
        table = _index.KINDS[kind].table
        rows = self._reading().rows(f"SELECT * FROM {table} WHERE id = ?", (record_id,))
        if not rows:
            return None
        if self._writing:
            self._rows[record_id] = (kind, rows[0])
        return rows[0]

    def revisable(self, kind: str, ids: Sequence[str]) -> Iterator[str]:
        """Ids of records, one after the other, for a loop that revises each: their rows are read some hundred at a time."""
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            for row in self.list(kind, {"id": ("in", list(some))}):
                self._rows.setdefault(row["id"], (kind, row))
            yield from some

    def _lacks(self, kind: str) -> bool:
        """Whether the plane is an older one, not written by this Kaizen yet, and has no table for a kind."""
        connection = self._reading()
        return self._older and not self._writing and not connection.columns(_index.KINDS[kind].table)

    def get(self, kind: str, record_id: str) -> Row:
        """The newest row of a record; DENIED_RECORD_NOT_FOUND where there is none of this kind."""
        row = self._find(kind, record_id)
        if row is None:
            named = ID.match(record_id)
            other = _index.PREFIXES.get(named[1]) if named else None
            wrong = {"message": f"This is an id of the kind {other}, not {kind}."} if other not in (None, kind) else {}
            action = "Pass an id of the right kind; K18 --id ID shows any record." if wrong else None
            raise denial.RecordNotFound(action, id=record_id, table=_index.KINDS[kind].table, record_type=kind, **wrong)
        return row

    def kind_of(self, record_id: str) -> str:
        """The kind that an id's prefix names; DENIED_RECORD_NOT_FOUND where none does."""
        match = ID.match(record_id)
        if not match or match[1] not in _index.PREFIXES:
            raise denial.RecordNotFound(id=record_id)
        return _index.PREFIXES[match[1]]

    def list(
        self,
        kind: str,
        where: Where | None = None,
        *,
        order: str = "created_seq DESC",
        limit: int | None = None,
        offset: int = 0,
        columns: Sequence[str] = ("*",),
    ) -> list[Row]:
        """Rows of a kind that match every condition, newest first. A condition is column -> value, or
        column -> (operator, value) with an SQL comparison, "in" or "contains"; a limit of None or below 0 is no limit."""
        self.flush()
        if self._lacks(kind):
            return []
        condition, values = query.condition(where)
        names = ", ".join(name if name == "*" else f'"{name}"' for name in columns)
        sql = f"SELECT {names} FROM {query.table(kind)}{condition} ORDER BY {query.ordered(order)}"
        return self._reading().rows(sql + query.window(limit, offset), values)

    def remembered(self, kind: str, where: Where | None = None, **options: Any) -> list[Row]:
        """As list(), for what is asked again and again: while the plane stays open, nobody else writes, and the answer changes only when a
        record of the kind is written here."""
        asked = (repr(where), repr(options))
        found = self._listed.get(kind, {}).get(asked)
        if found is None or self._writing:
            found = self.list(kind, where, **options)
            if not self._writing:
                self._listed.setdefault(kind, {})[asked] = found
        return found

    def count(self, kind: str, where: Where | None = None) -> int:
        """How many rows of a kind match."""
        self.flush()
        if self._lacks(kind):
            return 0
        condition, values = query.condition(where)
        return int(self._reading().execute(f"SELECT COUNT(*) FROM {query.table(kind)}{condition}", values)[0][0])

    def totals(self, kind: str, columns: Sequence[str], *, by: str, where: Where | None = None) -> list[Row]:
        """For each value of a column, in order: it, how many rows have it, and of each column sum_X and count_X, the sum of its
        values and how many rows have one. As {by: ..., "rows": ..., "sum_X": ..., "count_X": ...}."""
        self.flush()
        if self._lacks(kind):
            return []
        condition, values = query.condition(where)
        sums = "".join(f', SUM("{name}") AS "sum_{name}", COUNT("{name}") AS "count_{name}"' for name in columns)
        sql = f'SELECT "{by}", COUNT(*) AS "rows"{sums} FROM {query.table(kind)}{condition} GROUP BY "{by}" ORDER BY "{by}"'
        return self._reading().rows(sql, values)

    def counters(self, *names: str) -> dict[str, int]:
        """Values of counters by name; 0 for one that never counted."""
        self.flush()
        marks = ", ".join("?" * len(names))
        found = dict(self._reading().execute(f"SELECT name, value FROM counters WHERE name IN ({marks})", names))
        return {name: int(found.get(name, 0)) for name in names}

    def history(self, record_id: str) -> list[Row]:
        """Every ledger entry of a record, oldest first."""
        self.flush()
        return self._reading().rows("SELECT * FROM ledger WHERE record_id = ? ORDER BY seq", (record_id,))

    def head(self) -> tuple[int, str]:
        """(seq, chain hash) of the newest entry."""
        if self._writing:
            return self._head
        return self._last(self._reading())

    def entries_after(self, seq: int, limit: int, *, kinds: Sequence[str] | None = None) -> list[Row]:
        """The next entries behind a position, oldest first, for what follows the ledger; of `kinds` alone (None: of all)
        with their content, which is what takes time."""
        self.flush()
        names = None if kinds is None else ", ".join(f"'{kind}'" for kind in kinds)
        content = "content" if names is None else f"CASE WHEN kind IN ({names}) THEN content END AS content"
        columns = f"seq, action, kind, record_id, task_id, {content}, chain_hash"
        return self._reading().rows(f"SELECT {columns} FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    @property
    def committed_seq(self) -> int | None:
        """The newest entry that is durable, while a transaction is under way; None without one: all of them are."""
        return self._durable_seq if self._writing else None

    def release(self) -> None:
        """Let others have the plane between two reads; in a transaction it stays open, and so does a frozen one."""
        if not self._writing and self._unwritable is None:
            self.close()


@contextlib.contextmanager
def read_copy(path: Path) -> Iterator[Any]:
    """A copy of the plane, opened for reading with the standard library's SQLite; nobody else has it open."""
    import sqlite3
    from urllib.parse import quote

    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    try:
        yield connection
    finally:
        connection.close()


# --- kinds ----------------------------------------------------------------------------------------


def record_class(kind: str) -> type[Record]:
    """The class of a kind; imports its family."""
    import importlib

    entry = _index.KINDS[kind]
    return getattr(importlib.import_module(f"kaizen_components.{entry.module}"), entry.name)


def _changed(before: Row, row: Row) -> frozenset[str]:
    """The columns in which a row differs from what it was: an engine writes the others, and their indexes, for nothing."""
    return frozenset(
        name for name, value in row.items() if type(value) is not type(old := before.get(name, _ABSENT)) or value != old
    )


def _plain(value: Any) -> Any:
    """A value as every engine and the ledger's JSON keep it: truth values are 0 and 1, and 0 has no sign."""
    if isinstance(value, bool):
        return int(value)
    return 0.0 if type(value) is float and value == 0 else value


def _parsed(text: str) -> Any:
    import json

    return json.loads(text)


__all__ = ["Row", "Store", "create", "engine", "read_head", "record_class", "write_head"]
