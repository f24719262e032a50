"""Checkpoints: where a run goes on, or another goes apart."""

from __future__ import annotations

import json

import pytest
from agents import act, store_of

from kaizen_components.agent import events
from kaizen_components.call import Result

SECRET = "AKIA" + "ABCDEFGHIJKLMNOP"


def start(kz, **flags):
    return kz.ok("T5", **{"summary": "Repair the login.", **flags})["id"]


def spend(run_id, **totals):
    store = store_of()
    store.perform(store.call, lambda: Result(id=store.revise("agent_run", run_id, totals)["id"]))


def todo(run_id, *contents):
    listed = [{"content": one, "status": "pending", "activeForm": one} for one in contents]
    act("todo_write", {"todos": listed}, run_id=run_id)


def test_a_checkpoint_holds_state_totals_events_and_todos(kz):
    run_id = start(kz)
    events.tell(store_of(), run_id, "message", content="x")
    todo(run_id, "Write tests")
    spend(run_id, calls=3)
    reply = kz.ok("T17", run_id=run_id, name="Tests written", state='{"file": 3}')
    assert (reply["number"], reply["event_number"]) == (1, 1)
    record = kz.ok("K18", id=reply["id"])["record"]
    assert json.loads(record["totals_json"])["calls"] == 3
    assert json.loads(record["todos_json"])[0]["content"] == "Write tests"
    assert kz.ok("T17", run_id=run_id)["number"] == 2
    shown = kz.ok("T7", id=run_id)
    assert [one["name"] for one in shown["checkpoints"]] == ["Tests written", None]


def test_an_interrupted_run_goes_on_from_its_last_checkpoint(kz):
    run_id = start(kz, max_calls=10, max_cost_usd=2, mode="accept-edits")
    todo(run_id, "Write tests")
    spend(run_id, calls=3, cost_usd=0.5)
    checkpoint = kz.ok("T17", run_id=run_id, state='{"file": 3}')["id"]
    spend(run_id, calls=4)
    todo(run_id, "Something else")
    assert kz.ok("T16", id=run_id)["checkpoint_id"] == checkpoint
    assert kz.ok("T8", id=run_id, status="interrupted")["checkpoint_id"] == checkpoint
    reply = kz.ok("T18", id=checkpoint)
    assert reply["state"] == {"file": 3} and reply["resumed_how"] == "resume"
    assert reply["limits"] == {"max_calls": 6, "max_cost_usd": 1.5}
    shown = kz.ok("T7", id=reply["id"])
    assert shown["run"]["resumed_from"] == checkpoint and shown["run"]["mode"] == "accept-edits"
    assert [one["content"] for one in shown["todos"]] == ["Write tests"]


def test_a_run_goes_on_once_and_only_when_it_has_ended(kz):
    run_id = start(kz)
    checkpoint = kz.ok("T17", run_id=run_id)["id"]
    assert "not ended" in kz.denied("DENIED_RESUME_REFUSED", "T18", id=checkpoint)["reason"]
    kz.ok("T8", id=run_id, status="failed")
    going_on = kz.ok("T18", id=checkpoint)["id"]
    assert going_on in kz.denied("DENIED_RESUME_REFUSED", "T18", id=checkpoint)["reason"]


def test_a_completed_run_does_not_go_on(kz):
    run_id = start(kz)
    checkpoint = kz.ok("T17", run_id=run_id)["id"]
    kz.ok("T8", id=run_id, status="completed", proof_id=kz.ok("Q11", _command=["true"])["id"])
    assert "completed" in kz.denied("DENIED_RESUME_REFUSED", "T18", id=checkpoint)["reason"]


def test_a_fork_goes_apart_at_any_time_with_what_was_left_then(kz):
    run_id = start(kz, max_calls=10)
    spend(run_id, calls=3)
    checkpoint = kz.ok("T17", run_id=run_id)["id"]
    spend(run_id, calls=9)
    forks = [kz.ok("T18", id=checkpoint, fork=True) for _ in range(2)]
    assert {fork["limits"]["max_calls"] for fork in forks} == {7} and len({fork["id"] for fork in forks}) == 2
    kz.ok("T8", id=run_id, status="failed")
    assert kz.ok("T18", id=checkpoint)["limits"] == {"max_calls": 1}


def test_a_run_that_used_everything_up_needs_more_to_go_on(kz):
    run_id = start(kz, max_calls=2, max_cost_usd=1)
    checkpoint = kz.ok("T17", run_id=run_id)["id"]
    spend(run_id, calls=2)
    kz.ok("T8", id=run_id, status="budget_exceeded")
    said = kz.denied("DENIED_RUN_LIMIT", "T18", id=checkpoint)["required_action"]
    assert said == f"Give it more: python kaizen.py T18 --id {checkpoint} --max-calls 2"
    assert (
        f"T18 --id {checkpoint} --max-calls 2;"
        in kz.denied("DENIED_RUN_ENDED", "T8", id=run_id, status="failed")["required_action"]
    )
    assert kz.ok("T18", id=checkpoint, max_calls=5)["limits"] == {"max_calls": 5, "max_cost_usd": 1}


def test_what_is_recommended_of_a_completed_run_works_as_it_stands(kz):
    run_id = start(kz, max_calls=2, max_cost_usd=0.5, max_tool_ms=2_000_000)
    spend(run_id, calls=2, cost_usd=0.5, tool_ms=2_000_000)
    checkpoint = kz.ok("T17", run_id=run_id)["id"]
    kz.ok("T8", id=run_id, status="completed", proof_id=kz.ok("Q11", _command=["true"])["id"])
    flags = f"T18 --id {checkpoint} --fork --max-calls 2 --max-tool-ms 2000000 --max-cost-usd 0.5"
    assert flags in kz.denied("DENIED_RUN_ENDED", "T8", id=run_id, status="failed")["required_action"]
    assert kz.denied("DENIED_RUN_LIMIT", "T18", id=checkpoint, fork=True)["required_action"].endswith(flags)
    partly = kz.denied("DENIED_RUN_LIMIT", "T18", id=checkpoint, fork=True, max_calls=7, max_tool_ms=5)["required_action"]
    assert partly.endswith("--fork --max-calls 7 --max-tool-ms 5 --max-cost-usd 0.5")
    limits = {"max_calls": 2, "max_tool_ms": 2_000_000, "max_cost_usd": 0.5}
    assert kz.ok("T18", _args=flags.split()[1:])["limits"] == limits


def test_a_child_that_goes_on_stays_one_while_its_parent_is_open(kz):
    top = start(kz, max_calls=4)
    child = start(kz, parent_run_id=top)
    checkpoint = kz.ok("T17", run_id=child)["id"]
    spend(child, calls=1)
    kz.ok("T8", id=child, status="failed")
    again = kz.ok("T18", id=checkpoint)
    assert again["parent_run_id"] == top and again["limits"] == {"max_calls": 3}
    kz.ok("T8", id=again["id"], status="failed")
    kz.ok("T8", id=top, status="failed")
    assert kz.ok("T18", id=checkpoint, fork=True)["parent_run_id"] is None


def test_secrets_in_a_state_are_masked_and_its_long_texts_are_whole(kz):
    run_id = start(kz)
    state = {"note": f"see {SECRET}", "long": "x" * 100_000}
    reply = kz.ok("T17", run_id=run_id, _args=["--state-file", "-"], _stdin=json.dumps(state))
    kept = kz.ok("T18", id=reply["id"], fork=True)["state"]
    assert SECRET not in json.dumps(kept) and kept["long"] == state["long"]


@pytest.mark.parametrize("state", ["{", "[1,", "NaN"])
def test_a_state_that_is_no_json_is_refused(kz, state):
    kz.denied("DENIED_JSON_INVALID", "T17", run_id=start(kz), state=state)


def test_a_run_that_has_ended_takes_no_checkpoint(kz):
    run_id = start(kz)
    kz.ok("T8", id=run_id, status="failed")
    kz.denied("DENIED_RUN_ENDED", "T17", run_id=run_id)
