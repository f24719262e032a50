"""Connection: one open database file, on either engine; the only place where the engines differ."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .. import denial
from . import lock

APPLICATION_ID = 0x4B5A4E31  # "KZN1"
# What belongs to a database at rest: a write-ahead journal, and one from which SQLite rolls back.
JOURNALS = ("-wal", "-journal")
_HEADER = 100
# Statements that Turso need not prepare again, and how many of them.
_KEPT = ("INSERT ", "UPDATE ", "DELETE ", "BEGIN ", "COMMIT")
_MOST_KEPT = 50
# How the engines speak of a file that is no longer a database, and of one that the system does not let them write.
_DAMAGED = (
    "not a database",
    "malformed",
    "corrupt",
    "invalid page",
    "short read",
    "no such table",
    "no such column",
    "parse error",
)
_UNWRITABLE = ("full", "readonly", "read-only", "permission", "i/o error", "ioerror", "unable to open", "no space", "denied")

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do that the other cannot."""

    name: str
    # Several processes may have the file open at once (Turso holds it exclusively).
    shared: bool
    # VACUUM and secure_delete really remove erased bytes.
    erases: bool


ENGINES = {
    "turso": Capabilities("turso", shared=False, erases=False),
    "sqlite": Capabilities("sqlite", shared=True, erases=True),
}


def engine() -> Capabilities:
    """The engine of this process: KAIZEN_DB_ENGINE, else turso where it is installed, else sqlite."""
    named = os.environ.get("KAIZEN_DB_ENGINE", "").strip().lower()
    if named:
        if named not in ENGINES:
            raise denial.EnvironmentInvalid(
                f"Set KAIZEN_DB_ENGINE to {' or '.join(ENGINES)}, or unset it.", variable="KAIZEN_DB_ENGINE", value=named
            )
        return ENGINES[named]
    try:
        import turso  # noqa: F401
    except ImportError:
        return ENGINES["sqlite"]
    return ENGINES["turso"]


def header(path: Path) -> tuple[int, int] | None:
    """(application id, schema version) of a database file, read without any engine; None where there is no file yet."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        return 0, 0
    except OSError as fault:
        raise denial.FileUnwritable(path=str(path), reason=fault.strerror or str(fault)) from fault
    if not head:
        return None
    if len(head) < _HEADER or not head.startswith(b"SQLite format 3\0"):
        return 0, 0
    return int.from_bytes(head[68:72], "big"), int.from_bytes(head[60:64], "big")


class Connection:
    """An open database. Close it before the lock is let go: only then has the engine let go of the file."""

    def __init__(
        self, path: Path, *, using: Capabilities | None = None, read_only: bool = False, patience: float | None = None
    ) -> None:
        """`read_only` opens a single file that nobody changes; `patience` is how long a foreign holder is waited for."""
        self.engine = ENGINES["sqlite"] if read_only else using or engine()
        self.path = path
        self._patience = patience
        self._scratch: Any = None
        # Both engines begin with commits that wait for the disk.
        self._waits = True
        self._raw: Any = None
        self._raw = self._patiently(lambda: self._open(read_only), denial.ConnectRetryExhausted)
        self._kept = _Kept(self._raw) if self.engine.name == "turso" else None

    @classmethod
    def frozen(cls, path: Path) -> Connection:
        """A database whose folder cannot be written, for reading: as it is where its journal is empty, else a copy
        of file and journal, made outside and gone when it is closed."""
        journals = [journal for suffix in JOURNALS if _size(journal := path.with_name(path.name + suffix))]
        if not journals:
            return cls(path, read_only=True)
        import shutil
        import tempfile

        scratch = tempfile.TemporaryDirectory(prefix="kaizen-")
        try:
            shutil.copyfile(path, Path(scratch.name) / path.name)
            for journal in journals:
                shutil.copyfile(journal, Path(scratch.name) / journal.name)
            connection = cls(Path(scratch.name) / path.name, using=ENGINES["sqlite"])
        except OSError as fault:
            scratch.cleanup()
            raise denial.FileUnwritable(path=scratch.name, reason=fault.strerror or str(fault)) from fault
        except BaseException:
            scratch.cleanup()
            raise
        connection._scratch = scratch
        return connection

    def _open(self, read_only: bool) -> Any:
        if self.engine.name == "turso":
            try:
                import turso
            except ImportError:
                raise denial.BackendUnavailable(
                    "Run: python -m pip install -r requirements-kaizen.txt, or set KAIZEN_DB_ENGINE=sqlite.",
                    package="pyturso",
                ) from None
            _roll_back(self.path)
            # A turso file keeps the WAL journal and full synchronous commits by default (tests hold it to that).
            return turso.connect(str(self.path), isolation_level=None)
        import sqlite3

        if read_only:
            return sqlite3.connect(f"file:{_quoted(self.path)}?mode=ro&immutable=1", uri=True, isolation_level=None)
        raw = sqlite3.connect(str(self.path), isolation_level=None, timeout=0, check_same_thread=False)
        try:
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute("PRAGMA synchronous=FULL")
        except BaseException:
            raw.close()
            raise
        return raw

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows."""
        return self._patiently(lambda: self._raw.execute(sql, tuple(values)).fetchall(), denial.ReadRetryExhausted)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run one query and return its rows by column name."""

        def read() -> list[dict[str, Any]]:
            cursor = self._raw.execute(sql, tuple(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

        return self._patiently(read, denial.ReadRetryExhausted)

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Run one query and yield its rows one at a time, for files that no other process changes."""
        try:
            yield from self._raw.execute(sql, tuple(values))
        except Exception as fault:
            raise self._translated(fault, str(fault)) from fault

    def write(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run one statement that changes something."""
        if self._kept is not None and sql.startswith(_KEPT):
            self.write_many(sql, (values,))
            return
        if self._kept is not None:
            self._kept.clear()
        self._patiently(lambda: self._raw.execute(sql, tuple(values)), denial.WriteRetryExhausted)

    def write_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for many rows."""
        if self._kept is not None and sql.startswith(_KEPT):
            kept = self._kept
            self._patiently(lambda: kept.run(sql, rows), denial.WriteRetryExhausted)
            return
        self._patiently(lambda: self._raw.executemany(sql, rows), denial.WriteRetryExhausted)

    def script(self, sql: str) -> None:
        """Run several statements, parted by semicolons at line ends."""
        for statement in sql.split(";\n"):
            if statement.strip():
                self.write(statement)

    def wait_for_disk(self, waits: bool) -> None:
        """Whether commits wait until the disk has them, as they do at first. To be said between transactions.

        One that does not wait is safe from the end of this process. A power cut may take it, and nothing that was waited for: a later
        commit that waits makes all before it durable, and the journal is synced before it is moved into the file or begun anew.
        """
        if waits != self._waits:
            self.execute(f"PRAGMA synchronous={'FULL' if waits else 'NORMAL'}")
            self._waits = waits

    def changed_elsewhere(self) -> Any:
        """Something that is another once another connection has written to the file; where none can, always the same."""
        return self.execute("PRAGMA data_version")[0][0] if self.engine.shared else None

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns; none where there is no such table."""
        return [row[1] for row in self.execute(f"PRAGMA table_info({table})")]

    def checkpoint(self) -> None:
        """Move the whole journal into the database file."""
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close, and drop the last reference: closing alone keeps Turso's lock on the file."""
        if self._kept is not None:
            self._kept.clear()
            self._kept = None
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _patiently(self, work: Callable[[], Answer], refusal: type[denial.Denial]) -> Answer:
        """Do it; where a foreign program (a database shell, say) holds the file, wait as long as for the lock."""
        start, attempts = time.monotonic(), 0
        while True:
            attempts += 1
            try:
                return work()
            except denial.Denial:
                raise
            except Exception as fault:
                told = str(fault)
                if not _is_busy(told):
                    raise self._translated(fault, told) from fault
                elapsed = time.monotonic() - start
                if elapsed >= (lock.timeout() if self._patience is None else self._patience):
                    raise refusal(
                        "Close the other program that has AI/db/kaizen.db open, then run the command again.",
                        reason=told,
                        attempts=attempts,
                        retryable=True,
                        elapsed_ms=int(elapsed * 1000),
                        path=str(self.path),
                    ) from fault
                time.sleep(min(0.05, 0.001 * attempts))

    def _translated(self, fault: Exception, told: str) -> Exception:
        """An engine's fault as the refusal that users can act on; a defect of ours stays what it is."""
        text = f"{type(fault).__name__} {told}".lower()
        if any(sign in text for sign in _DAMAGED):
            return denial.PlaneDamaged(path=str(self.path), reason=told)
        if isinstance(fault, OSError) or any(sign in text for sign in _UNWRITABLE):
            return denial.FileUnwritable(path=str(self.path), reason=told)
        return fault


class _Kept:
    """Statements of a Turso connection that were prepared already: Turso prepares each anew, which takes as long as to carry it out."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._statements: dict[str, Any] = {}

    def clear(self) -> None:
        """Let go of all: for when tables change, and before the connection is closed."""
        self._statements.clear()

    def run(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row. Raises what Turso raises."""
        from turso import lib

        # One that fails is not kept.
        statement = self._statements.pop(sql, None)
        try:
            if statement is None:
                statement = self._raw._conn.prepare_single(sql)
            for values in rows:
                statement.reset()
                if values:
                    statement.bind(tuple(values))
                lib._run_execute_with_io(statement, self._raw.extra_io)
            statement.reset()
        except Exception as fault:
            raise lib._map_turso_exception(fault) from fault
        if len(self._statements) >= _MOST_KEPT:
            self._statements.clear()
        self._statements[sql] = statement


def _is_busy(told: str) -> bool:
    text = told.lower()
    return "locked" in text or "busy" in text or "locking error" in text


def _size(path: Path) -> int:
    """Size of a file in bytes; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _roll_back(path: Path) -> None:
    """Undo what a killed program left half done in a rollback journal. Turso knows no such journal: it would read what
    SQLite, and with it V1, takes back, and what it then wrote would be taken back later."""
    if not _size(path.with_name(path.name + "-journal")):
        return
    import sqlite3

    raw = sqlite3.connect(str(path), isolation_level=None, timeout=0)
    try:
        raw.execute("SELECT 1 FROM sqlite_master").fetchone()
    finally:
        raw.close()


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))
