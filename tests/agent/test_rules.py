"""Permission rules: what each text means, and which texts are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaizen_components import denial
from kaizen_components.agent.permissions import rules
from kaizen_components.agent.registry import NATIVE, native

PROJECT, HOME = Path("/work/project"), Path("/home/me")


def rule(text: str, decision: str = "allow") -> rules.Rule:
    return rules.parse(decision, text, ".kaizen/settings.json", project=PROJECT, home=HOME)


@pytest.mark.parametrize(
    ("text", "meant", "not_meant"),
    [
        ("Bash", ["git log", ""], []),
        ("Bash(*)", ["git log"], []),
        ("Bash(npm test)", ["npm test"], ["npm test --watch", "npm tests"]),
        ("Bash(npm run test:*)", ["npm run test", "npm run test --watch"], ["npm run tests", "npm run"]),
        ("Bash(ls *)", ["ls", "ls -l", "ls\t-l"], ["lsof", "als"]),
        ("Bash(ls*)", ["ls", "lsof"], ["als"]),
        ("Bash(* --version)", ["node --version"], ["node --version x"]),
        ("Bash(git * main)", ["git push origin main", "git checkout main"], ["git main", "git push main x"]),
        ("Bash(git * main *)", ["git push main", "git push main x"], ["git push mainly"]),
        (r"Bash(echo \*)", ["echo *"], ["echo a"]),
        ("bash_command(git *)", ["git log"], ["id"]),
    ],
)
def test_a_rule_about_commands(text, meant, not_meant):
    assert [command for command in meant + not_meant if rule(text).matches_command([command])] == meant


@pytest.mark.parametrize(
    ("text", "meant", "not_meant"),
    [
        ("Edit(src/**)", ["/work/project/src/a/b.py"], ["/work/project/lib/src/a.py", "/src/a"]),
        ("Edit(./src/*.py)", ["/work/project/src/a.py"], ["/work/project/src/a/b.py"]),
        ("Edit(/docs/*.md)", ["/work/project/docs/a.md"], ["/work/project/docs/a/b.md"]),
        ("Edit(*.md)", ["/work/project/a.md", "/work/project/docs/b.md"], ["/elsewhere/a.md"]),
        ("Read(~/notes/**)", ["/home/me/notes/a"], ["/home/you/notes/a"]),
        ("Read(//var/log/**)", ["/var/log/a/b"], ["/work/project/var/log/a"]),
        ("Read(../shared/**)", ["/work/shared/a"], ["/work/project/shared/a"]),
        ("Read(secrets)", ["/work/project/secrets", "/work/project/a/secrets/b"], ["/work/project/secretsx"]),
        ("Read", ["/anywhere"], []),
    ],
)
def test_a_rule_about_files(text, meant, not_meant):
    assert [path for path in meant + not_meant if rule(text).matches_path(path)] == meant


def test_a_rule_that_restricts_does_so_in_any_case_and_for_the_folder_itself():
    assert rule("Read(secrets/**)", "deny").matches_path("/work/project/SECRETS/a")
    assert rule("Read(secrets/**)", "deny").matches_path("/work/project/secrets")
    assert not rule("Read(secrets/**)", "allow").matches_path("/work/project/SECRETS/a")


@pytest.mark.parametrize(
    ("text", "meant", "not_meant"),
    [
        ("WebFetch(domain:example.org)", ["example.org"], ["www.example.org", "example.org.evil.com"]),
        ("WebFetch(domain:*.example.org)", ["www.example.org", "a.b.example.org"], ["example.org", "badexample.org"]),
        ("WebFetch(domain:[::1])", ["::1"], ["127.0.0.1"]),
        ("WebFetch(domain:*)", ["anything"], []),
        ("WebFetch", ["anything"], []),
    ],
)
def test_a_rule_about_hosts(text, meant, not_meant):
    assert [host for host in meant + not_meant if rule(text).matches_host(host)] == meant


def test_every_tool_is_known_by_its_own_name_and_its_rule_names():
    for name in NATIVE:
        tool = native(name)
        for known in (name, *tool.rule_names):
            assert rule(known).names(name, tool.rule_names), (name, known)


def test_reading_rules_cover_every_tool_that_reads_and_restricting_ones_every_tool_that_edits():
    def covered(text: str, decision: str) -> set[str]:
        return {name for name in NATIVE if rule(text, decision).names(name, native(name).rule_names)}

    assert covered("Read(x)", "deny") == {"read_file", "glob", "grep", "list_directory", "file_exists"}
    assert covered("Edit(x)", "allow") == {"write_file", "edit_file", "notebook_edit"}
    assert covered("Write(x)", "allow") == {"write_file"}
    assert covered("Write(x)", "deny") == covered("Write(x)", "ask") == {"write_file", "edit_file", "notebook_edit"}


@pytest.mark.parametrize(
    "text", ["mcp__github__create_issue", "mcp__github", "mcp__a__*", "LSP", "SlashCommand(x)", "PowerShell(dir *)"]
)
def test_tools_that_exist_elsewhere_are_known_and_match_nothing(text):
    found = rule(text)
    assert not any(found.names(name, native(name).rule_names) for name in NATIVE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Bsh(git *)", "did you mean Bash"),
        ("Frobnicate", "no tool"),
        ("Bash()", "empty"),
        ("Bash(git *", "neither"),
        ("Bash(git *) please", "neither"),
        ("", "neither"),
        ("git *", "neither"),
        ("TodoWrite(x)", "takes no specifier"),
        ("WebFetch(https://example.org)", "domain:HOST"),
        ("WebFetch(domain:)", "domain:HOST"),
        ("WebFetch(domain:a b)", "domain:HOST"),
        ("Read(!x)", "pattern"),
        ("Read(a/../../b)", "pattern"),
        ("Read(~bob/x)", "~/"),
        ("Bash(a\0b)", "control character"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(text, reason):
    with pytest.raises(denial.PermissionRuleInvalid) as refused:
        rule(text)
    assert reason in refused.value.detail["reason"]
    assert refused.value.detail["source"] == ".kaizen/settings.json"


def test_a_command_of_which_a_part_is_not_known_may_be_meant():
    hole = "\0"
    assert rule("Bash(git push *)", "deny").may_match_command(f"git {hole}", hole)
    assert rule("Bash(git push *)", "deny").may_match_command(f"{hole} x", hole)
    assert rule("Bash(git push)", "deny").may_match_command(f"git {hole}", hole)
    assert not rule("Bash(git push *)", "deny").may_match_command(f"git log {hole}", hole)
    assert not rule("Bash(rm *)", "deny").may_match_command(f"git {hole}", hole)


def test_many_stars_take_no_longer_than_few():
    slow = rule(f"Bash({'a*' * 30}c)")
    assert not slow.matches_command(["a" * 20_000 + "b"])


def test_a_rule_names_itself_and_its_place():
    assert str(rule("Bash(rm *)", "deny")) == "deny Bash(rm *) in .kaizen/settings.json"
