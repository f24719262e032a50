"""GEPA: a model reads what a text did on some cases, writes a better one, and what is better there joins the pool.

The package gepa searches; what it asks goes through our recorded calls, and it writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from ... import denial
from ..calls import REFLECTION, Failed
from ..trials import BASELINE, REFLECTED, Candidate
from . import Task

# The one component of a candidate.
TEXT = "text"
_TEMPLATE = """You improve a text that is used for this purpose: <goal>

The text as it is now:
```
<curr_param>
```

What it did on some cases, and what was said of that:

<side_info>

Write a better text. Keep what works. Name the rules that the cases and the feedback show, also facts that whoever reads the text
could not know otherwise. Do not copy single cases into it: it is judged by cases that you do not see.

Answer with the whole new text within ``` marks."""


def version() -> str:
    """The version of the package. Raises DENIED_BACKEND_UNAVAILABLE."""
    _package()
    return metadata.version("gepa")


def _package() -> Any:
    try:
        from gepa import api, core

        return api, core
    except ImportError:
        raise denial.BackendUnavailable("Run: python -m pip install -r requirements-optimize.txt", package="gepa") from None


class _Passing(BaseException):
    """A refusal on its way through gepa, which would take an Exception for a fault of the candidate and go on."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault
        super().__init__(str(fault))


class _Silent:
    """What gepa logs is recorded better elsewhere."""

    def log(self, message: str) -> None:
        """Say nothing."""


class Gepa:
    """The search of the package gepa."""

    def search(self, task: Task) -> None:
        """Search until the rounds are over, or a candidate has the perfect score on every validation case."""
        api, _ = _package()
        adapter = _Adapter(task)
        purpose = task.goal.replace("<", "(").replace(">", ")")
        try:
            api.optimize(
                seed_candidate={TEXT: task.texts[0]},
                trainset=list(task.train),
                valset=list(task.validation),
                adapter=adapter,
                reflection_lm=adapter.reflect,
                reflection_prompt_template=_TEMPLATE.replace("<goal>", purpose),
                reflection_minibatch_size=min(task.batch, len(task.train)),
                skip_perfect_score=task.perfect is not None,
                perfect_score=task.perfect if task.perfect is not None else 1.0,
                stop_callbacks=[adapter.is_done],
                callbacks=[adapter],
                logger=_Silent(),
                seed=task.seed,
                track_best_outputs=False,
                display_progress_bar=False,
                raise_on_exception=True,
            )
        except _Passing as passing:
            raise passing.fault from None


class _Adapter:
    """Between gepa and our trials: gepa knows candidates as {"text": ...} and cases as what they are."""

    propose_new_texts = None

    def __init__(self, task: Task) -> None:
        self.task = task
        self.parent: int | None = None
        self.rounds = 0

    def evaluate(self, batch: Sequence[Any], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """Scores of a candidate on some cases, as gepa's EvaluationBatch."""
        from gepa.core.adapter import EvaluationBatch

        try:
            tried = self._candidate(candidate[TEXT])
            done = [self.task.trials.evaluate(tried, case) for case in batch]
        except Exception as fault:
            raise _Passing(fault) from None
        seen = [
            {"case": case, "output": one.output, "score": one.score, "feedback": one.feedback}
            for case, one in zip(batch, done, strict=True)
        ]
        return EvaluationBatch(
            outputs=[one.output for one in done],
            scores=[one.score for one in done],
            trajectories=seen if capture_traces else None,
        )

    def _candidate(self, text: str) -> Candidate:
        """The candidate of a text; a new one comes from the candidate that gepa chose last."""
        if self.task.texts[0].endswith("\n"):
            # What gepa takes out of a model's answer has lost the end of its last line.
            text = text.rstrip("\n") + "\n"
        if self.parent is None:
            return self.task.trials.candidate(text, (), BASELINE)
        return self.task.trials.candidate(text, (self.parent,), REFLECTED)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """What the reflecting model is shown of the cases: question, answer, what is expected, what was said of it."""
        return {TEXT: [_shown(one) for one in eval_batch.trajectories]}

    def reflect(self, prompt: Any) -> str:
        """A new text, by a recorded call."""
        reflecting, trials = self.task.reflecting, self.task.trials
        try:
            if reflecting is None:
                raise denial.BackendUnconfigured(lane="text")
            answer = trials.calls.asked(
                REFLECTION,
                reflecting.model,
                str(prompt),
                system=None,
                limit=reflecting.limit,
                seed=self.task.seed,
                prices=trials.prices,
            )
        except Failed:
            # No refusal but an answer that cannot be used: gepa asks once more, then goes on with its next round.
            raise
        except Exception as fault:
            raise _Passing(fault) from None
        return str(answer.value)

    def is_done(self, state: Any) -> bool:
        """Whether the search ends before its next round."""
        names = [case.name for case in self.task.validation]
        best = self.task.trials.best(names)
        mean = None if best is None else self.task.trials.mean(best, names)
        self.task.say(f"round {self.rounds}" + ("" if mean is None else f": best {mean:.4g}"))
        if self.rounds >= self.task.rounds:
            return True
        return self.task.perfect is not None and mean is not None and mean >= self.task.perfect - 1e-9

    # --- what gepa tells ----------------------------------------------------------------------------

    def on_iteration_start(self, event: Mapping[str, Any]) -> None:
        """Count the rounds."""
        self.rounds += 1

    def on_candidate_selected(self, event: Mapping[str, Any]) -> None:
        """Remember from which candidate the next one comes."""
        self.parent = self._candidate(event["candidate"][TEXT]).number


def _shown(seen: Mapping[str, Any]) -> dict[str, Any]:
    case = seen["case"]
    shown = {"Input": case.question}
    shown |= {"Output": seen["output"]} if seen["output"] is not None else {}
    shown |= {"Expected": case.expected} if case.expected is not None else {}
    return {**shown, "Score": f"{seen['score']:.6g}", "Feedback": seen["feedback"] or "none"}
