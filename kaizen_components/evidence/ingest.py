"""Ingest: what was read becomes records: a lock on its source, a document, its blocks, and chunks where they are wanted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import clock, denial, paths
from ..fields import count_sentences, shorten
from ..hashing import sha256
from ..redaction import mask
from . import masking, readers
from .extract import Extract
from .records import EvidenceBlock, EvidenceDocument

if TYPE_CHECKING:
    from ..store import Row, Store

# What kept() leaves of what it hides.
_HIDDEN = re.compile(r"\[REDACTED:|\\udc[89a-f][0-9a-f]")
# Records that are written before they are handed to the engine.
AT_ONCE = 2_000
KNOWN = ("id", "origin_ref", "sha256", "source_lock_id", "status", "block_count", "chunk_count", "chunker", "created_seq")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where bytes came from, and what is said of them."""

    kind: str
    ref: str
    data: bytes
    # What a reader is chosen by.
    name: str
    media_type: str | None = None
    retrieved: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Said:
    """What the caller says of a source."""

    authority_tier: str
    source_id: str | None = None
    summary: str | None = None
    version_or_commit: str | None = None
    license: str | None = None
    supersedes: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that is read, masked and cut, and waits to be written."""

    origin: Origin
    sha256: str
    extract: Extract
    said: Said
    chunker: str | None = None
    cuts: Sequence[Any] = ()
    made: str = ""


def file_origin(store: Store, path: str, *, allow_external: bool = False) -> Origin:
    """The bytes of a file; refused where it is none, is Kaizen's own, or is larger than its reader takes."""
    resolved, ref = paths.inside(store.plane, path, allow_external=allow_external)
    if store.plane.is_live(resolved):
        raise denial.PathLive(path=path)
    return opened(resolved, ref, path)


def opened(resolved: Path, ref: str, path: str) -> Origin:
    """The bytes of a file whose path is resolved."""
    format = readers.format_of(resolved.name)
    try:
        if not resolved.is_file():
            raise paths.no_file(path, resolved, _no_file(resolved))
        if format is None:
            raise denial.UnsupportedMedia(path=path)
        readers.refuse_large(format, resolved.stat().st_size)
        with resolved.open("rb") as file:
            data = file.read(readers.largest(format)[1] + 1)
    except (OSError, ValueError) as fault:
        raise denial.FileNotFound(path=path, reason=str(getattr(fault, "strerror", None) or fault)) from None
    readers.refuse_large(format, len(data))
    return Origin("file", kept(ref), data, resolved.name)


def _no_file(path: Path) -> str:
    """Why a path is no file that can be read."""
    if path.is_dir():
        return "a folder: E6 takes it"
    return "a device, a pipe or a socket" if path.exists() else "no such file"


def kept(name: str) -> str:
    """A name as records keep it: it may hold anything, a secret or half of a character too."""
    parts = name.encode("utf-8", "backslashreplace").decode().split("/")
    return mask("/".join(mask(part)[0] for part in parts))[0]


def leads_back(ref: str) -> bool:
    """Whether what is kept of a file's name leads back to it: not outside the project, where it is the last part alone, and
    not where something in it was hidden."""
    return not ref.startswith("external:") and not _HIDDEN.search(ref)


def prepare(origin: Origin, said: Said, chunker: str | None = None) -> Prepared:
    """Read, mask and cut: what takes time, and needs no store."""
    extract = masking.masked(readers.read(origin.data, origin.name, origin.media_type))
    if chunker is None:
        return Prepared(origin, origin.sha256, extract, said)
    from . import chunkers, chunks

    opened = chunkers.opened(chunker)
    cuts = chunks.cut(extract.blocks, opened, origin=origin.ref)
    return Prepared(origin, origin.sha256, extract, said, chunker, cuts, opened.made)


# --- looking up -----------------------------------------------------------------------------------


def current(store: Store, ref: str) -> list[Row]:
    """The documents in use that were read from a place, newest first."""
    return store.list("evidence_document", {"origin_ref": ref, "is_open": 1}, columns=KNOWN)


def everything(store: Store) -> dict[str, list[Row]]:
    """The documents in use, by where they were read from: one query for a whole folder."""
    found: dict[str, list[Row]] = {}
    for row in store.list("evidence_document", {"is_open": 1, "origin_kind": "file"}, columns=KNOWN):
        found.setdefault(row["origin_ref"], []).append(row)
    return found


def same(rows: Sequence[Row], digest: str) -> Row | None:
    """The document among some that was read from these bytes."""
    return next((row for row in rows if row["sha256"] == digest), None)


def cut_by(rows: Sequence[Row]) -> str | None:
    """The chunker of the newest document among some that was cut: a new version of it is cut in the same way."""
    return next((row["chunker"] for row in rows if row["chunker"]), None)


# --- writing: inside a unit of work ---------------------------------------------------------------


def write(store: Store, prepared: Prepared) -> dict[str, Any]:
    """Write a document and all that belongs to it, in the unit of work under way; of the same bytes from the same place
    only what is missing. The answer names what the new one supersedes."""
    origin, extract, said = prepared.origin, prepared.extract, prepared.said
    known = current(store, origin.ref)
    found = same(known, prepared.sha256)
    if found is not None:
        return known_again(store, found, prepared)
    # Two files of one name need not be the same file.
    replaced = known if origin.kind != "file" or leads_back(origin.ref) else []
    if said.supersedes and said.supersedes not in {row["source_lock_id"] for row in replaced}:
        named = store.list("evidence_document", {"source_lock_id": said.supersedes, "is_open": 1}, columns=KNOWN)
        replaced = [*replaced, *named]
    summary = said.summary or summarised(extract, origin)
    lock = _locked(store, prepared, summary, said.supersedes or (replaced[0]["source_lock_id"] if replaced else None))
    spans = [{"kind": kind, "start": start, "end": end} for kind, start, end in extract.masked[: masking.SPANS]]
    text = extract.text
    described: dict[str, Any] = {
        "origin_kind": origin.kind,
        "origin_ref": origin.ref,
        "backend": extract.backend,
        "backend_version": extract.version,
        "summary": summary,
        "source_lock_id": lock["id"],
        "task_id": said.task_id,
        "media_type": extract.media_type,
        "extraction_method": extract.method,
        "extraction_confidence": extract.confidence,
        "block_count": len(extract.blocks),
        "title": extract.title,
        "sha256": prepared.sha256,
        "text_sha256": sha256(text),
        "text_length": len(text),
        "masked_json": json.dumps(spans) if spans else None,
    }
    row = store.add(EvidenceDocument(**described))
    for index, block in enumerate(extract.blocks):
        store.add(
            EvidenceBlock(
                document_id=row["id"],
                block_index=index,
                block_type=block.type,
                text=block.text,
                tail=block.tail,
                start_index=block.start,
                end_index=block.end,
                heading=block.heading,
                page=block.page,
                extraction_method=block.method,
                extraction_confidence=block.confidence,
            )
        )
        if index % AT_ONCE == AT_ONCE - 1:
            store.flush()
    for old in replaced:
        withdraw(store, old["id"], "superseded")
    answer = {"id": row["id"], "revision_id": row["current_revision_id"], "content_hash": row["content_hash"]}
    answer |= _answer(row)
    answer["masked"] = len(extract.masked)
    if replaced:
        answer["supersedes"] = [old["id"] for old in replaced]
    return answer | _chunked(store, row, prepared)


def known_again(store: Store, found: Row, prepared: Prepared | None = None) -> dict[str, Any]:
    """The answer for a document that is there: as it was, and again in use where it had drifted from its source."""
    row = store.get("evidence_document", found["id"])
    if row["status"] == "drifted":
        row = store.revise("evidence_document", row["id"], {"status": "active", "checked_at": clock.now(store.head()[0] + 1)})
    answer = {"id": row["id"], **_answer(row), "masked": len(json.loads(row["masked_json"] or "[]")), "already": True}
    return answer | (_chunked(store, row, prepared) if prepared else {})


def withdraw(store: Store, document_id: str, status: str, **changes: Any) -> Row:
    """Take a document and its chunks out of use: no search finds them any more. The document's row.

    Chunks know two ways to be out of use; a document, every status that is over."""
    aside = "superseded" if status == "superseded" else "retired"
    chunks = store.list("evidence_chunk", {"document_id": document_id, "status": "active"}, order="chunk_index", columns=("id",))
    for chunk_id in store.revisable("evidence_chunk", [chunk["id"] for chunk in chunks]):
        store.revise("evidence_chunk", chunk_id, {"status": aside})
    action = "retire" if status == "retired" else "revise"
    return store.revise("evidence_document", document_id, {"status": status, **changes}, action=action)


def restore(store: Store, row: Row) -> None:
    """Give a document that is in use again the chunks it had: those of its chunker that were put aside last."""
    here = {"document_id": row["id"], "chunker": row["chunker"]}
    chunks = store.list("evidence_chunk", here, order="updated_seq DESC", columns=("id", "backend", "status"))
    last = [chunk for chunk in reversed(chunks) if chunk["backend"] == chunks[0]["backend"] and chunk["status"] != "active"]
    for chunk_id in store.revisable("evidence_chunk", [chunk["id"] for chunk in last]):
        store.revise("evidence_chunk", chunk_id, {"status": "active"})


def _locked(store: Store, prepared: Prepared, summary: str, supersedes: str | None) -> Row:
    from ..ops.sources import SourceLock

    origin, said = prepared.origin, prepared.said
    described: dict[str, Any] = {
        "source_id": said.source_id or shorten(kept(origin.name), 200),
        "authority_tier": said.authority_tier,
        "url_or_repository": origin.ref,
        "summary": summary,
        "version_or_commit": said.version_or_commit,
        "retrieved_at": origin.retrieved or clock.now(store.head()[0] + 1),
        "content_hash": prepared.sha256,
        "license": said.license,
        "supersedes": supersedes,
    }
    return store.add(SourceLock(**described))


def _answer(row: Row) -> dict[str, Any]:
    names = ("source_lock_id", "origin_ref", "title", "sha256", "media_type", "backend", "extraction_confidence", "block_count")
    return {name: row[name] for name in names}


def _chunked(store: Store, row: Row, prepared: Prepared) -> dict[str, Any]:
    if prepared.chunker is None:
        return {}
    from . import chunks

    written = chunks.put(store, row, prepared.cuts, prepared.chunker, prepared.made)
    return {name: value for name, value in written.items() if name != "already"}


def summarised(extract: Extract, origin: Origin) -> str:
    """What is said of a document where nobody says it: its title, or its first words, as one sentence."""
    name = shorten(kept(origin.name), 160)
    first = extract.title or next((block.text for block in extract.blocks if any(map(str.isalnum, block.text))), name)
    words = " ".join(mask(first[:2_000])[0].lstrip("#!/*-<\"' ").split()[:30])
    said = shorten(words, 160) or name
    if count_sentences(said) > 1:
        said = said.split(". ")[0]
    return said if count_sentences(said) == 1 else name.replace(". ", ".")
