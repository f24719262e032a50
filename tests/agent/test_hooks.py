"""Hooks: who may deny a call or change its input before it, and who is told after it."""

from __future__ import annotations

import json
import sys
import time

import pytest

from kaizen_components.agent.hooks import Hooks

PAYLOAD = {"tool_name": "read_file", "tool_input": {"path": "a.txt"}, "run_id": None, "cwd": "/"}


def before(*answers, **options):
    hooks = Hooks()
    for answer in answers:
        hooks.add("before", answer if callable(answer) else lambda payload, answer=answer: answer, **options)
    return hooks.ask_before(dict(PAYLOAD))


def test_each_is_asked_in_turn_with_the_input_that_the_one_before_left():
    heard = []

    def rename(payload):
        heard.append(payload["tool_input"])
        return {"tool_input": {"path": "b.txt"}}

    def note(payload):
        heard.append(payload["tool_input"])

    said = before(rename, note)
    assert heard == [{"path": "a.txt"}, {"path": "b.txt"}]
    assert [entry.given for entry in said] == [{"path": "b.txt"}, None] and not any(entry.denied for entry in said)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"should_continue": False, "message": "not now"}, "not now"),
        ({"decision": "deny", "reason": "never"}, "never"),
        (False, None),
    ],
)
def test_one_that_denies_ends_it(answer, message):
    said = before(answer, {"tool_input": {}})
    assert [(entry.denied, entry.message) for entry in said] == [(True, message)]


@pytest.mark.parametrize("answer", [None, True, {}, {"should_continue": True}, {"decision": "allow"}])
def test_one_that_says_nothing_lets_it_pass(answer):
    assert [entry.denied for entry in before(answer)] == [False]


@pytest.mark.parametrize("answer", ["no", 5, {"should_continue": "no"}, {"decision": "maybe"}, {"tool_input": [1]}])
def test_an_answer_that_cannot_be_read_denies(answer):
    (said,) = before(answer)
    assert said.denied and f"the hook {said.name} failed" in str(said.message)


def test_one_that_raises_denies():
    def fails(payload):
        raise OSError("the disk is gone")

    (said,) = before(fails)
    assert said.denied and "the disk is gone" in str(said.message)
    assert said.name.endswith("fails")


def test_one_that_is_a_coroutine_is_waited_for():
    async def denies(payload):
        return {"should_continue": False, "message": payload["tool_name"]}

    assert before(denies)[0].message == "read_file"


def test_one_is_asked_about_its_tools_alone():
    assert before({"decision": "deny"}, tools="write_.*|edit_file") == []
    assert before({"decision": "deny"}, tools="read_.*")[0].denied
    assert before({"decision": "deny"}, tools="read") == []


def test_those_after_a_call_change_nothing():
    hooks, heard = Hooks(), []
    hooks.add("after", heard.append)
    hooks.add("after", lambda payload: {"should_continue": False})
    hooks.tell_after({**PAYLOAD, "tool_result": {"success": True}})
    assert heard[0]["event"] == "after" and heard[0]["tool_result"] == {"success": True}


def test_only_two_moments_have_hooks():
    with pytest.raises(ValueError, match="before or after"):
        Hooks().add("during", lambda payload: None)


# --- commands -------------------------------------------------------------------------------------


def command(program: str, timeout: float = 20.0):
    hooks = Hooks()
    hooks.add("before", [sys.executable, "-c", program], timeout=timeout)
    return hooks.ask_before(dict(PAYLOAD))[0]


def test_a_command_gets_json_on_stdin_and_answers_on_stdout():
    said = command(
        "import json, sys; given = json.load(sys.stdin); print(json.dumps({'tool_input': {'path': given['tool_name']}}))"
    )
    assert said.given == {"path": "read_file"} and said.name.startswith(f"{sys.executable} -c")


def test_a_command_denies_with_exit_code_2():
    said = command(
        "import sys; sys.exit('no: ' + sys.stdin.read()[:1]) if 0 else (print('keys are private', file=sys.stderr), sys.exit(2))"
    )
    assert said.denied and str(said.message).endswith("says: keys are private")


@pytest.mark.parametrize(
    "program", ["raise SystemExit(1)", "print('no json')", "print('[1]')", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_command_that_fails_denies(program):
    said = command(program)
    assert said.denied and f"the hook {said.name} failed" in str(said.message)


def test_a_command_that_does_not_answer_is_ended_and_denies():
    started = time.monotonic()
    said = command("import time; time.sleep(60)", timeout=0.5)
    assert said.denied and "no answer within 0.5 seconds" in str(said.message)
    assert time.monotonic() - started < 20


def test_a_command_that_is_not_there_denies():
    hooks = Hooks()
    hooks.add("before", ["/no/such/program"])
    assert hooks.ask_before(dict(PAYLOAD))[0].denied


def test_what_a_record_keeps_of_a_hook():
    (said,) = before({"tool_input": {}})
    assert json.loads(json.dumps(said.record())).keys() == {"hook", "denied", "message", "changed", "duration_ms"}
