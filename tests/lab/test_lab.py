"""The lab: case sets, proposals ranked and judged, near-duplicates."""

from __future__ import annotations

import fcntl
import hashlib
import json

import pytest
from markdown_it import MarkdownIt

from kaizen_components.backends import http
from kaizen_components.backends.traces import ref

VERDICT = '{"verdict": "pass", "score": %s, "rationale": "It names the reason."}'


def text(plane, reply) -> str:
    content = (plane / reply["path"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == reply["sha256"]
    return content.decode()


def case(kz, title, **more) -> str:
    return kz.ok("Q3", title=title, summary="A case.", **more)["id"]


def propose(kz, title="Name the why", contract="prompts", cases=None, **more) -> str:
    payload = {"payload_json": json.dumps({"cases": cases})} if cases is not None else {}
    return kz.ok("O2", contract=contract, title=title, summary="Ask for the reason.", **payload, **more)["id"]


def pairs(*differences) -> dict:
    return {f"c{n}": {"baseline": 0.5, "candidate": 0.5 + value} for n, value in enumerate(differences)}


# --- O1: case sets --------------------------------------------------------------------------------


def test_a_case_set_holds_what_is_open_and_nothing_else(kz, plane, populated):
    retired = case(kz, "Old case")
    kz.ok("Q18", id=retired, reason="No longer true.")
    made = kz.ok("O1", contract="prompts")
    assert (made["eval_cases"], made["exemplars"], made["active_gotchas"]) == (1, 1, 1)
    assert made["path"] == "AI/db/exports/reports/lab-caseset-prompts.md"
    page = text(plane, made)
    assert populated["eval_case"] in page and populated["learned"] in page and populated["gotcha2"] in page
    assert retired not in page and populated["gotcha"] not in page


def test_the_same_records_make_the_same_case_set_in_the_same_file(kz, plane, populated):
    first = kz.ok("O1", contract="prompts")
    kz.ok("W38", summary="Something else happened.")
    again = kz.ok("O1", contract="prompts")
    assert (again["path"], again["sha256"]) == (first["path"], first["sha256"])
    case(kz, "Another")
    assert kz.ok("O1", contract="prompts")["sha256"] != first["sha256"]


def test_a_category_and_a_limit_choose_the_cases(kz):
    for number in range(3):
        case(kz, f"Routed {number}", category="routing")
    case(kz, "Safe", category="security")
    assert kz.ok("O1", contract="p", category="routing")["eval_cases"] == 3
    assert kz.ok("O1", contract="p", limit=2)["eval_cases"] == 2
    assert kz.ok("O1", contract="p", limit=-1)["eval_cases"] == 4
    kz.denied("DENIED_SCHEMA_ENUM", "O1", contract="p", category="none")


def test_contracts_that_look_alike_have_files_of_their_own(kz):
    names = ("commit messages", "commit-messages", "Commit messages", "commit/messages", "..", "größe", "x" * 200)
    paths = [kz.ok("O1", contract=name)["path"] for name in names]
    assert len(set(paths)) == len(names)
    assert all(path.startswith("AI/db/exports/reports/lab-caseset-") and path.count("/") == 4 for path in paths)


def test_what_looks_like_markdown_in_a_case_stays_text(kz, plane):
    evil = "# Heading\n\n<script>alert(1)</script>\n```\n| a | b |\n</details>"
    case(kz, "*bold* <b>title</b>\n## Not a section", body=evil, expected_json=evil)
    page = text(plane, kz.ok("O1", contract="<img src=x>"))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page)
    assert not [token for token in tokens if token.type in ("html_block", "fence", "code_block", "table_open")]
    assert all(child.type != "html_inline" or child.content == "<br>" for token in tokens for child in token.children or ())
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]
    assert len(headings) == 5


# --- O2 and O8: scores by case --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cases", "place"),
    [
        ([1], "cases"),
        ({"a": 0.5}, "cases.a"),
        ({"a": {"baseline": "0.5"}}, "cases.a.baseline"),
        ({"a": {"baseline": 0.5, "candidate": True}}, "cases.a.candidate"),
        ({"a": {"candidate": 1e200}}, "cases.a.candidate"),
    ],
)
def test_scores_by_case_that_are_none_are_refused(kz, cases, place):
    flags = {"payload_json": json.dumps({"cases": cases})}
    reply = kz.denied("DENIED_SCHEMA_FIELD_TYPE", "O2", contract="p", title="t", summary="s", **flags)
    assert reply["field"] == "payload_json" and reply["place"] == place
    kz.denied("DENIED_SCHEMA_FIELD_TYPE", "O8", id=propose(kz), **flags)


def test_a_payload_without_cases_is_taken(kz):
    assert kz.ok("O2", contract="p", title="t", summary="s", payload_json='{"note": "x"}')["id"]


# --- O3: ranking ----------------------------------------------------------------------------------


def test_proposals_are_ranked_by_what_their_scores_show(kz, plane):
    unscored = propose(kz, "Unscored")
    worse = propose(kz, "Worse", cases=pairs(*[-0.2] * 8))
    bare = propose(kz, "Bare numbers", baseline_score=0.1, candidate_score=0.9)
    small = propose(kz, "Small but sure", cases=pairs(*[0.05, 0.06] * 5))
    large = propose(kz, "Large and sure", cases=pairs(*[0.3, 0.2] * 5))
    unsure = propose(kz, "Unsure", cases=pairs(*[0.4, -0.3] * 5))
    propose(kz, "Elsewhere", contract="other", baseline_score=0, candidate_score=1)
    reply = kz.ok("O3", contract="prompts")
    assert [entry["id"] for entry in reply["ranking"]] == [large, small, bare, unsure, worse, unscored]
    verdicts = [entry["verdict"] for entry in reply["ranking"]]
    assert verdicts == ["better", "better", "higher, not compared by case", "no difference shown", "worse", "not scored"]
    assert reply["proposals"] == 6 and reply["top_proposal"] == large and large in reply["promotion_path"]
    page = text(plane, reply)
    assert page.index(large) < page.index(unscored) and "sign test p = 0.001953" in page


def test_bare_scores_are_ranked_by_candidate_minus_baseline(kz):
    low = propose(kz, baseline_score=0.6, candidate_score=0.7)
    high = propose(kz, baseline_score=0.1, candidate_score=0.4)
    half = propose(kz, candidate_score=0.99)
    assert [entry["id"] for entry in kz.ok("O3", contract="prompts")["ranking"]] == [high, low, half]


def test_a_difference_is_always_a_number(kz):
    for title, sign in (("Down", 1), ("Up", -1)):
        propose(kz, title, baseline_score=sign * 1.7e308, candidate_score=sign * -1.7e308)
    reply = kz.ok("O3", contract="prompts")
    assert [entry["verdict"].split(",")[0] for entry in reply["ranking"]] == ["higher", "lower"]
    assert "Infinity" not in reply.stdout


def test_a_tie_is_no_win(kz):
    propose(kz, baseline_score=0.5, candidate_score=0.5)
    tied = propose(kz, cases=pairs(*[0.0] * 20))
    reply = kz.ok("O3", contract="prompts")
    assert reply["top_proposal"] is None
    paired = next(entry["paired"] for entry in reply["ranking"] if entry["id"] == tied)
    assert (paired["ties"], paired["wins"], paired["verdict"], paired["sign_test_p"]) == (20, 0, "no difference shown", 1.0)
    assert reply["ranking"][0]["verdict"] != "better"


def test_a_report_repeats_byte_for_byte(kz):
    propose(kz, cases=pairs(0.1, 0.2, -0.1, 0.4, 0.0, 0.3, 0.1))
    first = kz.ok("O3", contract="prompts")
    again = kz.ok("O3", contract="prompts")
    assert first["sha256"] == again["sha256"] and first["ranking"] == again["ranking"]


def test_a_contract_without_proposals_has_an_empty_ranking(kz, plane):
    reply = kz.ok("O3", contract="nothing")
    assert (reply["proposals"], reply["top_proposal"], reply["ranking"]) == (0, None, [])
    assert "No open proposals" in text(plane, reply)


def test_closed_proposals_are_counted_not_ranked(kz, plane):
    kz.ok("O9", id=propose(kz, baseline_score=0, candidate_score=1), reason="The metric was wrong.")
    kept = propose(kz, baseline_score=0, candidate_score=0.1)
    reply = kz.ok("O3", contract="prompts")
    assert [entry["id"] for entry in reply["ranking"]] == [kept]
    assert "and 1 that are closed" in text(plane, reply)


# --- O4: judging ----------------------------------------------------------------------------------


def test_what_is_missing_is_refused_in_order(kz, monkeypatch, model_server):
    kz.denied("DENIED_BACKEND_UNCONFIGURED", "O4")
    monkeypatch.setenv("KAIZEN_TEXT_BACKEND", "ollama")
    monkeypatch.setenv("KAIZEN_LLM_MODEL", "fake")
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", model_server.url)
    kz.denied("DENIED_CONTRACT_REQUIRED", "O4")
    kz.denied("DENIED_NO_EVAL_CASES", "O4", contract="prompts")
    case(kz, "A case")
    kz.denied("DENIED_REFERENCE_NOT_FOUND", "O4", contract="prompts", task_id="t_20260101000000_0000000000")
    assert kz.ok("O4", contract="prompts")["evaluated"] == 0
    assert model_server.requests == []


def test_a_model_judges_every_proposal_by_every_case(kz, text_model):
    first, second = case(kz, "Short", body="At most fifty letters."), case(kz, "Clear", expected_json='{"reason": true}')
    known = {first: {"baseline": 0.25, "note": "kept"}}
    proposal = propose(kz, cases=known, baseline_score=0.2)
    text_model.answer = lambda body: VERDICT % (1 if "At most fifty letters." in body["messages"][-1]["content"] else 0.5)
    reply = kz.ok("O4", contract="prompts", metric="clarity", trace_id="run-7")
    assert (reply["advisory"], reply["evaluated"], reply["cases"]) == (True, 1, 2)
    told = reply["proposals"][0]
    assert (told["proposal_id"], told["cases"], told["mean_score"]) == (proposal, 2, 0.75)
    record = kz.ok("O7", id=proposal)["record"]
    assert record["candidate_score"] == 0.75 and record["baseline_score"] == 0.2 and record["status"] == "proposed"
    cases = json.loads(record["payload_json"])["cases"]
    assert cases == {first: {"baseline": 0.25, "note": "kept", "candidate": 1.0}, second: {"candidate": 0.5}}
    scores = kz.ok("T13", id=told["score_id"])["record"]
    assert (scores["name"], scores["value_num"], scores["source"]) == ("clarity", 0.75, "model")
    events = kz.ok("T9", trace_id="run-7")["records"]
    assert [event["kind"] for event in events] == ["judge"] * 3
    parent = kz.ok("T10", id=told["trace_event_id"])
    assert parent["record"]["status"] == "completed" and parent["scores"][0]["id"] == told["score_id"]
    child = kz.ok("T10", id=events[0]["id"])["record"]
    assert child["parent_event_id"] == told["trace_event_id"] and child["total_tokens"] == 16
    asked = ["\n\n".join(message["content"] for message in body["messages"]) for _, body, _ in text_model.requests]
    assert child["input_ref"] in [ref(prompt) for prompt in asked] and "reason" not in json.dumps(events)


def test_a_limit_and_a_category_bound_the_cases(kz, text_model):
    for number in range(3):
        case(kz, f"Case {number}", category="routing")
    case(kz, "Other")
    propose(kz)
    text_model.answer = lambda body: VERDICT % 1
    assert kz.ok("O4", contract="prompts", category="routing", limit=2)["cases"] == 2
    assert len(text_model.requests) == 2


def test_an_answer_that_is_no_verdict_is_left_out_and_said(kz, text_model):
    bad = case(kz, "Hard")
    case(kz, "Easy")
    propose(kz)
    text_model.answer = lambda body: "Well, who knows." if "Hard" in body["messages"][-1]["content"] else VERDICT % 0.5
    reply = kz.ok("O4", contract="prompts")
    assert reply["proposals"][0]["cases"] == 1 and reply["proposals"][0]["mean_score"] == 0.5
    assert any(bad in warning for warning in reply["warnings"])


def test_a_model_that_gives_no_verdict_at_all_is_refused_and_changes_no_score(kz, text_model):
    case(kz, "Hard")
    proposal = propose(kz, candidate_score=0.5)
    text_model.answer = lambda body: "Well, who knows."
    kz.denied("DENIED_BACKEND_MALFORMED", "O4", contract="prompts")
    assert kz.ok("O7", id=proposal)["record"]["candidate_score"] == 0.5
    assert kz.ok("T9", kind="judge")["records"][0]["status"] == "failed"


def test_what_was_judged_stays_when_the_model_goes_away(kz, text_model):
    case(kz, "One")
    case(kz, "Two")
    proposal = propose(kz)
    asked = []

    def answer(body):
        asked.append(body)
        if len(asked) == 1:
            text_model.faults = [(404, {})]
        return VERDICT % 1

    text_model.answer = answer
    kz.denied("DENIED_BACKEND_HTTP", "O4", contract="prompts")
    scores = kz.ok("T4")["records"]
    assert len(scores) == 1 and kz.ok("O7", id=proposal)["record"]["candidate_score"] is None
    assert [event["status"] for event in kz.ok("T9", kind="judge")["records"]] == ["recorded", "failed"]


def test_a_repeated_key_asks_no_model_again(kz, text_model, monkeypatch):
    case(kz, "One")
    propose(kz, "First")
    propose(kz, "Second")
    text_model.answer = lambda body: VERDICT % 1
    first = kz.ok("O4", contract="prompts", key="k1")
    asked = len(text_model.requests)
    again = kz.ok("O4", contract="prompts", key="k1")
    assert again["replayed"] is True and len(text_model.requests) == asked == 2
    assert again["proposals"] == first["proposals"] and again["evaluated"] == 2
    kz.denied("DENIED_KEY_CONFLICT", "O4", contract="other", key="k1")
    monkeypatch.delenv("KAIZEN_TEXT_BACKEND")
    assert kz.ok("O4", contract="prompts", key="k1")["replayed"] is True


def test_the_plane_is_free_while_the_model_thinks(kz, plane, text_model):
    case(kz, "One")
    proposal = propose(kz)

    def answer(body):
        with (plane / "AI" / "db" / "kaizen.lock").open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kz.ok("O8", id=proposal, body="Rewritten meanwhile.")
        return VERDICT % 1

    text_model.answer = answer
    reply = kz.ok("O4", contract="prompts")
    assert any("changed meanwhile" in warning for warning in reply["warnings"])
    assert kz.ok("O7", id=proposal)["record"]["candidate_score"] is None


def test_judgements_marked_as_test_are_purged(kz, text_model):
    case(kz, "One")
    propose(kz)
    text_model.answer = lambda body: VERDICT % 1
    reply = kz.ok("O4", contract="prompts", test=True)
    kz.ok("K7")
    kz.denied("DENIED_RECORD_NOT_FOUND", "T10", id=reply["proposals"][0]["trace_event_id"])


# --- O5: duplicates -------------------------------------------------------------------------------

CACHE = "The cache of the login page outlives a deploy, so users see the old form until somebody clears it by hand."


def gotcha(kz, title, body, **more) -> str:
    return kz.ok("G1", title=title, summary="It bites.", body=body, **more)["id"]


def test_near_duplicates_are_grouped_without_a_model(kz, plane):
    first = gotcha(kz, "Stale cache", CACHE)
    gotcha(kz, "Flaky clock", "The test reads the wall clock twice and fails at midnight on slow machines.")
    second = gotcha(kz, "Stale cache", CACHE.replace("somebody", "someone"))
    reply = kz.ok("O5")
    assert (reply["kind"], reply["records"], reply["clusters"], reply["source"]) == ("gotcha", 3, 1, "lexical")
    cluster = reply["top_clusters"][0]
    assert cluster["ids"] == [second, first] and 0.85 <= cluster["similarity"] < 1
    page = text(plane, reply)
    assert first in page and second in page and "Stale cache" in page
    record = kz.ok("R13", id=reply["id"])["record"]
    assert (record["report_type"], record["sha256"], record["rows"]) == ("dedup", reply["sha256"], 1)
    kz.ok("V1", files=True)


def test_a_second_report_leaves_the_first_as_it_was(kz):
    first = kz.ok("O5")
    gotcha(kz, "Stale cache", CACHE)
    second = kz.ok("O5")
    assert first["path"] == "AI/db/exports/reports/dedup-gotcha.md" != second["path"]
    kz.ok("V1", files=True)


def test_links_make_one_group_of_a_chain(kz):
    words = CACHE.split()
    texts = [" ".join(words[:-n] if n else words) for n in (0, 2, 4)]
    ids = [gotcha(kz, "Stale cache", body) for body in texts]
    reply = kz.ok("O5", threshold=0.9)
    assert [set(cluster["ids"]) for cluster in reply["top_clusters"]] == [set(ids)]


def test_a_threshold_a_task_and_a_limit_choose_what_is_compared(kz):
    task = kz.ok("W1", title="Fix", summary="Fix it.")["id"]
    gotcha(kz, "Stale cache", CACHE, task_id=task)
    gotcha(kz, "Stale cache", CACHE + " It takes an hour.", task_id=task)
    gotcha(kz, "Stale cache", CACHE)
    assert kz.ok("O5", threshold=1)["clusters"] == 1
    assert kz.ok("O5", threshold=1, task_id=task)["clusters"] == 0
    reply = kz.ok("O5", task_id=task)
    assert (reply["records"], reply["clusters"]) == (2, 1)
    assert kz.ok("O5", limit=1)["records"] == 1
    for wrong in (0, -1, 1.5):
        kz.denied("DENIED_SCHEMA_RANGE", "O5", threshold=wrong)


def test_closed_records_are_not_compared(kz):
    gotcha(kz, "Stale cache", CACHE)
    kz.ok("G5", id=gotcha(kz, "Stale cache", CACHE), status="superseded")
    assert kz.ok("O5")["records"] == 1


def test_an_unknown_kind_is_refused(kz):
    assert kz.denied("DENIED_DEDUP_KIND", "O5", kind="task")["allowed"] == ["gotcha", "learned", "learning", "evidence"]


@pytest.mark.parametrize("kind", ["gotcha", "learned", "learning", "evidence"])
def test_every_kind_is_compared(kz, populated, kind):
    assert kz.ok("O5", kind=kind)["kind"] == kind


def test_a_repeated_key_gives_the_first_report(kz, plane):
    first = kz.ok("O5", key="k")
    again = kz.ok("O5", key="k")
    assert again["replayed"] and again["path"] == first["path"]
    assert len(list((plane / "AI/db/exports/reports").iterdir())) == 1


def test_vectors_are_compared_where_a_backend_makes_them(kz, embedding):
    first = gotcha(kz, "Stale cache", CACHE)
    gotcha(kz, "Flaky clock", "The test reads the wall clock twice and fails at midnight on slow machines.")
    # The server's vectors know no order of words; pairs of neighbouring words do.
    second = gotcha(kz, "Stale cache", " ".join(sorted(CACHE.split())))
    made = kz.ok("O5", key="k")
    assert (made["source"], made["clusters"]) == ("embeddings", 1)
    assert set(made["top_clusters"][0]["ids"]) == {first, second}
    event = kz.ok("T9", limit=1)["records"][0]
    assert event["name"] == "embed" and event["kind"] == "model_call"
    asked = len(embedding.requests)
    assert kz.ok("O5", key="k")["replayed"] is True
    assert kz.ok("O5")["source"] == "stored vectors" and len(embedding.requests) == asked


def test_only_what_is_compared_is_embedded(kz, embedding):
    for number in range(4):
        gotcha(kz, f"Pitfall {number}", CACHE)
    kz.ok("O5", limit=2)
    assert sum(len(body["input"]) for path, body, _ in embedding.requests if path == "/v1/embeddings") == 2


def test_words_are_compared_where_the_backend_is_down(kz, embedding, monkeypatch):
    monkeypatch.setenv("KAIZEN_EMBED_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr(http, "wait", lambda seconds: None)
    gotcha(kz, "Stale cache", CACHE)
    gotcha(kz, "Stale cache", CACHE)
    reply = kz.ok("O5")
    assert (reply["source"], reply["clusters"]) == ("lexical", 1) and "could not be had" in reply["note"]


def test_words_are_compared_without_the_vector_package(kz, embedding, without):
    without("sqlite_vec")
    gotcha(kz, "Stale cache", CACHE)
    assert kz.ok("O5")["source"] == "lexical"


def test_a_person_sees_the_groups(kz):
    gotcha(kz, "Stale cache", CACHE)
    gotcha(kz, "Stale cache", CACHE)
    assert "2 alike, 1.00 to 1.00" in kz.ok("O5", _text=True).stdout
