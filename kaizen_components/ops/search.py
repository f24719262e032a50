"""Search: records of every kind, found by what their texts say."""

import textwrap
from typing import ClassVar

from .. import denial
from ..fields import RawText, Vocabulary
from ..op import Result, op
from ..record import Field
from ..store import Row, Store
from . import _index
from .lifecycle import Annotated, Listing
from .retrieval import Tokens

KINDS = tuple(kind for kind in sorted(_index.KINDS) if kind != "plane")
KEYS = ("id", "kind", "title", "status", "created_at", "score", "snippet")


class Search(Listing):
    """What to find, and among which records."""

    filters: ClassVar[tuple[tuple[str, str], ...]] = (("status", "status"), ("scope", "scope"), ("task_id", "record_task"))

    query: RawText = Field(missing=denial.QueryRequired, description='Words to find; all must match, "quoted phrases" exactly')
    kind: list[Annotated[str, Vocabulary(*KINDS)]] | None = Field(None, description="Only records of this kind; repeat for more")
    status: RawText | None = Field(None, description="Only records with this status")
    scope: RawText | None = Field(None, description="Only records of this scope")
    task_id: RawText | None = Field(None, description="Only this task and the records that belong to it")
    semantic: bool = Field(False, description="By meaning: needs an embedding backend and vectors (B3 --records)")
    hybrid: bool = Field(False, description="By words and by meaning, fused by rank; by words alone where there is no model")
    budget: Tokens | None = Field(None, description="Whole texts instead of snippets, as many as fit into so many tokens")


@op(
    "K17",
    "record-search",
    keywords="find any record text full-text grep all kinds semantic hybrid meaning",
    example='--query "login" --kind gotcha --kind task --limit 5',
)
def record_search(wanted: Search, store: Store) -> Result:
    """Search the records of every kind, best match first.

    By words, all of which must match. --semantic and --hybrid find by meaning as well, and then the answer says the mode
    and why each record was found. Chunks of evidence whose place others took answer only where --status asks for them.
    """
    if wanted.semantic or wanted.hybrid:
        return _by_meaning(wanted, store)
    from ..store import search

    limit, offset = wanted.window()
    hits = search.find(store, wanted.query, kinds=wanted.kind, where=wanted.where(), limit=limit, offset=offset, described=True)
    return _answer(wanted, hits, KEYS)


def _by_meaning(wanted: Search, store: Store) -> Result:
    """The plane is not held while the model is asked."""
    from ..evidence import retrieval

    if wanted.semantic and wanted.hybrid:
        raise denial.FlagConflict(fields=["semantic", "hybrid"])
    limit, offset = wanted.window()
    mode = "semantic" if wanted.semantic else "hybrid"
    kinds = tuple(wanted.kind) if wanted.kind else None
    found = retrieval.retrieved(store, wanted.query, mode=mode, kinds=kinds, where=wanted.where(), limit=limit, offset=offset)
    result = _answer(wanted, found.hits, (*KEYS, "why"))
    result.update(mode=found.mode, note=found.note, embedding_model=found.embedding_model)
    return result


def _answer(wanted: Search, hits: list[Row], keys: tuple[str, ...]) -> Result:
    """The hits as they are answered: with snippets, or with whole texts as far as a budget goes."""
    result = Result(records=[{name: hit[name] for name in keys} for hit in hits], count=len(hits), query=wanted.query)
    if wanted.budget is not None:
        from ..evidence import retrieval

        fitting = retrieval.budgeted(hits, wanted.budget)
        hits = [{**hit, "snippet": fitting.texts[hit["id"]]} for hit in hits if hit["id"] in fitting.texts]
        result["records"] = [{**{name: hit[name] for name in keys if name != "snippet"}, "text": hit["snippet"]} for hit in hits]
        result.update(count=len(hits), budget=fitting.told)
    result.view = lambda width: _page(hits, wanted.query, width)
    return result


def _page(hits: list[Row], query: str, width: int) -> str:
    """The hits for a person: what each is, its title, and where it matched if not there."""
    lines: list[str] = []
    for hit in hits:
        at = hit["created_at"][:16].replace("T", " ")
        lines.append(f"{hit['id']}  {hit['kind']}, {hit['status']}, {at}, score {hit['score']:.3g}")
        told = [hit["title"]] if hit["snippet"].replace("[", "").replace("]", "") != hit["title"] else []
        for text in (*told, hit["snippet"]):
            lines += textwrap.wrap(text, max(width - 4, 20), initial_indent="    ", subsequent_indent="    ")
        lines.append("")
    found = f"{len(hits)} record{'' if len(hits) == 1 else 's'}" if hits else "Nothing"
    return "\n".join([*lines, f"{found} found for: {query}"])
