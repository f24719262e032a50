"""Runs: their limits, their children, how they are stopped and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from agents import store_of

from kaizen_components import denial
from kaizen_components.agent import records, runs
from kaizen_components.call import Call, Result


def start(kz, **flags):
    return kz.ok("T5", **{"summary": "Repair the login.", **flags})["id"]


def spend(run_id, **totals):
    """Let a run have used up so much."""
    store = store_of()
    store.perform(store.call, lambda: Result(id=store.revise("agent_run", run_id, totals)["id"]))


def refuse(run_id):
    store = store_of()
    try:
        runs.refuse_more(store.get("agent_run", run_id), store)
    finally:
        store.close()


def proof(kz, command="true", **flags):
    return kz("Q11", _command=[command], **flags)["id"]


# --- limits ---------------------------------------------------------------------------------------


def test_a_run_within_its_limits_may_go_on(kz):
    run_id = start(kz, max_calls=2, max_cost_usd=1, max_tool_ms=100, max_wall_ms=60_000)
    spend(run_id, calls=1, cost_usd=0.99, tool_ms=99)
    refuse(run_id)
    assert kz.ok("T7", id=run_id)["left"]["calls"] == 1


@pytest.mark.parametrize(
    ("limit", "used", "ending"),
    [
        ({"max_calls": 2}, {"calls": 2}, "budget_exceeded"),
        ({"max_tool_ms": 100}, {"tool_ms": 100}, "budget_exceeded"),
        ({"max_cost_usd": 0.5}, {"cost_usd": 0.5}, "budget_exceeded"),
        ({"max_wall_ms": 1}, {}, "timeout"),
        ({"max_calls": 0}, {}, "budget_exceeded"),
    ],
)
def test_the_call_that_would_break_a_limit_is_refused_before_it_begins(kz, limit, used, ending):
    run_id = start(kz, **limit)
    time.sleep(0.005)
    spend(run_id, **used)
    with pytest.raises(denial.RunLimit) as refusal:
        refuse(run_id)
    assert refusal.value.detail["ending"] == ending
    assert f"T8 --id {run_id} --status {ending}" in refusal.value.required_action


def test_a_call_may_take_no_longer_than_its_run_has_time(kz):
    run_id = start(kz, max_wall_ms=60_000, max_tool_ms=1_000)
    spend(run_id, tool_ms=400)
    endless = start(kz)
    store = store_of()
    assert runs.seconds_left(store.get("agent_run", run_id)) == pytest.approx(0.6)
    assert runs.seconds_left(store.get("agent_run", endless)) is None
    store.close()


def test_what_a_child_uses_counts_for_its_ancestors(kz):
    top = start(kz, max_calls=5, max_cost_usd=1)
    child = start(kz, parent_run_id=top)
    grandchild = start(kz, parent_run_id=child)
    spend(top, calls=1)
    spend(child, calls=2, cost_usd=0.25)
    spend(grandchild, calls=2, cost_usd=0.25)
    shown = kz.ok("T7", id=top)
    assert shown["used"]["calls"] == 5 and shown["used"]["cost_usd"] == 0.5
    assert [one["id"] for one in shown["children"]] == [child]
    for run_id in (top, child, grandchild):
        with pytest.raises(denial.RunLimit) as refusal:
            refuse(run_id)
        assert refusal.value.detail["limit"] == "max_calls"


def test_a_child_gets_at_most_what_remains_of_its_parents_limits(kz):
    top = start(kz, max_calls=10, max_cost_usd=2, max_cycles=7)
    spend(top, calls=4, cost_usd=0.5)
    greedy = kz.ok("T5", summary="All of it.", parent_run_id=top, max_calls=100, max_cycles=3)["limits"]
    assert greedy == {"max_calls": 6, "max_cycles": 3, "max_cost_usd": 1.5}
    modest = kz.ok("T5", summary="A bit.", parent_run_id=top, max_calls=1)["limits"]
    assert modest["max_calls"] == 1


def test_a_parent_without_money_starts_no_child(kz):
    top = start(kz, max_cost_usd=1)
    spend(top, cost_usd=1.0)
    assert kz.denied("DENIED_RUN_LIMIT", "T5", summary="More.", parent_run_id=top)["limit"] == "max_cost_usd"


@pytest.mark.parametrize(
    ("parent", "child", "gets"),
    [("plan", "bypass", "plan"), ("deny-all", "default", "deny-all"), ("bypass", "accept-edits", "accept-edits")],
)
def test_a_child_may_do_no_more_than_its_parent(kz, parent, child, gets):
    top = start(kz, mode=parent)
    assert kz.ok("T5", summary="Try.", parent_run_id=top, mode=child)["mode"] == gets


def test_a_childs_task_is_its_parents_unless_it_says(kz):
    task = kz.ok("W1", title="Login", summary="Repair it.")["id"]
    top = start(kz, task_id=task)
    child = start(kz, parent_run_id=top)
    assert kz.ok("T7", id=child)["run"]["task_id"] == task


@pytest.mark.parametrize(
    ("run", "session", "mode"),
    [
        ("default", "default", "default"),
        ("accept-edits", "default", "accept-edits"),
        ("default", "bypass", "bypass"),
        ("plan", "bypass", "plan"),
        ("plan", "accept-edits", "plan"),
        ("deny-all", "bypass", "deny-all"),
        ("plan", "deny-all", "deny-all"),
    ],
)
def test_plan_and_deny_all_of_a_run_hold_whatever_its_session_says(run, session, mode):
    assert runs.mode_of({"mode": run}, session) == mode
    assert runs.mode_of(None, session) == session


# --- stopping -------------------------------------------------------------------------------------


def test_an_interrupt_reaches_the_children_and_names_the_last_checkpoint(kz):
    top = start(kz)
    child = start(kz, parent_run_id=top)
    grandchild = start(kz, parent_run_id=child)
    checkpoint = kz.ok("T17", run_id=top, name="Half way")["id"]
    reply = kz.ok("T16", id=top, reason="The plan changed.")
    assert reply["interrupt"] == "graceful" and reply["checkpoint_id"] == checkpoint
    assert reply["children"] == [child, grandchild]
    for run_id in (top, child, grandchild):
        with pytest.raises(denial.RunInterrupted) as refusal:
            refuse(run_id)
        assert "The plan changed." in refusal.value.detail["reason"]
    assert kz.denied("DENIED_RUN_INTERRUPTED", "T5", summary="More.", parent_run_id=child)


def test_a_graceful_interrupt_can_become_one_at_once_and_not_the_other_way_round(kz):
    run_id = start(kz)
    assert kz.ok("T16", id=run_id)["interrupt"] == "graceful"
    assert kz.ok("T16", id=run_id, how="now")["interrupt"] == "now"
    assert kz.ok("T16", id=run_id, how="graceful")["interrupt"] == "now"


def test_an_interrupt_from_another_process_asks_the_stop_of_this_one(kz, process):
    from kaizen_components.agent.tool import Stop

    run_id, stop, store = start(kz), Stop(), store_of()
    with runs.watched(store.plane, run_id, stop) as watch:
        assert process("T16", "--id", run_id, "--how", "now", "--reason", "Enough.").returncode == 0
        assert stop.wait(3.0) and stop.now
    assert watch.reason == "Enough."


def test_a_watch_reads_the_run_only_when_something_was_written(kz, monkeypatch):
    run_id, store = start(kz), store_of()
    watch = runs.Watch(store.plane, run_id)
    looks = []
    read = watch._store.get
    monkeypatch.setattr(watch._store, "get", lambda *what: looks.append(what) or read(*what))
    for _ in range(5):
        assert watch.look() is None
    kz.ok("W38", summary="Something else.")
    assert watch.look() is None
    assert len(looks) == 2


# --- ending ---------------------------------------------------------------------------------------


def test_completed_needs_a_proof(kz):
    run_id = start(kz)
    assert kz.denied("DENIED_RUN_UNPROVED", "T8", id=run_id, status="completed")
    assert kz.ok("T7", id=run_id)["run"]["status"] == "running"


def test_a_run_is_completed_with_an_observed_proof(kz):
    run_id = start(kz)
    proof_id = proof(kz)
    assert [one["id"] for one in kz.ok("T7", id=run_id)["proofs"]] == [proof_id]
    reply = kz.ok("T8", id=run_id, status="completed", proof_id=proof_id)
    assert reply["run_status"] == "completed" and reply["proof_ids"] == [proof_id]
    assert [one["id"] for one in kz.ok("T7", id=run_id)["proofs"]] == [proof_id]


def test_a_proof_that_shows_nothing_of_the_run_completes_it_not(kz):
    old = proof(kz)
    task, other = (kz.ok("W1", title=title, summary="Repair it.")["id"] for title in ("Login", "Logout"))
    run_id = start(kz, task_id=task)
    asserted = kz.ok("Q1", summary="All green.")["id"]
    failed = proof(kz, "false")
    retired = proof(kz)
    kz.ok("Q13", id=retired, reason="The wrong command.")
    foreign = proof(kz, task_id=other)
    fits = proof(kz, task_id=task)
    why = {}
    for proof_id in (old, asserted, failed, retired, foreign):
        why[proof_id] = kz.denied("DENIED_PROOF_UNFIT", "T8", id=run_id, status="completed", proof_id=[fits, proof_id])["reason"]
    assert "older" in why[old] and "asserted" in why[asserted] and "VERIFICATION_FAILED" in why[failed]
    assert "retired" in why[retired] and "another task" in why[foreign]
    assert kz.denied("DENIED_RECORD_NOT_FOUND", "T8", id=run_id, status="completed", proof_id="qv_20260101000000_0000000000")
    assert kz.ok("T8", id=run_id, status="completed", proof_id=fits)["run_status"] == "completed"


def test_unverified_is_recorded_as_such(kz):
    run_id = start(kz)
    assert kz.ok("T8", id=run_id, status="completed", unverified=True)["run_status"] == "unverified"
    assert kz.ok("T15", status="unverified")["records"][0]["id"] == run_id


def test_unverified_contradicts_a_proof_and_other_endings(kz):
    run_id = start(kz)
    kz.denied("DENIED_FLAG_CONFLICT", "T8", id=run_id, status="completed", unverified=True, proof_id=proof(kz))
    kz.denied("DENIED_FLAG_CONFLICT", "T8", id=run_id, status="failed", unverified=True)


def test_a_run_ends_in_exactly_one_of_nine_ways_and_once(kz):
    assert len(records.ENDINGS) == 9
    for status in records.ENDINGS:
        run_id = start(kz)
        flags = {"proof_id": proof(kz)} if status == "completed" else {}
        assert kz.ok("T8", id=run_id, status=status, **flags)["run_status"] == status
        assert kz.denied("DENIED_RUN_ENDED", "T8", id=run_id, status="failed")["run_status"] == status
        assert kz.denied("DENIED_RUN_ENDED", "T16", id=run_id)
    kz.denied("DENIED_SCHEMA_ENUM", "T8", id=start(kz), status="done")


def test_what_a_run_that_has_ended_refuses_says_how_to_go_on(kz):
    run_id = start(kz)
    checkpoint = kz.ok("T17", run_id=run_id)["id"]
    kz.ok("T8", id=run_id, status="failed")
    message = '{"content": "More."}'
    for refused in (
        kz.denied("DENIED_RUN_ENDED", "T8", id=run_id, status="failed"),
        kz.denied("DENIED_RUN_ENDED", "T6", run_id=run_id, type="message", payload_json=message),
        kz.denied("DENIED_RUN_ENDED", "N2", run_id=run_id, tool="glob", payload_json='{"pattern": "*"}'),
    ):
        assert f"T18 --id {checkpoint};" in refused["required_action"]
    assert kz.ok("T18", id=checkpoint)["resumed_from"] == checkpoint
    without = start(kz)
    kz.ok("T8", id=without, status="failed")
    assert "no checkpoint" in kz.denied("DENIED_RUN_ENDED", "T8", id=without, status="failed")["required_action"]
    done = start(kz)
    checkpoint = kz.ok("T17", run_id=done)["id"]
    kz.ok("T8", id=done, status="completed", proof_id=proof(kz))
    assert f"T18 --id {checkpoint} --fork" in kz.denied("DENIED_RUN_ENDED", "T8", id=done, status="failed")["required_action"]


def test_a_run_that_went_too_far_or_was_to_stop_does_not_end_well(kz):
    for limit, used, ending in (
        ({"max_cost_usd": 0.5}, {"cost_usd": 0.6}, "budget_exceeded"),
        ({"max_tool_ms": 100}, {"tool_ms": 101}, "budget_exceeded"),
        ({"max_cycles": 2}, {"cycles": 3}, "max_cycles"),
        ({"max_wall_ms": 1}, {}, "timeout"),
        ({}, {}, "interrupted"),
    ):
        run_id = start(kz, **limit)
        time.sleep(0.005)
        spend(run_id, **used)
        if ending == "interrupted":
            kz.ok("T16", id=run_id)
        code = "DENIED_RUN_INTERRUPTED" if ending == "interrupted" else "DENIED_RUN_LIMIT"
        for flags in (
            {"status": "completed", "proof_id": proof(kz)},
            {"status": "completed", "unverified": True},
            {"status": "unverified"},
        ):
            refused = kz.denied(code, "T8", id=run_id, **flags)
            assert refused["ending"] == ending and f"T8 --id {run_id} --status {ending}" in refused["required_action"]
        told = kz.ok("T6", run_id=run_id, type="message", payload_json='{"content": "Late."}')
        assert told["ending"] == ending
        assert kz.ok("T8", id=run_id, status=ending)["run_status"] == ending


def test_who_used_all_of_a_limit_kept_within_it(kz):
    run_id = start(kz, max_calls=2, max_cost_usd=1)
    spend(run_id, calls=2, cost_usd=1.0)
    assert "ending" not in kz.ok("T6", run_id=run_id, type="message", payload_json='{"content": "Done."}')
    assert kz.ok("T8", id=run_id, status="completed", proof_id=proof(kz))["run_status"] == "completed"


def test_what_children_used_counts_when_a_run_ends(kz):
    top = start(kz, max_cost_usd=1)
    child = start(kz, parent_run_id=top)
    kz.ok("T6", run_id=child, type="cost_update", payload_json='{"cost_usd": 1.5}')
    kz.ok("T8", id=child, status="budget_exceeded")
    assert kz.denied("DENIED_RUN_LIMIT", "T8", id=top, status="completed", proof_id=proof(kz))["limit"] == "max_cost_usd"


def test_for_a_person_a_run_without_limits_says_so(kz):
    assert "Limits: none" in kz.ok("T5", summary="A run.", _text=True).stdout
    assert "Limits\n" in kz.ok("T5", summary="A run.", max_calls=3, _text=True).stdout


def test_an_open_child_keeps_its_parent_open(kz):
    top = start(kz)
    child = start(kz, parent_run_id=top)
    for status in ("failed", "completed", "unverified", "budget_exceeded"):
        more = {"proof_id": proof(kz)} if status == "completed" else {}
        assert kz.denied("DENIED_RUN_CHILDREN_OPEN", "T8", id=top, status=status, **more)["children"] == [child]
    kz.ok("T8", id=child, status="failed")
    kz.ok("T8", id=top, status="failed")


@pytest.mark.parametrize("status", ["interrupted", "timeout"])
def test_who_is_stopped_ends_with_what_it_began(kz, status):
    top = start(kz)
    child = start(kz, parent_run_id=top)
    grandchild = start(kz, parent_run_id=child)
    assert kz.ok("T8", id=top, status=status)["children_ended"] == [grandchild, child]
    shown = kz.ok("T7", id=grandchild)["run"]
    assert shown["status"] == status and top in shown["reason"]


def test_a_child_of_a_run_that_ended_does_not_start(kz):
    top = start(kz)
    kz.ok("T8", id=top, status="failed")
    assert kz.denied("DENIED_RUN_ENDED", "T5", summary="More.", parent_run_id=top)["id"] == top


def test_the_reason_stays(kz):
    run_id = start(kz)
    kz.ok("T8", id=run_id, status="failed", reason="The build is broken.")
    assert kz.ok("T7", id=run_id)["run"]["reason"] == "The build is broken."
    kz.denied("DENIED_REDACTION", "T8", id=start(kz), status="failed", reason="It held AKIA" + "ABCDEFGHIJKLMNOP")


# --- what a run shows -----------------------------------------------------------------------------


def call_of(run_id, **values):
    """A record of a tool call, as one leaves it that has begun."""
    store = store_of()
    said = {
        "tool": "bash_command",
        "tool_group": "bash",
        "arguments_json": "{}",
        "arguments_sha256": "0" * 64,
        "mode": "default",
        "decision": "allow",
        "rule": "default",
        "danger": "low",
        "status": "started",
        "run_id": run_id,
    }
    call = records.ToolCall(**{**said, **values})
    return store.perform(Call(op="N2", writes=True), lambda: Result(id=store.add(call)["id"]))["id"]


def test_a_call_whose_process_is_gone_has_never_finished(kz):
    from kaizen_components import process

    run_id = start(kz)
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    gone = call_of(run_id, process=f"{child.pid} {process.identity(child.pid)}")
    mine = call_of(run_id, process=f"{os.getpid()} {process.identity(os.getpid())}")
    reused = call_of(run_id, process=f"{os.getpid()} of another start")
    assert kz.ok("T7", id=run_id)["never_finished"] == [reused]
    child.communicate(b"\n")
    shown = kz.ok("T7", id=run_id)
    assert {call["id"]: call["state"] for call in shown["calls"]} == {
        gone: "never_finished",
        mine: "under_way",
        reused: "never_finished",
    }
    assert shown["never_finished"] == [gone, reused]


def test_a_run_shows_its_last_calls_in_order(kz):
    run_id = start(kz)
    ids = [call_of(run_id, status="succeeded") for _ in range(4)]
    shown = kz.ok("T7", id=run_id, limit=2)
    assert [call["id"] for call in shown["calls"]] == ids[2:] and shown["call_count"] == 4
    assert len(kz.ok("T7", id=run_id, limit=-1)["calls"]) == 4


def test_a_run_says_once_how_many_events_it_has_and_which_calls_count(kz):
    run = start(kz, max_calls=3)
    kz.ok("T6", run_id=run, type="message", payload_json='{"content": "Found it."}')
    kz("N2", run_id=run, tool="read_file", payload_json='{"path": "/root/.ssh/id_rsa"}')
    shown = kz.ok("T7", id=run)
    assert shown["run"]["events"] == shown["event_count"] == 1 and shown["run"]["calls"] == 0 and shown["call_count"] == 1
    assert "  calls begun: 0 of 3" in kz("T7", id=run, _text=True).stdout.splitlines()
    kz.ok("T8", id=run, status="failed")
    assert kz.ok("T7", id=run)["run"]["events"] == 1


def test_a_run_for_a_person_has_a_line_for_each_thing(kz):
    top = start(kz, max_calls=3)
    child = start(kz, parent_run_id=top)
    kz.ok("T6", run_id=top, type="message", payload_json='{"content": "Found\\nit."}')
    call = call_of(top, process="1 of another start")
    shown = kz("T7", id=top, _text=True).stdout.splitlines()
    assert shown[0] == f"{top}  running  Repair the login." and "  calls begun: 0 of 3" in shown
    assert "     1  message         Found it." in shown and f"  {child}  running  Repair the login." in shown
    assert f"  never finished: {call}" in shown and f"  {call}  bash_command  never_finished  allow  low" in shown


def test_the_list_of_runs_filters(kz):
    top = start(kz, runner="echo")
    child = start(kz, parent_run_id=top, agent_type="reviewer")
    assert [one["id"] for one in kz.ok("T15", parent_run_id=top)["records"]] == [child]
    assert [one["id"] for one in kz.ok("T15", agent_type="reviewer")["records"]] == [child]
    assert [one["id"] for one in kz.ok("T15", runner="echo")["records"]] == [top]


def test_runs_go_through_a_rebuild_and_a_verification(kz):
    top = start(kz, max_calls=3)
    start(kz, parent_run_id=top)
    kz.ok("T16", id=top)
    kz.ok("T8", id=top, status="interrupted")
    kz.ok("K12")
    assert kz.ok("V1")["status"] == "OK"
