"""Selection: which records a report is about, and the page of them that it shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from .window import Window

if TYPE_CHECKING:
    from ..store import Row, Store

Key = TypeVar("Key", str, int)

# So many ids fit into one query on either engine.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a report. A limit of None is no limit."""

    window: Window = field(default_factory=Window)
    limit: int | None = None
    query: str | None = None
    scope: str | None = None
    task_id: str | None = None
    severity: str | None = None
    actionability: str | None = None
    # What the query finds, best first; None where there is no query.
    hits: Sequence[Mapping[str, Any]] | None = None

    def filters(self) -> dict[str, Any]:
        """What was asked for besides the window, by name."""
        named = ("query", "scope", "task_id", "severity", "actionability", "limit")
        return {name: getattr(self, name) for name in named if getattr(self, name) is not None}

    def command(self, code: str) -> str:
        """The command that reports on all the records that match."""
        flags: list[str] = []
        asked = {**self.filters(), "since": self.window.since, "until": self.window.until, "limit": -1}
        for name, value in asked.items():
            if value is not None:
                flags.append(f"--{name.replace('_', '-')}={shlex.quote(str(value))}")
        return " ".join(["python kaizen.py", code, *flags])

    def rows(self, store: Store, kind: str, columns: Sequence[str], where: Mapping[str, Any]) -> tuple[list[Row], int]:
        """(the rows of a kind to show, how many match): newest first, or best first where there is a query."""
        conditions = {**self.window.where(), **where}
        if self.hits is not None:
            from ..store import search

            found = search.rows(store, kind, self.hits, conditions, ("id",))
            return search.rows(store, kind, found[: self.limit], conditions, columns), len(found)
        rows = store.list(kind, conditions, limit=self.limit, columns=columns)
        full = self.limit is not None and len(rows) >= self.limit
        return rows, store.count(kind, conditions) if full else len(rows)


def children(store: Store, kind: str, link: str, parents: Iterable[str], columns: Sequence[str]) -> dict[str, list[Row]]:
    """Records of a kind by the parent that `link` names, oldest first."""
    found: dict[str, list[Row]] = {}
    for ids in chunks(parents):
        for row in store.list(kind, {link: ("in", ids)}, order="created_seq", columns=tuple(dict.fromkeys([*columns, link]))):
            found.setdefault(row[link], []).append(row)
    return found


def chunks(ids: Iterable[Key]) -> Iterator[list[Key]]:
    """The ids or positions, each once, as many at a time as one query takes."""
    rest = iter(dict.fromkeys(ids))
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
