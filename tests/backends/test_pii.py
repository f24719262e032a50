"""B5: personal data by pattern and by model, recorded as labels and places, never as text."""

from __future__ import annotations

import json
import time

import pytest

from kaizen_components import backends, denial
from kaizen_components.backends import Span, pii

IBAN = "DE89 3704 0044 0532 0130 00"
CARD = "4111 1111 1111 1111"


def labelled(text):
    return [(hit.kind, text[hit.start : hit.end]) for hit in pii.found(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call +44 20 7946 0958 now", [("phone", "+44 20 7946 0958")]),
        ("+49 (0)30 1234567", [("phone", "+49 (0)30 1234567")]),
        ("(415) 555-2671 or 415.555.2671", [("phone", "(415) 555-2671"), ("phone", "415.555.2671")]),
        (f"IBAN {IBAN} BIC", [("iban", IBAN)]),
        ("to NO93 8601 1117 947 PLUS MORE", [("iban", "NO93 8601 1117 947")]),
        ("GB82WEST12345698765432.", [("iban", "GB82WEST12345698765432")]),
        (f"card {CARD}, 5500-0000-0000-0004", [("credit_card", CARD), ("credit_card", "5500-0000-0000-0004")]),
        ("from 8.8.8.8:53", [("ip_address", "8.8.8.8")]),
        ("SSN 219-09-9999", [("us_ssn", "219-09-9999")]),
        ("joe@corp.de in /home/joe/x", [("email", "joe@corp.de"), ("posix_home_path", "/home/joe")]),
    ],
)
def test_what_is_personal_is_found(text, found):
    assert labelled(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "DE88 3704 0044 0532 0130 00",
        "card 4111 1111 1111 1112",
        "6666666666666, 0000 0000 0000 0000 and 4444444444444444444444",
        "10.0.0.1, 192.168.1.7, 127.0.0.1, 1.2.3.4.5, 999.1.1.1",
        "v1.2.3.4 and version 4.18.0.1 and lib==8.8.8.8",
        "on 2026-11-21 at 14:58:59, 1763737139, 3.14159265, 20261121145859",
        "SSN 000-12-3456 and 900-12-3456",
        "commit 4f1c2d3e4b5a69788796a5b4c3d2e1f00f1e2d3c, id t_20261121011006_c799668345",
        "range 100-200-300, page 415, +1, x+2025",
        "123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_what_only_looks_like_it_is_not(text):
    assert labelled(text) == []


@pytest.mark.parametrize("piece", ["1 ", "+1 2", "DE89 AAAA ", "4 ", "1.1.", "((((", "a@", "9-9"])
def test_a_long_text_of_any_kind_is_read_in_linear_time(piece):
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    pii.found(text)
    assert time.process_time() - started < 2


def test_a_scan_records_labels_and_places_and_no_text(kz, plane, populated):
    text = f"Pay {IBAN}, call +44 20 7946 0958, key AKIA{'ABCDEFGHIJKLMNOP'}."
    told = kz.ok("B5", body=text, task_id=populated["task"], trace_id="run-7")
    assert [hit["label"] for hit in told["regex_hits"]] == ["iban", "phone", "aws_access_key"]
    assert told["regex_hits"][0] == {"source": "regex", "label": "iban", "span_hash": None, "start": 4, "end": 31}
    assert told["model_hits"] == [] and told["advisory"] is True and "no model" in told["note"].lower()
    record = kz.ok("B9", id=told["id"])["record"]
    assert (record["regex_hit_count"], record["model_hit_count"], record["source_ref"]) == (3, 0, "body")
    assert (record["task_id"], record["trace_id"]) == (populated["task"], "run-7")
    assert json.loads(record["hits_json"]) == told["regex_hits"]
    kept = b"".join(path.read_bytes() for path in (plane / "AI").rglob("*") if path.is_file())
    assert b"3704 0044" not in kept and b"ABCDEFGHIJKLMNOP" not in kept


def test_a_file_is_scanned_inside_the_project_or_where_allowed(kz, plane, tmp_path):
    (plane / "notes.txt").write_text("\ufeffmail joe@corp.de", encoding="utf-8")
    (tmp_path / "outside.txt").write_text("call +44 20 7946 0958", encoding="utf-8")
    told = kz.ok("B5", path="notes.txt")
    assert told["source_ref"] == "notes.txt" and told["regex_hits"][0]["start"] == 5
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "B5", path=tmp_path / "outside.txt")
    told = kz.ok("B5", path=tmp_path / "outside.txt", allow_external=True)
    assert told["source_ref"] == "external:outside.txt" and told["regex_hit_count"] == 1
    kz.denied("DENIED_FILE_NOT_FOUND", "B5", path="no.txt")
    kz.denied("DENIED_FILE_NOT_FOUND", "B5", path="AI")
    (plane / "picture.bin").write_bytes(b"\xff\xfe\x00")
    kz.denied("DENIED_FILE_NOT_UTF8", "B5", path="picture.bin")


def test_a_file_that_is_too_large_is_refused(kz, plane, monkeypatch):
    from kaizen_components.ops import pii as ops

    monkeypatch.setattr(ops, "MOST_BYTES", 10)
    (plane / "long.txt").write_text("x" * 11, encoding="utf-8")
    assert kz.denied("DENIED_FILE_TOO_LARGE", "B5", path="long.txt")["limit"] == 10


def test_one_text_is_required_and_no_more(kz):
    kz.denied("DENIED_PII_TEXT_REQUIRED", "B5")
    kz.denied("DENIED_FLAG_CONFLICT", "B5", body="x", prompt="y")


def test_what_is_written_about_a_scan_holds_nothing_private(kz):
    kz.denied("DENIED_TRACE_REDACTION", "B5", body="x", summary="Scanned joe@corp.de.")
    kz.denied("DENIED_TRACE_REDACTION", "B5", body="x", trace_id="AKIA" + "ABCDEFGHIJKLMNOP")


def test_a_reply_lists_the_first_hits_and_counts_all(kz, monkeypatch):
    from kaizen_components.ops import pii as ops

    monkeypatch.setattr(ops, "MOST_HITS", 2)
    told = kz.ok("B5", body="8.8.8.8 " * 5)
    assert len(told["regex_hits"]) == 2 and told["regex_hit_count"] == 5 and "first 2 hits" in told["note"]


# --- by model -------------------------------------------------------------------------------------


class Recognizer:
    kind, model, provider = "in-process", "/home/anna/models/names", "transformers"

    def spans(self, text):
        at = [index for index in range(len(text)) if text.startswith("Anna", index)]
        return [Span(index, index + 4, "PERSON", 0.9) for index in at] + [Span(0, 3, "VERB", 0.5)]


@pytest.fixture
def recognizer(monkeypatch):
    monkeypatch.setenv("KAIZEN_PII_BACKEND", "transformers")
    monkeypatch.setenv("KAIZEN_PII_MODEL", "names")
    monkeypatch.setattr(backends, "opened", lambda lane: Recognizer())


def test_hashes_of_a_model_tell_equal_spans_of_one_scan_and_nothing_else(kz, recognizer):
    one, two = kz.ok("B5", body="Ask Anna and Anna."), kz.ok("B5", body="Ask Anna and Anna.")
    verb, first, second = (hit["span_hash"] for hit in sorted(one["model_hits"], key=lambda hit: hit["start"]))
    assert first == second != verb and len(first) == 64
    # What can be counted through, such as telephone numbers, must not be found by hashing them all.
    assert first not in {hit["span_hash"] for hit in two["model_hits"]}
    record = kz.ok("B9", id=one["id"])["record"]
    assert (record["model_hit_count"], record["model"], record["provider"]) == (3, "names", "transformers")


@pytest.mark.parametrize("fault", [denial.BackendModel(), denial.BackendUnavailable(), denial.BackendUnconfigured()])
def test_a_model_that_does_not_work_leaves_the_patterns(kz, recognizer, monkeypatch, fault):
    def opened(lane):
        raise fault

    monkeypatch.setattr(backends, "opened", opened)
    told = kz.ok("B5", body="8.8.8.8")
    assert told["regex_hit_count"] == 1 and "The model did not read it" in told["note"]


def test_a_lane_that_is_set_to_nonsense_leaves_the_patterns(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_PII_BACKEND", "nonsense")
    assert "KAIZEN_PII_BACKEND" in kz.ok("B5", body="8.8.8.8")["note"]


def test_a_missing_package_leaves_the_patterns(kz, monkeypatch, without):
    monkeypatch.setenv("KAIZEN_PII_BACKEND", "transformers")
    monkeypatch.setenv("KAIZEN_PII_MODEL", "names")
    without("transformers")
    assert "requirements-pytorch.txt" in kz.ok("B5", body="8.8.8.8")["note"]


def test_a_repeated_key_scans_once(kz):
    first, again = kz.ok("B5", body="8.8.8.8", key="k"), kz.ok("B5", body="8.8.8.8", key="k")
    assert again["replayed"] is True and again["id"] == first["id"]
