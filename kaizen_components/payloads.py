"""Payloads: schemas of evidence, generative and gateway records, which have no table here."""

from typing import Annotated

from .fields import (
    Body,
    Count,
    Json,
    JsonList,
    Label,
    Phrase,
    Range,
    RawText,
    ShortTitle,
    Summary,
    Text,
    Vocabulary,
    Word,
    Words,
)
from .record import Field, Input

Unit = Annotated[float, Range(0, 1)]
Dict = Annotated[str, Json(dict)]
METHODS = ("native", "pdftext", "ocr", "llm", "manual")
CHUNKERS = ("token", "sentence", "recursive", "code", "semantic", "neural")


class EvidenceDocument(Input):
    """A document that was read into evidence."""

    origin_kind: Annotated[str, Vocabulary("file", "url", "text")] = Field(description="What it was read from")
    origin_ref: RawText = Field(description="Where it was read from")
    backend: Word = Field(description="What read it")
    summary: Summary = Field(description="One or two sentences")
    source_lock_id: RawText | None = Field(None, description="Its source lock")
    task_id: RawText | None = Field(None, description="The task it belongs to")
    media_type: RawText | None = Field(None, description="Its media type")
    backend_version: RawText | None = Field(None, description="Version of what read it")
    extraction_method: Annotated[str, Vocabulary(*METHODS)] | None = Field(None, description="How the text was got")
    extraction_confidence: Unit | None = Field(None, description="How sure that is, 0 to 1")
    block_count: Count | None = Field(None, description="Blocks")
    chunk_count: Count | None = Field(None, description="Chunks")


class EvidenceChunk(Input):
    """A piece of a document."""

    text: Text = Field(description="The text")
    chunk_index: Count = Field(description="Its place in the document")
    chunker: Annotated[str, Vocabulary(*CHUNKERS)] = Field(description="What cut it")
    document_id: RawText | None = Field(None, description="Its document")
    source_lock_id: RawText | None = Field(None, description="Its source lock")
    start_index: Count | None = Field(None, description="Where it starts, in characters")
    end_index: Count | None = Field(None, description="Where it ends, in characters")
    token_count: Count | None = Field(None, description="Tokens")
    context: Annotated[str, Words(60)] | None = Field(None, description="The heading it stands under")
    backend: Word | None = Field(None, description="What cut it")
    neighbor_prev_id: RawText | None = Field(None, description="The chunk before")
    neighbor_next_id: RawText | None = Field(None, description="The chunk after")


class ImprovementProposal(Input):
    """A proposal of the improvement lab."""

    contract: Label = Field(description="What is to be improved")
    title: ShortTitle = Field(description="Short title")
    summary: Summary = Field(description="One or two sentences")
    body: Body | None = Field(None, description="Details")
    metric: Label | None = Field(None, description="What is measured")
    baseline_score: Annotated[float, Range()] | None = Field(None, description="Score before")
    candidate_score: Annotated[float, Range()] | None = Field(None, description="Score after")


class PiiScan(Input):
    """What a scan for personal data found."""

    regex_hit_count: Count = Field(description="Hits by pattern")
    model_hit_count: Count = Field(description="Hits by model")
    summary: Summary = Field(description="One or two sentences")
    task_id: RawText | None = Field(None, description="The task it belongs to")
    trace_id: RawText | None = Field(None, description="The trace it belongs to")
    source_ref: Word | None = Field(None, description="What was scanned")
    hits: JsonList | None = Field(None, description="The hits")
    model: Label | None = Field(None, description="The model")
    provider: Label | None = Field(None, description="Who ran the model")


class GenerativeRun(Input):
    """A run of a generative workflow."""

    backend: Word = Field(description="What ran it")
    template: Label = Field(description="Name of the workflow")
    workflow_hash: RawText = Field(description="SHA-256 of the workflow's canonical JSON")
    status: Annotated[str, Vocabulary("queued", "running", "completed", "failed")] = Field(description="Where it stands")
    summary: Summary = Field(description="One or two sentences")
    task_id: RawText | None = Field(None, description="The task it belongs to")
    endpoint: RawText | None = Field(None, description="Where it ran")
    workflow_artifact_id: RawText | None = Field(None, description="The workflow's artifact")
    seed: Label | None = Field(None, description="The seed")
    models: JsonList | None = Field(None, description="The models")
    prompt_id: RawText | None = Field(None, description="Its id at the backend")
    output_artifact_ids: JsonList | None = Field(None, description="The outputs' artifacts")
    output_dir: RawText | None = Field(None, description="Where the outputs are")
    latency_ms: Count | None = Field(None, description="How long it took, in milliseconds")


class GenerativeRunRoute(Input):
    """The route a generative run took."""

    run_id: RawText = Field(description="The run")
    route: Annotated[str, Vocabulary("api", "mcp")] = Field(description="The route")
    runtime_profile: Phrase | None = Field(None, description="What it ran on")
    mcp_candidate: Word | None = Field(None, description="The MCP server")
    mcp_version: Word | None = Field(None, description="Its version")
    ab_pair_id: RawText | None = Field(None, description="The pair it belongs to")
    payload: Dict | None = Field(None, description="Whatever else")


class GatewayEvent(Input):
    """An event of a gateway."""

    event_type: Annotated[str, Vocabulary("comfyui_run")] = Field(description="What happened")
    status: Label = Field(description="How it ended")
    summary: Summary = Field(description="One or two sentences")
    body: Body | None = Field(None, description="Details")
    payload: Dict | None = Field(None, description="Whatever else")


SCHEMAS: dict[str, type[Input]] = {
    "evidence_chunk": EvidenceChunk,
    "evidence_document": EvidenceDocument,
    "gateway_event": GatewayEvent,
    "generative_run": GenerativeRun,
    "generative_run_route": GenerativeRunRoute,
    "improvement_proposal": ImprovementProposal,
    "pii_scan": PiiScan,
}
