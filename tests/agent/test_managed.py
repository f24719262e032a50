"""The way of a call: what is judged, asked, run and recorded, in this order, and what a result says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kaizen_components.agent import Hooks, ToolRegistry
from kaizen_components.agent.tool import Given, Outcome, Tool, ToolError
from kaizen_components.call import Result

SECRET = "AKIA" + "ABCDEFGHIJKLMNOP"


@pytest.fixture
def tools(kz, plane):
    """Every native tool in a plane of its own; the session's options go to its calls."""
    kz.ok("K1")
    registry = ToolRegistry()
    registry.register_defaults()
    sessions = []

    def call(name, arguments, **options):
        session = registry.session(plane, **options)
        sessions.append(session)
        return session.call(name, arguments)

    call.registry = registry
    yield call
    for session in sessions:
        session.store.leave()


def record(kz, result):
    return kz.ok("N5", id=result.call_id)["record"]


def test_seven_groups_hold_nineteen_tools():
    registry = ToolRegistry()
    assert registry.register_defaults(categories=["file", "bash", "search", "agent", "interaction", "planning", "process"]) == 19
    assert len(registry) == 19 and "read_file" in registry
    assert ToolRegistry().register_defaults(categories=["file"]) == 7


def test_a_group_that_is_none_is_refused(kz):
    from kaizen_components import denial

    with pytest.raises(denial.ToolGroupUnknown):
        ToolRegistry().register_defaults(categories=["files"])


def test_refusals_of_a_registry_name_what_was_asked_for(kz):
    from kaizen_components import denial

    registry = ToolRegistry()
    with pytest.raises(denial.ToolGroupUnknown, match="'nope'") as no_group:
        registry.register_defaults(["nope"])
    assert "file, bash, search" in no_group.value.required_action
    registry.register_defaults(["file"])
    with pytest.raises(denial.ToolUnknown, match="'todo_write' is not in this registry: its group, interaction,") as no_tool:
        registry.run("todo_write", {})
    assert "register_defaults(['interaction'])" in no_tool.value.required_action
    with pytest.raises(denial.ToolUnknown, match="'zzzz'"):
        registry.get("zzzz")


@pytest.mark.parametrize(
    ("op", "flags", "word"),
    [
        ("N6", {"status": "bogus"}, "succeeded"),
        ("N6", {"decision": "no"}, "deny"),
        ("N6", {"danger": "huge"}, "critical"),
        ("N11", {"status": "bogus"}, "done"),
        ("T15", {"status": "bogus"}, "unverified"),
    ],
)
def test_a_filter_that_fits_nothing_is_refused_with_the_words_there_are(kz, op, flags, word):
    assert word in kz.denied("DENIED_SCHEMA_ENUM", op, **flags)["required_action"]


def test_calls_are_listed_by_tools_that_there_are(kz):
    kz.ok("K1")
    assert kz.denied("DENIED_TOOL_UNKNOWN", "N6", tool="read_fil")["nearest"][0] == "read_file"
    assert kz.ok("N6", tool="read_file")["count"] == 0


@pytest.mark.parametrize(("style", "key"), [("openai", "function"), ("anthropic", "input_schema"), ("mcp", "inputSchema")])
def test_every_tool_is_described_in_every_style(tools, style, key):
    schemas = tools.registry.schemas(style)
    assert len(schemas) == 19 and all(key in schema for schema in schemas)
    assert all("additionalProperties" in json.dumps(schema) for schema in schemas)


def test_a_call_is_recorded_before_its_result_is_returned(kz, plane, tools):
    (plane / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    result = tools("read_file", {"path": "a.txt"})
    assert result.success and "one" in result.output
    row = record(kz, result)
    assert (row["status"], row["decision"], row["danger"], row["tool_group"]) == ("succeeded", "allow", "safe", "file")
    assert json.loads(row["arguments_json"]) == {"path": "a.txt"}
    assert result.receipt["seq"] == row["updated_seq"] == row["created_seq"] + 1
    assert row["result_sha256"] and row["rule"] == result.rule and row["duration_ms"] is not None


def test_a_file_that_changed_is_in_the_record_with_hashes_and_diff(kz, plane, tools):
    (plane / "a.txt").write_text("one\n", encoding="utf-8")
    result = tools("edit_file", {"path": "a.txt", "old_string": "one", "new_string": "two"})
    shown = kz.ok("N5", id=result.call_id)
    (file,) = json.loads(shown["record"]["files_json"])
    assert file["path"] == "a.txt" and file["before"] != file["after"]
    assert "-one" in shown["diffs"][0]["diff"] and "+two" in shown["diffs"][0]["diff"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [({"path": 5}, "bad_argument"), ({}, "bad_argument"), ({"path": "a", "colour": "red"}, "unknown_argument")],
)
def test_arguments_that_the_tool_does_not_take_are_refused_by_name(kz, tools, arguments, kind):
    result = tools("read_file", arguments)
    assert (result.success, result.error_kind) == (False, kind)
    assert ("colour" in result.error) is (kind == "unknown_argument") and ("path" in result.error)
    assert (record(kz, result)["status"], record(kz, result)["error_kind"]) == ("denied", kind)


def test_a_name_that_is_no_tool_is_refused_with_the_nearest(kz):
    reply = kz.denied("DENIED_TOOL_UNKNOWN", "N2", tool="read_fil", payload_json="{}")
    assert "read_file" in reply["nearest"]
    assert "nearest" not in kz.denied("DENIED_TOOL_UNKNOWN", "N2", tool="zzzzzzzz", payload_json="{}")


def test_a_secret_in_an_argument_is_masked_in_the_record_alone(kz, plane, tools):
    result = tools("write_file", {"path": "a.txt", "content": f"key = {SECRET}\n"})
    assert result.success and SECRET in (plane / "a.txt").read_text(encoding="utf-8")
    row = record(kz, result)
    assert SECRET not in json.dumps(row) and row["arguments_masked"] == 1
    kept = b"".join(path.read_bytes() for path in (plane / "AI/db").rglob("*") if path.is_file())
    assert SECRET.encode() not in kept


def test_a_large_result_is_kept_in_a_file_and_the_ledger_keeps_its_hash(kz, plane, tools):
    (plane / "a.txt").write_text("word " * 20_000, encoding="utf-8")
    (plane / "many.txt").write_text("\n".join(f"line {n} of many" for n in range(1_900)), encoding="utf-8")
    result = tools("read_file", {"path": "many.txt"})
    row = record(kz, result)
    assert row["result_blob"] and row["result_bytes"] == len(result.output.encode())
    assert kz.ok("N5", id=result.call_id, output=True)["output"] == result.output


# --- denied and asked -----------------------------------------------------------------------------


def rules(kz, decision, rule):
    kz.ok("N4", action="add", decision=decision, rule=rule)


def test_what_no_permission_would_mend_is_refused_before_anybody_is_asked(kz, plane, tools):
    asked = []
    result = tools("task", {"prompt": "x", "subagent_type": "nobody"}, approve=asked.append)
    assert (result.decision, result.error_kind, asked) == ("deny", "bad_argument", [])
    assert result.metadata["runners"] == ["echo"] and "There is echo" in (result.error or "")
    row = record(kz, result)
    assert (row["status"], row["error_kind"], row["rule"]) == ("denied", "bad_argument", "schema")
    refused = kz.denied("DENIED_TOOL_ARGUMENTS", "N2", tool="task", payload_json='{"prompt": "x", "subagent_type": "nobody"}')
    assert refused["errors"][0]["argument"] == "subagent_type"
    kz.denied("DENIED_TOOL_ARGUMENTS", "N3", tool="task", payload_json='{"prompt": "x", "subagent_type": "nobody"}')
    for arguments in ({"command": "ls", "cwd": "no/where"}, {"command": "ls", "cwd": "/"}, {"command": "ls \0"}):
        assert tools("bash_command", arguments).error_kind == "bad_argument"


def test_what_a_tool_says_against_being_judged_reaches_the_caller(kz, tools):
    class Strange(Tool):
        name, group, rule_names = "strange", "file", ("Strange",)

        def accesses(self, given, context):
            raise ToolError("too_strange", "It is too strange.", degree=7)

    tools.registry.register(Strange())
    result = tools("strange", {})
    assert (result.decision, result.error_kind, result.metadata["degree"]) == ("deny", "too_strange", 7)


@pytest.mark.parametrize(("mode", "decision"), [("plan", "deny"), ("accept-edits", "allow")])
def test_a_mode_that_allows_less_holds_also_for_what_was_judged_before(kz, plane, tools, mode, decision):
    rules(kz, "ask", "Write(a.txt)")
    run_id = kz.ok("T5", summary="A run.")["id"]

    def approve(question):
        from agents import store_of

        store = store_of()
        store.perform(store.call, lambda: Result(id=store.revise("agent_run", run_id, {"mode": mode})["id"]))
        store.leave()
        return True

    result = tools("write_file", {"path": "a.txt", "content": "x"}, run_id=run_id, approve=approve)
    assert result.decision == decision and (plane / "a.txt").exists() == (decision == "allow")
    row = record(kz, result)
    if decision == "deny":
        assert (row["status"], row["error_kind"], row["rule"]) == ("denied", "mode_changed", "mode plan")
        assert kz.ok("T7", id=run_id)["used"]["calls"] == 0


def test_records_do_not_say_where_the_workspace_lies(kz, plane, tools):
    (plane / "sub").mkdir()
    for name, arguments in (
        ("bash_command", {"command": "exit 3", "cwd": "sub"}),
        ("read_file", {"path": "sub/none"}),
        ("read_file", {"path": str(plane / "none")}),
    ):
        row = record(kz, tools(name, arguments, approve=lambda _: True))
        told = {key: value for key, value in row.items() if key not in ("arguments_json", "rule")}
        assert str(plane) not in json.dumps(told), row


def test_a_path_that_only_begins_like_the_workspace_is_left_alone(plane, tools):
    from kaizen_components.agent.managed import _Call

    call = _Call(tools.registry.session(plane), tools.registry.get("glob"), {}, None)
    text = f"{plane}/a b {plane} {plane}-other/a /x{plane}/a ('{plane}/.env')"
    assert call._local(text) == f"a b . {plane}-other/a /x{plane}/a ('.env')"


def test_a_denied_call_does_not_take_place_and_is_recorded(kz, plane, tools):
    rules(kz, "deny", "Write(a.txt)")
    result = tools("write_file", {"path": "a.txt", "content": "x"})
    assert (result.success, result.decision, result.error_kind) == (False, "deny", "denied")
    assert not (plane / "a.txt").exists()
    row = record(kz, result)
    assert (row["status"], row["decision"]) == ("denied", "deny") and "Write(a.txt)" in row["rule"]
    assert row["started_at"] is None


def test_a_call_that_is_asked_about_waits_for_an_approval_that_holds_once(kz, plane, tools):
    rules(kz, "ask", "Write(a.txt)")
    arguments = {"path": "a.txt", "content": "x"}
    asked = tools("write_file", arguments)
    assert (asked.decision, asked.error_kind) == ("ask", "approval_required") and not (plane / "a.txt").exists()
    approval = kz.ok("N8", id=asked.call_id, reason="Only this one.")
    other = tools("write_file", {**arguments, "content": "y"})
    assert other.error_kind == "approval_required", "an approval is for exactly these arguments"
    done = tools("write_file", arguments)
    assert done.success and record(kz, done)["approval_id"] == approval["id"] in done.rule
    assert tools("write_file", arguments).error_kind == "approval_required", "it was used"
    kz.denied("DENIED_APPROVAL_NOT_ASKED", "N8", id=done.call_id)


def test_an_explanation_says_whether_a_command_has_the_network(kz):
    from kaizen_components.agent import confinement

    open_anyway = confinement.available().name == "unconfined"
    kz.ok("N4", action="add", decision="allow", rule="Bash(git *)")
    said = {}
    for command in ("git push", "git log", "shutdown now"):
        said[command] = kz.ok("N3", tool="bash_command", payload_json=json.dumps({"command": command}))["network"]
    assert said == {"git push": True, "git log": open_anyway, "shutdown now": False}
    assert kz.ok("N3", tool="glob", payload_json='{"pattern": "*"}')["network"] is None
    shown = kz("N3", tool="bash_command", payload_json='{"command": "git push"}', _text=True).stdout
    assert "network: yes" in shown.splitlines()


def test_a_call_is_approved_once_and_its_record_says_by_what(kz, plane, tools):
    rules(kz, "ask", "Write(a.txt)")
    arguments = {"path": "a.txt", "content": f"key {SECRET}"}
    asked = tools("write_file", arguments)
    first = kz.ok("N8", id=asked.call_id)
    assert first["arguments"]["path"] == "a.txt" and SECRET not in json.dumps(first) and first["asked_because"]
    again = kz.ok("N8", id=asked.call_id, minutes=60)
    assert again["id"] == first["id"] and again["already"] is True and again["expires_at"] == first["expires_at"]
    done = tools("write_file", arguments)
    refused = kz.denied("DENIED_APPROVAL_NOT_ASKED", "N8", id=asked.call_id)
    assert refused["used_by"] == done.call_id and done.call_id in refused["message"]
    assert tools("write_file", arguments).error_kind == "approval_required"
    (shown,) = kz.ok("N5", id=asked.call_id)["approvals"]
    assert (shown["id"], shown["status"], shown["used_by"]) == (first["id"], "used", done.call_id)


def test_a_call_whose_approval_is_over_is_approved_again(kz, plane, tools, monkeypatch):
    rules(kz, "ask", "Write(a.txt)")
    monkeypatch.setenv("KAIZEN_CLOCK", "2020-01-01T00:00:00+00:00")
    asked = tools("write_file", {"path": "a.txt", "content": "x"})
    first = kz.ok("N8", id=asked.call_id, minutes=1)["id"]
    monkeypatch.setenv("KAIZEN_CLOCK", "2020-01-01T01:00:00+00:00")
    second = kz.ok("N8", id=asked.call_id, minutes=1)
    assert second["id"] != first and "already" not in second
    assert len(kz.ok("N5", id=asked.call_id)["approvals"]) == 2


def test_an_approval_expires(kz, plane, tools, monkeypatch):
    rules(kz, "ask", "Write(a.txt)")
    arguments = {"path": "a.txt", "content": "x"}
    monkeypatch.setenv("KAIZEN_CLOCK", "2020-01-01T00:00:00+00:00")
    asked = tools("write_file", arguments)
    kz.ok("N8", id=asked.call_id, minutes=1)
    monkeypatch.setenv("KAIZEN_CLOCK", "2020-01-01T01:00:00+00:00")
    assert tools("write_file", arguments).error_kind == "approval_required"


@pytest.mark.parametrize(("says", "decision"), [(True, "allow"), (False, "deny")])
def test_a_person_who_is_there_decides_at_once(kz, plane, tools, says, decision):
    rules(kz, "ask", "Write(a.txt)")
    heard = []
    result = tools("write_file", {"path": "a.txt", "content": "x"}, approve=lambda question: heard.append(question) or says)
    assert heard[0]["tool_name"] == "write_file" and heard[0]["danger"] == "low"
    assert result.decision == decision and (plane / "a.txt").exists() is says
    assert "by a person" in record(kz, result)["rule"]


def test_on_the_command_line_a_denial_names_the_call_and_how_to_go_on(kz):
    kz.ok("N4", action="add", decision="ask", rule="Write(a.txt)")
    payload = '{"path": "a.txt", "content": "x"}'
    reply = kz.denied("DENIED_APPROVAL_REQUIRED", "N2", tool="write_file", payload_json=payload)
    assert reply.code == 1 and f"N8 --id {reply['call_id']}" in reply["required_action"]
    assert f"N5 --id {reply['call_id']}" in reply["required_action"]
    kz.ok("N8", id=reply["call_id"])
    assert kz.ok("N2", tool="write_file", payload_json=payload)["success"] is True
    reply = kz.denied("DENIED_TOOL_ARGUMENTS", "N2", tool="write_file", payload_json='{"path": 1}')
    assert reply.code == 2 and reply["errors"][0]["argument"] in ("path", "content")
    kz.denied("DENIED_PERMISSION", "N2", tool="write_file", payload_json='{"path": "/etc/passwd", "content": "x"}')


def test_a_tool_that_fails_is_a_finding(kz):
    reply = kz("N2", tool="read_file", payload_json='{"path": "no.txt"}')
    assert (reply.code, reply["status"], reply["error_kind"]) == (1, "FAILED", "not_found")


def test_a_call_with_a_key_takes_place_once(kz, plane):
    flags = {"tool": "write_file", "payload_json": '{"path": "a.txt", "content": "x"}', "key": "once"}
    first = kz.ok("N2", **flags)
    (plane / "a.txt").unlink()
    again = kz.ok("N2", **flags)
    assert again["replayed"] is True and again["call_id"] == first["call_id"] and not (plane / "a.txt").exists()


def test_the_mode_is_in_the_record(kz, plane, tools):
    rules(kz, "ask", "Write(a.txt)")
    result = tools("write_file", {"path": "a.txt", "content": "x"}, mode="bypass")
    assert result.success and record(kz, result)["mode"] == "bypass" and "bypass" in record(kz, result)["rule"]
    denied = tools("read_file", {"path": "a.txt"}, mode="deny-all")
    assert denied.decision == "deny" and record(kz, denied)["mode"] == "deny-all"


# --- hooks ----------------------------------------------------------------------------------------


def test_a_hook_denies_and_the_record_says_which(kz, plane, tools):
    hooks = Hooks()

    def no_files(payload):
        return {"should_continue": False, "message": f"no {payload['tool_name']} today"}

    hooks.add("before", no_files)
    result = tools("write_file", {"path": "a.txt", "content": "x"}, hooks=hooks)
    assert (result.error_kind, result.error) == ("denied_by_hook", "no write_file today") and not (plane / "a.txt").exists()
    row = record(kz, result)
    assert row["status"] == "denied" and row["rule"].startswith("hook ") and json.loads(row["hooks_json"])[0]["denied"] is True


def test_what_a_hook_changes_is_judged_anew(kz, plane, tools):
    rules(kz, "deny", "Write(b.txt)")
    hooks = Hooks()
    hooks.add("before", lambda payload: {"tool_input": {"path": "b.txt", "content": "x"}})
    result = tools("write_file", {"path": "a.txt", "content": "x"}, hooks=hooks)
    assert result.decision == "deny" and json.loads(record(kz, result)["arguments_json"])["path"] == "b.txt"


def test_hooks_of_the_settings_are_asked_as_well(kz, plane, tools):
    (plane / ".kaizen").mkdir()
    hook = {"tools": "write_file", "command": [sys.executable, "-c", "raise SystemExit('broken')"]}
    (plane / ".kaizen/settings.json").write_text(json.dumps({"hooks": {"before": [hook]}}), encoding="utf-8")
    result = tools("write_file", {"path": "a.txt", "content": "x"})
    assert result.error_kind == "denied_by_hook" and not (plane / "a.txt").exists()


def test_a_hook_whose_program_is_missing_is_named_with_its_file(kz, plane):
    kz.ok("K1")
    (plane / ".kaizen").mkdir()
    hooks = {"before": [{"tools": "write_.*", "command": [sys.executable, "gone.py"]}], "after": [{"command": ["true"]}]}
    (plane / ".kaizen/settings.json").write_text(json.dumps({"hooks": hooks}), encoding="utf-8")
    named = f"{sys.executable} gone.py (.kaizen/settings.json)"
    arguments = json.dumps({"path": "a.txt", "content": "x"})
    reply = kz.denied("DENIED_PERMISSION", "N2", tool="write_file", payload_json=arguments)
    assert reply["rule"] == f"hook {named}" and f"the hook {named} says" in reply["reason"] and "N4" in reply["required_action"]
    assert kz.ok("N3", tool="write_file", payload_json=arguments)["hooks"] == [named]
    assert kz.ok("N3", tool="read_file", payload_json='{"path": "a.txt"}')["hooks"] == []
    assert f"hook {named}" in kz("N3", tool="write_file", payload_json=arguments, _text=True).stdout
    listed = kz.ok("N4")["hooks"]
    assert [(one["event"], one["tools"], one["source"]) for one in listed] == [
        ("before", "write_.*", ".kaizen/settings.json"),
        ("after", None, ".kaizen/settings.json"),
    ]
    assert "hook after every tool: true  .kaizen/settings.json" in kz("N4", _text=True).stdout


def test_the_reason_of_a_rule_is_listed(kz, plane):
    kz.ok("N4", action="add", decision="allow", rule="Bash(make)", reason="It only builds.")
    assert kz.ok("N4")["rules"][0]["reason"] == "It only builds."
    assert "It only builds." in kz("N4", _text=True).stdout


def test_a_rule_about_no_tool_says_where_tools_are_listed(kz):
    assert (
        "N1 lists the tools"
        in kz.denied("DENIED_PERMISSION_RULE_INVALID", "N4", action="add", decision="deny", rule="Zzz")["message"]
    )


def test_hooks_after_a_call_hear_its_result(kz, plane, tools):
    hooks, heard = Hooks(), []
    hooks.add("after", heard.append)
    tools("file_exists", {"path": "a.txt"}, hooks=hooks)
    assert heard[0]["tool_result"]["success"] is True


# --- what goes wrong ------------------------------------------------------------------------------


class Wanted(Given):
    how: str


class Odd(Tool):
    """Fail in many ways."""

    name = "odd"
    group = "file"
    takes = Wanted
    rule_names = ("Read",)
    reads_only = True

    def run(self, given, context):
        from kaizen_components import denial

        if given.how == "error":
            raise ToolError("not_found", f"no such thing, {SECRET}", place="here")
        if given.how == "denial":
            raise denial.BackendUnavailable("Install it.", package="odd")
        if given.how == "defect":
            raise ZeroDivisionError("by zero")
        return Outcome({"odd": b"\xff".decode("latin-1"), "half": "\ud800"})


@pytest.mark.parametrize(
    ("how", "kind"), [("error", "not_found"), ("denial", "denied_backend_unavailable"), ("defect", "defect")]
)
def test_whatever_a_tool_raises_is_in_the_record(kz, plane, how, kind):
    kz.ok("K1")
    registry = ToolRegistry()
    registry.register(Odd())
    result = registry.run("odd", {"how": how}, root=plane)
    row = record(kz, result)
    assert (result.error_kind, row["error_kind"], row["status"]) == (kind, kind, "failed")
    assert SECRET not in json.dumps(row)


def test_any_text_can_be_a_result(kz, plane):
    kz.ok("K1")
    registry = ToolRegistry()
    registry.register(Odd())
    assert registry.run("odd", {"how": "fine"}, root=plane).success


def test_a_rule_that_another_process_writes_holds_from_the_next_call(kz, plane, tools):
    (plane / "a.txt").write_text("text")
    session = tools.registry.session(plane)
    assert session.call("read_file", {"path": "a.txt"}).success
    kaizen = Path(__file__).resolve().parents[2] / "kaizen.py"
    said = ["--action", "add", "--decision", "deny", "--rule", "Read(a.txt)", "--reason", "It is private."]
    environment = {**os.environ, "KAIZEN_REPO_ROOT": str(plane)}
    subprocess.run([sys.executable, kaizen, "N4", *said], env=environment, check=True, capture_output=True)
    assert session.call("read_file", {"path": "a.txt"}).decision == "deny"
    session.store.leave()


def test_a_rule_that_is_added_while_a_hook_is_asked_holds(kz, plane, tools):
    (plane / "f").write_text("text")
    hooks = Hooks()
    hooks.add("before", lambda payload: rules(kz, "deny", "Read(f)"))
    result = tools("read_file", {"path": "f"}, hooks=hooks)
    assert (result.decision, result.output) == ("deny", None) and "Read(f)" in str(result.rule)


@pytest.mark.parametrize("where", ["plane", "file"])
def test_a_rule_that_is_added_between_judgement_and_start_holds(kz, plane, tools, monkeypatch, where):
    from kaizen_components.agent.permissions import gate

    (plane / "f").write_text("text")
    judged = gate.authorize

    def added(*arguments):
        said = judged(*arguments)
        monkeypatch.setattr(gate, "authorize", judged)
        if where == "plane":
            rules(kz, "deny", "Read(f)")
        else:
            (plane / ".kaizen").mkdir()
            (plane / ".kaizen" / "settings.json").write_text('{"permissions": {"deny": ["Read(f)"]}}')
        return said

    monkeypatch.setattr(gate, "authorize", added)
    result = tools("read_file", {"path": "f"})
    assert (result.decision, result.output) == ("deny", None) and "Read(f)" in str(result.rule)
    assert kz.ok("N6", tool="read_file")["count"] == 1


def test_a_person_who_adds_a_rule_while_asked_is_not_asked_twice(kz, plane, tools):
    rules(kz, "ask", "Write(a.txt)")
    heard = []

    def approve(question):
        heard.append(question)
        rules(kz, "allow", "Read(b.txt)")
        return True

    done = tools("write_file", {"path": "a.txt", "content": "x"}, approve=approve)
    assert done.success and len(heard) == 1 and "approved by a person" in done.rule


def test_rules_that_never_rest_deny(kz, plane, tools, monkeypatch):
    from kaizen_components.agent.permissions import gate

    (plane / "f").write_text("text")
    judged, number = gate.authorize, iter(range(100))

    def added(*arguments):
        rules(kz, "deny", f"Read(x{next(number)})")
        return judged(*arguments)

    monkeypatch.setattr(gate, "authorize", added)
    result = tools("read_file", {"path": "f"})
    assert (result.decision, result.error_kind) == ("deny", "rules_changed") and record(kz, result)["status"] == "denied"


def test_what_only_reads_files_waits_for_the_disk_once(kz, plane, tools, monkeypatch):
    (plane / "a.txt").write_text("text")
    session = tools.registry.session(plane)
    waited = []
    perform = type(session.store).perform
    monkeypatch.setattr(
        type(session.store),
        "perform",
        lambda self, call, work, **how: waited.append(how.get("waits", True)) or perform(self, call, work, **how),
    )
    session.call("read_file", {"path": "a.txt"})
    session.call("write_file", {"path": "b.txt", "content": "text"})
    assert waited == [False, True, True, True]
    session.store.leave()


def test_calls_may_be_under_way_at_once(kz, plane):
    kz.ok("K1")
    (plane / "a.txt").write_text("one\n", encoding="utf-8")
    registry = ToolRegistry()
    registry.register_defaults(categories=["file"])

    async def many():
        return await asyncio.gather(*(registry.execute("read_file", {"path": "a.txt"}, root=plane) for _ in range(8)))

    assert all(result.success for result in asyncio.run(many()))
    assert kz.ok("N6", limit=-1)["count"] == 8 and kz.ok("V1")["status"] == "OK"


def test_a_call_that_dies_with_its_process_stays_started(kz, plane):
    kz.ok("K1")
    program = textwrap.dedent(
        """
        import os, signal
        from kaizen_components.agent import ToolRegistry
        from kaizen_components.agent.tool import Outcome, Tool

        class Dies(Tool):
            '''Die.'''
            name, group, rule_names, reads_only = "dies", "file", ("Read",), True
            def run(self, given, context):
                os.kill(os.getpid(), signal.SIGKILL)

        registry = ToolRegistry()
        registry.register(Dies())
        registry.run("dies")
        """
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "KAIZEN_REPO_ROOT": str(plane)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    (row,) = kz.ok("N6")["records"]
    shown = kz.ok("N5", id=row["id"])
    assert row["status"] == "started" and shown["never_finished"] is True and shown["under_way"] is False
    kz.ok("V1")


# --- retention ------------------------------------------------------------------------------------


def test_old_outputs_are_pruned_and_their_hashes_stay(kz, plane, tools):
    (plane / "a.txt").write_text("one\n", encoding="utf-8")
    result = tools("edit_file", {"path": "a.txt", "old_string": "one", "new_string": "two"})
    assert kz.ok("N9", days=1)["files"] == 0
    assert kz.ok("N9", days=0, dry_run=True)["files"] == 1
    assert kz.ok("N5", id=result.call_id)["diffs"][0]["diff"]
    assert kz.ok("N9", days=0)["files"] == 1
    shown = kz.ok("N5", id=result.call_id)
    assert shown["diffs"][0]["diff"] is None and json.loads(shown["record"]["files_json"])[0]["diff"]
    kz.ok("V1", files=True)


def test_what_another_record_keeps_is_not_pruned(kz, plane, tools):
    from kaizen_components import paths
    from kaizen_components.call import Call, Result
    from kaizen_components.metrics.records import MetricsAnalysis
    from kaizen_components.store import Store

    (plane / "a.txt").write_text("one\n", encoding="utf-8")
    call = tools("edit_file", {"path": "a.txt", "old_string": "one", "new_string": "two"}).call_id
    [file] = json.loads(kz.ok("N5", id=call)["record"]["files_json"])
    store = Store(paths.find())
    analysis = MetricsAnalysis(fingerprint="0" * 64, executions=0, agents=0, analysis_blob=file["diff"])
    store.perform(Call(op="P5"), lambda: Result(id=store.add(analysis)["id"]))
    assert kz.ok("N9", days=0)["files"] == 0


def test_the_log_is_filtered(kz, plane, tools):
    tools("file_exists", {"path": "a.txt"})
    tools("write_file", {"path": "/etc/passwd", "content": "x"})
    assert [row["tool"] for row in kz.ok("N6", decision="deny")["records"]] == ["write_file"]
    assert [row["tool"] for row in kz.ok("N6", tool="file_exists", danger="safe")["records"]] == ["file_exists"]
    assert kz.ok("N6", run_id="ar_20260101000000_0123456789")["count"] == 0


# --- what rules say of commands, and who stops them ---------------------------------------------------


def test_a_command_neither_reads_nor_writes_what_rules_deny(kz, plane, tools):
    (plane / "keys").mkdir()
    (plane / "keys/a.txt").write_text("private\n", encoding="utf-8")
    (plane / "fixed.txt").write_text("fixed\n", encoding="utf-8")
    rules(kz, "deny", "Read(/keys/**)")
    rules(kz, "deny", "Edit(/fixed.txt)")
    program = "import glob\nfor name in glob.glob('*/*.txt'): print(open(name).read())\nopen('fix' + 'ed.txt', 'w').write('x')"
    (plane / "p.py").write_text(program, encoding="utf-8")
    result = tools("bash_command", {"command": f"{sys.executable} p.py"}, mode="bypass")
    if result.confinement and result.confinement["name"] == "bubblewrap":
        assert "private" not in json.dumps(result.output) and not result.success
        assert (plane / "fixed.txt").read_text(encoding="utf-8") == "fixed\n"


@pytest.mark.parametrize(("run_mode", "session_mode"), [("plan", "bypass"), ("deny-all", "accept-edits")])
def test_no_call_escapes_the_mode_of_its_run(kz, plane, tools, run_mode, session_mode):
    run = kz.ok("T5", summary="Look around.", mode=run_mode)["id"]
    result = tools("write_file", {"path": "a.txt", "content": "x"}, run_id=run, mode=session_mode)
    assert result.decision == "deny" and record(kz, result)["mode"] == run_mode and not (plane / "a.txt").exists()


def test_an_interrupt_reaches_a_command_that_is_under_way(kz, plane, tools):
    import threading
    import time

    run = kz.ok("T5", summary="Wait.")["id"]
    heard = []
    thread = threading.Thread(target=lambda: heard.append(tools("bash_command", {"command": "sleep 60"}, run_id=run)))
    started = time.monotonic()
    thread.start()
    while not kz.ok("N6", status="started")["count"]:
        time.sleep(0.05)
    kz.ok("T16", id=run, how="now", reason="Enough.")
    thread.join()
    assert time.monotonic() - started < 30 and heard[0].success is False
    row = record(kz, heard[0])
    assert row["status"] == "failed" and row["duration_ms"] < 30_000


@pytest.mark.parametrize(("op", "flags"), [("T16", {"how": "now"}), ("T8", {"status": "failed", "reason": "Enough."})])
def test_background_commands_end_with_their_run(kz, plane, tools, op, flags):
    run = kz.ok("T5", summary="Serve.")["id"]
    started = tools("bash_command", {"command": "sleep 300", "run_in_background": True}, run_id=run)
    shell = started.output["shell_id"]
    assert kz.ok(op, id=run, **flags)["ended_commands"] == [shell]
    assert tools("task_output", {"task_id": shell, "block": False}).output["status"] == "killed"


def test_a_rule_may_open_a_folder_that_is_not_there(kz, plane, tools, tmp_path):
    rules(kz, "allow", f"Edit(//{str(tmp_path / 'none').lstrip('/')}/**)")
    assert tools("bash_command", {"command": "echo hi"}).success


def test_a_name_that_rules_know_is_answered_with_the_tool_it_means(kz):
    assert kz.denied("DENIED_TOOL_UNKNOWN", "N2", tool="Bash", payload_json="{}")["nearest"] == ["bash_command"]
    assert kz.denied("DENIED_TOOL_UNKNOWN", "N2", tool="Read", payload_json="{}")["nearest"][0] == "read_file"
