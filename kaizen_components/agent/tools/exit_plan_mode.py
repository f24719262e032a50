"""exit_plan_mode: a run has its plan, and goes to work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from ...call import Result
from ..tool import Access, Context, Given, Outcome, Tool, ToolError


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
            if run["mode"] != "plan":
                raise ToolError("not_in_plan_mode", f"The run is not in plan mode, but in {run['mode']}.", mode=run["mode"])
            if run["mode_before_plan"] is None:
                raise ToolError("not_entered", "The run was started in plan mode; it stays there to its end.", mode="plan")
            changes = {"mode": run["mode_before_plan"], "mode_before_plan": None}
            store.revise("agent_run", run_id, {**changes, "allowed_prompts_json": json.dumps(allowed, ensure_ascii=False)})
            return Result(mode=run["mode_before_plan"])

        mode = store.perform(replace(store.call, key=None), work)["mode"]
        return Outcome(f"The run left plan mode; its mode is {mode}.", {"mode": mode, "allowed_prompts": allowed})
