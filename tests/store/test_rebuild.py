"""The tables made anew from the ledger."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from dump import canonical_dump
from killing import killed
from planes import populate

from kaizen_components.ops import _index
from kaizen_components.store import rebuild


@pytest.fixture(params=["turso", "sqlite"], autouse=True)
def engine(request, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)
    return request.param


def database(plane: Path) -> Path:
    return plane / "AI" / "db" / "kaizen.db"


def change(plane: Path, *statements: str) -> None:
    connection = sqlite3.connect(database(plane), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_every_kind_of_record_comes_out_equal_row_for_row(kz, plane):
    populate(plane)
    before = canonical_dump(database(plane))
    assert all(before[entry.table]["rows"] for entry in _index.KINDS.values())
    reply = kz.ok("K12")
    assert canonical_dump(database(plane)) == before
    assert reply["ledger"]["seq"] == len(before["ledger"]["rows"])
    assert reply["total"] == sum(len(before[entry.table]["rows"]) for entry in _index.KINDS.values())
    kz.ok("V1")


def test_a_zero_has_no_sign(kz, plane):
    payload = '{"name": "n", "value": -0.0, "data_type": "numeric", "source": "human"}'
    score = kz.ok("T2", payload_json=payload)["id"]
    before = repr(canonical_dump(database(plane)))
    assert str(kz.ok("K18", id=score)["record"]["value_num"]) == "0.0"
    kz.ok("K12")
    assert repr(canonical_dump(database(plane))) == before


def test_the_plane_is_written_and_read_as_before(kz):
    task = kz.ok("W1", title="Before", summary="It was there.")
    kz.ok("K12")
    assert kz.ok("W2", id=task["id"], status="done")["seq"] == task["seq"] + 1
    assert kz.ok("W11", id=task["id"])["record"]["status"] == "done"
    kz.ok("V1")


def test_tables_that_are_gone_are_made_anew(kz, plane):
    populate(plane)
    before = canonical_dump(database(plane))
    change(plane, *(f"DROP TABLE {name}" for name in [*(entry.table for entry in _index.KINDS.values()), "counters"]))
    kz.ok("K12")
    assert canonical_dump(database(plane)) == before


def test_tables_that_were_tampered_with_are_made_anew(kz, plane):
    task = kz.ok("W1", title="True", summary="What was said.")
    kz.ok("W1", title="Deleted", summary="It will be.")
    before = canonical_dump(database(plane))
    change(plane, "UPDATE tasks SET title = 'False'", "DELETE FROM tasks WHERE title <> 'False'", "DROP INDEX tasks_open")
    change(
        plane, "DELETE FROM tasks WHERE rowid > 1", "UPDATE counters SET value = 99", "ALTER TABLE tasks ADD COLUMN extra TEXT"
    )
    assert kz("V1").code == 1
    kz.ok("K12")
    assert kz.ok("W11", id=task["id"])["record"]["title"] == "True"
    assert canonical_dump(database(plane)) == before


def test_tables_whose_pages_are_garbage_are_made_anew(kz, plane):
    populate(plane)
    before = canonical_dump(database(plane))
    change(plane, "PRAGMA wal_checkpoint(TRUNCATE)")
    connection = sqlite3.connect(database(plane))
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    pages = [row[0] for row in connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name <> 'ledger'")]
    connection.close()
    with database(plane).open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)
    assert kz("V1").code == 1
    kz.ok("K12")
    assert canonical_dump(database(plane)) == before
    kz.ok("V1")


def test_a_broken_ledger_is_a_finding_and_nothing_changes(kz, plane):
    kz.ok("W1", title="True", summary="What was said.")
    kz.ok("W1", title="Later", summary="What came after.")
    change(plane, "UPDATE ledger SET op = 'W9' WHERE seq = 2", "UPDATE tasks SET title = 'False' WHERE created_seq = 3")
    before = canonical_dump(database(plane))
    reply = kz("K12")
    assert (reply["status"], reply.code, reply["finding"]["seq"]) == ("FAILED", 1, 2)
    assert canonical_dump(database(plane)) == before


def test_a_ledger_whose_tail_was_cut_is_a_finding(kz, plane):
    kz.ok("W1", title="One", summary="It stays.")
    kz.ok("W1", title="Two", summary="It is cut off.")
    change(plane, "DELETE FROM ledger WHERE seq = 3")
    assert kz("K12")["finding"]["fault"] == "tail_cut"


def test_what_was_written_meanwhile_is_there(kz, plane, monkeypatch):
    first = kz.ok("W1", title="First", summary="It was there before.")
    take = rebuild.Building.take

    def take_and_write(self, copy):
        take(self, copy)
        kz.ok("G1", title="Meanwhile", summary="It came while the file was made.", body="No lock was held.", task_id=first["id"])
        kz.ok("W2", id=first["id"], status="done")

    monkeypatch.setattr(rebuild.Building, "take", take_and_write)
    assert kz.ok("K12")["caught_up"] == 2
    assert kz.ok("G2")["records"][0]["title"] == "Meanwhile"
    task = kz.ok("W11", id=first["id"])["record"]
    assert (task["status"], task["entry_count"]) == ("done", 3)
    kz.ok("V1")


def test_what_was_erased_meanwhile_is_in_no_byte_of_the_new_file(kz, plane, monkeypatch):
    secret = kz.ok("W1", title="Quetzalcoatlus", summary="It is erased in a moment.")
    take, times = rebuild.Building.take, []

    def take_and_erase(self, copy):
        take(self, copy)
        if not times:
            kz.ok("K21", id=secret["id"], reason="Asked for.", confirm=secret["id"])
        times.append(copy)

    monkeypatch.setattr(rebuild.Building, "take", take_and_erase)
    kz.ok("K12")
    assert len(times) == 2
    assert b"Quetzalcoatlus" not in b"".join(path.read_bytes() for path in plane.rglob("*") if path.is_file())
    kz.ok("V1")


def test_nothing_but_the_new_file_stays(kz, plane):
    kz.ok("W1", title="One", summary="It stays.")
    kz.ok("K12")
    left = sorted(path.name for path in database(plane).parent.iterdir() if path.is_file())
    assert left == [".gitignore", "kaizen.db", "kaizen.lock", "ledger.head"]
    assert list((plane / "AI" / "work" / "kaizen-runtime" / "tmp").iterdir()) == []


@pytest.mark.parametrize("point", ["Building.take", "Building.catch_up", "Building.swap", "os.replace"])
def test_a_rebuild_that_is_killed_leaves_a_plane_that_verifies(kz, plane, point):
    kz.ok("W1", title="One", summary="It stays.")
    before = canonical_dump(database(plane))
    killed(f"from kaizen_components.store import rebuild\nrebuild.{point} = die\ncli.main(['K12'])")
    assert canonical_dump(database(plane)) == before
    kz.ok("V1")
    kz.ok("W1", title="Two", summary="The next call just works.")
    kz.ok("K12")
    assert not list(database(plane).parent.glob("kaizen.db.new-*"))


def test_a_rebuild_needs_a_plane(kz):
    kz.denied("DENIED_PLANE_NOT_FOUND", "K12")


def test_a_plane_of_another_schema_version_is_not_rebuilt(kz, plane):
    kz.ok("K1")
    change(plane, "PRAGMA user_version = 99")
    assert kz.denied("DENIED_SCHEMA_STATUS", "K12")["schema_version"] == 99
