"""Clock: times, ids and salts; the one seam through which a run is made repeatable.

KAIZEN_CLOCK (an ISO time) and KAIZEN_ID_SEED (any text) turn them into functions of the ledger position.
"""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime, timedelta

from .denial import EnvironmentInvalid


def _fixed() -> datetime | None:
    text = os.environ.get("KAIZEN_CLOCK")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Ids hold a year of four digits, and positions and windows are counted from it in both directions.
        if not 1900 <= moment.year <= 9000:
            raise ValueError
    except ValueError:
        raise EnvironmentInvalid(
            "Set KAIZEN_CLOCK to an ISO 8601 time such as 2026-01-01T00:00:00+00:00, of a year from 1900 to 9000, or unset it.",
            variable="KAIZEN_CLOCK",
            value=text,
        ) from None
    return moment


def is_fixed() -> bool:
    """Whether this run's times are functions of the ledger position."""
    return bool(os.environ.get("KAIZEN_CLOCK"))


def moment(position: int = 0) -> datetime:
    """The time of a ledger position: one second apart under KAIZEN_CLOCK, else simply now."""
    fixed = _fixed()
    return datetime.now(UTC) if fixed is None else fixed.astimezone(UTC) + timedelta(seconds=position)


def iso(at: datetime) -> str:
    """UTC with microseconds, always: 2026-01-01T00:00:00.000000+00:00."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def now(position: int = 0) -> str:
    """The time of a ledger position as text; texts of this form sort as the times do."""
    return iso(moment(position))


def later(seconds: float) -> str:
    """The time so many seconds from now, or ago, as iso() writes it."""
    return iso(moment() + timedelta(seconds=seconds))


def stamp(position: int = 0) -> str:
    """A time for file names: 20260101T000000Z."""
    return moment(position).strftime("%Y%m%dT%H%M%SZ")


def token(position: int, label: str, size: int) -> str:
    """`size` random bytes as hex; under KAIZEN_ID_SEED a hash of seed, position and label."""
    seed = os.environ.get("KAIZEN_ID_SEED")
    if not seed:
        return os.urandom(size).hex()
    return hashlib.sha256(f"{seed}\0{position}\0{label}".encode("utf-8", "surrogateescape")).hexdigest()[: size * 2]


def new_id(prefix: str, position: int, at: datetime) -> str:
    """An id such as t_20261121011006_c799668345."""
    return f"{prefix}_{at.strftime('%Y%m%d%H%M%S')}_{token(position, prefix, 5)}"


class Stopwatch:
    """Measures a duration in milliseconds; says 0 under KAIZEN_CLOCK, as no measured value repeats."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def ms(self) -> int:
        """Milliseconds since the stopwatch was made."""
        return 0 if is_fixed() else int((time.monotonic() - self.start) * 1000)
