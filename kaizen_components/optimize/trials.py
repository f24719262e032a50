"""Trials: the candidates of a run and what each scored on which case, recorded as they come."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import denial
from ..agent import diffs
from ..call import Result
from ..redaction import mask
from ..store import Row, Store, blobs
from .budget import Amount, Prices
from .calls import ANSWER, Answer, Calls, Failed
from .cases import Case
from .records import OptimizerCandidate, OptimizerScore
from .scorers import Score, Scorer

if TYPE_CHECKING:
    from ..backends import TextModel

BASELINE, GIVEN, REFLECTED = "baseline", "given", "reflection"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text with its place in the run: its number, and the numbers of those it came from."""

    number: int
    text: str
    parents: tuple[int, ...] = ()
    origin: str = BASELINE
    record_id: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a candidate did on a case: the score, why, and the output that was scored."""

    score: float
    feedback: str | None
    output: str | None


@dataclass(frozen=True, slots=True)
class Answering:
    """The model that answers cases, the candidate being its instructions."""

    model: TextModel
    limit: int
    seed: int

    def answered(self, calls: Calls, candidate: str, case: Case, prices: Prices) -> Answer:
        """The model's answer to a case, by a call that is recorded. Raises as Calls.asked() does."""
        return calls.asked(ANSWER, self.model, case.question, system=candidate, limit=self.limit, seed=self.seed, prices=prices)


@dataclass(slots=True)
class Trials:
    """Candidates and evaluations of a run. The same text is one candidate; a candidate meets a case once."""

    store: Store
    calls: Calls
    scorer: Scorer
    splits: Mapping[str, str]
    prices: Prices
    answering: Answering | None = None
    failed_score: float | None = None
    candidates: list[Candidate] = field(default_factory=list)
    _known: list[Row] = field(default_factory=list)
    _scored: set[tuple[str, str]] = field(default_factory=set)
    _done: dict[tuple[int, str], Evaluation] = field(default_factory=dict)

    def read(self) -> None:
        """Take what earlier processes of the run have recorded; inside a unit of work."""
        run = {"run_id": self.calls.run_id}
        self._known = self.store.list("optimizer_candidate", run, order="number")
        scores = self.store.list("optimizer_score", {**run, "replay_of": None}, columns=("candidate_id", "case_name"))
        self._scored = {(row["candidate_id"], row["case_name"]) for row in scores}

    # --- candidates -------------------------------------------------------------------------------

    def candidate(self, text: str, parents: Sequence[int] = (), origin: str = BASELINE) -> Candidate:
        """The candidate with this text; a new one is recorded, with the difference to its first parent."""
        known = next((candidate for candidate in self.candidates if candidate.text == text), None)
        if known is not None:
            return known
        made = Candidate(len(self.candidates), text, tuple(parents), origin)
        made = dataclasses.replace(made, record_id=self._recorded(made))
        self.candidates.append(made)
        return made

    def _recorded(self, made: Candidate) -> str:
        content = made.text.encode("utf-8", "surrogatepass")
        if made.number < len(self._known):
            row = self._known[made.number]
            if row["text_blob"] != hashlib.sha256(content).hexdigest():
                raise denial.OptimizerChanged(
                    message="The search does not go the way that was recorded.",
                    id=self.calls.run_id,
                    candidate=made.number,
                )
            return row["id"]
        parents = [self.candidates[number] for number in made.parents]
        said = diffs.unified(parents[0].text.encode(), content, "candidate") if parents else None
        staged = [blobs.stage(self.store.plane, part) for part in (content, *([] if said is None else [said.encode()]))]

        def work() -> Result:
            for blob in staged:
                blob.keep()
            given: dict[str, Any] = {
                "run_id": self.calls.run_id,
                "number": made.number,
                "parents_json": json.dumps([parent.record_id for parent in parents]),
                "origin": made.origin,
                "text_blob": staged[0].sha256,
                "text_bytes": staged[0].bytes,
                "diff_blob": None if said is None else staged[1].sha256,
            }
            return Result(id=self.store.add(OptimizerCandidate(**given))["id"])

        try:
            return self.store.perform(self.calls.call, work)["id"]
        finally:
            for blob in staged:
                blob.drop()

    @property
    def evaluations(self) -> int:
        """How many times a candidate met a case."""
        return len(self._done)

    def longest(self) -> str:
        """The longest text so far."""
        return max((candidate.text for candidate in self.candidates), key=len, default="")

    # --- scores -----------------------------------------------------------------------------------

    def evaluate(self, candidate: Candidate, case: Case) -> Evaluation:
        """What a candidate does on a case: asked for once, then remembered. Raises Exceeded, and Denial where neither the model
        nor the scorer can be used, or where the scorer fails and no score was named for that."""
        key = candidate.number, case.name
        if key not in self._done:
            self._done[key] = self._evaluated(candidate, case)
        return self._done[key]

    def _evaluated(self, candidate: Candidate, case: Case) -> Evaluation:
        output: str | None = None
        answers: list[Answer] = []
        try:
            if self.answering is not None:
                answers.append(self.answering.answered(self.calls, candidate.text, case, self.prices))
                output = str(answers[0].value)
            score, answer = self.scorer.scored(self.calls, candidate.text, case, output)
            answers.append(answer)
        except Failed as fault:
            if self.failed_score is None:
                reason = mask(str(fault))[0]
                raise denial.ScorerFailed(
                    scorer=self.scorer.named, case=case.name, candidate=candidate.number, reason=reason
                ) from None
            score = Score(self.failed_score, f"failed: {mask(str(fault))[0]}")
        self._record(candidate, case, score, output, answers)
        return Evaluation(score.value, score.feedback, output)

    def _record(self, candidate: Candidate, case: Case, score: Score, output: str | None, answers: Sequence[Answer]) -> None:
        if (candidate.record_id, case.name) in self._scored:
            return
        split = self.splits[case.name]
        write = score_record(self.store, self.calls, self.scorer, split, candidate.record_id, case, score, output, answers)
        self.calls.later(write)
        self._scored.add((candidate.record_id, case.name))

    def scores(self, candidate: Candidate, names: Sequence[str]) -> list[float] | None:
        """The scores of a candidate on some cases; None where one is missing."""
        done = [self._done.get((candidate.number, name)) for name in names]
        return None if not done or any(found is None for found in done) else [found.score for found in done if found]

    def score(self, candidate: Candidate, name: str) -> float | None:
        """The score of a candidate on a case; None where it has none."""
        found = self._done.get((candidate.number, name))
        return None if found is None else found.score

    def best(self, names: Sequence[str]) -> Candidate | None:
        """The candidate with the highest mean on some cases, of those that have a score on each. A later one has to be better than
        an earlier one, so that the baseline stays where nothing beats it. None: not even one was tried on all of them."""
        found, highest = None, -math.inf
        for candidate in self.candidates:
            mean = self.mean(candidate, names)
            if mean is not None and mean > highest + 1e-9:
                found, highest = candidate, mean
        return found

    def mean(self, candidate: Candidate, names: Sequence[str]) -> float | None:
        """Mean score of a candidate on some cases; None where one is missing."""
        scores = self.scores(candidate, names)
        return None if scores is None else math.fsum(scores) / len(scores)

    def worst(self, case: Case) -> Amount:
        """The most that evaluating the longest text so far on a case can use up, as far as that is known before."""
        text, answered = self.longest(), Amount()
        output = None
        if self.answering is not None:
            answered = self.prices.worst((text, case.question), self.answering.limit)
            # A token of an answer counts as one in the question to a judge.
            output = " " * self.answering.limit
        return answered + self.scorer.worst(text, case, output)


def score_record(
    store: Store,
    calls: Calls,
    scorer: Scorer,
    split: str,
    candidate_id: str,
    case: Case,
    score: Score,
    output: str | None,
    answers: Sequence[Answer],
    *,
    replay_of: str | None = None,
) -> Callable[[], str]:
    """What writes a score, with the output that was scored, inside a unit of work, and gives its id."""
    blob = None if output is None else blobs.stage(store.plane, output.encode("utf-8", "surrogatepass"))
    record = OptimizerScore(
        run_id=calls.run_id,
        candidate_id=candidate_id,
        case_name=case.name,
        split=split,
        score=score.value,
        feedback=None if score.feedback is None else mask(score.feedback)[0],
        output_sha256=None if blob is None else blob.sha256,
        output_blob=None if blob is None else blob.sha256,
        scorer_version=scorer.version,
        cost_usd=math.fsum(answer.cost_usd for answer in answers),
        tokens=sum(answer.tokens for answer in answers),
        duration_ms=sum(answer.duration_ms for answer in answers),
        replay_of=replay_of,
    )

    def write() -> str:
        if blob is not None and blob.staged.exists():
            blob.keep()
        return store.add(record)["id"]

    return write


__all__ = ["BASELINE", "GIVEN", "REFLECTED", "Answering", "Candidate", "Evaluation", "Trials", "score_record"]
