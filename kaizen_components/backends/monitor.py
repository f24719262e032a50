"""Monitor: what GPU and ollama say of themselves at this moment."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import backends, denial, output, process
from ..redaction import mask
from .http import Endpoint, shown_url

# Seconds for each question; whoever does not answer by then is said not to.
PATIENCE = 5.0
_DEVICE = ("index", "name", "memory_total_mb", "memory_used_mb", "utilization_percent", "temperature_c")
_PROCESS = ("pid", "name", "memory_mb")
_ASKED = {
    "gpu": "index,name,memory.total,memory.used,utilization.gpu,temperature.gpu",
    "compute-apps": "pid,process_name,used_memory",
}

# The seam for tests: they do not wait.
wait: Callable[[float], None] = time.sleep


def gpu() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """({available, reason, devices}, processes) as nvidia-smi says; sizes in megabytes."""
    devices, reason = _nvidia("gpu", _DEVICE)
    if devices is None:
        return {"available": False, "reason": reason, "devices": []}, []
    processes, _ = _nvidia("compute-apps", _PROCESS)
    return {"available": True, "reason": None, "devices": devices}, processes or []


def _nvidia(asked: str, names: Sequence[str]) -> tuple[list[dict[str, Any]] | None, str | None]:
    """(a row for each line, None), or (None, why not)."""
    command = ["nvidia-smi", f"--query-{asked}={_ASKED[asked]}", "--format=csv,noheader,nounits"]
    try:
        ended = process.run(command, timeout=PATIENCE, grace=0.5)
    except process.NotStarted:
        return None, "there is no nvidia-smi"
    if ended.interrupted:
        raise KeyboardInterrupt
    if ended.timed_out:
        return None, f"nvidia-smi did not answer within {PATIENCE:g} seconds"
    said = ended.stdout.kept().decode("utf-8", "replace")
    if ended.exit_code != 0:
        first = (said + ended.stderr.kept().decode("utf-8", "replace")).strip().partition("\n")[0]
        return None, mask(first)[0][:200] or f"nvidia-smi ended with {ended.exit_code}"
    # A name may hold a comma: it stands second, and what follows it are numbers.
    rows = []
    for line in said.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        after = len(names) - 2
        if len(cells) >= len(names):
            middle = ", ".join(cells[1 : len(cells) - after])
            rows.append(dict(zip(names, map(_number, [cells[0], middle, *cells[len(cells) - after :]]), strict=True)))
    return rows, None


def _number(text: str) -> int | str | None:
    """A number as one; what nvidia-smi does not know is None."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None if text.startswith("[") else mask(text)[0]


def ollama() -> dict[str, Any]:
    """{available, base_url, reason, loaded, installed}: the configured ollama, else the one of this machine."""
    address, variable, key = backends.LOOPBACK_OLLAMA, "KAIZEN_LLM_BASE_URL", None
    for lane in ("text", "embedding"):
        try:
            found = backends.config(lane)
        except denial.EnvironmentInvalid:
            continue
        if found.backend == "ollama" and found.base_url:
            address, variable, key = found.base_url, found.variables[-2], found.api_key
            break
    root = address.removesuffix("/v1")
    said: dict[str, Any] = {"available": False, "base_url": shown_url(root), "reason": None, "loaded": [], "installed": []}
    try:
        server = Endpoint(root, variable=variable, api_key=key)
        said["loaded"] = [_model(entry) for entry in _models(server, "/api/ps")]
        said["installed"] = [_model(entry) for entry in _models(server, "/api/tags")]
        said["available"] = True
    except denial.Denial as refusal:
        said["reason"] = str(refusal.detail.get("reason") or refusal.message)
    return said


def _models(server: Endpoint, path: str) -> list[Mapping[str, Any]]:
    answer = server.get(path, quick=True)
    listed = answer.get("models") if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise server.malformed("it lists no models; it may be no ollama")
    return [entry for entry in listed if isinstance(entry, dict)]


def _model(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A model's name and sizes in bytes, as ollama gives them."""
    known = {name: entry[name] for name in ("size", "size_vram", "expires_at") if isinstance(entry.get(name), int | str)}
    return {"name": mask(str(entry.get("name", "?")))[0][:200], **known}


# --- for people -----------------------------------------------------------------------------------


def panel(seen: Mapping[str, Any], width: int = 110) -> str:
    """One look as text, a part below the other."""
    graphics, server = seen["gpu"], seen["ollama"]
    lines = ["GPU"]
    lines += [f"  not available: {graphics['reason']}"] if not graphics["available"] else []
    for one in graphics["devices"]:
        used = f"{one['memory_used_mb']} of {one['memory_total_mb']} MB"
        lines.append(f"  {one['index']} {one['name']}: {used}, {one['utilization_percent']} %, {one['temperature_c']} C")
    lines += [f"  process {one['pid']} {one['name']}: {one['memory_mb']} MB" for one in seen["gpu_processes"]]
    lines += ["", f"ollama at {server['base_url']}"]
    if not server["available"]:
        lines.append(f"  not available: {server['reason']}")
    else:
        lines.append(f"  loaded: {', '.join(one['name'] for one in server['loaded']) or 'nothing'}")
        lines.append(f"  installed: {', '.join(one['name'] for one in server['installed']) or 'nothing'}")
    lines += ["", "Backends"]
    for one in seen["backends"]:
        state = "not configured" if not one["configured"] else f"{one['backend']} {one['model']} on {one['device']}"
        if "reachable" in one:
            state += ", works" if one["reachable"] and one.get("ok", True) else f", does not work: {one.get('reason')}"
        lines.append(f"  {one['lane']:<10} {state}")
    lines += ["", "Recent calls"]
    for one in seen["recent"]:
        lines.append(
            f"  {one['created_at'][:19]} {one['lane']:<10} {one['kind']:<11} {one['model'] or '-'} {one['latency_ms'] or 0} ms"
        )
    lines += [] if seen["recent"] else ["  none"]
    return "\n".join(line[:width] for line in lines)


def show(seen: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one look: an object a line, or a panel, which on a terminal takes the last one's place."""
    if as_json:
        output.text(json.dumps(seen, default=str))
        return
    clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
    output.text(f"{clear}{panel(seen)}\n\n{seen['seen_at'][:19]} UTC. Ctrl-C ends this.\n")
