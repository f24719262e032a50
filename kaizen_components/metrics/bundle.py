"""Bundle: what an agent that is due needs, in a folder that can be read without a network: brief, numbers, recommendations."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from .. import denial
from ..hashing import canonical, sha256
from ..paths import Plane
from ..store import files
from . import schedule
from .schedule import Entry, Schedule

FOLDER = Path(".kaizen") / "bundles"
VERSION = 1


def day_of(plan: Schedule, at: datetime) -> date:
    """The day of a moment where the schedule's times are told."""
    return at.astimezone(plan.zone).date()


def due_on(plan: Schedule, entry: Entry, day: date) -> list[datetime]:
    """The times at which an agent is due on a day of the schedule's timezone."""
    begins = datetime.combine(day, time(), plan.zone)
    ends = datetime.combine(day + timedelta(days=1), time(), plan.zone)
    second = timedelta(seconds=1)
    before, until = (moment.astimezone(UTC) - second for moment in (begins, ends))
    return list(schedule.between(entry.cron, before, until, plan.zone))


def commands(agent: str) -> str:
    """What whoever works as the agent types, before and after."""
    name = shlex.quote(agent)
    return (
        "# Before: what it should know.\n"
        f"kaizen-agentic memory brief {name}\n"
        "# After: how it went (--success or --failure, seconds, quality from 0 to 1).\n"
        f"kaizen-agentic metrics record {name} --success --time 60 --quality 0.9\n"
        "# From time to time: what the numbers say.\n"
        f"kaizen-agentic metrics optimize {name}\n"
    )


def contents(agents: Sequence[tuple[Entry, Sequence[datetime], Mapping[str, str]]], plan: Schedule, day: date) -> dict[str, str]:
    """The files of a bundle by name: those of each agent in a folder of its own, and manifest.json, which lists them with size
    and SHA-256. The same records and the same day give the same bytes."""
    texts: dict[str, str] = {}
    listed: list[dict[str, Any]] = []
    for number, (entry, times, parts) in enumerate(agents, 1):
        folder = f"{number:02}-{entry.agent}"
        for name, text in {**parts, "commands.txt": commands(entry.agent)}.items():
            texts[f"{folder}/{name}"] = text
        due = [at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in times]
        listed.append({"agent": entry.agent, "cadence": entry.cadence, "cron": entry.cron, "due": due, "folder": folder})
    manifest = {
        "version": VERSION,
        "day": day.isoformat(),
        "timezone": plan.timezone,
        "agents": listed,
        "files": [{"path": name, "bytes": len(text.encode()), "sha256": sha256(text)} for name, text in sorted(texts.items())],
    }
    return {**texts, "manifest.json": json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"}


def write(plane: Plane, day: date, texts: Mapping[str, str]) -> tuple[str, bool]:
    """Write a bundle as .kaizen/bundles/DAY-HASH, whole or not at all: its path, and whether it was there already."""
    mark = sha256(canonical({name: sha256(text) for name, text in texts.items()}))[:12]
    target = plane.root / FOLDER / f"{day.isoformat()}-{mark}"
    if not target.parent.resolve().is_relative_to(plane.root):
        raise denial.PathOutsideRepo(path=FOLDER.as_posix(), root=str(plane.root))
    if target.is_dir():
        return plane.relative(target), True
    work = files.reserve_folder(target.parent, f".{target.name}.{os.getpid()}")
    try:
        for name, text in texts.items():
            files.write_whole(work / name, text)
        work.rename(target)
    except OSError as fault:
        if target.is_dir():
            return plane.relative(target), True
        raise denial.FileUnwritable(path=plane.relative(target), reason=fault.strerror or str(fault)) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return plane.relative(target), False
