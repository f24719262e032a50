"""Units: a schedule as what a host's scheduler reads: systemd units, lines of a crontab, a GitHub workflow."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import denial
from ..paths import Plane
from . import schedule
from .schedule import Entry, Schedule

TARGETS = ("systemd", "crontab", "github")
_WEEKDAYS = "Sun Mon Tue Wed Thu Fri Sat".split()
# What one of cron's fields may be for every cron there is.
_PLAIN_PART = re.compile(r"(?:\*|\d+|[A-Za-z]{3})")


@dataclass(frozen=True, slots=True)
class Unit:
    """A file of a scheduler: its name, its text, and where it goes."""

    name: str
    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Due:
    """When an expression is due, field by field; `either`: a day of the month or of the week is enough."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool


def made(target: str, plan: Schedule, plane: Plane, at: datetime) -> list[Unit]:
    """The files for a target, of the agents that are enabled. DENIED_SCHEDULE_UNPRINTABLE for what it cannot say."""
    entries = [entry for entry in plan.entries if entry.enabled]
    if any("\n" in str(path) for path in (plane.root, *_program())):
        raise denial.ScheduleUnprintable(message="The path of the project holds a line end.", target=target)
    if target == "systemd":
        return _systemd(entries, plan.timezone, plane)
    if target == "crontab":
        return [_crontab(entries, plan.timezone, plane)]
    return [_github(entries, plan, at)]


def due(entry: Entry, target: str) -> Due:
    """When an agent is due; DENIED_SCHEDULE_UNPRINTABLE where a target has no words for it."""
    parts = entry.cron.split()
    if not all(_PLAIN_PART.fullmatch(piece) for part in parts for piece in re.split(r"[,/-]", part)):
        raise denial.ScheduleUnprintable(
            message="The cron expression uses L, W or #, which this target does not know.",
            target=target,
            agent=entry.agent,
            cron=entry.cron,
        )
    found = schedule.simulated(entry.cron, datetime(2026, 1, 1, tzinfo=UTC))
    weekdays = sorted({day % 7 for day in found.weekdays if isinstance(day, int)})
    return Due(
        minutes=tuple(sorted(found.minutes)),
        hours=tuple(sorted(found.hours)),
        days=tuple(sorted(found.days)),
        months=tuple(sorted(found.months)),
        weekdays=tuple(weekdays),
        either=not found.day_and,
    )


def _program() -> list[str]:
    """The words that start this Kaizen: a checkout's kaizen.py, or the command that pip installed."""
    from shutil import which

    script = Path(__file__).resolve().parents[2] / "kaizen.py"
    return [sys.executable, str(script)] if script.is_file() else [which("kaizen") or "kaizen"]


def _work(agent: str) -> list[list[str]]:
    """What a host runs when an agent is due: an analysis of all agents, as the file holds one, and the bundle."""
    return [["P5"], ["P11", "--action", "prepare", "--agent", agent]]


# --- systemd --------------------------------------------------------------------------------------


def _systemd(entries: Sequence[Entry], timezone: str, plane: Plane) -> list[Unit]:
    units: list[Unit] = []
    taken: set[str] = set()
    for entry in entries:
        stem = name = f"kaizen-{re.sub(r'[^A-Za-z0-9_.-]+', '-', entry.agent)}"
        number = 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        place = "~/.config/systemd/user"
        units.append(Unit(f"{name}.service", _service(entry, plane), place))
        units.append(Unit(f"{name}.timer", _timer(entry, timezone), place))
    return units


def _service(entry: Entry, plane: Plane) -> str:
    lines = ["[Unit]", f"Description=Kaizen: prepare {_percent(entry.agent)}", "", "[Service]", "Type=oneshot"]
    lines.append(f"WorkingDirectory={_percent(str(plane.root))}")
    if plane.root == plane.base:
        lines.append(f"Environment={_word(f'KAIZEN_REPO_ROOT={plane.root}')}")
    lines += [f"ExecStart={' '.join(map(_word, [*_program(), *words]))}" for words in _work(entry.agent)]
    return "\n".join(lines) + "\n"


def _timer(entry: Entry, timezone: str) -> str:
    lines = ["[Unit]", f"Description=Kaizen: when {_percent(entry.agent)} is due", "", "[Timer]"]
    lines += [f"OnCalendar={text}" for text in calendar(entry, timezone)]
    lines += ["Persistent=true", "", "[Install]", "WantedBy=timers.target"]
    return "\n".join(lines) + "\n"


def calendar(entry: Entry, timezone: str) -> list[str]:
    """An agent's times as systemd writes them; two where a day of the month or one of the week is enough."""
    when = due(entry, "systemd")
    weekdays = "" if len(when.weekdays) == 7 else ",".join(_WEEKDAYS[day] for day in when.weekdays) + " "
    days, months = _listed(when.days, range(1, 32)), _listed(when.months, range(1, 13))
    time = f"{_listed(when.hours, range(24))}:{_listed(when.minutes, range(60))}:00 {timezone}"
    if when.either:
        return [f"*-{months}-{days} {time}", f"{weekdays}*-{months}-* {time}"]
    return [f"{weekdays}*-{months}-{days} {time}"]


def _listed(numbers: Iterable[int], all_of_them: range) -> str:
    numbers = tuple(numbers)
    return "*" if numbers == tuple(all_of_them) else ",".join(f"{number:02}" for number in numbers)


def _word(text: str) -> str:
    """A word of a command line as systemd reads it."""
    plain = _percent(text).replace("$", "$$")
    if re.fullmatch(r"[A-Za-z0-9_./:=%+@,-]+", plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")


# --- crontab --------------------------------------------------------------------------------------


def _crontab(entries: Sequence[Entry], timezone: str, plane: Plane) -> Unit:
    lines = [
        f"# Times are in {timezone}. cronie heeds CRON_TZ; Debian's cron does not, and reads them in the machine's own timezone.",
        f"CRON_TZ={timezone}",
    ]
    for entry in entries:
        due(entry, "crontab")
        root = shlex.quote(str(plane.root))
        named = f"KAIZEN_REPO_ROOT={root} " if plane.root == plane.base else ""
        commands = [f"{named}{shlex.join([*_program(), *words])}" for words in _work(entry.agent)]
        # To cron a percent sign is a line end.
        lines.append(f"{entry.cron} {' && '.join([f'cd {root}', *commands])}".replace("%", "\\%"))
    return Unit("kaizen.crontab", "\n".join(lines) + "\n", "crontab -e")


# --- GitHub ---------------------------------------------------------------------------------------


def _github(entries: Sequence[Entry], plan: Schedule, at: datetime) -> Unit:
    offset = at.astimezone(plan.zone).utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    lines = ["# GitHub reads times in UTC."]
    if plan.timezone.upper() != "UTC":
        shown = f"{'+' if minutes >= 0 else '-'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        lines.append(f"# {plan.timezone} is {shown} on {at.astimezone(plan.zone):%Y-%m-%d}; print it anew when clocks change.")
    times = {entry.agent: utc_crons(entry, minutes) for entry in entries}
    lines += ["name: Kaizen", "", "on:", "  workflow_dispatch:"]
    if entries:
        lines.append("  schedule:")
        lines += [f"    - cron: {_quoted(cron)}" for cron in dict.fromkeys(cron for crons in times.values() for cron in crons)]
    lines += ["", "permissions:", "  contents: read", "", "jobs:"]
    for number, entry in enumerate(entries, 1):
        lines += _job(number, entry, times[entry.agent])
    if not entries:
        lines += ["  nobody:", "    runs-on: ubuntu-latest", "    steps:", "      - run: echo no agent is enabled"]
    return Unit("kaizen.yml", "\n".join(lines) + "\n", ".github/workflows")


def _job(number: int, entry: Entry, crons: Sequence[str]) -> list[str]:
    """The job of an agent: the metrics that the repository holds are taken in, analysed, and its bundle is kept."""
    wanted = " || ".join(["github.event_name == 'workflow_dispatch'", *(f"github.event.schedule == '{cron}'" for cron in crons)])
    runs = [["K1"], ["P16"], *_work(entry.agent)]
    return [
        f"  agent-{number}:",
        f"    name: {_quoted(_github_text(entry.agent))}",
        f"    if: {_quoted(wanted)}",
        "    runs-on: ubuntu-latest",
        "    steps:",
        "      - uses: actions/checkout@v4",
        "      - uses: actions/setup-python@v5",
        "        with:",
        "          python-version: '3.12'",
        "      - run: python -m pip install kaizen-record",
        *(f"      - run: {_quoted(_github_text(shlex.join(['kaizen', *words])))}" for words in runs),
        "      - uses: actions/upload-artifact@v4",
        "        with:",
        f"          name: {_quoted(f'kaizen-agent-{number}')}",
        "          path: .kaizen/bundles",
        "          include-hidden-files: true",
    ]


def utc_crons(entry: Entry, offset: int) -> list[str]:
    """An agent's times as cron expressions in UTC, for a zone that is so many minutes ahead of it."""
    when = due(entry, "github")
    by_day: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    shifted: dict[tuple[int, int], list[int]] = {}
    for hour in when.hours:
        for minute in when.minutes:
            days, rest = divmod(hour * 60 + minute - offset, 1_440)
            shifted.setdefault((days, rest // 60), []).append(rest % 60)
    for (days, hour), minutes in sorted(shifted.items()):
        by_day.setdefault((days, tuple(sorted(minutes))), []).append(hour)
    every_day = when.days == tuple(range(1, 32)) and when.months == tuple(range(1, 13))
    if any(days for days, _ in by_day) and not every_day:
        raise denial.ScheduleUnprintable(
            "Set timezone: UTC, or a time that is on the same day in UTC.",
            message="In UTC this time lies on another day of the month, which a cron expression cannot say.",
            target="github",
            agent=entry.agent,
            cron=entry.cron,
        )
    crons = []
    for (days, minutes), hours in by_day.items():
        weekdays = sorted((day + days) % 7 for day in when.weekdays)
        fields = [
            _field(minutes, range(60)),
            _field(hours, range(24)),
            _field(when.days, range(1, 32)),
            _field(when.months, range(1, 13)),
            _field(weekdays, range(7)),
        ]
        if when.either:
            # Where both days are said, either is enough.
            crons.append(" ".join(fields))
        elif "*" in (fields[2], fields[4]):
            crons.append(" ".join(fields))
        else:
            raise denial.ScheduleUnprintable(
                message="The expression wants a day of the month that is also one of the week.",
                target="github",
                agent=entry.agent,
                cron=entry.cron,
            )
    return crons


def _field(numbers: Iterable[int], all_of_them: range) -> str:
    numbers = tuple(numbers)
    return "*" if numbers == tuple(all_of_them) else ",".join(str(number) for number in numbers)


def _quoted(text: str) -> str:
    """A text in YAML, in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _github_text(text: str) -> str:
    """A text in which GitHub sees no expression; names of agents hold no such thing."""
    return text.replace("${{", "$ {{")


def shown(units: Sequence[Unit]) -> str:
    """The files one after the other, each under a line that says where it goes."""
    return "\n".join(f"# {unit.place}{'' if unit.place == 'crontab -e' else f'/{unit.name}'}\n{unit.text}" for unit in units)
