"""DOCX: paragraphs and tables in their order, under their headings. Macros and embedded objects are not looked at."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ... import denial
from ..extract import Block, Outline
from . import office

if TYPE_CHECKING:
    from . import Source

_HEADING = re.compile(r"heading (\d)$", re.IGNORECASE)
# A table is cut behind the row that makes a block this long.
TABLE = 4_000


def blocks(data: bytes, source: Source) -> Iterator[Block]:
    """The blocks of a document."""
    office.check(data, source.name, "word/document.xml")
    import docx

    try:
        # What is written for macros has another content type, and is the same otherwise.
        document: Any = docx.Document(io.BytesIO(data))
        names = {style.style_id: style.name or "" for style in document.styles}
        source.title = " ".join((document.core_properties.title or "").split())[:300] or None
        yield from _body(document.element.body, names, source)
    except (MemoryError, denial.Denial):
        raise
    except Exception as fault:
        # A damaged file makes its parser fail in any way there is.
        raise denial.DocumentUnreadable(name=source.name, reason=f"{type(fault).__name__}: {fault}"[:300]) from None


def _body(body: Any, names: dict[str, str], source: Source) -> Iterator[Block]:
    outline = Outline()
    for element in body.iter("{*}p", "{*}tbl"):
        kind = element.tag.rpartition("}")[2]
        inside = next((True for above in element.iterancestors("{*}tbl")), False)
        if inside or not element.tag.startswith("{http://schemas.openxmlformats.org/wordprocessingml/"):
            continue
        if kind == "tbl":
            yield from _table(element, outline)
            continue
        text = element.text.strip()
        if not text:
            continue
        style = names.get(element.style or "", "")
        match = _HEADING.match(style)
        level = int(match[1]) if match else 0
        if style == "Title" or level:
            level = level or 0
            yield Block("SectionHeader", text, "\n\n", heading=outline.above(level))
            outline.enter(level, text)
            source.title = source.title or text[:300]
        else:
            listed = style.startswith("List") or _is_item(element)
            yield Block("ListItem" if listed else "Text", text, "\n\n", heading=outline.path)


def _is_item(paragraph: Any) -> bool:
    properties = paragraph.pPr
    return properties is not None and properties.numPr is not None


def _table(table: Any, outline: Outline) -> Iterator[Block]:
    rows: list[str] = []
    length = 0
    for row in table.iter("{*}tr"):
        if next(row.iterancestors("{*}tbl")) is not table:
            # The rows of a table within a cell are a part of that.
            continue
        cells = (" ".join("".join(p.text for p in cell.iter("{*}p")).split()) for cell in row.iterchildren("{*}tc"))
        text = " | ".join(cell for cell in cells if cell)
        if text:
            rows.append(text)
            length += len(text)
        if length > TABLE:
            yield Block("Table", "\n".join(rows), "\n\n", heading=outline.path)
            rows, length = [], 0
    if rows:
        yield Block("Table", "\n".join(rows), "\n\n", heading=outline.path)
