"""Embeddings: what gets a vector and when, which model answers, and which indexes are kept."""

from __future__ import annotations

import pytest

from kaizen_components import embeddings, paths
from kaizen_components.backends import http
from kaizen_components.evidence.records import EvidenceChunk, EvidenceDocument
from kaizen_components.op import Call, Result
from kaizen_components.store import Store


def document(*texts: str, **fields) -> tuple[str, list[str]]:
    """A document with these chunks: (its id, theirs)."""
    store = Store(paths.find())

    def work() -> Result:
        row = store.add(EvidenceDocument(origin_kind="text", origin_ref="a.txt", backend="text", summary="A text."))
        ids = [
            store.add(EvidenceChunk(text=text, chunk_index=n, chunker="recursive", document_id=row["id"], **fields))["id"]
            for n, text in enumerate(texts)
        ]
        return Result(id=row["id"], ids=ids)

    done = store.perform(Call(op="E3", writes=True), work)
    return done["id"], done["ids"]


def nearest(query: str, **options) -> embeddings.Nearest:
    return embeddings.nearest(Store(paths.find()), query, **options)


def ids(found: embeddings.Nearest) -> list[str]:
    return [hit[0] for hit in found.hits]


def asked(server) -> list[str]:
    return [text for path, body, _ in server.requests if path.endswith("/embeddings") for text in body["input"]]


# --- asking ---------------------------------------------------------------------------------------


def test_the_chunk_that_shares_words_with_the_question_is_nearest(kz, embedding):
    _, (one, two) = document("The cache outlives a deploy.", "Printer paper is on the third floor.")
    kz.ok("B3")
    assert ids(nearest("where is printer paper", kinds=("evidence_chunk",))) == [two, one]


def test_a_chunk_is_embedded_with_its_headings(kz, embedding):
    document("It is on the third floor.", context="Office > Printer")
    kz.ok("B3")
    assert asked(embedding) == ["Office > Printer\nIt is on the third floor."]


def test_a_chunk_that_is_not_in_use_neither_costs_nor_answers(kz, embedding):
    document("Printer paper.", status="superseded")
    _, (two,) = document("Stale cache.")
    assert kz.ok("B3")["reembedded"] == 1
    assert ids(nearest("printer paper", kinds=("evidence_chunk",))) == [two]


def test_conditions_narrow_what_answers(kz, embedding):
    one, (first,) = document("Printer paper.")
    _, (second,) = document("Printer ink.")
    kz.ok("B3")
    assert ids(nearest("printer ink", where={"document_id": one})) == [first]
    assert ids(nearest("printer paper", limit=1, kinds=("evidence_chunk",), where={"status": "active"})) == [first]
    assert ids(nearest("printer paper", where={"status": "drifted"})) == []
    assert second not in ids(nearest("printer", kinds=("gotcha",)))


def test_a_few_new_records_are_embedded_before_the_answer(kz, embedding):
    document("Printer paper.")
    kz.ok("B3")
    _, (new,) = document("Coffee machine.")
    found = nearest("coffee machine", kinds=("evidence_chunk",))
    assert ids(found)[0] == new and found.note is None


def test_of_many_new_records_the_answer_says_how_many_it_does_not_know(kz, embedding, monkeypatch):
    monkeypatch.setattr(embeddings, "MOST_ON_THE_WAY", 2)
    document("Printer paper.")
    kz.ok("B3")
    document("Coffee.", "Tea.", "Milk.")
    note = nearest("coffee", kinds=("evidence_chunk",)).note
    assert note and note.startswith("3 records have no vector") and note.endswith("B3")


def test_the_plane_is_not_held_while_the_model_is_at_work(kz, embedding, monkeypatch):
    document("Printer paper.")
    reply, held = embedding.reply, []

    def busy(path, body):
        held.append(kz("W1", title="Meanwhile", summary="Somebody else writes.").code)
        return reply(path, body)

    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "2")
    embedding.reply = busy
    kz.ok("B3")
    nearest("printer")
    # The chunk; the task that was made meanwhile; the question.
    assert held == [0, 0, 0]


@pytest.mark.parametrize("query", ["", "  ", "?!", "---"])
def test_a_question_without_a_word_is_refused(kz, embedding, query):
    from kaizen_components import denial

    with pytest.raises(denial.EmbedEmpty):
        nearest(query)


def test_without_vectors_of_the_model_the_question_is_refused(kz, embedding):
    from kaizen_components import denial

    with pytest.raises(denial.EmbedIndexAbsent):
        nearest("printer")
    document("Printer paper.")
    kz.ok("B3")
    with pytest.raises(denial.EmbedIndexAbsent) as refusal:
        nearest("printer", model="another")
    assert refusal.value.detail["indexed"] == ["fake"]


def test_without_a_backend_the_question_is_refused(kz):
    from kaizen_components import denial

    with pytest.raises(denial.BackendUnconfigured):
        nearest("printer")


def test_without_the_packages_the_install_line_is_said(kz, embedding, without):
    document("Printer paper.")
    without("sqlite_vec")
    refusal = kz.denied("DENIED_BACKEND_UNAVAILABLE", "B3")
    assert refusal["package"] == "sqlite-vec" and "requirements-kaizen.txt" in refusal["required_action"]


def test_a_model_that_changes_its_size_is_refused(kz, embedding):
    from kaizen_components import denial

    document("Printer paper.")
    kz.ok("B3")
    embedding.dimension = 32
    with pytest.raises(denial.EmbedMismatch):
        nearest("printer")
    document("Coffee.")
    refusal = kz.denied("DENIED_EMBED_MISMATCH", "B3")
    assert (refusal["dimension"], refusal["expected"]) == (32, 64)


# --- making vectors -------------------------------------------------------------------------------


def test_nothing_to_embed_is_no_fault_without_a_backend(kz):
    assert kz.ok("B3")["reembedded"] == 0
    document("Printer paper.")
    kz.denied("DENIED_BACKEND_UNCONFIGURED", "B3")


def test_the_use_of_the_model_is_traced_without_the_text(kz, embedding):
    document("Printer paper.")
    task = kz.ok("W1", title="Ask", summary="Ask the documents.")["id"]
    reply = kz.ok("B3", task_id=task)
    assert (reply["reembedded"], reply["dimension"], reply["model"], reply["activation"]) == (1, 64, "fake", None)
    event = kz.ok("T9")["records"][0]
    record = kz.ok("T10", id=event["id"])
    assert record["record"]["model"] == "fake" and record["record"]["task_id"] == task
    assert "Printer" not in record.stdout


def test_one_document_can_be_embedded_by_itself(kz, embedding):
    (one, _), (two, _) = document("Printer paper."), document("Coffee.")
    assert kz.ok("B3", id=one)["reembedded"] == 1
    assert embeddings.of_document(Store(paths.find()), one) == [{"model": "fake", "dim": 64, "active": True, "chunks_indexed": 1}]
    assert embeddings.of_document(Store(paths.find()), two) == []
    kz.denied("DENIED_FLAG_CONFLICT", "B3", id=one, records=True)


def test_a_repeat_with_the_same_key_embeds_nothing(kz, embedding):
    document("Printer paper.")
    first = kz.ok("B3", key="k")
    document("Coffee.")
    again = kz.ok("B3", key="k")
    assert again["replayed"] and again["seq"] == first["seq"] and asked(embedding) == ["Printer paper."]


def test_chunks_are_embedded_when_they_are_cut(kz, embedding):
    one, (chunk,) = document("Printer paper.")
    store = Store(paths.find())
    assert embeddings.embed_chunks(store, document_id=one) == {"embedded": 1, "model": "fake", "note": None}
    assert embeddings.embed_chunks(store, document_id=one)["embedded"] == 0
    assert embeddings.of_records(store, [chunk]) == [{"model": "fake", "dim": 64, "active": True}]
    store.close()


def test_cutting_never_fails_for_a_backend(kz, monkeypatch):
    one, _ = document("Printer paper.")
    store = Store(paths.find())
    assert embeddings.embed_chunks(store, document_id=one) == {"embedded": 0, "model": None, "note": None}
    monkeypatch.setenv("KAIZEN_EMBED_BACKEND", "ollama")
    monkeypatch.setenv("KAIZEN_EMBED_MODEL", "fake")
    monkeypatch.setenv("KAIZEN_EMBED_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr(http, "wait", lambda seconds: None)
    said = embeddings.embed_chunks(store, document_id=one)
    assert said["embedded"] == 0 and "B3" in said["note"]


def test_what_the_server_says_is_refused_as_it_is(kz, embedding):
    document("Printer paper.")
    embedding.faults = [(400, {})]
    kz.denied("DENIED_BACKEND_HTTP", "B3")


def test_a_new_record_that_cannot_be_embedded_is_named_and_the_others_answer(kz, embedding):
    _, (one,) = document("Printer paper.")
    kz.ok("B3")
    document("Coffee.")
    embedding.faults = [(400, {})]
    found = nearest("printer paper", kinds=("evidence_chunk",))
    assert ids(found) == [one]
    assert found.note and found.note.startswith("1 record has no vector of fake yet")


# --- which model answers --------------------------------------------------------------------------


def test_a_model_is_activated_when_all_chunks_have_its_vectors(kz, embedding):
    document("Printer paper.")
    kz.ok("B3")
    reply = kz.ok("B3", model="second", activate=True)
    assert reply["activation"] == {"active_embedding_model": "second", "previous": None, "pruned": []}
    found = nearest("printer paper")
    assert found.model == "second" and found.note and "KAIZEN_EMBED_MODEL names fake" in found.note
    assert nearest("printer paper", model="fake").model == "fake"
    assert kz.ok("B7")["active_embedding_model"] == "second"


def test_a_model_that_lacks_chunks_is_not_activated(kz, embedding):
    one, _ = document("Printer paper.")
    document("Coffee.")
    reply = kz.ok("B3", id=one, activate=True)
    assert reply["activation"] is None and "1 chunk" in reply["note"]
    refusal = kz.denied("DENIED_EMBED_INDEX_INCOMPLETE", "B7", activate=True, model="fake")
    assert (refusal["indexed_chunks"], refusal["total_chunks"]) == (1, 2)


def test_old_indexes_go_when_another_is_activated(kz, embedding, monkeypatch):
    document("Printer paper.")
    for model in ("one", "two", "three"):
        kz.ok("B3", model=model)
    assert kz.ok("B3", model="four", activate=True, keep_all=True)["activation"]["pruned"] == []
    assert kz.ok("B7", activate=True, model="two")["pruned"] == ["three", "one"]
    assert set(kz.ok("B7")["remaining"]) == {"two", "four"}


@pytest.mark.parametrize(("keep", "left"), [("0", 3), ("-1", 3), ("1", 1), ("2", 2)])
def test_how_many_indexes_are_kept_can_be_said(kz, embedding, monkeypatch, keep, left):
    monkeypatch.setenv("KAIZEN_EMBED_KEEP", keep)
    document("Printer paper.")
    for model in ("one", "two", "three"):
        kz.ok("B3", model=model)
    reply = kz.ok("B7", activate=True, model="one")
    assert len(reply["remaining"]) == left and "one" in reply["remaining"]


def test_a_number_of_indexes_that_is_none_is_refused(kz, embedding, monkeypatch):
    monkeypatch.setenv("KAIZEN_EMBED_KEEP", "many")
    kz.denied("DENIED_ENVIRONMENT_INVALID", "B3")


# --- listing and pruning --------------------------------------------------------------------------


def test_the_indexes_are_listed_with_what_they_hold(kz, embedding):
    document("Printer paper.", "Coffee.")
    assert kz.ok("B7")["models"] == []
    kz.ok("B3")
    reply = kz.ok("B7", list=True)
    (index,) = reply["models"]
    assert (index["model"], index["dim"], index["chunks_indexed"], index["is_active"]) == ("fake", 64, 2, True)
    assert index["approx_bytes"] == 2 * 4 * 64 and (reply["indexed_chunks"], reply["total_chunks"]) == (2, 2)


def test_listing_makes_no_file(kz, plane):
    kz.ok("B7")
    assert not (plane / "AI" / "db" / "vectors.db").exists()


def test_an_index_can_be_pruned_by_name_and_not_the_active_one(kz, embedding):
    document("Printer paper.")
    kz.ok("B3")
    kz.ok("B3", model="second")
    kz.denied("DENIED_PRUNE_ACTIVE", "B7", prune=True, model="fake")
    reply = kz.ok("B7", prune=True, model="second")
    assert (reply["pruned"], reply["remaining"]) == (["second"], ["fake"])
    kz.denied("DENIED_EMBED_INDEX_ABSENT", "B7", prune=True, model="second")


def test_the_previous_model_is_the_one_that_was_active_before(kz, embedding):
    document("Printer paper.")
    for model in ("one", "two", "three"):
        kz.ok("B3", model=model)
    kz.ok("B7", activate=True, model="one", keep_all=True)
    kz.ok("B7", activate=True, model="two", keep_all=True)
    assert kz.ok("B7", prune=True, previous=True)["pruned"] == ["one"]
    assert kz.ok("B7", prune=True, all_but_active=True)["pruned"] == ["three"]
    assert kz.ok("B7", prune=True, all_but_active=True)["pruned"] == []


def test_what_contradicts_itself_is_refused(kz, embedding):
    kz.denied("DENIED_FLAG_CONFLICT", "B7", list=True, prune=True)
    kz.denied("DENIED_MODEL_REQUIRED", "B7", activate=True)
    kz.denied("DENIED_PRUNE_TARGET", "B7", prune=True)
    kz.denied("DENIED_FLAG_CONFLICT", "B7", prune=True, previous=True, all_but_active=True)
    kz.denied("DENIED_EMBED_INDEX_ABSENT", "B7", activate=True, model="nothing")


def test_without_an_active_model_nothing_is_all_but_active(kz, embedding, monkeypatch):
    document("Printer paper.")
    kz.ok("B3")
    monkeypatch.delenv("KAIZEN_EMBED_MODEL")
    kz.denied("DENIED_MODEL_REQUIRED", "B7", prune=True, all_but_active=True)
