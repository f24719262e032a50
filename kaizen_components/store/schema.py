"""Schema: the tables, derived from the record kinds; and the one way from an entry's content to a row."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..fields import Count, Hash, Label
from ..record import BLOCKING, CLOSED, Field, Record

SCHEMA_VERSION = 4
MIGRATION_ID = "m004_metrics"
# The oldest schema version whose writers may still write to a plane of this version.
OLDEST_WRITER = 4


class PlaneRecord(Record, kind="plane", table="schema_version", prefix="plane"):
    """The data plane itself: its schema version, who made it, which writers it admits."""

    schema_version: Count = Field(description="Number of the schema")
    migration_id: Label = Field(description="The migration that made it")
    tool_version: Label = Field(description="Kaizen's version when it was applied")
    manifest_hash: Hash = Field(description="Hash of schema version, migration, DDL and table names")
    oldest_writer: Count = Field(description="The oldest schema version whose writers may still write")
    applied_at: Label = Field(description="When it was applied")


LEDGER = """CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY,
  entry_id TEXT NOT NULL,
  time TEXT NOT NULL,
  op TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  kind_version INTEGER NOT NULL,
  record_id TEXT NOT NULL,
  task_id TEXT,
  agent TEXT,
  session TEXT,
  writer_role TEXT NOT NULL,
  idempotency_key TEXT,
  request_hash TEXT,
  content TEXT,
  content_hash TEXT NOT NULL,
  leaf_hash TEXT NOT NULL,
  chain_hash TEXT NOT NULL
);
CREATE UNIQUE INDEX ledger_entry_id ON ledger (entry_id);
CREATE INDEX ledger_record_id ON ledger (record_id, seq);
CREATE INDEX ledger_task_id ON ledger (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX ledger_time ON ledger (time);
CREATE UNIQUE INDEX ledger_idempotency_key ON ledger (idempotency_key) WHERE idempotency_key IS NOT NULL;
"""

COUNTERS = """CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
);
"""

# Columns of every record's table besides its own fields: stored in the content ...
BASE_COLUMNS = {
    "id": "TEXT PRIMARY KEY",
    "is_test": "INTEGER NOT NULL",
    "created_at": "TEXT NOT NULL",
    "updated_at": "TEXT NOT NULL",
    "source_command": "TEXT NOT NULL",
    "retired_reason": "TEXT",
    "personal_data_json": "TEXT",
}
# ... and derived from content and ledger.
DERIVED_COLUMNS = {
    "content_hash": "TEXT NOT NULL",
    "current_revision_id": "TEXT NOT NULL",
    "created_seq": "INTEGER NOT NULL",
    "updated_seq": "INTEGER NOT NULL",
    "is_open": "INTEGER NOT NULL",
}
EXTRA_DERIVED = {
    "task": {"entry_count": "INTEGER NOT NULL"},
    "verification": {"is_blocking": "INTEGER NOT NULL"},
}


def hash_column(kind: str) -> str:
    """The column of the record's own hash: a source lock's content_hash is the hash of its source."""
    return "record_hash" if kind == "source_lock" else "content_hash"


def derived_columns(kind: str) -> dict[str, str]:
    """Name -> SQL type of the columns of a kind's table that are not in the content."""
    columns = {hash_column(kind) if name == "content_hash" else name: sql for name, sql in DERIVED_COLUMNS.items()}
    return columns | EXTRA_DERIVED.get(kind, {})


def is_open(content: Mapping[str, Any]) -> int:
    """1 unless the record's status is closed or it was retired."""
    return int(str(content["status"]).lower() not in CLOSED and content["retired_reason"] is None)


def project(
    kind: str,
    content: Mapping[str, Any],
    *,
    entry_id: str,
    content_hash: str,
    created_seq: int,
    updated_seq: int,
    entry_count: int = 0,
) -> dict[str, Any]:
    """The row of a record: its newest content and what follows from it and from the ledger."""
    row = dict(content)
    row[hash_column(kind)] = content_hash
    row["current_revision_id"] = entry_id
    row["created_seq"] = created_seq
    row["updated_seq"] = updated_seq
    row["is_open"] = is_open(content)
    if kind == "task":
        row["entry_count"] = entry_count
    elif kind == "verification":
        row["is_blocking"] = int(content["conclusion"] in BLOCKING and row["is_open"])
    return row


def content_of(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a row: what its newest ledger entry holds."""
    derived = derived_columns(kind)
    return {name: value for name, value in row.items() if name not in derived}


def counted(kind: str, row: Mapping[str, Any]) -> list[str]:
    """Names of the counters in which a row counts."""
    names = [f"{kind}.total", f"{kind}.added:{str(row['created_at'])[:10]}"]
    if row["is_open"]:
        names.append(f"{kind}.open")
        if kind == "task" and row["entry_count"] < 2:
            names.append("task.without_entries")
    if row.get("is_blocking"):
        names.append(f"{kind}.blocking")
    return names


def table_ddl(cls: type[Record]) -> str:
    """CREATE TABLE and its indexes for one record kind."""
    own = {spec.name: spec.column_type for spec in cls.specs if spec.stored}
    columns = {"id": BASE_COLUMNS["id"]} | own | BASE_COLUMNS | derived_columns(cls.record_kind)
    lines = ",\n".join(f'  "{name}" {sql}' for name, sql in columns.items())
    text = f"CREATE TABLE {cls.table} (\n{lines}\n);\n"
    text += f"CREATE INDEX {cls.table}_created ON {cls.table} (created_seq);\n"
    # Open records are read in this order at the start of every session.
    order = "priority_rank, created_seq" if "priority_rank" in own else "created_seq"
    if cls.is_work:
        text += f"CREATE INDEX {cls.table}_open ON {cls.table} (is_open, {order});\n"
    text += f"CREATE INDEX {cls.table}_test ON {cls.table} (is_test) WHERE is_test = 1;\n"
    if cls.record_kind == "verification":
        text += f"CREATE INDEX {cls.table}_blocking ON {cls.table} (created_seq) WHERE is_blocking = 1;\n"
        text += f"CREATE INDEX {cls.table}_added ON {cls.table} (created_at);\n"
    for spec in cls.specs:
        if spec.stored and (spec.index or spec.name == cls.task_column):
            text += f'CREATE INDEX {cls.table}_{spec.name} ON {cls.table} ("{spec.name}", created_seq);\n'
    for name, columns in cls.indexes.items():
        quoted = ", ".join(f'"{column}"' for column in columns)
        text += f"CREATE INDEX {cls.table}_{name} ON {cls.table} ({quoted});\n"
    return text


def ddl(classes: Iterable[type[Record]]) -> str:
    """The whole schema, in the order of the tables' names."""
    parts = [LEDGER, COUNTERS, *(table_ddl(cls) for cls in sorted(classes, key=lambda cls: cls.table))]
    return "-- Generated from the record kinds by support_scripts/generate.py. Do not edit.\n\n" + "\n".join(parts)


def snapshot() -> str:
    """The generated schema as it lies beside this file, without its comment line."""
    text = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
    return text.split("\n", 2)[2]
