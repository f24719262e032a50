"""file_exists: whether something is there."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from pydantic import Field

from .. import workspace
from ..tool import Access, Context, Given, Outcome, Tool


class FileExistsGiven(Given):
    """Which path."""

    path: workspace.PathText = Field(description="The path; absolute, or from the current folder")


class FileExists(Tool):
    """Say whether a path exists, and whether it is a file or a folder.

    A symbolic link is what it points to. Answers exists, is_file and is_directory.
    """

    name = "file_exists"
    group = "file"
    takes = FileExistsGiven
    rule_names = ("Read",)
    reads_only = True

    def accesses(self, given: FileExistsGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("read", given.path, context),)

    def run(self, given: FileExistsGiven, context: Context) -> Outcome:
        state = workspace.state_of(given.path, context)
        found = {
            "exists": state is not None,
            "is_file": state is not None and stat.S_ISREG(state.st_mode),
            "is_directory": state is not None and stat.S_ISDIR(state.st_mode),
        }
        return Outcome(found, {"path": workspace.shown(workspace.resolved(given.path, context), context)})
