"""Acceptance criteria: met by proofs that hold, waived with a reason, open again when their words change."""

from __future__ import annotations

import pytest


@pytest.fixture
def criterion(kz):
    """A criterion of a task."""
    return kz.ok("W1", title="Fix login", summary="Users cannot log in.", criterion=["A user can log in."])["criterion_ids"][0]


def test_a_proof_meets_a_criterion_and_the_task_may_close(kz, criterion):
    proof = kz.ok("Q1", summary="A login was seen.")["id"]
    assert kz.ok("W24", id=criterion, proof_id=proof)["proof_ids"] == [proof]
    shown = kz.ok("W23", id=criterion)
    assert shown["record"]["status"] == "met" and shown["proofs"][0]["id"] == proof
    assert kz.ok("W2", id=shown["record"]["task_id"], status="done")["status"] == "OK"


@pytest.mark.parametrize("conclusion", ["VERIFICATION_FAILED", "NEEDS_HUMAN_DECISION", "STRUCTURAL_REWORK_RECOMMENDED"])
def test_a_proof_that_failed_or_is_undecided_meets_nothing(kz, criterion, conclusion):
    proof = kz.ok("Q2", summary="It does not hold.", conclusion=conclusion)["id"]
    assert kz.denied("DENIED_PROOF_UNFIT", "W24", id=criterion, proof_id=proof)["conclusion"] == conclusion
    assert kz.ok("W23", id=criterion)["record"]["status"] == "open"


def test_a_retired_proof_meets_nothing(kz, criterion):
    proof = kz.ok("Q1", summary="A login was seen.")["id"]
    kz.ok("Q13", id=proof, reason="On the wrong branch.")
    kz.denied("DENIED_PROOF_UNFIT", "W24", id=criterion, proof_id=proof)


def test_an_observed_failure_meets_nothing(kz, criterion):
    proof = kz("Q11", _command=["false"])["id"]
    kz.denied("DENIED_PROOF_UNFIT", "W24", id=criterion, proof_id=proof)


def test_new_words_open_a_criterion_again(kz, criterion):
    kz.ok("W24", id=criterion, proof_id=kz.ok("Q1", summary="A login was seen.")["id"])
    kz.ok("W26", id=criterion, summary="Every user can log in.")
    record = kz.ok("W23", id=criterion)["record"]
    assert (record["status"], record["proof_ids_json"]) == ("open", None)


def test_a_waiver_needs_a_reason(kz, criterion):
    kz.denied("DENIED_REASON_REQUIRED", "W25", id=criterion)
    kz.ok("W25", id=criterion, reason="Not in this release.")
    assert kz.ok("W23", id=criterion)["record"]["waiver_reason"] == "Not in this release."
