"""Pages: a web server on loopback for tests that fetch; what stands at a path is a function of the request."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GUIDE = b"""<!doctype html><html><head><title>Guide</title><style>p{}</style></head><body><nav>Home</nav>
<h1>Guide</h1><p>How users log in &amp; out.</p></body></html>"""

Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers from ROUTES, and says nothing about it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        ROUTES.get(self.path.partition("?")[0], _missing)(self)

    def answer(self, body: bytes, kind: str = "text/html; charset=utf-8", status: int = 200, **headers: str) -> None:
        """Send a whole answer; header names with underscores for dashes."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


def _missing(handler: Handler) -> None:
    handler.answer(b"<h1>Not here</h1>", status=404)


ROUTES: dict[str, Route] = {"/guide.html": lambda handler: handler.answer(GUIDE)}


@functools.cache
def port() -> int:
    """The port of the server of this process, which is started when it is first asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    # A client that hangs up is no news.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server.server_address[1]


def url(path: str, host: str = "127.0.0.1") -> str:
    """The address of a path on it."""
    return f"http://{host}:{port()}{path}"
