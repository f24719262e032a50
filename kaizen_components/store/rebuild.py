"""Rebuild: the tables made anew from the ledger, in a new file that then takes the old one's place."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import clock, denial
from ..call import Call, Result
from ..ops import _index
from ..paths import Plane
from . import Store, files, ledger, schema, verify
from .connection import ENGINES, Connection, header
from .creation import abandoned, build, with_journal

_ENTRIES = f"SELECT {', '.join(ledger.COLUMNS)} FROM ledger NOT INDEXED WHERE seq > ? ORDER BY seq"
_GROUP = 2_000


def rebuild(store: Store) -> Result:
    """Make the tables anew from the ledger. The lock is held only to copy the file and, at the end, to catch up and swap.

    A broken ledger is a finding, and nothing is changed then.
    """
    plane = store.plane
    watch = clock.Stopwatch()
    verify.refuse_no_plane(plane)
    found = header(plane.database)
    if found is not None and found[1] != schema.SCHEMA_VERSION:
        raise denial.SchemaStatus(schema_version=found[1], expected=schema.SCHEMA_VERSION)
    while True:
        with verify.copied(store) as (copy, head):
            fault = verify.ledger_fault(copy, head)
            if fault is not None:
                message = f"The ledger is broken, so the tables stay as they are: {fault.message}"
                broken = Result(finding=True, message=message)
                broken["finding"] = fault.where
                return broken
            building = Building(plane)
            try:
                building.begin(store.call)
                building.take(copy)
                with store.locked():
                    if building.catch_up():
                        building.swap()
                        return Result(**building.told(), duration_ms=watch.ms())
            except OSError as refused:
                raise denial.FileUnwritable(path=str(plane.folder), reason=refused.strerror or str(refused)) from refused
            finally:
                building.clear()


class Building:
    """A new database file and how far it follows the ledger. The standard library's SQLite makes it: that is faster,
    and what it makes holds nothing but what was written."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.path = plane.folder / f"kaizen.db.new-{os.getpid()}"
        self.seq, self.chain_hash = 0, ledger.START
        self.caught_up = 0
        # id -> (kind, seq of the first entry, seq of the newest) of every record that was not erased.
        self._records: dict[str, tuple[str, int, int]] = {}
        self._tasks: Counter[str] = Counter()
        self._counters: Counter[str] = Counter()
        self._columns: dict[str, list[str]] = {}
        self._unknown: Counter[str] = Counter()

    def begin(self, call: Call) -> None:
        """Make the empty file; remove what earlier ones left."""
        for path in (*abandoned(self.plane), *with_journal(self.path)):
            path.unlink(missing_ok=True)
        build(self.path, self.plane, call, genesis=False, using=ENGINES["sqlite"])

    def clear(self) -> None:
        """Remove what was not swapped into place."""
        for path in with_journal(self.path):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def take(self, copy: Path) -> None:
        """Take over the whole ledger of a copy and make every row."""
        source, target = Connection(copy, using=ENGINES["sqlite"]), Connection(self.path, using=ENGINES["sqlite"])
        try:
            target.write("BEGIN IMMEDIATE")
            self._follow(source, target)
            for record_id in self._records:
                self._write(target, record_id, before=None)
            self._finish(target)
        finally:
            source.close()
            target.close()

    def catch_up(self) -> bool:
        """Follow what was written meanwhile. False where that cannot be followed and all is to be begun again: something
        was erased, or another ledger took this one's place. The caller holds the lock."""
        source, target = Connection(self.plane.database, using=ENGINES["sqlite"]), Connection(self.path, using=ENGINES["sqlite"])
        try:
            if source.execute("SELECT chain_hash FROM ledger WHERE seq = ?", (self.seq,)) != [(self.chain_hash,)]:
                return False
            if source.execute("SELECT 1 FROM ledger WHERE seq > ? AND action = 'purge' LIMIT 1", (self.seq,)):
                return False
            target.write("BEGIN IMMEDIATE")
            start = self.seq
            changed = self._follow(source, target)
            self.caught_up = self.seq - start
            for record_id in changed:
                kind = self._records[record_id][0]
                table = _index.KINDS[kind].table if kind in _index.KINDS else None
                before = target.rows(f"SELECT * FROM {table} WHERE id = ?", (record_id,)) if table else []
                self._write(target, record_id, before=before[0] if before else None)
            self._finish(target)
            if target.execute("PRAGMA quick_check(1)") != [("ok",)]:
                raise denial.PlaneDamaged(path=str(self.path), reason="the new file is damaged")
            target.checkpoint()
            source.checkpoint()
            return True
        finally:
            source.close()
            target.close()

    def _follow(self, source: Connection, target: Connection) -> list[str]:
        """Copy the entries behind our position as they are; ids of the records that they change."""
        changed: dict[str, None] = {}
        pending: list[tuple[Any, ...]] = []
        for values in source.stream(_ENTRIES, (self.seq,)):
            entry: dict[str, Any] = dict(zip(ledger.COLUMNS, values, strict=True))
            pending.append(values)
            changed.update(dict.fromkeys(self._note(entry)))
            if len(pending) >= _GROUP:
                target.write_many(ledger.INSERT, pending)
                pending.clear()
        target.write_many(ledger.INSERT, pending)
        return [record_id for record_id in changed if record_id in self._records]

    def _note(self, entry: Mapping[str, Any]) -> Iterable[str]:
        record_id, task_id, seq = entry["record_id"], entry["task_id"], entry["seq"]
        if ledger.chain_hash(self.chain_hash, ledger.leaf_hash(entry)) != entry["chain_hash"]:
            raise denial.PlaneDamaged(path=str(self.plane.database), reason=f"the chain breaks at ledger entry {seq}")
        self.seq, self.chain_hash = seq, entry["chain_hash"]
        self._counters[f"ledger.entries:{entry['time'][:10]}"] += 1
        if task_id is not None:
            self._tasks[task_id] += 1
        if entry["action"] == "purge":
            self._records.pop(record_id, None)
        else:
            _, first, _ = self._records.get(record_id, ("", seq, seq))
            self._records[record_id] = (entry["kind"], first, seq)
        return (record_id,) if task_id is None else (record_id, task_id)

    def _write(self, target: Connection, record_id: str, *, before: Mapping[str, Any] | None) -> None:
        """Make the row of a record from its newest entry, and count it."""
        kind, first, newest = self._records[record_id]
        if kind not in _index.KINDS:
            self._unknown[kind] += 1
            return
        table = _index.KINDS[kind].table
        sql = "SELECT entry_id, content_hash, content FROM ledger WHERE seq = ?"
        entry_id, content_hash, content = target.execute(sql, (newest,))[0]
        row = schema.project(
            kind,
            json.loads(content)["record"],
            entry_id=entry_id,
            content_hash=content_hash,
            created_seq=first,
            updated_seq=newest,
            entry_count=self._tasks[record_id],
        )
        columns = self._columns.get(table) or self._columns.setdefault(table, target.columns(table))
        names = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join("?" * len(columns))
        target.write(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", [row.get(name) for name in columns])
        if before is not None:
            self._counters.subtract(schema.counted(kind, before))
        self._counters.update(schema.counted(kind, row))

    def _finish(self, target: Connection) -> None:
        target.write("DELETE FROM counters")
        counters = [(name, value) for name, value in sorted(self._counters.items()) if value]
        target.write_many("INSERT INTO counters (name, value) VALUES (?, ?)", counters)
        target.write("COMMIT")

    def swap(self) -> None:
        """Take the plane's place. The caller holds the lock; the old journal was emptied and goes with the old file."""
        files.sync(self.path)
        for path in (*with_journal(self.path)[1:], *with_journal(self.plane.database)[1:]):
            path.unlink(missing_ok=True)
        os.replace(self.path, self.plane.database)
        files.sync(self.plane.folder)

    def told(self) -> dict[str, Any]:
        """What was made."""
        counts = Counter(_index.KINDS[kind].table for kind, _, _ in self._records.values() if kind in _index.KINDS)
        answer: dict[str, Any] = {
            "message": f"The tables were made anew from {self.seq} ledger entries.",
            "ledger": {"seq": self.seq, "chain_hash": self.chain_hash},
            "records": dict(sorted(counts.items())),
            "total": counts.total(),
            "caught_up": self.caught_up,
        }
        return answer | ({"unknown_kinds": dict(self._unknown)} if self._unknown else {})
