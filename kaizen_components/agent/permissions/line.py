"""Line: a command line taken apart, as data: words, redirects, simple commands, and why it cannot be judged."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

# What is not known of a word before it runs. No command line can hold it.
HOLE = "\0"
MOST_MATCHES = 2_000
# A pattern with wildcards in more folders than these would have to look through a whole disk.
MOST_WILD = 2
_WILD = frozenset("*?")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the program would get it: `text` with quotes resolved and HOLE for what is not known, `raw` as it is written."""

    text: str
    raw: str
    start: int
    end: int
    # With what is quoted escaped, where an unquoted * ? or [ makes it a pattern of files.
    pattern: str | None = None
    # What is not known of it may be several words, or none.
    splits: bool = False

    @property
    def known(self) -> bool:
        return HOLE not in self.text


@dataclass(frozen=True, slots=True)
class Redirect:
    """What a command reads from or writes to, and the folders that it may be in by then."""

    writes: bool
    target: Word
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command: its words, what it is assigned, where it stands, and through which wrappers it is run."""

    words: tuple[Word, ...]
    text: str
    folders: tuple[str, ...]
    assignments: tuple[tuple[str, Word | None], ...] = ()
    # Commands of one pipeline have one number; it reads what those before it write.
    pipeline: int | None = None
    stdin: bool = False
    wrappers: tuple[str, ...] = ()
    # More words come from elsewhere: xargs.
    appended: bool = False
    # It only starts others, which are commands of the line as well.
    transparent: bool = False
    substituted: bool = False

    @property
    def program(self) -> str:
        """The first word; empty where there is none."""
        return self.words[0].text if self.words else ""

    @property
    def name(self) -> str:
        """The program without its folder."""
        return self.program.rpartition("/")[2]

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.words[1:]


@dataclass(slots=True)
class Line:
    """A command line: its commands, its redirects, and why it cannot be judged (empty: it can)."""

    text: str
    commands: list[Command] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)
    # Of a line that cannot be judged: what looks like its commands, good for a denial and nothing else.
    guesses: list[Command] = field(default_factory=list)
    # A function that calls itself twice over.
    bomb: bool = False


class Unjudged(Exception):
    """The line holds something that cannot be judged."""


def places(word: Word, folders: Sequence[str]) -> list[str] | None:
    """The absolute paths that a word may mean in some folders, patterns expanded; None where that cannot be told."""
    if not word.known or (
        word.pattern is not None and sum(bool(_WILD & set(part)) for part in word.pattern.split("/")) > MOST_WILD
    ):
        return None
    found: list[str] = []
    for folder in folders:
        found.append(os.path.join(folder, word.text))  # noqa: PTH118
        if word.pattern is not None:
            matches = glob.iglob(os.path.join(glob.escape(folder), word.pattern), include_hidden=True)  # noqa: PTH118, PTH207
            for match in matches:
                found.append(match)
                if len(found) > MOST_MATCHES:
                    return None
    return found
