"""Candidates: the texts that were given, each scored on the validation cases; no model is needed."""

from __future__ import annotations

from ..trials import BASELINE, GIVEN
from . import Task


class Candidates:
    """Scores what is given."""

    def search(self, task: Task) -> None:
        """Score every text on every validation case, the baseline first."""
        for number, text in enumerate(task.texts):
            parents, origin = ((0,), GIVEN) if number else ((), BASELINE)
            candidate = task.trials.candidate(text, parents, origin)
            task.say(f"candidate {candidate.number}")
            for case in task.validation:
                task.trials.evaluate(candidate, case)
