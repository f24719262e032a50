"""Citations: whether what was read from a source still stands in it, and which records rest on what does not."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial
from ..fields import ID, linked_kind
from ..hashing import file_sha256
from .extract import Extract

if TYPE_CHECKING:
    from ..paths import Plane
    from ..store import Row, Store

# What E5 and E8 say of one place.
STANDS, MOVED, GONE, SOURCE_MISSING, NOT_CHECKED = "stands", "moved", "gone", "source_missing", "not_checked"
# A chunk is looked for by its beginning.
BEGINNING = 64
# Of so many pieces each place of the text may be compared with each.
ALIKE = 20
# Ids in one question to the store.
AT_ONCE = 500
WORD_START = re.compile(r"(?<!\S)\S")
PARTS = frozenset({"evidence_document", "evidence_block", "evidence_chunk"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A source as it is now: same, drifted, missing or not_checked; why, and its text where it could be read."""

    state: str
    reason: str | None = None
    text: str | None = None


def look(
    plane: Plane, document: Mapping[str, Any], *, text: bool = True, refetch: bool = False, allow_private: bool = False
) -> Seen:
    """A document's source now, its text only where it is another (and `text` asks for it); holds no lock.

    A page is fetched only with `refetch`. What cannot be compared is not_checked, with the reason.
    """
    kind, where = document["origin_kind"], document["origin_ref"]
    if not document["sha256"]:
        return Seen("not_checked", "No hash of the source was kept.")
    if kind == "url" and refetch:
        return _fetched(where, document["sha256"], text=text, allow_private=allow_private)
    if kind == "url":
        return Seen("not_checked", "E8 --refetch fetches a page again.")
    from .. import paths
    from .ingest import leads_back

    if kind != "file" or not leads_back(where):
        return Seen("not_checked", "Where the source lies was not kept.")
    try:
        path = paths.inside(plane, where)[0]
        if not path.is_file():
            return Seen("missing", f"There is no file {where}.")
        if file_sha256(path)[0] == document["sha256"]:
            return Seen("same")
    except (OSError, denial.Denial) as fault:
        reason = str(getattr(fault, "strerror", None) or fault).rstrip(".")
        return Seen("not_checked", f"The file cannot be read: {reason}.")
    return _reread(path, where) if text else Seen("drifted")


def _reread(path: Path, where: str) -> Seen:
    """The text of a file that is another now."""
    from . import readers

    try:
        format = readers.format_of(path.name)
        if format is not None:
            readers.refuse_large(format, path.stat().st_size)
        return Seen("drifted", text=_text(readers.read(path.read_bytes(), path.name)))
    except OSError as fault:
        return Seen("not_checked", f"The file cannot be read: {fault.strerror}.")
    except denial.Denial as refusal:
        return Seen("drifted", f"{where} is not read any more: {refusal.code}.")


def _text(read: Extract) -> str:
    """What was read as evidence holds it: secrets covered."""
    from .masking import masked

    return masked(read).text


def _fetched(url: str, sha256: str, *, text: bool, allow_private: bool) -> Seen:
    """A page as it is now; one that the server says is not there is missing."""
    import hashlib
    from pathlib import PurePosixPath

    from .. import web
    from . import readers

    try:
        page = web.fetch(url, allow_private=allow_private)
    except denial.Denial as refusal:
        state = "missing" if refusal.detail.get("http_status") in (404, 410) else "not_checked"
        return Seen(state, f"{refusal.code}: {refusal.detail.get('reason') or refusal.message}")
    if hashlib.sha256(page.body).hexdigest() == sha256:
        return Seen("same")
    name = PurePosixPath(url.partition("?")[0]).name
    try:
        return Seen("drifted", text=_text(readers.read(page.body, name, page.content_type)) if text else None)
    except denial.Denial as refusal:
        return Seen("drifted", f"The page is not read any more: {refusal.code}.")


# --- one place ------------------------------------------------------------------------------------


def citation(seen: Seen, piece: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a piece (text, start_index, end_index) stands in its source: {"state", "start", "end", "source"}."""
    text, start, end = piece["text"], piece["start_index"], piece["end_index"]
    answer: dict[str, Any] = {"state": NOT_CHECKED, "start": start, "end": end, "source": seen.state}
    if seen.state == "same":
        answer["state"] = STANDS
    elif seen.state == "missing":
        answer["state"] = SOURCE_MISSING
    elif seen.text is not None:
        at = _nearest(seen.text, text, start)
        answer["state"] = GONE if at is None else STANDS if at == start else MOVED
        answer["start"], answer["end"] = (None, None) if at is None else (at, at + len(text))
    return answer | ({"reason": seen.reason} if seen.reason else {})


def _nearest(text: str, wanted: str, start: int) -> int | None:
    """Where a piece stands in a text, of several places the one nearest to where it stood."""
    if text.startswith(wanted, start):
        return start
    behind, before = text.find(wanted, start), text.rfind(wanted, 0, start + len(wanted))
    places = [at for at in (before, behind) if at >= 0]
    return min(places, key=lambda at: abs(at - start)) if places else None


def quoted(text: str, quote: str, *, offset: int = 0) -> dict[str, Any]:
    """Whether a quote stands in a text, word by word: {"stands", "exact", "start", "end"}; white space may differ."""
    at = text.find(quote)
    if at >= 0:
        return {"stands": True, "exact": True, "start": offset + at, "end": offset + at + len(quote)}
    found = re.search(r"\s+".join(map(re.escape, quote.split())), text) if quote.split() else None
    if found:
        return {"stands": True, "exact": False, "start": offset + found.start(), "end": offset + found.end()}
    return {"stands": False, "exact": False, "start": None, "end": None}


# --- a whole document -----------------------------------------------------------------------------


def gone(text: str, pieces: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the pieces (in order) whose text stands nowhere in a text. Looks at the text once, not once a piece, except
    for pieces of which many begin alike."""
    shift, last = 0, None
    missing: dict[str, list[str]] = {}
    everywhere = False
    for piece in pieces:
        wanted, start = piece["text"], piece["start_index"]
        at = start + shift
        if not text.startswith(wanted, max(at, 0)):
            # What follows an insertion stands further on by as much.
            at = text.find(wanted, max(at, 0), max(at, 0) + 4 * len(wanted) + 4096)
            if at < 0:
                missing.setdefault(wanted, []).append(piece["id"])
                # A piece that a word was cut for does not begin where a word does.
                everywhere = everywhere or start == last
            else:
                shift = at - start
        last = piece["end_index"]
    by_beginning: dict[str, list[str]] = {}
    for wanted in missing:
        by_beginning.setdefault(wanted[:BEGINNING], []).append(wanted)
    for beginning in [beginning for beginning, several in by_beginning.items() if len(several) > ALIKE]:
        # Where that many begin alike, a place tells nothing, and one search for each is less work.
        for wanted in by_beginning.pop(beginning):
            if wanted in text:
                del missing[wanted]
    lengths = sorted({len(beginning) for beginning in by_beginning})
    places: Iterable[int] = range(len(text)) if everywhere else (match.start() for match in WORD_START.finditer(text))
    for at in places if by_beginning else ():
        for length in lengths:
            for wanted in by_beginning.get(text[at : at + length], ()):
                if wanted in missing and text.startswith(wanted, at):
                    del missing[wanted]
        if not missing:
            break
    found = {piece_id for ids in missing.values() for piece_id in ids}
    return [piece["id"] for piece in pieces if piece["id"] in found]


# --- what rests on documents ----------------------------------------------------------------------


def resting(store: Store, documents: Sequence[Row]) -> dict[str, list[str]]:
    """Ids of the records that refer to a document, its source lock or one of its chunks or blocks, by document id.

    References are what a link field or a list holds; parts of documents are no references.
    """
    owners: dict[str, set[str]] = {}
    for document in documents:
        for target in (document["id"], document["source_lock_id"]):
            if target:
                owners.setdefault(target, set()).add(document["id"])
    references = list(_references(store, owners))
    parts = {target for _, target in references if target.startswith(("ec_", "eb_"))}
    for kind in ("evidence_chunk", "evidence_block"):
        for row in _by_id(store, kind, parts, ("id", "document_id")):
            if row["document_id"] in owners:
                owners.setdefault(row["id"], set()).add(row["document_id"])
    found: dict[str, dict[str, None]] = {document["id"]: {} for document in documents}
    for child, target in references:
        for document_id in owners.get(target, ()):
            if document_id in found and child not in owners:
                found[document_id][child] = None
    return {document_id: sorted(children) for document_id, children in found.items()}


def _references(store: Store, targets: Collection[str]) -> Iterable[tuple[str, str]]:
    """(record, what it refers to) of references to documents, source locks, chunks and blocks."""
    from ..ops import _index
    from ..store import record_class

    for kind in sorted(set(_index.KINDS) - PARTS):
        for spec in record_class(kind).specs:
            if not spec.stored:
                continue
            is_link, parent = linked_kind(spec.rules)
            if spec.name.endswith("_json"):
                for mark in ('"ed_', '"s_', '"ec_', '"eb_'):
                    rows = store.list(kind, {spec.name: ("contains", mark)}, columns=("id", spec.name), order="created_seq")
                    for row in rows:
                        yield from ((row["id"], target) for target in _listed(row[spec.name]) if target.startswith(mark[1:]))
            elif is_link and parent in (None, "source_lock", *PARTS):
                for some in _batches(sorted(targets)):
                    rows = store.list(kind, {spec.name: ("in", some)}, columns=("id", spec.name), order="created_seq")
                    yield from ((row["id"], row[spec.name]) for row in rows)
                for stem in ("ec_", "eb_"):
                    span = {spec.name: (">=", stem), f"{spec.name}#below": ("<", f"{stem}~")}
                    rows = store.list(kind, span, columns=("id", spec.name), order="created_seq")
                    yield from ((row["id"], row[spec.name]) for row in rows)


def _listed(text: str) -> list[str]:
    """The ids in a JSON list."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [item for item in value if isinstance(item, str) and ID.match(item)] if isinstance(value, list) else []


def _by_id(store: Store, kind: str, ids: Collection[str], columns: Sequence[str]) -> Iterable[Row]:
    for some in _batches(sorted(ids)):
        yield from store.list(kind, {"id": ("in", some)}, columns=columns, order="id")


def _batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE))
