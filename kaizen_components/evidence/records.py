"""Evidence records: documents, the blocks they were read as, the chunks they are searched by."""

from typing import Annotated

from ..fields import (
    Bytes,
    Count,
    Hash,
    JsonList,
    Label,
    Link,
    Range,
    RawText,
    SourceRef,
    Status,
    Summary,
    TaskRef,
    Text,
    Vocabulary,
    Word,
    Words,
)
from ..record import Field, Record

ORIGINS = ("file", "url", "text")
METHODS = ("native", "pdftext", "ocr", "llm", "manual")
CHUNKERS = ("token", "sentence", "recursive", "code", "semantic", "neural")
BLOCK_TYPES = ("SectionHeader", "Text", "Code", "Table", "ListItem")

Unit = Annotated[float, Range(0, 1)]
DocumentRef = Annotated[str, Bytes(1_000), Link("evidence_document")]
Context = Annotated[str, Bytes(20_000), Words(60)]


class EvidenceDocument(Record, kind="evidence_document", table="evidence_documents", prefix="ed"):
    """A document that was read into evidence.

    Its text is what the blocks hold, in order, each with what stands behind it; offsets count characters of that text.
    """

    # What is said of a document is made from the document: observed, and masked before it comes here.
    scanned = False

    origin_kind: Annotated[str, Vocabulary(*ORIGINS)] = Field(description="What it was read from")
    origin_ref: RawText = Field(index=True, search=True, description="Where it was read from")
    backend: Word = Field(description="What read it")
    summary: Summary = Field(search=True, description="One or two sentences")
    source_lock_id: SourceRef | None = Field(None, index=True, description="Its source lock")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    media_type: RawText | None = Field(None, description="Its media type")
    backend_version: RawText | None = Field(None, description="Version of what read it")
    extraction_method: Annotated[str, Vocabulary(*METHODS)] | None = Field(None, description="How the text was got")
    extraction_confidence: Unit | None = Field(None, description="How sure that is, 0 to 1")
    block_count: Count | None = Field(None, description="Blocks")
    chunk_count: Count | None = Field(None, description="Chunks of the chunker in use")
    title: RawText | None = Field(None, flagged=False, search=True, description="Its title, or its first heading")
    sha256: Hash | None = Field(None, flagged=False, index=True, description="SHA-256 of the source's bytes")
    text_sha256: Hash | None = Field(None, flagged=False, description="SHA-256 of the text, secrets masked")
    text_length: Count | None = Field(None, flagged=False, description="Characters of the text")
    masked_json: JsonList | None = Field(None, flagged=False, description="JSON list of masked spans: kind, start, end")
    chunker: Label | None = Field(None, flagged=False, description="The chunker whose chunks are in use")
    checked_at: Label | None = Field(None, flagged=False, description="When it was last compared with its source")
    status: Status = Field("active", flagged=False, description="active, or drifted where the source is another now")


class EvidenceBlock(Record, kind="evidence_block", table="evidence_blocks", prefix="eb"):
    """A piece of a document as it was read: a heading, a paragraph, a table."""

    scanned = False
    is_work = False

    document_id: DocumentRef = Field(index=True, description="Its document")
    block_index: Count = Field(description="Its place in the document, from 0")
    block_type: Annotated[str, Vocabulary(*BLOCK_TYPES)] = Field(description="What it is")
    text: Annotated[str, Bytes(4_000_000)] = Field(description="The text")
    tail: RawText = Field("", flagged=False, description="What stands between it and the next block")
    start_index: Count = Field(description="Where it starts, in characters")
    end_index: Count = Field(description="Where it ends, in characters")
    heading: Context | None = Field(None, description="The headings it stands under, > between them")
    page: Count | None = Field(None, description="Its page, from 1, or its sheet")
    extraction_method: Annotated[str, Vocabulary(*METHODS)] = Field("native", description="How the text was got")
    extraction_confidence: Unit = Field(1.0, description="How sure that is, 0 to 1")


class EvidenceChunk(Record, kind="evidence_chunk", table="evidence_chunks", prefix="ec"):
    """A piece of a document's text as it is searched and cited; its id follows from what it holds."""

    scanned = False
    is_work = False

    text: Text = Field(search=True, description="The text: the document's, from start_index to end_index")
    chunk_index: Count = Field(description="Its place in the document, from 0")
    chunker: Annotated[str, Vocabulary(*CHUNKERS)] = Field(description="What cut it")
    document_id: DocumentRef | None = Field(None, index=True, description="Its document")
    source_lock_id: SourceRef | None = Field(None, description="Its source lock")
    start_index: Count | None = Field(None, description="Where it starts, in characters")
    end_index: Count | None = Field(None, description="Where it ends, in characters")
    token_count: Count | None = Field(None, description="Tokens")
    context: Context | None = Field(None, search=True, description="The headings it stands under")
    backend: Word | None = Field(None, description="What cut it")
    neighbor_prev_id: RawText | None = Field(None, description="The chunk before")
    neighbor_next_id: RawText | None = Field(None, description="The chunk after")
    page: Count | None = Field(None, flagged=False, description="The page it starts on")
    status: Status = Field("active", flagged=False, description="active; superseded where other chunks are in use")
