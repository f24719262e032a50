"""Fields: the limits, vocabularies and links of a record's fields, as types.

A field type is an Annotated alias; the rules in it judge a value wherever it comes from: a flag, a JSON payload,
a batch line, the Python API. Each rule speaks through one Denial.
"""

import json
import math
import re
from typing import Annotated, Any, ClassVar

from . import denial


class Rule:
    """One judgement of one value: check() returns the value or raises a Denial."""

    def check(self, value: Any, field: str) -> Any:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """What the rule adds to the field's JSON Schema."""
        return {}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.with_info_after_validator_function(
            lambda value, info: value if value is None else self.check(value, info.field_name or ""), handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), **self.schema()}


class Words(Rule):
    """At most `limit` words; over 1.3 times the limit the text has to be split."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def check(self, value: str, field: str) -> str:
        if len(value) <= self.limit:
            return value
        words = len(value.split())
        if words > self.limit * 1.3:
            parts = math.ceil(words / self.limit)
            raise denial.FieldSplitRequired(
                f"Split --{flag_name(field)} into {parts} child entries of at most {self.limit} words each.",
                field=field,
                words=words,
                limit=self.limit,
            )
        if words > self.limit:
            raise denial.FieldWordLimit(
                f"Shorten --{flag_name(field)} to at most {self.limit} words.", field=field, words=words, limit=self.limit
            )
        return value

    def schema(self) -> dict[str, Any]:
        return {"maxWords": self.limit}


class Bytes(Rule):
    """Storable text of at most `limit` bytes of UTF-8: no NUL, no lone surrogate."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def check(self, value: str, field: str) -> str:
        try:
            size = len(value.encode("utf-8"))
        except UnicodeEncodeError:
            raise denial.FieldEncoding(field=field) from None
        if "\0" in value:
            raise denial.FieldEncoding(field=field)
        if size > self.limit:
            raise denial.FieldTooLarge(field=field, bytes=size, limit=self.limit)
        return value


class Sentences(Rule):
    """At most `limit` sentences."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def check(self, value: str, field: str) -> str:
        count = count_sentences(value)
        if count > self.limit:
            raise denial.SummaryTooLong(field=field, sentences=count, limit=self.limit)
        return value

    def schema(self) -> dict[str, Any]:
        return {"maxSentences": self.limit}


class Vocabulary(Rule):
    """One of a fixed set of words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def check(self, value: str, field: str) -> str:
        if value not in self.words:
            raise denial.SchemaEnum(
                f"Use one of: {', '.join(self.words)}.", field=field, value=shorten(value), allowed=list(self.words)
            )
        return value

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Range(Rule):
    """A finite number between two bounds."""

    def __init__(self, least: float | None = None, most: float | None = None) -> None:
        self.least, self.most = least, most

    def check(self, value: float, field: str) -> float:
        finite = math.isfinite(value) and abs(value) < 2**53 if isinstance(value, int) else math.isfinite(value)
        low = self.least is not None and value < self.least
        high = self.most is not None and value > self.most
        if not finite or low or high:
            bounds: dict[str, Any] = {"min": self.least, "max": self.most}
            given = {name: bound for name, bound in bounds.items() if bound is not None}
            raise denial.SchemaRange(field=field, value=str(value), **given)
        return value

    def schema(self) -> dict[str, Any]:
        bounds = {"minimum": self.least, "maximum": self.most}
        return {name: bound for name, bound in bounds.items() if bound is not None}


class Json(Rule):
    """JSON text of one type, kept exactly as given."""

    NAMES: ClassVar[dict[type, str]] = {list: "a JSON list", dict: "a JSON object"}

    def __init__(self, expected: type | None, refusal: type[denial.Denial] = denial.SchemaFieldType) -> None:
        self.expected, self.refusal = expected, refusal

    def check(self, value: str, field: str) -> str:
        parsed = parse_json(value, field)
        if self.expected is not None and not isinstance(parsed, self.expected):
            raise self.refusal(field=field, expected=self.NAMES[self.expected])
        return value

    def text(self, value: Any, field: str) -> str:
        """The JSON text of a value that stands in JSON: itself, or as a text, as a flag would give it."""
        if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        if self.expected is not None and not value.lstrip().startswith("[" if self.expected is list else "{"):
            raise self.refusal(field=field, expected=self.NAMES[self.expected])
        return value

    def schema(self) -> dict[str, Any]:
        return {"contentMediaType": "application/json"}


class JsonIfAny(Json):
    """JSON, or a text that is none and stands for itself; what is JSON has no duplicate keys and no NaN."""

    def __init__(self) -> None:
        super().__init__(None)

    def check(self, value: str, field: str) -> str:
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            return value
        return super().check(value, field)

    def schema(self) -> dict[str, Any]:
        return {}


class Link(Rule):
    """A reference: what has the shape of a Kaizen id must be a record (of `kind`); the store looks it up."""

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind

    def check(self, value: str, field: str) -> str:
        return value

    def schema(self) -> dict[str, Any]:
        return {"x-kaizen-link": self.kind or "any"}


ID = re.compile(r"^([a-z]{1,6})_\d{14}_[0-9a-f]{10}$")

_WORD = re.compile(r"\S+")
_OPENING = frozenset("\"'“”‘«„")
_ABBREVIATION = re.compile(
    r"^\W*+(?:e\.g|i\.e|z\.b|d\.h|u\.s|a\.m|p\.m|etc|vs|cf|ca|al|approx|resp|incl|excl|dr|mr|mrs|ms|prof|st|jr|sr|no|nr|fig|eq|sec|ch|vol|pp?|ed|inc|ltd|co|corp|dept|v\d[\w.]*|[a-z])$",
    re.IGNORECASE,
)


def count_sentences(text: str) -> int:
    """Sentences in a text: ends at . ! ? before white space and a capital, a digit or a quote, but for abbreviations."""
    return len(split_sentences(text))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, in time linear in its length, whatever it holds."""
    if not any(mark in text for mark in ".!?"):
        return [text.strip()] if text.strip() else []
    sentences: list[str] = []
    start, end, last, opens = 0, 0, "", True
    for match in _WORD.finditer(text):
        # "1. First" is one sentence: a number that opens it counts the items of a list.
        if not last:
            start = match.start()
        elif last[-1] in ".!?" and not (opens and last[:-1].isdigit()) and _ends_sentence(last, match[0]):
            sentences.append(text[start:end])
            start = match.start()
        opens = start == match.start()
        last, end = match[0], match.end()
    if last:
        sentences.append(text[start:end])
    return sentences


def _ends_sentence(word: str, following: str) -> bool:
    """Whether a sentence ends with `word`, which has a mark at its end, where `following` comes next."""
    before = word.rstrip(".!?")
    first = following[1:2] if following[0] in _OPENING else following[0]
    if not (first.isupper() or first.isdigit() or first.istitle()):
        return False
    return word[len(before) :] != "." or not _ABBREVIATION.match(before)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"duplicate key {key!r}")
        result[key] = value
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a number")
    return number


def parse_json(text: str, field: str) -> Any:
    """A JSON value; DENIED_JSON_INVALID for bad syntax, duplicate keys, NaN and infinities."""
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as fault:
        reason = "nested too deeply" if isinstance(fault, RecursionError) else str(fault)
        raise denial.JsonInvalid(
            f"Pass valid JSON in --{flag_name(field)}; when the shell breaks the quoting, use --{flag_name(field)}-file"
            " with a file or - for stdin.",
            field=field,
            reason=reason,
            hint=f"A JSON argument split by the shell arrives in pieces: --{flag_name(field)}-file PATH avoids that.",
        ) from None


def flag_name(field: str) -> str:
    """The flag of a field, without its dashes: task_id -> task-id."""
    return field.replace("_", "-")


def shorten(value: Any, most: int = 120) -> str:
    """A value for a message: never more than `most` characters of it."""
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def linked_kind(rules: tuple[Rule, ...]) -> tuple[bool, str | None]:
    """Whether the rules hold a link, and to which kind."""
    for rule in rules:
        if isinstance(rule, Link):
            return True, rule.kind
    return False, None


def choices(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """The words that the rules allow; empty where they allow any."""
    for rule in rules:
        if isinstance(rule, Vocabulary):
            return rule.words
    return ()


MEGABYTE = 1_000_000

Text = Annotated[str, Bytes(MEGABYTE), Words(1000)]
Title = Annotated[str, Bytes(MEGABYTE), Words(1000)]
ShortTitle = Annotated[str, Bytes(MEGABYTE), Words(40)]
Summary = Annotated[str, Bytes(MEGABYTE), Sentences(2), Words(80)]
Body = Annotated[str, Bytes(MEGABYTE), Words(1000)]
Line = Annotated[str, Bytes(MEGABYTE), Words(200)]
Phrase = Annotated[str, Bytes(MEGABYTE), Words(40)]
Label = Annotated[str, Bytes(MEGABYTE), Words(20)]
Word = Annotated[str, Bytes(MEGABYTE), Words(10)]
RepoPath = Annotated[str, Bytes(8_000)]
Hash = Annotated[str, Bytes(200)]
Status = Annotated[str, Bytes(MEGABYTE), Words(20)]
Scope = Annotated[str, Bytes(MEGABYTE), Words(20)]
Role = Annotated[str, Bytes(MEGABYTE), Words(20)]
JsonList = Annotated[str, Bytes(MEGABYTE), Json(list)]
JsonObject = Annotated[str, Bytes(MEGABYTE), Json(dict, denial.PayloadType)]
JsonAny = Annotated[str, Bytes(MEGABYTE), Json(None)]
JsonOrText = Annotated[str, Bytes(MEGABYTE), JsonIfAny()]
RawText = Annotated[str, Bytes(MEGABYTE)]
Count = Annotated[int, Range(0)]
Number = Annotated[float, Range()]
Positive = Annotated[float, Range(0)]
TaskRef = Annotated[str, Bytes(1_000), Link("task")]
Ref = Annotated[str, Bytes(1_000), Link()]
ProofRef = Annotated[str, Bytes(1_000), Link("verification")]
EvalCaseRef = Annotated[str, Bytes(1_000), Link("eval_case")]
EvalRunRef = Annotated[str, Bytes(1_000), Link("eval_run")]
TraceRef = Annotated[str, Bytes(1_000), Link("trace_event")]
PlanRef = Annotated[str, Bytes(1_000), Link("plan")]
SourceRef = Annotated[str, Bytes(1_000), Link("source_lock")]
ReviewRef = Annotated[str, Bytes(1_000), Link("irl_review")]
RefList = Annotated[str, Bytes(MEGABYTE), Json(list), Link()]
