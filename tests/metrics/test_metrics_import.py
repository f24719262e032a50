"""Import: a folder that kaizen-agentic wrote becomes records, once, and nothing in it is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaizen_components import paths
from kaizen_components.metrics import executions, importing
from kaizen_components.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def today(monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-06-01T00:00:00+00:00")


def theirs(number: int, agent: str = "reviewer", **more) -> dict:
    """An execution as kaizen-agentic's users have them."""
    at = f"2026-{3 + number // 600:02d}-{1 + number // 24 % 25:02d}T{number % 24:02d}:00:00Z"
    return {
        "timestamp": at,
        "agent": agent,
        "success": number % 5 > 0,
        "execution_time_s": number + 0.5,
        "quality_score": 0.8,
        **more,
    }


def write(plane, agent: str, lines: list) -> Path:
    path = plane / ".kaizen/metrics" / agent / "executions.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), encoding="utf-8")
    return path


def recorded() -> list[executions.Execution]:
    store = Store(paths.find())
    try:
        return executions.history(store)
    finally:
        store.close()


def memory(plane, agent: str, text: str) -> Path:
    path = plane / ".kaizen/agents" / agent / "memory.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_taken_in_once(kz, plane):
    write(plane, "reviewer", [theirs(n) for n in range(30)])
    write(plane, "writer", [theirs(n, "writer", flavor="fast", tokens=5) for n in range(3)])
    memory(plane, "reviewer", "# Reviewer\n\nLikes small changes.\n")
    (plane / ".kaizen/metrics/optimizer").mkdir()
    (plane / ".kaizen/metrics/optimizer/analysis.json").write_text("{}")
    first = kz.ok("P16")
    assert (first["imported"], first["duplicates"], first["memories"], first["problem_count"]) == (33, 0, 1, 0)
    assert first["agents"] == {"reviewer": 30, "writer": 3}
    assert {one.origin for one in recorded()} == {"imported"}
    before = kz.ok("K22", limit=1)["head"]["seq"]
    again = kz.ok("P16")
    assert (again["imported"], again["duplicates"], again["memories"]) == (0, 33, 0)
    assert kz.ok("K22", limit=1)["head"]["seq"] == before
    assert kz.ok("P9", agent="reviewer")["text"] == "# Reviewer\n\nLikes small changes.\n"


def test_what_was_taken_in_comes_out_as_it_was(kz, plane):
    lines = [
        theirs(n, session_id=f"s{n}", metadata={"n": n}, primary_metric={"name": "found", "value": n, "target": 5})
        for n in range(5)
    ]
    path = write(plane, "reviewer", lines)
    before = path.read_bytes()
    kz.ok("P16")
    assert path.read_bytes() == before
    assert [json.loads(line) for line in kz.ok("P4", agent="reviewer")["content"].splitlines()] == lines
    assert json.loads((path.parent / "summary.json").read_text())["execution_count"] == 5


def test_broken_lines_are_named_and_stay_and_the_others_come_in(kz, plane):
    lines = [
        theirs(1),
        "{half a line",
        json.dumps({"agent": "reviewer", "success": True}),
        theirs(2, quality_score=7),
        "[]",
        theirs(3, agent="../../etc"),
        theirs(4, metadata={"key": "AKIA" + "ABCDEFGHIJKLMNOP"}),
        '{"timestamp": "2026-05-01T00:00:00Z", "agent": "reviewer", "agent": "other", "success": true}',
        "",
        theirs(5),
    ]
    path = write(plane, "reviewer", lines)
    before = [line for line in path.read_text().splitlines() if line]
    reply = kz.ok("P16")
    assert (reply["imported"], reply["problem_count"]) == (2, 7)
    assert [(problem["line"], problem["code"]) for problem in reply["problems"]] == [
        (2, "DENIED_JSON_INVALID"),
        (3, "DENIED_SCHEMA_REQUIRED"),
        (4, "DENIED_SCHEMA_RANGE"),
        (5, "DENIED_PAYLOAD_TYPE"),
        (6, "DENIED_AGENT_NAME"),
        (7, "DENIED_REDACTION"),
        (8, "DENIED_JSON_INVALID"),
    ]
    assert all(problem["path"] == ".kaizen/metrics/reviewer/executions.jsonl" for problem in reply["problems"])
    assert path.read_text().splitlines() == before
    assert kz.ok("P16")["imported"] == 0
    assert "executions.jsonl:2:" in kz.ok("P16", _text=True).stdout


def test_a_line_of_another_agent_is_named_and_counts_for_that_one(kz, plane):
    write(plane, "reviewer", [theirs(1), theirs(2, "writer")])
    reply = kz.ok("P16")
    assert reply["agents"] == {"reviewer": 1, "writer": 1} and reply["misplaced_count"] == 1
    assert reply["misplaced"] == [{"path": ".kaizen/metrics/reviewer/executions.jsonl", "line": 2, "agent": "writer"}]
    assert "executions.jsonl:2: of writer" in kz.ok("P16", _text=True).stdout


def test_a_time_that_is_still_to_come_is_named_and_not_taken_in(kz, plane):
    write(plane, "reviewer", [theirs(1, timestamp="2026-06-01T20:00:00Z"), theirs(2, timestamp="2999-01-01T00:00:00Z")])
    reply = kz.ok("P16")
    assert reply["imported"] == 1 and [(one["line"], one["code"]) for one in reply["problems"]] == [(2, "DENIED_TIME_AHEAD")]


def test_fields_that_executions_do_not_have_are_kept_in_the_metadata(kz, plane):
    write(plane, "reviewer", [theirs(1, note="by hand", metadata={"a": 1}), theirs(2, a=2, metadata={"a": 1})])
    reply = kz.ok("P16")
    assert [one.metadata for one in recorded()] == [{"a": 1, "note": "by hand"}]
    assert [problem["line"] for problem in reply["problems"]] == [2]


def test_a_line_without_a_name_is_of_the_folder(kz, plane):
    line = theirs(1)
    del line["agent"]
    write(plane, "reviewer", [line])
    assert kz.ok("P16")["agents"] == {"reviewer": 1}


def test_the_same_line_twice_is_one_execution(kz, plane):
    write(plane, "reviewer", [theirs(1), theirs(1), {**theirs(1), "execution_time_s": 1.50}])
    assert (kz.ok("P16")["imported"], kz.ok("P16")["imported"]) == (1, 0)


def test_one_agent_alone_is_taken_in(kz, plane):
    write(plane, "reviewer", [theirs(1)])
    write(plane, "writer", [theirs(1, "writer")])
    memory(plane, "writer", "x")
    assert kz.ok("P16", agent="reviewer")["agents"] == {"reviewer": 1}
    assert kz.ok("P3")["count"] == 1


@pytest.mark.parametrize("named", [".kaizen", ".", ".kaizen/metrics"])
def test_the_folder_can_be_named_in_three_ways(kz, plane, named):
    write(plane, "reviewer", [theirs(1)])
    memory(plane, "reviewer", "x")
    reply = kz.ok("P16", path=named)
    assert (reply["imported"], reply["memories"]) == (1, 1)


def test_another_projects_folder_is_taken_in_and_left_as_it_is(kz, plane, tmp_path):
    other = tmp_path / "other"
    path = write(other, "reviewer", [theirs(1), "broken"])
    before = path.read_bytes(), list(path.parent.iterdir())
    reply = kz.ok("P16", path=str(other))
    assert reply["imported"] == 1 and str(path) == reply["problems"][0]["path"]
    assert (path.read_bytes(), list(path.parent.iterdir())) == before
    assert (plane / ".kaizen/metrics/reviewer/executions.jsonl").read_text().count("\n") == 1
    kz.denied("DENIED_FILE_NOT_FOUND", "P16", path=str(tmp_path / "nowhere"))


def test_who_reads_is_told_of_what_is_not_taken_in_until_it_is(kz, plane):
    write(plane, "reviewer", [theirs(1), "broken"])
    write(plane, "writer", ["broken"])
    assert "reviewer, writer is not taken in yet: P16" in kz.ok("P3")["warnings"][0]
    assert "P16" in kz.denied("DENIED_AGENT_UNKNOWN", "P2", agent="reviewer")["required_action"]
    kz.ok("P16")
    for op, more in (("P3", {}), ("P2", {"agent": "reviewer"}), ("P4", {})):
        assert "warnings" not in kz.ok(op, **more)


def test_a_memory_that_holds_a_secret_is_named_and_not_taken_in(kz, plane):
    memory(plane, "reviewer", "password = 'AKIA" + "ABCDEFGHIJKLMNOP'")
    memory(plane, "writer", "fine")
    reply = kz.ok("P16")
    assert reply["memories"] == 1 and [problem["code"] for problem in reply["problems"]] == ["DENIED_REDACTION"]
    assert reply["problems"][0]["path"] == ".kaizen/agents/reviewer/memory.md"


def test_an_import_with_a_key_answers_again(kz, plane):
    write(plane, "reviewer", [theirs(1)])
    assert kz.ok("P16", key="once")["imported"] == 1
    kz.ok("P16", key="once")


@pytest.mark.slow
def test_an_import_that_was_killed_is_started_once_more_and_ends_the_same(kz, plane, monkeypatch):
    lines = [theirs(n) for n in range(400)]
    path = write(plane, "reviewer", lines)
    kz.ok("G2")
    environment = {name: value for name, value in os.environ.items() if name != "KAIZEN_CLOCK"}
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from kaizen_components import cli\nfrom kaizen_components.metrics import importing\nimporting.GROUP = 20\n"
        "sys.exit(cli.main(['P16']))"
    )
    running = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.DEVNULL)
    store = Store(paths.find())
    for _ in range(2_000):
        done = store.count("agent_execution")
        store.close()
        if done >= 60 or running.poll() is not None:
            break
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    before = store.count("agent_execution")
    store.close()
    assert before % 20 == 0 and before >= 60
    monkeypatch.setattr(importing, "GROUP", 20)
    reply = kz.ok("P16")
    assert reply["imported"] + before == 400 and reply["duplicates"] == before
    assert kz.ok("P2", agent="reviewer")["summary"]["execution_count"] == 400
    assert len(path.read_text().splitlines()) == 400
