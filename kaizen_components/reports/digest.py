"""Digest: what a session has to know at its start, read at a cost that does not grow with the plane."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .. import clock

if TYPE_CHECKING:
    from ..store import Row, Store

Digest = dict[str, Any]

MOST_POLICIES = 20
DAYS = 7
# Where a query is given, so many of its best matches are looked at in each section for those that are open.
LOOKED_AT = 50

POLICY = ("id", "title", "summary", "body", "trigger", "priority", "scope", "created_at")
GOTCHA = ("id", "title", "summary", "scope", "status", "created_at")
VERDICT = (
    "id",
    "conclusion",
    "basis",
    "severity",
    "actionability",
    "summary",
    "task_id",
    "proof_id",
    "created_at",
)
PROOF = ("id", "basis", "conclusion", "status", "summary")
LEARNED = ("id", "title", "summary", "created_at")
TASK = ("id", "title", "summary", "status", "scope", "created_at")
# Section -> (kind of its records, column that says 1 for those that belong into it, columns shown, order).
NEWEST = "created_seq DESC"
SECTIONS: Mapping[str, tuple[str, str, tuple[str, ...], str]] = {
    "policies": ("policy", "is_open", POLICY, "priority_rank, created_seq"),
    "active_gotchas": ("gotcha", "is_open", GOTCHA, NEWEST),
    "blocking_verifications": ("verification", "is_blocking", VERDICT, NEWEST),
    "recent_learned": ("learned", "is_open", LEARNED, NEWEST),
    "active_tasks": ("task", "is_open", TASK, NEWEST),
}
TOTALS = {
    "policies": "policies_active",
    "active_gotchas": "gotchas_active",
    "blocking_verifications": "blocking_verifications",
    "recent_learned": "learned_total",
    "active_tasks": "tasks_active",
}


def digest(store: Store, limit: int | None, query: str | None, section: str | None = None) -> Digest:
    """Every section and the counts, or one section alone. A limit of None is no limit; policies are never more than 20,
    but where they are asked for alone."""
    wanted = SECTIONS if section is None else {section: SECTIONS[section]}
    matches = {name: _matches(store, kind, query) for name, (kind, *_) in wanted.items()} if query else {}
    counts = _counts(store)
    shown: Digest = {}
    for name in wanted:
        most = limit
        if name == "policies" and section is None:
            most = MOST_POLICIES
        shown[name] = _section(store, name, most, matches.get(name, []))
    for row in shown.get("blocking_verifications", ()):
        row["proofs"] = _proofs(store, row["proof_id"])
    return {"message": _message(counts), **shown, "counts": counts, "required_action": _action(counts)}


def _section(store: Store, name: str, limit: int | None, hits: list[Row]) -> list[Row]:
    """The records of a section: those that a query finds first, best first, then the rest in the section's order."""
    kind, flag, columns, order = SECTIONS[name]
    rest = store.list(kind, {flag: 1}, order=order, limit=limit, columns=columns)
    if not hits:
        return rest
    from ..store import search

    first = search.rows(store, kind, hits, {flag: 1}, columns)[:limit]
    found = {row["id"] for row in first}
    rows = [*first, *(row for row in rest if row["id"] not in found)]
    # A query changes the order in which verdicts that block are shown, never whether they are.
    return rows if name == "blocking_verifications" else rows[:limit]


def _matches(store: Store, kind: str, query: str | None) -> list[Row]:
    from ..store import search

    return search.find(store, query or "", kinds=(kind,), limit=LOOKED_AT, loosely=True)


def _proofs(store: Store, proof_id: str | None) -> list[Row]:
    """The proof that a verdict rests on, and whether it was observed; of one that was retired no text is given."""
    found = store.list("verification", {"id": proof_id}, limit=1, columns=(*PROOF, "retired_reason")) if proof_id else []
    for row in found:
        if row.pop("retired_reason") is not None:
            row["summary"] = None
    return found


def _counts(store: Store) -> dict[str, int]:
    """Numbers over all records, from counters that each write keeps."""
    now = clock.moment(store.head()[0])
    start = now - timedelta(days=DAYS)
    days = [(start + timedelta(days=number)).date().isoformat() for number in range(1, DAYS + 1)]
    kept = store.counters(
        "policy.open",
        "gotcha.open",
        "verification.blocking",
        "learned.total",
        "task.open",
        "task.without_entries",
        *(f"{name}:{day}" for name in ("ledger.entries", "verification.added") for day in days),
    )
    # Of the day on which the window begins, what came after that hour.
    since, until = clock.iso(start), f"{days[0]}T"
    first = {
        "ledger.entries": store.count("ledger", {"time": (">=", since), "time#until": ("<", until)}),
        "verification.added": store.count("verification", {"created_at": (">=", since), "created_at#until": ("<", until)}),
    }
    lately = {name: number + sum(kept[f"{name}:{day}"] for day in days) for name, number in first.items()}
    return {
        "policies_active": kept["policy.open"],
        "gotchas_active": kept["gotcha.open"],
        "blocking_verifications": kept["verification.blocking"],
        "learned_total": kept["learned.total"],
        "tasks_active": kept["task.open"],
        "active_tasks_without_ledger": kept["task.without_entries"],
        "ledger_events_last_7d": lately["ledger.entries"],
        "verifications_last_7d": lately["verification.added"],
    }


def _message(counts: Mapping[str, int]) -> str:
    named = {
        "blocking_verifications": ("blocking verification", "blocking verifications"),
        "policies_active": ("policy", "policies"),
        "tasks_active": ("open task", "open tasks"),
        "gotchas_active": ("gotcha", "gotchas"),
        "learned_total": ("lesson", "lessons"),
    }
    parts = [f"{counts[name]} {one if counts[name] == 1 else many}" for name, (one, many) in named.items()]
    return f"Session start: {', '.join(parts)}."


def _action(counts: Mapping[str, int]) -> str:
    """What to do first."""
    if counts["blocking_verifications"]:
        return "Settle the blocking verifications first: read each with Q7 --id ID, then prove it or ask a person."
    if counts["policies_active"]:
        return "Follow the policies, then go on with an open task, or start one with W1."
    if counts["tasks_active"]:
        return "Go on with an open task (W11 --id ID), or start one with W1."
    return 'Start a task: W1 --title "..." --summary "...".'
