"""Executions: what was recorded of agents' runs, as records, as lines of executions.jsonl, and as a history to reckon with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..hashing import canonical, sha256

if TYPE_CHECKING:
    from ..store import Row, Store

# The fields of an execution, in the order of a line of executions.jsonl; those that hold JSON are kept as text in `<name>_json`.
REQUIRED = ("timestamp", "agent", "success")
RECOMMENDED = ("execution_time_s", "quality_score", "primary_metric")
OPTIONAL = ("session_id", "metadata", "helix_session_uid", "repo", "flavor", "tokens", "infra_overhead_share")
FIELDS = (*REQUIRED, *RECOMMENDED, *OPTIONAL)
JSON_FIELDS = ("primary_metric", "metadata")
COLUMNS = tuple(f"{name}_json" if name in JSON_FIELDS else name for name in FIELDS)
_ALL = ("id", *COLUMNS, "fingerprint", "origin", "task_id")


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of an agent. Times in UTC to the second (2026-01-01T00:00:00Z), durations in seconds, scores 0 to 1."""

    id: str
    agent: str
    timestamp: str
    success: bool
    execution_time_s: float | None
    quality_score: float | None
    # {"name": ..., "value": ..., "target": ...}; empty where there is none.
    primary_metric: dict[str, Any]
    session_id: str | None
    metadata: dict[str, Any]
    helix_session_uid: str | None
    repo: str | None
    flavor: str | None
    tokens: int | None
    infra_overhead_share: float | None
    fingerprint: str
    origin: str
    task_id: str | None


def history(store: Store, agent: str | None = None, since: str | None = None) -> list[Execution]:
    """Executions of an agent (None: of all), at or after a time written as theirs are; oldest first."""
    return list(each(store, agent, since))


def each(store: Store, agent: str | None = None, since: str | None = None) -> Iterator[Execution]:
    """As history(), one after the other."""
    where: dict[str, Any] = {} if agent is None else {"agent": agent}
    if since is not None:
        where["timestamp"] = (">=", since)
    for row in store.list("agent_execution", where, order="timestamp, created_seq", columns=_ALL):
        yield of_row(row)


def of_row(row: Row) -> Execution:
    """The execution that a row holds."""
    return Execution(
        id=row["id"],
        agent=row["agent"],
        timestamp=row["timestamp"],
        success=bool(row["success"]),
        execution_time_s=row["execution_time_s"],
        quality_score=row["quality_score"],
        primary_metric=_object(row["primary_metric_json"]),
        session_id=row["session_id"],
        metadata=_object(row["metadata_json"]),
        helix_session_uid=row["helix_session_uid"],
        repo=row["repo"],
        flavor=row["flavor"],
        tokens=row["tokens"],
        infra_overhead_share=row["infra_overhead_share"],
        fingerprint=row["fingerprint"],
        origin=row["origin"],
        task_id=row["task_id"],
    )


def _object(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text else {}


def line(row: Row) -> dict[str, Any]:
    """A row as executions.jsonl has it: the fields that have a value, in their order."""
    shown: dict[str, Any] = {}
    for name, column in zip(FIELDS, COLUMNS, strict=True):
        value = row[column]
        if value is not None:
            shown[name] = bool(value) if name == "success" else _object(value) if name in JSON_FIELDS else value
    return shown


def fingerprint(execution: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of an execution as line() gives it: what makes two of them the same."""
    return sha256(canonical({name: execution[name] for name in FIELDS if execution.get(name) is not None}))
