"""Exporting: executions as JSON lines and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import denial, paths
from ..hashing import sha256
from ..reports.spreadsheet import cell
from ..store import files
from .executions import FIELDS, line

if TYPE_CHECKING:
    from ..paths import Plane
    from ..store import Row


def jsonl(rows: Sequence[Row]) -> str:
    """A line each, as executions.jsonl has them."""
    return "".join(f"{json.dumps(line(row), ensure_ascii=False)}\n" for row in rows)


def sheet(rows: Sequence[Row]) -> str:
    """Header and rows (RFC 4180), every field a column, objects as JSON; no cell is a formula to a spreadsheet."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(FIELDS)
    for row in rows:
        shown = line(row)
        writer.writerow([cell(_plain(shown.get(name))) for name in FIELDS])
    return stream.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, bool | dict):
        return json.dumps(value, ensure_ascii=False)
    return value


WRITERS: dict[str, Callable[[Sequence[Row]], str]] = {"jsonl": jsonl, "csv": sheet}


def save(plane: Plane, name: str, content: str) -> dict[str, Any]:
    """Write a new file in the project: its path, size and hash. One that is there is not written over."""
    path, shown = paths.inside(plane, name)
    if path.exists():
        raise denial.FileUnwritable("Name a file that is not there yet.", path=shown, reason="it is there already")
    files.write_whole(path, content)
    return {"path": shown, "bytes": len(content.encode("utf-8")), "sha256": sha256(content)}
