"""A store that stays: every unit durable, the plane open a moment longer, and never for long."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from kaizen_components import paths
from kaizen_components.op import Call, Result
from kaizen_components.ops.notes import Note
from kaizen_components.store import Store, read_head, staying
from kaizen_components.store.connection import Connection


@pytest.fixture(params=["turso", "sqlite"])
def engine(request, monkeypatch):
    pytest.importorskip({"turso": "turso", "sqlite": "sqlite3"}[request.param])
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)
    return request.param


@pytest.fixture
def store(kz, engine):
    kz.ok("K1")
    found = staying.StayingStore(paths.find())
    yield found
    found.leave()


def note(store, text="Noted.", **how):
    return store.perform(Call(op="W38", writes=True), lambda: Result(id=store.add(Note(summary=text))["id"]), **how)


def closed_within(store, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (store._connection or store._lock) and time.monotonic() < until:
        time.sleep(0.005)
    return store._connection is None and store._lock is None


def test_a_unit_is_durable_and_the_plane_open_a_moment_longer(store, kz, monkeypatch):
    monkeypatch.setattr(staying, "AFTER", 0.3)
    monkeypatch.setattr(staying, "AT_MOST", 10)
    first = note(store)
    connection = store._connection
    assert connection is not None
    second = note(store)
    assert store._connection is connection and second["seq"] == first["seq"] + 1
    assert closed_within(store, 5)
    assert [row["id"] for row in kz.ok("W39")["records"]] == [second["id"], first["id"]]


def test_others_get_their_turn_though_it_never_rests(store, monkeypatch):
    monkeypatch.setattr(staying, "AT_MOST", 0.1)
    over, waited = threading.Event(), []

    def other():
        started = time.monotonic()
        note(Store(paths.find()), "From another.")
        waited.append(time.monotonic() - started)
        over.set()

    note(store)
    thread = threading.Thread(target=other)
    thread.start()
    while not over.is_set():
        note(store)
    thread.join()
    assert waited[0] < 20


@pytest.fixture
def long(monkeypatch):
    """The plane stays open as long as the test takes."""
    monkeypatch.setattr(staying, "AFTER", 60)
    monkeypatch.setattr(staying, "AT_MOST", 60)


def test_the_head_is_told_when_the_plane_closes(store, long):
    written = note(store)
    assert read_head(store.plane)[0] < written["seq"]
    store.leave()
    assert read_head(store.plane) == (written["seq"], written["chain_hash"])


def test_the_head_lags_behind_what_does_not_wait_for_the_disk(store, long):
    waited = note(store)
    late = note(store, waits=False)
    store.leave()
    assert read_head(store.plane)[0] == waited["seq"]
    # A power cut may take what did not wait; the ledger goes on behind what is there.
    assert note(store)["seq"] == late["seq"] + 1
    store.leave()
    assert read_head(store.plane)[0] == late["seq"] + 1


def synchronous(store) -> int:
    return store.opened().execute("PRAGMA synchronous")[0][0]


def test_a_unit_waits_for_the_disk_unless_it_need_not(store, long):
    note(store)
    assert synchronous(store) == 2
    note(store, waits=False)
    assert synchronous(store) == 1
    with pytest.raises(ValueError):
        store.perform(Call(op="W38", writes=True), lambda: int("none"), waits=False)
    note(store)
    assert synchronous(store) == 2
    with store.group():
        note(store, waits=False)
    assert store._connection is None or synchronous(store) == 2


def test_a_power_cut_takes_what_did_not_wait_and_nothing_else(store, long, kz):
    kept = note(store)
    files = [store.plane.database, store.plane.database.with_name("kaizen.db-wal")]
    on_disk = {path: path.read_bytes() for path in files if path.exists()}
    note(store, waits=False)
    # Its journal never reached the disk.
    store.leave()
    for path in files:
        path.unlink(missing_ok=True)
        if path in on_disk:
            path.write_bytes(on_disk[path])
    assert note(store)["seq"] == kept["seq"] + 1
    store.leave()
    assert kz.ok("V1")["status"] == "OK"


def test_what_was_written_is_revised_without_being_read_again(store, long, monkeypatch):
    written = note(store)
    asked = []
    rows = Connection.rows
    monkeypatch.setattr(Connection, "rows", lambda self, sql, values=(): asked.append(sql) or rows(self, sql, values))

    def revises():
        store.revise("note", written["id"], {"summary": "Noted anew."})
        return Result(id=written["id"])

    store.perform(Call(op="W38", writes=True), revises)
    assert not asked
    assert store.get("note", written["id"])["summary"] == "Noted anew."


def test_what_is_remembered_is_asked_anew_once_it_may_have_changed(store, long):
    def texts():
        found = [row["summary"] for row in store.remembered("note", order="created_seq")]
        store.release()
        return found

    note(store, "One.")
    assert texts() == ["One."]
    note(store, "Two.")
    assert texts() == ["One.", "Two."]
    store.leave()
    note(Store(store.plane), "From another.")
    assert texts() == ["One.", "Two.", "From another."]


def test_a_foreign_program_that_writes_meanwhile_is_noticed(store, long, engine):
    if engine != "sqlite":
        pytest.skip("nobody else can open the file")
    written = note(store)
    with sqlite3.connect(store.plane.database) as other:
        other.execute("UPDATE notes SET summary = 'Changed by hand.'")
    other.close()

    def looks():
        store._begin()
        return Result(summary=store.get("note", written["id"])["summary"])

    assert store.perform(Call(op="W38", writes=True), looks)["summary"] == "Changed by hand."


def test_leaving_lets_go_at_once(store, monkeypatch):
    monkeypatch.setattr(staying, "AFTER", 60)
    monkeypatch.setattr(staying, "AT_MOST", 60)
    note(store)
    store.leave()
    assert store._connection is None and store._lock is None
    note(store)
    store.leave()


def test_a_unit_that_fails_leaves_nothing_and_the_next_works(store):
    def fails():
        store.add(Note(summary="Not kept."))
        raise ValueError

    with pytest.raises(ValueError):
        store.perform(Call(op="W38", writes=True), fails)
    assert note(store)["seq"] == 2


def test_what_needs_the_closed_file_gets_it(store, tmp_path):
    note(store)
    store.copy(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_size > 0
    note(store)


def test_threads_may_use_one_in_turns(store):
    faults = []

    def work():
        try:
            for _ in range(5):
                note(store)
                time.sleep(0.03)
        except Exception as fault:
            faults.append(fault)

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not faults and store.head()[0] == 11
    store.release()


def test_what_is_open_at_the_end_of_the_process_is_closed(store, long):
    written = note(store)
    staying._leave_all()
    assert store._connection is None and store._lock is None
    assert read_head(store.plane)[0] == written["seq"]
