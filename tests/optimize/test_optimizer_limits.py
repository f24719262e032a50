"""What ends a run or keeps it from beginning: budgets, scorers that fail, and what cannot be meant."""

from __future__ import annotations

import json
import sys

import planted
import pytest

from kaizen_components.optimize import budget

GIVEN = [{"name": f"c{n}", "input": f"w{n}"} for n in range(16)]
COUNT = ["awk", '{print gsub(/please/, "")}']


@pytest.fixture
def task(kz, plane, text_model):
    kz.ok("K1")
    text_model.answer = planted.model
    return planted.written(plane, 9)


@pytest.fixture
def given(kz):
    """A run that scores one given candidate, without any model."""
    kz.ok("K1")
    return {"contract": "greeting", "body": "say it", "cases": json.dumps(GIVEN), "candidate": "please say it"}


def stopped(kz, reply, limit: str) -> None:
    """The run ended for a limit, within it, with what was found so far."""
    assert reply["run_status"] == "budget_exceeded" and limit in reply["reason"], reply
    assert kz.ok("P14")["records"][0]["status"] == "budget_exceeded"


# --- budgets --------------------------------------------------------------------------------------


def test_calls_are_counted_before_they_are_made_and_the_report_keeps_its_share(kz, task, text_model):
    # Three validation and two held-out cases: 2 * 3 calls for the baseline, 2 * 2 * 2 for the report.
    reply = kz.ok("P12", **task, rounds=4, seed=3, max_calls=37)
    stopped(kz, reply, "max-calls is 37")
    assert reply["calls"] <= 37
    assert reply["held_out"]["paired"]["pairs"] == 2 and reply["winner"]["number"] > 0
    answers = sum(sums["calls"] for name, sums in kz.ok("P13", id=reply["id"])["cost"].items() if name != "score")
    assert len(planted.chats(text_model.requests)) == answers


@pytest.mark.parametrize("calls", range(14, 40, 5))
def test_no_budget_of_calls_is_ever_overdrawn(kz, task, text_model, calls):
    reply = kz.ok("P12", **task, rounds=4, seed=3, max_calls=calls)
    assert reply["calls"] <= calls
    if reply["winner"] and reply["winner"]["number"]:
        assert reply["held_out"]["paired"]["pairs"] == 2


def test_a_budget_without_room_for_the_report_is_refused(kz, task, text_model):
    refused = kz.denied("DENIED_BUDGET_TOO_SMALL", "P12", **task, max_calls=13)
    assert refused["least"] == 14 and not planted.chats(text_model.requests)
    assert kz.ok("P14")["records"] == []


def test_tokens_are_estimated_at_their_worst_before_a_call(kz, task, text_model):
    reply = kz.ok("P12", **task, rounds=4, max_tokens=500)
    stopped(kz, reply, "max-tokens is 500")
    # One answer alone could have 1,024.
    assert reply["calls"] == 0 and not planted.chats(text_model.requests)
    assert reply["winner"] is None and reply["verdict"] == "too few cases" and reply["proposal_id"] is None
    enough = kz.ok("P12", **task, rounds=4, answer_tokens=10, reflection_tokens=50, max_tokens=1_200)
    stopped(kz, enough, "max-tokens")
    assert 0 < enough["tokens"] <= 1_200


def test_money_is_counted_by_the_prices_given(kz, task, text_model):
    kz.denied("DENIED_FLAG_CONFLICT", "P12", **task, max_cost_usd=1)
    prices = {"input_price": 10, "output_price": 20, "answer_tokens": 10, "reflection_tokens": 50}
    reply = kz.ok("P12", **task, rounds=4, max_cost_usd=0.02, **prices)
    stopped(kz, reply, "max-cost-usd is 0.02")
    assert 0 < reply["cost_usd"] <= 0.02
    # 11 tokens read and 5 written a call.
    assert reply["cost_usd"] == pytest.approx((11 * 10 + 5 * 20) / 1e6 * len(planted.chats(text_model.requests)))


def test_time_that_is_over_ends_the_search(kz, task, text_model, monkeypatch):
    seconds = iter(range(10_000))
    monkeypatch.setattr(budget.time, "monotonic", lambda: next(seconds) / 10)
    reply = kz.ok("P12", **task, rounds=4, max_wall_s=10)
    stopped(kz, reply, "max-wall-s is 10")


def test_what_a_command_says_it_cost_counts(kz, given):
    costs = ["awk", '{print "{\\"score\\": " gsub(/please/, "") ", \\"cost_usd\\": 1, \\"tokens\\": 7, \\"model\\": \\"m\\"}"}']
    reply = kz.ok("P12", **given, max_cost_usd=20, _command=costs)
    # Each call may cost as much as the dearest so far, and 16 of them are kept for the report.
    stopped(kz, reply, "max-cost-usd is 20")
    assert reply["cost_usd"] <= 20 and reply["tokens"] == 7 * reply["calls"]
    whole = kz.ok("P12", **given, max_cost_usd=32, _command=costs)
    assert whole["run_status"] == "completed" and whole["cost_usd"] == 32


# --- scorers --------------------------------------------------------------------------------------


def test_a_command_gets_candidate_case_and_output_on_stdin(kz, plane, task, text_model):
    (plane / "echo.py").write_text(
        "import json, sys\nseen = json.load(sys.stdin)\nopen('seen.json', 'w').write(json.dumps(seen))\n"
        "print(json.dumps({'score': 0.25, 'feedback': 'more'}))\n",
        encoding="utf-8",
    )
    flags = {**task, "scorer": None}
    reply = kz.ok("P12", **flags, candidate="Shout.", _command=[sys.executable, "echo.py"])
    seen = json.loads((plane / "seen.json").read_text(encoding="utf-8"))
    assert set(seen) == {"candidate", "case", "output"} and seen["output"] == seen["case"]["input"]
    assert reply["scorer"].endswith("echo.py") and reply["baseline"]["validation_score"] == 0.25
    (plane / "echo.py").write_text("print(0.5)\n", encoding="utf-8")
    other = kz.ok("P12", **flags, candidate="Shout.", answers="none", _command=[sys.executable, "echo.py"])
    first, second = (kz.ok("P13", id=one["id"])["run"]["scorer_version"] for one in (reply, other))
    assert first != second and set(json.loads((plane / "seen.json").read_text(encoding="utf-8"))) == set(seen)


def test_without_a_model_a_command_gets_null_for_the_output(kz, plane):
    kz.ok("K1")
    (plane / "strict.py").write_text(
        "import json, sys\nseen = json.load(sys.stdin)\nassert seen['output'] is None\nprint(len(seen['candidate']))\n",
        encoding="utf-8",
    )
    cases = json.dumps([{"name": name, "input": name} for name in "abcd"])
    flags = {"contract": "c", "body": "a", "candidate": "bb", "cases": cases, "answers": "none"}
    assert kz.ok("P12", **flags, _command=[sys.executable, "strict.py"])["winner"]["validation_score"] == 2


@pytest.mark.parametrize(
    ("script", "said"),
    [("import sys; sys.exit('broken')", "exit code 1: broken"), ("import time; time.sleep(60)", "longer than 0.5 seconds")],
)
def test_a_scorer_that_fails_stops_the_run_unless_a_failed_case_has_a_score(kz, given, script, said):
    command = [sys.executable, "-c", script]
    short = {**given, "cases": json.dumps(GIVEN[:2])}
    refused = kz.denied("DENIED_SCORER_FAILED", "P12", **short, timeout=0.5, _command=command)
    assert said in refused["reason"] and refused["candidate"] == 0 and refused["resume"].endswith(refused["run_id"])
    assert kz.ok("P14")["records"][0]["status"] == "failed"
    reply = kz.ok("P12", **short, timeout=0.5, failed_score=-1, _command=command)
    assert reply["baseline"]["validation_score"] == -1 and reply["calls"] == 2
    assert kz.ok("P13", id=reply["id"])["cost"]["score"]["calls"] == 2


@pytest.mark.parametrize(
    "printed", ["NaN", "Infinity", "1e400", '{"score": NaN}', '{"score": "high"}', "true", "{}", "", "good", "1e200"]
)
def test_what_is_no_finite_number_is_no_score(kz, given, printed):
    refused = kz.denied("DENIED_SCORE_INVALID", "P12", **given, failed_score=0, _command=["printf", "%s", printed])
    assert refused["required_action"].startswith("Let it")


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "None", "True", "'1'", "{'score': None}", "10 ** 400"])
def test_a_callable_that_gives_no_number_is_refused(kz, plane, given, value):
    (plane / "odd.py").write_text(f"def score(candidate, case, output):\n    return {value}\n", encoding="utf-8")
    kz.denied("DENIED_SCORE_INVALID", "P12", **given, scorer="odd:score")


def test_what_a_scorer_says_it_used_up_has_to_be_an_amount(kz, plane, given):
    (plane / "greedy.py").write_text(
        "def score(candidate, case, output):\n    return {'score': 1, 'cost_usd': -1}\n", encoding="utf-8"
    )
    assert "cost_usd" in kz.denied("DENIED_SCORE_INVALID", "P12", **given, scorer="greedy:score")["required_action"]


def test_a_callable_that_raises_or_prints(kz, plane, given, capfd):
    (plane / "loud.py").write_text(
        "def raises(candidate, case, output):\n    raise ValueError('no such thing')\n"
        "def prints(candidate, case, output):\n    print('hello')\n    return 1\n",
        encoding="utf-8",
    )
    assert "ValueError: no such thing" in kz.denied("DENIED_SCORER_FAILED", "P12", **given, scorer="loud:raises")["reason"]
    assert kz.ok("P12", **given, scorer="loud:prints")["baseline"]["validation_score"] == 1


@pytest.mark.parametrize(
    ("scorer", "reason"),
    [
        ("json:loads", "outside the project"),
        ("no_such_module:score", "ModuleNotFoundError"),
        ("planted_scorer:nothing", "has no callable"),
        ("planted_scorer", "module:function"),
        ("../x:score", "module:function"),
    ],
)
def test_a_scorer_that_is_not_there_is_refused_before_anything_is_written(kz, task, scorer, reason):
    refused = kz.denied("DENIED_SCORER_NOT_FOUND", "P12", **{**task, "scorer": scorer})
    assert reason in refused["reason"] and kz.ok("P14")["records"] == []


def test_a_command_that_is_not_there_is_refused_before_anything_is_written(kz, given):
    kz.denied("DENIED_COMMAND_NOT_FOUND", "P12", **given, _command=["no-such-program-at-all"])
    assert kz.ok("P14")["records"] == []


def test_a_model_judges_by_a_rubric(kz, task, text_model):
    def answer(body):
        asked = body["messages"][-1]["content"]
        if "The rubric:" not in asked:
            return planted.model(body)
        shouted = asked.rpartition("The text to judge:")[2].strip().splitlines()[1].isupper()
        return json.dumps({"verdict": "pass" if shouted else "fail", "score": float(shouted), "rationale": "missing: upper"})

    text_model.answer = answer
    flags = {**task, "scorer": None, "rubric": "The answer is in upper case."}
    reply = kz.ok("P12", **flags, rounds=2)
    assert reply["winner"]["validation_score"] == 1 and reply["scorer"] == "judge fake"
    assert kz.ok("P13", id=reply["id"])["cost"]["judge"]["calls"] > 0
    text_model.answer = lambda body: "I cannot say." if "The rubric:" in body["messages"][-1]["content"] else planted.model(body)
    kz.denied("DENIED_BACKEND_MALFORMED", "P12", **flags, rounds=2)
    assert kz.ok("P12", **flags, rounds=1, failed_score=0)["baseline"]["validation_score"] == 0


def test_a_reflection_that_says_nothing_is_asked_for_once_more_and_costs_what_it_costs(kz, task, text_model):
    text_model.answer = lambda body: "" if len(body["messages"]) == 1 else planted.model(body)
    kz.denied("DENIED_BACKEND_MALFORMED", "P12", **task, rounds=2)
    text_model.requests.clear()
    reply = kz.ok("P12", **task, rounds=2, failed_score=0)
    assert reply["candidates"] == 1 and reply["verdict"] == "no difference shown"
    assert kz.ok("P13", id=reply["id"])["cost"]["reflection"]["calls"] == 4
    assert sum("You improve a text" in body for body in planted.chats(text_model.requests)) == 4


# --- what cannot be meant -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"contract": None}, "DENIED_CONTRACT_REQUIRED"),
        ({"body": None}, "DENIED_TEXT_REQUIRED"),
        ({"cases": None}, "DENIED_CASES_REQUIRED"),
        ({"category": "behavior"}, "DENIED_FLAG_CONFLICT"),
        ({"cases": None, "category": "behavior"}, "DENIED_NO_EVAL_CASES"),
        ({"cases": "[]"}, "DENIED_CASES_TOO_FEW"),
        ({"cases": '[{"name": "a", "input": 1}]'}, "DENIED_CASES_TOO_FEW"),
        ({"cases": '{"name": "a", "input": 1}\n{"name": "a", "input": 2}'}, "DENIED_CASES_INVALID"),
        ({"cases": '{"name": "a", "input": 1}\nnonsense'}, "DENIED_CASES_INVALID"),
        ({"cases": '{"name": "a"}'}, "DENIED_CASES_INVALID"),
        ({"cases": '{"input": "a"}'}, "DENIED_CASES_INVALID"),
        ({"cases": '{"name": "a", "input": 12345678901234567890}'}, "DENIED_CASES_INVALID"),
        ({"_command": None}, "DENIED_SCORER_REQUIRED"),
        ({"scorer": "a:b"}, "DENIED_FLAG_CONFLICT"),
        ({"candidate": None}, "DENIED_BACKEND_UNCONFIGURED"),
        ({"candidate": None, "engine": "candidates"}, "DENIED_CANDIDATE_REQUIRED"),
        ({"candidate": "say it"}, "DENIED_CANDIDATE_REQUIRED"),
        ({"engine": "gepa"}, "DENIED_FLAG_CONFLICT"),
        ({"train_share": 0.2}, "DENIED_FLAG_CONFLICT"),
        ({"candidate": None, "engine": "gepa", "train_share": 0.8, "validation_share": 0.3}, "DENIED_SCHEMA_RANGE"),
        ({"candidate_file": "no-such-file.md"}, "DENIED_FILE_NOT_FOUND"),
        ({"answers": "model"}, "DENIED_BACKEND_UNCONFIGURED"),
        ({"resume": "opt_20260101000000_0123456789"}, "DENIED_FLAG_CONFLICT"),
        ({"_command": ["sh", "-c", "x --password=AKIAABCDEFGHIJKLMNOP"]}, "DENIED_REDACTION"),
        ({"task_id": "t_20260101000000_0123456789"}, "DENIED_REFERENCE_NOT_FOUND"),
    ],
)
def test_what_is_refused_writes_nothing(kz, given, change, code):
    kz.denied(code, "P12", **{**given, "_command": COUNT, **change})
    assert kz.ok("P14")["records"] == []


def test_the_names_that_cases_share_and_the_line_at_fault_are_said(kz, given):
    twice = '{"name": "a", "input": 1}\n{"name": "a", "input": 2}\n{"name": "b", "input": 2}'
    assert kz.denied("DENIED_CASES_INVALID", "P12", **{**given, "cases": twice}, _command=COUNT)["names"] == ["a"]
    broken = '{"name": "a", "input": 1}\n\n{"name": "b", "input": }'
    assert kz.denied("DENIED_CASES_INVALID", "P12", **{**given, "cases": broken}, _command=COUNT)["line"] == 3


def test_a_model_that_the_server_does_not_list_is_refused(kz, task):
    refused = kz.denied("DENIED_MODEL_UNKNOWN", "P12", **task, model="no-such-model")
    assert refused["models"] == ["fake"] and kz.ok("P14")["records"] == []


def test_without_the_package_the_engine_says_how_to_get_it(kz, task, without):
    without("gepa")
    refused = kz.denied("DENIED_BACKEND_UNAVAILABLE", "P12", **task)
    assert "python -m pip install -r requirements-optimize.txt" in refused["required_action"]


def test_an_empty_file_is_no_candidate(kz, plane, given):
    (plane / "empty.md").write_text("\n", encoding="utf-8")
    flags = {**given, "candidate": None, "candidate_file": str(plane / "empty.md")}
    kz.denied("DENIED_CANDIDATE_REQUIRED", "P12", **flags, _command=COUNT)
    (plane / "secret.md").write_text("AKIA" + "ABCDEFGHIJKLMNOP", encoding="utf-8")
    kz.denied("DENIED_REDACTION", "P12", **{**flags, "candidate_file": str(plane / "secret.md")}, _command=COUNT)
    (plane / "latin.md").write_bytes(b"\xff\xfe\x00")
    kz.denied("DENIED_FILE_NOT_UTF8", "P12", **{**flags, "candidate_file": str(plane / "latin.md")}, _command=COUNT)


def test_eval_cases_of_a_category_are_cases(kz, given):
    for n in range(4):
        kz.ok("Q3", title=f"Case {n}", summary="please", category="routing", expected_json='{"route": "a"}')
    kz.ok("Q3", title="Other", summary="Not this one.", category="proof")
    flags = {**given, "cases": None, "category": "routing", "candidate": "x"}
    reply = kz.ok("P12", **flags, _command=["awk", "{print /please/ && /route/}"])
    assert sum(reply["cases"].values()) == 4 and reply["baseline"]["validation_score"] == 1
