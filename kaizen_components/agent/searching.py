"""Searching: the web search backends by name."""

from __future__ import annotations

import os
from typing import Any

from .. import denial
from .tool import ToolError

BACKENDS = ("ddgs", "searxng")


def named() -> str:
    """The backend that is configured. Raises DENIED_ENVIRONMENT_INVALID."""
    name = os.environ.get("KAIZEN_SEARCH_BACKEND", "").strip() or "ddgs"
    if name not in BACKENDS:
        raise denial.EnvironmentInvalid(
            f"Set KAIZEN_SEARCH_BACKEND to one of {', '.join(BACKENDS)}, or unset it.",
            variable="KAIZEN_SEARCH_BACKEND",
            value=name,
        )
    return name


def found(query: str, most: int, *, timeout: float) -> tuple[str, list[dict[str, str]]]:
    """(backend, pages: title, url, snippet) for a query. Raises ToolError no_answer where the backend does not answer,
    DENIED_BACKEND_UNAVAILABLE where its package is missing."""
    name = named()
    pages = _searxng(query, timeout) if name == "searxng" else _ddgs(query, most, timeout)
    return name, [page for page in pages if page["url"].startswith(("http://", "https://"))][:most]


def _ddgs(query: str, most: int, timeout: float) -> list[dict[str, str]]:
    try:
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException
    except ImportError:
        raise denial.BackendUnavailable("Install it: python -m pip install -r requirements-tools.txt", package="ddgs") from None
    try:
        hits = DDGS(timeout=max(int(timeout), 1)).text(query, max_results=most)
    except DDGSException as fault:
        raise ToolError("no_answer", f"No search engine answered: {str(fault)[:300]}", backend="ddgs") from None
    return [_page(hit.get("title"), hit.get("href"), hit.get("body")) for hit in hits]


def _searxng(query: str, timeout: float) -> list[dict[str, str]]:
    """SearXNG's JSON API. Its address is the operator's choice, so it may be of this machine or network."""
    import httpx

    place = os.environ.get("KAIZEN_SEARCH_URL", "").strip()
    if not place.startswith(("http://", "https://")):
        raise denial.EnvironmentInvalid(
            "Set KAIZEN_SEARCH_URL to the address of your SearXNG, such as http://127.0.0.1:8888.", variable="KAIZEN_SEARCH_URL"
        )
    try:
        with httpx.Client(timeout=timeout, trust_env=False) as client:
            response = client.get(f"{place.rstrip('/')}/search", params={"q": query, "format": "json"})
        if response.status_code != 200:
            raise ToolError("no_answer", f"The search server answered {response.status_code}.", backend="searxng")
        hits: Any = response.json()["results"]
        return [_page(hit.get("title"), hit.get("url"), hit.get("content")) for hit in hits]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ToolError("no_answer", f"The search server gave no answer: {str(fault)[:300]}", backend="searxng") from None


def _page(title: Any, url: Any, snippet: Any) -> dict[str, str]:
    return {"title": str(title or ""), "url": str(url or ""), "snippet": str(snippet or "")}
