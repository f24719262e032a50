"""Executions: what P1 takes, what it refuses, what it adds up to, and how it comes out again."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest

from kaizen_components import paths
from kaizen_components.metrics import executions, summary
from kaizen_components.store import Store

# The field list of the contract: what stands in a line, and what in a summary.
REQUIRED = {"timestamp", "agent", "success"}
FIELDS = REQUIRED | {"execution_time_s", "quality_score", "primary_metric", "session_id", "metadata", "helix_session_uid", "repo"}
FIELDS |= {"flavor", "tokens", "infra_overhead_share"}
SUMMARY = {"execution_count", "success_rate", "avg_quality_score", "avg_execution_time_s", "last_execution", "trend"}
WHOLE = {
    "timestamp": "2026-02-01T08:00:00Z",
    "agent": "reviewer",
    "success": True,
    "execution_time_s": 12.5,
    "quality_score": 0.75,
    "primary_metric": {"name": "found", "value": 3, "target": 2},
    "session_id": "s-1",
    "metadata": {"branch": "main", "ünïcode": "✓"},
    "helix_session_uid": "claude:0123",
    "repo": "shop",
    "flavor": "strict",
    "tokens": 1200,
    "infra_overhead_share": 0.2,
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("HELIX_SESSION_UID", "HELIX_REPO", "HELIX_FLAVOR", "HELIX_TOKENS", "HELIX_INFRA_OVERHEAD_SHARE", "NATS_URL"):
        monkeypatch.delenv(name, raising=False)
    # The files keep 180 days.
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-03-01T00:00:00+00:00")


def record(kz, day: int, success: bool = True, agent: str = "reviewer", **more):
    outcome = {"success": True} if success else {"failure": True}
    return kz.ok("P1", agent=agent, timestamp=f"2026-01-{day:02d}T08:00:00Z", **outcome, **more)


def last_line(plane, agent: str = "reviewer") -> dict:
    return json.loads((plane / ".kaizen/metrics" / agent / "executions.jsonl").read_text().splitlines()[-1])


def test_a_whole_execution_comes_back_as_it_was_given(kz, plane):
    reply = kz.ok("P1", payload_json=json.dumps(WHOLE))
    assert reply["duplicate"] is False
    assert last_line(plane) == WHOLE
    assert json.loads(kz.ok("P4", agent="reviewer")["content"]) == WHOLE
    found = executions.history(Store(paths.find()))
    assert [(one.id, one.metadata, one.primary_metric["value"]) for one in found] == [(reply["id"], WHOLE["metadata"], 3)]


def test_flags_say_the_same_as_a_payload(kz):
    kz.ok("P1", payload_json=json.dumps(WHOLE))
    flags = dict(WHOLE, time=12.5, quality=0.75)
    flags["primary_metric_json"], flags["metadata_json"] = (
        json.dumps(flags.pop(name)) for name in ("primary_metric", "metadata")
    )
    for name in ("execution_time_s", "quality_score"):
        del flags[name]
    assert kz.ok("P1", **flags)["duplicate"] is True


def test_a_payload_comes_from_a_file_or_from_stdin(kz, tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(WHOLE))
    first = kz.ok("P1", payload_json_file=str(tmp_path / "one.json"))
    assert kz.ok("P1", payload_json_file="-", _stdin=json.dumps(WHOLE))["id"] == first["id"]


def test_without_a_time_it_happened_now_to_the_second(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-03-01T10:00:00.250000+00:00")
    kz.ok("P1", agent="reviewer", success=True)
    line = last_line(plane)
    assert line["timestamp"] == "2026-03-01T10:00:02Z" and set(line) == REQUIRED


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-02-01T08:00:00+02:00", "2026-02-01T06:00:00Z"),
        ("2026-02-01T08:00:00", "2026-02-01T08:00:00Z"),
        ("2026-02-01", "2026-02-01T00:00:00Z"),
        ("2026-02-01T08:00:00.900Z", "2026-02-01T08:00:00Z"),
    ],
)
def test_times_are_kept_in_utc_to_the_second(kz, plane, given, kept):
    kz.ok("P1", agent="reviewer", success=True, timestamp=given)
    assert last_line(plane)["timestamp"] == kept


def test_times_within_a_second_stay_apart(kz, plane):
    for part in ("100", "900"):
        assert not kz.ok("P1", agent="reviewer", success=True, timestamp=f"2026-02-01T08:00:00.{part}Z")["duplicate"]
    assert last_line(plane)["metadata"] == {"timestamp": "2026-02-01T08:00:00.900Z"}


def test_a_duplicate_writes_nothing_and_names_the_first(kz, plane):
    first = record(kz, 1, time=3)
    before = kz.ok("K22", limit=1)["head"]["seq"], (plane / ".kaizen/metrics/reviewer/executions.jsonl").read_bytes()
    again = record(kz, 1, time=3)
    assert again["duplicate"] is True and again["id"] == first["id"] and "seq" not in again
    assert before == (kz.ok("K22", limit=1)["head"]["seq"], (plane / ".kaizen/metrics/reviewer/executions.jsonl").read_bytes())
    assert again["summary"]["execution_count"] == 1


def test_the_environment_says_what_the_call_does_not(kz, plane, monkeypatch):
    monkeypatch.setenv("HELIX_SESSION_UID", "claude:abc")
    monkeypatch.setenv("HELIX_REPO", "shop")
    monkeypatch.setenv("HELIX_FLAVOR", "fast")
    monkeypatch.setenv("HELIX_TOKENS", "900")
    monkeypatch.setenv("HELIX_INFRA_OVERHEAD_SHARE", "0.25")
    kz.ok("P1", agent="reviewer", success=True, flavor="slow", payload_json='{"repo": "till"}')
    line = last_line(plane)
    assert (line["helix_session_uid"], line["repo"], line["flavor"], line["tokens"], line["infra_overhead_share"]) == (
        "claude:abc",
        "till",
        "slow",
        900,
        0.25,
    )


@pytest.mark.parametrize(
    ("variable", "value"), [("HELIX_TOKENS", "many"), ("HELIX_TOKENS", "-1"), ("HELIX_INFRA_OVERHEAD_SHARE", "2")]
)
def test_a_wrong_variable_is_refused_by_name(kz, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert kz.denied("DENIED_ENVIRONMENT_INVALID", "P1", agent="reviewer", success=True)["variable"] == variable


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        ("DENIED_OUTCOME_REQUIRED", {"agent": "a"}),
        ("DENIED_FLAG_CONFLICT", {"agent": "a", "success": True, "failure": True}),
        ("DENIED_FLAG_CONFLICT", {"agent": "a", "success": True, "emit_event": True, "no_event": True}),
        ("DENIED_SCHEMA_REQUIRED", {"success": True}),
        ("DENIED_SCHEMA_RANGE", {"agent": "a", "success": True, "quality": 1.5}),
        ("DENIED_SCHEMA_RANGE", {"agent": "a", "success": True, "time": -1}),
        ("DENIED_SCHEMA_RANGE", {"agent": "a", "success": True, "time": "nan"}),
        ("DENIED_SCHEMA_FIELD_TYPE", {"agent": "a", "success": True, "timestamp": "yesterday"}),
        ("DENIED_SCHEMA_FIELD_TYPE", {"agent": "a", "payload_json": '{"success": "yes"}'}),
        ("DENIED_SCHEMA_FIELD_TYPE", {"agent": "a", "success": True, "payload_json": '{"tokens": "5"}'}),
        ("DENIED_SCHEMA_FIELD_TYPE", {"agent": "a", "success": True, "primary_metric_json": '{"name": "x", "value": "3"}'}),
        ("DENIED_SCHEMA_FIELD_TYPE", {"agent": "a", "success": True, "primary_metric_json": '{"value": 3}'}),
        ("DENIED_SCHEMA_UNKNOWN_FIELDS", {"agent": "a", "success": True, "primary_metric_json": '{"name": "x", "vale": 3}'}),
        ("DENIED_PAYLOAD_TYPE", {"agent": "a", "success": True, "payload_json": "[]"}),
        ("DENIED_JSON_INVALID", {"agent": "a", "success": True, "payload_json": '{"metadata": {"n": 1e999}}'}),
        ("DENIED_JSON_INVALID", {"agent": "a", "success": True, "metadata_json": '{"n": 36028797018963969}'}),
        ("DENIED_REFERENCE_NOT_FOUND", {"agent": "a", "success": True, "task_id": "t_20260101000000_0000000000"}),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_written(kz, plane, code, flags):
    kz.denied(code, "P1", **flags)
    assert not (plane / ".kaizen").exists()
    assert kz.ok("P3")["count"] == 0


def test_unknown_keys_are_refused_by_name(kz):
    reply = kz.denied("DENIED_SCHEMA_UNKNOWN_FIELDS", "P1", agent="a", payload_json='{"success": true, "sucess": 1, "note": 2}')
    assert reply["fields"] == ["sucess", "note"] and set(reply["allowed"]) == FIELDS


@pytest.mark.parametrize(
    "name",
    ["../up", "a/b", "a\\b", ".hidden", "..", "a\nb", "-flag", "con", "NUL.txt", "x" * 101, "a:b", "trailing ", "trailing."],
)
def test_a_name_that_is_no_folder_is_refused(kz, plane, name):
    for op, more in (
        ("P1", {"success": True}),
        ("P2", {}),
        ("P4", {}),
        ("P8", {}),
        ("P9", {}),
        ("P10", {}),
        ("P16", {"path": "."}),
    ):
        assert kz(op, _args=[f"--agent={name}"], **more)["code"] == "DENIED_AGENT_NAME", op
    assert not (plane / ".kaizen").exists()


@pytest.mark.parametrize("name", ["code-reviewer", "Prüferin", "team.lead", "a", "two words", "bot@host", "v1.2_x"])
def test_a_name_that_is_a_folder_is_taken(kz, plane, name):
    kz.ok("P1", agent=name, success=True)
    assert last_line(plane, name)["agent"] == name


def test_flag_agent_is_who_is_measured_and_the_environment_says_who_acts(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_AGENT", "the-host")
    seq = kz.ok("P1", agent="reviewer", success=True, no_event=True)["seq"]
    entry = kz.ok("K23", seq=seq)["record"]
    assert entry["agent"] == "the-host"


def test_a_key_makes_the_call_safe_to_repeat(kz):
    flags = {"agent": "reviewer", "success": True, "time": 4, "key": "run-1"}
    first, again = kz.ok("P1", **flags), kz.ok("P1", **flags)
    assert again["replayed"] is True and again["id"] == first["id"]
    assert kz.ok("P2", agent="reviewer")["summary"]["execution_count"] == 1


# --- events -------------------------------------------------------------------------------------------------


def events() -> list[dict]:
    rows = Store(paths.find()).list("outbox_event", {"type": "kaizen.metrics.recorded"}, order="number")
    return [json.loads(row["event_json"]) for row in rows]


def test_an_event_follows_a_real_append_and_no_other(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_PROJECT_SLUG", "shop")
    record(kz, 1, quality=0.5)
    record(kz, 1, quality=0.5)
    record(kz, 2, False, emit_event=True)
    record(kz, 3, no_event=True)
    told = events()
    assert [event["attributes"]["summary"] for event in told] == [
        {"success_rate": 1.0, "execution_count": 1, "avg_quality": 0.5},
        {"success_rate": 0.5, "execution_count": 2, "avg_quality": 0.5},
    ]
    assert told[0]["attributes"] | {"summary": None} == {"agent": "reviewer", "project": "shop", "summary": None}
    assert (told[0]["publisher"], told[0]["version"]) == ("kaizen-agentic", "1.0")


def test_a_refused_execution_leaves_no_event(kz):
    kz.denied("DENIED_REFERENCE_NOT_FOUND", "P1", agent="a", success=True, task_id="t_20260101000000_0000000000")
    assert events() == []


# --- summary ------------------------------------------------------------------------------------------------


def test_a_summary_holds_what_the_contract_lists(kz, plane):
    record(kz, 1, time=10, quality=0.5)
    record(kz, 2, False, time=20)
    told = json.loads((plane / ".kaizen/metrics/reviewer/summary.json").read_text())
    assert set(told) == SUMMARY and set(told["trend"]) == {"success_rate", "quality_score"}
    assert told == kz.ok("P2", agent="reviewer")["summary"]
    assert told == {
        "execution_count": 2,
        "success_rate": 0.5,
        "avg_quality_score": 0.5,
        "avg_execution_time_s": 15.0,
        "last_execution": "2026-01-02T08:00:00Z",
        "trend": {"success_rate": "stable", "quality_score": "stable"},
    }


@pytest.mark.parametrize(
    ("newest_first", "said"),
    [
        ([], "unknown"),
        ([None] * 20, "unknown"),
        ([None] * 10 + [0.5] * 10, "unknown"),
        ([0.1] * 10, "stable"),
        ([1.0] * 10 + [0.0], "up"),
        ([0.0] * 10 + [1.0], "down"),
        ([0.84] * 10 + [0.8] * 10, "stable"),
        ([0.85] * 10 + [0.8] * 10, "up"),
        ([0.75] * 10 + [0.8] * 10, "down"),
        ([0.76] * 10 + [0.8] * 10, "stable"),
        ([0.9] * 10 + [0.9] * 10 + [0.0] * 50, "stable"),
        ([0.9, None] * 5 + [0.5, None] * 5, "up"),
    ],
)
def test_a_trend_sets_the_newest_ten_against_the_ten_before(newest_first, said):
    assert summary.trend(newest_first) == said


def test_a_trend_follows_the_times_and_not_the_order_of_recording(kz):
    for day in range(20, 10, -1):
        record(kz, day, quality=0.9)
    for day in range(10, 0, -1):
        record(kz, day, day % 2 == 0, quality=0.5)
    told = kz.ok("P2", agent="reviewer")
    assert told["summary"]["trend"] == {"success_rate": "up", "quality_score": "up"}
    assert told["records"][0]["timestamp"] == "2026-01-20T08:00:00Z" and told["count"] == 10


def test_show_lists_the_newest_and_what_is_young_enough(kz):
    for day in (1, 2, 3):
        record(kz, day)
    assert [one["timestamp"][8:10] for one in kz.ok("P2", agent="reviewer", limit=2)["records"]] == ["03", "02"]
    assert kz.ok("P2", agent="reviewer", since="2026-01-02T08:00:00Z")["count"] == 2
    assert kz.ok("P2", agent="reviewer", since="2026-01-02T08:00:00.5Z")["count"] == 1


def test_an_unknown_agent_is_refused_with_the_nearest(kz):
    record(kz, 1)
    for op in ("P2", "P4"):
        reply = kz.denied("DENIED_AGENT_UNKNOWN", op, agent="reviever")
        assert reply.code == 1 and "Did you mean reviewer?" in reply["required_action"]


def test_an_agent_with_a_memory_and_no_executions_has_an_empty_summary(kz):
    kz.ok("P8", agent="newcomer")
    told = kz.ok("P2", agent="newcomer")["summary"]
    assert told["execution_count"] == 0 and told["success_rate"] is None
    assert told["trend"] == {"success_rate": "unknown", "quality_score": "unknown"}


def test_list_has_every_agent_once_by_name(kz):
    record(kz, 1, agent="zoe")
    record(kz, 1, agent="adam")
    record(kz, 2, False, agent="zoe")
    agents = kz.ok("P3")["records"]
    assert [(one["agent"], one["execution_count"], one["success_rate"]) for one in agents] == [("adam", 1, 1.0), ("zoe", 2, 0.5)]
    assert all(set(one) == {"agent"} | SUMMARY for one in agents)
    assert "zoe" in kz.ok("P3", _text=True).stdout
    assert agents == [{"agent": name, **kz.ok("P2", agent=name)["summary"]} for name in ("adam", "zoe")]


# --- export -------------------------------------------------------------------------------------------------


def test_csv_has_every_field_and_no_formula(kz):
    record(kz, 1, time=3, session_id='=HYPERLINK("http://x")', repo="@cmd", metadata_json='{"a": 1}')
    text = kz.ok("P4", agent="reviewer", format="csv")["content"]
    assert text.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert set(rows[0]) == FIELDS
    assert (rows[0]["session_id"], rows[0]["repo"]) == ('\'=HYPERLINK("http://x")', "'@cmd")
    assert (rows[0]["success"], rows[0]["execution_time_s"], rows[0]["metadata"]) == ("true", "3.0", '{"a": 1}')


def test_an_export_goes_to_standard_output_byte_for_byte(kz):
    record(kz, 2)
    record(kz, 1, agent="other")
    shown = kz.ok("P4", _text=True).stdout
    assert [json.loads(line)["agent"] for line in shown.splitlines()] == ["other", "reviewer"]
    assert kz.ok("P4", _text=True, agent="reviewer", format="csv").stdout.startswith("timestamp,agent,success,")


def test_an_export_to_a_file_writes_a_new_one_in_the_project(kz, plane):
    record(kz, 1)
    reply = kz.ok("P4", agent="reviewer", out="out/all.jsonl")
    assert (plane / "out/all.jsonl").read_text() == kz.ok("P4", agent="reviewer")["content"]
    assert (reply["path"], reply["count"]) == ("out/all.jsonl", 1)
    kz.denied("DENIED_FILE_UNWRITABLE", "P4", agent="reviewer", out="out/all.jsonl")
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "P4", agent="reviewer", out="../all.jsonl")


def test_an_export_can_be_recorded_again_elsewhere(kz, plane, tmp_path, monkeypatch):
    for day in (1, 2, 3):
        record(kz, day, day != 2, quality=day / 10, metadata_json='{"n": 1}')
    lines = kz.ok("P4")["content"]
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(other))
    for line in lines.splitlines():
        kz.ok("P1", payload_json=line)
    assert kz.ok("P4")["content"] == lines


# --- what Kaizen writes ---------------------------------------------------------------------------------------


def test_every_line_and_summary_that_is_written_fits_the_contract(kz, plane):
    kz.ok("P1", payload_json=json.dumps(WHOLE))
    for day in range(1, 25):
        record(kz, day, day % 3 > 0, agent=f"agent{day % 2}", **({"quality": day / 30} if day % 4 else {}))
    files = sorted((plane / ".kaizen/metrics").iterdir())
    assert [path.name for path in files] == ["agent0", "agent1", "reviewer"]
    for folder in files:
        assert sorted(path.name for path in folder.iterdir()) == ["executions.jsonl", "summary.json"]
        lines = [json.loads(line) for line in (folder / "executions.jsonl").read_text().splitlines()]
        told = json.loads((folder / "summary.json").read_text())
        for line in lines:
            assert REQUIRED <= set(line) <= FIELDS
            assert line["agent"] == folder.name and isinstance(line["success"], bool)
            assert time.strptime(line["timestamp"], "%Y-%m-%dT%H:%M:%SZ")
            assert 0 <= line.get("quality_score", 0) <= 1
        assert set(told) == SUMMARY and told["execution_count"] == len(lines)
        assert told["success_rate"] == round(sum(line["success"] for line in lines) / len(lines), 6)
        assert set(told["trend"].values()) <= {"up", "down", "stable", "unknown"}


@pytest.mark.parametrize(("timestamp", "taken"), [("2026-03-01T20:00:00Z", True), ("2026-03-03", False), ("2999-01-01", False)])
def test_a_time_more_than_a_day_ahead_of_the_clock_is_refused(kz, timestamp, taken):
    flags = {"agent": "reviewer", "success": True, "timestamp": timestamp}
    if taken:
        kz.ok("P1", **flags)
    else:
        assert kz.denied("DENIED_TIME_AHEAD", "P1", **flags)["field"] == "timestamp"


def test_a_variable_that_is_no_number_is_refused_in_plain_words(kz, monkeypatch):
    monkeypatch.setenv("HELIX_TOKENS", "many")
    refused = kz.denied("DENIED_ENVIRONMENT_INVALID", "P1", agent="reviewer", success=True)
    assert refused["reason"] == "it is no whole number"
    assert refused["required_action"] == "Set HELIX_TOKENS to a value that --tokens takes, or unset it."
