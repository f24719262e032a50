"""XLSX: the rows of each sheet, as they were last computed. Macros, charts and formulas are not looked at."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from ... import denial
from ..extract import Block
from . import office

if TYPE_CHECKING:
    from . import Source

# A block holds at most so many rows, and ends with the row that makes it this long.
ROWS, LENGTH = 50, 4_000
_UNTEXT = re.compile("[\0\ud800-\udfff]")


def blocks(data: bytes, source: Source) -> Iterator[Block]:
    """The rows of the sheets, some to a block; the sheet's name is the heading, its number the page."""
    office.check(data, source.name, "xl/workbook.xml")
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        source.title = " ".join((book.properties.title or "").split())[:300] or None
        for number, sheet in enumerate(book.worksheets, 1):
            yield from _sheet(sheet, number)
    except (MemoryError, denial.Denial):
        raise
    except Exception as fault:
        # A damaged file makes its parser fail in any way there is.
        raise denial.DocumentUnreadable(name=source.name, reason=f"{type(fault).__name__}: {fault}"[:300]) from None


def _sheet(sheet: Any, number: int) -> Iterator[Block]:
    # What a sheet says of its size need not be so, and would be filled with empty cells.
    sheet.reset_dimensions()
    rows: list[str] = []
    length = 0
    heading = " ".join(str(sheet.title).split())
    for values in sheet.iter_rows(values_only=True):
        row = " | ".join(text for value in values if (text := _shown(value)))
        if not row:
            continue
        rows.append(row)
        length += len(row)
        if len(rows) >= ROWS or length >= LENGTH:
            yield Block("Table", "\n".join(rows), "\n\n", heading=heading, page=number)
            rows, length = [], 0
    if rows:
        yield Block("Table", "\n".join(rows), "\n\n", heading=heading, page=number)


def _shown(value: Any) -> str:
    """A cell as text, on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return " ".join(_UNTEXT.sub("\ufffd", str(value)).split())
