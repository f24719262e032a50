"""Library: chonkie, with tokens that need no download, and its pieces found again where they stand in the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, TypeVar

from ... import denial
from . import INSTALL, Span

# A token: a word or a part of a long one, a sign, with the white space before it. Together they are the text.
TOKEN = re.compile(r"\s*(?:\w{1,12}|[^\w\s])|\s+")
# Tokens of a piece.
SIZE = 256

Made = TypeVar("Made")


def needed(module: str, *, package: str = "chonkie", install: str = INSTALL) -> Any:
    """A module of a package; DENIED_BACKEND_UNAVAILABLE with the install command where it is missing."""
    try:
        return import_module(module)
    except ImportError as fault:
        raise denial.BackendUnavailable(
            f"Run: {install}", message=f"This chunker needs {package}.", package=package, reason=str(fault)[:200]
        ) from None


def version() -> str:
    """The version of chonkie that is installed: another one may cut elsewhere."""
    return needed("chonkie").__version__


def tokenizer() -> Any:
    """A tokenizer of chonkie's kind: the same for every text, and nothing of a text is lost."""
    base = needed("chonkie.tokenizer").Tokenizer

    class Words(base):
        """Words and signs, each with the white space before it."""

        def __repr__(self) -> str:
            return "Words()"

        def tokenize(self, text: str) -> list[str]:
            return TOKEN.findall(text)

        def encode(self, text: str) -> list[int]:
            known: dict[str, int] = self.token2id
            numbers = []
            for token in TOKEN.findall(text):
                number = known.get(token)
                if number is None:
                    number = known[token] = len(self.vocab)
                    self.vocab.append(token)
                numbers.append(number)
            return numbers

        def decode(self, tokens: Iterable[int]) -> str:
            return "".join(self.vocab[token] for token in tokens)

    return Words()


def guarded(work: Callable[[], Made]) -> Made:
    """What the library answers; a fault of its own becomes DENIED_BACKEND_MALFORMED."""
    try:
        return work()
    except denial.Denial:
        raise
    except Exception as fault:
        reason = f"{type(fault).__name__}: {fault}"[:300]
        raise denial.BackendMalformed(
            "Cut the document with --chunker recursive.", message="The chunker failed.", package="chonkie", reason=reason
        ) from None


def located(text: str, pieces: Iterable[Any]) -> Iterator[Span]:
    """The library's chunks as spans: each is looked for behind the one before, whatever offsets it says."""
    at = 0
    for piece in pieces:
        wanted = piece.text.strip()
        if not wanted:
            continue
        start = text.find(wanted, at)
        if start < 0:
            raise denial.BackendMalformed(
                "Cut the document with --chunker recursive.", message="The chunker changed the text.", package="chonkie"
            )
        at = start + len(wanted)
        yield Span(start, at, piece.token_count)
