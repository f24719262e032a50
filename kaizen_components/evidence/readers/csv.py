"""CSV: rows under their column names; the text is the file's characters, exactly."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ... import denial
from ..extract import Block, heading_path
from .text import decoded

if TYPE_CHECKING:
    from . import Source

# A block holds at most so many rows, and ends with the row that makes it this long.
ROWS, LENGTH = 50, 4_000
DELIMITERS = ",;\t|"


def blocks(data: bytes, source: Source) -> Iterator[Block]:
    """The rows, some to a block; the column names are the heading of each."""
    text = decoded(data, source)
    delimiter = "\t" if source.ending == "tsv" else _delimiter(text)
    lines = io.StringIO(text, newline="")
    # What the rows are made of, line by line.
    taken: list[str] = []

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    heading: str | None = None
    rows = length = 0
    pending: list[str] = []
    try:
        for number, row in enumerate(csv.reader(feed(), delimiter=delimiter)):
            if number == 0:
                heading = _columns(row)
            pending += taken
            length += sum(map(len, taken))
            rows += 1
            taken.clear()
            if rows >= ROWS or length >= LENGTH:
                yield _block(pending, heading)
                pending, rows, length = [], 0, 0
    except csv.Error as fault:
        action = "Save it as a plain CSV file."
        raise denial.DocumentUnreadable(action, name=source.name, reason=str(fault)) from None
    pending += taken
    if pending:
        yield _block(pending, heading)


def _block(lines: list[str], heading: str | None) -> Block:
    text = "".join(lines)
    body = text.rstrip("\r\n")
    return Block("Table", body or text, text[len(body) :] if body else "", heading=heading)


def _delimiter(text: str) -> str:
    """What stands between the fields: the mark that the first rows hold equally often."""
    sample = text[:20_000].splitlines()[:50]

    def steadiness(delimiter: str) -> tuple[int, int]:
        try:
            widths = Counter(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
        except csv.Error:
            return 0, 0
        width, often = max(widths.items(), key=lambda entry: (entry[0] > 1, entry[1]), default=(0, 0))
        return (often if width > 1 else 0), width

    return max(DELIMITERS, key=steadiness)


def _columns(row: list[str]) -> str | None:
    """The names of the columns, where the first row looks like names."""
    names = [name.strip() for name in row]
    if any(not name or name.replace(".", "", 1).replace("-", "", 1).isdigit() for name in names[:60]):
        return None
    return heading_path([", ".join(names)])
