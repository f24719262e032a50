"""A plane's whole content in one canonical form, to compare planes row for row."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any


def canonical_dump(path: Path) -> dict[str, Any]:
    """Table -> rows in the order of their values, with the schema's columns; from a file that nobody has open."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        dump: dict[str, Any] = {}
        for name in names:
            columns = sorted(row[1] for row in connection.execute(f"PRAGMA table_info({name})"))
            listed = ", ".join(f'"{column}"' for column in columns)
            rows = connection.execute(f"SELECT {listed} FROM {name}").fetchall()
            dump[name] = {"columns": columns, "rows": sorted(rows, key=repr)}
        indexes = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY name").fetchall()
        dump["indexes"] = [row for row in indexes if not row[0].startswith("sqlite_")]
        return dump
    finally:
        connection.close()
