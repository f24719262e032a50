"""read_file: lines of a text file, numbered."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from .. import workspace
from ..tool import Access, Context, Given, Outcome, Tool, ToolError

LONGEST_LINE = 2_000
# A result holds no more characters, however many lines were asked for.
MOST_TEXT = 400_000
# Of a line no more bytes are kept: a character has up to four.
_KEPT = 4 * LONGEST_LINE + 4
_LOOK = 8_192

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"BM": "a BMP image",
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"SQLite format 3\0": "an SQLite database",
}
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class ReadFileGiven(Given):
    """Which file, and which of its lines."""

    path: workspace.PathText = Field(description="The file; absolute, or from the current folder")
    offset: int = Field(0, ge=0, description="Lines to pass over at the beginning: 0 starts with the first line")
    limit: int = Field(2_000, ge=1, le=1_000_000, description="How many lines at most")


class ReadFile(Tool):
    """Read a text file as numbered lines.

    Each line comes as its number (from 1), a tab, and its text; lines over 2,000 characters are cut with a mark. Read a long file piece by
    piece: offset counts lines from 0, the metadata says total_lines, truncated and, where there is more, next_offset. Images and other
    files that are no text are refused.
    """

    name = "read_file"
    group = "file"
    takes = ReadFileGiven
    rule_names = ("Read",)
    reads_only = True

    def accesses(self, given: ReadFileGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("read", given.path, context),)

    def danger(self, given: ReadFileGiven, context: Context) -> str:
        return workspace.danger_of_reading(given.path, context)

    def run(self, given: ReadFileGiven, context: Context) -> Outcome:
        with workspace.opened(given.path, context) as (descriptor, state, path):
            encoding, blocks = text_blocks(descriptor, given.path)
            window = _Window(given.offset, given.limit)
            for block in blocks:
                if context.stop.asked:
                    raise ToolError("interrupted", "The run was asked to stop.")
                window.add(block)
            window.end()
        more = window.number > given.offset + len(window.lines)
        metadata: dict[str, Any] = {
            "path": workspace.shown(path, context),
            "total_lines": window.number,
            "lines": len(window.lines),
            "truncated": more or bool(window.cut),
            "bytes": state.st_size,
            "encoding": encoding,
            "invalid_utf8": bool(window.invalid),
        }
        if more:
            metadata["next_offset"] = given.offset + len(window.lines)
        if window.cut:
            metadata["cut_lines"] = window.cut
        if window.invalid:
            metadata["invalid_lines"] = window.invalid[:100]
            metadata["note"] = "Bytes that are not valid UTF-8 are shown as \ufffd in the lines of invalid_lines."
        numbered = [str(number).rjust(6) + "\t" + line for number, line in enumerate(window.lines, start=given.offset + 1)]
        return Outcome("\n".join(numbered), metadata)


def text_blocks(descriptor: int, text: str) -> tuple[str, Iterator[bytes]]:
    """(encoding, its bytes as UTF-8 block by block) of an open text file. Raises ToolError binary."""
    blocks = workspace.blocks(descriptor)
    first = next(blocks, b"")
    encoding, mark = next(((name, mark) for mark, name in _MARKS.items() if first.startswith(mark)), ("utf-8", b""))
    first = first[len(mark) :]
    if encoding.startswith("utf-16"):
        return encoding, _transcoded(encoding, first, blocks)
    is_text = b"\0" not in first[:_LOOK]
    known = next(
        (what for start, what in _SIGNATURES.items() if first.startswith(start) and (not is_text or len(start) > 2)), None
    )
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        known = "a WebP image"
    if known or not is_text:
        name = workspace.printable(text)
        raise ToolError("binary", f"{name} is {known or 'a binary file'}, not a text; this tool reads texts.", looks_like=known)
    return encoding, _chained(first, blocks)


def _chained(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from blocks


def _transcoded(encoding: str, first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for block in _chained(first, blocks):
        yield decoder.decode(block).encode("utf-8", "replace")
    yield decoder.decode(b"", True).encode("utf-8", "replace")


class _Window:
    """The lines that were asked for, out of blocks of bytes that pass by; the others are counted."""

    def __init__(self, offset: int, limit: int) -> None:
        self._offset, self._limit = offset, limit
        self.lines: list[str] = []
        # How many lines went by, and of those that are shown, how many were cut and which were no UTF-8.
        self.number = 0
        self.cut = 0
        self.invalid: list[int] = []
        self._text = 0
        self._full = False
        # The line that is not over yet: whether there is one, its first bytes, and how many it has.
        self._open = False
        self._begun, self._size = bytearray(), 0

    def _wanted(self) -> bool:
        return not self._full and self._offset <= self.number < self._offset + self._limit

    def add(self, block: bytes) -> None:
        # Up to `looked`, there is something about the lines.
        place = looked = 0
        while place < len(block):
            if not self._wanted():
                place = self._passed_over(block, place)
                continue
            if not self._open and place >= looked:
                shown, looked = self._plain(block, place)
                if shown > place:
                    place = shown
                    continue
            end = block.find(b"\n", place)
            piece = block[place : end if end >= 0 else len(block)]
            self._begun += piece[: max(_KEPT - len(self._begun), 0)]
            self._size += len(piece)
            self._open = True
            if end < 0:
                return
            self._over(terminated=True)
            place = end + 1

    def _plain(self, block: bytes, place: int) -> tuple[int, int]:
        """Show whole lines at once where there is nothing about any of them: (where those that are shown end, where those that were looked
        at end)."""
        left = self._offset + self._limit - self.number
        end = block.rfind(b"\n", place, place + min(MOST_TEXT, 200 * left + LONGEST_LINE)) + 1
        if end <= place:
            return place, block.find(b"\n", place) + 1 or len(block)
        try:
            lines = block[place : end - 1].decode().split("\n")
        except UnicodeDecodeError:
            return place, end
        if len(lines) > left:
            del lines[left:]
            end = place + len("\n".join(lines).encode()) + 1
        size = sum(map(len, lines)) + len(lines)
        if self._text + size > MOST_TEXT or any(len(line) > LONGEST_LINE or line.endswith("\r") for line in lines):
            return place, end
        self.lines += lines
        self.number += len(lines)
        self._text += size
        return end, end

    def _passed_over(self, block: bytes, place: int) -> int:
        """Count lines that are not shown: the place in the block where the wanted ones begin, or its end."""
        left = self._offset - self.number if self.number < self._offset and not self._full else None
        count = block.count(b"\n", place)
        if left is None or count < left:
            self.number += count
            self._open = not block.endswith(b"\n")
            return len(block)
        for _ in range(left):
            place = block.find(b"\n", place) + 1
        self.number += left
        self._open = False
        return place

    def _over(self, *, terminated: bool) -> None:
        """A line has ended."""
        if self._wanted():
            self._show(terminated)
        self.number += 1
        self._open = False
        self._begun.clear()
        self._size = 0

    def _show(self, terminated: bool) -> None:
        data = bytes(self._begun)
        entire = self._size == len(data)
        if terminated and entire and data.endswith(b"\r"):
            data = data[:-1]
        try:
            line, valid = data.decode(), True
        except UnicodeDecodeError as fault:
            line = data.decode("utf-8", "replace")
            # Where a long line is cut, half a character at its end is no fault of the file's.
            valid = not entire and fault.start >= len(data) - 3
        left = 0
        if len(line) > LONGEST_LINE:
            line = line[:LONGEST_LINE]
            left = self._size - len(line.encode("utf-8", "replace"))
        if self.lines and self._text + len(line) > MOST_TEXT:
            self._full = True
            return
        if left:
            line += f" [... {left} bytes more]"
            self.cut += 1
        if not valid:
            self.invalid.append(self.number + 1)
        self._text += len(line) + 1
        self.lines.append(line)

    def end(self) -> None:
        """The file has ended; a last line needs no newline."""
        if self._open:
            self._over(terminated=False)
