"""Sentence: whole sentences, as many as fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import Source, Span, library

# Characters that are cut at once: the library looks at all that is left for each piece it makes.
AT_ONCE = 100_000


class Sentence:
    """Cut by chonkie; a sentence that is too long by itself is a piece by itself."""

    def __init__(self) -> None:
        self.made = f"chonkie {library.version()} sentence {library.SIZE}"

    def spans(self, source: Source) -> Iterator[Span]:
        cutter = library.needed("chonkie").SentenceChunker(tokenizer=library.tokenizer(), chunk_size=library.SIZE)
        text, at, size = source.text, 0, AT_ONCE
        while at < len(text):
            part = text[at : at + size]
            pieces = _cut(cutter, part)
            if at + size < len(text):
                # The end of the part may have cut the last piece; it begins the next part.
                del pieces[-1:]
            end = pieces[-1].end_index if pieces else 0
            for start, stop, tokens in library.located(part, pieces):
                yield Span(at + start, at + stop, tokens)
            if end:
                at, size = at + end, AT_ONCE
            elif at + size < len(text):
                # No sentence ends in it.
                size *= 2
            else:
                return


def _cut(cutter: Any, text: str) -> list[Any]:
    return library.guarded(lambda: cutter.chunk(text))
