"""Runtime: the ComfyUI of this machine: where it lies, whether it runs, starting and ending it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .. import clock, denial, process
from ..paths import Plane
from ..redaction import mask
from ..store import files
from . import comfyui

REPOSITORY, TAG = "https://github.com/comfyanonymous/ComfyUI.git", "v0.17.0"
# Seconds: to start (a first start loads much), to end, to ask the runtime's Python, to install its requirements, and to
# answer whether it is there.
START, STOP, ASK, INSTALL, QUICK = 120.0, 10.0, 60.0, 3600.0, 5.0
# What a GPU's libraries read from the environment.
GPU = ("CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCM_", "ROCR_", "PYTORCH_", "ONEAPI_", "OMP_", "XDG_", "HF_HOME", "HF_HUB_CACHE")
CHECKPOINTS = (".safetensors", ".ckpt", ".pt", ".pth", ".sft", ".gguf")
# What the end of a log may say in a refusal.
TAIL = 1_000

TORCH = """
import json, sys
found = {"python_version": sys.version.split()[0]}
try:
    import torch
    found.update(torch_version=torch.__version__, cuda=torch.version.cuda, cuda_available=torch.cuda.is_available())
except Exception as fault:
    found.update(torch_error=f"{type(fault).__name__}: {fault}")
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a runtime and what is known of it lie."""

    folder: Path
    venv: Path
    python: Path
    pidfile: Path
    log: Path

    @property
    def main(self) -> Path:
        return self.folder / "main.py"


def home(plane: Plane) -> Home:
    """KAIZEN_COMFYUI_HOME or ComfyUI beside the project; KAIZEN_COMFYUI_VENV or venv (.venv) in it."""
    said = os.environ.get("KAIZEN_COMFYUI_HOME", "").strip()
    folder = Path(os.path.abspath(Path(said).expanduser() if said else plane.root.parent / "ComfyUI"))  # noqa: PTH100
    said = os.environ.get("KAIZEN_COMFYUI_VENV", "").strip()
    venv = Path(said).expanduser() if said else folder / "venv"
    if not said and not venv.exists() and (folder / ".venv").exists():
        venv = folder / ".venv"
    python = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    work = plane.ai / "work" / "comfyui"
    return Home(folder, venv, python, work / "runtime.json", work / "runtime.log")


def address(plane: Plane, endpoint: str | None = None) -> comfyui.Endpoint:
    """Where it answers: as said, as the environment says, as the runtime that was started here says, else port 8188."""
    if endpoint is None and not os.environ.get(comfyui.VARIABLE, "").strip():
        known = _known(home(plane))
        endpoint = known.get("endpoint") if known and _lives(known) else None
    return comfyui.endpoint(endpoint)


def stats(place: comfyui.Endpoint) -> tuple[dict[str, Any] | None, str | None]:
    """(what /system_stats says, None), or (None, why there is no answer)."""
    try:
        with comfyui.Client(place, seconds=QUICK) as client:
            said = client.stats()
    except denial.Denial as refusal:
        return None, str(refusal.detail.get("reason") or refusal.message)
    return (said, None) if said["system"] else (None, "what answers there is no ComfyUI")


def profile(said: Mapping[str, Any] | None) -> str | None:
    """A runtime in a line: its version and device."""
    facts = _facts(said)
    return f"ComfyUI {facts['comfyui_version']} on {facts['gpu'] or 'cpu'}" if said else None


def status(plane: Plane, endpoint: str | None = None) -> dict[str, Any]:
    """Everything that can be said at once; nothing is started, and nothing refused."""
    place, known = home(plane), _known(home(plane))
    try:
        where = address(plane, endpoint)
        url, (said, why) = where.url, stats(where)
    except denial.Denial as refusal:
        url, said, why = None, None, refusal.message
    running = _lives(known)
    return {
        **_places(plane, place),
        "endpoint": url,
        "reachable": said is not None,
        "running": running,
        "pid": known["pid"] if known and running else None,
        "started_at": known.get("started_at") if known and running else None,
        "log": plane.relative(place.log),
        "reason": why,
        **_facts(said),
        "checkpoints": _checkpoints(place.folder),
        "free_disk_bytes": _free(place.folder),
        "runtime_profile": profile(said),
    }


def doctor(plane: Plane, endpoint: str | None = None, timeout: float | None = None) -> dict[str, Any]:
    """status(), and what the runtime's own Python says of torch, asked under a time limit."""
    found = status(plane, endpoint)
    torch = _torch(home(plane).python, timeout or ASK)
    found["python_version"] = found["python_version"] or torch.pop("python_version", None)
    return {**found, "torch_version": None, "cuda": None, "cuda_available": None, "torch_error": None, **torch}


def provision(plane: Plane, tell: Callable[[bytes], None] | None = None, timeout: float | None = None) -> dict[str, Any]:
    """Make the virtual environment of a checkout and install its requirements; each step with how it ended.

    DENIED_RUNTIME_MISSING names the commands where there is no checkout: Kaizen fetches no program by itself.
    """
    place = home(plane)
    if not place.main.is_file():
        raise _missing(plane, place, "main.py")
    wanted = []
    if not place.python.exists():
        wanted.append([sys.executable, "-m", "venv", str(place.venv)])
    wanted.append([str(place.python), "-m", "pip", "install", "-r", str(place.folder / "requirements.txt")])
    deadline, steps = time.monotonic() + (timeout or INSTALL), []
    for argv in wanted:
        left = max(deadline - time.monotonic(), 0.001)
        try:
            # As if the user had typed it: pip may need their proxy or index. The keys to models are for us alone.
            env = {name: value for name, value in os.environ.items() if not name.startswith("KAIZEN_")}
            ended = process.run(argv, cwd=place.folder, env=env, timeout=left, stdout=tell, stderr=tell)
            code, fault = ended.exit_code, _masked(ended.stderr.last(TAIL))
            steps.append({"command": argv, "exit_code": code, "timed_out": ended.timed_out, "duration_ms": ended.duration_ms})
        except process.NotStarted as reason:
            code, fault = None, str(reason)
            steps.append({"command": argv, "exit_code": None, "timed_out": False, "duration_ms": 0})
        if code != 0:
            steps[-1]["reason"] = fault
            break
    return {**status(plane), "steps": steps, "done": steps[-1]["exit_code"] == 0}


def start(plane: Plane, endpoint: str | None = None, timeout: float | None = None) -> dict[str, Any]:
    """Start the runtime and wait until it answers.

    Raises DENIED_RUNTIME_MISSING, DENIED_RUNTIME_ALREADY_RUNNING, DENIED_RUN_TIMEOUT, DENIED_ENDPOINT_INSECURE for an address
    that is not this machine's, DENIED_BACKEND_UNAVAILABLE where it ends by itself.
    """
    place, where = home(plane), address(plane, endpoint)
    parts = urlsplit(where.url)
    if parts.scheme != "http" or not where.loopback:
        raise denial.EndpointInsecure(
            f"Start it on this machine: --endpoint {comfyui.DEFAULT}.",
            message="A runtime is started on this machine's own address only.",
            endpoint=where.url,
        )
    for name, path in (("main.py", place.main), ("the Python of its virtual environment", place.python)):
        if not path.is_file():
            raise _missing(plane, place, name)
    with _alone(place):
        known = _known(place)
        if _lives(known):
            raise denial.RuntimeAlreadyRunning(pid=known["pid"] if known else None, endpoint=(known or {}).get("endpoint"))
        if stats(where)[0] is not None:
            raise denial.RuntimeAlreadyRunning(message="A ComfyUI answers there already.", endpoint=where.url)
        try:
            argv = [str(place.python), "main.py", "--listen", parts.hostname or "", "--port", str(parts.port or 80)]
            child = process.detached(argv, cwd=place.folder, env=process.environment(*GPU), log=place.log)
        except process.NotStarted as fault:
            raise denial.BackendUnreachable(
                "Look at the path that is named here.", path=str(place.python), reason=str(fault)
            ) from None
        try:
            _record(child, where, place, plane)
            _await(child, where, place, plane, timeout or START)
        except BaseException:
            process.end_group(child.pid, STOP)
            child.let_go()
            place.pidfile.unlink(missing_ok=True)
            raise
        child.let_go()
    return status(plane, where.url)


def stop(plane: Plane, timeout: float | None = None) -> dict[str, Any]:
    """End the runtime that start() started, and what it started; no other process."""
    place = home(plane)
    if _known(place) is None:
        return {**status(plane), "stopped": False, "reason": "no runtime was started here"}
    try:
        with _alone(place):
            known = _known(place)
            lived = _lives(known)
            if known is not None and lived:
                process.end_group(known["pid"], timeout or STOP)
            stopped = not _lives(known)
            if stopped:
                place.pidfile.unlink(missing_ok=True)
    except denial.RuntimeAlreadyRunning:
        return {**status(plane), "stopped": False, "reason": "another Kaizen is starting or stopping it"}
    if not lived:
        return {**status(plane), "stopped": False, "reason": "it was over already"}
    return {**status(plane), "stopped": stopped, "reason": "ended" if stopped else "it does not end"}


@contextlib.contextmanager
def _alone(place: Home) -> Iterator[None]:
    """Start and stop one at a time: of two that start it at once, both would find it not running."""
    from ..store.lock import PlaneLock

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(PlaneLock(place.pidfile.with_suffix(".lock"), "Y6", seconds=0))
        except denial.ConnectRetryExhausted:
            raise denial.RuntimeAlreadyRunning(
                "Wait until it is done, then look: Y6 --action status.",
                message="Another Kaizen is starting or stopping the runtime.",
            ) from None
        yield


def _record(child: process.Detached, where: comfyui.Endpoint, place: Home, plane: Plane) -> None:
    """Write down which process it is."""
    record = {
        "pid": child.pid,
        "process": process.identity(child.pid),
        "endpoint": where.url,
        "started_at": clock.now(),
        "log": plane.relative(place.log),
    }
    files.write_whole(place.pidfile, json.dumps(record, indent=2) + "\n")


def _await(child: process.Detached, where: comfyui.Endpoint, place: Home, plane: Plane, timeout: float) -> None:
    """Wait until it answers; refuse where it ends, or where the time does."""
    deadline, pause = time.monotonic() + timeout, 0.05
    log = {"log": plane.relative(place.log)}
    while time.monotonic() < deadline:
        code = child.exit_code()
        if code is not None:
            raise denial.BackendUnreachable(
                "Read the log, mend what it names, and start it again.",
                message="The runtime ended before it answered.",
                exit_code_of_runtime=code,
                reason=_tail(place.log),
                **log,
            )
        # What answers may be another's, which has the port while ours ends.
        if stats(where)[0] is not None and child.exit_code() is None:
            return
        time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
        pause = min(pause * 1.5, 1.0)
    raise denial.RunTimeout(
        "Read the log, or raise --timeout.",
        message="The runtime did not answer in time; it was ended again.",
        timeout=timeout,
        endpoint=where.url,
        reason=_tail(place.log),
        **log,
    )


def _known(place: Home) -> dict[str, Any] | None:
    """What the pidfile says; None where there is none, or it is none of ours."""
    try:
        said = json.loads(place.pidfile.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("pid"), int) or said["pid"] <= 1:
        return None
    return said if isinstance(said.get("endpoint", ""), str) else None


def _lives(known: Mapping[str, Any] | None) -> bool:
    """Whether the very process of the pidfile lives, not one that got its number later."""
    if known is None or not known.get("process"):
        return False
    return process.identity(known["pid"]) == known["process"]


def _places(plane: Plane, place: Home) -> dict[str, Any]:
    return {
        "runtime_home": str(place.folder),
        "venv_dir": str(place.venv),
        "main_py": str(place.main) if place.main.is_file() else None,
        "venv_python": str(place.python) if place.python.exists() else None,
        "pidfile": plane.relative(place.pidfile),
    }


def _facts(said: Mapping[str, Any] | None) -> dict[str, Any]:
    """Versions and devices of what /system_stats says."""
    system, devices = (said or {}).get("system") or {}, (said or {}).get("devices")
    devices = [device for device in devices if isinstance(device, dict)] if isinstance(devices, list) else []
    gpu = next((device.get("name") for device in devices if device.get("type") not in (None, "cpu")), None)
    return {
        "comfyui_version": _text(system.get("comfyui_version")),
        "python_version": _text(system.get("python_version")),
        "gpu": _text(gpu),
        "devices": devices if said else None,
    }


def _text(value: Any) -> str | None:
    return mask(str(value))[0][:200] if value is not None else None


def _checkpoints(folder: Path) -> int | None:
    """How many checkpoints lie in the models' folder; None where there is none."""
    root = folder / "models" / "checkpoints"
    if not root.is_dir():
        return None
    return sum(name.lower().endswith(CHECKPOINTS) for _, _, names in os.walk(root, followlinks=False) for name in names)


def _free(folder: Path) -> int | None:
    """Free bytes where the runtime lies, or would."""
    with contextlib.suppress(OSError, StopIteration):
        return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    return None


def _torch(python: Path, timeout: float) -> dict[str, Any]:
    """What the runtime's Python says of itself and torch."""
    if not python.exists():
        return {"torch_error": "the runtime has no virtual environment"}
    try:
        ended = process.run([str(python), "-c", TORCH], env=process.environment(*GPU), timeout=timeout)
    except process.NotStarted as fault:
        return {"torch_error": str(fault)}
    if ended.timed_out:
        return {"torch_error": f"no answer within {timeout:g} seconds"}
    try:
        said = json.loads(ended.stdout.kept().decode("utf-8", "replace").strip().rpartition("\n")[2])
        return {name: mask(value, personal=True)[0] if isinstance(value, str) else value for name, value in said.items()}
    except (ValueError, AttributeError):
        return {"torch_error": _masked(ended.stderr.last(TAIL)) or "it answered with something else"}


def _missing(plane: Plane, place: Home, name: str) -> denial.RuntimeMissing:
    """The refusal where a part of the runtime is not there, with what to type."""
    if place.main.is_file():
        action = "Run: python kaizen.py Y6 --action provision"
        return denial.RuntimeMissing(action, missing=name, **_places(plane, place))
    commands = [
        f'git clone --depth 1 --branch {TAG} {REPOSITORY} "{place.folder}"',
        "python kaizen.py Y6 --action provision",
    ]
    action = f"Run: {' && '.join(commands)}. Or set KAIZEN_COMFYUI_HOME to the folder of one that you have."
    return denial.RuntimeMissing(action, missing=name, commands=commands, **_places(plane, place))


def _tail(path: Path) -> str | None:
    """The end of a log, masked."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return _masked(file.read(TAIL))
    except OSError:
        return None


def _masked(said: bytes) -> str | None:
    text = mask(said.decode("utf-8", "replace"), personal=True)[0].strip()
    return text or None
