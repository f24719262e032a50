"""The data plane itself: checked, examined, described, and readable where it cannot be written."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from killing import killed
from planes import populate

from kaizen_components.hashing import file_sha256
from kaizen_components.op import load_all
from kaizen_components.ops import _index
from kaizen_components.store import schema

NOBODY = "t_20260101000000_0123456789"
SCHEMA_KEYS = {
    "applied_at", "db_path", "exists", "expected_manifest_hash", "expected_migration_id", "expected_schema_version",
    "manifest_hash", "manifest_match", "migration_id", "schema_ok", "schema_version", "tool_version",
}  # fmt: skip


@pytest.fixture(params=["turso", "sqlite"])
def engine(request, monkeypatch):
    """For what the engine may have a say in."""
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)
    return request.param


def database(plane: Path) -> Path:
    return plane / "AI" / "db" / "kaizen.db"


def change(plane: Path, *statements: str) -> None:
    connection = sqlite3.connect(database(plane), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def files_of(plane: Path) -> list[str]:
    return sorted(path.relative_to(plane).as_posix() for path in plane.rglob("*"))


def lock_is_a_folder(plane: Path) -> None:
    """Nobody can lock the plane, as in a folder that cannot be written; rights mean nothing to root."""
    (plane / "AI" / "db" / "kaizen.lock").unlink()
    (plane / "AI" / "db" / "kaizen.lock").mkdir()


def foreign(plane: Path) -> bytes:
    """An agent-kaizen plane in the place of ours."""
    database(plane).parent.mkdir(parents=True)
    connection = sqlite3.connect(database(plane))
    connection.executescript(
        "CREATE TABLE schema_version (id TEXT); CREATE TABLE ledger_events (id TEXT); CREATE TABLE tasks (id TEXT)"
    )
    connection.close()
    database(plane).with_name("kaizen.db-log").write_bytes(b"log")
    return database(plane).read_bytes()


# --- K1 and K2 ------------------------------------------------------------------------------------


def test_a_plane_is_made_where_there_is_none_and_left_alone_where_there_is(kz, plane, engine):
    made = kz.ok("K1")
    assert made["schema"].keys() == SCHEMA_KEYS and made["schema"]["schema_ok"] and made["schema"]["manifest_match"]
    assert made["schema"]["db_path"] == str(database(plane))
    for folder in ("db/exports", "db/manifests", "work/kaizen-runtime/tmp", "generation"):
        assert (plane / "AI" / folder).is_dir()
    before = database(plane).read_bytes()
    assert kz.ok("check-init")["schema"] == made["schema"]
    assert database(plane).read_bytes() == before


def test_folders_that_are_gone_are_made_again(kz, plane):
    kz.ok("K1")
    (plane / "AI" / "generation" / ".gitignore").unlink()
    (plane / "AI" / "generation").rmdir()
    kz.ok("K1")
    assert (plane / "AI" / "generation").is_dir()


def test_the_schema_status_makes_nothing(kz, plane):
    reply = kz.ok("K2")
    assert reply["schema"] == {
        "db_path": str(database(plane)), "exists": False, "schema_ok": False,
        "expected_schema_version": schema.SCHEMA_VERSION, "expected_migration_id": schema.MIGRATION_ID,
    }  # fmt: skip
    assert files_of(plane) == []


def test_the_schema_status_says_which_plane_is_used_and_why(kz, plane, engine):
    kz.ok("K1")
    reply = kz.ok("K2")
    assert reply["schema"].keys() == SCHEMA_KEYS
    assert reply["plane"] == {"root": str(plane), "base": str(plane), "reason": "KAIZEN_REPO_ROOT"}
    assert reply["engine"] == engine and reply["ledger"]["seq"] == 1


def test_a_drifted_manifest_is_told_by_reads_refuses_writes_and_is_restamped(kz, plane, engine):
    kz.ok("K1")
    change(plane, "UPDATE schema_version SET manifest_hash = 'old'")
    for code in ("K1", "K2"):
        schema = kz.ok(code)["schema"]
        assert (schema["schema_ok"], schema["manifest_match"], schema["manifest_hash"]) == (True, False, "old")
    assert kz.ok("W9")["warnings"]
    kz.denied("DENIED_SCHEMA_DRIFT", "W1", title="x", summary="y.")
    reply = kz.ok("K1", restamp_manifest=True)
    assert (reply["restamped"], reply["old_manifest_hash"], reply["manifest_hash"]) == (True, "old", _index.MANIFEST_HASH)
    assert reply["seq"] == 2 and reply["chain_hash"]
    kz.ok("W1", title="x", summary="y.")
    kz.ok("V1")


def test_every_read_of_a_drifted_plane_answers_and_says_so(kz, plane, populated):
    from cases import cases

    calls = cases(populated)
    change(plane, "UPDATE schema_version SET manifest_hash = 'old'")
    # K1 and K2 say it in `schema`, V1 as a finding; a batch, a backup, a doctor and monitors are no reads of records; P7 has nothing to read.
    other = ("K1", "K2", "K3", "K6", "K8", "K10", "K11", "K12", "V1", "B6", "Y6", "P7")
    reads = [code for code, operation in load_all().items() if operation.needs_plane and not operation.writes]
    for code in sorted((set(reads) & set(calls)) - set(other)):
        assert kz.ok(code, **calls[code])["warnings"], code


def test_restamping_what_matches_writes_nothing(kz):
    kz.ok("K1")
    reply = kz.ok("K1", restamp_manifest=True)
    assert reply["restamped"] is False and reply["note"] and reply["manifest_hash"] == _index.MANIFEST_HASH
    assert kz.ok("K2")["ledger"]["seq"] == 1


def test_restamping_is_refused_without_a_plane_and_makes_none(kz, plane):
    assert kz.denied("DENIED_SCHEMA_STATUS", "K1", restamp_manifest=True).code == 2
    assert files_of(plane) == []


def test_restamping_is_refused_for_another_schema_version(kz, plane):
    kz.ok("K1")
    change(plane, "UPDATE schema_version SET schema_version = 7, manifest_hash = 'old'")
    assert kz.denied("DENIED_SCHEMA_STATUS", "K1", restamp_manifest=True)["schema"]["schema_version"] == 7


def test_restamping_is_refused_while_the_tables_are_not_ours_and_a_rebuild_helps(kz, plane, engine):
    kz.ok("K1")
    change(plane, "DROP TABLE notes", "UPDATE schema_version SET manifest_hash = 'old'")
    refusal = kz.denied("DENIED_SCHEMA_STATUS", "K1", restamp_manifest=True)
    assert "notes" in refusal["reason"] and "K12" in refusal["required_action"]
    kz.ok("K12")
    kz.ok("K1", restamp_manifest=True)
    kz.ok("V1")


def test_two_different_checks_at_once_are_refused(kz):
    kz.denied("DENIED_FLAG_CONFLICT", "K1", integrity=True, restamp_manifest=True)


def test_a_plane_without_orphans_passes_with_every_relationship_checked(kz, plane, engine):
    populate(plane)
    found = kz.ok("K1", integrity=True)["integrity"]
    assert found["ok"] and found["total_orphans"] == 0 and found["orphaned_relationships"] == []
    assert found["relationships_checked"] >= 18 and found["note"]


def test_all_orphans_are_found_by_record_id_and_are_a_finding(kz, plane, engine):
    plans = [kz.ok("W3", title=f"Plan {n}", summary="It refers to nobody.")["id"] for n in range(9)]
    change(plane, f"UPDATE plans SET task_id = '{NOBODY}'")
    reply = kz("K1", integrity=True)
    assert (reply["status"], reply.code, reply["integrity"]["ok"], reply["integrity"]["total_orphans"]) == ("FAILED", 1, False, 9)
    (orphans,) = reply["integrity"]["orphaned_relationships"]
    assert (orphans["child"], orphans["parent"], orphans["orphans"], orphans["sample_truncated"]) == (
        "plans.task_id",
        "tasks",
        9,
        False,
    )
    assert orphans["sample"] == [{"child_id": plan, "missing_ref": NOBODY} for plan in sorted(plans)]


def test_orphans_in_lists_are_found_and_external_references_are_none(kz, plane):
    kz.ok("W3", title="Plan", summary="It refers to a ticket.", task_id="PROJ-42")
    criterion = kz.ok("W21", summary="A user can log in.", task_id="PROJ-42")["id"]
    missing = "qv_20260101000000_0123456789"
    change(plane, f"UPDATE criteria SET proof_ids_json = '[\"{missing}\"]'")
    (orphans,) = kz("K1", integrity=True)["integrity"]["orphaned_relationships"]
    assert orphans["sample"] == [{"child_id": criterion, "missing_ref": missing}]


def test_references_to_erased_records_are_listed_apart(kz):
    task = kz.ok("W1", title="Parent", summary="It is erased.")["id"]
    plan = kz.ok("W3", title="Child", summary="It stays.", task_id=task)["id"]
    kz.ok("K21", id=task, reason="Asked for.", confirm=task)
    found = kz.ok("K1", integrity=True)["integrity"]
    assert found["ok"] and found["total_orphans"] == 0
    assert found["references_to_erased"][0]["records"] == [{"child_id": plan, "erased_ref": task}]


def test_a_missing_table_is_a_finding(kz, plane):
    kz.ok("K1")
    change(plane, "DROP TABLE plans")
    reply = kz("K1", integrity=True)
    assert reply.code == 1 and reply["integrity"]["missing_tables"] == ["plans"] and "K12" in reply["message"]


# --- K6 -------------------------------------------------------------------------------------------


def test_a_manifest_says_schema_counts_and_file_hashes(kz, plane, engine):
    populate(plane)
    kz.ok("R1")
    reply = kz.ok("K6")
    assert json.loads((plane / reply["manifest_path"]).read_text()) == reply["manifest"]
    manifest = reply["manifest"]
    assert manifest["schema"].keys() == SCHEMA_KEYS
    assert manifest["tables"]["ledger"] == manifest["ledger"]["seq"] == kz.ok("V1")["seq"]
    assert set(manifest["tables"]) == {"ledger", "counters", *(entry.table for entry in _index.KINDS.values())}
    hashes = {entry["path"]: (entry["sha256"], entry["bytes"]) for entry in manifest["files"]}
    report = next(path for path in hashes if path.startswith("AI/db/exports/reports/"))
    assert hashes[report] == file_sha256(plane / report)
    assert hashes["AI/db/kaizen.db"] == file_sha256(database(plane))


def test_manifests_of_one_second_have_names_of_their_own(kz, monkeypatch):
    kz.ok("K1")
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    assert len({kz.ok("K6")["manifest_path"] for _ in range(3)}) == 3


# --- K10 ------------------------------------------------------------------------------------------


def checks(reply) -> dict[str, dict]:
    return {entry["check"]: entry for entry in reply["checks"]}


def test_the_doctor_finds_a_sound_plane_sound_and_leaves_no_entry(kz, plane, engine):
    kz.ok("W1", title="x", summary="y.")
    reply = kz.ok("K10")
    assert reply["writes_work"] is True
    assert list(checks(reply)) == [
        "python", "environment", "engine", "plane", "rights", "disk", "lock", "journal", "schema", "clock", "ledger_head", "write", "leftovers",
    ]  # fmt: skip
    assert all(entry["ok"] and entry["detail"] and "required_action" not in entry for entry in reply["checks"])
    assert kz.ok("V1")["seq"] == 2
    kz.ok("W1", title="x", summary="y.")


def test_the_doctors_write_reaches_the_disk(kz, plane, engine):
    kz.ok("K1")
    journal = database(plane).with_name("kaizen.db-wal")
    written = []
    from kaizen_components.store import Store

    close = Store.close
    try:
        Store.close = lambda self: (written.append(journal.exists() and journal.stat().st_size), close(self))[1]
        kz.ok("K10")
    finally:
        Store.close = close
    assert written[0] > 4096


def test_the_doctor_says_that_there_is_no_plane_and_makes_none(kz, plane):
    reply = kz("K10")
    assert reply.code == 1 and checks(reply)["plane"]["required_action"] == "Run K1 to make it."
    assert files_of(plane) == []


def test_the_doctor_names_who_holds_the_plane_and_does_not_hang(kz, plane):
    kz.ok("K1")
    with (plane / "AI" / "db" / "kaizen.lock").open("r+") as held:
        held.write(json.dumps({"pid": os.getpid(), "op": "Q11", "since": time.time()}))
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        start = time.monotonic()
        reply = kz("K10", timeout=0.2)
        assert time.monotonic() - start < 3
    assert reply.code == 1 and reply["status"] == "FAILED" and reply["writes_work"] is False
    found = checks(reply)["lock"]
    assert not found["ok"] and f"pid {os.getpid()} (alive)" in found["detail"] and "op Q11" in found["detail"]
    assert "write" not in checks(reply)


def test_the_doctor_waits_for_a_foreign_program_no_longer_than_told(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", "sqlite")
    kz.ok("K1")
    other = sqlite3.connect(database(plane), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    reply = kz("K10", timeout=0.2)
    assert time.monotonic() - start < 3
    other.close()
    assert not checks(reply)["write"]["ok"] and "locked" in checks(reply)["write"]["detail"]


def test_the_doctor_sees_a_drifted_schema(kz, plane, engine):
    kz.ok("K1")
    change(plane, "UPDATE schema_version SET manifest_hash = 'old'")
    found = checks(kz("K10"))
    assert not found["schema"]["ok"] and "K1 --restamp-manifest" in found["schema"]["required_action"]
    assert not found["write"]["ok"]


def test_the_doctor_writes_nothing_to_another_schema_version(kz, plane):
    kz.ok("K1")
    change(plane, "PRAGMA user_version = 99")
    found = checks(kz("K10"))
    assert not found["schema"]["ok"] and not found["write"]["ok"]


def test_the_doctor_sees_a_clock_that_was_set_back(kz, monkeypatch):
    kz.ok("K1")
    monkeypatch.setenv("KAIZEN_CLOCK", "2020-01-01T00:00:00+00:00")
    assert not checks(kz("K10"))["clock"]["ok"]


def test_the_doctor_sees_a_head_that_the_ledger_does_not_reach(kz, plane):
    kz.ok("W1", title="x", summary="y.")
    change(plane, "DELETE FROM ledger WHERE seq = 2", "DELETE FROM tasks")
    found = checks(kz("K10"))["ledger_head"]
    assert not found["ok"] and "V1" in found["required_action"]


def test_the_doctor_sees_a_lost_head(kz, plane):
    kz.ok("K1")
    (plane / "AI" / "db" / "ledger.head").unlink()
    assert not checks(kz("K10"))["ledger_head"]["ok"]


def test_the_doctor_sees_a_bad_environment(kz, monkeypatch):
    kz.ok("K1")
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "soon")
    assert not checks(kz("K10"))["environment"]["ok"]


def test_the_doctor_lists_what_killed_processes_left(kz, plane):
    kz.ok("K1")
    left = plane / "AI" / "work" / "kaizen-runtime" / "tmp" / "snapshot-999999999-ab.db"
    left.write_bytes(b"x")
    living = left.with_name(f"snapshot-{os.getpid()}-ab.db")
    living.write_bytes(b"x")
    found = checks(kz.ok("K10"))["leftovers"]
    assert left.name in found["detail"] and living.name not in found["detail"]


def test_the_doctor_sees_a_damaged_file(kz, plane, engine):
    kz.ok("K1")
    database(plane).write_bytes(database(plane).read_bytes()[:100] + b"\xff" * 50_000)
    reply = kz("K10")
    assert reply.code == 1 and reply["writes_work"] is False


# --- a file of another program --------------------------------------------------------------------


@pytest.mark.parametrize("code", ["K1", "K2", "K3", "K6", "K7", "K12", "V1", "W9", "G2", "R0"])
def test_an_agent_kaizen_plane_is_recognised_and_left_alone(kz, plane, engine, code):
    before = foreign(plane)
    refusal = kz.denied("DENIED_PLANE_FOREIGN", code)
    assert refusal["found"] == "agent-kaizen" and "agent-kaizen" in refusal["message"] and refusal["path"] == str(database(plane))
    assert database(plane).read_bytes() == before


def test_a_write_leaves_an_agent_kaizen_plane_alone(kz, plane, engine):
    before = foreign(plane)
    kz.denied("DENIED_PLANE_FOREIGN", "W1", title="x", summary="y.")
    kz.denied("DENIED_PLANE_FOREIGN", "K1", restamp_manifest=True)
    assert database(plane).read_bytes() == before


def test_the_doctor_names_an_agent_kaizen_plane(kz, plane):
    before = foreign(plane)
    reply = kz("K10")
    assert reply.code == 1 and "agent-kaizen" in checks(reply)["plane"]["detail"]
    assert database(plane).read_bytes() == before


def test_a_journal_of_agent_kaizen_without_its_database_is_foreign_too(kz, plane):
    foreign(plane)
    database(plane).unlink()
    kz.denied("DENIED_PLANE_FOREIGN", "K1")
    kz.denied("DENIED_PLANE_FOREIGN", "K2")
    assert not database(plane).exists()


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\0" + b"\0" * 200])
def test_any_other_file_is_left_alone_too(kz, plane, content):
    database(plane).parent.mkdir(parents=True)
    database(plane).write_bytes(content)
    for code in ("K1", "K2", "W9"):
        kz.denied("DENIED_PLANE_FOREIGN", code)
    assert database(plane).read_bytes() == content


def test_a_folder_in_the_planes_place_is_left_alone_too(kz, plane):
    database(plane).mkdir(parents=True)
    kz.denied("DENIED_PLANE_FOREIGN", "K1")
    assert database(plane).is_dir()


# --- a plane that cannot be written ---------------------------------------------------------------


READS = {"W9": {}, "W10": {"query": "kept"}, "G2": {}, "K1": {"integrity": True}, "K2": {}, "V1": {}, "R0": {}}


@pytest.mark.parametrize("code", READS)
def test_a_plane_that_cannot_be_locked_is_still_read(kz, plane, engine, code):
    kz.ok("W1", title="Kept", summary="It can be read.")
    lock_is_a_folder(plane)
    before = database(plane).read_bytes()
    kz.ok(code, **READS[code])
    assert database(plane).read_bytes() == before


def test_a_read_of_such_a_plane_says_so(kz, plane, engine):
    kz.ok("W1", title="Kept", summary="It can be read.")
    lock_is_a_folder(plane)
    reply = kz.ok("W9")
    assert reply["records"][0]["title"] == "Kept" and "K10" in reply["warnings"][0]


def test_a_read_of_such_a_plane_sees_what_is_only_in_the_journal(kz, plane, engine):
    kz.ok("K1")
    arguments = ["W1", "--title", "In the journal", "--summary", "It can be read."]
    killed(f"from kaizen_components.store import Store\nStore.close = die\ncli.main({arguments!r})")
    assert b"In the journal" not in database(plane).read_bytes()
    lock_is_a_folder(plane)
    assert kz.ok("W9")["records"][0]["title"] == "In the journal"
    assert kz.ok("K1", integrity=True)["integrity"]["ok"]
    assert kz.ok("V1")["seq"] == 2


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        ("W1", {"title": "x", "summary": "y."}), ("K3", {}), ("K6", {}), ("K7", {}), ("K12", {}),
        ("K21", {"id": NOBODY, "reason": "x", "confirm": NOBODY}), ("K1", {"restamp_manifest": True}),
    ],
)  # fmt: skip
def test_what_writes_is_refused_or_changes_nothing(kz, plane, engine, code, flags):
    kz.ok("W1", title="Kept", summary="It can be read.", test=True)
    lock_is_a_folder(plane)
    before = database(plane).read_bytes()
    reply = kz(code, **flags)
    assert reply.code == 0 or reply["code"] in ("DENIED_FILE_UNWRITABLE", "DENIED_RECORD_NOT_FOUND")
    assert code not in ("W1", "K7", "K12") or reply["code"] == "DENIED_FILE_UNWRITABLE"
    assert database(plane).read_bytes() == before


def test_the_doctor_says_that_the_plane_cannot_be_locked(kz, plane, engine):
    kz.ok("K1")
    lock_is_a_folder(plane)
    reply = kz("K10")
    assert reply.code == 1 and not checks(reply)["lock"]["ok"] and reply["writes_work"] is False
    assert checks(reply)["schema"]["ok"] and checks(reply)["ledger_head"]["ok"]


# --- a full disk ----------------------------------------------------------------------------------


def limited(limit: int, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run kaizen.py where no file can grow beyond a limit."""

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, str(ROOT / "kaizen.py"), *argv, "--json"]
    return subprocess.run(command, preexec_fn=full, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("limit", [0, 20_000, 300_000])
def test_a_full_disk_ends_in_the_envelope_and_nothing_is_half_written(kz, plane, engine, tmp_path, limit):
    kz.ok("W1", title="Kept", summary="It was there before.")
    body = tmp_path / "body.txt"
    body.write_text(" ".join(["x" * 500] * 1000))
    done = limited(limit, "W1", "--title", "x", "--summary", "y.", "--body-file", str(body))
    refusal = json.loads(done.stderr)
    assert (done.returncode, refusal["code"], done.stdout) == (1, "DENIED_FILE_UNWRITABLE", "")
    assert "Traceback" not in done.stderr
    assert kz.ok("V1")["seq"] == 2 and kz.ok("W9")["count"] == 1
    kz.ok("W1", title="Next", summary="The next call just works.")
    kz.ok("V1")


def test_on_a_full_disk_reads_still_answer(kz, plane, engine):
    kz.ok("W1", title="Kept", summary="It was there before.")
    done = limited(0, "W9")
    assert done.returncode == 0 and json.loads(done.stdout)["count"] == 1


def test_on_a_full_disk_the_doctor_says_so(kz, plane, engine):
    kz.ok("K1")
    done = limited(0, "K10")
    reply = json.loads(done.stdout)
    assert (done.returncode, reply["status"], reply["writes_work"]) == (1, "FAILED", False)
    assert not checks(reply)["rights"]["ok"] and not checks(reply)["write"]["ok"]


@pytest.mark.parametrize("code", ["K3", "K6", "K12"])
def test_on_a_full_disk_nothing_half_made_stays(kz, plane, engine, code):
    kz.ok("W1", title="Kept", summary="It was there before.")
    before = [name for name in files_of(plane) if "kaizen.db" not in name]
    done = limited(100_000, code)
    assert done.returncode == 1 and json.loads(done.stderr)["code"] == "DENIED_FILE_UNWRITABLE", done.stderr
    left = [name for name in files_of(plane) if "kaizen.db" not in name and name not in before]
    assert left in ([], ["AI/db/backups"])
    assert not list(database(plane).parent.glob("kaizen.db.new-*"))
    kz.ok("V1")
