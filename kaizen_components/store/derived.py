"""Derived: opening the files that follow from the ledger: shared by processes, or a copy in memory where nothing can be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import denial
from .creation import with_journal


class Worthless(Exception):
    """The file is damaged, or not one of ours, of this format, of this ledger: it is made anew."""


def driver() -> Any:
    """apsw, which carries its own SQLite with FTS5; DENIED_BACKEND_UNAVAILABLE without it."""
    try:
        import apsw
    except ImportError:
        raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="apsw") from None
    return apsw


def unusable() -> tuple[type[BaseException], ...]:
    """Faults of the place, not of the file: it cannot be written, or others have it. Throwing it away would mend nothing."""
    apsw = driver()
    return (
        OSError,
        apsw.BusyError,
        apsw.LockedError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.FullError,
        apsw.PermissionsError,
    )


def opened(path: Path, busy_ms: int) -> Any:
    """The file, made where there is none; readers see the last whole batch while the next one is written."""
    apsw = driver()
    if path.is_dir():
        raise apsw.CantOpenError(str(path))
    database = apsw.Connection(str(path))
    try:
        database.set_busy_timeout(busy_ms)
    except BaseException:
        database.close()
        raise
    return database


def shared(database: Any) -> None:
    """Let others read while one writes. What is lost when the machine fails can be made again."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")


def copied(path: Path) -> Any:
    """A copy in memory of a file that cannot be written. Raises Worthless where its journal holds what it lacks."""
    data = bytearray(path.read_bytes())
    if any(journal.exists() and journal.stat().st_size for journal in with_journal(path)[1:2]) or len(data) < 512:
        raise Worthless
    # Memory has no write-ahead journal: the header must not ask for one.
    data[18:20] = b"\1\1"
    database = driver().Connection(":memory:")
    database.deserialize("main", bytes(data))
    return database
