"""Chunks: documents cut into pieces, and looked at again: do they still say what was read?"""

import textwrap
from dataclasses import replace
from typing import Any

from .. import clock, denial
from ..evidence import chunkers, chunks, citations
from ..fields import RawText, TaskRef
from ..op import Result, op
from ..output import many
from ..record import Field, Input
from ..store import Row, Store
from .lifecycle import Listing

EXAMPLE = "--id ed_20260101000000_0123456789"
PREFIXES = {"document": "evidence_document", "block": "evidence_block", "chunk": "evidence_chunk"}
# Of a document that drifted, so many ids are shown; so many documents are looked into.
SAMPLE, LOOKED_INTO = 20, 100
DOCUMENT = ("id", "title", "origin_kind", "origin_ref", "media_type", "status", "chunker", "chunk_count")
LOCK = ("id", "source_id", "authority_tier", "url_or_repository", "version_or_commit", "license", "retrieved_at", "status")
CHECKED = ("id", "origin_kind", "origin_ref", "sha256", "status", "source_lock_id", "chunk_count")


class Chunking(Input):
    """Which document is cut, and how."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the document")
    chunker: RawText = Field("recursive", description="How it is cut: " + ", ".join(chunkers.CHUNKERS))
    task_id: TaskRef | None = Field(None, description="The task it is done for; a document of no task becomes one of it")


@op(
    "E3",
    "evidence-chunk",
    writes=True,
    manages_store=True,
    keywords="cut split pieces passages document embed recursive sentence token code semantic",
    example=EXAMPLE,
)
def evidence_chunk(wanted: Chunking, store: Store) -> Result:
    """Cut a document's text into chunks, which are searched and cited.

    Chunks cut the text exactly and never overlap. recursive (the default) makes pieces of at most 1,024 characters that
    end where a section, a paragraph, a sentence or a word ends. token, sentence, semantic and neural are chonkie's; code
    ends pieces where functions and classes end. Cutting the same way again changes nothing; cutting another way puts the
    former chunks aside, and going back takes them up again. Where an embedding backend is configured, vectors are made.
    """
    cutter = chunkers.opened(wanted.chunker)
    found = store.perform(store.call, lambda: _to_cut(wanted, cutter, store))
    if found.get("replayed"):
        result = found
    elif found["already"]:
        kept = {"document_id": wanted.id, "chunk_count": found["document"]["chunk_count"], "chunker": wanted.chunker}
        result = Result(**kept, embedded=0, embedding_model=None, already=True)
    else:
        document = found["document"]
        cuts = chunks.cut(found["blocks"], cutter, origin=document["origin_ref"])
        result = store.perform(store.call, lambda: _put(wanted, document, cuts, cutter, store))
    # Vectors are made outside of the unit, and again where an earlier call was ended before it made them.
    result.update(_embedded(wanted, store))
    return result


def _to_cut(wanted: Chunking, cutter: chunkers.Chunker, store: Store) -> Result:
    """The document, and its blocks where they are to be cut."""
    store.refuse_early()
    document = store.get("evidence_document", wanted.id)
    if wanted.task_id is not None:
        store.check_link(wanted.task_id, "task", "task_id")
    new_task = wanted.task_id is not None and document["task_id"] is None
    if not new_task and chunks.in_use(store, document, wanted.chunker, cutter.made):
        return Result(document=document, already=True)
    return Result(document=document, already=False, blocks=chunks.blocks(store, wanted.id))


def _put(wanted: Chunking, document: Row, cuts: list[chunks.Cut], cutter: chunkers.Chunker, store: Store) -> Result:
    if wanted.task_id is not None and document["task_id"] is None:
        document = store.revise("evidence_document", wanted.id, {"task_id": wanted.task_id})
    said = chunks.put(store, document, cuts, wanted.chunker, cutter.made)
    return Result(
        document_id=wanted.id,
        chunk_count=said["chunk_count"],
        chunker=wanted.chunker,
        embedded=0,
        embedding_model=None,
        **({"already": True} if said.get("already") else {}),
    )


def _embedded(wanted: Chunking, store: Store) -> dict[str, Any]:
    """How many vectors were made for the document's chunks; a backend that is away is a note, never a fault."""
    from .. import backends

    if not backends.configured("embedding"):
        return {}
    from .. import embeddings

    # The key names the cutting; what is written down of the vectors has none.
    store.call = replace(store.call, key=None)
    said = embeddings.embed_chunks(store, wanted.id, task_id=wanted.task_id)
    return {"embedded": said["embedded"], "embedding_model": said["model"]} | (
        {"embedding_note": said["note"]} if said.get("note") else {}
    )


# --- looking at one -------------------------------------------------------------------------------


class Piece(Input):
    """A document, a block or a chunk, and what is asked of it."""

    scanned = False
    id: RawText = Field(missing=denial.IdRequired, description="Id of a document, a block or a chunk")
    kind: RawText | None = Field(None, description="document, block or chunk; default: what the id says")
    quote: RawText | None = Field(None, description="A text that should stand there, word by word")


@op(
    "E5",
    "evidence-inspect",
    manages_store=True,
    keywords="document block chunk citation quote source show read provenance",
    example="--id ec_20260101000000_0123456789",
)
def evidence_inspect(target: Piece, store: Store) -> Result:
    """Show a document, a block or a chunk in full, with the thread back to its source.

    citation says whether the text still stands in the source file: stands, moved (with its new place), gone,
    source_missing, or not_checked with the reason; pages are not fetched (E8 --refetch does). --quote says whether a
    text stands in it, and is a finding (exit code 1) where it does not.
    """
    found = store.perform(store.call, lambda: _piece(target, store))
    document, record = found.pop("_document"), found["record"]
    text = found.pop("_text")
    if record["id"] == document["id"]:
        seen = citations.look(store.plane, document, text=False)
        found["source_now"] = {"state": seen.state} | ({"reason": seen.reason} if seen.reason else {})
    else:
        found["citation"] = citations.citation(citations.look(store.plane, document), record)
    if target.quote is not None:
        found["quote"] = citations.quoted(text, target.quote, offset=record.get("start_index") or 0)
        if not found["quote"]["stands"]:
            found["status"], found.exit_code = "FAILED", 1
    if record["id"] != document["id"]:
        found.view = lambda width: _piece_page(found, width)
    return found


def _piece_page(found: Result, width: int) -> str:
    """A block or a chunk for a person: its text as it stands in the document, then whether it still does, and its ids."""
    record, document, source, citation = found["record"], found["document"], found["source"], found["citation"]
    place = f", page {record['page']}" if record.get("page") is not None else ""
    lines = ["FAILED: the quote does not stand in it"] if found["status"] != "OK" else []
    lines += [f"{document['origin_ref']}{place}  ({record['id']})"]
    lines += textwrap.wrap(record.get("context") or record.get("heading") or "", max(width, 30))
    lines += ["", record.get("text") or "", ""]
    said = [f"{name} {value}" for name, value in citation.items() if name != "state" and value is not None]
    quote = found.get("quote")
    told = {
        "quote": f"stands: start {quote['start']}, end {quote['end']}" if quote and quote["stands"] else None,
        "citation": f"{citation['state']}: {', '.join(said)}" if said else citation["state"],
        "document": f"{document['id']}  {document['status']}",
        "source": f"{source['id']}  {source['authority_tier']}, {(source['retrieved_at'] or '')[:10]}" if source else None,
        "before": (found.get("neighbors") or {}).get("prev"),
        "after": (found.get("neighbors") or {}).get("next"),
        "vectors": ", ".join(one["model"] for one in found["embeddings"]) or None,
    }
    lines += [f"{name:<9} {value}" for name, value in told.items() if value]
    return "\n".join(lines)


def _piece(target: Piece, store: Store) -> Result:
    """The record, what belongs to it, and its document."""
    store.warn_of_drift()
    if target.kind is not None and target.kind not in PREFIXES:
        raise denial.KindInvalid(f"Use one of: {', '.join(PREFIXES)}.", value=target.kind[:100], allowed=list(PREFIXES))
    named = store.kind_of(target.id)
    kind = PREFIXES[target.kind] if target.kind else named if named in PREFIXES.values() else "evidence_document"
    record = store.get(kind, target.id)
    document = record if kind == "evidence_document" else store.get("evidence_document", record["document_id"])
    lock = document["source_lock_id"]
    source = store.get("source_lock", lock) if lock and store.exists(lock) else None
    result = Result(record=record, source=_source(source, document), embeddings=_vectors(target.id, kind, store))
    if kind == "evidence_document":
        result.update(_parts(document, store))
    else:
        result["document"] = {name: document[name] for name in DOCUMENT}
    if kind == "evidence_chunk":
        result["neighbors"] = {"prev": record["neighbor_prev_id"], "next": record["neighbor_next_id"]}
    whole = kind == "evidence_document" and target.quote is not None
    text = chunks.joined((block.text, block.tail) for block in chunks.blocks(store, document["id"])) if whole else ""
    result["_document"], result["_text"] = document, text or record.get("text") or ""
    return result


def _source(lock: Row | None, document: Row) -> dict[str, Any] | None:
    """Where it comes from: of the source lock what a citation needs."""
    if lock is None:
        return None
    return {name: lock[name] for name in LOCK} | {"sha256": document["sha256"]}


def _parts(document: Row, store: Store) -> dict[str, Any]:
    """What a document consists of: counts, and the first ids; E11 lists its chunks."""
    of_it = {"document_id": document["id"]}
    first = {"limit": 1, "columns": ("id",)}
    blocks = store.list("evidence_block", of_it, order="block_index", **first)
    found = store.list("evidence_chunk", {**of_it, "status": "active"}, order="chunk_index", **first)
    return {
        "blocks": store.count("evidence_block", of_it),
        "chunks": store.count("evidence_chunk", {**of_it, "status": "active"}),
        "first_block_id": blocks[0]["id"] if blocks else None,
        "first_chunk_id": found[0]["id"] if found else None,
    }


def _vectors(record_id: str, kind: str, store: Store) -> list[Row]:
    """The indexes that hold vectors of it: model, dim, active, and of a document how many."""
    if kind == "evidence_block" or not store.plane.vectors.is_file():
        return []
    from .. import embeddings

    return embeddings.of_document(store, record_id) if kind == "evidence_document" else embeddings.of_chunk(store, record_id)


# --- looking at all -------------------------------------------------------------------------------


class Verification(Input):
    """Which documents are compared with their sources."""

    id: RawText | None = Field(None, description="Id of a document or a source lock; default: every document")
    limit: int | None = Field(None, description="At most so many documents, newest first; 0 and negative are no limit")
    strict: bool = Field(False, description="Exit code 1 where a source is another now, or missing")
    refetch: bool = Field(False, description="Fetch pages again to compare them")
    allow_private: bool = Field(False, description="With --refetch: also from addresses that are not public")


@op(
    "E8",
    "evidence-verify",
    writes=True,
    manages_store=True,
    keywords="source drift changed stale check again citation lock recheck freshness",
    example="",
)
def evidence_verify(wanted: Verification, store: Store) -> Result:
    """Compare documents with their sources, and mark those whose source is another now.

    A document whose source file changed or is missing gets the status drifted, and active again when the source is as it
    was. For the first 100 of them it is said how many chunks stand nowhere in the source any more, and which
    records refer to the document, its source lock, its chunks or its blocks. Nothing is written where nothing changed.
    """
    found = store.perform(store.call, lambda: _to_verify(wanted, store))
    if found.get("replayed"):
        return found
    seen: list[tuple[Row, citations.Seen]] = []
    gone: dict[str, list[str]] = {}
    for document in found["documents"]:
        look_inside = len(gone) < LOOKED_INTO
        now = citations.look(store.plane, document, text=look_inside, refetch=wanted.refetch, allow_private=wanted.allow_private)
        if now.text is not None and document["chunk_count"]:
            gone[document["id"]] = citations.gone(now.text, _pieces(document["id"], store))
            # The text of one document at a time is in memory.
            now = citations.Seen(now.state, now.reason)
        seen.append((document, now))
    return store.perform(store.call, lambda: _marked(wanted, seen, gone, store))


def _to_verify(wanted: Verification, store: Store) -> Result:
    """The documents that are asked for."""
    where: dict[str, Any] = {"status": ("in", ["active", "drifted"])}
    if wanted.id is not None:
        kind = store.kind_of(wanted.id)
        if kind == "source_lock":
            where["source_lock_id"] = store.get(kind, wanted.id)["id"]
        else:
            where["id"] = store.get("evidence_document", wanted.id)["id"]
    elif not wanted.refetch:
        where["origin_kind"] = "file"
    limit = wanted.limit if wanted.limit and wanted.limit > 0 else None
    return Result(documents=store.list("evidence_document", where, limit=limit, columns=CHECKED))


def _pieces(document_id: str, store: Store) -> list[Row]:
    """The chunks in use of a document, in order, read in a unit of their own."""
    where = {"document_id": document_id, "status": "active"}
    columns = ("id", "text", "start_index", "end_index")
    read = store.perform(
        store.call, lambda: Result(rows=store.list("evidence_chunk", where, order="chunk_index", columns=columns))
    )
    return read["rows"]


def _marked(wanted: Verification, seen: list[tuple[Row, citations.Seen]], gone: dict[str, list[str]], store: Store) -> Result:
    """Write what changed, and say what was seen."""
    status = {"same": "active", "drifted": "drifted", "missing": "drifted"}
    counts: dict[str, int] = dict.fromkeys(("same", "drifted", "missing", "not_checked"), 0)
    other = [(document, now) for document, now in seen if now.state in ("drifted", "missing")]
    marked = 0
    for document, now in seen:
        counts[now.state] += 1
        before = store.get("evidence_document", document["id"])["status"]
        after = status.get(now.state, before)
        if before in ("active", "drifted") and after != before:
            changes = {"status": after, "checked_at": clock.now(store.head()[0] + 1)}
            store.revise("evidence_document", document["id"], changes)
            marked += 1
    rests = citations.resting(store, [document for document, _ in other[:LOOKED_INTO]]) if other else {}
    records = [_report(document, now, gone, rests) for document, now in other]
    skipped = [{"id": document["id"], "reason": now.reason} for document, now in seen if now.state == "not_checked"]
    result = Result(finding=wanted.strict and bool(other), checked=len(seen), marked=marked, records=records, count=len(records))
    result.update(counts)
    if skipped:
        result["skipped"] = skipped[:SAMPLE]
    result.view = lambda width: _verified_page(result, width)
    return result


def _verified_page(result: Result, width: int) -> str:
    """The comparison for a person: each document whose source is another now, what is gone, what rests on it."""
    inner = {"width": max(width, 30), "initial_indent": "    ", "subsequent_indent": "    ", "break_on_hyphens": False}
    lines = ["FAILED: a source is another now, or missing", ""] if result["status"] != "OK" else []
    for record in result["records"]:
        lines.append(f"{record['state']}  {record['origin_ref']}  ({record['id']})")
        lines += textwrap.wrap(record.get("reason") or "", **inner)
        if "chunks_gone" in record:
            lines += textwrap.wrap(
                _named(f"{record['chunks_gone']} of {many(record['chunks'], 'chunk')} gone", record["gone"]), **inner
            )
        if record.get("resting_count"):
            lines += textwrap.wrap(
                _named(f"resting on it: {many(record['resting_count'], 'record')}", record["resting"]), **inner
            )
        lines.append("")
    for reason in dict.fromkeys(one["reason"] for one in result.get("skipped", ())):
        ids = [one["id"] for one in result["skipped"] if one["reason"] == reason]
        lines += ["not checked", *textwrap.wrap(_named(reason.rstrip("."), ids), **inner), ""]
    counts = ", ".join(f"{result[state]} {state.replace('_', ' ')}" for state in ("same", "drifted", "missing", "not_checked"))
    return "\n".join([*lines, f"{many(result['checked'], 'document')} compared: {counts}; {result['marked']} marked anew"])


def _named(said: str, ids: list[str]) -> str:
    return f"{said}: {', '.join(ids)}" if ids else said


def _report(document: Row, now: citations.Seen, gone: dict[str, list[str]], rests: dict[str, list[str]]) -> Row:
    """What is said of a document whose source is another now."""
    said: Row = {"id": document["id"], "origin_ref": document["origin_ref"], "state": now.state}
    if now.reason:
        said["reason"] = now.reason
    if document["id"] in gone:
        lost = gone[document["id"]]
        said |= {"chunks": document["chunk_count"], "chunks_gone": len(lost), "gone": lost[:SAMPLE]}
    if document["id"] in rests:
        said |= {"resting_count": len(rests[document["id"]]), "resting": rests[document["id"]][:SAMPLE]}
    return said


# --- listing --------------------------------------------------------------------------------------

CHUNK = ("id", "chunk_index", "start_index", "end_index", "token_count", "page", "context", "chunker", "status", "text")
WORDS = 80


class ChunkWindow(Listing):
    """A document, and which of its chunks."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the document")
    chunker: RawText | None = Field(None, description="Chunks of this chunker; default: those in use")


@op("E11", "chunk-list", keywords="pieces passages document show", example=EXAMPLE)
def chunk_list(window: ChunkWindow, store: Store) -> Result:
    """List the chunks of a document in order, each with its place, its headings and how it begins."""
    if window.chunker is not None and window.chunker not in chunkers.CHUNKERS:
        raise chunkers.unknown(window.chunker)
    document = store.get("evidence_document", window.id)
    limit, offset = window.window()
    where = {**window.where(), "document_id": document["id"]}
    where |= {"chunker": window.chunker} if window.chunker else {"status": "active"}
    rows = store.list("evidence_chunk", where, order="backend, chunk_index", limit=limit, offset=offset, columns=CHUNK)
    records = [{**row, "text": _beginning(row["text"])} for row in rows]
    total = store.count("evidence_chunk", where)
    return Result(document_id=document["id"], chunker=document["chunker"], records=records, count=len(records), total=total)


def _beginning(text: str) -> str:
    """How a text begins, on one line."""
    line = " ".join(text[: 4 * WORDS].split())
    return line if len(line) <= WORDS else line[: WORDS - 1] + "…"
