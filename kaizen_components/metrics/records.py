"""Metrics records: executions of agents, their memory, events that go out, analyses and what they recommend, publications."""

from typing import Annotated

from ..fields import (
    Bytes,
    Count,
    Hash,
    JsonObject,
    Label,
    Link,
    Positive,
    Range,
    RawText,
    Status,
    TaskRef,
    Vocabulary,
    Word,
)
from ..record import Field, Record

RECORDED, IMPORTED = "recorded", "imported"
RECOMMENDATION_STATUSES = ("open", "accepted", "rejected", "done", "superseded")
PUBLICATION_STATUSES = ("started", "uploaded", "published")

Share = Annotated[float, Range(0, 1)]
AgentName = Annotated[str, Bytes(200)]
AnalysisRef = Annotated[str, Bytes(1_000), Link("metrics_analysis")]


class AgentExecution(Record, kind="agent_execution", table="agent_executions", prefix="ex"):
    """One execution of an agent: whether it succeeded, how long it took, how good it was."""

    is_work = False
    # A summary reads nothing else.
    indexes = {"series": ("agent", "timestamp", "created_seq", "success", "quality_score", "execution_time_s")}

    agent: AgentName = Field(index=True, search=True, description="Name of the agent")
    timestamp: Label = Field(flagged=False, index=True, description="When, in UTC to the second, such as 2026-01-01T00:00:00Z")
    success: bool = Field(flagged=False, description="Whether it succeeded")
    execution_time_s: Positive | None = Field(None, flagged=False, description="How long it took, in seconds")
    quality_score: Share | None = Field(None, flagged=False, description="How good it was, 0 to 1")
    primary_metric_json: JsonObject | None = Field(
        None, flagged=False, description='JSON object: {"name": "coverage", "value": 0.8, "target": 0.9}'
    )
    session_id: RawText | None = Field(None, index=True, description="The agent's own session")
    metadata_json: JsonObject | None = Field(None, flagged=False, search=True, description="JSON object with whatever else")
    helix_session_uid: RawText | None = Field(None, index=True, description="The session in the fleet, such as claude:ID")
    repo: RawText | None = Field(None, description="The repository")
    flavor: RawText | None = Field(None, description="Which variant of the agent")
    tokens: Count | None = Field(None, description="Tokens used")
    infra_overhead_share: Share | None = Field(None, description="Share of the work that went into infrastructure, 0 to 1")
    fingerprint: Hash = Field(flagged=False, index=True, description="SHA-256 of the execution's canonical JSON")
    origin: Annotated[str, Vocabulary(RECORDED, IMPORTED)] = Field(RECORDED, flagged=False, description="How it came here")
    task_id: TaskRef | None = Field(None, index=True, description="The task it belongs to")


class AgentMemory(Record, kind="agent_memory", table="agent_memories", prefix="mem"):
    """What an agent keeps in mind between sessions, as Markdown; the file beside it is its projection."""

    is_work = False

    agent: AgentName = Field(index=True, search=True, description="Name of the agent")
    text: RawText = Field(search=True, description="The memory, as Markdown")
    text_sha256: Hash = Field(flagged=False, description="SHA-256 of the text")
    status: Status = Field("active", flagged=False, description="Where it stands")


class OutboxEvent(Record, kind="outbox_event", table="outbox_events", prefix="oe"):
    """An event that goes out after what it tells of is committed: written in the same transaction, delivered after it."""

    is_work = False

    number: Count = Field(
        flagged=False, index=True, description="Its place in the order of events: that of its entry in the ledger"
    )
    type: Label = Field(flagged=False, index=True, description="Type: kaizen.metrics.recorded, kaizen.agent.installed")
    agent: AgentName | None = Field(None, index=True, description="The agent it is about")
    event_json: JsonObject = Field(flagged=False, description="The event as it is delivered")
    record_id: RawText | None = Field(None, flagged=False, description="The record it tells of")


class EventReceiver(Record, kind="event_receiver", table="event_receivers", prefix="rcv"):
    """Where events go, and how far it has got."""

    is_work = False

    name: Word = Field(index=True, search=True, description="Its name")
    transport: Annotated[str, Vocabulary("nats", "command", "file")] = Field(description="How it is reached")
    target: RawText = Field(description="URL, command line or path; secrets come from the environment")
    delivered: Count = Field(0, flagged=False, description="Number of the last event that it took")
    failures: Count = Field(0, flagged=False, description="Failures since the last success")
    last_error: RawText | None = Field(None, flagged=False, description="Why the last one failed")
    last_at: Label | None = Field(None, flagged=False, description="When it was last tried")
    status: Annotated[str, Vocabulary("active", "paused", "removed")] = Field(
        "active", flagged=False, description="Where it stands"
    )


class MetricsAnalysis(Record, kind="metrics_analysis", table="metrics_analyses", prefix="man"):
    """An analysis of executions: what changed, how sure that is, from which records."""

    is_work = False

    agent: AgentName | None = Field(None, index=True, description="The agent; none is all of them")
    fingerprint: Hash = Field(flagged=False, index=True, description="SHA-256 over the records that it rests on")
    executions: Count = Field(flagged=False, description="How many records it rests on")
    agents: Count = Field(flagged=False, description="How many agents")
    insufficient: Count = Field(0, flagged=False, description="Agents with too few records to say anything")
    analysis_blob: Hash = Field(flagged=False, description="SHA-256 of the analysis, kept among the blobs")
    status: Status = Field("done", flagged=False, description="Where it stands")


class Recommendation(Record, kind="recommendation", table="recommendations", prefix="rec"):
    """What an analysis recommends, and the records that it rests on."""

    is_work = False

    agent: AgentName = Field(flagged=False, index=True, search=True, description="The agent")
    analysis_id: AnalysisRef = Field(flagged=False, index=True, description="The analysis")
    rank: Count = Field(flagged=False, description="1 is the first to look at")
    category: Word = Field(flagged=False, index=True, description="What it is about")
    text: RawText = Field(flagged=False, search=True, description="What is recommended, in words")
    evidence_json: JsonObject = Field(flagged=False, description="JSON object: the numbers and the ids of the records")
    fingerprint: Hash = Field(flagged=False, index=True, description="SHA-256 of agent, category and evidence")
    status: Annotated[str, Vocabulary(*RECOMMENDATION_STATUSES)] = Field("open", description="Where it stands")


class Publication(Record, kind="publication", table="publications", prefix="pub"):
    """Files given to an artifact store under a manifest."""

    is_work = False

    analysis_id: AnalysisRef | None = Field(
        None, flagged=False, index=True, description="The analysis; none where another made it"
    )
    endpoint: RawText = Field(flagged=False, description="Where the store is, without credentials")
    manifest_json: JsonObject = Field(flagged=False, description="JSON object: files with size and sha256, retention class")
    manifest_sha256: Hash = Field(flagged=False, index=True, description="SHA-256 of the manifest's canonical JSON")
    retention_class: Word = Field(flagged=False, description="How long the store keeps it")
    package_id: RawText | None = Field(None, flagged=False, index=True, description="Its id in the store")
    kept_until: Label | None = Field(None, flagged=False, description="Until when the store was asked to keep it")
    kept_reason: RawText | None = Field(None, flagged=False, description="Why until then")
    error: RawText | None = Field(None, flagged=False, description="Why it is not published yet")
    status: Annotated[str, Vocabulary(*PUBLICATION_STATUSES)] = Field("started", flagged=False, description="Where it stands")
