"""Backends: models that embed, write, rank and find personal data, behind one protocol each.

A backend is named by environment variables, opened by name and imported late. Nothing needs one: what is deterministic
works without, and what needs a model says which variables to set.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .. import denial
from ..fields import shorten

Vector = array  # of "f": 32-bit floats

LOOPBACK_OLLAMA = "http://127.0.0.1:11434/v1"


@dataclass(frozen=True, slots=True)
class Completion:
    """What a text model answered, and what it cost."""

    text: str
    model: str
    provider: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text that a model names: characters start to end."""

    start: int
    end: int
    label: str
    score: float


class Backend(Protocol):
    """What every backend has; `kind` is http or in-process."""

    kind: str
    model: str
    provider: str

    def probe(self) -> dict[str, Any]:
        """Try it: what B1 shows besides its configuration (dimension, ok ...). Raises Denial."""
        ...


class Embedder(Backend, Protocol):
    """Texts to vectors."""

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """One unit vector a text, all of one length; `query` where a question is asked. Raises Denial."""
        ...


class TextModel(Backend, Protocol):
    """A prompt to a text."""

    def complete(self, prompt: str, *, system: str | None = None, limit: int = 1024, seed: int | None = None) -> Completion:
        """An answer of at most `limit` tokens, at temperature 0. Raises Denial."""
        ...


class Reranker(Backend, Protocol):
    """How well texts answer a query."""

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """A score a text, higher is better. Raises Denial."""
        ...


class Recognizer(Backend, Protocol):
    """Personal data in a text."""

    def spans(self, text: str) -> list[Span]:
        """What the model takes for personal data. Raises Denial."""
        ...


@dataclass(frozen=True, slots=True)
class Config:
    """What the environment says of one lane; `backend` is None where nothing is configured."""

    lane: str
    backend: str | None
    model: str | None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    query_prompt: str | None = None
    device: str = "auto"
    variables: tuple[str, ...] = ()


# lane -> (variables that name the backend, variable of the model, of the address, of the key)
LANES = {
    "embedding": (("KAIZEN_EMBED_BACKEND",), "KAIZEN_EMBED_MODEL", "KAIZEN_EMBED_BASE_URL", "KAIZEN_EMBED_API_KEY"),
    "text": (("KAIZEN_TEXT_BACKEND", "KAIZEN_LLM_BACKEND"), "KAIZEN_LLM_MODEL", "KAIZEN_LLM_BASE_URL", "KAIZEN_LLM_API_KEY"),
    "rerank": (("KAIZEN_RERANK_BACKEND",), "KAIZEN_RERANK_MODEL", None, None),
    "pii": (("KAIZEN_PII_BACKEND",), "KAIZEN_PII_MODEL", None, None),
}
# lane -> backend -> module and class
BACKENDS = {
    "embedding": {
        "ollama": "openai_compatible:HttpEmbedder",
        "openai": "openai_compatible:HttpEmbedder",
        "sentence-transformers": "sentence_transformers:LocalEmbedder",
    },
    "text": {
        "ollama": "openai_compatible:HttpTextModel",
        "openai": "openai_compatible:HttpTextModel",
        "transformers": "transformers:LocalTextModel",
    },
    "rerank": {
        "cross-encoder": "sentence_transformers:CrossEncoderReranker",
        "sentence-transformers": "sentence_transformers:CrossEncoderReranker",
    },
    "pii": {"transformers": "transformers:LocalRecognizer"},
}


def config(lane: str) -> Config:
    """What the environment configures for a lane: embedding, text, rerank or pii. Raises DENIED_ENVIRONMENT_INVALID."""
    names, model, address, key = LANES[lane]
    named = next((name for name in names if os.environ.get(name, "").strip()), names[0])
    backend = os.environ.get(named, "").strip().lower() or None
    if backend is not None and backend not in BACKENDS[lane]:
        raise denial.EnvironmentInvalid(
            # As it was typed: a key that was put in the wrong place is known by its letters, and masked.
            f"Set {named} to {' or '.join(BACKENDS[lane])}, or unset it.",
            variable=named,
            value=shorten(os.environ[named].strip()),
        )
    said = os.environ.get
    base_url = said(address, "").strip() if address else ""
    # The ollama of this machine is where both lanes look first.
    fallback = LOOPBACK_OLLAMA if address and backend == "ollama" else None
    return Config(
        lane=lane,
        backend=backend,
        model=said(model, "").strip() or None,
        base_url=(base_url or fallback or "").rstrip("/") or None,
        api_key=(said(key, "").strip() or None) if key else None,
        query_prompt=said("KAIZEN_EMBED_QUERY_PROMPT") or None if lane == "embedding" else None,
        device=said("KAIZEN_TORCH_DEVICE", "").strip() or "auto",
        variables=(*names, model, *(name for name in (address, key) if name)),
    )


def configured(lane: str) -> bool:
    """Whether a backend, its model and, where it has no place of its own, its address are named for a lane."""
    return not missing(config(lane))


def missing(found: Config) -> list[str]:
    """The variables that have to be set before a lane can be opened."""
    names, model, address, _ = LANES[found.lane]
    wanted = [names[0]] if found.backend is None else []
    wanted += [model] if found.model is None else []
    # Text goes to another's server only where somebody named that server.
    wanted += [address] if address and found.backend == "openai" and found.base_url is None else []
    return wanted


def opened(lane: str, *, model: str | None = None) -> Any:
    """The backend of a lane, imported and made; `model` in place of the configured one. Loads no model yet.

    Raises DENIED_BACKEND_UNCONFIGURED with the variables to set, DENIED_BACKEND_UNAVAILABLE with the install command
    where its packages are missing.
    """
    import dataclasses
    from importlib import import_module

    found = config(lane)
    if model is not None:
        found = dataclasses.replace(found, model=model)
    wanted = missing(found)
    if wanted or found.backend is None:
        name = LANES[lane][0][0]
        raise denial.BackendUnconfigured(
            f"Set {' and '.join(wanted)} ({name}: {', '.join(BACKENDS[lane])}); setup/OLLAMA.md and setup/PYTORCH.md show how.",
            message=f"No backend is configured for the lane {lane}.",
            lane=lane,
            variables=wanted,
        )
    module, _, name = BACKENDS[lane][found.backend].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)(found)


def unit(values: Sequence[float]) -> Vector:
    """A vector of length 1; all zeros stay so."""
    import math

    length = math.sqrt(math.fsum(value * value for value in values))
    return array("f", [value / length for value in values] if length else values)
