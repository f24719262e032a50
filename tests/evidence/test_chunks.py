"""Chunks as records: E3 cuts, E11 lists."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import passages
from passages import head, ingested, kept, rows

from kaizen_components.evidence import chunkers, chunks
from kaizen_components.evidence.extract import Block, joined, placed


@pytest.fixture
def document(kz, plane) -> str:
    kz.ok("K1")
    return ingested(plane)


def text_of(document: str) -> str:
    return joined((row["text"], row["tail"]) for row in rows("evidence_block", document_id=document))


def test_chunks_are_the_documents_text(kz, document):
    reply = kz.ok("E3", id=document)
    assert reply["document_id"] == document and reply["chunker"] == "recursive"
    assert reply["embedded"] == 0 and reply["embedding_model"] is None
    found, text = rows("evidence_chunk", document_id=document), text_of(document)
    assert len(found) == reply["chunk_count"] > 3
    for index, row in enumerate(found):
        assert row["text"] == text[row["start_index"] : row["end_index"]]
        assert row["chunk_index"] == index and row["token_count"] == len(row["text"]) // 4
        assert row["source_lock_id"] == rows("evidence_document")[0]["source_lock_id"]
        assert row["context"] == "Sessions"


def test_neighbours_lead_from_the_first_chunk_to_the_last(kz, document):
    kz.ok("E3", id=document)
    found = rows("evidence_chunk")
    assert [row["neighbor_next_id"] for row in found] == [*(row["id"] for row in found[1:]), None]
    assert [row["neighbor_prev_id"] for row in found] == [None, *(row["id"] for row in found[:-1])]


def test_the_document_says_how_it_was_cut(kz, document):
    reply = kz.ok("E3", id=document)
    row = rows("evidence_document")[0]
    assert (row["chunker"], row["chunk_count"]) == ("recursive", reply["chunk_count"])


def test_cutting_twice_changes_nothing(kz, document):
    first = kz.ok("E3", id=document)
    before = head()
    again = kz.ok("E3", id=document)
    assert again["already"] is True and again["chunk_count"] == first["chunk_count"]
    assert "seq" not in again and head() == before


def test_another_chunker_puts_the_chunks_aside_and_going_back_takes_them_up(kz, document):
    kz.ok("E3", id=document)
    first = [row["id"] for row in rows("evidence_chunk", status="active")]
    other = kz.ok("E3", id=document, chunker="token")
    assert other["chunk_count"] == len(rows("evidence_chunk", status="active", chunker="token"))
    assert not rows("evidence_chunk", status="active", chunker="recursive")
    kz.ok("E3", id=document)
    assert [row["id"] for row in rows("evidence_chunk", status="active")] == first
    assert {row["chunker"] for row in rows("evidence_chunk", status="superseded")} == {"token"}
    before = head()
    assert kz.ok("E3", id=document)["already"] is True and head() == before


def test_another_version_of_a_chunker_makes_other_chunks(kz, document, monkeypatch):
    kz.ok("E3", id=document)
    old = {row["id"] for row in rows("evidence_chunk")}
    monkeypatch.setattr("kaizen_components.evidence.chunkers.recursive.Recursive.made", "kaizen recursive 2")
    assert "already" not in kz.ok("E3", id=document)
    assert not old & {row["id"] for row in rows("evidence_chunk", status="active")}


def test_ids_follow_from_the_content(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "same")
    kz.ok("K1")
    document = ingested(plane)
    kz.ok("E3", id=document)
    first = rows("evidence_chunk")[0]
    assert first["id"].startswith(f"ec_{document.split('_')[1]}_")
    said = f"{document}\0{first['backend']}\0{0}\0{first['start_index']}\0{first['end_index']}\0{chunks.sha256(first['text'])}"
    assert first["id"].endswith(chunks.sha256(said)[:10])


def test_an_id_that_is_taken_is_passed_over(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    kz.ok("K1")
    # Two documents of one second, whose chunks get the same number from a poor hash.
    real = chunks.sha256
    monkeypatch.setattr(chunks, "sha256", lambda text: real(str(int(real(text), 16) % 40)))
    first = ingested(plane, "a.md")
    kz.ok("E3", id=first)
    monkeypatch.setattr("kaizen_components.clock.moment", lambda position=0, at=rows("evidence_document")[0]: _time(at))
    second = ingested(plane, "b.md")
    assert second.split("_")[1] == first.split("_")[1]
    kz.ok("E3", id=second)
    ids = [row["id"] for row in rows("evidence_chunk")]
    assert len(ids) == len(set(ids)) and {row["document_id"] for row in rows("evidence_chunk")} == {first, second}
    assert kz.ok("E3", id=second)["already"] and kz.ok("V1")["status"] == "OK"


def _time(row):
    from datetime import datetime

    return datetime.fromisoformat(row["created_at"])


def test_chunks_that_were_purged_are_made_again_under_other_ids(kz, document):
    kz.ok("E3", id=document, test=True)
    old = {row["id"] for row in rows("evidence_chunk")}
    kz.ok("K7")
    assert not rows("evidence_chunk")
    reply = kz.ok("E3", id=document)
    assert "already" not in reply and not old & {row["id"] for row in rows("evidence_chunk")}
    assert kz.ok("V1")["status"] == "OK"


def test_many_chunks_are_written_in_one_unit(kz, plane, monkeypatch):
    monkeypatch.setattr(chunks, "AT_ONCE", 3)
    kz.ok("K1")
    document = ingested(plane)
    before = head()[0]
    reply = kz.ok("E3", id=document, key="once")
    assert head()[0] == before + reply["chunk_count"] + 1 == reply["seq"]
    assert kz.ok("V1")["status"] == "OK" and kz.ok("K12")["status"] == "OK"


def test_a_key_makes_it_safe_to_repeat(kz, document):
    first = kz.ok("E3", id=document, key="cut")
    before = head()
    again = kz.ok("E3", id=document, key="cut")
    assert again["replayed"] is True and again["chunk_count"] == first["chunk_count"] and head() == before
    kz.denied("DENIED_KEY_CONFLICT", "E3", id=document, chunker="token", key="cut")


def test_a_document_of_no_task_becomes_one_of_the_task(kz, document):
    kz.ok("E3", id=document)
    task = kz.ok("W1", title="Read", summary="Read the guide.")["id"]
    assert kz.ok("E3", id=document, task_id=task)["already"] is True
    assert rows("evidence_document")[0]["task_id"] == task
    other = kz.ok("W1", title="Read", summary="Read the guide again.")["id"]
    kz.ok("E3", id=document, task_id=other)
    assert rows("evidence_document")[0]["task_id"] == task


def test_vectors_are_made_where_a_backend_is_configured(kz, document, embedding):
    reply = kz.ok("E3", id=document)
    assert reply["embedded"] == reply["chunk_count"] and reply["embedding_model"] == "fake"
    assert kz.ok("E5", id=document)["embeddings"][0]["chunks_indexed"] == reply["chunk_count"]
    chunk = rows("evidence_chunk")[0]["id"]
    assert kz.ok("E5", id=chunk)["embeddings"] == [{"model": "fake", "dim": 64, "active": True}]


def test_a_backend_that_is_away_is_a_note(kz, document, embedding, monkeypatch):
    monkeypatch.setenv("KAIZEN_EMBED_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr("kaizen_components.backends.http.wait", lambda seconds: None)
    reply = kz.ok("E3", id=document, key="k")
    assert reply["embedded"] == 0 and reply["embedding_note"] and reply["chunk_count"] == len(rows("evidence_chunk"))
    assert kz.ok("E3", id=document, key="k")["replayed"] is True


def test_a_document_without_text_is_refused(kz, plane):
    kz.ok("K1")
    for blocks in ([], placed([Block("Text", " \n ")])):
        kz.denied("DENIED_NO_BLOCKS", "E3", id=kept(blocks))


def test_what_is_no_document_is_refused(kz, document):
    kz.ok("E3", id=document)
    kz.denied("DENIED_RECORD_NOT_FOUND", "E3", id=rows("evidence_chunk")[0]["id"])
    kz.denied("DENIED_RECORD_NOT_FOUND", "E11", id=rows("evidence_chunk")[0]["id"])


def test_an_unknown_chunker_is_refused_with_those_that_are(kz, document):
    for op in ("E3", "E11"):
        assert kz.denied("DENIED_CHUNKER_UNSUPPORTED", op, id=document, chunker="magic")["allowed"] == list(chunkers.CHUNKERS)


def test_chunks_are_listed_in_order(kz, document):
    total = kz.ok("E3", id=document)["chunk_count"]
    kz.ok("E3", id=document, chunker="sentence")
    kz.ok("E3", id=document)
    listed = kz.ok("E11", id=document, limit=2, offset=1)
    assert [row["chunk_index"] for row in listed["records"]] == [1, 2]
    assert (listed["count"], listed["total"], listed["chunker"]) == (2, total, "recursive")
    assert all(len(row["text"]) <= 80 for row in listed["records"])
    assert {row["chunker"] for row in kz.ok("E11", id=document, chunker="sentence")["records"]} == {"sentence"}


def test_write_cuts_inside_the_unit_under_way(kz, document):
    here = passages.store()
    from kaizen_components.call import Call, Result

    def work() -> Result:
        return Result(**chunks.write(here, here.get("evidence_document", document), chunker="recursive"))

    assert here.perform(Call(op="E1", writes=True), work)["chunk_count"] == len(rows("evidence_chunk"))
