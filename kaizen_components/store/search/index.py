"""Index: the file with the words of the records, which follows the ledger."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...hashing import sha256
from ...ops import _index
from .. import Row, Store, derived, ledger
from ..derived import Worthless, driver
from ..texts import SEARCHED, texts_of
from .asked import NO_FILTERS, OWN_COLUMNS, WEIGHTS, folded, in_one_word, is_name, is_past, storable

APPLICATION_ID = 0x4B5A4E53  # "KZNS"
FORMAT = 3
# Ledger entries read and indexed in one go: writers wait for reading this many, and nobody waits for indexing them.
BATCH = 4_000
# How long to wait for another process that writes into the index; what it writes at once takes a fraction of a second.
BUSY_MS = 10_000
# So many spellings are remembered while the index follows, so that each is written once.
MOST_REMEMBERED = 1_000_000

# A longer word is no name.
LONGEST_NAME = 100

# docs is what is mostly chosen by, and stays narrow; texts is what is searched, with the names in it and, as JSON, the other
# columns; words is the index of their stems; spellings holds every word without case, and every run between blanks that has letters beyond
# ASCII, so that a piece of a word is found, or known to be nowhere, without reading the texts.
TOKENIZER = "porter unicode61 remove_diacritics 2"
SCHEMA = f"""
CREATE TABLE position (seq INTEGER NOT NULL, chain_hash TEXT NOT NULL, format TEXT NOT NULL);
CREATE TABLE docs (
  n INTEGER PRIMARY KEY,
  record_id TEXT NOT NULL UNIQUE,
  record_kind TEXT NOT NULL,
  is_past INTEGER NOT NULL,
  record_task TEXT,
  status TEXT,
  created_at TEXT,
  scope TEXT,
  document_id TEXT
);
CREATE INDEX docs_past ON docs (record_kind, record_id) WHERE is_past;
CREATE TABLE texts (
  n INTEGER PRIMARY KEY,
  record TEXT NOT NULL,
  title TEXT NOT NULL,
  summary TEXT NOT NULL,
  body TEXT NOT NULL,
  names TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(
  title, summary, body, names, content='texts', content_rowid='n', tokenize="{TOKENIZER}"
);
INSERT INTO words (words, rank) VALUES ('hashsize', 33554432);
CREATE TABLE spellings (word TEXT NOT NULL, spelled TEXT NOT NULL, PRIMARY KEY (word, spelled)) WITHOUT ROWID;
"""

# A statement that may write a row or change one, or that has a trigger, has FTS5 write out what it gathers, row by row:
# four times the work. So it is looked up first which records are known.
KNOWN = "SELECT record_id, n FROM docs WHERE record_id IN (SELECT value FROM json_each(?))"
PUT_DOC = """
INSERT INTO docs (n, record_id, record_kind, is_past, record_task, status, created_at, scope, document_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PUT_TEXT = "INSERT INTO texts (n, record, title, summary, body, names) VALUES (?, ?, ?, ?, ?, ?)"
PUT_WORDS = "INSERT INTO words (rowid, title, summary, body, names) VALUES (?, ?, ?, ?, ?)"
DROP_WORDS = """
INSERT INTO words (words, rowid, title, summary, body, names)
SELECT 'delete', n, title, summary, body, names FROM texts WHERE n = ?
"""
CHANGE_DOC = "UPDATE docs SET is_past = ?, record_task = ?, status = ?, scope = ?, document_id = ? WHERE n = ?"
CHANGE_TEXT = "UPDATE texts SET record = ?, title = ?, summary = ?, body = ?, names = ? WHERE n = ?"
PUT_SPELLING = "INSERT OR IGNORE INTO spellings (word, spelled) VALUES (?, ?)"

WORD = re.compile(r"[A-Za-z0-9]+")
_RUN = re.compile(r"\w+")
# A run between blanks that has a letter beyond ASCII in it.
_FOREIGN = re.compile(r"\S*[^\x00-\x7f]\S*")
# A name whose parts are told apart by capitals, and the parts.
_HUMPED = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_compact = json.JSONEncoder(separators=(",", ":")).encode


class Index:
    """An open index."""

    def __init__(self, database: Any) -> None:
        self.database = database
        # What was written to spellings by this process, as it was spelled.
        self._spelled: set[str] = set()
        try:
            database.set_busy_timeout(BUSY_MS)
            self._make()
        except BaseException:
            database.close()
            raise

    @classmethod
    def file(cls, path: Path) -> Index:
        """The index in a file, made where there is none."""
        database = derived.opened(path, BUSY_MS)
        try:
            derived.shared(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def copy(cls, path: Path) -> Index:
        """A copy in memory of a file that cannot be written."""
        return cls(derived.copied(path))

    @classmethod
    def memory(cls, path: Path) -> Index:
        """An empty index in memory."""
        return cls(driver().Connection(":memory:"))

    def close(self) -> None:
        self.database.close()

    def _make(self) -> None:
        """Make the tables of a new index; Worthless for what is none of ours."""
        if self._value("PRAGMA application_id") == 0 and self._value("SELECT count(*) FROM sqlite_schema") == 0:
            with self._transaction("BEGIN IMMEDIATE", commit=True):
                # Somebody else may have made them while this process waited.
                if self._value("PRAGMA application_id") == 0:
                    self.database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self.database.execute(SCHEMA)
                    self.database.execute("INSERT INTO position VALUES (0, ?, ?)", (ledger.START, _format()))
        if self._value("PRAGMA application_id") != APPLICATION_ID or self._value("SELECT format FROM position") != _format():
            raise Worthless

    def _value(self, sql: str) -> Any:
        return self.database.execute(sql).get

    @contextlib.contextmanager
    def _transaction(self, begin: str, *, commit: bool) -> Iterator[None]:
        self.database.execute(begin)
        try:
            yield
            if commit:
                self.database.execute("COMMIT")
        finally:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")

    def _position(self) -> tuple[int, str]:
        return self.database.execute("SELECT seq, chain_hash FROM position").fetchone()

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
            if self._apply(position, durable) and len(entries) < BATCH - 1 and store.committed_seq is None:
                break
        self._spelled.clear()
        with self._transaction("BEGIN IMMEDIATE" if entries and not durable else "BEGIN", commit=False):
            while entries and not durable:
                self._put(entries)
                _, entries = self._behind(store)
            yield

    def _behind(self, store: Store) -> tuple[tuple[int, str], list[Row]]:
        """Where the index stands, and the next entries behind that; Worthless where the ledger is another one."""
        seq, chain = position = self._position()
        entries = store.entries_after(max(seq - 1, 0), BATCH, kinds=SEARCHED)
        if seq and (not entries or (entries[0]["seq"], entries[0]["chain_hash"]) != position):
            raise Worthless
        return (seq, chain), entries[1:] if seq else entries

    def _apply(self, position: tuple[int, str], entries: Sequence[Row]) -> bool:
        """Index entries, all or none; False where another process came first."""
        spelled = set(self._spelled)
        try:
            with self._transaction("BEGIN IMMEDIATE", commit=True):
                if self._position() != position:
                    return False
                self._put(entries)
        except BaseException:
            self._spelled = spelled
            raise
        return True

    def _put(self, entries: Sequence[Row]) -> None:
        """Bring the newest content of each record into the index; Worthless where a record in it was purged."""
        newest = {entry["record_id"]: entry for entry in entries if entry["content"] is not None}
        purged = {record_id for record_id, entry in newest.items() if entry["action"] == "purge"}
        sql = "SELECT 1 FROM docs WHERE record_id = ?"
        if any(self.database.execute(sql, (record_id,)).get for record_id in purged):
            # What was erased must not be left anywhere in the file: only a new one is sure of that.
            raise Worthless
        kept = [entry for record_id, entry in newest.items() if record_id not in purged and entry["kind"] in SEARCHED]
        documents = [_document(entry) for entry in kept]
        self._write(documents)
        spellings = self._new_spellings(set().union(*(document.words for document in documents)))
        self.database.executemany(PUT_SPELLING, sorted(spellings))
        self.database.execute("UPDATE position SET seq = ?, chain_hash = ?", (entries[-1]["seq"], entries[-1]["chain_hash"]))

    def _write(self, documents: Sequence[Document]) -> None:
        """Put documents in, those that are there already in the place of what they were."""
        known = dict(self.database.execute(KNOWN, (json.dumps([document.doc[0] for document in documents]),)))
        new = [document for document in documents if document.doc[0] not in known]
        after = self._value("SELECT coalesce(max(n), 0) + 1 FROM docs")
        self.database.executemany(PUT_DOC, [(n, *document.doc) for n, document in enumerate(new, after)])
        self.database.executemany(PUT_TEXT, [(n, *document.text) for n, document in enumerate(new, after)])
        self.database.executemany(PUT_WORDS, [(n, *document.text[1:]) for n, document in enumerate(new, after)])
        for document in documents:
            n = known.get(document.doc[0])
            if n is None:
                continue
            _, _, past, task, status, _, scope, document_id = document.doc
            self.database.execute(CHANGE_DOC, (past, task, status, scope, document_id, n))
            before = self.database.execute("SELECT title, summary, body, names FROM texts WHERE n = ?", (n,)).fetchone()
            changed = before != document.text[1:]
            if changed:
                self.database.execute(DROP_WORDS, (n,))
            self.database.execute(CHANGE_TEXT, (*document.text, n))
            if changed:
                self.database.execute(PUT_WORDS, (n, *document.text[1:]))

    def _new_spellings(self, words: set[str]) -> set[tuple[str, str]]:
        """The words that this process has not written: (without case, as it is spelled where that may differ)."""
        new = words - self._spelled
        if len(self._spelled) > MOST_REMEMBERED:
            self._spelled.clear()
        self._spelled |= new
        return {(word.lower(), "") if word.isascii() else (folded(word), word) for word in new}


def _format() -> str:
    """What an index of this Kaizen is made like: its tables and the fields that go into them."""
    return f"{FORMAT}:{sha256(repr((WEIGHTS, sorted((kind, entry.search) for kind, entry in _index.KINDS.items()))))}"


class Document(NamedTuple):
    """What stands for a record: its columns in docs, those in texts, and its words."""

    doc: tuple[Any, ...]
    text: tuple[str, ...]
    words: set[str]


def _document(entry: Row) -> Document:
    record = ledger.content_record(entry["content"])
    kind, record_id = entry["kind"], entry["record_id"]
    past = is_past(kind, record)
    kept = {name: value for name, value in record.items() if value is not None and _is_filter(name)}
    own = [kept.pop(name, None) for name in OWN_COLUMNS[1:]]
    title, summary, body = texts_of(kind, record)
    texts = (storable(title), storable(summary), storable(body))
    words = set(_RUN.findall("\n".join(texts)))
    mixed = [run for run in words if "_" in run or not run.isascii()]
    if mixed:
        words.difference_update(mixed)
        words.update(WORD.findall(" ".join(mixed)))
    names = _names(words, mixed)
    for text in texts:
        if not text.isascii():
            words.update(_FOREIGN.findall(text))
    return Document((record_id, kind, past, entry["task_id"], *own), (_compact(kept), *texts, names), words)


_FILTERS: dict[str, bool] = {}


def _is_filter(name: str) -> bool:
    """Whether records may be chosen by a field."""
    known = _FILTERS.get(name)
    if known is None:
        known = _FILTERS[name] = name not in NO_FILTERS and not name.endswith("_json")
    return known


# The parts of words with capitals, "" of those that have none: most of them stand in very many records.
_PARTED: dict[str, str] = {}


def _names(words: set[str], mixed: Sequence[str]) -> str:
    """What finds the names in a text: of those that capitals tell apart their parts, those with _ as one word.

    getUserName gives get User Name; move_to_end, whose parts are words for FTS5, becomes one that is rarer than these.
    """
    if len(_PARTED) > MOST_REMEMBERED:
        _PARTED.clear()
    parted: set[str] = set()
    for word in words:
        if not word.islower():
            known = _PARTED.get(word)
            if known is None:
                known = _PARTED[word] = _parts(word)
            parted.add(known)
    joined = {in_one_word(run) for run in mixed if len(run) <= LONGEST_NAME and is_name(run)}
    return " ".join(sorted((parted | joined) - {""}))


def _parts(word: str) -> str:
    """The parts of a name that capitals tell apart; "" of any other word."""
    parts = _HUMPS.findall(word) if len(word) <= LONGEST_NAME and _HUMPED.search(word) else ()
    return " ".join(parts) if len(parts) > 1 else ""


def unusable() -> tuple[type[BaseException], ...]:
    """Faults of the place, not of the file: throwing the index away would mend nothing."""
    return (*derived.unusable(), driver().NoMemError)
