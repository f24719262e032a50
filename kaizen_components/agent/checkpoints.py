"""Checkpoints: places in a run from which it can go on, or another can go apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import denial
from . import events, records, runs, todos

if TYPE_CHECKING:
    from ..store import Row, Store

# What a run that goes on has of the one before.
KEPT = ("summary", "task_id", "agent_type", "model", "runner", "mode", "mode_before_plan")


def add(store: Store, run_id: str, *, name: str | None = None, state: Any = None) -> Row:
    """Write down a checkpoint of an open run: its row. `state` is JSON, in which secrets are masked."""
    run = store.get("agent_run", run_id)
    if run["status"] != records.RUNNING:
        raise runs.ended(run, store)
    if events.deeper(state, events.DEEPEST):
        raise denial.JsonInvalid(field="state", reason=f"nested deeper than {events.DEEPEST} levels")
    last = store.list("agent_event", {"run_id": run_id}, limit=1, columns=("number",))
    before = store.list("checkpoint", {"run_id": run_id}, limit=1, columns=("number",))
    checkpoint = records.Checkpoint(
        run_id=run_id,
        number=(before[0]["number"] if before else 0) + 1,
        name=None if name is None else events.shown(name)[0],
        event_number=last[0]["number"] if last else 0,
        state_json=json.dumps(events.shown(state, longest=None)[0], ensure_ascii=False),
        todos_json=todos.of(store, run_id),
        totals_json=json.dumps(runs.used(store, run)),
    )
    row = store.add(checkpoint)
    store.revise("agent_run", run_id, {"checkpoint_id": row["id"]})
    return row


def kept(store: Store, run_id: str, *, name: str | None = None, state: Any = None) -> Row:
    """As add(), in a unit of its own, for programs."""
    from ..call import Result

    rows: list[Row] = []

    def work() -> Result:
        rows.append(add(store, run_id, name=name, state=state))
        return Result(id=rows[0]["id"])

    store.perform(replace(store.call, key=None, writes=True), work)
    return rows[0]


def last_of(store: Store, run_id: str) -> Row:
    """The last checkpoint of a run. Raises RecordNotFound where there is none."""
    run = store.get("agent_run", run_id)
    if run["checkpoint_id"] is None:
        raise denial.RecordNotFound(
            "Make checkpoints while it runs: python kaizen.py T17 --run-id RUN_ID",
            message="The run has no checkpoint.",
            id=run_id,
        )
    return store.get("checkpoint", run["checkpoint_id"])


def resume(
    store: Store,
    checkpoint_id: str,
    *,
    fork: bool = False,
    parent_run_id: str | None = None,
    mode: str | None = None,
    runner: str | None = None,
    limits: Mapping[str, Any] | None = None,
) -> tuple[Row, Row]:
    """Begin a run that goes on from a checkpoint: (the run's row, the checkpoint's). In a unit of work.

    A run goes on once, after it has ended without being completed; with `fork` another goes apart, at any time and as often as wanted.
    It has the limits of the first less what was used: by the whole run where it goes on, up to the checkpoint where it goes apart;
    one in `limits` (max_calls, ...) counts in its place. It stays a child of the same parent while that is open, or becomes one of
    `parent_run_id`. Its mode is that of the first, or `mode` where that allows less.
    """
    checkpoint = store.get("checkpoint", checkpoint_id)
    before = store.get("agent_run", checkpoint["run_id"])
    if not fork:
        _refuse_second(store, before, checkpoint_id)
    used = json.loads(checkpoint["totals_json"] or "{}") if fork else runs.used(store, before)
    run = records.AgentRun(
        **{name: before[name] for name in KEPT},
        parent_run_id=parent_run_id or _open_parent(store, before),
        resumed_from=checkpoint_id,
        resumed_how="fork" if fork else "resume",
        **_limits(before, used, limits or {}, f"T18 --id {checkpoint_id}{' --fork' if fork else ''}"),
    )
    run.runner = runner or run.runner
    run.mode = run.mode if mode is None else runs.narrower(run.mode, mode)
    row = runs.start(store, run)
    if checkpoint["todos_json"] is not None:
        todos.put(store, json.loads(checkpoint["todos_json"]), run_id=row["id"])
    return row, checkpoint


def _refuse_second(store: Store, before: Row, checkpoint_id: str) -> None:
    ids = [row["id"] for row in store.list("checkpoint", {"run_id": before["id"]}, columns=("id",))]
    going_on = store.list("agent_run", {"resumed_from": ("in", ids), "resumed_how": "resume"}, columns=("id",), limit=1)
    why = None
    if before["status"] == records.RUNNING:
        why = "it has not ended"
    elif before["status"] == "completed":
        why = "it is completed"
    elif going_on:
        why = f"{going_on[0]['id']} goes on already"
    if why is not None:
        raise denial.ResumeRefused(
            f"Go apart from there: python kaizen.py T18 --id {checkpoint_id} --fork",
            message=f"The run does not go on: {why}.",
            id=checkpoint_id,
            run_id=before["id"],
            reason=why,
        )


def _open_parent(store: Store, before: Row) -> str | None:
    parent_id = before["parent_run_id"]
    if parent_id is None:
        return None
    parent = store.get("agent_run", parent_id)
    return parent_id if parent["status"] == records.RUNNING and parent["interrupt"] is None else None


def _limits(before: Row, used: Mapping[str, Any], given: Mapping[str, Any], command: str) -> dict[str, Any]:
    """The limits of a run that goes on. One that leaves nothing is refused: the run could not begin."""
    found: dict[str, Any] = {}
    spent: list[str] = []
    for name, limit in runs.LIMITS.items():
        if given.get(limit) is not None:
            found[limit] = given[limit]
        elif before[limit] is not None:
            found[limit] = max(round(before[limit] - used.get(name, 0), 12), 0)
            if found[limit] == 0:
                spent.append(name)
    if spent:
        refusal = runs.limit_reached(before, spent[0])
        # What was given stays given.
        kept = {**before, **{limit: most for limit, most in given.items() if most is not None}}
        names = [name for name, limit in runs.LIMITS.items() if name in spent or given.get(limit) is not None]
        refusal.required_action = f"Give it more: python kaizen.py {command}{runs.given_again(kept, names)}"
        raise refusal
    return found
