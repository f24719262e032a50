"""Memory: what an agent keeps in mind between sessions: a record, and the file beside it, which the agent edits."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial
from ..fields import Bytes
from ..hashing import sha256
from ..record import refuse_secrets
from . import naming
from .records import AgentMemory

if TYPE_CHECKING:
    from ..paths import Plane
    from ..store import Row, Store

LARGEST = 1_000_000
_TEXT = Bytes(LARGEST)
SCAFFOLD = """# Memory of {agent}

What this agent keeps in mind between sessions. Whoever works as it reads this first and adds to it last.

## Purpose

## What works

## What does not

## Open questions

## Sessions
"""


def read(path: Path) -> str:
    """The text of a memory's file; the usual refusals for one that is missing, huge or no UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as fault:
        raise denial.FileNotFound(field="path", path=str(path), reason=fault.strerror or str(fault)) from None
    if len(data) > LARGEST:
        raise denial.FileTooBig(field="path", path=str(path), limit=LARGEST)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise denial.FileNotUtf8(field="path", path=str(path), reason=str(fault)) from None


def file_text(plane: Plane, agent: str) -> str | None:
    """What stands in an agent's file; None where there is none."""
    path = naming.memory(plane.root, agent)
    if not path.is_file():
        return None
    if not path.resolve().is_relative_to(plane.root):
        raise denial.PathOutsideRepo(path=str(path), root=str(plane.root))
    return read(path)


def current(store: Store, agent: str) -> Row | None:
    """The record of an agent's memory."""
    rows = store.list("agent_memory", {"agent": agent}, limit=1)
    return rows[0] if rows else None


def put(store: Store, agent: str, text: str) -> tuple[Row, str]:
    """Write a text as an agent's memory, in the open transaction: its row, and `added`, `revised` or `known`."""
    naming.checked(agent)
    _TEXT.check(text, "text")
    refuse_secrets(AgentMemory, {"text": text})
    mark = sha256(text)
    before = current(store, agent)
    if before is None:
        return store.add(AgentMemory(agent=agent, text=text, text_sha256=mark, status="active")), "added"
    if before["text_sha256"] == mark:
        return before, "known"
    return store.revise("agent_memory", before["id"], {"text": text, "text_sha256": mark}), "revised"


def take(store: Store, agent: str, text: str) -> int:
    """As put(): 1 where that wrote something."""
    return int(put(store, agent, text)[1] != "known")


def project(store: Store, items: list[Any]) -> None:
    """Write files that are not there: items are (agent, text). One that is there is never written over."""
    for agent, text in items:
        path = naming.memory(store.plane.root, agent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.parent.resolve().is_relative_to(store.plane.root):
                raise OSError("a link leads out of the project")
            _create(path, text)
        except OSError as fault:
            store.warnings.append(
                f"The record stands, but {store.plane.relative(path)} was not written: {fault.strerror or fault}."
            )


def _create(path: Path, text: str) -> None:
    """A new file, whole or not at all; nothing where one is there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(text.encode("utf-8"))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
