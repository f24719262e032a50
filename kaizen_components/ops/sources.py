"""Sources: locks on outside material, so that a claim can be traced to what was read."""

import json

from .. import clock, denial
from ..fields import Body, Hash, Label, Phrase, RawText, Ref, Status, Summary, Vocabulary, Word
from ..hashing import sha256
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store, files
from . import lifecycle
from .lifecycle import Annotated, Listing, Retirement, Target, listing, revision

TIERS = ("normative", "official_docs", "implementation", "design_guidance")
LISTED = ("id", "source_id", "authority_tier", "url_or_repository", "version_or_commit", "summary", "status", "created_at")
EXAMPLE = "--id s_20260101000000_0123456789"


class SourceLock(Record, kind="source_lock", table="source_locks", prefix="s"):
    """An outside source as it was read: where, which version, which bytes."""

    missing = denial.RequiredFields

    source_id: Phrase = Field(search=True, index=True, description="Name of the source, 40 words at most")
    authority_tier: Annotated[str, Vocabulary(*TIERS)] = Field(description="How much it counts")
    url_or_repository: RawText = Field(search=True, description="Where it is")
    summary: Summary = Field(file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    version_or_commit: RawText | None = Field(None, description="Version, tag or commit that was read")
    retrieved_at: Label | None = Field(None, description="When it was read")
    content_hash: Hash | None = Field(None, description="Hash of the source's content")
    license: Word | None = Field(None, description="Its license, 10 words at most")
    supersedes: Ref | None = Field(None, description="The source lock that this one replaces")
    status: Status = Field("active", flagged=False, description="Where it stands")


@op(
    "S1",
    "source-add",
    writes=True,
    keywords="reference provenance citation lock url",
    example='--source-id rfc8785 --authority-tier normative --url-or-repository https://www.rfc-editor.org/rfc/rfc8785 --summary "JSON canonicalization."',
)
def source_add(source: SourceLock, store: Store) -> Result:
    """Record a source lock: the provenance of an outside source."""
    return lifecycle.written(store.add(source), source_id=source.source_id)


@op(
    "S2",
    "source-query",
    input=listing(SourceLock, query=False, filters=("authority_tier", "source_id")),
    keywords="references search find list",
    example='--query "canonicalization"',
)
def source_query(window: Listing, store: Store) -> Result:
    """List source locks, newest first, or those that --query finds."""
    return lifecycle.queried(SourceLock, LISTED, window, store)


@op("S3", "source-inspect", keywords="reference show read", example=EXAMPLE)
def source_inspect(target: Target, store: Store) -> Result:
    """Show one source lock in full."""
    return lifecycle.inspected(SourceLock, target, store)


@op("S4", "source-export", keywords="references export json lock file", example="")
def source_export(store: Store) -> Result:
    """Export all source locks to AI/db/exports/sources.lock.json."""
    sources = sorted(store.list("source_lock", order="created_seq"), key=lambda row: (row["source_id"], row["created_seq"]))
    text = json.dumps({"generated_at": clock.now(store.head()[0]), "sources": sources}, indent=2, ensure_ascii=False) + "\n"
    path = store.plane.exports / "sources.lock.json"
    files.write_whole(path, text)
    return Result(path=store.plane.relative(path), count=len(sources), sha256=sha256(text))


@op(
    "S5",
    "source-update",
    writes=True,
    input=revision(SourceLock),
    keywords="reference revise correct",
    example=f'{EXAMPLE} --license "CC BY 4.0"',
)
def source_update(change: Input, store: Store) -> Result:
    """Revise a source lock."""
    return lifecycle.revised(SourceLock, change, store)


@op(
    "S6",
    "source-retire",
    writes=True,
    keywords="reference withdraw obsolete",
    example=f'{EXAMPLE} --reason "Withdrawn by its authors."',
)
def source_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a source lock, with the reason."""
    return lifecycle.retired(("source_lock",), retirement, store)
