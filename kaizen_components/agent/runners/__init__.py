"""Runners: what carries out a run, by name.

`echo` says what it was told. Any other name stands in `.kaizen/settings.json` (of the user, the workspace, or
`.kaizen/settings.local.json`, the later before the earlier), as a program that is talked with in JSON lines:

    {"runners": {"NAME": {"command": ["program", "argument"], "agent_types": ["reviewer"], "timeout": 600, "grace": 10,
                          "environment": ["OPENAI_API_KEY"]}}}

A runner says how its run ended; carry_out() writes it down, and a run that is said to be completed without a proof that fits ends as
unverified.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ... import denial
from ...fields import shorten
from ...hashing import sha256
from ...redaction import mask
from .. import checkpoints, events, records, runs

if TYPE_CHECKING:
    from ...store import Row, Store
    from ..managed import Session
    from ..tool import Stop

SETTINGS = (".kaizen/settings.json", ".kaizen/settings.local.json")
KEYS = ("command", "agent_types", "timeout", "grace", "environment")
# Seconds that a program has in all, and after it was asked to stop.
TIMEOUT, GRACE = 3_600.0, 10.0
LONGEST_REASON = 2_000


@dataclass(slots=True)
class Order:
    """What a runner is to carry out: the run, what it is for, and the session by which it calls tools."""

    store: Store
    run_id: str
    prompt: str
    session: Session
    agent_type: str | None = None
    model: str | None = None
    # What the checkpoint holds from which the run goes on.
    state: Any = None
    # Asked when the caller is to stop.
    stop: Stop | None = None

    def run(self) -> Row:
        """The run as it stands now."""
        try:
            return self.store.get("agent_run", self.run_id)
        finally:
            self.store.release()

    def tell(self, kind: str, *, tool_call_id: str | None = None, **data: Any) -> events.Event:
        """Write down an event of the run."""
        return events.tell(self.store, self.run_id, kind, tool_call_id=tool_call_id, **data)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, as its runner says: a status of records.ENDINGS, what came of it, why, and the proofs that it names."""

    status: str
    output: Any = None
    reason: str | None = None
    proof_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """How a run ended, as it is recorded."""

    run: Row
    output: Any = None
    # What kept the run open, where it did not end.
    kept_open: str | None = None

    @property
    def status(self) -> str:
        return self.run["status"]


class Runner(Protocol):
    """Carries out runs."""

    name: str

    def carry_out(self, order: Order) -> Ending:
        """Do it, and say how it ended. It may raise RunLimit, RunInterrupted and RunEnded as they come."""
        ...


@dataclass(frozen=True, slots=True)
class Program:
    """A program from the settings that carries out runs."""

    name: str
    command: tuple[str, ...]
    source: str
    agent_types: tuple[str, ...] = ()
    timeout: float = TIMEOUT
    grace: float = GRACE
    environment: tuple[str, ...] = field(default=())


# --- by name --------------------------------------------------------------------------------------


def chosen(agent_type: str, workspace: Path, home: Path | None = None) -> Runner:
    """The runner of a kind of agent: echo, a program of that name, or one that says it is for that kind. Raises RunnerUnknown."""
    if agent_type == "echo":
        from .echo import Echo

        return Echo()
    programs = configured(workspace, home)
    program = _meant(agent_type, programs)
    if program is None:
        raise denial.RunnerUnknown(
            message=f"Nothing here carries out agents of the type {shorten(agent_type)!r}.",
            agent_type=agent_type,
            runners=["echo", *programs],
        )
    from .command import Command

    return Command(program)


def command_of(agent_type: str, workspace: Path) -> str | None:
    """The command line that would be run for a kind of agent; None for echo, and where nothing is for that kind. Raises SettingsInvalid."""
    program = None if agent_type == "echo" else _meant(agent_type, configured(workspace))
    return None if program is None else shlex.join(program.command)


def _meant(agent_type: str, programs: Mapping[str, Program]) -> Program | None:
    return programs.get(agent_type) or next((one for one in programs.values() if agent_type in one.agent_types), None)


def configured(workspace: Path, home: Path | None = None) -> dict[str, Program]:
    """The programs that the settings name. Raises SettingsInvalid."""
    found: dict[str, Program] = {}
    files = [(home or Path.home()) / SETTINGS[0], *(workspace / name for name in SETTINGS)]
    for path in dict.fromkeys(files):
        for name, entry in _entries(path).items():
            found[name] = _program(path, name, entry)
    return found


def _entries(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise denial.SettingsInvalid(path=str(path), reason=str(fault)) from None
    try:
        read = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as fault:
        raise denial.SettingsInvalid(path=str(path), reason=str(fault)) from None
    runners = read.get("runners", {}) if isinstance(read, dict) else None
    if not isinstance(runners, dict):
        raise denial.SettingsInvalid(path=str(path), reason="`runners` is no object: name -> {command, ...}")
    return runners


def _program(path: Path, name: str, entry: Any) -> Program:
    def refuse(reason: str) -> denial.SettingsInvalid:
        return denial.SettingsInvalid(path=str(path), reason=f"runner {name!r}: {reason}")

    if not isinstance(entry, dict):
        raise refuse("it is no object")
    unknown = [key for key in entry if key not in KEYS]
    if unknown:
        raise refuse(f"it takes {', '.join(KEYS)}, not {', '.join(unknown)}")
    lists = {key: entry.get(key, []) for key in ("command", "agent_types", "environment")}
    for key, words in lists.items():
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise refuse(f"{key} is no list of words")
    if name == "echo" or not lists["command"]:
        raise refuse("echo is built in" if name == "echo" else "it has no command")
    numbers = {key: entry.get(key, default) for key, default in (("timeout", TIMEOUT), ("grace", GRACE))}
    for key, number in numbers.items():
        fits = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        if not fits or not 0 <= number <= 86_400 * 365:
            raise refuse(f"{key} is no number of seconds")
    return Program(name=name, source=str(path), **{key: tuple(words) for key, words in lists.items()}, **numbers)


# --- beginning ------------------------------------------------------------------------------------


def begin(
    store: Store,
    prompt: str,
    agent_type: str,
    runner: str,
    *,
    summary: str | None = None,
    parent_run_id: str | None = None,
    resume: str | None = None,
    **values: Any,
) -> tuple[Row, Any]:
    """Start a run for a runner: (its row, the state of the checkpoint that it goes on from). In a unit of work.

    `resume` is a checkpoint, or a run whose last one is meant; `values` are further fields of AgentRun, of which a run that goes on takes
    its mode and its limits.
    """
    state = None
    if resume is None:
        shown = mask(summary or shorten(" ".join(prompt.split()), 200))[0]
        run = records.AgentRun(summary=shown, agent_type=agent_type, runner=runner, parent_run_id=parent_run_id, **values)
        row = runs.start(store, run)
    else:
        limits = {name: value for name, value in values.items() if name in runs.LIMITS.values()}
        checkpoint_id = checkpoints.last_of(store, resume)["id"] if store.kind_of(resume) == "agent_run" else resume
        row, checkpoint = checkpoints.resume(
            store, checkpoint_id, parent_run_id=parent_run_id, mode=values.get("mode"), runner=runner, limits=limits
        )
        state = json.loads(checkpoint["state_json"])
    if parent_run_id is not None:
        metadata = {"run_id": row["id"], "summary": row["summary"], "runner": row["runner"]}
        events.add(store, parent_run_id, "subagent_spawn", {"subagent_type": agent_type, "metadata": metadata})
    return row, state


# --- carrying out ---------------------------------------------------------------------------------


def carry_out(order: Order, runner: Runner) -> Carried:
    """Let a runner carry out a run that has begun, and write down how it ended. Whatever happens, the run does not stay behind open,
    but for children of its own that do."""
    try:
        metadata = {"runner": runner.name, "prompt": order.prompt, "process": runs.this_process()}
        order.tell("started", execution_id=order.run_id, metadata=metadata)
        ending = runner.carry_out(order)
    except denial.RunEnded:
        return Carried(order.run())
    except denial.RunLimit as refusal:
        ending = Ending(refusal.detail.get("ending", "budget_exceeded"), reason=refusal.message)
    except denial.RunInterrupted as refusal:
        ending = Ending("interrupted", reason=refusal.detail.get("reason") or refusal.message)
    except denial.Denial as refusal:
        ending = Ending("failed", reason=f"{refusal.code}: {refusal.message}")
    except Exception as fault:
        ending = Ending("failed", reason=f"{type(fault).__name__}: {fault}")
    except BaseException:
        # A person interrupts the whole program.
        _finished(order, Ending("interrupted", reason="Kaizen was interrupted"))
        raise
    return _finished(order, ending)


def give_up(order: Order, reason: str) -> None:
    """End a run that nobody could begin to carry out, as failed."""
    _finished(order, Ending("failed", reason=reason))


def _finished(order: Order, ending: Ending) -> Carried:
    if ending.status not in records.ENDINGS:
        ending = replace(ending, status="failed", reason=f"its runner says {shorten(ending.status)}, which is no ending")
    if not all(isinstance(one, str) and one.isascii() and one.isprintable() for one in ending.proof_ids):
        status = "unverified" if ending.status == "completed" else ending.status
        ending = replace(
            ending, status=status, proof_ids=(), reason=f"It names a proof that is none. {ending.reason or ''}".strip()
        )
    reason = events.shown(str(ending.reason), None)[0][:LONGEST_REASON] if ending.reason else None
    # Whatever it said last: the run ends.
    with contextlib.suppress(denial.Denial):
        _said_last(order, ending, reason)
    try:
        return Carried(_ended(order, ending.status, reason, ending.proof_ids), ending.output)
    except (denial.RunUnproved, denial.ProofUnfit, denial.RecordNotFound, denial.ReferenceNotFound) as refusal:
        why = refusal.message + (f" {reason}" if reason else "")
        return Carried(_ended(order, "unverified", why, ()), ending.output)
    except denial.RunChildrenOpen as refusal:
        return Carried(order.run(), ending.output, f"{refusal.message} {', '.join(refusal.detail['children'])}")
    except (denial.RunLimit, denial.RunInterrupted) as refusal:
        # Whatever it says of itself: it went too far, or was to stop.
        why = refusal.message + (f" {reason}" if reason else "")
        return _finished(order, Ending(refusal.detail["ending"], ending.output, reason=why))
    except denial.RunEnded:
        return Carried(order.run(), ending.output)


def _ended(order: Order, status: str, reason: str | None, proof_ids: Sequence[str]) -> Row:
    from ...call import Result

    store, rows = order.store, []

    def work() -> Result:
        rows.append(runs.finish(store, order.run_id, status, reason=reason, proof_ids=proof_ids)[0])
        return Result(id=order.run_id)

    store.perform(replace(store.call, key=None, writes=True), work)
    return rows[0]


def _said_last(order: Order, ending: Ending, reason: str | None) -> None:
    """The last event, with what came of the run: completed, or error with the reason, where the runner has not said so itself."""
    try:
        last = order.store.list("agent_event", {"run_id": order.run_id}, limit=1, columns=("type",))
        run = order.store.get("agent_run", order.run_id)
    finally:
        order.store.release()
    if last and last[0]["type"] in ("completed", "error"):
        return
    more: dict[str, Any] = {} if ending.output is None else {"metadata": _kept(ending.output)}
    if ending.status in ("completed", "unverified"):
        order.tell("completed", cycles=run["cycles"], total_cost_usd=run["cost_usd"], **more)
    else:
        order.tell("error", error=reason or ending.status, **more)


def _kept(output: Any) -> dict[str, Any]:
    """What the last event holds of an output: of a large one, its size and hash."""
    try:
        text = json.dumps(output, ensure_ascii=False, default=str, allow_nan=False)
    except (ValueError, RecursionError) as fault:
        return {"output_unreadable": shorten(fault)}
    if len(text) > events.LONGEST_TEXT:
        return {"output_bytes": len(text.encode("utf-8", "replace")), "output_sha256": sha256(text)}
    return {"output": json.loads(text)}


async def execute_stream(
    session: Session, prompt: str, *, agent_type: str, summary: str | None = None, **limits: Any
) -> AsyncIterator[events.Event]:
    """Start a run, let its runner carry it out, and yield its events as they come:

        async for event in execute_stream(session, "Look at the tests.", agent_type="echo"): ...

    The run is a child of the session's run, where that has one; `limits` are max_calls, max_cost_usd and so on. Whoever stops listening
    stops the run.
    """
    import asyncio

    from ...call import Result
    from ...store import Store

    store, rows = session.store, []
    runner = chosen(agent_type, session.workspace)

    def work() -> Result:
        values = {"task_id": session.task_id, "mode": session.mode, **limits}
        row, _ = begin(store, prompt, agent_type, runner.name, summary=summary, parent_run_id=session.run_id, **values)
        rows.append(row)
        return Result(id=row["id"])

    store.perform(replace(store.call, key=None, writes=True), work)
    own = Store(store.plane)
    own.call = store.call
    run_id = rows[0]["id"]
    order = Order(own, run_id, prompt, replace(session, store=own, run_id=run_id, mode="default"), agent_type, rows[0]["model"])
    carried = asyncio.create_task(asyncio.to_thread(carry_out, order, runner))
    try:
        async for event in events.follow(store, run_id):
            yield event
    finally:
        if not carried.done():
            with contextlib.suppress(denial.RunEnded):
                ask_to_stop(store, run_id, "nobody listens any more")
        await carried


def ask_to_stop(store: Store, run_id: str, reason: str) -> None:
    """Ask a run to stop at once, in a unit of its own."""
    from ...call import Result

    def work() -> Result:
        runs.interrupt(store, run_id, "now", reason)
        return Result(id=run_id)

    store.perform(replace(store.call, key=None, writes=True), work)
