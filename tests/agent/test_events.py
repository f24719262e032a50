"""Events: ten types, stored as they happen, followed live."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time

import pytest
from agents import store_of
from conftest import ROOT

from kaizen_components import denial
from kaizen_components.agent import events, records

SECRET = "AKIA" + "ABCDEFGHIJKLMNOP"
GOOD = {
    "started": {"execution_id": "x1"},
    "thinking": {"content": "Where is it?"},
    "message": {"content": "Found it."},
    "tool_use": {"tool_name": "grep", "input": {"pattern": "x"}},
    "tool_result": {"tool_name": "grep", "result": ["a", 1, None]},
    "subagent_spawn": {"subagent_type": "reviewer"},
    "cost_update": {"cost_usd": 0.25},
    "progress": {"step": 1, "total": 3},
    "completed": {"cycles": 2, "total_cost_usd": 0.5},
    "error": {"error": "It broke."},
}


def start(kz, **flags):
    return kz.ok("T5", **{"summary": "Repair the login.", **flags})["id"]


def add(kz, run_id, kind, data, **flags):
    return kz("T6", run_id=run_id, type=kind, payload_json=json.dumps(data), **flags)


def test_there_are_exactly_ten_types():
    assert set(GOOD) == set(records.EVENT_TYPES) == set(events.FIELDS) and len(GOOD) == 10


def test_events_are_numbered_in_their_run(kz):
    one, other = start(kz), start(kz)
    for number, (kind, data) in enumerate(GOOD.items(), 1):
        reply = add(kz, one, kind, data)
        assert reply.code == 0 and reply["number"] == number, reply.stderr
    assert add(kz, other, "started", GOOD["started"])["number"] == 1
    shown = kz.ok("T7", id=one)
    assert [event["type"] for event in shown["events"]] == list(GOOD)
    for event in shown["events"]:
        assert {name: event[name] for name in GOOD[event["type"]]} == GOOD[event["type"]]


@pytest.mark.parametrize("kind", list(GOOD))
def test_a_missing_an_unknown_and_an_ill_typed_field_are_refused_by_name(kz, kind):
    run_id = start(kz)
    for name in GOOD[kind]:
        rest = {other: value for other, value in GOOD[kind].items() if other != name}
        assert add(kz, run_id, kind, rest)["field"] == name
        if name != "result":
            refused = add(kz, run_id, kind, {**GOOD[kind], name: [1]})
            assert refused["code"] == "DENIED_SCHEMA_FIELD_TYPE" and refused["field"] == name
    refused = add(kz, run_id, kind, {**GOOD[kind], "colour": "red"})
    assert refused["code"] == "DENIED_SCHEMA_UNKNOWN_FIELDS" and refused["fields"] == ["colour"]
    assert add(kz, run_id, kind, {**GOOD[kind], "metadata": {"colour": "red"}}).code == 0
    assert kz.ok("T7", id=run_id)["event_count"] == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("cost_update", {"cost_usd": -1}),
        ("cost_update", {"cost_usd": True}),
        ("progress", {"step": 4, "total": 3}),
        ("progress", {"step": 1.5, "total": 3}),
        ("completed", {"cycles": -1, "total_cost_usd": 0}),
        ("message", {"content": "x", "metadata": "y"}),
    ],
)
def test_numbers_and_metadata_have_their_bounds(kz, kind, data):
    assert add(kz, start(kz), kind, data).code == 2


def test_an_eleventh_type_is_refused(kz):
    assert add(kz, start(kz), "finished", {})["code"] == "DENIED_SCHEMA_ENUM"


def test_the_running_total_of_the_cost_never_falls(kz):
    run_id = start(kz, max_cost_usd=5)
    for cost in (0.5, 0.5, 1.25):
        assert add(kz, run_id, "cost_update", {"cost_usd": cost}).code == 0
    assert add(kz, run_id, "cost_update", {"cost_usd": 1.0})["min"] == 1.25
    assert add(kz, run_id, "completed", {"cycles": 1, "total_cost_usd": 1.0})["field"] == "total_cost_usd"
    shown = kz.ok("T7", id=run_id)
    assert shown["run"]["cost_usd"] == 1.25 and shown["left"]["cost_usd"] == 3.75 and shown["event_count"] == 3


def test_a_cycle_beyond_the_limit_is_refused(kz):
    top = start(kz, max_cycles=3)
    child = start(kz, parent_run_id=top, max_cycles=3)
    assert add(kz, child, "progress", {"step": 2, "total": 9}).code == 0
    assert add(kz, top, "progress", {"step": 1, "total": 9}).code == 0
    for run_id, step in ((top, 2), (child, 3)):
        refused = add(kz, run_id, "progress", {"step": step, "total": 9})
        assert refused["code"] == "DENIED_RUN_LIMIT" and refused["ending"] == "max_cycles"


def test_secrets_are_masked_in_what_was_observed(kz, plane):
    run_id = start(kz)
    data = {"tool_name": "x", "input": {"text": f"see {SECRET}", "password": "hunter2hunter", "deep": [{"a": SECRET}]}}
    reply = add(kz, run_id, "tool_use", data)
    assert reply["masked"] == 3
    shown = json.dumps(kz.ok("T7", id=run_id))
    assert SECRET not in shown and "hunter2hunter" not in shown and "REDACTED" in shown
    assert SECRET.encode() not in (plane / "AI" / "db" / "kaizen.db").read_bytes()


def test_a_text_that_is_too_long_is_kept_by_size_and_hash(kz):
    run_id = start(kz)
    text = "x" * 200_000
    reply = kz("T6", run_id=run_id, type="message", _args=["--payload-json-file", "-"], _stdin=json.dumps({"content": text}))
    assert reply.code == 0
    content = kz.ok("T7", id=run_id)["events"][0]["content"]
    assert len(content) < 11_000 and "200000 bytes, sha256" in content


def test_a_run_that_has_ended_takes_no_more_events(kz):
    run_id = start(kz)
    kz.ok("T8", id=run_id, status="failed")
    assert add(kz, run_id, "message", GOOD["message"])["code"] == "DENIED_RUN_ENDED"


def test_who_records_events_hears_that_the_run_is_to_stop(kz):
    run_id = start(kz)
    assert "interrupt" not in add(kz, run_id, "message", GOOD["message"])
    kz.ok("T16", id=run_id, reason="Enough.")
    reply = add(kz, run_id, "message", GOOD["message"])
    assert reply["interrupt"] == "graceful" and reply["interrupt_reason"] == "Enough."


def test_a_window_of_events(kz):
    run_id = start(kz)
    for number in range(1, 6):
        add(kz, run_id, "message", {"content": str(number)})
    numbers = lambda **flags: [event["number"] for event in kz.ok("T7", id=run_id, **flags)["events"]]  # noqa: E731
    assert numbers(limit=2) == [4, 5] and numbers(after=1, limit=2) == [2, 3] and numbers(after=4) == [5]


# --- following ------------------------------------------------------------------------------------


def test_an_event_has_the_fields_of_its_type_as_attributes(kz):
    run_id = start(kz)
    event = events.tell(store_of(), run_id, "cost_update", cost_usd=1)
    assert (event.type, event.cost_usd, event.number) == ("cost_update", 1.0, 1)
    assert event.to_dict()["cost_usd"] == 1.0 and event.to_dict()["run_id"] == run_id
    with pytest.raises(AttributeError, match="no content"):
        _ = event.content


def later(work):
    """Do something in a thread of its own, a moment from now."""

    def act():
        time.sleep(0.15)
        work()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_following_yields_events_as_they_come_until_the_run_ends(kz):
    run_id = start(kz)
    events.tell(store_of(), run_id, "started", execution_id="x")
    seen, store = [], store_of()

    def go_on():
        own = store_of()
        events.tell(own, run_id, "message", content="Live.")
        from kaizen_components.agent import runs
        from kaizen_components.call import Result

        own.perform(own.call, lambda: Result(id=runs.finish(own, run_id, "failed")[0]["id"]))

    async def listen():
        async for event in events.follow(store, run_id):
            seen.append((event.type, threads[0].is_alive() if threads else None))
            if len(seen) == 1:
                threads.append(later(go_on))

    threads = []
    asyncio.run(asyncio.wait_for(listen(), 10))
    threads[0].join()
    assert [kind for kind, _ in seen] == ["started", "message"]


def test_following_from_a_number_and_in_more_than_one_batch(kz, monkeypatch):
    monkeypatch.setattr(events, "BATCH", 2)
    run_id, store = start(kz), store_of()
    for number in range(5):
        events.tell(store, run_id, "message", content=str(number))
    kz.ok("T8", id=run_id, status="failed")
    assert [event.number for event in events.followed(store, run_id, after=1)] == [2, 3, 4, 5]


def test_following_reads_the_plane_only_when_something_was_written(kz, monkeypatch):
    run_id, store = start(kz), store_of()
    follower = events.Follower(store, run_id)
    reads = []
    get = follower._store.get
    monkeypatch.setattr(follower._store, "get", lambda *what: reads.append(what) or get(*what))
    for _ in range(4):
        assert follower.news() == []
    assert len(reads) == 1
    events.tell(store, run_id, "message", content="x")
    assert [event.content for event in follower.news()] == ["x"] and len(reads) == 2


def test_following_an_unknown_run_is_refused(kz):
    kz.ok("W38", summary="A plane.")
    with pytest.raises(denial.RecordNotFound):
        list(events.followed(store_of(), "ar_20260101000000_0000000000"))


@pytest.fixture
def follower(kz, plane):
    """T7 --follow in a process of its own: (run id, the process), while it runs."""
    run_id = start(kz)
    argv = [sys.executable, str(ROOT / "kaizen.py"), "T7", "--id", run_id, "--follow"]
    running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=plane)
    yield run_id, running
    running.kill()
    running.wait()


def test_t7_follow_prints_lines_while_others_write_and_ends_with_the_run(kz, follower):
    run_id, running = follower
    for number in range(3):
        add(kz, run_id, "message", {"content": f"line {number}"})
        assert json.loads(running.stdout.readline())["content"] == f"line {number}"
    assert running.poll() is None
    kz.ok("T8", id=run_id, status="failed")
    assert running.wait(10) == 0 and running.communicate() == ("", "")


def test_t7_follow_ends_quietly_when_interrupted(kz, follower):
    run_id, running = follower
    add(kz, run_id, "message", {"content": "first"})
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    assert running.wait(10) == 130 and running.communicate() == ("", "")
