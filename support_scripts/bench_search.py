"""Measure search over many chunks of evidence against a floor: the same query by hand on an FTS5 table of the same texts.

    python support_scripts/bench_search.py                          100,000 chunks; some minutes, most of them to write them
    python support_scripts/bench_search.py --size 10000             a quick look
    python support_scripts/bench_search.py --keep /tmp/plane        make the plane there, or use the one that is there
    KAIZEN_EMBED_BACKEND=sentence-transformers KAIZEN_EMBED_MODEL=all-MiniLM-L6-v2 python support_scripts/bench_search.py

The texts are this Python's library and the packages beside it, cut at line ends into pieces of about 1,000 characters. Every
time is of a call inside a process that is warm; Kaizen and the floor take turns, query by query. Catching up is timed with
search.db deleted.

Where an embedding backend is configured (KAIZEN_EMBED_*), semantic and hybrid search are measured as well, with the recall@10
of semantic search against a search that compares every vector. Embedding 100,000 chunks takes hours without a GPU, so that
the model embeds --embed of them, spread over the plane, and the questions; every other chunk gets the vector of one of these
with noise added (cosine 0.82 to it). The model's time for a question is told apart.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import re
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CHARACTERS = 1_000
HEADING = re.compile(r"^\s*(?:class|(?:async )?def) +\w+|^#{1,4} +\S.*")
SHORT = (
    "return", "self", "argparse subcommand", "timezone", "os.path.join", "socket timeout", "import os", "json dump", "class",
    "OrderedDict", "__init__", "logging handler", "thread lock", "user name", "unicode error",
)  # fmt: skip
QUESTIONS = ROOT / "evals" / "retrieval" / "questions.jsonl"


def files() -> Iterator[Path]:
    """Sources and documents of this Python, always in the same order."""
    for name in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_path(name)).rglob("*")):
            if path.suffix in (".py", ".pyi", ".rst", ".txt", ".md") and path.is_file():
                yield path


def pieces(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, heading) of pieces of a text, cut at line ends."""
    start = at = 0
    heading = above = ""
    for line in text.splitlines(keepends=True):
        if at > start and at + len(line) - start > CHARACTERS:
            yield start, at, above
            start, above = at, heading
        if HEADING.match(line):
            heading = line.strip(" #:\n")[:100]
            above = above or heading
        at += len(line)
    if text[start:at].strip():
        yield start, at, above


def build(size: int) -> float:
    """Write documents and chunks into the plane; chunks a second."""
    from kaizen_components import paths
    from kaizen_components.call import Call, Result
    from kaizen_components.evidence.records import EvidenceChunk, EvidenceDocument
    from kaizen_components.store import Store

    store, found, start, made = Store(paths.find()), files(), time.perf_counter(), 0

    def some() -> Result:
        nonlocal made
        goal = min(made + 5_000, size)
        while made < goal:
            path = next(found)
            text = path.read_text(encoding="utf-8", errors="replace").replace("\0", " ")
            cut = [piece for piece in pieces(text) if piece[1] - piece[0] < 20_000][: size - made]
            told: dict[str, Any] = {"backend": "text", "summary": f"The file {path.name}."}
            document = store.add(EvidenceDocument(origin_kind="file", origin_ref=str(path), **told))
            for number, (first, last, heading) in enumerate(cut):
                fields: dict[str, Any] = {"document_id": document["id"], "start_index": first, "end_index": last}
                store.add(
                    EvidenceChunk(
                        text=text[first:last], chunk_index=number, chunker="recursive", context=heading or None, **fields
                    )
                )
            made += len(cut)
            store.flush()
        return Result()

    try:
        while made < size:
            store.perform(Call("E3", writes=True), some)
    except (StopIteration, RuntimeError):
        raise SystemExit(f"This Python has texts for {made:,} chunks only.") from None
    return size / (time.perf_counter() - start)


def call(*argv: str) -> tuple[float, dict[str, Any]]:
    """(milliseconds of a call inside this process, its answer)."""
    from kaizen_components.cli import main

    out = io.StringIO()
    start = time.perf_counter()
    with contextlib.redirect_stdout(out):
        code = main([*argv, "--json"])
    took = (time.perf_counter() - start) * 1000
    if code:
        raise SystemExit(f"{argv} ended with {code}")
    return took, json.loads(out.getvalue())


class Floor:
    """The texts of the plane in an FTS5 table of its own, asked by hand."""

    def __init__(self) -> None:
        import apsw

        from kaizen_components import paths
        from kaizen_components.store import Store

        self.database = apsw.Connection(":memory:")
        self.database.execute("CREATE VIRTUAL TABLE f USING fts5(context, body, tokenize='porter unicode61 remove_diacritics 2')")
        store = Store(paths.find())
        rows = store.list("evidence_chunk", columns=("context", "text"))
        store.close()
        start = time.perf_counter()
        self.database.execute("BEGIN")
        self.database.executemany("INSERT INTO f VALUES (?, ?)", ((row["context"], row["text"]) for row in rows))
        self.database.execute("COMMIT")
        self.rate = len(rows) / (time.perf_counter() - start)

    def ask(self, query: str) -> float:
        """Milliseconds of the ten best that hold any of the words of a query."""
        match = " OR ".join('"' + word + '"' for word in re.findall(r"\w+", query))
        start = time.perf_counter()
        self.database.execute(
            "SELECT rowid, snippet(f, 1, '[', ']', '…', 40) FROM f WHERE f MATCH ? ORDER BY bm25(f, 4, 1) LIMIT 10", (match,)
        ).fetchall()
        return (time.perf_counter() - start) * 1000


def catch_up() -> float:
    """Chunks a second of the first query where there is no index."""
    from kaizen_components import paths
    from kaizen_components.store import Store, search

    store = Store(paths.find())
    search.discard(store.plane.search)
    count = store.count("evidence_chunk")
    store.close()
    start = time.perf_counter()
    search.find(store, "zzqqxx", limit=1, loosely=True)
    store.close()
    return count / (time.perf_counter() - start)


def shown(times: list[float]) -> str:
    ordered = sorted(times)
    return f"p50 {statistics.median(ordered):.1f} ms, p95 {ordered[int(len(ordered) * 0.95)]:.1f} ms"


# How far the vectors of chunks that the model did not embed are from one that it made.
NOISE = 0.7


def give_vectors(embedder: Any, count: int) -> None:
    """Give every chunk a vector: `count` of them the model's, the others one of these with noise."""
    import numpy

    from kaizen_components import embeddings, paths
    from kaizen_components.store import Store, vectors

    store, source = Store(paths.find()), numpy.random.default_rng(0)
    with vectors.opened(store) as found:
        lacking = found.missing(embedder.model, kinds=embeddings.CHUNKS)
        chosen = lacking[:: max(1, len(lacking) // count)][:count]
        made: list[Any] = []
        for start in range(0, len(chosen), embeddings.BATCH):
            batch = chosen[start : start + embeddings.BATCH]
            texts = embeddings._texts(store, batch)
            made += embedder.embed([texts[one.record_id] for one in batch])
            print(f"embedded {len(made):,} of {len(chosen):,}", file=sys.stderr)
        found.put(embedder.model, list(zip(chosen, made, strict=True)))
        real = numpy.array(made, dtype="f4")
        lacking = found.missing(embedder.model, kinds=embeddings.CHUNKS)
        for start in range(0, len(lacking), 5_000):
            batch = lacking[start : start + 5_000]
            noise = source.standard_normal((len(batch), real.shape[1])) * NOISE / real.shape[1] ** 0.5
            near = real[source.integers(0, len(real), len(batch))] + noise
            near = (near / numpy.linalg.norm(near, axis=1, keepdims=True)).astype("f4")
            found.put(embedder.model, list(zip(batch, near, strict=True)))
            print(f"vectors for {start + len(batch):,} of {len(lacking):,}", file=sys.stderr)
    store.close()


class Asked:
    """A model that knows the vectors of the questions already, in the place of the one that made them."""

    def __init__(self, embedder: Any, queries: list[str]) -> None:
        self.model, self.provider = embedder.model, embedder.provider
        embedder.embed(["warm up"], query=True)
        self.times: list[float] = []
        self.known: dict[str, Any] = {}
        for query in queries:
            start = time.perf_counter()
            self.known[query] = embedder.embed([query], query=True)[0]
            self.times.append((time.perf_counter() - start) * 1000)

    def embed(self, texts: list[str], *, query: bool = False) -> list[Any]:
        return [self.known[text] for text in texts]


def by_meaning(queries: list[str], count: int, floor: Floor) -> list[tuple[str, str, str, str]]:
    """Rows of semantic and hybrid search; none without a backend."""
    from kaizen_components import backends, paths

    if not backends.configured("embedding"):
        return []
    embedder = backends.opened("embedding")
    if not paths.find().vectors.exists():
        give_vectors(embedder, count)
    asked = Asked(embedder, queries)
    opened, backends.opened = backends.opened, lambda lane, **options: asked
    try:
        call("E4", "--query", queries[0], "--hybrid")
        mine: dict[str, list[float]] = {"--semantic": [], "--hybrid": []}
        found, scans = 0.0, []
        for query in queries:
            mine["--semantic"].append(call("E4", f"--query={query}", "--semantic")[0])
            mine["--hybrid"].append(call("E4", f"--query={query}", "--hybrid")[0])
            hits, took = against_every(asked, query)
            found += hits
            scans.append(took)
    finally:
        backends.opened = opened
    both = [took + floor.ask(query) for query, took in zip(queries, scans, strict=True)]
    rows = []
    for flag, theirs, goal in (("--semantic", scans, "p50 under 60 ms"), ("--hybrid", both, "p50 under 90 ms")):
        ratio = statistics.median(mine[flag]) / statistics.median(theirs)
        rows.append((f"E4 {flag}, {len(queries)} questions", shown(mine[flag]), f"{shown(theirs)}, {ratio:.1f} times", goal))
    rows.append(("recall@10 of --semantic against every vector", f"{found / len(queries):.3f}", "", "at least 0.98"))
    return [*rows, ("embedding the question besides", shown(asked.times), "", "")]


def against_every(asked: Asked, query: str) -> tuple[float, float]:
    """(The share of the ten nearest of all vectors that semantic search finds, milliseconds of comparing every vector)."""
    from kaizen_components import paths
    from kaizen_components.store import Store, vectors

    store, vector = Store(paths.find()), asked.known[query].tobytes()
    with vectors.opened(store) as found:
        index = next(index for index in found.indexes() if index.model == asked.model)
        fast = [distance for _, _, distance in found.nearest(index, vector, kinds=("evidence_chunk",), limit=10)]
        sql = (
            f"SELECT record_id, vec_distance_cosine(v.vector, ?) AS distance FROM records JOIN vectors_{index.m} AS v"
            " ON v.n = records.text WHERE records.kind = 'evidence_chunk' AND records.answers ORDER BY distance LIMIT 10"
        )
        start = time.perf_counter()
        exact = found._db.execute(sql, (vector,)).fetchall()
        took = (time.perf_counter() - start) * 1000
    store.close()
    # Chunks with the same text are equally near: which of them is found does not matter.
    return sum(distance <= exact[-1][1] + 1e-6 for distance in fast) / len(exact), took


def run(size: int, embed: int) -> list[tuple[str, str, str, str]]:
    """Rows of (what, Kaizen, the floor and the ratio, goal)."""
    from kaizen_components import paths

    if not paths.of_root(Path(os.environ["KAIZEN_REPO_ROOT"])).database.exists():
        call("K1")
        print(f"wrote {build(size):,.0f} chunks/s", file=sys.stderr)
    rate, floor = catch_up(), Floor()
    against = f"{floor.rate:,.0f}/s, {floor.rate / rate:.1f} times"
    rows = [("catching up from nothing", f"{rate:,.0f} chunks/s", against, "at least 5,000/s")]
    questions = [json.loads(line)["question"] for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    call("E4", "--query", "warm up")
    for name, queries in (("questions", questions), ("one or two words", list(SHORT))):
        mine, theirs = [], []
        for query in queries:
            mine.append(call("E4", f"--query={query}")[0])
            theirs.append(floor.ask(query))
        ratio = statistics.median(mine) / statistics.median(theirs)
        rows.append((f"E4, {len(queries)} {name}", shown(mine), f"{shown(theirs)}, {ratio:.1f} times", "p50 under 20 ms"))
    return [*rows, *by_meaning(questions[:100], embed, floor)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="chunks in the plane")
    parser.add_argument(
        "--embed", type=int, default=2_000, help="chunks that the model embeds; the others get vectors near these"
    )
    parser.add_argument("--keep", type=Path, help="make the plane in this folder, or use the one that is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kaizen-bench-") as folder:
        root = given.keep or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        os.environ["KAIZEN_REPO_ROOT"] = str(root)
        rows = run(given.size, given.embed)
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | Kaizen | floor, ratio | goal |\n|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
