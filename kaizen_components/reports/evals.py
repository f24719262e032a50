"""Evals: the report on eval cases, with the runs of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .document import Document, tally
from .selection import Selection, children

if TYPE_CHECKING:
    from ..store import Store

CASE = (
    "id",
    "title",
    "summary",
    "category",
    "scope",
    "status",
    "fixture_path",
    "created_at",
    "body",
    "expected_json",
    "retired_reason",
)
RUN = ("id", "summary", "status", "created_at")
SHOWN = ("id", "title", "summary", "category", "scope", "status", "runs", "created_at")


def document(store: Store, selection: Selection) -> Document:
    """Eval cases, newest first, each with its runs."""
    where = {"scope": selection.scope} if selection.scope else {}
    rows, matching = selection.rows(store, "eval_case", CASE, where)
    runs = children(store, "eval_run", "eval_case_id", (row["id"] for row in rows), RUN)
    for row in rows:
        row["runs"] = [{name: run[name] for name in RUN} for run in runs.get(row["id"], ())]
    figures = tally(rows, "category", lambda row: row["category"])
    figures += tally((run for row in rows for run in row["runs"]), "runs", lambda run: run["status"])
    return Document(
        report="eval",
        title="Eval report",
        columns=(*CASE, "runs"),
        table=SHOWN,
        rows=rows,
        figures=figures,
        matching=matching,
    )
