"""Tasks, plans and their acceptance criteria."""

import pytest


def test_a_task_is_started_and_read_back(kz):
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.")
    shown = kz.ok("W11", id=task["id"])["record"]
    assert shown["title"] == "Fix login" and shown["status"] == "active"
    assert shown["current_revision_id"] == task["revision_id"] and shown["content_hash"] == task["content_hash"]


def test_closing_a_task_with_an_unproved_criterion_is_refused(kz):
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.", criterion=["A user can log in."])
    refusal = kz.denied("DENIED_CRITERION_UNPROVED", "W2", id=task["id"], status="done")
    assert refusal["criteria"] == [{"id": task["criterion_ids"][0], "summary": "A user can log in."}]
    assert kz.ok("W11", id=task["id"])["record"]["status"] == "active"


def test_closing_may_waive_what_is_unproved_with_a_reason(kz):
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.", criterion=["A user can log in."])
    closed = kz.ok("W2", id=task["id"], status="done", waive="The feature was dropped.")
    assert closed["waived"] == task["criterion_ids"]
    criterion = kz.ok("W23", id=task["criterion_ids"][0])["record"]
    assert (criterion["status"], criterion["waiver_reason"]) == ("waived", "The feature was dropped.")


@pytest.mark.parametrize("op", ["W1", "W3"])
def test_what_brings_criteria_is_not_recorded_as_over(kz, op):
    reply = kz.denied("DENIED_CRITERION_UNPROVED", op, title="a", summary="b", status="Done", criterion=["It holds."])
    assert reply["criteria"] == [{"summary": "It holds."}]
    kz.ok(op, title="a", summary="b", status="done")
