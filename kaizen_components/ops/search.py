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

KINDS = tuple(kind for kind in sorted(_index.KINDS) if kind != "plane")


class Search(Listing):
    """What to find, and among which records."""

    filters: ClassVar[tuple[tuple[str, str], ...]] = (("status", "status"), ("scope", "scope"), ("task_id", "record_task"))

    query: RawText = Field(missing=denial.QueryRequired, description='Words to find; all must match, "quoted phrases" exactly')
    kind: list[Annotated[str, Vocabulary(*KINDS)]] | None = Field(None, description="Only records of this kind; repeat for more")
    status: RawText | None = Field(None, description="Only records with this status")
    scope: RawText | None = Field(None, description="Only records of this scope")
    task_id: RawText | None = Field(None, description="Only this task and the records that belong to it")


@op(
    "K17",
    "record-search",
    keywords="find any record text full-text grep all kinds",
    example='--query "login" --kind gotcha --kind task --limit 5',
)
def record_search(wanted: Search, store: Store) -> Result:
    """Search the records of every kind, best match first."""
    from ..store import search

    limit, offset = wanted.window()
    hits = search.find(store, wanted.query, kinds=wanted.kind, where=wanted.where(), limit=limit, offset=offset, described=True)
    columns = ("id", "kind", "title", "status", "created_at", "score", "snippet")
    result = Result(records=[{name: hit[name] for name in columns} for hit in hits], count=len(hits), query=wanted.query)
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
