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
# Carries out the start of a program where what holds the starter also holds the program: a thread that gave up rights.
Within = Callable[[Callable[[], Any]], Any]

# Seconds between asking a group of processes to end and ending it.
GRACE = 5.0
# How long a signal may wait to be heard, in seconds.
LOOK = 0.25
# The event of being asked to end by our own caller; signals have positive numbers.
STOPPED = -1
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
    # Our caller asked for its end.
    stopped: bool
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
    text: str | None = None,
    timeout: float | None = None,
    asked: Callable[[], bool] | None = None,
    grace: float = GRACE,
    most: int = 1_000_000,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
    within: Within | None = None,
    mark: tuple[str, str] | None = None,
) -> Ended:
    """Run a program without a shell, in a session and process group of its own, until it ends or is ended.

    Its output goes to the sinks block by block as it comes; memory is bounded by `most` bytes a stream. stdin is
    empty, ours, or `text`. The environment is ours where `env` is None. A timeout (seconds), an interrupt of Kaizen, and
    `asked` saying yes (it is looked at some times a second) end the whole group: SIGTERM, `grace` seconds, SIGKILL.
    `mark` is a variable of the environment, with a value that nobody else has: what has it is ended with the program, also what
    left the group, and so is what the program leaves in its group when it is over by itself. Raises NotStarted.
    """
    import queue

    events: queue.SimpleQueue[int] = queue.SimpleQueue()
    with _listening(events):
        watch = Stopwatch()
        given = env if mark is None else {**(os.environ if env is None else env), mark[0]: mark[1]}
        process = _start(argv, cwd, given, stdin, feed=text is not None, within=within)
        if text is not None:
            _thread(_feed, process.stdin, text.encode("utf-8", "surrogateescape"))
        captures = Capture(most, stdout), Capture(most, stderr)
        readers = [_thread(_read, process.stdout, captures[0]), _thread(_read, process.stderr, captures[1])]
        waiter = _thread(_wait, process, events)
        timed_out, interrupted, stopped = False, None, False
        try:
            came = _next(events, timeout, asked)
            stopped = came == STOPPED
            interrupted = signal.Signals(came) if came and not stopped else None
        except queue.Empty:
            timed_out = True
        if timed_out or interrupted or stopped:
            _end(process, grace, events)
            waiter.join(grace)
            if mark is not None:
                end_marked(*mark)
        elif mark is not None:
            _kill(process)
        duration = watch.ms()
        left_open = not _drained(readers, captures, events)
    if left_open and mark is not None:
        end_marked(*mark)
    code = process.returncode
    return Ended(
        exit_code=code if code is not None and code >= 0 else None,
        killed_by=_signal_name(-code) if code is not None and code < 0 else None,
        timed_out=timed_out,
        interrupted=interrupted,
        stopped=stopped,
        left_open=left_open,
        duration_ms=duration,
        stdout=captures[0],
        stderr=captures[1],
    )


# What a program needs of the environment to run at all; credentials are not among it.
NEEDED = frozenset(
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TERM TMPDIR TEMP TMP LD_LIBRARY_PATH DYLD_LIBRARY_PATH SSL_CERT_FILE"
    " SYSTEMROOT SYSTEMDRIVE COMSPEC PATHEXT WINDIR APPDATA LOCALAPPDATA PROGRAMDATA USERPROFILE USERNAME"
    " HOMEDRIVE HOMEPATH PROCESSOR_ARCHITECTURE NUMBER_OF_PROCESSORS".split()
)


def environment(*prefixes: str, **more: str) -> dict[str, str]:
    """Our environment without what may be a credential: what a program needs, variables that begin with a prefix, `more`."""
    begins = ("LC_", *prefixes)
    kept = {name: value for name, value in os.environ.items() if name.upper() in NEEDED or name.startswith(begins)}
    return {**kept, **more}


@dataclass(frozen=True, slots=True)
class Detached:
    """A program that goes on when Kaizen has ended."""

    pid: int
    _process: Any

    def exit_code(self) -> int | None:
        """How it ended (minus the signal's number where by one); None while it runs."""
        return self._process.poll()

    def let_go(self) -> None:
        """Nobody waits for it any more."""
        self._process.returncode = self._process.poll() or 0


# Writes the exit code of a program to the file that is its own stdin. It outlives the signal that ends the group by the
# moment that this takes; what it starts is ended by that signal as usual. It says nothing itself.
_WAITER = """trap : TERM INT HUP
exec 3>&2 2>/dev/null
(exec "$@" </dev/null 2>&3 3>&-)
echo $? >&0"""


def detached(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    ending: Path | None = None,
    within: Within | None = None,
) -> Detached:
    """Start a program in a session of its own that outlives Kaizen, with its output in a file.

    `ending` is a file that gets its exit code when it ends, as a shell writes it (POSIX alone). Raises NotStarted.
    """
    import subprocess

    words = [*argv] if ending is None else ["/bin/sh", "-c", _WAITER, "kaizen", *argv]
    try:
        with log.open("wb") as output, open(os.devnull if ending is None else ending, "w+b") as stdin:

            def start() -> Any:
                return subprocess.Popen(
                    words,
                    cwd=cwd,
                    env=dict(env),
                    stdin=stdin,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **_OWN_GROUP,
                )

            process = within(start) if within is not None else start()
    except (OSError, ValueError) as fault:
        raise NotStarted(getattr(fault, "strerror", None) or str(fault)) from None
    return Detached(process.pid, process)


def end_group(pid: int, grace: float = GRACE) -> None:
    """End the process group that a detached program leads: SIGTERM, `grace` seconds, SIGKILL."""
    _ask_group(pid)
    deadline = time.monotonic() + grace
    while _group_lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    _kill_group(pid)
    while _group_lives(pid) and time.monotonic() < deadline + grace:
        time.sleep(0.02)


def end_marked(name: str, value: str) -> int:
    """Kill every process of ours whose environment has this variable, wherever it went; how many. Without /proc: none."""
    mark, count = f"{name}={value}".encode(), 0
    # What was started while we looked is found in the next round.
    for _ in range(10):
        found = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if mark in _environ(entry)]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        count += len(found)
        time.sleep(0.01)
    return count


def is_marked(pid: int, name: str, value: str) -> bool:
    """Whether a process was started with this variable in its environment. Without /proc nobody knows: yes."""
    place = Path(f"/proc/{pid}")
    if not Path("/proc/self/environ").exists():
        return True
    found: list[bytes] = []
    for _ in range(20):
        found = _environ(place)
        if any(found) or not place.exists():
            break
        # It is just being started, and has none for a moment.
        time.sleep(0.005)
    return f"{name}={value}".encode() in found


def _environ(place: Path) -> list[bytes]:
    """The environment that a process was started with; empty for one that is over, or somebody else's."""
    try:
        return (place / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


class Flooded(Exception):
    """The program said more than is listened to."""


class Dialogue:
    """A program that is talked with line by line, in a session of its own, until end().

    stderr is captured. What it says on stdout is bounded by `most` bytes in all: Flooded beyond. Raises NotStarted.
    """

    def __init__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], most: int = 64_000_000) -> None:
        import subprocess

        try:
            self._process: Any = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env=dict(env),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **_OWN_GROUP,
            )
        except (OSError, ValueError) as fault:
            raise NotStarted(getattr(fault, "strerror", None) or str(fault)) from None
        self.stderr = Capture(20_000, None)
        self._reader = _thread(_read, self._process.stderr, self.stderr)
        self._buffer = bytearray()
        self._searched = 0
        self._left = most
        # Whether it ended when its stdin was closed, without a signal.
        self.ended_by_itself = False

    def line(self) -> bytes | None:
        """The next line of stdout; None where it is closed."""
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            block = self._process.stdout.read(BLOCK)
            if not block:
                return None
            self._left -= len(block)
            if self._left < 0:
                raise Flooded
            self._buffer += block
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def say(self, line: bytes) -> None:
        """Write a line to its stdin; OSError where nobody listens."""
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[self._process.stdin.write(rest) :]

    def exit_code(self, patience: float = 0.0) -> int | None:
        """How it ended (minus the signal's number where by one); None where it runs, and still does after some seconds."""
        import subprocess

        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        return self._process.returncode

    def end(self, grace: float = 1.0) -> None:
        """Close its stdin, which asks a server to end, wait, and end what is left of its group."""
        import subprocess

        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.ended_by_itself = self._process.poll() == 0
        if self._process.poll() is None:
            _ask(self._process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        _kill(self._process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self._reader.join(SILENCE)
        self.stderr.close()


def _feed(pipe: io.FileIO, data: bytes) -> None:
    """Write all of it, as far as somebody reads."""
    with contextlib.suppress(OSError), pipe:
        rest = memoryview(data)
        while rest:
            rest = rest[pipe.write(rest) or 0 :]


def _start(
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: bool,
    *,
    feed: bool = False,
    within: Within | None = None,
) -> subprocess.Popen[bytes]:
    import subprocess

    def start() -> Any:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=env,
            bufsize=0,
            stdin=subprocess.PIPE if feed else None if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **_OWN_GROUP,
        )

    try:
        return within(start) if within is not None else start()
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


def _next(events: queue.SimpleQueue[int], timeout: float | None, asked: Callable[[], bool] | None = None) -> int:
    """The next event, STOPPED where somebody asks for the end; queue.Empty after so many seconds.

    A signal that comes in the moment before a wait begins does not end that wait, so each wait is a short one.
    """
    import queue

    until = None if timeout is None else time.monotonic() + timeout
    while True:
        left = LOOK if until is None else min(LOOK, max(until - time.monotonic(), 0))
        try:
            return events.get(timeout=left)
        except queue.Empty:
            if asked is not None and asked():
                return STOPPED
            if until is not None and time.monotonic() >= until:
                raise


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
        _kill_group(process.pid)

    def _ask_group(pid: int) -> None:
        _subprocess.run(["taskkill", "/T", "/PID", str(pid)], capture_output=True, check=False)

    def _group_lives(pid: int) -> bool:
        return identity(pid) is not None

    def _kill_group(pid: int) -> None:
        _subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)

    def identity(pid: int) -> str | None:
        """What tells a living process from any other that ever has its number: when it was started. None: it is over."""
        asked = ["powershell", "-NoProfile", "-Command", f"(Get-Process -Id {pid}).StartTime.Ticks"]
        return _subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or None

else:
    # A session of its own: an interrupt typed at the terminal reaches Kaizen alone, which ends the group and records
    # it; and there is no terminal that a prompt for a password could wait at.
    _OWN_GROUP: dict[str, Any] = {"start_new_session": True}

    def _ask(process: subprocess.Popen[bytes]) -> None:
        _signal_group(process, signal.SIGTERM)

    def _alive(process: subprocess.Popen[bytes]) -> bool:
        return _signal_group(process, 0) and _somebody_lives(process.pid)

    def _kill(process: subprocess.Popen[bytes]) -> None:
        _signal_group(process, signal.SIGKILL)

    def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
        return _signal_group_of(process.pid, number)

    def _signal_group_of(pid: int, number: int) -> bool:
        """Signal the group that a process leads; False where nobody of it is left."""
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _ask_group(pid: int) -> None:
        _signal_group_of(pid, signal.SIGTERM)

    def _group_lives(pid: int) -> bool:
        # A child of ours stays in its group until it is waited for.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return _signal_group_of(pid, 0) and _somebody_lives(pid)

    def _somebody_lives(pid: int) -> bool:
        """Whether a group has more than what is over and was not waited for: not everybody does so soon."""
        stats = [_stat(entry.name) for entry in Path("/proc").glob("[0-9]*")]
        return not stats or any(words[2] == str(pid) and words[0] not in "ZX" for words in stats if words)

    def _stat(pid: int | str) -> list[str]:
        """What /proc says of a process behind its name, which may hold anything: state, parent, group ...; empty: nothing."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return text.rpartition(")")[2].split()

    def _kill_group(pid: int) -> None:
        _signal_group_of(pid, signal.SIGKILL)

    def identity(pid: int) -> str | None:
        """What tells a living process from any other that ever has its number: when it was started. None: it is over."""
        words = _stat(pid)
        if not words:
            return _said_by_ps(pid)
        if words[0] in "ZX":
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The start, in ticks since the boot.
        return f"{boot}:{words[19]}"

    def _said_by_ps(pid: int) -> str | None:
        """The start of a process where there is no /proc."""
        if Path("/proc/self/stat").exists():
            return None
        ended = run(["ps", "-o", "state=,lstart=", "-p", str(pid)], timeout=5.0)
        state, _, start = ended.stdout.kept().decode(errors="replace").strip().partition(" ")
        return start.strip() or None if state[:1] not in ("", "Z") else None
