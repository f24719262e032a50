"""Correlation: the digest of a session in a real SQLite file, beside what is recorded here of it."""

from __future__ import annotations

import json
import sqlite3

import pytest

UID = "claude:7f3a"


def database(path, columns: str, *rows: tuple, table: str = "digests", wal: bool = False) -> None:
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode = wal")
    connection.execute(f"CREATE TABLE {table} ({columns})")
    for row in rows:
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    connection.commit()
    connection.close()


@pytest.fixture
def helix(tmp_path, monkeypatch):
    path = tmp_path / "helix store.db"
    monkeypatch.setenv("HELIX_STORE_DB", str(path))
    return path


def test_a_digest_stands_beside_what_is_recorded_here(kz, helix, monkeypatch):
    database(helix, "session_uid TEXT, digest TEXT", (UID, '{"turns": 12, "tools": ["bash"]}'), ("other", "{}"))
    monkeypatch.setenv("KAIZEN_SESSION", "7f3a")
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.")["id"]
    run = kz.ok("T5", summary="Repair it.", task_id=task)["id"]
    trace = kz.ok("T1", kind="tool_call", summary="Ran the linter.", payload_json=json.dumps({"session_id": UID}))["id"]
    monkeypatch.delenv("KAIZEN_SESSION")
    monkeypatch.setenv("HELIX_SESSION_UID", UID)
    execution = kz.ok("P1", agent="coach", success=True)["id"]
    monkeypatch.delenv("HELIX_SESSION_UID")
    kz.ok("P1", agent="coach", failure=True)
    reply = kz.ok("P7", uid=UID)
    assert reply["digests"] == [{"session_uid": UID, "digest": {"turns": 12, "tools": ["bash"]}}]
    assert {name: [row["id"] for row in rows] for name, rows in reply["here"].items()} == {
        "executions": [execution],
        "traces": [trace],
        "runs": [run],
        "tasks": [task],
    }


@pytest.mark.parametrize("column", ["session_uid", "uid", "helix_session_uid", "session_id", "native_session_uid"])
def test_the_column_that_names_the_session_is_found(kz, helix, column):
    database(helix, f'body TEXT, "{column}" TEXT', ("plain text", UID))
    assert kz.ok("P7", uid=UID)["digests"][0]["body"] == "plain text"


def test_values_of_every_type_can_be_shown(kz, helix):
    row = (UID, 1, 0.5, None, b"\x00\xff", "{no json", "[1, 2]")
    database(helix, "uid TEXT, a INTEGER, b REAL, c TEXT, d BLOB, e TEXT, f TEXT", row)
    (digest,) = kz.ok("P7", uid=UID)["digests"]
    assert digest == {"uid": UID, "a": 1, "b": 0.5, "c": None, "d": "[2 bytes]", "e": "{no json", "f": [1, 2]}


def test_secrets_in_a_digest_are_masked(kz, helix):
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    database(helix, "uid TEXT, body TEXT, note TEXT", (UID, json.dumps({"env": [secret]}), f"key {secret}"))
    assert secret not in kz.ok("P7", uid=UID).stdout


@pytest.mark.parametrize("wal", [False, True])
def test_the_store_is_opened_for_reading_alone(kz, helix, wal):
    database(helix, "uid TEXT", (UID,), wal=wal)
    before = (helix.read_bytes(), sorted(helix.parent.iterdir()))
    kz.ok("P7", uid=UID)
    assert (helix.read_bytes(), sorted(helix.parent.iterdir())) == before


def test_what_a_writer_has_committed_is_seen_while_it_writes(kz, helix):
    database(helix, "uid TEXT", wal=True)
    writer = sqlite3.connect(helix)
    writer.execute("INSERT INTO digests VALUES (?)", (UID,))
    writer.commit()
    writer.execute("INSERT INTO digests VALUES ('open')")
    assert kz.ok("P7", uid=UID)["digests"] == [{"uid": UID}]
    kz.denied("DENIED_DIGEST_NOT_FOUND", "P7", uid="open")
    writer.close()


def test_a_session_is_looked_up_and_never_made_into_sql(kz, helix):
    database(helix, 'uid TEXT, "x"" OR 1=1_uid" TEXT', (UID, "a"))
    kz.denied("DENIED_DIGEST_NOT_FOUND", "P7", uid="' OR 1=1 --")
    assert kz.ok("P7", uid="a")["digests"]


def test_refusals_say_what_is_missing(kz, helix, tmp_path, monkeypatch):
    kz.denied("DENIED_UID_REQUIRED", "P7")
    kz.denied("DENIED_FILE_NOT_FOUND", "P7", uid=UID)
    helix.write_text("no database at all, but long enough to be looked at as one", encoding="utf-8")
    kz.denied("DENIED_DIGEST_UNREADABLE", "P7", uid=UID)
    helix.unlink()
    database(helix, "uid TEXT", table="sessions")
    assert kz.denied("DENIED_DIGEST_TABLE_MISSING", "P7", uid=UID)["tables"] == ["sessions"]
    helix.unlink()
    database(helix, "uid TEXT, body TEXT", (UID, "x"))
    assert kz.denied("DENIED_DIGEST_NOT_FOUND", "P7", uid="claude:none")["columns"] == ["uid"]
    monkeypatch.setenv("HELIX_STORE_DB", "~nobody-here/x.db")
    kz.denied("DENIED_FILE_NOT_FOUND", "P7", uid=UID)
    monkeypatch.delenv("HELIX_STORE_DB")
    assert "HELIX_STORE_DB" in kz.denied("DENIED_CORRELATION_UNSET", "P7", uid=UID)["required_action"]
