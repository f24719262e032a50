"""Artifact server: a store of packages on loopback that checks what it is given, and drops connections where it is told."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What may be dropped: method and the end of the path's pattern.
STEPS = ("POST /packages", "GET /packages/ID", "PUT file", "POST finalize")


class ArtifactServer:
    """Packages by id; `drops` maps a step to how often its connection is cut: before the work is done, or after it."""

    def __init__(self) -> None:
        self.packages: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.drop_before: dict[str, int] = {}
        self.drop_after: dict[str, int] = {}
        self.statuses: list[tuple[int, Any]] = []
        self.token: str | None = None
        self.extensions: list[dict[str, Any]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Quiet."""

            def _handle(self) -> None:
                owner.handle(self)

            do_GET = do_POST = do_PUT = _handle

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def visible(self) -> list[dict[str, Any]]:
        """The packages that a reader of the store would see."""
        return [package for package in self.packages.values() if package["state"] == "final"]

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        parts = request.path.strip("/").split("/")
        step = self._step(request.command, parts)
        self.requests.append(step)
        if self.drop_before.get(step, 0):
            self.drop_before[step] -= 1
            return self._cut(request)
        if self.statuses:
            return self._answer(request, *self.statuses.pop(0))
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._answer(request, 401, {"detail": f"not {request.headers.get('Authorization')}"})
        status, value = self._done(step, parts, body, request)
        if self.drop_after.get(step, 0):
            self.drop_after[step] -= 1
            return self._cut(request)
        return self._answer(request, status, value)

    def _step(self, method: str, parts: list[str]) -> str:
        if len(parts) == 1:
            return "POST /packages"
        if len(parts) == 2:
            return "GET /packages/ID"
        return {"files": "PUT file", "finalize": "POST finalize", "retention": "POST extension"}[parts[2]]

    def _done(self, step: str, parts: list[str], body: bytes, request: BaseHTTPRequestHandler) -> tuple[int, Any]:
        if step == "POST /packages":
            wanted = json.loads(body)
            if wanted["retention_class"] not in ("raw-evidence", "derived"):
                return 422, {"detail": "no such retention_class"}
            key = request.headers["Idempotency-Key"]
            assert key == wanted["manifest_sha256"]
            for name, package in self.packages.items():
                if package["key"] == key:
                    return 200, {"id": name}
            name = f"pkg-{len(self.packages) + 1}"
            self.packages[name] = {"key": key, "manifest": wanted["manifest"], "state": "open", "files": {}}
            return 201, {"id": name}
        package = self.packages.get(parts[1])
        if package is None:
            return 404, {"detail": "no such package"}
        if step == "GET /packages/ID":
            return 200, {"id": parts[1], "state": package["state"], "files": [{"sha256": name} for name in package["files"]]}
        if step == "PUT file":
            if package["state"] == "final" or hashlib.sha256(body).hexdigest() != parts[3]:
                return 409, {"detail": "final, or not these bytes"}
            package["files"][parts[3]] = body
            return 201, {}
        if step == "POST extension":
            self.extensions.append(json.loads(body))
            return 201, {}
        if {entry["sha256"] for entry in package["manifest"]["files"]} != set(package["files"]):
            return 409, {"detail": "files are missing"}
        package["state"] = "final"
        return 200, {"state": "final"}

    def _answer(self, request: BaseHTTPRequestHandler, status: int, value: Any) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _cut(self, request: BaseHTTPRequestHandler) -> None:
        import socket

        with contextlib.suppress(OSError):
            request.connection.shutdown(socket.SHUT_RDWR)
        request.close_connection = True


@contextlib.contextmanager
def running() -> Iterator[ArtifactServer]:
    """A server that works until the end of the block."""
    made = ArtifactServer()
    thread = threading.Thread(target=lambda: made.server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()
