"""task: hand a piece of work to another agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ... import denial
from ...call import Result
from ..tool import Access, Context, Given, Outcome, Tool, ToolError, unfit

if TYPE_CHECKING:
    from ...store import Row
    from ..managed import Session
    from ..runners import Carried, Order

# Endings after which there is something to work with.
USEFUL = ("completed", "unverified")


class TaskGiven(Given):
    prompt: str = Field(
        min_length=1, max_length=200_000, description="What the other agent is to do, in full: it knows nothing else"
    )
    subagent_type: str = Field(
        min_length=1, max_length=100, description="Which agent: the name of a runner, or a type that one is for"
    )
    description: str | None = Field(None, max_length=500, description="The work in three to five words")
    model: str | None = Field(None, max_length=100, description="The model that it should use")
    max_turns: int | None = Field(None, ge=1, le=10_000, description="At most so many cycles")
    run_in_background: bool = Field(False, description="Do not wait for it: the answer has its run id, T7 shows how it stands")
    resume: str | None = Field(None, max_length=100, description="The run, or the checkpoint of one, to go on from")


class Task(Tool):
    """Hand a piece of work to another agent, and wait for what comes of it, or not.

    It works in a run of its own, a child of this one, with at most what remains of this run's limits, and under the same permissions. The
    answer has its run id, its status and its output. A status of unverified means that it says it is done and nothing shows it.
    One in the background is asked to stop with python kaizen.py T16 --id RUN_ID --how now.
    """

    name = "task"
    group = "agent"
    takes = TaskGiven
    rule_names = ("Task", "Agent")

    def check(self, given: TaskGiven, context: Context) -> None:
        from .. import runners

        try:
            runners.chosen(given.subagent_type, context.workspace)
        except denial.RunnerUnknown as refusal:
            known = refusal.detail["runners"]
            message = f"{refusal.message} There is {', '.join(known)}. {refusal.required_action}"
            raise unfit("subagent_type", "no_runner", message, runners=known) from None

    def accesses(self, given: TaskGiven, context: Context) -> Sequence[Access]:
        from .. import runners

        command = runners.command_of(given.subagent_type, context.workspace)
        started = () if command is None else (Access("run", command),)
        return (Access("use", given.subagent_type), *started)

    def danger(self, given: TaskGiven, context: Context) -> str:
        # A runner from the settings is a program of whoever wrote them, and no confinement holds it.
        return "safe" if given.subagent_type == "echo" else "high"

    def run(self, given: TaskGiven, context: Context) -> Outcome:
        from .. import runners

        store = context.store
        if store is None:
            raise ToolError("no_plane", "There is no data plane to record a run in.")
        if given.run_in_background and context.session is not None and context.session.hooks:
            raise ToolError("no_background", "Hooks of this program hold in no other process; leave run_in_background out.")
        try:
            runner = runners.chosen(given.subagent_type, context.workspace)
        except denial.RunnerUnknown as refusal:
            message = f"{refusal.message} {refusal.required_action}"
            raise ToolError("no_runner", message, runners=refusal.detail["runners"]) from None
        begun: list[tuple[Row, Any]] = []

        def work() -> Result:
            begun.append(
                runners.begin(
                    store,
                    given.prompt,
                    given.subagent_type,
                    runner.name,
                    summary=given.description,
                    parent_run_id=context.run_id,
                    resume=given.resume,
                    max_cycles=given.max_turns,
                    mode=context.mode,
                    task_id=context.task_id,
                    model=given.model,
                )
            )
            return Result(id=begun[0][0]["id"])

        store.perform(replace(store.call, key=None), work)
        run, state = begun[0]
        session = _session(context, run)
        order = runners.Order(store, run["id"], given.prompt, session, given.subagent_type, given.model, state, context.stop)
        if given.run_in_background:
            return _in_background(order)
        return _outcome(runners.carry_out(order, runner))


def _session(context: Context, run: Row) -> Session:
    """The session of the child: the same tools, hooks and people to ask as its parent's, its own run and its own stop."""
    from ..managed import Session
    from ..registry import ToolRegistry
    from ..tool import Stop

    own: dict[str, Any] = {"run_id": run["id"], "task_id": run["task_id"], "mode": "default", "stop": Stop(), "cwd": context.cwd}
    if context.session is not None:
        return replace(context.session, **own)
    registry = ToolRegistry()
    registry.register_defaults()
    assert context.store is not None
    return Session(
        store=context.store,
        registry=registry,
        workspace=context.workspace,
        ask=context.ask,
        environment=context.environment,
        **own,
    )


def _in_background(order: Order) -> Outcome:
    """Let a process of its own carry out the run."""
    from ... import process
    from .. import runners
    from ..runners import detached

    try:
        pid = detached.begin(order)
    except (process.NotStarted, OSError) as fault:
        runners.give_up(order, f"no process could be started: {fault}")
        raise ToolError("not_started", f"No process could be started for the run: {fault}", run_id=order.run_id) from None
    output = {"run_id": order.run_id, "status": "running", "output": None, "reason": None}
    return Outcome(output, {"run_id": order.run_id, "status": "running", "pid": pid})


def _outcome(carried: Carried) -> Outcome:
    run = carried.run
    output = {"run_id": run["id"], "status": run["status"], "output": carried.output, "reason": run["reason"]}
    metadata = {"run_id": run["id"], "status": run["status"], "checkpoint_id": run["checkpoint_id"]}
    if carried.kept_open is not None:
        return Outcome(output, metadata, success=False, error_kind="children_open", error=carried.kept_open)
    useful = run["status"] in USEFUL
    error = None if useful else f"The run {run['id']} ended: {run['status']}. {run['reason'] or ''}".strip()
    return Outcome(output, metadata, success=useful, error_kind=None if useful else run["status"], error=error)
