"""Lock: one holder of a data plane at a time, in the order they came."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from .. import denial

DEFAULT_TIMEOUT = 60.0


# The file is emptied by whoever takes the lock: a link, which a cloned repository may hold, must not lead elsewhere.
_SAFELY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class _Elapsed(Exception):
    """Raised by the alarm inside a blocking flock()."""


def timeout() -> float:
    """Seconds a caller waits for the lock, from KAIZEN_LOCK_TIMEOUT."""
    text = os.environ.get("KAIZEN_LOCK_TIMEOUT")
    if not text:
        return DEFAULT_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise denial.EnvironmentInvalid(
            "Set KAIZEN_LOCK_TIMEOUT to seconds between 0 and 86400, or unset it.",
            variable="KAIZEN_LOCK_TIMEOUT",
            value=text,
        )
    return seconds


class PlaneLock:
    """An exclusive lock on a file, as a context manager; the file names its holder while it is held."""

    def __init__(self, path: Path, op: str, *, seconds: float | None = None, read_only: bool = False) -> None:
        self.path, self.op = path, op
        self._seconds, self._read_only = seconds, read_only
        self._file: int | None = None

    def __enter__(self) -> PlaneLock:
        try:
            self._file = self._opened()
        except OSError as fault:
            raise denial.FileUnwritable(path=str(self.path), reason=fault.strerror or str(fault)) from fault
        start = time.monotonic()
        try:
            self._wait(timeout() if self._seconds is None else self._seconds)
        except _Elapsed:
            os.close(self._file)
            self._file = None
            raise self._refusal(start) from None
        except OSError as fault:
            # Some network file systems have no locks.
            os.close(self._file)
            self._file = None
            raise denial.FileUnwritable(path=str(self.path), reason=fault.strerror or str(fault)) from fault
        except BaseException:
            os.close(self._file)
            self._file = None
            raise
        self._write({"pid": os.getpid(), "op": self.op, "since": time.time()})
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is None:
            return
        self._write(None)
        _unlock(self._file)
        os.close(self._file)
        self._file = None

    def _opened(self) -> int:
        if self._read_only:
            return os.open(self.path, os.O_RDONLY | _SAFELY)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_RDWR | os.O_CREAT | _SAFELY, 0o666)

    def _wait(self, seconds: float) -> None:
        """Take the lock or raise _Elapsed. Blocking flock() queues callers fairly; an alarm ends the wait."""
        assert self._file is not None
        if _try(self._file):
            return
        if seconds <= 0:
            raise _Elapsed
        alarms = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        if not alarms:
            self._poll(seconds)
            return
        import fcntl

        def ring(number: int, frame: FrameType | None) -> None:
            raise _Elapsed

        previous = signal.signal(signal.SIGALRM, ring)
        try:
            # Twice, as the alarm may ring in the first one's end.
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                fcntl.flock(self._file, fcntl.LOCK_EX)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL if previous is None else previous)

    def _poll(self, seconds: float) -> None:
        """Outside the main thread, and on Windows, no signal can end a wait: ask again and again."""
        assert self._file is not None
        deadline = time.monotonic() + seconds
        while not _try(self._file):
            if time.monotonic() >= deadline:
                raise _Elapsed
            time.sleep(0.005)

    def _write(self, holder: dict[str, Any] | None) -> None:
        """Say who holds the lock; a plane on a full disk can still be read, so this never fails a caller."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, 0)
            if holder:
                os.pwrite(self._file, json.dumps(holder).encode(), 0)
        except (OSError, AttributeError):
            pass

    def _refusal(self, start: float) -> denial.Denial:
        who = holder(self.path)
        named = f"pid {who['pid']} ({who['op']})" if who else "an unknown process"
        return denial.ConnectRetryExhausted(
            message=f"The data plane is held by {named}.",
            reason="lock",
            retryable=True,
            attempts=1,
            elapsed_ms=int((time.monotonic() - start) * 1000),
            path=str(self.path),
            holder=who,
        )


def holder(path: Path) -> dict[str, Any] | None:
    """Who holds a lock, as its file says: pid, op, since; None where it is free or says nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or type(found.get("pid")) is not int or not isinstance(found.get("op"), str):
        return None
    return found


def is_alive(pid: int) -> bool:
    """Whether there is a process of this id."""
    if sys.platform == "win32":
        # There, os.kill() would end it.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


if sys.platform == "win32":
    import msvcrt

    # The byte locked lies far behind what the file says, so that others can read it.
    _FAR = 1 << 30

    def _try(file: int) -> bool:
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: int) -> None:
        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                return False
            raise
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
