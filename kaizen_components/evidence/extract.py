"""Extract: what a reader makes of a source: blocks that, put together, are its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from .. import denial

# A longer block is cut at the end of a line, or of a word.
LONGEST_BLOCK = 100_000
# Where a text would fall into more blocks than this, short ones are joined.
MOST_BLOCKS = 20_000
# Characters of one document: more is no document but a data set, or an attack.
MOST_TEXT = 30_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a source's text, as a record of the kind evidence_block holds it.

    `tail` is what stands between it and the next block, so that the blocks together are the whole text.
    """

    type: str
    text: str
    tail: str = ""
    start: int = 0
    heading: str | None = None
    page: int | None = None
    method: str = "native"
    confidence: float = 1.0

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Extract:
    """A source as it was read."""

    blocks: Sequence[Block]
    media_type: str
    # What read it, and its version.
    backend: str
    version: str
    title: str | None = None
    method: str = "native"
    confidence: float = 1.0
    # Spans of the text whose secrets were masked: kind, start, end.
    masked: Sequence[tuple[str, int, int]] = field(default=())

    @property
    def text(self) -> str:
        return joined((block.text, block.tail) for block in self.blocks)


def joined(pieces: Iterable[tuple[str, str]]) -> str:
    """The text of a document from (text, tail) of its blocks, in order."""
    return "".join(part for piece in pieces for part in piece)


def placed(blocks: Iterable[Block]) -> list[Block]:
    """The blocks with their offsets, counted from their texts and tails."""
    found: list[Block] = []
    at = 0
    for block in blocks:
        found.append(replace(block, start=at))
        at += len(block.text) + len(block.tail)
    return found


class Outline:
    """The headings that a place in a document stands under."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    def enter(self, level: int, title: str) -> None:
        """A heading begins: it ends those of its level and below."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, title))

    def above(self, level: int) -> str | None:
        """The path of the headings above a level."""
        return heading_path(title for at, title in self._open if at < level)

    @property
    def path(self) -> str | None:
        return heading_path(title for _, title in self._open)


def heading_path(titles: Iterable[str]) -> str | None:
    """Headings as a block holds them, > between them: of a long path the end, of a long heading the beginning."""
    parts = [" ".join(title[:300].split()[:18]) for title in titles if title.strip()]
    while len(parts) > 1 and sum(len(part.split()) + 1 for part in parts) > 60:
        del parts[0]
    return " > ".join(parts) or None


def least(length: int) -> int:
    """How many characters a block of a text of this length has at least, so that there are not too many of them."""
    return length // MOST_BLOCKS


def tidied(blocks: Iterable[Block], *, least: int = 0) -> Iterator[Block]:
    """The same text in blocks that are neither too long nor, where `least` says so, too short.

    DENIED_FILE_TOO_LARGE where there is more text than one document may hold."""
    pending: list[Block] = []
    length = size = 0
    for block in blocks:
        length += len(block.text) + len(block.tail)
        if length > MOST_TEXT:
            message = "The file holds more text than is read at once."
            raise denial.FileTooLarge("Split the file.", message=message, limit=MOST_TEXT)
        if pending and (size >= least or pending[0].page != block.page):
            yield from _cut(_one(pending))
            pending, size = [], 0
        pending.append(block)
        size += len(block.text) + len(block.tail)
    if pending:
        yield from _cut(_one(pending))


def _one(blocks: Sequence[Block]) -> Block:
    """Some blocks as one, which is what the longest of them is."""
    if len(blocks) == 1:
        return blocks[0]
    text = joined((block.text, block.tail) for block in blocks)
    tail = blocks[-1].tail
    longest = max(blocks, key=lambda block: len(block.text))
    return replace(blocks[0], type=longest.type, text=text[: len(text) - len(tail)], tail=tail)


def _cut(block: Block) -> Iterator[Block]:
    """A block, in pieces of at most LONGEST_BLOCK characters, cut behind a line or a word where there is one."""
    text, at = block.text, 0
    while len(text) - at > LONGEST_BLOCK:
        end = at + LONGEST_BLOCK
        middle = at + LONGEST_BLOCK // 2
        found = text.rfind("\n", middle, end) + 1 or text.rfind(" ", middle, end) + 1 or end
        yield replace(block, text=text[at:found], tail="")
        at = found
    yield replace(block, text=text[at:]) if at else block
