"""Settings files: what is merged from where, and what is refused."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from kaizen_components import denial
from kaizen_components.agent.permissions import settings
from kaizen_components.paths import of_root
from kaizen_components.store import Store


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def write(folder: Path, name: str, said) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
    return path


def allow(*texts: str) -> dict:
    return {"permissions": {"allow": list(texts)}}


def said(policy: settings.Policy) -> list[tuple[str, str, str]]:
    return [(rule.decision, rule.text, rule.source) for rule in policy.rules]


def test_without_files_there_are_no_rules(home, plane):
    policy = settings.load(plane)
    assert (policy.rules, policy.mode, policy.directories, policy.sources) == ((), None, (), ())


def test_files_of_the_user_the_project_and_others_are_merged_with_their_places(home, plane):
    write(home, ".kaizen/settings.json", allow("Bash(a)"))
    write(plane, ".kaizen/settings.json", allow("Bash(b)"))
    write(plane, ".kaizen/settings.local.json", {"permissions": {"deny": ["Bash(c)"], "ask": ["Bash(d)"]}})
    write(home, ".claude/settings.json", allow("Bash(e)"))
    write(plane, ".claude/settings.json", {**allow("Bash(f)"), "model": "any", "hooks": {"PreToolUse": []}})
    write(plane, ".claude/settings.local.json", allow("Bash(g)", "mcp__x__y"))
    assert said(settings.load(plane)) == [
        ("allow", "Bash(a)", "~/.kaizen/settings.json"),
        ("allow", "Bash(b)", ".kaizen/settings.json"),
        ("deny", "Bash(c)", ".kaizen/settings.local.json"),
        ("ask", "Bash(d)", ".kaizen/settings.local.json"),
        ("allow", "Bash(e)", "~/.claude/settings.json"),
        ("allow", "Bash(f)", ".claude/settings.json"),
        ("allow", "Bash(g)", ".claude/settings.local.json"),
        ("allow", "mcp__x__y", ".claude/settings.local.json"),
    ]


def test_rules_of_the_plane_are_merged_and_follow_what_is_added_and_removed(home, kz, plane):
    store = Store(of_root(plane))
    kz.ok("K1")
    added = kz.ok("N4", action="add", decision="deny", rule="Bash(rm *)")
    assert said(settings.load(plane, store)) == [("deny", "Bash(rm *)", f"the plane ({added['id']})")]
    store.release()
    kz.ok("N4", action="remove", rule="Bash(rm *)")
    assert said(settings.load(plane, store)) == []
    store.release()


def test_a_changed_file_counts_at_once(home, plane):
    path = write(plane, ".kaizen/settings.json", allow("Bash(a)"))
    assert len(settings.load(plane).rules) == 1
    write(plane, ".kaizen/settings.json", allow("Bash(a)", "Bash(b)"))
    assert len(settings.load(plane).rules) == 2
    path.unlink()
    assert settings.load(plane).rules == ()


def test_what_did_not_change_is_not_read_again(home, plane):
    write(plane, ".kaizen/settings.json", allow(*(f"Bash(program{n} *)" for n in range(300))))
    first = settings.load(plane)
    began = time.perf_counter()
    for _ in range(100):
        assert settings.load(plane) is first
    assert (time.perf_counter() - began) / 100 < 0.002


def test_paths_of_rules_start_where_their_file_lies(home, plane):
    write(home, ".kaizen/settings.json", allow("Edit(/notes/**)", "Edit(src/**)", "Edit(~/x)"))
    found = settings.load(plane).rules
    assert found[0].matches_path(str(home.resolve() / "notes/a"))
    assert found[1].matches_path(str(plane.resolve() / "src/a"))
    assert found[2].matches_path(str(home.resolve() / "x"))


def test_further_folders_and_the_mode_are_read(home, plane, tmp_path):
    (tmp_path / "shared").mkdir()
    write(
        plane,
        ".claude/settings.json",
        {"permissions": {"additionalDirectories": ["../shared", "~/docs"], "defaultMode": "acceptEdits"}},
    )
    policy = settings.load(plane)
    assert policy.directories == (os.path.realpath(tmp_path / "shared"), os.path.realpath(home / "docs"))
    assert policy.mode == "accept-edits"


def test_no_file_can_switch_the_gate_off(home, plane):
    write(plane, ".claude/settings.json", {"permissions": {"defaultMode": "bypassPermissions"}})
    assert settings.load(plane).mode == "default"


def test_hooks_of_kaizens_own_files_are_offered(home, plane):
    hook = {"tools": "bash_.*", "command": ["python", "check.py"], "timeout": 5}
    write(plane, ".kaizen/settings.json", {"hooks": {"before": [hook], "after": [{"command": ["true"]}]}})
    policy = settings.load(plane)
    assert policy.hooks["before"] == ({**hook, "timeout": 5.0, "source": ".kaizen/settings.json"},)
    assert policy.hooks["after"] == ({"tools": None, "command": ["true"], "timeout": 30.0, "source": ".kaizen/settings.json"},)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "no object"),
        ('{"permissions": []}', "permissions is no object"),
        ('{"permissions": {"allow": "Bash"}}', "allow is no list"),
        ('{"permissions": {"allow": [1]}}', "no list of texts"),
        ('{"permissions": {"allow": [], "allow": []}}', "twice"),
        ('{"permissions": {"alow": []}}', "knows no 'alow'"),
        ('{"permision": {}}', "knows no 'permision'"),
        ('{"permissions": {"defaultMode": "yolo"}}', "defaultMode"),
        ('{"permissions": {"defaultMode": 1}}', "defaultMode is no text"),
        ('{"permissions": {"additionalDirectories": "x"}}', "no list"),
        ('{"hooks": {"before": [{"command": "rm"}]}}', "no command"),
        ('{"hooks": {"before": [{"command": []}]}}', "no command"),
        ('{"hooks": {"before": [{"command": ["x"], "timeout": "1"}]}}', "timeout"),
        ('{"hooks": {"before": [{"command": ["x"], "tools": "("}]}}', "regular expression"),
        ('{"hooks": {"during": []}}', "knows no 'during'"),
        ("\udcff", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name(home, plane, content, reason):
    (plane / ".kaizen").mkdir()
    (plane / ".kaizen/settings.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(denial.SettingsInvalid) as refused:
        settings.load(plane)
    assert refused.value.detail["path"] == ".kaizen/settings.json"
    assert reason in refused.value.detail["reason"]


def test_an_unknown_rule_in_a_file_is_refused_and_not_skipped(home, plane):
    write(plane, ".claude/settings.json", {"permissions": {"deny": ["Raed(secrets/**)"]}})
    with pytest.raises(denial.PermissionRuleInvalid) as refused:
        settings.load(plane)
    assert (refused.value.detail["rule"], refused.value.detail["source"]) == ("Raed(secrets/**)", ".claude/settings.json")


def test_broken_settings_stop_every_call(home, kz, plane):
    kz.ok("K1")
    write(plane, ".kaizen/settings.json", "{")
    kz.denied("DENIED_SETTINGS_INVALID", "N3", tool="read_file", payload_json='{"path": "x"}')
    kz.denied("DENIED_SETTINGS_INVALID", "N2", tool="read_file", payload_json='{"path": "x"}')


# --- N4 -------------------------------------------------------------------------------------------


def test_rules_are_listed_with_their_places_the_strictest_first(home, kz, plane):
    kz.ok("K1")
    write(plane, ".kaizen/settings.json", allow("Bash(git *)"))
    added = kz.ok("N4", action="add", decision="deny", rule="Bash(git push *)", reason="A person pushes.")
    assert kz.ok("N4")["rules"] == [
        {"decision": "deny", "rule": "Bash(git push *)", "source": f"the plane ({added['id']})", "reason": "A person pushes."},
        {"decision": "allow", "rule": "Bash(git *)", "source": ".kaizen/settings.json", "reason": None},
    ]
    assert "git push" in kz("N4", _text=True).stdout


def test_a_rule_is_added_once(home, kz, plane):
    kz.ok("K1")
    first = kz.ok("N4", action="add", decision="allow", rule="Bash(git *)")
    again = kz.ok("N4", action="add", decision="allow", rule=" Bash(git *) ")
    assert again["already"] is True and again["id"] == first["id"]
    assert kz.ok("N4")["count"] == 1


def test_what_is_no_rule_is_not_added(home, kz, plane):
    kz.ok("K1")
    kz.denied("DENIED_PERMISSION_RULE_INVALID", "N4", action="add", decision="allow", rule="Bsh(git *)")
    kz.denied("DENIED_SCHEMA_REQUIRED", "N4", action="add", decision="allow")
    kz.denied("DENIED_SCHEMA_REQUIRED", "N4", action="add", rule="Bash")
    assert kz.ok("N4")["count"] == 0


def test_a_rule_that_is_not_there_is_not_removed(home, kz, plane):
    kz.ok("K1")
    write(plane, ".kaizen/settings.json", allow("Bash(git *)"))
    kz.denied("DENIED_PERMISSION_RULE_UNKNOWN", "N4", action="remove", rule="Bash(git *)")
    kz.ok("N4", action="add", decision="allow", rule="Bash(ls)")
    kz.denied("DENIED_PERMISSION_RULE_UNKNOWN", "N4", action="remove", rule="Bash(ls)", decision="deny")
    assert kz.ok("N4", action="remove", rule="Bash(ls)")["removed"][0]["rule"] == "Bash(ls)"
