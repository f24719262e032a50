"""Hashing: canonical JSON (RFC 8785) and SHA-256."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_LARGEST_INTEGER = 2**53


def canonical(value: Any) -> str:
    """RFC 8785 text of a JSON value; ValueError for what has none (NaN, infinities, integers over 2^53)."""
    if _plain(value):
        return _encode(value)
    import rfc8785

    return rfc8785.dumps(value).decode("utf-8")


def _plain(value: Any) -> bool:
    """True where the C encoder gives the bytes of RFC 8785: no floats, small integers, ASCII keys."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -_LARGEST_INTEGER < value < _LARGEST_INTEGER
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                return False
            # Most values are texts: asked here, they cost no call.
            if type(item) is not str and item is not None and not _plain(item):
                return False
        return True
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return False


def sha256(text: str) -> str:
    """SHA-256 of the UTF-8 bytes of a text, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_sha256(path: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes of a file, read once, in blocks; OSError as open() raises it."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
