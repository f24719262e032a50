"""Human: an answer as tables and records that a person can read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .op import Op, Result
from .output import clean

# Columns that help programs, not people, and would crowd a table.
_CROWDING = ("content_hash", "current_revision_id", "created_seq", "updated_seq", "is_test")


_VERBS = {"-update": "revised", "-revise": "revised", "-meet": "met", "-waive": "waived", "-retire": "retired"}


def console() -> Console:
    """Where answers go: colour only on a terminal and without NO_COLOR, a fixed width where there is none."""
    if sys.stdout.isatty():
        return Console(highlight=False, soft_wrap=False)
    return Console(highlight=False, no_color=True, color_system=None, width=110, legacy_windows=False)


def _text(text: str, **options: Any) -> Text:
    """A text for the terminal, and nothing in it that a terminal obeys."""
    return Text(clean(text), **options)


def show(result: Result, operation: Op) -> None:
    """Print an answer for a person."""
    out = console()
    values = {name: value for name, value in result.items() if name not in ("status", "message", "warnings")}
    view = values.pop("view", None) if result.view is None else result.view(out.width)
    if isinstance(view, str):
        out.print(_text(view))
    elif _is_written(result, operation):
        _show_written(out, values, operation, result)
    else:
        if result["status"] != "OK":
            written = f" recorded as {values.pop('id')}" if operation.writes and "id" in values else ""
            out.print(_text(f"{result['status']}: {operation.alias}{written}", style="bold red"))
        if "message" in result:
            out.print(_text(str(result["message"])))
        if operation.writes:
            _drop_receipt(values)
        _show_values(out, values)
    for warning in result.get("warnings", ()):
        out.print(_text(f"warning: {warning}", style="yellow"))


def _is_written(result: Result, operation: Op) -> bool:
    return operation.writes and "id" in result and result["status"] == "OK"


def _show_written(out: Console, values: dict[str, Any], operation: Op, result: Result) -> None:
    """What a write did, in a line; then whatever else it says."""
    verb = next((said for end, said in _VERBS.items() if operation.alias.endswith(end)), "recorded")
    said = "already there" if result.get("already") else "replayed" if result.get("replayed") else verb
    line = _text(f"{operation.code} {operation.alias}: {said} ")
    line.append(str(values.pop("id")), style="bold")
    if "seq" in values:
        line.append(f" as ledger entry {values.pop('seq')}", style="dim")
    if "message" in result:
        line.append(clean(f"\n{result['message']}"))
    out.print(line, soft_wrap=True)
    _drop_receipt(values)
    _show_values(out, values)


def _drop_receipt(values: dict[str, Any]) -> None:
    """A receipt is for programs; --json shows it."""
    for name in ("revision_id", "content_hash", "chain_hash", "seq", "already", "replayed"):
        values.pop(name, None)


def _show_values(out: Console, values: Mapping[str, Any]) -> None:
    scalars = {name: value for name, value in values.items() if not isinstance(value, list | dict)}
    if isinstance(values.get("records"), list) and scalars.get("count") == len(values["records"]):
        del scalars["count"]  # the list's title says it
    if scalars:
        _grid(out, scalars)
    for name, value in values.items():
        if isinstance(value, dict):
            shown = _set(value)
            out.print(_text(_title(name) if shown else f"{_title(name)}: none", style="bold" if shown else "dim"))
            if shown:
                _grid(out, shown)
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
        if set(value) == {"from", "to"}:
            before, after = (_cell(value[side]) or "-" for side in ("from", "to"))
            return after if before == "-" else f"{before} -> {after}"
        return "; ".join(f"{name}: {_cell(item)}" for name, item in _set(value).items() if name not in _CROWDING) or "-"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value) or "-"
    return str(value)


def _set(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says: fields without a value left out, JSON text as what it means."""
    shown: dict[str, Any] = {}
    for name, value in record.items():
        if name.endswith("_json") and isinstance(value, str):
            name, value = name.removesuffix("_json"), _meant(value)
        elif name.startswith("is_") and value in (0, 1):
            value = bool(value)
        if value not in (None, "", [], {}):
            shown[name] = value
    return shown


def _meant(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _grid(out: Console, values: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, _text(_cell(value)))
    _print(out, table)


def _print(out: Console, table: Table) -> None:
    """Print a table; where no terminal shows it, without the blanks that fill its lines."""
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().rstrip("\n").split("\n"):
        out.print(_text(line.rstrip()), soft_wrap=True)


def _list(out: Console, name: str, values: list[Any]) -> None:
    title = f"{_title(name)} ({len(values)})"
    if not values:
        out.print(_text(f"{_title(name)}: none", style="dim"))
        return
    if not all(isinstance(value, dict) for value in values):
        cells = [_cell(value) for value in values]
        if sum(map(len, cells)) < 300 and max(map(len, cells)) < 25:
            out.print(Text.assemble((f"{title}: ", "bold"), clean(", ".join(cells))))
            return
        out.print(_text(title, style="bold"))
        for cell in cells:
            out.print(_text(f"  {cell}"))
        return
    values = [_set(value) for value in values]
    columns = [key for key in dict.fromkeys(key for value in values for key in value) if key not in _CROWDING]
    columns.sort(key=lambda key: key not in ("id", "code"))
    if not columns or not _fits(out, columns, values):
        out.print(_text(title, style="bold"))
        for number, value in enumerate(values):
            if number:
                out.print()
            _grid(out, {key: value[key] for key in columns if key in value})
        return
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for key in columns:
        table.add_column(key, overflow="fold", no_wrap=key in ("id", "code"))
    for value in values:
        table.add_row(*(_text(_short(key, value.get(key))) for key in columns))
    _print(out, table)


def _fits(out: Console, columns: list[str], values: list[dict[str, Any]]) -> bool:
    """Whether a table of these columns cuts no word, and keeps every text to a few lines."""
    narrowest = 0
    for key in columns:
        cells = [key, *(_short(key, value.get(key)) for value in values)]
        if max(map(len, cells)) > 200:
            return False
        # A text needs room for several words in a line.
        narrowest += 3 + max(_longest_word(cells), min(20, max(map(len, cells))))
    return narrowest <= out.width


def _longest_word(cells: Iterable[str]) -> int:
    return max((len(word) for cell in cells for word in cell.split()), default=1)


def _short(key: str, value: Any) -> str:
    """A time to the second is enough in a table."""
    shown = _cell(value)
    return shown[:19].replace("T", " ") if key.endswith("_at") and len(shown) > 19 else shown
