"""Search: records of every kind, found by what their texts say."""

from typing import ClassVar

from .. import denial
from ..fields import RawText, Vocabulary
from ..op import Result, op
from ..record import Field
from ..store import Store
from . import _index
from .lifecycle import Annotated, Listing

KINDS = tuple(kind for kind in sorted(_index.KINDS) if kind != "plane")


class Search(Listing):
    """What to find, and among which records."""

    filters: ClassVar[tuple[tuple[str, str], ...]] = (("status", "status"), ("task_id", "record_task"))

    query: RawText = Field(missing=denial.QueryRequired, description='Words to find; all must match, "quoted phrases" exactly')
    kind: list[Annotated[str, Vocabulary(*KINDS)]] | None = Field(None, description="Only records of this kind; repeat for more")
    status: RawText | None = Field(None, description="Only records with this status")
    task_id: RawText | None = Field(None, description="Only this task and the records that belong to it")


@op("K17", "record-search", keywords="find any record text full-text grep all kinds", example='--query "login" --kind gotcha --kind task --limit 5')
def record_search(wanted: Search, store: Store) -> Result:
    """Search the records of every kind, best match first."""
    from ..store import search

    store.warn_of_drift()
    limit, offset = wanted.window()
    hits = search.find(store, wanted.query, kinds=wanted.kind, where=wanted.where(), limit=limit, offset=offset)
    columns = ("id", "kind", "title", "status", "created_at", "score", "snippet")
    records = [{name: hit[name] for name in columns} for hit in hits]
    return Result(records=records, count=len(records), query=wanted.query)
