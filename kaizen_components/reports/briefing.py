"""Briefing: a digest as a person reads it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from .digest import TOTALS

TITLES = {
    "blocking_verifications": "Blocking verifications",
    "policies": "Policies",
    "active_tasks": "Open tasks",
    "active_gotchas": "Gotchas",
    "recent_learned": "Lessons",
}


def text(digest: Mapping[str, Any], width: int) -> str:
    """The whole digest, what matters most first, in lines of at most `width` characters."""
    return "\n".join(_lines(digest, max(width, 40)))


def _lines(digest: Mapping[str, Any], width: int) -> Iterator[str]:
    yield from _wrapped(digest["message"], width, "")
    counts = digest["counts"]
    for name, title in TITLES.items():
        rows = digest.get(name)
        if rows:
            yield from ("", f"{title} ({len(rows)} of {counts[TOTALS[name]]})")
            for row in rows:
                yield from _record(name, row, width)
    yield from ("", "Counts")
    yield from _wrapped(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items()), width, "  ")
    budget = digest.get("budget")
    if budget is not None:
        yield from ("", f"Budget: {budget['used']} of {budget['limit']} tokens, {budget['unit']}")
        for cut in budget["cut"]:
            shortened = f", {cut['shortened']} of them shortened" if "shortened" in cut else ""
            yield f"  {cut['section']}: {cut['shown']} of {cut['total']} shown{shortened}; all: {cut['command']}"
    yield ""
    yield from _wrapped(f"Next: {digest['required_action']}", width, "")


def _record(section: str, row: Mapping[str, Any], width: int) -> Iterator[str]:
    """A record: what it is and its id, then what it says."""
    told = {
        "blocking_verifications": [row.get("conclusion"), row.get("basis"), row.get("severity"), row.get("task_id")],
        "policies": [row.get("priority"), row.get("trigger")],
        "active_tasks": [row.get("status")],
    }.get(section, [])
    yield from _wrapped(f"{row.get('title') or row.get('conclusion')}", width, "  ")
    yield "    " + ", ".join(str(item) for item in [row["id"], *told, row["created_at"][:10]] if item)
    for name in ("summary", "body"):
        if row.get(name):
            yield from _wrapped(row[name], width, "    ")
    for proof in row.get("proofs", ()):
        said = ", ".join(str(item) for item in (proof["id"], proof["basis"], proof["conclusion"], proof["status"]) if item)
        yield f"    rests on {said}"
        if proof["summary"]:
            yield from _wrapped(proof["summary"], width, "      ")


def _wrapped(text: str, width: int, indent: str) -> Iterator[str]:
    for line in text.splitlines() or [""]:
        yield from textwrap.wrap(line, width, initial_indent=indent, subsequent_indent=indent) or [""]
