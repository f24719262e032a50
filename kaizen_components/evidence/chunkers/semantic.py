"""Semantic: pieces that end where the sentences turn to something else, as an embedding model sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ... import backends
from . import Source, Span, library


class Semantic:
    """Cut by chonkie, with the vectors of the lane embedding."""

    def __init__(self) -> None:
        self.embedder = backends.opened("embedding")
        model = " ".join(str(self.embedder.model).split()[:4])
        self.made = f"chonkie {library.version()} semantic {library.SIZE} {model}"

    def spans(self, source: Source) -> Iterator[Span]:
        cutter = library.guarded(
            lambda: library.needed("chonkie").SemanticChunker(
                embedding_model=_embeddings(self.embedder), chunk_size=library.SIZE, threshold=0.7
            )
        )
        yield from library.located(source.text, library.guarded(lambda: cutter.chunk(source.text)))


def _embeddings(embedder: backends.Embedder) -> Any:
    """An embedding backend as chonkie takes one."""
    base = library.needed("chonkie.embeddings").BaseEmbeddings
    numpy = library.needed("numpy", package="numpy")

    class Embeddings(base):
        """Vectors of the configured model."""

        def embed(self, text: str) -> Any:
            return self.embed_batch([text])[0]

        def embed_batch(self, texts: Sequence[str]) -> list[Any]:
            # White space alone has no vector.
            vectors = embedder.embed([text if text.strip() else "-" for text in texts]) if texts else []
            return [numpy.asarray(vector, dtype="float32") for vector in vectors]

        def similarity(self, u: Any, v: Any) -> Any:
            # Vectors are of length 1, or 0 where there is nothing in them.
            return numpy.float32(numpy.dot(u, v))

        @property
        def dimension(self) -> int:
            return len(self.embed("-"))

        def get_tokenizer(self) -> Any:
            return library.tokenizer()

    return Embeddings()
