"""Query: the store's small vocabulary of conditions, order and window, as SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..ops import _index

Where = Mapping[str, Any]
# Columns of 0 and 1 that have indexes of their own.
FLAGS = ("is_open", "is_blocking", "is_test")


def table(kind: str) -> str:
    """The table of a kind; the ledger counts as one."""
    return "ledger" if kind == "ledger" else _index.KINDS[kind].table


def quoted(column: str) -> str:
    """A column's name as SQL writes it."""
    return f'"{column}"'


def conditions(where: Where | None, spelled: Callable[[str], str] = quoted) -> tuple[list[str], list[Any]]:
    """The SQL of conditions, each by itself, and their values; `spelled` writes a column's name."""
    parts: list[str] = []
    values: list[Any] = []
    for column, wanted in (where or {}).items():
        name = spelled(column.partition("#")[0])
        operator, value = wanted if isinstance(wanted, tuple) else ("=", wanted)
        if value is None:
            parts.append(f"{name} IS {'NOT ' if operator == '!=' else ''}NULL")
        elif column in FLAGS and value in (0, 1):
            # Written out: no engine takes an index over the rows where it is 1 for a value it learns later.
            parts.append(f"{name} {operator} {int(value)}")
        elif column == "task_id" and operator == "=":
            # The ledger's index is over the rows that have one.
            parts += [f"{name} IS NOT NULL", f"{name} = ?"]
            values.append(value)
        elif operator == "contains":
            parts.append(f"instr(lower({name}), lower(?)) > 0")
            values.append(value)
        elif operator == "in":
            parts.append(f"{name} IN ({', '.join('?' * len(value))})")
            values.extend(value)
        else:
            parts.append(f"{name} {operator} ?")
            values.append(value)
    return parts, values


def condition(where: Where | None) -> tuple[str, list[Any]]:
    """The WHERE clause of conditions, and their values."""
    parts, values = conditions(where)
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


def ordered(order: str) -> str:
    """An order such as "priority_rank, created_seq DESC", its column names quoted."""
    terms = [term.split() for term in order.split(",")]
    return ", ".join(" ".join([f'"{term[0]}"', *term[1:]]) for term in terms)


def window(limit: int | None, offset: int) -> str:
    """The LIMIT clause; a limit of None or below 0 is none."""
    if limit is None or limit < 0:
        return f" LIMIT -1 OFFSET {int(offset)}" if offset else ""
    return f" LIMIT {int(limit)}" + (f" OFFSET {int(offset)}" if offset else "")
