"""Window: the time that a report covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .. import clock, denial


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` on and before `until`, as times are stored; None is open."""

    since: str | None = None
    until: str | None = None

    @classmethod
    def of(cls, since: str | None, until: str | None, days: int | None, now: datetime) -> Window:
        """The window that was asked for; with `days` and no beginning, so many days before its end, or before now."""
        if days is not None and since is None:
            end = datetime.fromisoformat(until) if until else now
            try:
                since = clock.iso(end - timedelta(days=days))
            except OverflowError:
                since = None
        if since is not None and until is not None and since >= until:
            raise denial.SchemaRange(
                "Pass a --since that lies before --until.", message="The window ends before it begins.", since=since, until=until
            )
        return cls(since, until)

    def where(self, column: str = "created_at") -> dict[str, Any]:
        """The window as conditions that the store takes."""
        conditions: dict[str, Any] = {}
        if self.since:
            conditions[column] = (">=", self.since)
        if self.until:
            conditions[f"{column}#until"] = ("<", self.until)
        return conditions
