"""Journals that a killed program left beside a plane: both engines and both verifiers see the same plane."""

from __future__ import annotations

import importlib
import shutil
import sqlite3
import struct
from pathlib import Path

import pytest

from kaizen_components.store.connection import Connection

standalone = importlib.import_module("support_scripts.verify_ledger")
PAGE = 4096


def rollback_journal(before: bytes) -> bytes:
    """The journal of a program that changed every page of a file, and was killed before its commit."""
    pages = [before[at : at + PAGE] for at in range(0, len(before), PAGE)]
    nonce = 12345
    header = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + struct.pack(">IIIII", len(pages), nonce, len(pages), 512, PAGE)
    body = b"".join(
        struct.pack(">I", number) + page + struct.pack(">I", (nonce + sum(page[PAGE - 200 : 0 : -200])) & 0xFFFFFFFF)
        for number, page in enumerate(pages, 1)
    )
    return header.ljust(512, b"\0") + body


def change_half(database: Path) -> None:
    """Change a record as a program does that is killed before its commit: the file is written, its journal still there."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = database.read_bytes()
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("UPDATE tasks SET summary = 'Changed.'")
    connection.close()
    database.with_name("kaizen.db-journal").write_bytes(rollback_journal(before))


@pytest.fixture(params=["turso", "sqlite"])
def database(request, kz, plane, monkeypatch) -> Path:
    pytest.importorskip(request.param if request.param == "turso" else "sqlite3")
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)
    kz.ok("W1", title="A task", summary="As it was.")
    return plane / "AI" / "db" / "kaizen.db"


def summaries(kz) -> list[str]:
    return [record["summary"] for record in kz.ok("W9")["records"]]


def test_what_was_not_committed_is_rolled_back_before_anything_is_read(kz, database):
    change_half(database)
    assert summaries(kz) == ["As it was."]
    assert not database.with_name("kaizen.db-journal").exists()
    kz.ok("V1")


def test_what_is_written_beside_such_a_journal_stays(kz, database):
    change_half(database)
    kz.ok("W1", title="Another task", summary="It stays.")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (2,)
    connection.close()
    kz.ok("V1")


def test_a_plane_that_cannot_be_written_is_read_with_its_journal(kz, database):
    change_half(database)
    connection = Connection.frozen(database)
    try:
        assert connection.execute("SELECT summary FROM tasks") == [("As it was.",)]
    finally:
        connection.close()


def test_a_backup_with_such_a_journal_is_restored_as_it_was(kz, database, plane):
    folder = plane / "kept"
    shutil.copytree(database.parent, folder)
    change_half(folder / "kaizen.db")
    kz.ok("K11", path=str(folder / "kaizen.db"))
    assert summaries(kz) == ["As it was."]
    kz.ok("V1")


def test_a_journal_of_a_replaced_file_is_not_rolled_back_into_the_new_one(kz, database):
    backup = kz.ok("K3")["files"][0]["path"]
    kz.ok("W1", title="Another task", summary="It was written later.")
    change_half(database)
    kz.ok("K11", path=backup)
    assert not database.with_name("kaizen.db-journal").exists()
    assert summaries(kz) == ["As it was."]
    kz.ok("V1")


def test_both_verifiers_say_what_the_operations_say(kz, database, plane):
    change_half(database)
    assert standalone.verify(plane)[0].rows == 2
    kz.ok("V1")
    assert summaries(kz) == ["As it was."]
