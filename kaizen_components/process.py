"""Process: the one place that starts, limits, captures and ends other programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clock import Stopwatch

if TYPE_CHECKING:
    import io
    import queue
    import subprocess

Sink = Callable[[bytes], None]

# Seconds between asking a group of processes to end and ending it.
GRACE = 5.0
# Seconds of silence after which a pipe that a background process keeps open is left alone, and the most it may talk.
SILENCE, TALK = 1.0, 5.0
BLOCK = 1 << 16


class NotStarted(Exception):
    """The program could not be started; the text says why."""


class Capture:
    """What a stream said: size and SHA-256 of all of it; of a long one only the head and the tail are kept."""

    def __init__(self, most: int, sink: Sink | None) -> None:
        self.size = 0
        # Since when the reader waits for the next block; None while it hands one on.
        self.waiting: float | None = None
        self._digest = hashlib.sha256()
        self._half = max(1, most // 2)
        self._head, self._tail = bytearray(), bytearray()
        self._sink = sink
        self._lock = threading.Lock()
        self._closed = False

    def add(self, block: bytes) -> bool:
        """Take the next bytes; False once the capture was closed."""
        with self._lock:
            if self._closed:
                return False
            self.size += len(block)
            self._digest.update(block)
            room = self._half - len(self._head)
            self._head += block[:room]
            self._tail += block[room:]
            if len(self._tail) > self._half:
                del self._tail[: len(self._tail) - self._half]
        if self._sink is not None:
            try:
                self._sink(block)
            except (OSError, ValueError):
                # Nobody listens any more. What is observed does not depend on that.
                self._sink = None
        return True

    def close(self) -> None:
        """Take no more: a background process may still write to the pipe."""
        with self._lock:
            self._closed = True

    @property
    def sha256(self) -> str:
        """Hash of every byte, kept or not."""
        return self._digest.hexdigest()

    @property
    def left_out(self) -> int:
        """How many bytes were not kept."""
        return self.size - len(self._head) - len(self._tail)

    def kept(self) -> bytes:
        """The bytes, whole; of a long stream its head and tail, cut at line ends, around a mark that says what is missing."""
        if not self.left_out:
            return bytes(self._head + self._tail)
        head, tail = bytes(self._head), bytes(self._tail)
        # Where a line is cut, half a secret would stand that nothing recognises.
        end, start = head.rfind(b"\n", len(head) // 2) + 1, tail.find(b"\n", 0, len(tail) // 2) + 1
        head, tail = head[: end or len(head)], tail[start:]
        mark = f"[kaizen: {self.size - len(head) - len(tail)} bytes left out]\n".encode()
        return head + (b"" if end else b"\n") + mark + tail

    def last(self, most: int) -> bytes:
        """The last bytes, at most so many (and no more than were kept)."""
        if self.left_out:
            return bytes(self._tail[-most:])
        return bytes((self._head + self._tail)[-most:])


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: by an exit code or by a signal, of itself or not; and what it said."""

    exit_code: int | None
    killed_by: str | None
    timed_out: bool
    # The signal that Kaizen got while the program ran, for which the program was ended.
    interrupted: signal.Signals | None
    # A background process still held stdout or stderr when the program was over; it was left alone.
    left_open: bool
    duration_ms: int
    stdout: Capture
    stderr: Capture


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    timeout: float | None = None,
    grace: float = GRACE,
    most: int = 1_000_000,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
) -> Ended:
    """Run a program without a shell, in a session and process group of its own, until it ends or is ended.

    Its output goes to the sinks block by block as it comes; memory is bounded by `most` bytes a stream. stdin is
    empty, or ours. The environment is ours where `env` is None. A timeout (seconds), and an interrupt of Kaizen, ends
    the whole group: SIGTERM, `grace` seconds, SIGKILL. Raises NotStarted.
    """
    import queue

    events: queue.SimpleQueue[int] = queue.SimpleQueue()
    with _listening(events):
        watch = Stopwatch()
        process = _start(argv, cwd, env, stdin)
        captures = Capture(most, stdout), Capture(most, stderr)
        readers = [_thread(_read, process.stdout, captures[0]), _thread(_read, process.stderr, captures[1])]
        waiter = _thread(_wait, process, events)
        timed_out, interrupted = False, None
        try:
            came = events.get(timeout=timeout)
            interrupted = signal.Signals(came) if came else None
        except queue.Empty:
            timed_out = True
        if timed_out or interrupted:
            _end(process, grace, events)
            waiter.join(grace)
        duration = watch.ms()
        left_open = not _drained(readers, captures, events)
    code = process.returncode
    return Ended(
        exit_code=code if code is not None and code >= 0 else None,
        killed_by=_signal_name(-code) if code is not None and code < 0 else None,
        timed_out=timed_out,
        interrupted=interrupted,
        left_open=left_open,
        duration_ms=duration,
        stdout=captures[0],
        stderr=captures[1],
    )


def _start(argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, stdin: bool) -> subprocess.Popen[bytes]:
    import subprocess

    try:
        process: Any = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=env,
            bufsize=0,
            stdin=None if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **_OWN_GROUP,
        )
        return process
    except OSError as fault:
        raise NotStarted(fault.strerror or str(fault)) from None
    except ValueError as fault:
        raise NotStarted(str(fault)) from None


def _thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    # A reader whose pipe a background process holds must not keep Kaizen from ending.
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _read(pipe: io.FileIO, capture: Capture) -> None:
    with pipe:
        while True:
            capture.waiting = time.monotonic()
            block = pipe.read(BLOCK)
            capture.waiting = None
            if not block or not capture.add(block):
                return


def _wait(process: subprocess.Popen[bytes], events: queue.SimpleQueue[int]) -> None:
    process.wait()
    events.put(0)


@contextlib.contextmanager
def _listening(events: queue.SimpleQueue[int]) -> Iterator[None]:
    """Signals that would end Kaizen become events (put() may be called in a handler); 0 is the program's own end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former: dict[int, Any] = {}
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                former[number] = signal.signal(number, lambda came, frame: events.put(came))
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes], grace: float, events: queue.SimpleQueue[int]) -> None:
    """Ask the group to end, wait for it, end it. A further interrupt cuts the waiting short."""
    import queue

    _ask(process)
    deadline = time.monotonic() + grace
    while _alive(process) and time.monotonic() < deadline:
        try:
            if events.get(timeout=0.02):
                break
        except queue.Empty:
            pass
    _kill(process)


def _drained(readers: list[threading.Thread], captures: tuple[Capture, Capture], events: queue.SimpleQueue[int]) -> bool:
    """Wait for the end of both streams; False where a background process holds one, which would never end."""
    started = time.monotonic()
    for reader, capture in zip(readers, captures, strict=True):
        reader.join(0.05)
        while reader.is_alive():
            now, waiting = time.monotonic(), capture.waiting
            idle = waiting is not None and now - max(waiting, started) >= SILENCE
            talking = waiting is not None and now - started >= TALK
            if idle or talking or not events.empty():
                break
            reader.join(0.05)
    for capture in captures:
        capture.close()
    return not any(reader.is_alive() for reader in readers)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if sys.platform == "win32":
    import subprocess as _subprocess

    _OWN_GROUP: dict[str, Any] = {"creationflags": _subprocess.CREATE_NEW_PROCESS_GROUP}

    def _ask(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError):
            process.send_signal(signal.CTRL_BREAK_EVENT)

    def _alive(process: subprocess.Popen[bytes]) -> bool:
        return process.poll() is None

    def _kill(process: subprocess.Popen[bytes]) -> None:
        _subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)

else:
    # A session of its own: an interrupt typed at the terminal reaches Kaizen alone, which ends the group and records
    # it; and there is no terminal that a prompt for a password could wait at.
    _OWN_GROUP: dict[str, Any] = {"start_new_session": True}

    def _ask(process: subprocess.Popen[bytes]) -> None:
        _signal_group(process, signal.SIGTERM)

    def _alive(process: subprocess.Popen[bytes]) -> bool:
        return _signal_group(process, 0)

    def _kill(process: subprocess.Popen[bytes]) -> None:
        _signal_group(process, signal.SIGKILL)

    def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
        """Signal the group that the program leads; False where nobody of it is left."""
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
