"""ComfyUI: a client of its HTTP and WebSocket protocol."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from .. import denial
from ..backends import http
from ..fields import shorten
from ..redaction import mask
from . import runs
from .workflow import Graph, Workflow

DEFAULT = "http://127.0.0.1:8188"
VARIABLE = "KAIZEN_COMFYUI_URL"
INSTALL = "python -m pip install -r requirements-kaizen.txt"
# An answer in JSON is never longer, not even all that a server with many custom nodes knows.
LARGEST_ANSWER = 256_000_000
LARGEST_MESSAGE = 64_000_000
# Outputs of one run: a server that names more is not believed.
MOST_OUTPUTS = 1_000
SECONDS = 30.0
# A whole answer may take so many times the seconds that a silence may; of what a server says of itself so much is kept.
WHOLE, MOST_SAID, MOST_DEVICES = 4, 200, 64
SYSTEM = ("os", "comfyui_version", "python_version", "pytorch_version")
# Between two looks at the history, at first and at most; silence of the socket after which one looks as well; how long a
# server may be away while it works: all in seconds. A run that it does not know so often in a row is lost.
PAUSES, QUIET, PATIENCE, ABSENCES = (0.05, 1.0), 5.0, 20.0, 3
# Files that a loader's choices are, where its input has no telling name.
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx", ".png", ".jpg", ".jpeg", ".webp")

# What a run tells while it goes on: (how much is done, what is at work, of how much).
Show = Callable[[float, str, float], None]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is, and whether that is this machine."""

    url: str
    loopback: bool


def endpoint(given: str | None = None) -> Endpoint:
    """The server that is meant: what is given, KAIZEN_COMFYUI_URL, or the usual port of this machine.

    Raises DENIED_ENVIRONMENT_INVALID or DENIED_USAGE for what is no address, DENIED_ENDPOINT_INSECURE for plain http to
    another machine, unless KAIZEN_ALLOW_INSECURE_HTTP=1.
    """
    text = (given or os.environ.get(VARIABLE, "")).strip() or DEFAULT
    try:
        url = http.checked_url(text, "--endpoint" if given else VARIABLE)
    except denial.EnvironmentInvalid as fault:
        if not given:
            raise
        wanted = f"Pass an address without credentials, such as {DEFAULT}."
        raise denial.Usage(
            wanted, message="--endpoint is no address that can be used.", flag="--endpoint", **_why(fault)
        ) from None
    return Endpoint(url, http.is_loopback(urlsplit(url).hostname or ""))


def _why(fault: denial.Denial) -> dict[str, Any]:
    return {"reason": fault.detail.get("reason") or fault.message}


class Client:
    """One caller of one server. Methods raise DENIED_BACKEND_UNAVAILABLE where it does not answer, DENIED_BACKEND_HTTP
    where it answers with an error, DENIED_BACKEND_MALFORMED where it answers with something else than was asked for."""

    def __init__(self, place: Endpoint, *, seconds: float = SECONDS) -> None:
        try:
            import httpx
        except ImportError:
            raise denial.BackendUnavailable(f"Run: {INSTALL}", package="httpx") from None
        self.endpoint, self._seconds = place, seconds
        # A proxy can do nothing for an address of this machine.
        self._http = httpx.Client(timeout=httpx.Timeout(seconds), trust_env=not place.loopback, follow_redirects=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # --- requests -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _stream(self, method: str, path: str, **options: Any) -> Iterator[Any]:
        """An answer whose body has not been read; faults of the connection, then and while it is read, become refusals."""
        import httpx

        try:
            with self._http.stream(method, self.endpoint.url + path, **options) as response:
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            reason = str(fault) or type(fault).__name__
            raise denial.BackendUnreachable(
                "Start ComfyUI, or pass its address with --endpoint; setup/COMFYUI.md shows how.",
                message="ComfyUI does not answer.",
                endpoint=self.endpoint.url,
                reason=reason,
            ) from None

    def _ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """(status, JSON) of an answer; None for an empty body and for what is no JSON beside an error."""
        with self._stream(method, path, **options) as response:
            body, until = bytearray(), time.monotonic() + WHOLE * self._seconds
            for block in response.iter_bytes():
                body += block
                if len(body) > LARGEST_ANSWER:
                    raise denial.BackendMalformed(endpoint=self.endpoint.url, path=path, reason="the answer is too long")
                if time.monotonic() > until:
                    raise denial.BackendMalformed(endpoint=self.endpoint.url, path=path, reason="the answer does not end")
            status = response.status_code
        try:
            return status, http.parsed(bytes(body)) if body else None
        except (ValueError, RecursionError):
            if status >= 300:
                return status, None
            raise denial.BackendMalformed(
                message="The server answered, but not as ComfyUI does.",
                endpoint=self.endpoint.url,
                path=path,
                reason="the answer is no JSON",
            ) from None

    def _object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        status, value = self._ask(method, path, **options)
        if status >= 300:
            raise denial.BackendHttp(endpoint=self.endpoint.url, path=path, http_status=status, reason=_reason(value))
        if not isinstance(value, dict):
            raise denial.BackendMalformed(
                message="The server answered, but not as ComfyUI does.",
                endpoint=self.endpoint.url,
                path=path,
                reason="the answer is no JSON object",
            )
        return value

    def stats(self) -> dict[str, Any]:
        """What runs there: `system` (os, comfyui_version, python_version, pytorch_version) and `devices`, each as flat values."""
        found = self._object("GET", "/system_stats")
        system, devices = found.get("system"), found.get("devices")
        devices = [_flat(device) for device in devices if isinstance(device, dict)] if isinstance(devices, list) else []
        system = _flat(system) if isinstance(system, dict) else {}
        return {"system": {name: system[name] for name in SYSTEM if name in system}, "devices": devices[:MOST_DEVICES]}

    def profile(self) -> str:
        """What runs there, in a line: version and devices."""
        found = self.stats()
        names = [str(device.get("name") or device.get("type")) for device in found["devices"]]
        text = f"ComfyUI {found['system'].get('comfyui_version') or '?'}" + (f" on {', '.join(names)}" if names else "")
        return shorten(mask(text, personal=True)[0], 200)

    def upload(self, source: runs.Source) -> str:
        """Send a picture into the server's input folder; the name it has there. A file of that name and other bytes is not
        overwritten: the server then gives another name."""
        folder, _, name = source.name.replace("\\", "/").rpartition("/")
        with source.kept.path.open("rb") as file:
            fields = {"type": "input", **({"subfolder": folder} if folder else {})}
            found = self._object("POST", "/upload/image", data=fields, files={"image": (name, file)})
        if not isinstance(found.get("name"), str):
            raise denial.BackendMalformed(endpoint=self.endpoint.url, path="/upload/image", reason="no name for the picture")
        folder = found.get("subfolder") or ""
        return f"{folder}/{found['name']}" if folder else found["name"]

    def submit(self, graph: Graph, *, prompt_id: str, client_id: str) -> str:
        """Put a graph into the queue; the id of the run there. DENIED_WORKFLOW_REJECTED with `errors`, a line each."""
        body = {"prompt": graph, "client_id": client_id, "prompt_id": prompt_id}
        status, value = self._ask("POST", "/prompt", json=body)
        answer: dict[str, Any] = value if isinstance(value, dict) else {}
        if status == 400:
            raise denial.WorkflowRejected(endpoint=self.endpoint.url, errors=_errors(answer))
        if status >= 300:
            raise denial.BackendHttp(endpoint=self.endpoint.url, path="/prompt", http_status=status, reason=_reason(value))
        if not isinstance(answer.get("prompt_id"), str) or not 0 < len(answer["prompt_id"]) <= MOST_SAID:
            raise denial.BackendMalformed(endpoint=self.endpoint.url, path="/prompt", reason="no prompt_id")
        return answer["prompt_id"]

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The entry of a run that has ended; None for any other."""
        entry = self._object("GET", f"/history/{quote(prompt_id, safe='')}").get(prompt_id)
        return entry if isinstance(entry, dict) else None

    def queue(self, prompt_id: str) -> str | None:
        """Where a run is that has not ended: running, pending, or None."""
        found = self._object("GET", "/queue")
        for word in ("running", "pending"):
            items = found.get(f"queue_{word}")
            for item in items if isinstance(items, list) else ():
                if isinstance(item, list) and len(item) > 1 and item[1] == prompt_id:
                    return word
        return None

    def cancel(self, prompt_id: str) -> None:
        """Take a run out of the queue, or interrupt it. Servers that know no interrupt of one run stop whichever runs:
        so it is asked first whether that is ours."""
        self._ask("POST", "/queue", json={"delete": [prompt_id]})
        if self.queue(prompt_id) == "running":
            self._ask("POST", "/interrupt", json={"prompt_id": prompt_id})

    def view(self, file: Mapping[str, str], *, until: float) -> Iterator[bytes]:
        """The bytes of an output as the history names it, until a moment of time.monotonic()."""
        query = {name: file[name] for name in ("filename", "subfolder", "type")}
        with self._stream("GET", "/view", params=query) as response:
            if response.status_code >= 300:
                raise denial.BackendHttp(endpoint=self.endpoint.url, path="/view", http_status=response.status_code)
            # Block by block as they come: a server that sends a byte now and then does not outlast the time.
            for block in response.iter_bytes():
                if time.monotonic() > until:
                    raise denial.RunTimeout(endpoint=self.endpoint.url, message="An output did not arrive in time.")
                yield block

    def ending(self, entry: Mapping[str, Any] | None) -> str | None:
        """Why a run failed, as its history says; None for one that did not."""
        if entry is None:
            return "the server does not know the run any more: it was taken out of the queue, or the server was restarted"
        return _ending(entry)

    def fetch(self, plan: runs.Plan, entry: Mapping[str, Any], *, seconds: float) -> Iterator[runs.Output]:
        """Everything that a run wrote, as it is kept on disk: the bytes as they came, under names of our own."""
        until = time.monotonic() + seconds
        for number, (node, file) in enumerate(outputs(entry), start=1):
            name = f"{number:02}-{runs.file_name(file['filename'], 'output')}"
            kept = runs.keep(plan, name, self.view(file, until=until), most=runs.OUTPUT_BYTES)
            yield runs.Output(kept, file["filename"], node, file["type"])

    # --- checks -------------------------------------------------------------------------------------

    def check(self, workflow: Workflow, *, sent: Mapping[str, Any]) -> None:
        """Compare a workflow with what the server knows (/object_info). `sent` holds the pictures that will be uploaded.

        Raises DENIED_WORKFLOW_NODES_UNKNOWN with `nodes`, DENIED_ASSET_MISSING with `files`.
        """
        known = self._object("GET", "/object_info")
        unknown = sorted({kind for _, kind, _ in workflow.nodes() if kind not in known})
        if unknown:
            raise denial.WorkflowNodesUnknown(endpoint=self.endpoint.url, nodes=unknown)
        files = set()
        for _, kind, inputs in workflow.nodes():
            for name, value in inputs.items():
                choices = _files(known[kind], name)
                if choices is None or not isinstance(value, str) or value.endswith(("[output]", "[temp]")):
                    continue
                file = value.removesuffix(" [input]")
                if file not in choices and file not in sent:
                    files.add(file)
        if files:
            raise denial.AssetMissing(endpoint=self.endpoint.url, files=sorted(files))

    # --- following a run ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def listening(self, client_id: str) -> Iterator[Any]:
        """The server's messages to this client, as a socket; None where there is none to be had: the history is looked at
        instead."""
        socket = None
        with contextlib.suppress(Exception):
            from websockets.exceptions import InvalidStatus
            from websockets.sync.client import ClientConnection, connect

            class Direct(ClientConnection):
                """A connection to where it was asked for: the package follows a server that points elsewhere."""

                def handshake(self, *given: Any, **named: Any) -> None:
                    try:
                        super().handshake(*given, **named)
                    except InvalidStatus as fault:
                        raise ConnectionError(str(fault)) from None

            url = "ws" + self.endpoint.url.removeprefix("http") + f"/ws?clientId={client_id}"
            proxy: Any = None if self.endpoint.loopback else True
            times = {"open_timeout": 5, "close_timeout": 1}
            settings: Any = {"max_size": LARGEST_MESSAGE, "compression": None, "create_connection": Direct, "legacy": True}
            socket = connect(url, proxy=proxy, **times, **settings)
        try:
            yield socket
        finally:
            if socket is not None:
                with contextlib.suppress(Exception):
                    socket.close()

    def follow(self, socket: Any, prompt_id: str, seconds: float, show: Show) -> dict[str, Any] | None:
        """Wait until a run has ended: its entry in the history, or None where the server knows nothing of it any more.

        Raises TimeoutError, and DENIED_BACKEND_UNAVAILABLE for a server that went away for long.
        """
        until = time.monotonic() + seconds
        pause, absent, answered = PAUSES[0], 0, time.monotonic()
        while (left := until - time.monotonic()) > 0:
            if socket is not None:
                try:
                    ended = _hear(socket.recv(timeout=min(left, QUIET)), prompt_id, show)
                    if not ended and time.monotonic() - answered < QUIET:
                        continue
                    socket = None if ended else socket
                except TimeoutError:
                    pass
                except Exception:
                    # Lost. The history knows what there is to know.
                    socket = None
            try:
                entry = self.history(prompt_id)
                if entry is not None:
                    return entry
                absent = 0 if self.queue(prompt_id) else absent + 1
                answered = time.monotonic()
            except denial.Denial:
                if time.monotonic() - answered > PATIENCE:
                    raise
            if absent > ABSENCES:
                return None
            if socket is None:
                time.sleep(min(pause, max(until - time.monotonic(), 0)))
                pause = min(pause * 2, PAUSES[1])
        raise TimeoutError


def _flat(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a server says of itself: its texts and numbers, without what is secret or long."""
    found: dict[str, Any] = {}
    for name, value in list(said.items())[:MOST_DEVICES]:
        if isinstance(value, str):
            found[shorten(mask(name)[0], MOST_SAID)] = shorten(mask(value)[0], MOST_SAID)
        elif value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            found[shorten(mask(name)[0], MOST_SAID)] = value
    return found


def _hear(message: Any, prompt_id: str, show: Show) -> bool:
    """Whether a message says that the run has ended; progress is shown. Pictures of what is being made are bytes."""
    if not isinstance(message, str):
        return False
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return False
    data = said.get("data") if isinstance(said, dict) else None
    if not isinstance(data, dict) or data.get("prompt_id") != prompt_id:
        return False
    kind = said.get("type")
    if kind in ("execution_success", "execution_error", "execution_interrupted"):
        return True
    if kind == "executing":
        if data.get("node") is None:
            return True
        show(0, _node(data["node"]), 0)
    elif kind == "progress":
        _tell(show, data.get("node"), data)
    elif kind == "progress_state":
        nodes = data.get("nodes")
        for node_id, state in nodes.items() if isinstance(nodes, dict) else ():
            if isinstance(state, dict) and state.get("state") == "running":
                _tell(show, node_id, state)
    return False


def _tell(show: Show, node_id: Any, state: Mapping[str, Any]) -> None:
    done, total = state.get("value"), state.get("max")
    if not isinstance(done, int | float) or not isinstance(total, int | float):
        done, total = 0, 0
    show(float(done), _node(node_id), float(total))


def _node(node_id: Any) -> str:
    """A node for a terminal, which a server's words may not steer."""
    return "node " + "".join(letter for letter in shorten(node_id) if letter.isprintable())


def _files(info: Any, name: str) -> set[str] | None:
    """The files that an input of a node can take; None for an input that takes no file of the server's."""
    groups = info.get("input") if isinstance(info, dict) else None
    for group in groups.values() if isinstance(groups, dict) else ():
        spec = group.get(name) if isinstance(group, dict) else None
        if not isinstance(spec, list) or not spec:
            continue
        options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
        # Either ["a", "b"] or "COMBO" with the choices beside it.
        choices = spec[0] if isinstance(spec[0], list) else options.get("options") if spec[0] == "COMBO" else None
        if not isinstance(choices, list):
            return None
        found = {choice for choice in choices if isinstance(choice, str)}
        uploads = any(options.get(f"{kind}_upload") for kind in ("image", "audio", "video", "file"))
        named = name.rstrip("0123456789").endswith("_name") and name not in ("sampler_name", "scheduler_name")
        return found if uploads or named or any(Path(choice).suffix in SUFFIXES for choice in found) else None
    return None


def _errors(answer: Mapping[str, Any]) -> list[str]:
    """What a server has against a workflow, a line each: the whole first, then node by node."""
    found = []
    whole = answer.get("error")
    if isinstance(whole, dict):
        found.append(_line(whole))
    elif whole:
        found.append(shorten(whole, 500))
    nodes = answer.get("node_errors")
    for node_id, node in nodes.items() if isinstance(nodes, dict) else ():
        errors = node.get("errors") if isinstance(node, dict) else None
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                found.append(f"node {node_id} ({node.get('class_type', '?')}): {_line(error)}")
    return found[:50] or ["the server gave no reason"]


def _line(error: Mapping[str, Any]) -> str:
    parts = [str(error.get(name)) for name in ("message", "details") if error.get(name)]
    return shorten(": ".join(parts) or str(error.get("type")), 500)


def _reason(value: Any) -> str | None:
    """What a server says of its error, briefly."""
    said = value.get("error") if isinstance(value, dict) else None
    if isinstance(said, dict):
        return _line(said)
    return shorten(said, 500) if said else None


def _ending(entry: Mapping[str, Any]) -> str | None:
    """Why a run failed, as its history says; None for one that did not."""
    status = entry.get("status")
    if not isinstance(status, dict) or status.get("status_str") != "error":
        return None
    messages = status.get("messages")
    for message in reversed(messages) if isinstance(messages, list) else ():
        kind, data = message if isinstance(message, list) and len(message) == 2 else (None, None)
        if not isinstance(data, dict):
            continue
        where = f"node {data.get('node_id')} ({data.get('node_type')})"
        if kind == "execution_interrupted":
            return f"interrupted on the server at {where}"
        if kind == "execution_error":
            what = f"{data.get('exception_type')}: {str(data.get('exception_message')).strip()}"
            return f"{where}: {what}"
    return "the server says error, and no more"


def outputs(entry: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """(node id, file) of everything that a run wrote, in the order of the history, each file once. Nodes that show what
    they read name files of the input folder: those are no outputs."""
    found: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
    nodes = entry.get("outputs")
    for node_id, made in nodes.items() if isinstance(nodes, dict) else ():
        for listed in made.values() if isinstance(made, dict) else ():
            for item in listed if isinstance(listed, list) else ():
                if not isinstance(item, dict) or not isinstance(item.get("filename"), str):
                    continue
                file = {name: str(item.get(name) or "") for name in ("filename", "subfolder")}
                file["type"] = str(item.get("type") or "output")
                if file["type"] in ("output", "temp") and len(found) < MOST_OUTPUTS:
                    found.setdefault(tuple(file.values()), (str(node_id), file))
    return list(found.values())
