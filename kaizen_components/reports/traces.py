"""Traces: the report on the steps of one task or trace, with their scores and what they cost."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from .document import Document, Figure, tally
from .selection import children

if TYPE_CHECKING:
    from ..store import Row, Store

SHOWN = (
    "id",
    "created_at",
    "kind",
    "name",
    "level",
    "status",
    "summary",
    "model",
    "total_tokens",
    "cost",
    "latency_ms",
    "scores",
)
LONG = (
    "task_id",
    "trace_id",
    "parent_event_id",
    "session_id",
    "environment",
    "provider",
    "prompt_tokens",
    "completion_tokens",
    "status_message",
    "tags_json",
    "input_ref",
    "output_ref",
    "body",
    "retired_reason",
)
SCORE = ("id", "name", "data_type", "value_num", "value_label", "source", "comment")


def document(store: Store, where: dict[str, Any], key: str) -> Document:
    """Trace events, oldest first, each with its scores."""
    columns = tuple(name for name in (*SHOWN, *LONG) if name != "scores")
    rows = store.list("trace_event", where, order="created_seq", columns=columns)
    scores = children(store, "eval_score", "trace_event_id", (row["id"] for row in rows), SCORE)
    for row in rows:
        row["scores"] = [{name: one[name] for name in SCORE} for one in scores.get(row["id"], ())]
    counted = [row["id"] for row in rows if tokens(row)]
    paid = [row["id"] for row in rows if row["cost"]]
    figures = [
        Figure("total tokens", total_tokens(rows), counted),
        Figure("total cost", total_cost(rows), paid),
        *tally(rows, "kind", lambda row: row["kind"]),
        *tally(rows, "level", lambda row: row["level"]),
    ]
    return Document(
        report="trace",
        title=f"Trace report {key}",
        columns=(*SHOWN, *LONG),
        table=SHOWN,
        rows=rows,
        figures=figures,
        matching=len(rows),
    )


def tokens(row: Row) -> int:
    """The tokens of a step: the total it names, else what went in and out."""
    if row["total_tokens"] is not None:
        return row["total_tokens"]
    return (row["prompt_tokens"] or 0) + (row["completion_tokens"] or 0)


def total_tokens(rows: list[Row]) -> int:
    """The tokens of all steps, never more than a JSON integer holds."""
    return min(sum(tokens(row) for row in rows), 2**53 - 1)


def total_cost(rows: list[Row]) -> float:
    """The cost of all steps."""
    try:
        return math.fsum(row["cost"] for row in rows if row["cost"] is not None)
    except OverflowError:
        return sys.float_info.max
