"""What a person sees: answers and refusals without --json."""

from __future__ import annotations

import pytest

NOWHERE = "t_20260101000000_0123456789"


def shown(kz, op: str, **flags) -> list[str]:
    return kz(op, _text=True, **flags).stdout.splitlines()


def refused(kz, op: str, **flags) -> str:
    return kz(op, _text=True, **flags).stderr


@pytest.fixture
def task(kz, plane) -> str:
    return kz.ok("W1", title="Fix login", summary="Users cannot log in.", assumptions='["it is up"]', criterion="It works.")["id"]


def test_no_line_ends_with_blanks(kz, task):
    for op, flags in (("W11", {"id": task}), ("W9", {}), ("K10", {}), ("K19", {"id": task}), ("K0", {"query": "close"})):
        assert not [line for line in shown(kz, op, **flags) if line != line.rstrip()]


def test_a_table_that_would_cut_a_word_is_a_list_of_records(kz, task):
    kz.ok("W21", task_id=task, summary="A wrong password is refused.")
    lines = shown(kz, "W22")
    assert f"task_id     {task}" in lines and "summary     A wrong password is refused." in lines


def test_short_records_are_a_table(kz, task):
    assert any(line.split()[:3] == [task, "Fix", "login"] for line in shown(kz, "W9"))


def test_a_record_shows_no_empty_field_and_no_raw_json(kz, task):
    lines = [line.split(maxsplit=1) for line in shown(kz, "W11", id=task)]
    assert ["assumptions", "it is up"] in lines
    assert ["is_open", "yes"] in lines
    assert not [line for line in lines if line and line[-1] == "-"]


def test_a_history_tells_before_and_after(kz, task):
    kz.ok("W2", id=task, status="review")
    assert "status: active -> review" in "\n".join(shown(kz, "K19", id=task))


def test_a_failed_proof_is_named_in_its_first_line_and_shows_no_receipt(kz, plane):
    lines = shown(kz, "Q11", _command=["false"])
    assert lines[0].startswith("FAILED: proof-run recorded as qv_")
    assert not [line for line in lines if line.startswith(("revision_id", "content_hash", "chain_hash"))]


def test_a_refusal_lists_records_in_lines_of_their_own(kz, task):
    text = refused(kz, "W2", id=task, status="done")
    assert "\n  criteria:\n    id: ac_" in text and "; summary: It works.\n" in text
    assert '{"' not in text and "Q11 --criterion-id" in text


@pytest.mark.parametrize(
    ("op", "words", "hint"),
    [
        ("W11", [NOWHERE], f"Pass an id with its flag: W11 --id {NOWHERE}."),
        ("K0", ["close", "a", "task"], 'K0 --query "close a task"'),
        ("W1", ["login"], "Put a text with spaces into quotes."),
    ],
)
def test_a_word_without_a_flag_is_told_which_flag_it_wants(kz, plane, op, words, hint):
    assert hint in kz.denied("DENIED_USAGE", op, _args=words)["required_action"]


def test_help_takes_an_operation(kz):
    assert kz("help", _args=["W2"], _text=True).stdout == kz("W2", _args=["--help"], _text=True).stdout


def test_an_id_of_another_kind_is_called_that(kz, task):
    reply = kz.denied("DENIED_RECORD_NOT_FOUND", "G4", id=task)
    assert reply["message"] == "This is an id of the kind task, not gotcha."
    assert reply["exit_code"] == 1 and "K18" in reply["required_action"]


@pytest.mark.parametrize(("status", "meant"), [("dnoe", "done"), ("close", "closed"), ("Rejectd", "rejected")])
def test_a_misspelt_closing_status_is_warned_of(kz, task, status, meant):
    assert kz.ok("W2", id=task, status=status)["warnings"] == [f'The status "{status}" counts as open; did you mean {meant}?']


@pytest.mark.parametrize("status", ["active", "unresolved", "unmet", "incomplete", "proposed", "blocked", "in_progress"])
def test_an_open_status_is_not_warned_of(kz, task, status):
    assert "warnings" not in kz.ok("W2", id=task, status=status)


def test_broken_json_names_the_file_form_of_its_own_flag(kz, plane):
    reply = kz.denied("DENIED_JSON_INVALID", "W1", title="x", summary="y", boundaries="[")
    assert "--boundaries-file" in reply["required_action"] and "--payload" not in reply["required_action"] + reply["hint"]


def test_a_broken_batch_line_is_no_flag(kz, plane):
    reply = kz("K8", _stdin="garbage\n")
    assert reply.code == 1 and "--line" not in reply.stdout and "one JSON object a line" in reply.stdout


def test_a_missing_artifact_says_where_it_was_looked_for(kz, plane):
    reply = kz.denied("DENIED_FILE_NOT_FOUND", "A1", path="gone.txt", summary="x")
    assert reply["looked_at"] == str(plane / "gone.txt") and "project's folder" in reply["required_action"]
