"""Ledger: append-only entries, hash-chained. docs/LEDGER.md has the field list and test vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..hashing import canonical, sha256

COLUMNS = (
    "seq",
    "entry_id",
    "time",
    "op",
    "action",
    "kind",
    "kind_version",
    "record_id",
    "task_id",
    "agent",
    "session",
    "writer_role",
    "idempotency_key",
    "request_hash",
    "content",
    "content_hash",
    "leaf_hash",
    "chain_hash",
)
# What a leaf covers: everything but the content itself (its hash stands for it) and the two hashes made from the leaf.
SEALED = tuple(name for name in COLUMNS if name not in ("content", "leaf_hash", "chain_hash"))
ACTIONS = ("add", "revise", "promote", "retire", "import", "purge")
START = "0" * 64

# What the answer to a call with a key changes in entries that are not committed yet.
RESEALED = ("content", "content_hash", "idempotency_key", "request_hash", "leaf_hash", "chain_hash")
RESEAL = f"UPDATE ledger SET {', '.join(f'{name} = ?' for name in RESEALED)} WHERE seq = ?"
INSERT = f"INSERT INTO ledger ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def seal(content: Mapping[str, Any]) -> tuple[str, str]:
    """Canonical text of an entry's content (record, salt, and what a replay needs) and its hash."""
    text = canonical(content)
    return text, sha256(text)


def leaf_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256(0x00 || canonical entry), the RFC 6962 leaf."""
    return hashlib.sha256(b"\0" + canonical({name: entry[name] for name in SEALED}).encode("utf-8")).hexdigest()


def chain_hash(previous: str, leaf: str) -> str:
    """SHA-256(0x02 || previous chain hash || leaf hash), over raw bytes."""
    return hashlib.sha256(b"\2" + bytes.fromhex(previous) + bytes.fromhex(leaf)).hexdigest()


def request_hash(op: str, request: Mapping[str, Any], salt: str) -> str:
    """What --key compares: operation and judged input, salted like the content, so that erasing erases it too."""
    return sha256(canonical({"op": op, "input": request, "salt": salt}))


def content_record(text: str) -> dict[str, Any]:
    """The record in an entry's content."""
    return json.loads(text)["record"]
