"""Background commands: started by one process, read and ended by another."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaizen_components import paths, process
from kaizen_components.agent import ToolRegistry, background, confinement
from kaizen_components.agent.tool import Context, Stop, ToolError
from kaizen_components.agent.tools.bash_command import BashCommand, BashCommandInput
from kaizen_components.agent.tools.kill_shell import KillShell, KillShellInput
from kaizen_components.agent.tools.task_output import TaskOutput, TaskOutputInput
from kaizen_components.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands are run by a POSIX shell")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nap() -> str:
    """A command that sleeps, and that no other test has: what is left of it can be told."""
    return f"sleep 60.{time.monotonic_ns()}"


@pytest.fixture(params=["bubblewrap", "landlock", "none"])
def context(request: pytest.FixtureRequest, plane: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A workspace under each means of confinement that this machine has."""
    return _context(request.param, plane, monkeypatch)


@pytest.fixture
def open_context(plane: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    return _context("none", plane, monkeypatch)


def _context(name: str, plane: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("KAIZEN_CONFINEMENT", name)
    means = confinement.available()
    if means.name == "unconfined" and name != "none":
        pytest.skip(means.reason or "not there")
    return Context(workspace=plane, cwd=plane, store=Store(paths.of_root(plane)), confinement=means)


def start(command: str, context: Context) -> str:
    outcome = BashCommand().run(BashCommandInput(command=command, run_in_background=True), context)
    assert outcome.success and outcome.output["status"] == "running"
    assert outcome.confinement is not None
    return outcome.output["shell_id"]


def output(shell_id: str, context: Context, **given):
    return TaskOutput().run(TaskOutputInput(task_id=shell_id, **given), context).output


def kill(shell_id: str, context: Context):
    return KillShell().run(KillShellInput(shell_id=shell_id), context).output


def entry(shell_id: str, context: Context) -> Path:
    assert context.store is not None
    return background.folder(context.store.plane) / f"{shell_id}.json"


def change(name: str, context: Context, **values) -> None:
    path = entry(name, context)
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def left_of(mark: str) -> bool:
    """Whether a process with this on its command line lives; one that is about to end may take a moment."""
    for _ in range(100):
        said = subprocess.run(["ps", "-eo", "stat=,args="], capture_output=True, text=True, check=False).stdout
        if not any(mark in line and not line.startswith("Z") for line in said.splitlines()):
            return False
        time.sleep(0.02)
    return True


# --- starting and reading -----------------------------------------------------------------------------


def test_it_returns_at_once_and_the_output_is_there_when_it_is_over(context, plane):
    shell_id = start("echo begun; until [ -e go ]; do sleep 0.02; done; echo over >&2", context)
    (plane / "go").touch()
    assert output(shell_id, context) == {
        "task_id": shell_id,
        "status": "completed",
        "exit_code": 0,
        "output": "begun\nover\n",
        "truncated": False,
    }


def test_output_so_far_is_read_while_it_runs(context):
    shell_id = start("echo begun; sleep 30", context)
    deadline = time.monotonic() + 3
    while not (said := output(shell_id, context, block=False))["output"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (said["status"], said["exit_code"], said["output"]) == ("running", None, "begun\n")
    kill(shell_id, context)


def test_a_timeout_says_running(open_context):
    shell_id = start("sleep 30", open_context)
    started = time.monotonic()
    assert output(shell_id, open_context, timeout=150)["status"] == "running"
    assert 0.1 < time.monotonic() - started < 2
    kill(shell_id, open_context)


def test_one_that_fails_tells_its_exit_code(context):
    said = output(start("echo no >&2; exit 7", context), context)
    assert (said["status"], said["exit_code"], said["output"]) == ("failed", 7, "no\n")


def test_it_is_confined_as_any_command_is(plane, tmp_path, monkeypatch):
    context = _context("bubblewrap", plane, monkeypatch)
    shell_id = start(f"echo x > {tmp_path}/outside; echo x > inside; rm -rf AI/work/processes/*", context)
    said = output(shell_id, context)
    assert not (tmp_path / "outside").exists() and (plane / "inside").exists()
    assert said["status"] == "failed" and "Read-only" in said["output"]


def test_the_command_is_masked_in_the_registry(open_context):
    shell_id = start("curl -H 'Authorization: Bearer abcdef0123456789abcdef' localhost:1; true", open_context)
    assert "abcdef0123456789abcdef" not in entry(shell_id, open_context).read_text()
    output(shell_id, open_context)


def test_only_we_can_read_what_is_kept(open_context):
    shell_id = start("echo x", open_context)
    output(shell_id, open_context)
    for ending in ("json", "out"):
        assert entry(shell_id, open_context).with_suffix(f".{ending}").stat().st_mode & 0o077 == 0


def test_of_a_long_output_head_and_tail_are_given(open_context):
    shell_id = start("echo first; head -c 2000000 /dev/zero | tr '\\0' x; echo; echo last", open_context)
    said = output(shell_id, open_context)
    assert said["truncated"] and said["output"].startswith("first\n") and said["output"].endswith("last\n")
    assert len(said["output"]) < 1_000_100 and "bytes left out" in said["output"]


def test_of_a_long_output_the_answer_says_where_all_of_it_is(kz, plane):
    kz.ok("K1")
    registry = ToolRegistry()
    registry.register_defaults()
    session = registry.session(plane, approve=lambda _: True)
    try:
        begun = session.call("bash_command", {"command": "seq 300000", "run_in_background": True})
        over = session.call("task_output", {"task_id": begun.output["shell_id"]})
        path, whole = Path(over.metadata["output_file"]), "".join(f"{n}\n" for n in range(1, 300_001)).encode()
        assert over.output["truncated"] and len(over.output["output"]) < 1_100_000
        assert (over.metadata["output_bytes"], over.metadata["output_sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
        assert path.read_bytes() == whole and str(path) == begun.metadata["output_file"]
        part = session.call("read_file", {"path": str(path), "offset": 150_000, "limit": 1})
        assert part.success and "150001" in part.output
        assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    finally:
        session.store.leave()


def test_output_is_read_from_an_offset(open_context):
    shell_id = start("printf 0123456789", open_context)
    output(shell_id, open_context)
    assert open_context.store is not None
    assert background.output(open_context.store.plane, shell_id, offset=6) == ("6789", 10, False)
    assert background.output(open_context.store.plane, shell_id, offset=60) == ("", 10, False)


def test_whoever_asks_for_the_end_of_the_call_does_not_wait(open_context):
    shell_id = start("sleep 30", open_context)
    open_context.stop = Stop()
    open_context.stop.ask()
    started = time.monotonic()
    assert output(shell_id, open_context)["status"] == "running" and time.monotonic() - started < 1
    kill(shell_id, open_context)


def test_without_a_plane_nothing_goes_to_the_background(plane):
    with pytest.raises(ToolError) as fault:
        start("touch ran", Context(workspace=plane, cwd=plane))
    assert fault.value.kind == "no_plane" and not (plane / "ran").exists()


# --- ending -------------------------------------------------------------------------------------------


def test_killing_ends_it_with_all_that_it_started(nap, context):
    shell_id = start(f"setsid {nap} & {nap} & {nap}", context)
    said = kill(shell_id, context)
    assert (said["status"], said["was_running"]) == ("killed", True)
    assert not left_of(nap)
    said = output(shell_id, context)
    assert (said["status"], said["output"]) == ("killed", "")


def test_one_that_is_over_stays_as_it_ended(open_context):
    shell_id = start("exit 3", open_context)
    output(shell_id, open_context)
    assert kill(shell_id, open_context) == {"shell_id": shell_id, "status": "failed", "exit_code": 3, "was_running": False}
    assert output(shell_id, open_context)["status"] == "failed"


def test_what_one_that_is_over_left_behind_is_ended(nap, context):
    shell_id = start(f"setsid {nap} & exit 0", context)
    assert output(shell_id, context)["status"] == "completed"
    assert kill(shell_id, context)["was_running"] is False
    assert not left_of(nap)


@pytest.mark.parametrize(
    "shell_id", ["sh_20260101000000_0123456789", "1234", "../../etc/passwd", "sh_20260101000000_0123456789/../x"]
)
def test_an_unknown_id_is_an_error(open_context, shell_id):
    for call in (kill, output):
        with pytest.raises(ToolError) as fault:
            call(shell_id, open_context)
        assert fault.value.kind == "unknown_shell"


def test_another_process_reads_it_and_ends_it(nap, context, plane):
    shell_id = start(f"echo begun; {nap}", context)
    script = f"""
import time
from pathlib import Path
from kaizen_components import paths
from kaizen_components.agent import background
plane = paths.of_root(Path({str(plane)!r}))
while not (text := background.output(plane, {shell_id!r})[0]):
    time.sleep(0.02)
shell = background.get(plane, {shell_id!r})
print(text.strip(), background.state(plane, shell).status, background.kill(plane, shell).status)
"""
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "begun running killed\n"
    assert not left_of(nap) and output(shell_id, context)["status"] == "killed"


def test_it_outlives_whoever_started_it(context, plane):
    script = f"""
from pathlib import Path
from kaizen_components import paths
from kaizen_components.store import Store
from kaizen_components.agent.tool import Context
from kaizen_components.agent.tools.bash_command import BashCommand, BashCommandInput
place = Path({str(plane)!r})
context = Context(workspace=place, cwd=place, store=Store(paths.of_root(place)))
given = BashCommandInput(command="until [ -e go ]; do sleep 0.02; done; echo alive", run_in_background=True)
print(BashCommand().run(given, context).output["shell_id"])
"""
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    shell_id = said.stdout.strip()
    assert output(shell_id, context, block=False)["status"] == "running"
    (plane / "go").touch()
    found = output(shell_id, context)
    assert (found["status"], found["output"]) == ("completed", "alive\n")


# --- the dead -----------------------------------------------------------------------------------------


def test_one_that_died_without_a_word_is_seen_as_dead(nap, context):
    shell_id = start(nap, context)
    shell = json.loads(entry(shell_id, context).read_text())
    os.killpg(shell["group"], 9)
    outcome = TaskOutput().run(TaskOutputInput(task_id=shell_id), context)
    assert (outcome.output["status"], outcome.output["exit_code"]) == ("failed", None) and "lost" in outcome.metadata
    assert kill(shell_id, context)["was_running"] is False
    assert not left_of(nap)


def test_another_process_with_the_same_number_is_not_taken_for_it(open_context):
    shell_id = start("sleep 0", open_context)
    output(shell_id, open_context)
    entry(shell_id, open_context).with_suffix(".code").unlink()
    # This process has the number now; it began at another time.
    change(shell_id, open_context, pid=os.getpid(), group=os.getpid())
    assert output(shell_id, open_context)["status"] == "failed"
    assert kill(shell_id, open_context)["was_running"] is False


def test_one_whose_starter_died_before_it_began_is_over(open_context):
    shell_id = start("true", open_context)
    output(shell_id, open_context)
    entry(shell_id, open_context).with_suffix(".code").unlink()
    change(shell_id, open_context, pid=None, group=None, process=None, starter="1 another-boot:1")
    assert output(shell_id, open_context)["status"] == "failed"
    change(shell_id, open_context, starter=f"{os.getpid()} {process.identity(os.getpid())}")
    assert output(shell_id, open_context, block=False)["status"] == "running"


def test_a_forged_entry_ends_and_reads_and_removes_nothing_else(open_context, tmp_path):
    shell_id = start("true", open_context)
    output(shell_id, open_context)
    entry(shell_id, open_context).with_suffix(".code").unlink()
    (tmp_path / "kaizen-x").mkdir()
    (tmp_path / "secret").write_text("the key")
    entry(shell_id, open_context).with_suffix(".out").unlink()
    entry(shell_id, open_context).with_suffix(".out").symlink_to(tmp_path / "secret")
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as other:
        identity = process.identity(other.pid)
        change(shell_id, open_context, pid=other.pid, group=other.pid, process=identity, temporary=str(tmp_path / "kaizen-x"))
        assert kill(shell_id, open_context)["was_running"] is False
        assert output(shell_id, open_context)["output"] == ""
        assert other.poll() is None and (tmp_path / "kaizen-x").exists()
        other.kill()
    change(shell_id, open_context, shell_id="../../elsewhere")
    with pytest.raises(ToolError, match="no background command"):
        output(shell_id, open_context)


def test_temporary_files_are_gone_when_it_is_over(plane, monkeypatch):
    context = _context("landlock", plane, monkeypatch)
    shell_id = start('echo x > "$TMPDIR/file"; echo "$TMPDIR"', context)
    place = Path(output(shell_id, context)["output"].strip())
    assert place.name.startswith("kaizen-") and not place.exists()


def test_what_could_not_be_started_leaves_no_entry(open_context):
    context = open_context
    context.confinement = confinement.Confinement("unconfined")
    assert context.store is not None
    held = confinement.Held(["true"], {"name": "unconfined", "not_held": []})
    with pytest.raises(process.NotStarted):
        background.start(context.store.plane, held, command="true", cwd=Path("/nowhere"), env={}, run_id=None, call_id=None)
    assert [*background.listed(context.store.plane)] == []
    assert [*background.folder(context.store.plane).iterdir()] == []


def test_what_has_been_over_for_long_is_forgotten(nap, open_context):
    old, new = start("true", open_context), start("true", open_context)
    running = start(nap, open_context)
    for shell_id in (old, new):
        output(shell_id, open_context)
    for shell_id in (old, running):
        for path in entry(shell_id, open_context).parent.glob(f"{shell_id}.*"):
            os.utime(path, (0, 0))
    another = start("true", open_context)
    assert open_context.store is not None
    assert [shell.shell_id for shell in background.listed(open_context.store.plane)] == sorted([new, running, another])
    kill(running, open_context)


def test_those_of_a_run_are_found(open_context):
    open_context.run_id = "ar_20260101000000_0123456789"
    shell_id = start("true", open_context)
    open_context.run_id = None
    start("true", open_context)
    assert open_context.store is not None
    found = background.listed(open_context.store.plane, "ar_20260101000000_0123456789")
    assert [shell.shell_id for shell in found] == [shell_id]


def test_ids_differ_also_where_they_are_made_repeatable(open_context, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "seed")
    ids = [start(f"echo {number}", open_context) for number in range(3)]
    assert len(set(ids)) == 3
    assert [output(shell_id, open_context)["output"] for shell_id in ids] == ["0\n", "1\n", "2\n"]


# --- runs ---------------------------------------------------------------------------------------------


def test_a_run_shows_its_status_and_its_last_events(kz, plane):
    run_id = kz.ok("T5", summary="Look at the log.")["id"]
    kz.ok("T6", run_id=run_id, type="message", payload_json='{"content": "hello"}')
    context = Context(workspace=plane, cwd=plane, store=Store(paths.of_root(plane)))
    said = output(run_id, context, timeout=0)
    assert said["status"] == "running" and said["events"][-1]["data"] == {"content": "hello"}
