"""Search: a full-text index of the records, derived from the ledger and kept in a file of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import denial
from .. import Row, Store
from ..creation import with_journal
from ..query import Where
from . import answering
from .answering import Answering
from .asked import CURRENT, Choice, Query
from .index import Index, driver, unusable


def find(
    store: Store,
    text: str,
    *,
    kinds: Sequence[str] | None = None,
    where: Where | None = None,
    limit: int | None = None,
    offset: int = 0,
    loosely: bool = False,
    pieces: bool | None = None,
    described: bool = False,
) -> list[Row]:
    """Records that a query finds, best first: id, kind, score, matched ("all words", "some words", or "text" where
    pieces of words match); `described` adds title, status, created_at, a snippet of about 240 characters with the match
    in [ ], and the words that matched.

    `where` holds conditions as Store.list takes them; `record_task` stands for the column of a kind's task. A limit of
    None or below 0 is no limit. The store is let go of while the index follows the ledger. `loosely` fills up what is found
    with records that hold some of the words; `pieces` says whether pieces of words are looked for, which loosely they are
    not.
    """
    query = Query(text)
    if not query.terms:
        return []
    chosen = Choice(tuple(kinds) if kinds is not None else None, dict(where or {}))
    most = None if limit is None or limit < 0 else limit

    def answer(database: Any) -> list[Row]:
        hits = Answering(database, query, chosen).page(
            most, offset, loosely=loosely, pieces=not loosely if pieces is None else pieces
        )
        return answering.described(database, query, hits) if described else hits

    return _asked(store, answer)


def describe(store: Store, text: str, hits: Sequence[Row], *, limit: int | None = None, offset: int = 0) -> list[Row]:
    """A page of hits (id, kind) that were found in another way, with what people know them by and where the query
    matches them; without those that the index does not know, and chunks whose place others took."""

    def answer(database: Any) -> list[Row]:
        query = Query(text)
        sql = f"""SELECT record_id FROM docs WHERE record_id IN (SELECT value FROM json_each(?))
            AND (record_kind <> 'evidence_chunk' OR {CURRENT})"""
        known = {record_id for (record_id,) in database.execute(sql, (json.dumps([hit["id"] for hit in hits]),))}
        page = [hit for hit in hits if hit["id"] in known][offset : None if limit is None else offset + limit]
        return answering.described(database, query, page)

    return _asked(store, answer) if hits else []


def _asked(store: Store, answer: Any) -> list[Row]:
    """What the index answers, made where it is missing or spoiled, and brought up to the ledger."""
    driver()
    # The file; the file made anew; a copy of it in memory, where it cannot be written; an index made in memory.
    for opener in (Index.file, Index.file, Index.copy, Index.memory):
        try:
            index = opener(store.plane.search)
            with contextlib.closing(index), index.caught_up(store):
                return answer(index.database)
        except denial.Denial:
            raise
        except Exception as fault:
            # A damaged file can make anything fail; what fails in a new index in memory as well is a defect of ours.
            if opener == Index.memory:
                raise
            if opener == Index.file and not isinstance(fault, unusable()):
                with contextlib.suppress(OSError):
                    discard(store.plane.search)
    raise AssertionError("an index in memory answers or raises")


def rows(store: Store, kind: str, hits: Sequence[Mapping[str, Any]], where: Where | None, columns: Sequence[str]) -> list[Row]:
    """The rows of hits of one kind, in their order; what has changed or gone since the index saw it is left out."""
    found: dict[str, Row] = {}
    for start in range(0, len(hits), 500):
        ids = [hit["id"] for hit in hits[start : start + 500]]
        for row in store.list(kind, {**(where or {}), "id": ("in", ids)}, columns=("id", *columns)):
            found[row["id"]] = row
    every = "*" in columns
    ordered = [found[hit["id"]] for hit in hits if hit["id"] in found]
    return ordered if every else [{name: row[name] for name in columns} for row in ordered]


def discard(path: Path) -> None:
    """Throw the index away, journal and all; the next query makes a new one."""
    for file in with_journal(path):
        file.unlink(missing_ok=True)
