"""Planning: plan mode is entered and left, and the to-do list says what is meant to be done."""

from __future__ import annotations

import json

import pytest
from agents import act
from pydantic import ValidationError

from kaizen_components.agent.tool import ToolError

SECRET = "AKIA" + "ABCDEFGHIJKLMNOP"


def start(kz, **flags):
    return kz.ok("T5", **{"summary": "Repair the login.", **flags})["id"]


def run_of(kz, run_id):
    return kz.ok("T7", id=run_id)["run"]


# --- plan mode ------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["default", "accept-edits", "bypass"])
def test_leaving_plan_mode_brings_back_the_mode_before_it(kz, before):
    run_id = start(kz, mode=before)
    assert act("enter_plan_mode", {}, run_id=run_id).metadata["mode_before"] == before
    assert run_of(kz, run_id)["mode"] == "plan"
    wanted = [{"tool": "Bash", "prompt": "run tests"}, {"tool": "Write", "prompt": "update config"}]
    outcome = act("exit_plan_mode", {"allowedPrompts": wanted}, run_id=run_id)
    assert outcome.metadata == {"mode": before, "allowed_prompts": wanted}
    run = run_of(kz, run_id)
    assert run["mode"] == before and run["mode_before_plan"] is None and json.loads(run["allowed_prompts_json"]) == wanted


def test_entering_twice_is_entering_once(kz):
    run_id = start(kz)
    act("enter_plan_mode", {}, run_id=run_id)
    assert "already" in act("enter_plan_mode", {}, run_id=run_id).output
    act("exit_plan_mode", {}, run_id=run_id)
    assert run_of(kz, run_id)["mode"] == "default"


@pytest.mark.parametrize("tool", ["enter_plan_mode", "exit_plan_mode"])
def test_a_mode_is_that_of_a_run(kz, tool):
    with pytest.raises(ToolError) as fault:
        act(tool, {})
    assert fault.value.kind == "no_run"


def test_plan_mode_that_was_not_entered_is_not_left(kz):
    run_id = start(kz)
    with pytest.raises(ToolError) as fault:
        act("exit_plan_mode", {}, run_id=run_id)
    assert fault.value.kind == "not_in_plan_mode"


def test_a_run_that_was_started_in_plan_mode_stays_there(kz):
    run_id = start(kz, mode="plan")
    act("enter_plan_mode", {}, run_id=run_id)
    with pytest.raises(ToolError) as fault:
        act("exit_plan_mode", {}, run_id=run_id)
    assert fault.value.kind == "not_entered" and run_of(kz, run_id)["mode"] == "plan"


@pytest.fixture
def mode_of_settings(plane):
    """mode_of_settings(name) writes the mode into the project's settings."""
    path = plane / ".kaizen" / "settings.json"
    path.parent.mkdir()
    return lambda mode: path.write_text(json.dumps({"permissions": {"defaultMode": mode}}), encoding="utf-8")


WRITING = {"tool": "write_file", "payload_json": '{"path": "a.txt", "content": "x"}'}


@pytest.mark.parametrize("mode", ["plan", "deny-all"])
def test_a_refusal_names_the_settings_that_set_the_mode_and_what_helps(kz, plane, mode_of_settings, mode):
    mode_of_settings(mode)
    run_id = start(kz)
    for flags in ({}, {"run_id": run_id}):
        refused = kz.denied("DENIED_PERMISSION", "N2", **WRITING, **flags)
        assert (
            ".kaizen/settings.json" in refused["reason"] and "defaultMode in .kaizen/settings.json" in refused["required_action"]
        )
        assert kz.ok("N2", **WRITING, **flags, mode="accept-edits")["success"]
    another = kz.ok("T5", summary="The work.", mode="accept-edits")["id"]
    assert kz.ok("N2", **WRITING, run_id=another)["success"]
    (plane / ".kaizen/settings.json").unlink()
    assert kz.ok("N2", **WRITING, run_id=run_id)["success"]


def test_a_refusal_of_a_mode_that_was_passed_says_to_leave_it_out(kz):
    for mode in ("plan", "deny-all"):
        assert kz.denied("DENIED_PERMISSION", "N2", **WRITING, mode=mode)["required_action"] == f"Call without --mode {mode}."
    kz.ok("N2", **WRITING)


def test_plan_mode_of_the_settings_is_for_a_person_to_change(kz, mode_of_settings):
    mode_of_settings("plan")
    run_id = start(kz)
    leave = {"tool": "exit_plan_mode", "run_id": run_id}
    for enter in (False, True):
        if enter:
            kz.ok("N2", tool="enter_plan_mode", run_id=run_id)
        left = kz("N2", **leave)
        assert left["error_kind"] == "mode_of_settings" and ".kaizen/settings.json sets plan mode" in left["error"]
        assert "T5" in left["error"] and "--mode accept-edits" in left["error"]
    mode_of_settings("accept-edits")
    assert kz.ok("N2", **leave)["metadata"]["mode"] == "accept-edits"


def test_what_shows_a_run_says_by_which_mode_it_is_judged(kz, plane, mode_of_settings):
    mode_of_settings("plan")
    started = kz.ok("T5", summary="A run.")
    assert (started["mode"], started["mode_source"]) == ("plan", ".kaizen/settings.json")
    shown = kz.ok("T7", id=started["id"])
    assert (shown["mode"], shown["mode_source"]) == ("plan", ".kaizen/settings.json")
    assert "  mode: plan (by .kaizen/settings.json)" in kz("T7", id=started["id"], _text=True).stdout.splitlines()
    said = kz.ok("N3", **WRITING, run_id=started["id"])
    assert (said["mode"], said["mode_source"]) == ("plan", ".kaizen/settings.json")
    own = kz.ok("T5", summary="A run.", mode="accept-edits")
    assert own["mode"] == "accept-edits" and "mode_source" not in own
    (plane / ".kaizen/settings.json").write_text("{", encoding="utf-8")
    assert kz.ok("T7", id=started["id"])["mode"] == "default"
    kz.ok("T5", summary="A run.")


def test_what_is_allowed_names_a_tool_and_what_for():
    for wrong in ([{"tool": "Bash"}], [{"tool": "Bash", "prompt": "x", "always": True}], ["Bash"]):
        with pytest.raises(ValidationError):
            act("exit_plan_mode", {"allowedPrompts": wrong})


def test_secrets_in_what_is_allowed_are_masked_in_the_record(kz):
    run_id = start(kz)
    act("enter_plan_mode", {}, run_id=run_id)
    act("exit_plan_mode", {"allowedPrompts": [{"tool": "Bash", "prompt": f"use {SECRET}"}]}, run_id=run_id)
    assert SECRET not in run_of(kz, run_id)["allowed_prompts_json"]


# --- to-do lists ----------------------------------------------------------------------------------


def todo(content, status="pending"):
    return {"content": content, "status": status, "activeForm": f"{content} ..."}


def todos(kz, run_id):
    return [(one["content"], one["status"]) for one in kz.ok("T7", id=run_id)["todos"]]


def test_a_list_takes_the_place_of_the_one_before(kz):
    run_id = start(kz)
    first = act("todo_write", {"todos": [todo("Read", "in_progress"), todo("Write")]}, run_id=run_id)
    assert first.output == "[>] Read\n[ ] Write" and first.metadata["pending"] == 1
    second = act("todo_write", {"todos": [todo("Read", "completed")]}, run_id=run_id)
    assert second.metadata["todo_list_id"] == first.metadata["todo_list_id"]
    assert todos(kz, run_id) == [("Read", "completed")]
    assert len(kz.ok("K19", id=first.metadata["todo_list_id"])["records"]) == 2
    act("todo_write", {"todos": []}, run_id=run_id)
    assert todos(kz, run_id) == []


def test_at_most_one_is_in_progress(kz):
    run_id = start(kz)
    with pytest.raises(ToolError) as fault:
        act("todo_write", {"todos": [todo("Read", "in_progress"), todo("Write", "in_progress")]}, run_id=run_id)
    assert fault.value.kind == "two_in_progress" and todos(kz, run_id) == []


def test_every_run_and_every_session_has_a_list_of_its_own(kz):
    from dataclasses import replace

    from agents import store_of

    one, other = start(kz), start(kz)
    ids = {}
    for run_id, session in ((one, None), (other, "a"), (None, "a"), (None, "b"), (None, None)):
        store = store_of()
        store.call = replace(store.call, session=session)
        name = f"{run_id} {session}"
        ids[name] = act("todo_write", {"todos": [todo(name)]}, run_id=run_id, store=store).metadata["todo_list_id"]
    assert len(set(ids.values())) == 5
    assert todos(kz, one) == [(f"{one} None", "pending")]


def test_secrets_in_a_list_are_masked(kz):
    run_id = start(kz)
    act("todo_write", {"todos": [todo(f"Use {SECRET}")]}, run_id=run_id)
    assert SECRET not in todos(kz, run_id)[0][0]


@pytest.mark.parametrize(
    "wrong", [{"content": "x"}, {**todo("x"), "status": "done"}, {**todo("x"), "id": 1}, {**todo("x"), "content": ""}]
)
def test_an_entry_has_content_status_and_active_form(wrong):
    with pytest.raises(ValidationError):
        act("todo_write", {"todos": [wrong]})
