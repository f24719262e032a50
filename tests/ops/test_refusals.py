"""Refusals of payloads, scores and observed proofs: each by its own code."""

from __future__ import annotations

import json

import pytest


def test_a_third_sentence_is_too_many(kz):
    refusal = kz.denied("DENIED_SUMMARY_TOO_LONG", "W1", title="Fix", summary="One is fine. Two is fine. Three is not.")
    assert (refusal["field"], refusal["sentences"], refusal["limit"]) == ("summary", 3, 2)


def test_a_payload_with_a_field_of_no_schema_is_refused_with_those_it_knows(kz):
    payload = json.dumps({"kind": "tool_call", "summary": "Ran it.", "colour": "red"})
    refusal = kz.denied("DENIED_SCHEMA_UNKNOWN_FIELDS", "T1", payload_json=payload)
    assert refusal["fields"] == ["colour"] and "summary" in refusal["allowed"]


def test_an_unknown_schema_is_refused_with_the_known_ones(kz):
    refusal = kz.denied("DENIED_SCHEMA_UNKNOWN_TYPE", "Q8", kind="nothing", payload_json="{}")
    assert refusal["record_type"] == "nothing" and "trace_event" in refusal["allowed"]


def test_a_payload_that_is_no_object_is_refused(kz):
    kz.denied("DENIED_SCHEMA_TYPE", "Q8", kind="gotcha", payload_json="[]")


def test_a_schema_of_the_users_own_is_held_against_the_payload(kz):
    schema = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    assert kz.ok("Q8", schema_json=schema, payload_json='{"n": 1}')["valid"] is True
    refusal = kz.denied("DENIED_SCHEMA_JSONSCHEMA", "Q8", schema_json=schema, payload_json='{"n": "one"}')
    assert refusal["errors"][0]["path"] == "$.n"
    kz.denied("DENIED_JSON_INVALID", "Q8", schema_json='{"type": "nonsense"}', payload_json="{}")


@pytest.mark.parametrize(
    ("value", "data_type"),
    [(True, "numeric"), ("0.5", "numeric"), ("maybe", "boolean"), (2, "boolean"), (1, "categorical"), (" ", "categorical")],
)
def test_a_score_that_does_not_fit_its_type_is_refused(kz, value, data_type):
    payload = json.dumps({"name": "n", "value": value, "data_type": data_type, "source": "human"})
    assert kz.denied("DENIED_SCORE_VALUE", "T2", payload_json=payload)["data_type"] == data_type


@pytest.mark.parametrize("value", [True, 1, "TRUE", "1"])
def test_a_boolean_score_takes_true_in_any_case(kz, value):
    payload = json.dumps({"name": "n", "value": value, "data_type": "boolean", "source": "human"})
    shown = kz.ok("T13", id=kz.ok("T2", payload_json=payload)["id"])["record"]
    assert (shown["value_num"], shown["value_label"]) == (1.0, "true")


def test_what_was_observed_cannot_be_revised(kz):
    proof = kz.ok("Q11", _command=["true"])["id"]
    assert kz.denied("DENIED_OBSERVED_FIXED", "Q12", id=proof, conclusion="VERIFIED_ACCEPTABLE")["fields"] == ["conclusion"]
    kz.ok("Q12", id=proof, status="superseded")
