"""Criteria: what must be true before a task or plan may close, and the proofs that show it."""

import json

from .. import denial
from ..fields import PlanRef, ProofRef, RawText, RefList, Status, Summary, TaskRef, Text
from ..op import Result, op
from ..record import BLOCKING, Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

CRITERIA = ("id", "summary", "status", "task_id", "plan_id", "proof_ids_json", "waiver_reason", "created_at")
EXAMPLE = "--id ac_20260101000000_0123456789"


class Criterion(Record, kind="criterion", table="criteria", prefix="ac"):
    """An acceptance criterion of a task or plan: open, met by proofs, or waived with a reason."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="What must be true in the end")
    status: Status = Field("open", flagged=False, description="open, met or waived")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    plan_id: PlanRef | None = Field(None, index=True, description="The plan it belongs to")
    proof_ids_json: RefList | None = Field(None, flagged=False, description="The proofs that meet it")
    waiver_reason: Text | None = Field(None, flagged=False, search=True, description="Why it need not be met")


class Meeting(Input):
    """The proofs that meet a criterion."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the criterion")
    proof_id: list[ProofRef] = Field(
        missing=denial.IdRequired, description="A proof or verification that shows it; repeat for more"
    )


class Waiver(Input):
    """A criterion that need not be met, and why."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the criterion")
    reason: Text = Field(missing=denial.ReasonRequired, description="Why it need not be met")


@op(
    "W21",
    "criterion-add",
    writes=True,
    keywords="acceptance criteria definition done",
    example='--task-id PROJ-42 --summary "A user can log in."',
)
def criterion_add(criterion: Criterion, store: Store) -> Result:
    """Add an acceptance criterion to a task or plan."""
    return lifecycle.written(store.add(criterion))


@op(
    "W22",
    "criterion-list",
    input=listing(Criterion, query=False, filters=("plan_id",)),
    keywords="acceptance criteria open unproved",
    example="--status open",
)
def criterion_list(window: Listing, store: Store) -> Result:
    """List acceptance criteria, newest first, or those that --query finds."""
    return lifecycle.queried(Criterion, CRITERIA, window, store)


@op("W23", "criterion-inspect", keywords="acceptance criterion show proofs", example=EXAMPLE)
def criterion_inspect(target: Target, store: Store) -> Result:
    """Show one acceptance criterion in full, with its proofs."""
    result = lifecycle.inspected(Criterion, target, store)
    proofs = json.loads(result["record"]["proof_ids_json"] or "[]")
    columns = ("id", "summary", "conclusion", "basis", "status", "created_at")
    result["proofs"] = store.list("verification", {"id": ("in", proofs)}, columns=columns) if proofs else []
    return result


@op(
    "W24",
    "criterion-meet",
    writes=True,
    keywords="acceptance criterion prove satisfy link proof",
    example=f"{EXAMPLE} --proof-id qv_20260101000000_0123456789",
)
def criterion_meet(meeting: Meeting, store: Store) -> Result:
    """Link a criterion to the proofs that meet it; a failed proof meets nothing."""
    before = store.get("criterion", meeting.id)
    for proof_id in meeting.proof_id:
        proof = store.get("verification", proof_id)
        if proof["conclusion"] in BLOCKING or proof["retired_reason"] is not None:
            raise denial.ProofUnfit(id=proof_id, conclusion=proof["conclusion"], status_of_proof=proof["status"])
    proofs = list(dict.fromkeys([*json.loads(before["proof_ids_json"] or "[]"), *meeting.proof_id]))
    changes = {"status": "met", "proof_ids_json": json.dumps(proofs), "waiver_reason": None, "retired_reason": None}
    return lifecycle.written(store.revise("criterion", meeting.id, changes), proof_ids=proofs)


@op(
    "W25",
    "criterion-waive",
    writes=True,
    keywords="acceptance criterion skip exception",
    example=f'{EXAMPLE} --reason "Not in this release."',
)
def criterion_waive(waiver: Waiver, store: Store) -> Result:
    """Waive a criterion, with the reason."""
    changes = {"status": "waived", "waiver_reason": waiver.reason, "retired_reason": None}
    return lifecycle.written(store.revise("criterion", waiver.id, changes))


@op(
    "W26",
    "criterion-update",
    writes=True,
    input=revision(Criterion, omit=("status",)),
    keywords="acceptance criterion revise reword",
    example=f'{EXAMPLE} --summary "Every user can log in."',
)
def criterion_update(change: Input, store: Store) -> Result:
    """Reword a criterion; what proved the old words proves nothing of the new, so it opens again."""
    row = store.get("criterion", change.id)  # type: ignore[attr-defined]
    changes = lifecycle.changes_of(Criterion, change)
    if "summary" in changes and changes["summary"] != row["summary"]:
        changes |= {"status": "open", "proof_ids_json": None, "waiver_reason": None, "retired_reason": None}
    return lifecycle.written(store.revise("criterion", row["id"], changes))


@op(
    "W27",
    "criterion-retire",
    writes=True,
    keywords="acceptance criterion withdraw",
    example=f'{EXAMPLE} --reason "Asked for by mistake."',
)
def criterion_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a criterion that should not have been, with the reason."""
    return lifecycle.retired(("criterion",), retirement, store)
