"""First steps: what is easily got wrong at the beginning is said at once."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("text", ["TASK_ID", "TASK_ID_FROM_W1"])
def test_a_placeholder_from_a_document_is_no_reference(kz, text):
    refusal = kz.denied("DENIED_REFERENCE_NOT_FOUND", "Q1", summary="All green.", task_id=text)
    assert "placeholder" in refusal["message"] and refusal["field"] == "task_id"


def test_a_name_from_another_tracker_is_kept(kz):
    proof = kz.ok("Q1", summary="All green.", task_id="PROJ-42")
    assert kz.ok("Q7", id=proof["id"])["record"]["task_id"] == "PROJ-42"


def test_a_project_folder_that_did_not_exist_is_named(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(plane / "mistyped"))
    assert "mistyped" in kz.ok("W9")["warnings"][0]
    assert "warnings" not in kz.ok("W9")
