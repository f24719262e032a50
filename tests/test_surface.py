"""The surface that scripts rely on: codes, aliases, flags, result keys and what a bare call answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cases import NEEDS, cases

from kaizen_components import cli
from kaizen_components.op import load

SURFACE = json.loads((Path(__file__).parent / "data" / "surface.json").read_text(encoding="utf-8"))

BARE = {
    "DENIED_TITLE_REQUIRED": "W1 W3 G1 L1 Q3 X1",
    "DENIED_SUMMARY_REQUIRED": "W5 W6 W7 W8 Q1 Q2 Q4 I1 I2 I3 I4",
    "DENIED_ID_REQUIRED": "W2 W4 G4 G5 L2 L3 L6 L9 Q7 S3 A3 A5 X4 T3 E3 E5 Y2 Y4",
    "DENIED_QUERY_REQUIRED": "G3 L5 L8 Q6 R11 X3 E4",
    "DENIED_REQUIRED_FIELDS": "Q5 S1",
    "DENIED_PATH_REQUIRED": "A1 A2 E1 Y1 Y8 Y9",
    "DENIED_CONTRACT_TEXT_REQUIRED": "Q10",
    "DENIED_REVIEW_ID_REQUIRED": "I5",
    "DENIED_SCHEMA_REQUIRED": "T1 T2",
    "DENIED_CONTRACT_REQUIRED": "O1 O2 O3",
    "DENIED_BACKEND_UNCONFIGURED": "O4 B2 B4",
    "DENIED_BACKEND_UNAVAILABLE": "Y5",
    "DENIED_ACTION_REQUIRED": "Y7",
    "DENIED_PII_TEXT_REQUIRED": "B5",
}
BARE_OK = "K0 K1 K2 K3 K6 K7 G2 L4 L7 L10 Q8 Q9 M1 M2 M3 M4 M5 R0 R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 S2 S4 A4 X2 X5 T4 Y3 Y6 B1 B3 B6 B7".split()

# Keys that only some answers of an operation hold.
SOMETIMES = {
    "K0": {"query"},
    "K1": {"integrity", "restamped", "manifest_hash", "note"},
    "Q8": {"schemas", "record_type", "valid", "jsonschema_accelerator"},
    "R0": {"required_action"},
    "Y6": {"stopped", "torch_version", "cuda", "torch_error"},
}


@pytest.mark.parametrize("code", SURFACE)
def test_codes_and_aliases(code):
    assert list(load(code).aliases) == SURFACE[code]["aliases"]


@pytest.mark.parametrize("code", SURFACE)
def test_flags_are_accepted(code):
    known = {flag for option in cli.options(load(code)) for flag in option.opts}
    assert set(SURFACE[code]["flags"]) <= known


@pytest.mark.parametrize(("refusal", "codes"), BARE.items())
def test_what_a_bare_call_is_refused_with(kz, refusal, codes):
    for code in codes.split():
        assert kz.denied(refusal, code)["exit_code"] == 2


@pytest.mark.parametrize("code", BARE_OK)
def test_a_bare_call_answers(kz, code):
    assert kz(code).code == 0


@pytest.mark.parametrize("code", [code for code in SURFACE if code not in NEEDS])
def test_result_keys(kz, populated, code):
    found = cases(populated)
    reply = kz.ok(code, **found[code])
    wanted = set(SURFACE[code]["result_keys"]) - SOMETIMES.get(code, set())
    assert wanted <= set(reply), wanted - set(reply)


def test_the_list_of_operations_goes_by_family_and_number(kz):
    codes = [record["code"] for record in kz.ok("K0")["records"]]
    assert [code[0] for code in codes] == sorted(code[0] for code in codes)
    assert [code for code in codes if code[0] == "R"] == [f"R{number}" for number in range(16)]
