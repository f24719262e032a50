"""Budget: a digest cut to so many tokens, what matters most kept longest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from ..output import as_json
from .digest import SECTIONS, TOTALS, Digest

# No less: below this not even the counts and the way to the rest have room.
LEAST = 200
UNIT = "ceil(bytes of the JSON / 4)"
# The shortest that a text becomes before records are dropped.
SHORTEST = 80
_KEPT_WHOLE = ("id", "task_id", "proof_id", "created_at")


def tokens(result: Digest) -> int:
    """What a reply costs: the UTF-8 bytes that --json prints, four to a token, rounded up."""
    return -(-len(as_json(result).encode("utf-8")) // 4)


def fitted(digest: Digest, limit: int, warnings: list[str]) -> Digest:
    """The digest in at most `limit` tokens, with `budget`: what it cost and what was cut.

    Bodies are shortened first, then the other texts, then records dropped, the least important first; where even the
    counts have no room, the empty sections go. `warnings` are what the reply will hold as well.
    """
    for candidate in _candidates(digest, limit, warnings):
        reply = _sealed(candidate, limit, warnings)
        if reply is not None:
            return reply
    raise AssertionError(f"{LEAST} tokens hold the shortest form")


def _candidates(digest: Digest, limit: int, warnings: list[str]) -> Iterator[Digest]:
    """Ever shorter forms of a digest; each is the longest of its manner that has room."""

    def fits(candidate: Digest) -> bool:
        return _sealed(candidate, limit, warnings) is not None

    yield _with_cuts(digest, digest)
    longest = _longest(digest, ("body",))
    yield _most(lambda size: _with_cuts(digest, _shortened(digest, body=size)), 0, longest, fits)
    longest = max(_longest(digest, ()), SHORTEST)
    yield _most(lambda size: _with_cuts(digest, _shortened(digest, body=0, text=size)), SHORTEST, longest, fits)
    yield _dropped(digest, limit, warnings)
    bare = {name: [] if name in SECTIONS else value for name, value in digest.items()}
    merged = {"section": "all", "shown": 0, "total": sum(len(digest[name]) for name in SECTIONS if name in digest)}
    everything = {**merged, "command": "python kaizen.py R0"}
    yield {**bare, "budget": {"cut": [everything]}}
    short = {**bare, "message": "Session start.", "required_action": "Raise --budget.", "budget": {"cut": [everything]}}
    yield short
    yield {name: value for name, value in short.items() if name not in SECTIONS}
    # The warnings come with the reply, whatever it holds.
    warnings[:] = ["Something is wrong; see K10 doctor."] if warnings else []
    yield {name: value for name, value in short.items() if name not in SECTIONS}


def _sealed(candidate: Digest, limit: int, warnings: list[str]) -> Digest | None:
    """A candidate with its cost written into it; None where that is over the limit."""
    reply = {"status": "OK", **candidate}
    used = 0
    while True:
        reply["budget"] = {"limit": limit, "used": used, "unit": UNIT, **candidate["budget"]}
        cost = tokens({**reply, "warnings": list(dict.fromkeys(warnings))} if warnings else reply)
        if cost > limit:
            return None
        if cost <= used:
            return reply
        used = cost


def _most(make: Callable[[int], Digest], least: int, most: int, fits: Callable[[Digest], bool]) -> Digest:
    """The candidate of the largest size that fits, or of the least."""
    while least < most:
        middle = (least + most + 1) // 2
        if fits(make(middle)):
            least = middle
        else:
            most = middle - 1
    return make(least)


def _longest(digest: Digest, fields: tuple[str, ...]) -> int:
    texts = (value for name in SECTIONS for row in digest.get(name, ()) for key, value in row.items() if _is_text(key, value))
    bodies = (row[field] for name in SECTIONS for row in digest.get(name, ()) for field in fields if row.get(field))
    return max((len(text) for text in (bodies if fields else texts)), default=0)


def _is_text(name: str, value: Any) -> bool:
    return isinstance(value, str) and name not in _KEPT_WHOLE


def _shortened(digest: Digest, *, body: int, text: int | None = None) -> Digest:
    """The digest with bodies, and other texts, of at most so many characters."""

    def of(row: dict[str, Any]) -> dict[str, Any]:
        shown = {}
        for name, value in row.items():
            if isinstance(value, list):
                shown[name] = [of(item) for item in value]
            elif name == "body":
                shown[name] = _clipped(value, body)
            else:
                shown[name] = _clipped(value, text) if text is not None and _is_text(name, value) else value
        return shown

    return {name: [of(row) for row in value] if name in SECTIONS else value for name, value in digest.items()}


def _clipped(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    return text[: size - 1].rstrip() + "…" if size > 1 else ""


def _dropped(digest: Digest, limit: int, warnings: list[str]) -> Digest:
    """The digest with its texts as short as they become, and of its records the most important that have room."""
    short = _shortened(digest, body=0, text=SHORTEST)
    kept: Digest = {name: [] if name in SECTIONS else value for name, value in short.items()}
    # The room that is left beside the longest list of cuts.
    room = limit * 4 - len(as_json({"status": "OK", **_with_cuts(digest, kept), "warnings": warnings}).encode("utf-8")) - 200
    full: set[str] = set()
    for name, row in _ranked(short):
        text = json.dumps(row, indent=2)
        size = len(text) + 4 * (text.count("\n") + 1) + 8
        if name in full or size > room:
            full.add(name)
            continue
        kept[name].append(row)
        room -= size
    return _with_cuts(digest, kept)


def _ranked(digest: Digest) -> Iterator[tuple[str, dict[str, Any]]]:
    """(section, record): what matters most at the start of a session first."""
    policies = digest.get("policies", [])
    urgent = [row for row in policies if row["priority"].strip().lower() in ("critical", "high")]
    groups = [
        ("blocking_verifications", digest.get("blocking_verifications", [])),
        ("policies", urgent),
        ("active_tasks", digest.get("active_tasks", [])),
        ("active_gotchas", digest.get("active_gotchas", [])),
        ("recent_learned", digest.get("recent_learned", [])),
        ("policies", [row for row in policies if row not in urgent]),
    ]
    for name, rows in groups:
        for row in rows:
            yield name, row


def _with_cuts(whole: Digest, shown: Digest) -> Digest:
    """What is shown, and of each section and its texts, how much of it that is and which command shows the rest."""
    cut: list[dict[str, Any]] = []
    for name in SECTIONS:
        if name not in whole:
            continue
        before, after = whole[name], shown[name]
        command = f"python kaizen.py R0 --section {name} --limit {max(len(before), 1)}"
        if len(after) < len(before):
            cut.append({"section": name, "shown": len(after), "total": len(before), "command": command})
        texts = {row["id"]: row for row in before}
        whole_texts = sum(row == texts[row["id"]] for row in after)
        if whole_texts < len(after):
            cut.append({"section": f"{name}.text", "shown": whole_texts, "total": len(after), "command": command})
    return {**shown, "budget": {"cut": cut}}


__all__ = ["LEAST", "TOTALS", "fitted", "tokens"]
