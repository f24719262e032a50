"""Notes: ledger entries that a writer makes by hand: decisions, progress, remarks."""

from .. import denial
from ..fields import Body, Role, Scope, Status, Summary, TaskRef, Title
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "title", "summary", "scope", "task_id", "status", "created_at")
EXAMPLE = "--id nt_20260101000000_0123456789"


class Note(Record, kind="note", table="notes", prefix="nt"):
    """A remark in the ledger: a decision, progress, something to remember."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    title: Title | None = Field(None, search=True, description="Short title")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    scope: Scope = Field("project", description="Where it holds: project, global, skill, session")
    task_id: TaskRef | None = Field(None, description="The task it is about")
    status: Status = Field("recorded", description="Where it stands")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")


@op(
    "W38",
    "note-add",
    writes=True,
    keywords="ledger entry remark decision progress log",
    example='--title "Decision" --summary "Sessions expire after a day."',
)
def note_add(note: Note, store: Store) -> Result:
    """Write a note into the ledger: a decision, progress, a remark."""
    return lifecycle.written(store.add(note))


@op("W39", "note-list", input=listing(Note, query=False), keywords="ledger notes decisions show search", example="--limit 5")
def note_list(window: Listing, store: Store) -> Result:
    """List notes, newest first, or those that --query finds."""
    return lifecycle.queried(Note, LISTED, window, store)


@op("W40", "note-inspect", keywords="ledger note show read", example=EXAMPLE)
def note_inspect(target: Target, store: Store) -> Result:
    """Show one note in full."""
    return lifecycle.inspected(Note, target, store)


@op(
    "W41",
    "note-update",
    writes=True,
    input=revision(Note),
    keywords="ledger note revise correct",
    example=f'{EXAMPLE} --summary "Sessions expire after a week."',
)
def note_update(change: Input, store: Store) -> Result:
    """Revise a note; the ledger keeps both texts."""
    return lifecycle.revised(Note, change, store)


@op("W42", "note-retire", writes=True, keywords="ledger note withdraw", example=f'{EXAMPLE} --reason "Decided otherwise."')
def note_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a note, with the reason."""
    return lifecycle.retired(("note",), retirement, store)
