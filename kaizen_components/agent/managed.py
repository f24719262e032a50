"""Managed: the way of a tool call. Judged, asked about, recorded as begun, carried out, recorded as ended; then the caller hears of it.

    arguments -> schema -> before-hooks -> the gate -> approval -> the run's limits -> record: started
              -> the tool, confined -> record: ended -> after-hooks -> result

No call without a record, no record without a call: what is denied or asked about is recorded as such, and what dies on the way stays
started. The plane is never held while a tool is at work.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import clock, denial, hashing
from ..redaction import mask, scan
from . import records, runs
from .events import shown
from .hooks import Hooks, Said
from .permissions import Judgement
from .registry import NATIVE, ToolRegistry, example
from .tool import Access, Answer, Changed, Context, Outcome, Stop, Tool, ToolError, ToolResult

if TYPE_CHECKING:
    from ..store import Row, Store

# A result up to this size stays with the caller alone; of a larger one a file is kept, up to MOST_KEPT bytes of it.
LARGE, MOST_KEPT = 16_000, 10_000_000
LONGEST_ERROR = 2_000
# So often a call is judged while what it is judged by changes.
MOST_JUDGED = 5
# Where the record of a call that waits for an approval keeps what the approval is for.
JUDGED = "judged_sha256"
# Levels of arguments: no tool takes as many.
DEEPEST = 50
# Groups whose calls may take long: whoever asks the run to stop reaches them.
LONG = frozenset({"bash", "search", "agent", "process"})

# Asked about a call that needs approval: (what is asked, the judgement) -> whether it may go on.
Approver = Callable[[Mapping[str, Any]], bool]


@dataclass(slots=True)
class Session:
    """Tools under management: for one plane, one workspace, and one run or none.

    `approve` decides calls that the gate asks about; without it they wait for an approval in the plane. `ask` answers questions of the
    tool ask_user_question.
    """

    store: Store
    registry: ToolRegistry
    workspace: Path
    cwd: Path | None = None
    run_id: str | None = None
    task_id: str | None = None
    mode: str = "default"
    hooks: Hooks = field(default_factory=Hooks)
    approve: Approver | None = None
    ask: Answer | None = None
    environment: tuple[str, ...] = ()
    stop: Stop = field(default_factory=Stop)

    def call(self, name: str, arguments: Mapping[str, Any], *, event_id: str | None = None) -> ToolResult:
        """Call a tool. A call that is refused or fails is a result as well; Denial is raised for a name that is no tool, and for a run that
        takes no more calls."""
        tool = self.registry.get(name)
        return _Call(self, tool, dict(arguments), event_id).carried_out()

    async def acall(self, name: str, arguments: Mapping[str, Any], *, event_id: str | None = None) -> ToolResult:
        """The same, without blocking the event loop; calls may be under way at once."""
        import asyncio

        from ..store.staying import StayingStore

        # A store is for one thread.
        store = StayingStore(self.store.plane)
        store.call = self.store.call

        def called() -> ToolResult:
            try:
                return replace(self, store=store).call(name, arguments, event_id=event_id)
            finally:
                store.leave()

        return await asyncio.to_thread(called)

    def explain(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the gate would say of a call, without running it: decision, rule, reason, danger, what was parsed. Nothing is recorded."""
        call = _Call(self, self.registry.get(name), dict(arguments), None)
        given, fault = _validated(call.tool, call.arguments)
        if fault is not None:
            raise _arguments_refused(name, fault)
        call.run()
        if (fault := call.unfit(given)) is not None:
            raise _arguments_refused(name, fault)
        judgement = call.judged(given)
        held = call.context.confinement
        return {
            "tool": name,
            "decision": judgement.decision,
            "rule": judgement.rule,
            "reason": judgement.reason,
            "danger": judgement.danger,
            "mode": call.context.mode,
            "mode_source": call.context.mode_source,
            "parsed": judgement.parsed,
            "hooks": [hook.name for hook in call.named_hooks().of("before", name)],
            "network": _has_network(call, judgement),
            "confinement": held.name if held is not None else None,
            "confinement_reason": held.reason if held is not None else None,
        }


def _arguments_refused(name: str, fault: ToolError) -> denial.ToolArguments:
    action = f"See what it takes: python kaizen.py N1 --tool {name}"
    refusal = denial.ToolArguments(action, tool=name, errors=fault.metadata["errors"], message=fault.message)
    refusal.example = example(name, "N3") if name in NATIVE else None
    return refusal


def _has_network(call: _Call, judgement: Judgement) -> bool | None:
    """Whether a command would have the network; None for what is no command."""
    if not tool_is_confined(call.tool):
        return None
    held = call.context.confinement
    return judgement.decision != "deny" and (judgement.network or held is None or held.name == "unconfined")


def tool_is_confined(tool: Tool) -> bool:
    """Whether a tool runs programs of the caller's."""
    return tool.group == "bash"


def arguments_hash(tool: str, arguments: Mapping[str, Any], *, cwd: str | None = None, environment: Sequence[str] = ()) -> str:
    """What an approval is bound to: SHA-256 of the tool's name and its arguments as canonical JSON, and, where they differ from the usual,
    of the folder that paths start at and the variables that commands may see: the same words do something else there."""
    said: dict[str, Any] = {"tool": tool, "arguments": arguments}
    if cwd is not None:
        said["cwd"] = cwd
    if environment:
        said["environment"] = sorted(set(environment))
    return hashing.sha256(hashing.canonical(said))


class _RulesChanged(Exception):
    """The rules are others than those that a call was judged by."""


class _Call:
    """One call on its way."""

    def __init__(self, session: Session, tool: Tool, arguments: dict[str, Any], event_id: str | None) -> None:
        self.session, self.tool, self.arguments, self.event_id = session, tool, arguments, event_id
        # Every unit of a call is written on behalf of the same caller; the last one carries the key.
        self.caller = session.store.call
        self.said: list[Said] = []
        self.approval: str | None = None
        # What a person let pass, as _bound() has it, and how.
        self.passed: tuple[str, str] | None = None

    def carried_out(self) -> ToolResult:
        run = self.run()
        given, fault = self._validated()
        self.hooks = self.named_hooks()
        if fault is None and self.hooks.before:
            given, fault = self._hooked(given)
            # Hooks take their time: what holds now is what stands there now.
            run = self.run()
        if fault is None:
            fault = self.unfit(given)
        if fault is not None:
            judgement = Judgement("deny", fault.metadata.pop("rule", "schema"), fault.message, "safe")
            return self._stopped(run, judgement, "denied", fault.kind, fault.message, fault.metadata)
        for _ in range(MOST_JUDGED):
            judgement = self._decided(given)
            if judgement.decision != "allow":
                status, kind = ("denied", "denied") if judgement.decision == "deny" else ("asked", "approval_required")
                return self._stopped(run, judgement, status, judgement.error_kind or kind, judgement.reason, judgement.metadata)
            try:
                return self._run(given, run, judgement)
            except _RulesChanged:
                run = self.run()
        message = "The rules change while this call is judged; call again."
        judgement = Judgement("deny", "default: rules that change", message, "high")
        return self._stopped(run, judgement, "denied", "rules_changed", message, {})

    # --- before ---------------------------------------------------------------------------------

    def run(self) -> Row | None:
        """The run as it stands now, and the rules in force. Refused where the run takes no more calls."""
        from .permissions import settings

        session, store = self.session, self.session.store
        try:
            run = store.get("agent_run", session.run_id) if session.run_id is not None else None
            if run is not None:
                runs.refuse_more(run, store)
            self.policy = settings.load(session.workspace, store)
            self.context = self._context(run)
        finally:
            store.release()
        return run

    def named_hooks(self) -> Hooks:
        """The session's hooks, then those that settings files name."""
        named = self.policy.hooks
        if not named["before"] and not named["after"]:
            return self.session.hooks
        hooks = Hooks()
        hooks.before, hooks.after = [*self.session.hooks.before], [*self.session.hooks.after]
        for event, entries in named.items():
            for entry in entries:
                options = {name: entry[name] for name in ("tools", "timeout", "source")}
                hooks.add(event, entry["command"], cwd=self.session.workspace, **options)
        return hooks

    def _hooked(self, given: Any) -> tuple[Any, ToolError | None]:
        """Ask the before-hooks: the input that they leave, or the refusal of one."""
        self.said = self.hooks.ask_before(self._payload())
        for said in self.said:
            if said.denied:
                return given, ToolError("denied_by_hook", said.message or "a hook denied it", rule=f"hook {said.name}")
            if said.given is not None:
                self.arguments = dict(said.given)
        if any(said.given is not None for said in self.said):
            return self._validated()
        return given, None

    def _validated(self) -> tuple[Any, ToolError | None]:
        """What the tool takes, or what is wrong with it. Of what no record can hold as it is, the record says so instead."""
        given, fault = _validated(self.tool, self.arguments)
        if fault is not None and fault.kind == "not_json":
            self.arguments = {"not_json": fault.message}
        return given, fault

    def unfit(self, given: Any) -> ToolError | None:
        """What no permission would mend."""
        try:
            self.tool.check(given, self.context)
        except ToolError as fault:
            return fault
        return None

    def _payload(self) -> dict[str, Any]:
        return {
            "tool_name": self.tool.name,
            "tool_input": self.arguments,
            "run_id": self.session.run_id,
            "cwd": str(self.session.cwd or self.session.workspace),
        }

    def _context(self, run: Row | None) -> Context:
        session = self.session
        deadline = None
        if run is not None:
            left = runs.seconds_left(run, session.store)
            deadline = None if left is None else time.monotonic() + left
        context = Context(
            workspace=session.workspace,
            cwd=session.cwd or session.workspace,
            store=session.store,
            run_id=session.run_id,
            task_id=session.task_id or (run["task_id"] if run is not None else None),
            mode=runs.mode_of(run, session.mode),
            protected=self.policy.protected(session.workspace) if tool_is_confined(self.tool) else (),
            hidden=self.policy.hidden() if tool_is_confined(self.tool) else (),
            environment=session.environment,
            ask=session.ask,
            stop=session.stop,
            policy=self.policy,
            session=session,
            deadline=deadline,
        )
        context.mode, context.mode_source = self.policy.mode_in_force(context.mode)
        return context

    def judged(self, given: Any) -> Judgement:
        """What the gate says."""
        from . import confinement
        from .permissions import gate

        if tool_is_confined(self.tool):
            self.context.confinement = confinement.available()
        return gate.authorize(self.tool, given, self.context, self.policy)

    def _decided(self, given: Any) -> Judgement:
        """What the gate says, or a person where it asks. It is judged once more then: what became another call meanwhile is asked about anew."""
        judgement = self.judged(given)
        for _ in range(MOST_JUDGED):
            if judgement.decision != "ask":
                self.approval = None
                return judgement
            bound = self._bound(judgement)
            if self.passed is not None and self.passed[0] == bound:
                return replace(judgement, decision="allow", rule=self.passed[1])
            answer = self._asked(judgement)
            if answer.decision != "allow":
                return answer
            self.passed = (bound, answer.rule)
            judgement = self.judged(given)
        return judgement

    def _asked(self, judgement: Judgement) -> Judgement:
        """Let a person decide: now, or by an approval that waits in the plane."""
        if self.session.approve is not None:
            question = {
                **copy.deepcopy(self._payload()),
                "danger": judgement.danger,
                "rule": judgement.rule,
                "reason": judgement.reason,
            }
            if self.session.approve(question):
                return replace(judgement, decision="allow", rule=f"approved by a person ({judgement.rule})")
            return replace(judgement, decision="deny", rule=f"denied by a person ({judgement.rule})")
        approval = self._approval(judgement)
        if approval is not None:
            self.approval = approval["id"]
            return replace(judgement, decision="allow", rule=f"approval {approval['id']} ({judgement.rule})")
        return judgement

    def _approval(self, judgement: Judgement) -> Row | None:
        """An approval for exactly this call that is neither used nor expired. What the gate says of every part of the call is what it said
        then, and of the same files: the same words may mean others by now."""
        where = {"arguments_sha256": self._hash(), "status": "granted"}
        store, now = self.session.store, clock.now()
        bound = self._bound(judgement)
        try:
            found = [
                row for row in store.list("approval", where) if row["expires_at"] > now and row["run_id"] == self.session.run_id
            ]
            for row in reversed(found):
                asked = store.get("tool_call", row["call_id"])
                if json.loads(asked["metadata_json"] or "{}").get(JUDGED) == bound:
                    return row
        finally:
            store.release()
        return None

    def _bound(self, judgement: Judgement) -> str:
        """SHA-256 of a call as it was judged: its arguments, and what the gate saw behind them. Where the workspace lies is no part of it."""
        return hashing.sha256(json.dumps([self._hash(), _each(judgement.bound, self._local)], sort_keys=True))

    def _hash(self) -> str:
        """What an approval of this call is bound to."""
        session = self.session
        elsewhere = session.cwd is not None and Path(session.cwd) != Path(session.workspace)
        cwd = str(session.cwd) if elsewhere else None
        return arguments_hash(self.tool.name, self.arguments, cwd=cwd, environment=session.environment)

    # --- records --------------------------------------------------------------------------------

    def _local(self, text: str) -> str:
        """A text with the paths of the workspace as they are from there: where it lies is nobody's business."""
        workspace, home = str(self.session.workspace), os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - without a home it stays a text
        spelled = [workspace]
        if workspace.startswith(f"{home}/"):
            spelled.append("~" + workspace.removeprefix(home))
        if not any(one in text for one in spelled):
            return text
        # It is the path itself, not the beginning or the end of a longer one.
        either = "|".join(map(re.escape, spelled))
        return re.sub(rf"(?<![\w./~-])(?:{either})(?:/(?=[^\s/])|(?![\w.-]))", lambda at: "" if at[0][-1] == "/" else ".", text)

    def _said_of_call(self, run: Row | None, judgement: Judgement) -> dict[str, Any]:
        """What the record says of the call before anything came of it."""
        arguments, masked = shown(self.arguments)
        return {
            "tool": self.tool.name,
            "tool_group": self.tool.group,
            "run_id": self.session.run_id,
            "event_id": self.event_id,
            "task_id": self.session.task_id or (run["task_id"] if run is not None else None),
            "arguments_json": json.dumps(arguments, ensure_ascii=False),
            "arguments_sha256": self._hash(),
            "arguments_masked": masked,
            "mode": self.context.mode,
            "decision": judgement.decision,
            "rule": _said(judgement.rule),
            "reason": _said(self._local(judgement.reason)) or None,
            "danger": judgement.danger,
            "approval_id": self.approval,
            "hooks_json": json.dumps(shown([said.record() for said in self.said])[0]) if self.said else None,
        }

    def _stopped(
        self, run: Row | None, judgement: Judgement, status: str, kind: str, message: str, metadata: Mapping[str, Any]
    ) -> ToolResult:
        """A call that does not take place: one record, and the refusal as a result."""
        from ..call import Result

        store = self.session.store
        said = {
            **self._said_of_call(run, judgement),
            "status": status,
            "error_kind": kind,
            "error": _said(self._local(message))[:LONGEST_ERROR],
        }
        if status == "asked":
            said["metadata_json"] = json.dumps({JUDGED: self._bound(judgement)})

        def work() -> Result:
            return Result(id=store.add(records.ToolCall(**said))["id"])

        written = store.perform(replace(self.caller, key=None), work)
        return ToolResult(
            success=False,
            error=message,
            error_kind=kind,
            metadata={**metadata, "arguments_sha256": said["arguments_sha256"]},
            call_id=written["id"],
            decision=judgement.decision,
            rule=judgement.rule,
            danger=judgement.danger,
        )

    def _started(self, run: Row | None, judgement: Judgement) -> str:
        """Write down that the call begins, count it in its run and use up its approval: the call's id.

        Whatever has changed meanwhile is seen here, under the lock: a run that ended, an approval that another call used, rules.
        """
        from ..call import Result
        from .permissions import settings

        store = self.session.store
        said = {
            **self._said_of_call(run, judgement),
            "status": "started",
            "started_at": clock.now(),
            "process": runs.this_process(),
        }

        def work() -> Result:
            if settings.load(self.session.workspace, store) != self.policy:
                raise _RulesChanged
            if self.session.run_id is not None:
                now = store.get("agent_run", self.session.run_id)
                runs.refuse_more(now, store)
                self._refuse_narrower(run, now)
                store.revise("agent_run", now["id"], {"calls": now["calls"] + 1})
            call_id = store.add(records.ToolCall(**said))["id"]
            if self.approval is not None:
                if store.get("approval", self.approval)["status"] != "granted":
                    raise denial.ApprovalRequired(message="The approval was used by another call.", id=self.approval)
                store.revise("approval", self.approval, {"status": "used", "used_by": call_id})
            return Result(id=call_id)

        # Of a call that only looks at files nothing is lost with its record in a power cut: it has no effects, and nobody has heard of it.
        waits = not (self.tool.reads_only and self.tool.group == "file") or self.approval is not None
        return store.perform(replace(self.caller, key=None), work, waits=waits)["id"]

    def _refuse_narrower(self, judged: Row | None, now: Row) -> None:
        """Raise ToolError where the run has taken on a mode that allows less than the one the call was judged in."""
        before, mode = (runs.mode_of(run, self.session.mode) for run in (judged, now))
        if runs.narrower(mode, before) != before:
            message = f"The run is in the mode {mode} since this call was judged; call again."
            raise ToolError("mode_changed", message, mode=mode)

    # --- the call itself ------------------------------------------------------------------------

    def _run(self, given: Any, run: Row | None, judgement: Judgement) -> ToolResult:
        try:
            call_id = self._started(run, judgement)
        except ToolError as fault:
            judgement = replace(judgement, decision="deny", rule=f"mode {fault.metadata['mode']}", reason=fault.message)
            return self._stopped(run, judgement, "denied", fault.kind, fault.message, fault.metadata)
        context = self.context
        context.call_id = call_id
        context.writable, context.hosts, context.network = judgement.writable, judgement.hosts, judgement.network
        # What the gate saw: a link that was changed since then leads nowhere.
        context.granted = tuple(Access(access["way"], access["what"]) for access in judgement.parsed.get("accesses", ()))
        watch = clock.Stopwatch()
        watched = contextlib.nullcontext()
        if run is not None and self.tool.group in LONG:
            watched = runs.watched(self.session.store.plane, run["id"], context.stop)
        try:
            with watched:
                outcome = self.tool.run(given, context)
        except ToolError as fault:
            outcome = Outcome(None, dict(fault.metadata), success=False, error=fault.message, error_kind=fault.kind)
        except denial.Denial as refusal:
            detail = {"code": refusal.code, **refusal.envelope()}
            outcome = Outcome(None, detail, success=False, error=refusal.message, error_kind=refusal.code.lower())
        except Exception as fault:
            # A defect of the tool's: the call has failed, and its record has to say so.
            outcome = Outcome(None, {}, success=False, error=f"{type(fault).__name__}: {fault}", error_kind="defect")
        duration = watch.ms()
        self.session.store.release()
        result = ToolResult(
            success=outcome.success,
            output=outcome.output,
            error=outcome.error,
            error_kind=outcome.error_kind,
            metadata=outcome.metadata,
            duration_ms=duration,
            call_id=call_id,
            decision="allow",
            rule=judgement.rule,
            danger=judgement.danger,
            confinement=dict(outcome.confinement) if outcome.confinement is not None else None,
        )
        self._ended(result, outcome)
        if self.hooks.after:
            self.hooks.tell_after({**self._payload(), "tool_result": result.to_dict()})
        return result

    def _ended(self, result: ToolResult, outcome: Outcome) -> None:
        """Write down what came of the call; with --key, what it answers as well."""
        from ..call import Result

        store = self.session.store
        said, blobs = _came_of(store, outcome, self._local)
        said["duration_ms"] = result.duration_ms
        answer = result.to_dict()
        if "result_blob" in said:
            answer.update(output=None, result_blob=said["result_blob"])

        def work() -> Result:
            for blob in blobs:
                blob.keep()
            store.revise("tool_call", result.call_id or "", said)
            # What a child run spends in tools counts for its parent already.
            if self.session.run_id is not None and self.tool.group != "agent":
                run = store.get("agent_run", self.session.run_id)
                store.revise("agent_run", run["id"], {"tool_ms": run["tool_ms"] + result.duration_ms})
            return Result(finding=not result.success, **answer)

        try:
            written = store.perform(self.caller, work)
            result.receipt = {name: written[name] for name in ("seq", "chain_hash")}
        finally:
            for blob in blobs:
                blob.drop()


# --- what a record says ---------------------------------------------------------------------------


def _not_json(value: Any) -> str | None:
    """Why a value is none that JSON of every reader can hold, or is nested too deeply; None where it is one."""
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > DEEPEST:
            return f"they are nested deeper than {DEEPEST} levels"
        if isinstance(item, str):
            if not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
                return "a text in them holds half of a surrogate pair"
        elif isinstance(item, Mapping):
            if not all(isinstance(name, str) for name in item):
                return "a name in them is no text"
            waiting += [(name, depth) for name in item]
            waiting += [(inner, depth + 1) for inner in item.values()]
        elif isinstance(item, list | tuple):
            waiting += [(inner, depth + 1) for inner in item]
        elif isinstance(item, int | float):
            if not math.isfinite(item) if isinstance(item, float) else abs(item) >= 2**53:
                return "a number in them is too large, or none"
        elif item is not None:
            return f"{type(item).__name__} is nothing that JSON has"
    return None


def _validated(tool: Tool, arguments: Mapping[str, Any]) -> tuple[Any, ToolError | None]:
    """What the tool takes; or what is wrong with it, by the names of the arguments."""
    from pydantic import ValidationError

    why = _not_json(arguments)
    if why is not None:
        message = f"The arguments are no JSON: {why}."
        return None, ToolError("not_json", message, errors=[{"argument": None, "message": message, "type": "not_json"}])
    try:
        return tool.takes.model_validate(dict(arguments)), None
    except ValidationError as fault:
        errors = [
            {"argument": ".".join(map(str, error["loc"])) or None, "message": _in_words(error, tool), "type": error["type"]}
            for error in fault.errors(include_url=False)
        ]
    unknown = [error["argument"] for error in errors if error["type"] == "extra_forbidden"]
    kind = "unknown_argument" if unknown else "bad_argument"
    # Of what lies deeper the place says enough.
    if any("." not in str(argument) for argument in unknown):
        message = f"{tool.name} has no argument {', '.join(map(repr, unknown))}; it takes {', '.join(tool.takes.model_fields) or 'none'}."
    else:
        message = "; ".join(f"{error['argument'] or 'arguments'}: {error['message']}" for error in errors)
    return None, ToolError(kind, message, errors=errors)


# What is needed, by what a schema complains of; {} are the parts of its context.
_NEEDED = {
    "missing": "it is required",
    "extra_forbidden": "there is no such field",
    "string_type": "a text is needed",
    "int_type": "a whole number is needed",
    "bool_type": "true or false is needed",
    "list_type": "a list is needed",
    "literal_error": "one of {expected} is needed",
    "string_too_short": "it is too short; characters needed: {min_length}",
    "string_too_long": "it is too long; characters allowed: {max_length}",
    "too_short": "it has too few entries; needed: {min_length}",
    "too_long": "it has too many entries; allowed: {max_length}",
    "greater_than_equal": "a number of {ge} or more is needed",
    "less_than_equal": "a number of {le} or less is needed",
}
_KINDS = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a decimal number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _in_words(error: Mapping[str, Any], tool: Tool) -> str:
    """What a schema complains of, in words for whoever called."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "model_type":
        fields = tool.json_schema().get("$defs", {}).get(context["class_name"], {}).get("properties", {})
        said = f"an object is needed, with {', '.join(fields)}" if fields else "an object is needed"
    elif kind in _NEEDED:
        said = _NEEDED[kind].format(**context)
    else:
        return str(error["msg"]).removeprefix("Value error, ")
    given = _KINDS.get(type(error["input"]))
    return f"{said}, not {given}" if kind.endswith("_type") and given is not None else said


def _said(text: str) -> str:
    """A text as a record holds it: secrets masked, and nothing in it that cannot be stored."""
    return shown(text, None)[0]


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """A value of JSON with every text in it changed; names stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _each(item, change) for name, item in value.items()}
    return [_each(item, change) for item in value] if isinstance(value, list | tuple) else value


def _came_of(store: Store, outcome: Outcome, local: Callable[[str], str]) -> tuple[dict[str, Any], list[Any]]:
    """(what the record says of an outcome, files to keep for it). `local` leaves out where the workspace lies."""
    from ..store import blobs

    text = outcome.output if isinstance(outcome.output, str) else json.dumps(outcome.output, ensure_ascii=False, default=str)
    data = text.encode("utf-8", "surrogatepass")
    kept = []
    masked, found = mask(text)
    said: dict[str, Any] = {
        "status": "succeeded" if outcome.success else "failed",
        "error": _said(local(outcome.error))[:LONGEST_ERROR] if outcome.error else None,
        "error_kind": outcome.error_kind,
        "result_sha256": _sha256(data),
        "result_bytes": len(data),
        "result_masked": len(found),
    }
    if len(data) > LARGE:
        blob = blobs.stage(store.plane, masked.encode("utf-8", "replace")[:MOST_KEPT])
        kept.append(blob)
        said["result_blob"] = blob.sha256
    if outcome.confinement is not None:
        said["confinement"] = outcome.confinement.get("name")
        said["confinement_json"] = json.dumps(_each(outcome.confinement, local))
    if outcome.files:
        said["files_json"] = json.dumps([_changed(store, change, kept) for change in outcome.files], ensure_ascii=False)
    metadata, _ = shown(_each(outcome.metadata, local))
    if metadata:
        said["metadata_json"] = json.dumps(metadata, ensure_ascii=False, default=str)
    return said, kept


def _changed(store: Store, change: Changed, kept: list[Any]) -> dict[str, Any]:
    """What the record says of a file that was changed; its diff is a file of its own."""
    from ..store import blobs

    said: dict[str, Any] = {"path": _said(change.path), "before": change.before, "after": change.after, "diff": None}
    if change.diff:
        blob = blobs.stage(store.plane, _masked_diff(change.diff).encode("utf-8", "replace")[:MOST_KEPT])
        kept.append(blob)
        said["diff"] = blob.sha256
    return said


def _masked_diff(diff: str) -> str:
    """A diff with its secrets masked. The sign that each line begins with belongs to no secret, and hides none; lines stay lines."""
    lines = diff.split("\n")
    signs, text = [line[:1] for line in lines], "\n".join(line[1:] for line in lines)
    while left := scan(text, personal=False):
        pieces, end = [], 0
        for found in left:
            hidden = text[max(found.start, end) : found.end]
            if found.start >= end:
                pieces += [text[end : found.start], f"[REDACTED:{found.kind}]"]
            pieces.append("\n" * hidden.count("\n"))
            end = max(end, found.end)
        text = "".join(pieces) + text[end:]
    return mask("\n".join(sign + line for sign, line in zip(signs, text.split("\n"), strict=True)))[0]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
