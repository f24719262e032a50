"""Extract: what a reader makes of a source: blocks that, put together, are its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

# A longer block is cut at the end of a line, or of a word.
LONGEST_BLOCK = 100_000


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
