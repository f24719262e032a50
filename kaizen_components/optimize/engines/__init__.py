"""Engines: what searches. Each is found by name, gets the cases that a search may see, and knows nothing of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ...backends import TextModel
    from ..cases import Case
    from ..trials import Trials

# (what the search does now)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reflecting:
    """The model that proposes texts, and the most tokens of a proposal."""

    model: TextModel
    limit: int


@dataclass(frozen=True, slots=True)
class Task:
    """What an engine may see and use. The first text of `texts` is the baseline."""

    goal: str
    texts: Sequence[str]
    train: Sequence[Case]
    validation: Sequence[Case]
    trials: Trials
    seed: int = 0
    rounds: int = 10
    batch: int = 3
    perfect: float | None = None
    reflecting: Reflecting | None = None
    say: Say = field(default=lambda said: None)


class Engine(Protocol):
    """A search."""

    def search(self, task: Task) -> None:
        """Try candidates through task.trials, which records and remembers them. The same task and the same answers lead to the
        same calls in the same order. What trials and calls raise passes through, Exceeded too."""
        ...


def engine(name: str) -> Engine:
    """The engine of a name, imported now. Raises DENIED_BACKEND_UNAVAILABLE where its package is missing."""
    if name == "gepa":
        from .gepa import Gepa

        return Gepa()
    from .candidates import Candidates

    return Candidates()
