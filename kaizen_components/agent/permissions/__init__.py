"""Permissions: one gate for every call of every tool, and the rules by which it decides.

authorize(tool, given, context, policy) -> Judgement. Deny beats ask beats allow, in whatever order and file the rules stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says of a call: allow, ask or deny; the rule that decided and where it stands; why; how dangerous the call is."""

    decision: str
    rule: str
    reason: str
    danger: str
    # What was understood of the call: the accesses, and of a command line each simple command with its danger.
    parsed: dict[str, Any] = field(default_factory=dict)
    # What rules opened besides the workspace: folders and files to write, hosts that are not public, the network for commands.
    writable: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    network: bool = False
    # What was judged, for whoever asks later whether it is still the same: the danger, every part that is not simply allowed, and the
    # files behind all links.
    bound: Mapping[str, Any] = field(default_factory=dict)
    # Where the call could not be judged because the tool said so: what it said.
    error_kind: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
