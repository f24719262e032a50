"""Events: what happens in a run, in ten types, stored as it happens and followed live.

    started(execution_id)               tool_use(tool_name, input)           cost_update(cost_usd)
    thinking(content)                   tool_result(tool_name, result)       progress(step, total)
    message(content)                    subagent_spawn(subagent_type)        completed(cycles, total_cost_usd)
    error(error)

Each takes exactly these fields, and may have `metadata`, an object. `cost_usd` is the running total of the run itself, without its
children, and never falls. The step of `progress` is the cycle that the agent is in; the limit on cycles is judged there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import denial
from ..redaction import mask, scan
from . import records, runs

if TYPE_CHECKING:
    from ..store import Row, Store

ANY = object
# type -> field -> what it holds.
FIELDS: dict[str, dict[str, type]] = {
    "started": {"execution_id": str},
    "thinking": {"content": str},
    "message": {"content": str},
    "tool_use": {"tool_name": str, "input": dict},
    "tool_result": {"tool_name": str, "result": ANY},
    "subagent_spawn": {"subagent_type": str},
    "cost_update": {"cost_usd": float},
    "progress": {"step": int, "total": int},
    "completed": {"cycles": int, "total_cost_usd": float},
    "error": {"error": str},
}
NAMES = {str: "a text", dict: "a JSON object", float: "a number of 0 or more", int: "a whole number of 0 or more"}
# Of a longer text, the event holds the beginning, its size and its hash.
LONGEST_TEXT, KEPT_OF_IT = 50_000, 10_000
# Levels of what an event holds.
DEEPEST = 100
# Events that are read at once, and seconds between two looks at the ledger's head.
BATCH, LOOK = 500, 0.05
# Longest without a look at the events themselves: the head may lag.
RARELY = 5.0


@dataclass(frozen=True, slots=True)
class Event:
    """An event: `type`, `number` in the run, `time`, and the fields of its type as attributes: event.content, event.cost_usd."""

    id: str
    run_id: str
    number: int
    type: str
    time: str
    data: Mapping[str, Any] = field(default_factory=dict)
    tool_call_id: str | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"an event of type {self.type} has no {name}") from None

    def to_dict(self) -> dict[str, Any]:
        """run_id, number, type, time, the fields of the type, and the tool call where there is one."""
        said = {"run_id": self.run_id, "number": self.number, "type": self.type, "time": self.time, **self.data}
        return said if self.tool_call_id is None else {**said, "tool_call_id": self.tool_call_id}


def of_row(row: Row) -> Event:
    """The event of a record."""
    return Event(
        row["id"], row["run_id"], row["number"], row["type"], row["created_at"], json.loads(row["data_json"]), row["tool_call_id"]
    )


# --- judging --------------------------------------------------------------------------------------


def checked(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event, in order; a Denial that names the field where one is missing, unknown or of another type."""
    if deeper(data, DEEPEST):
        raise denial.JsonInvalid(field="data", reason=f"nested deeper than {DEEPEST} levels")
    if kind not in FIELDS:
        raise denial.SchemaEnum(
            f"Use one of: {', '.join(records.EVENT_TYPES)}.", field="type", value=kind, allowed=list(records.EVENT_TYPES)
        )
    wanted = FIELDS[kind]
    unknown = [name for name in data if name not in wanted and name != "metadata"]
    if unknown:
        raise denial.SchemaUnknownFields(
            "What else there is to say belongs into `metadata`.", fields=unknown, allowed=[*wanted, "metadata"], type=kind
        )
    missing = [name for name in wanted if name not in data]
    if missing:
        raise denial.SchemaRequired(f"An event of type {kind} has: {', '.join(wanted)}.", field=missing[0], fields=missing)
    for name, expected in wanted.items():
        _refuse_other_type(name, data[name], expected)
    metadata = data.get("metadata")
    if metadata is not None:
        _refuse_other_type("metadata", metadata, dict)
    if kind == "progress" and data["step"] > data["total"]:
        raise denial.SchemaRange(
            message="The step lies beyond the total.", field="step", value=str(data["step"]), max=data["total"]
        )
    judged = {name: float(data[name]) if expected is float else data[name] for name, expected in wanted.items()}
    return judged if metadata is None else {**judged, "metadata": metadata}


def deeper(value: Any, most: int) -> bool:
    """Whether a value is nested deeper than so many levels."""
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for item in level
            if isinstance(item, Mapping | list | tuple)
            for inner in (item.values() if isinstance(item, Mapping) else item)
        ]
        if not level:
            return False
    return True


def _refuse_other_type(name: str, value: Any, expected: type) -> None:
    if expected is ANY:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if expected in (int, float):
        if not number or (expected is int and not isinstance(value, int)):
            raise denial.SchemaFieldType(field=name, expected=NAMES[expected])
        # A whole number may be too large for a float; NaN is no number of any size.
        if not 0 <= value < 2**53:
            raise denial.SchemaRange(field=name, value=str(value), min=0)
    elif not isinstance(value, expected):
        raise denial.SchemaFieldType(field=name, expected=NAMES[expected])


def shown(value: Any, longest: int | None = LONGEST_TEXT) -> tuple[Any, int]:
    """(a value as a record holds it: secrets masked, texts that are longer shortened; how many secrets were masked)."""
    if isinstance(value, str):
        text, found = mask(value)
        if longest is not None and len(text) > longest:
            data = value.encode("utf-8", "surrogatepass")
            text = f"{text[:KEPT_OF_IT]}[... {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}]"
        return text.encode("utf-8", "replace").decode().replace("\0", "\\0"), len(found)
    if isinstance(value, Mapping):
        pairs = [(shown(str(name), longest), _named(str(name), item, longest)) for name, item in value.items()]
        return {name: item for (name, _), (item, _) in pairs}, sum(one + other for (_, one), (_, other) in pairs)
    if isinstance(value, list | tuple):
        items = [shown(item, longest) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    return value, 0


def _named(name: str, value: Any, longest: int | None) -> tuple[Any, int]:
    """As shown(), of what has a name: "password" makes a secret of a text that is none by itself."""
    if isinstance(value, str) and not scan(value) and (found := scan(f'"{name}": {json.dumps(value)}')):
        return f"[REDACTED:{found[0].kind}]", 1
    return shown(value, longest)


# --- storing --------------------------------------------------------------------------------------


def add(store: Store, run_id: str, kind: str, data: Mapping[str, Any], tool_call_id: str | None = None) -> Row:
    """Write down an event; its row. In a unit of work. Refused where the run has ended, or its data is not what the type asks for."""
    run = store.get("agent_run", run_id)
    if run["status"] != records.RUNNING:
        raise runs.ended(run, store)
    judged = checked(kind, data)
    changes = _totals(store, run, kind, judged)
    masked, count = shown(judged)
    last = store.list("agent_event", {"run_id": run_id}, limit=1, columns=("number",))
    event = records.AgentEvent(
        run_id=run_id,
        number=(last[0]["number"] if last else 0) + 1,
        type=kind,
        data_json=json.dumps(masked, ensure_ascii=False),
        tool_call_id=tool_call_id,
        masked=count,
    )
    row = store.add(event)
    if changes:
        store.revise("agent_run", run_id, changes)
    return row


def _totals(store: Store, run: Row, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What an event changes in its run. A total that falls is refused, and so is a cycle beyond the limit."""
    if kind == "progress":
        runs.refuse_cycle(run, data["step"], store)
        return {"cycles": data["step"]} if data["step"] > run["cycles"] else {}
    said = {"cost_update": {"cost_usd": "cost_usd"}, "completed": {"cost_usd": "total_cost_usd", "cycles": "cycles"}}.get(
        kind, {}
    )
    for column, name in said.items():
        if data[name] < run[column]:
            raise denial.SchemaRange(
                "Pass the total of the run so far, not what was added.",
                message="A total of a run never falls.",
                field=name,
                value=f"{data[name]:g}",
                min=run[column],
            )
    return {column: data[name] for column, name in said.items() if data[name] != run[column]}


def tell(store: Store, run_id: str, kind: str, *, tool_call_id: str | None = None, **data: Any) -> Event:
    """Write down an event in a unit of its own, for programs; the event."""
    from ..call import Result

    rows: list[Row] = []

    def work() -> Result:
        rows.append(add(store, run_id, kind, data, tool_call_id))
        return Result(id=rows[0]["id"])

    store.perform(replace(store.call, key=None, writes=True), work)
    return of_row(rows[0])


# --- following ------------------------------------------------------------------------------------


class Follower:
    """Reads a run's events as they come, with an access to the plane of its own, which it holds only while it reads."""

    def __init__(self, store: Store, run_id: str, after: int = 0) -> None:
        from ..store import Store

        self._store, self._run_id, self.after = Store(store.plane), run_id, after
        self._store.call = replace(store.call, key=None, writes=False)
        self._head: Any = None
        self._looked = 0.0
        self.over = False

    def news(self) -> list[Event]:
        """The events since the last look; none where nothing was written to the ledger. `over` once the run has ended and there are
        no more."""
        from ..store import read_head

        head, now = read_head(self._store.plane), time.monotonic()
        if head is not None and head == self._head and now - self._looked < RARELY:
            return []
        try:
            run = self._store.get("agent_run", self._run_id)
            where = {"run_id": self._run_id, "number": (">", self.after)}
            rows = self._store.list("agent_event", where, order="created_seq", limit=BATCH)
        finally:
            self._store.close()
        full = len(rows) == BATCH
        self._head, self._looked = None if full else head, now
        self.over = run["status"] != records.RUNNING and not full
        self.after = rows[-1]["number"] if rows else self.after
        return [of_row(row) for row in rows]


def followed(store: Store, run_id: str, after: int = 0) -> Iterator[Event]:
    """The events of a run behind a number, as they come, until the run has ended."""
    follower = Follower(store, run_id, after)
    while True:
        yield from follower.news()
        if follower.over:
            return
        time.sleep(LOOK)


async def follow(store: Store, run_id: str, after: int = 0) -> AsyncIterator[Event]:
    """The same, as an asynchronous iterator: `async for event in follow(store, run_id)`."""
    import asyncio

    follower = Follower(store, run_id, after)
    while True:
        for event in await asyncio.to_thread(follower.news):
            yield event
        if follower.over:
            return
        await asyncio.sleep(LOOK)
