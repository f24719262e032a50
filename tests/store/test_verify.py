"""Whatever is changed in a plane behind Kaizen's back is found: by V1 and by the standalone verifier."""

from __future__ import annotations

import importlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planes import populate, reseal

from kaizen_components import denial, paths
from kaizen_components.op import Call
from kaizen_components.ops import _index
from kaizen_components.store import Store, ledger, verify
from kaizen_components.store.lock import PlaneLock

standalone = importlib.import_module("support_scripts.verify_ledger")
TABLES = ["ledger", "counters", *sorted(entry.table for entry in _index.KINDS.values())]
# Every text of every record holds it, so no message may.
PRIVATE = "größer"


@pytest.fixture(scope="module", params=["turso", "sqlite"])
def sound(request, tmp_path_factory) -> Iterator[Path]:
    """The database of a plane with every kind of record, as the engine left it, and its ledger.head."""
    if request.param == "turso":
        pytest.importorskip("turso")
    root = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAIZEN_DB_ENGINE", request.param)
        populate(root)
    yield root / "AI" / "db" / "kaizen.db"


class Copy:
    """A copy of a plane's database, to be damaged and looked at."""

    def __init__(self, sound: Path, folder: Path) -> None:
        self.bytes = sound.read_bytes()
        self.head: str | None = sound.with_name("ledger.head").read_text()
        self.path = folder / "copy.db"
        self.restore()

    def restore(self) -> None:
        for suffix in ("-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.path.write_bytes(self.bytes)

    def change(self, *statements: str | tuple[str, Any], seal: bool = False) -> None:
        """Run statements with a plain SQLite; with `seal`, give the ledger the hashes that follow."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
            if seal:
                reseal(connection, standalone)
        finally:
            connection.close()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def kaizen(self, receipts: list[tuple[int, str]] | None = None) -> verify.Fault | None:
        """What V1 finds."""
        try:
            verify.Verifier(self.path).run(self.head, receipts or [])
        except verify.Fault as fault:
            assert PRIVATE not in fault.message and PRIVATE not in json.dumps(fault.where, ensure_ascii=False)
            return fault
        return None

    def other(self, receipts: list[tuple[int, str]] | None = None) -> str | None:
        """What the standalone verifier finds."""
        try:
            standalone.verify_file(self.path, self.head, receipts or [])
        except standalone.Fault as fault:
            assert PRIVATE not in str(fault)
            return str(fault)
        return None

    def found(self, receipts: list[tuple[int, str]] | None = None) -> dict[str, Any]:
        """Where V1 found the fault that both must find."""
        ours, theirs = self.kaizen(receipts), self.other(receipts)
        assert ours is not None, f"V1 found nothing; the standalone verifier: {theirs}"
        assert theirs is not None, f"the standalone verifier found nothing; V1: {ours.where}"
        return ours.where

    def passes(self) -> None:
        fault = self.kaizen()
        assert fault is None, fault and fault.where
        assert self.other() is None


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Copy:
    return Copy(sound, tmp_path)


@pytest.fixture
def step(request) -> int:
    """Every column of the file that SQLite left is edited; of the one that Turso left, which is of the same format, every fourth."""
    return 4 if request.node.callspec.params["sound"] == "turso" else 1


def test_a_sound_plane_passes(copy):
    copy.passes()


def test_verifying_changes_nothing(copy):
    copy.passes()
    assert copy.path.read_bytes() == copy.bytes


# --- the mutator ----------------------------------------------------------------------------------


def edits(value: Any, declared: str) -> list[Any]:
    """Another value, no value, and the same value in another storage class."""
    if isinstance(value, str):
        return [value + "x", None, value.encode()]
    if isinstance(value, int | float):
        return [value + 1, None, str(value).encode()]
    return ["x" if declared == "TEXT" else 1, b"", b"x"]


@pytest.mark.parametrize("table", TABLES)
def test_an_edit_of_any_column_is_found(copy, step, table):
    columns = copy.rows(f"SELECT name, type FROM pragma_table_info('{table}')")
    count = copy.rows(f"SELECT count(*) FROM {table}")[0][0]
    assert count, f"no row in {table} to edit"
    tried, missed = 0, []
    for number, (column, declared) in list(enumerate(columns))[::step]:
        # The first row gets another value, of every third column the last in turn none and one of another type.
        for place, which in ((0, 0), (count - 1, 1 + number % 2))[: 1 + (number % 3 == 0)]:
            rowid, value = copy.rows(f'SELECT rowid, "{column}" FROM {table} ORDER BY rowid LIMIT 1 OFFSET ?', place)[0]
            change = f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?'
            try:
                copy.change((change, (edits(value, declared)[which], rowid)))
            except sqlite3.IntegrityError:
                continue  # SQLite itself does not let it happen.
            tried += 1
            for name, look in (("V1", copy.kaizen), ("standalone", copy.other)):
                if look() is None:
                    missed.append((name, column, which))
            copy.restore()
    assert not missed
    assert tried >= len(columns) // step


@pytest.mark.parametrize("table", TABLES)
def test_a_deleted_row_is_found(copy, table):
    for (rowid,) in copy.rows(f"SELECT rowid FROM {table}")[:: 7 if table in ("ledger", "counters") else 1]:
        copy.change((f"DELETE FROM {table} WHERE rowid = ?", (rowid,)))
        copy.found()
        copy.restore()


@pytest.mark.parametrize("table", TABLES[1:])
def test_an_inserted_row_is_found(copy, table):
    columns = [name for (name,) in copy.rows(f"SELECT name FROM pragma_table_info('{table}')")]
    for key in ("'t_20260101000000_0123456789'", "NULL"):
        others = ", ".join(f'"{name}"' for name in columns[1:])
        copy.change(f'INSERT INTO {table} ("{columns[0]}", {others}) SELECT {key}, {others} FROM {table} LIMIT 1')
        copy.found()
        copy.restore()


@pytest.mark.parametrize("table", TABLES[2:])
def test_rows_that_change_places_are_found(copy, table):
    found = copy.rows(f"SELECT id FROM {table} ORDER BY rowid LIMIT 2")
    if len(found) < 2:
        pytest.skip("one row")
    (one,), (two,) = found
    swap = f"UPDATE {table} SET id = ? WHERE id = ?"
    copy.change((swap, ("-", one)), (swap, (one, two)), (swap, (two, "-")))
    assert copy.found()["table"] == table


def test_an_undeclared_zero_counter_is_found(copy):
    copy.change("INSERT INTO counters VALUES ('task.lost', 0)")
    assert copy.found() == {"fault": "counter", "counter": "task.lost", "expected": None, "actual": 0}


# --- the ledger -----------------------------------------------------------------------------------

INSERT = f"INSERT INTO ledger SELECT {', '.join('?' if name in ('seq', 'entry_id') else name for name in ledger.COLUMNS)} FROM ledger WHERE seq = ?"


def test_the_fault_names_the_first_bad_entry(copy):
    entry_id, record_id = copy.rows("SELECT entry_id, record_id FROM ledger WHERE seq = 7")[0]
    copy.change("UPDATE ledger SET content = replace(content, 'größer', 'kleiner') WHERE seq >= 7")
    where = copy.found()
    assert where["fault"] == "content_hash" and where["seq"] == 7
    assert (where["entry_id"], where["record_id"]) == (entry_id, record_id)
    assert len(where["expected"]) == len(where["actual"]) == 64 and where["expected"] != where["actual"]


def test_a_changed_content_with_its_hash_made_anew_breaks_the_leaf(copy):
    text = copy.rows("SELECT content FROM ledger WHERE seq = 7")[0][0].replace("größer", "kleiner")
    copy.change(("UPDATE ledger SET content = ?, content_hash = ? WHERE seq = 7", (text, standalone.sha256(text.encode()))))
    assert copy.found()["fault"] == "leaf_hash" and copy.found()["seq"] == 7


def test_an_inserted_entry_is_found(copy):
    last = copy.rows("SELECT max(seq) FROM ledger")[0][0]
    copy.change((INSERT, (last + 1, "led_x", last)))
    assert copy.found()["fault"] == "leaf_hash"
    copy.restore()
    copy.change((INSERT, (0, "led_x", last)))
    assert copy.found() == {"fault": "seq", "seq": 1, "actual": 0}


def test_a_hole_is_found_although_the_chain_was_mended(copy):
    copy.change("DELETE FROM ledger WHERE seq = 7", seal=True)
    copy.head = None
    assert copy.found() == {"fault": "seq", "seq": 7, "actual": 8}


def test_entries_that_change_places_are_found(copy):
    move = "UPDATE ledger SET seq = ? WHERE seq = ?"
    copy.change((move, (-1, 7)), (move, (7, 9)), (move, (9, -1)))
    assert copy.found()["fault"] == "leaf_hash" and copy.found()["seq"] == 7


def test_contents_that_change_places_are_found(copy):
    one, two = (copy.rows("SELECT content, content_hash FROM ledger WHERE seq = ?", seq)[0] for seq in (7, 9))
    put = "UPDATE ledger SET content = ?, content_hash = ? WHERE seq = ?"
    copy.change((put, (*one, 9)), (put, (*two, 7)))
    assert copy.found()["seq"] == 7


def test_an_entry_with_the_id_of_another_is_found(copy):
    one = copy.rows("SELECT entry_id FROM ledger WHERE seq = 7")[0][0]
    copy.change("DROP INDEX ledger_entry_id", ("UPDATE ledger SET entry_id = ? WHERE seq = 9", (one,)), seal=True)
    copy.head = None
    assert copy.found()["fault"] == "entry_id" and copy.found()["seq"] == 9


@pytest.mark.parametrize("tidy", [False, True])
def test_a_cut_tail_is_found(copy, tidy):
    seq, record_id = copy.rows(
        "SELECT seq, record_id FROM ledger WHERE kind = 'note' AND action = 'add' ORDER BY seq DESC LIMIT 1"
    )[0]
    for path in (copy.path,):
        # A plane that ends with a note: what came after it never was.
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("DELETE FROM ledger WHERE seq > ?", (seq,))
        connection.close()
    if tidy:
        rebuild_tables(copy)
        assert copy.kaizen() is not None
    where = copy.found()
    assert where["fault"] == "tail_cut" and where["last_seq"] == seq and where["source"] == "ledger.head"
    receipt = json.loads(copy.head or "")
    copy.head = None
    where = copy.found([(receipt["seq"], receipt["chain_hash"])])
    assert where["fault"] == "tail_cut" and where["source"] == "--expect"
    if tidy:
        copy.passes()  # No file shows on its own that its tail is gone.
    assert record_id


def rebuild_tables(copy: Copy) -> None:
    """Make tables and counters follow from the ledger as it is now: what a careful forger would do."""
    connection = sqlite3.connect(copy.path, isolation_level=None)
    try:
        records: dict[str, dict[str, Any]] = {}
        tasks: dict[str, int] = {}
        counters: dict[str, int] = {}
        columns = "seq, entry_id, time, action, kind, record_id, task_id, content, content_hash"
        for seq, entry_id, time, action, kind, record_id, task_id, content, digest in connection.execute(
            f"SELECT {columns} FROM ledger ORDER BY seq"
        ):
            counters[f"ledger.entries:{time[:10]}"] = counters.get(f"ledger.entries:{time[:10]}", 0) + 1
            tasks[task_id] = tasks.get(task_id, 0) + 1
            if action == "purge" or content is None:
                records.pop(record_id, None)
                continue
            first = records[record_id]["created_seq"] if record_id in records else seq
            records[record_id] = {"kind": kind, "content": json.loads(content)["record"], "created_seq": first}
            records[record_id] |= {"updated_seq": seq, "entry_id": entry_id, "content_hash": digest}
        for kind, entry in _index.KINDS.items():
            connection.execute(f"DELETE FROM {entry.table}")
            for record_id, found in records.items():
                if found["kind"] != kind:
                    continue
                row = verify.schema.project(
                    kind,
                    found["content"],
                    entry_id=found["entry_id"],
                    content_hash=found["content_hash"],
                    created_seq=found["created_seq"],
                    updated_seq=found["updated_seq"],
                    entry_count=tasks.get(record_id, 0),
                )
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {entry.table} ({names}) VALUES ({marks})", list(row.values()))
                for name in verify.schema.counted(kind, row):
                    counters[name] = counters.get(name, 0) + 1
        connection.execute("DELETE FROM counters")
        connection.executemany("INSERT INTO counters VALUES (?, ?)", counters.items())
    finally:
        connection.close()


def test_a_plane_made_anew_from_a_forged_ledger_shows_only_against_a_receipt(copy):
    receipt = json.loads(copy.head or "")
    copy.change("UPDATE ledger SET content = replace(content, 'größer', 'kleiner') WHERE seq = 7", seal=True)
    rebuild_tables(copy)
    assert copy.found()["fault"] == "receipt"
    copy.head = None
    assert copy.found([(receipt["seq"], receipt["chain_hash"])])["seq"] == receipt["seq"]
    copy.passes()


def test_a_receipt_of_any_entry_is_checked(copy):
    chain = copy.rows("SELECT chain_hash FROM ledger WHERE seq = 7")[0][0]
    assert copy.kaizen([(7, chain), (0, ledger.START)]) is None and copy.other([(7, chain), (0, ledger.START)]) is None
    where = copy.found([(7, chain), (8, chain)])
    assert (where["fault"], where["seq"], where["expected"]) == ("receipt", 8, chain)
    assert copy.found([(0, chain)])["fault"] == "receipt"
    assert copy.found([(10**9, chain)])["fault"] == "tail_cut"


def test_a_head_that_lags_is_allowed_and_one_that_differs_is_not(copy):
    chain = copy.rows("SELECT chain_hash FROM ledger WHERE seq = 7")[0][0]
    copy.head = json.dumps({"seq": 7, "chain_hash": chain})
    copy.passes()
    copy.head = json.dumps({"seq": 8, "chain_hash": chain})
    assert copy.found()["source"] == "ledger.head"


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", "7", '{"seq": "7", "chain_hash": 1}', '{"seq": -1, "chain_hash": "00"}', "[" * 9999, "\ufffd"]
)
def test_a_head_that_cannot_be_read_is_a_fault(copy, text):
    copy.head = text
    assert copy.found() == {"fault": "head"}


# --- purges ---------------------------------------------------------------------------------------


def test_content_that_is_gone_without_a_purge_is_found(copy):
    copy.change("UPDATE ledger SET content = NULL WHERE seq = 7")
    where = copy.found()
    assert where["fault"] == "content_missing" and where["seq"] == 7


def test_content_that_a_purge_left_is_found(copy):
    record_id = copy.rows("SELECT record_id FROM ledger WHERE action = 'purge'")[0][0]
    first = copy.rows("SELECT min(seq) FROM ledger WHERE record_id = ?", record_id)[0][0]
    entry = dict(
        zip(ledger.COLUMNS, copy.rows(f"SELECT {', '.join(ledger.COLUMNS)} FROM ledger WHERE seq = ?", first)[0], strict=True)
    )
    record = {"id": record_id, "created_at": entry["time"], "updated_at": entry["time"]}
    content = standalone.canonical({"record": record, "salt": "0" * 32})
    copy.change(("UPDATE ledger SET content = ? WHERE seq = ?", (content, first)), seal=True)
    copy.head = None
    where = copy.found()
    assert where["fault"] == "content_left" and where["seq"] == first


def test_a_purge_without_its_content_is_found(copy):
    copy.change("UPDATE ledger SET content = NULL WHERE action = 'purge'")
    assert copy.found()["fault"] == "content_missing"


def test_a_row_that_came_back_after_its_purge_is_found(copy):
    record_id = copy.rows("SELECT record_id FROM ledger WHERE action = 'purge'")[0][0]
    copy.change(("UPDATE gotcha SET id = ? WHERE rowid = (SELECT max(rowid) FROM gotcha)", (record_id,)))
    assert copy.found() == {"fault": "row_extra", "table": "gotcha", "id": record_id}


# --- content of a wrong shape, its hashes made anew -----------------------------------------------

CONTENTS = {
    "malformed": lambda text: text[:-1],
    "empty": lambda text: "",
    "no object": lambda text: "[]",
    "no record": lambda text: '{"salt":"' + "0" * 32 + '"}',
    "a list for a record": lambda text: '{"record":[],"salt":"' + "0" * 32 + '"}',
    "no salt": lambda text: text.replace('"salt"', '"reply"'),
    "a salt that is none": lambda text: text[:-4] + 'zz"}',
    "more than there may be": lambda text: '{"more":1,' + text[1:],
    "white space": lambda text: text.replace('","', '", "', 1),
    "another order": lambda text: (
        '{"salt":"' + "0" * 32 + '","record":' + text.split('"record":', 1)[1].split(',"salt"', 1)[0] + "}"
    ),
    "a key twice": lambda text: text.replace('"title":', '"title":"x","title":', 1),
    "NaN": lambda text: text.replace('"is_test":0', '"is_test":NaN'),
    "a number in another notation": lambda text: text.replace('"is_test":0', '"is_test":0.0'),
    "a truth value": lambda text: text.replace('"is_test":0', '"is_test":false'),
    "an object in the record": lambda text: text.replace('"is_test":0', '"is_test":{}'),
    "an escape that none needs": lambda text: text.replace("ö", "\\u00f6", 1),
    "half a surrogate pair": lambda text: text.replace("ö", "\\ud800", 1),
    "a deep nest": lambda text: "[" * 100_000,
    "a number without end": lambda text: text.replace('"is_test":0', '"is_test":' + "9" * 5000),
    "another record's id": lambda text: text.replace('"id":"', '"id":"x', 1),
    "no time": lambda text: text.replace('"created_at":"2', '"created_at":"x2', 1),
    "no status": lambda text: text.replace('"status":', '"stratus":', 1),
    "a field more": lambda text: text.replace('"title":', '"tit":1,"title":', 1),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content_of_a_wrong_shape_is_found(copy, name):
    newest = "SELECT l.seq, l.content FROM gotcha g JOIN ledger l ON l.seq = g.updated_seq WHERE g.is_test = 0 AND g.title LIKE 'title%'"
    seq, text = copy.rows(newest)[0]
    other = CONTENTS[name](text)
    assert other != text
    copy.change(("UPDATE ledger SET content = ? WHERE seq = ?", (other, seq)), seal=True)
    copy.head = None
    assert copy.found()["fault"] in ("content", "time", "column", "schema")


@pytest.mark.parametrize("column", ["time", "kind", "record_id", "kind_version", "task_id", "writer_role"])
def test_text_that_is_no_utf8_is_a_fault_and_no_traceback(copy, column):
    copy.change(f"UPDATE ledger SET {column} = CAST(x'ff' AS TEXT) WHERE seq = 7")
    assert copy.found()["seq"] == 7
    copy.restore()
    copy.change("UPDATE gotcha SET title = CAST(x'c328' AS TEXT)")
    assert copy.found()["column"] == "title"


def test_a_time_of_another_form_is_found(copy):
    copy.change("UPDATE ledger SET time = '2026-01-01 00:00:00' WHERE seq = 7", seal=True)
    copy.head = None
    assert copy.found()["fault"] == "time" and copy.found()["seq"] == 7


def test_an_unknown_kind_is_found(copy):
    copy.change("UPDATE ledger SET kind = 'rumour' WHERE kind = 'note'", "DELETE FROM notes", seal=True)
    copy.head = None
    copy.found()


def test_a_second_plane_record_is_found(copy):
    copy.change("UPDATE ledger SET kind = 'plane' WHERE kind = 'note'", "DELETE FROM notes", seal=True)
    copy.head = None
    assert copy.found()["fault"] == "genesis"


def test_entries_of_older_versions_pass_and_what_they_do_not_say_is_empty(copy):
    seq, record_id, text = copy.rows("SELECT seq, record_id, content FROM ledger WHERE kind = 'note' ORDER BY seq DESC LIMIT 1")[
        0
    ]
    content = json.loads(text)
    del content["record"]["title"]
    change = ("UPDATE ledger SET content = ?, kind_version = 0 WHERE seq = ?", (standalone.canonical(content), seq))
    copy.change(change, ("UPDATE notes SET title = NULL WHERE id = ?", (record_id,)), seal=True)
    copy.head = None
    copy.passes()
    copy.change(("UPDATE notes SET title = '' WHERE id = ?", (record_id,)))
    assert copy.found()["column"] == "title"


# --- the schema and the file ----------------------------------------------------------------------

FOREIGN = {
    "a trigger": "CREATE TRIGGER sly AFTER INSERT ON tasks BEGIN DELETE FROM counters; END",
    "a view": "CREATE VIEW sly AS SELECT * FROM tasks",
    "a table": "CREATE TABLE sly (a)",
    "statistics": "ANALYZE",
    "another application": "PRAGMA application_id = 1",
    "another version": "PRAGMA user_version = 99",
    "a ledger without entries": "DELETE FROM ledger",
}
# What the document leaves to V1, which knows the definitions.
DEFINITIONS = {
    "an index more": "CREATE INDEX sly ON tasks (title)",
    "an index less": "DROP INDEX tasks_open",
    "a column more": "ALTER TABLE tasks ADD COLUMN sly TEXT",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_a_planes_is_found(copy, name):
    copy.change(FOREIGN[name])
    copy.found()


@pytest.mark.parametrize("name", DEFINITIONS)
def test_another_definition_is_found(copy, name):
    copy.change(DEFINITIONS[name])
    fault = copy.kaizen()
    assert fault is not None and fault.where["fault"] == "schema"


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_table_is_found(copy, table):
    copy.change(f"DROP TABLE {table}")
    assert copy.found()["table"] == table


@pytest.mark.parametrize("table", TABLES)
def test_a_view_in_place_of_a_table_is_found(copy, table):
    copy.change(f"ALTER TABLE {table} RENAME TO moved", f"CREATE VIEW {table} AS SELECT * FROM moved")
    copy.found()


@pytest.mark.parametrize("table", TABLES)
def test_a_renamed_column_is_found(copy, table):
    for (column,) in copy.rows(f"SELECT name FROM pragma_table_info('{table}')")[::5]:
        copy.change(f'ALTER TABLE {table} RENAME COLUMN "{column}" TO sly')
        assert copy.found()["table"] == table
        copy.restore()


def redefine(copy: Copy, name: str, old: str, new: str) -> None:
    """Write a definition anew behind SQLite's back, as it cannot be altered."""
    sql = copy.rows("SELECT sql FROM sqlite_master WHERE name = ?", name)[0][0]
    assert old in sql
    write = "UPDATE sqlite_master SET sql = ? WHERE name = ?"
    copy.change("PRAGMA writable_schema = 1", (write, (sql.replace(old, new), name)))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("counters", "TEXT PRIMARY KEY", "TEXT COLLATE NOCASE PRIMARY KEY"),
        ("ledger", "task_id TEXT", "task_id TEXT DEFAULT 'x'"),
        ("ledger", "task_id TEXT", "task_id TEXT CHECK (seq > 0)"),
        ("ledger", "task_id TEXT", "task_id INTEGER"),
        ("ledger", "op TEXT NOT NULL", "op TEXT"),
        ("ledger_entry_id", "UNIQUE ", ""),
        ("ledger_task_id", "task_id IS NOT NULL", "task_id IS NULL"),
        ("ledger_record_id", "seq)", "seq DESC)"),
        ("tasks", "garbage", "garbage"),
    ],
)
def test_a_definition_changed_behind_the_engines_back_is_found(copy, name, old, new):
    if old == "garbage":
        copy.change("PRAGMA writable_schema = 1", "UPDATE sqlite_master SET sql = 'garbage' WHERE name = 'tasks'")
    else:
        redefine(copy, name, old, new)
    fault = copy.kaizen()
    assert fault is not None and fault.where["fault"] in ("schema", "file")
    copy.other()


def test_an_index_that_leads_astray_is_found(copy):
    copy.change(
        "CREATE TABLE spare (created_seq INTEGER, is_open INTEGER)",
        "CREATE INDEX spare_open ON spare (is_open, created_seq)",
        "PRAGMA writable_schema = 1",
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'spare_open') WHERE name = 'tasks_open'",
        "DELETE FROM sqlite_master WHERE name LIKE 'spare%'",
    )
    assert copy.found()["fault"] == "file"


@pytest.mark.parametrize("damage", ["cut in half", "first page only", "a page of zeros", "no database", "empty"])
def test_a_damaged_file_is_a_fault(copy, damage):
    data = copy.bytes
    changed = {
        "cut in half": data[: len(data) // 2],
        "first page only": data[:4096],
        "a page of zeros": data[: 4096 * 5] + bytes(4096) + data[4096 * 6 :],
        "no database": b"no database" * 1000,
        "empty": b"",
    }
    copy.path.write_bytes(changed[damage])
    copy.found()


def test_random_damage_never_ends_in_a_traceback(copy):
    random.seed(7)
    for _ in range(60):
        data = bytearray(copy.bytes)
        for _ in range(random.choice((1, 4, 40))):
            data[random.randrange(100, len(data))] = random.randrange(256)
        copy.restore()
        copy.path.write_bytes(bytes(data))
        copy.kaizen()
        copy.other()


# --- the operation --------------------------------------------------------------------------------


@pytest.fixture
def planted(sound: Path, plane: Path) -> Path:
    """The sound plane in this test's own project."""
    shutil.copytree(sound.parent, plane / "AI" / "db")
    return plane / "AI" / "db" / "kaizen.db"


def damage(database: Path, *statements: str) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_v1_answers_with_counts_and_a_receipt(kz, planted):
    head = json.loads(planted.with_name("ledger.head").read_text())
    reply = kz.ok("V1")
    assert (reply["seq"], reply["chain_hash"]) == (head["seq"], head["chain_hash"])
    assert reply["checked"]["entries"] == head["seq"] and reply["checked"]["erased"] == 2
    assert reply["checked"]["records"] and reply["checked"]["counters"] and "warnings" not in reply


def test_v1_passes_after_each_of_a_sessions_writes(kz):
    kz.ok("W1", title="Fix login", summary="Users cannot log in.", criterion=["A user can log in."])
    task = kz.ok("W1", title="Fix logout", summary="Users cannot log out.", key="k")
    kz.ok("V1")
    kz.ok("W2", id=task["id"], status="done", key="k2")
    reply = kz.ok("V1", expect=[f"{task['seq']}:{task['chain_hash']}", f"1:{kz.ok('V1')['chain_hash']}"][:1])
    assert reply["checked"]["receipts"] == 1


def test_a_finding_is_an_answer_with_exit_code_1(kz, planted):
    damage(planted, "UPDATE tasks SET title = 'x'")
    reply = kz("V1")
    assert reply.code == 1 and reply["status"] == "FAILED" and reply.stderr == ""
    assert reply["finding"]["fault"] == "column" and reply["finding"]["table"] == "tasks"
    assert reply["finding"]["expected"] != reply["finding"]["actual"]
    assert "seq" not in reply and reply["checked"]["entries"]


def test_a_finding_is_told_to_people(kz, planted):
    damage(planted, "UPDATE tasks SET title = 'x'")
    reply = kz("V1", _text=True)
    assert reply.code == 1 and "FAILED" in reply.stdout and "title" in reply.stdout


def test_v1_expects_what_was_kept_elsewhere(kz, planted):
    chain = kz.ok("V1")["chain_hash"]
    reply = kz("V1", expect=[f"1:{chain}"])
    assert reply.code == 1 and reply["finding"]["source"] == "--expect" and reply["finding"]["seq"] == 1


@pytest.mark.parametrize("receipt", ["1", "1:abc", "x:" + "0" * 64, "-1:" + "0" * 64, "1:" + "G" * 64])
def test_a_receipt_of_a_wrong_form_is_refused(kz, planted, receipt):
    kz.denied("DENIED_SCHEMA_FIELD_TYPE", "V1", _args=[f"--expect={receipt}"])


def test_a_lost_head_is_warned_of(kz, planted):
    planted.with_name("ledger.head").unlink()
    assert "ledger.head" in kz.ok("V1")["warnings"][0]


def test_v1_makes_no_plane(kz, plane):
    kz.denied("DENIED_PLANE_NOT_FOUND", "V1")
    assert list(plane.iterdir()) == []


def test_a_lost_plane_is_refused(kz, planted):
    planted.unlink()
    kz.denied("DENIED_PLANE_DAMAGED", "V1")


def test_a_foreign_file_is_refused(kz, plane):
    (plane / "AI" / "db").mkdir(parents=True)
    damage(plane / "AI" / "db" / "kaizen.db", "CREATE TABLE other (a)")
    kz.denied("DENIED_PLANE_FOREIGN", "V1")


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE g (a, b AS (a + 1))", "DROP TABLE ledger", "ALTER TABLE tasks RENAME TO other"]
)
def test_a_plane_that_the_engine_cannot_read_is_a_finding(kz, planted, statement):
    damage(planted, statement)
    assert kz("V1")["status"] == "FAILED"


def test_the_lock_is_free_while_v1_computes(planted, plane):
    store = Store(paths.Plane(plane, plane, "test"))
    store.call = Call(op="V1")
    with verify.copied(store) as (copy, head):
        with PlaneLock(store.plane.lock, "W1", seconds=0):
            pass
        verify.Verifier(copy).run(head)
    assert list(store.plane.temporary.iterdir()) == []


def test_what_a_killed_writer_left_in_the_journal_is_verified_too(planted, plane):
    connection = sqlite3.connect(planted, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("UPDATE tasks SET title = 'x'")
    store = Store(paths.Plane(plane, plane, "test"))
    try:
        assert planted.with_name("kaizen.db-wal").stat().st_size
        with verify.copied(store) as (copy, head), pytest.raises(verify.Fault):
            verify.Verifier(copy).run(head)
    finally:
        connection.close()


def test_files_of_the_plane_are_hashed_on_request(kz, plane):
    kz.ok("W1", title="a", summary="b")
    folder = plane / "AI" / "db" / "blobs"
    folder.mkdir()
    (folder / "one").write_text("kept")
    (plane / "mine.txt").write_text("mine")
    kz.ok("A1", path="AI/db/blobs/one")
    kz.ok("A1", path="mine.txt")
    (plane / "mine.txt").write_text("changed by me, which is my right")
    assert kz.ok("V1", files=True)["checked"]["files"] == 1
    (folder / "one").write_text("changed")
    reply = kz("V1", files=True)
    assert reply["finding"]["fault"] == "file_changed" and reply["finding"]["path"] == "AI/db/blobs/one"
    (folder / "one").unlink()
    assert kz("V1", files=True)["finding"]["fault"] == "file_missing"
    kz.ok("V1")


def test_a_plane_of_another_schema_is_compared_with_its_ledger_alone(copy, monkeypatch):
    monkeypatch.setattr(_index, "MANIFEST_HASH", "0" * 64)
    copy.change("CREATE INDEX newer ON tasks (title)")
    verifier = verify.Verifier(copy.path)
    verifier.run(copy.head)
    assert "schema" in verifier.warnings[0]


def test_verifying_a_missing_plane_raises_the_same_from_python(plane):
    with pytest.raises(denial.PlaneNotFound):
        verify.refuse_no_plane(paths.Plane(plane, plane, "test"))
