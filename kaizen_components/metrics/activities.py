"""Activities: definitions of what a scheduler should run and when, their faults, and which would fire. Nothing is run here."""

from __future__ import annotations

import json
import operator
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .. import clock, denial
from ..paths import Plane
from ..store import Store
from . import events, marked, schedule
from .marked import Fault
from .records import OutboxEvent

# Where a project keeps its own, and where those that come with Kaizen lie.
OWN, SHIPPED = Path(".kaizen") / "activity-definitions", Path("docs") / "integrations" / "activity-definitions"
# What an event says, as conditions name it.
FIELDS: Mapping[str, tuple[str, ...]] = {
    events.RECORDED: ("agent", "project", "summary.success_rate", "summary.execution_count", "summary.avg_quality"),
    events.INSTALLED: ("agent", "project", "memory"),
}
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_LARGEST = 1_000_000

_CRON = {
    "required": ["cron"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "cron"},
        "cron": {"type": "string", "minLength": 1},
        "timezone": {"type": "string", "minLength": 1},
    },
}
_CONDITION = {
    "type": "object",
    "required": ["field", "operator", "value"],
    "additionalProperties": False,
    "properties": {
        "field": {"type": "string", "minLength": 1},
        "operator": {"enum": list(OPERATORS)},
        "value": {"type": ["number", "string", "boolean"]},
    },
}
_EVENT = {
    "required": ["event"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "event"},
        "event": {"enum": list(FIELDS)},
        "conditions": {"type": "array", "items": _CONDITION},
    },
}
# The JSON Schema of the front matter; docs/integrations/activity-definition.schema.json is a copy.
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Activity definition",
    "type": "object",
    "required": ["id", "title", "version", "enabled", "triggers", "actions"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
        "title": {"type": "string", "minLength": 1},
        "description": {"type": "string"},
        "version": {"type": "string", "minLength": 1},
        "owner": {"type": "string"},
        "enabled": {"type": "boolean"},
        "triggers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": ["cron", "event"]}},
                "allOf": [
                    {"if": {"required": ["type"], "properties": {"type": {"const": "cron"}}}, "then": _CRON},
                    {"if": {"required": ["type"], "properties": {"type": {"const": "event"}}}, "then": _EVENT},
                ],
            },
        },
        "actions": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["command"],
                "additionalProperties": False,
                "properties": {
                    "command": {"type": "string", "minLength": 1},
                    "description": {"type": "string"},
                    "timeout_s": {"type": "number", "exclusiveMinimum": 0},
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition without faults."""

    file: str
    id: str
    title: str
    enabled: bool
    triggers: tuple[dict[str, Any], ...]
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that a definition fires: by which trigger, at what time, of which event, and what would be run."""

    trigger: int
    at: str
    commands: list[str]
    agent: str | None = None
    event_id: str | None = None


def folder(plane: Plane, named: Path | None) -> Path:
    """Where the definitions lie: the folder that is named, the project's own, those that come with Kaizen.
    DENIED_ACTIVITIES_MISSING where there is none."""
    here = Path(__file__).resolve().parents[2]
    places = [named] if named is not None else [plane.root / OWN, plane.root / SHIPPED, here / SHIPPED]
    for place in places:
        if place.is_dir() and any(place.glob("*.md")):
            return place
    raise denial.ActivitiesMissing(path=str(named or OWN.as_posix()))


def read(place: Path) -> tuple[list[Definition], list[Fault]]:
    """The definitions of a folder, by name, and everything that is wrong with them."""
    found: list[Definition] = []
    faults: list[Fault] = []
    files: dict[str, str] = {}
    for path in sorted(place.glob("*.md")):
        if path.name == "README.md":
            continue
        definition, wrong = _read(path)
        faults += wrong
        if definition is not None and (first := files.setdefault(definition.id, path.name)) != path.name:
            faults.append(Fault(path.name, 1, "id", f"{first} has the same id"))
        elif definition is not None:
            found.append(definition)
    return found, faults


def _read(path: Path) -> tuple[Definition | None, list[Fault]]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as fault:
        return None, [Fault(path.name, 1, marked.shown(()), f"it cannot be read: {getattr(fault, 'strerror', None) or fault}")]
    parts = marked.front_matter(text) if len(data) <= _LARGEST else None
    if parts is None:
        return None, [Fault(path.name, 1, marked.shown(()), "it does not begin with YAML between two lines ---")]
    front = marked.read(parts[0], path.name, first=2)
    if front.value is not None or not front.faults:
        marked.judge(front, SCHEMA)
    if not front.faults:
        _judge(front, path.stem)
    if front.faults or front.value is None:
        return None, sorted(front.faults, key=lambda fault: fault.line)
    value: dict[str, Any] = front.value
    return (
        Definition(
            file=path.name,
            id=value["id"],
            title=value["title"],
            enabled=value["enabled"],
            triggers=tuple(value["triggers"]),
            commands=tuple(action["command"] for action in value["actions"]),
        ),
        [],
    )


def _judge(front: marked.Marked, stem: str) -> None:
    """Note what no schema says: times that are none, fields that the event does not have, words that nothing fills."""
    value = front.value
    if value["id"] != stem:
        front.fault(("id",), f"the file is called {stem}.md")
    known: set[str] | None = None
    for number, trigger in enumerate(value["triggers"]):
        place = ("triggers", number)
        if trigger["type"] == "cron":
            fields: set[str] = {"project"}
            if reason := schedule.cron_fault(trigger["cron"]):
                front.fault((*place, "cron"), reason)
            if schedule.zone(trigger.get("timezone", "UTC"), known=True) is None:
                front.fault((*place, "timezone"), f"there is no timezone {trigger['timezone']!r}")
        else:
            fields = set(FIELDS[trigger["event"]])
            for at, condition in enumerate(trigger.get("conditions", ())):
                if condition["field"] not in fields:
                    reason = f"{trigger['event']} has no {condition['field']!r}; it has {', '.join(FIELDS[trigger['event']])}"
                    front.fault((*place, "conditions", at, "field"), reason)
        known = fields if known is None else known & fields
    for number, action in enumerate(value["actions"]):
        place = ("actions", number, "command")
        for name in _PLACEHOLDER.findall(action["command"]):
            if name not in (known or ()):
                front.fault(place, f"{{{{ {name} }}}} is filled by no trigger; there are {', '.join(sorted(known or ()))}")
        try:
            shlex.split(action["command"])
        except ValueError as fault:
            front.fault(place, f"it is no command line: {fault}")


# --- which would fire -----------------------------------------------------------------------------


def evaluate(store: Store, definition: Definition, at: datetime, since: datetime | None) -> dict[str, Any]:
    """Whether a definition would fire at a time, how often, and why or why not.

    Without `since`: for cron, in the minute of `at`; for events, by the newest event of each agent up to then. With it: at every
    time and by every event after `since`, up to `at`.
    """
    firings: list[Firing] = []
    reasons: list[str] = []
    for number, trigger in enumerate(definition.triggers):
        judge = _by_cron if trigger["type"] == "cron" else _by_event
        fired, why = judge(store, definition, number, at, since)
        firings += fired
        reasons += why
    if firings and not definition.enabled:
        reasons.append("it is not enabled, so nothing is run")
    return {
        "id": definition.id,
        "title": definition.title,
        "enabled": definition.enabled,
        "matches": bool(firings),
        "would_fire": bool(firings) and definition.enabled,
        "why": reasons,
        "firings": [{name: value for name, value in _shown(firing).items() if value is not None} for firing in firings],
    }


def _shown(firing: Firing) -> dict[str, Any]:
    return {
        "trigger": firing.trigger,
        "at": firing.at,
        "agent": firing.agent,
        "event_id": firing.event_id,
        "commands": firing.commands,
    }


def _by_cron(
    store: Store, definition: Definition, number: int, at: datetime, since: datetime | None
) -> tuple[list[Firing], list[str]]:
    trigger = definition.triggers[number]
    where = schedule.zone(trigger.get("timezone", "UTC"))
    begins = since if since is not None else at.replace(second=0, microsecond=0) - timedelta(seconds=1)
    times = [run.isoformat() for run in schedule.between(trigger["cron"], begins, at, where)]
    name = f"{trigger['cron']} ({trigger.get('timezone', 'UTC')})"
    if not times:
        last = schedule.last(trigger["cron"], at, where)
        following = next(schedule.runs(trigger["cron"], at, where), None)
        said = [f"last at {last.isoformat()}" if last else "", f"next at {following.isoformat()}" if following else "never again"]
        return [], [f"{name} is not due: {', '.join(filter(None, said))}"]
    commands = [_filled(command, {"project": events.project(store)}) for command in definition.commands]
    return [Firing(number, run, commands) for run in times], [f"{name} is due at {', '.join(times)}"]


def _by_event(
    store: Store, definition: Definition, number: int, at: datetime, since: datetime | None
) -> tuple[list[Firing], list[str]]:
    trigger = definition.triggers[number]
    found = list(_events(store, trigger["event"], at, since))
    if not found:
        return [], [f"there is no {trigger['event']} {'in that time' if since else 'up to that time'}"]
    firings, reasons = [], []
    for event in found:
        attributes = event["attributes"]
        agent = str(attributes.get("agent"))
        holds, said = _conditions(trigger.get("conditions", ()), attributes)
        reasons.append(f"{agent} at {event['timestamp']}: {said}")
        if holds:
            commands = [_filled(command, attributes) for command in definition.commands]
            firings.append(Firing(number, event["timestamp"], commands, agent, event["id"]))
    return firings, reasons


def _events(store: Store, type: str, at: datetime, since: datetime | None) -> Iterator[dict[str, Any]]:
    """The events that count, oldest first: all of a time, or the newest of each agent."""
    where: dict[str, Any] = {"type": type, "is_test": 0, "created_at": ("<=", clock.iso(at))}
    if since is not None:
        where["created_at#since"] = (">", clock.iso(since))
    rows = store.list(OutboxEvent.record_kind, where, order="number DESC", columns=("agent", "event_json"))
    if since is None:
        newest: dict[str, str] = {}
        for row in rows:
            newest.setdefault(row["agent"], row["event_json"])
        texts = list(newest.values())
    else:
        texts = [row["event_json"] for row in rows]
    yield from (json.loads(text) for text in reversed(texts))


def _conditions(conditions: Sequence[Mapping[str, Any]], attributes: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether all of them hold, and which values say so."""
    if not conditions:
        return True, "there are no conditions"
    holding, failing = [], []
    for condition in conditions:
        value = _value(attributes, condition["field"])
        wanted = condition["value"]
        if value is None:
            failing.append(f"{condition['field']} has no value")
            continue
        try:
            holds = OPERATORS[condition["operator"]](value, wanted)
        except TypeError:
            failing.append(f"{condition['field']} {value!r} cannot be compared with {wanted!r}")
            continue
        said = (
            f"{condition['field']} {json.dumps(value)} {'is' if holds else 'is not'} {condition['operator']} {json.dumps(wanted)}"
        )
        (holding if holds else failing).append(said)
    return not failing, " and ".join(failing or holding)


def _value(attributes: Mapping[str, Any], name: str) -> Any:
    value: Any = attributes
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _filled(command: str, attributes: Mapping[str, Any]) -> str:
    """A command with its {{ words }} filled, each as one word of a shell whatever it holds."""
    return _PLACEHOLDER.sub(lambda match: shlex.quote(str(_value(attributes, match[1]))), command)
