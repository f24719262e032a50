"""Activity definitions: those that ship, what is wrong with others, and which would fire at a time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from kaizen_components.metrics import activities

SHIPPED = ROOT / "docs" / "integrations" / "activity-definitions"
OWN = ".kaizen/activity-definitions"
GOOD = {
    "id": "mine",
    "title": "Mine",
    "version": "1.0",
    "enabled": True,
    "triggers": [{"type": "cron", "cron": "0 8 * * 1"}],
    "actions": [{"command": "kaizen-agentic metrics optimize"}],
}


def define(plane: Path, name: str = "mine", **changes) -> None:
    text = yaml.safe_dump({**GOOD, "id": name, **changes}, sort_keys=False)
    (plane / OWN).mkdir(parents=True, exist_ok=True)
    (plane / OWN / f"{name}.md").write_text(f"---\n{text}---\n\n# Mine\n", encoding="utf-8")


def enable(plane: Path) -> None:
    """Copy the definitions that ship, and enable them: steps one and five of the hand-over."""
    shutil.copytree(SHIPPED, plane / OWN)
    for path in (plane / OWN).glob("*.md"):
        path.write_text(path.read_text(encoding="utf-8").replace("enabled: false", "enabled: true"), encoding="utf-8")


def record(kz, agent: str, *outcomes: bool) -> None:
    lines = [
        {"op": "P1", "agent": agent, "success" if good else "failure": True, "session_id": str(n)}
        for n, good in enumerate(outcomes)
    ]
    assert kz("K8", _stdin="".join(json.dumps(line) + "\n" for line in lines)).code == 0


def told(kz, name: str, **more):
    return next(row for row in kz.ok("P20", **more)["records"] if row["id"] == name)


# --- what ships -----------------------------------------------------------------------------------


def test_three_definitions_ship_and_none_is_enabled(kz):
    reply = kz.ok("P20", action="validate")
    assert [(row["id"], row["enabled"]) for row in reply["records"]] == [
        ("low-success-rate-review", False),
        ("post-install-metrics-scaffold", False),
        ("weekly-metrics-optimize", False),
    ]
    assert reply["faults"] == []


def test_the_schema_in_the_documents_is_the_one_that_judges():
    path = SHIPPED.parent / "activity-definition.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == activities.SCHEMA


# --- which would fire -----------------------------------------------------------------------------


def test_a_cron_trigger_fires_in_its_minute(kz, plane):
    enable(plane)
    row = told(kz, "weekly-metrics-optimize", at="2026-01-05T08:00:30Z")
    assert row["would_fire"] and row["firings"][0]["commands"] == [
        "kaizen-agentic metrics list",
        "kaizen-agentic metrics optimize",
    ]
    row = told(kz, "weekly-metrics-optimize", at="2026-01-05T08:01:00Z")
    assert not row["would_fire"]
    assert row["why"] == ["0 8 * * 1 (UTC) is not due: last at 2026-01-05T08:00:00+00:00, next at 2026-01-12T08:00:00+00:00"]
    row = told(kz, "weekly-metrics-optimize", since="2026-01-01", at="2026-01-20")
    assert [firing["at"][:10] for firing in row["firings"]] == ["2026-01-05", "2026-01-12", "2026-01-19"]


def test_an_agent_that_fails_too_often_is_looked_at(kz, plane):
    enable(plane)
    record(kz, "good", True, True, True, True, True)
    record(kz, "new", False, False, False, False)
    record(kz, "bad one", True, False, True, False, True)
    row = told(kz, "low-success-rate-review")
    assert row["would_fire"] and [firing["agent"] for firing in row["firings"]] == ["bad one"]
    assert row["firings"][0]["commands"][0] == "kaizen-agentic metrics show 'bad one'"
    why = {reason.partition(" at ")[0]: reason.partition("Z: ")[2] for reason in row["why"]}
    assert why == {
        "good": "summary.success_rate 1 is not < 0.8",
        "new": "summary.execution_count 4 is not >= 5",
        "bad one": "summary.success_rate 0.6 is < 0.8 and summary.execution_count 5 is >= 5",
    }


def test_the_numbers_are_those_of_the_time(kz, plane, monkeypatch):
    enable(plane)
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00Z")
    record(kz, "coach", False, False, False, False, False)
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-02-01T00:00:00Z")
    record(kz, "coach", *[True] * 30)
    assert told(kz, "low-success-rate-review", at="2026-01-02")["would_fire"]
    assert not told(kz, "low-success-rate-review", at="2026-02-02")["would_fire"]
    assert not told(kz, "low-success-rate-review", at="2025-12-31")["would_fire"]
    fired = told(kz, "low-success-rate-review", since="2026-01-01", at="2026-02-02")["firings"]
    assert len(fired) == len({firing["event_id"] for firing in fired}) == 20


def test_a_new_agent_is_seen_to(kz, plane):
    enable(plane)
    kz.ok("P8", agent="builder")
    row = told(kz, "post-install-metrics-scaffold")
    assert row["would_fire"] and row["firings"][0]["commands"][0] == "kaizen-agentic memory init builder"


def test_what_is_not_enabled_is_said_to_match_and_does_not_fire(kz):
    record(kz, "coach", False, False, False, False, False)
    reply = kz.ok("P20")
    assert reply["would_fire"] == [] and reply["would_if_enabled"] == ["low-success-rate-review"]
    assert told(kz, "low-success-rate-review")["why"][-1] == "it is not enabled, so nothing is run"


def test_of_test_data_no_definition_fires(kz, plane):
    enable(plane)
    for number in range(5):
        kz.ok("P1", agent="coach", failure=True, session_id=str(number), test=True)
    assert kz.ok("P20")["would_fire"] == []


def test_what_an_event_holds_stays_one_word_of_the_command(kz, plane):
    define(
        plane,
        triggers=[{"type": "event", "event": "kaizen.metrics.recorded"}],
        actions=[{"command": "review {{agent}} {{ project }}"}],
    )
    record(kz, "a b", True)
    assert told(kz, "mine")["firings"][0]["commands"] == ["review 'a b' project"]
    from kaizen_components.metrics.activities import _filled

    assert _filled("show {{ agent }}", {"agent": "x; rm -rf /"}) == "show 'x; rm -rf /'"


@pytest.mark.parametrize(
    ("operator", "value", "fires"),
    [("<", 0.5, False), ("<=", 1, True), (">", 0.5, True), (">=", 1, True), ("==", 1, True), ("!=", 1, False), ("<", "x", False)],
)
def test_every_operator_compares(kz, plane, operator, value, fires):
    condition = {"field": "summary.success_rate", "operator": operator, "value": value}
    define(plane, triggers=[{"type": "event", "event": "kaizen.metrics.recorded", "conditions": [condition]}])
    record(kz, "coach", True)
    assert told(kz, "mine")["would_fire"] is fires


def test_a_number_that_the_event_does_not_have_holds_no_condition(kz, plane):
    condition = {"field": "summary.avg_quality", "operator": "<", "value": 0.5}
    define(plane, triggers=[{"type": "event", "event": "kaizen.metrics.recorded", "conditions": [condition]}])
    record(kz, "coach", True)
    row = told(kz, "mine")
    assert not row["would_fire"] and row["why"][0].endswith("summary.avg_quality has no value")


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "place", "reason"),
    [
        ({"id": "other"}, "id", "the file is called mine.md"),
        ({"id": "Not So"}, "id", "does not look as it should"),
        ({"enabled": "yes"}, "enabled", "it has to be true or false, not 'yes'"),
        ({"version": 1.0}, "version", "it has to be a text, not '1.0'"),
        ({"triggers": []}, "triggers", "it is empty"),
        ({"triggers": [{"type": "webhook"}]}, "triggers[0].type", "'webhook' is none of cron, event"),
        ({"triggers": [{"type": "cron"}]}, "triggers[0].cron", "it is missing"),
        ({"triggers": [{"type": "cron", "cron": "0 25 * * *"}]}, "triggers[0].cron", "bad hour"),
        (
            {"triggers": [{"type": "cron", "cron": "0 8 * * 1", "timezone": "Mars"}]},
            "triggers[0].timezone",
            "there is no timezone",
        ),
        ({"triggers": [{"type": "cron", "cron": "0 8 * * 1", "crom": 1}]}, "triggers[0].crom", "did you mean cron?"),
        ({"triggers": [{"type": "event", "event": "kaizen.x"}]}, "triggers[0].event", "is none of kaizen.metrics.recorded"),
        (
            {
                "triggers": [
                    {
                        "type": "event",
                        "event": "kaizen.agent.installed",
                        "conditions": [{"field": "summary.success_rate", "operator": "<", "value": 1}],
                    }
                ]
            },
            "triggers[0].conditions[0].field",
            "kaizen.agent.installed has no 'summary.success_rate'; it has agent, project, memory",
        ),
        (
            {
                "triggers": [
                    {
                        "type": "event",
                        "event": "kaizen.metrics.recorded",
                        "conditions": [{"field": "agent", "operator": "=~", "value": 1}],
                    }
                ]
            },
            "triggers[0].conditions[0].operator",
            "'=~' is none of",
        ),
        (
            {"actions": [{"command": "show {{ agent }}"}]},
            "actions[0].command",
            "{{ agent }} is filled by no trigger; there are project",
        ),
        ({"actions": [{"command": "show 'x"}]}, "actions[0].command", "it is no command line"),
        ({"actions": [{"run": "x"}]}, "actions[0].command", "it is missing"),
        ({"notify": "me"}, "notify", "there is no such key here"),
    ],
)
def test_every_fault_is_named_with_its_place(kz, plane, changes, place, reason):
    define(plane, **changes)
    reply = kz("P20", action="validate")
    assert reply.code == 1
    found = {fault["place"]: fault for fault in reply["faults"]}
    assert place in found, reply["faults"]
    assert reason in found[place]["reason"] and found[place]["file"] == "mine.md" and found[place]["line"] > 1
    assert kz.denied("DENIED_FILE_INVALID", "P20")["faults"] == reply["faults"]


def test_a_line_is_the_one_in_the_file(kz, plane):
    define(plane)
    path = plane / OWN / "mine.md"
    path.write_text(path.read_text(encoding="utf-8").replace("enabled: true", "enabled: perhaps"), encoding="utf-8")
    (fault,) = kz("P20", action="validate")["faults"]
    assert path.read_text(encoding="utf-8").splitlines()[fault["line"] - 1] == "enabled: perhaps"


@pytest.mark.parametrize(
    "data", [b"", b"# no front matter\n", b"---\nid: x\n", b"---\n- a\n---\n", b"---\na: [\n---\n", b"\xff", b"---\n---\n"]
)
def test_a_file_that_is_no_definition_is_named(kz, plane, data):
    define(plane)
    (plane / OWN / "zz.md").write_bytes(data)
    reply = kz("P20", action="validate")
    assert reply.code == 1 and {fault["file"] for fault in reply["faults"]} == {"zz.md"} and reply["count"] == 1


def test_one_definition_can_be_asked_for(kz, plane):
    define(plane)
    define(plane, "other", enabled=5)
    assert kz.ok("P20", name="mine", at="2026-01-05T08:00")["would_fire"] == ["mine"]
    kz.denied("DENIED_FILE_INVALID", "P20", name="other")
    kz.denied("DENIED_ACTIVITIES_MISSING", "P20", name="nobody")
    kz.denied("DENIED_ACTIVITIES_MISSING", "P20", path=".kaizen")
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "P20", path="..")


def test_windows_line_ends_are_taken(kz, plane):
    define(plane)
    path = plane / OWN / "mine.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert kz.ok("P20", action="validate")["count"] == 1
