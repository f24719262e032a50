"""Answering: the records that a query finds in an open index, best first, and where each of them matches."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from .. import Row
from .asked import LETTER, MOST_TERMS, WEIGHTS, Choice, Pattern, Query, Reading, folded, phrase
from .index import TOKENIZER, WORD, driver

# Of more matches than these the newest are ranked, so that a word that stands everywhere costs no more than a rare one.
MOST_RANKED = 5_000
# So many of the best are looked at before those that may answer are ranked by themselves.
MOST_LOOKED_AT = 100
# A piece of text that stands in more different words than these, or in longer ones, is looked for in the texts themselves.
MOST_SPELLINGS, LONGEST_SPELLING = 500, 500
# So many of the longest pieces of a query are looked up before the texts are read.
MOST_PIECES = 20
# Records that hold some of the words are looked for by the rarest of these, which so many records may hold together: what
# only common words would find is seldom among the best. So many words at most are counted in.
MOST_DRIVEN, MOST_COUNTED = 5_000, 64
SNIPPET = 240
# Texts of so many hits are marked in one go.
MOST_MARKED = 200
_LABEL = 140
# What FTS5 puts around a match; no text that people write holds them.
_ON, _OFF = "\x02", "\x03"
_MARKED = re.compile(f"{_ON}([^{_OFF}]*){_OFF}")


class Answering:
    """One query among the records of a choice, in an index that does not change meanwhile."""

    def __init__(self, database: Any, query: Query, chosen: Choice) -> None:
        self._db = database
        self._query = query
        self._condition, self._values = chosen.condition()
        self._passed_over = 0

    def page(self, limit: int | None, offset: int, *, loosely: bool = False, pieces: bool = True) -> list[Row]:
        """A page of hits, best first: id, kind, score, matched.

        Every word must match; where none does, pieces of words. `loosely` fills up what is found with records that hold
        some of the words.
        """
        wanted = None if limit is None else offset + limit
        found = self._found(wanted, loosely, pieces)
        shown = list(found.items())[offset:wanted]
        return [self._row(n, score, reading) for n, (score, reading) in shown]

    def _found(self, wanted: int | None, loosely: bool, pieces: bool) -> dict[int, tuple[float, Reading]]:
        query = self._query
        found: dict[int, tuple[float, Reading]] = {}
        for reading in (*query.of_all(), *(query.of_telling() if loosely else ())):
            # What stands there as it was typed comes first; loosely, what comes near it follows.
            if not found or loosely:
                self._add(found, reading, wanted)
        if loosely and (wanted is None or len(found) < wanted):
            self._fill_up(found, wanted)
        if not found and pieces:
            self._add(found, query.of_pieces(), wanted)
        return found

    def _add(self, found: dict[int, tuple[float, Reading]], reading: Reading, wanted: int | None) -> None:
        """Add the hits of a reading behind those found before, up to as many as are wanted."""
        if wanted is not None and len(found) >= wanted:
            return
        self._passed_over = len(found)
        ranked = self._by_pieces(reading, wanted) if reading.match is None else self._by_words(reading, wanted)
        for n, score in ranked:
            found.setdefault(n, (score, reading))
            if wanted is not None and len(found) >= wanted:
                return

    def _fill_up(self, found: dict[int, tuple[float, Reading]], wanted: int | None) -> None:
        """Add what holds some of the words that say something: of the rarest first, then of any."""
        sql = f"SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT {MOST_DRIVEN + 1})"
        terms = [term for term in (*self._query.names, *self._query.loose) if term.phrase][:MOST_TERMS]
        held = {term: self._db.execute(sql, (term.phrase,)).get for term in terms}
        ordered = sorted(filter(held.get, held), key=held.__getitem__)[:MOST_COUNTED]
        if not ordered:
            return
        sums = itertools.accumulate(held[term] for term in ordered)
        rarest = max(1, sum(together <= MOST_DRIVEN for together in sums))
        self._add(found, self._query.of_some(ordered[:rarest], ordered[rarest:]), wanted)
        if ordered[rarest:]:
            self._add(found, self._query.of_some(ordered), wanted)

    # --- one reading ------------------------------------------------------------------------------

    def _by_words(self, reading: Reading, wanted: int | None) -> Iterator[tuple[int, float]]:
        """(n, score) of what holds the words of a reading, best first; the newer of two equals first.

        Of very many, the newest are ranked; the next newest follow where those do not satisfy.
        """
        tables, parts = "words", ["words MATCH ?", *self._condition]
        if self._condition:
            tables += " JOIN docs ON docs.n = words.rowid"
        if any("texts." in part for part in self._condition):
            tables += " JOIN texts ON texts.n = words.rowid"
        sql = f"""SELECT words.rowid AS n, -bm25(words, {", ".join(map(str, WEIGHTS))}) / {reading.times} AS score FROM {tables}
            WHERE {" AND ".join(parts)} AND words.rowid < ? ORDER BY words.rowid DESC LIMIT ?"""
        most = -1 if wanted is None else max(MOST_RANKED, wanted)
        if not reading.patterns:
            ranked = f"SELECT n, score FROM ({sql}) ORDER BY score DESC, n DESC LIMIT ?"
            last = -1 if wanted is None else wanted
            # Hits of stricter readings stand among these and are passed over.
            more = -1 if last < 0 else last + self._passed_over
            best = self._best_of_all(reading, most, more) if self._condition and more > 0 else None
            if best is not None:
                yield from best
                return
            yield from self._db.execute(ranked, (reading.match, *self._values, 1 << 62, most, more)).fetchall()
            return
        before = 1 << 62
        while True:
            window = self._db.execute(sql, (reading.match, *self._values, before, most)).fetchall()
            window.sort(key=lambda hit: (-hit[1], -hit[0]))
            yield from (hit for hit in window if self._stands(reading, hit[0]))
            if len(window) != most:
                return
            before = min(n for n, _ in window)

    def _best_of_all(self, reading: Reading, most: int, more: int) -> list[tuple[int, float]] | None:
        """The best among all records that may answer; None where that are too few to say so.

        Most records meet the usual conditions: to look at those of the few best alone is faster by half.
        """
        looked_at = max(MOST_LOOKED_AT, 4 * more)
        sql = f"""SELECT n, score FROM (SELECT rowid AS n, -bm25(words, {", ".join(map(str, WEIGHTS))}) / {reading.times} AS score
            FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?) ORDER BY score DESC, n DESC LIMIT ?"""
        found = self._db.execute(sql, (reading.match, most, looked_at)).fetchall()
        tables = "docs JOIN texts USING (n)" if any("texts." in part for part in self._condition) else "docs"
        condition = " AND ".join(["docs.n IN (SELECT value FROM json_each(?))", *self._condition])
        chosen = self._db.execute(
            f"SELECT docs.n FROM {tables} WHERE {condition}", (json.dumps([n for n, _ in found]), *self._values)
        )
        meeting = {n for (n,) in chosen}
        best = [hit for hit in found if hit[0] in meeting][:more]
        return best if len(best) == more or len(found) < min(most, looked_at) else None

    def _stands(self, reading: Reading, n: int) -> bool:
        """Whether the patterns of a reading stand in a text."""
        sql = "SELECT title, summary, body FROM texts WHERE n = ?"
        return reading.weigh(*self._db.execute(sql, (n,)).fetchone()) is not None

    def _by_pieces(self, reading: Reading, wanted: int | None) -> Iterator[tuple[int, float]]:
        """(n, score) of what holds the patterns of a reading, best first, of the newest."""
        self._db.create_scalar_function("weigh", reading.weigh, 3, deterministic=True)
        tables, parts, values = "texts", [*self._condition], [*self._values]
        if self._condition:
            tables += " JOIN docs USING (n)"
        for around in self._around(reading.patterns):
            if around is not None:
                parts, values = ["texts.n IN (SELECT rowid FROM words WHERE words MATCH ?)", *parts], [around, *values]
            weight = "weigh(texts.title, texts.summary, texts.body)"
            found = f"""SELECT n, {weight} AS score FROM {tables} WHERE {" AND ".join([*parts, "score IS NOT NULL"])}
                ORDER BY n DESC LIMIT ?"""
            most = -1 if wanted is None else max(MOST_RANKED, wanted)
            hits = self._db.execute(f"SELECT n, score FROM ({found}) ORDER BY score DESC, n DESC", (*values, most)).fetchall()
            if hits:
                yield from hits
                return
            parts, values = [*self._condition], [*self._values]

    def _around(self, patterns: Sequence[Pattern]) -> Iterator[str | None]:
        """Queries that every text with these patterns meets, None for one that any text meets; none where no text can."""
        groups: list[str] = []
        sure = True
        pieces = {piece for pattern in patterns for part in pattern.parts for piece in _pieces(part)}
        for piece in sorted(pieces, key=lambda piece: (-len(piece), piece))[:MOST_PIECES]:
            spellings = self._holding(piece)
            if not spellings:
                return
            if len(spellings) <= MOST_SPELLINGS and all(
                LETTER.search(word) and len(word) <= LONGEST_SPELLING for word in spellings
            ):
                groups.append("(" + " OR ".join(map(phrase, spellings)) + ")")
                sure = sure and all(word.isascii() for word in spellings)
        if groups:
            yield " AND ".join(groups)
        # FTS5 may part and fold other scripts in its own way.
        if not groups or not sure:
            yield None

    def _holding(self, piece: str) -> list[str]:
        """Words, as they are spelled, that hold a piece of text; no more than needed to say that they are too many."""
        sql = "SELECT coalesce(nullif(spelled, ''), word) FROM spellings WHERE instr(word, ?) LIMIT ?"
        return [word for (word,) in self._db.execute(sql, (piece, MOST_SPELLINGS + 1))]

    # --- telling of a hit -------------------------------------------------------------------------

    def _row(self, n: int, score: float, reading: Reading) -> Row:
        record_id, kind = self._db.execute("SELECT record_id, record_kind FROM docs WHERE n = ?", (n,)).fetchone()
        return {"id": record_id, "kind": kind, "score": float(f"{score:.6g}"), "matched": reading.matched}


def described(database: Any, query: Query, hits: Sequence[Row]) -> list[Row]:
    """Hits with what people know them by: title, status, created_at, a snippet with the match in [ ], the matched words, and
    the text.

    A record that was found by its meaning is described as well, with how its text begins.
    """
    sql = "SELECT status, created_at, title, summary, body FROM docs JOIN texts USING (n) WHERE record_id = ?"
    told: list[Row] = []
    for start in range(0, len(hits), MOST_MARKED):
        some = hits[start : start + MOST_MARKED]
        rows = [database.execute(sql, (hit["id"],)).fetchone() for hit in some]
        marked = _highlighted(query, [row[2:] for row in rows])
        told += [_described(query, hit, row, marked.get(n)) for n, (hit, row) in enumerate(zip(some, rows, strict=True))]
    return told


def _described(query: Query, hit: Row, row: Sequence[Any], marked: Sequence[str] | None) -> Row:
    status, created_at, *texts = row
    if hit["kind"] == "evidence_chunk":
        # What it stands under is told beside it.
        order = (2, 1, 0)
    else:
        order = (0, 1, 2)
    snippet, words = _densest([marked[column] for column in order]) if marked else ("", [])
    if not words:
        snippet, words = _cut_out(
            [texts[column] for column in order], [Pattern.piece(term) for term in query.telling or query.terms]
        )
    told = {"title": _label(texts), "status": status, "created_at": created_at, "text": "\n".join(filter(None, texts))}
    return {**hit, **told, "snippet": " ".join(snippet.split()), "words": words}


def _highlighted(query: Query, texts: Sequence[Sequence[str]]) -> dict[int, list[str]]:
    """Title, summary and body of some records with their matches marked, by place; without those where FTS5 finds none.

    The texts are indexed anew by themselves: that takes a fraction of the time in which a large index finds a word in
    one of its rows.
    """
    marks = query.marks()
    if not marks or not texts:
        return {}
    with contextlib.closing(driver().Connection(":memory:")) as database:
        database.execute(f"CREATE VIRTUAL TABLE words USING fts5(title, summary, body, tokenize='{TOKENIZER}')")
        with database:
            database.executemany(
                "INSERT INTO words (rowid, title, summary, body) VALUES (?, ?, ?, ?)",
                ((n, *text) for n, text in enumerate(texts)),
            )
        columns = ", ".join(f"highlight(words, {column}, '{_ON}', '{_OFF}')" for column in range(3))
        found = database.execute(f"SELECT rowid, {columns} FROM words WHERE words MATCH ?", (marks,))
        return {n: marked for n, *marked in found}


def _densest(marked: Sequence[str]) -> tuple[str, list[str]]:
    """(The piece of a text that holds most of the matches, each in [ ]; the words that match in any of the texts)."""
    best: tuple[tuple[int, int], str, int, int] | None = None
    words: dict[str, None] = {}
    for text in marked:
        matches = [(match.start(), match.end(), folded(match[1])) for match in _MARKED.finditer(text)]
        words.update(dict.fromkeys(word for _, _, word in matches))
        for first, (start, _, _) in enumerate(matches):
            within = [word for _, end, word in matches[first:] if end - start <= SNIPPET] or [matches[first][2]]
            worth = (len(set(within)), len(within))
            if best is None or worth > best[0]:
                best = worth, text, start, matches[first + len(within) - 1][1]
    if best is None:
        return "", []
    _, text, start, end = best
    room = max(SNIPPET - (end - start), 0)
    start, end = _at_blank(text, max(0, start - room // 2), start), min(len(text), max(end, end + room - room // 2))
    end = text.rfind(" ", best[3], end) if end < len(text) and " " in text[best[3] : end] else end
    # A mark that the end cut in two is closed; one that begins behind the start was opened there.
    piece = text[start:end]
    piece = piece + _OFF if piece.count(_ON) > piece.count(_OFF) else piece
    shown = piece.replace(_ON, "[").replace(_OFF, "]")
    return ("…" if start else "") + shown + ("…" if end < len(text) else ""), list(words)


def _at_blank(text: str, start: int, latest: int) -> int:
    """Where the next word begins at or behind a place, but for one that is too late."""
    if not start:
        return 0
    at = next((at for at in range(start, latest) if text[at - 1].isspace()), latest)
    return at


def _pieces(part: str) -> list[str]:
    """The pieces of a run between blanks that stand in a word each: letters and digits of ASCII, or all of it."""
    return WORD.findall(part) if part.isascii() else [part]


def _label(texts: Sequence[str]) -> str:
    """What a hit is called: its title, else its summary, else how its text begins."""
    text = " ".join(next((text for text in texts if text), "").split())
    return text if len(text) <= _LABEL else text[: _LABEL - 1] + "…"


def _cut_out(texts: Sequence[str], patterns: Sequence[Pattern]) -> tuple[str, list[str]]:
    """(The text around the first match of a pattern, every match in it in [ ]; what matches). How a text begins without one."""
    marked = re.compile("|".join(pattern.regex.pattern for pattern in patterns), re.IGNORECASE)
    for text in (unicodedata.normalize("NFC", text) for text in texts):
        found = marked.search(text)
        if found is not None:
            start = max(0, found.start() - SNIPPET // 2)
            end = max(found.end(), start + SNIPPET)
            words = list(dict.fromkeys(folded(match[0]) for match in marked.finditer(text[start:end]) if match[0]))
            shown = marked.sub(lambda match: f"[{match[0]}]", text[start:end])
            return ("…" if start else "") + shown + ("…" if end < len(text) else ""), words
    text = " ".join(next((text for text in texts if text), "").split())
    return (text if len(text) <= SNIPPET else text[: SNIPPET - 1] + "…"), []
