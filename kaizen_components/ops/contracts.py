"""Contracts: what an agent may do for a task, who verifies it, and when it stops."""

from .. import denial
from ..fields import Body, JsonList, Role, Status, Summary, TaskRef, Text, Title
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "title", "summary", "scope", "verifier_command", "stop_rule", "task_id", "status", "created_at")
EXAMPLE = "--id xc_20260101000000_0123456789"


class ExecutionContract(Record, kind="execution_contract", table="execution_contracts", prefix="xc"):
    """The bounds of a piece of work: scope, paths and effects, verifier, stop rule."""

    title: Title = Field(missing=denial.TitleRequired, search=True, description="Short title")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    scope: Text | None = Field(None, search=True, description="What the work covers")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    allowed_paths_json: JsonList | None = Field(
        None, key="allowed_paths", file=True, search=True, description="JSON list of paths that may change"
    )
    forbidden_paths_json: JsonList | None = Field(
        None, key="forbidden_paths", file=True, search=True, description="JSON list of paths that may not change"
    )
    allowed_effects_json: JsonList | None = Field(
        None, key="allowed_effects", file=True, search=True, description="JSON list of effects that are wanted"
    )
    forbidden_effects_json: JsonList | None = Field(
        None, key="forbidden_effects", file=True, search=True, description="JSON list of effects that are not"
    )
    verifier_command: Text | None = Field(None, search=True, description="The command that decides; Q11 runs it")
    stop_rule: Text | None = Field(None, search=True, description="When to stop, done or not")
    task_id: TaskRef | None = Field(None, description="The task it bounds")
    status: Status = Field("active", description="Where it stands")
    writer_role: Role = Field("agent", description="Who writes: agent, human, verifier ...")


@op(
    "W28",
    "contract-add",
    writes=True,
    keywords="execution contract bounds scope allowed forbidden verifier stop",
    example='--title "Login fix" --summary "Only the login module changes." --allowed-paths \'["src/login/**"]\' --verifier-command "pytest tests/login" --stop-rule "After three failed tries."',
)
def contract_add(contract: ExecutionContract, store: Store) -> Result:
    """Record an execution contract: what may change, what may not, who verifies, when to stop."""
    return lifecycle.written(store.add(contract))


@op(
    "W29",
    "contract-list",
    input=listing(ExecutionContract, query=False),
    keywords="execution contracts show search",
    example="--limit 5",
)
def contract_list(window: Listing, store: Store) -> Result:
    """List execution contracts, newest first, or those that --query finds."""
    return lifecycle.queried(ExecutionContract, LISTED, window, store)


@op("W30", "contract-inspect", keywords="execution contract show read", example=EXAMPLE)
def contract_inspect(target: Target, store: Store) -> Result:
    """Show one execution contract in full."""
    return lifecycle.inspected(ExecutionContract, target, store)


@op(
    "W31",
    "contract-update",
    writes=True,
    input=revision(ExecutionContract),
    keywords="execution contract revise",
    example=f"{EXAMPLE} --status done",
)
def contract_update(change: Input, store: Store) -> Result:
    """Revise an execution contract."""
    return lifecycle.revised(ExecutionContract, change, store)


@op(
    "W32",
    "contract-retire",
    writes=True,
    keywords="execution contract withdraw",
    example=f'{EXAMPLE} --reason "The task was dropped."',
)
def contract_retire(retirement: Retirement, store: Store) -> Result:
    """Retire an execution contract, with the reason."""
    return lifecycle.retired(("execution_contract",), retirement, store)
