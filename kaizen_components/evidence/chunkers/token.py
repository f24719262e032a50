"""Token: pieces of the same number of tokens, wherever they end."""

from __future__ import annotations

from collections.abc import Iterator

from . import Source, Span, library


class Token:
    """Cut by chonkie; a token is a word, a part of a long one, or a sign."""

    def __init__(self) -> None:
        self.made = f"chonkie {library.version()} token {library.SIZE}"

    def spans(self, source: Source) -> Iterator[Span]:
        cutter = library.needed("chonkie").TokenChunker(tokenizer=library.tokenizer(), chunk_size=library.SIZE)
        yield from library.located(source.text, library.guarded(lambda: cutter.chunk(source.text)))
