"""Retrospectives: what to keep, what to change, what comes next."""

from .. import denial
from ..fields import Body, JsonList, Role, Status, Summary, TaskRef, Title
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "title", "summary", "kept_json", "changed_json", "next_priorities_json", "task_id", "status", "created_at")
EXAMPLE = "--id ret_20260101000000_0123456789"


class Retrospective(Record, kind="retrospective", table="retrospectives", prefix="ret"):
    """A look back at a piece of work: kept, changed, next priorities."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    title: Title | None = Field(None, search=True, description="Short title")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    kept_json: JsonList | None = Field(None, key="kept", file=True, search=True, description="JSON list: what worked and stays")
    changed_json: JsonList | None = Field(
        None, key="changed", file=True, search=True, description="JSON list: what is done differently from now on"
    )
    next_priorities_json: JsonList | None = Field(
        None, key="next_priorities", file=True, search=True, description="JSON list: what comes next, first things first"
    )
    task_id: TaskRef | None = Field(None, description="The task it looks back at")
    status: Status = Field("recorded", description="Where it stands")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")


@op(
    "W33",
    "retrospective-add",
    writes=True,
    keywords="retro review improve next cycle priorities kept changed",
    example='--summary "The proof came too late." --kept \'["small steps"]\' --changed \'["prove before review"]\' --next-priorities \'["faster tests"]\'',
)
def retrospective_add(retrospective: Retrospective, store: Store) -> Result:
    """Record a retrospective: what is kept, what is changed, what comes next."""
    return lifecycle.written(store.add(retrospective))


@op("W34", "retrospective-list", input=listing(Retrospective, query=False), keywords="retros show search", example="--limit 5")
def retrospective_list(window: Listing, store: Store) -> Result:
    """List retrospectives, newest first, or those that --query finds."""
    return lifecycle.queried(Retrospective, LISTED, window, store)


@op("W35", "retrospective-inspect", keywords="retro show read", example=EXAMPLE)
def retrospective_inspect(target: Target, store: Store) -> Result:
    """Show one retrospective in full."""
    return lifecycle.inspected(Retrospective, target, store)


@op(
    "W36",
    "retrospective-update",
    writes=True,
    input=revision(Retrospective),
    keywords="retro revise",
    example=f"{EXAMPLE} --status done",
)
def retrospective_update(change: Input, store: Store) -> Result:
    """Revise a retrospective."""
    return lifecycle.revised(Retrospective, change, store)


@op("W37", "retrospective-retire", writes=True, keywords="retro withdraw", example=f'{EXAMPLE} --reason "Written twice."')
def retrospective_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a retrospective, with the reason."""
    return lifecycle.retired(("retrospective",), retirement, store)
