"""The verbs that every kind of record has: read back, list, revise, retire, bring back."""

from __future__ import annotations

import pytest

from kaizen_components.op import load
from kaizen_components.ops import _index
from kaizen_components.store import record_class

# Kind -> the operations that list it, revise it and retire it.
VERBS = {
    "anti_pattern": ("Q19", "Q20", "Q21"),
    "artifact": ("A4", "A6", "A7"),
    "criterion": ("W22", "W26", "W27"),
    "diagnostic_packet": ("W17", "W19", "W20"),
    "eval_case": ("Q14", "Q16", "Q18"),
    "eval_run": ("Q15", "Q17", "Q18"),
    "eval_score": ("T4", "T14", "T12"),
    "execution_contract": ("W29", "W31", "W32"),
    "gotcha": ("G2", "G5", "G6"),
    "irl_review": ("I6", "I8", "I9"),
    "learned": ("L7", "L12", "L13"),
    "learning": ("L4", "L11", "L13"),
    "note": ("W39", "W41", "W42"),
    "plan": ("W13", "W4", "W15"),
    "policy": ("X2", "X7", "X8"),
    "report": ("R12", "R15", "R14"),
    "retrospective": ("W34", "W36", "W37"),
    "source_lock": ("S2", "S5", "S6"),
    "subagent_packet": ("W16", "W19", "W20"),
    "task": ("W9", "W2", "W12"),
    "trace_event": ("T9", "T11", "T12"),
    "verification": ("Q9", "Q12", "Q13"),
}
# What is no longer true when it changes: the file that was hashed, the type of a value, what proofs say of a criterion.
FIXED = {("artifact", "path"), ("eval_score", "data_type"), ("criterion", "status")}


@pytest.fixture
def ids(kz, populated):
    return {**populated, "report": kz.ok("R2")["id"]}


def flags_of(code: str) -> set[str]:
    taken = load(code).input
    assert taken is not None
    return {spec.key for spec in taken.specs}


# Evidence follows its sources, runs and events are what happened; proposals and settings have verbs of their own.
OTHERWISE = {
    "agent_event",
    "agent_run",
    "approval",
    "checkpoint",
    "permission_rule",
    "question",
    "todo_list",
    "tool_call",
    "evidence_block",
    "evidence_chunk",
    "evidence_document",
    "gateway_event",
    "generative_run",
    "generative_run_route",
    "improvement_proposal",
    "pii_scan",
    "setting",
    "agent_execution",
    "agent_memory",
    "event_receiver",
    "metrics_analysis",
    "optimizer_call",
    "optimizer_candidate",
    "optimizer_run",
    "optimizer_score",
    "outbox_event",
    "publication",
    "recommendation",
}


def test_every_kind_is_here():
    assert set(VERBS) | OTHERWISE == set(_index.KINDS) - {"plane"}


@pytest.mark.parametrize("kind", VERBS)
def test_every_authored_field_can_be_revised(kind):
    fields = {spec.key for spec in record_class(kind).specs if spec.flagged or spec.name == "status"}
    assert {(kind, key) for key in fields - flags_of(VERBS[kind][1])} <= FIXED


@pytest.mark.parametrize("kind", VERBS)
def test_a_list_takes_a_window_and_every_filter_that_its_records_have(kind):
    names = {spec.key for spec in record_class(kind).specs}
    wanted = {"limit", "offset", "since", "until", "status"} | ({"scope", "task_id"} & names)
    assert wanted <= flags_of(VERBS[kind][0])


@pytest.mark.parametrize("kind", VERBS)
def test_a_retired_record_leaves_the_open_ones_and_keeps_its_reason(kz, ids, kind):
    listing, _, retiring = VERBS[kind]
    kz.ok(retiring, id=ids[kind], reason="No longer true.")
    record = kz.ok("K18", id=ids[kind])["record"]
    assert (record["status"], record["retired_reason"], record["is_open"]) == ("retired", "No longer true.", 0)
    assert [row["id"] for row in kz.ok(listing, status="retired")["records"]] == [ids[kind]]
    assert kz.ok(retiring, id=ids[kind], reason="Again.")["already"] is True


@pytest.mark.parametrize("kind", sorted(set(VERBS) - {"criterion"}))
def test_a_retired_record_comes_back_with_an_open_status(kz, ids, kind):
    _, revising, retiring = VERBS[kind]
    kz.ok(retiring, id=ids[kind], reason="By mistake.")
    kz.ok(revising, id=ids[kind], status="active")
    record = kz.ok("K18", id=ids[kind])["record"]
    assert (record["status"], record["retired_reason"], record["is_open"]) == ("active", None, 1)


@pytest.mark.parametrize(
    ("op", "flags", "status"),
    [
        ("W24", {"proof_id": "proof"}, "met"),
        ("W25", {"reason": "Not in this release."}, "waived"),
        ("W26", {"summary": "Every user can log in."}, "open"),
    ],
)
def test_a_retired_criterion_comes_back_met_waived_or_reworded(kz, ids, op, flags, status):
    kz.ok("W27", id=ids["criterion"], reason="By mistake.")
    kz.ok(op, id=ids["criterion"], **{name: ids.get(value, value) for name, value in flags.items()})
    record = kz.ok("W23", id=ids["criterion"])["record"]
    assert (record["status"], record["retired_reason"]) == (status, None)


def test_a_packet_revised_with_another_payload_has_its_hash(kz, ids):
    before = kz.ok("W18", id=ids["subagent_packet"])["record"]
    kz.ok("W19", id=ids["subagent_packet"], payload_json='{"files": 4}')
    after = kz.ok("W18", id=ids["subagent_packet"])["record"]
    assert after["payload_json"] == '{"files": 4}' and after["payload_sha256"] != before["payload_sha256"]


def test_a_score_can_be_linked_anew_and_keeps_its_value(kz, ids):
    step = kz.ok("T1", kind="judge", summary="Judged it.")["id"]
    kz.ok("T14", id=ids["eval_score"], trace_event_id=step, source="model")
    record = kz.ok("T13", id=ids["eval_score"])["record"]
    assert (record["trace_event_id"], record["source"], record["value_num"]) == (step, "model", 0.5)


def test_the_history_of_a_record_takes_a_window(kz, ids):
    for status in ("blocked", "active"):
        kz.ok("W2", id=ids["task"], status=status)
    every = kz.ok("K19", id=ids["task"])["records"]
    assert len(every) == 3
    assert kz.ok("K19", id=ids["task"], limit=1, offset=1)["records"] == [every[1]]
    assert kz.ok("K19", id=ids["task"], since=every[2]["time"])["records"] == [every[2]]
    assert kz.ok("K19", id=ids["task"], until=every[2]["time"], limit=-1)["records"] == every[:2]


def test_policies_for_a_session_take_a_window_and_a_scope(kz, ids):
    other = kz.ok("X1", title="Elsewhere", summary="Another rule.", scope="skill")["id"]
    assert [row["id"] for row in kz.ok("X5", scope="skill")["records"]] == [other]
    assert [row["id"] for row in kz.ok("X5", offset=1)["records"]] == [other]


def test_a_search_over_all_kinds_takes_a_scope(kz, ids):
    skill = kz.ok("G1", title="Cache of a skill", summary="It is stale.", body="Clear it.", scope="skill")["id"]
    assert [row["id"] for row in kz.ok("K17", query="cache", scope="skill")["records"]] == [skill]


def test_what_is_missing_is_named_in_fields(kz):
    assert kz.denied("DENIED_SCHEMA_REQUIRED", "G1", title="a", summary="b")["fields"] == ["body"]
    assert kz.denied("DENIED_SCHEMA_REQUIRED", "T2")["fields"] == ["payload_json"]
