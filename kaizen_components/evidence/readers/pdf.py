"""PDF: the text of each page, under the bookmarks that lead to it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ... import denial
from ..extract import Block, Outline

if TYPE_CHECKING:
    from . import Source

PAGES = 500
# What a PDF says about itself beyond its pages is followed so far.
BOOKMARKS = 5_000
_UNTEXT = re.compile("[\0\ud800-\udfff]")
_SPACES = re.compile(r"[ \t]+\n")


def blocks(data: bytes, source: Source) -> Iterator[Block]:
    """One block a page; a page without text has none. DENIED_PDF_* for what cannot be read."""
    import logging

    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError, PyPdfError

    from . import limit

    # It reports each oddity of a file; a file has thousands.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    if b"%PDF-" not in data[:1024]:
        raise denial.PdfUnreadable(message="The file is no PDF, whatever its name says.", name=source.name)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not _opens(reader):
            raise denial.PdfEncrypted(name=source.name)
        most, count = limit("KAIZEN_MAX_PDF_PAGES", PAGES), reader.get_num_pages()
        if count > most:
            raise denial.PdfTooManyPages(name=source.name, pages=count, limit=most)
        source.title = _title(reader)
        marks = _bookmarks(reader)
        outline = Outline()
        found = False
        for number, page in enumerate(reader.pages, 1):
            for level, title in marks.get(number, ()):
                outline.enter(level, title)
            text = _SPACES.sub("\n", _UNTEXT.sub("\ufffd", page.extract_text())).strip()
            if text:
                found = True
                yield Block("Text", text, "\n\n", heading=outline.path, page=number)
        if not found:
            raise denial.PdfNoText(name=source.name, pages=count)
    except FileNotDecryptedError:
        raise denial.PdfEncrypted(name=source.name) from None
    except (MemoryError, denial.Denial):
        raise
    except ImportError as fault:
        raise denial.PdfEncrypted(name=source.name, reason=str(fault)) from None
    except (PyPdfError, RecursionError, Exception) as fault:
        # A damaged file makes its parser fail in any way there is.
        raise denial.PdfUnreadable(name=source.name, reason=f"{type(fault).__name__}: {fault}"[:300]) from None


def _opens(reader: Any) -> bool:
    """Whether it opens without a password: many forbid printing and nothing else."""
    from pypdf.errors import DependencyError

    try:
        return bool(reader.decrypt(""))
    except (DependencyError, NotImplementedError):
        return False


def _title(reader: Any) -> str | None:
    try:
        title = reader.metadata.title if reader.metadata else None
    except Exception:
        return None
    return " ".join(_UNTEXT.sub("", str(title)).split())[:300] or None if title else None


def _bookmarks(reader: Any) -> dict[int, list[tuple[int, str]]]:
    """Page -> (level, title) of the bookmarks that lead to it; of damaged ones nothing."""
    found: dict[int, list[tuple[int, str]]] = {}
    try:
        pending: list[tuple[int, Any]] = [(0, reader.outline)]
        for _ in range(BOOKMARKS):
            if not pending:
                break
            level, item = pending.pop()
            if isinstance(item, list):
                pending += [(level + 1, child) for child in reversed(item)]
                continue
            page = reader.get_destination_page_number(item)
            if page is not None and page >= 0 and item.title:
                found.setdefault(page + 1, []).append((level, " ".join(_UNTEXT.sub("", str(item.title)).split())[:300]))
    except Exception:
        return {}
    return found
