"""Importing: what others wrote below .kaizen, taken into the plane record by record, once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial
from ..call import Result
from . import memory, naming, projection
from .entry import of_line

if TYPE_CHECKING:
    from ..store import Store
    from .records import AgentExecution

# Lines that share one commit.
GROUP = 500
# So many problems are named; of the rest there is the number.
NAMED = 100


@dataclasses.dataclass
class Taken:
    """What an import did: executions taken in, known before, and what could not be taken in, with the reasons."""

    imported: int = 0
    duplicates: int = 0
    memories: int = 0
    agents: dict[str, int] = dataclasses.field(default_factory=dict)
    problems: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    problem_count: int = 0
    misplaced: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    misplaced_count: int = 0

    def of_another(self, path: str, line: int, agent: str) -> None:
        """Name a line that is another agent's than the folder; it is taken in as that one's."""
        self.misplaced_count += 1
        if len(self.misplaced) < NAMED:
            self.misplaced.append({"path": path, "line": line, "agent": agent})

    def problem(self, path: str, fault: denial.Denial, line: int | None = None) -> None:
        """Name what could not be taken in; it stays where it is."""
        self.problem_count += 1
        if len(self.problems) < NAMED:
            where = {"path": path} if line is None else {"path": path, "line": line}
            field = {"field": fault.detail["field"]} if fault.detail.get("field") not in (None, "line") else {}
            reason = f"{fault.message} ({fault.detail['reason']})" if fault.detail.get("reason") else fault.message
            self.problems.append({**where, "code": fault.code, **field, "reason": reason})


@dataclasses.dataclass(frozen=True)
class Folder:
    """A .kaizen folder: where its metrics and memories lie, and what answers call it."""

    metrics: Path
    agents: Path
    name: str

    def executions(self) -> Iterator[tuple[str, Path]]:
        """Names of folders that hold executions, and the files."""
        found = sorted(self.metrics.iterdir()) if self.metrics.is_dir() else []
        yield from ((path.name, path / "executions.jsonl") for path in found if (path / "executions.jsonl").is_file())

    def memories(self) -> Iterator[tuple[str, Path]]:
        """Names of folders that hold memories, and the files."""
        found = sorted(self.agents.iterdir()) if self.agents.is_dir() else []
        yield from ((path.name, path / "memory.md") for path in found if (path / "memory.md").is_file())

    def called(self, path: Path) -> str:
        """What answers call a file of it."""
        return f"{self.name}/{path.relative_to(self.metrics.parent).as_posix()}"


def folder(path: Path, name: str) -> Folder:
    """The folder that somebody names: .kaizen itself, a project with one, or the metrics in it."""
    if (path / ".kaizen").is_dir():
        return Folder(path / ".kaizen" / "metrics", path / ".kaizen" / "agents", f"{name}/.kaizen" if name != "." else ".kaizen")
    if path.name == "metrics":
        return Folder(path, path.parent / "agents", name.rpartition("/")[0] or path.parent.name)
    return Folder(path / "metrics", path / "agents", name)


def take_all(store: Store, source: Folder, agent: str | None) -> Result:
    """Take in executions and memories (of one agent, or of all), some hundred in a commit: what was taken in before is known
    again, so whoever was interrupted starts it once more."""
    taken, call, seen = Taken(), store.call, set[str]()
    store.call = dataclasses.replace(call, key=None)
    for name, path in source.executions():
        if agent in (None, name) and _is_inside(taken, source, path):
            seen.add(name)
            for group in _groups(path):
                _in_unit(store, lambda group=group, name=name, path=path: _take(store, taken, name, source.called(path), group))
    for name, path in source.memories():
        if agent in (None, name) and _is_inside(taken, source, path):
            _in_unit(store, lambda name=name, path=path: _take_memory(store, taken, name, source.called(path), path))
    store.call = call
    return store.perform(call, lambda: _answer(store, taken, seen))


def take_file(store: Store, agent: str) -> Taken:
    """Take in what others appended to an agent's own file, in the unit under way. OSError, and DENIED_FILE_UNWRITABLE of one that
    lies elsewhere, where it cannot be read."""
    taken, path = Taken(), naming.executions(store.plane.root, agent)
    projection.refuse_elsewhere(path, store.plane.root)
    for group in _groups(path):
        _take(store, taken, agent, store.plane.relative(path), group)
    return taken


def _is_inside(taken: Taken, source: Folder, path: Path) -> bool:
    """Whether a file lies where it seems to; one that a link leads elsewhere is a problem."""
    try:
        projection.refuse_elsewhere(path, source.metrics.parent)
    except denial.FileUnwritable as fault:
        taken.problem(source.called(path), denial.PathOutsideRepo(message=f"{fault.message} ({fault.detail['reason']})"))
        return False
    return True


def _in_unit(store: Store, work: Any) -> None:
    """Do something in a commit of its own."""

    def unit() -> Result:
        work()
        return Result()

    store.perform(store.call, unit)


def _groups(path: Path) -> Iterator[list[tuple[int, str]]]:
    """The lines of a file with their numbers, some hundred at a time."""
    group: list[tuple[int, str]] = []
    for numbered in projection.numbered(path):
        group.append(numbered)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _take(store: Store, taken: Taken, agent: str, path: str, group: Sequence[tuple[int, str]]) -> None:
    """Add the executions of some lines that are not here yet."""
    found: dict[str, AgentExecution] = {}
    for number, line in group:
        try:
            execution = of_line(line, agent)
        except denial.Denial as fault:
            taken.problem(path, fault, number)
            continue
        if execution.agent != agent:
            taken.of_another(path, number, execution.agent)
        if execution.fingerprint in found:
            taken.duplicates += 1
        found.setdefault(execution.fingerprint, execution)
    known = {
        row["fingerprint"]
        for row in store.list("agent_execution", {"fingerprint": ("in", list(found))}, columns=("fingerprint",))
        if found
    }
    taken.duplicates += len(known)
    for mark, execution in found.items():
        if mark not in known:
            store.add(execution)
            taken.imported += 1
            taken.agents[execution.agent] = taken.agents.get(execution.agent, 0) + 1


def _take_memory(store: Store, taken: Taken, agent: str, called: str, path: Path) -> None:
    try:
        taken.memories += memory.take(store, agent, memory.read(path))
    except denial.Denial as fault:
        taken.problem(called, fault)


def _answer(store: Store, taken: Taken, seen: set[str]) -> Result:
    """What was taken in; the files of every agent are brought up to date, also of one whose lines are all broken."""
    said = f"{taken.imported} executions and {taken.memories} memories were taken in; {taken.duplicates} were known."
    if taken.problem_count:
        said += f" {taken.problem_count} could not be taken in and stay where they are."
    if taken.misplaced_count:
        said += f" {taken.misplaced_count} stand in the folder of another agent; they count for the agent that the line names."
    for agent in sorted({*known(store), *filter(naming.is_name, seen)}):
        store.later(projection.renew, agent)
    result = Result(
        message=said,
        imported=taken.imported,
        duplicates=taken.duplicates,
        memories=taken.memories,
        agents=taken.agents,
        problem_count=taken.problem_count,
        problems=taken.problems,
        misplaced_count=taken.misplaced_count,
        misplaced=taken.misplaced,
    )
    lines = [said, *(f"  {_where(problem)}: {problem['reason']}" for problem in taken.problems)]
    lines += [f"  {_where(line)}: of {line['agent']}" for line in taken.misplaced]
    result.view = lambda width: "\n".join(lines)
    return result


def _where(problem: dict[str, Any]) -> str:
    return f"{problem['path']}:{problem['line']}" if "line" in problem else problem["path"]


def known(store: Store) -> list[str]:
    """Names of the agents with executions."""
    return [row["agent"] for row in store.totals("agent_execution", (), by="agent")]
