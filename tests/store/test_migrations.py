"""Migrations: an older plane is brought along at its first write, after a copy; a newer one is only read."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest

from kaizen_components.ops import _index
from kaizen_components.store import creation, migrations, schema

NEXT = schema.SCHEMA_VERSION + 1


@pytest.fixture(params=["turso", "sqlite"])
def engine(request, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)


@pytest.fixture
def newer(monkeypatch):
    """A Kaizen whose schema is one version on: its second step adds an index."""

    def second(connection):
        connection.write("CREATE INDEX notes_title ON notes (title)")

    monkeypatch.setattr(schema, "SCHEMA_VERSION", NEXT)
    monkeypatch.setattr(schema, "MIGRATION_ID", "m999_titles")
    monkeypatch.setattr(migrations, "MIGRATIONS", [*migrations.MIGRATIONS, migrations.Migration(NEXT, second)])


def test_the_first_write_of_a_newer_kaizen_migrates_after_a_copy(kz, plane, engine, request):
    before = kz.ok("W1", title="Old", summary="Written before.")
    request.getfixturevalue("newer")
    assert kz.ok("W9")["count"] == 1, "reading needs no migration"
    after = kz.ok("W1", title="New", summary="Written after.")
    assert after["seq"] == before["seq"] + 2
    entry = kz.ok("K23", seq=before["seq"] + 1)["record"]
    assert (entry["op"], entry["kind"], entry["content"]["record"]["schema_version"]) == ("migrate", "plane", NEXT)
    [copy] = (plane / "AI/db/backups").glob(f"before-schema-{NEXT}-*/kaizen.db")
    with sqlite3.connect(copy) as old:
        assert old.execute("SELECT COUNT(*) FROM tasks").fetchone() == (1,)
    with sqlite3.connect(plane / "AI/db/kaizen.db") as new:
        assert new.execute("PRAGMA user_version").fetchone() == (NEXT,)
        assert new.execute("SELECT name FROM sqlite_master WHERE name = 'notes_title'").fetchone()
    assert kz.ok("W9")["count"] == 2


def test_a_step_that_fails_leaves_the_plane_as_it_was(kz, plane, engine, monkeypatch):
    kz.ok("W1", title="Old", summary="Written before.")

    def breaks(connection):
        connection.write("CREATE INDEX notes_title ON notes (title)")
        raise RuntimeError("half way")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA_VERSION", NEXT)
        patch.setattr(migrations, "MIGRATIONS", [migrations.Migration(NEXT, breaks)])
        assert kz("W1", title="New", summary="Refused.")["code"] == "ERROR_UNEXPECTED"
    assert kz.ok("V1")["status"] == "OK"
    assert kz.ok("W1", title="New", summary="Works again.")["seq"] == 3


def test_an_older_kaizen_reads_and_does_not_write(kz, plane, engine, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA_VERSION", NEXT)
        patch.setattr(schema, "OLDEST_WRITER", NEXT)
        kz.ok("W1", title="New", summary="Written by a newer one.")
    reply = kz.ok("W9")
    assert reply["count"] == 1 and f"schema version {NEXT}" in reply["warnings"][0]
    assert kz.denied("DENIED_SCHEMA_STATUS", "W1", title="Old", summary="Refused.")["exit_code"] == 1


def test_a_drifted_manifest_is_read_with_a_warning_and_not_written(kz, plane, engine, monkeypatch):
    kz.ok("W1", title="Task", summary="One.")
    monkeypatch.setattr(_index, "MANIFEST_HASH", "0" * 64)
    assert "K2" in kz.ok("W9")["warnings"][0]
    kz.denied("DENIED_SCHEMA_DRIFT", "W1", title="Task", summary="Two.")


def test_nothing_is_written_behind_a_ledger_that_lost_its_tail(kz, plane, engine):
    kz.ok("W1", title="First", summary="One.")
    last = kz.ok("W1", title="Last", summary="Two.")
    with sqlite3.connect(plane / "AI/db/kaizen.db") as database:
        database.execute("DELETE FROM ledger WHERE seq = ?", (last["seq"],))
        database.execute("DELETE FROM tasks WHERE id = ?", (last["id"],))
    database.close()
    refusal = kz.denied("DENIED_LEDGER_CUT", "W1", title="Third", summary="Three.")
    assert (refusal["head_seq"], refusal["ledger_seq"]) == (last["seq"], last["seq"] - 1)
    assert kz.ok("W9")["count"] == 1
    assert kz("V1").code == 1


def test_a_lost_plane_is_not_replaced_by_an_empty_one(kz, plane, engine):
    kz.ok("W1", title="First", summary="One.")
    for path in (plane / "AI/db").glob("kaizen.db*"):
        path.unlink()
    kz.denied("DENIED_PLANE_DAMAGED", "W1", title="Second", summary="Two.")
    assert not (plane / "AI/db/kaizen.db").exists()
    assert creation.with_journal(plane / "AI/db/kaizen.db")[0].name == "kaizen.db"


@pytest.fixture
def old_plane(plane):
    """A plane as the first schema made it: one record of every kind that it knew."""
    data = Path(__file__).parent.parent / "data" / "plane-schema-1.db.gz"
    (plane / "AI/db").mkdir(parents=True)
    (plane / "AI/db/kaizen.db").write_bytes(gzip.decompress(data.read_bytes()))
    return plane


def test_a_plane_of_the_first_schema_is_read_as_it_is(kz, old_plane, engine):
    reply = kz.ok("W9")
    assert reply["count"] == 1 and "schema version 1" in reply["warnings"][0]
    assert kz.ok("O6")["records"] == [] == kz.ok("E7")["records"]
    kz.denied("DENIED_RECORD_NOT_FOUND", "O7", id="ip_20260101000000_0123456789")
    assert kz.ok("K2")["schema"]["schema_version"] == 1


def test_its_first_write_brings_it_to_the_schema_of_a_new_one(kz, old_plane, engine, tmp_path, monkeypatch):
    kz.ok("O2", contract="prompts", title="Shorter", summary="Say less.")
    assert kz.ok("O6")["count"] == 1
    assert kz.ok("V1")["status"] == "OK" and kz.ok("K1", integrity=True)["schema"]["schema_ok"]
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(tmp_path / "new"))
    kz.ok("K1")
    assert _schema(old_plane / "AI/db/kaizen.db") == _schema(tmp_path / "new/AI/db/kaizen.db")


def _schema(path):
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        return {name: "".join(sql.split()).replace(chr(34), "") for name, sql in rows}
