"""Markdown: headings, lists, tables and code, each under its headings; the text is the file's characters, exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..extract import Block, Outline
from .text import decoded, paragraphs

if TYPE_CHECKING:
    from . import Source

# The ends of lines that Markdown knows.
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_FENCE = re.compile(r"[ \t]*(?:[-*+>][ \t]*)*(`{3,}|~{3,})")
_MARKUP = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)|[`*]+|\\(?=[^\w\s])")
_TYPES = {"fence": "Code", "code_block": "Code", "table_open": "Table", "heading_open": "SectionHeader"}
# Parsed at once, in characters: what a token weighs is a hundred times that.
PIECE = 200_000
# A file of more lines is data with a few marks in it, and is read as plain text.
LINES = 100_000
# A list is one block up to this length; of a longer one, each block is some of its items.
LIST = 2_000


def blocks(data: bytes, source: Source) -> Iterator[Block]:
    """The blocks of a Markdown file; the first heading is its title."""
    text = decoded(data, source)
    if text.count("\n") > LINES:
        yield from paragraphs(text)
        return
    lines = _LINE.findall(text)
    outline = Outline()
    parser = _parser()
    for piece in _pieces(lines):
        for kind, text, level, title in _parsed(parser, piece):
            body = text.rstrip()
            tail = text[len(body) :]
            if not body:
                body, tail = text, ""
            yield Block(kind, body, tail, heading=outline.above(level) if level else outline.path)
            if level:
                outline.enter(level, title)
                source.title = source.title or title


def _parser() -> Any:
    from markdown_it import MarkdownIt

    # What stands inside a paragraph is of no interest here, and it is what takes time.
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _pieces(lines: list[str]) -> Iterator[list[str]]:
    """The lines in pieces that can be parsed by themselves; what stands between --- at the start is a piece of its own."""
    start = _front_matter(lines)
    if start:
        yield lines[:start]
    size, fence = 0, None
    for index in range(start, len(lines)):
        line = lines[index]
        # A new piece begins at the margin behind an empty line, outside of code.
        apart = fence is None and index > start and not lines[index - 1].strip() and not line[0].isspace()
        if size > PIECE and (apart or size > 4 * PIECE):
            yield lines[start:index]
            start, size, fence = index, 0, None
        size += len(line)
        mark = _FENCE.match(line)
        if mark and fence is None:
            fence = mark[1]
        elif mark and fence is not None and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fence = None
    if start < len(lines):
        yield lines[start:]


def _front_matter(lines: list[str]) -> int:
    """How many lines of front matter there are."""
    if not lines or lines[0].rstrip() != "---":
        return 0
    for index in range(1, min(len(lines), 200)):
        if lines[index].rstrip() in ("---", "..."):
            return next((behind for behind in range(index + 1, len(lines)) if lines[behind].strip()), len(lines))
    return 0


def _parsed(parser: Any, lines: list[str]) -> Iterator[tuple[str, str, int, str]]:
    """(type, text, level of a heading or 0, title) of what stands in some lines: together all of them."""
    if lines and lines[0].rstrip() == "---" and _front_matter(lines) == len(lines):
        yield "Text", "".join(lines), 0, ""
        return
    at = 0
    for kind, start, end, level, title in _regions(parser.parse("".join(lines)), lines):
        if start < at or end <= start:
            continue
        # What makes no token, such as the target of a link, stands between two that do.
        if "".join(lines[at:start]).strip():
            yield "Text", "".join(lines[at:start]), 0, ""
            at = start
        while end < len(lines) and not lines[end].strip():
            end += 1
        yield kind, "".join(lines[at:end]), level, title
        at = end
    if at < len(lines):
        yield "Text", "".join(lines[at:]), 0, ""


def _regions(tokens: list[Any], lines: list[str]) -> Iterator[tuple[str, int, int, int, str]]:
    """(type, first line, line behind the last, level, title) of what stands at the top of a document."""
    list_end = start = 0
    for index, token in enumerate(tokens):
        if token.map is None:
            continue
        first, last = token.map
        if token.level == 0 and token.type in ("bullet_list_open", "ordered_list_open"):
            start, list_end = first, last
        elif token.level == 1 and token.type == "list_item_open":
            if sum(map(len, lines[start:first])) >= LIST:
                yield "ListItem", start, first, 0, ""
                start = first
            if last >= list_end:
                yield "ListItem", start, list_end, 0, ""
        elif token.level == 0 and token.nesting >= 0:
            level = int(token.tag[1]) if token.type == "heading_open" else 0
            title = _plain(tokens[index + 1].content) if level else ""
            yield _TYPES.get(token.type, "Text"), first, last, level, title


def _plain(text: str) -> str:
    """A heading without its markup."""
    return " ".join(_MARKUP.sub(r"\1", text[:1_000]).split())
