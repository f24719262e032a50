"""Task output: what a background command, or a run, said so far, and how it stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..tool import Access, Context, Given, Outcome, Tool, ToolError

if TYPE_CHECKING:
    from ...store import Store

LONGEST = 600_000
# Events of a run that are shown.
LAST = 20


class TaskOutputInput(Given):
    """Of what, and whether to wait for its end."""

    task_id: str = Field(min_length=1, max_length=100, description="A shell_id of bash_command, or the id of a run of task")
    block: bool = Field(True, description="Wait until it is over")
    timeout: int = Field(30_000, ge=0, le=LONGEST, description="Milliseconds to wait at most; it goes on after that")


class TaskOutput(Tool):
    """Read what a background command said so far, and how it stands; wait for its end first, unless told otherwise.

    status is running, completed, failed or killed. Of a long output the beginning and the end are given; metadata has the size of all of it
    and the file, of which read_file gives any part. For a run it is the run's status and its last events.
    """

    name = "task_output"
    group = "process"
    takes = TaskOutputInput
    rule_names = ("TaskOutput", "BashOutput")
    reads_only = True

    def accesses(self, given: TaskOutputInput, context: Context) -> Sequence[Access]:
        return (Access("use", given.task_id),)

    def run(self, given: TaskOutputInput, context: Context) -> Outcome:
        if context.store is None:
            raise ToolError("unknown_shell", f"There is no background command {given.task_id!r}.", task_id=given.task_id)
        seconds = context.left(given.timeout / 1000) if given.block else 0.0
        if given.task_id.startswith("ar_"):
            return _of_run(context.store, given.task_id, seconds, context)
        return _of_command(context.store, given.task_id, seconds, lambda: context.stop.asked)

    def told(self, output: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
        """What it said, and in the last line how it stands."""
        said = [f"{event['number']:>4}  {event['type']:<14}  {_in_short(event['data'])}" for event in output.get("events", ())]
        said += [output["output"].rstrip("\n")] if output.get("output") else []
        code = "" if output.get("exit_code") is None else f", exit code {output['exit_code']}"
        why = f": {output['reason']}" if output.get("reason") else ""
        return "\n".join([*said, f"[{output['task_id']} {output['status']}{code}{why}]"])


def _in_short(data: Mapping[str, Any]) -> str:
    return " ".join("  ".join(value if isinstance(value, str) else json.dumps(value) for value in data.values()).split())[:200]


def _of_command(store: Store, shell_id: str, seconds: float, asked: Callable[[], bool]) -> Outcome:
    from .. import background

    shell = background.get(store.plane, shell_id)
    now = background.wait(store.plane, shell, seconds, asked)
    text, size, truncated = background.output(store.plane, shell_id)
    said = {"task_id": shell_id, "status": now.status, "exit_code": now.exit_code, "output": text, "truncated": truncated}
    metadata = {"command": shell.command, "run_id": shell.run_id, "started_at": shell.started_at, "output_bytes": size}
    metadata["output_file"] = str(background.output_file(store.plane, shell_id))
    if now.status != "running":
        metadata["output_sha256"] = background.output_sha256(store.plane, shell_id)
    if now.lost:
        metadata["lost"] = "It is over, and nobody saw how it ended."
    return Outcome(said, metadata)


def _of_run(store: Store, run_id: str, seconds: float, context: Context) -> Outcome:
    """How a run stands. The plane is held for a look at a time."""
    import time

    from ..records import RUNNING

    until = time.monotonic() + seconds
    while True:
        try:
            run = store.get("agent_run", run_id)
            is_last = run["status"] != RUNNING or time.monotonic() >= until or context.stop.asked
            events = store.list("agent_event", {"run_id": run_id}, order="number DESC", limit=LAST) if is_last else []
            event_count = store.count("agent_event", {"run_id": run_id}) if is_last else 0
        finally:
            store.release()
        if is_last:
            break
        context.stop.wait(min(0.25, max(until - time.monotonic(), 0)))
    shown: list[dict[str, Any]] = [
        {"number": event["number"], "type": event["type"], "data": json.loads(event["data_json"])} for event in reversed(events)
    ]
    said = {"task_id": run_id, "status": run["status"], "reason": run["reason"], "events": shown}
    return Outcome(said, {"events": event_count, "calls": run["calls"]})
