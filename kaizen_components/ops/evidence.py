"""Evidence: documents read from files and pages, kept with a lock on their source."""

from ..evidence.records import EvidenceBlock, EvidenceChunk, EvidenceDocument
from ..op import Result, op
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, listing

LISTED = ("id", "title", "origin_ref", "media_type", "block_count", "chunk_count", "chunker", "status", "created_at")
KINDS = {"document": EvidenceDocument, "block": EvidenceBlock, "chunk": EvidenceChunk}


@op(
    "E7",
    "evidence-list",
    input=listing(EvidenceDocument, query=False, filters=("origin_ref", "source_lock_id", "chunker")),
    keywords="documents sources show search find",
    example="--status drifted",
)
def evidence_list(window: Listing, store: Store) -> Result:
    """List the documents in evidence, newest first, or those that --query finds."""
    return lifecycle.queried(EvidenceDocument, LISTED, window, store)
