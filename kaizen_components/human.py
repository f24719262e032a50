"""Human: an answer as tables and records that a person can read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .op import Op, Result

# Columns that help programs, not people, and would crowd a table.
_CROWDING = ("content_hash", "current_revision_id", "created_seq", "updated_seq", "is_test")


_VERBS = {"-update": "revised", "-revise": "revised", "-meet": "met", "-waive": "waived", "-retire": "retired"}


def console() -> Console:
    """Where answers go: colour only on a terminal and without NO_COLOR, a fixed width where there is none."""
    if sys.stdout.isatty():
        return Console(highlight=False, soft_wrap=False)
    return Console(highlight=False, no_color=True, color_system=None, width=110, legacy_windows=False)


def show(result: Result, operation: Op) -> None:
    """Print an answer for a person."""
    out = console()
    values = {name: value for name, value in result.items() if name not in ("status", "message", "warnings")}
    view = values.pop("view", None) if result.view is None else result.view(out.width)
    if isinstance(view, str):
        out.print(Text(view))
    elif _is_written(result, operation):
        _show_written(out, values, operation, result)
    else:
        if result["status"] != "OK":
            out.print(Text(f"{result['status']}: {operation.alias}", style="bold red"))
        if "message" in result:
            out.print(Text(str(result["message"])))
        _show_values(out, values)
    for warning in result.get("warnings", ()):
        out.print(Text(f"warning: {warning}", style="yellow"))


def _is_written(result: Result, operation: Op) -> bool:
    return operation.writes and "id" in result and result["status"] == "OK"


def _show_written(out: Console, values: dict[str, Any], operation: Op, result: Result) -> None:
    """What a write did, in a line; then whatever else it says."""
    verb = next((said for end, said in _VERBS.items() if operation.alias.endswith(end)), "recorded")
    said = "already there" if result.get("already") else "replayed" if result.get("replayed") else verb
    line = Text(f"{operation.code} {operation.alias}: {said} ")
    line.append(str(values.pop("id")), style="bold")
    if "seq" in values:
        line.append(f" as ledger entry {values.pop('seq')}", style="dim")
    if "message" in result:
        line.append(f"\n{result['message']}")
    out.print(line, soft_wrap=True)
    for name in ("revision_id", "content_hash", "chain_hash", "already", "replayed"):
        values.pop(name, None)
    _show_values(out, values)


def _show_values(out: Console, values: Mapping[str, Any]) -> None:
    scalars = {name: value for name, value in values.items() if not isinstance(value, list | dict)}
    if set(scalars) == {"count"} and "records" in values:
        scalars = {}
    if scalars:
        _grid(out, scalars)
    for name, value in values.items():
        if isinstance(value, dict):
            out.print(Text(_title(name), style="bold"))
            _grid(out, value)
        elif isinstance(value, list):
            _list(out, name, value)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_cell(item)}" for name, item in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value) or "-"
    return str(value)


def _grid(out: Console, values: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, Text(_cell(value)))
    out.print(table)


def _list(out: Console, name: str, values: list[Any]) -> None:
    title = f"{_title(name)} ({len(values)})"
    if not values:
        out.print(Text(f"{_title(name)}: none", style="dim"))
        return
    if not all(isinstance(value, dict) for value in values):
        cells = [_cell(value) for value in values]
        if sum(map(len, cells)) < 300 and max(map(len, cells)) < 25:
            out.print(Text.assemble((f"{title}: ", "bold"), ", ".join(cells)))
            return
        out.print(Text(title, style="bold"))
        for cell in cells:
            out.print(Text(f"  {cell}"))
        return
    columns = [key for key in dict.fromkeys(key for value in values for key in value) if key not in _CROWDING]
    if len(columns) > 9 or any(len(_cell(value.get(key))) > 400 for value in values for key in columns):
        out.print(Text(title, style="bold"))
        for value in values:
            _grid(out, value)
            out.print()
        return
    columns.sort(key=lambda key: key not in ("id", "code"))
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for key in columns:
        table.add_column(key, overflow="fold", no_wrap=key in ("id", "code"))
    for value in values:
        table.add_row(*(Text(_short(key, value.get(key))) for key in columns))
    out.print(table)


def _short(key: str, value: Any) -> str:
    """A time to the second is enough in a table."""
    shown = _cell(value)
    return shown[:19].replace("T", " ") if key.endswith("_at") and len(shown) > 19 else shown
