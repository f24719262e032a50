"""Gateway events: what a gateway did, by hand and by runs, in a vocabulary that routing and gateways need."""

from __future__ import annotations

import json

import pytest

from kaizen_components.generation.records import EVENT_TYPES

PAYLOAD = json.dumps({"route": "a", "limit": 5})


def add(kz, event_type="failover", **more) -> str:
    flags = {"status": "switched", "summary": "The first endpoint timed out.", **more}
    return kz.ok("Y10", event_type=event_type, **flags)["id"]


@pytest.mark.parametrize(
    "event_type", ["identity", "route", "budget", "rate_limit", "failover", "tool_federation", "comfyui_run"]
)
def test_an_event_of_every_type_is_kept_and_found(kz, event_type):
    event = add(kz, event_type, payload=PAYLOAD, body="Details.")
    add(kz, "route" if event_type != "route" else "budget")
    (listed,) = kz.ok("Y11", event_type=event_type)["records"]
    assert (listed["id"], listed["status"]) == (event, "switched")
    record = kz.ok("Y12", id=event)["record"]
    assert json.loads(record["payload_json"]) == json.loads(PAYLOAD) and record["body"] == "Details."


def test_another_type_is_refused_with_those_that_there_are(kz):
    reply = kz.denied("DENIED_SCHEMA_ENUM", "Y10", event_type="cache_hit", status="x", summary="A summary.")
    assert reply["allowed"] == list(EVENT_TYPES)


@pytest.mark.parametrize("field", ["summary", "status", "body", "payload"])
@pytest.mark.parametrize("held", ["mail joe@corp.de", "AKIA" + "QX7ZJ2M4R9T1W3L5"])
def test_what_is_secret_or_private_is_refused(kz, field, held):
    flags = {"event_type": "route", "status": "x", "summary": "A summary.", field: held}
    flags |= {"payload": json.dumps({"a": held})} if field == "payload" else {}
    assert kz.denied("DENIED_TRACE_REDACTION", "Y10", **flags)["field"] == field


@pytest.mark.parametrize("payload", ["[]", "1", "{", '{"a": NaN}', '{"a": 1, "a": 2}'])
def test_a_payload_is_an_object(kz, payload):
    reply = kz("Y10", event_type="route", status="x", summary="A summary.", payload=payload)
    assert reply.code == 2 and reply["field"] == "payload"


def test_an_event_is_revised_and_retired_with_its_history(kz):
    event = add(kz)
    kz.ok("Y13", id=event, status="recovered")
    assert kz.ok("Y12", id=event)["record"]["status"] == "recovered"
    kz.ok("Y14", id=event, reason="Recorded twice.")
    assert kz.ok("Y12", id=event)["record"]["status"] == "retired"
    kz.denied("DENIED_RECORD_NOT_FOUND", "Y12", id="age_20260101000000_0000000000")
