"""Correlation: what a fleet's store says of a session, beside what is recorded here of the same session."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import denial
from ..redaction import mask
from ..store import Row, Store

VARIABLE = "HELIX_STORE_DB"
TABLE = "digests"
# Columns that name a session, the likeliest first; others that end so are looked at as well.
NAMES = ("session_uid", "helix_session_uid", "uid", "session_id", "id")
MOST = 20
_LONGEST = 200_000


def database() -> Path:
    """The file that HELIX_STORE_DB names. DENIED_CORRELATION_UNSET, DENIED_FILE_NOT_FOUND."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        raise denial.CorrelationUnset(variable=VARIABLE)
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser() raises for a ~ of nobody
    if not path.is_file():
        raise denial.FileNotFound(f"Set {VARIABLE} to the SQLite file of the fleet's store.", path=text, variable=VARIABLE)
    return path


def digests(path: Path, uid: str) -> list[dict[str, Any]]:
    """The digests of a session, oldest first, JSON columns parsed and secrets masked. The file is opened for reading alone.

    Raises DENIED_DIGEST_UNREADABLE, DENIED_DIGEST_TABLE_MISSING, DENIED_DIGEST_NOT_FOUND.
    """
    import sqlite3

    connection = None
    try:
        connection = _opened(path)
        connection.row_factory = sqlite3.Row
        columns = [row["name"] for row in connection.execute(f"PRAGMA table_info({TABLE})")]
        if not columns:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            raise denial.DigestTableMissing(path=str(path), table=TABLE, tables=tables[:MOST])
        found = _find(connection, columns, uid)
    except sqlite3.DatabaseError as fault:
        raise denial.DigestUnreadable(path=str(path), reason=str(fault)) from None
    finally:
        if connection is not None:
            connection.close()
    if not found:
        raise denial.DigestNotFound(uid=uid, path=str(path), columns=_naming(columns))
    return [{name: _shown(row[name]) for name in row.keys()} for row in found]  # noqa: SIM118 - rows are no mappings


def _opened(path: Path) -> Any:
    """The file, read-only, as its writers have committed it. One in WAL mode that nobody has open is read as it lies: SQLite
    would make files beside it otherwise."""
    import sqlite3
    from urllib.parse import quote

    try:
        with path.open("rb") as file:
            in_wal_mode = file.read(20)[18:19] == b"\x02"
    except OSError as fault:
        raise denial.DigestUnreadable(path=str(path), reason=fault.strerror or str(fault)) from None
    alone = in_wal_mode and not path.with_name(path.name + "-wal").exists()
    mode = "mode=ro&immutable=1" if alone else "mode=ro"
    connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=5.0)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _naming(columns: Iterable[str]) -> list[str]:
    """The columns that may name a session."""
    columns = list(columns)
    known = [name for name in NAMES if name in columns]
    return known + [name for name in columns if name not in known and name.lower().endswith(("_uid", "session"))]


def _find(connection: Any, columns: list[str], uid: str) -> list[Any]:
    """The rows of the first column that has the session."""
    for name in _naming(columns):
        quoted = '"' + name.replace('"', '""') + '"'
        found = connection.execute(f"SELECT * FROM {TABLE} WHERE {quoted} = ? ORDER BY rowid LIMIT {MOST}", (uid,)).fetchall()
        if found:
            return found
    return []


def _shown(value: Any) -> Any:
    """A value for an answer: JSON as what it says, bytes as their size, secrets masked."""
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if not isinstance(value, str):
        return value
    text = value[:_LONGEST]
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _masked(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return mask(text)[0]


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)[0]
    if isinstance(value, dict):
        return {mask(str(name))[0]: _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


# --- what is recorded here ------------------------------------------------------------------------

EXECUTION = ("id", "agent", "timestamp", "success", "quality_score", "execution_time_s", "tokens", "task_id")
TRACE = ("id", "kind", "summary", "status", "created_at", "task_id")
RUN = ("id", "status", "summary", "created_at", "task_id")
TASK = ("id", "title", "status")


def here(store: Store, uid: str) -> dict[str, list[Row]]:
    """What is recorded of a session, each newest first and at most 20: executions and traces that name it, runs and tasks that were
    written in it (KAIZEN_SESSION), and the tasks of all of those. Its name is `claude:ID` or the ID alone."""
    names = list(dict.fromkeys([uid, uid.partition(":")[2] or uid]))
    executions = _merged(
        store.list("agent_execution", {column: ("in", names)}, limit=MOST, columns=EXECUTION)
        for column in ("helix_session_uid", "session_id")
    )
    traces = store.list("trace_event", {"session_id": ("in", names)}, limit=MOST, columns=TRACE)
    written = store.list(
        "ledger",
        {"session": ("in", names), "kind": ("in", ["agent_run", "task"]), "action": "add"},
        order="seq DESC",
        limit=2 * MOST,
        columns=("kind", "record_id"),
    )
    run_ids = [row["record_id"] for row in written if row["kind"] == "agent_run"]
    runs = store.list("agent_run", {"id": ("in", run_ids)}, limit=MOST, columns=RUN) if run_ids else []
    named = [row["task_id"] for row in (*executions, *traces, *runs) if row["task_id"]]
    task_ids = list(dict.fromkeys([*named, *(row["record_id"] for row in written if row["kind"] == "task")]))
    tasks = store.list("task", {"id": ("in", task_ids)}, limit=MOST, columns=TASK) if task_ids else []
    return {"executions": executions, "traces": traces, "runs": runs, "tasks": tasks}


def _merged(lists: Iterable[list[Row]]) -> list[Row]:
    rows = {row["id"]: row for rows in lists for row in rows}
    return sorted(rows.values(), key=lambda row: row["timestamp"], reverse=True)[:MOST]
