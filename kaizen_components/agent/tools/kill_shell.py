"""Kill shell: the end of a background command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from ..tool import Access, Context, Given, Outcome, Tool, ToolError


class KillShellInput(Given):
    """Which command."""

    shell_id: str = Field(min_length=1, max_length=100, description="What bash_command answered with run_in_background")


class KillShell(Tool):
    """End a background command with all that it started.

    One that is over already stays as it ended; the answer says so with was_running false. A run that task began in the background is no
    command: ask it to stop with python kaizen.py T16 --id RUN_ID --how now.
    """

    name = "kill_shell"
    group = "process"
    takes = KillShellInput
    rule_names = ("KillShell", "KillBash")

    def accesses(self, given: KillShellInput, context: Context) -> Sequence[Access]:
        return (Access("use", given.shell_id),)

    def danger(self, given: KillShellInput, context: Context) -> str:
        return "low"

    def run(self, given: KillShellInput, context: Context) -> Outcome:
        from .. import background

        if given.shell_id.startswith("ar_"):
            how = f"python kaizen.py T16 --id {given.shell_id} --how now"
            raise ToolError(
                "not_a_command", f"{given.shell_id} is a run, not a command; ask it to stop: {how}", shell_id=given.shell_id
            )
        if context.store is None:
            raise ToolError("unknown_shell", f"There is no background command {given.shell_id!r}.", shell_id=given.shell_id)
        plane = context.store.plane
        shell = background.get(plane, given.shell_id)
        was_running = background.state(plane, shell).status == "running"
        now = background.kill(plane, shell)
        if now.status == "running":
            raise ToolError("still_running", "The command could not be ended.", shell_id=given.shell_id, pid=shell.pid)
        said = {"shell_id": shell.shell_id, "status": now.status, "exit_code": now.exit_code, "was_running": was_running}
        return Outcome(said, {"command": shell.command, "run_id": shell.run_id})

    def told(self, output: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
        if output["was_running"]:
            return f"{output['shell_id']} was ended."
        return f"{output['shell_id']} was over already: {output['status']}, exit code {output['exit_code']}"
