"""Spreadsheet: a document's rows as CSV (RFC 4180) that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from typing import Any

from .document import Document

# What makes a spreadsheet read a cell as a formula, its full-width forms included.
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def sheet(document: Document) -> str:
    """Header and rows, lines ended by CRLF; a cell that holds records names them by id."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(document.columns)
    for row in document.rows:
        writer.writerow([cell(row.get(name)) for name in document.columns])
    return stream.getvalue()


def cell(value: Any) -> Any:
    """A value as a cell; a text that a spreadsheet would calculate begins with an apostrophe."""
    if isinstance(value, list):
        return " ".join(record["id"] for record in value)
    if isinstance(value, str) and value.lstrip(" ").startswith(_STARTS):
        return f"'{value}"
    return "" if value is None else value
