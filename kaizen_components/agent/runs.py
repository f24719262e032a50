"""Runs: what a run may still do, what it and its children used up, how it is asked to stop, and how it ends.

Every function takes an open Store; those that write belong into a unit of work (an operation, or store.perform).

What a child uses counts for its ancestors as well. A call is refused before it would break a limit of the run or of one of
its ancestors; tool time and wall time also end a call that is under way.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .. import clock, denial
from . import records

if TYPE_CHECKING:
    from ..paths import Plane
    from ..store import Row, Store
    from .tool import Stop

# What is used up -> the limit on it.
LIMITS = {
    "calls": "max_calls",
    "cycles": "max_cycles",
    "tool_ms": "max_tool_ms",
    "wall_ms": "max_wall_ms",
    "cost_usd": "max_cost_usd",
}
# What adds up over a run and its children; time on the clock does not.
ADDED = ("calls", "cycles", "tool_ms", "cost_usd")
# How a run ends that has used up a limit.
ENDING = {"max_cycles": "max_cycles", "max_wall_ms": "timeout"}
# Modes, each allowing no more than the next.
WIDTH = ("deny-all", "plan", "default", "accept-edits", "bypass")
# Endings that also end the children that are still open: whoever stops a run, or whose time is over, stops what it began.
CASCADING = ("interrupted", "timeout")
# Endings that say of a run that it did what it was for.
SUCCESSES = ("completed", "unverified")
# Seconds between two looks at whether somebody asked a run to stop, and the longest without a look at the run itself.
LOOK, RARELY = 0.05, 5.0


# --- the tree of runs -----------------------------------------------------------------------------


def ancestors(store: Store, run: Row) -> list[Row]:
    """The run that started it, the one that started that, and so on."""
    found: list[Row] = []
    while (parent := (found[-1] if found else run)["parent_run_id"]) is not None:
        found.append(store.get("agent_run", parent))
    return found


def children(store: Store, run_id: str) -> list[Row]:
    """The runs that it started, oldest first."""
    return store.list("agent_run", {"parent_run_id": run_id}, order="created_seq")


def descendants(store: Store, run_id: str) -> list[Row]:
    """Its children, and theirs, and so on."""
    found = children(store, run_id)
    for one in found:
        found += children(store, one["id"])
    return found


# --- limits ---------------------------------------------------------------------------------------


def used(store: Store, run: Row) -> dict[str, Any]:
    """What a run and its descendants used up: calls, cycles, tool_ms, cost_usd; and wall_ms of its own."""
    tree = [run, *descendants(store, run["id"])]
    totals: dict[str, Any] = {name: sum(one[name] for one in tree) for name in ADDED}
    totals["cost_usd"] = round(totals["cost_usd"], 12)
    return {**totals, "wall_ms": wall_ms(run)}


def wall_ms(run: Row) -> int:
    """Milliseconds from its start to its end, or until now; 0 under KAIZEN_CLOCK."""
    if clock.is_fixed() or run["started_at"] is None:
        return 0
    end = clock.moment() if run["ended_at"] is None else clock.datetime.fromisoformat(run["ended_at"])
    return max(int((end - clock.datetime.fromisoformat(run["started_at"])).total_seconds() * 1000), 0)


def left(store: Store, run: Row) -> dict[str, Any]:
    """What a run may still use up, by what is used; of what has no limit, nothing is said. Never below 0."""
    limited = {name: run[limit] for name, limit in LIMITS.items() if run[limit] is not None}
    if not limited:
        return {}
    totals = used(store, run)
    return {name: max(round(most - totals[name], 12), 0) for name, most in limited.items()}


def refuse_more(run: Row, store: Store | None = None) -> None:
    """Refuse a further tool call of a run that has ended, was asked to stop, or whose next call would break a limit; with a
    store, also of a run one of whose ancestors is in such a case. Raises RunEnded, RunInterrupted, RunLimit."""
    _refuse_stopped(run, store)
    lineage = [run] if store is None else [run, *ancestors(store, run)]
    for one in lineage[1:]:
        _refuse_stopped(one, store)
    for one in lineage:
        remaining = left(store, one) if store is not None else _left_alone(one)
        for name in ("wall_ms", "calls", "tool_ms", "cost_usd"):
            if remaining.get(name) == 0:
                raise limit_reached(one, name)


def refuse_cost(run: Row, cost_usd: float, store: Store) -> None:
    """Refuse something that will cost so much, where the run or an ancestor has less left. Raises as refuse_more does."""
    refuse_more(run, store)
    for one in (run, *ancestors(store, run)):
        remaining = left(store, one).get("cost_usd")
        if remaining is not None and cost_usd > remaining:
            raise limit_reached(one, "cost_usd", asked=cost_usd)


def refuse_cycle(run: Row, step: int, store: Store) -> None:
    """Refuse to begin a cycle beyond what the run or an ancestor may have."""
    ahead = step - run["cycles"]
    for one in (run, *ancestors(store, run)):
        remaining = left(store, one).get("cycles")
        if remaining is not None and ahead > remaining:
            raise limit_reached(one, "cycles", asked=step)


def overdrawn(store: Store, run: Row) -> str | None:
    """What a run has used more of than it may, itself or through its children: wall_ms, calls, tool_ms, cycles or cost_usd; None where
    it kept within its limits. To have used up all of one is to keep within it."""
    limited = [name for name in ("wall_ms", "calls", "tool_ms", "cycles", "cost_usd") if run[LIMITS[name]] is not None]
    totals = used(store, run) if limited else {}
    return next((name for name in limited if totals[name] > run[LIMITS[name]]), None)


def ending_of(store: Store, run: Row) -> str | None:
    """How an open run has to end that was asked to stop or went over a limit; None for one that may end completed."""
    if run["interrupt"] is not None:
        return "interrupted"
    name = overdrawn(store, run)
    return None if name is None else ENDING.get(LIMITS[name], "budget_exceeded")


def given_again(run: Row, names: Sequence[str]) -> str:
    """Flags of T18 that give a run that goes on as much as this one had, of what is named."""
    flags = [(LIMITS[name].replace("_", "-"), run[LIMITS[name]]) for name in names]
    return "".join(f" --{flag} {_plain(most) if most else 'NUMBER'}" for flag, most in flags)


def _plain(number: float) -> str:
    return f"{number:.12g}" if isinstance(number, float) else str(number)


def limit_reached(run: Row, name: str, **detail: Any) -> denial.RunLimit:
    """The refusal of what would break a limit."""
    limit = LIMITS[name]
    ending = ENDING.get(limit, "budget_exceeded")
    return denial.RunLimit(
        f"Finalize it: python kaizen.py T8 --id {run['id']} --status {ending} --reason TEXT",
        message=f"The run has used up what it may: {limit.replace('_', '-')} is {_plain(run[limit])}.",
        id=run["id"],
        limit=limit,
        allowed=run[limit],
        ending=ending,
        **detail,
    )


def seconds_left(run: Row, store: Store | None = None) -> float | None:
    """Seconds that a call of a run may take, by its limits on wall time and tool time, and with a store by those of its
    ancestors; None without a limit."""
    lineage = [run] if store is None else [run, *ancestors(store, run)]
    remaining = [left(store, one) if store is not None else _left_alone(one) for one in lineage]
    times = [one[name] for one in remaining for name in ("wall_ms", "tool_ms") if name in one]
    return min(times) / 1000 if times else None


def _left_alone(run: Row) -> dict[str, Any]:
    """As left(), of what the run used itself."""
    totals = {**run, "wall_ms": wall_ms(run)}
    limited = {name: run[limit] for name, limit in LIMITS.items() if run[limit] is not None}
    return {name: max(round(most - totals[name], 12), 0) for name, most in limited.items()}


def ended(run: Row, store: Store | None = None) -> denial.RunEnded:
    """The refusal of what a run that has ended does not take: it says how to go on, with new limits where none of the old are left."""
    another = "start another run: python kaizen.py T5 --summary TEXT"
    checkpoint = run["checkpoint_id"]
    if checkpoint is None:
        action = f"It left no checkpoint (T17) that T18 could go on from; {another}"
    else:
        fork = " --fork" if run["status"] == "completed" else ""
        remaining = left(store, run) if store is not None else _left_alone(run)
        more = given_again(run, [name for name, rest in remaining.items() if rest == 0])
        action = f"Go on from its last checkpoint: python kaizen.py T18 --id {checkpoint}{fork}{more}; or {another}"
    return denial.RunEnded(action, id=run["id"], run_status=run["status"], checkpoint_id=checkpoint)


def _refuse_stopped(run: Row, store: Store | None = None) -> None:
    if run["status"] != records.RUNNING:
        raise ended(run, store)
    if run["interrupt"] is not None:
        raise denial.RunInterrupted(
            f"Finalize it: python kaizen.py T8 --id {run['id']} --status interrupted --reason TEXT",
            id=run["id"],
            ending="interrupted",
            how=run["interrupt"],
            reason=run["interrupt_reason"],
            checkpoint_id=run["checkpoint_id"],
        )


def _refuse_success(store: Store, run: Row) -> None:
    """Refuse to say of a run that it did what it was for, where it was asked to stop or went over a limit."""
    _refuse_stopped(run, store)
    name = overdrawn(store, run)
    if name is not None:
        raise limit_reached(run, name)


def narrower(one: str, other: str) -> str:
    """The mode of two that allows less."""
    return min(one, other, key=WIDTH.index)


def mode_of(run: Row | None, session_mode: str) -> str:
    """The mode of a call: what the session says, but plan and deny-all of the run hold whatever the session says; a session
    that says nothing special goes by its run."""
    if run is None:
        return session_mode
    if session_mode == "default":
        return run["mode"]
    return narrower(session_mode, run["mode"]) if run["mode"] in ("plan", "deny-all") else session_mode


# --- beginning ------------------------------------------------------------------------------------


def start(store: Store, run: records.AgentRun) -> Row:
    """Write down that a run begins; its row.

    A child gets at most what remains of the limits of its parent and of the parent's ancestors, a mode that allows no more than its
    parent's, and the parent's task where it names none. Its parent has to be open and not asked to stop.
    """
    if run.parent_run_id is not None:
        parent = store.get("agent_run", run.parent_run_id)
        lineage = [parent, *ancestors(store, parent)]
        for one in lineage:
            _refuse_stopped(one, store)
            _clip(run, one, left(store, one))
        run.mode = narrower(run.mode, parent["mode"])
        run.task_id = run.task_id or parent["task_id"]
    run.started_at = clock.now()
    return store.add(run)


def _clip(run: records.AgentRun, ancestor: Row, remaining: dict[str, Any]) -> None:
    """Lower the limits of a run to what an ancestor has left. One that has no time, cycles or money left starts no other."""
    for name, rest in remaining.items():
        if rest == 0 and name in ("wall_ms", "cycles", "cost_usd"):
            raise limit_reached(ancestor, name)
        given = getattr(run, LIMITS[name])
        setattr(run, LIMITS[name], rest if given is None else min(given, rest))


# --- stopping -------------------------------------------------------------------------------------


def interrupt(store: Store, run_id: str, how: str, reason: str | None) -> tuple[Row, list[Row]]:
    """Ask a run and all its open descendants to stop: (its row, theirs). `now` may follow `graceful`, not the other way round."""
    run = store.get("agent_run", run_id)
    if run["status"] != records.RUNNING:
        raise denial.RunEnded("It needs no stopping.", id=run_id, run_status=run["status"])
    row = _interrupted(store, run, how, reason)
    below = [one for one in descendants(store, run_id) if one["status"] == records.RUNNING]
    why = f"its ancestor {run_id} was asked to stop" + (f": {reason}" if reason else "")
    return row, [_interrupted(store, one, how, why) for one in below]


def _interrupted(store: Store, run: Row, how: str, reason: str | None) -> Row:
    if run["interrupt"] in (how, "now"):
        return run
    return store.revise("agent_run", run["id"], {"interrupt": how, "interrupt_reason": reason or run["interrupt_reason"]})


class Watch:
    """Looks at the ledger's head some times a second, and at the run when something was written: whether it is to stop.

    `said` becomes interrupted or ended, and stays None while the run may go on. It has an access to the plane of its own.
    """

    def __init__(self, plane: Plane, run_id: str) -> None:
        from ..store import Store

        self._store, self._run_id = Store(plane), run_id
        self._head: Any = None
        self._looked = 0.0
        self.said: str | None = None
        self.how: str | None = None
        self.reason: str | None = None

    def look(self) -> str | None:
        """What is to be known now. Costs the reading of one small file where nothing was written."""
        from ..store import read_head

        head, now = read_head(self._store.plane), time.monotonic()
        if (head is not None and head == self._head and now - self._looked < RARELY) or self.how == "now":
            return self.said
        try:
            run = self._store.get("agent_run", self._run_id)
        finally:
            self._store.close()
        self._head, self._looked = head, now
        if run["status"] != records.RUNNING:
            self.said, self.how = "ended", "now"
        elif run["interrupt"] is not None:
            self.said, self.how, self.reason = "interrupted", run["interrupt"], run["interrupt_reason"]
        return self.said


@contextlib.contextmanager
def watched(plane: Plane, run_id: str, stop: Stop) -> Iterator[Watch]:
    """While it lasts, whoever asks the run to stop, in whatever process, asks `stop`."""
    watch, over = Watch(plane, run_id), threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            # A plane that is held for long is asked again.
            with contextlib.suppress(denial.Denial):
                if watch.look() is not None:
                    stop.ask(now=watch.how == "now")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


# --- ending ---------------------------------------------------------------------------------------


def finish(
    store: Store,
    run_id: str,
    status: str,
    *,
    reason: str | None = None,
    proof_ids: Sequence[str] = (),
    unverified: bool = False,
) -> tuple[Row, list[Row]]:
    """End a run, once: (its row, the rows of the children that ended with it).

    `completed` rests on observed proofs (see refuse_unproved); with `unverified` it ends as unverified instead. A run that was asked to
    stop or went over a limit ends as neither: RunInterrupted, RunLimit say as what. A child that is open
    keeps its parent open; but interrupted and timeout end the open descendants in the same way, first.
    """
    run = store.get("agent_run", run_id)
    if run["status"] != records.RUNNING:
        raise ended(run, store)
    proofs = list(dict.fromkeys(proof_ids))
    if status == "completed" and unverified:
        status = "unverified"
    if status in SUCCESSES:
        _refuse_success(store, run)
    if status == "completed":
        refuse_unproved(store, run, proofs)
    for proof_id in proofs:
        store.check_link(proof_id, "verification", "proof_id")
    below = [one for one in descendants(store, run_id) if one["status"] == records.RUNNING]
    if below and status not in CASCADING:
        open_ids = [one["id"] for one in below]
        raise denial.RunChildrenOpen(
            f"Finalize them first: python kaizen.py T8 --id {open_ids[-1]} --status failed --reason TEXT",
            id=run_id,
            children=open_ids,
        )
    # The deepest first, so that no run ends before its children.
    cascaded = [_ended(store, one, status, f"its ancestor {run_id} ended: {status}", []) for one in reversed(below)]
    return _ended(store, run, status, reason, proofs), cascaded


def _ended(store: Store, run: Row, status: str, reason: str | None, proofs: Sequence[str]) -> Row:
    last = store.list("agent_event", {"run_id": run["id"]}, limit=1, columns=("number",))
    changes = {
        "status": status,
        "reason": reason,
        "proof_ids_json": json.dumps(list(proofs)) if proofs else None,
        "events": last[0]["number"] if last else 0,
        "ended_at": clock.now(),
    }
    return store.revise("agent_run", run["id"], changes)


def refuse_unproved(store: Store, run: Row, proof_ids: Sequence[str]) -> None:
    """Refuse to call a run completed unless it names at least one proof, and each of them fits."""
    if not proof_ids:
        raise denial.RunUnproved(id=run["id"])
    for proof_id in proof_ids:
        proof = store.get("verification", proof_id)
        unfit = why_unfit(run, proof)
        if unfit is not None:
            raise denial.ProofUnfit(
                "Run the check again, now: python kaizen.py Q11 -- COMMAND; or pass --unverified in place of a proof.",
                message=f"The proof does not show that the run is completed: {unfit}.",
                id=proof_id,
                run_id=run["id"],
                reason=unfit,
            )


def why_unfit(run: Row, proof: Row) -> str | None:
    """Why a proof does not show that a run is completed; None where it does.

    It does where Kaizen ran its command itself, the command passed, it stands, it was made after the run began, and it is of no
    other task than the run.
    """
    if proof["basis"] != "observed":
        return "it is asserted, not observed"
    if proof["conclusion"] != "PROOF_RECORDED":
        return f"its conclusion is {proof['conclusion']}"
    if proof["retired_reason"] is not None:
        return "it was retired"
    if proof["created_seq"] <= run["created_seq"]:
        return "it is older than the run"
    if None not in (proof["task_id"], run["task_id"]) and proof["task_id"] != run["task_id"]:
        return "it is of another task"
    return None


def fitting_proofs(store: Store, run: Row, limit: int = 20) -> list[Row]:
    """The proofs on which the run could end completed, newest first."""
    where: dict[str, Any] = {"basis": "observed", "created_seq": (">", run["created_seq"])}
    columns = ("id", "summary", "basis", "conclusion", "task_id", "retired_reason", "created_seq", "created_at")
    found = store.list("verification", where, columns=columns, limit=10 * limit)
    return [proof for proof in found if why_unfit(run, proof) is None][:limit]


# --- who is at work ------------------------------------------------------------------------------


def this_process() -> str | None:
    """This process, by its number and what tells it from others that ever have that; None under KAIZEN_CLOCK, as it never repeats."""
    from .. import clock

    return None if clock.is_fixed() else _named(os.getpid())


@functools.lru_cache(maxsize=1)
def _named(pid: int) -> str:
    from .. import process

    return f"{pid} {process.identity(pid) or ''}".strip()


def lives(named: str | None) -> bool:
    """Whether a process that was named so is still there."""
    from .. import process

    pid, _, identity = (named or "").partition(" ")
    return pid.isdigit() and bool(identity) and process.identity(int(pid)) == identity


def state_of(call: Row) -> str:
    """Where a tool call stands: its status; of one that has started and not ended, under_way or never_finished, as the process
    that carries it out lives or not."""
    if call["status"] != "started":
        return call["status"]
    return "under_way" if lives(call["process"]) else "never_finished"


def carried(store: Store, run: Row) -> str | None:
    """under_way or abandoned, for a run that has not ended and whose runner said which process it is in; None for any other."""
    if run["status"] != records.RUNNING:
        return None
    first = store.list(
        "agent_event", {"run_id": run["id"], "type": "started"}, order="created_seq", limit=1, columns=("data_json",)
    )
    named = json.loads(first[0]["data_json"]).get("metadata", {}).get("process") if first else None
    return None if not isinstance(named, str) else "under_way" if lives(named) else "abandoned"
