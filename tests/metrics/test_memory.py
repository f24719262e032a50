"""Memory: made once, edited by the agent, never written over."""

from __future__ import annotations

import json

import pytest

from kaizen_components import paths
from kaizen_components.metrics import memory
from kaizen_components.store import Store


@pytest.fixture
def path(plane):
    return plane / ".kaizen/agents/reviewer/memory.md"


def installed() -> list[dict]:
    rows = Store(paths.find()).list("outbox_event", {"type": "kaizen.agent.installed"}, order="number")
    return [json.loads(row["event_json"]) for row in rows]


def test_init_makes_file_and_record_and_tells_of_it_once(kz, path):
    reply = kz.ok("P8", agent="reviewer")
    assert path.read_text().startswith("# Memory of reviewer\n")
    assert kz.ok("K18", id=reply["id"])["record"]["text"] == path.read_text()
    again = kz.ok("P8", agent="reviewer")
    assert again["already"] is True and again["id"] == reply["id"] and "seq" not in again
    assert [(event["attributes"]["agent"], event["publisher"]) for event in installed()] == [("reviewer", "kaizen-agentic")]


def test_a_file_that_is_there_is_taken_in_and_not_written_over(kz, path):
    path.parent.mkdir(parents=True)
    path.write_text("# Mine\n\nKeep it.\n")
    reply = kz.ok("P8", agent="reviewer", no_event=True)
    assert path.read_text() == "# Mine\n\nKeep it.\n"
    assert kz.ok("K18", id=reply["id"])["record"]["text"] == "# Mine\n\nKeep it.\n"
    assert installed() == []


def test_what_the_agent_adds_is_shown_and_becomes_a_revision(kz, path):
    first = kz.ok("P8", agent="reviewer")
    with path.open("a") as file:
        file.write("- Ask before a rewrite.\n")
    shown = kz.ok("P9", agent="reviewer")
    assert shown["text"].endswith("Ask before a rewrite.\n") and "takes it in" in shown["warnings"][0]
    told = kz.ok("P9", agent="reviewer", _text=True)
    assert told.stdout == path.read_text() and "takes it in" in told.stderr
    second = kz.ok("P8", agent="reviewer")
    assert second["id"] == first["id"] and second["revision_id"] != first["revision_id"]
    assert "warnings" not in kz.ok("P9", agent="reviewer")


def test_a_file_that_came_meanwhile_is_not_written_over(kz, path):
    kz.ok("P8", agent="reviewer")
    path.write_text("theirs")
    store = Store(paths.find())
    memory.project(store, [("reviewer", "ours")])
    assert path.read_text() == "theirs" and store.warnings == []
    assert [one.name for one in path.parent.iterdir()] == ["memory.md"]


def test_a_file_that_is_lost_comes_back_from_the_record(kz, path):
    path.parent.mkdir(parents=True)
    path.write_text("# Mine\n")
    kz.ok("P8", agent="reviewer")
    path.unlink()
    assert kz.ok("P9", agent="reviewer")["text"] == "# Mine\n"
    kz.ok("P8", agent="reviewer")
    assert path.read_text() == "# Mine\n"


def test_an_empty_file_is_a_memory(kz, path):
    path.parent.mkdir(parents=True)
    path.write_text("")
    kz.ok("P8", agent="reviewer")
    assert path.read_text() == "" and kz.ok("P9", agent="reviewer")["text"] == ""


@pytest.mark.parametrize(
    ("data", "code"), [(b"\xff\xfe", "NOT_UTF8"), (b"x" * 1_000_001, "TOO_LARGE"), (b"a\0b", "FIELD_ENCODING")]
)
def test_a_file_that_is_no_text_is_refused(kz, path, data, code):
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert code in kz("P8", agent="reviewer")["code"]
    assert path.read_bytes() == data


def test_a_secret_in_the_file_is_refused_and_named(kz, path):
    path.parent.mkdir(parents=True)
    path.write_text("key AKIA" + "ABCDEFGHIJKLMNOP")
    assert kz.denied("DENIED_REDACTION", "P8", agent="reviewer")["field"] == "text"
    for op in ("P9", "P10"):
        shown = kz.ok(op, agent="reviewer")
        assert path.read_text() in shown["text"] and any("(aws_access_key)" in warning for warning in shown["warnings"])


def test_the_answer_says_where_the_memory_came_from(kz, path):
    assert kz.ok("P8", agent="reviewer")["memory"] == "new"
    assert kz.ok("P8", agent="reviewer")["memory"] == "taken from the file"
    path.unlink()
    assert kz.ok("P8", agent="reviewer")["memory"] == "written from the record"


def test_no_agent_is_called_as_the_folder_of_the_analysis(kz):
    for op, name in (("P8", "optimizer"), ("P9", "Optimizer"), ("P1", "optimizer")):
        refused = kz.denied("DENIED_AGENT_NAME", op, agent=name, **({"success": True} if op == "P1" else {}))
        assert ".kaizen/metrics/optimizer" in refused["message"]


def test_a_memory_behind_a_link_out_of_the_project_is_refused(kz, plane, tmp_path):
    (tmp_path / "private.md").write_text("private")
    folder = plane / ".kaizen/agents/reviewer"
    folder.mkdir(parents=True)
    (folder / "memory.md").symlink_to(tmp_path / "private.md")
    for op in ("P8", "P9", "P10"):
        kz.denied("DENIED_PATH_OUTSIDE_REPO", op, agent="reviewer")
    assert kz.ok("P16")["problems"][0]["code"] == "DENIED_PATH_OUTSIDE_REPO"


def test_without_a_memory_show_says_how_to_make_one(kz):
    reply = kz.denied("DENIED_MEMORY_MISSING", "P9", agent="reviewer")
    assert reply.code == 1 and "P8 --agent reviewer" in reply["required_action"]
    kz.denied("DENIED_AGENT_UNKNOWN", "P10", agent="reviewer")


def test_a_brief_is_the_performance_and_the_memory(kz):
    for number in range(12):
        kz.ok("P1", agent="reviewer", **({"success": True} if number else {"failure": True}), time=number, quality=0.5)
    assert "None yet; P8 --agent reviewer makes it." in kz.ok("P10", agent="reviewer")["text"]
    kz.ok("P8", agent="reviewer")
    brief = kz.ok("P10", agent="reviewer", _text=True).stdout
    assert "- 12 executions" in brief and "- success 92%" in brief and "- quality 0.50 (stable)" in brief
    assert brief.index("## Performance") < brief.index("# Memory of reviewer")


def test_a_folder_that_cannot_be_written_costs_a_warning(kz, plane):
    (plane / ".kaizen").write_text("a file where a folder belongs")
    assert "was not written" in kz.ok("P8", agent="reviewer")["warnings"][0]
    assert kz.ok("P9", agent="reviewer")["text"].startswith("# Memory of reviewer")
