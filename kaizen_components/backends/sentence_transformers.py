"""sentence-transformers in this process: embeddings, and a cross-encoder that ranks."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from .. import denial
from . import Vector
from .local import Local, offline
from .openai_compatible import prompted

BATCH = 32


class LocalEmbedder(Local):
    """Embeddings by a sentence transformer."""

    packages = ("sentence_transformers", "torch")

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """One unit vector a text. A question gets KAIZEN_EMBED_QUERY_PROMPT, else the prompt that the model has for one.

        Raises DENIED_EMBED_EMPTY for a text without words, DENIED_BACKEND_MODEL.
        """
        if any(not text.strip() for text in texts):
            raise denial.EmbedEmpty()
        model = self._model()
        given = self.config.query_prompt
        encode = model.encode_query if query and given is None else model.encode if query else model.encode_document
        asked = [prompted(text, given) for text in texts] if query else list(texts)
        if not asked:
            return []
        with self.working():
            found = encode(asked, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True, normalize_embeddings=True)
        return [array("f", vector.astype("float32").tobytes()) for vector in found]

    def probe(self) -> dict[str, Any]:
        """Load the model and embed one word: its dimension, and the device."""
        return {"dimension": len(self.embed(["probe"])[0]), "device": str(self._model().device)}

    def _model(self) -> Any:
        def make(place: str, on: str) -> Any:
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(place, device=on, local_files_only=offline())

        return self.load(make)


class CrossEncoderReranker(Local):
    """How well texts answer a query, by a cross-encoder that reads both at once."""

    packages = ("sentence_transformers", "torch")

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """A score a text, higher is better. DENIED_BACKEND_MODEL where the model gives something else."""
        if not texts:
            return []
        model = self._model()
        with self.working():
            found = model.predict([(query, text) for text in texts], batch_size=BATCH, show_progress_bar=False)
        if getattr(found, "ndim", 1) != 1:
            raise self.refusal("it gives several numbers a text, where a ranking needs one")
        return [float(score) for score in found]

    def probe(self) -> dict[str, Any]:
        """Load the model and rank one text."""
        self.scores("probe", ["probe"])
        return {"ok": True, "device": str(self._model().model.device)}

    def _model(self) -> Any:
        def make(place: str, on: str) -> Any:
            from sentence_transformers import CrossEncoder

            return CrossEncoder(place, device=on, local_files_only=offline())

        return self.load(make)
