"""Agent runs: what agents did in one piece, within which limits, how it ended, and what shows that."""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from .. import denial, output
from ..agent import checkpoints, events, records, runs, todos
from ..fields import Bytes, Count, JsonObject, Link, Phrase, Positive, ProofRef, RawText, Vocabulary, parse_json
from ..op import Result, op
from ..record import Field, Input
from ..store import Row, Store
from . import lifecycle
from .lifecycle import listing

How = Annotated[str, Vocabulary("graceful", "now")]
RunId = Annotated[str, Bytes(1_000), Link("agent_run")]

RUNS = (
    "id",
    "summary",
    "status",
    "agent_type",
    "runner",
    "mode",
    "calls",
    "cost_usd",
    "interrupt",
    "parent_run_id",
    "created_at",
)
CALLS = ("id", "tool", "decision", "rule", "danger", "status", "process", "error_kind", "duration_ms", "event_id", "created_at")
# What of a run stands on its page, where it has it.
PAGE = (
    "mode",
    "agent_type",
    "runner",
    "model",
    "task_id",
    "parent_run_id",
    "resumed_from",
    "checkpoint_id",
    "interrupt",
    "interrupt_reason",
    "reason",
    "started_at",
    "ended_at",
)
CHECKPOINTS = ("id", "number", "name", "event_number", "created_at")
EXAMPLE = "--id ar_20260101000000_0123456789"
CHECKPOINT = "--id cp_20260101000000_0123456789"


# --- beginning ------------------------------------------------------------------------------------


@op(
    "T5",
    "agent-run-start",
    writes=True,
    keywords="begin agent execution session subagent limits budget",
    example='--summary "Repair the login." --max-calls 50 --max-cost-usd 2',
)
def agent_run_start(run: records.AgentRun, store: Store) -> Result:
    """Start a run of an agent: what groups tool calls and events, within limits, and ends once.

    A child (--parent-run-id) starts only while its parent is open and not asked to stop. It gets at most what remains of
    its parent's limits, whatever it asks for, and a mode that allows no more. What it uses up counts for its parent too.
    """
    row = runs.start(store, run)
    limits = {limit: row[limit] for limit in runs.LIMITS.values() if row[limit] is not None}
    mode, source = _mode_in_force(row, store)
    more = {} if source is None else {"mode_source": source}
    return lifecycle.written(row, mode=mode, **more, limits=limits, started_at=row["started_at"])


def _mode_in_force(run: Row, store: Store) -> tuple[str, str | None]:
    """(the mode by which calls of a run are judged now, the settings file that sets it); of one that has ended, what it had."""
    from ..agent.permissions import settings

    if run["status"] != records.RUNNING:
        return run["mode"], None
    try:
        return settings.load(store.plane.root.resolve(), store).mode_in_force(run["mode"])
    except denial.Denial:
        # With such settings no call is permitted; the run can be looked at all the same.
        return run["mode"], None


class RunWindow(listing(records.AgentRun, filters=("parent_run_id", "runner", "agent_type"))):
    """Runs, by what they are."""

    status: Annotated[str, Vocabulary(records.RUNNING, *records.ENDINGS)] | None = Field(
        None, description="Only records with this status"
    )


@op("T15", "agent-run-list", keywords="agents runs executions running show", example="--status running --limit 5")
def agent_run_list(window: RunWindow, store: Store) -> Result:
    """List runs of agents, newest first."""
    return lifecycle.listed(records.AgentRun, RUNS, window, store)


# --- events ---------------------------------------------------------------------------------------


class EventInput(Input):
    """One event of a run."""

    scanned = False
    run_id: RunId = Field(missing=denial.IdRequired, description="The run")
    type: Annotated[str, Vocabulary(*records.EVENT_TYPES)] = Field(description="What happened")
    payload_json: JsonObject = Field(file=True, file_wins=True, description="JSON object with what the type asks for")
    tool_call_id: records.ToolCallRef | None = Field(None, description="The tool call it is about")


@op(
    "T6",
    "agent-event-add",
    writes=True,
    keywords="agent event stream thinking message tool cost progress",
    example='--run-id ar_20260101000000_0123456789 --type message --payload-json \'{"content": "Found it."}\'',
)
def agent_event_add(given: EventInput, store: Store) -> Result:
    """Record an event of a run, as it happens.

    Ten types, each with exactly these fields, and `metadata` (an object) where there is more to say: started (execution_id),
    thinking (content), message (content), tool_use (tool_name, input), tool_result (tool_name, result), subagent_spawn
    (subagent_type), cost_update (cost_usd: the total so far, which never falls), progress (step, total: the step is the
    cycle, judged by --max-cycles), completed (cycles, total_cost_usd), error (error). Secrets are masked. A run that has
    ended takes no more. One that was asked to stop, or went over a limit, still takes events: they say what happened. The
    answer then says how it has to end (ending).
    """
    data = parse_json(given.payload_json, "payload_json")
    row = events.add(store, given.run_id, given.type, data, given.tool_call_id)
    run = store.get("agent_run", given.run_id)
    more = {} if run["interrupt"] is None else {"interrupt": run["interrupt"], "interrupt_reason": run["interrupt_reason"]}
    ending = runs.ending_of(store, run)
    more.update({} if ending is None else {"ending": ending})
    return lifecycle.written(row, run_id=given.run_id, number=row["number"], type=given.type, masked=row["masked"], **more)


# --- looking --------------------------------------------------------------------------------------


class RunView(Input):
    """A run, and which of its events and calls."""

    scanned = False
    id: RawText = Field(missing=denial.IdRequired, description="Id of the run")
    after: Count | None = Field(None, description="Events behind this number; without it, the last ones")
    limit: int | None = Field(None, description="At most so many events and calls; 0 is the default, negative is no limit")
    follow: bool = Field(False, description="Print events as they come, a JSON line each, until the run ends")


@op(
    "T7",
    "agent-run-inspect",
    manages_store=True,
    keywords="agent run show read events calls live follow tail watch",
    example=EXAMPLE,
)
def agent_run_inspect(wanted: RunView, store: Store) -> Result:
    """Show a run: its limits and totals, events, tool calls, children, checkpoints, proofs and open questions.

    A tool call that has started and not ended is under_way while its process lives, and never_finished afterwards. Likewise
    `carried`, of a run that a runner carries out, says under_way or abandoned.
    With --follow, events are printed as they come, one JSON object a line, until the run ends or an interrupt (exit code
    130); others can use the plane meanwhile.
    """
    if wanted.follow:
        return _follow(wanted, store)
    return store.perform(store.call, lambda: _inspected(wanted, store))


def _follow(wanted: RunView, store: Store) -> Result:
    try:
        for event in events.followed(store, wanted.id, wanted.after or 0):
            output.text(json.dumps(event.to_dict(), ensure_ascii=False))
    except KeyboardInterrupt:
        return Result(exit_code=130, streamed=True)
    return Result(streamed=True)


def _inspected(wanted: RunView, store: Store) -> Result:
    store.warn_of_drift()
    run = store.get("agent_run", wanted.id)
    limit = None if (wanted.limit or 0) < 0 else wanted.limit or 20
    mode, source = _mode_in_force(run, store)
    of_run = {"run_id": run["id"]}
    calls = store.list("tool_call", of_run, limit=limit, columns=CALLS)[::-1]
    waiting = store.list("question", {**of_run, "status": "open"}, order="created_seq")
    # The record has the number of events from its end on.
    event_count = store.count("agent_event", of_run)
    result = Result(
        run={**run, "events": event_count},
        mode=mode,
        mode_source=source,
        carried=runs.carried(store, run),
        used=runs.used(store, run),
        left=runs.left(store, run),
        events=_events(wanted, limit, store),
        event_count=event_count,
        calls=[
            {name: value for name, value in {**call, "state": runs.state_of(call)}.items() if name != "process"} for call in calls
        ],
        call_count=store.count("tool_call", of_run),
        never_finished=[call["id"] for call in _started(run, store) if runs.state_of(call) == "never_finished"],
        children=[{name: child[name] for name in RUNS} for child in runs.children(store, run["id"])],
        checkpoints=store.list("checkpoint", of_run, order="created_seq", columns=CHECKPOINTS),
        proofs=_proofs(run, store),
        questions=[{"id": one["id"], "questions": json.loads(one["questions_json"])} for one in waiting],
        todos=json.loads(todos.of(store, run["id"]) or "[]"),
    )
    result.view = lambda width: _page(result, width)
    return result


def _page(shown: Result, width: int) -> str:
    """A run for a person: a line for each thing."""
    run = shown["run"]
    status = run["status"] if shown["carried"] is None else f"{run['status']}, {shown['carried'].replace('_', ' ')}"
    lines = [f"{run['id']}  {status}  {run['summary']}"]
    mode = shown["mode"] if shown["mode_source"] is None else f"{shown['mode']} (by {shown['mode_source']})"
    lines += [
        f"  {name}: {value}" for name, value in ((name, {**run, "mode": mode}[name]) for name in PAGE) if value not in (None, "")
    ]
    for name, limit in runs.LIMITS.items():
        most = "" if run[limit] is None else f" of {_number(run[limit])}"
        # A call that was asked about or denied did not begin, and counts for no limit.
        label = "calls begun" if name == "calls" else name
        lines.append(f"  {label}: {_number(shown['used'][name])}{most}")
    if shown["never_finished"]:
        lines.append(f"  never finished: {', '.join(shown['never_finished'])}")
    lines += _part("Events", shown["events"], shown["event_count"], _event_line)
    lines += _part(
        "Calls", shown["calls"], shown["call_count"], lambda one: _line(one, "id", "tool", "state", "decision", "danger")
    )
    lines += _part("Children", shown["children"], None, lambda one: _line(one, "id", "status", "summary"))
    lines += _part("Checkpoints", shown["checkpoints"], None, lambda one: _line(one, "number", "id", "name"))
    lines += _part("Proofs", shown["proofs"], None, lambda one: _line(one, "id", "conclusion", "summary"))
    asked = lambda one: f"{one['id']}  {'; '.join(question['question'] for question in one['questions'])}"  # noqa: E731
    lines += _part("Open questions", shown["questions"], None, asked)
    lines += _part("To do", shown["todos"], None, lambda one: _line(one, "status", "content"))
    return "\n".join(line[:width] for line in lines)


def _number(value: float) -> str:
    """All digits of a whole number, and no more of another than anybody reads."""
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"


def _part(title: str, entries: Sequence[dict[str, Any]], total: int | None, line: Callable[[dict[str, Any]], str]) -> list[str]:
    if not entries:
        return []
    more = f" ({len(entries)} of {total})" if total is not None and total > len(entries) else ""
    return ["", f"{title}{more}", *(f"  {line(entry)}" for entry in entries)]


def _line(entry: dict[str, Any], *names: str) -> str:
    return "  ".join(str(entry[name]) for name in names if entry[name] is not None)


def _event_line(event: dict[str, Any]) -> str:
    """Number, type and what it says, in one line."""
    data = {
        name: value
        for name, value in event.items()
        if name not in ("run_id", "number", "type", "time", "metadata", "tool_call_id")
    }
    said = "  ".join(
        value
        if isinstance(value, str)
        else f"{name} {value}"
        if isinstance(value, int | float)
        else json.dumps(value, ensure_ascii=False)
        for name, value in data.items()
    )
    return f"{event['number']:>4}  {event['type']:<14}  {' '.join(said.split())}"


def _events(wanted: RunView, limit: int | None, store: Store) -> list[dict[str, Any]]:
    where: dict[str, Any] = {"run_id": wanted.id}
    if wanted.after is not None:
        rows = store.list("agent_event", {**where, "number": (">", wanted.after)}, order="created_seq", limit=limit)
    else:
        rows = store.list("agent_event", where, limit=limit)[::-1]
    return [events.of_row(row).to_dict() for row in rows]


def _started(run: Row, store: Store) -> list[Row]:
    """The calls that have started and not ended, whether they are in the window or not."""
    return store.list("tool_call", {"run_id": run["id"], "status": "started"}, order="created_seq", columns=CALLS)


def _proofs(run: Row, store: Store) -> list[dict[str, Any]]:
    """The proofs that the run rests on; of one that has not ended, those on which it could."""
    columns = ("id", "summary", "basis", "conclusion", "created_at")
    if run["status"] == records.RUNNING:
        return [{name: proof[name] for name in columns} for proof in runs.fitting_proofs(store, run)]
    named = json.loads(run["proof_ids_json"] or "[]")
    return store.list("verification", {"id": ("in", named)}, order="created_seq", columns=columns) if named else []


# --- stopping and ending --------------------------------------------------------------------------


class Interruption(Input):
    """A run that is to stop, how, and why."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the run")
    how: How = Field("graceful", description="graceful lets it end its step, now ends what it runs")
    reason: RawText | None = Field(None, description="Why")


@op(
    "T16",
    "agent-run-interrupt",
    writes=True,
    manages_store=True,
    keywords="agent run stop cancel abort interrupt kill",
    example=f'{EXAMPLE} --how now --reason "The plan changed."',
)
def agent_run_interrupt(given: Interruption, store: Store) -> Result:
    """Ask a run to stop, from any process; its open children are asked as well.

    From now on its tool calls are refused. With `now`, what it runs is ended; with `graceful`, the step under way may end.
    A runner then ends the run as interrupted; an agent that records its own events does so with T8. The answer names the
    last checkpoint, from which T18 resumes it.
    """

    def work() -> Result:
        row, below = runs.interrupt(store, given.id, given.how, given.reason)
        children = [child["id"] for child in below]
        return lifecycle.written(row, interrupt=row["interrupt"], checkpoint_id=row["checkpoint_id"], children=children)

    result = store.perform(store.call, work)
    if given.how == "now":
        result["ended_commands"] = _commands_ended(store, [given.id, *result["children"]])
    return result


def _commands_ended(store: Store, run_ids: Sequence[str]) -> list[str]:
    """End the background commands of runs; which. It takes seconds, so the plane is not held."""
    from ..agent import background

    store.release()
    ended = []
    for run_id in run_ids:
        for shell in background.listed(store.plane, run_id):
            if background.state(store.plane, shell).status == "running":
                background.kill(store.plane, shell)
                ended.append(shell.shell_id)
    return ended


class Finish(Input):
    """How a run ended, and what shows it."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the run")
    status: Annotated[str, Vocabulary(*records.ENDINGS)] = Field(description="How it ended")
    reason: RawText | None = Field(None, file=True, description="Why it ended so")
    proof_id: list[ProofRef] | None = Field(None, description="A proof that it rests on; repeat for more")
    unverified: bool = Field(False, description="Nothing shows that it is completed: it ends as unverified")


@op(
    "T8",
    "agent-run-finalize",
    writes=True,
    manages_store=True,
    keywords="agent run end finish complete close fail",
    example=f'{EXAMPLE} --status failed --reason "The build is broken."',
)
def agent_run_finalize(given: Finish, store: Store) -> Result:
    """End a run, once.

    completed needs at least one --proof-id, each a proof that Kaizen observed (Q11) and that passed, made after the run
    began, not retired, and of no other task than the run's. With --unverified in place of a proof it ends as unverified.
    A run that was asked to stop, or used more than a limit allows, ends neither as completed nor as unverified; the refusal
    says as what. A child that is open keeps its parent open; but interrupted and timeout end the open children in the same
    way. A run that has ended takes no more events and no more calls.
    """
    if given.unverified and given.proof_id:
        raise denial.FlagConflict(
            message="--unverified says that there is no proof, and --proof-id names one.", flag="--unverified"
        )
    if given.unverified and given.status not in ("completed", "unverified"):
        raise denial.FlagConflict(
            "Leave --unverified out.", message=f"--unverified belongs to completed, not to {given.status}.", flag="--unverified"
        )

    def work() -> Result:
        row, below = runs.finish(
            store, given.id, given.status, reason=given.reason, proof_ids=given.proof_id or (), unverified=given.unverified
        )
        return lifecycle.written(
            row,
            run_status=row["status"],
            used=runs.used(store, row),
            proof_ids=json.loads(row["proof_ids_json"] or "[]"),
            checkpoint_id=row["checkpoint_id"],
            children_ended=[child["id"] for child in below],
        )

    result = store.perform(store.call, work)
    result["ended_commands"] = _commands_ended(store, [given.id, *result["children_ended"]])
    return result


# --- checkpoints ----------------------------------------------------------------------------------


class CheckpointInput(Input):
    """A checkpoint, and what the agent needs to go on from it."""

    scanned = False
    run_id: RunId = Field(missing=denial.IdRequired, description="The run")
    name: Phrase | None = Field(None, description="What it is called")
    state: Annotated[str, Bytes(1_000_000)] = Field(
        "{}", file=True, file_wins=True, description="JSON with whatever the agent needs to go on"
    )


@op(
    "T17",
    "checkpoint-add",
    writes=True,
    keywords="agent run save state checkpoint resume",
    example='--run-id ar_20260101000000_0123456789 --name "Tests written" --state \'{"file": 3}\'',
)
def checkpoint_add(given: CheckpointInput, store: Store) -> Result:
    """Record a checkpoint of an open run: its state, to-do list and totals. Secrets in the state are masked."""
    row = checkpoints.add(store, given.run_id, name=given.name, state=parse_json(given.state, "state"))
    return lifecycle.written(row, run_id=given.run_id, number=row["number"], event_number=row["event_number"])


class Resumption(Input):
    """A checkpoint to go on from, and limits in place of what is left."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the checkpoint")
    fork: bool = Field(False, description="Go apart from there, whatever became of the first run")
    max_calls: Count | None = Field(None, description="At most so many tool calls")
    max_cycles: Count | None = Field(None, description="At most so many cycles of the agent")
    max_tool_ms: Count | None = Field(None, description="At most so many milliseconds in tools")
    max_wall_ms: Count | None = Field(None, description="At most so many milliseconds from start to end")
    max_cost_usd: Positive | None = Field(None, description="At most such a cost, in US dollars")


@op(
    "T18",
    "checkpoint-resume",
    writes=True,
    keywords="agent run continue go on fork checkpoint resume",
    example=f"{CHECKPOINT} --fork",
)
def checkpoint_resume(given: Resumption, store: Store) -> Result:
    """Start a run that goes on from a checkpoint, or with --fork one that goes apart from there.

    A run goes on once, after it has ended and not as completed. The new run has the limits of the first less what that used
    up (with --fork: less what it had used at the checkpoint), or those that are given here, and its to-do list of then.
    The answer holds the state.
    """
    limits = {limit: getattr(given, limit) for limit in runs.LIMITS.values()}
    row, checkpoint = checkpoints.resume(store, given.id, fork=given.fork, limits=limits)
    return lifecycle.written(
        row,
        resumed_from=given.id,
        resumed_how=row["resumed_how"],
        run_id=checkpoint["run_id"],
        event_number=checkpoint["event_number"],
        parent_run_id=row["parent_run_id"],
        limits={limit: row[limit] for limit in limits if row[limit] is not None},
        state=json.loads(checkpoint["state_json"]),
    )
