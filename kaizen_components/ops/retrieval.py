"""Retrieval: chunks of evidence for a question, by their words, by their meaning, or by both."""

import textwrap
from typing import Annotated, Any, ClassVar

from .. import denial
from ..fields import Count, Range, RawText
from ..op import Result, op
from ..output import many
from ..record import Field, Input
from ..store import Row, Store

Tokens = Annotated[int, Range(1, 1_000_000)]
COLUMNS = (
    "id",
    "document_id",
    "source_lock_id",
    "context",
    "neighbor_prev_id",
    "neighbor_next_id",
    "page",
    "start_index",
    "end_index",
)


class EvidenceQuery(Input):
    """What to find, how, and among which chunks."""

    scanned = False
    default_limit: ClassVar[int] = 10

    query: RawText = Field(missing=denial.QueryRequired, description='A question, or words to find; "quoted phrases" exactly')
    limit: int | None = Field(None, description="At most so many; 0 is the default, negative is no limit")
    offset: Count | None = Field(None, description="Skip so many")
    semantic: bool = Field(False, description="By meaning: needs an embedding backend and vectors (B3)")
    hybrid: bool = Field(False, description="By words and by meaning, fused by rank; by words alone where there is no model")
    rerank: bool = Field(False, description="A reranking model puts the best into a new order, where one is configured")
    budget: Tokens | None = Field(None, description="Whole texts instead of snippets, as many as fit into so many tokens")
    task_id: RawText | None = Field(None, description="Only documents that belong to this task")
    document_id: RawText | None = Field(None, description="Only chunks of this document")
    source_id: RawText | None = Field(None, description="Only documents with this source lock, by its id or its --source-id")
    model: RawText | None = Field(None, description="Embedding model to ask; default: the active one")


@op(
    "E4",
    "evidence-query",
    writes=True,
    manages_store=True,
    keywords="search find ask question retrieve retrieval chunks passages documents semantic hybrid rerank budget context rag",
    example='--query "how are retries counted" --limit 5',
)
def evidence_query(wanted: EvidenceQuery, store: Store) -> Result:
    """Search the chunks of evidence, best first.

    By words (the default): chunks that hold every word, best first, with what stands as it was typed before the rest; then
    chunks that hold some of the words that say something; where no word matches, pieces of words do. why says which words matched, the distance, the ranks that were fused. The mode is fts, or
    like where pieces of words matched; semantic; hybrid, or hybrid(lexical-only) with a note that says why.

    Nothing is written, unless a model was asked: then a trace event that holds hashes in place of the texts.
    """
    from ..evidence import retrieval

    mode = _mode(wanted.semantic, wanted.hybrid)
    where: dict[str, Any] = {}
    if store.call.key or wanted.task_id or wanted.source_id or wanted.document_id:
        first = store.perform(store.call, lambda: Result(where=_where(wanted, store)))
        if first.get("replayed"):
            return first
        where = first["where"]
    many = retrieval.candidates()
    limit = wanted.limit or (many if wanted.budget else wanted.default_limit)
    options: dict[str, Any] = {
        "mode": mode,
        "kinds": ("evidence_chunk",),
        "where": where,
        "rerank": wanted.rerank,
        "model": wanted.model,
    }
    window = {"limit": None if limit < 0 else limit, "offset": wanted.offset or 0}
    try:
        found = retrieval.retrieved(store, wanted.query, **options, **window)
        records = _records(store, found.hits)
        if not records:
            found.notes += _not_cut(store)
        store.settle()
    finally:
        store.release()
    result = Result(mode=found.mode, query=wanted.query, records=records, note=found.note, embedding_model=found.embedding_model)
    if wanted.budget is not None:
        _fit(result, found.hits, wanted.budget)
    result["count"] = len(result["records"])
    if found.calls:
        receipt = store.perform(store.call, retrieval.recorded(store, found, "evidence-query", wanted.query, wanted.task_id))
        result.update({name: value for name, value in receipt.items() if name not in ("status", "replayed")})
    result.view = lambda width: _page(result, width)
    return store.warned(result)


def _not_cut(store: Store) -> list[str]:
    """Why nothing may have been found: documents that nobody has cut."""
    where = {"is_open": 1, "chunker": None}
    count = store.count("evidence_document", where)
    if not count:
        return []
    first = store.list("evidence_document", where, limit=1, columns=("id",))[0]["id"]
    said = "1 document is" if count == 1 else f"{count} documents are"
    return [f"{said} not cut into chunks, which searching needs: python kaizen.py E3 --id {first}"]


def _mode(semantic: bool, hybrid: bool) -> str:
    if semantic and hybrid:
        raise denial.FlagConflict(fields=["semantic", "hybrid"])
    return "semantic" if semantic else "hybrid" if hybrid else "fts"


def _where(wanted: EvidenceQuery, store: Store) -> dict[str, Any]:
    """The conditions on chunks: those of documents that are looked up by their task and source."""
    if wanted.task_id is None and wanted.source_id is None:
        return {} if wanted.document_id is None else {"document_id": wanted.document_id}
    where: dict[str, Any] = {} if wanted.document_id is None else {"id": wanted.document_id}
    if wanted.task_id is not None:
        where["task_id"] = wanted.task_id
    if wanted.source_id is not None:
        locks = store.list("source_lock", {"source_id": wanted.source_id}, columns=("id",))
        where["source_lock_id"] = ("in", [wanted.source_id, *(lock["id"] for lock in locks)])
    return {"document_id": ("in", [row["id"] for row in store.list("evidence_document", where, columns=("id",))])}


def _records(store: Store, hits: list[Row]) -> list[Row]:
    """The chunks of hits, in their order, with where each comes from."""
    from ..store import search

    chunks = {row["id"]: row for row in search.rows(store, "evidence_chunk", hits, None, COLUMNS)}
    ids = list(dict.fromkeys(chunk["document_id"] for chunk in chunks.values() if chunk["document_id"]))
    documents = {
        row["id"]: row
        for row in search.rows(store, "evidence_document", [{"id": one} for one in ids], None, ("id", "origin_ref"))
    }
    records = []
    for hit in hits:
        chunk = chunks.get(hit["id"])
        if chunk is not None:
            origin = documents.get(chunk["document_id"], {}).get("origin_ref")
            scores = {name: hit[name] for name in ("score", "rerank_score") if name in hit}
            records.append({**chunk, **scores, "snippet": hit["snippet"], "why": hit["why"], "origin_ref": origin})
    return records


def _fit(result: Result, hits: list[Row], budget: int) -> None:
    """Whole texts in place of snippets, as far as they fit."""
    from ..evidence import retrieval

    fitting = retrieval.budgeted([hit for hit in hits if hit["id"] in {record["id"] for record in result["records"]}], budget)
    kept = [record for record in result["records"] if record["id"] in fitting.texts]
    for record in kept:
        del record["snippet"]
        record["text"] = fitting.texts[record["id"]]
    result["records"], result["budget"] = kept, fitting.told


def _page(result: Result, width: int) -> str:
    """The chunks for a person: where each comes from, what it stands under, and where it matches."""
    lines: list[str] = []
    inner = {"width": max(width - 4, 20), "initial_indent": "    ", "subsequent_indent": "    "}
    for record in result["records"]:
        page = f", page {record['page']}" if record["page"] is not None else ""
        lines.append(f"{record['origin_ref'] or 'no document'}{page}  ({record['id']}, score {record['score']:.3g})")
        # A whole text begins with its headings.
        if record["context"] and "text" not in record:
            lines += textwrap.wrap(record["context"], **inner)
        if "text" in record:
            lines += _indented(record["text"], width)
        else:
            lines += textwrap.wrap(record["snippet"], **inner)
        lines.append("")
    found = many(result["count"], "chunk") if result["count"] else "Nothing"
    lines.append(f"{found} found for: {result['query']}  ({result['mode']})")
    budget = result.get("budget")
    if budget:
        lines.append(
            f"{budget['used']} of {budget['tokens']} tokens; left out: {many(budget['left_out'], 'chunk')}, {budget['left_out_tokens']} tokens."
        )
    return "\n".join([*lines, *textwrap.wrap(result["note"] or "", width)])


def _indented(text: str, width: int) -> list[str]:
    """A text's lines, four columns in; a line that is too long goes on where it began."""
    lines: list[str] = []
    for line in text.rstrip().splitlines():
        begin = " " * (4 + len(line) - len(line.lstrip()))
        lines += textwrap.wrap(line.strip(), max(width, len(begin) + 20), initial_indent=begin, subsequent_indent=begin) or [""]
    return lines
