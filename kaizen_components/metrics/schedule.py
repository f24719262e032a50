"""Schedule: when each agent is due: .kaizen/schedule.yml, its faults, its next runs. Nothing is run here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial
from . import marked, naming
from .marked import Marked

if TYPE_CHECKING:
    from cronsim import CronSim

PLACE = Path(".kaizen") / "schedule.yml"
VERSION = 1
# What a cadence means where no cron expression says it more exactly: at eight, on Mondays, on the first of the month.
CADENCES = {"daily": "0 8 * * *", "weekly": "0 8 * * 1", "monthly": "0 8 1 * *"}
# An expression that is due less often than once in so many days is never due.
_FARTHEST = 366 * 9

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "agents"],
    "properties": {
        "version": {"enum": [1, "1", "1.0", 1.0]},
        "timezone": {"type": "string", "minLength": 1},
        "agents": {
            "type": ["object", "null"],
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "cadence": {"enum": list(CADENCES)},
                    "cron": {"type": "string", "minLength": 1},
                    "enabled": {"type": "boolean"},
                },
            },
        },
    },
}

HEAD = """\
# When each agent is due. Kaizen runs nothing by itself: P11 schedule --action print gives units for systemd, cron and GitHub.
# cadence: daily, weekly or monthly, each at 08:00. cron: five fields, and then it is what counts.
"""
EXAMPLE = """\
# agents:
#   code-reviewer:
#     cadence: weekly
#     cron: "0 8 * * 1"
#     enabled: true
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One agent in the schedule."""

    agent: str
    cadence: str | None
    cron: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule without faults; `timezone` is what its times are in."""

    timezone: str
    entries: tuple[Entry, ...]

    @property
    def zone(self) -> tzinfo:
        return zone(self.timezone)


def first(agents: list[str]) -> str:
    """The text of a new schedule: every agent that is known, once a week."""
    text = f"{HEAD}version: {VERSION}\ntimezone: UTC\n"
    if not agents:
        return f"{text}agents: {{}}\n{EXAMPLE}"
    import json

    text += "agents:\n"
    for agent in agents:
        # A text in JSON is one in YAML: names such as no and 1.0 stay names.
        name = agent if agent.replace("-", "").isalpha() and agent.islower() and agent not in _WORDS else json.dumps(agent)
        text += f'  {name}:\n    cadence: weekly\n    cron: "{CADENCES["weekly"]}"\n    enabled: true\n'
    return text


_WORDS = frozenset("y n yes no on off true false null".split())


def read(text: str, file: str = PLACE.as_posix()) -> tuple[Schedule | None, Marked]:
    """A schedule from its text; None, and what is wrong with it, where it has faults."""
    found = marked.read(text, file)
    if found.value is not None or not found.faults:
        marked.judge(found, SCHEMA)
    value = found.value if isinstance(found.value, dict) else {}
    name = value.get("timezone", "UTC")
    if isinstance(name, str) and name and zone(name, known=True) is None:
        found.fault(("timezone",), f"there is no timezone {name!r}; it is one such as UTC or Europe/Berlin")
    entries = []
    agents = value.get("agents")
    for agent, given in (agents if isinstance(agents, dict) else {}).items():
        if not naming.is_name(agent):
            found.fault(("agents", agent), "an agent cannot be called so")
        if not isinstance(given, dict):
            continue
        cadence, cron = given.get("cadence"), given.get("cron")
        if "cadence" not in given and "cron" not in given:
            found.fault(("agents", agent, "cadence"), "cadence or cron has to say when")
        if isinstance(cron, str) and cron and (reason := cron_fault(cron)):
            found.fault(("agents", agent, "cron"), reason)
        if isinstance(cron, str | None) and cadence in (None, *CADENCES):
            entries.append(Entry(agent, cadence, cron or CADENCES.get(cadence or "", ""), given.get("enabled", True)))
    if found.faults:
        found.faults.sort(key=lambda fault: fault.line)
        return None, found
    return Schedule(name, tuple(entries)), found


def load(root: Path) -> Schedule:
    """The schedule of a project. DENIED_SCHEDULE_MISSING; DENIED_FILE_INVALID with every fault."""
    schedule, found = read(text_of(root))
    marked.refuse(found.faults, f"{PLACE.as_posix()} has faults.", "Correct the places named in `faults`.")
    assert schedule is not None
    return schedule


def text_of(root: Path) -> str:
    """The text of a project's schedule; DENIED_SCHEDULE_MISSING, DENIED_FILE_NOT_UTF8."""
    try:
        return (root / PLACE).read_bytes()[: marked.LONGEST * 4].decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise denial.FileNotUtf8(path=PLACE.as_posix(), reason=str(fault)) from None
    except OSError as fault:
        raise denial.ScheduleMissing(path=PLACE.as_posix(), reason=fault.strerror or str(fault)) from None


def zone(name: str, *, known: bool = False) -> Any:
    """A timezone by name; DENIED_SCHEDULE_ZONE where there is none, or None with `known`."""
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        if known:
            return None
        raise denial.ScheduleZone(timezone=name) from None


def cron_fault(expression: str) -> str | None:
    """What is wrong with a cron expression; None where nothing is."""
    if len(expression.split()) != 5:
        return f"{expression!r} has {len(expression.split())} fields; there are five: minute, hour, day, month, weekday"
    try:
        next(simulated(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except _cronsim().CronSimError as fault:
        return f"{expression!r}: {str(fault).lower()}"
    except StopIteration:
        return f"{expression!r} is never due"
    return None


def simulated(expression: str, after: datetime) -> CronSim:
    """The times of an expression after a moment, without end. What is wrong with it raises CronSimError."""
    return _cronsim().CronSim(expression, after)


def _cronsim() -> Any:
    try:
        import cronsim
    except ImportError:
        raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="cronsim") from None
    return cronsim


def runs(expression: str, after: datetime, where: tzinfo) -> Iterator[datetime]:
    """The times at which an expression is due after a moment, in a timezone: where clocks are put forward, a time that is left
    out is due right after the gap; where they are put back, one that comes twice is due once."""
    farthest = after + timedelta(days=_FARTHEST)
    for at in simulated(expression, after.astimezone(where)):
        if at > farthest:
            return
        yield at


def between(expression: str, after: datetime, until: datetime, where: tzinfo) -> Iterator[datetime]:
    """The times at which an expression is due after one moment, up to another."""
    for at in runs(expression, after, where):
        if at > until:
            return
        yield at


def last(expression: str, until: datetime, where: tzinfo) -> datetime | None:
    """The last time at which an expression was due, at a moment or before it."""
    return next(
        _cronsim().CronSim(expression, until.astimezone(where).replace(microsecond=0) + timedelta(seconds=1), reverse=True), None
    )
