"""Web: fetch one page over http or https, from public addresses alone, within limits of size and time."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import clock, denial
from .redaction import mask

REDIRECTS = 5
TIMEOUT = 30.0
BYTES = 25 * 1024 * 1024
_HEADERS = {"Accept": "text/html, text/markdown, text/plain, application/pdf;q=0.9, */*;q=0.5", "Accept-Encoding": "gzip"}
# Prefixes in whose addresses another one is hidden: NAT64, 6to4, Teredo.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_WRAPPED = (ipaddress.ip_network("64:ff9b:1::/48"), ipaddress.ip_network("2002::/16"), ipaddress.ip_network("2001::/32"))
# Of nobody, although Python's tables (not all versions have the newest) call them global: protocols, 6to4 relays, examples.
_NOBODYS = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """What a server answered. `url` is what was asked for, `final_url` what answered behind `redirects`."""

    url: str
    final_url: str
    status: int
    media_type: str
    charset: str | None
    body: bytes
    redirects: tuple[str, ...]
    retrieved: str

    @property
    def content_type(self) -> str:
        """What a reader is chosen by: the media type, with the charset where the server says one."""
        return f"{self.media_type}; charset={self.charset}" if self.charset else self.media_type


def fetch(
    url: str,
    *,
    allow_private: bool | Collection[str] = False,
    timeout: float = TIMEOUT,
    most: int = BYTES,
    resolve: Resolve | None = None,
) -> Page:
    """The page at an address. `timeout` is seconds for all of it, `most` bytes of the body, as sent and as unpacked.

    Each address, also of a redirect, is looked up once, judged, and connected to as it was judged: a second answer of
    the name server changes nothing. DENIED_ADDRESS_REFUSED for one that is not public (unless `allow_private`, or the host
    as it is written in the address is among those that it names),
    DENIED_FETCH_FAILED for an error, DENIED_FILE_TOO_LARGE; DENIED_BACKEND_UNAVAILABLE without httpx."""
    try:
        import httpx
    except ImportError:
        raise denial.BackendUnavailable("python -m pip install -r requirements-kaizen.txt", package="httpx") from None

    deadline = time.monotonic() + timeout
    current = _parsed(url)
    visited: list[str] = []
    try:
        with _client(allow_private, deadline, resolve or resolved) as client:
            while True:
                with client.stream("GET", current) as response:
                    target = response.headers.get("location")
                    if response.status_code in (301, 302, 303, 307, 308) and target:
                        visited.append(str(current))
                        if len(visited) > REDIRECTS:
                            raise denial.FetchFailed(url=shown(url), reason=f"more than {REDIRECTS} redirects")
                        current = _parsed(str(current.join(target)))
                        continue
                    if response.status_code != 200:
                        raise denial.FetchFailed(
                            url=shown(str(current)),
                            http_status=response.status_code,
                            reason=f"the server answered {response.status_code}",
                        )
                    return _page(url, current, response, visited, most, deadline)
    except httpx.TimeoutException:
        raise denial.FetchFailed(
            "Try again, or raise --timeout.", url=shown(str(current)), reason=f"no answer within {timeout:g} seconds"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as fault:
        reason = str(fault) or type(fault).__name__
        raise denial.FetchFailed(url=shown(str(current)), reason=mask(reason)[0][:300]) from None


def shown(url: str) -> str:
    """An address as replies and records name it: without secrets."""
    return mask(url)[0]


def address(url: str) -> str:
    """An address in its one spelling, without a fragment; refused where it is none that can be fetched."""
    return str(_parsed(url))


def _parsed(url: str) -> Any:
    """An address that can be fetched: http or https, a host, no user and password."""
    import httpx

    try:
        parsed = httpx.URL(url.strip()).copy_with(fragment=None)
        parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError, TypeError) as fault:
        raise denial.FetchFailed("Pass an address such as https://example.org/page.", url=shown(url), reason=str(fault)) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise denial.FetchFailed("Pass an address that starts with http:// or https://.", url=shown(url), reason="no web address")
    if parsed.userinfo:
        raise denial.AddressRefused(
            "Pass the address without user and password.", message="The address holds a user or a password.", host=parsed.host
        )
    return parsed


# --- the answer -----------------------------------------------------------------------------------


def _page(url: str, final: Any, response: Any, visited: Iterable[str], most: int, deadline: float) -> Page:
    kind = response.headers.get("content-type", "")
    return Page(
        url=url,
        final_url=str(final),
        status=response.status_code,
        media_type=kind.partition(";")[0].strip().lower() or "application/octet-stream",
        charset=response.charset_encoding,
        body=_body(response, most, deadline),
        redirects=tuple(visited),
        retrieved=clock.now(),
    )


def _body(response: Any, most: int, deadline: float) -> bytes:
    """The body, unpacked; neither what is sent nor what it unpacks to is ever held beyond `most` bytes."""
    import httpx

    def too_large() -> denial.FileTooLarge:
        return denial.FileTooLarge(message="The page is larger than what is read at once.", limit=most)

    coding = response.headers.get("content-encoding", "identity").strip().lower()
    unpacked: Any = None
    if coding in ("gzip", "x-gzip", "deflate"):
        unpacked = zlib.decompressobj(zlib.MAX_WBITS | 32)
    elif coding not in ("identity", ""):
        raise denial.FetchFailed(url=shown(str(response.url)), reason=f"it is packed as {coding[:40]}, which was not asked for")
    length = response.headers.get("content-length", "")
    if length.isdigit() and len(length) < 20 and int(length) > most:
        raise too_large()
    body, received = bytearray(), 0
    for block in response.iter_raw():
        received += len(block)
        try:
            body += block if unpacked is None else unpacked.decompress(block, most + 1 - len(body))
        except zlib.error as fault:
            raise denial.FetchFailed(url=shown(str(response.url)), reason=f"it cannot be unpacked: {fault}") from None
        if len(body) > most or received > most or (unpacked is not None and unpacked.unconsumed_tail):
            raise too_large()
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the time is over")
    if unpacked is not None and not unpacked.eof:
        raise denial.FetchFailed(url=shown(str(response.url)), reason="it ended before it was whole")
    if unpacked is not None and unpacked.unused_data:
        raise denial.FetchFailed(url=shown(str(response.url)), reason="it is packed in several parts, of which one is read")
    return bytes(body)


# --- connecting -----------------------------------------------------------------------------------


def is_public(address: Address) -> bool:
    """Whether an address is one of the public network, in whatever it is wrapped."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(address in network for network in _WRAPPED) or address.is_site_local:
            return False
        # Old spellings of an IPv4 address: ::127.0.0.1.
        if int(address) >> 32 == 0:
            return False
    if any(address in network for network in _NOBODYS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system says: also of 127.1, 0x7f000001 and 2130706433."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _judged(host: str, port: int, allow_private: bool | Collection[str], deadline: float, resolve: Resolve) -> list[str]:
    """The addresses of a host, all of them public; DENIED_ADDRESS_REFUSED where one is not."""
    import httpcore

    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(resolve(host, port))
        except (OSError, UnicodeError) as fault:
            answer.append(fault)

    # The system's resolver knows no deadline.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if not answer:
        raise httpcore.ConnectTimeout("the name server did not answer")
    if isinstance(answer[0], Exception):
        raise httpcore.ConnectError(f"{host} has no address: {answer[0]}")
    is_opened = allow_private if isinstance(allow_private, bool) else host in allow_private
    for text in answer[0]:
        if not is_opened and not is_public(ipaddress.ip_address(text.partition("%")[0])):
            raise denial.AddressRefused(host=host, address=text)
    return answer[0]


@contextlib.contextmanager
def _client(allow_private: bool | Collection[str], deadline: float, resolve: Resolve) -> Iterator[Any]:
    """An HTTP client whose connections go to judged addresses alone and end at the deadline; no proxy, no cookies kept."""
    import httpcore
    import httpx

    class Stream(httpcore.NetworkStream):
        """A connection on which no step outlasts the deadline."""

        def __init__(self, inner: httpcore.NetworkStream) -> None:
            self.inner = inner

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self.inner.read(max_bytes, _left(deadline))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self.inner.write(buffer, _left(deadline))

        def close(self) -> None:
            self.inner.close()

        def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
            return Stream(self.inner.start_tls(ssl_context, server_hostname, _left(deadline)))

        def get_extra_info(self, info: str) -> Any:
            return self.inner.get_extra_info(info)

    class Judging(httpcore.NetworkBackend):
        """Looks a host up, judges what it gets, and connects to that."""

        def connect_tcp(
            self, host: str, port: int, timeout: Any = None, local_address: Any = None, socket_options: Any = None
        ) -> Any:
            fault: Exception = httpcore.ConnectError(f"{host} has no address")
            for found in _judged(host, port, allow_private, deadline, resolve)[:4]:
                try:
                    return Stream(httpcore.SyncBackend().connect_tcp(found, port, _left(deadline), None, socket_options))
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                    fault = failed
            raise fault

    class Transport(httpx.HTTPTransport):
        """httpx as it is, over these connections."""

        def __init__(self) -> None:
            super().__init__(trust_env=False)
            context = httpx.create_ssl_context(trust_env=False)
            self._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=Judging(), max_connections=1)

    with httpx.Client(transport=Transport(), trust_env=False, headers={**_HEADERS, "User-Agent": _agent()}) as client:
        client.follow_redirects = False
        yield client


def _left(deadline: float) -> float:
    """Seconds that are left; a timeout where none are."""
    import httpcore

    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return left


def _agent() -> str:
    from . import __version__

    return f"kaizen/{__version__}"
