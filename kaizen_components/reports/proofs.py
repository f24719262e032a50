"""Proofs: the report on proofs and verdicts, what Kaizen observed apart from what a writer asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .document import Document, Figure, tally
from .selection import Selection

if TYPE_CHECKING:
    from ..store import Store

SHOWN = (
    "id",
    "event_type",
    "basis",
    "conclusion",
    "summary",
    "severity",
    "scope_label",
    "actionability",
    "task_id",
    "proof_id",
    "status",
    "created_at",
)
LONG = (
    "title",
    "body",
    "evidence_json",
    "findings_json",
    "remedies_json",
    "artifact_ids_json",
    "exit_code",
    "duration_ms",
    "retired_reason",
)


def document(store: Store, selection: Selection) -> Document:
    """Proofs and verdicts, newest first."""
    where = {
        "task_id": selection.task_id,
        "scope_label": selection.scope,
        "severity": selection.severity,
        "actionability": selection.actionability,
    }
    given = {name: value for name, value in where.items() if value is not None}
    rows, matching = selection.rows(store, "verification", (*SHOWN, *LONG), given)
    figures = []
    for basis in ("observed", "asserted"):
        ids = [row["id"] for row in rows if row["basis"] == basis]
        figures.append(Figure(f"basis {basis}", len(ids), ids))
    return Document(
        report="proof",
        title="Proof report",
        columns=(*SHOWN, *LONG),
        table=SHOWN,
        rows=rows,
        figures=[*figures, *tally(rows, "conclusion", lambda row: row["conclusion"])],
        notes=["Observed: Kaizen ran the command itself. Asserted: its writer says so. Q7 --id shows one in full."],
        matching=matching,
    )
