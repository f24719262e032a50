"""HTTP to model servers: which addresses are allowed, what is tried again, and what is made of an answer."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import denial
from ..redaction import kinds, mask

if TYPE_CHECKING:
    import httpx

# Seconds before each further try, and the most that a server may ask for in Retry-After.
PAUSES, LONGEST_PAUSE = (0.5, 1.0, 2.0), 5.0
# Seconds to connect, and between two pieces of an answer; a model on a CPU thinks for minutes before the first.
CONNECT, ANSWER, QUICK = 5.0, 600.0, 10.0
MOST_BYTES = 64_000_000
MOST_OF_MESSAGE = 300
# JSON can name what is no text: NUL, and a half of a surrogate pair.
_NO_TEXT, _ESCAPED = re.compile("[\0\ud800-\udfff]"), re.compile(r"\\u(?:0000|[dD][89a-fA-F])")

# The seam for tests: they do not wait.
wait: Callable[[float], None] = time.sleep


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number, without asking anybody."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(text: str, variable: str, key_variable: str | None = None) -> str:
    """A base URL without its last slash; DENIED_ENVIRONMENT_INVALID for what is none or carries credentials,
    DENIED_ENDPOINT_INSECURE for plain http to another machine. Credentials are never repeated, not even those in a path."""
    key_variable = key_variable or variable
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if (parts is not None and "@" in parts.netloc) or any(kinds(part, personal=False) for part in text.split("/")):
        raise denial.EnvironmentInvalid(
            f"Set {variable} to the address alone, and the key in {key_variable}.",
            message="The address holds credentials.",
            variable=variable,
        )
    printable = text.isascii() and text.isprintable() and " " not in text
    if parts is None or not host or parts.scheme not in ("http", "https") or not printable or port == 0:
        raise denial.EnvironmentInvalid(
            f"Set {variable} to an address such as https://models.example.org/v1 or http://127.0.0.1:11434/v1.",
            variable=variable,
            reason="it is no http or https address",
        )
    if parts.query or parts.fragment:
        raise denial.EnvironmentInvalid(
            f"Set {variable} to an address without ? and #.", variable=variable, reason="it has a query or a fragment"
        )
    if parts.scheme == "http" and not is_loopback(host) and os.environ.get("KAIZEN_ALLOW_INSECURE_HTTP", "").strip() != "1":
        raise denial.EndpointInsecure(endpoint=shown_url(text), variable=variable)
    return text.rstrip("/")


def parsed(content: bytes) -> Any:
    """The JSON of an answer, without what no record can hold: a NUL, a half of a surrogate pair, a NaN.

    Raises ValueError and RecursionError for what is no JSON.
    """
    text = content.decode("utf-8-sig")
    value = json.loads(text, parse_constant=lambda name: None)
    return _storable(value) if _ESCAPED.search(text) else value


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def shown_url(text: str | None) -> str | None:
    """An address as it may be shown: without credentials, query and fragment."""
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        whole = f"{parts.scheme}://{host}{parts.path}".rstrip("/")
        # A secret between slashes passes for a part of a path, elsewhere.
        return "/".join(mask(part)[0] for part in whole.split("/")) if parts.scheme and host else "(no address)"
    except ValueError:
        return "(no address)"


class Endpoint:
    """A server at a base URL that takes and gives JSON."""

    def __init__(self, base_url: str, *, variable: str, api_key: str | None = None, key_variable: str | None = None) -> None:
        import importlib.util

        if importlib.util.find_spec("httpx") is None:
            raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="httpx")
        self.url = checked_url(base_url, variable, key_variable)
        self.variable, self.key_variable = variable, key_variable
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise denial.EnvironmentInvalid(
                f"Set {key_variable} to the key alone, in one line.", variable=key_variable, reason="it is no key"
            )
        self._api_key = api_key
        self._client: httpx.Client | None = None

    def get(self, path: str, *, quick: bool = False) -> Any:
        """The JSON at a path below the base URL. Raises as post()."""
        return self._asked("GET", path, None, quick=quick)

    def post(self, path: str, body: dict[str, Any], *, quick: bool = False) -> Any:
        """The JSON answered to a JSON body. `quick` waits seconds instead of minutes, and tries once.

        Raises DENIED_BACKEND_UNAVAILABLE, DENIED_BACKEND_HTTP, DENIED_BACKEND_MALFORMED.
        """
        return self._asked("POST", path, body, quick=quick)

    def malformed(self, reason: str) -> denial.BackendMalformed:
        """The refusal of an answer that is not what was asked for."""
        return denial.BackendMalformed(endpoint=shown_url(self.url), reason=reason)

    def without_key(self, text: str) -> str:
        """A server's words without our key, which it may repeat."""
        return text.replace(self._api_key, "[REDACTED:api_key]") if self._api_key else text

    def _asked(self, method: str, path: str, body: dict[str, Any] | None, *, quick: bool) -> Any:
        pauses = () if quick else PAUSES
        for pause in (*pauses, None):
            try:
                status, headers, content = self._once(method, path, body, QUICK if quick else ANSWER)
            except _NoConnection as fault:
                if pause is None:
                    raise self._unreachable(str(fault)) from None
                wait(pause)
                continue
            if status < 300:
                return self._parsed(content)
            if pause is None or not (status == 429 or status >= 500):
                raise self._refused(status, content)
            asked = retry_after(headers.get("retry-after"))
            wait(pause if asked is None else min(asked, LONGEST_PAUSE))
        raise AssertionError("the last try answers or raises")

    def _once(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> tuple[int, Any, bytes]:
        """(status, headers, content) of one try; _NoConnection where another may go better."""
        import httpx

        client = self._opened()
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        times = httpx.Timeout(timeout, connect=min(CONNECT, timeout))
        deadline = time.monotonic() + timeout
        content = bytearray()
        try:
            with client.stream(method, self.url + path, json=body, headers=headers, timeout=times) as answer:
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > MOST_BYTES:
                        raise self.malformed(f"the answer is longer than {MOST_BYTES} bytes")
                    if time.monotonic() > deadline:
                        raise self._unreachable(f"no whole answer within {timeout:g} seconds")
                return answer.status_code, answer.headers, bytes(content)
        except httpx.ConnectTimeout:
            raise _NoConnection("no connection in time") from None
        except httpx.TimeoutException:
            raise self._unreachable(f"no answer within {timeout:g} seconds; it may still be loading the model") from None
        except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as fault:
            raise _NoConnection(self._safe(str(fault) or type(fault).__name__)) from None
        except (httpx.DecodingError, httpx.TooManyRedirects, httpx.HTTPError, httpx.InvalidURL, UnicodeError) as fault:
            raise self.malformed(self._safe(str(fault) or type(fault).__name__)) from None

    def _opened(self) -> httpx.Client:
        """The client, with its connections kept. What is on this machine is never asked for through a proxy."""
        if self._client is None:
            import httpx

            try:
                self._client = httpx.Client(trust_env=not is_loopback(urlsplit(self.url).hostname or ""))
            except (ValueError, ImportError, httpx.InvalidURL, OSError) as fault:
                raise self._unreachable(f"the proxy or certificates of the environment: {self._safe(str(fault))}") from None
        return self._client

    def _parsed(self, content: bytes) -> Any:
        try:
            return parsed(content)
        except (ValueError, RecursionError):
            raise self.malformed("the answer is no JSON") from None

    def _unreachable(self, reason: str) -> denial.BackendUnreachable:
        return denial.BackendUnreachable(
            f"Start the server, or correct {self.variable}; B1 model-doctor tries all of them.",
            endpoint=shown_url(self.url),
            reason=reason,
        )

    def _refused(self, status: int, content: bytes) -> denial.BackendHttp:
        action = None
        if status in (401, 403) and self.key_variable:
            action = f"Check the key in {self.key_variable}."
        elif status < 400:
            action = f"The server points elsewhere; set {self.variable} to where it really is."
        return denial.BackendHttp(action, http_status=status, reason=self._safe(_said(content)), endpoint=shown_url(self.url))

    def _safe(self, text: str) -> str:
        """Somebody else's text for a message: without our key and other secrets, without control characters, cut."""
        text = self.without_key(text)
        text = " ".join("".join(c if c.isprintable() else " " for c in mask(text)[0]).split())
        return text if len(text) <= MOST_OF_MESSAGE else text[: MOST_OF_MESSAGE - 1] + "…"


class _NoConnection(Exception):
    """The connection was not made, or broke; the text says how."""


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date; None where it says nothing."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _said(content: bytes) -> str:
    """The message in an error of a server: the one in its JSON, else its text."""
    text = content[:20_000].decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    while isinstance(value, dict):
        value = value.get("error", value.get("message", value.get("detail")))
    return value if isinstance(value, str) else text
