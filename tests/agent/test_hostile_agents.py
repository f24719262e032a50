"""Hostile agents: what one that is up to no good would try under permission, and what it gets."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kaizen_components import denial
from kaizen_components.agent import Hooks, ToolRegistry, background, runners
from kaizen_components.call import Result
from kaizen_components.redaction import mask

SECRET = "ghp_" + "a1B2" * 9
LIMITED = Path(__file__).parents[2] / "kaizen.py"


@pytest.fixture
def tools(kz, plane):
    """Calls a tool in a plane of its own, by a session of its own."""
    kz.ok("K1")
    registry = ToolRegistry()
    registry.register_defaults()

    def session(**options):
        return registry.session(plane, **options)

    def call(name, arguments, **options):
        one = session(**options)
        try:
            return one.call(name, arguments)
        finally:
            one.store.leave()

    call.session = session
    return call


def rule(kz, decision, text):
    kz.ok("N4", action="add", decision=decision, rule=text)


def record(kz, result):
    return kz.ok("N5", id=result.call_id)["record"]


def kept(plane):
    """Every byte of the data plane."""
    return b"".join(path.read_bytes() for path in (plane / "AI" / "db").rglob("*") if path.is_file())


# --- odd payloads ---------------------------------------------------------------------------------


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "a", "limit": math.nan},
        {"path": "a", "limit": math.inf},
        {"path": "a", "offset": 10**400},
        {"path": "a", "offset": -(10**5_000)},
        {"path": "a\ud800"},
        {"path": "a", "\udc80": 1},
        {"path": "a", 1: 2},
        {"path": "a", "x": nested(60)},
        {"path": "a", "x": nested(50_000)},
        {"path": b"a"},
        {"path": Path("a")},
    ],
)
def test_arguments_that_no_json_holds_are_denied_and_recorded(kz, tools, arguments):
    result = tools("read_file", arguments)
    assert (result.decision, result.error_kind) == ("deny", "not_json")
    row = record(kz, result)
    assert row["status"] == "denied" and list(json.loads(row["arguments_json"])) == ["not_json"]


@pytest.mark.parametrize("payload", ['{"path": "a", "offset": %s}' % ("9" * 400), r'{"path": "\ud800"}', r'{"\ud800": 1}'])
@pytest.mark.parametrize("op", ["N2", "N3"])
def test_the_command_line_refuses_what_no_record_can_hold(kz, plane, op, payload):
    kz.ok("K1")
    kz.denied("DENIED_TOOL_ARGUMENTS", op, tool="read_file", payload_json=payload)


def test_a_hook_cannot_smuggle_in_what_no_record_can_hold(kz, tools):
    hooks = Hooks()
    hooks.add("before", lambda payload: {"tool_input": {"path": "a", "content": "\ud800"}})
    assert tools("write_file", {"path": "a", "content": "x"}, hooks=hooks).error_kind == "not_json"


@pytest.mark.parametrize(
    ("kind", "payload", "code"),
    [
        ("cost_update", '{"cost_usd": %s}' % ("9" * 400), "DENIED_SCHEMA_RANGE"),
        ("tool_result", '{"tool_name": "x", "result": %s}' % ("[" * 400 + "]" * 400), "DENIED_JSON_INVALID"),
    ],
)
def test_an_event_with_a_number_or_depth_beyond_measure_is_refused(kz, plane, kind, payload, code):
    run = kz.ok("T5", summary="A run.")["id"]
    kz.denied(code, "T6", run_id=run, type=kind, payload_json=payload)


def test_a_checkpoint_of_any_depth_is_refused_or_kept(kz, plane):
    run = kz.ok("T5", summary="A run.")["id"]
    kz.denied("DENIED_JSON_INVALID", "T17", run_id=run, state="[" * 900 + "]" * 900)


# --- how runs end ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (runners.Ending("completed", "done"), "unverified"),
        (runners.Ending("completed", proof_ids=["vf_20260101000000_0123456789"]), "unverified"),
        (runners.Ending("completed", proof_ids=["\ud800"]), "unverified"),
        (runners.Ending("completed", proof_ids=[None]), "unverified"),  # type: ignore[list-item]
        (runners.Ending("failed", math.nan), "failed"),
        (runners.Ending("failed", nested(3_000)), "failed"),
        (runners.Ending("failed", 10**5_000), "failed"),
        (runners.Ending("failed", reason="\ud800\0"), "failed"),
        (runners.Ending("\ud800"), "failed"),
        (ValueError("\ud800"), "failed"),
    ],
)
def test_whatever_a_runner_says_the_run_ends_and_never_completed_without_evidence(kz, tools, ending, status):
    class Odd:
        name = "odd"

        def carry_out(self, order):
            if isinstance(ending, Exception):
                raise ending
            return ending

    session, rows = tools.session(), []
    store = session.store

    def begin():
        rows.append(runners.begin(store, "Do it.", "echo", "echo")[0])
        return Result(id=rows[0]["id"])

    store.perform(replace(store.call, key=None, writes=True), begin)
    try:
        order = runners.Order(store, rows[0]["id"], "Do it.", replace(session, run_id=rows[0]["id"]))
        assert runners.carry_out(order, Odd()).status == status
    finally:
        store.leave()
    assert kz.ok("T7", id=rows[0]["id"])["run"]["status"] == status


@pytest.mark.slow
def test_eight_processes_at_once_get_no_more_calls_than_the_run_may_have(kz, plane):
    (plane / "a").write_text("x\n", encoding="utf-8")
    run = kz.ok("T5", summary="A run.", max_calls=5)["id"]
    words = ["N2", "--tool", "read_file", "--payload-json", '{"path": "a"}', "--run-id", run, "--json"]
    started = [subprocess.Popen([sys.executable, str(LIMITED), *words], stdout=-1, stderr=-1) for _ in range(8)]
    for one in started:
        one.communicate()
    assert sorted(one.returncode for one in started) == [0] * 5 + [1] * 3
    assert kz.ok("T7", id=run)["run"]["calls"] == 5


# --- approvals ------------------------------------------------------------------------------------


def test_an_approval_is_for_the_folder_and_the_variables_of_the_call(kz, plane, tools):
    (plane / "sub").mkdir()
    rule(kz, "ask", "Bash(true)")
    asked = tools("bash_command", {"command": "true"})
    kz.ok("N8", id=asked.call_id)
    for options in ({"cwd": plane / "sub"}, {"environment": ("GITHUB_TOKEN",)}):
        assert tools("bash_command", {"command": "true"}, **options).error_kind == "approval_required"
    assert tools("bash_command", {"command": "true"}).decision == "allow"


def test_an_approval_of_no_run_is_of_no_use_in_one(kz, plane, tools):
    rule(kz, "ask", "Write(a)")
    arguments = {"path": "a", "content": "x"}
    kz.ok("N8", id=tools("write_file", arguments).call_id)
    run = kz.ok("T5", summary="A run.")["id"]
    assert tools("write_file", arguments, run_id=run).error_kind == "approval_required"


def test_an_approval_does_not_follow_a_link_that_leads_elsewhere_by_now(plane, tmp_path, kz, tools):
    for name in ("harmless", "private"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    link = plane / "link"
    link.symlink_to(tmp_path / "harmless")
    kz.ok("N8", id=tools("read_file", {"path": "link"}).call_id)
    link.unlink()
    link.symlink_to(tmp_path / "private")
    assert tools("read_file", {"path": "link"}).error_kind == "approval_required"
    link.unlink()
    link.symlink_to(tmp_path / "harmless")
    assert "harmless" in tools("read_file", {"path": "link"}).output


def test_an_approval_is_used_once_by_however_many_at_once(kz, plane, tools):
    rule(kz, "ask", "Read(a)")
    (plane / "a").write_text("x\n", encoding="utf-8")
    kz.ok("N8", id=tools("read_file", {"path": "a"}).call_id)
    came, line = [], threading.Barrier(4)

    def one():
        line.wait()
        try:
            came.append(tools("read_file", {"path": "a"}).success)
        except denial.ApprovalRequired:
            came.append(False)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == [False, False, False, True]


def test_a_settings_file_can_take_the_mode_bypass_away(kz, plane, tools):
    rule(kz, "ask", "Write(a)")
    folder = plane / ".kaizen"
    folder.mkdir()
    (folder / "settings.json").write_text('{"permissions": {"disableBypassPermissionsMode": "disable"}}', encoding="utf-8")
    result = tools("write_file", {"path": "a", "content": "x"}, mode="bypass")
    assert result.decision == "ask" and record(kz, result)["mode"] == "default"
    (folder / "settings.json").write_text('{"permissions": {"disableBypassPermissionsMode": true}}', encoding="utf-8")
    with pytest.raises(denial.SettingsInvalid):
        tools("write_file", {"path": "a", "content": "x"})


# --- what a record says ---------------------------------------------------------------------------


def test_a_hook_that_changes_what_it_is_shown_changes_neither_call_nor_record(kz, plane, tools):
    hooks = Hooks()
    hooks.add("before", lambda payload: payload["tool_input"].update(path="b"))
    hooks.add("after", lambda payload: payload["tool_result"]["metadata"].clear())
    result = tools("write_file", {"path": "a", "content": "x"}, hooks=hooks)
    assert (plane / "a").exists() and json.loads(record(kz, result)["arguments_json"])["path"] == "a"
    assert result.metadata


@pytest.mark.parametrize("answer", [{"message": SECRET}, {"should_continue": False, "message": SECRET}, 5])
def test_what_hooks_say_is_masked(kz, plane, tools, answer):
    def hook(payload):
        if answer == 5:
            raise ValueError(SECRET)
        return answer

    hooks = Hooks()
    hooks.add("before", hook)
    tools("write_file", {"path": "a", "content": "x"}, hooks=hooks)
    assert SECRET.encode() not in kept(plane)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("write_file", {"path": f"{SECRET}.txt", "content": "x\n"}),
        ("write_file", {"path": f"/{SECRET}", "content": "x"}),
        ("write_file", {"path": "a", "content": f"{SECRET}\n"}),
        ("read_file", {"path": f"sub/{SECRET}"}),
        ("web_fetch", {"url": f"http://127.0.0.1/{SECRET}", "prompt": "x"}),
    ],
)
def test_a_secret_in_a_name_an_address_or_a_diff_is_masked(kz, plane, tools, tool, arguments):
    tools(tool, arguments)
    assert SECRET.encode() not in kept(plane)


def test_a_key_that_is_removed_is_masked_in_the_diff_line_by_line(kz, plane, tools):
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEAyZ12\n" * 3 + "-----END RSA PRIVATE KEY-----\n"
    (plane / "a").write_text(f"one\n{key}two\n", encoding="utf-8")
    result = tools("write_file", {"path": "a", "content": "one\ntwo\n"})
    diff = kz.ok("N5", id=result.call_id)["diffs"][0]["diff"]
    assert "MIIEow" not in diff and diff.count("\n-") == 5 and " one" in diff and " two" in diff


@pytest.mark.parametrize("before", ["/", "a/", "https://host/"])
def test_a_slash_before_a_token_does_not_hide_it(before):
    assert SECRET not in mask(f"{before}{SECRET}")[0]


def test_a_command_cannot_say_that_it_was_not_started(kz, plane, tools):
    rule(kz, "allow", "Bash")
    result = tools("bash_command", {"command": "touch ran; echo 'bwrap: no' >&2; exit 1"})
    assert (plane / "ran").exists() and result.error_kind == "exit_code"


# --- the plane and the registry -------------------------------------------------------------------


@pytest.mark.parametrize("path", ["AI/work/processes/sh_20260101000000_0123456789.json", "ai/WORK/processes/x"])
def test_the_registry_of_what_runs_is_written_by_kaizen_alone(kz, plane, tools, path):
    rule(kz, "allow", "Edit(AI/**)")
    assert tools("write_file", {"path": path, "content": "{}"}).decision == "deny"


@pytest.mark.parametrize(
    ("command", "decision"),
    [
        ("rm -rf AI", "deny"),
        ("rm -rf A*", "deny"),
        ("mv AI elsewhere", "deny"),
        ("mv AI/work elsewhere", "deny"),
        ("rm -r AI", "deny"),
        ("mv -T sub AI", "deny"),
        ("mv --exchange -T sub AI", "deny"),
        ("ln -sfn sub AI", "deny"),
        ("ln -s -T sub AI", "deny"),
        ("cp -rT sub AI", "deny"),
        ("git mv AI y", "deny"),
        ("git clean -fdx", "deny"),
        ("git stash --all", "deny"),
        ("chmod -R 000 AI", "deny"),
        ("ln AI/db/kaizen.db second", "deny"),
        ("find . -delete", "ask"),
        ("mv sub/a .", "allow"),
        ("mv a AI/", "allow"),
        ("cp a .", "allow"),
        ("rm -rf build", "allow"),
        ("ln a b", "allow"),
    ],
)
def test_no_rule_lets_a_command_that_nothing_holds_in_take_the_plane_along(kz, plane, tools, monkeypatch, command, decision):
    monkeypatch.setenv("KAIZEN_CONFINEMENT", "none")
    program = command.split()[0]
    rule(kz, "allow", f"Bash({program} *)")
    (plane / "a").write_text("x", encoding="utf-8")
    session = tools.session()
    try:
        assert session.explain("bash_command", {"command": command})["decision"] == decision
    finally:
        session.store.leave()


@pytest.mark.parametrize(
    ("command", "decision"),
    [
        ("mv AI y", "deny"),
        ("mv -T sub AI", "deny"),
        ("ln -sfn sub AI", "deny"),
        ("rm -r AI", "deny"),
        ("git mv AI y", "deny"),
        ("mv a AI/", "allow"),
        ("chmod -R u+w .", "allow"),
        ("rm -rf .", "ask"),
    ],
)
def test_the_folder_of_the_plane_stays_also_where_commands_are_held_in(plane, tools, command, decision):
    from kaizen_components.agent import confinement

    if confinement.available().name != "bubblewrap":
        pytest.skip("bubblewrap does not work here")
    (plane / "a").write_text("x", encoding="utf-8")
    session = tools.session()
    try:
        assert session.explain("bash_command", {"command": command})["decision"] == decision
    finally:
        session.store.leave()


def forge(plane, shell_id, **changes):
    path = background.folder(store_plane(plane)) / f"{shell_id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def store_plane(plane):
    from kaizen_components import paths

    return paths.Plane(plane, plane, "")


def test_a_forged_entry_ends_nobody_else(kz, plane, tools):
    rule(kz, "allow", "Bash")
    shell_id = tools("bash_command", {"command": "sleep 30", "run_in_background": True}).output["shell_id"]
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as other:
        forge(plane, shell_id, group=other.pid)
        assert tools("kill_shell", {"shell_id": shell_id}).output["status"] == "killed"
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("changes", [{"temporary": 5}, {"starter": 5, "pid": None}, {"pid": -1}, {"group": 1}, {"mark": None}])
def test_a_forged_entry_is_no_entry(kz, plane, tools, changes):
    rule(kz, "allow", "Bash")
    shell_id = tools("bash_command", {"command": "true", "run_in_background": True}).output["shell_id"]
    forge(plane, shell_id, **changes)
    assert tools("kill_shell", {"shell_id": shell_id}).error_kind == "unknown_shell"


# --- lines that mean more than they seem to -------------------------------------------------------


@pytest.fixture
def lair(plane, tmp_path):
    """A repository with all that the lines below need: what would run, what would be moved or taken, and a place outside."""

    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=plane, check=True, capture_output=True
        )

    git("init", "-q", "-b", "main")
    for name, text in {
        "f": "alpha\n", "s.txt": f"touch {tmp_path}/ran\nalpha\n", "hk": "x\n", "hex": "41\n", "payload": "{}\n", "src/a": "x\n", ".kaizen/kept": "x\n",
        "10/.gitconfig": f'[core]\n\tfsmonitor = "touch {tmp_path}/ran"\n', "10/git": f"#!/bin/sh\ntouch {tmp_path}/ran\n",
    }.items():  # fmt: skip
        (plane / name).parent.mkdir(exist_ok=True)
        (plane / name).write_text(text, encoding="utf-8")
    (plane / "10/git").chmod(0o755)
    git("add", "f", "s.txt", "hk")
    git("commit", "-q", "-m", "first")
    patch = "--- /dev/null\n+++ b/.kaizen/settings.local.json\n@@ -0,0 +1 @@\n+{}\n"
    (plane / "p.patch").write_text(patch, encoding="utf-8")
    (tmp_path / "OUT" / "d").mkdir(parents=True)
    (tmp_path / "OUT" / "y").write_text("kept\n", encoding="utf-8")
    (plane / ".env").write_text(f"KEY={SECRET}\n", encoding="utf-8")
    return tmp_path


def untouched(plane, place):
    """What must stay as it is, whatever is run here."""
    places = [
        plane / ".kaizen",
        plane / ".git/hooks",
        plane / "f",
        plane / "hk",
        place / "OUT",
        place / "ran",
        plane / "pwn",
        plane / "AI/db/zz2",
        plane / "AI/db/zzz",
    ]
    found = [path for each in places for path in (each, *each.rglob("*")) if os.path.lexists(path)]
    return [(str(path), path.read_bytes() if path.is_file() else None) for path in sorted(found)]


RULED = [
    "true {HOME}>/dev/null; git status", "true {PATH}>/dev/null; git status", "true {IFS}>/dev/null; git status", "true {HOME}</dev/null; git status",
    "touch {{a},OUT/t1}", "rm -f {{x},OUT/y}", "find f {{x},-exec} touch OUT/pwn8 ';'", "touch {a},OUT/t}", "touch {x}{y,OUT/t}",
    "git grep -e -- -Osh s.txt", "git grep -1Osh alpha", "git push -o -- --receive-pack='touch pwn;git-receive-pack' . HEAD:refs/heads/x",
    "git push --e='touch pwn;git-receive-pack' . HEAD:refs/heads/x", "git fetch -o -- --upload-pack='touch pwn;git-upload-pack' .",
    "git archive -o -- --output=OUT/x HEAD", "git clone -o -- -u 'touch pwn;git-upload-pack' . z", "git rebase -s -- --exec='touch pwn' HEAD",
    "git log --after -S --output=OUT/x", "sort -T -- -o OUT/t3 f", "tree -P -- -o OUT/x", "tree -oa OUT/x", "tree -Lo 2 OUT/x", "shuf -n -- -o OUT/x f", "iconv -f -- -o OUT/x f",
    "xxd -r -ps hex OUT/x", "xxd -l f hex OUT/x", "touch -dt OUT/t2", "touch -art f OUT/t2", "mkdir -Z OUT/t2", "truncate -os OUT/y", "truncate -cs 0 OUT/y", "uniq -- -f OUT/x",
    "chmod -Rx OUT/y", "cp -- -t src OUT/z", "cd src && find -O3 OUT/d -delete", "find -- OUT/d -delete", "find -D tree OUT/d -delete", "find - OUT/d -delete", "find , OUT/d -delete",
    "find f -exec touch + OUT/x ';'", "echo f | xargs --replace touch echo OUT/x", "echo OUT/x | xargs -Iecho echo hi", "busybox touch OUT/x",
    "git apply p.patch", "git mv hk .git/hooks/post-checkout", "git bundle create AI/db/zzz HEAD", "git bundle create .git/hooks/zzz HEAD", "git rm -f --cached .kaizen/kept",
    "git checkout x -- .kaizen/settings.json", "git restore .kaizen/kept", "git worktree add .kaizen", "git worktree add .kaizen/w", "git mv f AI/db/zzz", "git init .kaizen", "git am p.patch",
    "git stash", "git merge x", "git reset --hard", "git reset HEAD --hard", "git clean -fd", "git pull", "git checkout x", "git rm -r .", "git rm '*'", "git clone . .kaizen/x",
    "git clone https://example.org/.kaizen", "git update-ref commondir HEAD", "cd .kaizen && curl -O https://example.org/settings.json",
    "cd .kaizen && wget https://example.org/settings.json", "curl -4Kx https://example.org", "rsync -e 'touch OUT/x' f x:", "scp -S ./s.txt f x:",
]  # fmt: skip


@pytest.mark.parametrize("line", RULED)
def test_a_rule_for_a_program_does_not_cover_what_only_looks_like_it(kz, plane, tools, lair, monkeypatch, line):
    monkeypatch.setenv("KAIZEN_CONFINEMENT", "none")
    for (
        program
    ) in "git touch rm find sort tree shuf iconv xxd mkdir truncate uniq chmod cp echo xargs curl wget rsync scp".split():
        rule(kz, "allow", f"Bash({program} *)")
    rule(kz, "allow", "Bash(true)")
    before = untouched(plane, lair)
    result = tools("bash_command", {"command": line.replace("OUT", str(lair / "OUT"))})
    assert result.decision in ("ask", "deny"), result
    assert untouched(plane, lair) == before


@pytest.mark.parametrize("mode", ["default", "plan"])
@pytest.mark.parametrize(
    "line",
    [
        "tee {{x},.kaizen/settings.local.json} <payload", "cat {{x},.env}", "git grep -e -- -Osh s.txt", "sort -T -- -o .kaizen/settings.local.json f", "sort -T -- -o AI/db/zz2 f",
        "sort -T -- -o .git/hooks/zz2 f", "xxd -r -ps hex .kaizen/settings.local.json", "tree -oa .kaizen/x", "touch -dt .kaizen/settings.local.json", "git mv hk .git/hooks/x",
        "truncate -os .kaizen/kept", "uniq -- f .kaizen/settings.local.json", "git bundle create .kaizen/x HEAD", "find -O3 .kaizen -delete",
    ],
)  # fmt: skip
def test_what_does_not_keep_settings_as_they_are_gets_no_line_that_only_looks_harmless(
    plane, tools, lair, monkeypatch, line, mode
):
    monkeypatch.setenv("KAIZEN_CONFINEMENT", "landlock")
    before = untouched(plane, lair)
    result = tools("bash_command", {"command": line}, mode=mode)
    assert result.decision in ("ask", "deny") and SECRET not in str(result.output), result
    assert untouched(plane, lair) == before


@pytest.mark.parametrize("means", ["none", "landlock"])
def test_a_repository_in_two_halves_is_none(kz, plane, tools, lair, monkeypatch, means):
    monkeypatch.setenv("KAIZEN_CONFINEMENT", means)
    if means == "none":
        rule(kz, "allow", "Bash(git *)")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=plane, capture_output=True, text=True, check=True).stdout.strip()
    made = {
        "sub/HEAD": "ref: refs/heads/x\n", "sub/commondir": "../common\n", "common/objects/x": "", "common/refs/x": "", "common/objects/info/alternates": f"{plane}/.git/objects\n",
        "common/config": f'[core]\n\tbare = true\n\trepositoryformatversion = 0\n[diff]\n\texternal = "touch {plane}/.kaizen/ran;:"\n',
    }  # fmt: skip
    for name, text in made.items():
        assert tools("write_file", {"path": name, "content": text}).success
    line = f"diff 4b825dc642cb6eb9a060e54bf8d69288fbee4904 {commit}"
    for arguments in (
        {"command": f"git -C sub {line}"},
        {"command": f"git {line}", "cwd": "sub"},
        {"command": f"cd sub && git {line}"},
    ):
        assert tools("bash_command", arguments).decision == "ask", arguments
    # Where the gate does not look, git itself takes no settings from there.
    rule(kz, "allow", "Bash(sh x.sh)")
    (plane / "x.sh").write_text(f"git -C sub {line}\n", encoding="utf-8")
    result = tools("bash_command", {"command": "sh x.sh"})
    assert result.decision == "allow" and not result.success
    assert not (plane / ".kaizen/ran").exists()


# --- getting out ----------------------------------------------------------------------------------


def test_what_is_held_in_moves_nothing_aside_and_leaves_nothing_behind(kz, plane, tools):
    from kaizen_components.agent import confinement

    if confinement.available().name != "bubblewrap":
        pytest.skip("bubblewrap does not work here")
    rule(kz, "allow", "Bash(sh x.sh)")
    subprocess.run(["git", "init", "-q", str(plane)], check=True)
    mark = f"{os.getpid() + time.time_ns() % 1000}.5"
    script = f"""mv AI AI.old; mv AI/db x; mv .git .git.old; mkdir .claude .kaizen
        for place in AI/db .git/hooks .kaizen .claude AI/work/processes; do echo x > $place/forged; done
        ln AI/db/kaizen.db second; echo x > /proc/self/root{plane.parent}/out; unshare -Ur sh -c 'mount -o remount,rw /'
        setsid sleep {mark} & :"""
    (plane / "x.sh").write_text(script, encoding="utf-8")
    tools("bash_command", {"command": "sh x.sh"})
    assert not list(plane.rglob("forged")) and not (plane / "second").exists() and not (plane.parent / "out").exists()
    assert (plane / "AI" / "db").is_dir() and not (plane / "AI.old").exists() and not (plane / ".git.old").exists()
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(mark.encode() in words for words in running)


@pytest.mark.parametrize("mode", ["bypass", "accept-edits", "default"])
def test_plan_mode_of_a_run_holds_whatever_the_call_says(kz, plane, tools, mode):
    run = kz.ok("T5", summary="A run.", mode="plan")["id"]
    for tool, arguments in (
        ("write_file", {"path": "y", "content": "z"}),
        ("bash_command", {"command": "touch y", "run_in_background": True}),
        ("bash_command", {"command": "sort a -o y"}),
        ("task", {"prompt": "x", "subagent_type": "echo", "description": "d"}),
    ):
        assert tools(tool, arguments, run_id=run, mode=mode).decision == "deny"
    assert not (plane / "y").exists()


# --- what is swapped in between, and what others run later ----------------------------------------


def by(monkeypatch, name):
    """Commands are held in by one means, or the test is skipped."""
    from kaizen_components.agent import confinement

    monkeypatch.setenv("KAIZEN_CONFINEMENT", name)
    found = confinement.available()
    if found.name != {"none": "unconfined"}.get(name, name):
        pytest.skip(found.reason or "not there")


def test_an_approval_is_not_for_the_file_that_a_link_leads_to_later(kz, plane, tools, monkeypatch):
    by(monkeypatch, "bubblewrap")
    subprocess.run(["git", "init", "-q", str(plane)], check=True)
    (plane / "f").write_text("harmless\n")
    (plane / ".env").write_text("KEY=hunter2\n")
    (plane / "link").symlink_to("f")
    (plane / "lk.sh").write_text("ln -sfn .env link\n")
    call = {"command": "cat link > .git/description; cat link"}
    asked = tools("bash_command", call)
    kz.ok("N8", id=asked.call_id)
    assert tools("bash_command", {"command": "bash lk.sh"}).success
    again = tools("bash_command", call)
    assert (again.decision, again.error_kind) == ("ask", "approval_required") and again.output is None
    assert "hunter2" not in (plane / ".git" / "description").read_text()
    bound = [json.loads(record(kz, one)["metadata_json"])["judged_sha256"] for one in (asked, again)]
    assert bound[0] != bound[1]
    # With the file that was meant, it is the call that was approved.
    (plane / "link").unlink()
    (plane / "link").symlink_to("f")
    done = tools("bash_command", call)
    assert done.success and done.output["stdout"] == "harmless\n", done


def test_an_approval_is_not_for_another_file_that_may_be_read(kz, plane, tools, monkeypatch):
    by(monkeypatch, "none")
    for name in ("f", "g"):
        (plane / name).write_text(name)
    (plane / "link").symlink_to("f")
    call = {"command": "cat link"}
    kz.ok("N8", id=tools("bash_command", call).call_id)
    (plane / "link").unlink()
    (plane / "link").symlink_to("g")
    assert tools("bash_command", call).error_kind == "approval_required"


def test_what_becomes_another_call_while_a_person_thinks_is_asked_about_anew(kz, plane, tools, monkeypatch):
    by(monkeypatch, "none")
    for name in ("f", ".env"):
        (plane / name).write_text(name)
    (plane / "link").symlink_to("f")
    heard = []

    def approve(question):
        heard.append(question["reason"])
        (plane / "link").unlink()
        (plane / "link").symlink_to(".env")
        return len(heard) == 1

    assert tools("bash_command", {"command": "cat link"}, approve=approve).decision == "deny"
    assert len(heard) == 2 and ".env" in heard[1]


HOOKS = {
    "hooks": {"before": [{"tools": "none", "command": [sys.executable, "check.py"]}], "after": []},
    "runners": {"own": {"command": ["bin/agent", "--config=agent.toml", "src"]}},
}


@pytest.mark.parametrize("name", ["check.py", "bin/agent", "agent.toml", "CHECK.py"])
def test_what_hooks_and_runners_run_is_asked_about(kz, plane, tools, name, monkeypatch):
    by(monkeypatch, "bubblewrap")
    (plane / ".kaizen").mkdir()
    (plane / ".kaizen" / "settings.json").write_text(json.dumps(HOOKS))
    (plane / "src").mkdir()
    written = tools("write_file", {"path": name, "content": "x"})
    assert written.decision == "ask" and "hooks and runners" in written.rule, written
    assert tools("bash_command", {"command": f"echo x > {name}"}).decision == "ask"
    for broad in ("Edit(**)", "Edit"):
        rule(kz, "allow", broad)
    assert tools("write_file", {"path": name, "content": "x"}).decision == "ask"
    assert tools("write_file", {"path": "src/a.py", "content": "x"}).success, "a folder that is an argument is none"
    rule(kz, "ask", "Edit(*)")
    assert tools("write_file", {"path": name, "content": "x"}, mode="accept-edits").decision == "ask"


def test_a_rule_with_its_name_opens_what_a_hook_runs(kz, plane, tools):
    (plane / ".kaizen").mkdir()
    (plane / ".kaizen" / "settings.json").write_text(json.dumps(HOOKS))
    rule(kz, "allow", "Edit(check.py)")
    assert tools("write_file", {"path": "check.py", "content": "x"}).success


def test_what_hooks_run_is_read_only_for_commands(kz, plane, tools, monkeypatch):
    by(monkeypatch, "bubblewrap")
    (plane / ".kaizen").mkdir()
    (plane / ".kaizen" / "settings.json").write_text(json.dumps(HOOKS))
    (plane / "check.py").write_text("pass\n")
    (plane / "s.sh").write_text(
        "echo x > check.py; rm -f check.py; mv check.py away; mkdir -p bin; echo x > bin/agent; echo fine > new\n"
    )
    rule(kz, "allow", "Edit(//" + str(plane).lstrip("/") + "/**)")
    result = tools("bash_command", {"command": "bash s.sh"})
    assert (plane / "check.py").read_text() == "pass\n" and (plane / "new").exists()
    # What was not there cannot be kept from being made; it is told.
    assert result.metadata["protected_changed"] == ["bin/agent"]


def test_a_repository_that_a_command_makes_is_told_and_starts_nothing_of_ours(kz, plane, tools, monkeypatch, tmp_path):
    by(monkeypatch, "bubblewrap")
    spied = tmp_path / "spied"
    (plane / "mk.sh").write_text(
        "git init -q .; echo '* filter=x' > .gitattributes; echo 1 > a; git add -A\n"
        "git -c user.name=a -c user.email=a@example.org commit -qm 1\n"
        f"git config filter.x.clean \"sh -c 'touch {spied}; cat'\"; echo 2 > a\n"
        "mkdir m; cp -r .git a .gitattributes m; git add m 2>&1\n"
    )
    made = tools("bash_command", {"command": "bash mk.sh"})
    assert made.success and made.metadata["protected_changed"] == [".git"], made
    proof = kz.ok("Q11", _command=["true"])
    assert not spied.exists()
    state = proof["git"]["before"] if "before" in proof["git"] else proof["git"]
    assert state["dirty"] and "error" not in state, state
    # Git itself would start it.
    subprocess.run(["git", "status"], cwd=plane, capture_output=True, check=False)
    assert spied.exists()
