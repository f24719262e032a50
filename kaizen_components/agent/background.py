"""Background: commands that go on when their call is over, in a registry on the disk that every process can read.

AI/work/processes, which nobody else may read, holds, for each, ID.json (what was started, and by which process with which start time it is
carried out), ID.out (what it said, as it said it) and ID.code (how it ended, which a small shell around it writes). Nothing else is needed to read or to end one.

Where nothing keeps commands from writing there, an entry may be forged: what it names is ended, read or removed only where it also looks
like what was started here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import clock, process
from ..redaction import mask
from .tool import ToolError

if TYPE_CHECKING:
    from ..paths import Plane
    from .confinement import Held

ID = re.compile(r"sh_[0-9]{14}_[0-9a-f]{10}")
# Days that what is over is kept, and the most bytes of output that is handed out at once.
KEPT_DAYS = 7
MOST = 1_000_000
MOST_HASHED = 256_000_000
# Every process that a command starts has this variable, with a value of its own, and so is found wherever it hid.
MARK = "KAIZEN_COMMAND"
# Seconds between two looks, and those that a group has to end when asked to.
LOOK, GRACE = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class Shell:
    """A command in the background. `process` tells it from any other that has its `pid` later; `group` is its process group."""

    shell_id: str
    command: str
    cwd: str
    started_at: str
    mark: str
    run_id: str | None = None
    call_id: str | None = None
    confinement: dict[str, Any] | None = None
    temporary: str | None = None
    pid: int | None = None
    group: int | None = None
    process: str | None = None
    # Who starts it: until there is a pid, all that is known.
    starter: str | None = None
    killed_at: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """How a command stands: running, completed (exit code 0), failed or killed. `lost`: it is over and nobody saw how."""

    status: str
    exit_code: int | None = None
    lost: bool = False


def folder(plane: Plane) -> Path:
    """Where the registry of a plane is."""
    return plane.ai / "work" / "processes"


# --- starting -----------------------------------------------------------------------------------------


def start(
    plane: Plane, held: Held, *, command: str, cwd: Path, env: dict[str, str], run_id: str | None, call_id: str | None
) -> Shell:
    """Start a command; its entry is on the disk before this returns. Raises process.NotStarted, OSError."""
    place = folder(plane)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    prune(plane)
    shell = Shell(
        shell_id=_reserved(place),
        command=mask(command)[0],
        cwd=str(cwd),
        started_at=clock.now(),
        mark=os.urandom(8).hex(),
        run_id=run_id,
        call_id=call_id,
        confinement=held.says,
        temporary=str(held.temporary) if held.temporary else None,
        starter=_me(),
    )
    # Whoever dies between start and entry leaves one that says what was to be started, and a mark to find it by.
    _write(place, shell)
    try:
        child = process.detached(
            held.argv,
            cwd=cwd,
            env={**env, **held.variables, MARK: shell.mark},
            log=_file(place, shell.shell_id, "out"),
            ending=_file(place, shell.shell_id, "code"),
            within=held.within,
        )
    except (process.NotStarted, OSError):
        _remove(place, shell.shell_id)
        held.tidy()
        raise
    shell = replace(shell, pid=child.pid, group=child.pid, process=process.identity(child.pid))
    _write(place, shell)
    _children[child.pid] = child
    return shell


# Those that this process started: they stay in the process table until they are waited for.
_children: dict[int, process.Detached] = {}


def _reap() -> None:
    for pid, child in [*_children.items()]:
        if child.exit_code() is not None:
            del _children[pid]


def _reserved(place: Path) -> str:
    """An id that nobody has; its output file is there, for our eyes alone."""
    number = 0
    while True:
        name = clock.new_id("sh", number, clock.moment(number))
        try:
            os.close(os.open(_file(place, name, "out"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            number += 1
            continue
        return name


def _me() -> str:
    return f"{os.getpid()} {process.identity(os.getpid()) or ''}".strip()


# --- reading ------------------------------------------------------------------------------------------


def get(plane: Plane, shell_id: str) -> Shell:
    """The entry of a command. Raises ToolError unknown_shell."""
    if ID.fullmatch(shell_id):
        with contextlib.suppress(OSError, ValueError, TypeError):
            return _read(_file(folder(plane), shell_id, "json"))
    raise ToolError("unknown_shell", f"There is no background command {shell_id!r} in this plane.", shell_id=shell_id)


def listed(plane: Plane, run_id: str | None = None) -> Iterator[Shell]:
    """Every command of the registry, or those of a run, oldest first."""
    for path in sorted(folder(plane).glob("sh_*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            shell = _read(path)
            if run_id is None or shell.run_id == run_id:
                yield shell


def state(plane: Plane, shell: Shell) -> State:
    """How a command stands. What died without a word, or with the machine, is seen as dead; so is one whose number another has."""
    _reap()
    place = folder(plane)
    code = _code(place, shell)
    if code is None and _lives(shell):
        return State("running")
    if code is None:
        # It may have ended between the two looks.
        code = _code(place, shell)
    _tidy(shell)
    if shell.killed_at is not None:
        return State("killed", code)
    if code is None:
        return State("failed", lost=True)
    return State("failed" if code else "completed", code)


def wait(plane: Plane, shell: Shell, seconds: float, asked: Any) -> State:
    """How a command stands when it is over, or after so many seconds, or when `asked()` says yes."""
    until = time.monotonic() + seconds
    while (now := state(plane, shell)).status == "running" and time.monotonic() < until and not asked():
        time.sleep(min(LOOK, max(until - time.monotonic(), 0)))
    return now


def output(plane: Plane, shell_id: str, *, offset: int = 0, most: int = MOST) -> tuple[str, int, bool]:
    """(what it said from a byte on, size of all in bytes, whether something was left out). Of more than `most` bytes the beginning and
    the end are given, with a mark between them."""
    try:
        with open(os.open(output_file(plane, shell_id), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            capture = process.Capture(most, None)
            file.seek(offset)
            if size - offset <= most:
                capture.add(file.read(size - offset) if size > offset else b"")
                return capture.kept().decode("utf-8", "replace"), size, False
            head = file.read(most // 2)
            file.seek(size - most // 2)
            tail = file.read(most // 2)
    except OSError:
        return "", 0, False
    mark = f"\n[kaizen: {size - offset - len(head) - len(tail)} bytes left out]\n".encode()
    return (head + mark + tail).decode("utf-8", "replace"), size, True


def output_file(plane: Plane, shell_id: str) -> Path:
    """The file with all that a command said so far."""
    return _file(folder(plane), shell_id, "out")


def output_sha256(plane: Plane, shell_id: str) -> str | None:
    """The hash of all that a command said; None of more than MOST_HASHED bytes, and of what cannot be read."""
    with contextlib.suppress(OSError), open(os.open(output_file(plane, shell_id), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        if os.fstat(file.fileno()).st_size <= MOST_HASHED:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def _lives(shell: Shell) -> bool:
    if shell.pid is None:
        # It is being started, unless its starter is gone.
        pid, _, identity = (shell.starter or "").partition(" ")
        return pid.isdigit() and process.identity(int(pid)) == identity
    if shell.process is None or process.identity(shell.pid) != shell.process:
        return False
    return process.is_marked(shell.pid, MARK, shell.mark)


def _code(place: Path, shell: Shell) -> int | None:
    """The exit code that was written when it ended; None before."""
    with contextlib.suppress(OSError, ValueError):
        return int(_file(place, shell.shell_id, "code").read_bytes())
    return None


# --- ending -------------------------------------------------------------------------------------------


def kill(plane: Plane, shell: Shell) -> State:
    """End a command with all that it started. One that is over stays as it ended."""
    now = state(plane, shell)
    if now.status != "running":
        # What it left behind has its mark, and nobody else has.
        process.end_marked(MARK, shell.mark)
        return now
    # Said before it is done: what then ends did so because of it.
    shell = replace(shell, killed_at=clock.now())
    _write(folder(plane), shell)
    if shell.group is not None and shell.group == shell.pid:
        # It leads the group: any other number is none that was written here.
        process.end_group(shell.group, GRACE)
    process.end_marked(MARK, shell.mark)
    return wait(plane, shell, GRACE, lambda: False)


def prune(plane: Plane) -> int:
    """Forget what has been over for some days; how many."""
    place, before, count = folder(plane), time.time() - KEPT_DAYS * 86_400, 0
    with os.scandir(place) as entries:
        old = [entry.name for entry in entries if entry.name.endswith(".json") and entry.stat().st_mtime < before]
    for name in old:
        with contextlib.suppress(OSError, ValueError, TypeError):
            shell = _read(place / name)
            last = max(path.stat().st_mtime for path in place.glob(f"{shell.shell_id}.*"))
            if last < before and state(plane, shell).status != "running":
                _remove(place, shell.shell_id)
                count += 1
    return count


# --- files --------------------------------------------------------------------------------------------


def _file(place: Path, shell_id: str, ending: str) -> Path:
    return place / f"{shell_id}.{ending}"


def _read(path: Path) -> Shell:
    """An entry. Raises OSError, and ValueError or TypeError for what is none."""
    try:
        shell = Shell(**json.loads(path.read_bytes()))
    except RecursionError:
        raise ValueError("the entry is nested too deeply") from None
    texts = (shell.shell_id, shell.command, shell.cwd, shell.started_at, shell.mark)
    known = (shell.run_id, shell.call_id, shell.temporary, shell.process, shell.starter, shell.killed_at)
    numbers = (shell.pid, shell.group)
    if not (
        all(isinstance(one, str) for one in texts)
        and all(isinstance(one, str | None) for one in known)
        and all(one is None or (type(one) is int and 1 < one < 2**31) for one in numbers)
        and isinstance(shell.confinement, dict | None)
    ):
        raise TypeError("the entry holds what no entry does")
    if shell.shell_id != path.stem or not ID.fullmatch(shell.shell_id):
        raise ValueError("the entry is of another command")
    return shell


def _tidy(shell: Shell) -> None:
    """Remove the folder for temporary files of one that is over."""
    if shell.temporary is None:
        return
    place = Path(shell.temporary)
    if place.name.startswith("kaizen-") and str(place.parent) == os.path.realpath(tempfile.gettempdir()):
        shutil.rmtree(place, ignore_errors=True)


def _write(place: Path, shell: Shell) -> None:
    """Put an entry in its place, whole, for our eyes alone."""
    part = place / f".{shell.shell_id}.{os.getpid()}.part"
    descriptor = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(shell), file, ensure_ascii=False)
    os.replace(part, _file(place, shell.shell_id, "json"))


def _remove(place: Path, shell_id: str) -> None:
    for ending in ("out", "code", "json"):
        _file(place, shell_id, ending).unlink(missing_ok=True)
