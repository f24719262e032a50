"""glob: files whose path fits a pattern."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from .. import workspace
from ..tool import Access, Context, Given, Outcome, Tool, ToolError
from ..tree import Tree
from ..wildcards import Wildcard

MOST = 1_000
# How long a walk may take, in seconds.
PATIENCE = 30.0
_SPECIAL = frozenset("*?[{\\")


class GlobGiven(Given):
    """Which files, and where to look."""

    pattern: str = Field(min_length=1, max_length=4_096, description="The pattern: *.md, src/**/*.py, **/*.{ts,tsx}")
    path: workspace.PathText = Field(".", description="The folder to look in; absolute, or from the current one")


class Glob(Tool):
    """Find files by their path, the newest first.

    * and ? stand for characters of a name, ** for any folders, [..] for one of some characters, {a,b} for alternatives: *.py finds files
    in path itself, **/*.py also below. What .gitignore leaves out, and .git, is left out. At most 1,000 files come; truncated in the
    metadata says that there are more. To search in the content of files use grep.
    """

    name = "glob"
    group = "file"
    takes = GlobGiven
    rule_names = ("Glob", "Read")
    reads_only = True

    def accesses(self, given: GlobGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("read", _base(given)[0], context),)

    def run(self, given: GlobGiven, context: Context) -> Outcome:
        base, pattern = _base(given)
        try:
            wildcard = Wildcard(pattern)
        except ValueError as fault:
            raise ToolError("bad_pattern", f"{workspace.printable(given.pattern)}: {fault}.") from None
        with workspace.opened_folder(base, context) as (descriptor, path):
            tree = Tree(descriptor, path, context, PATIENCE)
            count = 0

            def found() -> Iterator[tuple[int, str]]:
                nonlocal count
                for file in tree.files(wildcard.below, wildcard.start):
                    if not wildcard.fits(file.state, file.name) or file.ignored:
                        continue
                    try:
                        changed = os.stat(file.name, dir_fd=file.folder, follow_symlinks=False).st_mtime_ns
                    except OSError:
                        continue
                    count += 1
                    yield -changed, file.path

            newest = heapq.nsmallest(MOST, found())
        prefix = workspace.shown(path, context)
        output = [
            name if prefix == "." else f"{prefix.rstrip('/')}/{name}" for name in (workspace.readable(p) for _, p in newest)
        ]
        metadata = {"path": prefix, "count": count, "truncated": count > MOST or tree.out_of_time}
        if tree.out_of_time:
            metadata["note"] = f"The search ended after {PATIENCE:g} seconds; look in a smaller folder."
        if tree.unread:
            metadata["unread_folders"] = tree.unread
        return Outcome(output, metadata)

    def told(self, output: list[str], metadata: Mapping[str, Any]) -> str:
        return "\n".join(output) or "No file fits."


def _base(given: GlobGiven) -> tuple[str, str]:
    """(the folder to look in, the pattern below it). An absolute pattern, or one that begins with .., says itself where to look."""
    names = given.pattern.split("/")
    if not given.pattern.startswith("/") and names[0] not in ("..", "~"):
        return given.path, given.pattern
    fixed = 0
    while fixed < len(names) - 1 and _SPECIAL.isdisjoint(names[fixed]):
        fixed += 1
    folder = "/".join(names[:fixed]) or "/"
    if folder.startswith(("/", "~")):
        return folder, "/".join(names[fixed:])
    return f"{given.path}/{folder}", "/".join(names[fixed:])
