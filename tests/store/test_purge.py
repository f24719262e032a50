"""Erasing: what was purged is in no byte of the plane, and the ledger still verifies."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from dump import canonical_dump
from killing import killed

WORD = "Quetzalcoatlus"
REASON = "Asked for."


@pytest.fixture(params=["turso", "sqlite"], autouse=True)
def engine(request, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)
    return request.param


def database(plane: Path) -> Path:
    return plane / "AI" / "db" / "kaizen.db"


def holding(plane: Path, word: str = WORD) -> list[str]:
    """The files of the project that hold a word."""
    found = [path for path in plane.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
    return [path.relative_to(plane).as_posix() for path in found]


def purge(kz, record_id: str, **flags):
    return kz.ok("K21", id=record_id, reason=REASON, confirm=record_id, **flags)


def secret(kz) -> str:
    """A record with the word in it, revised so that old pages hold it as well."""
    body = f"{WORD} " * 900
    record = kz.ok("G1", title=WORD, summary=f"{WORD} is here.", body=body)["id"]
    for number in range(3):
        kz.ok("G5", id=record, body=f"{number} {body}", summary=f"{WORD} number {number}.")
    return record


def test_after_a_purge_the_bytes_are_in_no_file_of_the_plane(kz, plane):
    for number in range(5):
        kz.ok("W1", title=f"Task {number}", summary="It stays.")
    record = secret(kz)
    assert kz.ok("G3", query=WORD)["count"] == 1
    kz.ok("R11", query=WORD)
    kz.ok("K6")
    assert holding(plane)
    reply = purge(kz, record)
    assert holding(plane) == []
    assert kz.ok("V1")["checked"]["erased"] >= 4
    assert kz.ok("W9")["count"] == 5
    assert kz.ok("G3", query="number")["count"] == 0
    assert reply["seq"] == kz.ok("V1")["seq"]


def test_the_entry_says_who_what_and_why_and_the_hashes_stay(kz, plane):
    task = kz.ok("W1", title=WORD, summary="It is erased.")
    reply = purge(kz, task["id"], agent="auditor")
    rows = canonical_dump(database(plane))["ledger"]
    entries = [dict(zip(rows["columns"], row, strict=True)) for row in rows["rows"] if task["id"] in row]
    added, purged = sorted(entries, key=lambda entry: entry["seq"])
    assert (added["content"], added["content_hash"]) == (None, task["content_hash"])
    assert (purged["action"], purged["op"], purged["agent"]) == ("purge", "K21", "auditor")
    assert json.loads(purged["content"]).keys() == {"record", "reason", "salt"} and REASON in purged["content"]
    assert (reply["revision_id"], reply["content_hash"]) == (purged["entry_id"], purged["content_hash"])


def test_counts_and_tables_are_those_of_a_rebuild(kz, plane):
    task = kz.ok("W1", title="Stays", summary="Its record is erased.")["id"]
    gotcha = kz.ok("G1", title="Goes", summary="It is erased.", body="Gone.", task_id=task)["id"]
    purge(kz, gotcha)
    before = canonical_dump(database(plane))
    kz.ok("K12")
    assert canonical_dump(database(plane)) == before
    assert kz.ok("W11", id=task)["record"]["entry_count"] == 3


def test_the_id_must_stand_twice(kz):
    task = kz.ok("W1", title="Kept", summary="It is not erased.")["id"]
    for confirm in (None, "t_20260101000000_0123456789", "yes"):
        refusal = kz.denied("DENIED_CONFIRMATION_REQUIRED", "K21", id=task, reason=REASON, confirm=confirm)
        assert "--confirm" not in refusal["example"]
    kz.denied("DENIED_REASON_REQUIRED", "K21", id=task, confirm=task)
    kz.denied("DENIED_ID_REQUIRED", "K21", reason=REASON, confirm=task)
    assert kz.ok("W11", id=task)["record"]["title"] == "Kept"


def test_what_is_no_record_cannot_be_erased(kz):
    kz.ok("K1")
    for unknown in ("t_20260101000000_0123456789", "nothing"):
        kz.denied("DENIED_RECORD_NOT_FOUND", "K21", id=unknown, reason=REASON, confirm=unknown)


def test_the_planes_own_record_stays(kz):
    kz.ok("K1")
    own = kz.ok("K23", seq=1)["record"]["record_id"]
    kz.denied("DENIED_KIND_INVALID", "K21", id=own, reason=REASON, confirm=own)
    kz.ok("V1")


def test_erasing_again_answers_what_was_done(kz):
    task = kz.ok("W1", title=WORD, summary="It is erased.")["id"]
    first = purge(kz, task)
    again = purge(kz, task)
    assert again["already"] is True
    assert (again["seq"], again["chain_hash"], again["revision_id"]) == (first["seq"], first["chain_hash"], first["revision_id"])


def test_a_purge_can_be_repeated_by_key(kz):
    task = kz.ok("W1", title=WORD, summary="It is erased.")["id"]
    first = purge(kz, task, key="k-1")
    again = purge(kz, task, key="k-1")
    assert again["replayed"] is True and again["content_hash"] == first["content_hash"]
    assert (again["seq"], again["chain_hash"]) == (first["seq"], first["chain_hash"])
    kz.ok("V1")


def test_the_key_of_what_was_erased_is_refused_with_the_reason(kz):
    flags = {"title": WORD, "summary": "It is erased.", "key": "k-1"}
    purge(kz, kz.ok("W1", **flags)["id"])
    assert "erased" in kz.denied("DENIED_KEY_CONFLICT", "W1", **flags)["message"]


def test_references_to_and_from_it_are_named(kz):
    task = kz.ok("W1", title="Parent", summary="It is erased.")["id"]
    plan = kz.ok("W3", title="Child", summary="It stays.", task_id=task)["id"]
    reply = purge(kz, task)
    assert reply["referenced_by"] == [plan] and reply["refers_to"] == []
    assert purge(kz, plan)["refers_to"] == [task]


def test_reports_that_mention_it_go_with_it(kz, plane):
    gone = kz.ok("G1", title=WORD, summary="It is erased.", body="Gone.")["id"]
    mentions = kz.ok("R11", query=WORD)
    other = kz.ok("R1")
    assert gone in (plane / mentions["path"]).read_text()
    reply = purge(kz, gone)
    assert reply["files_deleted"] == [mentions["path"]] and not (plane / mentions["path"]).exists()
    assert reply["purged"] == {"gotcha": 1, "reports": 1}
    kz.denied("DENIED_RECORD_NOT_FOUND", "R13", id=mentions["id"])
    assert (plane / other["path"]).exists()
    kz.ok("V1", files=True)


def test_a_file_that_kaizen_keeps_for_it_goes_with_the_last_record_that_needs_it(kz, plane):
    runs = [
        kz.ok("Q11", _command=[sys.executable, "-c", f"print('{WORD[:7]}' + '{WORD[7:]}')"], summary=f"Run {n}.")
        for n in range(2)
    ]
    outputs = [run["artifact_ids"][0] for run in runs]
    blob = plane / kz.ok("A3", id=outputs[0])["record"]["path"]
    assert blob.is_file()
    assert purge(kz, outputs[0])["files_deleted"] == [] and blob.is_file()
    assert purge(kz, outputs[1])["files_deleted"] == [blob.relative_to(plane).as_posix()]
    assert holding(plane) == []


def test_the_output_of_a_tool_goes_with_the_last_call_that_had_it(kz, plane):
    (plane / "long.txt").write_text(f"{WORD}\n" * 5_000)
    calls = [kz.ok("N2", tool="read_file", payload_json='{"path": "long.txt"}')["call_id"] for _ in range(2)]
    (plane / "long.txt").unlink()
    [blob] = {kz.ok("N5", id=call)["record"]["result_blob"] for call in calls}
    assert (plane / "AI/db/blobs" / blob).is_file()
    assert purge(kz, calls[0])["files_deleted"] == []
    assert purge(kz, calls[1])["files_deleted"] == [f"AI/db/blobs/{blob}"]
    assert holding(plane) == []


def test_the_difference_that_a_tool_made_goes_with_its_call(kz, plane):
    (plane / "short.txt").write_text("before\n")
    call = kz.ok("N2", tool="write_file", payload_json=f'{{"path": "short.txt", "content": "{WORD}"}}')["call_id"]
    (plane / "short.txt").unlink()
    [gone] = purge(kz, call)["files_deleted"]
    assert gone.startswith("AI/db/blobs/") and holding(plane) == []


def test_the_backups_that_still_hold_it_are_named(kz, plane):
    before = kz.ok("K3")["backup_dir"]
    record = secret(kz)
    backup = kz.ok("K3")["backup_dir"]
    kz.ok("W1", title="Later", summary="It is in no backup.")
    reply = purge(kz, record)
    assert reply["backups"] == [backup] and before not in reply["backups"]
    assert holding(plane) == [f"{backup}/kaizen.db"]


def test_test_data_is_erased_and_counted(kz, plane):
    kz.ok("W1", title="Kept", summary="It stays.")
    task = kz.ok("W1", title=WORD, summary="It goes.", criterion=[f"{WORD} works"], test=True)
    kz.ok("G1", title=WORD, summary="It goes.", body="Gone.", task_id=task["id"], test=True)
    reply = kz.ok("K7")
    assert {table: count for table, count in reply["purged"].items() if count} == {"criteria": 1, "gotcha": 1, "tasks": 1}
    assert reply["total"] == 3 and "schema_version" not in reply["purged"]
    assert holding(plane) == []
    assert kz.ok("W9")["count"] == 1
    assert (reply["seq"], reply["chain_hash"]) == (kz.ok("V1")["seq"], kz.ok("V1")["chain_hash"])
    before = canonical_dump(database(plane))
    kz.ok("K12")
    assert canonical_dump(database(plane)) == before


def test_erasing_test_data_twice_writes_nothing_more(kz, plane):
    kz.ok("W1", title=WORD, summary="It goes.", test=True)
    kz.ok("K7")
    before = database(plane).read_bytes()
    assert kz.ok("K7")["total"] == 0
    assert database(plane).read_bytes() == before


@pytest.mark.parametrize("moment", ["_sweep", "_mentioning", "_note", "_unused_blobs", "Connection.checkpoint", "Path.unlink"])
def test_a_purge_that_is_killed_leaves_a_plane_that_verifies_and_can_be_finished(kz, plane, moment):
    record = secret(kz)
    kz.ok("R11", query=WORD)
    arguments = ["K21", "--id", record, "--reason", REASON, "--confirm", record]
    killed(f"from kaizen_components.store import purge\npurge.{moment} = die\ncli.main({arguments!r})")
    kz.ok("V1")
    kz.ok("W1", title="Next", summary="The next call just works.")
    purge(kz, record)
    assert holding(plane) == []
    kz.ok("V1", files=True)


def test_what_a_killed_purge_left_is_seen_by_the_doctor_and_finished_by_the_next(kz, plane):
    record = secret(kz)
    arguments = ["K21", "--id", record, "--reason", REASON, "--confirm", record]
    killed(f"from kaizen_components.store import purge\npurge._sweep = die\ncli.main({arguments!r})")
    found = {check["check"]: check for check in kz("K10")["checks"]}["leftovers"]
    assert found["ok"] is False and "K7" in found["required_action"]
    assert kz.ok("K7")["total"] == 0
    assert holding(plane) == []
    assert kz("K10").code == 0


def test_a_purge_that_cannot_finish_says_so(kz, plane):
    record = secret(kz)
    (plane / "AI" / "db" / "search.db").unlink(missing_ok=True)
    (plane / "AI" / "db" / "search.db").mkdir()
    refusal = kz.denied("DENIED_PURGE_UNFINISHED", "K21", id=record, reason=REASON, confirm=record)
    assert "K7" in refusal["required_action"]
    (plane / "AI" / "db" / "search.db").rmdir()
    kz.ok("K7")
    assert holding(plane) == []


def test_a_purge_on_a_full_disk_erases_all_or_nothing(kz, plane):
    record = secret(kz)
    arguments = ["K21", "--id", record, "--reason", REASON, "--confirm", record, "--json"]

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [sys.executable, str(ROOT / "kaizen.py"), *arguments], preexec_fn=full, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and json.loads(done.stderr)["code"].startswith("DENIED_"), done.stderr
    kz.ok("V1")
    purge(kz, record)
    assert holding(plane) == []


@pytest.mark.parametrize("spelling", ["{folder}/./{name}", "{folder}/../{last}/{name}", "{folder}//{name}"])
def test_a_text_that_names_a_file_in_another_way_does_not_take_it_from_its_owner(kz, plane, spelling):
    proof = kz.ok("Q11", _command=["echo", "evidence"])
    blob = kz.ok("A3", id=proof["artifact_ids"][0])["record"]["path"]
    report = kz.ok("R1")["path"]
    for path in (blob, report):
        folder, _, name = path.rpartition("/")
        title = spelling.format(folder=folder, name=name, last=folder.rpartition("/")[2])
        purge(kz, kz.ok("W38", title=title, summary="It names a file.")["id"])
        assert (plane / path).is_file()
    kz.ok("V1", files=True)
