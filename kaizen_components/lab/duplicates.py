"""Duplicates: records that say nearly the same, in groups, for a person to look through. Nothing is merged."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from .. import denial

if TYPE_CHECKING:
    from ..store import Row, Store

# kind -> (kind of record, columns whose texts are compared)
KINDS = {
    "gotcha": ("gotcha", ("title", "summary", "body")),
    "learned": ("learned", ("title", "summary", "body")),
    "learning": ("learning", ("title", "summary", "body")),
    "evidence": ("evidence_chunk", ("text",)),
}
# Every pair of so many vectors is compared in a few seconds; of more, the newest are.
MOST_VECTORS = 5_000
_WORD = re.compile(r"\w+")

Pair = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that may be a duplicate: how it is shown, and the text that is compared."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Records that are linked by similar pairs, newest first; the least and the greatest similarity among those."""

    members: Sequence[Candidate]
    least: float
    most: float

    def values(self) -> dict[str, Any]:
        """As an answer shows it."""
        return {
            "size": len(self.members),
            "similarity": round(self.most, 4),
            "least_similarity": round(self.least, 4),
            "ids": [member.id for member in self.members],
            "titles": [member.title for member in self.members],
        }


def candidates(store: Store, kind: str, *, task_id: str | None = None, limit: int | None = None) -> list[Candidate]:
    """The open records of a kind (of a task), newest first."""
    record, columns = KINDS[kind]
    if kind == "evidence":
        rows = _chunks(store, task_id, limit)
    else:
        where: dict[str, Any] = {"is_open": 1} | ({"source_task_id": task_id} if task_id else {})
        rows = store.list(record, where, limit=limit, columns=("id", *columns))
    found = [Candidate(row["id"], row.get("title") or _opening(row), _text(row, columns)) for row in rows]
    return [entry for entry in found if _WORD.search(entry.text)]


def _chunks(store: Store, task_id: str | None, limit: int | None) -> list[Row]:
    """The chunks in use, newest first; of a task, those of its documents."""
    from ..reports.selection import chunks as batches

    columns = ("id", "text", "context", "created_seq")
    if task_id is None:
        return store.list("evidence_chunk", {"is_open": 1}, limit=limit, columns=columns)
    documents = [row["id"] for row in store.list("evidence_document", {"task_id": task_id}, columns=("id",))]
    rows: list[Row] = []
    for batch in batches(documents):
        rows += store.list("evidence_chunk", {"is_open": 1, "document_id": ("in", batch)}, limit=limit, columns=columns)
    rows.sort(key=lambda row: -row["created_seq"])
    return rows[:limit]


def _text(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    return "\n".join(row[name] for name in columns if row[name])


def _opening(row: Mapping[str, Any]) -> str:
    """What a chunk is shown as: its headings, or the first of its words."""
    words = (row.get("context") or row["text"]).split()
    return " ".join(words[:12]) + (" …" if len(words) > 12 else "")


# --- pairs ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Likeness:
    """The similar pairs, what was compared ("embeddings", "stored vectors" or "lexical"), and why not vectors."""

    source: str
    pairs: Sequence[Pair]
    note: str | None = None


def likeness(store: Store, kind: str, found: Sequence[Candidate], threshold: float, *, task_id: str | None = None) -> Likeness:
    """The pairs that are at least so similar: by vectors where every record has or gets one, else by their words.

    Evidence gets none here: B3 embeds it. The plane is not held meanwhile.
    """
    if not found:
        return Likeness("lexical", [])
    note: str | None = None
    try:
        source, held, note = _vectors(store, kind, found, task_id)
        if held is not None:
            return Likeness(source, linked(held, lambda distinct: vector_pairs(distinct, threshold)))
    except denial.Denial as refusal:
        note = f"The vectors could not be had: {refusal.message}"
    finally:
        store.close()
    words = [" ".join(_WORD.findall(entry.text.casefold())) for entry in found]
    return Likeness("lexical", linked(words, lambda distinct: lexical_pairs(distinct, threshold)), note)


Key = TypeVar("Key", str, bytes)


def linked(keys: Sequence[Key], compare: Callable[[Sequence[Key]], Sequence[Pair]]) -> list[Pair]:
    """The similar pairs of texts or vectors, each repetition paired with the first of its like alone: n that say the same
    make n - 1 pairs, not n² / 2. A vector of zeros is like nothing, not even like another."""
    first: dict[Key, int] = {}
    repeated: list[Pair] = []
    for index, key in enumerate(keys):
        if first.setdefault(key, index) != index and any(key):
            repeated.append((first[key], index, 1.0))
    places = list(first.values())
    return [(places[one], places[other], similarity) for one, other, similarity in compare(list(first))] + repeated


def _vectors(
    store: Store, kind: str, found: Sequence[Candidate], task_id: str | None
) -> tuple[str, list[bytes] | None, str | None]:
    """(what they are, the vector of each record, why there are none)."""
    from .. import backends, embeddings
    from ..store import vectors

    makes = kind != "evidence" and backends.configured("embedding")
    if not makes and not store.plane.vectors.is_file():
        return "lexical", None, None
    if len(found) > MOST_VECTORS:
        return "lexical", None, f"Of more than {MOST_VECTORS} records the words are compared, not the vectors."
    active = embeddings.active_model(store)
    source = "stored vectors"
    with vectors.opened(store) as held:
        model = active or next((index.model for index in held.indexes()), None)
        if makes:
            embedder = backends.opened("embedding", model=model)
            model = str(embedder.model)
            if _embed(store, held, embedder, KINDS[kind][0], found, task_id):
                source = "embeddings"
        ids = [entry.id for entry in found]
        known = held.vectors(model, ids) if model else {}
    missing = sum(record_id not in known for record_id in ids)
    if missing == len(ids):
        return source, None, None
    if missing:
        return source, None, f"{missing} of {len(ids)} records have no vector of {model} yet: B3 makes them."
    return source, [known[record_id] for record_id in ids], None


def _embed(store: Store, held: Any, embedder: Any, kind: str, found: Sequence[Candidate], task_id: str | None) -> int:
    """Give those of the records that lack one their vector, a batch at a time, and note the use of the model; how many."""
    from .. import clock, embeddings
    from ..store import vectors

    wanted = {entry.id for entry in found}
    lacking = [entry for entry in held.missing(embedder.model, kinds=(kind,)) if entry.record_id in wanted]
    digest, count, size, watch = hashlib.sha256(), 0, None, clock.Stopwatch()
    for start in range(0, len(lacking), embeddings.BATCH):
        batch = lacking[start : start + embeddings.BATCH]
        rows = store.list(kind, {"id": ("in", [entry.record_id for entry in batch])})
        store.release()
        texts = {row["id"]: vectors.text_of(kind, row) for row in rows}
        # What was revised since says something else by now.
        asked = [entry for entry in batch if vectors.hash_of(texts.get(entry.record_id, "")) == entry.hash]
        if asked:
            made = embedder.embed([texts[entry.record_id] for entry in asked])
            held.put(embedder.model, list(zip(asked, made, strict=True)))
            count, size = count + len(asked), len(made[0])
            for entry in asked:
                digest.update(texts[entry.record_id].encode("utf-8"))
    if count:
        done = embeddings.Embedded(count, size, embedder.provider, watch.ms(), digest.hexdigest())
        embeddings.record(store, done, embedder.model, f"Embedded {count} records of the kind {kind}.", task_id)
    return count


def lexical_pairs(texts: Sequence[str], threshold: float) -> list[Pair]:
    """(one, other, similarity) of every pair whose words are alike by the cosine of their counted words and word pairs.

    No pair is missed: two texts with a cosine of at least `threshold` share one of the rarest terms of each, which
    together hold more than 1 - threshold² of its weight; only pairs that share one are compared.
    """
    weighed = [_terms(text) for text in texts]
    spread = Counter(term for terms in weighed for term in terms)
    holders: dict[str, list[int]] = defaultdict(list)
    found: list[Pair] = []
    for index, terms in enumerate(weighed):
        rare = _rarest(terms, spread, threshold)
        others = {other for term in rare for other in holders[term]}
        for other in sorted(others):
            cosine = _dot(terms, weighed[other])
            if cosine >= threshold - 1e-9:
                found.append((other, index, round(cosine, 9)))
        for term in rare:
            holders[term].append(index)
    return found


def _terms(text: str) -> dict[str, float]:
    """The words and pairs of neighbouring words of a text, their counts scaled to a length of 1."""
    words = _WORD.findall(text.casefold())
    counts = Counter(words) + Counter(f"{first} {second}" for first, second in pairwise(words))
    length = math.sqrt(sum(count * count for count in counts.values()))
    return {term: count / length for term, count in counts.items()}


def _rarest(terms: Mapping[str, float], spread: Mapping[str, int], threshold: float) -> list[str]:
    """The rarest terms, so many that the others are too light to reach the threshold by themselves."""
    ordered = sorted(terms, key=lambda term: (-spread[term], term))
    light = 0.0
    for kept, term in enumerate(ordered):
        light += terms[term] ** 2
        # With room for rounding: a term too many costs time, one too few a pair.
        if light >= (threshold - 1e-6) ** 2:
            return ordered[kept:]
    return ordered


def _dot(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other[term] for term, weight in one.items() if term in other)


def vector_pairs(vectors: Sequence[bytes], threshold: float) -> list[Pair]:
    """(one, other, similarity) of every pair of vectors (32-bit floats, all of one length) whose cosine reaches the threshold."""
    import apsw
    import sqlite_vec

    connection = apsw.Connection(":memory:")
    try:
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.execute("CREATE TABLE vectors (id INTEGER PRIMARY KEY, vector BLOB)")
        connection.executemany("INSERT INTO vectors VALUES (?, ?)", enumerate(vectors))
        sql = (
            "SELECT one, other, 1 - distance FROM (SELECT a.id AS one, b.id AS other,"
            " vec_distance_cosine(a.vector, b.vector) AS distance FROM vectors a JOIN vectors b ON a.id < b.id)"
            " WHERE distance <= ? ORDER BY other, one"
        )
        return [(one, other, min(cosine, 1.0)) for one, other, cosine in connection.execute(sql, (1 - threshold + 1e-6,))]
    finally:
        connection.close()


# --- clusters -------------------------------------------------------------------------------------


def clusters(found: Sequence[Candidate], pairs: Iterable[Pair]) -> list[Cluster]:
    """The groups that similar pairs link together, the largest and then the most alike first."""
    parent = list(range(len(found)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    linked = sorted(pairs)
    for one, other, _ in linked:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    members: dict[int, list[Candidate]] = defaultdict(list)
    for index, entry in enumerate(found):
        members[root(index)].append(entry)
    likeness: dict[int, list[float]] = defaultdict(list)
    for one, _, similarity in linked:
        likeness[root(one)].append(similarity)
    groups = [Cluster(members[top], min(values), max(values)) for top, values in likeness.items()]
    return sorted(groups, key=lambda group: (-len(group.members), -group.most, group.members[0].id))
