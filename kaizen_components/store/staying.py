"""Staying: a store for many small units in a row, which keeps the plane open between them for a moment.

Opening and closing costs more than a small unit does. Every unit is durable when it has been performed, as ever; only the lock is let go
of a little later, and never later than AT_MOST after it was taken, so that others get their turn. What cannot change while the lock is
held is not read twice, and ledger.head is written when the plane is closed: it may lag behind.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from . import Row, Store
from .connection import Connection
from .lock import PlaneLock
from .query import Where

# Seconds that the plane stays open after a unit, and in all.
AFTER, AT_MOST = 0.02, 0.2
_all: weakref.WeakSet[StayingStore] = weakref.WeakSet()


class StayingStore(Store):
    """As a Store; leave() closes the plane at once."""

    _stays = True

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        # Held from the first read of a unit to its end, and by whoever closes the plane in between.
        self._guard = threading.Lock()
        self._is_held = False
        self._opened_at = 0.0
        self._closes_at = 0.0
        self._wakes = threading.Event()
        self._closer: threading.Thread | None = None
        self._process = os.getpid()
        _all.add(self)

    def remembered(self, kind: str, where: Where | None = None, **options: Any) -> list[Row]:
        # Nobody closes the plane, and lets others write, while what is remembered is looked up.
        self._reading()
        return super().remembered(kind, where, **options)

    def _reading(self) -> Connection:
        self._hold()
        if self._connection is None:
            self._opened_at = time.monotonic()
        return super()._reading()

    def close(self) -> None:
        """Done with the plane for now."""
        if not self._is_held:
            return
        now = time.monotonic()
        stays = self._connection is not None and self._unwritable is None and now - self._opened_at < AT_MOST
        if not stays:
            self._shut()
            return
        self.settle()
        if self._writing:
            self.roll_back()
        self._rows.clear()
        self._known.clear()
        self._broken = None
        self._closes_at = now + AFTER
        if not self._wakes.is_set():
            self._wakes.set()
        if self._closer is None or not self._closer.is_alive():
            self._closer = threading.Thread(target=self._close_later, daemon=True)
            self._closer.start()
        self._let_go()

    def leave(self) -> None:
        """Close the plane now, where it is still open."""
        self._hold()
        self._shut()

    def _hold(self) -> None:
        if not self._is_held:
            self._guard.acquire()
            self._is_held = True

    def _shut(self) -> None:
        try:
            super().close()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._is_held:
            self._is_held = False
            self._guard.release()

    def _close_later(self) -> None:
        """Close the plane when nobody has used it for a moment; a thread of its own, which ends when nobody uses it for long."""
        while not self._rests():
            self._wakes.clear()
            while (left := self._closes_at - time.monotonic()) > 0:
                time.sleep(left)
            if self._guard.acquire(blocking=False):
                try:
                    if self._connection is not None and time.monotonic() >= self._closes_at:
                        super().close()
                finally:
                    self._guard.release()

    def _rests(self) -> bool:
        """Wait until there is something to close; whether the thread ends, as there was nothing for long."""
        if self._wakes.wait(1.0):
            return False
        with self._guard:
            if self._wakes.is_set():
                return False
            self._closer = None
            return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self._alone():
            self._lock = PlaneLock(self.plane.lock, self.call.op)
            self._lock.__enter__()
            yield

    @contextlib.contextmanager
    def locked_for_reading(self) -> Iterator[None]:
        with self._alone():
            self._lock = self._lock_for_reading()
            yield

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """With the file closed, and nobody to close what is opened meanwhile."""
        self._hold()
        try:
            super().close()
            yield
        finally:
            self._shut()


@atexit.register
def _leave_all() -> None:
    """Close what is still open when the process ends: ledger.head then says how far the ledger goes. What a forked process has from its
    parent is the parent's."""
    for store in list(_all):
        if store._process == os.getpid() and store._guard.acquire(timeout=0.5):
            try:
                with contextlib.suppress(Exception):
                    Store.close(store)
            finally:
                store._guard.release()
