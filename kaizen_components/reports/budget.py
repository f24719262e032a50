"""Budget: a digest cut to so many tokens, what matters most kept longest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..output import as_json_text
from .digest import SECTIONS, Digest

UNIT = "ceil(bytes of the JSON / 4)"
# The shortest that a text becomes before records are dropped.
SHORTEST = 80
_WHOLE = ("id", "task_id", "proof_id", "created_at")
_URGENT = ("critical", "high")


def tokens(reply: Mapping[str, Any]) -> int:
    """What a reply costs: the bytes that --json prints, four to a token, rounded up."""
    return -(-len(as_json_text(reply).encode("utf-8")) // 4)


class Budget:
    """So many tokens for a reply and for the `warnings` that come with it; `commands` show a section whole."""

    def __init__(self, limit: int, warnings: list[str], commands: Mapping[str, str]) -> None:
        self.limit = limit
        self.warnings = warnings
        self.commands = commands

    def fit(self, digest: Digest) -> Digest:
        """The digest in at most `limit` tokens, with `budget`: what it cost and what was cut.

        Bodies are shortened first, then the other texts; then records are dropped, the least important first; where
        even the counts have hardly room, the empty sections go.
        """
        for candidate in self._candidates(digest):
            reply = self._sealed(candidate)
            if reply is not None:
                return reply
        raise AssertionError("the least budget holds the shortest form")

    def _candidates(self, digest: Digest) -> Iterator[Digest]:
        """Ever shorter forms of a digest."""
        yield self._cut(digest, digest)
        if self._fits(self._cut(digest, shortened(digest, 0, None))):
            yield self._most(lambda size: self._cut(digest, shortened(digest, size, None)), 0, longest(digest))
        elif self._fits(self._cut(digest, shortened(digest, 0, SHORTEST))):
            yield self._most(lambda size: self._cut(digest, shortened(digest, 0, size)), SHORTEST, longest(digest))
        else:
            ranked = [(name, row, _size(row)) for name, row in by_importance(shortened(digest, 0, SHORTEST))]
            yield self._most(lambda room: self._cut(digest, _chosen(digest, ranked, room)), 0, self.limit * 4)
        yield from self._bare(digest)

    def _bare(self, digest: Digest) -> Iterator[Digest]:
        """No records, ever fewer words."""
        total = sum(len(rows) for rows in _sections(digest).values())
        everything = {"section": "all", "shown": 0, "total": total, "command": "python kaizen.py R0"}
        bare = {**digest, **{name: [] for name in _sections(digest)}, "budget": {"cut": [everything]}}
        yield bare
        short = {**bare, "message": "Session start.", "required_action": "Raise --budget."}
        yield short
        shorter = {name: value for name, value in short.items() if name not in SECTIONS}
        yield shorter
        # The warnings come with the reply, however short it is.
        self.warnings[:] = ["The plane needs a look: K10 doctor."]
        yield shorter

    def _sealed(self, candidate: Digest) -> Digest | None:
        """A candidate with its cost written into it; None where that is over the limit."""
        reply = {"status": "OK", **candidate}
        extra = {"warnings": list(dict.fromkeys(self.warnings))} if self.warnings else {}
        used = 0
        while used <= self.limit:
            reply["budget"] = {"limit": self.limit, "used": used, "unit": UNIT, **candidate["budget"]}
            cost = tokens({**reply, **extra})
            if cost <= used:
                return reply
            used = cost
        return None

    def _fits(self, candidate: Digest) -> bool:
        return self._sealed(candidate) is not None

    def _most(self, make: Callable[[int], Digest], least: int, most: int) -> Digest:
        """The candidate of the largest size that fits, or of the least."""
        while least < most:
            middle = (least + most + 1) // 2
            if self._fits(make(middle)):
                least = middle
            else:
                most = middle - 1
        return make(least)

    def _cut(self, whole: Digest, shown: Digest) -> Digest:
        """What is shown, and of each section how much that is, how many texts are shortened, what shows it whole."""
        cut: list[dict[str, Any]] = []
        for name, before in _sections(whole).items():
            after = shown[name]
            texts = {row["id"]: row for row in before}
            clipped = sum(row != texts[row["id"]] for row in after)
            if len(after) < len(before) or clipped:
                more = {"shortened": clipped} if clipped else {}
                entry = {"section": name, "shown": len(after), "total": len(before)}
                cut.append({**entry, **more, "command": self.commands[name]})
        return {**shown, "budget": {"cut": cut}}


def _sections(digest: Digest) -> dict[str, list[dict[str, Any]]]:
    return {name: digest[name] for name in SECTIONS if name in digest}


def by_importance(digest: Digest) -> Iterator[tuple[str, dict[str, Any]]]:
    """(section, record): what matters most at the start of a session first."""
    sections = _sections(digest)
    policies = sections.get("policies", [])
    urgent = [row for row in policies if row["priority"].strip().lower() in _URGENT]
    calm = [row for row in policies if row["priority"].strip().lower() not in _URGENT]
    groups = {
        "blocking_verifications": None,
        "policies": urgent,
        "active_tasks": None,
        "active_gotchas": None,
        "recent_learned": None,
    }
    for name, rows in groups.items():
        for row in sections.get(name, []) if rows is None else rows:
            yield name, row
    for row in calm:
        yield "policies", row


def _size(row: dict[str, Any]) -> int:
    """Bytes of a record in a section, indented as it will be."""
    text = json.dumps(row, indent=2)
    return len(text) + 4 * (text.count("\n") + 1) + 2


def _chosen(digest: Digest, ranked: list[tuple[str, dict[str, Any], int]], room: int) -> Digest:
    """The most important records that `room` bytes hold; a section ends where one has no room."""
    kept = {**digest, **{name: [] for name in _sections(digest)}}
    full: set[tuple[str, bool]] = set()
    for name, row, size in ranked:
        group = name, row.get("priority", "").strip().lower() in _URGENT
        if group in full or size > room:
            full.add(group)
            continue
        kept[name].append(row)
        room -= size
    return kept


def longest(digest: Digest) -> int:
    """Characters of the longest text."""
    rows = [row for section in _sections(digest).values() for row in section]
    return max((len(value) for row in rows for name, value in row.items() if _is_text(name, value)), default=0)


def _is_text(name: str, value: Any) -> bool:
    return isinstance(value, str) and name not in _WHOLE


def shortened(digest: Digest, body: int, text: int | None) -> Digest:
    """The digest with bodies of at most so many characters, and other texts, where `text` says so."""

    def of(row: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, list):
                shown[name] = [of(item) for item in value]
            elif name == "body":
                shown[name] = clipped(value, body)
            else:
                shown[name] = clipped(value, text) if text is not None and _is_text(name, value) else value
        return shown

    return {**digest, **{name: [of(row) for row in rows] for name, rows in _sections(digest).items()}}


def clipped(text: str, size: int) -> str:
    """At most so many characters of a text, cut at a word where one ends near; what was cut shows as …."""
    if len(text) <= size:
        return text
    if size < 2:
        return ""
    kept = text[: size - 1]
    word = kept.rfind(" ")
    return (kept[:word] if word > size * 2 // 3 else kept).rstrip() + "…"
