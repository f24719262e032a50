"""Vectors: embeddings of what the records say, by model and by the hash of the text, in a file that is a cache of them.

Which record says which text follows the ledger on demand, as the search index does. An embedding is paid for once: it stays when a
record is cut anew, when the ledger is rebuilt, and when another record says the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import clock, denial
from . import Row, Store, derived, ledger
from .creation import with_journal
from .derived import Worthless
from .query import Where, conditions
from .search.asked import is_past
from .texts import SEARCHED, texts_of

APPLICATION_ID = 0x4B5A4E56  # "KZNV"
FORMAT = 1
# Ledger entries read and followed in one go.
CHUNK = 1_000
# Waiting for another process that writes; making the codes of a very large index anew takes some seconds.
BUSY_MS = 30_000
# Up to so many vectors are compared one by one; of more, this many candidates are.
CANDIDATES = 2_048
# Vectors in one shard of the codes, and how many of all vectors say where the thresholds lie.
SHARD, SAMPLE = 1_000, 2_048
# What one code of sqlite-vec can hold, in bits.
LONGEST_CODE = 8_192
# Of a longer text the beginning is embedded; models read less than that.
LONGEST_TEXT = 20_000

# What ran and how is found by its words; of what it means nobody asks, and there is very much of it.
EMBEDDED = tuple(kind for kind in SEARCHED if kind not in ("trace_event", "gateway_event", "setting"))
# Columns that records are chosen by.
FILTERS = ("record_id", "kind", "record_task", "status", "created_at", "scope", "document_id", "source_lock_id")

# texts is what is embedded; records is which record says which text now, said which one ever said it; missing is what has
# no vector of a model. Each model has a table of vectors and, when they are many, one of their codes.
SCHEMA = """
CREATE TABLE position (seq INTEGER NOT NULL, chain_hash TEXT NOT NULL, format INTEGER NOT NULL, unswept INTEGER NOT NULL);
CREATE TABLE texts (n INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE);
CREATE TABLE records (
  n INTEGER PRIMARY KEY,
  record_id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  record_task TEXT,
  status TEXT,
  created_at TEXT,
  scope TEXT,
  document_id TEXT,
  source_lock_id TEXT,
  text INTEGER,
  answers INTEGER NOT NULL
);
CREATE INDEX records_text ON records (text);
CREATE INDEX records_kind ON records (kind, answers);
CREATE INDEX records_task ON records (record_task);
CREATE INDEX records_document ON records (document_id);
CREATE INDEX records_source ON records (source_lock_id);
CREATE TABLE said (record_id TEXT NOT NULL, text INTEGER NOT NULL, PRIMARY KEY (record_id, text)) WITHOUT ROWID;
CREATE INDEX said_text ON said (text);
CREATE TABLE models (
  m INTEGER PRIMARY KEY AUTOINCREMENT,
  model TEXT NOT NULL UNIQUE,
  dim INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  vectors INTEGER NOT NULL DEFAULT 0,
  coded INTEGER NOT NULL DEFAULT 0,
  shards INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE missing (m INTEGER NOT NULL, record INTEGER NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (m, record)) WITHOUT ROWID;
CREATE INDEX missing_kind ON missing (m, kind);
CREATE INDEX missing_record ON missing (record);
CREATE TABLE thresholds (m INTEGER NOT NULL, level INTEGER NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (m, level));
"""

PUT_RECORD = """
INSERT INTO records (record_id, kind, record_task, status, created_at, scope, document_id, source_lock_id, text, answers)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, (SELECT n FROM texts WHERE hash = ?9), ?10)
ON CONFLICT (record_id) DO UPDATE SET record_task = excluded.record_task, status = excluded.status, scope = excluded.scope,
  document_id = excluded.document_id, source_lock_id = excluded.source_lock_id, text = excluded.text, answers = excluded.answers
"""


class _Foreign(Exception):
    """The file is another program's, or of another format: it is set aside."""


@dataclass(frozen=True, slots=True)
class Index:
    """The vectors of one model; `missing` counts records that have none yet."""

    m: int
    model: str
    dim: int
    created_at: str
    vectors: int
    coded: int
    shards: int

    @property
    def levels(self) -> int:
        """Thresholds a dimension: three bits tell four steps apart; 0 where sqlite-vec cannot code such vectors."""
        return 0 if self.dim % 8 else next((levels for levels in (3, 1) if levels * self.dim <= LONGEST_CODE), 0)

    @property
    def bytes(self) -> int:
        """About how much its vectors take."""
        return self.vectors * (4 * self.dim + (self.levels * self.dim // 8 if self.shards else 0))


@dataclass(frozen=True, slots=True)
class Lacking:
    """A text without a vector: its place and hash, and a record that says it."""

    record: int
    record_id: str
    kind: str
    text: int
    hash: bytes


def text_of(kind: str, record: Mapping[str, Any]) -> str:
    """The text that is embedded for a record: of a chunk its headings and its text, else title, summary and the rest."""
    text = "\n".join(text for text in texts_of(kind, record) if text)[:LONGEST_TEXT]
    return text.encode("utf-8", "replace").decode("utf-8")


def hash_of(text: str) -> bytes:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8")).digest()


@contextlib.contextmanager
def opened(store: Store) -> Iterator[Vectors]:
    """The vectors of a plane, as far as its ledger goes. What cannot be used is made anew; where nothing can be written, a
    copy in memory answers. The store is let go of. DENIED_BACKEND_UNAVAILABLE where apsw or sqlite-vec is not installed.

    What a transaction of this store has written and not committed is not followed.
    """
    path = store.plane.vectors
    vectors = _open(path)
    try:
        try:
            vectors.follow(store)
        except _damaged():
            vectors.close()
            discard(path)
            vectors = _open(path)
            vectors.follow(store)
        except _unusable():
            vectors.close()
            vectors = _copy(path)
            vectors.follow(store)
        yield vectors
    finally:
        vectors.close()


def discard(path: Path) -> None:
    """Throw the file away, journal and all."""
    for file in with_journal(path):
        file.unlink(missing_ok=True)


def erase(path: Path, record_ids: Sequence[str]) -> None:
    """Leave nothing of what some records said: neither hash nor vector, in no free page and no journal. Raises
    DENIED_PURGE_UNFINISHED where others read for too long, OSError."""
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder", str(path))
    if not path.exists():
        discard(path)
        return
    try:
        vectors = Vectors.file(path)
    except (denial.BackendUnavailable, Worthless, *_damaged_or_none()):
        # Nobody can say what it holds.
        discard(path)
        return
    except _Foreign:
        return
    except _unusable() as fault:
        raise denial.PurgeUnfinished(reason=str(fault), path=str(path)) from fault
    try:
        vectors.erase(record_ids)
    except _damaged():
        vectors.close()
        discard(path)
    except _unusable() as fault:
        raise denial.PurgeUnfinished(reason=str(fault), path=str(path)) from fault
    finally:
        vectors.close()


def _open(path: Path) -> Vectors:
    """The file, made anew where it is worthless; a copy where it cannot be written."""
    for _ in range(3):
        try:
            return Vectors.file(path)
        except _Foreign:
            try:
                os.replace(path, path.with_name(f"{path.name}.foreign"))
                discard(path)
            except OSError:
                break
        except (Worthless, *_damaged()):
            try:
                discard(path)
            except OSError:
                break
        except _unusable():
            break
    return _copy(path)


def _copy(path: Path) -> Vectors:
    """A copy in memory of a file that cannot be written; an empty one where that is worthless too."""
    try:
        return Vectors.copy(path)
    except (Worthless, _Foreign, OSError, _apsw().Error):
        return Vectors(_apsw().Connection(":memory:"))


class Vectors:
    """The open file."""

    def __init__(self, database: Any) -> None:
        import sqlite_vec

        self._db = database
        try:
            database.set_busy_timeout(BUSY_MS)
            database.enable_load_extension(True)
            database.load_extension(sqlite_vec.loadable_path())
            database.enable_load_extension(False)
            self._make()
        except BaseException:
            database.close()
            raise

    @classmethod
    def file(cls, path: Path) -> Vectors:
        """The vectors in a file, made where there is none."""
        _apsw()
        database = derived.opened(path, BUSY_MS)
        try:
            # A file of another program is not touched, not even its journal.
            if database.execute("PRAGMA application_id").get not in (0, APPLICATION_ID):
                raise _Foreign
            derived.shared(database)
            # Candidates lie all over the file: mapped, they are not copied page by page.
            database.execute("PRAGMA mmap_size = 2147418112")
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def copy(cls, path: Path) -> Vectors:
        """A copy in memory of a file that cannot be written."""
        return cls(derived.copied(path))

    def close(self) -> None:
        self._db.close()

    def _make(self) -> None:
        """Make the tables of a new file; _Foreign for what is none of ours."""
        if self._value("PRAGMA application_id") == 0:
            if self._value("SELECT count(*) FROM sqlite_schema"):
                raise _Foreign
            with self._transaction():
                # Somebody else may have made them while this process waited.
                if self._value("PRAGMA application_id") == 0:
                    self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._db.execute(SCHEMA)
                    self._db.execute("INSERT INTO position VALUES (0, ?, ?, 0)", (ledger.START, FORMAT))
        if self._value("PRAGMA application_id") != APPLICATION_ID or self._value("SELECT format FROM position") != FORMAT:
            raise _Foreign

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._db.execute(sql, values).get

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    # --- following the ledger ---------------------------------------------------------------------

    def follow(self, store: Store) -> None:
        """Catch up with what is durable in the ledger; where that is another one, begin again and keep the vectors."""
        while True:
            position = seq, _ = self._position()
            entries = store.entries_after(max(seq - 1, 0), CHUNK, kinds=EMBEDDED)
            if seq and (not entries or (entries[0]["seq"], entries[0]["chain_hash"]) != position):
                self._begin_again(position)
                continue
            behind = entries[1:] if seq else entries
            durable = [entry for entry in behind if store.committed_seq is None or entry["seq"] <= store.committed_seq]
            store.release()
            if durable:
                self._apply(position, durable)
            if len(durable) < CHUNK - 1:
                break
        if self._value("SELECT unswept FROM position"):
            self._sweep()

    def _position(self) -> tuple[int, str]:
        return self._db.execute("SELECT seq, chain_hash FROM position").fetchone()

    def _begin_again(self, position: tuple[int, str]) -> None:
        with self._transaction():
            if self._position() == position:
                self._db.execute("DELETE FROM records; DELETE FROM said; DELETE FROM missing")
                self._db.execute("UPDATE position SET seq = 0, chain_hash = ?, unswept = 1", (ledger.START,))

    def _sweep(self) -> None:
        """Drop the texts that no record of this ledger ever said."""
        with self._transaction():
            if self._value("SELECT unswept FROM position"):
                self._drop([n for (n,) in self._db.execute("SELECT n FROM texts WHERE n NOT IN (SELECT text FROM said)")])
                self._db.execute("UPDATE position SET unswept = 0")

    def _apply(self, position: tuple[int, str], entries: Sequence[Row]) -> None:
        """Follow entries, all or none; nothing where another process came first."""
        with self._transaction():
            if self._position() == position:
                self._put(entries)

    def _put(self, entries: Sequence[Row]) -> None:
        """Note what each record says now, and all that it said."""
        known = [entry for entry in entries if entry["content"] is not None and entry["kind"] in EMBEDDED]
        rows: dict[str, tuple[Any, ...]] = {}
        said: dict[tuple[str, bytes], None] = {}
        purged: dict[str, None] = {}
        for entry in known:
            record_id = entry["record_id"]
            if entry["action"] == "purge":
                purged[record_id] = None
                rows.pop(record_id, None)
            else:
                row = rows[record_id] = _row(entry)
                if row[8] is not None:
                    said[record_id, row[8]] = None
        said = {pair: None for pair in said if pair[0] not in purged}
        self._db.executemany("INSERT OR IGNORE INTO texts (hash) VALUES (?)", ((text,) for _, text in said))
        self._db.executemany("INSERT OR IGNORE INTO said SELECT ?1, n FROM texts WHERE hash = ?2", said)
        self._db.executemany(PUT_RECORD, rows.values())
        self._note_missing(list(rows))
        if purged:
            self._forget(list(purged))
        self._db.execute("UPDATE position SET seq = ?, chain_hash = ?", (entries[-1]["seq"], entries[-1]["chain_hash"]))

    def _note_missing(self, record_ids: Sequence[str]) -> None:
        """Find out again of which models some records have no vector."""
        chosen = "SELECT n FROM records WHERE record_id IN (SELECT value FROM json_each(?1))"
        ids = json.dumps(record_ids)
        self._db.execute(f"DELETE FROM missing WHERE record IN ({chosen})", (ids,))
        for index in self.indexes():
            sql = (
                f"INSERT INTO missing SELECT ?2, n, kind FROM records WHERE n IN ({chosen}) AND answers"
                f" AND NOT EXISTS (SELECT 1 FROM vectors_{index.m} WHERE n = records.text)"
            )
            self._db.execute(sql, (ids, index.m))

    # --- erasing ----------------------------------------------------------------------------------

    def erase(self, record_ids: Sequence[str]) -> None:
        """Forget some records, and leave nothing of it in any page of the file or its journal."""
        self._db.execute("PRAGMA secure_delete = ON")
        with self._transaction():
            self._forget(record_ids)
        busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise _apsw().BusyError("another process reads AI/db/vectors.db")

    def _forget(self, record_ids: Sequence[str]) -> None:
        """Remove records, and the texts that nobody else says."""
        self._db.execute("PRAGMA secure_delete = ON")
        ids = json.dumps(list(record_ids))
        chosen = "IN (SELECT value FROM json_each(?))"
        texts = [n for (n,) in self._db.execute(f"SELECT DISTINCT text FROM said WHERE record_id {chosen}", (ids,))]
        self._db.execute(f"DELETE FROM missing WHERE record IN (SELECT n FROM records WHERE record_id {chosen})", (ids,))
        self._db.execute(f"DELETE FROM records WHERE record_id {chosen}", (ids,))
        self._db.execute(f"DELETE FROM said WHERE record_id {chosen}", (ids,))
        left = f"SELECT value FROM json_each(?) WHERE value NOT IN (SELECT text FROM said WHERE text {chosen})"
        self._drop([n for (n,) in self._db.execute(left, (json.dumps(texts), json.dumps(texts)))])

    def _drop(self, texts: Sequence[int]) -> None:
        """Delete texts, with their vectors of every model."""
        if not texts:
            return
        self._db.executemany("DELETE FROM texts WHERE n = ?", ((n,) for n in texts))
        for index in self.indexes():
            before = self._db.total_changes()
            self._db.executemany(f"DELETE FROM vectors_{index.m} WHERE n = ?", ((n,) for n in texts))
            gone = self._db.total_changes() - before
            self._db.execute("UPDATE models SET vectors = vectors - ? WHERE m = ?", (gone, index.m))
            if index.shards:
                # sqlite-vec writes zeros over what is deleted.
                self._db.executemany(f"DELETE FROM codes_{index.m} WHERE rowid = ?", ((n,) for n in texts))

    # --- what there is ----------------------------------------------------------------------------

    def indexes(self) -> list[Index]:
        """The models that there are vectors of, newest first."""
        sql = "SELECT m, model, dim, created_at, vectors, coded, shards FROM models ORDER BY m DESC"
        return [Index(*row) for row in self._db.execute(sql)]

    def index(self, model: str) -> Index | None:
        """The vectors of a model; None where there are none."""
        return next((index for index in self.indexes() if index.model == model), None)

    def count(self, kinds: Sequence[str] | None = None) -> int:
        """How many records of some kinds (None: of any) can have a vector."""
        condition, values = _of_kinds(kinds, "kind")
        return self._value(f"SELECT count(*) FROM records WHERE answers{condition}", values)

    def count_missing(self, model: str, kinds: Sequence[str] | None = None) -> int:
        """How many records of some kinds have no vector of a model."""
        index = self.index(model)
        if index is None:
            return self.count(kinds)
        condition, values = _of_kinds(kinds, "kind")
        return self._value(f"SELECT count(*) FROM missing WHERE m = ?{condition}", (index.m, *values))

    def missing(
        self, model: str, *, kinds: Sequence[str] | None = None, document_id: str | None = None, after: int = 0, limit: int = -1
    ) -> list[Lacking]:
        """Records without a vector of a model, in the order they came, behind the place `after`."""
        condition, values = _of_kinds(kinds, "records.kind")
        if document_id is not None:
            condition, values = f"{condition} AND document_id = ?", (*values, document_id)
        index = self.index(model)
        source, first = "records", ()
        if index is not None:
            # The plus sign: of one document there are few records, of what is missing there may be many.
            source = f"missing JOIN records ON {'+' if document_id else ''}missing.record = records.n AND missing.m = ?"
            first = (index.m,)
        sql = (
            f"SELECT records.n, record_id, records.kind, text, hash FROM {source} JOIN texts ON texts.n = text"
            f" WHERE answers AND records.n > ?{condition} ORDER BY records.n LIMIT ?"
        )
        return [Lacking(*row) for row in self._db.execute(sql, (*first, after, *values, limit))]

    def models_of(self, record_ids: Sequence[str]) -> list[tuple[Index, int]]:
        """Each model that some of these records have vectors of, and how many of them."""
        sql = (
            "SELECT count(*) FROM records JOIN vectors_{m} AS v ON v.n = records.text"
            " WHERE record_id IN (SELECT value FROM json_each(?))"
        )
        return self._counted(sql, json.dumps(list(record_ids)))

    def models_of_document(self, document_id: str) -> list[tuple[Index, int]]:
        """Each model that chunks in use of a document have vectors of, and how many of them."""
        sql = "SELECT count(*) FROM records JOIN vectors_{m} AS v ON v.n = records.text WHERE document_id = ? AND answers"
        return self._counted(sql, document_id)

    def _counted(self, sql: str, value: str) -> list[tuple[Index, int]]:
        counted = [(index, self._value(sql.format(m=index.m), (value,))) for index in self.indexes()]
        return [(index, count) for index, count in counted if count]

    # --- vectors ----------------------------------------------------------------------------------

    def put(self, model: str, found: Sequence[tuple[Lacking, Any]]) -> int:
        """Keep the vectors (arrays of 32-bit floats) of texts; how many. What was erased meanwhile gets none.
        DENIED_EMBED_MISMATCH where they are of another size than the model's others."""
        if not found:
            return 0
        with self._transaction():
            index = self.index(model) or self._new(model, len(found[0][1]))
            for _, vector in found:
                refuse_mismatch(index, len(vector))
            texts = json.dumps([lacking.text for lacking, _ in found])
            # Another process, or another record that says the same, may have come first.
            sql = f"SELECT value FROM json_each(?) WHERE value NOT IN (SELECT n FROM vectors_{index.m})"
            new = json.dumps([n for (n,) in self._db.execute(sql, (texts,))])
            sql = f"INSERT OR IGNORE INTO vectors_{index.m} SELECT n, ?3 FROM texts WHERE n = ?1 AND hash = ?2"
            before = self._db.total_changes()
            self._db.executemany(sql, ((lacking.text, lacking.hash, vector.tobytes()) for lacking, vector in found))
            kept = self._db.total_changes() - before
            records = "SELECT n FROM records WHERE text IN (SELECT value FROM json_each(?))"
            self._db.execute(f"DELETE FROM missing WHERE m = ? AND record IN ({records})", (index.m, texts))
            self._db.execute("UPDATE models SET vectors = vectors + ? WHERE m = ?", (kept, index.m))
            if index.vectors + kept > max(2 * index.coded, CANDIDATES):
                self._code(index.m)
            elif index.shards:
                self._add_codes(index, "IN (SELECT value FROM json_each(?))", (new,))
        return kept

    def vectors(self, model: str, record_ids: Sequence[str]) -> dict[str, bytes]:
        """The vectors of a model by record: 32-bit floats; without those that have none."""
        index = self.index(model)
        if index is None:
            return {}
        sql = (
            f"SELECT record_id, vector FROM records JOIN vectors_{index.m} AS v ON v.n = records.text"
            " WHERE record_id IN (SELECT value FROM json_each(?))"
        )
        return dict(self._db.execute(sql, (json.dumps(list(record_ids)),)))

    def prune(self, models: Sequence[str]) -> None:
        """Drop the vectors of some models, and give the room back."""
        with self._transaction():
            for index in [index for index in self.indexes() if index.model in models]:
                self._db.execute(f"DROP TABLE vectors_{index.m}; DROP TABLE IF EXISTS codes_{index.m}")
                for table in ("thresholds", "missing", "models"):
                    self._db.execute(f"DELETE FROM {table} WHERE m = ?", (index.m,))
        with contextlib.suppress(*_unusable()):
            self._db.execute("VACUUM")

    def _new(self, model: str, dim: int) -> Index:
        """Begin the vectors of a model."""
        self._db.execute("INSERT INTO models (model, dim, created_at) VALUES (?, ?, ?)", (model, dim, clock.now()))
        index = self.index(model)
        assert index is not None
        self._db.execute(f"CREATE TABLE vectors_{index.m} (n INTEGER PRIMARY KEY, vector BLOB NOT NULL)")
        self._db.execute("INSERT INTO missing SELECT ?, n, kind FROM records WHERE answers", (index.m,))
        return index

    # --- codes ------------------------------------------------------------------------------------

    def _code(self, m: int) -> None:
        """Make the codes of a model's vectors anew, with thresholds of what it holds now; none where they are few.

        A code has a bit for each dimension and threshold: whether the vector is over it there. The thresholds are the
        quartiles of each dimension, so that every bit tells as much as it can, wherever the vectors lie; the Hamming
        distance of two codes is then how many steps they are apart. Neighbours in time go into different shards: the
        best of every shard are then about the best of all, and each is found in a short list.
        """
        self._db.execute(f"DROP TABLE IF EXISTS codes_{m}")
        self._db.execute("DELETE FROM thresholds WHERE m = ?", (m,))
        self._db.execute("UPDATE models SET coded = 0, shards = 0 WHERE m = ?", (m,))
        index = next(index for index in self.indexes() if index.m == m)
        if index.vectors <= CANDIDATES or not index.levels:
            return
        shards = -(-2 * index.vectors // SHARD)
        self._db.executemany(
            "INSERT INTO thresholds VALUES (?, ?, ?)",
            ((m, level, vector) for level, vector in enumerate(self._thresholds(index))),
        )
        bits = index.levels * index.dim
        self._db.execute(f"CREATE VIRTUAL TABLE codes_{m} USING vec0(shard integer partition key, code bit[{bits}])")
        self._db.execute("UPDATE models SET coded = vectors, shards = ? WHERE m = ?", (shards, m))
        index = next(index for index in self.indexes() if index.m == m)
        self._add_codes(index, "> ?", (-1,))

    def _thresholds(self, index: Index) -> list[bytes]:
        """For each level a vector of thresholds, from a sample of the vectors."""
        from array import array

        step = max(1, index.vectors // SAMPLE)
        sql = f"SELECT vector FROM (SELECT vector, row_number() OVER (ORDER BY n) AS r FROM vectors_{index.m}) WHERE r % ? = 0"
        sample = [array("f", vector) for (vector,) in self._db.execute(sql, (step,))]
        columns = [sorted(column) for column in zip(*sample, strict=True)]
        parts = index.levels + 1
        return [array("f", [column[len(column) * level // parts] for column in columns]).tobytes() for level in range(1, parts)]

    def _coded(self, index: Index, vector: str) -> str:
        """SQL for the code of a vector."""
        levels = [
            f"vec_quantize_binary(vec_sub({vector}, (SELECT vector FROM thresholds WHERE m = {index.m} AND level = {level})))"
            for level in range(index.levels)
        ]
        return f"vec_bit(CAST({' || '.join(levels)} AS BLOB))"

    def _add_codes(self, index: Index, which: str, values: Sequence[Any]) -> None:
        """Code the vectors whose place meets a condition."""
        self._db.execute(
            f"INSERT INTO codes_{index.m} (rowid, shard, code) SELECT n, n % {index.shards}, {self._coded(index, 'v.vector')}"
            f" FROM vectors_{index.m} AS v WHERE n {which}",
            values,
        )

    # --- nearest ----------------------------------------------------------------------------------

    def nearest(
        self, index: Index, vector: bytes, *, kinds: Sequence[str] | None = None, where: Where | None = None, limit: int = 10
    ) -> list[tuple[str, str, float]]:
        """The records nearest to a vector: (id, kind, cosine distance), nearest first. `where` holds conditions on FILTERS.

        Few records are compared one by one; of many, the candidates that their codes name. Where too few of these meet
        the conditions, every record that does is compared.
        """
        condition, values = _chosen(kinds, where)
        if index.shards and limit > 0 and not self._few(condition, values):
            hits = self._of_candidates(index, vector, condition, values, limit)
            if len(hits) >= limit:
                return hits
        sql = (
            f"SELECT record_id, kind, vec_distance_cosine(v.vector, ?) AS distance FROM records"
            f" JOIN vectors_{index.m} AS v ON v.n = records.text WHERE {condition} ORDER BY distance, records.n LIMIT ?"
        )
        return [tuple(row) for row in self._db.execute(sql, (vector, *values, limit))]

    def _few(self, condition: str, values: Sequence[Any]) -> bool:
        """Whether so few records meet the conditions that comparing each is fastest."""
        sql = f"SELECT count(*) FROM (SELECT 1 FROM records WHERE {condition} LIMIT ?)"
        return self._value(sql, (*values, CANDIDATES + 1)) <= CANDIDATES

    def _of_candidates(
        self, index: Index, vector: bytes, condition: str, values: Sequence[Any], limit: int
    ) -> list[tuple[str, str, float]]:
        code = self._value(f"SELECT {self._coded(index, '?1')}", (vector,))
        # The best of every shard; sqlite-vec takes 4096 at most at once.
        each = min(-(-max(CANDIDATES, 40 * limit) // index.shards), 4_096)
        sql = (
            "WITH RECURSIVE shards (shard) AS (SELECT 0 UNION ALL SELECT shard + 1 FROM shards WHERE shard + 1 < ?)"
            f" SELECT c.rowid FROM shards CROSS JOIN codes_{index.m} AS c"
            " WHERE c.shard = shards.shard AND c.code MATCH vec_bit(?) AND c.k = ?"
        )
        candidates = sorted(n for (n,) in self._db.execute(sql, (index.shards, code, each)))
        sql = (
            "SELECT record_id, kind, distance FROM"
            " (SELECT v.n AS n, vec_distance_cosine(v.vector, ?) AS distance FROM json_each(?) AS c"
            f" CROSS JOIN vectors_{index.m} AS v ON v.n = c.value ORDER BY distance LIMIT ?) AS near"
            f" CROSS JOIN records ON records.text = near.n WHERE {condition} ORDER BY distance, records.n LIMIT ?"
        )
        most = max(20 * limit, 500)
        return [tuple(row) for row in self._db.execute(sql, (vector, json.dumps(candidates), most, *values, limit))]


def refuse_mismatch(index: Index, dim: int) -> None:
    """DENIED_EMBED_MISMATCH for a vector of another size than an index holds."""
    if dim != index.dim:
        raise denial.EmbedMismatch(model=index.model, dimension=dim, expected=index.dim)


def _row(entry: Row) -> tuple[Any, ...]:
    """The row of an entry's record; evidence that is not in use does not answer, nor what has no text."""
    record = ledger.content_record(entry["content"])
    text = text_of(entry["kind"], record)
    words = any(character.isalnum() for character in text)
    answers = words and not is_past(entry["kind"], record)
    named = (record.get(name) for name in ("status", "created_at", "scope", "document_id", "source_lock_id"))
    return (entry["record_id"], entry["kind"], entry["task_id"], *named, hash_of(text) if words else None, int(answers))


def _chosen(kinds: Sequence[str] | None, where: Where | None) -> tuple[str, tuple[Any, ...]]:
    """The SQL condition for what may answer, and its values."""
    parts, values = conditions(where, _spelled)
    condition, more = _of_kinds(kinds, "records.kind")
    return " AND ".join(["records.answers", *parts]) + condition, (*values, *more)


def _spelled(column: str) -> str:
    if column not in FILTERS:
        raise ValueError(f"{column!r} cannot be a condition of a search by meaning")
    return f"records.{column}"


def _of_kinds(kinds: Sequence[str] | None, column: str) -> tuple[str, tuple[str, ...]]:
    if kinds is None:
        return "", ()
    return f" AND {column} IN ({', '.join('?' * len(kinds))})", tuple(kinds)


def _apsw() -> Any:
    """apsw, where sqlite-vec is there as well."""
    apsw = derived.driver()
    try:
        import sqlite_vec  # noqa: F401
    except ImportError:
        raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="sqlite-vec") from None
    return apsw


def _damaged() -> tuple[type[BaseException], ...]:
    """Faults of the file."""
    apsw = _apsw()
    return (apsw.NotADBError, apsw.CorruptError, apsw.FormatError)


def _damaged_or_none() -> tuple[type[BaseException], ...]:
    return _damaged() if _installed() else ()


def _installed() -> bool:
    try:
        _apsw()
    except denial.BackendUnavailable:
        return False
    return True


def _unusable() -> tuple[type[BaseException], ...]:
    """Faults of the place: it cannot be written, or others have it."""
    return (*derived.unusable(), _apsw().IOError)
