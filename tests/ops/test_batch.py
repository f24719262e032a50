"""K8 batch: many operations, each line with its own answer, none in another's way."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import resource
import subprocess
import sys
import time

import pytest
import truth
from conftest import ROOT

from kaizen_components import denial, op
from kaizen_components.op import load
from kaizen_components.ops import batch, lifecycle
from kaizen_components.store import Store
from kaizen_components.store.connection import Connection
from kaizen_components.store.lock import PlaneLock

ONE = {"op": "W1", "title": "A", "summary": "One."}
GOTCHA = {"op": "G1", "title": "Stale cache", "summary": "It outlives a deploy.", "body": "Clear it."}
UNKNOWN = "t_20260101000000_0123456789"


def run(kz, lines, **flags):
    """The answers to lines, and the reply itself."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    reply = kz("K8", _stdin=text + "\n", **flags)
    return [json.loads(line) for line in reply.stdout.splitlines()], reply


def answered(kz, *lines):
    """The answers to lines that are all accepted."""
    answers, reply = run(kz, lines)
    assert reply.code == 0, (reply.stdout, reply.stderr)
    return answers


@pytest.fixture(params=["turso", "sqlite"])
def engine(request, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", request.param)


@pytest.fixture
def repeatable(monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "batch")


# --- in order -------------------------------------------------------------------------------------


def test_lines_are_answered_in_order_with_their_numbers(kz):
    answers = answered(kz, *({**ONE, "title": f"Task {n}"} for n in range(300)), {"op": "W9", "limit": -1})
    assert [answer["line"] for answer in answers] == list(range(1, 302))
    assert [record["title"] for record in answers[-1]["records"]] == [f"Task {n}" for n in reversed(range(300))]
    assert [record["id"] for record in answers[-1]["records"]] == [answer["id"] for answer in reversed(answers[:-1])]


def test_blank_lines_count_and_say_nothing(kz):
    answers, _ = run(kz, ["", json.dumps(ONE), "   ", json.dumps(ONE) + "\r"])
    assert [answer["line"] for answer in answers] == [2, 4]


def test_a_last_line_needs_no_newline_and_an_empty_batch_no_lines(kz):
    reply = kz("K8", _stdin=json.dumps(ONE))
    assert reply.code == 0 and json.loads(reply.stdout)["status"] == "OK"
    reply = kz("K8", _stdin="")
    assert (reply.code, reply.stdout, reply.stderr) == (0, "", "")


def test_lines_come_from_a_file(kz, tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ONE).encode() + b"\n" + json.dumps(ONE).encode())
    reply = kz("K8", path=path)
    assert [json.loads(line)["line"] for line in reply.stdout.splitlines()] == [1, 2] and reply.code == 0
    assert kz.denied("DENIED_FILE_NOT_FOUND", "K8", path=tmp_path / "none.jsonl").code == 1


def test_every_answer_has_the_receipt_of_its_own_last_entry(kz, plane, engine):
    lines = [
        ONE,
        {"op": "W9"},
        {**ONE, "criterion": ["It is fast.", "It is small."]},
        {"op": "W11", "id": "$3.id"},
        {"op": "W2", "id": "$3.id", "status": "done", "waive": "Dropped."},
        {"op": "K22"},
        GOTCHA,
        {"op": "L2", "id": "$7.id"},
        {"op": "G2"},
        {"op": "L2", "id": "$7.id"},
    ]
    answers = answered(kz, *lines)
    chain = {entry["seq"]: entry["chain_hash"] for entry in truth.sound(plane)["ledger"]}
    assert [answer.get("seq") for answer in answers] == [2, None, 5, None, 8, None, 9, 11, None, None]
    for answer in answers:
        assert ("seq" in answer) == ("chain_hash" in answer)
        assert answer.get("chain_hash") == chain.get(answer.get("seq"))
    assert answers[-1]["already"] is True


def test_the_second_group_reads_without_a_receipt_too(kz):
    answers = answered(kz, *[ONE] * 256, {"op": "G2"}, {"op": "W11", "id": "$1.id"}, ONE, {"op": "G2"})
    assert [answer.get("seq") for answer in answers[255:]] == [257, None, None, 258, None]


# --- references -----------------------------------------------------------------------------------


def test_a_line_refers_to_what_an_earlier_one_answered(kz):
    answers = answered(
        kz,
        {**ONE, "title": "Login", "criterion": ["Users can log in."]},
        {"op": "W11", "id": "$1.id"},
        {"op": "W1", "title": "$2.record.title", "summary": "$2.record.summary", "task_id": "$1.id"},
        {"op": "Q1", "summary": "The suite passed.", "task_id": "$1.id"},
        {"op": "W24", "id": "$1.criterion_ids.0", "proof_id": ["$4.id"]},
        {"op": "W11", "id": "$1.id"},
        {"op": "W11", "id": "$3.id"},
    )
    assert answers[6]["record"]["title"] == "Login" and answers[6]["record"]["source_task_id"] == answers[0]["id"]
    assert answers[5]["criteria"][0]["status"] == "met"


@pytest.mark.parametrize("reference", ["$2.id", "$9.id", "$1.no_such", "$1.id.more", "$1.criterion_ids.7", "$3.id", "$0.id"])
def test_a_reference_to_no_answer_is_refused(kz, reference):
    answers, reply = run(kz, [{**ONE, "criterion": ["It is fast."]}, {"op": "W1"}, {"op": "W11", "id": reference}])
    assert answers[2]["code"] == "DENIED_REFERENCE_NOT_FOUND" and answers[2]["value"] == reference
    assert reply.code == 1


def test_a_text_that_only_looks_like_a_reference_is_a_text(kz):
    answers = answered(kz, {**ONE, "title": "$1.50 a call"}, {"op": "W11", "id": "$1.id"}, {**ONE, "title": "costs $1.id"})
    assert answers[1]["record"]["title"] == "$1.50 a call"


# --- what fails -----------------------------------------------------------------------------------


def test_a_line_that_fails_takes_back_itself_alone(kz, plane, engine):
    """Adding, revising, promoting, keyed, reading and searching lines around ones that fail after they wrote."""
    lines = [
        {**ONE, "criterion": ["It is fast."], "key": "one"},
        {"op": "W1", "title": "A", "summary": "One.", "task_id": UNKNOWN},
        {**GOTCHA, "task_id": "$1.id"},
        # Its criteria are added before it is refused for what the old one lacks.
        {"op": "W2", "id": "$1.id", "status": "done", "criterion": ["It is small.", "It is blue."]},
        {"op": "W11", "id": "$1.id"},
        {"op": "L2", "id": "$3.id"},
        {"op": "L2", "id": UNKNOWN},
        {"op": "W2", "id": "$1.id", "status": "done", "waive": "Dropped.", "criterion": ["Late."], "key": "two"},
        {"op": "W2", "id": "$1.id", "title": "B", "key": "two"},
        {"op": "G3", "query": "stale"},
        {"op": "W1", "title": "A"},
        {"op": "W3", "title": "Plan", "summary": "First.", "criterion": ["It is planned."], "task_id": UNKNOWN},
        {"op": "G5", "id": "$3.id", "status": "resolved", "task_id": UNKNOWN},
        {"op": "W38", "summary": "Done.", "task_id": "$1.id"},
        {**ONE, "criterion": ["It is fast."], "key": "one"},
        {"op": "W11", "id": "$1.id"},
    ]
    answers, reply = run(kz, lines)
    refused = {answer["line"]: answer["code"] for answer in answers if answer["status"] != "OK"}
    assert refused == {
        2: "DENIED_REFERENCE_NOT_FOUND",
        4: "DENIED_CRITERION_UNPROVED",
        7: "DENIED_RECORD_NOT_FOUND",
        9: "DENIED_KEY_CONFLICT",
        11: "DENIED_SUMMARY_REQUIRED",
        12: "DENIED_REFERENCE_NOT_FOUND",
        13: "DENIED_REFERENCE_NOT_FOUND",
    }
    assert reply.code == 1
    assert [criterion["summary"] for criterion in answers[4]["criteria"]] == ["It is fast."]
    assert [record["id"] for record in answers[9]["records"]] == [answers[2]["id"]]
    assert answers[14]["replayed"] is True and answers[14]["seq"] == answers[0]["seq"]
    assert [criterion["status"] for criterion in answers[15]["criteria"]] == ["waived", "waived"]
    tables = truth.sound(plane)
    assert len(tables["criteria"]) == 2 and tables["plans"] == [] and len(tables["learning"]) == 1


def test_what_a_refused_line_added_cannot_be_referred_to(kz, plane, engine, repeatable):
    """Its ids come again under the fixed seed: the next line gets the very id that was taken back."""
    answers, _ = run(
        kz,
        [
            {**ONE, "criterion": ["It is fast."]},
            {"op": "W2", "id": "$1.id", "status": "done", "criterion": ["It is small."]},
            {"op": "W23", "id": "ac_20260101000004_" + "0" * 10},
            {"op": "W21", "summary": "Other.", "task_id": "$1.id"},
            {"op": "W22"},
        ],
    )
    assert [answer["status"] for answer in answers] == ["OK", "DENIED", "DENIED", "OK", "OK"]
    assert answers[3]["seq"] == 4 and answers[4]["count"] == 2
    truth.sound(plane)


def test_a_refused_line_at_the_start_of_a_group_keeps_the_chain(kz, plane, engine):
    """After a group whose end others have written behind, a line that fails first must not bring an old head back."""
    bad = {"op": "W2", "id": UNKNOWN, "status": "done"}
    answers, _ = run(
        kz, [bad, {**ONE, "task_id": UNKNOWN}, ONE, bad, *[ONE] * 252, bad, {**ONE, "task_id": UNKNOWN}, ONE, bad, ONE]
    )
    assert [answer["status"] for answer in answers if answer["line"] in (1, 2, 4, 257, 258, 260)] == ["DENIED"] * 6
    assert len(truth.sound(plane)["tasks"]) == 255


def test_a_bad_line_tells_its_number_and_what_to_write(kz):
    answers, reply = run(
        kz,
        [
            ONE,
            '{"op": "W1", "title": ',
            "[1]",
            '"W1"',
            '{"op": 7}',
            '{"a": 1, "a": 2}',
            '{"op": "W1", "n": NaN}',
            "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        ],
    )
    assert [answer["code"] for answer in answers[1:]] == [
        "DENIED_JSON_INVALID",
        *["DENIED_PAYLOAD_TYPE"] * 3,
        *["DENIED_JSON_INVALID"] * 3,
    ]
    assert [answer["line"] for answer in answers] == list(range(1, 9)) and reply.code == 1
    assert all(answer["required_action"] for answer in answers[1:])


def test_a_line_that_is_no_utf8_is_refused(kz):
    reply = kz("K8", _stdin=b'{"op": "W1", "title": "\xff"}\n' + json.dumps(ONE).encode())
    answers = [json.loads(line) for line in reply.stdout.splitlines()]
    assert [answer["status"] for answer in answers] == ["DENIED", "OK"]


def test_an_unknown_key_is_refused_with_the_nearest(kz):
    answers, _ = run(kz, [{**ONE, "titel": "B"}, {"op": "G2", "key": "k"}, {"op": "W1x"}, {**ONE, "body-file": "x"}])
    assert answers[0]["code"] == "DENIED_USAGE" and answers[0]["flag"] == "titel" and "'title'" in answers[0]["required_action"]
    assert answers[1]["code"] == "DENIED_USAGE" and answers[1]["flag"] == "key"
    assert answers[2]["code"] == "DENIED_USAGE" and "W1" in answers[2]["nearest"]
    assert "'body_file'" in answers[3]["required_action"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("title", 7, "DENIED_SCHEMA_FIELD_TYPE"),
        ("title", ["a"], "DENIED_SCHEMA_FIELD_TYPE"),
        ("title", "a\u0000b", "DENIED_FIELD_ENCODING"),
        ("title", "\ud800", "DENIED_FIELD_ENCODING"),
        ("criterion", "one", "DENIED_SCHEMA_FIELD_TYPE"),
        ("test", "no", "DENIED_SCHEMA_FIELD_TYPE"),
        ("key", 5, "DENIED_SCHEMA_FIELD_TYPE"),
        ("key", "\ud800", "DENIED_FIELD_ENCODING"),
        ("key", "k" * 1001, "DENIED_FIELD_TOO_LARGE"),
        ("agent", {"a": 1}, "DENIED_SCHEMA_FIELD_TYPE"),
        ("agent", "AKIA" + "ABCDEFGHIJKLMNOP", "DENIED_REDACTION"),
    ],
)
def test_a_value_is_judged_by_its_type_and_rules(kz, field, value, code):
    answers, _ = run(kz, [{**ONE, field: value}])
    assert answers[0]["code"] == code and answers[0]["field"] == field


def test_operations_that_cannot_stand_in_a_batch_are_refused_there(kz):
    answers, _ = run(kz, [{"op": "K8"}, {"op": "V1"}, {"op": "Q11"}, {"op": "K3"}, ONE])
    assert [answer["status"] for answer in answers] == ["DENIED"] * 4 + ["OK"]


def test_stdin_cannot_be_a_field_of_a_batch(kz, plane):
    (plane / "body.txt").write_text("From a file.")
    answers, _ = run(kz, [{**ONE, "body_file": "-"}, {**ONE, "body_file": str(plane / "body.txt")}, {"op": "W11", "id": "$2.id"}])
    assert answers[0]["code"] == "DENIED_FLAG_CONFLICT" and answers[2]["record"]["body"] == "From a file."


def test_a_defect_in_one_line_is_an_error_of_that_line_alone(kz, plane, monkeypatch):
    def broken(row, **more):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(lifecycle, "written", broken)
    answers, reply = run(kz, [{"op": "W38", "summary": "Never."}, {"op": "W9"}])
    assert [answer["status"] for answer in answers] == ["ERROR", "OK"] and answers[0]["code"] == "ERROR_UNEXPECTED"
    assert reply.code == 1 and [entry["kind"] for entry in truth.sound(plane)["ledger"]] == ["plane"]


def test_where_a_group_cannot_be_written_none_of_it_is_answered_and_the_refusal_names_its_first_line(kz, plane, monkeypatch):
    real, left = Connection.write_many, [4]

    def full(self, sql, rows):
        left[0] -= "INTO ledger" in sql
        if not left[0]:
            raise denial.FileUnwritable(reason="database or disk is full")
        return real(self, sql, rows)

    answered(kz, ONE)
    monkeypatch.setattr(Connection, "write_many", full)
    # The first group is handed over in two pieces, the second breaks in its middle; the disk has room again after that.
    change = {"op": "W2", "id": "$1.id", "title": "B"}
    _, reply = run(kz, [*[ONE] * 100, change, *[ONE] * 155, *[ONE] * 49, change, ONE, change, ONE])
    assert len(reply.stdout.splitlines()) == 256 and reply.code == 1
    refusal = json.loads(reply.stderr)
    assert (refusal["code"], refusal["line"], refusal["reason"]) == ("DENIED_FILE_UNWRITABLE", 257, "database or disk is full")
    assert len(truth.sound(plane)["tasks"]) == 256


def test_a_batch_on_a_locked_plane_waits_once_and_not_for_every_line(kz, plane, monkeypatch):
    answered(kz, ONE)
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0.2")
    for atomic in (False, True):
        start = time.monotonic()
        with PlaneLock(plane / "AI/db/kaizen.lock", "W1"):
            _, reply = run(kz, [ONE] * 50, atomic=atomic)
        assert reply["code"] == "DENIED_DB_CONNECT_RETRY_EXHAUSTED" and reply.stdout == "" and reply.code == 1
        assert time.monotonic() - start < 5
    assert len(truth.sound(plane)["tasks"]) == 1


def test_a_closed_stdin_is_refused(plane):
    command = f"exec {sys.executable} {ROOT / 'kaizen.py'} K8 --json <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert json.loads(done.stderr)["code"] == "DENIED_FILE_NOT_FOUND" and done.returncode == 1


@pytest.mark.parametrize("name", ["turso", "sqlite"])
def test_a_full_disk_ends_a_batch_with_every_answered_line_there(plane, name):
    lines = "".join(json.dumps({**ONE, "title": f"Task {n}", "body": "x" * 2_000}) + "\n" for n in range(1_000))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))

    done = subprocess.run(
        [sys.executable, str(ROOT / "kaizen.py"), "K8", "--json"],
        input=lines,
        capture_output=True,
        text=True,
        preexec_fn=limited,
        env={**os.environ, "KAIZEN_DB_ENGINE": name},
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert 0 < len(answers) < 1_000 and done.returncode == 1
    refusal = json.loads(done.stderr)
    assert refusal["code"] == "DENIED_FILE_UNWRITABLE" and refusal["line"] == len(answers) + 1
    assert {row["id"] for row in truth.sound(plane)["tasks"]} == {answer["id"] for answer in answers}


# --- all or nothing -------------------------------------------------------------------------------


def test_an_atomic_batch_is_written_whole(kz, plane, engine):
    answers, reply = run(
        kz, [*[ONE] * 300, {"op": "W2", "id": "$300.id", "status": "done"}, {"op": "W9", "status": "done"}], atomic=True
    )
    assert reply.code == 0 and len(answers) == 302 and answers[-1]["count"] == 1
    assert len(truth.sound(plane)["tasks"]) == 300


@pytest.mark.parametrize("at", [0, 1, 299, 300])
def test_an_atomic_batch_with_one_refused_line_writes_nothing(kz, plane, engine, at):
    kz.ok("W1", title="Before", summary="One.")
    before = truth.dump(plane)
    lines = [ONE, {"op": "W2", "id": "$1.id", "title": "B"}] * 150
    lines.insert(at, {"op": "W2", "id": UNKNOWN, "title": "B"})
    if at == 0:
        lines = [line if line.get("id") != "$1.id" else {"op": "G2"} for line in lines]
    _, reply = run(kz, lines, atomic=True)
    assert reply.stdout == "" and reply.code == 2
    assert reply["code"] == "DENIED_BATCH_LINE" and reply["line"] == at + 1
    assert reply["refusal"]["code"] in ("DENIED_RECORD_NOT_FOUND", "DENIED_REFERENCE_NOT_FOUND")
    assert truth.dump(plane) == before


def test_a_search_finds_what_earlier_lines_wrote_and_keeps_nothing_that_was_taken_back(kz, plane, engine):
    lines = [GOTCHA, {"op": "G3", "query": "stale"}, {"op": "K17", "query": "outlives"}]
    answers, _ = run(kz, lines, atomic=True)
    assert [answer.get("count") for answer in answers] == [None, 1, 1]
    _, reply = run(kz, [{**GOTCHA, "title": "Zebra"}, {"op": "G3", "query": "zebra"}, {"op": "W1"}], atomic=True)
    assert reply["line"] == 3 and kz.ok("G3", query="zebra")["records"] == []
    answers = answered(
        kz,
        {**GOTCHA, "title": "Zebra"},
        {"op": "G3", "query": "zebra"},
        {"op": "G5", "id": "$1.id", "title": "Horse"},
        {"op": "G3", "query": "zebra"},
        {"op": "G3", "query": "horse"},
    )
    assert [answers[n]["count"] for n in (1, 3, 4)] == [1, 0, 1]
    assert kz.ok("G3", query="horse")["count"] == 1 and len(truth.sound(plane)["gotcha"]) == 2


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_inside_a_batch_is_replayed_and_conflicts(kz, plane, engine):
    keyed = {**ONE, "key": "k", "criterion": ["It is fast."]}
    first, *rest = run(kz, [keyed, ONE, keyed, {**keyed, "title": "B"}, {"op": "W9"}, keyed])[0]
    assert [answer.get("replayed") for answer in rest] == [None, True, None, None, True]
    assert rest[2]["code"] == "DENIED_KEY_CONFLICT" and rest[2]["id"] == first["id"]
    for again in (rest[1], rest[4], kz.ok("W1", **{name: value for name, value in keyed.items() if name != "op"})):
        assert {**again, "line": 1} == {**first, "replayed": True}
    assert len(truth.sound(plane)["tasks"]) == 2


def test_a_key_of_an_operation_that_reads_what_it_wrote_is_kept(kz, plane, engine, monkeypatch):
    """The entry that is to carry the answer was handed to the engine before there was an answer."""
    original = load("W38")

    def note_add(note, store: Store):
        row = store.add(note)
        return lifecycle.written(row, notes=len(store.list("note", columns=("id",))))

    note_add.__annotations__["note"] = original.input
    monkeypatch.setitem(op.OPS, "W38", dataclasses.replace(original, function=note_add))
    line = {"op": "W38", "summary": "One.", "key": "k"}
    answers = answered(kz, ONE, line, line, {"op": "W38", "summary": "Two."})
    assert answers[1]["notes"] == 1 and answers[3]["notes"] == 2
    assert {**answers[2], "line": 2} == {**answers[1], "replayed": True}
    assert {**kz.ok("W38", summary="One.", key="k"), "line": 2} == {**answers[1], "replayed": True}
    alone = kz.ok("W38", summary="Three.", key="l")
    assert kz.ok("W38", summary="Three.", key="l") == {**alone, "replayed": True}
    assert len(truth.sound(plane)["ledger"]) == 5


# --- as single calls ------------------------------------------------------------------------------


def test_three_hundred_lines_leave_what_three_hundred_calls_leave(kz, tmp_path, monkeypatch, repeatable):
    lines: list[dict] = []
    for n in range(60):
        task, gotcha = f"${len(lines) + 1}.id", f"${len(lines) + 2}.id"
        lines += [
            {"op": "W1", "title": f"Task {n}", "summary": "One. Two.", "criterion": ["It is fast."], "agent": "a"},
            {"op": "G1", "title": f"Trap {n}", "summary": "Zażółć 世界.", "body": "x" * n, "task_id": task, "key": f"k{n}"},
            # Every third is refused, for the criterion that is open.
            {"op": "L2", "id": gotcha} if n % 3 else {"op": "W2", "id": task, "status": "done", "criterion": ["It is small."]},
            {"op": "T2", "payload_json": {"name": "accuracy", "value": n / 7, "data_type": "numeric", "source": "human"}},
            {"op": "W2", "id": task, "body": f"Step {n}.", "status": "done", "waive": "Enough.", "test": n % 2 == 0},
        ]

    def empty(name: str):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("KAIZEN_REPO_ROOT", str(tmp_path / name))
        return tmp_path / name

    batched = empty("batch")
    monkeypatch.setenv("KAIZEN_DB_ENGINE", "turso")
    answers, _ = run(kz, lines)
    single = empty("single")
    monkeypatch.setenv("KAIZEN_DB_ENGINE", "sqlite")
    for line, answer in zip(lines, answers, strict=True):
        flags = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in line.items()}
        for name, value in flags.items():
            if isinstance(value, str) and value.startswith("$"):
                flags[name] = answers[int(value[1:].partition(".")[0]) - 1]["id"]
        assert {"line": answer["line"], **kz(flags.pop("op"), **flags)} == answer
    assert truth.sound(batched) == truth.sound(single)


def script(chance: random.Random, length: int) -> list[dict]:
    """Lines of every sort, in any order, many of them refused, some after they wrote."""
    lines: list[dict] = []
    for number in range(length):
        earlier = f"${chance.randint(1, number)}.id" if number and chance.random() < 0.9 else UNKNOWN
        keyed = {"key": f"k{chance.randint(1, 6)}"} if chance.random() < 0.3 else {}
        line = chance.choice(
            [
                {**ONE, "title": f"Task {chance.randint(1, 3)}", "criterion": ["It is fast."] * chance.randint(0, 2), **keyed},
                {**ONE, "task_id": earlier, **keyed},
                {**GOTCHA, "task_id": earlier, **keyed},
                {"op": "W2", "id": earlier, "status": "done", "criterion": ["It is small."], **keyed},
                {"op": "W2", "id": earlier, "status": "done", "criterion": ["It is blue."], "waive": "Dropped.", **keyed},
                {"op": "L2", "id": earlier, **keyed},
                {"op": "G5", "id": earlier, "status": chance.choice(["resolved", "active"]), **keyed},
                {"op": "G6", "id": earlier, "reason": "Gone."},
                {"op": "W24", "id": earlier, "proof_id": [earlier]},
                {"op": "Q1", "summary": "Green.", "task_id": earlier, "test": True},
                {"op": "K18", "id": earlier},
                {"op": "K19", "id": earlier},
                {"op": "G3", "query": "cache"},
                {"op": "W9", "status": "done"},
                {"op": "T2", "payload_json": {"name": "n", "value": "no", "data_type": "numeric", "source": "human"}},
                {"op": "W1", "title": "A"},
            ]
        )
        lines.append(line)
    return lines


@pytest.mark.soak
def test_any_batch_leaves_what_its_lines_leave_one_by_one(kz, tmp_path, monkeypatch, repeatable):
    """On the one engine as a batch, on the other line by line: the same answers, the same plane."""
    deadline, seed = time.monotonic() + float(os.environ.get("KAIZEN_SOAK") or 0), 0
    while seed < 2 or time.monotonic() < deadline:
        seed += 1
        lines = script(random.Random(seed), 60)
        left = []
        for number, engine in enumerate(["turso", "sqlite"] if seed % 2 else ["sqlite", "turso"]):
            root = tmp_path / f"{seed}-{number}"
            root.mkdir()
            monkeypatch.setenv("KAIZEN_REPO_ROOT", str(root))
            monkeypatch.setenv("KAIZEN_DB_ENGINE", engine)
            if not number:
                answers, _ = run(kz, lines)
            for line, answer in zip(lines, answers, strict=True) if number else ():
                if answer.get("code") == "DENIED_REFERENCE_NOT_FOUND" and "value" in answer:
                    continue
                flags = {name: _resolved(value, answers) for name, value in line.items()}
                assert {"line": answer["line"], **kz(flags.pop("op"), **flags)} == answer, (seed, line)
            left.append(truth.sound(root))
        assert left[0] == left[1], seed


def _resolved(value, answers):
    """A value of a line as a flag of a call by itself."""
    if isinstance(value, list):
        return [_resolved(item, answers) for item in value]
    if isinstance(value, dict):
        return json.dumps(value)
    return answers[int(value[1:].partition(".")[0]) - 1]["id"] if isinstance(value, str) and value.startswith("$") else value


# --- as a process ---------------------------------------------------------------------------------


@pytest.fixture
def piped(plane):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "kaizen.py"), "K8"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KAIZEN_REPO_ROOT": str(plane)},
    )
    with process:
        yield process
        process.kill()


def test_answers_come_when_nothing_more_is_ready(piped, plane, kz):
    def say(data: bytes) -> None:
        piped.stdin.write(data)
        piped.stdin.flush()

    say(json.dumps(ONE).encode() + b"\n")
    first = json.loads(piped.stdout.readline())
    assert first["line"] == 1 and kz.ok("W11", id=first["id"]), "committed, and the lock is free, while the batch waits"
    half = json.dumps({"op": "W2", "id": "$1.id", "title": "B"}).encode()
    say(json.dumps(ONE).encode() + b"\n" + half[:20])
    assert json.loads(piped.stdout.readline())["line"] == 2
    time.sleep(0.05)
    say(half[20:] + b"\n")
    assert json.loads(piped.stdout.readline())["line"] == 3
    say(json.dumps({"op": "W1"}).encode())
    piped.stdin.close()
    last = json.loads(piped.stdout.readline())
    assert last["line"] == 4 and last["code"] == "DENIED_TITLE_REQUIRED" and piped.wait(timeout=30) == 1
    truth.sound(plane)


def test_an_atomic_batch_locks_the_plane_only_when_it_has_read_all(kz, plane, monkeypatch):
    kz.ok("W1", title="Before", summary="One.")

    def slowly(name):
        for number in (1, 2, 3):
            with PlaneLock(plane / "AI/db/kaizen.lock", "W9", seconds=0):
                yield [(number, json.dumps(ONE).encode())]

    monkeypatch.setattr(batch, "source", slowly)
    answers, reply = run(kz, [], atomic=True)
    assert len(answers) == 3 and reply.code == 0


def test_exit_codes_of_a_batch(process):
    good, bad = json.dumps(ONE) + "\n", '{"op": "W1"}\n'
    assert process("K8", input=good).returncode == 0
    assert process("K8", input=good + bad + good).returncode == 1
    assert process("K8", "--atomic", input=good + bad).returncode == 2
    assert process("K8", "--no-such-flag", input=good).returncode == 2


def test_a_line_that_is_too_long_is_refused_alone(kz, monkeypatch):
    monkeypatch.setattr(batch, "LONGEST", 100_000)
    reply = kz("K8", _stdin=json.dumps({**ONE, "body": "x" * 500_000}) + "\n" + json.dumps(ONE) + "\n")
    answers = [json.loads(line) for line in reply.stdout.splitlines()]
    assert [(answer["line"], answer.get("code")) for answer in answers] == [(1, "DENIED_FILE_TOO_LARGE"), (2, None)]
