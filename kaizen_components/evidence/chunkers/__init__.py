"""Chunkers: ways to cut a document's text into pieces that are searched and cited, behind one protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple, Protocol

from ... import denial
from ..extract import Block

INSTALL = "python -m pip install -r requirements-evidence.txt"

# name -> module and class
CHUNKERS = {
    "recursive": "recursive:Recursive",
    "token": "token:Token",
    "sentence": "sentence:Sentence",
    "code": "code:Code",
    "semantic": "semantic:Semantic",
    "neural": "neural:Neural",
}


class Span(NamedTuple):
    """A piece of a text: characters start to end; its tokens, where the chunker counts them."""

    start: int
    end: int
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What is cut: a text, the blocks it was read as, and where it was read from."""

    text: str
    blocks: Sequence[Block]
    origin: str = ""


class Chunker(Protocol):
    """What every chunker has: `made` names it, its version and its parameters, in at most ten words."""

    made: str

    def spans(self, source: Source) -> Iterable[Span]:
        """Pieces of the text in order, none of which overlap. Raises Denial."""
        ...


def opened(name: str) -> Chunker:
    """A chunker by name, imported and made; it loads no model yet.

    Raises DENIED_CHUNKER_UNSUPPORTED for a name that is none, DENIED_BACKEND_UNAVAILABLE with the install command where
    its package is missing, DENIED_BACKEND_UNCONFIGURED where it needs a model and none is named.
    """
    if name not in CHUNKERS:
        raise unknown(name)
    module, _, wanted = CHUNKERS[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), wanted)()


def unknown(name: str) -> denial.ChunkerUnsupported:
    """The refusal of a name that is no chunker."""
    action = f"Use one of: {', '.join(CHUNKERS)}."
    return denial.ChunkerUnsupported(action, field="chunker", value=name[:120], allowed=list(CHUNKERS))
