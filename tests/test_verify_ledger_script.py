"""The standalone verifier: written from docs/LEDGER.md alone, and still in agreement with it and with the code."""

from __future__ import annotations

import ast
import importlib
import json
import math
import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from planes import populate

from kaizen_components import hashing
from kaizen_components.ops import _index
from kaizen_components.record import BLOCKING, CLOSED
from kaizen_components.store import connection, ledger, schema

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "support_scripts" / "verify_ledger.py"
DOCUMENT = (ROOT / "docs" / "LEDGER.md").read_text(encoding="utf-8")
standalone = importlib.import_module("support_scripts.verify_ledger")
NUMBERS, ENTRIES = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.S))


# --- the document's vectors -----------------------------------------------------------------------


@pytest.mark.parametrize("read", NUMBERS)
def test_numbers_are_written_as_the_document_says(read):
    assert standalone.canonical(standalone.parsed(read)) == NUMBERS[read]
    as_float_where_it_must = float(read) if abs(float(read)) >= 2**53 else json.loads(read)
    assert hashing.canonical(as_float_where_it_must) == NUMBERS[read]


@pytest.mark.parametrize("vector", ENTRIES, ids=lambda vector: vector["entry"]["action"])
def test_both_implementations_give_the_documents_hashes(vector):
    entry, previous = vector["entry"], vector["previous"]
    content = json.loads(entry["content"])
    assert ledger.seal(content) == (entry["content"], entry["content_hash"])
    assert standalone.canonical(standalone.parsed(entry["content"])) == entry["content"]
    assert standalone.sha256(entry["content"].encode()) == entry["content_hash"]
    sealed = {name: entry[name] for name in ledger.SEALED}
    assert standalone.canonical(sealed) == hashing.canonical(sealed) == vector["leaf"]
    assert standalone.leaf_hash(entry) == ledger.leaf_hash(entry) == entry["leaf_hash"]
    assert standalone.chain_hash(previous, entry["leaf_hash"]) == entry["chain_hash"]
    assert ledger.chain_hash(previous, entry["leaf_hash"]) == entry["chain_hash"]


def test_the_vectors_are_a_chain():
    assert ENTRIES[0]["previous"] == ledger.START == standalone.START
    assert [vector["previous"] for vector in ENTRIES[1:]] == [vector["entry"]["chain_hash"] for vector in ENTRIES[:-1]]


def test_the_documents_request_hash_is_that_of_its_request():
    entry = next(vector["entry"] for vector in ENTRIES if vector["entry"]["request_hash"])
    salt = json.loads(entry["content"])["salt"]
    request = {"id": entry["record_id"], "status": "done"}
    assert ledger.request_hash(entry["op"], request, salt) == entry["request_hash"]


def test_the_document_names_every_column_of_an_entry():
    named = re.findall(r"^\| (`.*?`) \|", DOCUMENT.split("## An entry")[1].split("All hashes")[0], re.M)
    assert [name for cell in named for name in re.findall(r"`(\w+)`", cell)] == list(ledger.COLUMNS)


# --- what it knows of the code --------------------------------------------------------------------


def test_its_constants_are_those_of_the_code():
    assert {kind: entry.table for kind, entry in _index.KINDS.items()} == standalone.KINDS
    assert set(standalone.CLOSED) == CLOSED
    assert set(standalone.BLOCKING) == BLOCKING
    assert standalone.APPLICATION_ID == connection.APPLICATION_ID
    assert tuple(standalone.COLUMNS) == ledger.COLUMNS
    assert set(standalone.COLUMNS) - standalone.OUTSIDE_LEAF == set(ledger.SEALED)
    extra = {"task": {"entry_count"}, "verification": {"is_blocking"}}
    for kind in _index.KINDS:
        hashes = {"record_hash" if kind == "source_lock" else "content_hash"}
        assert set(schema.derived_columns(kind)) == standalone.DERIVED | hashes | extra.get(kind, set())


def test_it_imports_the_standard_library_alone():
    imported: set[str] = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names


def test_random_doubles_are_written_as_the_library_writes_them():
    random.seed(11)
    values = [struct.unpack("<d", random.randbytes(8))[0] for _ in range(3000)]
    values += [round(random.uniform(-1e6, 1e6), places) for places in range(12) for _ in range(50)]
    values += [sign * 10.0**power for power in range(-30, 30) for sign in (1, -1)]
    for value in values:
        if math.isfinite(value):
            assert standalone.canonical(value) == hashing.canonical(value), repr(value)


@pytest.mark.parametrize(
    "value", [{"\U0001f600": 1, "\ufb33": 2, "ö": 3, "a": 4}, ['\x00\x1f\x7f\u2028"\\/'], {}, [], "", [True, None]]
)
def test_texts_and_keys_are_written_as_the_library_writes_them(value):
    assert standalone.canonical(value) == hashing.canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, b"x"])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(ValueError):
        standalone.canonical(value)


# --- as a program ---------------------------------------------------------------------------------


@pytest.fixture
def populated(plane: Path) -> Path:
    populate(plane)
    return plane


def run(script: Path, *arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_alone_in_another_folder_it_verifies_a_plane(populated, tmp_path):
    script = tmp_path / "elsewhere" / "verify_ledger.py"
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)
    head = json.loads((populated / "AI" / "db" / "ledger.head").read_text())
    answer = run(script, populated, "--expect", f"{head['seq']}:{head['chain_hash']}", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"receipt {head['seq']}:{head['chain_hash']}" in answer.stdout


def test_a_fault_is_printed_and_exits_1(populated):
    database = populated / "AI" / "db" / "kaizen.db"
    with sqlite3.connect(database) as change:
        change.execute("UPDATE tasks SET title = 'x'")
    change.close()
    answer = run(SCRIPT, populated)
    assert answer.returncode == 1 and answer.stdout.startswith("FAILED: tasks: title of t_") and answer.stderr == ""


def test_it_changes_no_file(populated):
    folder = populated / "AI" / "db"
    writer = sqlite3.connect(folder / "kaizen.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    for change in ("title || 'x'", "rtrim(title, 'x')"):
        writer.execute(f"UPDATE tasks SET title = {change}")
    try:
        before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        assert before["kaizen.db-wal"]
        assert standalone.main([str(populated)]) == 0
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    finally:
        writer.close()


def test_it_takes_a_project_a_folder_or_a_file(populated, tmp_path, capsys):
    folder = populated / "AI" / "db"
    for path in (populated, folder, folder / "kaizen.db"):
        assert standalone.main([str(path)]) == 0
        assert "--expect" not in capsys.readouterr().out
    alone = tmp_path / "backup.db"
    shutil.copy(folder / "kaizen.db", alone)
    assert standalone.main([str(alone)]) == 0
    assert "cannot be seen" in capsys.readouterr().out


def test_a_cut_tail_is_found_by_the_head_beside_it(populated, capsys):
    (populated / "AI" / "db" / "ledger.head").write_text(json.dumps({"seq": 10**6, "chain_hash": "0" * 64}))
    assert standalone.main([str(populated)]) == 1
    assert "tail was cut" in capsys.readouterr().out


def test_nothing_to_verify_is_a_fault(tmp_path, capsys):
    assert standalone.main([str(tmp_path)]) == 1
    assert "no database" in capsys.readouterr().out


@pytest.mark.parametrize("receipt", ["1", "1:abc", "x:" + "0" * 64])
def test_a_receipt_of_a_wrong_form_is_refused(populated, receipt, capsys):
    with pytest.raises(SystemExit) as refused:
        standalone.main([str(populated), "--expect", receipt])
    assert refused.value.code == 2 and "SEQ:HASH" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="the lock of Windows is another")
def test_it_waits_for_the_planes_lock(populated, monkeypatch, capsys):
    import fcntl

    monkeypatch.setattr(standalone, "LOCK_SECONDS", 0)
    with (populated / "AI" / "db" / "kaizen.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert standalone.main([str(populated)]) == 1
        assert "locked" in capsys.readouterr().out
    assert standalone.main([str(populated)]) == 0
