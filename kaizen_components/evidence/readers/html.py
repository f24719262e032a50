"""HTML: what a reader of the page sees, without its navigation. One pass over the tags, whatever state they are in."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ... import denial
from ..extract import Block, Outline
from .text import decoded

if TYPE_CHECKING:
    from . import Source

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]{0,40})")
# The rest of a tag, quotes and what stands in them included; possessive, so that it never goes back.
_REST = re.compile(r"(?:[^>\"']|\"[^\"]{0,5000}+\"|'[^']{0,5000}+'){0,2000}+>")
# Tags whose rest is not well formed; after so many nobody looks at quotes any more.
PATIENCE = 1_000

# Nothing of these is text.
RAW = frozenset({"script", "style", "textarea", "xmp", "noembed", "noframes"})
HIDDEN = frozenset(
    {"noscript", "template", "svg", "math", "iframe", "object", "canvas", "select", "datalist", "button", "audio", "video"}
)
# What every page of a site says.
NOISE = frozenset({"nav", "footer", "aside", "dialog", "menu"})
_NOISY = re.compile(
    r"""\brole\s*=\s*["']?(?:navigation|search|banner|contentinfo)\b|\baria-hidden\s*=\s*["']?true|\shidden(?=[\s=/>])"""
    r"""|\bclass\s*=\s*["'][^"']*\b(?:headerlink|anchorjs-link|sphinxsidebar|toctree-wrapper-hidden)\b""",
    re.IGNORECASE,
)
VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
BLOCKS = frozenset(
    """address article blockquote body caption center dd details div dl dt fieldset figcaption figure form h1 h2 h3 h4 h5 h6
    header hgroup html legend li main ol p pre section summary table tbody tfoot thead tr ul title""".split()
)
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
# What a page holds at most: the largest specifications have three hundred thousand.
TAGS = 500_000
# A table is cut behind the row that makes a block this long.
TABLE = 4_000


def blocks(data: bytes, source: Source) -> Iterator[Block]:
    """Headings, paragraphs, items, code and table rows of a page. Where it has a main part, that alone."""
    if (
        source.charset is None
        and (named := _CHARSET.search(data[:4096]))
        and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    ):
        charset = named[1].decode("ascii").lower()
        # It was found as ASCII, so this it is not.
        source.charset = "utf-8" if charset.startswith("utf-16") else charset
    text = decoded(data, source)
    if text.count("<") > TAGS:
        message = "The page has more tags than are read at once."
        raise denial.FileTooLarge("Split the file.", message=message, name=source.name, limit=TAGS)
    page = Page(text, NOISE)
    found = list(page.blocks())
    if not any(block.text for block in found):
        page = Page(text, frozenset())
        found = list(page.blocks())
    source.title = page.title or None
    main = [block for block in found if block.page]
    chosen = main if sum(len(block.text) for block in main) >= 200 else found
    for index, block in enumerate(chosen):
        after = chosen[index + 1] if index + 1 < len(chosen) else None
        tail = "" if after is None else "\n" if block.type == after.type == "ListItem" else "\n\n"
        yield replace(block, tail=tail, page=None)


class Page:
    """One page being read: what is open, and what was said since the last block."""

    def __init__(self, text: str, noise: frozenset[str]) -> None:
        self.text = text
        self.title = ""
        self._noise = noise
        self._skipped, self._skipping = "", 0
        self._pre = self._main = self._table = 0
        self._kind = "Text"
        self._level = self._length = 0
        self._said: list[str] = []
        self._rows: list[str] = []
        self._cells: list[str] = []
        self._outline = Outline()
        self._malformed = 0
        self._in_title = False

    def blocks(self) -> Iterator[Block]:
        """The blocks of the page; `page` is 1 in its main part."""
        for is_tag, what, attributes in self._tokens():
            if not is_tag:
                if not self._skipping:
                    self._said.append(what)
                continue
            closing, name = what.startswith("/"), what.lstrip("/")
            if self._skipping:
                if name == self._skipped:
                    self._skipping += -1 if closing else 1
                continue
            if not closing and name not in VOID and self._is_noise(name, attributes):
                self._skipped, self._skipping = name, 1
                continue
            yield from self._tag(name, closing)
        yield from self._flush()
        yield from self._end_table()

    def _is_noise(self, name: str, attributes: str) -> bool:
        if name in HIDDEN or name in self._noise:
            return True
        return bool(self._noise) and name not in ("html", "body", "main") and bool(attributes) and bool(_NOISY.search(attributes))

    def _tag(self, name: str, closing: bool) -> Iterator[Block]:
        if name == "br":
            self._said.append("\0")
        elif name in ("td", "th"):
            self._end_cell()
        elif name in BLOCKS:
            if self._table and name not in ("table", "tr", "thead", "tbody", "tfoot", "caption", "title"):
                # A paragraph in a cell is a part of it.
                self._said.append(" ")
                return
            yield from self._flush()
            if name == "table":
                if closing and self._table == 1:
                    yield from self._end_table()
                self._table = max(0, self._table + (-1 if closing else 1))
            elif name == "pre":
                self._pre = 0 if closing else 1
            elif name == "main":
                self._main = 0 if closing else 1
            elif name == "title":
                self._in_title = not closing
            elif name in HEADINGS:
                self._level = 0 if closing else int(name[1])
            self._kind = "ListItem" if name in ("li", "dd") and not closing else "Text"
            if self._length > TABLE:
                yield from self._end_table()

    # --- blocks -----------------------------------------------------------------------------------

    def _words(self) -> str:
        """What was said since the last block, spaces as a browser shows them."""
        said = "".join(self._said)
        self._said.clear()
        return "\n".join(filter(None, (" ".join(line.split()) for line in said.split("\0"))))

    def _flush(self) -> Iterator[Block]:
        if self._in_title:
            title = self._words()
            self.title = self.title or title[:300]
            return
        if self._table:
            self._end_row()
            return
        if self._pre:
            code = "".join(self._said).replace("\0", "\n").strip("\n").rstrip()
            self._said.clear()
            if code:
                yield self._block("Code", code)
            return
        words = self._words()
        if not words:
            return
        if self._level:
            title = words.replace("\n", " ")
            yield replace(self._block("SectionHeader", words), heading=self._outline.above(self._level))
            self._outline.enter(self._level, title)
        else:
            yield self._block(self._kind, words)

    def _block(self, kind: str, text: str) -> Block:
        return Block(kind, text, heading=self._outline.path, page=1 if self._main else None)

    def _end_cell(self) -> None:
        cell = self._words().replace("\n", " ")
        if cell:
            self._cells.append(cell)

    def _end_row(self) -> None:
        self._end_cell()
        if self._cells:
            self._rows.append(" | ".join(self._cells))
            self._length += len(self._rows[-1])
            self._cells.clear()

    def _end_table(self) -> Iterator[Block]:
        self._end_row()
        if self._rows:
            yield self._block("Table", "\n".join(self._rows))
            self._rows.clear()
            self._length = 0

    # --- tags -------------------------------------------------------------------------------------

    def _tokens(self) -> Iterator[tuple[bool, str, str]]:
        """(whether it is a tag, the text or the name with / where it closes, the rest of the tag), in order."""
        text, at, end = self.text, 0, len(self.text)
        while at < end:
            start = text.find("<", at)
            if start < 0:
                start = end
            if start > at:
                yield False, _unescaped(text[at:start]), ""
            if start == end:
                return
            match = _TAG.match(text, start)
            if match is None:
                at = self._past_other(start)
                if at == start + 1:
                    yield False, "<", ""
                continue
            name = match[2].lower()
            at = self._past_tag(match.end())
            rest = text[match.end() : at]
            if not match[1] and name in RAW:
                at = self._past_raw(name, at)
                continue
            yield True, match[1] + name, rest
            if not match[1] and rest.endswith("/>") and name not in VOID and name in HIDDEN:
                yield True, "/" + name, ""

    def _past_tag(self, at: int) -> int:
        """Where a tag ends whose name ends at `at`."""
        if self._malformed < PATIENCE:
            match = _REST.match(self.text, at)
            if match is not None:
                return match.end()
            self._malformed += 1
        end = self.text.find(">", at)
        return len(self.text) if end < 0 else end + 1

    def _past_other(self, start: int) -> int:
        """Where a comment, a declaration or a lone < ends."""
        text = self.text
        if text.startswith("<!--", start):
            end = text.find("-->", start + 2)
            return len(text) if end < 0 else end + 3
        if text.startswith(("<!", "<?", "</"), start):
            end = text.find(">", start)
            return len(text) if end < 0 else end + 1
        return start + 1

    def _past_raw(self, name: str, at: int) -> int:
        """Where an element ends whose content is no HTML."""
        match = re.compile(f"</{name}[^>]{{0,1000}}>", re.IGNORECASE).search(self.text, at)
        return len(self.text) if match is None else match.end()


def _unescaped(text: str) -> str:
    """A text with its entities decoded; never with a NUL or half of a character."""
    if "&" not in text:
        return text
    try:
        decoded = html.unescape(text)
    except ValueError:
        # A number of more digits than Python reads.
        return text
    return decoded.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
