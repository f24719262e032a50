"""Citations: E5 shows whether a text still stands in its source, E8 checks all of them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent))

from passages import GUIDE, head, ingested, kept, rows

from kaizen_components.evidence import citations, readers
from kaizen_components.evidence.extract import Block, placed


@pytest.fixture
def document(kz, plane) -> str:
    kz.ok("K1")
    made = ingested(plane)
    kz.ok("E3", id=made)
    return made


def chunk(index: int = 1) -> dict:
    return rows("evidence_chunk", status="active")[index]


# --- E5 -------------------------------------------------------------------------------------------


def test_a_chunk_leads_back_to_its_source(kz, document):
    shown = kz.ok("E5", id=chunk()["id"])
    assert shown["record"] == chunk()
    assert shown["source"]["url_or_repository"] == "guide.md" and shown["source"]["sha256"]
    assert shown["document"]["origin_ref"] == "guide.md"
    assert shown["neighbors"] == {"prev": chunk(0)["id"], "next": chunk(2)["id"]}
    assert shown["embeddings"] == []
    place = {"start": chunk()["start_index"], "end": chunk()["end_index"]}
    assert shown["citation"] == {"state": "stands", **place, "source": "same"}


def test_a_text_before_it_moves_a_citation(kz, plane, document):
    (plane / "guide.md").write_text("# New\n\nMore.\n\n" + GUIDE, encoding="utf-8")
    found = kz.ok("E5", id=chunk()["id"])["citation"]
    assert found["state"] == "moved" and found["source"] == "drifted"
    assert found["start"] == chunk()["start_index"] + 14
    assert found["end"] - found["start"] == len(chunk()["text"])


def test_a_change_elsewhere_leaves_a_citation_standing(kz, plane, document):
    (plane / "guide.md").write_text(GUIDE + "\n\nMore.\n", encoding="utf-8")
    found = kz.ok("E5", id=chunk()["id"])["citation"]
    assert (found["state"], found["source"]) == ("stands", "drifted")


def test_a_text_that_is_not_there_any_more_is_gone(kz, plane, document):
    (plane / "guide.md").write_text("Nothing of it.\n", encoding="utf-8")
    found = kz.ok("E5", id=chunk()["id"])["citation"]
    assert (found["state"], found["start"]) == ("gone", None)


def test_a_source_that_was_removed_is_missing(kz, plane, document):
    (plane / "guide.md").unlink()
    assert kz.ok("E5", id=chunk()["id"])["citation"]["state"] == "source_missing"
    assert kz.ok("E5", id=document)["source_now"]["state"] == "missing"


def test_a_source_that_is_not_read_any_more_is_not_checked(kz, plane, document):
    (plane / "guide.md").write_bytes(b"\x00\xff\xfe\x00")
    found = kz.ok("E5", id=chunk()["id"])["citation"]
    assert found["state"] == "not_checked" and "DENIED_" in found["reason"]


def test_a_text_without_a_file_is_not_checked(kz, plane):
    kz.ok("K1")
    for kind, origin in (("text", "typed"), ("url", "https://example.org/"), ("file", "external:a.md")):
        made = kept(placed([Block("Text", "Users log in.")]), origin, kind=kind, sha256="0" * 64)
        kz.ok("E3", id=made)
        found = kz.ok("E5", id=rows("evidence_chunk", document_id=made)[0]["id"])["citation"]
        assert found["state"] == "not_checked" and found["reason"]


def test_secrets_are_covered_on_both_sides(kz, plane):
    kz.ok("K1")
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    made = ingested(plane, text=f"The key is {key} here.\n\nUsers log in.\n")
    kz.ok("E3", id=made)
    (plane / "guide.md").write_text(f"Read this.\n\nThe key is {key} here.\n\nUsers log in.\n", encoding="utf-8")
    found = kz.ok("E5", id=chunk(0)["id"])
    assert found["citation"]["state"] == "moved" and key not in found.stdout


def test_a_document_says_what_it_consists_of(kz, document):
    shown = kz.ok("E5", id=document)
    assert shown["chunks"] == len(rows("evidence_chunk")) and shown["blocks"] == len(rows("evidence_block"))
    assert shown["first_chunk_id"] == chunk(0)["id"]
    assert shown["source_now"] == {"state": "same"}


def test_a_block_has_a_citation_too(kz, document):
    block = rows("evidence_block")[1]
    shown = kz.ok("E5", id=block["id"], kind="block")
    assert shown["citation"]["state"] == "stands" and shown["document"]["id"] == document


def test_a_quote_is_looked_for_word_by_word(kz, document):
    start = chunk()["start_index"]
    said = kz.ok("E5", id=chunk()["id"], quote=chunk()["text"][5:40])["quote"]
    assert said == {"stands": True, "exact": True, "start": start + 5, "end": start + 40}
    said = kz.ok("E5", id=document, quote="Users  of\ngroup 3")["quote"]
    assert said["stands"] and not said["exact"]
    reply = kz("E5", id=document, quote="Sessions never expire")
    assert reply.code == 1 and reply["status"] == "FAILED" and reply["quote"]["stands"] is False


def test_the_kind_must_be_one_and_fit_the_id(kz, document):
    refusal = kz.denied("DENIED_KIND_INVALID", "E5", id=document, kind="page")
    assert refusal["allowed"] == ["document", "block", "chunk"]
    kz.denied("DENIED_RECORD_NOT_FOUND", "E5", id=document, kind="chunk")
    task = kz.ok("W1", title="Read", summary="Read the guide.")["id"]
    kz.denied("DENIED_RECORD_NOT_FOUND", "E5", id=task)


# --- E8 -------------------------------------------------------------------------------------------


def test_nothing_is_written_while_nothing_changed(kz, document):
    before = head()
    reply = kz.ok("E8", strict=True)
    assert (reply["checked"], reply["same"], reply["marked"], reply["records"]) == (1, 1, 0, [])
    assert head() == before and "seq" not in reply


def test_a_document_drifts_and_comes_back(kz, plane, document):
    (plane / "guide.md").write_text(GUIDE.replace("group 0", "group zero"), encoding="utf-8")
    reply = kz.ok("E8")
    assert (reply["drifted"], reply["marked"]) == (1, 1)
    row = reply["records"][0]
    assert row["chunks_gone"] == 1 and row["gone"] == [chunk(0)["id"]] and row["chunks"] > 3
    assert rows("evidence_document")[0]["status"] == "drifted" and rows("evidence_document")[0]["checked_at"]
    before = head()
    assert kz.ok("E8", id=document)["marked"] == 0 and head() == before
    (plane / "guide.md").write_text(GUIDE, encoding="utf-8")
    assert kz.ok("E8")["marked"] == 1 and rows("evidence_document")[0]["status"] == "active"


def test_a_missing_source_is_drift_too(kz, plane, document):
    (plane / "guide.md").unlink()
    reply = kz.ok("E8")
    assert (reply["missing"], reply["drifted"]) == (1, 0) and reply["records"][0]["state"] == "missing"
    assert rows("evidence_document")[0]["status"] == "drifted"


def test_strict_makes_drift_a_finding(kz, plane, document):
    (plane / "guide.md").unlink()
    reply = kz("E8", strict=True)
    assert reply.code == 1 and reply["status"] == "FAILED" and reply["marked"] == 1


def test_what_rests_on_a_drifted_document_is_named(kz, plane, document):
    lock = rows("evidence_document")[0]["source_lock_id"]
    said = {"authority_tier": "implementation", "url_or_repository": "x", "summary": "A newer text."}
    newer = kz.ok("S1", source_id="guide-2", supersedes=lock, **said)["id"]
    proof = kz.ok("Q1", summary="It holds.", evidence=f'["{chunk()["id"]}"]')["id"]
    kz.ok("Q1", summary="Something else holds.", evidence='["412 passed"]')
    (plane / "guide.md").unlink()
    row = kz.ok("E8")["records"][0]
    assert sorted(row["resting"]) == sorted([newer, proof]) and row["resting_count"] == 2


def test_one_document_or_one_source_is_checked(kz, plane, document):
    other = ingested(plane, "other.md")
    assert kz.ok("E8")["checked"] == 2 and kz.ok("E8", limit=1)["checked"] == 1
    assert kz.ok("E8", id=other)["checked"] == 1
    assert kz.ok("E8", id=rows("evidence_document")[0]["source_lock_id"])["checked"] == 1
    kz.denied("DENIED_RECORD_NOT_FOUND", "E8", id=chunk()["id"])


def test_pages_are_compared_when_it_is_asked_for(kz, monkeypatch):
    kz.ok("K1")
    page = "<html><body><h1>Guide</h1><p>Users log in with a password.</p></body></html>"
    shown = {"page": page}
    monkeypatch.setitem(pages.ROUTES, "/verify.html", lambda handler: handler.answer(shown["page"].encode()))
    address = pages.url("/verify.html")
    read = readers.read(page.encode(), "verify.html")
    made = kept(read.blocks, address, kind="url", sha256=hashlib.sha256(page.encode()).hexdigest())
    kz.ok("E3", id=made)
    assert kz.ok("E8")["checked"] == 0
    assert kz.ok("E8", refetch=True)["not_checked"] == 1
    again = {"refetch": True, "allow_private": True}
    assert kz.ok("E8", **again)["same"] == 1
    shown["page"] = page.replace("password", "key")
    row = kz.ok("E8", **again)["records"][0]
    assert (row["state"], row["chunks_gone"]) == ("drifted", 1)
    monkeypatch.delitem(pages.ROUTES, "/verify.html")
    assert kz.ok("E8", **again)["missing"] == 1


# --- looking for many at once ---------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab \n", max_size=80), st.text(alphabet="ab \n", max_size=120), st.integers(1, 9))
def test_what_is_gone_is_what_a_search_does_not_find(old, new, size):
    pieces = []
    for start in range(0, len(old), size):
        piece = old[start : start + size]
        first = start + len(piece) - len(piece.lstrip())
        if piece.strip():
            end = first + len(piece.strip())
            pieces.append({"id": str(first), "text": piece.strip(), "start_index": first, "end_index": end})
    found = citations.gone(new, pieces)
    assert set(found) <= {piece["id"] for piece in pieces if piece["text"] not in new} | {
        piece["id"] for piece in pieces if not _at_word(new, piece["text"])
    }
    assert {piece["id"] for piece in pieces if piece["text"] not in new} <= set(found)


def _at_word(text: str, wanted: str) -> bool:
    """Whether a piece stands in a text where a word begins."""
    return f" {wanted}" in " " + text.replace("\n", " ") or wanted in text.split()
