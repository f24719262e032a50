"""Every tool in every situation: works, fails, is refused, is asked about, is killed; and the record that each leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pages
import pytest

from kaizen_components.agent import ToolRegistry
from kaizen_components.agent.registry import NATIVE, native

ROOT = Path(__file__).resolve().parents[2]
SECRET = "AKIA" + "ABCDEFGHIJKLMNOP"
QUESTION = {"question": "Which?", "header": "Which", "options": [{"label": "One"}, {"label": "Two"}], "multiSelect": False}
# Tool -> arguments of a call that works in the plane that `ready` makes.
WORKS = {
    "read_file": {"path": "a.txt"},
    "write_file": {"path": "new.txt", "content": "x\n"},
    "edit_file": {"path": "a.txt", "old_string": "alpha", "new_string": "beta"},
    "glob": {"pattern": "*.txt"},
    "grep": {"pattern": "alpha"},
    "list_directory": {"path": "."},
    "file_exists": {"path": "a.txt"},
    "bash_command": {"command": "echo alpha"},
    "web_search": {"query": "alpha"},
    "web_fetch": {"url": ""},
    "task": {"prompt": "Look.", "subagent_type": "echo", "description": "Look around"},
    "skill": {"skill": "tidy"},
    "todo_write": {"todos": [{"content": "Do it", "status": "pending", "activeForm": "Doing it"}]},
    "ask_user_question": {"questions": [QUESTION]},
    "notebook_edit": {"notebook_path": "n.ipynb", "cell_id": "one", "new_source": "x = 2", "edit_mode": "replace"},
    "enter_plan_mode": {},
    "exit_plan_mode": {"allowedPrompts": [{"tool": "Bash", "prompt": "run tests"}]},
    "kill_shell": {"shell_id": ""},
    "task_output": {"task_id": ""},
}
# What only reads works in plan mode, and so does what plans; the rest is denied.
IN_PLAN = {name for name in NATIVE if native(name).reads_only}


@pytest.fixture
def ready(kz, plane, monkeypatch):
    """A plane with whatever the calls need: the arguments of a working call of each tool, and a session."""
    kz.ok("K1")
    run = kz.ok("T5", summary="Try every tool.")["id"]
    (plane / "a.txt").write_text("alpha\n", encoding="utf-8")
    (plane / ".kaizen/skills/tidy").mkdir(parents=True)
    (plane / ".kaizen/skills/tidy/SKILL.md").write_text(
        "---\nname: tidy\ndescription: Tidy up.\n---\nTidy up.\n", encoding="utf-8"
    )
    cell = {"cell_type": "code", "id": "one", "metadata": {}, "source": "x = 1", "outputs": [], "execution_count": None}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (plane / "n.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    kz.ok("N4", action="add", decision="allow", rule="WebFetch(domain:127.0.0.1)")
    monkeypatch.setattr("kaizen_components.agent.searching.found", lambda query, most, timeout: ("ddgs", []))
    registry = ToolRegistry()
    registry.register_defaults()
    session = registry.session(plane, run_id=run, ask=lambda questions: {"Which?": "One"})
    session.approve = None
    given = {**WORKS, "web_fetch": {"url": pages.url("/guide.html")}}

    def prepare(name):
        """What a tool needs just before its call; its arguments."""
        if name in ("kill_shell", "task_output"):
            started = session.call("bash_command", {"command": "sleep 5", "run_in_background": True})
            assert started.success, started.error
            key = "shell_id" if name == "kill_shell" else "task_id"
            extra = {"block": False} if name == "task_output" else {}
            return {key: started.output["shell_id"], **extra}
        if name == "exit_plan_mode":
            assert session.call("enter_plan_mode", {}).success
        return given[name]

    yield session, prepare
    session.store.leave()
    for process in (plane / "AI/work/processes").glob("*.json"):
        session.call("kill_shell", {"shell_id": process.stem})
    session.store.leave()


def record(kz, result):
    return kz.ok("N5", id=result.call_id)["record"]


@pytest.mark.parametrize("name", NATIVE)
def test_it_works_and_leaves_its_record(kz, ready, name):
    session, prepare = ready
    result = session.call(name, prepare(name))
    assert result.success, (result.error_kind, result.error)
    row = record(kz, result)
    assert (row["tool"], row["status"], row["decision"]) == (name, "succeeded", "allow")
    assert row["run_id"] == session.run_id and row["result_sha256"] and row["started_at"] and row["rule"]
    assert (row["confinement"] is not None) is (name == "bash_command")


@pytest.mark.parametrize("name", NATIVE)
def test_an_unknown_argument_is_named(kz, ready, name):
    session, _ = ready
    result = session.call(name, {**WORKS[name], "colour": "red"})
    assert result.error_kind == "unknown_argument" and "colour" in result.error
    assert record(kz, result)["status"] == "denied"


@pytest.mark.parametrize("name", [name for name in NATIVE if WORKS[name]])
def test_an_argument_of_another_type_is_named(kz, ready, name):
    session, _ = ready
    argument = next(iter(WORKS[name]))
    result = session.call(name, {**WORKS[name], argument: 7.5})
    assert result.error_kind == "bad_argument" and argument in result.error
    assert record(kz, result)["error_kind"] == "bad_argument"


@pytest.mark.parametrize("name", NATIVE)
def test_a_rule_denies_it_and_nothing_happens(kz, plane, ready, name):
    session, prepare = ready
    arguments = prepare(name)
    kz.ok("N4", action="add", decision="deny", rule=name)
    before = (plane / "a.txt").read_text(encoding="utf-8"), (plane / "new.txt").exists()
    result = session.call(name, arguments)
    assert (result.decision, result.error_kind) == ("deny", "denied") and name in result.rule
    assert ((plane / "a.txt").read_text(encoding="utf-8"), (plane / "new.txt").exists()) == before
    row = record(kz, result)
    assert (row["status"], row["started_at"], row["result_sha256"]) == ("denied", None, None)


@pytest.mark.parametrize("name", NATIVE)
def test_a_rule_asks_about_it_and_an_approval_lets_it_pass_once(kz, ready, name):
    session, prepare = ready
    arguments = prepare(name)
    kz.ok("N4", action="add", decision="ask", rule=name)
    result = session.call(name, arguments)
    assert (result.decision, result.error_kind) == ("ask", "approval_required"), result
    assert record(kz, result)["status"] == "asked"
    kz.ok("N8", id=result.call_id)
    passed = session.call(name, arguments)
    assert passed.success, (passed.error_kind, passed.error)
    assert record(kz, passed)["approval_id"]


@pytest.mark.parametrize("name", NATIVE)
def test_in_plan_mode_only_what_reads_is_called(kz, ready, name):
    session, prepare = ready
    arguments = prepare(name)
    if name != "exit_plan_mode":
        session.call("enter_plan_mode", {})
    result = session.call(name, arguments)
    if name == "bash_command":
        assert result.success is (result.confinement is not None)
    elif name in IN_PLAN or name in ("exit_plan_mode", "enter_plan_mode"):
        assert result.decision == "allow", result.error
    else:
        assert result.decision == "deny" and "plan" in result.rule
    assert record(kz, result)["mode"] == "plan"


@pytest.mark.parametrize("name", [name for name in NATIVE if any(isinstance(value, str) for value in WORKS[name].values())])
def test_a_secret_in_an_argument_is_nowhere_in_the_plane(kz, plane, ready, name):
    session, _ = ready
    argument = next(key for key, value in WORKS[name].items() if isinstance(value, str))
    result = session.call(name, {**WORKS[name], argument: f"x {SECRET}"})
    row = record(kz, result)
    assert row["arguments_masked"] >= 1 and SECRET not in json.dumps(row)
    session.store.leave()
    kept = [path for path in (plane / "AI").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []


PROGRAM = """
import os, signal, sys
from kaizen_components.agent import ToolRegistry
from kaizen_components.agent.registry import native

name, arguments = sys.argv[1], __import__("json").loads(sys.argv[2])
tool = native(name)
tool.run = lambda given, context: os.kill(os.getpid(), signal.SIGKILL)
registry = ToolRegistry()
registry.register(tool)
registry.run(name, arguments, run_id=sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", NATIVE)
def test_killed_midway_it_stays_started_and_is_said_to_have_never_finished(kz, plane, ready, name):
    session, prepare = ready
    arguments = prepare(name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAIZEN_REPO_ROOT": str(plane)}
    argv = [sys.executable, "-c", PROGRAM, name, json.dumps(arguments), session.run_id]
    session.store.leave()
    assert subprocess.run(argv, env=environment, check=False).returncode == -signal.SIGKILL
    row = kz.ok("N6", limit=1)["records"][0]
    shown = kz.ok("N5", id=row["id"])
    assert (shown["record"]["tool"], shown["record"]["status"], shown["never_finished"]) == (name, "started", True)
    assert kz.ok("V1")["status"] == "OK"


SESSION = textwrap.dedent(
    """
    import json, os, random, sys
    from pathlib import Path
    from kaizen_components.agent import ToolRegistry

    root, done, seed = Path(os.environ["KAIZEN_REPO_ROOT"]), Path(sys.argv[1]), int(sys.argv[2])
    registry = ToolRegistry()
    registry.register_defaults(categories=["file", "interaction"])
    session = registry.session(root, run_id=sys.argv[3])
    dice = random.Random(seed)
    log = done.open("a", encoding="utf-8")
    for number in range(int(sys.argv[4])):
        name, arguments = dice.choice([
            ("read_file", {"path": "a.txt"}),
            ("write_file", {"path": f"f{dice.randrange(20)}.txt", "content": str(number)}),
            ("write_file", {"path": "/etc/kaizen-no", "content": "x"}),
            ("read_file", {"path": 5}),
            ("list_directory", {"path": "."}),
            ("todo_write", {"todos": [{"content": str(number), "status": "pending", "activeForm": "Doing"}]}),
        ])
        result = session.call(name, arguments)
        print(result.call_id, file=log, flush=True)
    """
)


@pytest.mark.slow
def test_a_session_that_is_killed_again_and_again_loses_no_record(kz, plane, tmp_path):
    import random

    kz.ok("K1")
    run = kz.ok("T5", summary="Many calls.")["id"]
    (plane / "a.txt").write_text("alpha\n", encoding="utf-8")
    done, dice = tmp_path / "done", random.Random(7)
    done.touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAIZEN_REPO_ROOT": str(plane)}
    for number in range(20):
        argv = [sys.executable, "-c", SESSION, str(done), str(number), run, "500"]
        process = subprocess.Popen(argv, env=environment)
        goal = len(done.read_text(encoding="utf-8").splitlines()) + dice.randrange(10, 40)
        until = time.monotonic() + 60
        while len(done.read_text(encoding="utf-8").splitlines()) < goal and process.poll() is None and time.monotonic() < until:
            time.sleep(dice.random() * 0.02)
        process.kill()
        process.wait()
    answered = done.read_text(encoding="utf-8").split()
    assert len(answered) >= 300 and len(set(answered)) == len(answered)
    calls = {row["id"]: row for row in kz.ok("N6", limit=-1)["records"]}
    assert set(answered) <= set(calls), "a call that was answered has no record"
    assert all(calls[call_id]["status"] != "started" for call_id in answered)
    # What was not answered was cut off: at most one call a kill.
    assert len(calls) - len(answered) <= 20
    assert kz.ok("V1")["status"] == "OK"
    shown = kz.ok("K18", id=run)
    begun = [row for row in calls.values() if row["status"] in ("succeeded", "failed", "started")]
    assert shown["record"]["calls"] == len(begun)
