"""Receivers: the ways in which an event leaves: a NATS server, a command, a file."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from .. import denial, process
from ..paths import Plane
from ..redaction import mask
from . import events

NATS, COMMAND, FILE = "nats", "command", "file"
# The target of a receiver whose address is what NATS_URL says at the time; the variable may hold credentials.
FROM_ENVIRONMENT = "NATS_URL"
# Stands in the environment of a command that takes an event.
DELIVERING = "KAIZEN_DELIVERY"
INSTALL = "python -m pip install -r requirements-metrics.txt"
# Events that a server or a file gets at once.
BATCH = 100
# How much of a file is looked through for events that it has already.
TAIL = 1 << 20
_SAID = 300


@dataclass(frozen=True, slots=True)
class Taken:
    """How many of the events, from the first on, were taken, and why it was not all of them."""

    count: int
    error: str | None = None
    # Somebody asked us to end while a command ran: no fault of the receiver.
    interrupted: bool = False


class Channel(Protocol):
    """An open way to one receiver; `batch` is how many events it is handed at once."""

    batch: int

    def send(self, lines: Sequence[str], seconds: float) -> Taken:
        """Hand on events (each a line of JSON) in their order, within so many seconds; none is skipped."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class Unreachable(Exception):
    """The receiver cannot be reached; the text says why, without credentials."""


class Waits(Exception):
    """There is nothing to reach it by in this environment: no fault of the receiver."""


def check(transport: str, target: str, plane: Plane) -> str:
    """The target as it is recorded; DENIED_EVENT_TARGET for one that cannot be."""
    checks: Mapping[str, Callable[[str, Plane], str]] = {NATS: _nats_target, COMMAND: _command_target, FILE: _file_target}
    return checks[transport](target, plane)


def connect(transport: str, target: str, plane: Plane, seconds: float) -> Channel:
    """The open way to a receiver. Raises Unreachable and Waits."""
    if transport == NATS:
        return NatsChannel(_address(target), seconds)
    return CommandChannel(target, plane) if transport == COMMAND else FileChannel(_place(target, plane))


def _refused(action: str, target: str, reason: str) -> denial.EventTarget:
    return denial.EventTarget(action, field="target", target=target, reason=reason)


# --- file -----------------------------------------------------------------------------------------


def _file_target(target: str, plane: Plane) -> str:
    path = _place(target, plane)
    if not Path(target).is_absolute() and not path.is_relative_to(plane.root.resolve()):
        raise denial.PathOutsideRepo(
            "Name a file in the project, or say where it is from the root on.", field="target", path=target, root=str(plane.root)
        )
    action = "Name a file of its own, such as .kaizen/events.jsonl."
    if path.is_relative_to(plane.folder.resolve()):
        raise _refused(action, target, "it lies in the data plane")
    if path.exists() and not path.is_file():
        raise _refused(action, target, "it is no regular file")
    return plane.relative(path)


def _place(target: str, plane: Plane) -> Path:
    return (plane.root / target).resolve()


class FileChannel:
    """JSON lines at the end of a file: one write, made durable. What a call that was killed has written is not written
    again, as far as the last megabyte of the file shows it."""

    batch = BATCH

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, flags, 0o666)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                os.close(self._file)
                raise Unreachable("it is no regular file")
        except OSError as fault:
            raise Unreachable(fault.strerror or str(fault)) from None
        self._known: set[str] | None = None

    def send(self, lines: Sequence[str], seconds: float) -> Taken:
        try:
            known = self._seen(lines[0])
            block = "".join(f"{line}\n" for line in lines if _id(line) not in known).encode()
            while block:
                block = block[os.write(self._file, block) :]
            os.fsync(self._file)
        except OSError as fault:
            self._known = None
            return Taken(0, fault.strerror or str(fault))
        known.update(map(_id, lines))
        return Taken(len(lines))

    def _seen(self, following: str) -> set[str]:
        """Ids of the events at the end of the file. A line that was cut off is taken back where it is the beginning of
        the one that follows; any other is closed, as it is not ours."""
        if self._known is not None:
            return self._known
        size = os.fstat(self._file).st_size
        tail = b""
        os.lseek(self._file, max(0, size - TAIL), os.SEEK_SET)
        while block := os.read(self._file, TAIL):
            tail += block
        whole, _, rest = tail.rpartition(b"\n")
        self._known = {_id(line) for line in whole.decode("utf-8", "replace").splitlines()}
        if rest and following.encode().startswith(rest):
            os.ftruncate(self._file, size - len(rest))
        elif rest:
            self._known.add(_id(rest.decode("utf-8", "replace")))
            os.write(self._file, b"\n")
        return self._known

    def close(self) -> None:
        os.close(self._file)


def _id(line: str) -> str:
    """The id of an event; of a line that is none, nothing that is one."""
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
        return str(json.loads(line)["id"])
    return ""


# --- command --------------------------------------------------------------------------------------


def _command_target(target: str, plane: Plane) -> str:
    from shutil import which

    action = "Pass a command line, such as 'python hooks/on_event.py'."
    try:
        words = shlex.split(target)
    except ValueError as fault:
        raise _refused(action, target, str(fault)) from None
    if not words:
        raise _refused(action, target, "it is empty")
    if which(words[0], path=None) is None and not os.access(plane.root / words[0], os.X_OK):
        raise _refused("Check the program's name, PATH and rights.", target, f"there is no program {words[0]}")
    return target


class CommandChannel:
    """A command that gets an event as a line of JSON on stdin, in the project's folder; exit code 0 means taken."""

    # What was taken is noted after each: a command has effects that should not come twice.
    batch = 1

    def __init__(self, target: str, plane: Plane) -> None:
        self._words = shlex.split(target)
        self._folder = plane.root

    def send(self, lines: Sequence[str], seconds: float) -> Taken:
        (line,) = lines
        mark = (DELIVERING, os.urandom(8).hex())
        try:
            ended = process.run(
                self._words, cwd=self._folder, text=line + "\n", timeout=seconds, grace=0.5, most=20_000, mark=mark
            )
        except process.NotStarted as fault:
            return Taken(0, f"it could not be started: {fault}")
        if ended.interrupted:
            return Taken(0, f"interrupted by {ended.interrupted.name}", interrupted=True)
        if ended.timed_out:
            return Taken(0, f"no end within {seconds:.3g} seconds")
        if ended.exit_code == 0:
            return Taken(1)
        how = f"ended by {ended.killed_by}" if ended.killed_by else f"exit code {ended.exit_code}"
        said = _short(ended.stderr.last(2_000).decode("utf-8", "replace"))
        return Taken(0, f"{how}: {said}" if said else how)

    def close(self) -> None:
        """Nothing stays open."""


# --- NATS -----------------------------------------------------------------------------------------


def _nats_target(target: str, plane: Plane) -> str:
    if target == FROM_ENVIRONMENT:
        return target
    action = "Pass nats://HOST:4222, tls://HOST:4222 or the word NATS_URL."
    for url in target.split(","):
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as fault:
            raise _refused(action, "", str(fault)) from None
        if "@" in parts.netloc:
            action = "Pass the address alone; NATS_USER and NATS_PASSWORD, NATS_TOKEN or NATS_CREDS hold the rest."
            raise _refused(action, "", "it holds credentials")
        if parts.scheme not in ("nats", "tls", "ws", "wss") or not host:
            raise _refused(action, target, "it is no address of a NATS server")
    return target


def _address(target: str) -> str:
    if target != FROM_ENVIRONMENT:
        return target
    url = os.environ.get("NATS_URL", "").strip()
    if not url:
        raise Waits("NATS_URL is not set here")
    return url


class NatsChannel:
    """A connection to a NATS server. What is sent counts as taken when the server has answered to a flush; where a
    JetStream stream keeps the subject, when the stream has."""

    batch = BATCH

    def __init__(self, url: str, seconds: float) -> None:
        import asyncio

        try:
            import nats  # noqa: F401
        except ImportError:
            raise Unreachable(f"the package nats-py is not installed: {INSTALL}") from None
        self._url = url
        self._errors: list[str] = []
        self._streams: dict[str, str | None] = {}
        self._client: Any = None
        # A loop in a thread of its own: our caller may have one, and a name that does not resolve must not hold us up.
        self._loop = asyncio.new_event_loop()
        self._thread = _thread(self._loop.run_forever)
        try:
            self._wait(self._connect(seconds), seconds)
        except BaseException:
            self.close()
            raise

    async def _connect(self, seconds: float) -> None:
        import nats

        async def note(fault: Exception) -> None:
            self._errors.append(str(fault) or type(fault).__name__)

        for host in _hosts(self._url):
            # asyncio would look names up in a thread that the interpreter waits for at its end.
            await _looked_up(host)
        options: dict[str, Any] = {
            name: value
            for name, variable in {
                "user": "NATS_USER",
                "password": "NATS_PASSWORD",
                "token": "NATS_TOKEN",
                "user_credentials": "NATS_CREDS",
            }.items()
            if (value := os.environ.get(variable))
        }
        self._client = await nats.connect(
            servers=self._url.split(","),
            name="kaizen",
            error_cb=note,
            allow_reconnect=False,
            # Each server twice; nothing else ends the first attempt to connect.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            dont_randomize=True,
            connect_timeout=max(seconds, 0.1),
            **options,
        )
        self._errors.clear()

    def send(self, lines: Sequence[str], seconds: float) -> Taken:
        sent: list[str] = []
        try:
            self._wait(self._send(lines, sent, seconds), seconds)
        except Unreachable as fault:
            return Taken(len(sent), str(fault))
        return Taken(len(lines))

    async def _send(self, lines: Sequence[str], sent: list[str], seconds: float) -> None:
        """Send all of them; those that are known to have been taken are added to `sent`."""
        parsed = [json.loads(line) for line in lines]
        for event in parsed:
            await self._look_for_stream(events.subject(event["type"]), seconds)
        flushed = True
        for number, (event, line) in enumerate(zip(parsed, lines, strict=True)):
            subject, headers = events.subject(event["type"]), {"Nats-Msg-Id": event["id"]}
            stream = self._streams[subject]
            if stream is None:
                await self._client.publish(subject, line.encode(), headers=headers)
                flushed = False
                continue
            if not flushed:
                # What went before has to be there before.
                await self._flush(seconds)
                flushed = True
                sent[:] = lines[:number]
            await self._client.jetstream().publish(subject, line.encode(), timeout=seconds, stream=stream, headers=headers)
            sent[:] = lines[: number + 1]
        if not flushed:
            await self._flush(seconds)

    async def _flush(self, seconds: float) -> None:
        """Wait until the server has seen all of it; Unreachable where it refused some."""
        import asyncio
        import math

        # The client's PING overtakes messages that it has not written to the socket yet: its answer would say nothing of them.
        while self._client.pending_data_size and not self._client.is_closed:
            await asyncio.sleep(0.001)
        await self._client.flush(timeout=max(1, math.ceil(seconds)))
        if self._errors:
            raise Unreachable(self._safe(self._errors[0]))

    async def _look_for_stream(self, subject: str, seconds: float) -> None:
        """Note the stream that keeps a subject; None where none does or there is no JetStream."""
        import asyncio

        import nats.errors
        import nats.js.errors

        if subject in self._streams:
            return
        no_stream = (nats.errors.NoRespondersError, nats.errors.TimeoutError, nats.js.errors.Error, asyncio.TimeoutError)
        try:
            found = await self._client.jetstream(timeout=min(1.0, seconds / 2)).find_stream_name_by_subject(subject)
        except no_stream:
            found = None
        # Who may publish need not be allowed to ask.
        self._errors.clear()
        self._streams[subject] = found

    def _wait(self, work: Any, seconds: float) -> None:
        """Run a coroutine in the loop, for so long and no longer."""
        import asyncio
        import concurrent.futures

        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
        try:
            future.result(seconds + 0.5)
        except (TimeoutError, concurrent.futures.TimeoutError):
            future.cancel()
            raise Unreachable(f"no answer within {seconds:.3g} seconds") from None
        except Unreachable:
            raise
        except Exception as fault:
            said = self._errors[0] if self._errors else str(fault) or type(fault).__name__
            raise Unreachable(self._safe(said)) from None

    def _safe(self, text: str) -> str:
        return _short(text.replace(self._url, "NATS_URL"))

    def close(self) -> None:
        import asyncio

        async def end() -> None:
            with contextlib.suppress(Exception):
                if self._client is not None:
                    await asyncio.wait_for(self._client.close(), 1.0)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(1.5)
        if not self._thread.is_alive():
            self._loop.close()


def _hosts(url: str) -> list[str]:
    return [host for part in url.split(",") if (host := urlsplit(part if "//" in part else f"nats://{part}").hostname)]


async def _looked_up(host: str) -> None:
    """Wait until a name is resolved, in a thread that nobody waits for; Unreachable where it is not."""
    import asyncio
    import socket

    loop, done = asyncio.get_running_loop(), asyncio.Event()
    fault: list[str] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(host, None)
        except OSError as found:
            fault.append(found.strerror or str(found))
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    _thread(ask)
    await done.wait()
    if fault:
        raise Unreachable(f"the name of the host: {fault[0]}")


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _short(text: str) -> str:
    """Somebody else's words for a record: without secrets and control characters, cut."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in mask(text)[0]).split())
    return plain if len(plain) <= _SAID else "…" + plain[-_SAID + 1 :]
