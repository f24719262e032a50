"""What a person sees: answers and refusals without --json."""

from __future__ import annotations

import json

import pytest

from kaizen_components.help import root_help

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


def test_the_first_help_fits_a_terminal_and_cuts_nothing_where_there_is_none(monkeypatch):
    whole = root_help()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    folded = root_help()
    assert max(map(len, folded.splitlines())) <= 80 < max(map(len, whole.splitlines()))
    assert folded.split() == whole.split()


@pytest.fixture
def code(kz, plane) -> str:
    """A function in evidence, with a line that a narrow column would break."""
    text = "def add(first, second):\n    # " + ("a long comment " * 6).rstrip() + "\n    return first + second\n"
    (plane / "src").mkdir()
    (plane / "src" / "add.py").write_text(text, encoding="utf-8")
    kz.ok("E6", path="src", chunker="recursive")
    return text


def test_a_passage_is_shown_line_by_line_with_what_became_of_it(kz, plane, code):
    chunk = kz.ok("E4", query="second")["records"][0]["id"]
    lines = shown(kz, "E5", id=chunk)
    assert [line.rstrip() for line in code.splitlines()] == lines[lines.index("def add(first, second):") :][:3]
    assert any(line.startswith("citation  stands") for line in lines)
    (plane / "src" / "add.py").write_text("pass\n", encoding="utf-8")
    assert any(line.startswith("citation  gone") for line in shown(kz, "E5", id=chunk))
    assert shown(kz, "E5", id=chunk, quote="nowhere")[0].startswith("FAILED")
    seen = "\n".join(shown(kz, "E8"))
    assert "drifted  src/add.py" in seen and f"1 of 1 chunk gone: {chunk}" in seen and "1 drifted" in seen


def test_whole_passages_keep_their_indent_and_show_their_headings_once(kz, plane, code):
    (plane / "notes.md").write_text("# Notes\n\n- one\n    - two\n", encoding="utf-8")
    kz.ok("E1", path="notes.md", chunker="recursive")
    lines = shown(kz, "E4", query="two", budget=200)
    assert "        - two" in lines and lines.count("    Notes") <= 1
    assert "        return first + second" in shown(kz, "E4", query="second", budget=200)


def test_a_folder_says_what_was_there_already_and_that_uncut_text_is_not_found(kz, plane, code):
    assert shown(kz, "E6", path="src")[0] == "src: 1 file: 0 new, 1 there already, 0 empty, 0 refused; 0 chunks"
    (plane / "src" / "more.py").write_text("more = 1\n", encoding="utf-8")
    assert any("no search finds them" in line for line in shown(kz, "E6", path="src"))
    (plane / "empty").mkdir()
    assert any("There is no file that a reader takes" in line for line in shown(kz, "E6", path="empty"))


def test_documents_are_listed_by_where_they_come_from(kz, plane, code):
    lines = shown(kz, "E7")
    assert lines[0].endswith("  src/add.py") and "1 chunk (recursive)" in lines[1] and lines[-1] == "1 document"
    assert shown(kz, "E7", status="drifted") == ["No documents."]


def test_a_ranking_names_each_proposal_with_what_its_verdict_rests_on(kz, plane):
    cases = {f"c{number}": {"baseline": 0.2, "candidate": 0.5 + number / 100} for number in range(6)}
    kz.ok("O2", contract="c", title="Better", summary="s", payload_json=json.dumps({"cases": cases}))
    lines = shown(kz, "O3", contract="c")
    assert lines[0].startswith("1. Better  (ip_") and "6 cases: 6 won, 0 lost, 0 even" in lines[1]


@pytest.mark.parametrize("sign", ["\x1b]0;owned\x07", "\x1b[2J", "\r", "\x9b31m", "\u202etxt.exe", "\b\b"])
def test_what_is_recorded_commands_no_terminal(kz, sign):
    note = kz.ok("W38", title="Odd", summary=f"before {sign} after")["id"]
    for op, flags in (("W40", {"id": note}), ("W39", {}), ("K17", {"query": "before"})):
        shown = kz(op, _text=True, **flags).stdout
        assert "before" in shown and not any(letter in shown for letter in "\x1b\x07\r\x9b\u202e\b")
    refused = kz("K18", _text=True, id=f"x{sign}")
    assert refused.code != 0 and not any(letter in refused.stderr for letter in "\x1b\x07\r\x9b\u202e\b")
