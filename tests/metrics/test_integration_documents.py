"""The pages on integration: every command works against real servers and files, every link leads somewhere, and the smoke test passes."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess

import artifact_server
import pytest
import test_docs
from conftest import ROOT
from test_docs import Reader, commands

from kaizen_components.metrics import artifact_store
from kaizen_components.ops import _index

FOLDER = ROOT / "docs" / "integrations"
PAGES = [*sorted(FOLDER.glob("*.md")), ROOT / "docs" / "INTEGRATION.md"]


@pytest.fixture
def reader(kz, plane, monkeypatch, tmp_path):
    """Somebody who types what a page says, beside an artifact store and a fleet's store."""
    monkeypatch.setattr(test_docs, "ELSEWHERE", {})
    monkeypatch.setattr(artifact_store, "wait", lambda seconds: None)
    path = tmp_path / "helix.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE digests (session_uid TEXT, digest TEXT)")
    connection.execute("""INSERT INTO digests VALUES ('claude:0123', '{"turns": 12}')""")
    connection.commit()
    connection.close()
    monkeypatch.setenv("HELIX_STORE_DB", str(path))
    made = Reader(kz, plane, monkeypatch)
    with artifact_server.running() as server:
        monkeypatch.setenv("ARTIFACTSTORE_API_URL", server.url)
        yield made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_page_works(page, reader):
    for line in commands(page):
        reader.type(line.replace("HELIX_STORE_DB=/path/to/helix.db ", ""))


@pytest.mark.parametrize("page", sorted(FOLDER.rglob("*.md")), ids=lambda page: page.name)
def test_links_operations_and_refusals_are_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for code in re.findall(r"`([A-Z]\d{1,2})(?=[ `])", text):
        assert code in _index.OPS, code
    known = (ROOT / "kaizen_components" / "denial.py").read_text(encoding="utf-8")
    for code in re.findall(r"`(DENIED_[A-Z_]+)`", text):
        assert f'"{code}"' in known, code


def test_the_smoke_test_passes_in_a_project_that_has_metrics(kz, plane, reader):
    for number in range(12):
        kz.ok("P1", agent="pilot", success=number % 3 > 0, failure=number % 3 == 0, time=10 + number, session_id=str(number))
    shutil.rmtree(plane / ".kaizen" / "metrics" / "optimizer", ignore_errors=True)
    script = (
        "kaizen-agentic metrics list\nkaizen-agentic metrics optimize\ntest -f .kaizen/metrics/optimizer/analysis.json && echo OK"
    )
    assert script in (FOLDER / "scheduler-handover.md").read_text(encoding="utf-8")
    done = subprocess.run(["sh", "-ec", script], cwd=plane, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith("OK\n"), done.stderr


@pytest.mark.slow
def test_what_the_definitions_run_works(kz, plane, reader):
    for number in range(5):
        kz.ok("P1", agent="a b", failure=True, session_id=str(number))
    kz.ok("P8", agent="a b")
    ran = 0
    for row in kz.ok("P20", since="2026-01-01", at="2027-01-01")["records"]:
        for command in row["firings"][-1]["commands"]:
            done = subprocess.run(["sh", "-ec", command], cwd=plane, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, (command, done.stderr)
            ran += 1
    assert ran == 6
