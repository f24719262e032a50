"""Doctor: whether writes work now, found out by doing one, and why not."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .. import clock, denial
from ..call import Call
from ..paths import Plane
from . import Store, lock, purge
from .backup import MANIFEST
from .connection import Connection, engine, header
from .creation import abandoned, plane_record, refuse_foreign, refuse_lost_plane
from .head import read_head
from .status import schema_status

LEAST_FREE = 64_000_000
_MAY_WRITE = "Make room on this disk, or give this user the right to write there."
_LOOK = "Verify the plane with V1 ledger-verify; K11 db-restore brings a backup back."

# What a check says: fine or not, a sentence, and what to do where it is not.
Finding = tuple[bool, str, str | None]


class Doctor:
    """One examination of a plane; waits `seconds` for whoever holds it, and makes nothing that stays."""

    def __init__(self, plane: Plane, call: Call, seconds: float) -> None:
        self.plane, self.call, self.seconds = plane, call, seconds
        self.checks: list[dict[str, Any]] = []
        self._is_held = False

    def examine(self) -> list[dict[str, Any]]:
        """Every check, in the order in which a write meets them: name, ok, detail, required_action where it is not."""
        self._check("python", self._python)
        self._check("environment", self._environment)
        self._check("engine", self._engine)
        there = self._check("plane", self._plane)
        self._check("rights", self._rights)
        self._check("disk", self._disk)
        if there:
            self._open()
        return self.checks

    def _check(self, name: str, look: Callable[[], Finding]) -> bool:
        try:
            ok, detail, action = look()
        except denial.Denial as refusal:
            reason = refusal.detail.get("reason")
            detail = f"{refusal.message} ({reason})" if reason else refusal.message
            ok, action = False, _MAY_WRITE if isinstance(refusal, denial.FileUnwritable) else refusal.required_action
        except Exception as fault:
            ok, detail, action = False, f"{type(fault).__name__}: {fault}", _LOOK
        entry: dict[str, Any] = {"check": name, "ok": ok, "detail": detail}
        if not ok and action:
            entry["required_action"] = action
        self.checks.append(entry)
        return ok

    # --- without the plane ------------------------------------------------------------------------

    def _python(self) -> Finding:
        ok = sys.version_info >= (3, 11)
        return ok, f"{platform.python_version()} at {sys.executable}", "Use Python 3.11 or newer."

    def _environment(self) -> Finding:
        engine()
        lock.timeout()
        clock.now()
        names = sorted(name for name in os.environ if name.startswith("KAIZEN_") and "KEY" not in name)
        return True, f"set: {', '.join(names)}" if names else "no KAIZEN_ variable is set", None

    def _engine(self) -> Finding:
        import importlib.metadata
        import sqlite3

        try:
            turso = importlib.metadata.version("pyturso")
        except importlib.metadata.PackageNotFoundError:
            turso = None
        used = engine().name
        about = f"pyturso {turso}" if turso else "pyturso is not installed"
        detail = f"{used} is used; {about}; sqlite {sqlite3.sqlite_version}"
        return used == "sqlite" or turso is not None, detail, "Run: python -m pip install -r requirements-kaizen.txt"

    def _plane(self) -> Finding:
        found = header(self.plane.database)
        refuse_foreign(self.plane, found)
        why = f"{self.plane.database}, because of {self.plane.reason}"
        if found is None:
            refuse_lost_plane(self.plane)
            return False, f"There is no data plane yet at {why}", "Run K1 to make it."
        return True, why, None

    def _rights(self) -> Finding:
        """Files can be made and removed in the plane's folders."""
        tried = [folder for folder in (self.plane.folder, self.plane.temporary) if folder.is_dir()]
        for folder in tried or [_nearest(self.plane.folder)]:
            path = folder / f".doctor-{os.getpid()}"
            try:
                path.write_bytes(b"x")
            except OSError as fault:
                return False, f"{folder} cannot be written: {fault.strerror}", "Give this user the right to write there."
            finally:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        if self.plane.database.exists() and not os.access(self.plane.database, os.W_OK):
            return False, f"{self.plane.database} cannot be written", "Give this user the right to write it."
        return True, ", ".join(str(folder) for folder in tried or [_nearest(self.plane.folder)]), None

    def _disk(self) -> Finding:
        free = shutil.disk_usage(_nearest(self.plane.folder)).free
        return free >= LEAST_FREE, f"{free / 1e6:,.0f} MB free", "Make room on this disk."

    # --- with the plane ---------------------------------------------------------------------------

    def _open(self) -> None:
        """The checks that need the lock or the database."""
        held = lock.PlaneLock(self.plane.lock, self.call.op, seconds=self.seconds)
        had = self._check("lock", lambda: self._lock(held))
        try:
            if had:
                self._look_inside(lambda: Connection(self.plane.database, patience=self.seconds))
                self._check("write", lambda: self._write(held))
            elif not self._is_held:
                # Nobody can lock it, so nobody writes it: it can be looked at as it lies.
                self._look_inside(lambda: Connection.frozen(self.plane.database))
            self._check("leftovers", self._leftovers)
        finally:
            held.__exit__(None, None, None)

    def _lock(self, held: lock.PlaneLock) -> Finding:
        noted = lock.holder(self.plane.lock)
        start = time.monotonic()
        try:
            held.__enter__()
        except denial.ConnectRetryExhausted as refusal:
            self._is_held = True
            action = "Wait for the holder; if it hangs, a person may end that process: what it wrote is safe."
            return False, f"{refusal.message} {_described(noted)}".strip(), action
        waited = int((time.monotonic() - start) * 1000)
        stale = f"; left behind by a process that was killed: {_described(noted)}" if noted and waited < 5 else ""
        return True, f"free, had after {waited} ms{stale}", None

    def _look_inside(self, opened: Callable[[], Connection]) -> None:
        connections: list[Connection] = []

        def opens() -> Finding:
            connections.append(opened())
            return self._journal()

        try:
            self._check("journal", opens)
            for connection in connections:
                self._check("schema", partial(self._schema, connection))
                self._check("clock", partial(self._clock, connection))
                self._check("ledger_head", partial(self._head, connection))
        finally:
            for connection in connections:
                connection.close()

    def _journal(self) -> Finding:
        """The journal mode as the file's header says it (2 is WAL): of a frozen file, engines tell another story."""
        with self.plane.database.open("rb") as file:
            is_wal = file.read(20)[18:] == b"\x02\x02"
        path = self.plane.database.with_name("kaizen.db-wal")
        size = path.stat().st_size if path.exists() else 0
        detail = f"WAL, {size} bytes in it" if is_wal else "not WAL: another program changed it"
        return is_wal, detail, "Write with Kaizen, which sets it back."

    def _schema(self, connection: Connection) -> Finding:
        found = schema_status(self.plane, connection)
        detail = f"version {found['schema_version']}, expected {found['expected_schema_version']}; manifest "
        detail += "matches" if found["manifest_match"] else "differs"
        action = "Look at K2 schema-status; a known difference is accepted with K1 --restamp-manifest."
        return found["schema_ok"] and found["manifest_match"], detail, action

    def _clock(self, connection: Connection) -> Finding:
        last = connection.execute("SELECT seq, time FROM ledger ORDER BY seq DESC LIMIT 1")
        seq, newest = last[0] if last else (0, "")
        now = clock.now(seq + 1)
        return now >= newest, f"it is {now}; the newest entry is of {newest}", "Set this machine's clock, or KAIZEN_CLOCK, right."

    def _head(self, connection: Connection) -> Finding:
        head = read_head(self.plane)
        if head is None:
            action = "Verify with V1 and a receipt (--expect SEQ:HASH); the next write makes the head anew."
            return False, "ledger.head is missing or unreadable", action
        seq, chain_hash = head
        found = connection.execute("SELECT chain_hash FROM ledger WHERE seq = ?", (seq,))
        last = connection.execute("SELECT MAX(seq) FROM ledger")[0][0]
        detail = f"ledger.head says entry {seq}, the ledger ends at entry {last}"
        return found == [(chain_hash,)], detail, "Run V1 ledger-verify, which says what is missing or changed."

    def _write(self, held: lock.PlaneLock) -> Finding:
        """A record is written and taken back; then a change that changes nothing is committed, so that the journal is
        written and synced for real."""
        start = time.monotonic()
        store = Store(self.plane)
        store.call = Call(op=self.call.op, test=True, writes=True)
        store._lock = held
        try:
            store._connection = Connection(self.plane.database, patience=self.seconds)
            found = schema_status(self.plane, store._connection)
            if not found["schema_ok"]:
                return False, "Nothing is written to a plane of another schema version.", "Look at K2 schema-status."
            store.add(plane_record())
            store.flush()
            store.roll_back()
            store._connection.write(f"PRAGMA user_version = {found['expected_schema_version']}")
            return True, f"a write was made and synced in {(time.monotonic() - start) * 1000:.0f} ms", None
        finally:
            store.close()

    def _leftovers(self) -> Finding:
        if (self.plane.folder / purge.PENDING).exists():
            return False, "A purge was interrupted: erased bytes may still be there.", "Run K7 purge-test, which finishes it."
        found = [self.plane.relative(path) for path in abandoned(self.plane)]
        backups = self.plane.backups.iterdir() if self.plane.backups.is_dir() else ()
        found += [self.plane.relative(path) for path in sorted(backups) if path.is_dir() and not (path / MANIFEST).exists()]
        return True, f"of processes that were killed, harmless: {', '.join(found)}" if found else "none", None


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _described(noted: dict[str, Any] | None) -> str:
    if not noted:
        return ""
    try:
        alive = "alive" if lock.is_alive(int(noted["pid"])) else "gone"
        return f"pid {noted['pid']} ({alive}) since {clock.iso(clock.datetime.fromtimestamp(noted['since'], clock.UTC))}, op {noted['op']}"
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return json.dumps(noted)
