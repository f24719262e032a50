"""Judging: a text model's opinion of proposals, case by case, recorded as it comes."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import denial
from ..backends.judge import Verdict, judge, prompt
from ..backends.traces import model_call
from ..op import Result
from ..redaction import mask

if TYPE_CHECKING:
    from ..backends import TextModel
    from ..call import Call
    from ..store import Row, Store

NAME = "lab-evaluate"


class Judging:
    """One run of the judge over proposals. The model is asked without the lock; each answer is a unit of work."""

    def __init__(
        self,
        store: Store,
        model: TextModel,
        call: Call,
        *,
        metric: str | None = None,
        task_id: str | None = None,
        trace_id: str | None = None,
    ) -> None:
        self.store, self.model, self.call = store, model, call
        self.metric, self.task_id, self.trace_id = metric, task_id, trace_id
        # The last answer that was no verdict.
        self.refusal: denial.BackendMalformed | None = None
        # For the last unit of work: those of the others reach nobody.
        self.warnings: list[str] = []

    def judged(self, proposal: Row, cases: Sequence[Row]) -> Callable[[], dict[str, Any]]:
        """Ask about a proposal by every case, and record each answer; the work that closes it, for a last unit of work."""
        # A metric is authored text, which may name a person; a score may not.
        metric = mask(self.metric or proposal["metric"] or "judge", personal=True)[0]
        event_id = self._perform(lambda: self._begun(proposal))
        scores: dict[str, float] = {}
        try:
            for case in cases:
                try:
                    verdict = judge(self.model, candidate(proposal), rubric(case))
                except denial.BackendMalformed as refusal:
                    self.refusal = refusal
                    self.warnings.append(f"{proposal['id']} was not judged by {case['id']}: {refusal.message}")
                    continue
                self._perform(lambda case=case, verdict=verdict: self._score(proposal, case, verdict, event_id, metric))
                scores[case["id"]] = verdict.score
        except (denial.Denial, KeyboardInterrupt):
            # What was judged stays; the event does not look as if it still ran.
            with contextlib.suppress(denial.Denial):
                self._perform(lambda: self.store.revise("trace_event", event_id, {"status": "failed"}))
            raise
        return lambda: self._closed(proposal, scores, event_id, metric)

    def _perform(self, add: Callable[[], Row]) -> str:
        """Write in a unit of work of its own; the id of what was written."""
        return self.store.perform(self.call, lambda: Result(id=add()["id"]))["id"]

    def _begun(self, proposal: Row) -> Row:
        """The event that the judgements of a proposal belong to."""
        from ..ops.traces import TraceEvent

        given: dict[str, Any] = {"task_id": self.task_id, "trace_id": self.trace_id, "name": NAME, "status": "running"}
        return self.store.add(TraceEvent(kind="judge", summary=f"Judges {proposal['id']} by eval cases.", **given))

    def _score(self, proposal: Row, case: Row, verdict: Verdict, event_id: str, metric: str) -> Row:
        """One judgement: the call of the model, and its score."""
        completion = verdict.completion
        event = model_call(
            self.store,
            kind="judge",
            name=NAME,
            summary=f"Judged {proposal['id']} by {case['id']}.",
            model=completion.model,
            provider=completion.provider,
            latency_ms=completion.latency_ms,
            prompt=prompt(candidate(proposal), rubric(case)).whole,
            output=completion.text,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            task_id=self.task_id,
            trace_id=self.trace_id,
            parent_event_id=event_id,
            tags=["text"],
        )
        return self._scored(event["id"], verdict.score, metric, f"{case['id']}: {verdict.verdict}")

    def _scored(self, event_id: str, score: float, metric: str, comment: str) -> Row:
        from ..ops.traces import EvalScore

        given: dict[str, Any] = {"trace_event_id": event_id, "comment": comment, "value_num": score}
        return self.store.add(EvalScore(name=metric, value=score, data_type="numeric", source="model", **given))

    def _closed(self, proposal: Row, scores: dict[str, float], event_id: str, metric: str) -> dict[str, Any]:
        """The mean as a score and on the proposal, with the score of each case; what the answer says of the proposal."""
        told = {"proposal_id": proposal["id"], "cases": len(scores), "trace_event_id": event_id}
        if not scores:
            self.store.revise("trace_event", event_id, {"status": "failed"})
            return {**told, "mean_score": None, "score_id": None}
        mean = math.fsum(scores.values()) / len(scores)
        self.store.revise("trace_event", event_id, {"status": "completed"})
        score = self._scored(event_id, mean, metric, f"Mean of {len(scores)} cases for {proposal['id']}.")
        self._revise(proposal, scores, mean)
        return {**told, "mean_score": mean, "score_id": score["id"]}

    def _revise(self, proposal: Row, scores: dict[str, float], mean: float) -> None:
        """Put the scores on the proposal, unless it became another while the model was asked."""
        try:
            now = self.store.get("improvement_proposal", proposal["id"])
        except denial.RecordNotFound:
            now = None
        if now is None or candidate(now) != candidate(proposal):
            self.warnings.append(f"{proposal['id']} was changed meanwhile; it keeps the scores that it had.")
            return
        payload = json.loads(now["payload_json"]) if now["payload_json"] else {}
        payload["cases"] = with_candidates(payload.get("cases"), scores)
        changes = {"candidate_score": mean, "payload_json": json.dumps(payload, ensure_ascii=False)}
        self.store.revise("improvement_proposal", proposal["id"], changes)


def with_candidates(cases: Any, scores: dict[str, float]) -> dict[str, Any]:
    """The cases of a payload with new candidate scores; what else they hold stays."""
    merged = dict(cases) if isinstance(cases, dict) else {}
    for name, score in scores.items():
        before = merged.get(name)
        merged[name] = {**(before if isinstance(before, dict) else {}), "candidate": score}
    return merged


def candidate(proposal: Row) -> str:
    """What is judged of a proposal."""
    return "\n\n".join(text for text in (proposal["title"], proposal["summary"], proposal["body"]) if text)


def rubric(case: Row) -> str:
    """What an eval case asks for."""
    texts = [case["title"], case["summary"], case["body"]]
    texts += [f"Expected: {case['expected_json']}"] if case["expected_json"] else []
    return "\n\n".join(text for text in texts if text)
