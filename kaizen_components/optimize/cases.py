"""Cases: what a text is tried on, frozen by hash, and which of them the search may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from .. import denial
from ..fields import parse_json, shorten
from ..hashing import canonical
from .records import SPLITS

if TYPE_CHECKING:
    from ..store import Row

TRAIN, VALIDATION, HELD_OUT = SPLITS
# Characters of a case's name.
MOST_NAME = 500
_SHAPE = '{"name": "a", "input": "what is asked", "expected": "what is right"}'


@dataclass(frozen=True, slots=True)
class Case:
    """One case: everything that was given of it; `name` and `input` are there, `expected` where it was given."""

    name: str
    values: Mapping[str, Any]

    @property
    def question(self) -> str:
        """The input as a model is asked it."""
        given = self.values["input"]
        return given if isinstance(given, str) else canonical(given)

    @property
    def expected(self) -> str | None:
        """What is expected, as text; None where nothing is."""
        given = self.values.get("expected")
        return given if given is None or isinstance(given, str) else canonical(given)


def parse(text: str) -> list[Case]:
    """The cases of JSON lines (or of one JSON list), in their order. Raises DENIED_CASES_INVALID with the line at fault."""
    if text.lstrip().startswith("["):
        found = _parsed(text, None)
        entries = [(number, value) for number, value in enumerate(found, 1)]
    else:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        entries = [(number, _parsed(line, number)) for number, line in lines]
    cases = [_case(number, value) for number, value in entries]
    _refuse_same_names(cases)
    return cases


def _parsed(text: str, line: int | None) -> Any:
    try:
        return parse_json(text, "cases")
    except denial.JsonInvalid as refusal:
        raise _invalid(line, str(refusal.detail["reason"])) from None


def _case(line: int, value: Any) -> Case:
    if not isinstance(value, dict):
        raise _invalid(line, "it is no JSON object")
    name = value.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > MOST_NAME:
        raise _invalid(line, f'it has no "name", a text of at most {MOST_NAME} characters')
    if value.get("input") is None:
        raise _invalid(line, 'it has no "input"')
    try:
        canonical(value).encode()
    except ValueError:
        raise _invalid(line, "it holds what JSON cannot keep: half a character, or an integer of more than 53 bits") from None
    return Case(name, value)


def _invalid(line: int | None, reason: str) -> denial.CasesInvalid:
    place: dict[str, Any] = {} if line is None else {"line": line}
    return denial.CasesInvalid(f"Write a JSON object a line, such as {_SHAPE}", field="cases", reason=reason, **place)


def _refuse_same_names(cases: Sequence[Case]) -> None:
    names = [case.name for case in cases]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise denial.CasesInvalid(
            "Give every case a name of its own.",
            field="cases",
            reason="cases share a name",
            names=[shorten(n) for n in twice[:10]],
        )


def of_records(rows: Iterable[Row]) -> list[Case]:
    """Eval cases as cases, oldest first: named by id, asked by their texts."""
    return [_of_record(row) for row in sorted(rows, key=lambda row: row["id"])]


def _of_record(row: Row) -> Case:
    asked = "\n\n".join(text for text in (row["title"], row["summary"], row["body"]) if text)
    values = {"name": row["id"], "input": asked, "category": row["category"], "content_hash": row["content_hash"]}
    values |= {"expected": _expected(row["expected_json"])} if row["expected_json"] else {}
    values |= {"path": row["fixture_path"]} if row["fixture_path"] else {}
    return Case(row["id"], values)


def _expected(text: str) -> Any:
    """What an eval case expects: the value of its JSON, or the text itself."""
    try:
        return parse_json(text, "expected")
    except denial.JsonInvalid:
        return text


def frozen(cases: Sequence[Case]) -> bytes:
    """The cases as they are kept: canonical JSON lines."""
    return "".join(canonical(dict(case.values)) + "\n" for case in cases).encode()


def split(cases: Sequence[Case], seed: int, train: float, validation: float) -> dict[str, list[str]]:
    """Names of the cases by split, drawn from the seed and the names alone; the rest is held out. Every split that has a
    share gets a case. Raises DENIED_CASES_TOO_FEW."""
    least = 3 if train else 2
    if len(cases) < least:
        raise denial.TooFewCases(cases=len(cases), least=least)
    names = sorted(case.name for case in cases)
    Random(seed).shuffle(names)
    sizes = [max(int(len(names) * share + 0.5), 1) if share else 0 for share in (train, validation)]
    while sum(sizes) >= len(names):
        sizes[sizes.index(max(sizes))] -= 1
    first, second = sizes[0], sum(sizes)
    drawn = {TRAIN: set(names[:first]), VALIDATION: set(names[first:second]), HELD_OUT: set(names[second:])}
    return {split: [case.name for case in cases if case.name in members] for split, members in drawn.items()}
