"""Entries: the report on the ledger, whole, over a window, or on a topic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .document import Document, tally
from .selection import Selection, chunks

if TYPE_CHECKING:
    from ..store import Row, Store

ENTRY = ("seq", "entry_id", "time", "op", "action", "kind", "record_id", "task_id", "agent", "chain_hash")
COLUMNS = ("seq", "id", "time", "op", "action", "kind", "record_id", "title", "task_id", "agent", "chain_hash")
# Entries are read so many at a time where their content decides.
PAGE = 1_000


def document(store: Store, selection: Selection) -> Document:
    """Ledger entries, newest first, each with its record, who made it, and the chain's hash behind it."""
    where: dict[str, Any] = selection.window.where("time")
    if selection.task_id:
        where["task_id"] = selection.task_id
    rows, matching = _chosen(store, selection, where)
    entries = [_row(row) for row in rows]
    figures = [figure for name in ("action", "kind", "agent") for figure in _tally(entries, name)]
    return Document(
        report="ledger",
        title="Ledger report",
        columns=COLUMNS,
        table=COLUMNS,
        rows=entries,
        figures=figures,
        matching=matching,
    )


def _tally(entries: list[Row], name: str) -> list[Any]:
    return tally(entries, name, lambda row: row[name])


def _chosen(store: Store, selection: Selection, where: dict[str, Any]) -> tuple[list[Row], int]:
    """(the entries to show, how many match)."""
    columns = (*ENTRY, "content")
    if selection.hits is not None:
        every = [
            row
            for ids in chunks(hit["id"] for hit in selection.hits)
            for row in _listed(store, {**where, "record_id": ("in", ids)})
        ]
        wanted = sorted((row for row in every if _is_in(row, selection.scope)), key=lambda row: -row["seq"])
        return wanted[: selection.limit], len(wanted)
    if selection.scope:
        wanted = [row for row in _paged(store, where) if _is_in(row, selection.scope)]
        return wanted[: selection.limit], len(wanted)
    rows = store.list("ledger", where, order="seq DESC", limit=selection.limit, columns=columns)
    full = selection.limit is not None and len(rows) >= selection.limit
    return rows, store.count("ledger", where) if full else len(rows)


def _listed(store: Store, where: dict[str, Any]) -> list[Row]:
    return store.list("ledger", where, order="seq DESC", columns=(*ENTRY, "content"))


def _paged(store: Store, where: dict[str, Any]) -> Iterator[Row]:
    """Every entry that matches, newest first, a page at a time."""
    below: dict[str, Any] = {}
    while page := store.list("ledger", {**where, **below}, order="seq DESC", limit=PAGE, columns=(*ENTRY, "content")):
        yield from page
        below = {"seq": ("<", page[-1]["seq"])}


def _record(entry: Row) -> Row:
    """The record as it stood after an entry; nothing where it was erased."""
    return (json.loads(entry["content"])["record"] or {}) if entry["content"] is not None else {}


def _is_in(entry: Row, scope: str | None) -> bool:
    """Whether an entry's record has this scope; a kind without scopes belongs to the project."""
    return scope is None or _record(entry).get("scope", "project") == scope


def _row(entry: Row) -> Row:
    record = _record(entry)
    title = next((record[name] for name in ("title", "summary", "name", "decision") if record.get(name)), None)
    shown = {**entry, "id": entry["entry_id"], "title": title if record else "(erased)"}
    return {name: shown[name] for name in COLUMNS}
