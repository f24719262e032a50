"""The labelled questions: their shape, and that what answers them stands in the documents."""

from __future__ import annotations

import json

import pytest

from support_scripts import bench_retrieval
from support_scripts.bench_retrieval import Measured, Question, difference, flattened


@pytest.fixture(scope="module")
def documents():
    return {name: flattened(text) for name, text in bench_retrieval.corpus().items()}


def test_every_question_is_one_of_its_own(documents):
    lines = bench_retrieval.QUESTIONS.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 220
    assert all(set(row) == {"id", "question", "document", "quote"} for row in rows)
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)
    assert all(row["quote"] == flattened(row["quote"]) and len(row["quote"]) >= 18 for row in rows)
    # A question that repeats its answer would measure nothing.
    assert all(row["quote"].lower() not in row["question"].lower() for row in rows)


def test_the_answers_stand_in_the_documents(documents):
    asked = bench_retrieval.questions()
    found = bench_retrieval.answerable(asked)
    # Other versions of Python say some things in other words.
    assert len(found) >= 0.75 * len(asked)
    assert all(sum(text.count(question.quote) for text in documents.values()) <= 5 for question in found)


def test_the_documents_repeat():
    assert bench_retrieval.corpus() == bench_retrieval.corpus()


QUESTION = Question("q", "how?", "a.md", "Rename this path to the target path")


@pytest.mark.parametrize(
    ("document", "text", "right"),
    [
        ("a.md", "x\nRename this path\n to the target path. y", True),
        ("b.md", "Rename this path to the target path", True),
        ("a.md", "before. Rename this path to the", True),
        ("a.md", "path to the target path. after", True),
        ("b.md", "path to the target path. after", False),
        ("a.md", "before. Rename this", False),
        ("a.md", "Rename that path to the target", False),
    ],
)
def test_a_chunk_is_right_that_holds_half_of_the_quote(document, text, right):
    assert QUESTION.is_answered_by(document, text) is right


def test_measures_are_those_of_the_places():
    one = Measured("one", {"a": 1, "b": 2, "c": 0, "d": 10}, 1.0)
    assert (one.mrr, one.recall) == (pytest.approx(0.4), 0.75)
    other = Measured("other", {"a": 1, "b": 1, "c": 0, "d": 10}, 1.0)
    assert difference(other, one)["mrr_difference"] == 0.125
