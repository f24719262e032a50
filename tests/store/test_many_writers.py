"""Many writers: everybody gets their turn, nothing is written twice, and whoever has to give up is told for whom."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import truth
from conftest import ROOT

from kaizen_components import denial
from kaizen_components.op import load, run
from kaizen_components.paths import Plane
from kaizen_components.store import Store
from kaizen_components.store.lock import PlaneLock, holder

SOAK = float(os.environ.get("KAIZEN_SOAK") or 0)
# A turn takes some milliseconds; who waits much longer than for all turns before theirs is being starved.
WORST_WAIT_MS = 20_000


def calls(*argvs: list[str]) -> list[dict]:
    """The replies of real command lines, all started before any is waited for."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "kaizen.py"), *argv, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for argv in argvs
    ]
    ended = [process.communicate(timeout=120) for process in processes]
    return [json.loads(out or err) for out, err in ended]


class Workers:
    """Worker processes that wait for one another, then all start at once."""

    def __init__(self, *works: list[str]) -> None:
        command = [sys.executable, str(ROOT / "tests" / "worker.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.processes = [subprocess.Popen([*command, *work], **pipes) for work in works]
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()

    def replies(self) -> list[list[dict]]:
        """What each answered, when all have ended."""
        ended = [process.communicate(timeout=300)[0] for process in self.processes]
        return [[json.loads(line) for line in out.splitlines()] for out in ended]


@pytest.fixture(params=["turso", "sqlite"])
def engine(request, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)


@contextlib.contextmanager
def held(path: Path, script: str = "from kaizen_components.store.lock import PlaneLock; PlaneLock(path, 'W1').__enter__()"):
    """Another process that holds the plane while the block runs."""
    text = f"import sys, sqlite3; from pathlib import Path; path = Path({str(path)!r}); {script}; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", text], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


# --- writers --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_thirty_two_command_lines_at_once_all_succeed(plane):
    replies = calls(*(["W1", "--title", f"Task {n}", "--summary", "One."] for n in range(32)))
    assert [reply["status"] for reply in replies] == ["OK"] * 32
    tables = truth.sound(plane)
    assert {row["id"] for row in tables["tasks"]} == {reply["id"] for reply in replies}
    assert len({reply["seq"] for reply in replies}) == 32 and len(tables["tasks"]) == 32
    chain = {entry["seq"]: entry["chain_hash"] for entry in tables["ledger"]}
    assert all(chain[reply["seq"]] == reply["chain_hash"] for reply in replies)


@pytest.mark.soak
def test_writers_that_start_together_take_turns(plane, engine):
    deadline, rounds = time.monotonic() + SOAK / 2, 0
    while not rounds or time.monotonic() < deadline:
        rounds += 1
        replies = Workers(*(["writes", f"{rounds}-{n}", "3"] for n in range(32 if SOAK else 16))).replies()
        assert all(reply["status"] == "OK" for own in replies for reply in own)
        assert all(len(own) == 3 for own in replies)
        assert max(reply["ms"] for own in replies for reply in own) < WORST_WAIT_MS
        made = [reply["id"] for own in replies for reply in own]
        rows = {row["id"] for row in truth.sound(plane)["tasks"]}
        assert len(set(made)) == len(made) and rows >= set(made)


@pytest.mark.slow
def test_eight_promotions_at_once_make_one_learning(kz, plane):
    gotcha = kz.ok("G1", title="Trap", summary="It bites.", body="Step around it.")["id"]
    replies = calls(*([["L2", "--id", gotcha]] * 8))
    assert [reply["status"] for reply in replies] == ["OK"] * 8
    assert sorted(reply.get("already", False) for reply in replies) == [False] + [True] * 7
    assert len({reply["id"] for reply in replies}) == 1
    assert sum("seq" in reply for reply in replies) == 1, "who found it done has written nothing, and has no receipt"
    tables = truth.sound(plane)
    assert len(tables["learning"]) == 1 and [row["status"] for row in tables["gotcha"]] == ["promoted"]


@pytest.mark.slow
def test_eight_calls_with_one_key_make_one_record(plane):
    replies = calls(*([["W1", "--title", "A", "--summary", "One.", "--criterion", "It is fast.", "--key", "k"]] * 8))
    assert sorted(reply.pop("replayed", False) for reply in replies) == [False] + [True] * 7
    assert all(reply == replies[0] for reply in replies)
    tables = truth.sound(plane)
    assert len(tables["tasks"]) == 1 == len(tables["criteria"])


@pytest.mark.slow
def test_a_first_call_by_many_makes_one_plane(plane, engine):
    replies = Workers(*(["writes", str(n), "1"] for n in range(8))).replies()
    assert all(reply["status"] == "OK" for own in replies for reply in own)
    tables = truth.sound(plane)
    assert len(tables["schema_version"]) == 1 and len(tables["ledger"]) == 9


@pytest.mark.slow
def test_readers_under_writers_all_succeed_and_never_see_less_than_before(kz, plane, engine):
    kz.ok("K1")
    workers = Workers(*(["writes", str(n), "10"] for n in range(4)), *(["reads", str(n)] for n in range(3)))
    for process in workers.processes[:4]:
        process.wait(timeout=120)
    (plane / "stop").touch()
    replies = workers.replies()
    assert all(reply["status"] == "OK" for own in replies for reply in own)
    for own in replies[4:]:
        seen = [reply["count"] for reply in own]
        assert seen == sorted(seen) and all(reply["count"] == len(reply["records"]) for reply in own)
    assert len(truth.sound(plane)["tasks"]) == 40


@pytest.mark.slow
def test_threads_of_one_process_take_turns(plane, engine):
    found: list = []

    def work(name: int) -> None:
        try:
            for number in range(5):
                found.append(
                    run(load("W1"), {"title": f"{name}-{number}", "summary": "One."}, Store(Plane(plane, plane, "test")))
                )
                run(load("W9"), {}, Store(Plane(plane, plane, "test")))
        except BaseException as fault:
            found.append(fault)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    work(6)
    for thread in threads:
        thread.join()
    assert [reply for reply in found if isinstance(reply, BaseException)] == []
    assert {row["id"] for row in truth.sound(plane)["tasks"]} == {reply["id"] for reply in found} and len(found) == 35


# --- who has to wait ------------------------------------------------------------------------------


def test_a_lock_held_for_too_long_is_a_refusal_that_names_the_holder(kz, plane, monkeypatch):
    kz.ok("W1", title="A", summary="One.")
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0.2")
    before = signal.getsignal(signal.SIGALRM)
    with held(plane / "AI/db/kaizen.lock") as process:
        for code, flags in (("W1", {"title": "B", "summary": "One."}), ("W9", {})):
            refusal = kz.denied("DENIED_DB_CONNECT_RETRY_EXHAUSTED", code, **flags)
            assert refusal["holder"]["pid"] == process.pid and refusal["holder"]["op"] == "W1"
            assert str(process.pid) in refusal["message"] and "W1" in refusal["message"]
            assert refusal["retryable"] is True and 200 <= refusal["elapsed_ms"] < 5_000 and refusal.code == 1
        assert signal.getsignal(signal.SIGALRM) == before and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert kz.ok("W9")["count"] == 1, "a holder that was killed holds nothing"


def test_a_thread_that_is_not_the_main_one_gives_up_in_time_too(kz, plane, monkeypatch):
    kz.ok("W1", title="A", summary="One.")
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0.2")
    found: list = []

    def work() -> None:
        try:
            run(load("W9"), {}, Store(Plane(plane, plane, "test")))
        except denial.Denial as refusal:
            found.append(refusal)

    with held(plane / "AI/db/kaizen.lock") as process:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(timeout=30)
    assert isinstance(found[0], denial.ConnectRetryExhausted) and found[0].detail["holder"]["pid"] == process.pid


def test_who_waits_gets_the_lock_when_it_is_free(kz, plane):
    kz.ok("W1", title="A", summary="One.")
    with held(plane / "AI/db/kaizen.lock") as process:
        threading.Timer(0.3, process.kill).start()
        start = time.monotonic()
        assert kz.ok("W9")["count"] == 1
        assert time.monotonic() - start > 0.25


def test_the_lock_file_names_nobody_when_nobody_holds_it(kz, plane):
    path = plane / "AI/db/kaizen.lock"
    kz.ok("W1", title="A", summary="One.")
    assert holder(path) is None and path.read_bytes() == b""
    with PlaneLock(path, "G1"):
        assert holder(path)["pid"] == os.getpid() and holder(path)["op"] == "G1"
        with pytest.raises(denial.ConnectRetryExhausted), PlaneLock(path, "W1", seconds=0):
            pass
        assert holder(path)["op"] == "G1"
    with PlaneLock(path, "W1", seconds=0):
        pass


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_lock_timeout_that_is_no_time_is_refused(kz, monkeypatch, text):
    kz.ok("W1", title="A", summary="One.")
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", text)
    with PlaneLock(Path(os.environ["KAIZEN_REPO_ROOT"]) / "AI/db/kaizen.lock", "W1", seconds=0):
        assert kz.denied("DENIED_ENVIRONMENT_INVALID", "W9")["variable"] == "KAIZEN_LOCK_TIMEOUT"


FOREIGN = "shell = sqlite3.connect(path, isolation_level=None); shell.execute('BEGIN IMMEDIATE'); shell.execute('UPDATE counters SET value = value + 1')"


def test_a_foreign_shell_with_a_write_lock_is_waited_for_then_refused(kz, plane, engine, monkeypatch):
    kz.ok("W1", title="A", summary="One.")
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0.3")
    with held(plane / "AI/db/kaizen.db", FOREIGN) as process:
        refusal = kz("W1", title="B", summary="One.")
        assert refusal["code"] in ("DENIED_DB_CONNECT_RETRY_EXHAUSTED", "DENIED_DB_WRITE_RETRY_EXHAUSTED")
        assert "other program" in refusal["required_action"] and refusal["attempts"] > 1 and refusal.code == 1
        monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "30")
        threading.Timer(0.3, process.kill).start()
        kz.ok("W1", title="C", summary="One.")
    assert {row["title"] for row in truth.sound(plane)["tasks"]} == {"A", "C"}


@pytest.mark.slow
def test_a_foreign_shell_may_read_while_kaizen_writes(kz, plane, monkeypatch):
    """The standard library's engine shares the file; Turso keeps it to itself while it has it, which is short."""
    monkeypatch.setenv("KAIZEN_DB_ENGINE", "sqlite")
    kz.ok("W1", title="A", summary="One.")
    reading = "shell = sqlite3.connect(path, isolation_level=None); shell.execute('BEGIN'); shell.execute('SELECT * FROM tasks').fetchall()"
    with held(plane / "AI/db/kaizen.db", reading):
        kz.ok("W1", title="B", summary="One.")
    assert len(truth.sound(plane)["tasks"]) == 2
