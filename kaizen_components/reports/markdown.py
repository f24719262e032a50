"""Markdown: a document as a page that stays well-formed whatever its texts hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..fields import ID
from .document import Document, Figure, Row

# As many ids stand behind a figure; the rows below have them all.
SHOWN_IDS = 20
# White space that Markdown or a terminal would break a line at.
_BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MARKS = re.compile(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])|&|<|>")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def page(document: Document) -> str:
    """The whole document as GitHub-flavoured Markdown."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield f"# {plain(document.title)}"
    yield ""
    for name, value in document.facts.items():
        yield f"- {_named(name)}: {_fact(value) or 'none'}"
    yield f"- Rows: {len(document.rows)} of {document.matching} that match; all of them: {code(document.command)}"
    for note in document.notes:
        yield f"- {plain(note)}"
    if document.figures:
        yield from ("", "## Counts", "")
        yield from (_figure(figure) for figure in document.figures)
    yield from ("", "## Rows", "")
    if not document.rows:
        yield "Nothing to report."
        return
    yield from table(document.table, document.rows)
    yield from _details(document)


def _figure(figure: Figure) -> str:
    ids = ", ".join(code(entry) for entry in figure.ids[:SHOWN_IDS])
    more = len(figure.ids) - SHOWN_IDS
    behind = f" ({ids}{f', and {more} more among the rows' if more > 0 else ''})" if ids else ""
    return f"- {plain(figure.name)}: {figure.value}{behind}"


def _details(document: Document) -> Iterator[str]:
    """Of each row, what has no place in the table: long texts and the records that belong to it."""
    apart = [name for name in document.columns if name not in document.table or _nested(document.rows, name)]
    if not apart:
        return
    yield from ("", "## Details")
    for row in document.rows:
        held = {name: row.get(name) for name in apart if row.get(name) not in (None, "", [])}
        if not held:
            continue
        yield from ("", f"### {plain(row.get('title') or row.get('summary') or row['id'])}", "", f"- Id: {cell(row['id'])}")
        texts = {name: value for name, value in held.items() if not isinstance(value, list)}
        for name, value in texts.items():
            yield f"- {_named(name)}: {_told(name, value)}"
        for name, records in held.items():
            if isinstance(records, list):
                yield from ("", f"#### {_named(name)}", "")
                yield from table(tuple(dict.fromkeys(key for record in records for key in record)), records)


def _nested(rows: Sequence[Row], name: str) -> bool:
    return any(isinstance(row.get(name), list) for row in rows)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A table; a cell that holds records shows how many, for they are shown below, or are rows themselves."""
    yield f"| {' | '.join(plain(name) for name in columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_told(name, row.get(name)) for name in columns)} |"


def _told(name: str, value: Any) -> str:
    """What a column says of a row; the items of a JSON list one after the other."""
    if name.endswith("_json") and isinstance(value, str):
        parsed = json.loads(value)
        items = parsed if isinstance(parsed, list) else [parsed]
        return "; ".join(cell(item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)) for item in items)
    return cell(value)


def cell(value: Any) -> str:
    """A value in a table cell or behind a name: one line, nothing in it a mark."""
    if value is None:
        return ""
    if isinstance(value, list):
        return str(len(value)) if value else ""
    if isinstance(value, str):
        return f"`{value}`" if ID.match(value) else plain(value)
    return str(value)


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(name))} {_fact(item)}" for name, item in value.items() if item is not None)
    return cell(value if isinstance(value, str | int | float) else json.dumps(value))


def _named(name: str) -> str:
    return plain(name.removesuffix("_json").replace("_", " ").capitalize())


def plain(text: str) -> str:
    """Text as text: marks escaped, HTML as entities, line breaks as <br>, what cannot be seen as its code point."""
    shown = _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.strip())
    shown = _MARKS.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), shown)
    return _BREAKS.sub("<br>", shown).replace("\t", " ")


def code(text: str) -> str:
    """A command or an id in a code span, longer fences around text that holds backticks; never in a table."""
    flat = _INVISIBLE.sub("�", _BREAKS.sub(" ", text)).strip()
    fence = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}" if flat else ""
