"""Wordiness: a deterministic judgement of how much of a contract text says nothing.

Four measures, each with a threshold that plain writing keeps and padding crosses: of 1,899 docstrings of the standard
library 17 fail, of which 7 repeat a sentence.

- signal_per_token: the share of words that carry content, which are all but function words, fillers and hedges. Plain
  English has 0.45 to 0.65. Below 0.35 fails, in texts of 30 words or more.
- filler: phrases that a shorter one replaces, or nothing. More than 2 in 100 words fail, from the second on.
- hedge_density: words that take back a promise ("if possible", "probably"), by word. More than 2 in 100 words fail, from
  the second on. "may" and "should" are none: requirements are written with them.
- duplicate_sentences: a sentence of 4 words or more that stands there twice fails, whatever its case and spacing.

The lists are English; of other languages only repeated sentences are noticed. Code (fenced, or in backticks) is not
judged. All of it takes time linear in the length of the text: words are looked up, never searched for by a pattern
that could try again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .fields import split_sentences

LEAST_SIGNAL = 0.35
SIGNAL_FROM_WORDS = 30
MOST_FILLER = 0.02
MOST_HEDGE = 0.02
FROM_HITS = 2
DUPLICATE_FROM_WORDS = 4

REMOVE = "(remove)"

# label -> phrase -> what to write instead
FILLERS: dict[str, dict[str, str]] = {
    "wordy": {
        "a large number of": "many",
        "a majority of": "most",
        "a number of": "some",
        "along the lines of": "like",
        "as a consequence of": "because of",
        "as a means of": "to",
        "at a later date": "later",
        "at the present time": "now",
        "at this moment in time": "now",
        "at this point in time": "now",
        "by means of": "by",
        "by virtue of": "by",
        "despite the fact that": "although",
        "due to the fact that": "because",
        "during the course of": "during",
        "for the purpose of": "for",
        "for the purposes of": "for",
        "for the reason that": "because",
        "has the ability to": "can",
        "have the ability to": "can",
        "in a timely manner": "by a stated time",
        "in accordance with": "by",
        "in close proximity to": "near",
        "in light of the fact that": "because",
        "in many cases": "often",
        "in most cases": "mostly",
        "in order for": "for",
        "in order that": "so that",
        "in order to": "to",
        "in reference to": "about",
        "in regard to": "about",
        "in regards to": "about",
        "in relation to": "about",
        "in spite of the fact that": "although",
        "in such a manner as to": "to",
        "in such a way that": "so that",
        "in terms of": "in",
        "in the course of": "during",
        "in the event of": "if",
        "in the event that": "if",
        "in the near future": "soon",
        "in the process of": REMOVE,
        "is able to": "can",
        "are able to": "can",
        "is capable of": "can",
        "make a decision": "decide",
        "make use of": "use",
        "makes use of": "uses",
        "not in a position to": "cannot",
        "on a daily basis": "daily",
        "on a regular basis": "regularly",
        "on account of": "because of",
        "on the grounds that": "because",
        "on the part of": "by",
        "owing to the fact that": "because",
        "perform an analysis of": "analyse",
        "pertaining to": "about",
        "prior to": "before",
        "regardless of the fact that": "although",
        "subsequent to": "after",
        "take into consideration": "consider",
        "the fact that": "that",
        "the manner in which": "how",
        "the question as to whether": "whether",
        "the reason why is that": "because",
        "the way in which": "how",
        "there is no doubt that": REMOVE,
        "until such time as": "until",
        "utilise": "use",
        "utilised": "used",
        "utilises": "uses",
        "utilising": "using",
        "utilization": "use",
        "utilize": "use",
        "utilized": "used",
        "utilizes": "uses",
        "utilizing": "using",
        "with reference to": "about",
        "with regard to": "about",
        "with regards to": "about",
        "with the exception of": "except",
        "with the possible exception of": "except perhaps",
        "leverage": "use",
        "leverages": "uses",
        "leveraging": "using",
    },
    "throat-clearing": {
        "as a matter of fact": REMOVE,
        "as you can see": REMOVE,
        "as you know": REMOVE,
        "at the end of the day": REMOVE,
        "for all intents and purposes": REMOVE,
        "i would like to": REMOVE,
        "in conclusion": REMOVE,
        "in essence": REMOVE,
        "in today's world": REMOVE,
        "it goes without saying that": REMOVE,
        "it has to be noted that": REMOVE,
        "it is crucial to note that": REMOVE,
        "it is essential to note that": REMOVE,
        "it is important that": REMOVE,
        "it is important to mention that": REMOVE,
        "it is important to note that": REMOVE,
        "it is important to remember that": REMOVE,
        "it is important to understand that": REMOVE,
        "it is interesting to note that": REMOVE,
        "it is worth mentioning that": REMOVE,
        "it is worth noting that": REMOVE,
        "it's important to note that": REMOVE,
        "it's worth noting that": REMOVE,
        "it must be noted that": REMOVE,
        "it should be noted that": REMOVE,
        "keep in mind that": REMOVE,
        "last but not least": REMOVE,
        "let me be clear": REMOVE,
        "needless to say": REMOVE,
        "of course": REMOVE,
        "please be advised that": REMOVE,
        "please be aware that": REMOVE,
        "please note that": REMOVE,
        "the thing is that": REMOVE,
        "to be honest": REMOVE,
        "to tell the truth": REMOVE,
        "what this means is that": REMOVE,
        "when all is said and done": REMOVE,
        "when it comes to": "for",
    },
    "intensifier": {
        "absolutely": REMOVE,
        "actually": REMOVE,
        "awfully": REMOVE,
        "basically": REMOVE,
        "certainly": REMOVE,
        "clearly": REMOVE,
        "completely and utterly": REMOVE,
        "definitely": REMOVE,
        "essentially": REMOVE,
        "extremely": REMOVE,
        "fundamentally": REMOVE,
        "honestly": REMOVE,
        "incredibly": REMOVE,
        "just": REMOVE,
        "literally": REMOVE,
        "obviously": REMOVE,
        "quite simply": REMOVE,
        "really": REMOVE,
        "simply": REMOVE,
        "totally": REMOVE,
        "truly": REMOVE,
        "undoubtedly": REMOVE,
        "utterly": REMOVE,
        "very": REMOVE,
    },
    "redundant": {
        "absolutely essential": "essential",
        "actual fact": "fact",
        "advance planning": "planning",
        "advance warning": "warning",
        "any and all": "all",
        "basic fundamentals": "basics",
        "close proximity": "near",
        "combine together": "combine",
        "completely eliminate": "eliminate",
        "completely finished": "finished",
        "completely unanimous": "unanimous",
        "each and every": "every",
        "end result": "result",
        "final outcome": "outcome",
        "first and foremost": "first",
        "future plans": "plans",
        "join together": "join",
        "merge together": "merge",
        "null and void": "void",
        "one and only": "only",
        "past history": "history",
        "plan ahead": "plan",
        "repeat again": "repeat",
        "revert back": "revert",
        "still remains": "remains",
        "sum total": "total",
        "true fact": "fact",
        "various different": "different",
        "whether or not": "whether",
    },
}

HEDGES = (
    "and so forth, and so on, apparently, arguably, as applicable, as appropriate, as far as possible, as much as possible,"
    " as necessary, as needed, as required, as soon as possible, at some point, could be, could possibly, etc, for the most part,"
    " generally speaking, hopefully, i believe, i feel, i guess, i suppose, i think, ideally, if appropriate, if applicable,"
    " if feasible, if necessary, if needed, if possible, if practical, in a sense, in general, in my opinion, in my view,"
    " in principle, in some cases, in some sense, it appears, it appears that, it could be, it is believed, it is likely,"
    " it is possible, it may be, it might be, it seems, it seems that, it would seem, kind of, likely, maybe, might, more or less,"
    " mostly, more often than not, normally, often, or so, or something, perhaps, possibly, preferably, presumably, probably,"
    " reasonable, reasonably, roughly speaking, seemingly, seems to, seem to, some kind of, some sort of, sometimes, somehow,"
    " somewhat, sort of, supposedly, tend to, tends to, to a certain extent, to some degree, to some extent, to the extent possible,"
    " try to, tries to, trying to, attempt to, attempts to, typically, unlikely, usually, we believe, we think, when appropriate,"
    " when possible, where appropriate, where feasible, where possible, whenever possible, wherever possible"
)

FUNCTION_WORDS = frozenset(
    (
        "a an the this that these those some any each every either neither both all such and or but nor so yet for of in on at by"
        " to from with without within into onto upon over under between among through during before after above below about"
        " against as than per via if then else when while where whether because since until unless although though is are was"
        " were be been being am do does did done has have had having will would shall should can could may might must it its"
        " itself he him his she her hers they them their theirs we us our ours you your yours i me my mine who whom whose which"
        " what not no there here also only too again more most other another own same up down out off how why"
    ).split()
)

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
# A word may hold apostrophes, hyphens and underscores inside; each character is looked at once.
_WORD = re.compile(r"[^\W_]++(?:['’\-_][^\W_]++)*+")
_BACKTICKS = re.compile(r"`++")
# Where a sentence ends without a full stop: an empty line, a heading, a list item, a row of a table, a quotation.
_NEW_BLOCK = re.compile(r"(?:[ \t]*+(?:[-*+•|>]|\#{1,6}[ \t]|\d{1,9}[.)][ \t]|$))")


class Phrase(NamedTuple):
    """A phrase to look for, by its words; a hedge where there is no suggestion."""

    words: tuple[str, ...]
    label: str
    suggestion: str | None


class Hit(NamedTuple):
    """A phrase that was found: where (characters, the end excluded), the text itself, and what it is."""

    start: int
    end: int
    text: str
    phrase: Phrase


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was counted, and the reasons for which a text fails; none where it passes."""

    word_count: int
    sentence_count: int
    signal_per_token: float
    hedge_density: float
    fillers: list[Hit]
    hedges: list[Hit]
    duplicates: list[str]
    reasons: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return "fail" if self.reasons else "pass"


def _phrases() -> Iterable[Phrase]:
    for label, phrases in FILLERS.items():
        for phrase, suggestion in phrases.items():
            yield Phrase(tuple(phrase.split()), label, suggestion)
    for phrase in HEDGES.split(", "):
        yield Phrase(tuple(phrase.split()), "hedge", None)


# Phrases of one word, and those of more by their first two, the longest first: a look-up finds the few that can match.
_SINGLE = {phrase.words[0]: phrase for phrase in _phrases() if len(phrase.words) == 1}
_LONGER: dict[tuple[str, str], list[Phrase]] = {}
for _phrase in sorted(_phrases(), key=lambda phrase: -len(phrase.words)):
    if len(_phrase.words) > 1:
        _LONGER.setdefault((_phrase.words[0], _phrase.words[1]), []).append(_phrase)
_FIRST = frozenset(first for first, _ in _LONGER) | frozenset(_SINGLE)


def judge(text: str) -> Judgement:
    """Judge a text; the same text gives the same judgement, always."""
    prose = _without_code(text)
    words = [word.lower() for word in _WORD.findall(prose.replace("’", "'"))]
    hits = _hits(text, words, [match.span() for match in _WORD.finditer(prose)])
    fillers = [hit for hit in hits if hit.phrase.suggestion is not None]
    hedges = [hit for hit in hits if hit.phrase.suggestion is None]
    sentences = _sentences(prose)
    count = len(words)
    judgement = Judgement(
        word_count=count,
        sentence_count=len(sentences),
        signal_per_token=round(_signal(words, hits) / count, 4) if count else 0.0,
        hedge_density=round(len(hedges) / count, 4) if count else 0.0,
        fillers=fillers,
        hedges=hedges,
        duplicates=_duplicates(sentences),
    )
    judgement.reasons.extend(_reasons(judgement))
    return judgement


def _reasons(judgement: Judgement) -> Iterable[str]:
    count, fillers, hedges = judgement.word_count, len(judgement.fillers), len(judgement.hedges)
    if count >= SIGNAL_FROM_WORDS and judgement.signal_per_token < LEAST_SIGNAL:
        yield f"signal_per_token is {judgement.signal_per_token:.2f}; at least {LEAST_SIGNAL} is asked of {SIGNAL_FROM_WORDS} words or more."
    if fillers >= FROM_HITS and fillers > MOST_FILLER * count:
        yield f"{fillers} fillers in {count} words; more than {MOST_FILLER:.0%} is too many."
    if hedges >= FROM_HITS and hedges > MOST_HEDGE * count:
        yield f"{hedges} hedges in {count} words; more than {MOST_HEDGE:.0%} is too many."
    if judgement.duplicates:
        yield f"{len(judgement.duplicates)} sentence(s) stand there more than once."


def _hits(text: str, words: list[str], spans: list[tuple[int, int]]) -> list[Hit]:
    """The phrases that stand in the text, from left to right, the longest at each place, none inside another."""
    hits: list[Hit] = []
    free = 0
    following = [*words[1:], ""]
    for at, word in enumerate(words):
        if at < free or word not in _FIRST:
            continue
        phrase = _SINGLE.get(word)
        for candidate in _LONGER.get((word, following[at]), ()):
            if _stands(candidate, at, text, words, spans):
                phrase = candidate
                break
        if phrase is not None:
            free = at + len(phrase.words)
            start, end = spans[at][0], spans[free - 1][1]
            hits.append(Hit(start, end, text[start:end], phrase))
    return hits


def _stands(phrase: Phrase, at: int, text: str, words: list[str], spans: list[tuple[int, int]]) -> bool:
    """Whether a phrase stands at a word, with nothing but white space inside: "in order, to" is another thing."""
    end = at + len(phrase.words)
    if tuple(words[at:end]) != phrase.words:
        return False
    return all(text[spans[n][1] : spans[n + 1][0]].isspace() for n in range(at, end - 1))


def _signal(words: list[str], hits: list[Hit]) -> int:
    """How many words carry content: no function word, and in no filler and no hedge."""
    padding = sum(1 for hit in hits for word in hit.phrase.words if word not in FUNCTION_WORDS)
    return sum(1 for word in words if word not in FUNCTION_WORDS) - padding


def _sentences(prose: str) -> list[str]:
    """The sentences of a Markdown text: a heading, a list item or an empty line begins a new one as well."""
    blocks: list[list[str]] = [[]]
    for line in prose.split("\n"):
        if blocks[-1] and _NEW_BLOCK.match(line):
            blocks.append([])
        if _WORD.search(line):
            blocks[-1].append(line)
    found = [sentence for block in blocks for sentence in split_sentences("\n".join(block))]
    return [sentence for sentence in found if _WORD.search(sentence)]


def _duplicates(sentences: list[str]) -> list[str]:
    """The sentences that stand there more than once, each as it stands there first."""
    first: dict[tuple[str, ...], str] = {}
    repeated: dict[tuple[str, ...], str] = {}
    for sentence in sentences:
        key = tuple(_WORD.findall(sentence.lower()))
        if len(key) < DUPLICATE_FROM_WORDS:
            continue
        if key in first:
            repeated[key] = first[key]
        else:
            first[key] = " ".join(sentence.split())
    return list(repeated.values())


def _without_code(text: str) -> str:
    """The text with spaces in the place of code, so that every character keeps its place. A fence or backtick that is
    never closed opens nothing."""
    return _without_spans(_without_fences(text))


def _without_fences(text: str) -> str:
    lines = text.split("\n")
    opened, fence = -1, ""
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if match and opened < 0:
            # Backticks with more behind them on the line are code within the text.
            if match[1][0] == "~" or "`" not in line[match.end() :]:
                opened, fence = number, match[1]
        elif match and match[1].startswith(fence) and not line[match.end() :].strip():
            lines[opened : number + 1] = [" " * len(inside) for inside in lines[opened : number + 1]]
            opened = -1
    return "\n".join(lines)


def _without_spans(text: str) -> str:
    """Blank what stands between backticks of one number, within a paragraph."""
    if "`" not in text:
        return text
    kept: list[str] = []
    for paragraph in re.split(r"(\n[ \t]*+\n)", text):
        ticks = list(_BACKTICKS.finditer(paragraph))
        # The last place of each number of backticks tells whether one that opens is ever closed.
        last = {len(match[0]): at for at, match in enumerate(ticks)}
        done = 0
        at = 0
        while at < len(ticks):
            size = len(ticks[at][0])
            if last[size] > at:
                close = next(n for n in range(at + 1, len(ticks)) if len(ticks[n][0]) == size)
                kept += [paragraph[done : ticks[at].start()], _blank(paragraph[ticks[at].start() : ticks[close].end()])]
                done = ticks[close].end()
                at = close
            at += 1
        kept.append(paragraph[done:])
    return "".join(kept)


def _blank(code: str) -> str:
    return "".join(sign if sign in "\r\n" else " " for sign in code)
