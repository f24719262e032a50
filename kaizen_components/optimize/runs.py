"""Runs: a search from its plan to its report, recorded as it goes, so that one that was cut off goes on to the same end.

Everything that decides what a run does stands in its plan. A run that goes on is carried out again from its start by the same plan;
what was paid for is found among its calls (calls.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import denial, progress
from ..agent.runs import lives, this_process
from ..call import Call, Result
from ..hashing import canonical, sha256
from ..lab.comparison import FEW, OPEN, CaseScore, compare
from ..lab.records import ImprovementProposal
from ..redaction import mask
from ..store import Row, Store, blobs
from . import engines
from .budget import Amount, Budget, Exceeded, Limits, Prices
from .calls import SCORE, Calls
from .cases import HELD_OUT, TRAIN, VALIDATION, Case, frozen, parse
from .records import RUNNING, OptimizerRun
from .scorers import CommandScorer, JudgeScorer, PythonScorer, Scorer
from .trials import Answering, Candidate, Trials

if TYPE_CHECKING:
    from ..backends import TextModel

GEPA, CANDIDATES = "gepa", "candidates"
# How a run ended that is over; any other can go on.
OVER = ("completed", "budget_exceeded")
KIND = OptimizerRun.record_kind
# Words of a candidate that a proposal repeats.
MOST_WORDS = 900


@dataclass(frozen=True, slots=True)
class Setup:
    """A plan with everything in it made ready: the cases, the texts, who scores, answers and reflects."""

    plan: Mapping[str, Any]
    cases: Sequence[Case]
    splits: Mapping[str, Sequence[str]]
    texts: Sequence[str]
    scorer: Scorer
    answering: Answering | None = None
    reflecting: engines.Reflecting | None = None
    task_id: str | None = None

    @property
    def prices(self) -> Prices:
        return Prices(**self.plan["prices"])

    @property
    def limits(self) -> Limits:
        return Limits(**self.plan["limits"])

    def of(self, split: str) -> list[Case]:
        """The cases of a split, in their order."""
        names = set(self.splits[split])
        return [case for case in self.cases if case.name in names]

    def paid_for_one(self) -> int:
        """Paid calls for one candidate on one case."""
        return 1 if self.answering is None else 2


# --- a new run ------------------------------------------------------------------------------------


def refuse_small_budget(setup: Setup) -> None:
    """Refuse a budget of calls with which not even the baseline could be tried and compared."""
    least = setup.paid_for_one() * (len(setup.splits[VALIDATION]) + 2 * len(setup.splits[HELD_OUT]))
    limit = setup.limits.calls
    if limit is not None and limit < least:
        raise denial.BudgetTooSmall(f"Pass --max-calls {least} or more.", max_calls=limit, least=least)


def unfinished(store: Store, plan: Mapping[str, Any]) -> str | None:
    """The newest run with the same plan that was cut off, where the newest run of that plan was."""
    where = {"plan_sha256": sha256(canonical(dict(plan)))}
    found = store.list(KIND, where, limit=1, columns=("id", "status", "process"))
    if not found or found[0]["status"] in OVER or (found[0]["status"] == RUNNING and lives(found[0]["process"])):
        return None
    return found[0]["id"]


def of_key(store: Store, call: Call) -> Row | None:
    """The run that began under a call's key and has ended. One that was cut off is refused as unfinished, one at work as busy, and
    the key with another request as a conflict: a key that began a run always leads to that run."""
    found = store.list(KIND, {"key_sha256": sha256(call.key)}, limit=1) if call.key else []
    if not found:
        return None
    run = found[0]
    if run["request_sha256"] != request_sha256(call):
        raise denial.KeyConflict(key=call.key, id=run["id"], op=call.op)
    if run["status"] in OVER:
        return run
    if run["status"] == RUNNING and lives(run["process"]):
        raise denial.OptimizerBusy(id=run["id"], process=run["process"].partition(" ")[0])
    raise denial.OptimizerUnfinished(f"Go on with it: python kaizen.py P12 --resume {run['id']}", id=run["id"])


def request_sha256(call: Call) -> str:
    """The hash of what a call asks for."""
    return sha256(canonical({"op": call.op, "input": call.request or {}}))


def begun(store: Store, setup: Setup, call: Call) -> str:
    """Write a run as it begins, with its cases and texts, and the call, with its key, that begins it; its id."""
    plan, content = setup.plan, frozen(setup.cases)
    staged = [blobs.stage(store.plane, part) for part in (content, *(text.encode() for text in setup.texts))]
    limits = setup.limits

    def work() -> Result:
        # Meanwhile another process may have begun it.
        if done := of_key(store, call):
            raise denial.OptimizerEnded(id=done["id"], run_status=done["status"])
        for blob in staged:
            blob.keep()
        given: dict[str, Any] = {
            "summary": plan["summary"],
            "contract": plan["contract"],
            "task_id": setup.task_id,
            "engine": plan["engine"],
            "plan_json": canonical(dict(plan)),
            "plan_sha256": sha256(canonical(dict(plan))),
            "cases_blob": staged[0].sha256,
            "splits_json": json.dumps(dict(setup.splits), ensure_ascii=False),
            "seed": plan["seed"],
            "scorer": setup.scorer.named,
            "scorer_version": setup.scorer.version,
            "max_calls": limits.calls,
            "max_tokens": limits.tokens,
            "max_cost_usd": limits.cost_usd,
            "max_wall_s": limits.wall_s,
            "key_sha256": sha256(call.key) if call.key else None,
            "request_sha256": request_sha256(call) if call.key else None,
            "process": this_process(),
        }
        return Result(id=store.add(OptimizerRun(**given))["id"])

    try:
        return store.perform(dataclasses.replace(call, key=None), work)["id"]
    finally:
        for blob in staged:
            blob.drop()


# --- a run that goes on ---------------------------------------------------------------------------


def reopened(store: Store, run: Row) -> Setup:
    """The setup of a recorded run, made of what it froze. Raises DENIED_OPTIMIZER_CHANGED where its scorer, its engine or a
    frozen file is not what it was."""
    plan = json.loads(run["plan_json"])
    cases = parse(frozen_text(store, run, run["cases_blob"]))
    texts = [frozen_text(store, run, sha) for sha in plan["texts"]]
    prices, said = Prices(**plan["prices"]), plan["scorer"]
    if said["kind"] == CommandScorer.kind:
        scorer: Scorer = CommandScorer(said["command"], store.plane.root, said["timeout"])
    elif said["kind"] == PythonScorer.kind:
        scorer = PythonScorer(said["callable"], store.plane.root)
    else:
        scorer = JudgeScorer(text_model(said["model"]), said["rubric"], plan["seed"], prices)
    answers, reflects = plan["answers"], plan["reflection"]
    return Setup(
        plan=plan,
        cases=cases,
        splits=json.loads(run["splits_json"]),
        texts=texts,
        scorer=scorer,
        answering=Answering(text_model(answers["model"]), answers["limit"], plan["seed"]) if answers else None,
        reflecting=engines.Reflecting(text_model(reflects["model"]), reflects["limit"]) if reflects else None,
        task_id=run["task_id"],
    )


def refuse_changed(run: Row, setup: Setup) -> None:
    """Refuse to go on with another scorer or engine than the run began with."""
    changed = []
    if setup.scorer.version != run["scorer_version"]:
        changed.append("scorer")
    if setup.plan["engine"] == GEPA:
        from .engines.gepa import version

        changed += ["gepa"] if version() != setup.plan["versions"]["gepa"] else []
    if changed:
        raise denial.OptimizerChanged(id=run["id"], changed=changed)


def refuse_over(run: Row) -> None:
    """Refuse a run that has ended for good, or that another process is at work on."""
    if run["status"] in OVER:
        raise denial.OptimizerEnded(id=run["id"], run_status=run["status"])
    if run["status"] == RUNNING and lives(run["process"]):
        raise denial.OptimizerBusy(id=run["id"], process=run["process"].partition(" ")[0])


def frozen_text(store: Store, run: Row, sha: str) -> str:
    """A file that a run froze, unchanged."""
    import hashlib

    try:
        content = (store.plane.blobs / sha).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != sha:
        raise denial.OptimizerChanged(
            "Start another run; what this one froze cannot be had any more.",
            id=run["id"],
            path=store.plane.relative(store.plane.blobs / sha),
        )
    return content.decode("utf-8", "surrogatepass")


def text_model(name: str | None) -> TextModel:
    """The text model of a name, or the configured one. Where its server lists its models, the name has to be among them:
    DENIED_MODEL_UNKNOWN."""
    from .. import backends

    model = backends.opened("text", model=name)
    endpoint = getattr(model, "endpoint", None)
    if endpoint is not None:
        names: set[str] = set()
        with contextlib.suppress(denial.BackendHttp, denial.BackendMalformed, KeyError, TypeError):
            names = {str(entry["id"]) for entry in endpoint.get("/models", quick=True)["data"]}
        if names and not names & {model.model, f"{model.model}:latest"}:
            raise denial.ModelUnknown(model=model.model, models=sorted(names)[:20])
    return model


# --- carrying out ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Carried:
    """One process's work on a run."""

    store: Store
    run: Row
    setup: Setup
    call: Call = field(init=False)
    budget: Budget = field(init=False)
    calls: Calls = field(init=False)
    trials: Trials = field(init=False)
    _kept: tuple[int, Amount] = (-1, Amount())

    def __post_init__(self) -> None:
        setup, run = self.setup, self.run
        # With its key, which stands for the last unit of work: that has the answer.
        self.call = self.store.call
        self.budget = Budget(setup.limits)
        self.calls = Calls(self.store, run["id"], self.budget)
        splits = {name: split for split, names in setup.splits.items() for name in names}
        failed = setup.plan["failed_score"]
        self.calls.keeps_failures = failed is not None
        self.trials = Trials(self.store, self.calls, setup.scorer, splits, setup.prices, setup.answering, failed)

    def carry_out(self) -> Result:
        """Search, compare on held-out cases, record how it ended. Raises the refusal that a run failed with, once that is
        recorded; an interrupt ends with exit code 130."""

        def read() -> Result:
            self.calls.read()
            self.trials.read()
            return Result()

        self.store.perform(self.calls.call, read)
        # Milliseconds of recorded calls are what is known of a process that was killed.
        self.budget = Budget(self.setup.limits, max(self.run["wall_s"], self.calls.known_ms / 1000))
        self.calls.budget = self.budget
        try:
            status, reason = self._searched()
            winner = self.trials.best(self.setup.splits[VALIDATION])
            if winner is not None and winner.number:
                exceeded = self._compared(winner)
                status, reason = ("budget_exceeded", exceeded) if exceeded else (status, reason)
        except KeyboardInterrupt:
            return self._cut_off("interrupted", "Ctrl-C")
        except denial.Denial as refusal:
            with contextlib.suppress(denial.Denial):
                self._cut_off("failed", f"{refusal.code}: {refusal.message}")
            refusal.detail.setdefault("run_id", self.run["id"])
            refusal.detail["resume"] = f"python kaizen.py P12 --resume {self.run['id']}"
            raise
        return self.store.perform(self.call, lambda: self._ended(status, reason, winner))

    def _searched(self) -> tuple[str, str]:
        """Let the engine search; (how the run stands then, why)."""
        setup, plan = self.setup, self.setup.plan
        self.calls.reserve = self._reserve
        with progress.bar(f"optimize {plan['contract']}", setup.limits.calls) as show:
            told = ""

            def say(said: str) -> None:
                nonlocal told
                told = said
                show(self.budget.used.calls, told)

            self.calls.heard = lambda: show(self.budget.used.calls, told)
            task = engines.Task(
                goal=f"{plan['contract']}: {plan['summary']}",
                texts=setup.texts,
                train=setup.of(TRAIN),
                validation=setup.of(VALIDATION),
                trials=self.trials,
                seed=plan["seed"],
                rounds=plan["rounds"],
                batch=plan["batch"],
                perfect=plan["perfect_score"],
                reflecting=setup.reflecting,
                say=say,
            )
            try:
                engines.engine(plan["engine"]).search(task)
            except Exceeded as exceeded:
                return "budget_exceeded", str(exceeded)
            finally:
                self.calls.heard = lambda: None
        return "completed", "the search is over"

    def _reserve(self) -> Amount:
        """What has to stay for the report: the baseline and the winner on every held-out case."""
        longest = self.trials.longest()
        if self._kept[0] != len(longest):
            cases = self.setup.of(HELD_OUT)
            total = Amount()
            for case in cases:
                total += self.trials.worst(case).times(2)
            self._kept = len(longest), total
        total, count = self._kept[1], 2 * len(self.setup.splits[HELD_OUT])
        dearest = self.budget.dearest(SCORE)
        done = self.trials.evaluations
        seconds = self.budget.used.wall_s / done * count if done else 0.0
        return total + Amount(tokens=dearest.tokens * count, cost_usd=dearest.cost_usd * count, wall_s=seconds)

    def _compared(self, winner: Candidate) -> str | None:
        """Try baseline and winner on the held-out cases, pair by pair; why that ended early, where it did."""
        self.calls.reserve = Amount
        cases = self.setup.of(HELD_OUT)
        with progress.bar("held-out cases", len(cases)) as show:
            for number, case in enumerate(cases, 1):
                try:
                    self.trials.evaluate(self.trials.candidates[0], case)
                    self.trials.evaluate(winner, case)
                except Exceeded as exceeded:
                    return str(exceeded)
                show(number)
        return None

    # --- how it ended -----------------------------------------------------------------------------

    def _totals(self) -> dict[str, Any]:
        used = self.budget.used
        return {"calls": used.calls, "tokens": used.tokens, "cost_usd": used.cost_usd, "wall_s": used.wall_s}

    def _cut_off(self, status: str, reason: str) -> Result:
        """Record that the run was cut off, and can go on."""
        changes = {**self._totals(), "status": status, "reason": mask(reason)[0], "process": None}

        def work() -> Result:
            self.calls.write_waiting()
            row = self.store.revise(KIND, self.run["id"], changes)
            resume = f"python kaizen.py P12 --resume {row['id']}"
            return Result(
                finding=True,
                exit_code=130,
                **named(row, len(self.trials.candidates), self.calls.repeated),
                message=f"{status.capitalize()}. To go on: {resume}",
                resume=resume,
            )

        return self.store.perform(self.calls.call, work)

    def _ended(self, status: str, reason: str, winner: Candidate | None) -> Result:
        """Write how the run ended, its candidates' standing, and the proposal: inside the last unit of work."""
        self.calls.write_waiting()
        names = self.setup.splits[VALIDATION]
        baseline = self.trials.candidates[0] if self.trials.candidates else None
        won = winner if winner is not None and winner.number else None
        for candidate in self.trials.candidates:
            mean = self.trials.mean(candidate, names)
            standing = "winner" if candidate is won else "dropped" if mean is None else "tried"
            changes = {"validation_score": mean, "status": standing}
            self.store.revise("optimizer_candidate", candidate.record_id, changes)
        held = self._report(winner)
        if winner is not None and won is None:
            reason += "; nothing did better than the baseline on the validation cases"
        proposal = None if won is None else self._proposal(won, held)
        row = self.store.revise(
            KIND,
            self.run["id"],
            {
                **self._totals(),
                "status": status,
                "reason": reason,
                "process": None,
                "baseline_id": baseline.record_id if baseline else None,
                "winner_id": None if winner is None else winner.record_id,
                "result_json": json.dumps(held, ensure_ascii=False),
                "verdict": held["verdict"],
                "proposal_id": proposal,
            },
        )
        return answer(self.store, row, self.calls.repeated)

    def _report(self, winner: Candidate | None) -> dict[str, Any]:
        """Baseline against winner on the held-out cases alone: what the run is judged by."""
        names = self.setup.splits[HELD_OUT]
        paired = self._pairs(winner)
        compared = compare(paired, self.run["plan_sha256"]) if winner is not None and winner.number else None
        verdict = FEW if winner is None or winner.number else OPEN
        return {
            "verdict": verdict if compared is None else compared.verdict,
            "cases_held_out": len(names),
            "baseline_mean": _mean([pair.baseline for pair in paired.values()]),
            "winner_mean": _mean([pair.candidate for pair in paired.values()]),
            "paired": None if compared is None else compared.values(),
            "cases": {name: {"baseline": pair.baseline, "candidate": pair.candidate} for name, pair in paired.items()},
        }

    def _pairs(self, winner: Candidate | None) -> dict[str, CaseScore]:
        """The held-out cases that both have met."""
        pairs = {}
        if winner is not None and winner.number:
            for name in self.setup.splits[HELD_OUT]:
                pair = CaseScore(self.trials.score(self.trials.candidates[0], name), self.trials.score(winner, name))
                if pair.baseline is not None and pair.candidate is not None:
                    pairs[name] = pair
        return pairs

    def _proposal(self, winner: Candidate, held: Mapping[str, Any]) -> str:
        """Write the winner down as a proposal, which nothing applies; its id."""
        plan, paired = self.setup.plan, held["paired"]
        said = "not compared" if paired is None else f"{paired['mean_difference']:+.4g} on {paired['pairs']} held-out cases"
        payload = {
            "cases": held["cases"],
            "optimizer_run": self.run["id"],
            "candidate": winner.record_id,
            "text_sha256": sha256_of(winner.text),
            "cases_sha256": self.run["cases_blob"],
            "paired": paired,
        }
        words = winner.text.split()
        where = f"The whole text: {self.store.plane.relative(self.store.plane.blobs / sha256_of(winner.text))}."
        text = winner.text if len(words) <= MOST_WORDS else " ".join(words[:MOST_WORDS]) + " ..."
        given: dict[str, Any] = {
            "contract": plan["contract"],
            "title": f"A text from run {self.run['id']}: {held['verdict']}",
            "summary": f"The optimizer's best text, by validation cases. Against the baseline: {held['verdict']}, {said}.",
            "body": f"{text}\n\n{where}",
            "metric": f"scorer {self.setup.scorer.kind}",
            "baseline_score": held["baseline_mean"],
            "candidate_score": held["winner_mean"],
            "payload_json": json.dumps(payload, ensure_ascii=False),
        }
        return self.store.add(ImprovementProposal(**given))["id"]


def named(row: Row, candidates: int, repeated: int) -> dict[str, Any]:
    """What every answer says of a run; `repeated` is how many of its calls earlier processes had paid for."""
    return {
        "id": row["id"],
        "revision_id": row["current_revision_id"],
        "content_hash": row["content_hash"],
        "run_status": row["status"],
        "reason": row["reason"],
        "contract": row["contract"],
        "engine": row["engine"],
        "scorer": row["scorer"],
        "cases": {split: len(names) for split, names in json.loads(row["splits_json"]).items()},
        "candidates": candidates,
        **{name: row[name] for name in ("calls", "tokens", "cost_usd", "wall_s")},
        "calls_repeated": repeated,
    }


def answer(store: Store, run: Row, repeated: int) -> Result:
    """The answer of a run that is over, from its records alone."""
    tried = {row["id"]: row for row in store.list("optimizer_candidate", {"run_id": run["id"]}, order="number")}
    held = json.loads(run["result_json"])
    result = Result(
        **named(run, len(tried), repeated),
        verdict=run["verdict"],
        winner=_shown(store, tried.get(run["winner_id"])),
        baseline=_shown(store, tried.get(run["baseline_id"])),
        held_out={name: value for name, value in held.items() if name not in ("cases", "verdict")},
        proposal_id=run["proposal_id"],
    )
    result.view = lambda width: view(result)
    return result


def _shown(store: Store, candidate: Row | None) -> dict[str, Any] | None:
    if candidate is None:
        return None
    shown = {name: candidate[name] for name in ("id", "number", "origin", "validation_score")}
    return {**shown, "path": store.plane.relative(store.plane.blobs / candidate["text_blob"])}


def sha256_of(text: str) -> str:
    """The name of the blob that keeps a text."""
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return math.fsum(numbers) / len(numbers) if numbers else None


def view(result: Mapping[str, Any]) -> str:
    """The answer for a person: the verdict first, then what it rests on and what it cost."""
    held, paired = result["held_out"], result["held_out"]["paired"]
    lines = [
        f"P12 optimize-run: {result['run_status']}, recorded {result['id']}",
        f"Verdict: {result['verdict']} ({result['reason']})",
    ]
    if paired:
        low, high = paired["interval_95"]
        lines.append(
            f"Held-out cases: baseline {held['baseline_mean']:.4g}, winner {held['winner_mean']:.4g}, difference"
            f" {paired['mean_difference']:+.4g} (95 % {low:.4g} to {high:.4g}); {paired['wins']} won, {paired['losses']} lost,"
            f" {paired['ties']} even, sign test p = {paired['sign_test_p']:.3g}"
        )
    for name in ("baseline", "winner"):
        found = result[name]
        if name == "winner" and found == result["baseline"]:
            # A tie is no win: nothing to name.
            continue
        if found is not None and found["validation_score"] is not None:
            said = f"candidate {found['number']}, {found['validation_score']:.4g} on validation cases"
            lines += [f"{name.capitalize()}: {said}", f"  {found['path']}"]
    sizes = ", ".join(f"{count} {split}" for split, count in result["cases"].items())
    lines.append(f"Cases: {sizes}; candidates tried: {result['candidates']}")
    lines.append(
        f"Cost: {result['calls']} calls ({result['calls_repeated']} of them taken from earlier processes), {result['tokens']} tokens,"
        f" {result['cost_usd']:.4g} US dollars, {result['wall_s']:.4g} seconds"
    )
    if result["proposal_id"]:
        lines.append(f"Proposal {result['proposal_id']}: nothing is applied. Look at it with O7, at the run with P13.")
    return "\n".join(lines)
