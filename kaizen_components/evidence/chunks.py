"""Chunks: a document's pieces as records, with neighbours, heading and page; cut the same way twice, they are the same."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import denial
from ..hashing import sha256
from . import chunkers
from .chunkers import Chunker, Source, Span
from .extract import Block, joined
from .records import EvidenceChunk

if TYPE_CHECKING:
    from ..store import Row, Store

# A chunk holds at most so many words and characters, its heading so many.
WORDS, LENGTH = 1000, 8000
HEADING_WORDS, HEADING_LENGTH = 60, 600
# Records that are written before they are handed to the engine.
AT_ONCE = 2000
BLOCK_COLUMNS = ("block_type", "text", "tail", "start_index", "heading", "page")

WORD = re.compile(r"\S+")


class Cut(NamedTuple):
    """A chunk before it is a record: text[start:end] of the document, the headings above it, its page."""

    start: int
    end: int
    text: str
    tokens: int
    context: str | None
    page: int | None


def blocks(store: Store, document_id: str) -> list[Block]:
    """A document's blocks, in order. Raises DENIED_NO_BLOCKS where it has none."""
    rows = store.list("evidence_block", {"document_id": document_id}, order="block_index", columns=BLOCK_COLUMNS)
    if not rows:
        raise denial.NoBlocks(id=document_id)
    return [
        Block(row["block_type"], row["text"], row["tail"] or "", row["start_index"], row["heading"], row["page"]) for row in rows
    ]


# --- cutting: without the store, as long as it takes -----------------------------------------------


def cut(read: Sequence[Block], chunker: Chunker, *, origin: str = "") -> list[Cut]:
    """The chunks of some blocks: none begins or ends with white space, none overlaps another.

    `origin` is where the text was read from; the chunker of code learns the language by it. Raises DENIED_NO_BLOCKS
    where there is nothing but white space.
    """
    text = joined((block.text, block.tail) for block in read)
    starts = [block.start for block in read]
    found: list[Cut] = []
    paths = _paths(read)
    for start, end, tokens in _fitted(text, chunker.spans(Source(text, read, origin))):
        at = max(bisect_right(starts, start) - 1, 0)
        piece = text[start:end]
        found.append(Cut(start, end, piece, len(piece) // 4 if tokens is None else tokens, paths[at], read[at].page))
    if not found:
        raise denial.NoBlocks()
    return found


def _fitted(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Spans without the white space around them, in pieces that a record may hold."""
    for start, end, tokens in spans:
        first, last = _bare(text, start, end)
        while first < last:
            stop = _most(text, first, last)
            at, until = _bare(text, first, stop)
            yield Span(at, until, tokens if (at, until) == _bare(text, start, end) else None)
            first, last = _bare(text, stop, last)


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the white space around it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _most(text: str, start: int, end: int) -> int:
    """How far a record may reach that begins at `start`: so many characters, to the end of a word, and so many words."""
    stop = min(end, start + LENGTH)
    if stop < end and not text[stop].isspace() and not text[stop - 1].isspace():
        words = text[start:stop].rsplit(None, 1)
        stop -= len(words[1]) if len(words) == 2 else 0
    if stop - start > WORDS:
        beyond = next(islice(WORD.finditer(text, start, stop), WORDS, None), None)
        stop = beyond.start() if beyond else stop
    return stop


def _paths(read: Sequence[Block]) -> list[str | None]:
    """The heading path at each block: of a heading, with itself; where a reader says none, the last heading before."""
    paths: list[str | None] = []
    last: str | None = None
    for block in read:
        if block.type == "SectionHeader":
            own = block.text.strip().lstrip("#").strip()
            last = _shortened(f"{block.heading} > {own}" if block.heading else own) or last
            paths.append(last)
        else:
            paths.append(_shortened(block.heading) if block.heading else last)
    return paths


def _shortened(path: str) -> str | None:
    """A heading path on one line, of which the end says most."""
    words = path[-10 * HEADING_LENGTH :].split()[-HEADING_WORDS:]
    while len(words) > 1 and sum(map(len, words)) + len(words) > HEADING_LENGTH:
        words.pop(0)
    return " ".join(words)[-HEADING_LENGTH:].strip() or None


# --- writing: inside a unit of work ---------------------------------------------------------------


def write(store: Store, document: Row, *, chunker: str) -> dict[str, Any]:
    """Cut a document's blocks and write its chunks, in the unit of work under way: see put()."""
    made = chunkers.opened(chunker)
    cuts = cut(blocks(store, document["id"]), made, origin=document["origin_ref"])
    return put(store, document, cuts, chunker, made.made)


def in_use(store: Store, document: Row, chunker: str, made: str) -> bool:
    """Whether a document's chunks are those of this chunker, all of them."""
    if document["chunker"] != chunker or not document["chunk_count"]:
        return False
    here = {"document_id": document["id"], "status": "active"}
    count = store.count("evidence_chunk", {**here, "chunker": chunker, "backend": made})
    return count == document["chunk_count"] == store.count("evidence_chunk", here)


def put(store: Store, document: Row, cuts: Sequence[Cut], chunker: str, made: str) -> dict[str, Any]:
    """Make these the chunks of a document: {"chunk_count", "chunker"}, and "already" where they were.

    Chunks of another chunker become superseded; those that were superseded and are wanted again become active. `made`
    is what the chunker says of itself; with it, the document and the cut, the chunk's id is given.
    """
    document_id = document["id"]
    # The cutting took its time: the document is looked at again.
    document = store.get("evidence_document", document_id)
    answer: dict[str, Any] = {"chunk_count": len(cuts), "chunker": chunker}
    if in_use(store, document, chunker, made) and document["chunk_count"] == len(cuts):
        return {**answer, "already": True}
    columns = ("id", "chunk_index", "start_index", "end_index", "chunker", "backend", "status", *_NEIGHBOURS)
    rows: list[Row] = []
    if document["chunker"] is not None:
        rows = store.list("evidence_chunk", {"document_id": document_id}, order="chunk_index", columns=columns)
    written = {_key(row): row for row in rows if (row["chunker"], row["backend"]) == (chunker, made)}
    ids = _ids(store, document_id, cuts, made, written)
    kept = set(ids)
    aside = [row["id"] for row in rows if row["status"] == "active" and row["id"] not in kept]
    for chunk_id in store.revisable("evidence_chunk", aside):
        store.revise("evidence_chunk", chunk_id, {"status": "superseded"})
    changed: dict[str, dict[str, Any]] = {}
    for index, (chunk_id, piece) in enumerate(zip(ids, cuts, strict=True)):
        before = ids[index - 1] if index else None
        behind = ids[index + 1] if index + 1 < len(ids) else None
        known = written.get((index, piece.start, piece.end))
        if known is None:
            record = EvidenceChunk(
                text=piece.text,
                chunk_index=index,
                chunker=chunker,
                document_id=document_id,
                source_lock_id=document["source_lock_id"],
                start_index=piece.start,
                end_index=piece.end,
                token_count=piece.tokens,
                context=piece.context,
                backend=made,
                neighbor_prev_id=before,
                neighbor_next_id=behind,
                page=piece.page,
                status="active",
            )
            store.add(record, record_id=chunk_id)
        else:
            wanted = {"status": "active", "neighbor_prev_id": before, "neighbor_next_id": behind}
            changes = {name: value for name, value in wanted.items() if known[name] != value}
            if changes:
                changed[chunk_id] = changes
        _bound(store, index)
    for chunk_id in store.revisable("evidence_chunk", list(changed)):
        store.revise("evidence_chunk", chunk_id, changed[chunk_id])
    store.revise("evidence_document", document_id, {"chunk_count": len(cuts), "chunker": chunker})
    return answer


_NEIGHBOURS = ("neighbor_prev_id", "neighbor_next_id")


def _bound(store: Store, number: int) -> None:
    """Hand what is pending to the engine now and then, so that a long document does not fill the memory."""
    if number % AT_ONCE == AT_ONCE - 1:
        store.flush()


def _key(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["chunk_index"], row["start_index"], row["end_index"]


def _ids(
    store: Store, document_id: str, cuts: Sequence[Cut], made: str, written: Mapping[tuple[int, int, int], Row]
) -> list[str]:
    """An id for each cut: of the chunk that is there, or made from what it holds.

    Ids are short. One that was given before, in this second to another document's chunk or to one that was erased, is
    passed over for the next that follows from the same content.
    """
    stem = f"ec_{document_id.split('_')[1]}_"
    taken: set[str] = set()
    if len(written) < len(cuts):
        span = {"record_id": (">=", stem), "record_id#below": ("<", f"{stem}~")}
        taken = {row["record_id"] for row in store.list("ledger", span, order="record_id", columns=("record_id",))}
    found: list[str] = []
    for index, piece in enumerate(cuts):
        known = written.get((index, piece.start, piece.end))
        if known is not None:
            found.append(known["id"])
            continue
        said = f"{document_id}\0{made}\0{index}\0{piece.start}\0{piece.end}\0{sha256(piece.text)}"
        chunk_id, turn = stem + sha256(said)[:10], 0
        while chunk_id in taken:
            turn += 1
            chunk_id = stem + sha256(f"{said}\0{turn}")[:10]
        taken.add(chunk_id)
        found.append(chunk_id)
    return found
