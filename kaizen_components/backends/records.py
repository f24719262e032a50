"""Backend records: scans for personal data, and the settings that a plane keeps."""

from .. import denial
from ..fields import Count, JsonList, Label, Phrase, RawText, Status, Summary, TaskRef, Word
from ..record import Field, Record


class PiiScan(Record, kind="pii_scan", table="pii_scan", prefix="pii"):
    """What a scan for personal data found: labels and hashes, never the data."""

    redaction = denial.TraceRedaction

    regex_hit_count: Count = Field(description="Hits by pattern")
    model_hit_count: Count = Field(description="Hits by model")
    summary: Summary = Field(search=True, description="One or two sentences")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    trace_id: RawText | None = Field(None, index=True, description="The trace it belongs to")
    source_ref: Word | None = Field(None, search=True, description="What was scanned, 10 words at most")
    hits_json: JsonList | None = Field(None, key="hits", description="JSON list of the hits: source, label, hash of the span")
    model: Label | None = Field(None, description="The model")
    provider: Label | None = Field(None, description="Who ran the model")


class Setting(Record, kind="setting", table="db_settings", prefix="set"):
    """A choice that holds for the whole plane, by name."""

    name: Phrase = Field(index=True, search=True, description="Name of the setting")
    value: RawText = Field(search=True, description="Its value")
    status: Status = Field("active", flagged=False, description="Where it stands")
