"""Truth: what a plane holds and whether it is sound, seen with the standard library alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kaizen_components.ops import _index

UNSEALED = ("content", "leaf_hash", "chain_hash")
NOT_IN_CONTENT = ("current_revision_id", "created_seq", "updated_seq", "is_open", "is_blocking", "entry_count")


@contextlib.contextmanager
def opened(root: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a plane's database, journal and all, opened with Python's own SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        for path in (root / "AI" / "db").glob("kaizen.db*"):
            if path.name in ("kaizen.db", "kaizen.db-wal"):
                shutil.copyfile(path, Path(folder) / path.name)
        connection = sqlite3.connect(Path(folder) / "kaizen.db")
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()


def dump(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, each table in the order of its key."""
    with opened(root) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY 1')] for name in names}


def canonical(value: Any) -> bytes:
    """Canonical JSON of what a leaf covers: texts, integers and null under ASCII keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sound(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Assert that ledger, tables and counters agree, entry by entry; the dump."""
    tables = dump(root)
    entries = tables["ledger"]
    assert_chain(entries)
    newest, first = {}, {}
    for entry in entries:
        first.setdefault(entry["record_id"], entry["seq"])
        if entry["action"] == "purge":
            newest.pop(entry["record_id"], None)
        else:
            newest[entry["record_id"]] = entry
    tasks = Counter(entry["task_id"] for entry in entries)
    kinds = {entry.table: kind for kind, entry in _index.KINDS.items()}
    rows = {row["id"]: (kinds[table], row) for table in kinds if table in tables for row in tables[table]}
    assert rows.keys() == newest.keys()
    for record_id, (kind, row) in rows.items():
        entry = newest[record_id]
        content = json.loads(entry["content"])["record"]
        own_hash = "record_hash" if kind == "source_lock" else "content_hash"
        assert {name: row[name] for name in content} == content
        assert set(row) - set(content) <= {*NOT_IN_CONTENT, own_hash}
        assert (entry["kind"], row[own_hash], row["current_revision_id"]) == (kind, entry["content_hash"], entry["entry_id"])
        assert (row["created_seq"], row["updated_seq"]) == (first[record_id], entry["seq"])
        if kind == "task":
            assert row["entry_count"] == tasks[record_id]
    assert {row["name"]: row["value"] for row in tables["counters"]} == counted(rows.values(), entries)
    head = root / "AI" / "db" / "ledger.head"
    if head.exists():
        said = json.loads(head.read_text())
        assert said["seq"] <= entries[-1]["seq"] and entries[said["seq"] - 1]["chain_hash"] == said["chain_hash"]
    return tables


def assert_chain(entries: list[dict[str, Any]]) -> None:
    """Assert that every hash of the ledger is what its bytes make it."""
    chain = bytes(32)
    for number, entry in enumerate(entries, start=1):
        assert entry["seq"] == number
        if entry["content"] is not None:
            assert hashlib.sha256(entry["content"].encode()).hexdigest() == entry["content_hash"]
        sealed = {name: value for name, value in entry.items() if name not in UNSEALED}
        leaf = hashlib.sha256(b"\0" + canonical(sealed)).digest()
        chain = hashlib.sha256(b"\2" + chain + leaf).digest()
        assert (entry["leaf_hash"], entry["chain_hash"]) == (leaf.hex(), chain.hex()), f"entry {number}"


def counted(rows: Any, entries: list[dict[str, Any]]) -> dict[str, int]:
    """The counters that rows and entries make."""
    counters: Counter[str] = Counter(f"ledger.entries:{entry['time'][:10]}" for entry in entries)
    for kind, row in rows:
        counters[f"{kind}.total"] += 1
        counters[f"{kind}.added:{row['created_at'][:10]}"] += 1
        counters[f"{kind}.open"] += row["is_open"]
        counters["task.without_entries"] += kind == "task" and row["is_open"] and row["entry_count"] < 2
        counters[f"{kind}.blocking"] += row.get("is_blocking", 0)
    return {name: value for name, value in counters.items() if value}
