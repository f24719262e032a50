"""Document: a report before it is written: its rows, what was counted, and what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and the records that it counts."""

    name: str
    value: int | float
    ids: Sequence[str]


@dataclass(slots=True)
class Document:
    """A report's rows, newest first. A cell is a plain value, or a list of records (each with its id) that belong to it.

    `table` names the columns that are shown side by side; what the others hold is shown row by row.
    """

    report: str
    title: str
    columns: tuple[str, ...]
    table: tuple[str, ...]
    rows: list[Row]
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Name -> value of what the report was made from: times, ledger position, window, filters.
    facts: dict[str, Any] = field(default_factory=dict)
    # How many records the filters match, shown here or not, and the command that shows them all.
    matching: int = 0
    command: str = ""

    def value(self) -> dict[str, Any]:
        """All of it as one JSON value."""
        return {
            "report": self.report,
            "title": self.title,
            **self.facts,
            "columns": list(self.columns),
            "rows": self.rows,
            "count": len(self.rows),
            "matching": self.matching,
            "command": self.command,
            "figures": [{"name": one.name, "value": one.value, "ids": list(one.ids)} for one in self.figures],
            "notes": self.notes,
        }


def tally(rows: Iterable[Row], name: str, told: Callable[[Row], Any], *, key: str = "id") -> list[Figure]:
    """How many rows say what under `name`: a figure for each value, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(str(told(row) if told(row) is not None else "none"), []).append(row[key])
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [Figure(f"{name} {value}", len(ids), ids) for value, ids in ranked]
