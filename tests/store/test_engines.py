"""Engines: one contract for both, and the same bytes from both."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from itertools import cycle
from pathlib import Path

import pytest
import truth
from cases import NEEDS, cases, populate
from conftest import Kz

from kaizen_components import denial
from kaizen_components.op import Call, Result, load
from kaizen_components.ops import _index
from kaizen_components.paths import Plane
from kaizen_components.store import Store
from kaizen_components.store.connection import ENGINES, Connection, engine, header

BOTH = ("turso", "sqlite")


@pytest.fixture(params=BOTH)
def using(request, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)
    return ENGINES[request.param]


@pytest.fixture
def connection(using, tmp_path):
    opened = Connection(tmp_path / "a.db")
    opened.script(
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c REAL);\nCREATE UNIQUE INDEX t_b ON t (b) WHERE b IS NOT NULL;\n"
    )
    yield opened
    opened.close()


@pytest.fixture
def store(using, plane):
    opened = Store(Plane(plane, plane, "test"))
    yield opened
    opened.close()


def call(code: str = "W1", **more) -> Call:
    return Call(op=code, writes=True, **more)


def task(store: Store, title: str, **fields):
    return store.add(load("W1").input(title=title, summary="One.", **fields))


def added(store: Store, *titles: str):
    """Ids of tasks, each added in a unit of its own."""
    return [store.perform(call(), lambda title=title: Result(id=task(store, title)["id"]))["id"] for title in titles]


def read(store: Store, work):
    """What `work` reads, in a unit of its own."""
    return store.perform(Call(op="W9"), lambda: Result(found=work()))["found"]


# --- connection -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        (1, "", 0.0),
        (2**63 - 1, "zażółć\u2028\x00\x7f 世界 😀 \"'`;--", -0.1),
        (-(2**63), "x" * 1_000_000, 1e308),
        (7, None, None),
        (8, "1", 5e-324),
    ],
)
def test_what_is_written_is_read(connection, values):
    connection.write("INSERT INTO t VALUES (?, ?, ?)", values)
    assert connection.execute("SELECT * FROM t") == [values]
    assert connection.rows("SELECT a, b AS text FROM t") == [{"a": values[0], "text": values[1]}]
    assert [type(value) for value in connection.execute("SELECT * FROM t")[0]] == [type(value) for value in values]


def test_rows_come_by_stream_one_at_a_time(connection):
    connection.write("BEGIN IMMEDIATE")
    connection.write_many("INSERT INTO t VALUES (?, ?, ?)", [(n, str(n), n / 2) for n in range(1000)])
    connection.write("COMMIT")
    stream = iter(connection.stream("SELECT a FROM t WHERE a >= ? ORDER BY a", (500,)))
    assert next(stream)[0] == 500 and sum(1 for _ in stream) == 499
    del stream


def test_a_unit_rolled_back_to_its_savepoint_leaves_the_ones_before(connection):
    connection.write("BEGIN IMMEDIATE")
    connection.write("INSERT INTO t VALUES (1, 'one', 1)")
    for number, kept in ((2, False), (3, True), (4, False)):
        connection.write("SAVEPOINT unit")
        connection.write("INSERT INTO t VALUES (?, ?, ?)", (number, str(number), 1))
        connection.write("UPDATE t SET c = c + 1")
        connection.write("DELETE FROM t WHERE c > 100")
        if not kept:
            connection.write("ROLLBACK TO unit")
        connection.write("RELEASE unit")
    connection.write("COMMIT")
    assert connection.execute("SELECT a, c FROM t ORDER BY a") == [(1, 2.0), (3, 2.0)]


def test_a_rolled_back_transaction_leaves_nothing(connection):
    connection.write("BEGIN IMMEDIATE")
    connection.write("INSERT INTO t VALUES (1, 'one', 1)")
    connection.write("ROLLBACK")
    assert connection.execute("SELECT COUNT(*) FROM t") == [(0,)]


def test_a_partial_unique_index_holds(connection):
    connection.write("INSERT INTO t VALUES (1, NULL, 1), (2, NULL, 1), (3, 'x', 1)")
    with pytest.raises(Exception, match=r"(?i)unique|constraint"):
        connection.write("INSERT INTO t VALUES (4, 'x', 1)")
    assert connection.execute("SELECT COUNT(*) FROM t") == [(3,)]


def test_a_counter_is_made_or_added_to(connection):
    connection.script("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);\n")
    sql = "INSERT INTO counters VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value"
    connection.write_many(sql, [("a", 2), ("b", 1), ("a", -3)])
    assert connection.execute("SELECT * FROM counters ORDER BY name") == [("a", -1), ("b", 1)]


def test_the_journal_is_wal_and_commits_are_synchronous(connection, using):
    assert connection.execute("PRAGMA journal_mode") == [("wal",)]
    assert connection.execute("PRAGMA synchronous") == [(2,)]
    connection.write("INSERT INTO t VALUES (1, 'one', 1)")
    connection.checkpoint()
    connection.close()
    # The file's own header says so to every other program: read and write version 2.
    assert connection.path.read_bytes()[18:20] == b"\2\2"


def test_the_journal_of_a_plane_is_wal(kz, plane, using):
    kz.ok("W1", title="A", summary="One.")
    assert (plane / "AI/db/kaizen.db").read_bytes()[18:20] == b"\2\2"


def test_a_closed_connection_lets_the_other_engine_in(connection, using):
    connection.write("INSERT INTO t VALUES (1, 'one', 1)")
    connection.close()
    connection.close()
    for name in BOTH:
        other = Connection(connection.path, using=ENGINES[name])
        assert other.execute("SELECT b FROM t") == [("one",)]
        other.close()


def test_a_checkpoint_leaves_everything_in_one_file(connection, tmp_path):
    connection.write("INSERT INTO t VALUES (1, 'one', 1)")
    connection.checkpoint()
    connection.close()
    shutil.copyfile(connection.path, tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT b FROM t").fetchall() == [("one",)]


def test_a_damaged_file_is_said_to_be_damaged(using, tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    with pytest.raises(denial.PlaneDamaged):
        Connection(path).execute("SELECT * FROM sqlite_master")


def test_columns_are_named_in_order(connection):
    assert connection.columns("t") == ["a", "b", "c"] and connection.columns("no_such") == []


# --- what the capability table says ---------------------------------------------------------------


def _opens(name: str, path: Path, answer) -> None:
    try:
        other = Connection(path, using=ENGINES[name], patience=0)
        answer.put(bool(other.execute("SELECT 1")))
        other.close()
    except denial.Denial:
        answer.put(False)


@pytest.mark.parametrize("name", BOTH)
def test_shared_is_what_two_processes_find(name, tmp_path):
    holder = Connection(tmp_path / "a.db", using=ENGINES[name])
    holder.write("CREATE TABLE t (a)")
    spawned = multiprocessing.get_context("spawn")
    answer = spawned.Queue()
    process = spawned.Process(target=_opens, args=(name, tmp_path / "a.db", answer))
    process.start()
    opens = answer.get(timeout=60)
    process.join()
    holder.close()
    assert opens == ENGINES[name].shared


@pytest.mark.parametrize("name", [name for name in BOTH if ENGINES[name].erases])
def test_erases_is_what_the_file_shows(name, tmp_path):
    holder = Connection(tmp_path / "a.db", using=ENGINES[name])
    holder.execute("PRAGMA secure_delete=ON")
    holder.write("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    holder.write("BEGIN IMMEDIATE")
    holder.write_many("INSERT INTO t (b) VALUES (?)", [(f"needle-{n}-" + "x" * 500,) for n in range(200)])
    holder.write("COMMIT")
    holder.checkpoint()
    assert b"needle-" in (tmp_path / "a.db").read_bytes()
    holder.write("DELETE FROM t WHERE a % 2")
    holder.write("VACUUM")
    holder.checkpoint()
    holder.close()
    files = b"".join(path.read_bytes() for path in tmp_path.glob("a.db*"))
    assert b"needle-1-" in files and b"needle-2-" not in files


def test_turso_is_the_default_and_an_unknown_engine_is_refused(kz, monkeypatch):
    monkeypatch.delenv("KAIZEN_DB_ENGINE", raising=False)
    assert engine().name == "turso"
    monkeypatch.setenv("KAIZEN_DB_ENGINE", " SQLite ")
    assert engine().name == "sqlite"
    monkeypatch.setenv("KAIZEN_DB_ENGINE", "oracle")
    assert kz.denied("DENIED_ENVIRONMENT_INVALID", "G2")["variable"] == "KAIZEN_DB_ENGINE"


# --- store ----------------------------------------------------------------------------------------


def test_a_list_is_filtered_ordered_and_cut(store):
    added(store, "Alpha", "beta", "Gamma_%", "delta")
    titles = lambda **more: [row["title"] for row in read(store, lambda: store.list("task", columns=("title",), **more))]  # noqa: E731
    assert titles() == ["delta", "Gamma_%", "beta", "Alpha"]
    assert titles(order="created_seq") == ["Alpha", "beta", "Gamma_%", "delta"]
    assert titles(order="title DESC, created_seq", limit=2) == ["delta", "beta"]
    assert titles(limit=2, offset=1) == ["Gamma_%", "beta"]
    assert titles(offset=3) == ["Alpha"] and titles(limit=-1, offset=3) == ["Alpha"] and titles(limit=0) == []
    assert titles(where={"title": ("contains", "_%")}) == ["Gamma_%"]
    assert titles(where={"title": ("contains", "GAM")}) == ["Gamma_%"]
    assert titles(where={"title": ("in", ["beta", "Alpha", "no"])}) == ["beta", "Alpha"]
    assert titles(where={"created_seq": (">", 3), "created_seq#until": ("<", 5)}) == ["Gamma_%"]
    assert titles(where={"source_task_id": None, "title": ("!=", "beta")}) == ["delta", "Gamma_%", "Alpha"]
    assert titles(where={"retired_reason": ("!=", None)}) == []
    assert read(store, lambda: store.count("task", {"is_open": 1})) == 4
    assert read(store, lambda: store.counters("task.open", "task.total", "no.such")) == {
        "task.open": 4,
        "task.total": 4,
        "no.such": 0,
    }


def test_a_unit_reads_what_it_wrote_before_it_is_committed(store):
    def work():
        first = task(store, "First")
        second = task(store, "Second", source_task_id=first["id"])
        store.revise("task", first["id"], {"status": "done"})
        assert store.get("task", first["id"])["status"] == "done" and store.exists(second["id"])
        assert [row["id"] for row in store.list("task", {"is_open": 1})] == [second["id"]]
        assert [entry["action"] for entry in store.history(first["id"])] == ["add", "revise"]
        assert store.counters("task.open")["task.open"] == 1 == store.count("task", {"status": "active"})
        return Result(id=first["id"])

    reply = store.perform(call(), work)
    assert reply["seq"] == 4


def test_a_unit_that_fails_leaves_nothing(store, plane):
    added(store, "Before")
    before = truth.dump(plane)

    def work():
        first = task(store, "First")
        store.revise("task", first["id"], {"status": "done"})
        store.list("task")
        raise denial.Usage("Nothing.")

    with pytest.raises(denial.Usage):
        store.perform(call(), work)
    assert truth.dump(plane) == before
    added(store, "After")
    assert len(truth.sound(plane)["tasks"]) == 2


def test_a_receipt_comes_with_a_write_and_never_with_a_read(store):
    written = store.perform(call(), lambda: Result(id=task(store, "A")["id"]))
    assert (written["seq"], written["chain_hash"]) == read(store, store.head)
    assert "seq" not in store.perform(Call(op="W9"), lambda: Result(count=store.count("task")))


def test_an_unknown_id_and_a_foreign_prefix_are_not_found(store):
    unknown = "t_20260101000000_0123456789"
    with pytest.raises(denial.RecordNotFound):
        read(store, lambda: store.get("task", unknown))
    with pytest.raises(denial.RecordNotFound):
        store.perform(call(), lambda: Result(row=store.revise("task", unknown, {"title": "x"})))
    with pytest.raises(denial.RecordNotFound):
        store.kind_of("zz_20260101000000_0123456789")
    with pytest.raises(denial.ReferenceNotFound):
        store.perform(call(), lambda: Result(row=task(store, "A", source_task_id=unknown)))


def test_a_copy_is_whole_and_a_lock_holds_the_plane_closed(store, plane, tmp_path):
    added(store, "A", "B")
    store.copy(tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT COUNT(*) FROM tasks").fetchone() == (2,)
    with store.locked():
        assert header(plane / "AI/db/kaizen.db") is not None
    with store.snapshot() as path:
        assert path.is_file()
    assert not path.exists()


def test_no_lookup_reads_the_whole_ledger(kz, using, plane, monkeypatch):
    """A key, a link, a history, a task's entries: each is found by an index, however long the ledger is."""
    asked: dict[str, tuple] = {}
    for name in ("execute", "rows"):

        def noting(self, sql, values=(), *, real=getattr(Connection, name)):
            if "FROM ledger WHERE" in sql:
                asked[sql] = tuple(values)
            return real(self, sql, values)

        monkeypatch.setattr(Connection, name, noting)
    made = kz.ok("W1", title="A", summary="One.", key="k")["id"]
    kz.ok("W1", title="A", summary="One.", key="k")
    kz.ok("W1", title="B", summary="One.", task_id=made)
    kz.ok("K19", id=made)
    kz.ok("K22", task_id=made)
    opened = Connection(plane / "AI/db/kaizen.db")
    plans = {sql: [row[-1] for row in opened.execute(f"EXPLAIN QUERY PLAN {sql}", values)] for sql, values in [*asked.items()]}
    opened.close()
    assert len(plans) >= 4
    assert [sql for sql, plan in plans.items() if any("SCAN" in step for step in plan)] == []


def test_closing_the_store_does_not_drop_what_was_written_in_silence(store, plane):
    def work():
        task(store, "A")
        store.close()
        return Result()

    with pytest.raises(denial.Uncommitted):
        store.perform(call(), work)
    assert truth.sound(plane)["tasks"] == []


# --- the same bytes -------------------------------------------------------------------------------

# What these answer or keep depends on the folder or the moment, and they belong to no scripted session.
UNREPEATABLE = {"K7", "K11", "K21"}


def session(root: Path, engines, monkeypatch) -> dict:
    """A scripted session on an empty plane, each call on the next engine; the whole plane afterwards."""
    root.mkdir()
    turns = cycle(engines)
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(root))
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "session")
    # Events name the folder.
    monkeypatch.setenv("KAIZEN_PROJECT_SLUG", "session")
    monkeypatch.chdir(root)

    class Alternating(Kz):
        def __call__(self, op, **flags):
            monkeypatch.setenv("KAIZEN_DB_ENGINE", next(turns))
            return super().__call__(op, **flags)

    alternating = Alternating()
    ids = populate(alternating, root)
    for code, flags in cases(ids).items():
        if code in _index.OPS and _index.OPS[code].writes and code not in UNREPEATABLE:
            reply = alternating(code, **flags, key=f"key-{code}")
            assert reply.code in (0, 1) or reply["code"] == NEEDS[code], reply
    return truth.sound(root)


def test_a_session_leaves_the_same_bytes_on_each_engine_and_on_both_in_turns(tmp_path, monkeypatch):
    first = session(tmp_path / "a", ["turso"], monkeypatch)
    assert len(first["ledger"]) > 80
    for number, engines in enumerate((["sqlite"], ["turso", "sqlite", "sqlite", "turso"])):
        again = session(tmp_path / str(number), engines, monkeypatch)
        for name in first:
            assert again[name] == first[name], (engines, name)


def test_a_plane_made_by_one_engine_is_read_and_written_by_the_other(kz, plane, monkeypatch):
    ids = []
    for number, name in enumerate(["turso", "sqlite", "sqlite", "turso", "turso", "sqlite"]):
        monkeypatch.setenv("KAIZEN_DB_ENGINE", name)
        for made in ids:
            assert kz.ok("W11", id=made)["record"]["id"] == made
        ids.append(kz.ok("W1", title=f"Task {number}", summary="One.", **({"task_id": ids[-1]} if ids else {}))["id"])
        assert not [path for path in (plane / "AI/db").glob("*-shm") if name == "turso" and number == 0]
    assert len(truth.sound(plane)["tasks"]) == 6
