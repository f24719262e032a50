"""Asked: what a query says, and the ways in which it can be read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...ops import _index
from .. import schema
from ..query import Where, conditions

# What a match in title, summary, body and in the names of a text counts.
WEIGHTS = (10.0, 4.0, 1.0, 1.0)
# A query of more words is looked for as it stands; one that is longer than this need not stand there.
MOST_TERMS, LONGEST_TERM = 1_000, 200
# Long texts are no filters; they stand in the columns that are searched.
NO_FILTERS = frozenset({"title", "summary", "body", "text"})
OWN_COLUMNS = ("record_task", "status", "created_at", "scope", "document_id")
# Words that a question is asked with, and that say nothing of what it is about.
FUNCTION_WORDS = frozenset(
    """a about all also am an and any anybody anyone anything are as at be been before being between both but by can can't cannot
    could couldn't did didn't do does doesn't doing don't during each either else ever every few for from had has hasn't have
    haven't having he her here him his how how's i i'd i'll i'm i've if in instead into is isn't it it's its itself just let like
    make many may me might more most much must my myself need neither no nor not of off on one only onto or other our out over own
    please same shall she should shouldn't so some somebody someone something such than that that's the their them then there
    there's these they this those through to too under until up upon us use used uses using versus very via vs want was wasn't way we were
    weren't what what's when where whether which while who whom whose why will with within without won't would wouldn't you your
    yours yourself""".split()
)

_PIECES = re.compile(r'"([^"]*)"|[^\s"]+')
LETTER = re.compile(r"[^\W_]")
_WORD = re.compile(r"\w+")
_PART = re.compile(r"[^\W_]+")
_SIGN = re.compile(r"\W|_")
_EDGES = ".,;:!?()[]{}'`…“”‘’„«»"

ALL, SOME, TEXT = "all words", "some words", "text"


@dataclass(frozen=True, slots=True)
class Term:
    """One word or quoted phrase of a query.

    `phrase` asks FTS5 for it, None where there is no letter or digit in it; `literal` is what has to stand there
    where it is taken at its word, `exact` says that it always is; a `quoted` one is never done without.
    """

    phrase: str | None
    literal: str
    exact: bool
    quoted: bool = False

    @property
    def has_signs(self) -> bool:
        return _SIGN.search(self.literal) is not None

    @property
    def says_something(self) -> bool:
        return self.exact or self.literal.replace("’", "'") not in FUNCTION_WORDS


class Query:
    """What a user wrote, as terms; nothing in it is an operator."""

    def __init__(self, text: str) -> None:
        plain = storable(text).strip()
        terms = [_term(match[0], match[1]) for match in _PIECES.finditer(plain)]
        self.terms = list(dict.fromkeys(term for term in terms if term.literal))
        if plain and not self.terms:
            self.terms = [Term(None, folded(plain), True)]
        self.words = [term for term in self.terms if term.phrase]
        # Without the words that only ask; they are all there is where nothing else is.
        self.telling = [term for term in self.words if term.says_something] or self.words
        # What to look for where some of the words are enough: of a.b_c that is a and b_c.
        pieces = (piece for term in self.telling if not term.quoted for piece in _WORD.findall(term.literal))
        loose = [_loose(piece) for piece in dict.fromkeys(pieces) if len(piece) <= LONGEST_TERM]
        self.loose = [term for term in loose if term.says_something] or loose
        self.names = [_loose(in_one_word(term.literal)) for term in loose if is_name(term.literal)]

    @property
    def is_too_long(self) -> bool:
        """Whether FTS5 would look for very many words at once."""
        return len(self.terms) > MOST_TERMS or sum(len(_PART.findall(term.literal)) for term in self.words) > MOST_TERMS

    def of_all(self) -> list[Reading]:
        """Readings by which every word stands there, strictest first: words by their stems, those with signs in them
        as they stand; then signs ignored, but for % and _ and in quotes."""
        if not self.words or self.is_too_long:
            return []
        match = " ".join(term.phrase for term in self.words if term.phrase)
        strict = [term for term in self.terms if term.exact or term.has_signs]
        lenient = [term for term in strict if term.exact]
        patterns = [strict] if len(lenient) == len(strict) else [strict, lenient]
        return [Reading(match, [Pattern.whole(term) for term in terms], ALL) for terms in patterns]

    def of_telling(self) -> list[Reading]:
        """The reading by which every word stands there that says something; none where that is all of them."""
        if len(self.telling) in (0, len(self.words)) or self.is_too_long:
            return []
        match = " ".join(term.phrase for term in self.telling if term.phrase)
        return [Reading(match, self._exact(), ALL)]

    def of_some(self, needed: Sequence[Term], others: Sequence[Term] = ()) -> Reading:
        """The reading by which one of some terms stands there, and each quoted phrase; the others count where they stand.

        FTS5 has no word that need not be there. So a word that is needed stands in the query twice, once by itself and
        once among the others, and these stand there twice: every word counts twice, and the score is halved.
        """
        quoted = [term.phrase for term in self.words if term.quoted and term.phrase]
        some = [term.phrase for term in needed if term.phrase]
        more = [term.phrase for term in others if term.phrase]
        groups = [some, some + more + more] if more else [some]
        match = " AND ".join([*quoted * len(groups), *(f"({' OR '.join(group)})" for group in groups if group)])
        return Reading(match, [Pattern.whole(term) for term in self.terms if term.quoted], SOME, len(groups))

    def of_pieces(self) -> Reading:
        """The reading by which each term is a piece of the text, also in the midst of a word."""
        return Reading(None, [Pattern.piece(term) for term in self.terms], TEXT)

    def marks(self) -> str:
        """A query for FTS5 by which a match is marked: any of the words."""
        terms = [*(() if self.is_too_long else self.telling), *self.loose][:MOST_TERMS]
        return " OR ".join(term.phrase for term in terms if term.phrase)

    def _exact(self) -> list[Pattern]:
        return [Pattern.whole(term) for term in self.terms if term.exact]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What has to stand in a text: its parts between blanks, and all of it."""

    parts: tuple[str, ...]
    regex: re.Pattern[str]

    @classmethod
    def piece(cls, term: Term) -> Pattern:
        """The term as it stands, also in the midst of a word; a blank in it is any white space."""
        parts = tuple(term.literal.split())
        return cls(parts, re.compile(r"\s+".join(map(re.escape, parts)), re.IGNORECASE))

    @classmethod
    def whole(cls, term: Term) -> Pattern:
        """The term as it stands, not in the midst of a word."""
        piece = cls.piece(term)
        before = r"(?<![^\W_])" if LETTER.match(term.literal) else ""
        after = r"(?![^\W_])" if LETTER.match(term.literal[-1]) else ""
        return cls(piece.parts, re.compile(before + piece.regex.pattern + after, re.IGNORECASE))

    def stands_in(self, text: str) -> bool:
        # Looking for the parts is fast, and most texts do not have them.
        return all(part in text for part in self.parts) and self.regex.search(text) is not None


@dataclass(frozen=True, slots=True)
class Reading:
    """A query for FTS5, None for no such query, the patterns that have to stand in the text as well, and what a match says."""

    match: str | None
    patterns: list[Pattern]
    matched: str
    # How often every word stands in the query.
    times: int = 1

    def weigh(self, *columns: str) -> float | None:
        """How well title, summary and body hold every pattern: None where one is in none of them."""
        texts = [folded(column) for column in columns]
        weight = 0.0
        for pattern in self.patterns:
            found = sum(worth for worth, text in zip(WEIGHTS, texts, strict=False) if pattern.stands_in(text))
            if not found:
                return None
            weight += found
        return weight


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records may answer: of some kinds (None: of any), those that meet conditions.

    A chunk of evidence whose place another took, or whose document is retired, answers only where a status is asked for.
    """

    kinds: tuple[str, ...] | None
    where: Where

    def condition(self) -> tuple[list[str], list[Any]]:
        """SQL conditions and their values; none where every record may answer."""
        parts, values = conditions(self.where, self._spelled)
        if self.kinds is not None:
            parts.append(f"docs.record_kind IN ({', '.join('?' * len(self.kinds))})")
            values.extend(self.kinds)
        if "status" not in self.where and (self.kinds is None or "evidence_chunk" in self.kinds):
            parts.append(f"(docs.record_kind <> 'evidence_chunk' OR {CURRENT})")
        return parts, values

    def _spelled(self, column: str) -> str:
        if column in OWN_COLUMNS:
            return f"docs.{column}"
        kinds = self.kinds if self.kinds is not None else tuple(_index.KINDS)
        known = column in schema.BASE_COLUMNS or any(column in _index.KINDS[kind].columns for kind in kinds)
        if not known or column in NO_FILTERS or column.endswith("_json"):
            raise ValueError(f"{column!r} cannot be a condition of a search")
        return f"texts.record ->> '{column}'"


# A chunk or document with one of these is there for the record alone.
PAST = frozenset({"superseded", "retired"})
CURRENT = """NOT docs.is_past AND (docs.document_id IS NULL OR docs.document_id NOT IN
  (SELECT record_id FROM docs WHERE is_past AND record_kind = 'evidence_document'))"""


def folded(text: str) -> str:
    """Text without case, composed, so that two spellings of a character are one."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def storable(text: str) -> str:
    """Text without what a database cannot hold; escapes in JSON may stand for such characters."""
    plain = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    return plain.replace("\0", " ")


def phrase(text: str) -> str:
    """Text as FTS5 takes it: words in this order, none of them an operator."""
    return '"' + text.replace('"', " ") + '"'


def _term(piece: str, quoted: str | None) -> Term:
    if quoted is not None:
        literal, exact = " ".join(quoted.split()), True
    else:
        literal, exact = piece.strip(_EDGES) if LETTER.search(piece) else piece, "%" in piece or "_" in piece
    return Term(phrase(literal) if LETTER.search(literal) else None, folded(literal), exact, quoted is not None)


# Stands for _ within a word of FTS5, which parts words at _.
_JOINT = "\u02cd"


def is_name(word: str) -> bool:
    """Whether a word of letters, digits and _ is a name with _ in it."""
    return "_" in word and word.strip("_") != ""


def in_one_word(name: str) -> str:
    """A name with _ in it as one word: __init__ is found apart from init, and is rarer than that."""
    return name.replace("_", _JOINT)


def _loose(word: str) -> Term:
    """A word that need not stand there."""
    return Term(phrase(word) if LETTER.search(word) else None, word, False)


def is_past(kind: str, record: Mapping[str, Any]) -> bool:
    """Whether a record of evidence is one that others have taken the place of."""
    return kind in ("evidence_chunk", "evidence_document") and record.get("status") in PAST
