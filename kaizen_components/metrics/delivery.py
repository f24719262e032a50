"""Delivery: takes events from the outbox to their receivers, in order, at least once, never in the way of a record."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .. import clock, denial
from ..call import Call, Result
from ..hashing import canonical
from ..store import Row, Store, files
from ..store.lock import PlaneLock
from . import receivers
from .receivers import FROM_ENVIRONMENT, NATS
from .records import EventReceiver, OutboxEvent

# Seconds that a record's command spends on delivery, all receivers together, unless KAIZEN_EVENT_TIMEOUT says otherwise.
SECONDS = 2.0
# Seconds that a receiver has for one try where somebody waits for delivery alone.
TRY = 30.0
# How many events the receiver's record may lag behind what it took.
LAG = 100
# Seconds until a receiver that failed is tried again: they double from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 30, 3_600
# Of tests nobody outside is told.
_TOLD = {"is_test": 0}


@dataclass(frozen=True, slots=True)
class Position:
    """How far a receiver has got: the number and the id of the last event that it took, and how many since its record."""

    number: int = 0
    event_id: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one receiver in one delivery. `state`: ok, failed, busy, paused, waits, interrupted."""

    receiver: str
    state: str
    taken: int = 0
    waiting: int = 0
    error: str | None = None
    # Why it waits where nothing went wrong.
    note: str | None = None


def deliver(store: Store, *, seconds: float | None = None) -> list[dict[str, Any]]:
    """Deliver what waits, after the commit: what each receiver took, or why it did not. Nothing is raised.

    All of it takes at most `seconds` (KAIZEN_EVENT_TIMEOUT, else 2; 0 leaves it to P18) and the time of a few short reads.
    Inside a transaction nothing is delivered, and nothing by what a receiver's command runs: whoever started it goes on. A receiver that failed a short while ago is left in peace.
    """
    if store.committed_seq is not None or receivers.DELIVERING in os.environ:
        return []
    seconds = _seconds() if seconds is None else seconds
    if seconds <= 0:
        return []
    try:
        reports = run(store, seconds=seconds)
    except denial.Denial as refusal:
        reports = [Report("all", "failed", error=refusal.message)]
    except Exception as fault:
        reports = [Report("all", "failed", error=f"{type(fault).__name__}: {fault}")]
    return [dataclasses.asdict(report) for report in reports]


def run(store: Store, *, name: str | None = None, seconds: float | None = None, patience: float = TRY) -> list[Report]:
    """As deliver(), to all receivers or one. Without `seconds` until nothing is left, with `patience` for each try, and
    receivers that failed are tried as well. Raises what the store raises, and DENIED_RECEIVER_UNKNOWN."""
    with _own_calls(store):
        rows = _receivers(store)
        store.release()
        if name is not None:
            rows = [row for row in rows if row["name"] == name]
            if not rows:
                raise denial.ReceiverUnknown(field="receiver", receiver=name)
        # Who is well comes first: one that hangs must not use up the time of the others.
        rows.sort(key=lambda row: row["failures"])
        until = None if seconds is None else time.monotonic() + seconds
        reports: list[Report] = []
        for number, row in enumerate(rows):
            share = None if until is None else (until - time.monotonic()) / (len(rows) - number)
            reports.append(_Delivery(store, row, share, patience).run())
            if reports[-1].state == "interrupted":
                break
        return reports


def next_try(row: Row) -> datetime | None:
    """When a receiver that failed is tried again by commands that record; None for one that did not fail."""
    if not row["failures"] or not row["last_at"]:
        return None
    pause = min(FIRST_PAUSE * 2 ** min(row["failures"] - 1, 20), LAST_PAUSE)
    return datetime.fromisoformat(row["last_at"]) + timedelta(seconds=pause)


def position(store: Store, row: Row) -> Position:
    """How far a receiver has got: what its record says, or the note beside it where that is ahead and speaks of an event
    that is in this plane (after a restore it may not be)."""
    recorded = Position(row["delivered"])
    try:
        noted = Position(**json.loads(_note(store, row).read_text(encoding="utf-8")))
        if noted.number <= recorded.number:
            return recorded
    except (OSError, ValueError, TypeError):
        return recorded
    found = store.list(OutboxEvent.record_kind, {"number": noted.number}, columns=("event_json",), limit=1)
    return noted if found and json.loads(found[0]["event_json"])["id"] == noted.event_id else recorded


def receiver(name: str, transport: str, target: str, after: int = 0) -> EventReceiver:
    """The record of a new receiver that begins behind the event of this number."""
    fields: dict[str, Any] = {"name": name, "transport": transport, "target": target, "delivered": after}
    return EventReceiver(**fields)


def waiting(store: Store, row: Row) -> int:
    """How many events a receiver has not taken yet."""
    return store.count(OutboxEvent.record_kind, {"number": (">", position(store, row).number), **_TOLD})


def revise(store: Store, row: Row, **changes: Any) -> Row:
    """Write a receiver's record anew, with how far it has got; in the unit of work that is open."""
    if "delivered" in changes:
        _note(store, row).unlink(missing_ok=True)
    else:
        changes["delivered"] = position(store, row).number
    return store.revise(EventReceiver.record_kind, row["id"], changes)


class _Delivery:
    """One receiver's turn."""

    def __init__(self, store: Store, row: Row, seconds: float | None, patience: float) -> None:
        self.store, self.row, self.patience = store, row, patience
        self.by_hand = seconds is None
        self.note: str | None = None
        self.until = None if seconds is None else time.monotonic() + seconds
        self.taken = 0

    def run(self) -> Report:
        if self.row["status"] == "paused":
            return self._report("paused")
        again = next_try(self.row)
        if not self.by_hand and again is not None and clock.moment() < again:
            return self._report("waits", f"{self.row['last_error']}; it is tried again from {clock.iso(again)} on")
        folder = self.store.plane.temporary.parent / "events"
        while True:
            lock = PlaneLock(folder / f"{self.row['id']}.lock", "deliver", seconds=0)
            try:
                lock.__enter__()
            except denial.ConnectRetryExhausted:
                # Whoever holds it looks again after letting it go, and finds what we have written.
                return self._report("busy")
            try:
                state, error = self._turn()
            finally:
                lock.__exit__(None, None, None)
            report = self._report(state, error)
            if state != "ok" or self._left() <= 0 or not report.waiting:
                return report

    def _turn(self) -> tuple[str, str | None]:
        """Deliver while there is something to deliver: (state, error). The receiver is ours alone meanwhile."""
        # Another may have been here since the row was read.
        self.row = self.store.get(EventReceiver.record_kind, self.row["id"])
        self.at = position(self.store, self.row)
        if self.row["status"] != "active":
            return "paused", None
        events = self._events(self.at, receivers.BATCH)
        if not events:
            return "ok", None
        try:
            channel = receivers.connect(self.row["transport"], self.row["target"], self.store.plane, self._left())
        except receivers.Waits as fault:
            self.note = str(fault)
            return "waits", None
        except receivers.Unreachable as fault:
            return self._failed(str(fault))
        try:
            while events and self._left() > 0:
                fetched = len(events)
                while events and self._left() > 0:
                    some, events = events[: channel.batch], events[channel.batch :]
                    taken = channel.send([event["event_json"] for event in some], self._left())
                    if taken.count:
                        self._moved(some[: taken.count])
                    if taken.interrupted:
                        return "interrupted", taken.error
                    if taken.error is not None:
                        return self._failed(taken.error)
                # Fewer were all there is; what came meanwhile is found once the lock is let go.
                events = self._events(self.at, receivers.BATCH) if fetched == receivers.BATCH else []
        finally:
            channel.close()
        return "ok", None

    def _events(self, at: Position, most: int) -> list[Row]:
        """The next events; the plane is let go before anybody waits for a receiver."""
        where = {"number": (">", at.number), **_TOLD}
        columns = ("number", "event_json")
        found = self.store.list(OutboxEvent.record_kind, where, order="number, created_seq", limit=most, columns=columns)
        self.store.release()
        return found

    def _moved(self, events: list[Row]) -> None:
        """Note how far it has got: in its record from time to time and after a failure, beside it always."""
        self.taken += len(events)
        last = events[-1]
        since = self.at.since + len(events)
        self.at = Position(last["number"], json.loads(last["event_json"])["id"], since)
        if since >= LAG or self.row["failures"]:
            self._record(failures=0, last_error=None)
            return
        try:
            files.write_whole(_note(self.store, self.row), canonical(dataclasses.asdict(self.at)))
        except denial.FileUnwritable:
            self._record(failures=0, last_error=None)

    def _failed(self, error: str) -> tuple[str, str]:
        self._record(failures=self.row["failures"] + 1, last_error=error)
        return "failed", error

    def _record(self, **changes: Any) -> None:
        """Write how far it has got, and how it went, into its record."""
        changes |= {"delivered": self.at.number, "last_at": clock.now()}

        def work() -> Result:
            self.row = self.store.revise(EventReceiver.record_kind, self.row["id"], changes)
            return Result()

        self.store.perform(self.store.call, work)
        self.at = dataclasses.replace(self.at, since=0)

    def _left(self) -> float:
        """Seconds that the receiver has for what comes next."""
        return self.patience if self.until is None else min(self.patience, self.until - time.monotonic())

    def _report(self, state: str, error: str | None = None) -> Report:
        left = waiting(self.store, self.row)
        self.store.release()
        return Report(self.row["name"], state, self.taken, left, error, self.note)


def _receivers(store: Store) -> list[Row]:
    """The receivers that were not removed. NATS_URL in the environment makes one, called nats, that starts with the first
    event there is, unless one of that address or name was ever there."""
    rows = store.list(EventReceiver.record_kind, order="created_seq")
    if os.environ.get(FROM_ENVIRONMENT, "").strip() and not any(
        row["name"] == NATS or row["target"] == FROM_ENVIRONMENT for row in rows
    ):

        def work() -> Result:
            rows.append(store.add(receiver(NATS, NATS, FROM_ENVIRONMENT)))
            return Result()

        store.perform(store.call, work)
    return [row for row in rows if row["status"] != "removed"]


@contextmanager
def _own_calls(store: Store) -> Iterator[None]:
    """What delivery writes is its own: not part of the call that it follows, with neither its key nor its mark for tests."""
    call = store.call
    store.call = Call(op="P18", agent=call.agent, session=call.session, writes=True)
    try:
        yield
    finally:
        store.call = call
        store.release()


def _note(store: Store, row: Row) -> Any:
    return store.plane.temporary.parent / "events" / f"{row['id']}.json"


def _seconds() -> float:
    """Seconds for delivery, from KAIZEN_EVENT_TIMEOUT; what is no number of seconds is not heard."""
    try:
        seconds = float(os.environ.get("KAIZEN_EVENT_TIMEOUT", "") or SECONDS)
    except ValueError:
        return SECONDS
    return seconds if 0 <= seconds <= 3_600 else SECONDS
