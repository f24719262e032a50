"""Sources: the report on source locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .document import Document, tally
from .selection import Selection

if TYPE_CHECKING:
    from ..store import Store

SHOWN = ("id", "source_id", "authority_tier", "url_or_repository", "version_or_commit", "summary", "status", "created_at")
LONG = ("retrieved_at", "content_hash", "license", "supersedes", "body", "retired_reason")


def document(store: Store, selection: Selection) -> Document:
    """Source locks, newest first. A source has no scope of its own: it belongs to the project."""
    elsewhere = selection.scope not in (None, "project")
    rows, matching = ([], 0) if elsewhere else selection.rows(store, "source_lock", (*SHOWN, *LONG), {})
    return Document(
        report="source",
        title="Source report",
        columns=(*SHOWN, *LONG),
        table=SHOWN,
        rows=rows,
        figures=tally(rows, "authority", lambda row: row["authority_tier"]),
        notes=["Source locks have no scope of their own; they belong to the scope project."] if selection.scope else [],
        matching=matching,
    )
