"""Quality records: what is expected of a case, and lists that come in JSON."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize("expected", ["refuses, and says why", '{"code": 2}', "[1, 2]", "42"])
def test_what_is_expected_of_a_case_is_kept_as_it_was_given(kz, expected):
    case = kz.ok("Q3", title="Case", summary="A case.", expected_json=expected)["id"]
    assert kz.ok("Q7", id=case)["record"]["expected_json"] == expected


@pytest.mark.parametrize("expected", ['{"a": 1, "a": 2}', '{"a": NaN}'])
def test_expected_json_has_no_duplicate_keys_and_no_nan(kz, expected):
    kz.denied("DENIED_JSON_INVALID", "Q3", title="Case", summary="A case.", expected_json=expected)


@pytest.mark.parametrize("value", ["lint", 5, {"lint": 1}])
def test_in_a_payload_what_is_no_list_has_the_wrong_type(kz, value):
    payload = json.dumps({"tags": value})
    reply = kz.denied("DENIED_SCHEMA_FIELD_TYPE", "T1", kind="tool_call", summary="Ran it.", payload_json=payload)
    assert (reply["field"], reply["expected"]) == ("tags", "a JSON list")


@pytest.mark.parametrize("value", ["x", 5, [1]])
def test_in_a_payload_what_is_no_object_has_the_wrong_type(kz, value):
    payload = json.dumps({"run_id": "gen-1", "route": "api", "payload": value})
    reply = kz.denied("DENIED_PAYLOAD_TYPE", "Q8", kind="generative_run_route", payload_json=payload)
    assert reply["field"] == "payload"
