"""Learning: LEARNING and LEARNED, the lessons that pitfalls become."""

from typing import Any

from .. import denial
from ..fields import Body, RawText, Ref, Role, Scope, Status, Summary, TaskRef, Title
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Row, Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "title", "summary", "scope", "status", "created_at")


class Learning(Record, kind="learning", table="learning", prefix="l"):
    """A LEARNING: what a pitfall taught, not yet settled."""

    title: Title = Field(missing=denial.TitleRequired, search=True, description="Short title")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    scope: Scope = Field("project", description="Where it holds: project, global, skill, session")
    status: Status = Field("active", description="Where it stands")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")
    source_task_id: TaskRef | None = Field(None, key="task_id", description="The task it comes from")
    source_gotcha_id: Ref | None = Field(None, flagged=False, index=True, description="The GOTCHA it was promoted from")
    artifact_ids_json: str | None = Field(None, flagged=False, description="Artifacts that show it")


class Learned(Record, kind="learned", table="learned", prefix="ld"):
    """A LEARNED: a lesson that holds and is given to every session."""

    title: Title = Field(missing=denial.TitleRequired, search=True, description="Short title")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    scope: Scope = Field("project", description="Where it holds: project, global, skill, session")
    status: Status = Field("active", description="Where it stands")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")
    source_task_id: TaskRef | None = Field(None, key="task_id", description="The task it comes from")
    source_learning_id: Ref | None = Field(None, flagged=False, index=True, description="The LEARNING it was promoted from")
    artifact_ids_json: str | None = Field(None, flagged=False, description="Artifacts that show it")


class Promotion(Input):
    """A record to promote."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the record to promote")
    status: Status = Field("active", description="Status of the new record")
    writer_role: Role = Field("agent", description="Who promotes: agent, human, verifier ...")
    task_id: TaskRef | None = Field(None, description="The task it is promoted in; default: the source's")


def _promote(promotion: Promotion, source_kind: str, cls: type[Learning] | type[Learned], link: str, store: Store) -> Result:
    """Copy a record one step up and mark the source promoted; a second time gives what the first made."""
    source: Row = store.get(source_kind, promotion.id)
    status_key = f"source_{source_kind}_status"
    existing = store.list(cls.record_kind, {link: promotion.id}, order="created_seq", limit=1)
    if existing:
        return lifecycle.written(existing[0], **{status_key: source["status"]}, already=True)
    copied: dict[str, Any] = {name: source[name] for name in ("title", "summary", "body", "scope", "artifact_ids_json")}
    copied |= {"source_task_id": promotion.task_id or _task(source, store), link: promotion.id}
    target = store.add(cls(status=promotion.status, writer_role=promotion.writer_role, **copied), action="promote")
    store.revise(source_kind, promotion.id, {"status": "promoted"}, action="promote")
    return lifecycle.written(target, **{status_key: "promoted"})


def _task(source: Row, store: Store) -> str | None:
    """The task of what is promoted, or None where it was erased meanwhile."""
    task_id = source["source_task_id"]
    try:
        if task_id is not None:
            store.check_link(task_id, "task", "task_id")
    except denial.ReferenceNotFound:
        return None
    return task_id


# --- LEARNING -------------------------------------------------------------------------------------


@op(
    "L1",
    "learning-add",
    writes=True,
    keywords="lesson insight record",
    example='--title "Warm the cache" --summary "A cold cache doubles the latency."',
)
def learning_add(learning: Learning, store: Store) -> Result:
    """Record a LEARNING directly."""
    return lifecycle.written(store.add(learning))


@op(
    "L2",
    "promote-gotcha-learning",
    writes=True,
    keywords="promote gotcha lesson raise",
    example="--id g_20260101000000_0123456789",
)
def promote_gotcha_learning(promotion: Promotion, store: Store) -> Result:
    """Promote a GOTCHA to LEARNING; a second time returns the first LEARNING."""
    return _promote(promotion, "gotcha", Learning, "source_gotcha_id", store)


@op("L4", "learning-list", input=listing(Learning), keywords="lessons show", example="--limit 5")
def learning_list(window: Listing, store: Store) -> Result:
    """List LEARNING, newest first."""
    return lifecycle.listed(Learning, LISTED, window, store)


@op("L5", "learning-query", input=listing(Learning, query=True), keywords="lessons search find", example='--query "cache"')
def learning_query(window: Listing, store: Store) -> Result:
    """Search LEARNING."""
    return lifecycle.queried(Learning, LISTED, window, store)


@op("L6", "learning-inspect", keywords="lesson show read", example="--id l_20260101000000_0123456789")
def learning_inspect(target: Target, store: Store) -> Result:
    """Show one LEARNING in full."""
    return lifecycle.inspected(Learning, target, store)


@op(
    "L11",
    "learning-update",
    writes=True,
    input=revision(Learning),
    keywords="lesson revise correct",
    example="--id l_20260101000000_0123456789 --status superseded",
)
def learning_update(change: Input, store: Store) -> Result:
    """Revise a LEARNING: its texts, scope or status."""
    return lifecycle.revised(Learning, change, store)


# --- LEARNED --------------------------------------------------------------------------------------


@op(
    "L3",
    "promote-learning-learned",
    writes=True,
    keywords="promote lesson settle keep",
    example="--id l_20260101000000_0123456789",
)
def promote_learning_learned(promotion: Promotion, store: Store) -> Result:
    """Promote a LEARNING to LEARNED; a second time returns the first LEARNED."""
    return _promote(promotion, "learning", Learned, "source_learning_id", store)


@op("L7", "learned-list", input=listing(Learned), keywords="lessons settled show", example="--limit 5")
def learned_list(window: Listing, store: Store) -> Result:
    """List LEARNED, newest first."""
    return lifecycle.listed(Learned, LISTED, window, store)


@op("L8", "learned-query", input=listing(Learned, query=True), keywords="lessons settled search find", example='--query "cache"')
def learned_query(window: Listing, store: Store) -> Result:
    """Search LEARNED."""
    return lifecycle.queried(Learned, LISTED, window, store)


@op("L9", "learned-inspect", keywords="lesson settled show read", example="--id ld_20260101000000_0123456789")
def learned_inspect(target: Target, store: Store) -> Result:
    """Show one LEARNED in full."""
    return lifecycle.inspected(Learned, target, store)


@op(
    "L10",
    "learned-context",
    input=listing(Learned, query=False, limit=10),
    keywords="lessons chain origin session start why",
    example='--query "cache" --limit 3',
)
def learned_context(window: Listing, store: Store) -> Result:
    """Show recent lessons, each with the LEARNING and the GOTCHA it came from."""
    result = lifecycle.queried(Learned, ("id", "title", "summary", "created_at", "source_learning_id"), window, store)
    result["records"] = [_with_chain(record, store) for record in result["records"]]
    return result


def _with_chain(record: Row, store: Store) -> Row:
    """A lesson with its ancestors, as a chain and as one line to read."""
    learning = _ancestor("learning", record.pop("source_learning_id"), store)
    gotcha = _ancestor("gotcha", learning["source_gotcha_id"] if learning else None, store)
    chain = {
        name: {key: row[key] for key in ("id", "title", "summary")} if row else None
        for name, row in (("learning", learning), ("gotcha", gotcha))
    }
    steps = [f"{name.upper()}: {row['title']}" for name, row in (("gotcha", gotcha), ("learning", learning)) if row]
    return {**record, "chain": chain, "narrative": " -> ".join([*steps, f"LEARNED: {record['title']}"])}


def _ancestor(kind: str, record_id: str | None, store: Store) -> Row | None:
    """A record that was promoted, or None where there is none or it was erased."""
    rows = store.list(kind, {"id": record_id}, limit=1) if record_id else []
    return rows[0] if rows else None


@op(
    "L12",
    "learned-update",
    writes=True,
    input=revision(Learned),
    keywords="lesson settled revise correct",
    example="--id ld_20260101000000_0123456789 --status superseded",
)
def learned_update(change: Input, store: Store) -> Result:
    """Revise a LEARNED: its texts, scope or status."""
    return lifecycle.revised(Learned, change, store)


@op(
    "L13",
    "lesson-retire",
    writes=True,
    keywords="lesson withdraw obsolete",
    example='--id ld_20260101000000_0123456789 --reason "The service is gone."',
)
def lesson_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a LEARNING or LEARNED that no longer holds, with the reason."""
    return lifecycle.retired(("learning", "learned"), retirement, store)
