"""enter_plan_mode: from here a run only looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...call import Result
from ..tool import Access, Context, Given, Outcome, Tool, ToolError


class EnterPlanGiven(Given):
    pass


class EnterPlanMode(Tool):
    """Enter plan mode: from here only tools that read are allowed, until exit_plan_mode.

    Use it before work that is not simple: look around, make a plan, then leave with what the plan needs.
    """

    name = "enter_plan_mode"
    group = "planning"
    takes = EnterPlanGiven
    rule_names = ("EnterPlanMode",)
    reads_only = True

    def accesses(self, given: EnterPlanGiven, context: Context) -> Sequence[Access]:
        return ()

    def run(self, given: EnterPlanGiven, context: Context) -> Outcome:
        store, run_id = context.store, context.run_id
        if store is None or run_id is None:
            raise ToolError("no_run", "A mode is that of a run, and there is none: python kaizen.py T5 --summary TEXT")

        def work() -> Result:
            run = store.get("agent_run", run_id)
            if run["mode"] != "plan":
                store.revise("agent_run", run_id, {"mode": "plan", "mode_before_plan": run["mode"], "allowed_prompts_json": None})
            return Result(before=run["mode"])

        before = store.perform(replace(store.call, key=None), work)["before"]
        already = " already" if before == "plan" else ""
        return Outcome(
            f"The run is in plan mode{already}: only tools that read are allowed.", {"mode": "plan", "mode_before": before}
        )
