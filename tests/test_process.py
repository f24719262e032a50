"""Process: starting, limiting, capturing and ending real programs."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kaizen_components import process


def shell(script: str, **options):
    return process.run(["sh", "-c", script], **options)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def ends(pid: int) -> bool:
    """Whether a process is over within a moment."""
    deadline = time.monotonic() + 2
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def test_the_exit_code_and_both_streams_are_kept():
    ended = shell("echo out; echo err >&2; exit 3")
    assert (ended.exit_code, ended.killed_by, ended.timed_out) == (3, None, False)
    assert (ended.stdout.kept(), ended.stderr.kept()) == (b"out\n", b"err\n")


def test_no_shell_reads_the_words():
    assert process.run(["printf", "%s|", "a b", "$HOME", "*"]).stdout.kept() == b"a b|$HOME|*|"


def test_a_program_that_is_not_there_was_not_started():
    with pytest.raises(process.NotStarted, match="No such file"):
        process.run(["/nowhere/to/be/found"])


def test_a_file_that_cannot_be_executed_was_not_started(tmp_path):
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(process.NotStarted, match="Permission denied"):
        process.run([str(tmp_path / "plain")])


def test_the_signal_that_killed_it_is_named():
    ended = shell("kill -SEGV $$")
    assert (ended.exit_code, ended.killed_by) == (None, "SIGSEGV")


def test_stdin_is_empty():
    assert shell("cat; echo end").stdout.kept() == b"end\n"


def test_output_comes_while_it_runs():
    came: list[float] = []
    shell("echo a; sleep 0.3; echo b", stdout=lambda block: came.append(time.monotonic()))
    assert len(came) == 2 and came[1] - came[0] > 0.2


def test_a_sink_that_fails_is_left_and_the_capture_goes_on():
    def sink(block: bytes) -> None:
        raise BrokenPipeError

    assert shell("echo a; sleep 0.05; echo b", stdout=sink).stdout.kept() == b"a\nb\n"


def test_hash_and_size_are_those_of_all_bytes():
    ended = process.run([sys.executable, "-c", r"import os; os.write(1, b'\xff\xfe\x00' * 1000)"])
    assert ended.stdout.size == 3000
    assert ended.stdout.sha256 == hashlib.sha256(b"\xff\xfe\x00" * 1000).hexdigest()


def test_a_long_stream_keeps_head_and_tail_at_line_ends():
    ended = shell("seq 1 100000", most=2000)
    kept = ended.stdout.kept().decode()
    head, _, tail = kept.partition("[kaizen: ")
    assert len(kept) < 2100
    assert head.startswith("1\n2\n") and head.endswith("\n")
    assert tail.partition(" bytes left out]\n")[2].endswith("99999\n100000\n")
    said = int(tail.partition(" ")[0])
    assert said + len(head) + len(tail.partition("]\n")[2]) == ended.stdout.size


def test_what_just_fits_is_kept_whole():
    ended = shell("printf 0123456789", most=10)
    assert ended.stdout.kept() == b"0123456789" and ended.stdout.left_out == 0


def test_the_last_bytes_are_the_end_of_the_stream():
    ended = shell("seq 1 10", most=1000)
    assert ended.stdout.last(6) == b"\n9\n10\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures with /proc")
def test_a_hundred_megabytes_stream_in_bounded_memory():
    code = (
        "import re, sys; sys.path.insert(0, sys.argv[1])\n"
        "from kaizen_components import process\n"
        "ended = process.run(['sh', '-c', 'head -c 100000000 /dev/zero'])\n"
        "print(ended.stdout.size, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    root = str(Path(__file__).resolve().parent.parent)
    size, kilobytes = process.run([sys.executable, "-c", code, root]).stdout.kept().split()
    assert int(size) == 100_000_000
    assert int(kilobytes) < 60_000


def test_a_timeout_ends_the_whole_group():
    ended = shell("sleep 60 & echo $!; sleep 60", timeout=0.3)
    assert ended.timed_out and ended.killed_by == "SIGTERM" and ended.duration_ms < 3000
    assert ends(int(ended.stdout.kept()))


def test_who_ignores_the_request_to_end_is_killed_after_the_grace():
    started = time.monotonic()
    ended = shell("trap '' TERM; (trap '' TERM; sleep 60) & echo $!; sleep 60", timeout=0.2, grace=0.3)
    assert ended.timed_out and 0.4 < time.monotonic() - started < 3
    assert ends(int(ended.stdout.kept()))


def test_a_program_may_tidy_up_within_the_grace():
    ended = shell("trap 'echo tidied; exit 0' TERM; sleep 60 & wait", timeout=0.2)
    assert ended.timed_out and ended.exit_code == 0 and ended.stdout.kept() == b"tidied\n"


def test_a_background_process_that_holds_the_pipe_does_not_hold_the_caller():
    started = time.monotonic()
    ended = shell("sleep 60 & echo $!")
    assert time.monotonic() - started < 5
    assert ended.exit_code == 0 and ended.left_open and not ended.timed_out
    pid = int(ended.stdout.kept())
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_a_background_process_that_goes_on_talking_does_not_hold_the_caller(monkeypatch):
    monkeypatch.setattr(process, "TALK", 0.5)
    ended = shell("(while :; do echo x; sleep 0.05; done) & echo $!")
    assert ended.left_open
    size = ended.stdout.size
    time.sleep(0.2)
    assert ended.stdout.size == size
    os.kill(int(ended.stdout.kept().split()[0]), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_group_and_is_reported(number):
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()
    ended = shell("sleep 60 & echo $!; sleep 60")
    assert ended.interrupted == number and not ended.timed_out
    assert ends(int(ended.stdout.kept()))


def test_afterwards_signals_mean_what_they_meant():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    shell("true")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_it_runs_outside_the_main_thread_too():
    ended = []
    thread = threading.Thread(target=lambda: ended.append(shell("echo hi")))
    thread.start()
    thread.join()
    assert ended[0].stdout.kept() == b"hi\n"


def test_the_environment_is_the_callers_unless_one_is_given(monkeypatch):
    monkeypatch.setenv("KAIZEN_AGENT", "someone")
    assert shell('echo "$KAIZEN_AGENT"').stdout.kept() == b"someone\n"
    assert shell('echo "$KAIZEN_AGENT"', env={"PATH": os.environ["PATH"]}).stdout.kept() == b"\n"


def test_a_fixed_clock_measures_nothing(monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    assert shell("sleep 0.05").duration_ms == 0
