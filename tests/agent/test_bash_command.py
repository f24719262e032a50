"""The tool bash_command: what it answers, and what holds a command in, under each means of confinement."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from kaizen_components.agent import confinement
from kaizen_components.agent.tool import Context, Stop, ToolError
from kaizen_components.agent.tools.bash_command import BashCommand, BashCommandInput

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands are run by a POSIX shell")
NAMES = ("bubblewrap", "landlock", "none")


@pytest.fixture
def workspace(plane: Path) -> Path:
    return plane


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with secrets in it, beside the workspace."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "id_rsa").write_text("the key")
    (folder / ".config" / "gh").mkdir(parents=True)
    (folder / ".config" / "gh" / "hosts.yml").write_text("the token")
    (folder / ".netrc").write_text("the password")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def open_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in /tmp is to be seen as if it lay elsewhere: these tests make everything there."""
    from kaizen_components.agent import bubblewrap, landlock

    monkeypatch.setattr(bubblewrap, "_EMPTY", ())
    monkeypatch.setattr(landlock, "_HIDDEN", ("/dev",))


@pytest.fixture
def nap() -> str:
    """A command that sleeps, and that no other test has: what is left of it can be told."""
    return f"sleep 60.{time.monotonic_ns()}"


@pytest.fixture(params=NAMES)
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> confinement.Confinement:
    """Each means that this machine has, and none."""
    return _means(request.param, monkeypatch)


@pytest.fixture(params=NAMES[:2])
def confined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> confinement.Confinement:
    """Each means that this machine has."""
    return _means(request.param, monkeypatch)


@pytest.fixture
def bubblewrap(monkeypatch: pytest.MonkeyPatch) -> confinement.Confinement:
    return _means("bubblewrap", monkeypatch)


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> confinement.Confinement:
    return _means("none", monkeypatch)


def _means(name: str, monkeypatch: pytest.MonkeyPatch) -> confinement.Confinement:
    monkeypatch.setenv("KAIZEN_CONFINEMENT", name)
    found = confinement.available()
    if found.name == "unconfined" and name != "none":
        pytest.skip(found.reason or "not there")
    return found


def run(command: str, workspace: Path, means: confinement.Confinement, *, given=None, **context):
    context.setdefault("cwd", workspace)
    where = Context(workspace=workspace, confinement=means, **context)
    return BashCommand().run(BashCommandInput(command=command, **(given or {})), where)


def alive(mark: str) -> bool:
    """Whether a process runs whose command line holds a mark."""
    said = subprocess.run(["ps", "-eo", "stat=,args="], capture_output=True, text=True, check=False).stdout
    return any(mark in line and not line.startswith("Z") for line in said.splitlines())


def gone(mark: str) -> bool:
    deadline = time.monotonic() + 2
    while alive(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(mark)


# --- what it answers --------------------------------------------------------------------------------


def test_stdout_stderr_and_exit_code_are_apart(means, workspace):
    outcome = run("echo out; echo err >&2; exit 3", workspace, means)
    assert (outcome.output["exit_code"], outcome.output["stdout"], outcome.output["stderr"]) == (3, "out\n", "err\n")
    assert (outcome.success, outcome.error_kind) == (False, "exit_code")
    assert outcome.output["truncated"] == {"stdout": False, "stderr": False}


def test_what_works_is_a_success_and_has_changed_the_workspace(means, workspace):
    outcome = run("mkdir -p a/b && echo x > a/b/c && cat a/b/c", workspace, means)
    assert outcome.success and outcome.error_kind is None and outcome.output["stdout"] == "x\n"
    assert (workspace / "a" / "b" / "c").read_text() == "x\n"
    assert outcome.metadata["files"] == "not tracked"


def test_it_is_bash(nothing, workspace):
    assert run("words=(a b); [[ ${words[1]} == b ]] && echo ${#words[@]}", workspace, nothing).output["stdout"] == "2\n"


def test_a_signal_is_told_as_a_shell_tells_it(means, workspace):
    assert run("kill -KILL $$", workspace, means).output["exit_code"] == 128 + signal.SIGKILL


def test_of_a_long_output_head_and_tail_are_kept_and_all_is_hashed(nothing, workspace):
    outcome = run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end", workspace, nothing)
    whole = b"x" * 3_000_000 + b"\nthe end\n"
    assert outcome.output["truncated"]["stdout"] and outcome.output["stdout"].endswith("the end\n")
    assert "bytes left out" in outcome.output["stdout"] and len(outcome.output["stdout"]) < 1_100_000
    assert outcome.metadata["stdout_bytes"] == len(whole)
    assert outcome.metadata["stdout_sha256"] == hashlib.sha256(whole).hexdigest()


def test_bytes_that_are_no_text_are_replaced(nothing, workspace):
    assert run("printf 'a\\377b'", workspace, nothing).output["stdout"] == "a\ufffdb"


def test_nobody_answers_a_prompt(means, workspace):
    assert run("read -r answer; echo got:$answer", workspace, means).output["stdout"] == "got:\n"


def test_it_starts_where_the_call_says(means, workspace):
    (workspace / "sub").mkdir()
    assert run("pwd", workspace, means, given={"cwd": "sub"}).output["stdout"] == f"{workspace / 'sub'}\n"


@pytest.mark.parametrize(
    ("cwd", "kind"), [("..", "outside_workspace"), ("/", "outside_workspace"), ("no", "not_found"), ("f", "not_a_directory")]
)
def test_it_starts_in_the_workspace_alone(nothing, workspace, cwd, kind):
    (workspace / "f").write_text("")
    with pytest.raises(ToolError) as fault:
        run("pwd", workspace, nothing, given={"cwd": cwd})
    assert fault.value.kind == kind


def test_a_link_out_of_the_workspace_is_no_place_to_start(nothing, workspace, tmp_path):
    (workspace / "link").symlink_to(tmp_path)
    with pytest.raises(ToolError, match="cwd has to lie in the workspace"):
        run("pwd", workspace, nothing, given={"cwd": "link"})


def test_an_unknown_argument_is_refused_by_name():
    with pytest.raises(ValidationError, match="shell"):
        BashCommandInput.model_validate({"command": "true", "shell": "zsh"})


def test_the_parameters_are_those_of_the_guide():
    fields = BashCommandInput.model_fields
    assert {name: field.default for name, field in fields.items() if name != "command"} == {
        "timeout": 120_000,
        "cwd": None,
        "run_in_background": False,
    }


def test_the_commit_is_told_before_and_after(nothing, workspace):
    run("git init -q . && git -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m one", workspace, nothing)
    outcome = run("git -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m two", workspace, nothing)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=workspace, capture_output=True, text=True, check=True).stdout.strip()
    assert outcome.metadata["commit"]["after"] == head != outcome.metadata["commit"]["before"]


# --- how it ends ------------------------------------------------------------------------------------


def test_a_timeout_leaves_no_process_behind(nap, means, workspace):
    command = f"echo begun; setsid {nap} >/dev/null 2>&1 & ({nap} & {nap})"
    outcome = run(command, workspace, means, given={"timeout": 400})
    assert (outcome.success, outcome.error_kind, outcome.output["exit_code"]) == (False, "timeout", None)
    assert outcome.output["stdout"] == "begun\n"
    assert gone(nap)


def test_what_ignores_the_signal_is_ended_all_the_same(nothing, workspace, monkeypatch):
    monkeypatch.setattr("kaizen_components.agent.tools.bash_command.GRACE", 0.2)
    outcome = run("trap '' TERM; while :; do sleep 0.05; done", workspace, nothing, given={"timeout": 200})
    assert outcome.error_kind == "timeout" and outcome.output["killed_by"] == "SIGKILL"


def test_a_background_child_that_holds_the_pipe_does_not_hang_the_call(nap, means, workspace):
    started = time.monotonic()
    outcome = run(f"{nap} & echo done", workspace, means)
    assert outcome.success and outcome.output["stdout"] == "done\n"
    assert time.monotonic() - started < 3
    assert gone(nap)


def test_the_end_of_the_run_ends_the_command(nothing, workspace):
    outcome = run("sleep 30", workspace, nothing, deadline=time.monotonic() + 0.2)
    assert outcome.error_kind == "timeout" and "run's time" in (outcome.error or "")


def test_whoever_asks_for_the_end_gets_it(nap, means, workspace):
    stop = Stop()
    threading.Timer(0.1, stop.ask).start()
    started = time.monotonic()
    outcome = run(nap, workspace, means, stop=stop)
    assert outcome.error_kind == "interrupted" and time.monotonic() - started < 5
    assert gone(nap)


# --- what it may do ---------------------------------------------------------------------------------


def test_outside_of_the_workspace_nothing_can_be_written(confined, workspace, tmp_path, home, open_tmp):
    (tmp_path / "outside").write_text("as it was")
    outcome = run(
        f"echo x > {tmp_path}/outside; echo x > {tmp_path}/new; rm -f {tmp_path}/outside; ln {tmp_path}/outside here;"
        f" mv {tmp_path}/outside {tmp_path}/moved; echo x > ~/.bashrc; touch /usr/kaizen /etc/kaizen",
        workspace,
        confined,
    )
    assert (tmp_path / "outside").read_text() == "as it was" and not (tmp_path / "new").exists()
    assert not (workspace / "here").exists() and not (tmp_path / "moved").exists()
    assert not (home / ".bashrc").exists() and not Path("/etc/kaizen").exists()
    assert outcome.confinement["name"] == confined.name and str(workspace) in outcome.confinement["writable"]


def test_a_link_that_leads_out_is_no_way_out(confined, workspace, tmp_path, open_tmp):
    (tmp_path / "outside").write_text("as it was")
    (workspace / "link").symlink_to(tmp_path / "outside")
    run("echo x > link", workspace, confined)
    assert (tmp_path / "outside").read_text() == "as it was"


def test_credentials_of_the_home_cannot_be_read(confined, workspace, home, open_tmp):
    (home / "open").write_text("open to all\n")
    outcome = run(
        "cat ~/.ssh/id_rsa ~/.config/gh/hosts.yml ~/.netrc; cat ~/.ssh/*; grep -r the ~; cat ~/open", workspace, confined
    )
    assert outcome.output["stdout"] == "open to all\n"
    assert {"~/.ssh", "~/.config/gh", "~/.netrc"} <= set(outcome.confinement["hidden"])


def test_a_link_to_a_credential_is_no_way_to_it(confined, workspace, home, open_tmp):
    (workspace / "link").symlink_to(home / ".ssh" / "id_rsa")
    assert run("cat link", workspace, confined).output["stdout"] == ""


def test_where_a_credential_really_lies_is_hidden_as_well(confined, workspace, home, tmp_path, open_tmp):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.json").write_text("the password")
    (home / ".docker").symlink_to(tmp_path / "kept")
    assert run(f"cat ~/.docker/config.json {tmp_path}/kept/config.json", workspace, confined).output["stdout"] == ""


def test_credentials_in_a_workspace_that_is_a_home_are_hidden(bubblewrap, home):
    (home / "file").write_text("open to all\n")
    outcome = run("cat file .ssh/id_rsa .netrc", home, bubblewrap)
    assert outcome.output["stdout"] == "open to all\n"


def test_landlock_tells_that_it_cannot_hide_within_the_workspace(home, monkeypatch):
    outcome = run("true", home, _means("landlock", monkeypatch))
    assert "hidden: ~/.ssh" in outcome.confinement["not_held"]


def test_there_is_no_network(confined, workspace):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = run(f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected", workspace, confined)
    assert "connected" not in outcome.output["stdout"] and outcome.confinement["network"] is False


def test_there_is_no_network_without_connections_either(confined, workspace):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        run(f"echo x > /dev/udp/127.0.0.1/{receiver.getsockname()[1]}", workspace, confined)
        held = not any(what.startswith("network") for what in run("true", workspace, confined).confinement["not_held"])
        with pytest.raises(BlockingIOError) if held else contextlib.nullcontext():
            receiver.recv(10)


def test_local_sockets_work(confined, workspace):
    script = (
        "import socket; a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1)); socket.socket(socket.AF_UNIX).bind('here')"
    )
    outcome = run(f'{sys.executable} -c "{script}"', workspace, confined)
    assert outcome.output["stdout"] == "b'x'\n" and outcome.success, outcome.output


def test_a_rule_opens_the_network(confined, workspace):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = run(f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected", workspace, confined, network=True)
    assert outcome.output["stdout"] == "connected\n" and outcome.confinement["network"] is True


def test_a_rule_opens_a_folder(confined, workspace, tmp_path):
    (tmp_path / "more").mkdir()
    run(f"echo x > {tmp_path}/more/file; echo x > {tmp_path}/other", workspace, confined, writable=(tmp_path / "more",))
    assert (tmp_path / "more" / "file").read_text() == "x\n" and not (tmp_path / "other").exists()


def test_in_plan_mode_nothing_can_be_written_but_all_can_be_read(confined, workspace):
    (workspace / "file").write_text("as it was\n")
    outcome = run("cat file; echo x > file; echo x > new; mkdir folder", workspace, confined, mode="plan")
    assert outcome.output["stdout"] == "as it was\n"
    assert [path.name for path in workspace.iterdir()] == ["file"] and (workspace / "file").read_text() == "as it was\n"


def test_temporary_files_are_its_own_and_gone_after(confined, workspace):
    outcome = run('echo secret > "$TMPDIR/note" && cat "$TMPDIR/note" && echo "$TMPDIR" && mktemp', workspace, confined)
    assert outcome.success, outcome.output
    said, place, made = outcome.output["stdout"].split()
    assert said == "secret" and made.startswith(place)
    assert not (Path(place) / "note").exists() and not Path(made).exists()


def test_what_kaizen_takes_leave_from_stays_as_it_is(bubblewrap, workspace):
    run("git init -q .", workspace, bubblewrap)
    (workspace / "AI" / "db" / "kaizen.db").write_text("the records")
    (workspace / ".claude" / "settings.json").write_text("{}")
    outcome = run(
        "echo x > AI/db/kaizen.db; rm -rf AI/db AI; mv AI aside; mv .git aside; mv .claude aside; rm -rf .claude;"
        " echo x > .git/hooks/pre-commit; echo x > .git/config; git config core.pager evil; echo x > .claude/settings.json;"
        " mkdir -p .kaizen; echo x > .kaizen/settings.json; echo x > AI/work/processes/sh.json; echo fine > .git/fine",
        workspace,
        bubblewrap,
    )
    assert (workspace / "AI" / "db" / "kaizen.db").read_text() == "the records"
    assert (workspace / ".claude" / "settings.json").read_text() == "{}"
    assert not (workspace / "aside").exists() and not (workspace / ".kaizen" / "settings.json").exists()
    assert not (workspace / ".git" / "hooks" / "pre-commit").exists()
    assert "pager" not in (workspace / ".git" / "config").read_text()
    assert (workspace / ".git" / "fine").exists()
    assert "protected" not in outcome.confinement["not_held"] and "protected_changed" not in outcome.metadata


def test_git_works_in_the_workspace(bubblewrap, workspace):
    assert run("git init -q . && echo x > f && git add f", workspace, bubblewrap).success
    git = "git -c user.name=a -c user.email=a@example.org"
    script = (
        f"{git} commit -q -m one && git checkout -q -b other && echo y > f && {git} stash -q && git gc -q && git log --oneline"
    )
    outcome = run(script, workspace, bubblewrap)
    assert outcome.success and "one" in outcome.output["stdout"], outcome.output


@pytest.mark.parametrize("name", ["landlock", "none"])
def test_where_a_place_cannot_be_kept_its_change_is_told(name, workspace, monkeypatch):
    means = _means(name, monkeypatch)
    outcome = run("mkdir .claude && echo {} > .claude/settings.json", workspace, means)
    assert "protected" in outcome.confinement["not_held"]
    assert outcome.metadata["protected_changed"] == [".claude/settings.json"]


def test_a_change_with_its_time_put_back_is_told(workspace, monkeypatch):
    means = _means("none", monkeypatch)
    run("git init -q . && echo one > .git/hooks/u", workspace, means)
    outcome = run(
        "touch -r .git/hooks/u t; printf two > .git/hooks/u; echo >> .git/hooks/u; touch -r t .git/hooks/u", workspace, means
    )
    assert outcome.metadata["protected_changed"] == [".git/hooks/u"] and "protected_unseen" not in outcome.metadata


def test_where_the_look_for_changes_ends_is_told(workspace, monkeypatch):
    from kaizen_components.agent.tools import bash_command

    means = _means("none", monkeypatch)
    run("git init -q .", workspace, means)
    monkeypatch.setattr(bash_command, "MOST_SEEN", 3)
    outcome = run("true", workspace, means)
    assert outcome.metadata["protected_unseen"] == ["what lies in .git/hooks beyond the first 3 files"]


def test_other_processes_are_neither_seen_nor_reached(bubblewrap, workspace):
    outcome = run("ls -d /proc/[0-9]* | wc -l; hostname", workspace, bubblewrap)
    count, name = outcome.output["stdout"].split()
    assert int(count) < 6 and name == "kaizen"


def test_a_process_outside_cannot_be_signalled(confined, workspace):
    with subprocess.Popen(["sleep", "30"]) as other:
        outcome = run(f"kill -KILL {other.pid}", workspace, confined)
        held = not any("signals" in what for what in outcome.confinement["not_held"])
        assert not outcome.success or not held
        assert other.poll() is None or not held
        other.kill()


def test_limits_hold_and_are_told(means, workspace):
    outcome = run("ulimit -t; ulimit -d; ulimit -f", workspace, means)
    seconds, kilobytes, blocks = map(int, outcome.output["stdout"].split())
    limits = outcome.confinement["limits"]
    assert (seconds, kilobytes * 1024, blocks * 1024) == (limits["cpu_seconds"], limits["memory_bytes"], limits["file_bytes"])


def test_a_program_gets_no_more_memory_than_it_may(nothing, workspace):
    jail = confinement.Jail(writable=(workspace,), limits=confinement.Limits(memory_bytes=64 << 20))
    held = confinement.hold(nothing, jail, [sys.executable, "-c", "bytearray(256 << 20)"], workspace)
    assert "MemoryError" in subprocess.run(held.argv, capture_output=True, text=True, check=False).stderr


@pytest.mark.slow
def test_a_program_gets_no_more_cpu_time_than_it_may(nothing, workspace):
    jail = confinement.Jail(writable=(workspace,), limits=confinement.Limits(cpu_seconds=1))
    held = confinement.hold(nothing, jail, ["sh", "-c", "while :; do :; done"], workspace)
    assert subprocess.run(held.argv, check=False, timeout=20).returncode in (-signal.SIGKILL, -signal.SIGXCPU)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="the kernel counts the processes of all others")
def test_as_root_the_number_of_processes_is_said_not_to_hold(means, workspace):
    outcome = run("true", workspace, means)
    assert "processes" in outcome.confinement["not_held"] and "processes" not in outcome.confinement["limits"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="the kernel does not count the processes of root")
def test_no_more_processes_can_be_started_than_it_may(bubblewrap, workspace):
    jail = confinement.Jail(writable=(workspace,), limits=confinement.Limits(processes=20))
    script = "for i in $(seq 40); do sleep 5 & done; echo started"
    held = confinement.hold(bubblewrap, jail, ["bash", "-c", script], workspace)
    assert held.says["limits"]["processes"] == 20
    said = subprocess.run(held.argv, capture_output=True, text=True, check=False, timeout=30)
    assert "started" not in said.stdout and "Resource temporarily unavailable" in said.stderr


# --- its environment --------------------------------------------------------------------------------


def test_no_credential_is_in_the_environment(means, workspace, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "token-for-github")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    monkeypatch.setenv("MY_DATABASE", "with-a-password")
    outcome = run("env; cat /proc/self/environ", workspace, means)
    assert not {"token-for-github", "/nowhere", "with-a-password"} & set(outcome.output["stdout"].replace("=", "\n").split())
    assert outcome.confinement["environment_removed"] >= 3
    assert "GITHUB_TOKEN" not in str(outcome.confinement)


def test_a_variable_that_is_named_is_there(means, workspace, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "token-for-github")
    outcome = run("echo $GITHUB_TOKEN", workspace, means, environment=("GITHUB_TOKEN",))
    assert outcome.output["stdout"] == "token-for-github\n"


def test_this_process_keeps_its_rights(workspace, tmp_path, monkeypatch):
    run("true", workspace, _means("landlock", monkeypatch))
    (tmp_path / "outside").write_text("written")
    assert subprocess.run(["sh", "-c", f"echo more > {tmp_path}/outside"], check=False).returncode == 0


def test_a_confinement_that_cannot_be_made_runs_nothing(bubblewrap, workspace):
    broken = confinement.Confinement("bubblewrap", program="/nowhere/bwrap")
    with pytest.raises(ToolError) as fault:
        run("touch ran", workspace, broken)
    assert fault.value.kind == "not_started" and not (workspace / "ran").exists()


# --- danger -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "danger"), [("ls", ("safe", "low")), ("sudo rm -rf /", ("high", "critical"))])
def test_danger_is_that_of_the_command(nothing, workspace, command, danger):
    context = Context(workspace=workspace, cwd=workspace, confinement=nothing)
    assert BashCommand().danger(BashCommandInput(command=command), context) in danger
