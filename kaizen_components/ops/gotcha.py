"""GOTCHA: pitfalls met in the work, the first step of a lesson."""

from .. import denial
from ..fields import Body, Role, Scope, ShortTitle, Status, Summary, TaskRef
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "title", "summary", "scope", "status", "created_at")


class Gotcha(Record, kind="gotcha", table="gotcha", prefix="g"):
    """A pitfall: what went wrong, or nearly did."""

    title: ShortTitle = Field(missing=denial.TitleRequired, search=True, description="Short title, 40 words at most")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field(file=True, search=True, description="What happens, why, and how to avoid it")
    scope: Scope = Field("project", description="Where it holds: project, global, skill, session")
    status: Status = Field("active", description="Where it stands; closed: resolved, superseded, promoted ...")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")
    source_task_id: TaskRef | None = Field(None, key="task_id", description="The task it was met in")
    artifact_ids_json: str | None = Field(None, flagged=False, description="Artifacts that show it")


@op(
    "G1",
    "gotcha-add",
    writes=True,
    keywords="pitfall trap mistake bug warn add record",
    example='--title "Stale cache" --summary "The cache outlives a deploy." --body "Clear it in the deploy script."',
)
def gotcha_add(gotcha: Gotcha, store: Store) -> Result:
    """Record a pitfall (GOTCHA)."""
    return lifecycle.written(store.add(gotcha))


@op("G2", "gotcha-list", input=listing(Gotcha), keywords="pitfalls recent show", example="--limit 5")
def gotcha_list(window: Listing, store: Store) -> Result:
    """List pitfalls, newest first."""
    return lifecycle.listed(Gotcha, LISTED, window, store)


@op("G3", "gotcha-query", input=listing(Gotcha, query=True), keywords="pitfalls search find", example='--query "cache deploy"')
def gotcha_query(window: Listing, store: Store) -> Result:
    """Search pitfalls."""
    return lifecycle.queried(Gotcha, LISTED, window, store)


@op("G4", "gotcha-inspect", keywords="pitfall show read", example="--id g_20260101000000_0123456789")
def gotcha_inspect(target: Target, store: Store) -> Result:
    """Show one pitfall in full."""
    return lifecycle.inspected(Gotcha, target, store)


@op(
    "G5",
    "gotcha-update",
    writes=True,
    input=revision(Gotcha),
    keywords="pitfall revise correct resolve close",
    example="--id g_20260101000000_0123456789 --status resolved",
)
def gotcha_update(change: Input, store: Store) -> Result:
    """Revise a pitfall: its texts, scope or status."""
    return lifecycle.revised(Gotcha, change, store)


@op(
    "G6",
    "gotcha-retire",
    writes=True,
    keywords="pitfall retire withdraw obsolete",
    example='--id g_20260101000000_0123456789 --reason "The cache is gone."',
)
def gotcha_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a pitfall that no longer holds, with the reason."""
    return lifecycle.retired(("gotcha",), retirement, store)
