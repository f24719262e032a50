"""The optimizer: a better text is found, and shown to be better on cases that the search never saw."""

from __future__ import annotations

import json
import shutil

import models
import planted
import pytest
from conftest import Kz

from kaizen_components import paths
from kaizen_components.optimize import cases
from kaizen_components.store import Store

GIVEN = [{"name": f"c{n}", "input": f"w{n}"} for n in range(16)]
# Counts the word please in the candidate.
COUNT = ["awk", '{print gsub(/please/, "")}']


@pytest.fixture
def task(kz, plane, text_model):
    """The planted task in a project, with the scripted model behind its server; the flags of a run."""
    kz.ok("K1")
    text_model.answer = planted.model
    return planted.written(plane)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run of gepa that has ended, made once: the project, the answer, what the server was asked."""
    root = tmp_path_factory.mktemp("optimized")
    with pytest.MonkeyPatch.context() as patch, models.running() as server:
        patch.setenv("KAIZEN_REPO_ROOT", str(root))
        patch.setenv("KAIZEN_TEXT_BACKEND", "ollama")
        patch.setenv("KAIZEN_LLM_MODEL", "fake")
        patch.setenv("KAIZEN_LLM_BASE_URL", server.url)
        server.answer = planted.model
        kz = Kz()
        kz.ok("K1")
        reply = kz.ok("P12", **planted.written(root), rounds=4, seed=3, input_price=1_000_000, output_price=2_000_000)
        return root, reply, planted.chats(server.requests)


@pytest.fixture
def finished(ended, plane, text_model):
    """That run in this test's project, and the scripted model for whoever asks again; its answer."""
    shutil.copytree(ended[0], plane, dirs_exist_ok=True)
    text_model.answer = planted.model
    return ended[1]


def compared(kz, *candidates: str, command=COUNT, count: int = 16, body: str = "say it", **more):
    """A run that scores given candidates, without any model."""
    given = {"contract": "greeting", "body": body, "cases": json.dumps(GIVEN[:count]), "candidate": list(candidates)}
    return kz("P12", **{**given, **more}, _command=command)


# --- what is found --------------------------------------------------------------------------------


def test_gepa_improves_a_planted_task_on_held_out_cases(kz, finished, ended):
    assert finished["engine"] == "gepa" and finished["run_status"] == "completed"
    assert finished["verdict"] == "better" and finished["candidates"] == 3
    held = finished["held_out"]
    assert (held["baseline_mean"], held["winner_mean"]) == (0.0, 1.0)
    assert held["paired"]["pairs"] == 6 and held["paired"]["interval_95"] == [1.0, 1.0]
    # Held-out cases are asked at the very end, by the baseline and by the winner, and nowhere else.
    splits = json.loads(kz.ok("P13", id=finished["id"])["run"]["splits_json"])
    words = [json.loads(body)["messages"][-1]["content"] for body in ended[2]]
    hidden = {planted.WORDS[int(name[1:])] for name in splits["held-out"]}
    assert len(hidden) == 6 and not any(word in text for word in hidden for text in words[:-12])
    assert sorted(words[-12:]) == sorted([*hidden, *hidden])


def test_gepa_writes_nothing_and_says_nothing(kz, plane, task, capfd, monkeypatch, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    before = {path for path in plane.rglob("*") if "AI" not in path.parts and "__pycache__" not in path.parts}
    kz.ok("P12", **task, rounds=1)
    assert [*empty.iterdir()] == []
    assert {path for path in plane.rglob("*") if "AI" not in path.parts and "__pycache__" not in path.parts} == before
    assert capfd.readouterr() == ("", "")


def test_two_runs_of_the_same_seed_are_the_same(kz, plane, text_model):
    kz.ok("K1")
    text_model.answer = planted.model
    task = planted.written(plane, 9)
    runs = [kz.ok("P12", **task, rounds=2, seed=7) for _ in range(2)]
    halves = planted.chats(text_model.requests)
    assert halves[: len(halves) // 2] == halves[len(halves) // 2 :]
    assert runs[0]["winner"]["path"] == runs[1]["winner"]["path"] and runs[0]["id"] != runs[1]["id"]


def test_a_text_that_comes_back_as_it_was_is_no_new_candidate(kz, plane, text_model):
    kz.ok("K1")
    text_model.answer = planted.model
    task = planted.written(plane, 9)
    (plane / "prompt.md").write_text(planted.BASELINE + "\n", encoding="utf-8")
    reply = kz.ok("P12", **task, rounds=4, seed=3, test=True)
    assert reply["candidates"] == 3
    shown = kz.ok("P13", id=reply["id"])
    assert shown["tree"][2]["diff"].endswith(f"+{planted.RULES['mark']}\n") and shown["steps"][0]["removed"] == 0
    text_model.answer = lambda body: planted.model(body) if len(body["messages"]) > 1 else "```\n" + planted.BASELINE + "\n```"
    assert kz.ok("P12", **task, rounds=2)["candidates"] == 1
    # --test marks all of the run, so that it can be purged.
    purged = kz.ok("K7")
    assert [row["id"] for row in kz.ok("P14")["records"]] != [] and reply["id"] not in str(kz.ok("P14")["records"]), purged


def test_candidates_are_compared_without_a_model(kz, plane):
    kz.ok("K1")
    (plane / "better.md").write_text("please say it, please", encoding="utf-8")
    reply = compared(kz, "please say it", candidate_file=str(plane / "better.md"))
    assert reply["verdict"] == "better" and reply["engine"] == "candidates" and reply["cases"]["train"] == 0
    assert reply["winner"]["number"] == 2 and reply["winner"]["validation_score"] == 2
    assert (plane / reply["winner"]["path"]).read_text(encoding="utf-8") == "please say it, please"
    assert reply["held_out"]["paired"]["mean_difference"] == 2


def test_a_worse_winner_on_held_out_cases_is_called_worse(kz, plane):
    """The search may be fooled by its cases; the report is not."""
    kz.ok("K1")
    hidden = cases.split(cases.parse(json.dumps(GIVEN)), 0, 0.0, 0.5)["held-out"]
    (plane / "fooled.py").write_text(
        f"def score(candidate, case, output):\n    return float((candidate == 'x') != (case['name'] in {hidden!r}))\n",
        encoding="utf-8",
    )
    reply = compared(kz, "x", command=None, scorer="fooled:score")
    assert reply["winner"]["validation_score"] == 1 and reply["verdict"] == "worse"
    assert kz.ok("O7", id=reply["proposal_id"])["record"]["title"].endswith("worse")


# --- a tie is no win ------------------------------------------------------------------------------


def test_a_tie_on_validation_leaves_the_baseline_and_proposes_nothing(kz):
    kz.ok("K1")
    reply = compared(kz, "say that", "say this")
    assert reply["winner"]["number"] == 0 and reply["verdict"] == "no difference shown" and reply["proposal_id"] is None
    assert "nothing did better than the baseline" in reply["reason"]
    assert kz.ok("O6")["records"] == []
    # The held-out cases were left alone: there was nothing to compare.
    assert reply["calls"] == 3 * reply["cases"]["validation"]
    text = compared(kz, "say that", "say this", _text=True).stdout
    assert "Baseline: candidate 0" in text and "Winner" not in text


def test_a_tie_on_held_out_cases_is_not_called_a_win(kz, plane):
    kz.ok("K1")
    splits = cases.split(cases.parse(json.dumps(GIVEN)), 0, 0.0, 0.5)
    lucky = splits["validation"][0]
    (plane / "lucky.py").write_text(
        f"def score(candidate, case, output):\n    return 1.0 if candidate == 'x' and case['name'] == {lucky!r} else 0.5\n",
        encoding="utf-8",
    )
    reply = compared(kz, "x", command=None, scorer="lucky:score")
    assert reply["winner"]["number"] == 1
    assert reply["held_out"]["paired"]["ties"] == 8 and reply["verdict"] == "no difference shown"
    assert kz.ok("O3", contract="greeting")["top_proposal"] is None


def test_a_gain_on_five_pairs_of_eight_is_no_win(kz, plane):
    kz.ok("K1")
    splits = cases.split(cases.parse(json.dumps(GIVEN)), 0, 0.0, 0.5)
    won = [*splits["validation"], *splits["held-out"][:5]]
    (plane / "five.py").write_text(
        f"def score(candidate, case, output):\n    return float(candidate == 'x' and case['name'] in {won!r})\n", encoding="utf-8"
    )
    reply = compared(kz, "x", command=None, scorer="five:score")
    assert reply["held_out"]["paired"]["wins"] == 5 and reply["verdict"] == "no difference shown"


def test_few_held_out_cases_are_said_to_be_few(kz):
    kz.ok("K1")
    reply = compared(kz, "please say it", count=8)
    assert reply["verdict"] == "too few cases" and any("held out" in warning for warning in reply["warnings"])


# --- what is recorded -----------------------------------------------------------------------------


def test_a_proposal_is_made_and_never_applied(kz, plane, finished):
    proposal = kz.ok("O7", id=finished["proposal_id"])["record"]
    assert proposal["status"] == "proposed" and proposal["contract"] == "answers"
    assert (proposal["baseline_score"], proposal["candidate_score"]) == (0.0, 1.0)
    payload = json.loads(proposal["payload_json"])
    assert payload["optimizer_run"] == finished["id"] and len(payload["cases"]) == 6
    assert planted.RULES["mark"] in proposal["body"]
    assert (plane / "prompt.md").read_text(encoding="utf-8") == planted.BASELINE
    ranked = kz.ok("O3", contract="answers")
    assert ranked["top_proposal"] == finished["proposal_id"] and ranked["ranking"][0]["verdict"] == "better"


def test_every_score_names_its_case_scorer_and_cost(kz, plane, finished):
    run = kz.ok("P13", id=finished["id"])["run"]
    store = Store(paths.find())
    rows = store.list("optimizer_score", {"run_id": finished["id"]})
    calls = store.list("optimizer_call", {"run_id": finished["id"]}, order="number")
    candidates = store.list("optimizer_candidate", {"run_id": finished["id"]}, order="number")
    store.close()
    # The server counts 11 tokens of a prompt and 5 of an answer.
    assert {row["cost_usd"] for row in rows} == {21.0} and {row["tokens"] for row in rows} == {16}
    assert {row["scorer_version"] for row in rows} == {run["scorer_version"]}
    assert len({(row["candidate_id"], row["case_name"]) for row in rows}) == len(rows)
    assert [row["number"] for row in calls] == [*range(1, len(calls) + 1)] and len(calls) == finished["calls"]
    assert finished["cost_usd"] == sum(row["cost_usd"] for row in calls) == 21.0 * sum(row["tokens"] > 0 for row in calls)
    assert json.loads(candidates[1]["parents_json"]) == [candidates[0]["id"]] and candidates[1]["origin"] == "reflection"
    blobs = plane / "AI" / "db" / "blobs"
    assert f"+{planted.RULES['upper']}" in (blobs / candidates[1]["diff_blob"]).read_text(encoding="utf-8")
    assert all((blobs / row["output_blob"]).is_file() for row in rows)


def test_secrets_in_what_a_model_says_are_masked_before_anything_uses_them(kz, plane, text_model):
    kz.ok("K1")
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    text_model.answer = lambda body: f"the key is {key}"
    seen = plane / "seen.py"
    seen.write_text(
        f"def score(candidate, case, output):\n    assert {key[:6]!r} not in output, output\n    return {{'score': 1, 'feedback': output + {key!r}}}\n".replace(
            key, key[:8] + "' + '" + key[8:]
        ),
        encoding="utf-8",
    )
    reply = compared(kz, "x", command=None, scorer="seen:score", count=4)
    assert reply.code == 0, reply.stderr
    for path in (plane / "AI").rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_the_ledger_verifies_after_a_run(kz, finished):
    assert kz.ok("K2")["status"] == "OK"
    assert kz.ok("K12")["status"] == "OK"


# --- looking --------------------------------------------------------------------------------------


def test_inspect_says_which_step_brought_which_line_and_what_it_gained(kz, finished):
    shown = kz.ok("P13", id=finished["id"])
    assert shown["path"] == [0, 1, 2] and shown["winner"] == 2 and shown["run"]["stands"] == "completed"
    assert [(line["candidate"], line["gain"], line["text"]) for line in shown["blame"]] == [
        (0, None, planted.BASELINE),
        (1, 0.5, planted.RULES["upper"]),
        (2, 0.5, planted.RULES["mark"]),
    ]
    assert [(step["added"], step["removed"], step["gain"]) for step in shown["steps"]] == [(1, 0, 0.5), (1, 0, 0.5)]
    assert [node["parents"] for node in shown["tree"]] == [[], [0], [1]]
    assert [node["status"] for node in shown["tree"]] == ["tried", "tried", "winner"]
    assert shown["tree"][2]["scores"]["held-out"] == {"mean": 1.0, "cases": 6}
    assert "held-out" not in shown["tree"][1]["scores"]
    assert shown["cost"]["reflection"]["calls"] >= 2
    text = kz.ok("P13", id=finished["id"], _text=True).stdout
    assert f"2 +0.5  {planted.RULES['mark']}" in text and "<- winner" in text


def test_a_line_that_a_step_rewrites_is_the_steps_and_one_that_it_keeps_is_not(kz):
    kz.ok("K1")
    reply = compared(kz, "first\nplease\nlast", body="first\nsecond\nlast")
    blame = kz.ok("P13", id=reply["id"])["blame"]
    assert [(line["candidate"], line["gain"]) for line in blame] == [(0, None), (1, 1.0), (0, None)]


def test_runs_are_listed_and_found(kz):
    kz.ok("K1")
    first, second = compared(kz, "please say it")["id"], compared(kz, "say that", contract="farewell")["id"]
    assert [row["id"] for row in kz.ok("P14")["records"]] == [second, first]
    assert [row["id"] for row in kz.ok("P14", verdict="better")["records"]] == [first]
    assert [row["id"] for row in kz.ok("P14", query="farewell")["records"]] == [second]
    assert kz.ok("P14", status="failed")["records"] == []


# --- replaying ------------------------------------------------------------------------------------


def test_scores_that_still_hold_are_said_to_hold(kz, finished, text_model):
    asked = len(planted.chats(text_model.requests))
    replay = kz.ok("P15", id=finished["id"])
    assert (replay["scores"], replay["hold"], replay["differ"], replay["left"]) == (12, 12, 0, 0)
    assert len(planted.chats(text_model.requests)) == asked + 12 and replay["calls"] == 24
    assert all(entry["same_output"] and entry["split"] == "held-out" for entry in replay["repeated"])
    shown = kz.ok("P13", id=finished["id"])
    assert shown["replays"] == 12 and shown["cost"]["replay answer"]["calls"] == 12
    # What was replayed changes nothing of the run.
    assert shown["tree"][2]["scores"]["held-out"] == {"mean": 1.0, "cases": 6} and shown["run"]["calls"] == finished["calls"]


def test_scores_that_differ_are_named_and_end_with_exit_code_1(kz, finished, text_model):
    text_model.answer = lambda body: planted.model(body).rstrip("!")
    replay = kz("P15", id=finished["id"])
    assert replay.code == 1 and replay["status"] == "FAILED" and (replay["hold"], replay["differ"]) == (6, 6)
    worse = [entry for entry in replay["repeated"] if not entry["holds"]]
    assert {(entry["candidate"], entry["before"], entry["now"]) for entry in worse} == {(2, 1.0, 0.5)}
    assert kz("P15", id=finished["id"], tolerance=0.5)["differ"] == 0
    text = kz("P15", id=finished["id"], _text=True).stdout
    assert "6 of 12 scores hold" in text and "1 -> 0.5" in text


def test_a_replay_takes_one_candidate_one_split_some_scores_and_a_budget(kz, plane, finished):
    ids = [node["id"] for node in kz.ok("P13", id=finished["id"])["tree"]]
    replay = kz.ok("P15", id=finished["id"], candidate_id=ids[1], split="validation", limit=3)
    assert [entry["candidate"] for entry in replay["repeated"]] == [1, 1, 1]
    replay = kz.ok("P15", id=finished["id"], max_calls=5)
    assert (replay["scores"], replay["left"], replay["calls"]) == (2, 10, 5) and "max-calls" in replay["reason"]
    kz.denied("DENIED_NO_SCORES", "P15", id=finished["id"], candidate_id=ids[1], split="held-out")
    (plane / "planted_scorer.py").write_text(planted.SCORER + "\n# other\n", encoding="utf-8")
    assert kz.ok("P15", id=finished["id"], limit=1)["scorer_changed"] is True
