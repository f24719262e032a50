"""Sentence: whole sentences, as many as fit."""

from __future__ import annotations

from collections.abc import Iterator

from . import Source, Span, library


class Sentence:
    """Cut by chonkie; a sentence that is too long by itself is a piece by itself."""

    def __init__(self) -> None:
        self.made = f"chonkie {library.version()} sentence {library.SIZE}"

    def spans(self, source: Source) -> Iterator[Span]:
        cutter = library.needed("chonkie").SentenceChunker(tokenizer=library.tokenizer(), chunk_size=library.SIZE)
        yield from library.located(source.text, library.guarded(lambda: cutter.chunk(source.text)))
