"""Policy: private rules that every session loads before it works."""

from typing import Any, cast

from .. import denial
from ..fields import MEGABYTE, Body, Bytes, Label, RawText, Role, Scope, Status, Summary, Title, Words
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Annotated, Listing, Retirement, Target, listing, revision

RANKS = {"critical": 0, "high": 1, "normal": 2, "medium": 2, "low": 3}
LISTED = ("id", "title", "summary", "trigger", "priority", "scope", "status", "created_at")
CONTEXT = ("id", "title", "summary", "body", "trigger", "priority", "scope", "created_at")
BY_PRIORITY = "priority_rank, created_seq"
EXAMPLE = "--id pol_20260101000000_0123456789"


def rank(priority: str) -> int:
    """Where a priority stands: critical first; a word of the user's own counts as normal."""
    return RANKS.get(priority.strip().lower(), RANKS["normal"])


class Policy(Record, kind="policy", table="private_policy", prefix="pol"):
    """A rule for agents: when it applies and what it asks."""

    title: Title = Field(missing=denial.TitleRequired, search=True, description="Short title")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="The rule, up to 1000 words")
    trigger: Annotated[str, Bytes(MEGABYTE), Words(120)] = Field(
        "session-start", search=True, description="When it applies, 120 words at most"
    )
    priority: Label = Field("normal", description="critical, high, normal, medium, low; another word ranks as normal")
    scope: Scope = Field("project", search=True, description="Where it holds: project, global, skill, session")
    status: Status = Field("active", description="Where it stands")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")
    priority_rank: int = Field(2, flagged=False, index=True, description="Order of the priority, 0 first")


@op(
    "X1",
    "policy-add",
    writes=True,
    keywords="rule instruction preference private",
    example='--title "Ask before deleting" --summary "Deletion needs a yes." --priority high',
)
def policy_add(policy: Policy, store: Store) -> Result:
    """Add a private policy rule."""
    policy.priority_rank = rank(policy.priority)
    return lifecycle.written(store.add(policy))


@op(
    "X2",
    "policy-list",
    input=listing(Policy, filters=("trigger", "priority")),
    keywords="rules show priority",
    example="--limit 5",
)
def policy_list(window: Listing, store: Store) -> Result:
    """List policies, by priority, then oldest first."""
    limit, offset = window.window()
    records = store.list("policy", window.where(), order=BY_PRIORITY, limit=limit, offset=offset, columns=LISTED)
    return Result(records=records, count=len(records))


@op("X3", "policy-query", input=listing(Policy, query=True), keywords="rules search find", example='--query "deleting"')
def policy_query(window: Listing, store: Store) -> Result:
    """Search policies."""
    return lifecycle.queried(Policy, LISTED, window, store)


@op("X4", "policy-inspect", keywords="rule show read", example=EXAMPLE)
def policy_inspect(target: Target, store: Store) -> Result:
    """Show one policy in full."""
    return lifecycle.inspected(Policy, target, store)


class ContextWindow(listing(Policy, limit=50)):
    """Which policies a session loads."""

    trigger: RawText | None = Field(None, description="Keep this trigger and session-start; default: every trigger")


@op("X5", "policy-session-context", keywords="rules session start load context", example="--trigger deploy")
def policy_session_context(window: ContextWindow, store: Store) -> Result:
    """Show the open policies with their bodies, for the start of a session."""
    where: dict[str, Any] = {**window.where(), "is_open": 1}
    if window.trigger:
        where["trigger"] = ("in", list(dict.fromkeys([window.trigger, "session-start"])))
    limit, offset = window.window()
    records = store.list("policy", where, order=BY_PRIORITY, limit=limit, offset=offset, columns=CONTEXT)
    many = f"{len(records)} open {'policy' if len(records) == 1 else 'policies'}"
    action = (
        "Follow these policies in this session, the first ones first."
        if records
        else "There are no policies yet; add one with X1 policy-add."
    )
    return Result(message=many, records=records, count=len(records), required_action=action)


@op(
    "X7",
    "policy-update",
    writes=True,
    input=revision(Policy),
    keywords="rule revise correct",
    example=f"{EXAMPLE} --priority critical",
)
def policy_update(change: Input, store: Store) -> Result:
    """Revise a policy: its texts, trigger, priority, scope or status."""
    changes = lifecycle.changes_of(Policy, change)
    if "priority" not in changes:
        return lifecycle.revised(Policy, change, store)
    return lifecycle.revised(Policy, change, store, and_change={"priority_rank": rank(cast(str, changes["priority"]))})


@op(
    "X8", "policy-retire", writes=True, keywords="rule withdraw obsolete", example=f'{EXAMPLE} --reason "The rule is a hook now."'
)
def policy_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a policy that no longer holds, with the reason."""
    return lifecycle.retired(("policy",), retirement, store)
