"""Questions: asked of whoever is there, else left in the plane, and answered once."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys

import pytest
from agents import act
from conftest import ROOT
from pydantic import ValidationError

from kaizen_components.agent import questions
from kaizen_components.agent.tool import ToolError

DATABASE = {
    "question": "Which database?",
    "header": "Database",
    "options": [{"label": "PostgreSQL", "description": "For production"}, {"label": "SQLite", "description": ""}],
    "multiSelect": False,
}
PARTS = {
    "question": "Which parts?",
    "header": "Parts",
    "options": [{"label": "Login"}, {"label": "Logout"}, {"label": "Reset"}],
    "multiSelect": True,
}


def asked(*which, **context):
    return act("ask_user_question", {"questions": [*(which or (DATABASE, PARTS))]}, **context)


def left(kz, **context):
    """Leave both questions, and their id."""
    with pytest.raises(ToolError) as fault:
        asked(**context)
    assert fault.value.kind == "unanswered"
    return fault.value.metadata["question_id"]


def answer(kz, question_id, answers):
    return kz("N7", id=question_id, payload_json=json.dumps(answers))


# --- asked now ------------------------------------------------------------------------------------


def test_a_callback_answers_at_once(kz):
    outcome = asked(ask=lambda questions: {"Which database?": "SQLite", "Which parts?": ["Login", "Reset"]})
    assert outcome.output == {"answers": {"Which database?": "SQLite", "Which parts?": ["Login", "Reset"]}}
    assert kz.ok("N11")["count"] == 0


@pytest.mark.parametrize(
    "said", [None, {}, {"Which database?": "Oracle"}, {"Which database?": ["SQLite", "PostgreSQL"]}, "SQLite"]
)
def test_a_callback_that_says_nothing_or_nonsense_has_not_answered(kz, said):
    with pytest.raises(ToolError) as fault:
        asked(DATABASE, ask=lambda questions: said)
    assert fault.value.kind == "unanswered"


def test_somebody_who_goes_away_has_not_answered(kz):
    def gone(questions):
        raise EOFError

    with pytest.raises(ToolError, match="Nobody answered"):
        asked(DATABASE, ask=gone)


@pytest.mark.parametrize(
    "which",
    [
        [],
        [DATABASE] * 5,
        [{**DATABASE, "options": DATABASE["options"][:1]}],
        [{**DATABASE, "options": [{"label": str(n)} for n in range(5)]}],
        [{**DATABASE, "colour": "red"}],
    ],
)
def test_one_to_four_questions_with_two_to_four_options(which):
    with pytest.raises(ValidationError):
        act("ask_user_question", {"questions": which})


def test_a_question_or_an_option_that_is_there_twice_is_refused():
    twice = {**DATABASE, "options": [{"label": "SQLite"}, {"label": "SQLite"}]}
    for which in ([DATABASE, DATABASE], [twice]):
        with pytest.raises(ToolError, match="twice"):
            asked(*which)


# --- asked later ----------------------------------------------------------------------------------


def test_nobody_to_ask_is_a_failure_that_names_the_record(kz):
    question_id = left(kz)
    waiting = kz.ok("N11", status="open")["records"]
    assert [one["id"] for one in waiting] == [question_id]
    assert [one["question"] for one in waiting[0]["questions"]] == ["Which database?", "Which parts?"]
    assert left(kz) == question_id and kz.ok("N11")["count"] == 1


def test_without_a_plane_nobody_can_answer_later():
    with pytest.raises(ToolError) as fault:
        asked(store=None)
    assert fault.value.kind == "unanswered" and "question_id" not in fault.value.metadata


def test_the_answer_is_there_when_the_same_is_asked_again(kz):
    run_id = kz.ok("T5", summary="Repair.")["id"]
    question_id = left(kz, run_id=run_id)
    assert [one["id"] for one in kz.ok("T7", id=run_id)["questions"]] == [question_id]
    assert answer(kz, question_id, {"Database": "SQLite", "2": ["Login", "Logout"]}).code == 0
    outcome = asked(run_id=run_id)
    assert outcome.output["answers"] == {"Which database?": "SQLite", "Which parts?": ["Login", "Logout"]}
    assert outcome.metadata["question_id"] == question_id
    assert kz.ok("T7", id=run_id)["questions"] == []
    other = kz.ok("T5", summary="Another.")["id"]
    assert left(kz, run_id=other) != question_id


def test_an_answer_is_given_once(kz):
    question_id = left(kz)
    assert answer(kz, question_id, {"1": "SQLite", "2": ["Login"]}).code == 0
    refused = answer(kz, question_id, {"1": "PostgreSQL", "2": ["Login"]})
    assert refused["code"] == "DENIED_QUESTION_ANSWERED" and refused["answers"]["Which database?"] == "SQLite"


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"1": "SQLite"},
        {"1": "SQLite", "2": []},
        {"1": "sqlite", "2": ["Login"]},
        {"1": ["SQLite", "PostgreSQL"], "2": ["Login"]},
        {"1": "SQLite", "2": ["Login", "Login"]},
        {"1": "SQLite", "Database": "SQLite", "2": ["Login"]},
        {"1": "SQLite", "2": ["Login"], "3": "x"},
        {"1": {"other": " "}, "2": ["Login"]},
        {"1": 1, "2": ["Login"]},
    ],
)
def test_an_answer_fits_the_options(kz, answers):
    question_id = left(kz)
    refused = answer(kz, question_id, answers)
    assert refused["code"] == "DENIED_ANSWERS_UNFIT" and refused["questions"], refused
    assert kz.ok("N11", status="open")["count"] == 1


def test_a_text_of_ones_own_is_an_answer(kz):
    question_id = left(kz)
    reply = answer(kz, question_id, {"1": {"other": "DuckDB"}, "2": ["Login", {"other": "Sign-up"}]})
    assert reply["answers"] == {"Which database?": "DuckDB", "Which parts?": ["Login", "Sign-up"]}


def test_an_old_answer_without_a_run_counts_no_more(kz, monkeypatch):
    from datetime import timedelta

    answer(kz, left(kz), {"1": "SQLite", "2": ["Login"]})
    assert asked().metadata["asked"] == "before"
    monkeypatch.setattr(questions, "SAME_FOR", timedelta(seconds=-1))
    left(kz)


def test_the_list_for_a_person_shows_options_and_answers(kz):
    answer(kz, left(kz), {"1": "SQLite", "2": ["Login", "Reset"]})
    shown = kz("N11", _text=True).stdout
    assert "1. Which database? [PostgreSQL | SQLite] -> SQLite" in shown and "-> Login, Reset" in shown


# --- a person at a terminal -----------------------------------------------------------------------

AT_TERMINAL = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from kaizen_components.agent import questions
assert questions.has_terminal()
print(json.dumps(questions.at_terminal({[DATABASE, PARTS]!r})))
"""


def test_a_person_at_a_terminal_is_asked_until_the_answer_makes_sense():
    leader, follower = pty.openpty()
    running = subprocess.Popen([sys.executable, "-S", "-c", AT_TERMINAL], stdin=follower, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    try:
        for line in ("7", "2", "1, 3"):
            assert select.select([leader], [], [], 10)[0]
            os.write(leader, f"{line}\n".encode())
        said, _ = running.communicate(timeout=10)
    finally:
        running.kill()
        os.close(leader)
    assert json.loads(said) == {"Which database?": "SQLite", "Which parts?": ["Login", "Reset"]}


def test_without_a_terminal_there_is_none():
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from kaizen_components.agent import questions; print(questions.has_terminal())"
    ran = subprocess.run([sys.executable, "-S", "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert ran.stdout.strip() == "False", ran.stderr
