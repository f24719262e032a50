"""Generation records: runs, the routes they took, and the events of gateways."""

from typing import Annotated

from .. import denial
from ..fields import Body, Bytes, Count, JsonList, JsonObject, Label, Link, Phrase, RawText, Summary, TaskRef, Vocabulary, Word
from ..record import Field, Record

STATUSES = ("queued", "running", "completed", "failed")
ROUTES = ("api", "mcp")
# comfyui_run is written by the runs themselves; the others wait for routing and gateways.
EVENT_TYPES = ("comfyui_run", "identity", "route", "budget", "rate_limit", "failover", "tool_federation")

RunRef = Annotated[str, Bytes(1_000), Link("generative_run")]


class GenerativeRun(Record, kind="generative_run", table="generative_runs", prefix="gen"):
    """A run of a generative workflow."""

    redaction = denial.TraceRedaction
    refuses_personal = True

    backend: Word = Field(description="What ran it")
    template: Label = Field(search=True, index=True, description="Name of the workflow")
    workflow_hash: RawText = Field(index=True, description="SHA-256 of the workflow's canonical JSON")
    status: Annotated[str, Vocabulary(*STATUSES)] = Field(description="Where it stands")
    summary: Summary = Field(search=True, description="One or two sentences")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    endpoint: RawText | None = Field(None, description="Where it ran")
    workflow_artifact_id: RawText | None = Field(None, description="The workflow's artifact")
    seed: Label | None = Field(None, description="The seed")
    models_json: JsonList | None = Field(None, key="models", description="JSON list of the models")
    prompt_id: RawText | None = Field(None, description="Its id at the backend")
    output_artifact_ids_json: JsonList | None = Field(
        None, key="output_artifact_ids", description="JSON list of the outputs' artifacts"
    )
    output_dir: RawText | None = Field(None, description="Where the outputs are")
    latency_ms: Count | None = Field(None, description="How long it took, in milliseconds")
    dry_run: bool = Field(False, flagged=False, description="Recorded without a server")
    error: RawText | None = Field(None, flagged=False, search=True, description="Why it failed")
    replay_of: RunRef | None = Field(None, flagged=False, index=True, description="The run that it repeats")
    inputs_json: JsonList | None = Field(
        None, flagged=False, description="JSON list of the files that were uploaded: name, sha256, bytes"
    )
    outputs_json: JsonList | None = Field(
        None, flagged=False, description="JSON list of the outputs: path, sha256, bytes, node, type"
    )


class GenerativeRunRoute(Record, kind="generative_run_route", table="generative_run_routes", prefix="grr"):
    """The route that a generative run took."""

    run_id: RunRef = Field(index=True, description="The run")
    route: Annotated[str, Vocabulary(*ROUTES)] = Field(description="The route")
    runtime_profile: Phrase | None = Field(None, description="What it ran on")
    mcp_candidate: Word | None = Field(None, description="The MCP server")
    mcp_version: Word | None = Field(None, description="Its version")
    ab_pair_id: RawText | None = Field(None, index=True, description="The pair it belongs to")
    payload_json: JsonObject | None = Field(None, key="payload", description="JSON object with whatever else")


class GatewayEvent(Record, kind="gateway_event", table="agentgateway_events", prefix="age"):
    """What a gateway did: a run, who asked, which way it went, what it spent, what it refused."""

    redaction = denial.TraceRedaction
    refuses_personal = True

    event_type: Annotated[str, Vocabulary(*EVENT_TYPES)] = Field(index=True, description="What happened")
    status: Label = Field(description="How it ended")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    payload_json: JsonObject | None = Field(
        None, key="payload", file=True, search=True, description="JSON object with whatever else"
    )
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
