"""exit_plan_mode: a run has its plan, and goes to work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from ...call import Result
from ..tool import Access, Context, Given, Outcome, Tool, ToolError

ANOTHER_RUN = 'What is planned is done in another: python kaizen.py T5 --summary "The work." --mode accept-edits'
NOT_YOURS = f"A person changes it there, or lets a run have another: {ANOTHER_RUN.rpartition(': ')[2]}"


class AllowedPrompt(Given):
    tool: str = Field(min_length=1, max_length=100, description="The tool: Bash")
    prompt: str = Field(min_length=1, max_length=2_000, description="What it is needed for: run the tests")


class ExitPlanGiven(Given):
    allowedPrompts: list[AllowedPrompt] = Field(
        default_factory=list, max_length=100, description="What the plan needs: a tool, and what for"
    )


class ExitPlanMode(Tool):
    """Leave plan mode, with what the plan needs.

    The run gets back the mode that it had before. `allowedPrompts` is recorded as what was planned; it opens nothing by itself: each call is
    judged as it comes.
    """

    name = "exit_plan_mode"
    group = "planning"
    takes = ExitPlanGiven
    rule_names = ("ExitPlanMode",)
    reads_only = True

    def accesses(self, given: ExitPlanGiven, context: Context) -> Sequence[Access]:
        return ()

    def run(self, given: ExitPlanGiven, context: Context) -> Outcome:
        from ..events import shown

        store, run_id = context.store, context.run_id
        if store is None or run_id is None:
            raise ToolError("no_run", "A mode is that of a run, and there is none: python kaizen.py T5 --summary TEXT")
        allowed = shown([prompt.model_dump() for prompt in given.allowedPrompts])[0]

        def work() -> Result:
            run = store.get("agent_run", run_id)
            mode, source = context.policy.mode_in_force("default") if context.policy is not None else ("default", None)
            back = run["mode_before_plan"] if run["mode"] == "plan" else run["mode"]
            if back == "default" and mode == "plan":
                # What a person wrote down is no agent's to leave.
                message = (
                    f"{source} sets plan mode for every run that has no mode of its own (permissions.defaultMode). {NOT_YOURS}"
                )
                raise ToolError("mode_of_settings", message, mode="plan", mode_source=source)
            if run["mode"] != "plan":
                raise ToolError("not_in_plan_mode", f"The run is not in plan mode, but in {run['mode']}.", mode=run["mode"])
            if run["mode_before_plan"] is None:
                message = f"The run was started in plan mode, and stays there to its end. {ANOTHER_RUN}"
                raise ToolError("not_entered", message, mode="plan")
            changes = {"mode": run["mode_before_plan"], "mode_before_plan": None}
            store.revise("agent_run", run_id, {**changes, "allowed_prompts_json": json.dumps(allowed, ensure_ascii=False)})
            return Result(mode=mode if back == "default" else back)

        mode = store.perform(replace(store.call, key=None), work)["mode"]
        return Outcome(f"The run left plan mode; its mode is {mode}.", {"mode": mode, "allowed_prompts": allowed})
