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
READ = (*ENTRY, "content")
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
    if selection.hits is None and selection.scope is None:
        rows = store.list("ledger", where, order="seq DESC", limit=selection.limit, columns=READ)
        full = selection.limit is not None and len(rows) >= selection.limit
        return rows, store.count("ledger", where) if full else len(rows)
    matching = sorted(_matching(store, selection, where), reverse=True)
    shown: list[Row] = []
    for seqs in chunks(matching[: selection.limit]):
        shown += store.list("ledger", {"seq": ("in", seqs)}, order="seq DESC", columns=READ)
    return shown, len(matching)


def _matching(store: Store, selection: Selection, where: dict[str, Any]) -> Iterator[int]:
    """Where in the ledger the entries stand that a query or a scope selects."""
    columns = ("seq",) if selection.scope is None else ("seq", "content")
    if selection.hits is None:
        rows = _paged(store, where, columns)
    else:
        groups = chunks(hit["id"] for hit in selection.hits)
        found = (store.list("ledger", {**where, "record_id": ("in", ids)}, order="seq", columns=columns) for ids in groups)
        rows = (row for group in found for row in group)
    return (row["seq"] for row in rows if selection.scope is None or _is_in(row, selection.scope))


def _paged(store: Store, where: dict[str, Any], columns: tuple[str, ...]) -> Iterator[Row]:
    """Every entry that matches, a page at a time."""
    behind: dict[str, Any] = {}
    while page := store.list("ledger", {**where, **behind}, order="seq", limit=PAGE, columns=columns):
        yield from page
        behind = {"seq": (">", page[-1]["seq"])}


def _record(entry: Row) -> Row:
    """The record as it stood after an entry; nothing where it was erased."""
    return (json.loads(entry["content"])["record"] or {}) if entry["content"] is not None else {}


def _is_in(entry: Row, scope: str) -> bool:
    """Whether an entry's record has this scope; a kind without scopes belongs to the project."""
    return _record(entry).get("scope", "project") == scope


def _row(entry: Row) -> Row:
    record = _record(entry)
    title = next((record[name] for name in ("title", "summary", "name", "decision") if record.get(name)), None)
    shown = {**entry, "id": entry["entry_id"], "title": title if record else "(erased)"}
    return {name: shown[name] for name in COLUMNS}
