"""Formats: the ways a document is written, by name."""

from __future__ import annotations

from collections.abc import Callable

from . import markdown, spreadsheet
from .document import Document


def _json(document: Document) -> str:
    """Canonical JSON (RFC 8785) and a line end: the same document gives the same bytes."""
    from ..hashing import canonical

    return canonical(document.value()) + "\n"


WRITERS: dict[str, Callable[[Document], str]] = {"md": markdown.page, "json": _json, "csv": spreadsheet.sheet}
