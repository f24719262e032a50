"""Recursive: pieces of at most 1,024 characters that end where a section, a paragraph, a sentence or a word ends."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator

from ..extract import Block
from . import Source, Span

LONGEST = 1024
# A piece ends at a sentence or better only behind this much of it.
LEAST = LONGEST // 2
# So far back a cut within a word moves, to keep a letter and its marks together.
CLUSTER = 32

SENTENCE = re.compile(r"[.!?…][\"'”’»)\]]*(?=\s)|[。！？]")
LINE = re.compile(r"\n")
EMPTY_LINE = re.compile(r"\n[ \t]*\n")
BLACK = re.compile(r"\S")
BY_LINES = frozenset({"Code", "Table"})


class Recursive:
    """Looks at no more than the longest piece at a time, so that twice the text takes twice the time."""

    made = f"kaizen recursive 1 {LONGEST}"

    def spans(self, source: Source) -> Iterator[Span]:
        text, ends = source.text, _Ends(source)
        found = BLACK.search(text)
        while found:
            start = found.start()
            end = ends.after(start)
            while text[end - 1].isspace():
                end -= 1
            yield Span(start, end, (end - start) // 4)
            found = BLACK.search(text, end)


class _Ends:
    """Where pieces of a text may end."""

    def __init__(self, source: Source) -> None:
        self.text, self.blocks = source.text, source.blocks
        self.starts = [block.start for block in source.blocks]
        headings = [block.type == "SectionHeader" for block in source.blocks]
        opens = [n == 0 or not headings[n - 1] for n in range(len(headings))]
        # A section begins with the first of the headings that stand together; a heading stays with what follows it.
        self.sections = [at for at, heading, first in zip(self.starts, headings, opens, strict=True) if heading and first]
        self.paragraphs = [at for at, first in zip(self.starts, opens, strict=True) if first]

    def after(self, start: int) -> int:
        """The end of the piece that begins at `start`."""
        most = start + LONGEST
        if most >= len(self.text):
            most = len(self.text)
            if not self._last(self.sections, start + LEAST, most):
                return most
        least = start + LEAST
        return (
            self._last(self.sections, least, most)
            or self._last(self.paragraphs, least, most)
            or self._inside(self._block_at(most), least, most)
            or self._word(start, most)
            or self._letter(start, most)
        )

    def _last(self, places: list[int], least: int, most: int) -> int | None:
        """The last of some places that lies behind `least` and not behind `most`."""
        at = bisect_right(places, most) - 1
        return places[at] if at >= 0 and places[at] > least else None

    def _block_at(self, place: int) -> Block | None:
        at = bisect_right(self.starts, place) - 1
        return self.blocks[at] if at >= 0 else None

    def _inside(self, block: Block | None, least: int, most: int) -> int | None:
        """The last end of a sentence, or of a line where lines are what counts."""
        by_lines = block is not None and block.type in BY_LINES
        for pattern in (EMPTY_LINE, LINE) if by_lines else (SENTENCE, LINE):
            ends = [match.end() for match in pattern.finditer(self.text, least, min(most + 1, len(self.text)))]
            ends = [end for end in ends if end <= most]
            if ends:
                return ends[-1]
        return None

    def _word(self, start: int, most: int) -> int | None:
        """The last place before `most` where white space begins."""
        if self.text[most].isspace() or self.text[most - 1].isspace():
            return most
        words = self.text[start:most].rsplit(None, 1)
        return most - len(words[1]) if len(words) == 2 else None

    def _letter(self, start: int, most: int) -> int:
        """A place within a word, moved back before a letter whose marks would be cut off."""
        for place in range(most, max(most - CLUSTER, start), -1):
            if not self._joined(start, place):
                return place
        return most

    def _joined(self, start: int, place: int) -> bool:
        """Whether what stands before and behind a place is one letter to a reader."""
        before, behind = self.text[place - 1], self.text[place]
        if _is_flag(behind) and _is_flag(before):
            # Flags are pairs, counted from where they begin.
            first = place - 1
            while first > start and _is_flag(self.text[first - 1]):
                first -= 1
            return (place - first) % 2 == 1
        return (
            "\u200d" in (before, behind)
            or unicodedata.category(behind) in ("Mn", "Me", "Mc")
            or "\U0001f3fb" <= behind <= "\U0001f3ff"
        )


def _is_flag(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"
