"""Questions: what an agent asks a person, and what counts as an answer.

An answer is an object: the question (its text, its header or its number from 1) -> a label of its options; of a question that takes
several, a list of labels; or {"other": "a text of one's own"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .. import clock, denial
from . import events, records

if TYPE_CHECKING:
    from ..store import Row, Store

Asked = Sequence[Mapping[str, Any]]

# How long an answer counts for the same questions where no run says that they are of one piece.
SAME_FOR = timedelta(days=1)


class Unfit(Exception):
    """What was answered is no answer; the text says why."""


def judged(questions: Asked, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Question -> the label that was chosen, or the list of labels; a text of one's own as it is. Raises Unfit."""
    if not isinstance(answers, Mapping):
        raise Unfit("answers are an object: question -> label")
    keys: dict[str, str] = {}
    for number, question in enumerate(questions, 1):
        for name in (question["question"], question.get("header"), str(number)):
            if name:
                keys.setdefault(name, question["question"])
    given: dict[str, Any] = {}
    for name, answer in answers.items():
        if name not in keys:
            raise Unfit(f"{name!r} is none of the questions: {', '.join(repr(one['question']) for one in questions)}")
        if keys[name] in given:
            raise Unfit(f"{keys[name]!r} is answered twice")
        given[keys[name]] = answer
    unanswered = [question["question"] for question in questions if question["question"] not in given]
    if unanswered:
        raise Unfit(f"not answered: {', '.join(map(repr, unanswered))}")
    return {question["question"]: _judged(question, given[question["question"]]) for question in questions}


def _judged(question: Mapping[str, Any], answer: Any) -> Any:
    labels = [option["label"] for option in question["options"]]
    several = bool(question.get("multiSelect"))
    chosen = answer if isinstance(answer, list) else [answer]
    if not chosen or (len(chosen) > 1 and not several):
        raise Unfit(f"{question['question']!r} takes {'at least one label' if several else 'one label'}")
    found = [_label(question["question"], labels, one) for one in chosen]
    if len(set(found)) < len(found):
        raise Unfit(f"{question['question']!r}: a label is there twice")
    return found if several else found[0]


def _label(question: str, labels: Sequence[str], answer: Any) -> str:
    own = answer["other"] if isinstance(answer, Mapping) and list(answer) == ["other"] else None
    if isinstance(own, str) and own.strip():
        return own
    if isinstance(answer, str) and answer in labels:
        return answer
    raise Unfit(f'{question!r}: {answer!r} is none of {", ".join(map(repr, labels))}; write {{"other": TEXT}} for another answer')


# --- questions in the plane -----------------------------------------------------------------------


def leave(
    store: Store, questions: Asked, *, run_id: str | None = None, task_id: str | None = None, call_id: str | None = None
) -> Row:
    """Leave questions for a person; their row. In a unit of work. The same ones that wait already are not left twice."""
    text = _text(questions)
    where: dict[str, Any] = {"run_id": run_id, "status": "open", "is_open": 1, "questions_json": text}
    waiting = store.list("question", where, limit=1)
    if waiting:
        return waiting[0]
    said: dict[str, Any] = {"questions_json": text, "run_id": run_id, "task_id": task_id, "call_id": call_id}
    return store.add(records.Question(**said))


def answered(store: Store, questions: Asked, *, run_id: str | None = None) -> Row | None:
    """The newest of the same questions in the same run that was answered; without a run, one of the last day."""
    where: dict[str, Any] = {"run_id": run_id, "status": "done", "questions_json": _text(questions), "retired_reason": None}
    if run_id is None:
        where["updated_at"] = (">=", clock.iso(clock.moment() - SAME_FOR))
    found = store.list("question", where, limit=1)
    return found[0] if found else None


def answer(store: Store, question_id: str, answers: Mapping[str, Any]) -> Row:
    """Write down the answers to questions, once; their row. In a unit of work."""
    row = store.get("question", question_id)
    if row["status"] != "open":
        raise denial.QuestionAnswered(id=question_id, answers=json.loads(row["answers_json"] or "{}"))
    asked = json.loads(row["questions_json"])
    try:
        given = judged(asked, answers)
    except Unfit as fault:
        raise denial.AnswersUnfit(
            message=f"These are no answers to the questions: {fault}.", id=question_id, questions=asked
        ) from None
    return store.revise("question", question_id, {"answers_json": json.dumps(given, ensure_ascii=False), "status": "done"})


def _text(questions: Asked) -> str:
    return json.dumps(events.shown([dict(one) for one in questions])[0], ensure_ascii=False, sort_keys=True)


# --- a person at a terminal -----------------------------------------------------------------------


def has_terminal() -> bool:
    """Whether somebody can be asked here: stdin and stderr are terminals."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def at_terminal(questions: Asked) -> dict[str, Any]:
    """Ask a person at the terminal, on stderr; the answers. A question that is answered with nonsense is asked again.
    Raises EOFError where the person ends the input."""
    return {question["question"]: _asked(question) for question in questions}


def _asked(question: Mapping[str, Any]) -> Any:
    options, several = question["options"], bool(question.get("multiSelect"))
    _say(f"\n{question['question']}")
    for number, option in enumerate(options, 1):
        _say(f"  {number}. {option['label']}" + (f" - {option['description']}" if option.get("description") else ""))
    hint = "numbers with commas between them" if several else "a number"
    while True:
        _say(f"Your answer ({hint}, or a text of your own): ", end="")
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        words = [word.strip() for word in line.split(",")] if several else [line.strip()]
        if all(word.isdigit() and 1 <= int(word) <= len(options) for word in words):
            labels = [options[int(word) - 1]["label"] for word in words]
            return labels if several else labels[0]
        if line.strip() and not any(word.isdigit() for word in words):
            return {"other": line.strip()}


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()
