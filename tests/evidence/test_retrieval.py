"""Retrieval: chunks by words, by meaning and by both, with what they say of themselves."""

from __future__ import annotations

import contextlib

import pytest

from kaizen_components import paths
from kaizen_components.evidence import retrieval
from kaizen_components.evidence.records import EvidenceChunk, EvidenceDocument
from kaizen_components.op import Call, Result
from kaizen_components.store import Store, search


def add(texts: list[str], *, context: str | None = None, task_id: str | None = None, origin: str = "notes.md") -> list[str]:
    """A document with chunks of these texts; the ids of the chunks."""
    store = Store(paths.find())
    ids: list[str] = []

    def work() -> Result:
        document = store.add(
            EvidenceDocument(origin_kind="file", origin_ref=origin, backend="text", summary="Notes.", task_id=task_id)
        )
        for number, text in enumerate(texts):
            chunk = EvidenceChunk(text=text, chunk_index=number, chunker="recursive", document_id=document["id"], context=context)
            ids.append(store.add(chunk)["id"])
        return Result(id=document["id"])

    ids.append(store.perform(Call(op="E3", writes=True), work)["id"])
    return ids


@pytest.fixture(autouse=True)
def made(kz):
    kz.ok("K1")


def found(kz, query: str, **flags) -> list[str]:
    return [record["id"] for record in kz.ok("E4", query=query, **flags)["records"]]


def change(kind: str, record_id: str, **values) -> None:
    with contextlib.closing(Store(paths.find())) as store:
        store.perform(Call(op="E3", writes=True), lambda: Result(id=store.revise(kind, record_id, values)["id"]))


# --- by words -------------------------------------------------------------------------------------


def test_a_chunk_says_where_it_comes_from_and_why_it_was_found(kz):
    one, document = add(["The parser reads a date."], context="Parsing > Dates")
    reply = kz.ok("E4", query="dates parser")
    (record,) = reply["records"]
    assert (record["id"], record["document_id"], record["origin_ref"]) == (one, document, "notes.md")
    assert record["snippet"] == "The [parser] reads a [date]." and record["context"] == "Parsing > Dates"
    assert record["why"]["matched"] == "all words" and set(record["why"]["words"]) >= {"parser", "date"}
    assert (reply["mode"], reply["count"], reply["note"], reply["embedding_model"]) == ("fts", 1, None, None)


def test_a_question_is_filled_up_with_what_holds_some_of_its_words(kz):
    every, some, _none, _ = add(["parse a date with timezone and offset", "the timezone offset of a place", "something else"])
    reply = kz.ok("E4", query="How do I parse a date with a timezone offset?")
    assert [(r["id"], r["why"]["matched"]) for r in reply["records"]] == [(every, "all words"), (some, "some words")]


def test_a_short_query_is_filled_up_too_and_what_holds_every_word_comes_first(kz):
    both, one, _ = add(["alpha beta " + "and a long text " * 20, "alpha alone"])
    assert found(kz, "alpha beta") == [both, one] and found(kz, "alpha beta", limit=1) == [both]
    assert len(found(kz, "alpha omega")) == 2


def test_function_words_need_not_stand_there(kz):
    one, _ = add(["retries are counted"])
    assert found(kz, "how does one count the retries") == [one]


def test_a_quoted_phrase_must_stand_there_in_a_question_too(kz):
    one, _, _ = add(["the stale cache of parsers holds dates", "a cache that is stale, parsers, dates, offsets"])
    assert found(kz, 'why do parsers mind the offset of dates in a "stale cache"') == [one]


def test_where_no_word_matches_a_piece_of_one_does(kz):
    one, _ = add(["Fix login"])
    reply = kz.ok("E4", query="gin")
    assert [record["id"] for record in reply["records"]] == [one] and reply["mode"] == "like"


def test_parts_of_a_name_find_it_and_the_name_as_typed_comes_first(kz):
    camel, _ = add(["call getUserName() here"])
    assert found(kz, "user name") == [camel]
    assert "[User]" in kz.ok("E4", query="user name")["records"][0]["snippet"]
    parts, whole, _ = add(["os path join is spelled in words: os path join os path join", "and os.path.join is a function"])
    assert found(kz, "os.path.join") == [whole, parts]


def test_of_a_name_that_stands_nowhere_its_parts_answer(kz):
    one, _ = add(["move_to_end of an OrderedDict"])
    assert found(kz, "OrderedDict.move_to_end") == [one]


def test_the_headings_weigh_more_than_the_text(kz):
    body, _ = add(["a gauge among words", "filler"])[:2], None
    heading = add(["some words"], context="Gauge")[0]
    assert found(kz, "gauge") == [heading, body[0]]


def test_chunks_that_others_took_the_place_of_do_not_answer(kz):
    old, new, document = add(["alpha old", "alpha new"])
    change("evidence_chunk", old, status="superseded")
    assert (
        found(kz, "alpha")
        == found(
            kz,
            "alpha",
        )
        == [new]
    )
    assert [r["id"] for r in kz.ok("K17", query="alpha", status="superseded")["records"]] == [old]
    assert [r["id"] for r in kz.ok("K17", query="alpha")["records"]] == [new]
    change("evidence_document", document, status="retired", retired_reason="Wrong.")
    assert found(kz, "alpha") == []


def test_documents_are_chosen_by_task_id_and_source(kz):
    task = kz.ok("W1", title="T", summary="S.")["id"]
    own, document = add(["alpha one"], task_id=task)
    other, other_document = add(["alpha two"])
    assert found(kz, "alpha", task_id=task) == found(kz, "alpha", document_id=document) == [own]
    assert found(kz, "alpha", document_id=other_document) == [other]
    assert found(kz, "alpha", source_id="nothing") == found(kz, "alpha", task_id="PROJ-1") == []


def test_pages_follow_each_other(kz):
    ids = add([f"alpha {number}" for number in range(5)])[:-1]
    assert sorted(found(kz, "alpha", limit=3) + found(kz, "alpha", limit=3, offset=3)) == sorted(ids)


def test_a_snippet_is_the_densest_piece_and_no_longer_than_needed(kz):
    add(["alpha " + "filler " * 200 + "here alpha meets beta and gamma " + "filler " * 200])
    (record,) = kz.ok("E4", query="alpha beta gamma")["records"]
    assert "[alpha] meets [beta] and [gamma]" in record["snippet"] and len(record["snippet"]) < 280


def test_a_budget_gives_whole_texts_and_says_what_was_left_out(kz):
    add(["alpha " + "word " * 30, "alpha " + "other " * 30, "alpha " + "third " * 30])
    reply = kz.ok("E4", query="alpha", budget=60)
    assert sum(len(record["text"]) for record in reply["records"]) <= 240 and "snippet" not in reply["records"][0]
    assert reply["budget"]["left_out"] == 1 and reply["budget"]["used"] <= 60 and reply["count"] == 2
    assert reply["budget"]["cut_id"] == reply["records"][-1]["id"]
    assert kz.ok("K17", query="alpha", budget=10)["records"][0]["text"].startswith("alpha")


def test_a_person_reads_source_heading_and_match(kz):
    add(["The parser reads a date."], context="Dates")
    shown = kz.ok("E4", query="parser", _text=True).stdout
    assert "notes.md" in shown and "Dates" in shown and "[parser]" in shown and "1 chunk found" in shown


def test_a_query_writes_nothing(kz):
    add(["alpha"])
    head = paths.find().database.parent / "ledger.head"
    before = head.read_bytes()
    kz.ok("E4", query="alpha")
    assert head.read_bytes() == before


# --- by meaning -----------------------------------------------------------------------------------


def test_without_a_backend_meaning_is_refused_and_both_do_with_words(kz):
    one, _ = add(["alpha"])
    refusal = kz.denied("DENIED_BACKEND_UNCONFIGURED", "E4", query="alpha", semantic=True)
    assert "KAIZEN_EMBED_BACKEND" in refusal["required_action"]
    reply = kz.ok("E4", query="alpha", hybrid=True)
    assert reply["mode"] == "hybrid(lexical-only)" and [r["id"] for r in reply["records"]] == [one]
    assert "KAIZEN_EMBED_BACKEND" in reply["note"]
    assert kz.ok("K17", query="alpha", hybrid=True)["mode"] == "hybrid(lexical-only)"
    kz.denied("DENIED_BACKEND_UNCONFIGURED", "K17", query="alpha", semantic=True)


def test_without_vectors_meaning_is_refused_and_both_do_with_words(kz, embedding):
    add(["alpha"])
    kz.denied("DENIED_EMBED_INDEX_ABSENT", "E4", query="alpha", semantic=True)
    assert kz.ok("E4", query="alpha", hybrid=True)["mode"] == "hybrid(lexical-only)"


def test_a_query_without_a_word_has_no_meaning(kz, embedding):
    kz.denied("DENIED_EMBED_EMPTY", "E4", query="?!", semantic=True)


def test_semantic_and_hybrid_contradict_each_other(kz):
    kz.denied("DENIED_FLAG_CONFLICT", "E4", query="x", semantic=True, hybrid=True)
    kz.denied("DENIED_FLAG_CONFLICT", "K17", query="x", semantic=True, hybrid=True)


def test_both_are_fused_by_rank_and_the_call_is_traced(kz, monkeypatch):
    from kaizen_components import embeddings

    one, two, three, _ = add(["alpha one", "alpha alpha alpha", "gamma"])
    near = embeddings.Nearest([(three, "evidence_chunk", 0.1), (one, "evidence_chunk", 0.2)], "fake", None)
    monkeypatch.setattr(embeddings, "nearest", lambda *args, **options: near)
    reply = kz.ok("E4", query="alpha", hybrid=True)
    assert (reply["mode"], reply["embedding_model"]) == ("hybrid", "fake")
    assert [record["id"] for record in reply["records"]] == [one, two, three]
    assert reply["records"][0]["why"]["ranks"] == {"lexical": 2, "semantic": 2}
    assert reply["records"][2]["why"]["distance"] == 0.1 and reply["seq"] > 0
    with contextlib.closing(Store(paths.find())) as store:
        (event,) = store.list("trace_event", columns=("kind", "model", "input_ref"))
    assert (event["kind"], event["model"]) == ("evidence_read", "fake") and event["input_ref"].startswith("sha256:")
    assert [r["id"] for r in kz.ok("E4", query="alpha", semantic=True)["records"]] == [three, one]
    assert kz.ok("K17", query="alpha", hybrid=True)["records"][0]["id"] == one


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
def test_without_a_limit_every_record_answers_by_meaning_too(kz, embedding, monkeypatch, mode):
    ids = add([f"alpha {number}" for number in range(12)])[:-1]
    kz.ok("B3")
    monkeypatch.setenv("KAIZEN_RETRIEVE_N", "3")
    assert sorted(found(kz, "alpha", limit=-1, **{mode: True})) == sorted(ids)
    assert len(found(kz, "alpha", limit=-1, offset=5, **{mode: True})) == 7
    assert len(found(kz, "alpha", limit=0, **{mode: True})) == 10
    assert len(found(kz, "alpha", limit=100, offset=11, **{mode: True})) == 1
    assert len(kz.ok("K17", query="alpha", kind=["evidence_chunk"], limit=-1, **{mode: True})["records"]) == 12


def test_superseded_chunks_and_retired_documents_do_not_answer_by_meaning(kz, embedding):
    old, new, document = add(["alpha old", "alpha new"])
    kz.ok("B3")
    change("evidence_chunk", old, status="superseded")
    assert found(kz, "alpha", semantic=True) == found(kz, "alpha", hybrid=True) == [new]
    change("evidence_document", document, status="retired", retired_reason="Wrong.")
    assert found(kz, "alpha", semantic=True) == found(kz, "alpha", hybrid=True) == []


def test_a_damaged_file_of_vectors_leaves_the_words(kz, embedding, plane):
    one, _ = add(["alpha"])
    kz.ok("B3")
    (plane / "AI" / "db" / "vectors.db").write_bytes(b"\xa5" * 20_000)
    reply = kz.ok("E4", query="alpha", hybrid=True)
    assert (
        reply["mode"] == "hybrid(lexical-only)"
        and [record["id"] for record in reply["records"]] == [one]
        and "B3" in reply["note"]
    )
    kz.ok("B3")
    assert found(kz, "alpha", semantic=True) == [one]


def test_fusion_is_by_reciprocal_rank():
    fused = retrieval.fusion({"lexical": ["a", "b"], "semantic": ["b"]})
    assert fused["b"] == (1 / 62 + 1 / 61, {"lexical": 2, "semantic": 1}) and fused["a"][0] == 1 / 61


@pytest.mark.parametrize("value", ["0", "-1", "x", "1e3", "100000", "²"])
def test_a_number_of_candidates_that_is_none_is_refused(kz, monkeypatch, value):
    monkeypatch.setenv("KAIZEN_RETRIEVE_N", value)
    kz.denied("DENIED_ENVIRONMENT_INVALID", "E4", query="x")


# --- ranked anew ----------------------------------------------------------------------------------


def test_without_a_reranker_the_order_stays_and_a_note_says_what_to_set(kz):
    add(["alpha"])
    reply = kz.ok("E4", query="alpha", rerank=True)
    assert reply["mode"] == "fts" and "KAIZEN_RERANK_BACKEND" in reply["note"] and reply["count"] == 1


def test_a_reranker_puts_the_hits_into_its_order(kz, monkeypatch):
    from kaizen_components import backends

    class Ranker:
        model, provider = "ranker", "here"

        def scores(self, query, texts):
            return [float(len(text)) for text in texts]

    monkeypatch.setattr(backends, "opened", lambda lane, model=None: Ranker())
    short, long, _ = add(["alpha", "alpha and much more"])
    reply = kz.ok("E4", query="alpha", rerank=True, limit=1)
    assert reply["mode"] == "fts+rerank" and [r["id"] for r in reply["records"]] == [long] != [short]
    assert reply["records"][0]["rerank_score"] == 19


# --- the index ------------------------------------------------------------------------------------


def test_a_chunk_that_is_cut_anew_is_found_by_its_new_text_alone(kz):
    one, _ = add(["alpha getUserName"])
    assert found(kz, "alpha user") == [one]
    change("evidence_chunk", one, text="beta")
    assert found(kz, "alpha") == found(kz, "user") == [] and found(kz, "beta") == [one]


def test_a_killed_batch_leaves_the_index_usable(kz, monkeypatch):
    ids = add([f"alpha {number}" for number in range(5)])[:-1]
    put = search.index.Index._put

    def die(self, entries):
        put(self, entries)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search.index.Index, "_put", die)
        with pytest.raises(KeyboardInterrupt):
            search.find(Store(paths.find()), "alpha")
    assert sorted(found(kz, "alpha")) == sorted(ids)


def test_documents_that_nobody_has_cut_are_named_where_nothing_is_found(kz, plane):
    (plane / "a.md").write_text("One alpha.\n", encoding="utf-8")
    document = kz.ok("E1", path="a.md")["id"]
    assert f"E3 --id {document}" in kz.ok("E4", query="alpha")["note"]
    kz.ok("E3", id=document)
    assert kz.ok("E4", query="alpha")["note"] is None and kz.ok("E4", query="omega")["note"] is None


def test_a_warning_of_the_plane_stands_in_the_answer(kz, tmp_path, monkeypatch):
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(tmp_path / "none"))
    assert "it was made" in kz.ok("E4", query="x")["warnings"][0]
