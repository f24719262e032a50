"""The operations as a Python function."""

from __future__ import annotations

import pytest

from kaizen_components import denial
from kaizen_components.api import call


def test_a_call_writes_and_reads_like_the_command_line(kz, plane):
    task = call("task-start", title="Fix login", summary="Users cannot log in.", assumptions=["The database is up."])
    assert kz.ok("W11", id=task["id"])["record"]["assumptions_json"] == '["The database is up."]'
    assert call("W11", root=plane, id=task["id"])["record"]["title"] == "Fix login"


def test_a_refusal_is_raised_with_its_envelope():
    with pytest.raises(denial.TitleRequired) as refused:
        call("W1", summary="No title.")
    assert refused.value.envelope()["exit_code"] == 2


def test_an_unknown_field_is_refused_with_the_nearest():
    with pytest.raises(denial.Usage, match="titel"):
        call("W1", titel="Fix login", summary="Users cannot log in.")


def test_a_value_of_the_wrong_type_is_refused():
    with pytest.raises(denial.SchemaFieldType) as refused:
        call("W9", limit="many")
    assert refused.value.detail["field"] == "limit"
