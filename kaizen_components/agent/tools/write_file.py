"""write_file: a file written whole."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from .. import workspace
from ..tool import Access, Context, Given, Outcome, Tool, ToolError


class WriteFileGiven(Given):
    """Which file, and all that it shall hold."""

    path: workspace.PathText = Field(description="The file; absolute, or from the current folder")
    content: str = Field(description="All of the new content")


class WriteFile(Tool):
    """Write a file, new or over the one that is there.

    All of its content is replaced, in one step: whoever reads it meanwhile sees the old content or the new. Missing folders are made; a
    file that is there keeps its mode. To change a part of a file use edit_file.
    """

    name = "write_file"
    group = "file"
    takes = WriteFileGiven
    rule_names = ("Write", "Edit")

    def accesses(self, given: WriteFileGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("write", given.path, context),)

    def danger(self, given: WriteFileGiven, context: Context) -> str:
        return workspace.danger_of_writing(given.path, context)

    def run(self, given: WriteFileGiven, context: Context) -> Outcome:
        path = workspace.located(given.path, context, "write")
        if given.path.endswith("/"):
            raise ToolError("is_directory", f"{workspace.printable(given.path)} names a folder, not a file.")
        data = workspace.encoded(given.content, "content")
        change = workspace.replace(path, data, context)
        shown = workspace.shown(path, context)
        created = change.before is None
        said = f"{'Created' if created else 'Replaced'} {workspace.printable(shown)}, {len(data)} bytes."
        metadata = {"path": shown, "bytes_written": len(data), "created": created, "sha256": change.after}
        return Outcome(said, metadata, [change])
