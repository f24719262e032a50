"""Calls: everything that costs something, recorded with its answer before that is used, and never made twice.

A call is known by its request and its turn: the first, the second time that a run makes the same request. A run that goes on
is carried out again from its start and finds the answers here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import clock, denial
from ..call import Result
from ..hashing import canonical, sha256
from ..redaction import mask
from .budget import Amount, Budget, Prices
from .records import OptimizerCall

if TYPE_CHECKING:
    from ..backends import Completion, TextModel
    from ..store import Store

# What a run pays for, and the same where scores are replayed: those answer no run.
ANSWER, REFLECTION, JUDGE, SCORE = "answer", "reflection", "judge", "score"
PURPOSES = (ANSWER, REFLECTION, JUDGE, SCORE)
REPLAY = "replay "


class Failed(Exception):
    """There is no answer that can be used; the text says why. What was paid for it counts all the same."""

    def __init__(self, reason: str, *, tokens: int = 0, cost_usd: float = 0.0) -> None:
        self.tokens, self.cost_usd = tokens, cost_usd
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a JSON value, and what it cost."""

    value: Any
    model: str | None = None
    tokens: int = 0
    cost_usd: float = 0.0
    duration_ms: int = 0


class Calls:
    """The paid calls of one run. Each is a unit of work; the plane is not held while somebody is asked."""

    def __init__(self, store: Store, run_id: str, budget: Budget, *, replays: bool = False) -> None:
        self.store, self.run_id, self.budget = store, run_id, budget
        self.call = dataclasses.replace(store.call, key=None)
        self.prefix = REPLAY if replays else ""
        # Whether a call that failed is an answer as well; else nothing of it is recorded, and the run stops.
        self.keeps_failures = False
        # What has to stay for the report.
        self.reserve: Callable[[], Amount] = Amount
        # Told after every call.
        self.heard: Callable[[], None] = lambda: None
        self.fresh = self.repeated = 0
        # Written with the next call: what follows from calls that are recorded already.
        self._waiting: list[Callable[[], Any]] = []
        self._turns: dict[str, int] = {}
        self._known: dict[str, Answer] = {}
        self._number = 0

    def read(self) -> None:
        """Take what earlier processes of the run have recorded; inside a unit of work."""
        columns = ("number", "purpose", "request_sha256", "answer_json", "model", "tokens", "cost_usd", "duration_ms")
        for row in self.store.list("optimizer_call", {"run_id": self.run_id}, order="created_seq", columns=columns):
            self._number = max(self._number, row["number"])
            if row["purpose"] in PURPOSES and not self.prefix:
                known = Answer(json.loads(row["answer_json"]), row["model"], row["tokens"], row["cost_usd"], row["duration_ms"])
                self._known[row["request_sha256"]] = known

    @property
    def known_ms(self) -> int:
        """Milliseconds that the recorded calls took."""
        return sum(answer.duration_ms for answer in self._known.values())

    def made(self, purpose: str, request: Any, worst: Amount, ask: Callable[[int], Answer]) -> Answer:
        """The answer to a request: recorded, or asked for now, with ask(turn), and recorded. Raises Exceeded before a call that
        could break a limit; what `ask` raises, and then nothing is recorded; and Failed, recorded where failures are kept."""
        base = canonical({"purpose": purpose, "request": request})
        turn = self._turns[base] = self._turns.get(base, 0) + 1
        key = sha256(canonical({"purpose": purpose, "request": request, "turn": turn}))
        answer = self._known.get(key)
        if answer is None:
            self.budget.check(purpose, worst, self.reserve())
            watch = clock.Stopwatch()
            answer = dataclasses.replace(self._asked(ask, turn), duration_ms=watch.ms())
            answer = self._recorded(purpose, key, answer)
            self.fresh += 1
        else:
            self.repeated += 1
        self.budget.add(purpose, Amount(1, answer.tokens, answer.cost_usd))
        self.heard()
        if isinstance(answer.value, dict) and "failed" in answer.value:
            raise Failed(answer.value["failed"])
        return answer

    def _asked(self, ask: Callable[[int], Answer], turn: int) -> Answer:
        try:
            return ask(turn)
        except Failed as fault:
            if not self.keeps_failures:
                raise
            return Answer({"failed": str(fault)}, tokens=fault.tokens, cost_usd=fault.cost_usd)

    def _recorded(self, purpose: str, key: str, answer: Answer) -> Answer:
        """Write a call down; the answer as the record has it, without secrets."""
        text = masked_json(answer.value)
        record = OptimizerCall(
            run_id=self.run_id,
            number=self._number + 1,
            purpose=self.prefix + purpose,
            request_sha256=key,
            answer_json=text,
            model=answer.model,
            tokens=answer.tokens,
            cost_usd=answer.cost_usd,
            duration_ms=answer.duration_ms,
        )

        def work() -> Result:
            self.write_waiting()
            return Result(id=self.store.add(record)["id"])

        self.store.perform(self.call, work)
        self._number += 1
        return dataclasses.replace(answer, value=json.loads(text))

    def later(self, write: Callable[[], Any]) -> None:
        """Write something with the next call, in one unit of work. Where the process ends before that, the run that goes on makes it
        again, from the calls that are recorded."""
        self._waiting.append(write)

    def write_waiting(self) -> None:
        """Write what waits; inside a unit of work. It waits no more afterwards, whatever becomes of the unit: nothing is written
        twice, and a run that goes on finds out what is missing."""
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            write()

    def asked(
        self,
        purpose: str,
        model: TextModel,
        prompt: str,
        *,
        system: str | None,
        limit: int,
        seed: int,
        prices: Prices,
        check: Callable[[str], Any] = lambda text: None,
    ) -> Answer:
        """Ask a text model; the value of the answer is its text. `check` raises what is not worth recording. A repeated request
        has a seed of its own, so that a second answer can be another one."""
        request = {
            "model": model.model,
            "provider": model.provider,
            "system": system,
            "prompt": prompt,
            "limit": limit,
            "seed": seed,
        }
        worst = prices.worst((system or "", prompt), limit)

        def ask(turn: int) -> Answer:
            from ..backends.traces import named

            try:
                completion = model.complete(prompt, system=system, limit=limit, seed=(seed + turn - 1) % 2**31)
                check(completion.text)
            except denial.BackendMalformed as refusal:
                if not self.keeps_failures:
                    raise
                reason = f"{refusal.message} {refusal.detail.get('reason', '')}".strip()
                raise Failed(reason, tokens=worst.tokens, cost_usd=worst.cost_usd) from None
            spent = _spent(completion, worst.tokens, limit, prices)
            return Answer(completion.text, named(completion.model), spent.tokens, spent.cost_usd)

        return self.made(purpose, request, worst, ask)


def _spent(completion: Completion, worst: int, limit: int, prices: Prices) -> Amount:
    """What a call has used up; of a server that does not say, the most that it can have been."""
    answered = limit if completion.completion_tokens is None else completion.completion_tokens
    asked = worst - limit if completion.prompt_tokens is None else completion.prompt_tokens
    return Amount(1, asked + answered, prices.cost(asked, answered))


def masked_json(value: Any) -> str:
    """A JSON value as text, with the secrets in its texts masked."""
    return json.dumps(masked(value), ensure_ascii=False, allow_nan=False)


def masked(value: Any) -> Any:
    """A JSON value with the secrets in its texts masked."""
    if isinstance(value, str):
        return mask(value)[0]
    if isinstance(value, dict):
        return {mask(name)[0]: masked(item) for name, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value
