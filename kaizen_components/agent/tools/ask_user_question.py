"""ask_user_question: what only a person can decide."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ...call import Result
from ..tool import Access, Context, Given, Outcome, Tool, ToolError

if TYPE_CHECKING:
    from ...store import Row, Store


class Option(Given):
    label: str = Field(min_length=1, max_length=200, description="What is chosen, in a few words")
    description: str = Field("", max_length=2_000, description="What it means")


class Question(Given):
    question: str = Field(min_length=1, max_length=2_000, description="The whole question")
    header: str = Field(min_length=1, max_length=100, description="The question in a word or two")
    options: list[Option] = Field(min_length=2, max_length=4, description="What can be chosen; a text of one's own always can")
    multiSelect: bool = Field(False, description="Several can be chosen")


class QuestionGiven(Given):
    questions: list[Question] = Field(min_length=1, max_length=4, description="What to ask")


class AskUserQuestion(Tool):
    """Ask a person between one and four questions, each with two to four options.

    The answer is an object: question -> the label that was chosen, or the list of labels where several can be. A person may also answer
    with a text of their own. Where nobody can be asked now, the questions wait in the data plane, and the call fails with `unanswered`:
    do something else, and ask the same again later.
    """

    name = "ask_user_question"
    group = "interaction"
    takes = QuestionGiven
    rule_names = ("AskUserQuestion",)
    reads_only = True

    def accesses(self, given: QuestionGiven, context: Context) -> Sequence[Access]:
        return ()

    def run(self, given: QuestionGiven, context: Context) -> Outcome:
        asked = [question.model_dump() for question in given.questions]
        _refuse_twins(asked)
        if context.ask is not None:
            return _asked_now(asked, context)
        store = context.store
        if store is None:
            raise ToolError("unanswered", "There is nobody to ask, and no data plane to leave the questions in.")
        return _asked_later(asked, store, context)


def _refuse_twins(asked: Sequence[Mapping[str, Any]]) -> None:
    texts = [question["question"] for question in asked]
    if len(set(texts)) < len(texts):
        raise ToolError("bad_argument", "A question is there twice.")
    for question in asked:
        labels = [option["label"] for option in question["options"]]
        if len(set(labels)) < len(labels):
            raise ToolError("bad_argument", f"{question['question']!r} has an option twice.")


def _asked_now(asked: Sequence[dict[str, Any]], context: Context) -> Outcome:
    """Ask whoever is there. Somebody who says nothing, or nonsense, has not answered."""
    from .. import questions

    assert context.ask is not None
    try:
        said = context.ask(asked)
        if inspect.iscoroutine(said):
            import asyncio

            # In a loop of its own: tools are at work in a thread that has none.
            said = asyncio.run(said)
        return Outcome({"answers": questions.judged(asked, said)}, {"asked": "now"})
    except questions.Unfit as fault:
        raise ToolError("unanswered", f"The answer fits no question: {fault}.") from None
    except (EOFError, TimeoutError):
        raise ToolError("unanswered", "Nobody answered.") from None


def _asked_later(asked: Sequence[dict[str, Any]], store: Store, context: Context) -> Outcome:
    """The answer that was given to these questions before; else leave them in the plane, and say so."""
    from .. import questions

    found: list[Row | None] = []

    def work() -> Result:
        found.append(questions.answered(store, asked, run_id=context.run_id))
        if found[0] is not None:
            return Result(id=found[0]["id"])
        return Result(
            id=questions.leave(store, asked, run_id=context.run_id, task_id=context.task_id, call_id=context.call_id)["id"]
        )

    question_id = store.perform(replace(store.call, key=None), work)["id"]
    if found[0] is None:
        raise ToolError(
            "unanswered",
            f"Nobody can be asked now. The questions wait for an answer as {question_id}:"
            f' python kaizen.py N7 --id {question_id} --payload-json \'{{"1": "LABEL"}}\'; then ask the same again.',
            question_id=question_id,
        )
    # By position: in the record a secret in a question is masked.
    answers = list(json.loads(found[0]["answers_json"]).values())
    given = {question["question"]: answer for question, answer in zip(asked, answers, strict=True)}
    return Outcome({"answers": given}, {"asked": "before", "question_id": question_id})
