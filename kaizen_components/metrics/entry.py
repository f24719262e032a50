"""Entry: one execution as it comes in, from flags, from JSON or from a line of a file, judged and completed."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from .. import clock, denial
from ..fields import Bytes, Count, JsonObject, Positive, RawText, Rule, TaskRef, parse_json, shorten
from ..hashing import canonical
from ..record import Field, Input, judge
from . import naming
from .executions import FIELDS, JSON_FIELDS, fingerprint
from .records import RECORDED, AgentExecution, AgentName, Share

# Variable -> field: what a host says of the session, where the execution does not say it itself.
VARIABLES = {
    "HELIX_SESSION_UID": "helix_session_uid",
    "HELIX_REPO": "repo",
    "HELIX_FLAVOR": "flavor",
    "HELIX_TOKENS": "tokens",
    "HELIX_INFRA_OVERHEAD_SHARE": "infra_overhead_share",
}
METRIC = ("name", "value", "target")
# Clocks of two machines differ; a day is more than any of them does.
AHEAD = timedelta(days=1)


class Second(Rule):
    """An ISO 8601 time, kept in UTC to the second: 2026-01-01T00:00:00Z."""

    def check(self, value: str, field: str) -> str:
        return second(moment(value, field))


class Entry(Input):
    """An execution of an agent, by the names that lines of executions.jsonl use."""

    timestamp: Annotated[str, Bytes(100), Second()] | None = Field(None, description="When: an ISO 8601 time; default: now")
    agent: AgentName = Field(description="Name of the agent")
    success: bool = Field(missing=denial.OutcomeRequired, description="Whether it succeeded")
    execution_time_s: Positive | None = Field(None, description="How long it took, in seconds")
    quality_score: Share | None = Field(None, description="How good it was, 0 to 1")
    primary_metric: JsonObject | None = Field(None, description='{"name": "coverage", "value": 0.8, "target": 0.9}')
    session_id: RawText | None = Field(None, description="The agent's own session")
    metadata: JsonObject | None = Field(None, description="Whatever else")
    helix_session_uid: RawText | None = Field(None, description="The session in the fleet, such as claude:ID")
    repo: RawText | None = Field(None, description="The repository")
    flavor: RawText | None = Field(None, description="Which variant of the agent")
    tokens: Count | None = Field(None, description="Tokens used")
    infra_overhead_share: Share | None = Field(None, description="Share of the work that went into infrastructure, 0 to 1")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")


def moment(text: str, field: str) -> datetime:
    """An ISO 8601 time in UTC; one without an offset is UTC."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise denial.SchemaFieldType(
            "Pass a time such as 2026-11-21T08:00:00Z.", field=field, value=shorten(text), expected="ISO 8601"
        ) from None


def second(at: datetime) -> str:
    """A time in UTC to the second, as executions have it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at.year > 999 else f"{at.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def from_environment() -> dict[str, Any]:
    """Field -> value of what the environment says of the session; DENIED_ENVIRONMENT_INVALID names a variable that is wrong."""
    found: dict[str, Any] = {}
    for variable, field in VARIABLES.items():
        text = os.environ.get(variable, "").strip()
        if text:
            found[field] = _typed(variable, field, text)
    return found


_CALLED = {int: "whole number", float: "number", str: "text"}


def _typed(variable: str, field: str, text: str) -> Any:
    spec = next(spec for spec in Entry.specs if spec.key == field)
    try:
        value: Any = spec.type(text)
        for rule in spec.rules:
            value = rule.check(value, field)
        return value
    except (ValueError, denial.Denial) as fault:
        reason = fault.message if isinstance(fault, denial.Denial) else f"it is no {_CALLED[spec.type]}"
        raise denial.EnvironmentInvalid(
            f"Set {variable} to a value that --{field.replace('_', '-')} takes, or unset it.",
            variable=variable,
            value=shorten(text),
            reason=reason,
        ) from None


def execution(values: Mapping[str, Any], *, from_json: bool = False, origin: str = RECORDED, position: int = 0) -> AgentExecution:
    """The record of an execution, from values by field. Where it has no time, it happened now, at this place in the ledger.

    A time that is finer than a second stands whole in the metadata as well.
    """
    given = judge(Entry, values, from_json=from_json)
    naming.checked(given.agent)
    whole = values.get("timestamp")
    if whole and moment(whole, "timestamp") > clock.moment(position) + AHEAD:
        raise denial.TimeAhead(field="timestamp", value=shorten(whole))
    metadata = parse_json(given.metadata, "metadata") if given.metadata else {}
    if whole and moment(whole, "timestamp").microsecond and "timestamp" not in metadata:
        metadata["timestamp"] = whole
    metric = parse_json(given.primary_metric, "primary_metric") if given.primary_metric else None
    held = {"primary_metric": metric, "metadata": metadata}
    made: dict[str, Any] = {name: getattr(given, name) for name in FIELDS if name not in JSON_FIELDS}
    made["timestamp"] = given.timestamp or second(clock.moment(position))
    try:
        texts: dict[str, Any] = {f"{name}_json": canonical(value) if value else None for name, value in held.items()}
        mark = fingerprint({**made, **{name: value or None for name, value in held.items()}})
    except ValueError as fault:
        # A number that canonical JSON does not have: an integer over 2^53.
        raise denial.JsonInvalid("Write such a number as a text.", field="metadata", reason=str(fault)) from None
    return AgentExecution(
        **made,
        **texts,
        fingerprint=mark,
        origin=origin,
        task_id=given.task_id,
    )


def refuse_metric(metric: Any, field: str = "primary_metric") -> None:
    """Refuse a primary metric that is not {name, value, target}: a text, a number, and a number or none."""
    metric = parse_json(metric, field) if isinstance(metric, str) else metric
    if not isinstance(metric, dict):
        raise denial.PayloadType(field=field, expected="a JSON object")
    unknown = [name for name in metric if name not in METRIC]
    if unknown:
        raise denial.SchemaUnknownFields(fields=[f"{field}.{name}" for name in unknown], allowed=list(METRIC))
    if not isinstance(metric.get("name"), str) or not metric["name"]:
        raise denial.SchemaFieldType(field=f"{field}.name", expected="a text")
    for name in ("value", "target"):
        value = metric.get(name)
        if (name == "value" or value is not None) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise denial.SchemaFieldType(field=f"{field}.{name}", expected="a number")


def of_line(text: str, agent: str) -> AgentExecution:
    """The execution in a line of an agent's executions.jsonl, written by whomever.

    Where the line names no agent it is that of the folder. Fields that executions do not have are kept in the metadata.
    """
    found = parse_json(text, "line")
    if not isinstance(found, dict):
        raise denial.PayloadType(message="The line is no JSON object.", field="line")
    values: dict[str, Any] = {name: value for name, value in found.items() if name in FIELDS and value is not None}
    values.setdefault("agent", agent)
    if "timestamp" not in values:
        # It would get the time of the import, and a further import another.
        raise denial.SchemaRequired("Give it the time when it happened.", field="timestamp", fields=["timestamp"])
    more = {name: value for name, value in found.items() if name not in FIELDS}
    if more:
        metadata = values.get("metadata") or {}
        if not isinstance(metadata, dict) or set(more) & set(metadata):
            raise denial.PayloadType(message="A field of the line stands in its metadata as well.", field="metadata")
        values["metadata"] = {**metadata, **more}
    for name in JSON_FIELDS:
        if isinstance(values.get(name), str):
            raise denial.PayloadType(field=name, expected="a JSON object")
    return execution(values, from_json=True, origin="imported")
