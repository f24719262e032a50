"""Histories of executions, made up: what happens in them is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DAY = "2026-03-{day:02d}T{hour:02d}:{minute:02d}:00Z"


def line(number: int, success: bool, agent: str = "reviewer", **more: Any) -> dict[str, Any]:
    """The line of an execution; its number says when it was."""
    day, minute = divmod(number, 24 * 60)
    return {
        "timestamp": DAY.format(day=day + 1, hour=minute // 60, minute=minute % 60),
        "agent": agent,
        "success": success,
        **more,
    }


def every(period: int, failures: int, number: int) -> bool:
    """Whether an execution succeeds where `failures` of each `period` fail, spread evenly."""
    return (number * failures) % period >= failures


def write(root: Path, lines: list[dict[str, Any]]) -> None:
    """Write executions where kaizen-agentic would, for P16 to take in."""
    for agent in {one["agent"] for one in lines}:
        path = root / ".kaizen" / "metrics" / agent / "executions.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(one) + "\n" for one in lines if one["agent"] == agent)
        path.write_text(text, encoding="utf-8")


def falling(agent: str = "reviewer", before: int = 40, after: int = 40) -> list[dict[str, Any]]:
    """Nine of ten succeed, then one of two."""
    good = [line(number, every(10, 1, number), agent) for number in range(before)]
    return good + [line(number, number % 2 == 0, agent) for number in range(before, before + after)]


def steady(agent: str = "steady", count: int = 60) -> list[dict[str, Any]]:
    """Nine of ten succeed throughout; every measure goes round in the same circle."""
    return [
        line(number, every(10, 1, number), agent, execution_time_s=10.0 + number % 7, quality_score=0.8 + number % 5 / 50)
        for number in range(count)
    ]
