"""Lessons: the report on LEARNING, with the GOTCHA each came from and the LEARNED it became."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .document import Document, Figure, tally
from .selection import Selection, children

if TYPE_CHECKING:
    from ..store import Store

LEARNING = (
    "id",
    "title",
    "summary",
    "body",
    "scope",
    "status",
    "source_gotcha_id",
    "source_task_id",
    "created_at",
    "retired_reason",
)
LEARNED = ("id", "title", "summary", "status", "created_at")
SHOWN = ("id", "title", "summary", "scope", "status", "source_gotcha_id", "learned", "created_at")


def document(store: Store, selection: Selection) -> Document:
    """LEARNING, each with the LEARNED that it was promoted to."""
    where = {"scope": selection.scope, "source_task_id": selection.task_id}
    rows, matching = selection.rows(store, "learning", LEARNING, {name: value for name, value in where.items() if value})
    learned = children(store, "learned", "source_learning_id", (row["id"] for row in rows), LEARNED)
    for row in rows:
        row["learned"] = [{name: one[name] for name in LEARNED} for one in learned.get(row["id"], ())]
    settled = [one["id"] for row in rows for one in row["learned"]]
    return Document(
        report="learning",
        title="Learning report",
        columns=(*LEARNING, "learned"),
        table=SHOWN,
        rows=rows,
        figures=[*tally(rows, "status", lambda row: row["status"]), Figure("learned", len(settled), settled)],
        matching=matching,
    )
