"""Search: a full-text index of the records, derived from the ledger and kept in a file of its own."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import denial
from ..hashing import sha256
from ..ops import _index
from . import Row, Store, ledger, schema
from .creation import with_journal
from .query import Where, conditions

APPLICATION_ID = 0x4B5A4E53  # "KZNS"
FORMAT = 1
# Ledger entries read and indexed in one go: writers wait for reading this many, and nobody waits for indexing them.
CHUNK = 1_000
# Of more matches than these the newest are ranked, so that a word that stands everywhere costs no more than a rare one.
MOST_RANKED = 10_000
# A piece of text that stands in more different chunks than these, or in longer ones, is looked for in the texts themselves.
MOST_CHUNKS, LONGEST_CHUNK = 500, 500
# A query of more terms is looked for as it stands; so many of its longest parts are looked up before the texts are read.
MOST_TERMS, MOST_PARTS = 1_000, 20
# How long to wait for another process that writes into the index; what it writes at once takes a fraction of a second.
BUSY_MS = 10_000
# What a match in title, summary and body counts.
WEIGHTS = (10.0, 4.0, 1.0)
_SNIPPET_WORDS, _SNIPPET_CHARACTERS = 20, 140
# Long texts are no filters; they stand in the columns that are searched.
_NO_FILTERS = frozenset({"title", "summary", "body"})

# Kinds that have a text to search; a newer Kaizen may have written kinds unknown here.
SEARCHED = tuple(kind for kind, entry in _index.KINDS.items() if entry.search)

# docs is what is mostly chosen by, and stays narrow; texts is what is searched, with the other columns as JSON; words is
# the index of their stems; chunks holds every run of text between blanks, without case, so that a piece of a word is
# found, or known to be nowhere, without reading the texts.
SCHEMA = """
CREATE TABLE position (seq INTEGER NOT NULL, chain_hash TEXT NOT NULL, format TEXT NOT NULL);
CREATE TABLE docs (
  n INTEGER PRIMARY KEY,
  record_id TEXT NOT NULL UNIQUE,
  record_kind TEXT NOT NULL,
  record_task TEXT,
  status TEXT,
  created_at TEXT,
  scope TEXT
);
CREATE TABLE texts (
  n INTEGER PRIMARY KEY,
  record TEXT NOT NULL,
  title TEXT NOT NULL,
  summary TEXT NOT NULL,
  body TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(
  title, summary, body, content='texts', content_rowid='n', tokenize="porter unicode61 remove_diacritics 2"
);
CREATE TRIGGER texts_added AFTER INSERT ON texts BEGIN
  INSERT INTO words (rowid, title, summary, body) VALUES (new.n, new.title, new.summary, new.body);
END;
CREATE TRIGGER texts_changed AFTER UPDATE ON texts BEGIN
  INSERT INTO words (words, rowid, title, summary, body) VALUES ('delete', old.n, old.title, old.summary, old.body);
  INSERT INTO words (rowid, title, summary, body) VALUES (new.n, new.title, new.summary, new.body);
END;
CREATE TABLE chunks (chunk TEXT NOT NULL, spelled TEXT NOT NULL, PRIMARY KEY (chunk, spelled)) WITHOUT ROWID;
"""
OWN_COLUMNS = ("record_task", "status", "created_at", "scope")

PUT_DOC = """
INSERT INTO docs (record_id, record_kind, record_task, status, created_at, scope) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (record_id) DO UPDATE SET record_task = excluded.record_task, status = excluded.status, scope = excluded.scope
"""
PUT_TEXT = """
INSERT INTO texts (n, record, title, summary, body) SELECT n, ?2, ?3, ?4, ?5 FROM docs WHERE record_id = ?1
ON CONFLICT (n) DO UPDATE
  SET record = excluded.record, title = excluded.title, summary = excluded.summary, body = excluded.body
"""
PUT_CHUNK = "INSERT OR IGNORE INTO chunks (chunk, spelled) VALUES (?, ?)"


class _Worthless(Exception):
    """The index is not one of ours, of this format, of this ledger: it is made anew."""


def find(
    store: Store,
    text: str,
    *,
    kinds: Sequence[str] | None = None,
    where: Where | None = None,
    limit: int | None = None,
    offset: int = 0,
    loosely: bool = False,
    described: bool = False,
) -> list[Row]:
    """Records that a query finds, best first: id, kind, score, matched ("words", or "text" where pieces of words match);
    `described` adds title, status, created_at and a snippet with the match in [ ].

    `where` holds conditions as Store.list takes them; `record_task` stands for the column of a kind's task. A limit of
    None or below 0 is no limit. The store is let go of while the index follows the ledger. `loosely` takes records that
    hold some of the words where none holds all of them, and no pieces of words.
    """
    _apsw()
    query = Query(text, loosely=loosely)
    if not query.terms:
        return []
    chosen = Choice(tuple(kinds) if kinds is not None else None, dict(where or {}))
    # The file; the file made anew; a copy of it in memory, where it cannot be written; an index made in memory.
    for opener in (Index.file, Index.file, Index.copy, Index.memory):
        try:
            index = opener(store.plane.search)
            with contextlib.closing(index), index.caught_up(store):
                hits = index.page(query, chosen, None if limit is None or limit < 0 else limit, offset)
                return [index.described(hit) for hit in hits] if described else hits
        except denial.Denial:
            raise
        except Exception as fault:
            # A damaged file can make anything fail; what fails in a new index in memory as well is a defect of ours.
            if opener == Index.memory:
                raise
            if opener == Index.file and not isinstance(fault, _unusable()):
                with contextlib.suppress(OSError):
                    discard(store.plane.search)
    raise AssertionError("an index in memory answers or raises")


def rows(store: Store, kind: str, hits: Sequence[Mapping[str, Any]], where: Where | None, columns: Sequence[str]) -> list[Row]:
    """The rows of hits of one kind, in their order; what has changed or gone since the index saw it is left out."""
    found: dict[str, Row] = {}
    for start in range(0, len(hits), 500):
        ids = [hit["id"] for hit in hits[start : start + 500]]
        for row in store.list(kind, {**(where or {}), "id": ("in", ids)}, columns=("id", *columns)):
            found[row["id"]] = row
    every = "*" in columns
    ordered = [found[hit["id"]] for hit in hits if hit["id"] in found]
    return ordered if every else [{name: row[name] for name in columns} for row in ordered]


def discard(path: Path) -> None:
    """Throw the index away, journal and all; the next query makes a new one."""
    for file in with_journal(path):
        file.unlink(missing_ok=True)


# --- what is asked --------------------------------------------------------------------------------

_PIECES = re.compile(r'"([^"]*)"|[^\s"]+')
_LETTER = re.compile(r"[^\W_]")
_SIGN = re.compile(r"\W|_")
_EDGES = ".,;:!?()[]{}'`…“”‘’„«»"


@dataclass(frozen=True, slots=True)
class Term:
    """One word or quoted phrase of a query.

    `phrase` asks FTS5 for it, None where there is no letter or digit in it; `literal` is what has to stand there
    where it is taken at its word, `exact` says that it always is.
    """

    phrase: str | None
    literal: str
    exact: bool

    @property
    def has_signs(self) -> bool:
        return _SIGN.search(self.literal) is not None


class Query:
    """What a user wrote, as terms that must all match; nothing in it is an operator."""

    def __init__(self, text: str, *, loosely: bool = False) -> None:
        self.loosely = loosely
        plain = _storable(text).strip()
        terms = [_term(match[0], match[1]) for match in _PIECES.finditer(plain)]
        self.terms = list(dict.fromkeys(term for term in terms if term.literal))
        if plain and not self.terms:
            self.terms = [Term(None, folded(plain), True)]

    def readings(self) -> Iterator[Reading]:
        """How the query is read, strictest first: each is tried where the one before finds nothing.

        Words by their stems, those with signs in them as they stand; signs ignored, but for % and _ and in quotes;
        each term as a piece of text, also in the midst of a word.
        """
        words = [term.phrase for term in self.terms if term.phrase]
        if self.loosely:
            yield from (Reading(link.join(words[:MOST_TERMS]), []) for link in (" ", " OR ") if words)
            return
        phrases = " ".join(words)
        if phrases and len(self.terms) <= MOST_TERMS:
            strict = [term for term in self.terms if term.exact or term.has_signs]
            lenient = [term for term in strict if term.exact]
            yield Reading(phrases, [Pattern.whole(term) for term in strict])
            if len(lenient) < len(strict):
                yield Reading(phrases, [Pattern.whole(term) for term in lenient])
        yield Reading(None, [Pattern.piece(term) for term in self.terms])


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
        before = r"(?<![^\W_])" if _LETTER.match(term.literal) else ""
        after = r"(?![^\W_])" if _LETTER.match(term.literal[-1]) else ""
        return cls(piece.parts, re.compile(before + piece.regex.pattern + after, re.IGNORECASE))

    def stands_in(self, text: str) -> bool:
        # Looking for the parts is fast, and most texts do not have them.
        return all(part in text for part in self.parts) and self.regex.search(text) is not None


@dataclass(frozen=True, slots=True)
class Reading:
    """A query for FTS5, None for no such query, and the patterns that have to stand in the text as well."""

    match: str | None
    patterns: list[Pattern]

    def weigh(self, *columns: str) -> float | None:
        """How well title, summary and body hold every pattern: None where one is in none of them."""
        texts = [folded(column) for column in columns]
        weight = 0.0
        for pattern in self.patterns:
            found = sum(worth for worth, text in zip(WEIGHTS, texts, strict=True) if pattern.stands_in(text))
            if not found:
                return None
            weight += found
        return weight


def folded(text: str) -> str:
    """Text without case, composed, so that two spellings of a character are one."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _term(piece: str, quoted: str | None) -> Term:
    if quoted is not None:
        literal, exact = " ".join(quoted.split()), True
    else:
        literal, exact = piece.strip(_EDGES) if _LETTER.search(piece) else piece, "%" in piece or "_" in piece
    return Term(_phrase(literal) if _LETTER.search(literal) else None, folded(literal), exact)


def _phrase(text: str) -> str:
    """Text as FTS5 takes it: words in this order, none of them an operator."""
    return '"' + text.replace('"', " ") + '"'


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records may answer: of some kinds (None: of any), those that meet conditions."""

    kinds: tuple[str, ...] | None
    where: Mapping[str, Any]

    def condition(self) -> tuple[list[str], list[Any]]:
        """SQL conditions and their values; none where every record may answer."""
        parts, values = conditions(self.where, self._spelled)
        if self.kinds is not None:
            parts.append(f"docs.record_kind IN ({', '.join('?' * len(self.kinds))})")
            values.extend(self.kinds)
        return parts, values

    def _spelled(self, column: str) -> str:
        if column in OWN_COLUMNS:
            return f"docs.{column}"
        kinds = self.kinds if self.kinds is not None else tuple(_index.KINDS)
        known = column in schema.BASE_COLUMNS or any(column in _index.KINDS[kind].columns for kind in kinds)
        if not known or column in _NO_FILTERS or column.endswith("_json"):
            raise ValueError(f"{column!r} cannot be a condition of a search")
        return f"texts.record ->> '{column}'"


# --- the index ------------------------------------------------------------------------------------


class Index:
    """An open index."""

    def __init__(self, database: Any) -> None:
        self._db = database
        self._reading = Reading(None, [])
        try:
            database.set_busy_timeout(BUSY_MS)
            self._make()
        except BaseException:
            database.close()
            raise

    @classmethod
    def file(cls, path: Path) -> Index:
        """The index in a file, made where there is none."""
        apsw = _apsw()
        if path.is_dir():
            raise apsw.CantOpenError(str(path))
        database = apsw.Connection(str(path))
        try:
            # Readers see the last whole batch while the next one is written.
            database.set_busy_timeout(BUSY_MS)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def copy(cls, path: Path) -> Index:
        """A copy in memory of a file that cannot be written."""
        apsw = _apsw()
        data = bytearray(path.read_bytes())
        if any(journal.exists() and journal.stat().st_size for journal in with_journal(path)[1:2]) or len(data) < 512:
            raise _Worthless
        # Memory has no write-ahead journal: the header must not ask for one.
        data[18:20] = b"\1\1"
        database = apsw.Connection(":memory:")
        database.deserialize("main", bytes(data))
        return cls(database)

    @classmethod
    def memory(cls, path: Path) -> Index:
        """An empty index in memory."""
        return cls(_apsw().Connection(":memory:"))

    def close(self) -> None:
        self._db.close()

    def _make(self) -> None:
        """Make the tables of a new index; _Worthless for what is none of ours."""
        if self._value("PRAGMA application_id") == 0 and self._value("SELECT count(*) FROM sqlite_schema") == 0:
            with self._transaction("BEGIN IMMEDIATE", commit=True):
                # Somebody else may have made them while this process waited.
                if self._value("PRAGMA application_id") == 0:
                    self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._db.execute(SCHEMA)
                    self._db.execute("INSERT INTO position VALUES (0, ?, ?)", (ledger.START, _format()))
        if self._value("PRAGMA application_id") != APPLICATION_ID or self._value("SELECT format FROM position") != _format():
            raise _Worthless

    def _value(self, sql: str) -> Any:
        return self._db.execute(sql).get

    @contextlib.contextmanager
    def _transaction(self, begin: str, *, commit: bool) -> Iterator[None]:
        self._db.execute(begin)
        try:
            yield
            if commit:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _position(self) -> tuple[int, str]:
        return self._db.execute("SELECT seq, chain_hash FROM position").fetchone()

    # --- following the ledger ---------------------------------------------------------------------

    @contextlib.contextmanager
    def caught_up(self, store: Store) -> Iterator[None]:
        """The index as far as the ledger goes, unchanging within the block.

        What a transaction of this store has written and not committed can be found as well, and is not kept.
        """
        while True:
            position, entries = self._behind(store)
            durable = [entry for entry in entries if store.committed_seq is None or entry["seq"] <= store.committed_seq]
            if not durable:
                break
            store.release()
            if self._apply(position, durable) and len(entries) < CHUNK - 1 and store.committed_seq is None:
                break
        with self._transaction("BEGIN IMMEDIATE" if entries and not durable else "BEGIN", commit=False):
            while entries and not durable:
                self._put(entries)
                _, entries = self._behind(store)
            yield

    def _behind(self, store: Store) -> tuple[tuple[int, str], list[Row]]:
        """Where the index stands, and the next entries behind that; _Worthless where the ledger is another one."""
        seq, chain = position = self._position()
        entries = store.entries_after(max(seq - 1, 0), CHUNK, kinds=SEARCHED)
        if seq and (not entries or (entries[0]["seq"], entries[0]["chain_hash"]) != position):
            raise _Worthless
        return (seq, chain), entries[1:] if seq else entries

    def _apply(self, position: tuple[int, str], entries: Sequence[Row]) -> bool:
        """Index entries, all or none; False where another process came first."""
        with self._transaction("BEGIN IMMEDIATE", commit=True):
            if self._position() != position:
                return False
            self._put(entries)
        return True

    def _put(self, entries: Sequence[Row]) -> None:
        """Bring the newest content of each record into the index; _Worthless where a record in it was purged."""
        newest = {entry["record_id"]: entry for entry in entries if entry["content"] is not None}
        purged = {record_id for record_id, entry in newest.items() if entry["action"] == "purge"}
        if any(self._db.execute("SELECT 1 FROM docs WHERE record_id = ?", (record_id,)).get for record_id in purged):
            # What was erased must not be left anywhere in the file: only a new one is sure of that.
            raise _Worthless
        kept = [entry for record_id, entry in newest.items() if record_id not in purged and entry["kind"] in SEARCHED]
        documents = [_document(entry) for entry in kept]
        self._db.executemany(PUT_DOC, (document for document, _ in documents))
        self._db.executemany(PUT_TEXT, ((document[0], *texts) for document, texts in documents))
        chunks = {chunk for _, texts in documents for text in texts[1:] for chunk in _chunks(text)}
        self._db.executemany(PUT_CHUNK, sorted(chunks))
        self._db.execute("UPDATE position SET seq = ?, chain_hash = ?", (entries[-1]["seq"], entries[-1]["chain_hash"]))

    # --- answering --------------------------------------------------------------------------------

    def page(self, query: Query, chosen: Choice, limit: int | None, offset: int) -> list[Row]:
        """A page of hits of the strictest reading that finds anything."""
        for reading in query.readings():
            self._db.create_scalar_function("weigh", reading.weigh, 3, deterministic=True)
            for around in self._around(reading.patterns):
                hits = self._ranked(reading, around, chosen, limit, offset)
                if hits or (offset and self._ranked(reading, around, chosen, 1, 0)):
                    self._reading = reading
                    return hits
        return []

    def described(self, hit: Row) -> Row:
        """A hit of the last page with what people know it by."""
        columns = "n, status, created_at, title, summary, body"
        sql = f"SELECT {columns} FROM docs JOIN texts USING (n) WHERE record_id = ?"
        n, status, created_at, *texts = self._db.execute(sql, (hit["id"],)).fetchone()
        match = self._reading.match
        snippet = self._snippet(n, match) if match else _cut_out(texts, self._reading.patterns)
        told = {"title": _label(texts), "status": status, "created_at": created_at, "snippet": " ".join(snippet.split())}
        return {**hit, **told}

    def _around(self, patterns: Sequence[Pattern]) -> Iterator[str | None]:
        """Queries that every text with these patterns meets, None for one that any text meets; none where no text can."""
        groups: list[str] = []
        sure = True
        parts = {part for pattern in patterns for part in pattern.parts}
        for part in sorted(parts, key=lambda part: (-len(part), part))[:MOST_PARTS]:
            chunks = self._holding(part)
            if not chunks:
                return
            if len(chunks) <= MOST_CHUNKS and all(_LETTER.search(chunk) and len(chunk) <= LONGEST_CHUNK for chunk in chunks):
                groups.append("(" + " OR ".join(_phrase(chunk) for chunk in chunks) + ")")
                sure = sure and all(chunk.isascii() for chunk in chunks)
        if groups:
            yield " AND ".join(groups)
        # FTS5 may part and fold other scripts in its own way.
        if not groups or not sure:
            yield None

    def _holding(self, part: str) -> list[str]:
        """Chunks, as they are spelled, that hold a piece of text; no more than needed to say that they are too many."""
        sql = "SELECT coalesce(nullif(spelled, ''), chunk) FROM chunks WHERE instr(chunk, ?) LIMIT ?"
        return [chunk for (chunk,) in self._db.execute(sql, (part, MOST_CHUNKS + 1))]

    def _ranked(self, reading: Reading, around: str | None, chosen: Choice, limit: int | None, offset: int) -> list[Row]:
        """The hits of a page, best first, the newer of two equals first."""
        condition, values = chosen.condition()
        weight = "weigh(texts.title, texts.summary, texts.body)"
        if reading.match is None:
            source, score, parts = "texts", weight, []
        else:
            source, score, parts = "words", f"-bm25(words, {', '.join(map(str, WEIGHTS))})", ["words MATCH ?"]
            values = [reading.match, *values]
        tables = [source]
        if condition:
            tables.append(f"docs ON docs.n = {source}.rowid")
            parts += condition
        if around is not None:
            # The plus sign keeps FTS5 from being asked once for each of them.
            plus = "+" if source == "words" else ""
            parts.append(f"{plus}{source}.rowid IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append(around)
        if reading.patterns:
            parts.append(f"{weight} IS NOT NULL")
        if source == "words" and any("texts." in part for part in parts):
            tables.append("texts ON texts.n = words.rowid")
        found = f"SELECT {source}.rowid AS n, {score} AS score FROM {' JOIN '.join(tables)} WHERE {' AND '.join(parts)}"
        most, page = (-1, -1) if limit is None else (max(MOST_RANKED, offset + limit), limit)
        ranked = (
            f"SELECT n, score FROM ({found} ORDER BY {source}.rowid DESC LIMIT ?) ORDER BY score DESC, n DESC LIMIT ? OFFSET ?"
        )
        sql = f"SELECT record_id, record_kind, score FROM ({ranked}) JOIN docs USING (n) ORDER BY score DESC, n DESC"
        hits = self._db.execute(sql, (*values, most, page, offset))
        matched = "text" if reading.match is None else "words"
        return [
            {"id": record_id, "kind": kind, "score": float(f"{score:.6g}"), "matched": matched} for record_id, kind, score in hits
        ]

    def _snippet(self, n: int, match: str) -> str:
        sql = f"SELECT snippet(words, -1, '[', ']', '…', {_SNIPPET_WORDS}) FROM words WHERE words MATCH ? AND rowid = ?"
        return self._db.execute(sql, (match, n)).get or ""


def _format() -> str:
    """What an index of this Kaizen is made like: its tables and the fields that go into them."""
    return f"{FORMAT}:{sha256(repr(sorted((kind, entry.search) for kind, entry in _index.KINDS.items())))}"


def _document(entry: Row) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The rows of docs and texts that stand for an entry's record."""
    record = ledger.content_record(entry["content"])
    names = _index.KINDS[entry["kind"]].search
    title, summary = (str(record.get(name) or "") if name in names else "" for name in ("title", "summary"))
    body = "\n".join(_text(name, record[name]) for name in names if name not in ("title", "summary") and record.get(name))
    others = {name: value for name, value in record.items() if name not in _NO_FILTERS and not name.endswith("_json")}
    own = [others.pop(name, None) for name in OWN_COLUMNS[1:]]
    kept = json.dumps(others, separators=(",", ":"))
    return (entry["record_id"], entry["kind"], entry["task_id"], *own), (kept, *map(_storable, (title, summary, body)))


def _chunks(text: str) -> Iterable[tuple[str, str]]:
    """The runs of a text between blanks: each folded, and as it is spelled where folding may have changed its letters."""
    if text.isascii():
        return ((chunk, "") for chunk in text.lower().split())
    return ((folded(chunk), "" if chunk.isascii() else chunk) for chunk in text.split())


def _storable(text: str) -> str:
    """Text without what a database cannot hold; escapes in JSON may stand for such characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def _text(name: str, value: Any) -> str:
    """The text of a field; of a JSON field its names and values, a line each."""
    if not name.endswith("_json"):
        return str(value)
    try:
        return "\n".join(_leaves(json.loads(value)))
    except (ValueError, RecursionError):
        return str(value)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name)
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def _label(texts: Sequence[str]) -> str:
    """What a hit is called: its title, else its summary, else how its text begins."""
    text = " ".join(next((text for text in texts if text), "").split())
    return text if len(text) <= _SNIPPET_CHARACTERS else text[: _SNIPPET_CHARACTERS - 1] + "…"


def _cut_out(texts: Sequence[str], patterns: Sequence[Pattern]) -> str:
    """The text around the first match of a pattern, every match in it marked."""
    marked = re.compile("|".join(pattern.regex.pattern for pattern in patterns), re.IGNORECASE)
    for text in (unicodedata.normalize("NFC", text) for text in texts):
        found = marked.search(text)
        if found is not None:
            start = max(0, found.start() - _SNIPPET_CHARACTERS // 2)
            end = max(found.end(), start + _SNIPPET_CHARACTERS)
            shown = marked.sub(lambda match: f"[{match[0]}]", text[start:end])
            return ("…" if start else "") + shown + ("…" if end < len(text) else "")
    return _label(texts)


def _apsw() -> Any:
    try:
        import apsw
    except ImportError:
        raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="apsw") from None
    return apsw


def _unusable() -> tuple[type[BaseException], ...]:
    """Faults of the place, not of the file: throwing the index away would mend nothing."""
    apsw = _apsw()
    return (
        OSError,
        apsw.BusyError,
        apsw.LockedError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.FullError,
        apsw.PermissionsError,
        apsw.NoMemError,
    )
