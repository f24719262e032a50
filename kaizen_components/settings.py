"""Settings: choices that hold for the whole plane, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import Row, Store


def current(store: Store, name: str) -> str | None:
    """The value of a setting that is in force; None where there is none."""
    rows = store.list("setting", {"name": name, "is_open": 1}, limit=1, columns=("value",))
    return rows[0]["value"] if rows else None


def put(store: Store, name: str, value: str) -> Row:
    """Set a setting: its row, which stays as it is where it has that value already."""
    from .backends.records import Setting

    rows = store.list("setting", {"name": name, "is_open": 1}, limit=1)
    if not rows:
        return store.add(Setting(name=name, value=value, status="active"))
    if rows[0]["value"] == value:
        return rows[0]
    return store.revise("setting", rows[0]["id"], {"value": value})
