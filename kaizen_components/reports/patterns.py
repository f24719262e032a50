"""Patterns: the report on anti-patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .document import Document, tally
from .selection import Selection

if TYPE_CHECKING:
    from ..store import Store

SHOWN = ("id", "title", "summary", "scope", "status", "created_at")
LONG = (
    "symptom",
    "maintainability_harm",
    "trigger_evidence",
    "preferred_correction",
    "valid_exceptions",
    "verification",
    "retired_reason",
)


def document(store: Store, selection: Selection) -> Document:
    """Anti-patterns, newest first, each with how it shows and what to do instead."""
    where = {"scope": selection.scope} if selection.scope else {}
    rows, matching = selection.rows(store, "anti_pattern", (*SHOWN, *LONG), where)
    return Document(
        report="anti-pattern",
        title="Anti-pattern report",
        columns=(*SHOWN, *LONG),
        table=SHOWN,
        rows=rows,
        figures=tally(rows, "status", lambda row: row["status"]),
        matching=matching,
    )
