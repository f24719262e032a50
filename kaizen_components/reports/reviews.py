"""Reviews: the timeline of one IRL review: what was predicted, corrected and observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .document import Document, tally

if TYPE_CHECKING:
    from ..store import Store

SHOWN = ("id", "event_type", "created_at", "decision", "summary", "status")
LONG = ("title", "body", "retired_reason")


def review_of(store: Store, named: str) -> str:
    """The review that an id names: its own, or the one that an event of this id belongs to."""
    if store.list("irl_review", {"review_id": named}, limit=1, columns=("id",)):
        return named
    event = store.list("irl_review", {"id": named}, limit=1, columns=("review_id",))
    return event[0]["review_id"] if event else named


def document(store: Store, review_id: str) -> Document:
    """The events of a review, oldest first."""
    rows = store.list("irl_review", {"review_id": review_id}, order="created_seq", columns=(*SHOWN, *LONG))
    return Document(
        report="irl",
        title=f"IRL review {review_id}",
        columns=(*SHOWN, *LONG),
        table=SHOWN,
        rows=rows,
        figures=tally(rows, "events", lambda row: row["event_type"]),
        matching=len(rows),
    )
