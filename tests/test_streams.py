"""Streams, environment and folders as no caller should leave them: each call ends in its envelope, or quietly."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import truth
from conftest import ROOT

KAIZEN = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'kaizen.py'))}"
START = f"{KAIZEN} W1 --title A --summary One. --json"


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_nothing_but_their_text(plane, closed):
    for command in (START, f"{KAIZEN} W9", f"{KAIZEN} --help"):
        ended = shell(f"{command} {closed}")
        assert (ended.returncode, ended.stderr) == (0, "")
    assert shell(f"{KAIZEN} nothing {closed}").returncode == 2
    assert len(truth.sound(plane)["tasks"]) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_an_answer_that_cannot_be_written_says_that_the_record_was(plane):
    ended = shell(f"{START} > /dev/full")
    assert ended.returncode == 1
    said = json.loads(ended.stderr)
    assert said["code"] == "ERROR_OUTPUT" and "stands" in said["message"]
    assert len(truth.sound(plane)["tasks"]) == 1
    assert shell(f"{KAIZEN} W9 > /dev/full 2>&1").returncode == 1
    assert shell(f"{KAIZEN} nothing 2> /dev/full").returncode == 2


@pytest.mark.parametrize("text", ["", " --json"])
def test_a_closed_pipe_takes_nothing_from_the_exit_code(plane, text):
    for command in (f"{KAIZEN} W1 --title A --summary One.{text}", f"{KAIZEN} W9{text}", f"{KAIZEN} V1{text}"):
        ended = shell(f"{command} | true; exit ${{PIPESTATUS[0]}}")
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("stdout", ["| true; exit ${PIPESTATUS[0]}", "> /dev/full", ">&-"])
def test_the_standalone_verdict_stands_where_nobody_reads_it(kz, plane, stdout):
    kz.ok("W1", title="A", summary="One.")
    verifier = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'support_scripts' / 'verify_ledger.py'))}"
    for path, code in ((str(plane), 0), ("/nowhere", 1)):
        ended = shell(f"{verifier} {shlex.quote(path)} {stdout}")
        assert (ended.returncode, ended.stderr) == (code, "")


@pytest.mark.parametrize("clock", ["9999-12-31T23:59:59", "0001-01-01T00:00:00+05:00", "0999-01-01", "x"])
def test_a_clock_that_no_id_can_hold_is_refused(kz, monkeypatch, clock):
    monkeypatch.setenv("KAIZEN_CLOCK", clock)
    assert kz.denied("DENIED_ENVIRONMENT_INVALID", "W1", title="A", summary="One.")["variable"] == "KAIZEN_CLOCK"


@pytest.mark.parametrize("clock", ["1900-01-01", "9000-12-31T23:59:59-12:00"])
def test_at_both_ends_of_what_a_clock_may_say_everything_works(kz, monkeypatch, clock):
    monkeypatch.setenv("KAIZEN_CLOCK", clock)
    task = kz.ok("W1", title="A", summary="One.")["id"]
    assert kz.ok("W38", summary="It is of the task.", task_id=task)
    for code in ("R0", "R1", "V1"):
        kz.ok(code)


def test_a_seed_may_be_any_bytes(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_ID_SEED", "\udcff")
    kz.ok("W1", title="A", summary="One.")


@pytest.mark.parametrize("op", ["W1", "W9", "K1", "K2", "K10", "V1"])
@pytest.mark.parametrize("name", ["loop", "x" * 300, "y/" * 2100, "\udcff"])
def test_a_place_where_no_plane_can_be_is_refused(kz, plane, monkeypatch, op, name):
    (plane / "loop").symlink_to("loop")
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(plane / name))
    reply = kz(op, **({"title": "A", "summary": "One."} if op == "W1" else {}))
    assert reply["code"] in ("DENIED_ENVIRONMENT_INVALID", "DENIED_PLANE_NOT_FOUND") and reply.stdout == ""


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", str(2**53), "9" * 100])
def test_a_number_beyond_all_reason_is_refused(kz, number):
    for op, flags in (("W9", {"limit": number}), ("K17", {"query": "a", "limit": number}), ("K22", {"offset": number})):
        kz.denied("DENIED_SCHEMA_RANGE", op, **flags)
    assert "DENIED_SCHEMA_RANGE" in kz("K8", _stdin=f'{{"op": "W9", "limit": {2**53}}}').stdout


def test_a_removed_folder_is_no_reason_for_a_traceback(plane):
    gone = f"cd {shlex.quote(str(plane))} && mkdir gone && cd gone && rmdir ../gone"
    assert shell(f"{gone}; {START}").returncode == 0
    for command, code in (("Q11 --json -- true", "DENIED_FILE_NOT_FOUND"), ("K11 --path x --json", "DENIED_FILE_NOT_FOUND")):
        assert json.loads(shell(f"{gone}; {KAIZEN} {command}").stderr)["code"] == code
    program = f"{shlex.quote(sys.executable)} -c 'from kaizen_components.start import main; main()'"
    relative = shell(f"{gone}; PYTHONPATH={shlex.quote(str(ROOT))} {program} W9 --json", KAIZEN_REPO_ROOT="")
    assert json.loads(relative.stderr)["code"] == "DENIED_PLANE_NOT_FOUND"
