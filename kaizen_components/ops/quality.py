"""Quality: proofs and verifications, eval cases and runs, anti-patterns."""

from typing import Any

from .. import denial
from ..fields import (
    Body,
    Count,
    EvalCaseRef,
    JsonList,
    JsonOrText,
    ProofRef,
    RawText,
    RefList,
    RepoPath,
    Scope,
    Status,
    Summary,
    TaskRef,
    Text,
    Title,
    Vocabulary,
    Word,
)
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Annotated, Listing, Retirement, listing, revision

CONCLUSIONS = (
    "VERIFIED_ACCEPTABLE",
    "ACCEPTABLE_WITH_CONCERNS",
    "NEEDS_HUMAN_DECISION",
    "STRUCTURAL_REWORK_RECOMMENDED",
    "VERIFICATION_FAILED",
    "PROOF_RECORDED",
)
CATEGORIES = (
    "behavior",
    "should_trigger",
    "should_not_trigger",
    "routing",
    "grounding",
    "proof",
    "security",
    "freshness",
    "learning_regression",
)
Conclusion = Annotated[str, Vocabulary(*CONCLUSIONS)]
Category = Annotated[str, Vocabulary(*CATEGORIES)]

VERDICTS = (
    "id",
    "conclusion",
    "basis",
    "summary",
    "severity",
    "scope_label",
    "actionability",
    "task_id",
    "proof_id",
    "status",
    "created_at",
)
CASES = ("id", "title", "summary", "category", "scope", "status", "created_at")
RUNS = ("id", "summary", "eval_case_id", "status", "created_at")
PATTERNS = ("id", "title", "summary", "scope", "status", "created_at")
EXAMPLE = "--id qv_20260101000000_0123456789"


class Verification(Record, kind="verification", table="verification_events", prefix="qv"):
    """A proof or a verdict: what was looked at and what follows from it."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    title: Title | None = Field(None, search=True, description="Short title")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    proof_id: ProofRef | None = Field(None, index=True, description="The proof it rests on")
    conclusion: Conclusion | None = Field(None, index=True, description="The verdict")
    severity: Word | None = Field(None, description="How bad, at most 10 words")
    scope_label: Word | None = Field(None, description="What it covers, at most 10 words")
    actionability: Word | None = Field(None, description="What can be done, at most 10 words")
    evidence_json: JsonList | None = Field(None, key="evidence", file=True, search=True, description="JSON list: what was seen")
    findings_json: JsonList | None = Field(None, key="findings", file=True, search=True, description="JSON list: what follows")
    remedies_json: JsonList | None = Field(None, key="remedies", file=True, search=True, description="JSON list: what to do")
    artifact_ids_json: RefList | None = Field(None, key="artifact_ids", file=True, description="JSON list of artifact ids")
    basis: str = Field("asserted", flagged=False, description="asserted by its writer, or observed by Kaizen running the command")
    event_type: str = Field("verification", flagged=False, description="proof or verification")
    observation_json: str | None = Field(None, flagged=False, search=True, description="JSON object: everything observed")
    exit_code: int | None = Field(None, flagged=False, description="The command's exit code, where observed")
    duration_ms: Count | None = Field(None, flagged=False, description="How long the command ran, where observed")


class EvalCase(Record, kind="eval_case", table="eval_cases", prefix="qe"):
    """A case that an agent, a skill or a prompt must pass."""

    title: Title = Field(missing=denial.TitleRequired, search=True, description="Short title")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="The case, up to 1000 words")
    category: Category = Field("behavior", description="What the case tests")
    scope: Scope = Field("project", description="Where it holds: project, global, skill, session")
    status: Status = Field("active", description="Where it stands")
    fixture_path: RepoPath | None = Field(None, key="path", description="A fixture file, not looked at")
    expected_json: JsonOrText | None = Field(
        None, file=True, search=True, description="What is expected, JSON or any text, kept exactly as given"
    )


class EvalRun(Record, kind="eval_run", table="eval_runs", prefix="qr"):
    """One run of an eval case."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    eval_case_id: EvalCaseRef | None = Field(None, index=True, description="The case that was run")
    status: Status = Field("recorded", description="How it ended: passed, failed, recorded ...")
    artifact_ids_json: RefList | None = Field(None, key="artifact_ids", file=True, description="JSON list of artifact ids")


class AntiPattern(Record, kind="anti_pattern", table="anti_patterns", prefix="ap"):
    """A pattern to avoid: how it shows, what it harms, what to do instead."""

    missing = denial.RequiredFields

    title: Title = Field(search=True, description="Short title")
    symptom: Text = Field(search=True, description="How it shows")
    maintainability_harm: Text = Field(search=True, description="What it harms")
    trigger_evidence: Text = Field(search=True, description="What tells that it is there")
    preferred_correction: Text = Field(search=True, description="What to do instead")
    valid_exceptions: Text = Field(search=True, description="When it is right all the same")
    verification: Text = Field(search=True, description="How to check the correction")
    summary: Summary = Field(file=True, search=True, description="One or two sentences")
    scope: Scope = Field("project", description="Where it holds: project, global, skill, session")
    status: Status = Field("active", description="Where it stands")


# --- proofs and verifications ---------------------------------------------------------------------


@op(
    "Q1",
    "proof-add",
    writes=True,
    keywords="evidence assert tested claim",
    example='--summary "The suite passed on the branch." --evidence \'["412 passed"]\'',
)
def proof_add(proof: Verification, store: Store) -> Result:
    """Record a proof that its writer asserts; Q11 makes one that Kaizen observes."""
    proof.event_type = "proof"
    proof.conclusion = proof.conclusion or "PROOF_RECORDED"
    return lifecycle.written(store.add(proof), basis=proof.basis, conclusion=proof.conclusion)


@op(
    "Q2",
    "verification-add",
    writes=True,
    keywords="verdict review approve reject check go no-go",
    example='--conclusion VERIFIED_ACCEPTABLE --summary "The fix holds."',
)
def verification_add(verdict: Verification, store: Store) -> Result:
    """Record a verification verdict."""
    verdict.conclusion = verdict.conclusion or "NEEDS_HUMAN_DECISION"
    return lifecycle.written(store.add(verdict), basis=verdict.basis, conclusion=verdict.conclusion)


class VerdictListing(listing(Verification, query=False, filters=("conclusion", "severity", "basis", "event_type", "proof_id"))):
    """Verdicts, by their filters."""


@op(
    "Q9",
    "verify-query",
    keywords="verdicts proofs blocking failed list observed asserted",
    example="--conclusion VERIFICATION_FAILED",
)
def verify_query(window: VerdictListing, store: Store) -> Result:
    """List proofs and verdicts, newest first, or those that --query finds; `basis` says observed or asserted."""
    return lifecycle.queried(Verification, VERDICTS, window, store)


@op(
    "Q12",
    "verification-update",
    writes=True,
    input=revision(Verification),
    keywords="verdict proof revise resolve correct",
    example=f"{EXAMPLE} --status resolved",
)
def verification_update(change: Input, store: Store) -> Result:
    """Revise a verdict or an asserted proof; of an observed one only status, title and links may change."""
    before = store.get("verification", _id(change))
    changes = lifecycle.changes_of(Verification, change)
    fixed = sorted(set(changes) - {"status", "title", "task_id", "severity", "scope_label", "actionability", "writer_role"})
    if before["basis"] == "observed" and fixed:
        raise denial.ObservedFixed(id=before["id"], fields=fixed)
    return lifecycle.revised(Verification, change, store)


@op(
    "Q13",
    "verification-retire",
    writes=True,
    keywords="verdict proof withdraw",
    example=f'{EXAMPLE} --reason "It tested the wrong branch."',
)
def verification_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a proof or verdict, with the reason."""
    return lifecycle.retired(("verification",), retirement, store)


# --- evals ----------------------------------------------------------------------------------------


@op(
    "Q3",
    "eval-case-add",
    writes=True,
    keywords="test case expected eval",
    example='--title "Refuses secrets" --summary "A key in the text is refused." --category security',
)
def eval_case_add(case: EvalCase, store: Store) -> Result:
    """Add an eval case."""
    return lifecycle.written(store.add(case))


@op(
    "Q4",
    "eval-run-add",
    writes=True,
    keywords="eval run result score",
    example='--summary "Passed with the new prompt." --status passed',
)
def eval_run_add(run: EvalRun, store: Store) -> Result:
    """Record an eval run."""
    return lifecycle.written(store.add(run))


@op(
    "Q14",
    "eval-case-list",
    input=listing(EvalCase, query=False, filters=("category",)),
    keywords="eval cases show search",
    example="--category security",
)
def eval_case_list(window: Listing, store: Store) -> Result:
    """List eval cases, newest first, or those that --query finds."""
    return lifecycle.queried(EvalCase, CASES, window, store)


@op(
    "Q15",
    "eval-run-list",
    input=listing(EvalRun, query=False, filters=("eval_case_id",)),
    keywords="eval runs show search",
    example="--limit 5",
)
def eval_run_list(window: Listing, store: Store) -> Result:
    """List eval runs, newest first, or those that --query finds."""
    return lifecycle.queried(EvalRun, RUNS, window, store)


@op(
    "Q16",
    "eval-case-update",
    writes=True,
    input=revision(EvalCase),
    keywords="eval case revise",
    example="--id qe_20260101000000_0123456789 --status superseded",
)
def eval_case_update(change: Input, store: Store) -> Result:
    """Revise an eval case."""
    return lifecycle.revised(EvalCase, change, store)


@op(
    "Q17",
    "eval-run-update",
    writes=True,
    input=revision(EvalRun),
    keywords="eval run revise",
    example="--id qr_20260101000000_0123456789 --status failed",
)
def eval_run_update(change: Input, store: Store) -> Result:
    """Revise an eval run."""
    return lifecycle.revised(EvalRun, change, store)


@op(
    "Q18",
    "eval-retire",
    writes=True,
    keywords="eval case run withdraw",
    example='--id qe_20260101000000_0123456789 --reason "No longer possible."',
)
def eval_retire(retirement: Retirement, store: Store) -> Result:
    """Retire an eval case or run, with the reason."""
    return lifecycle.retired(("eval_case", "eval_run"), retirement, store)


# --- anti-patterns --------------------------------------------------------------------------------


@op(
    "Q5",
    "anti-pattern-add",
    writes=True,
    keywords="smell avoid pattern design",
    example='--title "God module" --symptom "One file has 4000 lines." --maintainability-harm "Every change touches it." --trigger-evidence "wc -l" --preferred-correction "Split by noun." --valid-exceptions "Generated code." --verification "wc -l again" --summary "One module does everything."',
)
def anti_pattern_add(pattern: AntiPattern, store: Store) -> Result:
    """Add an anti-pattern."""
    return lifecycle.written(store.add(pattern))


@op("Q6", "anti-pattern-query", input=listing(AntiPattern, query=True), keywords="smells search find", example='--query "module"')
def anti_pattern_query(window: Listing, store: Store) -> Result:
    """Search anti-patterns."""
    return lifecycle.queried(AntiPattern, PATTERNS, window, store)


@op("Q19", "anti-pattern-list", input=listing(AntiPattern), keywords="smells show", example="--limit 5")
def anti_pattern_list(window: Listing, store: Store) -> Result:
    """List anti-patterns, newest first."""
    return lifecycle.listed(AntiPattern, PATTERNS, window, store)


@op(
    "Q20",
    "anti-pattern-update",
    writes=True,
    input=revision(AntiPattern),
    keywords="smell revise",
    example="--id ap_20260101000000_0123456789 --status superseded",
)
def anti_pattern_update(change: Input, store: Store) -> Result:
    """Revise an anti-pattern."""
    return lifecycle.revised(AntiPattern, change, store)


@op(
    "Q21",
    "anti-pattern-retire",
    writes=True,
    keywords="smell withdraw",
    example='--id ap_20260101000000_0123456789 --reason "It turned out well."',
)
def anti_pattern_retire(retirement: Retirement, store: Store) -> Result:
    """Retire an anti-pattern, with the reason."""
    return lifecycle.retired(("anti_pattern",), retirement, store)


# --- reading any of them --------------------------------------------------------------------------

KINDS = {"verifier": "verification", "eval-run": "eval_run", "eval-case": "eval_case", "anti-pattern": "anti_pattern"}


class QualityTarget(Input):
    """A quality record, by id; its kind follows from the id."""

    scanned = False
    id: RawText = Field(missing=denial.IdRequired, description="Id of the record")
    kind: RawText | None = Field(
        None, description="verifier, eval-run, eval-case, anti-pattern; anything else: artifact. Default: what the id says"
    )


@op("Q7", "quality-inspect", keywords="proof verdict eval anti-pattern show read", example=EXAMPLE)
def quality_inspect(target: QualityTarget, store: Store) -> Result:
    """Show one proof, verdict, eval case, eval run, anti-pattern or artifact in full."""
    kind = KINDS.get(target.kind, "artifact") if target.kind else store.kind_of(target.id)
    if kind not in (*KINDS.values(), "artifact"):
        raise denial.RecordNotFound(id=target.id, record_type=kind, expected=[*KINDS.values(), "artifact"])
    return Result(record=store.get(kind, target.id))


def _id(change: Any) -> str:
    return change.id
