"""Properties: what holds for any text, any JSON and any command line."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest
import rfc8785
import truth
from conftest import Kz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaizen_components import cli, denial, hashing
from kaizen_components.fields import MEGABYTE, choices, count_sentences, parse_json
from kaizen_components.op import load, load_all, run
from kaizen_components.ops import _index
from kaizen_components.paths import Plane
from kaizen_components.record import Record, Spec, _checked_one
from kaizen_components.store import Store, record_class

few = partial(
    settings, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

# --- records --------------------------------------------------------------------------------------

# Everything that adds a record of its own from flags alone.
ADDING = [
    code
    for code, operation in load_all().items()
    if operation.writes and operation.input and issubclass(operation.input, Record) and code != "A1"
]
ALPHABETS = [
    "zażółć gęślą jaźń ",
    "日本語のテキスト。 ",
    "\u202eעברית العربية ",
    "👩‍👩‍👧 \u0301\u200b",
    "\x01\x7f\t\r\n\u2028\ufeff",
    "a.b! C? \"'`{}[]%_\\$",
]
TEXT = st.one_of(st.text(max_size=60), *(st.text(alphabet, min_size=1, max_size=60) for alphabet in ALPHABETS))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def value_of(spec: Spec) -> st.SearchStrategy:
    """Values of a field: of its type, and mostly ones that it takes."""
    if spec.choices:
        one: st.SearchStrategy = st.sampled_from(choices(spec.rules))
    elif spec.name.endswith("_json"):
        one = (st.lists(TEXT, max_size=3) if spec.key != "payload_json" else st.dictionaries(TEXT, JSON, max_size=3)).map(
            json.dumps
        )
    elif spec.type is str:
        one = TEXT
    elif spec.type is bool:
        one = st.booleans()
    elif spec.type is int:
        one = st.integers(-1, 2**60)
    else:
        one = st.floats()
    return st.lists(one, max_size=2) if spec.many else one


@st.composite
def requests(draw) -> tuple[str, dict]:
    """An operation that adds a record, and what it is given."""
    code = draw(st.sampled_from(ADDING))
    specs = [spec for spec in load(code).input.specs if spec.flagged]
    return code, {spec.key: draw(value_of(spec)) for spec in specs if spec.required or draw(st.booleans())}


@pytest.mark.slow
def test_an_accepted_record_survives_reading_history_and_rebuild(plane):
    store = Store(Plane(plane, plane, "test"))
    accepted: dict[str, dict] = {}

    @few(max_examples=150)
    @given(requests(), st.booleans())
    def written(request, from_json) -> None:
        code, values = request
        before = store.head()[0]
        try:
            reply = run(load(code), values, store, from_json=from_json)
        except denial.Denial as refusal:
            assert json.dumps(refusal.envelope()) and refusal.required_action
            assert store.head()[0] == before, "a refused record leaves no entry"
            return
        record = run(load("K18"), {"id": reply["id"]}, store)["record"]
        for spec in load(code).input.specs:
            given_value = values.get(spec.key)
            if spec.stored and spec.flagged and given_value not in (None, "", []):
                assert record[spec.name] == given_value or (
                    isinstance(given_value, bool) and record[spec.name] == int(given_value)
                )
        history = run(load("K19"), {"id": reply["id"]}, store)["records"]
        assert {name: change["to"] for name, change in history[-1]["changes"].items()}.items() <= record.items()
        accepted[reply["id"]] = record

    with store.group():
        written()
    assert len({record_id.partition("_")[0] for record_id in accepted}) > 8, "of many kinds"
    before = truth.sound(plane)
    if "K12" in _index.OPS:
        assert Kz().ok("K12")["status"] == "OK"
        assert truth.sound(plane) == before
    rows = {row["id"]: row for table in before.values() for row in table if "id" in row}
    assert all(
        rows[record_id] == {**record, **{name: rows[record_id][name] for name in ("entry_count", "is_open") if name in record}}
        for record_id, record in accepted.items()
    )


@pytest.mark.parametrize("letter", ["x", "ż", "語", "😀"])
def test_a_field_takes_a_megabyte_and_a_thousand_words_of_any_language(kz, plane, letter):
    size = len(letter.encode())
    word = letter * (MEGABYTE // 1000 // size - 1)
    body = " ".join([word] * 1000)
    body += letter * ((MEGABYTE - len(body.encode())) // size)
    assert MEGABYTE - size < len(body.encode()) <= MEGABYTE
    made = kz.ok("W1", title="Long", summary="One.", _args=["--body-file", "-"], _stdin=body)
    assert kz.ok("W11", id=made["id"])["record"]["body"] == body
    assert kz.ok("K19", id=made["id"])["records"][0]["changes"]["body"]["to"] == body
    refusal = kz.denied(
        "DENIED_FIELD_TOO_LARGE", "W1", title="A", summary="One.", _args=["--body-file", "-"], _stdin=body + letter
    )
    assert (refusal["field"], refusal["limit"]) == ("body", MEGABYTE)
    truth.sound(plane)


@pytest.mark.parametrize(
    ("op", "field", "words", "code"),
    [
        ("W1", "body", 1000, None),
        ("W1", "body", 1001, "DENIED_FIELD_WORD_LIMIT"),
        ("W1", "body", 1300, "DENIED_FIELD_WORD_LIMIT"),
        ("W1", "body", 1301, "DENIED_FIELD_SPLIT_REQUIRED"),
        ("W1", "summary", 80, None),
        ("W1", "summary", 81, "DENIED_FIELD_WORD_LIMIT"),
        ("W1", "summary", 105, "DENIED_FIELD_SPLIT_REQUIRED"),
        ("G1", "title", 40, None),
        ("G1", "title", 41, "DENIED_FIELD_WORD_LIMIT"),
        ("X1", "trigger", 120, None),
        ("X1", "trigger", 121, "DENIED_FIELD_WORD_LIMIT"),
        ("X1", "priority", 21, "DENIED_FIELD_WORD_LIMIT"),
        ("W1", "title", 1001, "DENIED_FIELD_WORD_LIMIT"),
    ],
)
def test_word_limits_hold_to_the_word(kz, op, field, words, code):
    reply = kz(op, **{"title": "A", "summary": "One.", **({"body": "B"} if op == "G1" else {}), field: "word " * words})
    assert reply.get("code") == code
    if code:
        assert reply["field"] == field and reply["words"] == words
    if code == "DENIED_FIELD_SPLIT_REQUIRED":
        assert str(math.ceil(words / reply["limit"])) in reply["required_action"]


@pytest.mark.parametrize("bad", ["\ud800", "a\0b"])
def test_every_text_field_refuses_what_cannot_be_stored(bad):
    for code, operation in load_all().items():
        for spec in operation.input.specs if operation.input else ():
            if spec.type is str and spec.flagged:
                with pytest.raises(denial.Denial):
                    _checked_one(spec, bad)
                    pytest.fail(f"{code} --{spec.key} takes {bad!r}")


def test_every_kind_can_be_written():
    assert {record_class(kind).record_kind for kind in _index.KINDS} == set(_index.KINDS)


# --- canonical JSON -------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@few(max_examples=400)
@given(ANY_JSON)
def test_canonical_json_is_what_rfc8785_says(value):
    assert hashing.canonical(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 333333333.33333329, 4.5, 2e-3, 1e30, 100.0]
)
def test_numbers_are_written_as_ecmascript_writes_them(value):
    assert hashing.canonical([value]).encode() == rfc8785.dumps([value])


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, -(2**53), {"a": [2**60]}, {1: 2}, b"x", {"\ud800": 1.5}, object()])
def test_what_has_no_canonical_form_is_an_error(value):
    with pytest.raises((ValueError, TypeError)):
        hashing.canonical(value)


def test_keys_are_sorted_by_utf16_code_units():
    assert hashing.canonical({"\ufb33": 1, "\U0001f600": 2, "a": 3}) == '{"a":3,"\U0001f600":2,"\ufb33":1}'


@few(max_examples=300)
@given(st.one_of(st.text(max_size=60), ANY_JSON.map(json.dumps), st.text('[]{}",:0123456789eE.+-truefalsn \\u', max_size=40)))
def test_any_text_is_json_or_refused(text):
    try:
        value = parse_json(text, "payload_json")
    except denial.JsonInvalid:
        return
    assert json.loads(text) == value and json.dumps(value, allow_nan=False)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        '{"a": 1, "a": 1}',
        "[" * 100_000,
        '{"a":' * 5_000,
        "1" * 5_000,
        "",
        "{",
        "'a'",
        "[1,]",
        "\ufeff{}",
    ],
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(denial.JsonInvalid):
        parse_json(text, "payload_json")


# --- sentences ------------------------------------------------------------------------------------

SENTENCES = {
    "": 0,
    " \n ": 0,
    "One": 1,
    "One.": 1,
    "One. Two.": 2,
    "One. two.": 1,
    "One! Two? Three.": 3,
    "Really?! Yes.": 2,
    "What?! no.": 1,
    "Wait... What?": 2,
    "Wait... what?": 1,
    "Wait … What?": 1,
    "One.\nTwo.": 2,
    "One.\r\n\r\nTwo.": 2,
    "One.\u00a0Two.": 2,
    "One.Two.": 1,
    "One. 2 follow.": 2,
    'He came. "Stop" was said.': 2,
    "He came. “Stop” was said.": 2,
    "He came. «Stop» was said.": 2,
    "He came. „Stop“ was said.": 2,
    'He came. "stop" was said.': 1,
    'He said "Stop." Then he left.': 1,
    "Use v1. 2 is not ok e.g. this.": 1,
    "Use e.g. Python.": 1,
    "Tools, i.e. Git, are here.": 1,
    "(e.g. Python) is fine.": 1,
    "Dr. Smith met Mrs. Jones.": 1,
    "See fig. 3 and sec. 4.": 1,
    "No. 5 is alive.": 1,
    "Version v1.2. Next one.": 1,
    "Version 3.14 is out. Use it.": 2,
    "Cats, dogs etc. Then birds.": 1,
    "At 5 p.m. London time.": 1,
    "J. R. R. Tolkien wrote it.": 1,
    "Was it Dr.? Yes.": 2,
    "It is 7. Then 8 came.": 2,
    "Ends in a digit 42. Next.": 2,
    "Łódź jest duża. Żółw też.": 2,
    "Это так. Да.": 2,
    "世界。世界。": 1,
    "A b. c D. E.": 1,
    "https://a.b/c?D=E. Next.": 2,
    "* One. * Two.": 1,
    "?!": 1,
    "... ... ...": 1,
    "! A": 2,
}


@pytest.mark.parametrize(("text", "sentences"), SENTENCES.items())
def test_sentences_are_counted(text, sentences):
    assert count_sentences(text) == sentences


@few(max_examples=200)
@given(st.one_of(st.text(max_size=80), st.text(".!? \n\"'eigA1v", max_size=80)))
def test_any_text_has_a_number_of_sentences(text):
    assert (count_sentences(text) == 0) == (not text.strip())
    assert count_sentences(text) <= 1 + sum(text.count(mark) for mark in ".!?")


@pytest.mark.parametrize("piece", ["a", ".", "A. ", "a.b", "? ", "e.g. ", '"', " ", "...", "Dr."])
def test_no_text_takes_long_to_count(kz, piece):
    """A megabyte; time that grows with the square of the size would be minutes."""
    count_sentences(piece * (MEGABYTE // len(piece)))


# --- command lines --------------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(
        [
            *_index.FLAGS,
            "--json",
            "--help",
            "--version",
            "-h",
            "--",
            "-",
            "--test",
            "--key",
            "--no-such",
            "--title=x",
            "--limit=",
            "=",
            "--=",
            "{",
            '{"a":',
        ]
    ),
    st.sampled_from([*_index.OPS, *_index.ALIASES, "help", "w1", "K99"]),
    st.text(max_size=8),
    st.binary(max_size=6).map(lambda data: data.decode("utf-8", "surrogateescape")),
)


@few(max_examples=400)
@given(st.lists(WORDS, max_size=6))
def test_any_command_line_is_scanned_or_refused(argv):
    try:
        name, flags, command = cli.scan(list(argv))
    except denial.Denial as refusal:
        assert json.dumps(refusal.envelope())
        return
    taken = [*([] if name is None else [name]), *flags, *command]
    assert sorted(taken) == sorted("--help" if word == "-h" and word not in command else word for word in argv)
    assert command == argv[len(argv) - len(command) :]


HARMLESS = ["W1", "W9", "G3", "K0", "K19", "K22", "Q8", "X2", "T1", "A2", "R0", "W2"]


@pytest.mark.slow
def test_any_command_line_ends_in_an_answer_or_the_envelope(plane, monkeypatch):
    monkeypatch.chdir(plane)
    kz = Kz()

    @few(max_examples=120)
    @given(st.sampled_from([code for code in HARMLESS if code in _index.OPS]), st.data())
    def called(code, data) -> None:
        specs = [spec for spec in load(code).input.specs if spec.flagged]
        flags = {}
        for spec in data.draw(st.lists(st.sampled_from(specs), max_size=4)):
            values = (
                st.booleans()
                if spec.type is bool
                else st.one_of(TEXT, st.integers().map(str), st.floats().map(str), WORDS, JSON.map(json.dumps))
            )
            flags[spec.flag] = data.draw(values)
        argv = [word if value is True else f"{word}={value}" for word, value in flags.items() if value is not False]
        reply = kz(code, _args=argv)
        assert reply.code in (0, 1, 2), (argv, reply.stderr)
        assert reply["status"] in ("OK", "FAILED", "DENIED"), (argv, reply.stderr, reply.stdout)

    called()
    truth.sound(plane)
