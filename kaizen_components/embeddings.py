"""Embeddings: which model turns texts into vectors, what has none yet, and what lies nearest to a question."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import backends, clock, denial, settings

if TYPE_CHECKING:
    from .store import Row, Store
    from .store.query import Where
    from .store.vectors import Index, Lacking, Vectors

# The setting that names the model that answers.
ACTIVE = "active_embedding_model"
# Texts embedded at once: what is lost when a process is killed.
BATCH = 64
# Records without a vector that a question waits for.
MOST_ON_THE_WAY = 64
# Indexes kept besides what is asked for, where KAIZEN_EMBED_KEEP does not say.
KEEP = 2
CHUNKS = ("evidence_chunk",)

Show = Callable[[int], None]


def _unseen(done: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Nearest:
    """What lies nearest to a question: (record id, kind, cosine distance), nearest first, and by which model."""

    hits: list[tuple[str, str, float]]
    model: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Embedded:
    """What was embedded: texts, vectors kept, tokens are not counted by every backend; what it cost in time."""

    count: int
    dimension: int | None
    provider: str
    latency_ms: int
    # SHA-256 of the texts, for the trace.
    digest: str


def active_model(store: Store) -> str | None:
    """The model that answers: the one that was activated, else the configured one; None where there is neither."""
    return settings.current(store, ACTIVE) or backends.config("embedding").model


def keep() -> int:
    """How many indexes are kept (KAIZEN_EMBED_KEEP); 0 is all of them."""
    text = os.environ.get("KAIZEN_EMBED_KEEP", "").strip()
    try:
        return max(int(text), 0) if text else KEEP
    except ValueError:
        raise denial.EnvironmentInvalid(
            "Set KAIZEN_EMBED_KEEP to a whole number (0: keep all), or unset it.", variable="KAIZEN_EMBED_KEEP", value=text
        ) from None


def nearest(
    store: Store,
    query_text: str,
    *,
    kinds: Sequence[str] | None = None,
    where: Where | None = None,
    limit: int = 10,
    model: str | None = None,
) -> Nearest:
    """The records whose texts mean most nearly what a text says.

    `where` holds conditions on store.vectors.FILTERS (record_task, status, document_id, source_lock_id ...). The plane is let go of
    while models and vectors are at work. Raises DENIED_EMBED_EMPTY, DENIED_BACKEND_UNCONFIGURED, DENIED_EMBED_INDEX_ABSENT,
    DENIED_EMBED_MISMATCH, and what a backend is refused with.
    """
    from .store import vectors

    if not any(character.isalnum() for character in query_text):
        raise denial.EmbedEmpty("Pass a question with words in it.", message="There is no word in the query.")
    # Nothing is asked of a model yet: the plane is let go of when the vectors have caught up with it.
    chosen = model or active_model(store)
    try:
        embedder = backends.opened("embedding", model=chosen)
        chosen = embedder.model
        if not store.plane.vectors.is_file():
            raise denial.EmbedIndexAbsent(model=chosen, indexed=[])
    except denial.Denial:
        store.release()
        raise
    with vectors.opened(store) as found:
        index = found.index(chosen)
        if index is None or not index.vectors:
            raise denial.EmbedIndexAbsent(model=chosen, indexed=[other.model for other in found.indexes()])
        note = _completed(found, index, embedder, kinds, store)
        vector = embedder.embed([query_text], query=True)[0]
        vectors.refuse_mismatch(index, len(vector))
        hits = found.nearest(found.index(chosen) or index, vector.tobytes(), kinds=kinds, where=where, limit=limit)
    configured = backends.config("embedding").model
    if model is None and configured != chosen:
        other = f"KAIZEN_EMBED_MODEL names {configured}, but {chosen} is active: B3 --model {configured} --activate switches."
        note = f"{note} {other}" if note else other
    return Nearest(hits, chosen, note)


def _completed(found: Vectors, index: Index, embedder: Any, kinds: Sequence[str] | None, store: Store) -> str | None:
    """Embed the few records that have no vector yet; what to say where they are many, or it fails."""
    count = found.count_missing(index.model, kinds)
    if not count:
        return None
    why = ""
    if count <= MOST_ON_THE_WAY:
        try:
            embed(store, found, embedder, kinds=kinds)
            return None
        except (denial.BackendUnreachable, denial.BackendHttp, denial.BackendMalformed) as refusal:
            why = f" ({refusal.message})"
    command = "B3" if kinds is not None and set(kinds) <= set(CHUNKS) else "B3 --records"
    return f"{count} record{' has' if count == 1 else 's have'} no vector of {index.model} yet{why}: python kaizen.py {command}"


# --- embedding ------------------------------------------------------------------------------------


def embed(
    store: Store,
    found: Vectors,
    embedder: Any,
    *,
    kinds: Sequence[str] | None = CHUNKS,
    document_id: str | None = None,
    show: Show = _unseen,
) -> Embedded:
    """Give every record that lacks one its vector, a batch at a time; each batch is kept before the next is asked for. `show` hears
    how many are done. The plane is not held meanwhile."""
    import hashlib

    index = found.index(embedder.model)
    dimension, count, digest, watch = index.dim if index else None, 0, hashlib.sha256(), clock.Stopwatch()
    seen = 0
    for batch in _batches(found, embedder.model, kinds, document_id):
        texts = _texts(store, batch)
        # One text is embedded once, however many records say it.
        wanted = {lacking.hash: lacking for lacking in batch if lacking.record_id in texts}
        asked = [texts[lacking.record_id] for lacking in wanted.values()]
        if asked:
            vectors = embedder.embed(asked)
            found.put(embedder.model, list(zip(wanted.values(), vectors, strict=True)))
            dimension, count = len(vectors[0]), count + len(asked)
            for text in asked:
                digest.update(text.encode("utf-8"))
        seen += len(batch)
        show(seen)
    return Embedded(count, dimension, embedder.provider, watch.ms(), digest.hexdigest())


def _batches(found: Vectors, model: str, kinds: Sequence[str] | None, document_id: str | None) -> Iterator[list[Lacking]]:
    after = 0
    while batch := found.missing(model, kinds=kinds, document_id=document_id, after=after, limit=BATCH):
        after = batch[-1].record
        yield batch


def _texts(store: Store, batch: Sequence[Lacking]) -> dict[str, str]:
    """The texts of records by id, but for those that say something else by now."""
    from .store import vectors

    texts: dict[str, str] = {}
    expected = {lacking.record_id: lacking.hash for lacking in batch}
    for kind in dict.fromkeys(lacking.kind for lacking in batch):
        ids = [lacking.record_id for lacking in batch if lacking.kind == kind]
        for row in store.list(kind, {"id": ("in", ids)}):
            text = vectors.text_of(kind, row)
            if vectors.hash_of(text) == expected[row["id"]]:
                texts[row["id"]] = text
    store.release()
    return texts


def embed_chunks(store: Store, document_id: str, *, task_id: str | None = None) -> dict[str, Any]:
    """Embed the chunks of a document that was just cut: {embedded, model, note}. Without a backend nothing is done; what a backend is
    refused with becomes the note, and what was embedded before it stays."""
    from .store import vectors

    counted = [0]
    model: str | None = None
    try:
        if not backends.configured("embedding"):
            return {"embedded": 0, "model": None, "note": None}
        embedder = backends.opened("embedding", model=active_model(store))
        model = embedder.model
        with vectors.opened(store) as found:
            done = embed(store, found, embedder, document_id=document_id, show=lambda done: counted.append(done))
        if done.count:
            record(store, done, embedder.model, f"Embedded {done.count} chunks of {document_id}.", task_id)
        return {"embedded": counted[-1], "model": model, "note": None}
    except denial.Denial as refusal:
        reason = refusal.detail.get("reason")
        said = f"{refusal.message} ({reason})" if reason else refusal.message
        return {"embedded": counted[-1], "model": model, "note": f"{said} B3 reembed makes the missing vectors."}
    finally:
        store.release()


def record(store: Store, done: Embedded, model: str, summary: str, task_id: str | None) -> None:
    """Write down, in a unit of its own, that a model was used."""
    from .call import Result

    store.perform(store.call, lambda: Result(id=trace(store, done, model, summary, task_id)["id"]))


def trace(store: Store, done: Embedded, model: str | None, summary: str, task_id: str | None) -> Row:
    """Write down, in the unit under way, that a model was used."""
    from .backends import traces

    return traces.model_call(
        store,
        name="embed",
        summary=summary,
        model=model,
        provider=done.provider,
        latency_ms=done.latency_ms,
        prompt=done.digest,
        output=None,
        task_id=task_id,
        tags=["embedding"],
    )


# --- what has vectors -----------------------------------------------------------------------------


def of_records(store: Store, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The models that some of these records have vectors of: [{model, dim, active}]."""
    return [_told(found, active) for found, _, active in _indexes(store, lambda vectors: vectors.models_of(ids))]


def of_chunk(store: Store, chunk_id: str) -> list[dict[str, Any]]:
    """The models that a chunk has vectors of."""
    return of_records(store, [chunk_id])


def of_document(store: Store, document_id: str) -> list[dict[str, Any]]:
    """The models that a document's chunks have vectors of: [{model, chunks_indexed, dim, active}]."""
    found = _indexes(store, lambda vectors: vectors.models_of_document(document_id))
    return [{**_told(index, active), "chunks_indexed": count} for index, count, active in found]


def _told(index: Index, active: bool) -> dict[str, Any]:
    return {"model": index.model, "dim": index.dim, "active": active}


def _indexes(store: Store, counted: Callable[[Vectors], list[tuple[Index, int]]]) -> list[tuple[Index, int, bool]]:
    """Indexes as `counted` finds them, with whether each is the one that answers; none where there is no file, or nothing to read it."""
    from .store import vectors

    if not store.plane.vectors.is_file():
        return []
    active = active_model(store)
    try:
        with vectors.opened(store) as found:
            return [(index, count, index.model == active) for index, count in counted(found)]
    except denial.BackendUnavailable:
        return []


# --- which indexes are kept -----------------------------------------------------------------------


def surplus(indexes: Sequence[Index], active: str | None) -> list[str]:
    """The models beyond those that are kept, oldest indexes first to go; never the active one."""
    most = keep()
    if not most:
        return []
    ordered = sorted(indexes, key=lambda index: (index.model == active, index.m), reverse=True)
    return [index.model for index in ordered[most:] if index.model != active]
