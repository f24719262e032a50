"""Outbox: events put there as a record's command would, and what a receiver got."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kaizen_components import paths
from kaizen_components.call import Call, Result
from kaizen_components.metrics import events
from kaizen_components.store import Row, Store


def store(root: Path) -> Store:
    return Store(paths.of_root(root))


def tell(root: Path, *, count: int = 1, agent: str = "coach", type: str = events.RECORDED, test: bool = False) -> list[Row]:
    """Put events into the outbox, all in one transaction: their rows, with the event parsed as `event`."""
    opened, rows = store(root), []

    def work() -> Result:
        for number in range(count):
            rows.append(events.put(opened, type, agent, {"summary": {"execution_count": number + 1}}, None))
        return Result()

    opened.perform(Call(op="P1", test=test, writes=True), work)
    return [{**row, "event": json.loads(row["event_json"])} for row in rows]


def ids(rows: list[Row]) -> list[str]:
    """The ids of events, in order."""
    return [row["event"]["id"] for row in rows]


def got(path: Path) -> list[dict[str, Any]]:
    """The events in a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
