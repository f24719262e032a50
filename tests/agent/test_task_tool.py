"""The tool task: child runs, the runners that carry them out, and every way in which those end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from agents import act, program, session, store_of
from conftest import ROOT

from kaizen_components import denial
from kaizen_components.agent import runners, runs
from kaizen_components.agent.registry import native


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def agent(plane):
    """agent(script, ...) makes the runner `scripted`; rules may be added to what it is allowed."""

    def make(script, *, allow=(), deny=(), **settings):
        program(plane, "scripted", script, **settings)
        path = plane / ".kaizen" / "settings.json"
        held = json.loads(path.read_text())
        held["permissions"] = {"allow": ["Task(scripted)", *allow], "deny": list(deny)}
        path.write_text(json.dumps(held))

    return make


def start(kz, **flags):
    return kz.ok("T5", **{"summary": "Repair the login.", **flags})["id"]


def task(run_id=None, agent_type="scripted", prompt="Look at the tests.", options=None, **arguments):
    """The result of a call of task by a session."""
    given = {"prompt": prompt, "subagent_type": agent_type, **arguments}
    return session(run_id, **(options or {})).call("task", given)


def ended(kz, result):
    """The run that a call of task began, as T7 shows it."""
    return kz.ok("T7", id=result.metadata["run_id"])


# --- echo -----------------------------------------------------------------------------------------


def test_echo_is_a_child_run_that_nothing_verifies(kz):
    top = start(kz, max_calls=5, task_id=kz.ok("W1", title="Login", summary="Repair it.")["id"])
    result = task(top, "echo", description="Look around")
    assert result.success, result.error
    assert result.output["output"] == "Look at the tests." and result.output["status"] == "unverified"
    shown = ended(kz, result)
    assert shown["run"]["parent_run_id"] == top and shown["run"]["runner"] == "echo" and shown["run"]["task_id"]
    assert shown["run"]["summary"] == "Look around" and shown["run"]["max_calls"] == 4
    assert [event["type"] for event in shown["events"]] == ["started", "message", "completed"]
    assert shown["events"][0]["execution_id"] == shown["run"]["id"]
    spawned = kz.ok("T7", id=top)["events"]
    assert [event["type"] for event in spawned] == ["subagent_spawn"]
    assert spawned[0]["subagent_type"] == "echo" and spawned[0]["metadata"]["run_id"] == shown["run"]["id"]


def test_without_a_run_a_child_has_no_parent(kz):
    assert ended(kz, task(None, "echo"))["run"]["parent_run_id"] is None


@pytest.mark.parametrize("agent_type", ["reviewer", "claude"])
def test_an_unknown_runner_is_a_clear_refusal(kz, agent, agent_type):
    agent("pass")
    result = act_fault("task", agent_type)
    assert result.kind == "no_runner" and agent_type in result.message and ".kaizen/settings.json" in result.message
    assert result.metadata["runners"] == ["echo", "scripted"]
    assert session().call("task", {"prompt": "x", "subagent_type": agent_type}).metadata["runners"] == ["echo", "scripted"]
    assert kz.ok("T15")["count"] == 0


def act_fault(tool, agent_type, **arguments):
    from kaizen_components.agent.tool import ToolError

    with pytest.raises(ToolError) as fault:
        act(tool, {"prompt": "x", "subagent_type": agent_type, **arguments})
    return fault.value


def until_it_ends(kz, run_id):
    """The run as T7 shows it, once it has ended."""
    for _ in range(500):
        shown = kz.ok("T7", id=run_id)
        if shown["run"]["status"] != "running":
            return shown
        time.sleep(0.02)
    raise AssertionError(shown)


def test_in_the_background_a_run_goes_on_in_a_process_of_its_own(kz, agent, plane):
    agent(
        """
        while not os.path.exists("go"):
            time.sleep(0.02)
        say(type="result", status="completed", output=tool("read_file", path="go")["success"])
        """
    )
    top = start(kz)
    result = task(top, run_in_background=True)
    assert result.success and result.output["status"] == "running"
    run_id = result.output["run_id"]
    kz.denied("DENIED_RUN_CHILDREN_OPEN", "T8", id=top, status="failed")
    (plane / "go").write_text("x")
    shown = until_it_ends(kz, run_id)
    assert shown["run"]["status"] == "unverified" and shown["events"][-1]["metadata"] == {"output": True}
    assert shown["call_count"] == 1 and not list((plane / "AI" / "db").rglob("*.order"))


def test_a_run_in_the_background_is_stopped_from_anywhere(kz, agent, plane):
    agent('say(type="message", content="Working."); time.sleep(60)')
    run_id = task(run_in_background=True).output["run_id"]
    soon(kz, lambda found: kz.ok("T16", id=found, how="now")).join()
    assert until_it_ends(kz, run_id)["run"]["status"] == "interrupted"


def test_a_run_whose_runner_was_killed_is_seen_as_abandoned(kz, agent, plane):
    agent('say(type="message", content="Working."); hear()')
    result = task(run_in_background=True)
    run_id, pid = result.output["run_id"], result.metadata["pid"]
    soon(kz, lambda found: None).join()
    assert kz.ok("T7", id=run_id)["carried"] == "under_way"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert kz.ok("T7", id=run_id)["carried"] == "abandoned"
    assert "running, abandoned" in kz("T7", id=run_id, _text=True).stdout
    kz.ok("T8", id=run_id, status="failed")
    assert kz.ok("T7", id=run_id)["carried"] is None


def test_hooks_of_a_program_keep_its_agents_out_of_the_background(kz):
    caller = session()
    caller.hooks.add("before", lambda said: None)
    given = {"prompt": "x", "subagent_type": "echo", "run_in_background": True}
    assert caller.call("task", given).error_kind == "no_background"
    assert kz.ok("T15")["count"] == 0


def test_a_runner_may_be_for_kinds_of_agents(kz, agent):
    agent('say(type="result", status="failed")', agent_types=["reviewer"])
    assert runners.chosen("reviewer", store_of().plane.root).name == "scripted"


@pytest.mark.parametrize(
    "entry",
    [
        "x",
        {},
        {"command": "python"},
        {"command": []},
        {"command": ["x"], "timeout": "long"},
        {"command": ["x"], "timeout": True},
        {"command": ["x"], "shell": True},
        {"command": ["x"], "environment": "ALL"},
    ],
)
def test_settings_that_are_not_understood_are_refused(plane, entry):
    folder = plane / ".kaizen"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({"runners": {"odd": entry}}))
    with pytest.raises(denial.SettingsInvalid) as refusal:
        runners.configured(plane)
    assert "odd" in refusal.value.detail["reason"]


def test_a_program_of_the_settings_is_asked_about_before_it_runs(kz, plane):
    program(plane, "scripted", "raise SystemExit(1)")
    result = task()
    assert (result.decision, result.error_kind) == ("ask", "approval_required")
    assert kz.ok("T15")["count"] == 0
    assert "scripted_agent.py" in str(result.error) and "scripted_agent.py" in kz.ok("N8", id=result.call_id)["asked_because"]
    # Another program under this name was not approved.
    path = plane / ".kaizen" / "settings.json"
    path.write_text(path.read_text().replace("scripted_agent.py", "other_agent.py"))
    assert task().error_kind == "approval_required"


def test_who_was_to_stop_or_spent_too_much_is_not_unverified(kz, agent):
    agent(
        """
        say(type="cost_update", cost_usd=3.0)
        say(type="result", status="completed", output="All done.")
        """
    )
    top = start(kz, max_cost_usd=2)
    shown = ended(kz, task(top))
    assert shown["run"]["status"] == "budget_exceeded" and shown["run"]["cost_usd"] == 3


# --- how a run ends -------------------------------------------------------------------------------


def test_a_run_is_completed_when_the_program_names_a_proof_that_fits(kz, agent):
    agent(
        """
        import subprocess
        ran = subprocess.run([sys.executable, KAIZEN, "Q11", "--json", "--", "true"], capture_output=True, text=True)
        proof = json.loads(ran.stdout)["id"]
        say(type="result", status="completed", output={"found": 3}, proof_ids=[proof])
        """
    )
    result = task()
    assert result.success and result.output["output"] == {"found": 3}
    shown = ended(kz, result)
    assert shown["run"]["status"] == "completed" and len(shown["proofs"]) == 1


@pytest.mark.parametrize("proofs", [[], ["qv_20260101000000_0000000000"]])
def test_without_a_proof_that_fits_it_is_never_completed(kz, agent, proofs):
    agent(f'say(type="result", status="completed", output="All done.", proof_ids={proofs!r})')
    result = task()
    assert result.success and result.output["status"] == "unverified"
    assert ended(kz, result)["run"]["status"] == "unverified"


@pytest.mark.parametrize("status", ["no_model", "denied", "failed"])
def test_a_program_says_how_it_ended(kz, agent, status):
    agent(f'say(type="result", status="{status}", reason="There is no model.")')
    result = task()
    assert not result.success and result.error_kind == status
    shown = ended(kz, result)
    assert shown["run"]["status"] == status and shown["run"]["reason"] == "There is no model."
    assert shown["events"][-1]["type"] == "error"


def test_a_program_that_just_ends_has_failed_and_its_last_words_are_kept(kz, agent):
    agent('sys.stderr.write("no such key AKIA" + "ABCDEFGHIJKLMNOP"); raise SystemExit(3)')
    run = ended(kz, task())["run"]
    assert run["status"] == "failed" and "exit code 3" in run["reason"] and "no such key [REDACTED" in run["reason"]


def test_a_program_that_is_not_there_has_failed(kz, plane, agent):
    agent("pass")
    path = plane / ".kaizen" / "settings.json"
    path.write_text(path.read_text().replace(json.dumps(sys.executable), '"no-such-program"'))
    run = ended(kz, task())["run"]
    assert run["status"] == "failed" and "no-such-program could not be started" in run["reason"]


def test_the_limit_on_cycles_ends_a_run(kz, agent):
    agent(
        """
        for step in range(1, 100):
            say(type="progress", step=step, total=100)
            say(type="thinking", content=f"cycle {step}")
            time.sleep(0.01)
        """
    )
    result = task(max_turns=3)
    shown = ended(kz, result)
    assert result.error_kind == shown["run"]["status"] == "max_cycles" and shown["run"]["cycles"] == 3
    assert [event["content"] for event in shown["events"] if event["type"] == "thinking"] == ["cycle 1", "cycle 2", "cycle 3"]


def test_a_budget_ends_a_run_before_the_call_that_would_break_it(kz, agent, plane):
    agent(
        """
        for number in range(5):
            tool("write_file", path=f"{number}.txt", content="x")
        say(type="result", status="completed")
        """
    )
    top = start(kz, max_calls=3)
    result = task(top)
    shown = ended(kz, result)
    assert result.error_kind == shown["run"]["status"] == "budget_exceeded"
    assert sorted(path.name for path in plane.glob("?.txt")) == ["0.txt", "1.txt"]
    # Of the parent's three, its own call of task was one.
    assert shown["run"]["calls"] == shown["call_count"] == 2
    assert [event["type"] for event in shown["events"]].count("tool_use") == 2


def test_money_is_asked_for_before_it_is_spent(kz, agent):
    agent(
        """
        for number in range(1, 10):
            assert ask(type="reserve", id=number, cost_usd=0.3)["type"] == "reserved"
            say(type="cost_update", cost_usd=0.3 * number)
        """
    )
    shown = ended(kz, task(start(kz, max_cost_usd=1)))
    assert shown["run"]["status"] == "budget_exceeded" and shown["run"]["cost_usd"] == pytest.approx(0.9)


def test_a_timeout_ends_a_run_on_time_and_its_program(kz, agent, plane):
    agent('open("pid", "w").write(str(os.getpid())); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)')
    began = time.monotonic()
    result = task(start(kz, max_wall_ms=700))
    assert time.monotonic() - began < 10
    run = ended(kz, result)["run"]
    assert result.error_kind == run["status"] == "timeout"
    assert run["max_wall_ms"] - 50 <= runs.wall_ms(run) < run["max_wall_ms"] + 5_000
    assert not alive(int((plane / "pid").read_text()))


def alive(pid):
    from kaizen_components import process

    return process.identity(pid) is not None


def test_the_timeout_of_a_runner_holds_where_the_run_has_none(kz, agent):
    agent("time.sleep(60)", timeout=0.3)
    run = ended(kz, task())["run"]
    assert run["status"] == "timeout" and "0.3 seconds" in run["reason"]


def test_a_call_that_is_denied_does_not_run_and_is_recorded(kz, agent, plane):
    agent(
        """
        result = tool("write_file", path="held.txt", content="x")
        say(type="result", status="denied", output=result["decision"], reason=result["rule"])
        """,
        deny=["Write(held.txt)"],
    )
    shown = ended(kz, task())
    assert not (plane / "held.txt").exists()
    assert shown["run"]["status"] == "denied" and "Write(held.txt)" in shown["run"]["reason"]
    call = shown["calls"][0]
    assert (call["status"], call["decision"]) == ("denied", "deny") and "Write(held.txt)" in call["rule"]
    assert shown["run"]["calls"] == 0


def soon(kz, work):
    """Wait until a child run has its first message, then do something with its id; in a thread of its own."""

    def wait():
        store = store_of()
        for _ in range(400):
            time.sleep(0.02)
            found = store.list("agent_event", {"type": "message"}, columns=("run_id",))
            store.close()
            if found:
                return work(found[0]["run_id"])

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def interrupting(how):
    def interrupt(run_id):
        argv = [sys.executable, str(ROOT / "kaizen.py"), "T16", "--id", run_id, "--how", how, "--reason", "Enough."]
        subprocess.run(argv, check=True, capture_output=True)

    return interrupt


def test_an_interrupt_at_once_ends_the_run_and_it_goes_on_later(kz, agent, plane):
    agent(
        """
        if order["state"] is None:
            ask(type="checkpoint", id=1, name="Half way", state={"done": 7})
            say(type="message", content="Working.")
            time.sleep(60)
        say(type="result", status="failed", output=order["state"])
        """
    )
    thread = soon(kz, interrupting("now"))
    result = task()
    thread.join()
    shown = ended(kz, result)
    assert result.error_kind == shown["run"]["status"] == "interrupted" and shown["run"]["reason"] == "Enough."
    assert result.metadata["checkpoint_id"] == shown["checkpoints"][0]["id"]
    again = task(resume=result.metadata["run_id"])
    assert again.output["output"] == {"done": 7}
    assert ended(kz, again)["run"]["resumed_from"] == shown["checkpoints"][0]["id"]


def test_a_graceful_interrupt_lets_the_program_keep_its_state(kz, agent):
    agent(
        """
        say(type="message", content="Working.")
        while (heard := hear())["type"] != "interrupt":
            pass
        refused = ask(type="call_tool", id=1, tool="file_exists", arguments={"path": "x"})
        ask(type="checkpoint", id=2, state={"refused": refused["code"]})
        say(type="result", status="completed", output=heard["reason"])
        """
    )
    thread = soon(kz, interrupting("graceful"))
    result = task()
    thread.join()
    assert result.error_kind == "interrupted" and result.output["output"] == "Enough."
    assert kz.ok("T18", id=result.metadata["checkpoint_id"])["state"] == {"refused": "DENIED_RUN_INTERRUPTED"}


def test_a_program_that_does_not_heed_a_graceful_interrupt_is_ended(kz, agent):
    agent('say(type="message", content="Working."); time.sleep(60)', grace=0.2)
    thread = soon(kz, interrupting("graceful"))
    began = time.monotonic()
    assert task().error_kind == "interrupted" and time.monotonic() - began < 15
    thread.join()


def test_who_stops_the_caller_stops_the_child(kz, agent):
    from kaizen_components.agent.tool import Stop

    agent('say(type="message", content="Working."); time.sleep(60)')
    stop = Stop()
    thread = soon(kz, lambda run_id: stop.ask())
    assert task(options={"stop": stop}).error_kind == "interrupted"
    thread.join()


def test_somebody_may_finalize_the_run_meanwhile(kz, agent, process):
    agent('say(type="message", content="Working."); time.sleep(60)')
    thread = soon(kz, lambda run_id: process("T8", "--id", run_id, "--status", "failed", "--reason", "Stuck."))
    result = task()
    thread.join()
    assert result.error_kind == "failed" and ended(kz, result)["run"]["reason"] == "Stuck."


def test_a_grandchild_that_is_open_keeps_the_child_open(kz, agent):
    agent(
        """
        import subprocess
        argv = [sys.executable, KAIZEN, "T5", "--summary", "Forgotten.", "--parent-run-id", order["run_id"]]
        subprocess.run(argv, check=True, capture_output=True)
        say(type="result", status="failed")
        """
    )
    result = task()
    shown = ended(kz, result)
    assert result.error_kind == "children_open" and shown["run"]["status"] == "running"
    assert shown["children"][0]["id"] in result.error


# --- talking --------------------------------------------------------------------------------------


def test_a_program_hears_what_it_is_to_do_and_within_which_limits(kz, agent, plane):
    agent('say(type="result", status="failed", output=order)')
    result = task(start(kz, max_calls=9, mode="accept-edits"), model="small", prompt="Do it.")
    order = result.output["output"]
    assert order["prompt"] == "Do it." and order["model"] == "small" and order["mode"] == "accept-edits"
    assert order["limits"] == {"calls": 8} and order["workspace"] == str(plane) and len(order["tools"]) == 19


def test_the_tool_that_ends_commands_says_how_a_run_is_stopped(kz):
    run = start(kz)
    reply = kz("N2", tool="kill_shell", payload_json=json.dumps({"shell_id": run}))
    assert reply["error_kind"] == "not_a_command" and f"T16 --id {run} --how now" in reply["error"]
    assert "T16" in native("kill_shell").purpose() and "T16" in native("task").purpose()


def test_the_document_shows_what_a_program_hears(kz, agent):
    agent('say(type="result", status="failed", output=order)')
    order = task().output["output"]
    said = (ROOT / "docs/RUNS.md").read_text(encoding="utf-8").partition("First it hears")[2].partition("```json\n")[2]
    sample = json.loads(said.partition("```")[0])
    assert list(sample) == list(order)
    assert {name: type(value) for name, value in sample.items() if value} == {
        name: type(order[name]) for name in sample if sample[name]
    }


def test_tools_are_called_for_it_with_events_and_records_that_know_each_other(kz, agent, plane):
    (plane / "a.txt").write_text("alpha\n")
    agent('say(type="result", status="failed", output=tool("read_file", path="a.txt"))')
    result = task()
    assert result.output["output"]["success"] and "alpha" in result.output["output"]["output"]
    shown = ended(kz, result)
    use, told = (event for event in shown["events"] if event["type"].startswith("tool_"))
    call = shown["calls"][0]
    assert use["input"] == {"path": "a.txt"} and told["tool_call_id"] == call["id"] and call["event_id"]


def test_what_is_refused_is_answered_and_the_talk_goes_on(kz, agent):
    agent(
        """
        said = []
        for line in ("nonsense", "[]", '{"type": "dance", "id": 3}', '{"type": "message"}', '{"type": "progress", "step": "x", "total": 1}'):
            print(line, flush=True)
            said.append(hear()["code"])
        said.append(ask(type="call_tool", id=6, tool="no_such_tool", arguments={})["code"])
        said.append(ask(type="call_tool", id=7, tool="glob", arguments=[])["code"])
        said.append(ask(type="result", status="perfect")["code"])
        said.append(tool("read_file", nonsense=1)["error_kind"])
        say(type="result", status="failed", output=said)
        """
    )
    assert task().output["output"] == [
        "DENIED_JSON_INVALID",
        "DENIED_PAYLOAD_TYPE",
        "DENIED_SCHEMA_ENUM",
        "DENIED_SCHEMA_REQUIRED",
        "DENIED_SCHEMA_FIELD_TYPE",
        "DENIED_TOOL_UNKNOWN",
        "DENIED_SCHEMA_FIELD_TYPE",
        "DENIED_SCHEMA_ENUM",
        "unknown_argument",
    ]


def test_a_program_that_talks_only_nonsense_is_ended(kz, agent):
    agent(
        """
        while True:
            print("nonsense", flush=True)
            hear()
        """
    )
    assert "were refused" in ended(kz, task())["run"]["reason"]


def test_schemas_of_tools_in_the_style_of_a_model(kz, agent):
    agent('say(type="result", status="failed", output=ask(type="tools", id=1, style="openai")["tools"][0]["type"])')
    assert task().output["output"] == "function"


def test_a_program_sees_no_credential_but_the_one_that_is_named(kz, agent, monkeypatch):
    monkeypatch.setenv("MODEL_API_KEY", "one")
    monkeypatch.setenv("OTHER_API_KEY", "two")
    agent('say(type="result", status="failed", output=sorted(os.environ))', environment=["MODEL_API_KEY"])
    seen = task().output["output"]
    assert "MODEL_API_KEY" in seen and "OTHER_API_KEY" not in seen and "KAIZEN_RUN_ID" in seen


def test_a_child_in_plan_mode_only_reads(kz, agent, plane):
    agent('say(type="result", status="failed", output=tool("write_file", path="a.txt", content="x")["decision"])')
    top = start(kz)
    act("enter_plan_mode", {}, run_id=top)
    assert task(top).decision == "deny"
    act("exit_plan_mode", {}, run_id=top)
    store = store_of()
    row = store.perform(store.call, lambda: _begun(store, top))
    assert kz.ok("T7", id=row["id"])["run"]["mode"] == "plan"


def _begun(store, top):
    from kaizen_components.call import Result

    return Result(id=runners.begin(store, "x", "echo", "echo", parent_run_id=top, mode="plan")[0]["id"])


def test_the_hooks_and_the_people_of_the_caller_hold_for_the_child(kz, agent, plane):
    agent(
        """
        said = [tool("write_file", path="a.txt", content="x")["error"], tool("list_directory", path="..")["decision"]]
        say(type="result", status="failed", output=said)
        """
    )
    asked = []
    caller = session(approve=lambda question: asked.append(question["tool_name"]) or False)
    caller.hooks.add("before", lambda said: {"should_continue": False, "message": "Not today."}, tools="write_file")
    result = caller.call("task", {"prompt": "x", "subagent_type": "scripted"})
    assert result.output["output"] == ["Not today.", "deny"] and not (plane / "a.txt").exists()
    assert asked == ["list_directory"]


def test_secrets_in_a_prompt_and_in_messages_are_masked(kz, agent, plane):
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    agent('say(type="message", content=order["prompt"]); say(type="result", status="failed")')
    result = task(start(kz), prompt=f"Use {secret}.")
    assert secret not in json.dumps([ended(kz, result), kz.ok("T15")])
    assert secret.encode() not in (plane / "AI" / "db" / "kaizen.db").read_bytes()


# --- streams --------------------------------------------------------------------------------------


def test_a_run_as_a_stream_of_events(kz):
    async def listen():
        return [event async for event in runners.execute_stream(session(), "Hello.", agent_type="echo", max_calls=3)]

    seen = asyncio.run(asyncio.wait_for(listen(), 20))
    assert [event.type for event in seen] == ["started", "message", "completed"]
    assert seen[1].content == "Hello." and seen[2].cycles == 0 and seen[0].to_dict()["number"] == 1
    assert kz.ok("T7", id=seen[0].execution_id)["run"]["status"] == "unverified"


def test_who_stops_listening_stops_the_run(kz, agent):
    agent('say(type="message", content="Working."); time.sleep(60)')

    async def listen():
        stream = runners.execute_stream(session(), "Hello.", agent_type="scripted")
        async for event in stream:
            if event.type == "message":
                break
        await stream.aclose()
        return event.run_id

    run_id = asyncio.run(asyncio.wait_for(listen(), 20))
    assert kz.ok("T7", id=run_id)["run"]["status"] == "interrupted"


def test_a_person_who_interrupts_kaizen_ends_the_child_as_interrupted(kz, agent, plane):
    agent('open("pid", "w").write(str(os.getpid())); say(type="message", content="Working."); time.sleep(60)')
    payload = json.dumps({"prompt": "x", "subagent_type": "scripted"})
    argv = [sys.executable, str(ROOT / "kaizen.py"), "N2", "--tool", "task", "--payload-json", payload]
    running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=plane)
    thread = soon(kz, lambda run_id: running.send_signal(signal.SIGINT))
    running.communicate(timeout=20)
    thread.join()
    run = kz.ok("T15")["records"][0]
    assert run["status"] == "interrupted" and not alive(int((plane / "pid").read_text()))


def test_limits_of_ancestors_hold_while_a_child_is_at_work(kz):
    top = start(kz, max_calls=2)
    children = [start(kz, parent_run_id=top) for _ in range(2)]
    store = store_of()
    runs.refuse_more(store.get("agent_run", children[0]), store)
    events_before = store.count("agent_event")
    store.close()
    for child in children:
        session(child).call("file_exists", {"path": "x"})
    store = store_of()
    with pytest.raises(denial.RunLimit):
        runs.refuse_more(store.get("agent_run", children[0]), store)
    assert store.count("agent_event") == events_before
    store.close()
