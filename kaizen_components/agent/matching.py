"""Matching: the lines of files that fit a regular expression, found in a process of its own, which can be ended.

Python's expressions may need longer than the world will last, and nothing in the same process can stop them. This file is that process:
it imports the standard library alone, so that it starts in hundredths of a second.

stdin: a line of JSON {"pattern", "ignore_case", "context", "most", "most_files", "mode"}, then names of files below the current folder,
each ended by NUL. stdout: for each file with a match a line of JSON [name, matched lines, [[number, text, matched], ...]]; at the end, null.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

BLOCK = 4 << 20
# A text without a line end for so long is none.
LONGEST = 64 << 20
# Of a line no more characters are shown.
LONGEST_SHOWN = 2_000

Lines = list[tuple[int, str, bool]]


def shown(line: str) -> str:
    """A line as a result holds it: what is too long is cut with a mark."""
    if len(line) <= LONGEST_SHOWN:
        return line
    return f"{line[:LONGEST_SHOWN]} [... {len(line) - LONGEST_SHOWN} characters more]"


# --- what can be known of an expression ----------------------------------------------------------


class Known:
    """What an expression gives away: a text that every match holds, and whether a match stays in a line by itself.

    `literal` is in small letters where case is ignored, empty where there is none. Where `in_line` holds, no part can match a line end,
    so that all lines can be searched at once.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.literal, self.in_line = "", False
        try:
            from re import _parser as parser  # pyright: ignore[reportAttributeAccessIssue]

            parsed = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
            literal = max(_runs(parsed), key=len, default="")
            self.literal = literal.lower() if pattern.flags & re.IGNORECASE else literal
            # What matches nothing at all matches everywhere; line by line that is one match each.
            self.in_line = parsed.getwidth()[0] > 0 and not pattern.flags & re.DOTALL and _stays(parsed)
        except (ImportError, RecursionError, AttributeError, TypeError, ValueError, re.error):
            # Another Python may build its expressions otherwise; then nothing is known.
            pass


def _runs(parsed: Any) -> list[str]:
    """The texts that a sequence holds for certain."""
    runs, run = [], ""
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            run += chr(value)
            continue
        runs.append(run)
        run = ""
        # Flags of a group of its own would change what a letter means.
        if name == "SUBPATTERN" and not value[1] and not value[2]:
            runs += _runs(value[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and value[0] >= 1:
            runs += _runs(value[2])
    return [*runs, run]


def _stays(parsed: Any) -> bool:
    """Whether nothing in a sequence can match a line end, or means by a beginning or an end anything but those of a line."""
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            stays = value != 10
        elif name == "ANY":
            stays = True
        elif name == "AT":
            stays = str(value) in ("AT_BEGINNING", "AT_END", "AT_BOUNDARY")
        elif name == "IN":
            stays = all(_excludes_line_end(str(item), what) for item, what in value)
        elif name == "SUBPATTERN":
            stays = not value[1] and _stays(value[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            stays = _stays(value[2])
        elif name == "BRANCH":
            stays = all(_stays(branch) for branch in value[1])
        else:
            stays = False
        if not stays:
            return False
    return True


def _excludes_line_end(name: str, value: Any) -> bool:
    if name == "LITERAL":
        return value != 10
    if name == "RANGE":
        return not value[0] <= 10 <= value[1]
    return name == "CATEGORY" and str(value) in ("CATEGORY_DIGIT", "CATEGORY_WORD")


# --- the lines of a file -------------------------------------------------------------------------


class Binary(Exception):
    """It is no text."""


def texts(descriptor: int) -> Iterator[str]:
    """The text of an open file in pieces that end with a line; \\r\\n is \\n. Raises Binary where there is a NUL."""
    data = os.read(descriptor, BLOCK)
    decoder = None
    if data.startswith(codecs.BOM_UTF8):
        data = data[3:]
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
    rest = b""
    while data:
        following = os.read(descriptor, BLOCK)
        if decoder is not None:
            data = decoder.decode(data, not following).encode("utf-8", "replace")
        if b"\0" in data:
            raise Binary
        data = rest + data if rest else data
        end = data.rfind(b"\n") + 1 if following else len(data)
        data, rest = data[:end], data[end:]
        if len(rest) > LONGEST:
            raise Binary
        if data:
            text = data.decode("utf-8", "replace")
            yield text.replace("\r\n", "\n") if "\r" in text else text
        data = following


class Search:
    """What is looked for. Of each file that has it, the lines to show are kept for `most` matches; `mode` is content, files or count."""

    def __init__(self, pattern: str, *, ignore_case: bool, context: int, most: int, mode: str) -> None:
        flags = re.IGNORECASE if ignore_case else 0
        self._pattern = re.compile(pattern, flags)
        self._in_lines = re.compile(pattern, flags | re.MULTILINE)
        self._known = Known(self._pattern)
        self._folded = bool(self._pattern.flags & re.IGNORECASE)
        self._context, self._most, self._mode = context, most, mode

    def file(self, descriptor: int) -> tuple[int, Lines]:
        """(how many lines match, the lines to show) of an open file. More matches than are shown are counted in mode count alone."""
        count, number, following = 0, 0, 0
        kept: Lines = []
        before: deque[str] = deque(maxlen=self._context)
        for text in texts(descriptor):
            enough = bool(count) if self._mode == "files" else self._mode == "content" and count > self._most
            hits = [] if enough else self._hits(text)
            if self._mode == "content" and (hits or following or self._context):
                lines = text.split("\n")
                if text.endswith("\n"):
                    lines.pop()
                # The line after which nothing of this piece is shown.
                done = 0
                for hit in hits:
                    following = self._after(lines[done:hit], number + done, following, kept, before)
                    if count < self._most:
                        first = number + hit + 1 - len(before)
                        kept += [(first + place, shown(past), False) for place, past in enumerate(before)]
                        kept.append((number + hit + 1, shown(lines[hit]), True))
                        following = self._context
                    else:
                        following = 0
                    before.clear()
                    count += 1
                    done = hit + 1
                following = self._after(lines[done:], number + done, following, kept, before)
            else:
                count += len(hits)
            number += text.count("\n")
        return count, kept

    def _after(self, lines: list[str], number: int, following: int, kept: Lines, before: deque[str]) -> int:
        """Pass lines without a match: the first are shown after the match before them, the last may be shown before the next."""
        kept += [(number + place, shown(line), False) for place, line in enumerate(lines[:following], start=1)]
        before.extend(lines[following:])
        return max(following - len(lines), 0)

    def _hits(self, text: str) -> list[int]:
        """The lines of a text that match, from 0."""
        needle, body = self._known.literal, text
        if needle and self._folded:
            # Some letters beyond ASCII equal one of ASCII when case is ignored, and no lowering shows it.
            needle, body = (needle, text.lower()) if text.isascii() and needle.isascii() else ("", text)
        if needle not in body:
            return []
        if self._known.in_line:
            return self._hits_at_once(text)
        find = self._pattern.search
        lines = text.split("\n")
        if text.endswith("\n"):
            lines.pop()
        if not needle:
            return [place for place, line in enumerate(lines) if find(line) is not None]
        seen = lines if body is text else body.split("\n")
        pairs = enumerate(zip(lines, seen, strict=False))
        return [place for place, (line, plain) in pairs if needle in plain and find(line) is not None]

    def _hits_at_once(self, text: str) -> list[int]:
        hits: list[int] = []
        find = self._in_lines.search
        place, number = 0, 0
        while (match := find(text, place)) is not None:
            number += text.count("\n", place, match.start())
            hits.append(number)
            end = text.find("\n", match.start())
            if end < 0 or self._mode == "files":
                break
            place, number = end + 1, number + 1
        return hits


def opened(name: str, folders: dict[str, int]) -> int:
    """Open a file below the current folder, name by name: no link is followed. The folder that was open last is kept open."""
    folder, _, last = name.rpartition("/")
    if folder not in folders:
        for former in folders.values():
            os.close(former)
        folders.clear()
        passing = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
        current = os.open(".", passing)
        for part in filter(None, folder.split("/")):
            below = os.open(part, passing, dir_fd=current)
            os.close(current)
            current = below
        folders[folder] = current
    descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=folders[folder])
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError
    return descriptor


def main() -> None:
    """The process."""
    asked = json.loads(sys.stdin.buffer.readline())
    names = os.fsdecode(sys.stdin.buffer.read()).split("\0")[:-1]
    files_alone = asked.pop("most_files")
    search = Search(**asked)
    folders: dict[str, int] = {}
    matches, files = 0, 0
    for name in names:
        try:
            descriptor = opened(name, folders)
        except OSError:
            # Gone, a link by now, or not for us.
            continue
        try:
            count, lines = search.file(descriptor)
        except (Binary, OSError):
            continue
        finally:
            os.close(descriptor)
        if count:
            matches, files = matches + count, files + 1
            sys.stdout.write(json.dumps([name, count, lines]) + "\n")
            # The files come in order: what follows would not be shown.
            if matches > asked["most"] if asked["mode"] == "content" else files > files_alone:
                break
    sys.stdout.write("null\n")


if __name__ == "__main__":
    main()
