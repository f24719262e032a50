"""Artifact store: the HTTP calls that put a package of files into one. docs/integrations/artifact-retention.md describes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from .. import denial
from ..backends.http import checked_url, is_loopback, parsed, retry_after, shown_url
from ..redaction import mask

if TYPE_CHECKING:
    import httpx

URL, TOKEN = "ARTIFACTSTORE_API_URL", "ARTIFACTSTORE_API_TOKEN"
DEFAULT = "http://127.0.0.1:8000"
# Seconds before each further try; what a server asks for in Retry-After is heard up to the last.
PAUSES = (0.2, 1.0)
SECONDS = 30.0
OPEN, FINAL = "open", "final"
_MOST = 1_000_000
_SAID = 300

# The seam for tests: they do not wait.
wait: Callable[[float], None] = time.sleep


def endpoint() -> str:
    """The address of the store: ARTIFACTSTORE_API_URL, by default this machine. The usual refusals of what is none."""
    return checked_url(os.environ.get(URL, "").strip() or DEFAULT, URL, TOKEN)


class Client:
    """The calls. Every one can be repeated: a package is known by its manifest, a file by its hash."""

    def __init__(self, url: str) -> None:
        try:
            import httpx
        except ImportError:
            raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="httpx") from None
        self.url = url
        self._token = os.environ.get(TOKEN, "").strip()
        if self._token and not (self._token.isascii() and self._token.isprintable() and " " not in self._token):
            raise denial.EnvironmentInvalid(f"Set {TOKEN} to the token alone.", variable=TOKEN, reason="it is no token")
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._client: httpx.Client = httpx.Client(
            headers=headers, timeout=SECONDS, trust_env=not is_loopback(urlsplit(url).hostname or "")
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def create(self, manifest: Mapping[str, Any], manifest_sha256: str) -> str:
        """POST /packages: the id of an open package for this manifest; a repeat gives the same one."""
        body = {"retention_class": manifest["retention_class"], "manifest_sha256": manifest_sha256, "manifest": manifest}
        answer = self._asked("POST", "/packages", json=body, headers={"Idempotency-Key": manifest_sha256})
        package = answer.get("id", answer.get("package_id"))
        if not isinstance(package, str | int) or not str(package) or len(str(package)) > 200:
            raise self._malformed("it names no id of a package")
        return str(package)

    def state(self, package: str) -> tuple[str, set[str]]:
        """GET /packages/{id}: open or final, and the hashes of the files that are there."""
        answer = self._asked("GET", _path(package))
        state, files = answer.get("state"), answer.get("files", [])
        if state not in (OPEN, FINAL) or not isinstance(files, list):
            raise self._malformed("it says neither open nor final")
        return state, {str(entry.get("sha256") if isinstance(entry, dict) else entry) for entry in files}

    def upload(self, package: str, sha256: str, data: bytes) -> None:
        """PUT /packages/{id}/files/{sha256}: the bytes of a file, which the store compares with the hash."""
        headers = {"Content-Type": "application/octet-stream"}
        self._asked("PUT", f"{_path(package)}/files/{sha256}", content=data, headers=headers)

    def finalize(self, package: str, manifest_sha256: str) -> None:
        """POST /packages/{id}/finalize: all files are there; from now on the package is whole and does not change."""
        answer = self._asked("POST", f"{_path(package)}/finalize", json={"manifest_sha256": manifest_sha256})
        if answer.get("state") != FINAL:
            raise self._malformed("it does not say that the package is final")

    def extend(self, package: str, new_expires_at: str, reason: str) -> None:
        """POST /packages/{id}/retention/extensions: keep it until then, and why."""
        body = {"new_expires_at": new_expires_at, "reason": reason}
        self._asked("POST", f"{_path(package)}/retention/extensions", json=body)

    def _asked(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        """The JSON object that is answered; tried again where the connection or the server failed. DENIED_PUBLISH_FAILED."""
        for pause in (*PAUSES, None):
            answer, fault = self._once(method, path, **sent)
            if answer is not None and answer.status_code < 300:
                return self._object(answer)
            if answer is not None and not (answer.status_code == 429 or answer.status_code >= 500):
                raise self._refused(answer)
            if pause is None:
                if answer is not None:
                    raise self._refused(answer)
                raise self._failed(f"Start the store, or correct {URL}; then run it again: it goes on.", fault)
            asked = retry_after(answer.headers.get("retry-after")) if answer is not None else None
            wait(pause if asked is None else min(asked, PAUSES[-1]))
        raise AssertionError("the last try answers or raises")

    def _once(self, method: str, path: str, **sent: Any) -> tuple[httpx.Response | None, str]:
        import httpx

        try:
            answer = self._client.request(method, self.url + path, **sent)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as fault:
            return None, str(fault) or type(fault).__name__
        return answer, ""

    def _object(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.content:
            return {}
        try:
            found = parsed(answer.content) if len(answer.content) <= _MOST else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._malformed("it is no JSON object")
        return found

    def _refused(self, answer: httpx.Response) -> denial.PublishFailed:
        action = "Read `reason`."
        if answer.status_code in (401, 403):
            action = f"Set {TOKEN} to a token that may write."
        elif answer.status_code >= 500:
            action = "The store has a fault; run it again later: it goes on."
        return self._failed(action, answer.text[:20_000], http_status=answer.status_code)

    def _malformed(self, reason: str) -> denial.PublishFailed:
        return self._failed(
            f"Check that {URL} is the address of an artifact store.", f"its answer is none that it should be: {reason}"
        )

    def _failed(self, action: str, reason: str, **more: Any) -> denial.PublishFailed:
        text = reason.replace(self._token, "[REDACTED:token]") if self._token else reason
        text = " ".join("".join(c if c.isprintable() else " " for c in mask(text)[0]).split())
        text = text if len(text) <= _SAID else text[: _SAID - 1] + "…"
        return denial.PublishFailed(action, endpoint=shown_url(self.url), reason=text, **more)


def _path(package: str) -> str:
    return f"/packages/{quote(package, safe='')}"
