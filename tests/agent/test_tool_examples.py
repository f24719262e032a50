"""Examples of calls: one for each tool, which it takes, in the document and in its refusals; and refusals in plain words."""

from __future__ import annotations

import json
import shlex

import pytest
from conftest import ROOT

from kaizen_components.agent.registry import EXAMPLES, NATIVE, example, native

DOCUMENT = (ROOT / "docs/TOOLS.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NATIVE)
def test_every_tool_has_an_example_that_it_takes(name):
    assert list(EXAMPLES) == list(NATIVE)
    native(name).takes.model_validate(EXAMPLES[name])
    assert json.loads(shlex.split(example(name))[-1]) == EXAMPLES[name]
    assert f"Example: `{json.dumps(EXAMPLES[name])}`" in DOCUMENT.partition(f"### `{name}`")[2].partition("###")[0]


def test_a_refusal_shows_a_call_of_the_tool_that_was_called(kz):
    for op in ("N2", "N3"):
        reply = kz.denied("DENIED_TOOL_ARGUMENTS", op, tool="glob", payload_json='{"path": 5}')
        assert reply["example"] == example("glob", op)
    kz.ok("N4", action="add", decision="deny", rule="Write")
    denied = kz.denied("DENIED_PERMISSION", "N2", tool="write_file", payload_json='{"path": "a", "content": "x"}')
    assert denied["example"] == example("write_file")
    unknown = kz.denied("DENIED_TOOL_UNKNOWN", "N2", tool="zzzz", payload_json="{}")
    assert "read_file" in unknown["example"]


OBJECT = "an object is needed, with question, header, options, multiSelect, not a text"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("ask_user_question", {"questions": ["Which?"]}, f"questions.0: {OBJECT}"),
        ("ask_user_question", {"questions": []}, "questions: it has too few entries; needed: 1"),
        ("ask_user_question", {"questions": [{**EXAMPLES["ask_user_question"]["questions"][0], "k": 1}]}, "questions.0.k: there is no such field"),
        ("read_file", {}, "path: it is required"),
        ("read_file", {"path": "a", "limit": 0}, "limit: a number of 1 or more is needed"),
        ("read_file", {"path": "a", "offset": 1.5}, "offset: a whole number is needed, not a decimal number"),
        ("read_file", {"path": "a\0"}, "path: a path holds no NUL character"),
        (
            "todo_write",
            {"todos": [{"content": "x", "status": "later", "activeForm": "x"}]},
            "todos.0.status: one of 'pending', 'in_progress' or 'completed' is needed",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_arguments_is_said_in_plain_words(kz, name, arguments, said):
    reply = kz.denied("DENIED_TOOL_ARGUMENTS", "N3", tool=name, payload_json=json.dumps(arguments))
    assert reply["message"] == said


def test_the_document_shows_what_is_in_objects():
    assert (
        "Each of `todos` is an object:" in DOCUMENT
        and "| `status` | `pending`, `in_progress`, `completed` | required |" in DOCUMENT
    )
    assert "Each of `options` is an object:" in DOCUMENT and "Each of `allowedPrompts` is an object:" in DOCUMENT


def test_ways_to_look_after_calls_and_runs_are_found_and_named(kz):
    found = [one["code"] for one in kz.ok("K0", query="approve a tool call")["records"]]
    assert "N8" in found[:3]
    assert "`N9 --days 30`" in DOCUMENT and "`T15`" in (ROOT / "docs/RUNS.md").read_text(encoding="utf-8")
