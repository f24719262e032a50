"""edit_file: a part of a file replaced by another text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from .. import workspace
from ..tool import Access, Context, Given, Outcome, Tool, ToolError

MOST = 50_000_000
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class EditFileGiven(Given):
    """Which file, the text to replace, and what replaces it."""

    path: workspace.PathText = Field(description="The file; absolute, or from the current folder")
    old_string: str = Field(
        min_length=1, description="The text to replace, exactly as it stands in the file, without line numbers"
    )
    new_string: str = Field(description="What replaces it; empty to delete it")
    replace_all: bool = Field(False, description="Replace every occurrence; otherwise the text has to be unique")


class EditFile(Tool):
    """Replace an exact text in a file by another.

    old_string has to stand in the file exactly once, unless replace_all is true: take in enough of the lines around it. The file keeps
    its encoding, its line ends (a \\n stands for whichever the file has) and its mode, and is replaced in one step.
    """

    name = "edit_file"
    group = "file"
    takes = EditFileGiven
    rule_names = ("Edit",)

    def accesses(self, given: EditFileGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("write", given.path, context),)

    def danger(self, given: EditFileGiven, context: Context) -> str:
        return max(workspace.danger_of_writing(given.path, context), "medium", key=("low", "medium", "high").index)

    def run(self, given: EditFileGiven, context: Context) -> Outcome:
        name = workspace.printable(given.path)
        if given.old_string == given.new_string:
            raise ToolError("not_changed", "old_string and new_string are the same; nothing would change.")
        read = workspace.whole(given.path, context, MOST, "write")
        text = Text.of(read.data, name)
        old, new = text.in_its_lines(given.old_string, given.new_string)
        if old == new:
            raise ToolError("not_changed", "old_string and new_string differ in their line ends alone, and those the file keeps.")
        places = _places(text.text, old)
        if not places:
            raise ToolError(
                "no_match", f"old_string does not stand in {name}; it has to match exactly, with all its white space."
            )
        if len(places) > 1 and not given.replace_all:
            lines = [text.text.count("\n", 0, place) + 1 for place in places[:20]]
            raise ToolError(
                "not_unique",
                f"old_string stands in {name} {len(places)} times (lines {', '.join(map(str, lines))}{', ...' if len(places) > 20 else ''});"
                " take in more of what is around it, or set replace_all.",
                occurrences=len(places),
                lines=lines,
            )
        count = text.text.count(old) if given.replace_all else 1
        data = text.with_text(text.text.replace(old, new), new, name)
        change = workspace.replace(read.path, data, context, read=read)
        shown = workspace.shown(read.path, context)
        line = text.text.count("\n", 0, places[0]) + 1
        said = f"Replaced {count} {'occurrence' if count == 1 else 'occurrences'} in {workspace.printable(shown)}, from line {line} on."
        metadata = {"path": shown, "replacements": count, "line": line, "bytes_written": len(data), "sha256": change.after}
        return Outcome(said, metadata, [change])


def _places(text: str, old: str) -> list[int]:
    """Where a text stands, overlapping places as well: each could be the one that is meant."""
    places: list[int] = []
    place = text.find(old)
    while place >= 0:
        places.append(place)
        place = text.find(old, place + 1)
    return places


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text with what it takes to write it again: the mark at its beginning and its encoding.

    Bytes that are no UTF-8 are kept as they are.
    """

    text: str
    mark: bytes
    encoding: str
    valid: bool

    @classmethod
    def of(cls, data: bytes, name: str) -> Text:
        """Raises ToolError binary."""
        mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
        body = data[len(mark) :]
        if encoding == "utf-8" and b"\0" in body:
            raise ToolError("binary", f"{name} is a binary file; this tool edits texts.")
        try:
            return cls(body.decode(encoding), mark, encoding, True)
        except UnicodeDecodeError:
            if encoding != "utf-8":
                raise ToolError("not_utf8", f"{name} begins like {encoding} and is not; it cannot be edited as a text.") from None
            return cls(body.decode("utf-8", "surrogateescape"), mark, encoding, False)

    def in_its_lines(self, old: str, new: str) -> tuple[str, str]:
        """Two texts with the line ends that the file has; in a file that has both kinds, with those of the place that is meant."""
        crlf = self.text.count("\r\n")
        if crlf and crlf == self.text.count("\n"):
            return _crlf(old), _crlf(new)
        if old in self.text:
            return old, new
        if crlf and _crlf(old) in self.text:
            return _crlf(old), _crlf(new)
        return old.replace("\r\n", "\n"), new.replace("\r\n", "\n")

    def with_text(self, text: str, new: str, name: str) -> bytes:
        """The file's bytes with another text. Raises ToolError not_utf8."""
        if not self.valid and not new.isascii():
            raise ToolError("not_utf8", f"{name} is not UTF-8, so that only ASCII can be written into it.")
        workspace.encoded(new, "new_string")
        errors = "strict" if self.valid else "surrogateescape"
        return self.mark + text.encode(self.encoding, errors)


def _crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")
