"""Command: the runner that hands a run to a program and talks with it in JSON lines, one object a line.

To the program comes first

    {"type": "run", "run_id", "prompt", "agent_type", "model", "mode", "limits": {"calls": 10, ...} or {}, "workspace", "tools": [names], "state"}

It says what happens, as events (agent/events.py), each {"type": "message", "content": "..."} and so on; and it asks for what it needs:

    {"type": "call_tool", "id", "tool", "arguments"}   -> {"type": "tool_result", "id", "result": {"success", "output", "error", ...}}
    {"type": "tools", "id", "style"}                   -> {"type": "tools", "id", "tools": [schemas]}
    {"type": "reserve", "id", "cost_usd"}              -> {"type": "reserved", "id"}; where that is more than is left, the run ends
    {"type": "checkpoint", "id", "name", "state"}      -> {"type": "checkpoint", "id", "checkpoint_id"}
    {"type": "result", "status", "output", "proof_ids", "reason"}   the end; status is one of the endings of runs

What is refused is answered with {"type": "refused", "id", "code", "message", "required_action", "detail"}. {"type": "interrupt", "how", "reason"} asks it to end.
Tools are called for it under the permissions of the run; a limit, a deadline and an interrupt are held by Kaizen, not by the program.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ... import denial, process
from ...fields import shorten
from .. import checkpoints, events, records, runs
from ..permissions import settings
from ..registry import STYLES
from . import Ending, Order, Program

# All that a program may say, the lines of it that may be refused, and what of its stderr stands in a reason.
MOST_SAID, MOST_REFUSED, MOST_STDERR = 128_000_000, 100, 500
# Variables that a program needs to find the plane.
NEEDED = ("KAIZEN_REPO_ROOT", "KAIZEN_DB_ENGINE", "KAIZEN_CLOCK", "KAIZEN_ID_SEED")
# Seconds for a program to end by itself when its stdin is closed, where it has to end at once.
AT_ONCE = 0.1


class Command:
    """Carries out runs with a program from the settings."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.name = program.name

    def carry_out(self, order: Order) -> Ending:
        argv = _argv(self.program, order)
        try:
            dialogue = process.Dialogue(argv, cwd=order.session.workspace, env=_environment(self.program, order), most=MOST_SAID)
        except process.NotStarted as fault:
            return Ending("failed", reason=f"{argv[0]} could not be started: {fault}")
        talk = _Talk(order, self.program, dialogue)
        patience = 1.0
        try:
            with talk.guarded():
                ending = talk.until_the_end()
            patience = AT_ONCE if talk.cause else 1.0
            return ending
        except BaseException:
            patience = AT_ONCE
            raise
        finally:
            dialogue.end(patience)


def _argv(program: Program, order: Order) -> list[str]:
    """The command line. A program that is named with a folder is taken from the workspace, any other is looked for."""
    first = program.command[0]
    if "/" in first or os.sep in first:
        first = str(order.session.workspace / first)
    return [shutil.which(first) or first, *program.command[1:]]


def _environment(program: Program, order: Order) -> dict[str, str]:
    """What a program needs to run, and the variables that its entry names; no other credential."""
    named = {name: os.environ[name] for name in program.environment if name in os.environ}
    return process.environment(*NEEDED, KAIZEN_RUN_ID=order.run_id, **named)


class _Talk:
    """One run's talk with its program."""

    def __init__(self, order: Order, program: Program, dialogue: process.Dialogue) -> None:
        self.order, self.program, self.dialogue = order, program, dialogue
        self.refused = 0
        # Why it is to end, as the guard says: timeout, interrupted or ended; how, and why in words.
        self.cause: str | None = None
        self.how, self.reason = "now", ""
        self._told: float | None = None
        self._lines: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._over = threading.Event()

    # --- watching -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """While it lasts, the program is listened to, and somebody looks whether the run is to end."""
        reader = threading.Thread(target=self._read, daemon=True)
        guard = threading.Thread(target=self._guard, args=(self._deadline(),), daemon=True)
        reader.start()
        guard.start()
        try:
            yield
        finally:
            self._over.set()
            guard.join()

    def _read(self) -> None:
        while True:
            try:
                line = self.dialogue.line()
            except (process.Flooded, OSError, ValueError) as fault:
                self._lines.put(fault)
                return
            self._lines.put(line)
            if line is None:
                return

    def _deadline(self) -> tuple[float, str]:
        """(when the time is over, by time.monotonic(); which limit says so)."""
        try:
            left = runs.seconds_left(self.order.store.get("agent_run", self.order.run_id), self.order.store)
        finally:
            self.order.store.release()
        if left is not None and left < self.program.timeout:
            return time.monotonic() + left, "the run's time is over"
        return time.monotonic() + self.program.timeout, f"the program had {self.program.timeout:g} seconds"

    def _guard(self, until: tuple[float, str]) -> None:
        """Look some times a second whether the run is to end; what it runs hears of it at once."""
        watch = runs.Watch(self.order.store.plane, self.order.run_id)
        while not self._over.wait(runs.LOOK) and self.how_it_is() != "now":
            asked = self.order.stop
            # A plane that is held for long is asked again.
            with contextlib.suppress(denial.Denial):
                watch.look()
            if time.monotonic() >= until[0]:
                self._ends("timeout", "now", until[1])
            elif watch.said is not None:
                self._ends(watch.said, watch.how or "now", watch.reason or "it was asked to stop")
            elif asked is not None and asked.asked:
                self._ends("interrupted", "now" if asked.now else "graceful", "its caller was asked to stop")

    def how_it_is(self) -> str | None:
        """now or graceful once the run is to end."""
        return self.how if self.cause else None

    def _ends(self, cause: str, how: str, reason: str) -> None:
        self.how, self.reason = how, reason
        self.cause = cause
        self.order.session.stop.ask(now=how == "now")

    # --- talking --------------------------------------------------------------------------------

    def until_the_end(self) -> Ending:
        """Say what is to be done, and listen until there is an ending."""
        self._say(**self._beginning())
        while True:
            ending = self._stopping()
            if ending is not None:
                return ending
            try:
                line = self._lines.get(timeout=runs.LOOK)
            except queue.Empty:
                continue
            if isinstance(line, Exception):
                return Ending("failed", reason=f"the program said more than {MOST_SAID} bytes")
            ending = self._silent() if line is None else self._heard(line)
            if ending is not None:
                return ending
            if self.refused > MOST_REFUSED:
                return Ending("failed", reason=f"more than {MOST_REFUSED} lines of the program were refused")

    def _stopping(self) -> Ending | None:
        """The ending of a run that is to end; a program that was asked gracefully has some seconds for its own."""
        if self.cause is None:
            return None
        status = "timeout" if self.cause == "timeout" else "interrupted"
        if self.how == "now":
            return Ending(status, reason=self.reason)
        if self._told is None:
            self._told = time.monotonic()
            self._say(type="interrupt", how=self.how, reason=self.reason)
        if time.monotonic() - self._told >= self.program.grace:
            return Ending(status, reason=self.reason)
        return None

    def _silent(self) -> Ending:
        """The ending of a program that has closed its stdout."""
        code = self.dialogue.exit_code(1.0)
        if self.cause is not None:
            return Ending("interrupted", reason=self.reason)
        said = self.dialogue.stderr.last(MOST_STDERR).decode("utf-8", "replace").strip()
        how = "without ending" if code is None else f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        return Ending("failed", reason=f"the program stopped talking {how} and gave no result" + (f": {said}" if said else ""))

    def _beginning(self) -> dict[str, Any]:
        order, store = self.order, self.order.store
        try:
            run = store.get("agent_run", order.run_id)
            left = runs.left(store, run)
            mode, _ = settings.load(order.session.workspace, store).mode_in_force(run["mode"])
        finally:
            store.release()
        return {
            "type": "run",
            "run_id": order.run_id,
            "prompt": order.prompt,
            "agent_type": order.agent_type,
            "model": order.model,
            "mode": mode,
            "limits": left,
            "workspace": str(order.session.workspace),
            "tools": order.session.registry.names(),
            "state": order.state,
        }

    def _say(self, **message: Any) -> None:
        """Write a line to the program. Where nobody listens, its stdout will be closed as well."""
        with contextlib.suppress(OSError, ValueError):
            self.dialogue.say(json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace"))

    # --- what it says ---------------------------------------------------------------------------

    def _heard(self, line: bytes) -> Ending | None:
        """Do what a line of the program asks for; the ending where it is one."""
        if not line.strip():
            return None
        message: dict[str, Any] = {}
        try:
            message = _parsed(line)
            kind = message.pop("type")
            if kind == "result":
                return self._result(message)
            if kind in events.FIELDS:
                self.order.tell(kind, **message)
                return None
            if kind not in self.REQUESTS:
                raise denial.SchemaEnum(
                    f"Use one of: {', '.join([*events.FIELDS, *self.REQUESTS, 'result'])}.", field="type", value=shorten(kind)
                )
            work, takes = self.REQUESTS[kind]
            _refuse_others(message, takes)
            work(self, message)
        except (denial.RunEnded, denial.RunLimit):
            raise
        except denial.Denial as refusal:
            if isinstance(refusal, denial.RunInterrupted) and refusal.detail["how"] == "now":
                raise
            self.refused += 1
            said = {"message": refusal.message, "required_action": refusal.required_action, "detail": refusal.detail}
            self._say(type="refused", id=message.get("id"), code=refusal.code, **denial.masked(said))
        return None

    def _result(self, message: dict[str, Any]) -> Ending:
        _refuse_others(message, ("id", "status", "output", "proof_ids", "reason"))
        status, proofs, reason = message.get("status"), message.get("proof_ids") or [], message.get("reason")
        if status not in records.ENDINGS:
            allowed = list(records.ENDINGS)
            raise denial.SchemaEnum(f"Use one of: {', '.join(allowed)}.", field="status", value=shorten(status), allowed=allowed)
        if not isinstance(proofs, list) or not all(isinstance(one, str) for one in proofs):
            raise denial.SchemaFieldType(field="proof_ids", expected="a list of ids")
        if reason is not None and not isinstance(reason, str):
            raise denial.SchemaFieldType(field="reason", expected="a text")
        if self.cause is not None:
            # Whatever it says: it was stopped.
            return Ending("interrupted", message.get("output"), self.reason)
        return Ending(status, message.get("output"), reason, proofs)

    def _call_tool(self, message: dict[str, Any]) -> None:
        order, store = self.order, self.order.store
        name, arguments = message.get("tool"), message.get("arguments", {})
        if not isinstance(name, str):
            raise denial.SchemaFieldType(field="tool", expected="a text")
        if not isinstance(arguments, dict):
            raise denial.SchemaFieldType(field="arguments", expected="a JSON object")
        # Before the event: a call that would break a limit does not even begin.
        try:
            runs.refuse_more(store.get("agent_run", order.run_id), store)
        finally:
            store.release()
        order.session.registry.get(name)
        event = order.tell("tool_use", tool_name=name, input=arguments)
        result = order.session.call(name, arguments, event_id=event.id).to_dict()
        order.tell("tool_result", tool_call_id=result["call_id"], tool_name=name, result=result)
        self._say(type="tool_result", id=message.get("id"), result=result)

    def _tools(self, message: dict[str, Any]) -> None:
        style = message.get("style", "json-schema")
        if style not in STYLES:
            raise denial.SchemaEnum(
                f"Use one of: {', '.join(STYLES)}.", field="style", value=shorten(style), allowed=list(STYLES)
            )
        self._say(type="tools", id=message.get("id"), tools=self.order.session.registry.schemas(style))

    def _reserve(self, message: dict[str, Any]) -> None:
        store, cost = self.order.store, message.get("cost_usd")
        if not isinstance(cost, int | float) or isinstance(cost, bool) or not cost >= 0:
            raise denial.SchemaFieldType(field="cost_usd", expected="a number of 0 or more")
        try:
            runs.refuse_cost(store.get("agent_run", self.order.run_id), cost, store)
        finally:
            store.release()
        self._say(type="reserved", id=message.get("id"))

    def _checkpoint(self, message: dict[str, Any]) -> None:
        name = message.get("name")
        if name is not None and not isinstance(name, str):
            raise denial.SchemaFieldType(field="name", expected="a text")
        row = checkpoints.kept(self.order.store, self.order.run_id, name=name, state=message.get("state"))
        self._say(type="checkpoint", id=message.get("id"), checkpoint_id=row["id"])

    REQUESTS: dict[str, tuple[Callable[[_Talk, dict[str, Any]], None], tuple[str, ...]]] = {
        "call_tool": (_call_tool, ("id", "tool", "arguments")),
        "tools": (_tools, ("id", "style")),
        "reserve": (_reserve, ("id", "cost_usd")),
        "checkpoint": (_checkpoint, ("id", "name", "state")),
    }


def _parsed(line: bytes) -> dict[str, Any]:
    """A line as an object with a type."""
    try:
        message = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as fault:
        raise denial.JsonInvalid(reason=str(fault)) from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise denial.PayloadType(message="A line is an object with a type.")
    return message


def _refuse_others(message: Mapping[str, Any], takes: tuple[str, ...]) -> None:
    unknown = [name for name in message if name not in takes]
    if unknown:
        raise denial.SchemaUnknownFields(fields=unknown, allowed=list(takes))
