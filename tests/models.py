"""A model server on loopback: it speaks the OpenAI protocol over a real socket, and what it answers is made up.

Embeddings are sums of one fixed vector a word, so that texts that share words lie near each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import random
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSION = 64


def embedding(text: str, dimension: int = DIMENSION) -> list[float]:
    """A unit vector; words are told apart by their first five letters."""
    total = [0.0] * dimension
    for word in re.findall(r"[a-z0-9]+", text.lower()) or ["-"]:
        source = random.Random(hashlib.sha256(word[:5].encode()).digest())
        for index in range(dimension):
            total[index] += source.gauss(0, 1)
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / length for value in total]


class ModelServer:
    """What the server was asked, and what it will say."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        # Prompt -> answer; the default repeats the end of the prompt.
        self.answer: Callable[[dict[str, Any]], str] = lambda body: "You said: " + body["messages"][-1]["content"][-60:]
        self.dimension = DIMENSION
        # Statuses to answer with before anything works: [(503, {"Retry-After": "0"})].
        self.faults: list[tuple[int, dict[str, str]]] = []
        # A text to send in place of JSON.
        self.garbage: str | bytes | None = None
        self.url = ""

    def reply(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/embeddings":
            given = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [
                {"index": n, "object": "embedding", "embedding": embedding(text, self.dimension)} for n, text in enumerate(given)
            ]
            return 200, {"object": "list", "model": body["model"], "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        if path == "/v1/chat/completions":
            text = self.answer(body)
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
            return 200, {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": "fake", "object": "model"}]}
        if path == "/api/tags":
            return 200, {"models": [{"name": "fake:latest", "size": 1000}]}
        if path == "/api/ps":
            return 200, {"models": [{"name": "fake:latest", "size": 1000, "size_vram": 0}]}
        return 404, {"error": {"message": f"no such path {path}"}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model_server: ModelServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(json.loads(self.rfile.read(length) or b"{}"))

    def _answer(self, body: dict[str, Any]) -> None:
        server = self.model_server
        server.requests.append((self.path, body, dict(self.headers)))
        headers: dict[str, str] = {}
        if server.faults:
            status, headers = server.faults.pop(0)
            content = b'{"error": {"message": "not now"}}'
        elif server.garbage is not None:
            status, content = 200, server.garbage if isinstance(server.garbage, bytes) else server.garbage.encode()
        else:
            status, value = server.reply(self.path, body)
            content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def running() -> Iterator[ModelServer]:
    """A server on a free port of loopback, until the block ends."""
    state = ModelServer()
    handler = type("Handler", (_Handler,), {"model_server": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
