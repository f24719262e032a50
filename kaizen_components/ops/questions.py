"""Questions: what agents asked, and what people answered."""

import json
from typing import Annotated

from .. import denial
from ..agent import questions, records
from ..fields import JsonObject, RawText, Vocabulary, parse_json
from ..op import Result, op
from ..record import Field, Input
from ..store import Store
from . import lifecycle
from .lifecycle import listing

EXAMPLE = "--id qn_20260101000000_0123456789"


class Answer(Input):
    """Answers to questions that wait."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the question record")
    payload_json: JsonObject = Field(
        file=True, file_wins=True, description="JSON object: question, header or number -> label, labels, or an object with other"
    )


@op(
    "N7",
    "question-answer",
    writes=True,
    keywords="answer ask user question reply decide",
    example=f'{EXAMPLE} --payload-json \'{{"1": "SQLite"}}\'',
)
def question_answer(given: Answer, store: Store) -> Result:
    """Answer the questions that an agent left, once.

    Each question is named by its text, its header or its number from 1. Its answer is a label of its options, a list of
    labels where several can be chosen, or {"other": "a text of one's own"}. The agent gets the answers when it asks again.
    """
    row = questions.answer(store, given.id, parse_json(given.payload_json, "payload_json"))
    return lifecycle.written(row, answers=json.loads(row["answers_json"]), run_id=row["run_id"])


class QuestionWindow(listing(records.Question, filters=("run_id",))):
    """Questions, by where they stand."""

    status: Annotated[str, Vocabulary(*records.QUESTION_STATUSES)] | None = Field(
        None, description="Only records with this status"
    )


@op("N11", "question-list", keywords="questions ask user waiting open unanswered show", example="--status open")
def question_list(window: QuestionWindow, store: Store) -> Result:
    """List the questions that agents left, newest first, with what was answered."""
    limit, offset = window.window()
    rows = store.list("question", window.where(), limit=limit, offset=offset)
    shown = [
        {
            "id": row["id"],
            "status": row["status"],
            "questions": json.loads(row["questions_json"]),
            "answers": json.loads(row["answers_json"]) if row["answers_json"] else None,
            "run_id": row["run_id"],
            "created_at": row["created_at"],
        }
        for row in rows
    ]
    result = Result(records=shown, count=len(shown))
    result.view = lambda width: "\n".join(_lines(row) for row in shown) or "No questions."
    return result


def _lines(row: dict[str, object]) -> str:
    """A record of questions for a person."""
    lines = [f"{row['id']}  {row['status']}"]
    answers = row["answers"] if isinstance(row["answers"], dict) else {}
    for number, question in enumerate(row["questions"] if isinstance(row["questions"], list) else [], 1):
        labels = " | ".join(option["label"] for option in question["options"])
        answer = answers.get(question["question"])
        said = f" -> {', '.join(answer) if isinstance(answer, list) else answer}" if answer is not None else ""
        lines.append(f"  {number}. {question['question']} [{labels}]{said}")
    return "\n".join(lines)
