"""Replay: scores of a run that are made again, with fresh calls, to see which of them still hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import denial
from ..call import Result
from ..redaction import mask
from .budget import Amount, Budget, Exceeded, Limits
from .calls import Answer, Calls, Failed
from .records import SPLITS
from .runs import Setup, frozen_text
from .scorers import Score
from .trials import score_record

if TYPE_CHECKING:
    from ..store import Row, Store

COLUMNS = ("id", "candidate_id", "case_name", "split", "score", "output_sha256", "scorer_version")


@dataclass(frozen=True, slots=True)
class Repeated:
    """A score that was made again. `same_output` is None where nothing but the candidate was scored."""

    id: str
    replay_of: str
    candidate: int
    case: str
    split: str
    before: float
    now: float
    holds: bool
    same_output: bool | None

    def values(self) -> dict[str, Any]:
        """As an answer shows it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Replay:
    """What came of it; `reason` says why it ended early, where it did."""

    repeated: list[Repeated] = field(default_factory=list)
    reason: str | None = None
    used: Amount = Amount()


def scores(store: Store, run: Row, *, candidates: Sequence[str], split: str | None, limit: int | None) -> list[Row]:
    """The scores of some candidates to make again, in the order they were made: of a split, by default of the held-out cases, of
    the validation cases where there are none. Raises DENIED_NO_SCORES."""
    where = {"run_id": run["id"], "replay_of": None, "candidate_id": ("in", list(candidates))}
    for wanted in (split,) if split else SPLITS[::-1]:
        found = store.list("optimizer_score", {**where, "split": wanted}, order="created_seq", limit=limit, columns=COLUMNS)
        if found:
            return found
    raise denial.NoScores(id=run["id"], split=split)


def replay(
    store: Store,
    run: Row,
    setup: Setup,
    rows: Sequence[Row],
    candidates: Mapping[str, Row],
    limits: Limits,
    tolerance: float,
    show: Callable[[int], None],
) -> Replay:
    """Make the scores again, one by one, each recorded as it comes; a limit ends it early. The plane is not held meanwhile."""
    calls = Calls(store, run["id"], Budget(limits), replays=True)
    calls.keeps_failures = setup.plan["failed_score"] is not None

    def read() -> Result:
        calls.read()
        return Result()

    store.perform(calls.call, read)
    cases = {case.name: case for case in setup.cases}
    texts = {sha: frozen_text(store, run, sha) for sha in {row["text_blob"] for row in candidates.values()}}
    done = Replay()
    for number, row in enumerate(rows, 1):
        candidate = candidates[row["candidate_id"]]
        try:
            repeated = _again(
                store, setup, calls, row, candidate, texts[candidate["text_blob"]], cases[row["case_name"]], tolerance
            )
        except Exceeded as exceeded:
            done.reason = str(exceeded)
            break
        done.repeated.append(repeated)
        show(number)
    done.used = calls.budget.used
    return done


def _again(
    store: Store, setup: Setup, calls: Calls, row: Row, candidate: Row, text: str, case: Any, tolerance: float
) -> Repeated:
    output: str | None = None
    answers: list[Answer] = []
    try:
        if setup.answering is not None:
            answers.append(setup.answering.answered(calls, text, case, setup.prices))
            output = str(answers[0].value)
        score, answer = setup.scorer.scored(calls, text, case, output)
        answers.append(answer)
    except Failed as fault:
        failed, reason = setup.plan["failed_score"], mask(str(fault))[0]
        if failed is None:
            raise denial.ScorerFailed(scorer=setup.scorer.named, case=case.name, reason=reason) from None
        score = Score(failed, f"failed: {reason}")
    write = score_record(
        store, calls, setup.scorer, row["split"], candidate["id"], case, score, output, answers, replay_of=row["id"]
    )
    record_id = store.perform(calls.call, lambda: Result(id=write()))["id"]
    return Repeated(
        id=record_id,
        replay_of=row["id"],
        candidate=candidate["number"],
        case=case.name,
        split=row["split"],
        before=row["score"],
        now=score.value,
        holds=abs(score.value - row["score"]) <= tolerance + 1e-9,
        same_output=None if output is None else _sha(output) == row["output_sha256"],
    )


def _sha(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
