"""Lessons: what becomes of a pitfall when what it came from is gone."""

from __future__ import annotations


def test_a_pitfall_whose_task_was_erased_can_be_promoted(kz):
    task = kz.ok("W1", title="A", summary="One.")["id"]
    pitfall = kz.ok("G1", title="Trap", summary="It bites.", body="Step around it.", task_id=task)["id"]
    kz.ok("K21", id=task, reason="Asked for.", confirm=task)
    learning = kz.ok("L2", id=pitfall)["id"]
    assert kz.ok("L6", id=learning)["record"]["source_task_id"] is None
    kz.ok("L3", id=learning)
    kz.denied("DENIED_REFERENCE_NOT_FOUND", "L1", title="T", summary="s.", task_id=task)
    kz.ok("V1")


def test_a_pitfall_of_a_ticket_elsewhere_keeps_it(kz):
    pitfall = kz.ok("G1", title="Trap", summary="It bites.", body="Step around it.", task_id="PROJ-42")["id"]
    assert kz.ok("L6", id=kz.ok("L2", id=pitfall)["id"])["record"]["source_task_id"] == "PROJ-42"
