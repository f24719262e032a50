"""Optimizer: the search for a better text, as evidence: run, shown, listed, replayed. Nothing is applied by itself."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from .. import denial
from ..call import Call
from ..fields import Bytes, Count, Label, Number, Positive, Range, RawText, RepoPath, Summary, TaskRef, Vocabulary
from ..op import Result, op
from ..optimize.records import ENGINES, SPLITS, OptimizerRun
from ..record import Field, Input, kinds_in, refuse_secrets
from ..store import Row, Store
from . import lifecycle
from .lifecycle import Listing, Target, listing
from .quality import Category

LISTED = ("id", "contract", "engine", "status", "verdict", "calls", "tokens", "cost_usd", "reason", "created_at")
EXAMPLE = "--id opt_20260101000000_0123456789"
# Bytes of a file with cases, and of a text.
Cases = Annotated[str, Bytes(16_000_000)]
Improvable = Annotated[str, Bytes(1_000_000)]
Share = Annotated[float, Range(0, 0.9)]
Tokens = Annotated[int, Range(1, 1_000_000)]


class Inspection(Target):
    """A run, and whether a page of it is written."""

    format: Annotated[str, Vocabulary("html")] | None = Field(None, description="html: write a page with charts as well")
    out: RepoPath | None = Field(None, description="A new file in the project for that page; default: below the reports")


class Optimization(Input):
    """What is to be improved, on which cases, scored how, searched how, within which budget."""

    contract: Label | None = Field(None, description="What is to be improved, by name  [required]")
    summary: Summary | None = Field(None, file=True, description="What a better text would do, in one or two sentences")
    body: Improvable | None = Field(None, file=True, description="The text to improve: the baseline  [required]")
    cases: Cases | None = Field(
        None, file=True, description='Cases: a JSON object a line with "name", "input", "expected" and what else the scorer reads'
    )
    category: Category | None = Field(None, description="The open eval cases of this category, in place of --cases")
    scorer: RawText | None = Field(None, description="What scores: module:function of the project")
    rubric: RawText | None = Field(None, file=True, description="What scores: the text model judges by this rubric")
    timeout: Annotated[float, Range(0.1, 86_400)] = Field(60.0, description="Seconds that a scorer command may take")
    failed_score: Number | None = Field(None, description="Score of a case that the scorer fails on; without it, the run stops")
    engine: Annotated[str, Vocabulary(*ENGINES)] | None = Field(
        None, description="What searches; default: candidates where some are given, else gepa"
    )
    candidate: list[Improvable] | None = Field(None, description="A text to compare with the baseline; can be repeated")
    candidate_file: list[RepoPath] | None = Field(None, description="A file with such a text; can be repeated")
    seed: Annotated[int, Range(0, 2**31 - 1)] = Field(0, description="What splits and search are drawn from")
    train_share: Share | None = Field(None, description="Share of the cases that gepa learns from; default 0.4")
    validation_share: Share | None = Field(
        None, description="Share of the cases that the winner is chosen by; default 0.3, of candidates 0.5; the rest is held out"
    )
    rounds: Annotated[int, Range(1, 10_000)] = Field(10, description="At most so many rounds of gepa")
    batch: Annotated[int, Range(1, 1_000)] = Field(3, description="Cases that gepa looks at in a round")
    perfect_score: Number | None = Field(None, description="A score that none beats: what has it needs no round; of a judge, 1")
    answers: Annotated[str, Vocabulary("model", "none")] | None = Field(
        None,
        description="Whether the text model answers the cases with the text as its instructions, and the answer is scored, or the"
        " text itself is; default: model where one is configured",
    )
    model: Label | None = Field(None, description="The model that answers, in place of the configured one")
    answer_tokens: Tokens = Field(1_024, description="At most so many tokens an answer")
    reflection_model: Label | None = Field(None, description="The model that writes better texts, in place of the configured one")
    reflection_tokens: Tokens = Field(4_096, description="At most so many tokens a new text")
    judge_model: Label | None = Field(None, description="The model that judges, in place of the configured one")
    max_calls: Count | None = Field(None, description="At most so many calls of models and scorers")
    max_tokens: Count | None = Field(None, description="At most so many tokens")
    max_cost_usd: Positive | None = Field(None, description="At most such a cost, in US dollars; needs the prices")
    max_wall_s: Positive | None = Field(None, description="At most so many seconds")
    input_price: Positive | None = Field(None, description="US dollars per million tokens that a model reads")
    output_price: Positive | None = Field(None, description="US dollars per million tokens that a model writes")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    resume: RawText | None = Field(None, description="Id of a run that was cut off: go on with it; needs no other flag")


@op(
    "P12",
    "optimize-run",
    writes=True,
    manages_store=True,
    keywords="optimizer improve prompt skill instructions search better gepa candidates held-out budget resume",
    example='--contract greeting --body "Say hello." --candidate "Please say hello." --cases \'[{"name": "a", "input": "x"},'
    ' {"name": "b", "input": "y"}]\' -- awk \'{print gsub(/lease/, "")}\'',
)
def optimize_run(wanted: Optimization, store: Store, command: list[str]) -> Result:
    """Search for a better text over a frozen set of cases, and say by held-out cases whether it is better.

    The cases are split by the seed: train and validation cases are for the search, held-out cases for the report alone.
    What scores is a command behind -- (JSON with candidate, case and output on stdin; a number or {"score", "feedback"} on
    stdout), a Python callable, or the text model by a rubric; a higher score is a better one. A limit is looked at before each
    call, and what the report needs is kept back. Every call is recorded before its answer is used, so a run that was
    interrupted or killed goes on with --resume and pays at most once more for the call that was under way. The winner
    becomes a proposal (O7) when it is not the baseline; nothing is applied. A tie is no win.
    """
    if wanted.resume is not None:
        return _resumed(wanted, command, store)
    from ..optimize import runs

    call = store.call
    texts = _texts(wanted)
    _refuse_contradictions(wanted, command, len(texts))
    found: list[Row] = []
    first = store.perform(call, lambda: _looked_up(wanted, store, found))
    if first.get("replayed"):
        return first
    setup = _setup(wanted, command, texts, found, store)
    runs.refuse_small_budget(setup)
    run = store.perform(_keyless(store), lambda: _unfinished(store, setup))["id"]
    if run is not None:
        store.warnings.append(f"{run} has the same plan and was cut off: P12 --resume {run} goes on without paying twice.")
    return _carried_out(store, call, runs.begun(store, setup, call), setup)


def _keyless(store: Store) -> Call:
    """The call without its key, which stands for the unit that holds the answer."""
    return dataclasses.replace(store.call, key=None)


def _carried_out(store: Store, call: Call, run_id: str, setup: Any) -> Result:
    """Work on a run until it ends or is cut off; many small units of work, so the plane stays open for a moment between them."""
    from ..optimize import runs
    from ..store.staying import StayingStore

    staying = StayingStore(store.plane)
    staying.warnings, staying.call = store.warnings, call
    found: list[Row] = []

    def read() -> Result:
        found.append(staying.get(runs.KIND, run_id))
        return Result()

    try:
        staying.perform(_keyless(staying), read)
        staying.call = call
        return runs.Carried(staying, found[0], setup).carry_out()
    finally:
        staying.leave()


def _unfinished(store: Store, setup: Any) -> Result:
    from ..optimize import runs

    return Result(id=runs.unfinished(store, setup.plan))


def _looked_up(wanted: Optimization, store: Store, found: list[Row]) -> Result:
    """What the run would be refused for later; the eval cases, where those are meant."""
    from ..optimize import runs

    store.refuse_early()
    if run := runs.of_key(store, store.call):
        # It ended under another call's key, or none.
        answer = runs.answer(store, run, 0)
        answer["replayed"] = True
        return answer
    if wanted.task_id is not None:
        store.check_link(wanted.task_id, "task", "task_id")
    if wanted.category is not None:
        from ..lab import caseset

        found.extend(caseset.eval_cases(store, category=wanted.category))
    return Result()


# --- what is meant --------------------------------------------------------------------------------


def _texts(wanted: Optimization) -> list[str]:
    """The baseline and the candidates, each once."""
    if wanted.contract is None:
        raise denial.ContractRequired(field="contract")
    if wanted.body is None:
        raise denial.TextRequired(field="body")
    texts = [wanted.body, *(wanted.candidate or ())]
    for name in wanted.candidate_file or ():
        text = _read(name)
        refuse_secrets(Optimization, {"candidate_file": text})
        texts.append(text)
    return list(dict.fromkeys(texts))


def _read(name: str) -> str:
    """The text of a candidate's file."""
    try:
        text = Path(name).read_bytes().decode("utf-8-sig")
    except OSError as fault:
        raise denial.FileNotFound(field="candidate_file", path=name, reason=fault.strerror or str(fault)) from None
    except UnicodeDecodeError as fault:
        raise denial.FileNotUtf8(field="candidate_file", path=name, reason=str(fault)) from None
    if not text.strip():
        raise denial.CandidateRequired("Put the text into the file.", message="The candidate's file is empty.", path=name)
    return text


def _engine(wanted: Optimization) -> str:
    given = wanted.candidate or wanted.candidate_file
    return wanted.engine or ("candidates" if given else "gepa")


def _refuse_contradictions(wanted: Optimization, command: Sequence[str], texts: int) -> None:
    """Refuse what does not go together, before anything is read or opened."""
    engine = _engine(wanted)
    if wanted.cases is None and wanted.category is None:
        raise denial.CasesRequired(field="cases")
    if wanted.cases is not None and wanted.category is not None:
        raise denial.FlagConflict("Pass --cases or --category.", flag="--category")
    scorers = [bool(command), wanted.scorer is not None, wanted.rubric is not None]
    if not any(scorers):
        raise denial.ScorerRequired(field="scorer")
    if sum(scorers) > 1:
        raise denial.FlagConflict("Pass one scorer: a command behind --, --scorer or --rubric.", flag="--scorer")
    if found := kinds_in(" ".join(command), personal=False):
        raise denial.Redaction(field="command", fields={"command": found})
    if engine == "candidates" and texts < 2:
        raise denial.CandidateRequired("Pass --candidate-file PATH with a text that is not the baseline.", field="candidate_file")
    if engine == "candidates" and wanted.train_share:
        raise denial.FlagConflict("Leave --train-share out: candidates learns from no case.", flag="--train-share")
    if engine == "gepa" and texts > 1:
        raise denial.FlagConflict("Leave the candidates out, or use --engine candidates.", flag="--candidate")
    train, validation = _shares(wanted)
    if validation <= 0 or train + validation >= 1 or (engine == "gepa" and train <= 0):
        raise denial.SchemaRange(
            "Leave something for every split: 0.4 and 0.3 leave 0.3 held out.", field="validation_share", value=str(validation)
        )


def _shares(wanted: Optimization) -> tuple[float, float]:
    """Shares of train and validation cases."""
    learns = _engine(wanted) == "gepa"
    train = wanted.train_share if wanted.train_share is not None else 0.4 if learns else 0.0
    validation = wanted.validation_share if wanted.validation_share is not None else 0.3 if learns else 0.5
    return train, validation


def _setup(wanted: Optimization, command: list[str], texts: list[str], rows: list[Row], store: Store) -> Any:
    """Everything that the run needs, made ready, and its plan. Models and packages are looked for here, before anything is
    written."""
    from .. import backends
    from ..hashing import sha256
    from ..lab.comparison import LEAST_PAIRS
    from ..optimize import cases, engines, runs, scorers, trials
    from ..optimize.budget import Prices

    if wanted.category is not None and not rows:
        raise denial.NoEvalCases()
    found = cases.of_records(rows) if wanted.cases is None else cases.parse(wanted.cases)
    shares = _shares(wanted)
    splits = cases.split(found, wanted.seed, *shares)
    if len(splits[cases.HELD_OUT]) < LEAST_PAIRS:
        store.warnings.append(
            f"{len(splits[cases.HELD_OUT])} cases are held out; a verdict needs {LEAST_PAIRS} that differ, so it will be open."
        )
    engine = _engine(wanted)
    versions = {}
    if engine == runs.GEPA:
        from ..optimize.engines.gepa import version

        versions = {"gepa": version()}
    answers = wanted.answers or ("model" if wanted.model or backends.configured("text") else "none")
    answering = trials.Answering(runs.text_model(wanted.model), wanted.answer_tokens, wanted.seed) if answers == "model" else None
    reflecting = (
        engines.Reflecting(runs.text_model(wanted.reflection_model), wanted.reflection_tokens) if engine == runs.GEPA else None
    )
    prices = Prices(wanted.input_price or 0.0, wanted.output_price or 0.0)
    scorer: scorers.Scorer
    if command:
        scorer = scorers.CommandScorer(command, store.plane.root, wanted.timeout)
    elif wanted.scorer is not None:
        scorer = scorers.PythonScorer(wanted.scorer, store.plane.root)
    else:
        scorer = scorers.JudgeScorer(runs.text_model(wanted.judge_model), wanted.rubric or "", wanted.seed, prices)
    asks = answering is not None or reflecting is not None or scorer.kind == "judge"
    if wanted.max_cost_usd is not None and asks and wanted.input_price is None and wanted.output_price is None:
        raise denial.FlagConflict(
            "Pass --input-price and --output-price, in US dollars per million tokens.",
            message="A limit on money needs prices.",
            flag="--max-cost-usd",
        )
    perfect = wanted.perfect_score if wanted.perfect_score is not None else scorer.perfect
    plan = {
        "contract": wanted.contract,
        "summary": wanted.summary or f"A better text for {wanted.contract}.",
        "engine": engine,
        "versions": versions,
        "seed": wanted.seed,
        "shares": {"train": shares[0], "validation": shares[1]},
        "cases": sha256(cases.frozen(found).decode()),
        "texts": [runs.sha256_of(text) for text in texts],
        "scorer": {**scorer.values(), "version": scorer.version},
        "failed_score": wanted.failed_score,
        "perfect_score": perfect,
        "rounds": wanted.rounds,
        "batch": wanted.batch,
        "answers": answering and {"model": answering.model.model, "provider": answering.model.provider, "limit": answering.limit},
        "reflection": reflecting
        and {"model": reflecting.model.model, "provider": reflecting.model.provider, "limit": reflecting.limit},
        "prices": {"input": prices.input, "output": prices.output},
        "limits": {
            "calls": wanted.max_calls,
            "tokens": wanted.max_tokens,
            "cost_usd": wanted.max_cost_usd,
            "wall_s": wanted.max_wall_s,
        },
    }
    return runs.Setup(plan, found, splits, texts, scorer, answering, reflecting, wanted.task_id)


# --- going on -------------------------------------------------------------------------------------


def _resumed(wanted: Optimization, command: Sequence[str], store: Store) -> Result:
    """Go on with a run that was cut off, by what it froze."""
    from ..agent.runs import this_process
    from ..optimize import runs

    given = [spec.flag for spec in wanted.specs if spec.key != "resume" and getattr(wanted, spec.name) != spec.default]
    if given or command:
        raise denial.FlagConflict(
            "Pass --resume alone: the run goes on with what it began with.", flag=given[0] if given else "-- COMMAND"
        )
    run_id, found = str(wanted.resume), []

    def read() -> Result:
        store.refuse_early()
        # The key of the call that began a run stays that call's.
        runs.of_key(store, call)
        found.append(store.get(runs.KIND, run_id))
        runs.refuse_over(found[0])
        return Result()

    call = store.call
    first = store.perform(call, read)
    if first.get("replayed"):
        return first
    setup = runs.reopened(store, found[0])
    runs.refuse_changed(found[0], setup)

    def take_over() -> Result:
        # Meanwhile another process may have been faster.
        runs.refuse_over(store.get(runs.KIND, run_id))
        changes = {"status": "running", "process": this_process(), "reason": None}
        return Result(id=store.revise(runs.KIND, run_id, changes)["id"])

    store.perform(_keyless(store), take_over)
    return _carried_out(store, call, run_id, setup)


# --- looking --------------------------------------------------------------------------------------


@op(
    "P13",
    "optimize-inspect",
    keywords="optimizer run tree candidates blame lines gain cost lineage show",
    example=EXAMPLE,
)
def optimize_inspect(wanted: Inspection, store: Store) -> Result:
    """Show a run: the tree of its candidates, which step brought which line of the winner, and what it cost.

    A node has the mean score of each split; a line of the winner, the candidate that brought it and what that step gained on the
    validation cases. A run whose process is gone is shown as cut off.
    """
    from ..optimize import lineage

    if wanted.format or wanted.out:
        from ..reports import page

        page.refuse(wanted.format, wanted.out)
    found = lineage.read(store, wanted.id)
    store.release()
    result = Result(**found.values())
    if wanted.format:
        from ..optimize import pages
        from ..reports import page

        result["report"] = page.save(store.plane, "optimize-inspect", wanted.out, pages.of_run(found))
    result.view = lambda width: lineage.view(found) + (f"\n\nReport: {result['report']['path']}" if wanted.format else "")
    return result


@op(
    "P14",
    "optimize-list",
    input=listing(OptimizerRun, query=False, filters=("contract", "engine", "verdict")),
    keywords="optimizer runs show search verdict",
    example="--engine gepa",
)
def optimize_list(window: Listing, store: Store) -> Result:
    """List optimizer runs, newest first, or those that --query finds; one whose process is gone stands as cut off."""
    from ..optimize.lineage import standing

    result = lifecycle.queried(OptimizerRun, (*LISTED, "process"), window, store)
    for record in result["records"]:
        record["stands"] = standing(record)
        del record["process"]
    return result


# --- replaying ------------------------------------------------------------------------------------


class Replaying(Input):
    """Which scores are made again, and within which budget."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the run")
    candidate_id: RawText | None = Field(None, description="Only this candidate; default: the winner and the baseline")
    split: Annotated[str, Vocabulary(*SPLITS)] | None = Field(
        None, description="Only cases of this split; default: the held-out cases, or the validation cases where none was scored"
    )
    limit: int | None = Field(None, description="At most so many scores; 0 and negative are no limit")
    tolerance: Positive = Field(0.0, description="Difference up to which a score still holds")
    max_calls: Count | None = Field(None, description="At most so many calls of models and scorers")
    max_tokens: Count | None = Field(None, description="At most so many tokens")
    max_cost_usd: Positive | None = Field(None, description="At most such a cost, in US dollars")
    max_wall_s: Positive | None = Field(None, description="At most so many seconds")


@op(
    "P15",
    "optimize-replay",
    writes=True,
    manages_store=True,
    keywords="optimizer repeat scores again verify hold reproduce",
    example=f"{EXAMPLE} --limit 10",
)
def optimize_replay(wanted: Replaying, store: Store) -> Result:
    """Make scores of a run again, with fresh calls, and say which still hold. Exit code 1 where one differs.

    The candidate and the case are those that the run froze; the scorer is the one that is there now, and the answer says whether
    it has changed. Each score is recorded beside the one that it repeats.
    """
    from .. import progress
    from ..agent.runs import lives
    from ..optimize import replay, runs
    from ..optimize.budget import Limits
    from ..store.staying import StayingStore

    run: Row = {}
    rows: list[Row] = []
    candidates: dict[str, Row] = {}

    def read() -> Result:
        store.refuse_early()
        run.update(store.get(runs.KIND, wanted.id))
        if run["status"] == "running" and lives(run["process"]):
            raise denial.OptimizerBusy(id=wanted.id, process=run["process"].partition(" ")[0])
        every = store.list("optimizer_candidate", {"run_id": wanted.id}, order="number")
        chosen = {run["winner_id"], run["baseline_id"]} - {None} or {row["id"] for row in every}
        if wanted.candidate_id is not None:
            chosen = {store.get("optimizer_candidate", wanted.candidate_id)["id"]}
        candidates.update({row["id"]: row for row in every if row["id"] in chosen})
        limit = wanted.limit if wanted.limit and wanted.limit > 0 else None
        rows.extend(replay.scores(store, run, candidates=list(candidates), split=wanted.split, limit=limit))
        return Result()

    call = store.call
    first = store.perform(call, read)
    if first.get("replayed"):
        return first
    setup = runs.reopened(store, run)
    limits = Limits(wanted.max_calls, wanted.max_tokens, wanted.max_cost_usd, wanted.max_wall_s)
    staying = StayingStore(store.plane)
    staying.call = call
    try:
        with progress.bar("replay", len(rows)) as show:
            done = replay.replay(staying, run, setup, rows, candidates, limits, wanted.tolerance, show)
    finally:
        staying.leave()
    return store.perform(call, lambda: _replayed(store, run, setup, rows, done))


def _replayed(store: Store, run: Row, setup: Any, rows: list[Row], done: Any) -> Result:
    differ = [entry for entry in done.repeated if not entry.holds]
    result = Result(
        finding=bool(differ),
        run_id=run["id"],
        scores=len(done.repeated),
        hold=len(done.repeated) - len(differ),
        differ=len(differ),
        left=len(rows) - len(done.repeated),
        reason=done.reason,
        scorer_changed=setup.scorer.version != run["scorer_version"],
        calls=done.used.calls,
        tokens=done.used.tokens,
        cost_usd=done.used.cost_usd,
        repeated=[entry.values() for entry in done.repeated],
    )
    result.view = lambda width: _replay_view(result)
    return result


def _replay_view(result: Result) -> str:
    """The answer for a person: how many hold, then each that does not."""
    lines = [f"P15 optimize-replay: {result['hold']} of {result['scores']} scores hold"]
    lines += [f"Ended early: {result['reason']}; {result['left']} scores were not made again."] if result["reason"] else []
    lines += ["The scorer has changed since the run."] if result["scorer_changed"] else []
    for entry in result["repeated"]:
        if not entry["holds"]:
            lines.append(f"  candidate {entry['candidate']}, {entry['case']}: {entry['before']:.6g} -> {entry['now']:.6g}")
    lines.append(f"Cost: {result['calls']} calls, {result['tokens']} tokens, {result['cost_usd']:.4g} US dollars")
    return "\n".join(lines)
