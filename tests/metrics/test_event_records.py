"""Events in the outbox: what one holds, and that it stands or falls with what it tells of."""

from __future__ import annotations

import json
import uuid

import pytest
from outbox import ids, store, tell

from kaizen_components.call import Call, Result
from kaizen_components.metrics import events


def test_an_event_holds_what_receivers_know(plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    event = tell(plane)[0]["event"]
    assert uuid.UUID(event["id"]).version == 4
    assert event["timestamp"].startswith("2026-01-01T00:00:0") and event["timestamp"].endswith("Z")
    assert {name: event[name] for name in ("type", "version", "publisher")} == {
        "type": "kaizen.metrics.recorded",
        "version": "1.0",
        "publisher": "kaizen-agentic",
    }
    assert event["attributes"] == {"agent": "coach", "project": "project", "summary": {"execution_count": 1}}


def test_a_secret_in_the_projects_name_is_masked_and_odd_letters_stay(kz, plane, monkeypatch):
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    monkeypatch.setenv("KAIZEN_PROJECT_SLUG", f"pilot {secret}")
    warned = kz.ok("P1", agent="coach", success=True)["warnings"]
    assert "KAIZEN_PROJECT_SLUG holds" in warned[0] and secret not in warned[0]
    event = json.loads(kz.ok("P17")["records"][0]["event_json"])
    assert event["attributes"]["project"] == "pilot [REDACTED:aws_access_key]"
    kz.ok("P5")
    reply = kz.ok("P6", dry_run=True)
    assert reply["manifest"]["project"] == "pilot [REDACTED:aws_access_key]" and reply["warnings"]
    monkeypatch.setenv("KAIZEN_PROJECT_SLUG", 'über/"x"')
    kz.ok("P8", agent="coach")
    assert json.loads(kz.ok("P17")["records"][0]["event_json"])["attributes"]["project"] == 'über/"x"'


def test_an_event_is_shown_to_a_person_with_what_it_says_below_it(kz, plane):
    kz.ok("P1", agent="coach", success=True)
    shown = kz.ok("P17", _text=True).stdout
    assert "kaizen.metrics.recorded" in shown and "\n    summary:\n" in shown and "\n      execution_count: 1\n" in shown
    assert "P19 --action add" in shown
    kz.ok("P19", action="add", name="log", transport="file", target="x.jsonl")
    assert "Receiver log (file x.jsonl): active" in kz.ok("P17", _text=True).stdout


def test_the_project_is_named_by_the_environment(plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_PROJECT_SLUG", "pilot")
    assert tell(plane)[0]["event"]["attributes"]["project"] == "pilot"


def test_ids_repeat_under_a_seed(plane, tmp_path, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "x")
    other = tmp_path / "project-2" / "project"
    other.mkdir(parents=True)
    assert [row["event_json"] for row in tell(plane, count=3)] == [row["event_json"] for row in tell(other, count=3)]


def test_the_subject_of_a_type(plane):
    assert events.subject(events.RECORDED) == "activity.kaizen.metrics.recorded"
    assert events.subject("a b>*") == "activity.a_b__"


def test_an_event_is_gone_with_the_transaction_that_failed(kz, plane):
    kz.ok("K1")
    opened = store(plane)

    def work() -> Result:
        events.put(opened, events.RECORDED, "coach", {}, None)
        raise RuntimeError("the record failed")

    with pytest.raises(RuntimeError):
        opened.perform(Call(op="P1", writes=True), work)
    assert kz.ok("P17")["records"] == []


def test_numbers_rise_and_one_that_was_purged_is_not_used_again(kz, plane):
    first = tell(plane, count=2, test=True)
    kz.ok("K7")
    second = tell(plane, count=2)
    numbers = [row["number"] for row in first + second]
    assert numbers == sorted(set(numbers))


def test_the_outbox_is_listed_newest_first(kz, plane):
    told = tell(plane, count=3) + tell(plane, type=events.INSTALLED, agent="builder")
    listed = kz.ok("P17")["records"]
    assert [json.loads(row["event_json"])["id"] for row in listed] == ids(told)[::-1]
    assert [row["agent"] for row in kz.ok("P17", type=events.INSTALLED)["records"]] == ["builder"]
    assert kz.ok("P17", agent="coach", limit=1)["count"] == 1
