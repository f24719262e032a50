"""Todos: what a run, or a session without one, means to do. The list as it stands is one record; its history is the ledger's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import events, records

if TYPE_CHECKING:
    from ..store import Row, Store

STATUSES = ("pending", "in_progress", "completed")


def of(store: Store, run_id: str | None, session: str | None = None) -> str | None:
    """The list of a run, or of a session (None: of none), as JSON text; None where there is none."""
    row = _row(store, run_id, session)
    return row["todos_json"] if row else None


def put(store: Store, todos: Sequence[dict[str, Any]], *, run_id: str | None = None, session: str | None = None) -> Row:
    """Put a list in the place of the one before; its row. In a unit of work; secrets in it are masked."""
    text = json.dumps(events.shown(list(todos))[0], ensure_ascii=False)
    before = _row(store, run_id, session)
    if before is not None:
        return store.revise("todo_list", before["id"], {"todos_json": text})
    said: dict[str, Any] = {"todos_json": text, "run_id": run_id, "session": None if run_id else session}
    return store.add(records.TodoList(**said))


def _row(store: Store, run_id: str | None, session: str | None) -> Row | None:
    where: dict[str, Any] = {"run_id": run_id, "session": None if run_id else session, "is_open": 1}
    found = store.list("todo_list", where, limit=1)
    return found[0] if found else None
