"""A planted task for the optimizer: a scripted model that follows the rules its instructions name, and learns what the feedback says.

A case is a word. The right answer is the word in upper case, with an exclamation mark. The model does each of it only where its
instructions say so, and a reflection adds the one rule that the feedback of the cases asks for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BASELINE = "Answer with the word."
RULES = {"upper": "Write it in upper case.", "mark": "Put an exclamation mark behind it."}
WORDS = "apple pear plum fig kiwi lime date grape melon peach mango cherry berry olive lemon quince papaya guava".split()

SCORER = '''
def score(candidate, case, output):
    """Half for upper case, half for the mark."""
    text = candidate if output is None else output
    upper, mark = text == text.upper(), text.endswith("!")
    said = [] if upper else ["missing: upper"]
    said += [] if mark or said else ["missing: mark"]
    return {"score": (upper + mark) / 2, "feedback": "; ".join(said) or "right"}


def even(candidate, case, output):
    return {"score": 0.5, "feedback": "missing: upper"}
'''


def model(body: dict[str, Any]) -> str:
    """What the scripted model answers to a request of the OpenAI protocol."""
    system = next((message["content"] for message in body["messages"] if message["role"] == "system"), "")
    asked = body["messages"][-1]["content"]
    if asked.startswith("You improve a text"):
        return reflected(asked)
    answer = asked.upper() if RULES["upper"] in system else asked
    return answer + "!" if RULES["mark"] in system else answer


def reflected(asked: str) -> str:
    """The text of a reflection's prompt, with the rule that its feedback asks for."""
    text = re.search(r"```\n(.*?)\n```", asked, re.DOTALL)
    assert text
    missing = [name for name in RULES if f"missing: {name}" in asked]
    lines = [text[1], *(RULES[name] for name in missing[:1] if RULES[name] not in text[1])]
    return "Here it is:\n```\n" + "\n".join(lines) + "\n```"


def cases(count: int = 18) -> str:
    """The cases as JSON lines."""
    return "".join(
        json.dumps({"name": f"c{n:02}", "input": word, "expected": f"{word.upper()}!"}) + "\n"
        for n, word in enumerate(WORDS[:count])
    )


def written(folder: Path, count: int = 18) -> dict[str, str]:
    """The task as files of a project; the flags of a run on it."""
    (folder / "planted_scorer.py").write_text(SCORER, encoding="utf-8")
    (folder / "cases.jsonl").write_text(cases(count), encoding="utf-8")
    (folder / "prompt.md").write_text(BASELINE, encoding="utf-8")
    return {
        "contract": "answers",
        "summary": "Answer as the cases expect.",
        "body_file": str(folder / "prompt.md"),
        "cases_file": str(folder / "cases.jsonl"),
        "scorer": "planted_scorer:score",
    }


def chats(requests: Sequence[tuple[str, dict[str, Any], dict[str, str]]]) -> list[str]:
    """The paid requests that a server got, each as text."""
    return [json.dumps(body, sort_keys=True) for path, body, _ in requests if path == "/v1/chat/completions"]
