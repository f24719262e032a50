"""Memory: what agents keep in mind between sessions, as a file that they edit and a record of what it said."""

from typing import Any

from .. import denial
from ..metrics import memory, naming, summary
from ..metrics.records import AgentMemory, AgentName
from ..op import Result, op
from ..record import Field, Input, kinds_in
from ..store import Store
from . import lifecycle
from .metrics import deliver, is_awaited


class OfAgent(Input):
    """One agent."""

    agent: AgentName = Field(description="Name of the agent")


class NewMemory(OfAgent):
    """One agent, and whether it is announced."""

    no_event: bool = Field(False, description="Put no event kaizen.agent.installed into the outbox")


@op(
    "P8",
    "memory-init",
    writes=True,
    keywords="agent memory create scaffold install remember markdown",
    example="--agent code-reviewer",
)
def memory_init(wanted: NewMemory, store: Store) -> Result:
    """Make an agent's memory: .kaizen/agents/AGENT/memory.md and its record.

    A file that is there is never written over: what stands in it becomes the record, again whenever it has changed. The first
    time, the event kaizen.agent.installed goes into the outbox.
    """
    agent = naming.checked(wanted.agent)
    path = store.plane.relative(naming.memory(store.plane.root, agent))
    found, before = memory.file_text(store.plane, agent), memory.current(store, agent)
    text = found if found is not None else before["text"] if before else memory.SCAFFOLD.format(agent=agent)
    row, done = memory.put(store, agent, text)
    if found is None:
        store.later(memory.project, (agent, text))
    if done == "added" and not wanted.no_event:
        from ..metrics import events

        events.put(store, events.INSTALLED, agent, {"memory": path}, row["id"])
        if is_awaited(store):
            store.later(deliver, row["id"])
    said = "taken from the file" if found is not None else "written from the record" if before else "new"
    already = {"already": True} if done == "known" and found is not None else {}
    return lifecycle.written(row, agent=agent, path=path, memory=said, **already)


@op("P9", "memory-show", keywords="agent memory print read markdown", example="--agent code-reviewer")
def memory_show(wanted: OfAgent, store: Store) -> Result:
    """Show an agent's memory: what its file says now, else its record."""
    agent = naming.checked(wanted.agent)
    text, row, differs = _memory(store, agent)
    if text is None:
        raise denial.MemoryMissing(f"Make one: P8 --agent {agent}.", agent=agent)
    result = Result(agent=agent, **_told(store, agent, row), text=text)
    if differs:
        store.warnings.append(f"The file says something else than the record; P8 --agent {agent} takes it in.")
    result.plain = text
    return result


@op("P10", "memory-brief", keywords="agent memory print brief performance summary session start", example="--agent code-reviewer")
def memory_brief(wanted: OfAgent, store: Store) -> Result:
    """Show what an agent should know before it begins: how it has done, and its memory."""
    agent = naming.checked(wanted.agent)
    text, row, _ = _memory(store, agent)
    numbers = summary.of_agent(store, agent)
    if text is None and not numbers["execution_count"]:
        raise denial.AgentUnknown(f"Begin with P8 --agent {agent}, or P1 --agent {agent} --success.", agent=agent)
    done = "\n".join(f"- {phrase}" for phrase in summary.words(numbers))
    brief = f"# {agent}\n\n## Performance\n\n{done}\n\n## Memory\n\n"
    brief += text.strip() + "\n" if text and text.strip() else f"None yet; P8 --agent {agent} makes it.\n"
    result = Result(agent=agent, summary=numbers, **_told(store, agent, row), text=brief)
    result.plain = brief
    return result


def _memory(store: Store, agent: str) -> tuple[str | None, dict[str, Any] | None, bool]:
    """What an agent's memory says, its record, and whether file and record say different things."""
    row, found = memory.current(store, agent), memory.file_text(store.plane, agent)
    if found is None:
        return (row["text"] if row else None), row, False
    if held := kinds_in(found, personal=AgentMemory.refuses_personal):
        path = store.plane.relative(naming.memory(store.plane.root, agent))
        store.warnings.append(
            f"{path} holds what looks like a secret ({', '.join(held)}); take it out. P8 and P16 refuse the file."
        )
    return found, row, row is None or row["text"] != found


def _told(store: Store, agent: str, row: dict[str, Any] | None) -> dict[str, Any]:
    return {"path": store.plane.relative(naming.memory(store.plane.root, agent)), "record_id": row["id"] if row else None}
