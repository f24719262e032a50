"""Plain text and source code: the text is the file's characters, exactly."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from ... import denial
from ..extract import Block, Outline, heading_path, least

if TYPE_CHECKING:
    from . import Source

# A line's end, then lines with nothing on them.
_BLANK = re.compile(r"(?>\r\n|\r|\n)(?:[ \t]*+(?>\r\n|\r|\n))+")
# In code a block ends before a line that begins at the margin, and not with one of these.
_INSIDE = frozenset(" \t\f\v)]}")
_HEADING = re.compile(r"(#{1,6})[ \t]+(\S[^\r\n]*)\Z")
_NAMED = re.compile(
    r"^(?:export |default |public |pub(?:\(\w+\))? |static |abstract |async |final )*"
    r"(?:def|class|func|fn|function|interface|struct|enum|impl|trait|type|module|namespace)\b[^\r\n]*",
    re.MULTILINE,
)
# Encodings of names and of source code, which no text is written in; taking one apart may take hours.
_NO_TEXTS = frozenset({"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined", "utf_7"})
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Blocks of code shorter than this go with the next one.
SHORT_CODE = 300


def blocks(data: bytes, source: Source) -> Iterator[Block]:
    """Paragraphs, or the top-level pieces of source code."""
    text = decoded(data, source)
    return _code(text) if source.media_type != "text/plain" else paragraphs(text)


def decoded(data: bytes, source: Source) -> str:
    """The characters of a text file: UTF-8, or what its first bytes or its server say; else it is refused, not guessed."""
    mark, charset = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", source.charset or "utf-8"))
    try:
        if codecs.lookup(charset).name.replace("-", "_") in _NO_TEXTS:
            raise LookupError
        text = data[len(mark) :].decode(charset)
    except LookupError:
        raise denial.FileNotUtf8(name=source.name, reason=f"there is no encoding {charset[:40]!r} of texts") from None
    except (UnicodeError, ValueError) as fault:
        if b"\0" in data[:8192]:
            raise binary(source) from None
        raise denial.FileNotUtf8(name=source.name, reason=str(fault)) from None
    if "\0" in text:
        raise binary(source)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as fault:
        raise denial.FileNotUtf8(name=source.name, reason=str(fault)) from None
    return text


def binary(source: Source) -> denial.UnsupportedMedia:
    """The refusal of a file that is no text, whatever its name says."""
    return denial.UnsupportedMedia(message="The file holds binary data, not text.", name=source.name)


def paragraphs(text: str) -> Iterator[Block]:
    """What empty lines divide; a line alone that begins with # is a heading."""
    outline = Outline()
    for piece, tail in _pieces(text, least(len(text))):
        heading = _HEADING.match(piece.lstrip())
        if heading is None:
            yield Block("Text", piece, tail, heading=outline.path)
        else:
            level = len(heading[1])
            yield Block("SectionHeader", piece, tail, heading=outline.above(level))
            outline.enter(level, heading[2])


def _code(text: str) -> Iterator[Block]:
    for piece, tail in _pieces(text, max(SHORT_CODE, least(len(text))), _INSIDE):
        named = _NAMED.search(piece)
        yield Block("Code", piece, tail, heading=heading_path([named[0].rstrip(" \t:{")]) if named else None)


def _pieces(text: str, shortest: int, inside: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """(piece, what stands behind it) of a text, each of at least `shortest` characters, none that begins with what is
    `inside`; blank lines at the start belong to the first piece."""
    start = 0
    content = len(text) - len(text.lstrip())
    for match in _BLANK.finditer(text):
        if text[match.end() : match.end() + 1] in inside:
            continue
        if match.start() > content and match.start() - start >= shortest:
            yield text[start : match.start()], match[0]
            start = match.end()
    if start < len(text):
        rest = text[start:]
        body = rest.rstrip("\r\n")
        yield (body, rest[len(body) :]) if body else (rest, "")
