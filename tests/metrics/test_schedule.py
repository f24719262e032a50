"""The schedule: its file, its faults, its next runs, what is prepared for who is due, and units that schedulers take."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from cronsim import CronSim

from kaizen_components.metrics import schedule, units

PLACE = ".kaizen/schedule.yml"
MONDAY = "2026-01-05T12:00:00Z"


def write(plane: Path, text: str) -> None:
    (plane / PLACE).parent.mkdir(exist_ok=True)
    (plane / PLACE).write_text(text, encoding="utf-8")


def one(plane: Path, cron: str, timezone: str = "UTC", agent: str = "coach") -> None:
    write(plane, f'version: 1\ntimezone: {timezone}\nagents:\n  {agent}:\n    cron: "{cron}"\n')


def record(kz, agent: str, **more) -> None:
    kz.ok("P1", agent=agent, success=True, time=12, quality=0.9, **more)


# --- the file -------------------------------------------------------------------------------------


def test_a_new_schedule_has_every_agent_that_has_records(kz, plane):
    record(kz, "coach")
    kz.ok("P8", agent="builder")
    assert kz.ok("P11", action="init")["agents"] == ["builder", "coach"]
    assert yaml.safe_load((plane / PLACE).read_text(encoding="utf-8"))["agents"]["coach"] == {
        "cadence": "weekly",
        "cron": "0 8 * * 1",
        "enabled": True,
    }
    assert kz.ok("P11", action="validate")["faults"] == []


def test_names_that_yaml_takes_for_something_else_stay_names(plane):
    names = ["no", "1.0", "null", "A b", "ünï", "coach-2", "y", "2026-01-01"]
    text = schedule.first(names)
    plan, found = schedule.read(text)
    assert plan is not None and found.faults == []
    assert [entry.agent for entry in plan.entries] == names
    assert list(yaml.safe_load(text)["agents"]) == names


def test_a_schedule_is_never_written_over(kz, plane):
    write(plane, "mine")
    kz.denied("DENIED_SCHEDULE_EXISTS", "P11", action="init")
    assert (plane / PLACE).read_text(encoding="utf-8") == "mine"
    (plane / PLACE).unlink()
    (plane / PLACE).symlink_to("/nowhere")
    kz.denied("DENIED_SCHEDULE_EXISTS", "P11", action="init")


def test_every_fault_is_named_with_its_line_and_place(kz, plane):
    write(
        plane,
        'version: 2\ntimezone: Mars/North\nagents:\n  coach:\n    cadence: weekly\n    cron: "0 8 * *"\n    enabeld: yes\n'
        '  "a/b":\n    cron: "61 * * * *"\n  list: 5\n  twice:\n    enabled: true\n  twice:\n    cadence: dialy\n'
        '  never:\n    cron: "0 0 31 2 *"\n',
    )
    reply = kz("P11", action="validate")
    assert reply.code == 1 and reply["status"] == "FAILED"
    assert [(fault["line"], fault["place"]) for fault in reply["faults"]] == [
        (1, "version"),
        (2, "timezone"),
        (6, "agents.coach.cron"),
        (7, "agents.coach.enabeld"),
        (8, "agents.a/b"),
        (9, "agents.a/b.cron"),
        (10, "agents.list"),
        (11, "agents.twice.cadence"),
        (13, "agents.twice"),
        (16, "agents.never.cron"),
    ]
    reasons = {fault["place"]: fault["reason"] for fault in reply["faults"]}
    assert reasons["agents.coach.enabeld"] == "there is no such key here; did you mean enabled?"
    assert reasons["agents.coach.cron"].endswith("has 4 fields; there are five: minute, hour, day, month, weekday")
    assert kz.denied("DENIED_FILE_INVALID", "P11", action="list")["faults"] == reply["faults"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "agents: [",
        "- a list",
        "version: 1\nagents: &x\n  a: *x\n",
        "version: 1\nagents: !!python/object/apply:os.system ['true']\n",
        "version: 1\n? [1, 2]\n: x\n",
        "[" * 5000,
        "x: " + "a" * 300_000,
        "version: 1\nagents:\n  a: {cron: 5}\n",
        "version: 1\nagents:\n  a: {cadence: [weekly]}\n",
        "version: 1\ntimezone: ../../etc/passwd\nagents: {}\n",
        "version: 1\ntimezone: 5\nagents: {}\n",
    ],
)
def test_what_is_no_schedule_is_refused_with_a_place(kz, plane, text):
    write(plane, text)
    reply = kz("P11", action="validate")
    assert reply.code == 1 and reply["faults"] and all(fault["line"] >= 1 and fault["reason"] for fault in reply["faults"])


def test_a_missing_schedule_says_how_to_make_one(kz, plane):
    for action in ("validate", "list", "prepare", "print"):
        assert kz.denied("DENIED_SCHEDULE_MISSING", "P11", action=action)["required_action"].endswith("P11 --action init")
    kz.denied("DENIED_ACTION_REQUIRED", "P11")
    write(plane, "version: 1\nagents: {}\n")
    kz.denied("DENIED_AGENT_UNKNOWN", "P11", action="list", agent="nobody")
    (plane / PLACE).write_bytes(b"\xff\xfe")
    kz.denied("DENIED_FILE_NOT_UTF8", "P11", action="list")


# --- next runs ------------------------------------------------------------------------------------


def test_next_runs_are_told_in_the_schedules_timezone(kz, plane):
    one(plane, "0 8 * * 1", "Europe/Berlin")
    (row,) = kz.ok("P11", action="list", at="2026-03-24T00:00:00Z", runs=2)["records"]
    assert row["next"] == ["2026-03-30T08:00:00+02:00", "2026-04-06T08:00:00+02:00"]
    assert row["last"] == "2026-03-23T08:00:00+01:00"


@pytest.mark.parametrize(
    ("after", "cron", "expected"),
    [
        # Clocks go from 02:00 to 03:00: what lies in between is due right after it, once.
        ("2026-03-28T12:00:00+01:00", "30 2 * * *", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        # They go from 03:00 back to 02:00: once, too.
        ("2026-10-24T12:00:00+02:00", "30 2 * * *", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        # What is due each hour is due in the hour that comes twice as well.
        ("2026-10-25T01:30:00+02:00", "0 * * * *", ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]),
    ],
)
def test_clocks_that_are_put_forward_and_back(after, cron, expected):
    zone = ZoneInfo("Europe/Berlin")
    found = islice(schedule.runs(cron, datetime.fromisoformat(after), zone), 2)
    assert [run.isoformat() for run in found] == expected


def test_an_agent_that_is_not_enabled_has_no_runs(kz, plane):
    write(plane, "version: 1\nagents:\n  coach: {cadence: daily, enabled: false}\n")
    assert kz.ok("P11", action="list")["records"][0]["next"] == []


def test_a_cadence_alone_says_when(kz, plane):
    write(plane, "version: '1.0'\nagents:\n  a: {cadence: daily}\n  b: {cadence: weekly}\n  c: {cadence: monthly}\n")
    rows = kz.ok("P11", action="list", at="2026-01-02T09:00:00Z", runs=1)["records"]
    assert [row["next"][0][:16] for row in rows] == ["2026-01-03T08:00", "2026-01-05T08:00", "2026-02-01T08:00"]


# --- prepare --------------------------------------------------------------------------------------


def test_who_is_due_gets_a_bundle_that_its_manifest_describes(kz, plane):
    record(kz, "coach")
    kz.ok("P8", agent="coach")
    write(plane, "version: 1\nagents:\n  coach: {cadence: weekly}\n  builder: {cadence: monthly}\n")
    reply = kz.ok("P11", action="prepare", at=MONDAY)
    assert reply["agents"] == ["coach"]
    folder = plane / reply["path"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["agents"][0]["due"] == ["2026-01-05T08:00:00Z"] and manifest["day"] == "2026-01-05"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {entry["path"] for entry in manifest["files"]} | {"manifest.json"}
    for entry in manifest["files"]:
        data = (folder / entry["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert "1 execution" in (folder / "01-coach" / "brief.md").read_text(encoding="utf-8")
    assert json.loads((folder / "01-coach" / "summary.json").read_text(encoding="utf-8"))["execution_count"] == 1
    assert "kaizen-agentic metrics record coach" in (folder / "01-coach" / "commands.txt").read_text(encoding="utf-8")


def test_a_secret_in_a_memory_is_masked_in_the_bundle(kz, plane):
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    memory = plane / ".kaizen/agents/coach/memory.md"
    memory.parent.mkdir(parents=True)
    memory.write_text(f"The key is {secret}.", encoding="utf-8")
    one(plane, "0 8 * * 1")
    reply = kz.ok("P11", action="prepare", at=MONDAY)
    texts = [path.read_text(encoding="utf-8") for path in (plane / reply["path"]).rglob("*") if path.is_file()]
    assert any("The key is [REDACTED:aws_access_key]." in text for text in texts) and not any(secret in text for text in texts)
    assert any("masked in the bundle" in warning for warning in reply["warnings"])


def test_the_same_records_and_day_give_the_same_bundle(kz, plane):
    record(kz, "coach")
    write(plane, "version: 1\nagents:\n  coach: {cadence: daily}\n")
    first = kz.ok("P11", action="prepare", at=MONDAY)
    assert "already" not in first
    again = kz.ok("P11", action="prepare", at="2026-01-05T23:00:00Z")
    assert again["already"] and again["path"] == first["path"]
    record(kz, "coach", session_id="another")
    assert kz.ok("P11", action="prepare", at=MONDAY)["path"] != first["path"]
    assert not list((plane / ".kaizen/bundles").glob(".*"))


def test_a_day_is_one_of_the_schedules_timezone(kz, plane):
    one(plane, "30 23 * * 0", "America/New_York")
    assert kz.ok("P11", action="prepare", at="2026-01-05T03:00:00Z")["agents"] == ["coach"]
    assert kz.ok("P11", action="prepare", at="2026-01-05T06:00:00Z")["agents"] == []


def test_an_agent_that_is_named_is_prepared_whether_it_is_due_or_not(kz, plane):
    write(plane, "version: 1\nagents:\n  coach: {cadence: monthly, enabled: false}\n")
    reply = kz.ok("P11", action="prepare", at=MONDAY, agent="coach")
    assert "Nothing is recorded" in (plane / reply["path"] / "01-coach" / "brief.md").read_text(encoding="utf-8")


def test_no_bundle_leaves_the_project_by_a_link(kz, plane, tmp_path):
    write(plane, "version: 1\nagents:\n  coach: {cadence: daily}\n")
    (tmp_path / "elsewhere").mkdir()
    (plane / ".kaizen" / "bundles").symlink_to(tmp_path / "elsewhere")
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "P11", action="prepare", at=MONDAY)
    assert not list((tmp_path / "elsewhere").iterdir())


# --- print ----------------------------------------------------------------------------------------

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
EXPRESSIONS = ["0 8 * * 1", "*/15 9-17 * * MON-FRI", "5 4 1,15 * *", "0 0 13 * 5", "30 6 * 1-3 *", "0 8 * * 0,7", "17 * 31 * *"]


@analyze
def test_units_are_ones_that_systemd_takes(kz, plane, tmp_path):
    text = "version: 1\ntimezone: Europe/Berlin\nagents:\n"
    text += "".join(f'  "agent {n}":\n    cron: "{cron}"\n' for n, cron in enumerate(EXPRESSIONS))
    write(plane, text)
    files = kz.ok("P11", action="print", out="units")["files"]
    assert len(files) == 2 * len(EXPRESSIONS)
    here = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(["systemd-analyze", "--user", "verify", *files], cwd=plane, env=here, capture_output=True, text=True)
    assert done.returncode == 0 and not [line for line in done.stderr.splitlines() if "kaizen" in line], done.stderr


@analyze
@pytest.mark.parametrize("cron", EXPRESSIONS)
def test_systemd_means_the_same_times(cron):
    zone = ZoneInfo("Europe/Berlin")
    entry = schedule.Entry("coach", None, cron, True)
    found: set[datetime] = set()
    for expression in units.calendar(entry, "Europe/Berlin"):
        words = ["systemd-analyze", "calendar", "--iterations=8", "--base-time=2026-05-01 00:00:00 UTC", expression]
        done = subprocess.run(words, capture_output=True, text=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin", "LC_ALL": "C"})
        assert done.returncode == 0, done.stderr
        times = re.findall(r"(?:Next elapse|Iter(?:ation|\.) #\d+): \w+ (\S+ \S+) UTC", done.stdout)
        found |= {datetime.fromisoformat(at).replace(tzinfo=UTC) for at in times}
    expected = list(islice(schedule.runs(cron, datetime(2026, 4, 30, 23, 59, tzinfo=UTC), zone), 6))
    assert sorted(found)[:6] == [run.astimezone(UTC) for run in expected]


def test_words_of_a_command_stay_words_for_systemd(kz, plane):
    one(plane, "0 8 * * 1", agent="a-b")
    by_name = {unit["name"]: unit["text"] for unit in kz.ok("P11", action="print")["units"]}
    assert "--agent a-b" in by_name["kaizen-a-b.service"] and "OnCalendar=Mon *-*-* 08:00:00 UTC" in by_name["kaizen-a-b.timer"]
    assert units._word('50% of "$HOME"') == '"50%% of \\"$$HOME\\""'


def test_a_crontab_says_which_timezone_it_means(kz, plane):
    one(plane, "0 8 * * 1", "Europe/Berlin", agent='"two words"')
    text = kz.ok("P11", action="print", scheduler="crontab")["units"][0]["text"]
    head, zone, line = text.splitlines()
    assert "Europe/Berlin" in head and zone == "CRON_TZ=Europe/Berlin"
    assert line.startswith("0 8 * * 1 cd ") and "--agent 'two words'" in line and "%" not in line.replace("\\%", "")


def test_a_crontab_line_runs(kz, plane):
    one(plane, "0 8 * * 1")
    for _ in range(2):
        record(kz, "coach", session_id=str(_))
    line = kz.ok("P11", action="print", scheduler="crontab")["units"][0]["text"].splitlines()[-1]
    command = " && ".join(part for part in line.split(" ", 5)[5].split(" && ") if " P5 " not in part)
    done = subprocess.run(["sh", "-c", command.replace("\\%", "%")], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert list((plane / ".kaizen" / "bundles").iterdir())


def test_a_workflow_is_yaml_that_github_takes(kz, plane):
    write(
        plane,
        "version: 1\ntimezone: Europe/Berlin\nagents:\n  coach: {cadence: weekly}\n  other: {cadence: daily, enabled: false}\n",
    )
    text = kz.ok("P11", action="print", scheduler="github", at="2026-01-05")["units"][0]["text"]
    workflow = yaml.load(text, Loader=yaml.BaseLoader)
    assert workflow["on"]["schedule"] == [{"cron": "0 7 * * 1"}] and "workflow_dispatch" in workflow["on"]
    (job,) = workflow["jobs"].values()
    assert job["runs-on"] == "ubuntu-latest" and "github.event.schedule == '0 7 * * 1'" in job["if"]
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == "kaizen P11 --action prepare --agent coach"
    assert "+01:00 on 2026-01-05" in text
    assert "0 6 * * 1" in kz.ok("P11", action="print", scheduler="github", at="2026-07-05")["units"][0]["text"]


@pytest.mark.parametrize(
    ("cron", "zone"),
    [(c, z) for c in [*EXPRESSIONS[:2], "15 0 * * 1", "*/20 * * * *"] for z in ("Asia/Kolkata", "America/Los_Angeles")],
)
def test_times_in_utc_are_the_same_times(cron, zone):
    at = datetime(2026, 1, 5, tzinfo=UTC)
    offset = int(at.astimezone(ZoneInfo(zone)).utcoffset().total_seconds() // 60)
    crons = units.utc_crons(schedule.Entry("coach", None, cron, True), offset)
    found = sorted(run for text in crons for run in islice(CronSim(text, at), 8))[:8]
    assert found == [run.astimezone(UTC) for run in islice(schedule.runs(cron, at, ZoneInfo(zone)), 8)]


def test_what_a_target_cannot_say_is_refused(kz, plane):
    one(plane, "0 8 L * *")
    assert kz.ok("P11", action="list")["count"] == 1
    for target in units.TARGETS:
        assert kz.denied("DENIED_SCHEDULE_UNPRINTABLE", "P11", action="print", scheduler=target)["agent"] == "coach"
    one(plane, "0 0 1 * *", "Europe/Berlin")
    kz.denied("DENIED_SCHEDULE_UNPRINTABLE", "P11", action="print", scheduler="github", at=MONDAY)


def test_units_are_never_written_over_others(kz, plane):
    one(plane, "0 8 * * 1")
    kz.ok("P11", action="print", out="units")
    kz.ok("P11", action="print", out="units")
    (plane / "units" / "kaizen-coach.timer").write_text("mine", encoding="utf-8")
    kz.denied("DENIED_FILE_UNWRITABLE", "P11", action="print", out="units")
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "P11", action="print", out="../units")


@pytest.mark.parametrize("package", ["yaml", "cronsim"])
def test_a_missing_package_is_named(kz, plane, without, package):
    one(plane, "0 8 * * 1")
    without(package)
    reply = kz.denied("DENIED_BACKEND_UNAVAILABLE", "P11", action="list")
    assert reply["required_action"] == "Run: python -m pip install -r requirements-kaizen.txt"
