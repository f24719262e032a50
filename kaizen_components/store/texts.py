"""Texts: what a record says, as it is searched and embedded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..ops import _index

# Kinds that have a text to search; a newer Kaizen may have written kinds unknown here.
SEARCHED = tuple(kind for kind, entry in _index.KINDS.items() if entry.search)
# Fields that weigh what a summary weighs: the headings that a chunk stands under.
HEADINGS = ("summary", "context")


def texts_of(kind: str, record: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a record says: its title, its summary or headings, and its other texts together."""
    names = _index.KINDS[kind].search
    title = str(record.get("title") or "") if "title" in names else ""
    summary = "\n".join(str(record[name]) for name in HEADINGS if name in names and record.get(name))
    others = [name for name in names if name != "title" and name not in HEADINGS and record.get(name)]
    return title, summary, "\n".join(_text(name, record[name]) for name in others)


def _text(name: str, value: Any) -> str:
    """The text of a field; of a JSON field its names and values, a line each."""
    if not name.endswith("_json"):
        return str(value)
    try:
        return "\n".join(_leaves(json.loads(value)))
    except (ValueError, RecursionError):
        return str(value)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name)
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)
