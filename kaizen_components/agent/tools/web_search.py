"""Web search: pages for a query, through a search backend by name."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from ..tool import Access, Context, Given, Outcome, Tool

TIMEOUT = 20.0


class WebSearchInput(Given):
    """What to look for."""

    query: str = Field(min_length=1, max_length=1_000, description="What to look for")
    num_results: int = Field(5, ge=1, le=50, description="At most so many pages")


class WebSearch(Tool):
    """Search the web: title, address and a few lines of each page found.

    KAIZEN_SEARCH_BACKEND names what is asked: ddgs (the default; several public search engines) or searxng, at KAIZEN_SEARCH_URL.
    """

    name = "web_search"
    group = "search"
    takes = WebSearchInput
    rule_names = ("WebSearch",)
    reads_only = True

    def accesses(self, given: WebSearchInput, context: Context) -> Sequence[Access]:
        from .. import searching

        return (Access("search", searching.named()),)

    def danger(self, given: WebSearchInput, context: Context) -> str:
        return "low"

    def run(self, given: WebSearchInput, context: Context) -> Outcome:
        from .. import searching

        backend, results = searching.found(given.query, given.num_results, timeout=context.left(TIMEOUT))
        return Outcome(results, {"backend": backend, "count": len(results), "query": given.query})
