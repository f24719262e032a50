"""A ComfyUI server on loopback: it speaks the real HTTP and WebSocket protocol over a real socket, and its pictures are
real PNGs. What it does besides is told by the attributes of ComfyServer.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import queue
import re
import select
import struct
import threading
import uuid
import zlib
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def png(color: tuple[int, int, int] = (200, 30, 30), size: int = 4) -> bytes:
    """A valid PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(color) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _node(**inputs: Any) -> dict[str, Any]:
    return {"input": {"required": inputs}, "output_node": False}


class ComfyServer:
    """What the server knows, does and has seen."""

    url = ""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.nodes: dict[str, Any] = {
            "KSampler": _node(seed=["INT", {"default": 0}], sampler_name=[["euler", "heun"]]),
            "CheckpointLoaderSimple": _node(ckpt_name=[["sd15.safetensors"]]),
            "VAELoader": _node(vae_name=["COMBO", {"options": ["vae.safetensors"]}]),
            "CLIPTextEncode": _node(text=["STRING", {"multiline": True}]),
            "LoadImage": _node(image=[["there.png"], {"image_upload": True}]),
            "SaveImage": _node(filename_prefix=["STRING", {}]),
        }
        # Files of the input folder, and what a run writes: (filename, subfolder, type) -> bytes.
        self.inputs: dict[str, bytes] = {"there.png": png()}
        self.files: dict[tuple[str, str, str], bytes] = {("ComfyUI_00001_.png", "", "output"): png()}
        self.stats: dict[str, Any] = {
            "system": {"os": "linux", "comfyui_version": "0.9.1", "python_version": "3.12.3 (main)", "pytorch_version": "2.9.0"},
            "devices": [{"name": "cpu", "type": "cpu", "index": None, "vram_total": 8_000, "vram_free": 4_000}],
        }
        self.rejection: dict[str, Any] | None = None
        # What execution_error says; None for a run that succeeds.
        self.failure: dict[str, Any] | None = None
        # The run does not end by itself; it waits in the queue; the server forgets it.
        self.stalls = self.waits = self.forgets = False
        # There is no socket, or it is cut once the run has begun; previews are sent; the end is not told.
        self.no_socket = self.cuts_socket = self.previews = self.keeps_silent = False
        # A server from before a run could have an id of the client's.
        self.old = False
        # The paths whose answers come a byte now and then, and do not end.
        self.drips: set[str] = set()
        # status -> answers to every further request of a path.
        self.faults: dict[str, tuple[int, bytes]] = {}
        self.history: dict[str, Any] = {}
        self.running: list[str] = []
        self.pending: list[str] = []
        self.graphs: dict[str, Any] = {}
        self.interrupted: list[str] = []
        self.clients: dict[str, queue.Queue[Any]] = {}
        self.begun = threading.Event()
        self.stop = threading.Event()

    def asked(self, path: str) -> list[Any]:
        """The bodies of the requests for a path."""
        return [body for _, asked, body in self.requests if urlsplit(asked).path == path]

    # --- a run ----------------------------------------------------------------------------------

    def submit(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.rejection is not None:
            return 400, self.rejection
        prompt_id = str(uuid.uuid4()) if self.old else body.get("prompt_id") or str(uuid.uuid4())
        self.graphs[prompt_id] = body["prompt"]
        if self.waits:
            self.pending.append(prompt_id)
        elif not self.forgets:
            self.running.append(prompt_id)
            threading.Thread(target=self._work, args=(prompt_id, body["prompt"], body.get("client_id")), daemon=True).start()
        return 200, {"prompt_id": prompt_id, "number": len(self.graphs), "node_errors": {}}

    def _work(self, prompt_id: str, graph: dict[str, Any], client: str | None) -> None:
        messages: list[list[Any]] = []

        def tell(kind: str, kept: bool = False, **data: Any) -> None:
            data = {"prompt_id": prompt_id, **data}
            if kept:
                messages.append([kind, {**data, "timestamp": 1}])
            if not (self.keeps_silent and kept and kind != "execution_start"):
                self.send(client, json.dumps({"type": kind, "data": data}))

        self.send(client, json.dumps({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}}))
        tell("execution_start", kept=True)
        tell("execution_cached", kept=True, nodes=[])
        # Somebody else's run, which ends now: nothing of ours does.
        self.send(client, json.dumps({"type": "execution_success", "data": {"prompt_id": "another"}}))
        node = next(iter(graph))
        tell("executing", node=node, display_node=node)
        self.begun.set()
        if self.cuts_socket:
            self.send(client, None)
        for step in (1, 2):
            tell("progress", value=step, max=2, node=node)
            tell("progress_state", nodes={node: {"value": step, "max": 2, "state": "running", "node_id": node}})
            if self.previews:
                self.send(client, struct.pack(">II", 1, 2) + png())
        while self.stalls and not self.stop.wait(0.01):
            if prompt_id in self.interrupted:
                break
        if prompt_id in self.interrupted:
            self._end(prompt_id, messages, {}, tell, "execution_interrupted", node_id=node, node_type="KSampler", executed=[])
        elif self.failure is not None:
            self._end(prompt_id, messages, {}, tell, "execution_error", **self.failure)
        else:
            made = [{"filename": name, "subfolder": folder, "type": kind} for name, folder, kind in self.files]
            outputs = {"9": {"images": made, "animated": [False], "text": ["not a file"]}}
            tell("executed", node="9", output=outputs["9"])
            self._end(prompt_id, messages, outputs, tell, "execution_success")
        if not self.keeps_silent:
            tell("executing", node=None)

    def _end(self, prompt_id: str, messages: list[Any], outputs: Any, tell: Any, kind: str, **data: Any) -> None:
        tell(kind, kept=True, **data)
        good = kind == "execution_success"
        status = {"status_str": "success" if good else "error", "completed": good, "messages": messages}
        prompt = [1, prompt_id, self.graphs[prompt_id], {}, ["9"]]
        self.history[prompt_id] = {"prompt": prompt, "outputs": outputs, "status": status, "meta": {}}
        self.running.remove(prompt_id)

    def send(self, client: str | None, message: Any) -> None:
        if client in self.clients:
            self.clients[client].put(message)

    # --- requests -------------------------------------------------------------------------------

    def reply(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """(status, JSON or bytes) of a request."""
        if path in self.faults:
            return self.faults[path]
        if (method, path) == ("GET", "/system_stats"):
            return 200, self.stats
        if (method, path) == ("GET", "/object_info"):
            return 200, self.nodes
        if (method, path) == ("POST", "/prompt"):
            return self.submit(body)
        if (method, path) == ("GET", "/queue"):
            return 200, {f"queue_{word}": [[1, n, {}, {}, []] for n in getattr(self, word)] for word in ("running", "pending")}
        if (method, path) == ("POST", "/queue"):
            self.pending = [prompt_id for prompt_id in self.pending if prompt_id not in body.get("delete", ())]
            return 200, b""
        if (method, path) == ("POST", "/interrupt"):
            given = None if self.old else body.get("prompt_id")
            self.interrupted += [prompt_id for prompt_id in self.running if given in (None, prompt_id)]
            return 200, b""
        if path.startswith("/history/"):
            prompt_id = unquote(path.removeprefix("/history/"))
            return 200, {prompt_id: self.history[prompt_id]} if prompt_id in self.history else {}
        if (method, path) == ("GET", "/view"):
            found = self.files.get((query.get("filename", ""), query.get("subfolder", ""), query.get("type", "output")))
            return (200, found) if found is not None else (404, b"")
        if (method, path) == ("POST", "/upload/image"):
            return self._upload(body)
        return 404, {"error": "not found"}

    def _upload(self, parts: dict[str, tuple[str | None, bytes]]) -> tuple[int, Any]:
        name, content = parts["image"]
        folder = parts["subfolder"][1].decode() if "subfolder" in parts else ""
        assert name and "/" not in name
        stem, dot, suffix = name.rpartition(".")
        number, given = 1, name
        while (known := self.inputs.get(f"{folder}/{given}" if folder else given)) is not None and known != content:
            given, number = f"{stem} ({number}){dot}{suffix}", number + 1
        self.inputs[f"{folder}/{given}" if folder else given] = content
        return 200, {"name": given, "subfolder": folder, "type": "input"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    comfy: ComfyServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ws":
            self._socket()
        else:
            self._answer("GET", None)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if (self.headers["Content-Type"] or "").startswith("multipart/"):
            self._answer("POST", self._parts(content))
        else:
            self._answer("POST", json.loads(content or b"{}"))

    def _parts(self, content: bytes) -> dict[str, tuple[str | None, bytes]]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        found = {}
        for part in BytesParser(policy=HTTP).parsebytes(head + content).iter_parts():
            named = re.search(r'name="([^"]*)"', part["Content-Disposition"])
            assert named
            found[named[1]] = (part.get_filename(), part.get_payload(decode=True))
        return found

    def _answer(self, method: str, body: Any) -> None:
        parts = urlsplit(self.path)
        self.comfy.requests.append((method, self.path, body))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in self.comfy.drips:
            self._drip()
            return
        status, value = self.comfy.reply(method, parts.path, query, body)
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(value, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drip(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.comfy.stop.wait(0.02):
                self.wfile.write(b" ")

    def _socket(self) -> None:
        """RFC 6455, as much of it as a server needs that only talks."""
        self.close_connection = True
        if self.comfy.no_socket:
            self.send_error(404)
            return
        client = parse_qs(urlsplit(self.path).query)["clientId"][0]
        key = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + _GUID).encode()).digest()
        self.send_response_only(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(key).decode())
        self.end_headers()
        waiting = self.comfy.clients[client] = queue.Queue()
        with contextlib.suppress(OSError):
            self._frame(json.dumps({"type": "status", "data": {"status": {}, "sid": client}}))
            # What a client sends is that it closes.
            while not self.comfy.stop.is_set() and not select.select([self.connection], [], [], 0)[0]:
                with contextlib.suppress(queue.Empty):
                    message = waiting.get(timeout=0.02)
                    if message is None:
                        return
                    self._frame(message)
            self.wfile.write(b"\x88\x00")

    def _frame(self, message: str | bytes) -> None:
        data, kind = (message.encode(), 0x81) if isinstance(message, str) else (message, 0x82)
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
        self.wfile.write(bytes([kind]) + length + data)
        self.wfile.flush()


@contextlib.contextmanager
def running() -> Iterator[ComfyServer]:
    """A server on a free port of loopback, until the block ends."""
    state = ComfyServer()
    handler = type("Handler", (_Handler,), {"comfy": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
