"""Work: tasks and plans, with the acceptance criteria they carry."""

from typing import Any

from .. import denial
from ..fields import Body, JsonList, Role, Scope, Status, Summary, TaskRef, Text, Title
from ..op import Result, op
from ..record import CLOSED, Field, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision


class Task(Record, kind="task", table="tasks", prefix="t"):
    """A unit of work with a beginning and an outcome."""

    title: Title = Field(missing=denial.TitleRequired, search=True, description="Short title")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    scope: Scope = Field("project", description="Where it holds: project, global, skill, session")
    status: Status = Field("active", description="Where it stands; closed: resolved, done, superseded, cancelled ...")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")
    source_task_id: TaskRef | None = Field(None, key="task_id", description="The task it is part of")
    assumptions_json: JsonList | None = Field(
        None, key="assumptions", file=True, search=True, description="JSON list: what is taken for granted"
    )
    boundaries_json: JsonList | None = Field(
        None, key="boundaries", file=True, search=True, description="JSON list: what is out of bounds"
    )
    criterion: list[Summary] | None = Field(None, stored=False, description="An acceptance criterion; repeat the flag for more")


class Plan(Record, kind="plan", table="plans", prefix="p"):
    """A plan: how a task is to be done."""

    title: Title = Field(missing=denial.TitleRequired, search=True, description="Short title")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="The steps, up to 1000 words")
    status: Status = Field("draft", description="Where it stands: draft, active, done, superseded ...")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")
    task_id: TaskRef | None = Field(None, description="The task it is for")
    assumptions_json: JsonList | None = Field(
        None, key="assumptions", file=True, search=True, description="JSON list: what is taken for granted"
    )
    boundaries_json: JsonList | None = Field(
        None, key="boundaries", file=True, search=True, description="JSON list: what is out of bounds"
    )
    criterion: list[Summary] | None = Field(None, stored=False, description="An acceptance criterion; repeat the flag for more")


TASKS = ("id", "title", "summary", "scope", "status", "created_at", "source_task_id")
PLANS = ("id", "title", "summary", "status", "task_id", "created_at")

TASK_EXAMPLE = "--id t_20260101000000_0123456789"


# --- tasks ----------------------------------------------------------------------------------------


@op(
    "W1",
    "task-start",
    writes=True,
    keywords="begin new start work todo issue",
    example='--title "Fix login" --summary "Users cannot log in."',
)
def task_start(task: Task, store: Store) -> Result:
    """Start a task."""
    _refuse_closed(task)
    row = store.add(task)
    return lifecycle.written(row, **_add_criteria(store, task.criterion, task_id=row["id"]))


class TaskChange(revision(Task)):
    """A further revision of a task; closing it may waive what is unproved."""

    waive: Text | None = Field(None, description="Close although criteria are unproved: the reason, kept with each")


@op(
    "W2",
    "task-update",
    writes=True,
    keywords="revise change progress close finish done status",
    example=f"{TASK_EXAMPLE} --status done",
)
def task_update(change: TaskChange, store: Store) -> Result:
    """Revise a task; closing it needs every criterion met, or --waive with the reason."""
    store.get("task", change.id)
    return lifecycle.revised(Task, change, store, **_carry_criteria(store, change, "task_id"))


@op("W9", "task-list", input=listing(Task), keywords="tasks open show", example="--status active --limit 5")
def task_list(window: Listing, store: Store) -> Result:
    """List tasks, newest first."""
    return lifecycle.listed(Task, TASKS, window, store)


@op("W10", "task-query", input=listing(Task, query=True), keywords="tasks search find", example='--query "login"')
def task_query(window: Listing, store: Store) -> Result:
    """Search tasks."""
    return lifecycle.queried(Task, TASKS, window, store)


@op("W11", "task-inspect", keywords="task show read criteria", example=TASK_EXAMPLE)
def task_inspect(target: Target, store: Store) -> Result:
    """Show one task in full, with its acceptance criteria."""
    return _with_criteria(lifecycle.inspected(Task, target, store), store, task_id=target.id)


@op("W12", "task-retire", writes=True, keywords="task retire withdraw", example=f'{TASK_EXAMPLE} --reason "A duplicate."')
def task_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a task that should not have been, with the reason."""
    return lifecycle.retired(("task",), retirement, store)


# --- plans ----------------------------------------------------------------------------------------


@op(
    "W3",
    "plan-create",
    writes=True,
    keywords="plan steps design approach",
    example='--title "Login fix" --summary "Reproduce, repair, prove."',
)
def plan_create(plan: Plan, store: Store) -> Result:
    """Create a plan."""
    _refuse_closed(plan)
    row = store.add(plan)
    return lifecycle.written(row, **_add_criteria(store, plan.criterion, plan_id=row["id"], task_id=plan.task_id))


class PlanChange(revision(Plan)):
    """A further revision of a plan; closing it may waive what is unproved."""

    waive: Text | None = Field(None, description="Close although criteria are unproved: the reason, kept with each")


@op("W4", "plan-revise", writes=True, keywords="plan change update", example="--id p_20260101000000_0123456789 --status active")
def plan_revise(change: PlanChange, store: Store) -> Result:
    """Revise a plan; closing it needs every criterion met, or --waive with the reason."""
    store.get("plan", change.id)
    return lifecycle.revised(Plan, change, store, **_carry_criteria(store, change, "plan_id"))


@op("W13", "plan-list", input=listing(Plan, query=False), keywords="plans show search", example="--limit 5")
def plan_list(window: Listing, store: Store) -> Result:
    """List plans, newest first, or those that --query finds."""
    return lifecycle.queried(Plan, PLANS, window, store)


@op("W14", "plan-inspect", keywords="plan show read", example="--id p_20260101000000_0123456789")
def plan_inspect(target: Target, store: Store) -> Result:
    """Show one plan in full, with its acceptance criteria."""
    return _with_criteria(lifecycle.inspected(Plan, target, store), store, plan_id=target.id)


@op(
    "W15",
    "plan-retire",
    writes=True,
    keywords="plan retire withdraw",
    example='--id p_20260101000000_0123456789 --reason "Replaced."',
)
def plan_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a plan, with the reason."""
    return lifecycle.retired(("plan",), retirement, store)


# --- acceptance criteria --------------------------------------------------------------------------


def _closes(status: str | None) -> bool:
    """Whether a status says that the work is over; what was superseded or promoted goes on elsewhere."""
    return (status or "").lower() in CLOSED - {"superseded", "promoted"}


def _refuse_closed(work: Task | Plan) -> None:
    """Refuse to record as over what brings criteria that nothing can have met yet."""
    if work.criterion and _closes(work.status):
        raise denial.CriterionUnproved(
            "Record it with an open status, meet each criterion with W24, then close it.",
            status_given=work.status,
            criteria=[{"summary": summary} for summary in work.criterion],
        )


def _carry_criteria(store: Store, change: TaskChange | PlanChange, column: str) -> dict[str, Any]:
    """Add the criteria a revision brings; where it closes, every open one must be met, or is waived with the reason."""
    closes = _closes(change.status)
    unproved = store.list("criterion", {column: change.id, "is_open": 1}, order="created_seq") if closes else []
    more = _add_criteria(store, change.criterion, **{column: change.id})
    unproved += [store.get("criterion", added) for added in more.get("criterion_ids", ()) if closes]
    if not unproved:
        return more
    if not change.waive:
        refusal = denial.CriterionUnproved(
            id=change.id, criteria=[{"id": row["id"], "summary": row["summary"]} for row in unproved]
        )
        refusal.example = f"python kaizen.py W24 --id {unproved[0]['id']} --proof-id PROOF_ID"
        raise refusal
    waiver = {"status": "waived", "waiver_reason": change.waive}
    return {**more, "waived": [store.revise("criterion", row["id"], waiver)["id"] for row in unproved]}


def _with_criteria(result: Result, store: Store, **link: str) -> Result:
    """An answer with the criteria of its task or plan, oldest first."""
    from .criteria import CRITERIA

    result["criteria"] = store.list("criterion", link, order="created_seq", columns=CRITERIA)
    return result


def _add_criteria(store: Store, texts: list[str] | None, **links: Any) -> dict[str, Any]:
    """Record each text as an acceptance criterion; what the answer says of them."""
    if not texts:
        return {}
    from .criteria import Criterion

    return {"criterion_ids": [store.add(Criterion(summary=text, **links))["id"] for text in texts]}
