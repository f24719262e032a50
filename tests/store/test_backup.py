"""Backups and the way back from one."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from dump import canonical_dump
from killing import killed

from kaizen_components.hashing import file_sha256
from kaizen_components.store import schema


@pytest.fixture(params=["turso", "sqlite"], autouse=True)
def engine(request, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)
    return request.param


def database(plane: Path) -> Path:
    return plane / "AI" / "db" / "kaizen.db"


def titles(kz) -> list[str]:
    return sorted(record["title"] for record in kz.ok("W9", limit=-1)["records"])


def test_a_backup_is_one_file_and_its_manifest(kz, plane):
    task = kz.ok("W1", title="Kept", summary="It is in the backup.")
    reply = kz.ok("K3")
    folder = plane / reply["backup_dir"]
    assert sorted(path.name for path in folder.iterdir()) == ["backup-manifest.json", "kaizen.db"]
    manifest = json.loads((plane / reply["manifest"]).read_text())
    assert manifest["files"] == reply["files"]
    assert (reply["files"][0]["sha256"], reply["files"][0]["bytes"]) == file_sha256(folder / "kaizen.db")
    assert manifest["ledger"] == reply["ledger"] == {"seq": task["seq"], "chain_hash": task["chain_hash"]}
    assert manifest["schema_version"] == schema.SCHEMA_VERSION


def test_any_sqlite_tool_reads_a_backup(kz, plane):
    kz.ok("W1", title="Kept", summary="It is in the backup.")
    copy = plane / kz.ok("K3")["backup_dir"] / "kaizen.db"
    with sqlite3.connect(f"file:{copy}?mode=ro&immutable=1", uri=True) as connection:
        assert connection.execute("SELECT title FROM tasks").fetchall() == [("Kept",)]


def test_two_backups_in_one_second_have_folders_of_their_own(kz, monkeypatch):
    kz.ok("K1")
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    folders = [kz.ok("K3")["backup_dir"] for _ in range(3)]
    assert folders == [f"AI/db/backups/20260101T000000Z{end}" for end in ("", "-2", "-3")]


def test_a_restore_brings_the_plane_back_and_keeps_what_it_replaces(kz, plane):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    saved = canonical_dump(database(plane))
    backup = kz.ok("K3")
    kz.ok("W1", title="After", summary="It is not.")
    later = canonical_dump(database(plane))
    reply = kz.ok("K11", path=backup["backup_dir"])
    assert reply["ledger"] == backup["ledger"]
    assert titles(kz) == ["Before"] and canonical_dump(database(plane)) == saved
    assert kz.ok("V1")["seq"] == backup["ledger"]["seq"]
    assert canonical_dump(plane / reply["replaced"] / "kaizen.db") == later
    kz.ok("K11", path=reply["replaced"])
    assert titles(kz) == ["After", "Before"] and canonical_dump(database(plane)) == later
    kz.ok("V1")


def test_a_restore_takes_the_file_as_well_as_its_folder(kz, plane):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    copy = plane / kz.ok("K3")["files"][0]["path"]
    kz.ok("W1", title="After", summary="It is not.")
    kz.ok("K11", path=copy)
    assert titles(kz) == ["Before"]


def test_a_backup_restores_where_there_is_no_plane_any_more(kz, plane, tmp_path):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    shutil.move(plane / kz.ok("K3")["backup_dir"], tmp_path / "elsewhere")
    shutil.rmtree(plane / "AI")
    assert kz.ok("K11", path=tmp_path / "elsewhere")["replaced"] is None
    assert titles(kz) == ["Before"]


def test_a_plane_whose_file_was_lost_is_not_made_anew_but_restored(kz, plane):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    backup = kz.ok("K3")["backup_dir"]
    database(plane).unlink()
    database(plane).with_name("kaizen.db-wal").unlink(missing_ok=True)
    kz.denied("DENIED_PLANE_DAMAGED", "W1", title="x", summary="y.")
    kz.ok("K11", path=backup)
    assert titles(kz) == ["Before"]


@pytest.mark.parametrize(
    "damage", [lambda data: b"\0" * 4096 + data[4096:], lambda data: data[:100] + b"\xff" * 20_000 + data[20_100:]]
)
def test_a_damaged_plane_is_replaced_and_kept_byte_for_byte(kz, plane, damage):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    backup = kz.ok("K3")["backup_dir"]
    broken = damage(database(plane).read_bytes())
    database(plane).write_bytes(broken)
    kz.denied("DENIED_PLANE_DAMAGED", "W9")
    reply = kz.ok("K11", path=backup)
    assert (plane / reply["replaced"] / "kaizen.db").read_bytes() == broken
    assert titles(kz) == ["Before"]
    kz.ok("V1")


def test_a_restore_removes_the_search_index_which_follows_the_ledger(kz, plane):
    kz.ok("G1", title="Needle", summary="To be found.", body="Somewhere.")
    backup = kz.ok("K3")["backup_dir"]
    kz.ok("G1", title="Other needle", summary="Not to be found.", body="Gone.")
    assert kz.ok("G3", query="needle")["count"] == 2
    kz.ok("K11", path=backup)
    assert not (plane / "AI" / "db" / "search.db").exists()
    assert kz.ok("G3", query="needle")["count"] == 1


def test_a_restore_says_which_erased_records_come_back(kz):
    task = kz.ok("W1", title="Erased later", summary="It is in the backup.")
    backup = kz.ok("K3")["backup_dir"]
    kz.ok("K21", id=task["id"], reason="Asked for.", confirm=task["id"])
    reply = kz.ok("K11", path=backup)
    assert reply["erased_since"] == [task["id"]] and "erased_since" in reply["warnings"][0]


def test_a_missing_backup_is_refused(kz):
    kz.ok("K1")
    kz.denied("DENIED_FILE_NOT_FOUND", "K11", path="AI/db/backups/nothing")
    kz.denied("DENIED_PATH_REQUIRED", "K11")


def test_a_backup_that_was_changed_is_refused(kz, plane):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    backup = kz.ok("K3")["backup_dir"]
    copy = plane / backup / "kaizen.db"
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(bytes(data))
    before = database(plane).read_bytes()
    refusal = kz.denied("DENIED_BACKUP_MISMATCH", "K11", path=backup)
    assert refusal["expected"] != refusal["actual"]
    assert database(plane).read_bytes() == before


def test_a_backup_with_an_unreadable_manifest_is_refused(kz, plane):
    backup = kz.ok("K3")["backup_dir"]
    (plane / backup / "backup-manifest.json").write_text("{}")
    kz.denied("DENIED_BACKUP_MISMATCH", "K11", path=backup)


def test_without_a_manifest_the_ledger_must_speak_for_the_file(kz, plane):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    backup = plane / kz.ok("K3")["backup_dir"]
    (backup / "backup-manifest.json").unlink()
    kz.ok("K11", path=backup)
    with sqlite3.connect(backup / "kaizen.db") as connection:
        connection.execute("UPDATE ledger SET op = 'W2' WHERE seq = 2")
    connection.close()
    assert kz.denied("DENIED_BACKUP_MISMATCH", "K11", path=backup)["seq"] == 2


def test_a_foreign_file_is_not_restored(kz, tmp_path):
    kz.ok("K1")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    (tmp_path / "text.db").write_text("no database at all")
    kz.denied("DENIED_PLANE_FOREIGN", "K11", path=tmp_path / "other.db")
    kz.denied("DENIED_PLANE_FOREIGN", "K11", path=tmp_path / "text.db")


def test_a_foreign_file_in_the_planes_place_is_not_replaced(kz, plane, tmp_path):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    shutil.move(plane / kz.ok("K3")["backup_dir"], tmp_path / "backup")
    shutil.rmtree(plane / "AI")
    (plane / "AI" / "db").mkdir(parents=True)
    with sqlite3.connect(database(plane)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = database(plane).read_bytes()
    kz.denied("DENIED_PLANE_FOREIGN", "K11", path=tmp_path / "backup")
    assert database(plane).read_bytes() == before


def test_a_backup_of_a_newer_kaizen_is_refused(kz, plane):
    backup = plane / kz.ok("K3")["backup_dir"]
    (backup / "backup-manifest.json").unlink()
    with sqlite3.connect(backup / "kaizen.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert kz.denied("DENIED_SCHEMA_STATUS", "K11", path=backup)["schema_version"] == 99


@pytest.mark.parametrize("point", ["backup._set_aside", "backup.os.replace", "backup.write_head", "backup._written_manifest"])
def test_a_restore_that_is_killed_leaves_a_plane_that_verifies(kz, plane, point):
    kz.ok("W1", title="Before", summary="It is in the backup.")
    backup = kz.ok("K3")["backup_dir"]
    kz.ok("W1", title="After", summary="It is not.")
    owner, _, name = point.rpartition(".")
    script = f"from kaizen_components.store import backup\n{owner}.{name} = die\ncli.main(['K11', '--path', {backup!r}])"
    killed(script)
    assert titles(kz) in (["Before"], ["After", "Before"])
    kz.ok("V1")
    kz.ok("W1", title="Next", summary="The next call just works.")
    kz.ok("V1")


def test_a_backup_under_writers_is_whole(kz, plane, process):
    kz.ok("K1")
    writers = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "kaizen.py"), "W1", "--title", f"t{n}", "--summary", "s."], stdout=subprocess.DEVNULL
        )
        for n in range(4)
    ]
    backups = [kz.ok("K3") for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    for reply in backups:
        kz.ok("K11", path=reply["backup_dir"])
        assert kz.ok("V1")["seq"] == reply["ledger"]["seq"]


def test_no_half_backup_stays_when_the_plane_cannot_be_copied(kz, plane, monkeypatch):
    kz.ok("K1")
    monkeypatch.setattr(shutil, "copyfile", lambda *a: (_ for _ in ()).throw(OSError(28, os.strerror(28))))
    assert kz.denied("DENIED_FILE_UNWRITABLE", "K3")["reason"] == os.strerror(28)
    assert list((plane / "AI" / "db" / "backups").iterdir()) == []
