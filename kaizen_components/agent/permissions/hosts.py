"""Hosts: whether an address is one of the public network, as far as its name tells; a name is looked up only when it is connected to."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

_LOCAL = re.compile(r"(?:^|\.)(?:localhost|local|localdomain|internal|intranet|lan|home|corp|home\.arpa|test|onion)$")


def host_of(address: str) -> str | None:
    """The host of an http or https address, in small letters, without brackets and a final dot; None where it has none that is clear."""
    if "\\" in address or any(ord(char) <= 32 or ord(char) == 127 for char in address):
        return None
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").rstrip(".").lower()
        if parts.scheme not in ("http", "https") or "@" in parts.netloc or not host:
            return None
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        return None


def is_public(host: str) -> bool:
    """Whether a host looks public. A number in any spelling is judged as the address that it means."""
    from ...web import is_public as judged

    try:
        return judged(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        # 2130706433, 0x7f000001, 127.1, 0177.0.0.1
        return judged(ipaddress.IPv4Address(socket.inet_aton(host)))
    except (OSError, ValueError):
        pass
    return "." in host and _LOCAL.search(host) is None
