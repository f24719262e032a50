"""list_directory: what lies in a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from .. import workspace
from ..tool import Access, Context, Given, Outcome, Tool

MOST = 2_000


class ListDirectoryGiven(Given):
    """Which folder."""

    path: workspace.PathText = Field(description="The folder; absolute, or from the current one")


class ListDirectory(Tool):
    """List a folder: name, type, size in bytes and time of change of each entry, folders first.

    type is directory, file, symlink or other. Links are listed, not followed. Hidden and ignored entries are listed as well. To find
    files in a whole tree use glob.
    """

    name = "list_directory"
    group = "file"
    takes = ListDirectoryGiven
    rule_names = ("LS", "Read")
    reads_only = True

    def accesses(self, given: ListDirectoryGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("read", given.path, context),)

    def run(self, given: ListDirectoryGiven, context: Context) -> Outcome:
        with workspace.opened_folder(given.path, context) as (descriptor, path):
            with os.scandir(descriptor) as found:
                # Folders first, then by name; the states of those that are shown alone are asked for.
                entries = sorted(found, key=lambda entry: (not entry.is_dir(follow_symlinks=False), entry.name))
            shown = [_described(entry) for entry in entries[:MOST]]
        metadata = {"path": workspace.shown(path, context), "count": len(entries), "truncated": len(entries) > MOST}
        return Outcome(shown, metadata)

    def told(self, output: list[dict[str, Any]], metadata: Mapping[str, Any]) -> str:
        """A line for each entry: when it changed, its size, its name; a folder's ends with a slash, a link's with @."""
        marks = {"directory": "/", "symlink": "@"}
        wide = max((len(str(entry["size"])) for entry in output if entry["size"] is not None), default=1)
        lines = [
            f"{entry['modified'] or '-':<25}  {'-' if entry['size'] is None else entry['size']:>{wide}}"
            f"  {entry['name']}{marks.get(entry['type'], '')}"
            for entry in output
        ]
        return "\n".join(lines) or "The folder is empty."


def _described(entry: os.DirEntry[str]) -> dict[str, Any]:
    try:
        state = entry.stat(follow_symlinks=False)
    except OSError:
        # Gone since it was listed.
        return {"name": workspace.readable(entry.name), "type": "other", "size": None, "modified": None}
    mode = state.st_mode
    kind = "directory" if stat.S_ISDIR(mode) else "symlink" if stat.S_ISLNK(mode) else "file" if stat.S_ISREG(mode) else "other"
    modified = datetime.fromtimestamp(state.st_mtime, UTC).isoformat(timespec="seconds")
    return {
        "name": workspace.readable(entry.name),
        "type": kind,
        "size": state.st_size if kind == "file" else None,
        "modified": modified,
    }
