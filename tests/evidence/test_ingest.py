"""Ingest: files, pages and folders become records once, with their sources locked, and follow them when they change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pages
import pytest

DOCUMENTS = Path(__file__).resolve().parent.parent / "data" / "documents"
KEY = "AKIA" + "ABCDEFGHIJKLMNOP"


def rows(kz, kind: str, document_id: str) -> list[dict]:
    from kaizen_components import paths
    from kaizen_components.store import Store

    store = Store(paths.find())
    try:
        return store.list(kind, {"document_id": document_id}, order="created_seq")
    finally:
        store.close()


def head(kz) -> int:
    return kz.ok("K22", limit=1)["head"]["seq"]


@pytest.fixture
def guide(plane):
    path = plane / "guide.md"
    path.write_bytes((DOCUMENTS / "guide.md").read_bytes())
    return path


# --- E1 -------------------------------------------------------------------------------------------


def test_a_file_becomes_a_source_lock_a_document_and_its_blocks(kz, guide):
    kz.ok("K1")
    reply = kz.ok("E1", path="guide.md", license="CC0", version_or_commit="v1")
    document = kz.ok("K18", id=reply["id"])["record"]
    lock = kz.ok("S3", id=reply["source_lock_id"])["record"]
    assert reply["origin_ref"] == "guide.md" == lock["url_or_repository"] and reply["extraction_confidence"] == 1.0
    assert lock["content_hash"] == reply["sha256"] == kz.ok("A2", path="guide.md")["sha256"]
    assert (lock["source_id"], lock["authority_tier"], lock["license"], lock["version_or_commit"]) == (
        "guide.md",
        "implementation",
        "CC0",
        "v1",
    )
    assert lock["retrieved_at"] and lock["summary"] == document["summary"] == document["title"] == "Boiler"
    blocks = rows(kz, "evidence_block", reply["id"])
    assert len(blocks) == reply["block_count"] == document["block_count"]
    assert "".join(block["text"] + block["tail"] for block in blocks) == guide.read_text(encoding="utf-8")
    assert kz.ok("V1")["status"] == "OK"


def test_the_same_bytes_are_there_already(kz, guide):
    first = kz.ok("E1", path="guide.md")
    before = head(kz)
    again = kz.ok("E1", path=str(guide))
    assert again["already"] is True and again["id"] == first["id"] and again["sha256"] == first["sha256"]
    assert head(kz) == before


def test_other_bytes_supersede_the_document_and_its_chunks(kz, guide):
    first = kz.ok("E1", path="guide.md", chunker="recursive")
    guide.write_text("# Boiler\n\nIt is new.\n", encoding="utf-8")
    second = kz.ok("E1", path="guide.md", chunker="recursive")
    assert second["supersedes"] == [first["id"]]
    assert kz.ok("K18", id=first["id"])["record"]["status"] == "superseded"
    assert {chunk["status"] for chunk in rows(kz, "evidence_chunk", first["id"])} == {"superseded"}
    assert {chunk["status"] for chunk in rows(kz, "evidence_chunk", second["id"])} == {"active"}
    assert kz.ok("S3", id=second["source_lock_id"])["record"]["supersedes"] == first["source_lock_id"]
    assert kz.ok("V1")["status"] == "OK"


def test_bytes_that_come_back_are_a_document_again(kz, guide):
    old = guide.read_bytes()
    first = kz.ok("E1", path="guide.md")
    guide.write_text("other", encoding="utf-8")
    kz.ok("E1", path="guide.md")
    guide.write_bytes(old)
    third = kz.ok("E1", path="guide.md")
    assert "already" not in third and third["id"] != first["id"]


def test_chunks_can_be_made_at_once_or_later(kz, guide):
    first = kz.ok("E1", path="guide.md")
    assert "chunk_count" not in first
    second = kz.ok("E1", path="guide.md", chunker="recursive")
    assert (
        second["id"] == first["id"]
        and second["already"] is True
        and second["chunk_count"] == len(rows(kz, "evidence_chunk", first["id"])) > 0
    )
    before = head(kz)
    assert kz.ok("E1", path="guide.md", chunker="recursive")["already"] is True and head(kz) == before


def test_a_secret_in_a_file_is_nowhere_in_the_plane(kz, plane):
    (plane / "notes.md").write_text(f"# The key {KEY}\n\nIt is {KEY}.\n", encoding="utf-8")
    reply = kz.ok("E1", path="notes.md", chunker="recursive")
    assert reply["masked"] == 2
    spans = json.loads(kz.ok("K18", id=reply["id"])["record"]["masked_json"])
    text = (plane / "notes.md").read_text(encoding="utf-8")
    assert [text[span["start"] : span["end"]] for span in spans] == [KEY, KEY]
    held = b"".join(path.read_bytes() for path in (plane / "AI" / "db").iterdir() if path.is_file())
    assert KEY.encode() not in held


@pytest.mark.parametrize(
    "first", ["A. B. C. D", "x " * 300, "e.g. one. Two! Three? Four.", "Wörter\n" * 90, "1. a. 2. b. 3. C. D."]
)
def test_a_summary_that_nobody_wrote_keeps_the_rules(kz, plane, first):
    (plane / "x.txt").write_text(first, encoding="utf-8")
    reply = kz.ok("E1", path="x.txt")
    summary = kz.ok("K18", id=reply["id"])["record"]["summary"]
    assert summary and kz.ok("E9", id=reply["id"], summary=summary)


def test_files_that_are_not_read(kz, plane, tmp_path):
    kz.ok("K1")
    (plane / "binary.txt").write_bytes(b"\x89PNG\0\0")
    (plane / "x.png").write_bytes(b"\x89PNG\0\0")
    outside = tmp_path / "outside.txt"
    outside.write_text("outside", encoding="utf-8")
    kz.denied("DENIED_PATH_REQUIRED", "E1")
    assert kz.denied("DENIED_FILE_NOT_FOUND", "E1", path="no.txt")["exit_code"] == 1
    kz.denied("DENIED_FILE_NOT_FOUND", "E1", path=".")
    kz.denied("DENIED_UNSUPPORTED_MEDIA", "E1", path="x.png")
    kz.denied("DENIED_UNSUPPORTED_MEDIA", "E1", path="binary.txt")
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "E1", path=str(outside))
    kz.denied("DENIED_PATH_LIVE", "E1", path="AI/db/kaizen.db")
    assert head(kz) == 1


def test_two_files_outside_of_one_name_stand_side_by_side(kz, tmp_path):
    kz.ok("K1")
    replies = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(f"text {name}", encoding="utf-8")
        replies.append(kz.ok("E1", path=str(tmp_path / name / "x.txt"), allow_external=True))
    assert replies[0]["origin_ref"] == replies[1]["origin_ref"] == "external:x.txt" and "supersedes" not in replies[1]
    assert kz.ok("K18", id=replies[0]["id"])["record"]["status"] == "active"


def test_a_link_that_leads_nowhere_is_refused_before_the_file_is_read(kz, guide):
    kz.ok("K1")
    kz.denied("DENIED_REFERENCE_NOT_FOUND", "E1", path="guide.md", task_id="t_20260101000000_0000000000")
    assert head(kz) == 1


def test_with_a_key_a_call_can_be_repeated(kz, guide):
    first = kz.ok("E1", path="guide.md", key="k1")
    guide.write_text("changed", encoding="utf-8")
    again = kz.ok("E1", path="guide.md", key="k1")
    assert again["replayed"] is True and again["id"] == first["id"] and again["seq"] == first["seq"]
    kz.denied("DENIED_KEY_CONFLICT", "E1", path="guide.md", key="k1", license="MIT")


def test_without_its_package_it_says_what_to_install(kz, plane, without):
    (plane / "manual.pdf").write_bytes((DOCUMENTS / "manual.pdf").read_bytes())
    without("pypdf")
    reply = kz.denied("DENIED_BACKEND_UNAVAILABLE", "E1", path="manual.pdf")
    assert reply["required_action"] == "python -m pip install -r requirements-evidence.txt" and reply["package"] == "pypdf"


# --- E2 -------------------------------------------------------------------------------------------


def test_a_page_becomes_a_document(kz):
    kz.ok("K1")
    reply = kz.ok("E2", url=pages.url("/guide.html#x"), allow_private=True, chunker="recursive")
    assert reply["origin_ref"] == pages.url("/guide.html") and reply["title"] == "Guide" and reply["chunk_count"] == 1
    lock = kz.ok("S3", id=reply["source_lock_id"])["record"]
    assert lock["source_id"] == f"127.0.0.1:{pages.port()}/guide.html" and lock["authority_tier"] == "official_docs"
    assert [block["text"] for block in rows(kz, "evidence_block", reply["id"])] == ["Guide", "How users log in & out."]
    assert kz.ok("E2", url=pages.url("/guide.html"), allow_private=True)["already"] is True


def test_a_page_that_changed_supersedes_what_it_was(kz, monkeypatch):
    monkeypatch.setitem(pages.ROUTES, "/x", lambda handler: handler.answer(b"# one\n", "text/markdown"))
    first = kz.ok("E2", url=pages.url("/x"), allow_private=True)
    monkeypatch.setitem(pages.ROUTES, "/x", lambda handler: handler.answer(b"# two\n", "text/markdown"))
    assert kz.ok("E2", url=pages.url("/x"), allow_private=True)["supersedes"] == [first["id"]]


def test_pages_that_are_not_fetched(kz):
    kz.ok("K1")
    kz.denied("DENIED_ADDRESS_REFUSED", "E2", url=pages.url("/guide.html"))
    assert kz.denied("DENIED_FETCH_FAILED", "E2", url=pages.url("/no"), allow_private=True)["http_status"] == 404
    kz.denied("DENIED_SCHEMA_RANGE", "E2", url=pages.url("/no"), timeout=0)
    assert head(kz) == 1


# --- E6 -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(plane):
    """A folder with files that are read, files that are not, and files that cannot be."""
    for path in DOCUMENTS.iterdir():
        if path.suffix in (".md", ".txt", ".py", ".csv"):
            (plane / "docs" / path.name).parent.mkdir(exist_ok=True)
            (plane / "docs" / path.name).write_bytes(path.read_bytes())
    for name in (".git/config.txt", "node_modules/x.md", ".hidden.md", "sub/deep.md", "x.png"):
        path = plane / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}", encoding="utf-8")
    (plane / "docs" / "broken.txt").write_bytes(b"\xff\xfe\xff")
    (plane / "docs" / "empty.py").write_text("", encoding="utf-8")
    (plane / "outside.md").write_text("outside", encoding="utf-8")
    (plane / "docs" / "link.md").symlink_to(plane / "outside.md")
    return plane / "docs"


def test_a_folder_is_read_and_one_bad_file_stops_nothing(kz, folder):
    kz.ok("K1")
    reply = kz.ok("E6", path="docs", chunker="recursive")
    assert (reply["files"], reply["ingested"], reply["already"], reply["empty"]) == (7, 5, 0, 1)
    assert [(entry["path"], entry["code"]) for entry in reply["refused"]] == [("docs/broken.txt", "DENIED_FILE_NOT_UTF8")]
    assert reply["refused_count"] == 1 and "1 of 7" in reply["warnings"][0]
    listed = kz.ok("E7", limit=-1)["records"]
    assert {row["origin_ref"] for row in listed} == {
        f"docs/{name}" for name in ("guide.md", "notes.txt", "parts.csv", "valve.py", "sub/deep.md")
    }
    assert all(row["chunk_count"] for row in listed) and len(reply["documents"]) == 5


def test_a_second_run_adds_nothing(kz, folder):
    kz.ok("E6", path="docs", chunker="recursive")
    before = head(kz)
    reply = kz.ok("E6", path="docs", chunker="recursive")
    assert (reply["ingested"], reply["already"]) == (0, 5) and head(kz) == before
    (folder / "notes.txt").write_text("changed", encoding="utf-8")
    assert kz.ok("E6", path="docs", chunker="recursive")["ingested"] == 1


def test_patterns_and_limit(kz, folder):
    kz.ok("K1")
    assert kz.ok("E6", path="docs", glob=["*.md"])["files"] == 2
    assert kz.ok("E6", path="docs", glob=["sub/*.md", "*.csv"])["files"] == 2
    assert kz.ok("E6", path="docs", limit=1)["files"] == 1


def test_strict_is_a_finding(kz, folder):
    reply = kz("E6", path="docs", strict=True)
    assert reply.code == 1 and reply["status"] == "FAILED" and reply["ingested"] == 5


def test_what_git_ignores_is_passed_over(kz, plane):
    subprocess.run(["git", "init", "-q", str(plane)], check=True)
    (plane / ".gitignore").write_text("made/\n", encoding="utf-8")
    (plane / "made").mkdir()
    (plane / "made" / "x.md").write_text("made", encoding="utf-8")
    (plane / "y.md").write_text("written", encoding="utf-8")
    assert kz.ok("E6", path=".", glob=["*.md"])["files"] == 1


def test_a_folder_with_a_key_can_be_repeated(kz, folder):
    first = kz.ok("E6", path="docs", key="all")
    again = kz.ok("E6", path="docs", key="all")
    assert again["replayed"] is True and again["ingested"] == first["ingested"] == 5 and again["seq"] == first["seq"]
    kz.denied("DENIED_KEY_CONFLICT", "E6", path=".", key="all")


def test_a_folder_that_is_none(kz, guide):
    kz.denied("DENIED_FILE_NOT_FOUND", "E6", path="guide.md")
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "E6", path="..")
    kz.denied("DENIED_PATH_REQUIRED", "E6")


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_ended(kz, plane):
    kz.ok("K1")
    for number in range(300):
        (plane / f"n{number:03}.md").write_text(f"# N{number}\n\n" + "text of it. " * 200, encoding="utf-8")
    kaizen = Path(__file__).resolve().parents[2] / "kaizen.py"
    argv = [sys.executable, str(kaizen), "E6", "--path", ".", "--chunker", "recursive", "--json"]
    started = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while head(kz) < 100 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    there = kz.ok("E7", limit=-1)["count"]
    assert 0 < there < 300 and kz.ok("V1")["status"] == "OK"
    reply = kz.ok("E6", path=".", chunker="recursive")
    assert reply["already"] == there and reply["ingested"] == 300 - there
    assert kz.ok("E7", limit=-1)["count"] == 300


# --- E9 and E10 -----------------------------------------------------------------------------------


def test_what_is_said_of_a_document_can_be_revised(kz, guide):
    reply = kz.ok("E1", path="guide.md", chunker="recursive")
    kz.ok("E9", id=reply["id"], summary="How to turn the valve.")
    record = kz.ok("K18", id=reply["id"])["record"]
    assert record["summary"] == "How to turn the valve." and record["sha256"] == reply["sha256"]
    kz.denied("DENIED_USAGE", "E9", id=reply["id"], sha256="0")
    kz.denied("DENIED_REDACTION", "E9", id=reply["id"], summary=f"The key is {KEY}.")


def test_a_retired_document_is_in_no_search_and_can_come_back(kz, guide):
    reply = kz.ok("E1", path="guide.md", chunker="recursive")
    kz.ok("E10", id=reply["id"], reason="Of an older boiler.")
    record = kz.ok("K18", id=reply["id"])["record"]
    assert (record["status"], record["retired_reason"]) == ("retired", "Of an older boiler.")
    assert {chunk["status"] for chunk in rows(kz, "evidence_chunk", reply["id"])} == {"retired"}
    assert kz.ok("E10", id=reply["id"], reason="Again.")["already"] is True
    kz.ok("E9", id=reply["id"], status="active")
    assert {chunk["status"] for chunk in rows(kz, "evidence_chunk", reply["id"])} == {"active"}
    assert kz.ok("K18", id=reply["id"])["record"]["retired_reason"] is None
    assert kz.ok("V1")["status"] == "OK"


def test_a_new_version_is_cut_as_the_one_before_was(kz, plane):
    (plane / "a.md").write_text("# A\n\nOne alpha.\n", encoding="utf-8")
    kz.ok("E1", path="a.md", chunker="recursive")
    (plane / "a.md").write_text("# A\n\nTwo beta.\n", encoding="utf-8")
    assert kz.ok("E1", path="a.md")["chunk_count"] == 1 and kz.ok("E4", query="beta")["count"] == 1
    (plane / "a.md").write_text("# A\n\nThree gamma.\n", encoding="utf-8")
    assert kz.ok("E6", path=".", glob="*.md")["chunk_count"] == 1 and kz.ok("E4", query="gamma")["count"] == 1
    assert kz.ok("E4", query="alpha beta")["count"] == 0


def test_a_folder_that_git_ignores_is_read_where_it_is_named(kz, plane):
    subprocess.run(["git", "init", "--quiet"], cwd=plane, check=True)
    (plane / ".gitignore").write_text("made/\n", encoding="utf-8")
    (plane / "made").mkdir()
    (plane / "made/a.md").write_text("alpha\n", encoding="utf-8")
    (plane / "b.md").write_text("beta\n", encoding="utf-8")
    assert kz.ok("E6", path="made")["files"] == 1
    assert kz.ok("E6", path=".", glob="*.md")["files"] == 1
    reply = kz.ok("E6", path=".", glob="*.none")
    assert reply["files"] == 0 and "no file that a reader takes" in reply["warnings"][0]


def test_what_a_chunker_lacks_is_said_once_and_not_of_each_file(kz, plane, without):
    (plane / "a.md").write_text("alpha\n", encoding="utf-8")
    without("chonkie")
    reply = kz.denied("DENIED_BACKEND_UNAVAILABLE", "E6", path=".", chunker="sentence")
    assert "requirements-evidence.txt" in reply["required_action"] and kz.ok("E7")["count"] == 0


def test_a_refused_file_says_what_to_do(kz, plane, without):
    (plane / "a.pdf").write_bytes(b"%PDF-1.4\n")
    without("pypdf")
    (entry,) = kz.ok("E6", path=".", glob="*.pdf")["refused"]
    assert entry["required_action"]
