"""Traces: what agents did, and the scores it was given."""

import math
from collections.abc import Mapping
from typing import Any

from .. import denial
from ..fields import (
    Body,
    Count,
    EvalRunRef,
    JsonList,
    JsonObject,
    Label,
    Line,
    Phrase,
    Positive,
    ProofRef,
    RawText,
    Summary,
    TaskRef,
    TraceRef,
    Vocabulary,
    parse_json,
)
from ..op import Result, op
from ..record import Field, Input, Record, judge
from ..store import Store
from . import lifecycle
from .lifecycle import Annotated, Listing, Retirement, Target, listing, revision

KINDS = ("model_call", "tool_call", "evidence_read", "verifier", "subagent", "generative_run", "judge")
LEVELS = ("debug", "default", "warning", "error")
DATA_TYPES = ("numeric", "categorical", "boolean")
SOURCES = ("deterministic", "human", "model")
Kind = Annotated[str, Vocabulary(*KINDS)]

EVENTS = ("id", "kind", "name", "level", "status", "summary", "task_id", "trace_id", "total_tokens", "latency_ms", "created_at")
SCORES = (
    "id",
    "name",
    "data_type",
    "value_num",
    "value_label",
    "source",
    "comment",
    "trace_event_id",
    "eval_run_id",
    "verification_id",
    "status",
    "created_at",
)
EXAMPLE = "--id te_20260101000000_0123456789"


class TraceEvent(Record, kind="trace_event", table="trace_events", prefix="te"):
    """One step of an agent: a model call, a tool call, a read, a verdict."""

    redaction = denial.TraceRedaction
    refuses_personal = True

    kind: Kind = Field(index=True, description="What the step was")
    summary: Summary = Field(search=True, description="One or two sentences")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    trace_id: RawText | None = Field(None, index=True, description="The trace it belongs to, any text")
    parent_event_id: TraceRef | None = Field(None, description="The step it is part of")
    name: Phrase | None = Field(None, search=True, description="Name of the step, 40 words at most")
    level: Annotated[str, Vocabulary(*LEVELS)] = Field("default", description="How much it matters")
    environment: Label | None = Field(None, description="Where it ran, 20 words at most")
    session_id: RawText | None = Field(None, description="The session it belongs to")
    status: Label = Field("recorded", description="How it ended, 20 words at most")
    status_message: Line | None = Field(None, search=True, description="What was said of it, 200 words at most")
    model: Label | None = Field(None, description="The model that was called")
    provider: Label | None = Field(None, description="Who ran the model")
    prompt_tokens: Count | None = Field(None, description="Tokens in")
    completion_tokens: Count | None = Field(None, description="Tokens out")
    total_tokens: Count | None = Field(None, description="Tokens in all")
    cost: Positive | None = Field(None, description="What it cost")
    latency_ms: Count | None = Field(None, description="How long it took, in milliseconds")
    tags_json: JsonList | None = Field(None, key="tags", file=True, search=True, description="JSON list of tags")
    input_ref: RawText | None = Field(None, description="Where the input is, or its hash")
    output_ref: RawText | None = Field(None, description="Where the output is, or its hash")
    body: Body = Field("", search=True, description="Details, up to 1000 words")
    redaction_status: str = Field("scanned_clean", flagged=False, description="What the scan for secrets said")


class EvalScore(Record, kind="eval_score", table="eval_scores", prefix="es"):
    """A score: a number, a label, or yes and no, and who says so."""

    redaction = denial.TraceRedaction
    refuses_personal = True

    name: Phrase = Field(search=True, index=True, description="What is scored, 40 words at most")
    value: object = Field(stored=False, description="The value: a number, a text, or true and false")
    data_type: Annotated[str, Vocabulary(*DATA_TYPES)] = Field(description="What the value is")
    source: Annotated[str, Vocabulary(*SOURCES)] = Field(description="Who scores")
    trace_event_id: TraceRef | None = Field(None, index=True, description="The step that is scored")
    eval_run_id: EvalRunRef | None = Field(None, index=True, description="The eval run that is scored")
    verification_id: ProofRef | None = Field(None, description="The verification that is scored")
    comment: Line | None = Field(None, search=True, description="Why, 200 words at most")
    value_num: float | None = Field(None, flagged=False, description="The value as a number; booleans are 1 and 0")
    value_label: RawText | None = Field(None, flagged=False, description="The value as a text")


class TraceInput(Input):
    """A trace event: as a JSON payload, and a few fields as flags."""

    scanned = False
    payload_json: JsonObject | None = Field(
        None, file=True, file_wins=True, description="JSON object with the event's fields; Q8 --kind trace_event knows them"
    )
    kind: Kind | None = Field(None, description="What the step was")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    summary: Summary | None = Field(None, file=True, description="One or two sentences")
    body: Body | None = Field(None, file=True, description="Details, up to 1000 words")


class ScoreInput(Input):
    """A score as a JSON payload."""

    scanned = False
    payload_json: JsonObject = Field(
        file=True,
        file_wins=True,
        description="JSON object: name, value, data_type, source ...; Q8 --kind eval_score knows them",
    )


# --- trace events ---------------------------------------------------------------------------------


@op(
    "T1",
    "trace-add",
    writes=True,
    only_adds=True,
    keywords="step event model call tool call log",
    example='--kind tool_call --summary "Ran the linter." --payload-json \'{"latency_ms": 812}\'',
)
def trace_add(given: TraceInput, store: Store) -> Result:
    """Record a trace event from a JSON payload and flags; a flag wins over the payload."""
    values = parse_json(given.payload_json, "payload_json") if given.payload_json else {}
    flags = {"kind": given.kind, "task_id": given.task_id, "summary": given.summary, "body": given.body}
    values |= {name: value for name, value in flags.items() if value is not None}
    return lifecycle.written(store.add(judge(TraceEvent, values, from_json=True)))


@op(
    "T9",
    "trace-query",
    input=listing(TraceEvent, query=False, limit=50, filters=("kind", "level", "trace_id", "model")),
    keywords="steps events list search find",
    example="--kind model_call --limit 5",
)
def trace_query(window: Listing, store: Store) -> Result:
    """List trace events, newest first, or those that --query finds."""
    return lifecycle.queried(TraceEvent, EVENTS, window, store)


@op("T10", "trace-inspect", keywords="step event show read scores", example=EXAMPLE)
def trace_inspect(target: Target, store: Store) -> Result:
    """Show one trace event in full, with its scores."""
    result = lifecycle.inspected(TraceEvent, target, store)
    result["scores"] = store.list("eval_score", {"trace_event_id": target.id}, order="created_seq", columns=SCORES)
    return result


@op(
    "T11",
    "trace-update",
    writes=True,
    input=revision(TraceEvent),
    keywords="step event revise correct",
    example=f"{EXAMPLE} --level warning",
)
def trace_update(change: Input, store: Store) -> Result:
    """Revise a trace event."""
    return lifecycle.revised(TraceEvent, change, store)


@op("T12", "trace-retire", writes=True, keywords="step event score withdraw", example=f'{EXAMPLE} --reason "Recorded twice."')
def trace_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a trace event or a score, with the reason."""
    return lifecycle.retired(("trace_event", "eval_score"), retirement, store)


# --- scores ---------------------------------------------------------------------------------------


@op(
    "T2",
    "score-add",
    writes=True,
    only_adds=True,
    keywords="score grade rate judge metric",
    example='--payload-json \'{"name": "accuracy", "value": 0.93, "data_type": "numeric", "source": "deterministic"}\'',
)
def score_add(given: ScoreInput, store: Store) -> Result:
    """Record a score from a JSON payload."""
    score = judge(EvalScore, parse_json(given.payload_json, "payload_json"), from_json=True)
    score.value_num, score.value_label = score_value(score.value, score.data_type)
    return lifecycle.written(store.add(score))


def score_value(value: object, data_type: str) -> tuple[float | None, str | None]:
    """(number, label) of a value; DENIED_SCORE_VALUE where it does not fit its data type."""
    if data_type == "numeric" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value), None
    if data_type == "categorical" and isinstance(value, str) and value.strip():
        return None, value
    if data_type == "boolean":
        said = str(value).strip().lower() if isinstance(value, str | bool) or value in (0, 1) else ""
        if said in ("true", "1", "1.0"):
            return 1.0, "true"
        if said in ("false", "0", "0.0"):
            return 0.0, "false"
    raise denial.ScoreValue(field="value", value=str(value)[:80], data_type=data_type)


class ScoreWindow(listing(EvalScore, query=None, limit=50, filters=("data_type", "source", "verification_id"))):
    """Scores, by what they are of."""

    query: RawText | None = Field(None, description="Part of the score's name")
    trace_id: RawText | None = Field(None, description="Scores of this trace event")
    id: RawText | None = Field(None, description="Scores of this eval run")


@op("T4", "score-query", keywords="scores list mean aggregate metric", example='--query "accuracy"')
def score_query(window: ScoreWindow, store: Store) -> Result:
    """List scores, newest first, with aggregates over the ones returned."""
    where: dict[str, Any] = dict(window.where())
    where |= {"trace_event_id": window.trace_id} if window.trace_id else {}
    where |= {"eval_run_id": window.id} if window.id else {}
    where |= {"name": ("contains", window.query)} if window.query else {}
    limit, offset = window.window()
    records = store.list("eval_score", where, limit=limit, offset=offset, columns=SCORES)
    return Result(records=records, count=len(records), aggregates=aggregates(records))


def aggregates(records: list[dict[str, Any]]) -> Mapping[str, Any]:
    """count, numeric_count and, where there are numbers, their mean, min and max."""
    numbers = [record["value_num"] for record in records if record["value_num"] is not None]
    result: dict[str, Any] = {"count": len(records), "numeric_count": len(numbers)}
    if numbers:
        result |= {"mean": math.fsum(numbers) / len(numbers), "min": min(numbers), "max": max(numbers)}
    return result


@op("T13", "score-inspect", keywords="score show read", example="--id es_20260101000000_0123456789")
def score_inspect(target: Target, store: Store) -> Result:
    """Show one score in full."""
    return lifecycle.inspected(EvalScore, target, store)


class ScoreChange(revision(EvalScore, omit=("value", "data_type"))):
    """A further revision of a score."""

    value_text: RawText | None = Field(None, key="value", description="The value, of the score's data type")


@op("T14", "score-update", writes=True, keywords="score revise correct", example="--id es_20260101000000_0123456789 --value 0.91")
def score_update(change: ScoreChange, store: Store) -> Result:
    """Revise a score: its value, texts, links or status."""
    before = store.get("eval_score", change.id)
    values: dict[str, Any] = {}
    if change.value_text is not None:
        given: object = change.value_text
        if before["data_type"] == "numeric":
            try:
                given = float(change.value_text)
            except ValueError:
                given = change.value_text
        values["value_num"], values["value_label"] = score_value(given, before["data_type"])
    return lifecycle.revised(EvalScore, change, store, and_change=values)
