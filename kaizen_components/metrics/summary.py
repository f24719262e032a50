"""Summary: what an agent's executions add up to, and which way they go. docs/METRICS.md states the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..store import Row, Store

FIELDS = ("execution_count", "success_rate", "avg_quality_score", "avg_execution_time_s", "last_execution", "trend")
TRENDS = ("success_rate", "quality_score")
# The newest so many records are compared with as many before them.
WINDOW = 10
# A smaller difference of two means is none.
STABLE = 0.05
_DIGITS = 6
_SUMMED = ("success", "quality_score", "execution_time_s")
_NEWEST = "timestamp DESC, created_seq DESC"


def of_agent(store: Store, agent: str) -> dict[str, Any]:
    """The summary of one agent, as summary.json has it; of an agent without executions it holds no numbers."""
    rows = store.totals("agent_execution", _SUMMED, by="agent", where={"agent": agent})
    return _summary(store, agent, rows[0] if rows else None)


def of_all(store: Store) -> dict[str, dict[str, Any]]:
    """Agent -> summary, by name."""
    rows = store.totals("agent_execution", _SUMMED, by="agent")
    return {row["agent"]: _summary(store, row["agent"], row) for row in rows}


def _summary(store: Store, agent: str, total: Row | None) -> dict[str, Any]:
    columns = ("timestamp", "success", "quality_score")
    newest = store.list("agent_execution", {"agent": agent}, order=_NEWEST, limit=2 * WINDOW, columns=columns) if total else []
    return {
        "execution_count": total["rows"] if total else 0,
        "success_rate": _mean(total, "success"),
        "avg_quality_score": _mean(total, "quality_score"),
        "avg_execution_time_s": _mean(total, "execution_time_s"),
        "last_execution": newest[0]["timestamp"] if newest else None,
        "trend": {
            "success_rate": trend([row["success"] for row in newest]),
            "quality_score": trend([row["quality_score"] for row in newest]),
        },
    }


def _mean(total: Row | None, name: str) -> float | None:
    """The mean over the rows that have a value, to six digits: engines add up in orders of their own."""
    if total is None or not total[f"count_{name}"]:
        return None
    return round(total[f"sum_{name}"] / total[f"count_{name}"], _DIGITS)


def trend(newest: Sequence[float | None]) -> str:
    """Which way values go, given newest first: the mean of the newest ten against the mean of the ten before them.
    up, down, stable (less than 0.05 apart, or nothing before them), unknown (no values)."""
    recent = [value for value in newest[:WINDOW] if value is not None]
    prior = [value for value in newest[WINDOW : 2 * WINDOW] if value is not None]
    if not recent:
        return "unknown"
    if not prior:
        return "stable"
    difference = round(sum(recent) / len(recent) - sum(prior) / len(prior), 9)
    if abs(difference) < STABLE:
        return "stable"
    return "up" if difference > 0 else "down"


def words(numbers: Mapping[str, Any]) -> list[str]:
    """A summary for a person, a phrase for each number that is there."""
    count, trends = numbers["execution_count"], numbers["trend"]
    if not count:
        return ["no executions are recorded"]
    said = [f"{count:,} execution{'' if count == 1 else 's'}, the last at {numbers['last_execution']}"]
    said.append(f"success {numbers['success_rate']:.0%} ({trends['success_rate']})")
    if numbers["avg_quality_score"] is not None:
        said.append(f"quality {numbers['avg_quality_score']:.2f} ({trends['quality_score']})")
    if numbers["avg_execution_time_s"] is not None:
        said.append(f"{numbers['avg_execution_time_s']:.4g} s on average")
    return said
