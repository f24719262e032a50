"""Retrieval: records for a question, by words, by meaning or by both, as much of them as a reader has room for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import backends, clock, denial

if TYPE_CHECKING:
    from ..call import Result
    from ..store import Row, Store
    from ..store.query import Where

# Reciprocal rank fusion: a hit counts 1 / (60 + its rank) in each list that it stands in.
RRF = 60
CANDIDATES, MOST_CANDIDATES = 50, 1_000
CHARACTERS_A_TOKEN = 4


@dataclass(slots=True)
class Found:
    """Hits, best first, and how they were found: the mode, notes for the reader, the models that were asked."""

    hits: list[Row]
    mode: str
    notes: list[str] = field(default_factory=list)
    embedding_model: str | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def note(self) -> str | None:
        return " ".join(self.notes) or None


def candidates() -> int:
    """How many hits of each list are fused or ranked anew (KAIZEN_RETRIEVE_N). Raises DENIED_ENVIRONMENT_INVALID."""
    text = os.environ.get("KAIZEN_RETRIEVE_N", "").strip()
    if not text:
        return CANDIDATES
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_CANDIDATES:
        raise denial.EnvironmentInvalid(
            f"Set KAIZEN_RETRIEVE_N to a whole number from 1 to {MOST_CANDIDATES}, or unset it.",
            variable="KAIZEN_RETRIEVE_N",
            value=text,
        )
    return int(text)


def retrieved(
    store: Store,
    query: str,
    *,
    mode: str,
    kinds: Sequence[str] | None,
    where: Where,
    limit: int | None,
    offset: int = 0,
    loosely: bool = True,
    model: str | None = None,
    rerank: bool = False,
) -> Found:
    """A page of the records that a query finds: id, kind, score, why, and what search.describe tells of them.

    `mode` is fts, semantic or hybrid; the plane is let go of while models are at work. `loosely` lets records answer a
    question in words that hold some of them. A limit of None is no limit. Raises what embeddings.nearest raises for
    semantic; hybrid does with words alone where there is no model or no vectors, and says so.
    """
    from ..store import search

    # What a model ranks anew it has to read: without a limit these are the candidates.
    every = limit is None and not rerank
    many = None if every else max(candidates(), (limit or 0) + offset)
    if mode == "fts":
        most, skipped = (many, 0) if rerank else (limit, offset)
        hits = search.find(
            store, query, kinds=kinds, where=where, limit=most, offset=skipped, loosely=loosely, pieces=True, described=True
        )
        found = Found([_by_words(hit) for hit in hits], "like" if hits and hits[0]["matched"] == "text" else "fts")
    elif mode == "semantic":
        found = _semantic(store, query, kinds, where, many, model)
    else:
        found = _hybrid(store, query, kinds, where, many, model)
    if mode != "fts":
        most, skipped = (None, 0) if rerank else (limit, offset)
        found.hits = search.describe(store, query, found.hits, limit=most, offset=skipped)
    for hit in found.hits:
        hit["why"]["words"] = hit["words"]
    if rerank:
        _rerank(found, query)
        found.hits = found.hits[offset : None if limit is None else offset + limit]
    return found


def _by_words(hit: Row) -> Row:
    return {**hit, "why": {"matched": hit["matched"]}}


def _nearest(
    store: Store, query: str, kinds: Sequence[str] | None, where: Where, many: int | None, model: str | None
) -> tuple[Any, dict[str, Any]]:
    """(embeddings.Nearest, what the trace says of the call)."""
    from .. import embeddings

    if not any(character.isalnum() for character in query):
        raise denial.EmbedEmpty("Pass a query with words in it.")
    watch = clock.Stopwatch()
    nearest = embeddings.nearest(store, query, kinds=kinds, where=where, limit=-1 if many is None else many, model=model)
    call = {
        "lane": "embedding",
        "model": nearest.model,
        "provider": backends.config("embedding").backend,
        "latency_ms": watch.ms(),
    }
    return nearest, call


def _semantic(store: Store, query: str, kinds: Sequence[str] | None, where: Where, many: int | None, model: str | None) -> Found:
    nearest, call = _nearest(store, query, kinds, where, many, model)
    hits = [
        {"id": record_id, "kind": kind, "score": round(1 - distance, 6), "why": {"distance": round(distance, 6)}}
        for record_id, kind, distance in nearest.hits
    ]
    return Found(hits, "semantic", [nearest.note] if nearest.note else [], nearest.model, [call])


def _hybrid(store: Store, query: str, kinds: Sequence[str] | None, where: Where, many: int | None, model: str | None) -> Found:
    """Both lists fused by rank; words alone where meaning cannot be had."""
    from ..store import search

    by_words = search.find(store, query, kinds=kinds, where=where, limit=many, loosely=True, pieces=True)
    try:
        nearest, call = _nearest(store, query, kinds, where, many, model)
    except denial.Denial as refusal:
        found = Found([_by_words(hit) for hit in by_words], "hybrid(lexical-only)")
        found.notes.append(f"By words alone: {refusal.message} {refusal.required_action}")
        return found
    fused: dict[str, Row] = {}
    for hit in by_words:
        fused[hit["id"]] = {"id": hit["id"], "kind": hit["kind"], "why": {"matched": hit["matched"]}}
    for record_id, kind, distance in nearest.hits:
        hit = fused.setdefault(record_id, {"id": record_id, "kind": kind, "why": {}})
        hit["why"]["distance"] = round(distance, 6)
    lists = {"lexical": [hit["id"] for hit in by_words], "semantic": [record_id for record_id, _, _ in nearest.hits]}
    scores = fusion(lists)
    hits = sorted(fused.values(), key=lambda hit: -scores[hit["id"]][0])
    for hit in hits:
        score, ranks = scores[hit["id"]]
        hit["score"], hit["why"]["ranks"] = round(score, 6), ranks
    return Found(hits, "hybrid", [nearest.note] if nearest.note else [], nearest.model, [call])


def fusion(lists: Mapping[str, Sequence[str]]) -> dict[str, tuple[float, dict[str, int]]]:
    """Reciprocal rank fusion of lists of ids by name: id -> (score, its rank in each list that it stands in, from 1)."""
    fused: dict[str, tuple[float, dict[str, int]]] = {}
    for name, ids in lists.items():
        for rank, record_id in enumerate(ids, 1):
            score, ranks = fused.get(record_id, (0.0, {}))
            fused[record_id] = score + 1 / (RRF + rank), {**ranks, name: rank}
    return fused


def _rerank(found: Found, query: str) -> None:
    """Put hits into the order in which a model ranks their texts; they stay where they are without one, with a note."""
    if not found.hits:
        return
    watch = clock.Stopwatch()
    try:
        model = backends.opened("rerank")
        scores = model.scores(query, [hit["text"] for hit in found.hits])
    except denial.Denial as refusal:
        found.notes.append(f"Not reranked: {refusal.message} {refusal.required_action}")
        return
    for hit, score in zip(found.hits, scores, strict=True):
        hit["rerank_score"] = round(float(score), 6)
    found.hits.sort(key=lambda hit: -hit["rerank_score"])
    found.mode += "+rerank"
    found.calls.append({"lane": "rerank", "model": model.model, "provider": model.provider, "latency_ms": watch.ms()})


def recorded(store: Store, found: Found, op: str, query: str, task_id: str | None) -> Callable[[], Result]:
    """The work of writing a trace event for each model that was asked: hashes of what was said, and what it cost."""
    from ..backends.traces import model_call
    from ..call import Result

    def work() -> Result:
        for call in found.calls:
            model_call(
                store,
                kind="evidence_read",
                name=op,
                summary=f"Asked a model of the lane {call['lane']} for {len(found.hits)} records.",
                model=call["model"],
                provider=call["provider"],
                latency_ms=call["latency_ms"],
                prompt=query,
                output="\n".join(hit["id"] for hit in found.hits),
                task_id=task_id,
                tags=[call["lane"]],
            )
        return Result()

    return work


@dataclass(frozen=True, slots=True)
class Budgeted:
    """Texts that fit a budget, in the order of the hits, and what was left out."""

    texts: dict[str, str]
    told: dict[str, Any]


def budgeted(hits: Sequence[Row], tokens: int) -> Budgeted:
    """Whole texts of hits, best first, as many as fit into a number of tokens of four characters; the last is cut."""
    room = tokens * CHARACTERS_A_TOKEN
    texts: dict[str, str] = {}
    cut: str | None = None
    left_out, lost = [], 0
    for hit in hits:
        text = hit["text"]
        if room <= 0:
            left_out.append(hit["id"])
            lost += len(text)
            continue
        if len(text) > room:
            kept = text[:room].rpartition(" ")[0] or text[:room]
            cut, lost = hit["id"], lost + len(text) - len(kept)
            text, room = kept, 0
        room -= len(text)
        texts[hit["id"]] = text
    used = sum(map(len, texts.values()))
    told = {"tokens": tokens, "used": tokens_of(used), "cut_id": cut, "left_out": len(left_out), "left_out_ids": left_out}
    return Budgeted(texts, {**told, "left_out_tokens": tokens_of(lost)})


def tokens_of(characters: int) -> int:
    """Tokens that so many characters take, rounded up."""
    return -(-characters // CHARACTERS_A_TOKEN)
