"""Projection: the files below .kaizen/metrics that follow from the executions, for whoever reads and writes those.

executions.jsonl is appended to, summary.json rewritten. What others wrote there stays: a line goes only where its execution is in the
plane and older than the file keeps, or was erased. A file that cannot be written costs a warning, never the record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import clock, denial
from ..store.lock import PlaneLock
from . import executions, naming, summary
from .entry import of_line, second

if TYPE_CHECKING:
    from ..paths import Plane
    from ..store import Row, Store

KEPT_DAYS = 180
# Seconds that a call waits for another that writes the same files.
PATIENCE = 5.0
# Later than any time: nothing stands in a file yet.
_NEVER = "~"


def follow(store: Store, items: list[Any]) -> None:
    """Bring the files of agents up to date with new rows: items are (row, summary after it), in their order."""
    by_agent: dict[str, list[tuple[Row, dict[str, Any]]]] = {}
    for row, after in items:
        by_agent.setdefault(row["agent"], []).append((row, after))
    with _warned(store), _lock(store.plane):
        for agent, added in by_agent.items():
            rows, after = [row for row, _ in added], added[-1][1]
            files = _Files(store.plane, agent)
            if files.are_as_left(after["execution_count"] - len(rows)):
                files.settle(after, files.append(rows))
            else:
                _reconcile(store, files)


def renew(store: Store, items: list[Any]) -> None:
    """Make the files of agents say what the plane says: items are names of agents."""
    with _warned(store), _lock(store.plane):
        for agent in dict.fromkeys(items):
            _reconcile(store, _Files(store.plane, agent))


def foreign(plane: Plane, agent: str) -> bool:
    """Whether somebody else wrote to an agent's executions.jsonl since Kaizen did."""
    return _Files(plane, agent).is_foreign()


def foreign_agents(plane: Plane) -> list[str]:
    """Names of the agents whose executions.jsonl somebody else wrote to since Kaizen did."""
    folder = naming.metrics(plane.root)
    try:
        found = sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
    return [name for name in found if naming.is_name(name) and foreign(plane, name)]


def forget(store: Store, items: list[Any]) -> None:
    """Take what was erased out of the files: items are (agent, fingerprint)."""
    by_agent: dict[str, set[str]] = {}
    for agent, fingerprint in items:
        if naming.is_name(agent):
            by_agent.setdefault(agent, set()).add(fingerprint)
    try:
        with _lock(store.plane):
            for agent, erased in by_agent.items():
                files = _Files(store.plane, agent)
                files.write([line for line, known in files.lines() if known not in erased])
                _reconcile(store, files)
    except (OSError, denial.Denial) as fault:
        where = naming.metrics(store.plane.root)
        store.warnings.append(f"{where} may still hold what was erased ({fault}); delete those lines by hand.")


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that hold something, with their numbers from 1; bytes that are no UTF-8 are kept as they are."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except FileNotFoundError:
        return
    yield from ((number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip())


class _warned:
    """Turns a file that cannot be written into a warning."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, fault: BaseException | None, trace: Any) -> bool:
        if isinstance(fault, OSError | denial.Denial):
            reason = fault.message if isinstance(fault, denial.Denial) else fault.strerror or str(fault)
            detail = (
                f" ({fault.detail.get('path', '')}: {fault.detail.get('reason', '')})" if isinstance(fault, denial.Denial) else ""
            )
            self.store.warnings.append(
                f"The record stands, but the files below .kaizen do not follow it yet: {reason}{detail}; P16 brings them up to date."
            )
            return True
        return False


def _lock(plane: Plane) -> PlaneLock:
    """One writer of the files at a time."""
    return PlaneLock(plane.folder / "projections" / "lock", "metrics", seconds=PATIENCE)


def _reconcile(store: Store, files: _Files) -> None:
    """Write an agent's files anew where they are not what they should be: every line that is not known here stays, every execution
    that is young enough is there once, in the order of the times."""
    oldest = _oldest()
    wanted: dict[str, str] = {}
    known: set[str] = set()
    first = _NEVER
    for row in store.list("agent_execution", {"agent": files.agent}, order="timestamp, created_seq"):
        known.add(row["fingerprint"])
        if row["timestamp"] >= oldest:
            wanted[row["fingerprint"]] = _line(row)
            first = min(first, row["timestamp"])
    after = summary.of_agent(store, files.agent)
    store.release()
    kept: list[str] = []
    for line, fingerprint in files.lines():
        if fingerprint is None or fingerprint not in known:
            kept.append(line)
        elif fingerprint in wanted:
            kept.append(line)
            del wanted[fingerprint]
    if kept or wanted or after["execution_count"] or files.exist():
        files.write([*kept, *wanted.values()])
        files.settle(after, first)


def _oldest() -> str:
    """Executions from then on stand in the files."""
    return second(clock.moment() - timedelta(days=KEPT_DAYS))


def _line(row: Row) -> str:
    return json.dumps(executions.line(row), ensure_ascii=False)


class _Files:
    """The files of one agent, and what Kaizen left of them: how long executions.jsonl was, for how many executions, when the first of
    those in it was, and on which day."""

    def __init__(self, plane: Plane, agent: str) -> None:
        self.agent = agent
        self.path, self.summary = naming.executions(plane.root, agent), naming.summary(plane.root, agent)
        self.state = plane.folder / "projections" / f"{agent}.json"
        self.root = plane.root
        # Several worktrees share a plane; a project that is moved stays what it is.
        self.place = os.path.relpath(plane.root, plane.base)

    def _left(self) -> dict[str, Any]:
        try:
            found = json.loads(self.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("place") == self.place else {}

    def _size(self) -> int | None:
        try:
            return self.path.stat().st_size
        except OSError:
            return None

    def exist(self) -> bool:
        """Whether there is anything of the agent yet."""
        return self.path.exists() or self.summary.exists()

    def is_foreign(self) -> bool:
        """Whether the file is there and not as it was left."""
        size = self._size()
        return size is not None and size > 0 and size != self._left().get("bytes")

    def are_as_left(self, executions: int) -> bool:
        """Whether the files are as they were left, stand for so many executions, and hold none that is too old; that is asked once a
        day."""
        left = self._left()
        if (left.get("bytes", 0), left.get("executions", 0)) != (self._size() or 0, executions):
            return False
        aged = left.get("first", _NEVER) < _oldest() and left.get("day") != _today()
        return not aged and (executions == 0 or self.summary.exists())

    def lines(self) -> Iterator[tuple[str, str | None]]:
        """Each line of executions.jsonl and the fingerprint of its execution; None where it holds none."""
        refuse_elsewhere(self.path, self.root)
        for _, line in numbered(self.path):
            try:
                yield line, str(of_line(line, self.agent).fingerprint)
            except denial.Denial:
                yield line, None

    def append(self, rows: Sequence[Row]) -> str:
        """Add rows that are young enough at the end of executions.jsonl: the time of the first that stands there now."""
        oldest = _oldest()
        young = [row for row in rows if row["timestamp"] >= oldest]
        refuse_elsewhere(self.path, self.root)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write("".join(f"{_line(row)}\n" for row in young).encode("utf-8", "surrogateescape"))
        return min([self._left().get("first", _NEVER), *(row["timestamp"] for row in young)])

    def write(self, lines: Sequence[str]) -> None:
        """Have executions.jsonl hold just these lines. Where they only add to it they are appended, so that a line that somebody
        else is writing is not lost; else it is written anew in one step."""
        refuse_elsewhere(self.path, self.root)
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        there = self.path.read_bytes() if self.path.exists() else b""
        if there and data.startswith(there):
            with self.path.open("ab") as file:
                file.write(data[len(there) :])
        elif data != there or not self.path.exists():
            _replace(self.path, data)

    def settle(self, after: dict[str, Any], first: str) -> None:
        """Write the summary, and how the files are left."""
        _replace(self.summary, f"{json.dumps(after, indent=2)}\n".encode())
        left = {"place": self.place, "bytes": self._size() or 0, "executions": after["execution_count"], "first": first}
        _replace(self.state, json.dumps({**left, "day": _today()}).encode())


def refuse_elsewhere(path: Path, root: Path | str) -> None:
    """Refuse what is no file, and a file that links lead out of a folder: a cloned repository may hold either."""
    if not path.resolve().is_relative_to(root):
        raise denial.FileUnwritable(path=str(path), reason="a link leads out of the project")
    if path.exists() and not path.is_file():
        raise denial.FileUnwritable(path=str(path), reason="it is no file")


def _today() -> str:
    return clock.now()[:10]


def _replace(path: Path, data: bytes) -> None:
    """A file in one step: a reader sees the old bytes or the new. It follows from the plane and can be made again, so nobody waits
    until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
