"""Proof: commands that really run, and what the plane says of them afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from kaizen_components import cli

SECRET = "AKIA" + "ABCDEFGHIJKLMNOP"


def run(kz: Any, script: str, **flags: Any) -> Any:
    """Q11 over a shell script, with --json."""
    return kz("Q11", _command=["sh", "-c", script], **flags)


def observation(kz: Any, reply: Any) -> dict[str, Any]:
    """Everything that was observed, as it was recorded."""
    return json.loads(kz.ok("Q7", id=reply["id"])["record"]["observation_json"])


def kept(kz: Any, plane: Path, reply: Any, stream: str) -> bytes:
    """The copy of a stream."""
    record = kz.ok("A3", id=observation(kz, reply)[stream]["artifact_id"])["record"]
    content = (plane / record["path"]).read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest() == Path(record["path"]).name
    assert record["bytes"] == len(content)
    return content


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Kaizen", "-c", "user.email=kaizen@example.com"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


# --- verdicts -------------------------------------------------------------------------------------


def test_exit_code_0_is_an_observed_pass(kz):
    reply = kz.ok("Q11", _command=["true"])
    assert (reply["basis"], reply["outcome"], reply["conclusion"]) == ("observed", "passed", "PROOF_RECORDED")
    assert (reply["exit_code"], reply["signal"], reply["timed_out"], reply["tests"]) == (0, None, False, None)


def test_another_exit_code_is_a_failed_verification(kz):
    reply = run(kz, "exit 3")
    assert reply.code == 1 and reply["status"] == "FAILED" and reply.stdout
    assert (reply["outcome"], reply["conclusion"], reply["exit_code"]) == ("failed", "VERIFICATION_FAILED", 3)


def test_a_death_by_signal_is_a_failure(kz):
    reply = run(kz, "kill -KILL $$")
    assert reply.code == 1
    assert (reply["outcome"], reply["exit_code"], reply["signal"]) == ("failed", None, "SIGKILL")


def test_the_expected_exit_code_is_a_pass(kz):
    assert run(kz, "exit 3", expect_exit=3)["outcome"] == "passed"
    reply = run(kz, "exit 0", expect_exit=3)
    assert reply["outcome"] == "failed" and "instead of 3" in reply["message"]


def test_the_numbers_of_a_test_runner_are_recorded(kz):
    reply = run(kz, "echo '2 passed, 1 skipped in 0.01s'")
    assert reply["outcome"] == "passed" and reply.code == 0
    assert reply["tests"] == {
        "runner": "pytest",
        "passed": 2,
        "failed": 0,
        "skipped": 1,
        "errors": 0,
        "total": 3,
        "closing_lines": 1,
    }


def test_a_run_of_no_test_is_inconclusive_and_never_a_pass(kz):
    reply = run(kz, "printf 'Ran 0 tests in 0.000s\\n\\nOK\\n' >&2")
    assert reply.code == 1 and reply["status"] == "FAILED"
    assert (reply["outcome"], reply["conclusion"]) == ("inconclusive", "NEEDS_HUMAN_DECISION")


def test_a_run_of_skipped_tests_alone_is_inconclusive(kz):
    assert run(kz, "echo '3 skipped in 0.01s'")["outcome"] == "inconclusive"


def test_pytests_exit_code_5_is_inconclusive(kz):
    assert run(kz, "echo 'no tests ran in 0.01s'; exit 5")["outcome"] == "inconclusive"


def test_exit_code_5_of_anything_else_is_a_failure(kz):
    assert run(kz, "exit 5")["outcome"] == "failed"


def test_pytest_that_finds_no_such_file_failed(kz):
    assert run(kz, "echo 'no tests ran in 0.01s'; exit 4")["outcome"] == "failed"


def test_reported_failures_are_a_failure_whatever_the_exit_code(kz):
    reply = run(kz, "echo '1 failed, 9 passed in 0.01s'; exit 0")
    assert (reply["outcome"], reply["exit_code"]) == ("failed", 0)


def test_real_pytest_is_recognised(kz, plane):
    (plane / "test_one.py").write_text("def test_one():\n    assert 1 + 1 == 2\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(plane / "test_one.py")]
    reply = kz.ok("Q11", _command=command)
    assert reply["outcome"] == "passed" and reply["tests"]["runner"] == "pytest" and reply["tests"]["passed"] == 1


# --- what is recorded -----------------------------------------------------------------------------


def test_the_record_says_how_it_ran(kz, plane):
    (plane / "sub").mkdir()
    with contextlib.chdir(plane / "sub"):
        reply = run(kz, "echo hi; echo err >&2; exit 2", timeout=60)
    record = kz.ok("Q7", id=reply["id"])["record"]
    assert (record["basis"], record["event_type"], record["exit_code"]) == ("observed", "proof", 2)
    assert record["duration_ms"] >= 0
    seen = observation(kz, reply)
    assert seen["argv"] == ["sh", "-c", "echo hi; echo err >&2; exit 2"]
    assert (seen["cwd"], seen["exit_code"], seen["timeout_seconds"]) == ("sub", 2, 60.0)
    assert seen["stdout"]["sha256"] == reply["stdout_sha256"] == hashlib.sha256(b"hi\n").hexdigest()
    assert (seen["stdout"]["bytes"], seen["stderr"]["bytes"]) == (3, 4)


def test_copies_of_both_streams_are_artifacts(kz, plane):
    reply = run(kz, "echo out; echo err >&2")
    assert kept(kz, plane, reply, "stdout") == b"out\n"
    assert kept(kz, plane, reply, "stderr") == b"err\n"
    assert len(reply["artifact_ids"]) == 2
    assert all(kz.ok("A5", id=artifact_id)["match"] for artifact_id in reply["artifact_ids"])


def test_a_silent_command_leaves_no_copy(kz):
    reply = run(kz, "true")
    assert reply["artifact_ids"] == [] and reply["stdout_sha256"] == hashlib.sha256(b"").hexdigest()


def test_bytes_that_are_no_text_are_kept_as_they_are(kz, plane):
    reply = run(kz, r"printf '\377\376\n'")
    assert kept(kz, plane, reply, "stdout") == b"\xff\xfe\n"


def test_a_long_output_is_kept_with_head_tail_and_a_mark(kz, plane):
    reply = run(kz, "seq 1 400000")
    copy = kept(kz, plane, reply, "stdout")
    assert len(copy) < 1_000_100
    assert copy.startswith(b"1\n2\n") and copy.endswith(b"400000\n") and b"bytes left out]\n" in copy
    seen = observation(kz, reply)["stdout"]
    assert seen["bytes"] == 2_688_895 and seen["left_out"] > 1_600_000


def test_the_numbers_come_from_the_end_of_a_long_output(kz):
    reply = run(kz, "seq 1 400000; echo '7 passed in 0.01s'")
    assert reply["tests"]["passed"] == 7 and reply["tests"]["partial"]


def test_secrets_in_the_output_are_masked_in_the_copy(kz, plane):
    reply = run(kz, f"printf '\\377 key {SECRET[:8]}''{SECRET[8:]} end\\n'")
    assert reply["masked"] is True
    assert kept(kz, plane, reply, "stdout") == b"\xff key [REDACTED:aws_access_key] end\n"
    assert observation(kz, reply)["stdout"]["spans"] == [{"kind": "aws_access_key", "start": 6, "end": 26}]
    assert reply["stdout_sha256"] == hashlib.sha256(b"\xff key " + SECRET.encode() + b" end\n").hexdigest()


def test_a_private_key_whose_end_is_missing_is_masked(kz, plane):
    reply = run(
        kz, "echo '-----BEGIN PRIVATE KEY-----'; echo MIIEvQIBADANBgkqhkiG9w0BAQ; echo EFAASCBKcwggSjAgEAAoIBAQ; echo done"
    )
    assert kept(kz, plane, reply, "stdout") == b"[REDACTED:private_key_block]\ndone\n"


def test_secrets_in_the_command_line_are_masked_not_refused(kz):
    reply = kz.ok("Q11", _command=["true", SECRET, "--api-key", "q8Zr2Lw0Xv7n", "--verbose", "plain"])
    assert reply["masked"] is True
    seen = observation(kz, reply)
    assert seen["argv"] == ["true", "[REDACTED:aws_access_key]", "--api-key", "[REDACTED:assigned_secret]", "--verbose", "plain"]
    assert seen["argv_masked"] is True
    assert SECRET not in json.dumps(kz.ok("Q7", id=reply["id"]))


def test_words_that_are_no_utf8_reach_the_command_and_are_recorded_with_escapes(kz):
    word = os.fsdecode(b"a\xff")
    reply = kz.ok("Q11", key="k", _command=["printf", "%s", word])
    assert reply["stdout_sha256"] == hashlib.sha256(b"a\xff").hexdigest()
    assert observation(kz, reply)["argv"][2] == "a\\udcff"


def test_an_endless_command_line_is_recorded_by_its_beginning(kz):
    reply = kz.ok("Q11", _command=["true", *(["x" * 1000] * 500)])
    seen = observation(kz, reply)
    assert seen["argv_cut"] and 90 < len(seen["argv"]) < 110 and seen["argv"][-1].startswith("[and ")


def test_named_files_are_hashed_after_the_run(kz, plane):
    with contextlib.chdir(plane):
        reply = run(kz, "echo built > out.bin", artifact=["out.bin"])
    file = observation(kz, reply)["files"][0]
    assert file["path"] == "out.bin" and file["sha256"] == hashlib.sha256(b"built\n").hexdigest()
    assert file["artifact_id"] in reply["artifact_ids"]
    assert kz.ok("A3", id=file["artifact_id"])["record"]["path"] == "out.bin"


def test_a_named_file_that_is_not_there_makes_a_pass_inconclusive(kz):
    reply = run(kz, "true", artifact=["out.bin"])
    assert reply["outcome"] == "inconclusive" and "out.bin" in reply["message"]


def test_a_file_outside_of_the_project_is_refused_before_anything_runs(kz, plane):
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "Q11", artifact=["/etc/hostname"], _command=["touch", str(plane / "ran")])
    assert not (plane / "ran").exists()


def test_commit_and_changes_before_and_after_are_recorded(kz, plane):
    git(plane, "init", "--quiet", "--initial-branch=main")
    git(plane, "commit", "--quiet", "--allow-empty", "--message", "First")
    with contextlib.chdir(plane):
        reply = run(kz, "echo x > new.txt")
    before, after = reply["git"]["before"], reply["git"]["after"]
    assert before["commit"] == after["commit"] == git(plane, "rev-parse", "HEAD")
    assert (before["dirty"], after["dirty"], reply["git"]["changed"]) == (False, True, True)


def test_a_run_that_changes_nothing_says_so_though_kaizen_writes(kz, plane):
    git(plane, "init", "--quiet")
    git(plane, "commit", "--quiet", "--allow-empty", "--message", "First")
    assert run(kz, "true")["git"]["changed"] is False


def test_outside_of_git_there_is_no_state(kz):
    assert run(kz, "true")["git"] is None


def test_the_summary_tells_the_command_and_the_end(kz):
    reply = run(kz, "echo '3 passed in 0.01s'")
    record = kz.ok("Q7", id=reply["id"])["record"]
    assert record["summary"] == "sh -c 'echo '\"'\"'3 passed in 0.01s'\"'\"'': passed, exit code 0; pytest: 3 passed"


def test_given_texts_and_links_are_kept(kz):
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.")["id"]
    reply = kz.ok("Q11", summary="Login works.", title="Login", body="By hand.", task_id=task, _command=["true"])
    record = kz.ok("Q7", id=reply["id"])["record"]
    assert [record[name] for name in ("summary", "title", "body", "task_id")] == ["Login works.", "Login", "By hand.", task]


# --- criteria -------------------------------------------------------------------------------------


@pytest.fixture
def criterion(kz):
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.")["id"]
    return kz.ok("W21", task_id=task, summary="A user can log in.")["id"]


def test_a_pass_meets_the_named_criterion(kz, criterion):
    reply = run(kz, "true", criterion_id=criterion)
    assert reply["criteria_met"] == [criterion]
    record = kz.ok("W23", id=criterion)["record"]
    assert record["status"] == "met" and json.loads(record["proof_ids_json"]) == [reply["id"]]


@pytest.mark.parametrize("script", ["exit 1", "echo 'no tests ran in 0.01s'"])
def test_anything_else_meets_none(kz, criterion, script):
    assert run(kz, script, criterion_id=criterion)["criteria_met"] == []
    assert kz.ok("W23", id=criterion)["record"]["status"] == "open"


def test_an_unknown_criterion_is_refused_before_anything_runs(kz, plane):
    unknown = "ac_20260101000000_0123456789"
    kz.denied("DENIED_RECORD_NOT_FOUND", "Q11", criterion_id=unknown, _command=["touch", str(plane / "ran")])
    assert not (plane / "ran").exists()


def test_an_unknown_task_is_refused_before_anything_runs(kz, plane):
    unknown = "t_20260101000000_0123456789"
    kz.denied("DENIED_REFERENCE_NOT_FOUND", "Q11", task_id=unknown, _command=["touch", str(plane / "ran")])
    assert not (plane / "ran").exists()


# --- refusals, keys, determinism ------------------------------------------------------------------


def test_a_command_is_required(kz):
    assert kz.denied("DENIED_COMMAND_REQUIRED", "Q11").code == 2
    kz.denied("DENIED_COMMAND_REQUIRED", "Q11", _command=[])


def test_a_command_that_does_not_exist_is_refused_and_nothing_is_recorded(kz):
    before = kz.ok("Q9")["count"]
    reply = kz.denied("DENIED_COMMAND_NOT_FOUND", "Q11", _command=["no-such-program"])
    assert reply.code == 1 and reply["command"] == "no-such-program" and reply["reason"]
    assert kz.ok("Q9")["count"] == before


def test_the_refusal_of_a_command_does_not_show_its_secrets(kz):
    assert SECRET not in kz.denied("DENIED_COMMAND_NOT_FOUND", "Q11", _command=["no-such-program", SECRET]).stderr


def test_a_repeated_key_does_not_run_the_command_again(kz, plane):
    script = f"echo ran >> {plane}/count; exit 3"
    first, second = run(kz, script, key="once"), run(kz, script, key="once")
    assert (plane / "count").read_text() == "ran\n"
    assert second["replayed"] is True and second.code == first.code == 1
    same = ("id", "revision_id", "content_hash", "seq", "chain_hash", "exit_code", "outcome", "artifact_ids", "status")
    assert [first[name] for name in same] == [second[name] for name in same]
    assert kz.ok("V1", files=True)["status"] == "OK"


def test_a_key_of_another_command_is_refused_before_anything_runs(kz, plane):
    run(kz, "true", key="once")
    kz.denied("DENIED_KEY_CONFLICT", "Q11", key="once", _command=["touch", str(plane / "ran")])
    assert not (plane / "ran").exists()


def test_the_content_hash_is_that_of_the_proof(kz):
    reply = run(kz, "echo hi", key="k")
    record = kz.ok("Q7", id=reply["id"])["record"]
    assert (record["content_hash"], record["current_revision_id"]) == (reply["content_hash"], reply["revision_id"])


def test_with_a_fixed_clock_the_same_run_gives_the_same_chain(kz, plane, tmp_path, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "seed")
    chains = []
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        git(root, "init", "--quiet", "--initial-branch=main")
        monkeypatch.setenv("KAIZEN_REPO_ROOT", str(root))
        with contextlib.chdir(root):
            reply = run(kz, "echo hi; echo err >&2; sleep 0.05; echo x > out", artifact=["out"])
        assert reply["duration_ms"] == 0
        chains.append(reply["chain_hash"])
    assert chains[0] == chains[1]


def test_the_ledger_stays_whole(kz, plane):
    run(kz, "echo a; exit 1")
    run(kz, "echo a", key="k")
    assert kz.ok("V1", files=True)["status"] == "OK"
    assert [path.name for path in (plane / "AI/db/blobs").iterdir() if path.is_file()] == [hashlib.sha256(b"a\n").hexdigest()]
    assert list((plane / "AI/db/blobs/.staging").iterdir()) == []


def test_a_damaged_copy_is_found(kz, plane):
    reply = run(kz, "echo a")
    path = kz.ok("A3", id=reply["artifact_ids"][0])["record"]["path"]
    (plane / path).write_bytes(b"b\n")
    assert kz("V1", files=True)["status"] == "FAILED"


def test_it_does_not_hold_the_lock_while_the_command_runs(kz):
    kz.ok("K1")
    inner = f"{sys.executable} {ROOT}/kaizen.py W1 --title Inner --summary 'Written while the proof runs.' --json"
    reply = run(kz, inner)
    assert reply["outcome"] == "passed"
    assert kz.ok("W9")["records"][0]["title"] == "Inner"


# --- streams and signals, with the real kaizen.py -------------------------------------------------


def test_with_json_stdout_is_one_object_and_the_output_goes_to_stderr(process):
    ended = process("Q11", "--json", "--", "sh", "-c", "echo out; echo err >&2")
    assert json.loads(ended.stdout)["outcome"] == "passed"
    assert sorted(ended.stderr.split()) == ["err", "out"]


def test_without_json_each_stream_goes_to_its_own(process):
    ended = process("Q11", "--", "sh", "-c", "printf out; echo err >&2; exit 4")
    assert ended.returncode == 1
    assert ended.stdout.startswith("out\nFAILED") and "exit code 4" in ended.stdout
    assert ended.stderr == "err\n"


def test_flags_behind_the_dashes_are_the_commands(process):
    ended = process("Q11", "--json", "--", "echo", "--json", "--help", "--", "-x")
    assert ended.stderr == "--json --help -- -x\n"


def test_stdin_is_read_only_when_asked(process):
    assert process("Q11", "--json", "--", "cat", input="secretless").stderr == ""
    assert process("Q11", "--json", "--stdin", "--", "cat", input="secretless").stderr.startswith("secretless")


def test_a_timeout_is_a_failure_and_ends_everything(process):
    started = time.monotonic()
    ended = process("Q11", "--json", "--timeout", "0.5", "--", "sh", "-c", "sleep 60 & sleep 60")
    reply = json.loads(ended.stdout)
    assert ended.returncode == 1 and time.monotonic() - started < 20
    assert reply["timed_out"] and (reply["outcome"], reply["conclusion"]) == ("failed", "VERIFICATION_FAILED")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_command_and_is_recorded(kz, number, code):
    kz.ok("K1")
    command = [sys.executable, str(ROOT / "kaizen.py"), "Q11", "--json", "--", "sh", "-c", "echo up; sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as kaizen:
        assert kaizen.stderr and kaizen.stdout and kaizen.stderr.readline() == "up\n"
        kaizen.send_signal(number)
        reply = json.loads(kaizen.stdout.read())
    assert kaizen.returncode == code
    assert (reply["outcome"], reply["interrupted"]) == ("failed", signal.Signals(number).name)
    assert kz.ok("Q9")["records"][0]["id"] == reply["id"]


def test_nobody_reading_does_not_change_what_is_observed(kz):
    kz.ok("K1")
    command = f"{sys.executable} {ROOT}/kaizen.py Q11 -- sh -c 'seq 1 200000; exit 7' | head -1"
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=60)
    record = kz.ok("Q7", id=kz.ok("Q9")["records"][0]["id"])["record"]
    assert record["exit_code"] == 7 and json.loads(record["observation_json"])["stdout"]["bytes"] == 1_288_895


def test_the_exit_code_gates_a_script_even_where_nobody_reads(kz):
    kz.ok("K1")
    command = f"set -o pipefail; {sys.executable} {ROOT}/kaizen.py Q11 -- sh -c 'seq 1 200000; exit 7' | head -1"
    assert subprocess.run(["bash", "-c", command], check=False, capture_output=True, timeout=60).returncode == 1


def test_in_a_worktree_the_copies_lie_in_the_shared_plane_and_can_be_verified(plane, tmp_path, monkeypatch):
    git(plane, "init", "--quiet")
    git(plane, "commit", "--quiet", "--allow-empty", "--message", "First")
    worktree = tmp_path / "worktree"
    git(plane, "worktree", "add", "--quiet", str(worktree))
    monkeypatch.delenv("KAIZEN_REPO_ROOT")

    def call(*argv: str) -> dict[str, Any]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            cli.main([argv[0], "--json", *argv[1:]], home=worktree)
        return json.loads(out.getvalue())

    reply = call("Q11", "--", "echo", "hi")
    assert (plane / "AI/db/blobs" / reply["stdout_sha256"]).read_bytes() == b"hi\n"
    assert call("A5", "--id", reply["artifact_ids"][0])["match"] is True
    assert not (worktree / "AI").exists()


# --- files that are none --------------------------------------------------------------------------


def test_a_way_out_of_the_project_is_no_artifact_and_the_run_is_recorded_all_the_same(kz, plane, tmp_path):
    (tmp_path / "outside.txt").write_text("not of the project")
    link = str(plane / "made")
    reply = kz("Q11", artifact=[link], _command=["ln", "-s", str(tmp_path / "outside.txt"), link])
    assert (reply.code, reply["outcome"]) == (1, "inconclusive") and "is not there" in reply["message"]
    assert observation(kz, reply)["files"] == [{"path": link, "sha256": None, "bytes": None}]


@pytest.mark.parametrize("name", ["kaizen.db", "kaizen.db-wal", "ledger.head", "kaizen.lock", "search.db"])
def test_a_file_that_changes_with_every_call_is_no_artifact(kz, plane, name):
    kz.ok("K17", query="anything")
    for path in (f"AI/db/{name}", str(plane / "AI" / "db" / name), f"AI/../AI/db/{name}"):
        kz.denied("DENIED_PATH_LIVE", "A1", path=path)
        kz.denied("DENIED_PATH_LIVE", "Q11", artifact=[path], _command=["true"])
    backup = kz.ok("K3")["files"][0]["path"]
    kz.ok("A1", path=backup)
    kz.ok("V1", files=True)
