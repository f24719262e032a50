"""Optimizer records: runs, the candidates they tried, every paid call, every score."""

from typing import Annotated

from .. import denial
from ..fields import (
    Bytes,
    Count,
    Hash,
    JsonAny,
    JsonList,
    JsonObject,
    Label,
    Link,
    Number,
    Positive,
    RawText,
    Summary,
    TaskRef,
    Vocabulary,
    Word,
)
from ..record import Field, Record

ENGINES = ("candidates", "gepa")
SPLITS = ("train", "validation", "held-out")
# Where a run stands; one that was killed stays running until it is resumed.
RUNNING = "running"
ENDINGS = ("completed", "budget_exceeded", "interrupted", "failed")
VERDICTS = ("better", "worse", "no difference shown", "too few cases")

OptimizerRunRef = Annotated[str, Bytes(1_000), Link("optimizer_run")]
CandidateRef = Annotated[str, Bytes(1_000), Link("optimizer_candidate")]
ProposalRef = Annotated[str, Bytes(1_000), Link("improvement_proposal")]


class OptimizerRun(Record, kind="optimizer_run", table="optimizer_runs", prefix="opt"):
    """A search for a better text: what, on which frozen cases, scored how, within which budget, and what came of it."""

    is_work = False

    summary: Summary = Field(
        missing=denial.SummaryRequired, file=True, search=True, description="What is to be improved, in one or two sentences"
    )
    contract: Label = Field(flagged=False, index=True, search=True, description="The text that is to be improved")
    task_id: TaskRef | None = Field(None, index=True, description="The task it belongs to")
    engine: Annotated[str, Vocabulary(*ENGINES)] = Field(flagged=False, description="What searches")
    plan_json: JsonObject = Field(flagged=False, description="JSON object: everything that decides what the run does")
    plan_sha256: Hash = Field(flagged=False, index=True, description="SHA-256 of the plan's canonical JSON")
    cases_blob: Hash = Field(flagged=False, description="SHA-256 of the cases as JSON lines, kept among the blobs")
    splits_json: JsonObject = Field(flagged=False, description="JSON object: train, validation, held-out -> names of cases")
    seed: Count = Field(flagged=False, description="What splits and search are drawn from")
    scorer: RawText = Field(flagged=False, description="What scores: command, python or judge, and which")
    scorer_version: Hash = Field(flagged=False, description="SHA-256 of what the scorer is made of")
    max_calls: Count | None = Field(None, description="At most so many paid calls")
    max_tokens: Count | None = Field(None, description="At most so many tokens")
    max_cost_usd: Positive | None = Field(None, description="At most such a cost, in US dollars")
    max_wall_s: Positive | None = Field(None, description="At most so many seconds of work")
    calls: Count = Field(0, flagged=False, description="Paid calls so far")
    tokens: Count = Field(0, flagged=False, description="Tokens so far")
    cost_usd: Positive = Field(0.0, flagged=False, description="Cost so far, in US dollars")
    wall_s: Positive = Field(0.0, flagged=False, description="Seconds of work so far")
    baseline_id: RawText | None = Field(None, flagged=False, description="The candidate that everything is compared with")
    winner_id: RawText | None = Field(None, flagged=False, description="The best on validation cases")
    result_json: JsonObject | None = Field(
        None, flagged=False, description="JSON object: held-out cases, baseline against winner"
    )
    verdict: Annotated[str, Vocabulary(*VERDICTS)] | None = Field(None, flagged=False, description="What held-out cases say")
    proposal_id: ProposalRef | None = Field(None, flagged=False, description="The proposal that came of it")
    key_sha256: Hash | None = Field(None, flagged=False, index=True, description="SHA-256 of the --key that it began under")
    request_sha256: Hash | None = Field(None, flagged=False, description="SHA-256 of the call that it began with, under a --key")
    process: RawText | None = Field(None, flagged=False, description="The process that works on it: its id and when it began")
    reason: RawText | None = Field(None, flagged=False, description="Why it ended as it did")
    status: Annotated[str, Vocabulary(RUNNING, *ENDINGS)] = Field(
        RUNNING, flagged=False, index=True, description="Where it stands"
    )


class OptimizerCandidate(Record, kind="optimizer_candidate", table="optimizer_candidates", prefix="oc"):
    """A text that was tried, and where it came from."""

    is_work = False

    run_id: OptimizerRunRef = Field(flagged=False, index=True, description="The run")
    number: Count = Field(flagged=False, description="Its number in the run; 0 is the baseline")
    parents_json: JsonList = Field(flagged=False, description="JSON list of the candidates that it came from")
    origin: Word = Field(flagged=False, description="How it came about: baseline, given, reflection, merge")
    text_blob: Hash = Field(flagged=False, index=True, description="SHA-256 of the text, kept among the blobs")
    text_bytes: Count = Field(flagged=False, description="Its size")
    diff_blob: Hash | None = Field(None, flagged=False, description="SHA-256 of the difference to its first parent")
    validation_score: Number | None = Field(None, flagged=False, description="Mean score on the validation cases")
    status: Annotated[str, Vocabulary("tried", "winner", "dropped")] = Field(
        "tried", flagged=False, description="Where it stands"
    )


class OptimizerScore(Record, kind="optimizer_score", table="optimizer_scores", prefix="os"):
    """What one candidate scored on one case."""

    is_work = False
    scanned = False

    run_id: OptimizerRunRef = Field(flagged=False, index=True, description="The run")
    candidate_id: CandidateRef = Field(flagged=False, index=True, description="The candidate")
    case_name: RawText = Field(flagged=False, description="The case")
    split: Annotated[str, Vocabulary(*SPLITS)] = Field(flagged=False, description="Which cases it is one of")
    score: Number = Field(flagged=False, description="The score; higher is better")
    feedback: RawText | None = Field(None, flagged=False, description="What the scorer said")
    output_sha256: Hash | None = Field(None, flagged=False, description="SHA-256 of what was scored")
    output_blob: Hash | None = Field(None, flagged=False, description="SHA-256 of the file that keeps it, masked")
    scorer_version: Hash = Field(flagged=False, description="SHA-256 of what the scorer is made of")
    cost_usd: Positive = Field(0.0, flagged=False, description="What it cost, in US dollars")
    tokens: Count = Field(0, flagged=False, description="Tokens used")
    duration_ms: Count = Field(0, flagged=False, description="How long it took, in milliseconds")
    replay_of: Annotated[str, Bytes(1_000), Link("optimizer_score")] | None = Field(
        None, flagged=False, index=True, description="The score that it repeats"
    )


class OptimizerCall(Record, kind="optimizer_call", table="optimizer_calls", prefix="ocl"):
    """A paid call of a run, with its answer: a run that goes on takes the answer from here and does not pay again."""

    is_work = False
    scanned = False

    run_id: OptimizerRunRef = Field(flagged=False, index=True, description="The run")
    number: Count = Field(flagged=False, description="Its number in the run, from 1")
    purpose: Word = Field(flagged=False, description="What it was for: answer, reflection, judge, score")
    request_sha256: Hash = Field(flagged=False, index=True, description="SHA-256 of the request and its turn, as canonical JSON")
    answer_json: JsonAny = Field(flagged=False, description="What came back, with secrets masked")
    model: Label | None = Field(None, flagged=False, description="The model")
    tokens: Count = Field(0, flagged=False, description="Tokens used")
    cost_usd: Positive = Field(0.0, flagged=False, description="What it cost, in US dollars")
    duration_ms: Count = Field(0, flagged=False, description="How long it took, in milliseconds")
