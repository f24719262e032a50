"""Head: ledger.head, the file that says how far the ledger goes."""

from __future__ import annotations

import contextlib
import json
import os

from ..paths import Plane


def write_head(plane: Plane, seq: int, chain: str) -> None:
    """Say in ledger.head how far the ledger goes. It may lag behind the ledger, never lead it."""
    text = json.dumps({"seq": seq, "chain_hash": chain})
    temporary = plane.head.with_name(f"ledger.head.{os.getpid()}")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, plane.head)
    except OSError:
        # The record is durable already; a head that lags is allowed, a refusal now would be a lie.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_head(plane: Plane) -> tuple[int, str] | None:
    """(seq, chain hash) from ledger.head, or None where it is missing or unreadable."""
    try:
        found = json.loads(plane.head.read_text(encoding="utf-8"))
        seq, chain = found["seq"], found["chain_hash"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    # What no ledger reaches is no head, and no number for an engine.
    return (seq, chain) if type(seq) is int and 0 <= seq < 2**63 and isinstance(chain, str) else None
