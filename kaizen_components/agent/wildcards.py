"""Wildcards: patterns of paths with *, ?, [..], {a,b} and **, matched name by name while a tree is walked.

`*` and `?` stay within a name, `**` as a whole name stands for any folders, none as well. A backslash takes the meaning from what follows.
Each name is matched for itself, so that a pattern which cannot fit below a folder is known to before the folder is read.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from itertools import pairwise

# What {a,b} may unfold into, and how long a pattern may be.
MOST_ALTERNATIVES = 500

# Where a match stands: which alternative, and how many of its names are used up.
States = frozenset[tuple[int, int]]
# How one name is matched; None is **.
Part = Callable[[str], re.Match[str] | None] | None


class Wildcard:
    """A pattern, ready to be matched. Raises ValueError where it cannot be read."""

    def __init__(self, pattern: str) -> None:
        alternatives = [_parts(text) for text in dict.fromkeys(_unfolded(pattern))]
        self._alternatives: list[list[Part]] = [parts for parts in alternatives if parts]
        if not self._alternatives:
            raise ValueError("the pattern names nothing")
        self.start: States = self._closed((number, 0) for number in range(len(self._alternatives)))

    def below(self, states: States, name: str) -> States:
        """Where the match stands in a folder of that name; empty where nothing below it can fit."""
        return self._closed(
            (number, place if part is None else place + 1)
            for number, place in states
            if place < len(self._alternatives[number])
            and (
                (part := self._alternatives[number][place]) is None
                or (part(name) and place + 1 < len(self._alternatives[number]))
            )
        )

    def fits(self, states: States, name: str) -> bool:
        """Whether a file of that name is what is looked for."""
        for number, place in states:
            parts = self._alternatives[number]
            if place == len(parts) - 1 and (part := parts[place]) is not None and part(name):
                return True
        return False

    def matches(self, path: str) -> bool:
        """Whether a whole path, with slashes, is what is looked for."""
        *folders, name = path.split("/")
        states = self.start
        for folder in folders:
            states = self.below(states, folder)
        return self.fits(states, name)

    def _closed(self, states: Iterable[tuple[int, int]]) -> States:
        """With what `**` may skip."""
        found: set[tuple[int, int]] = set()
        for number, place in states:
            found.add((number, place))
            while place < len(self._alternatives[number]) and self._alternatives[number][place] is None:
                place += 1
                found.add((number, place))
        return frozenset(found)


def _parts(pattern: str) -> list[Part]:
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    if ".." in names:
        raise ValueError("a pattern holds no ..; say where to begin with path")
    if names and names[-1] == "**":
        names.append("*")
    return [None if name == "**" else re.compile(fnmatch.translate(_escaped(name))).match for name in names]


def _escaped(name: str) -> str:
    """Backslashes as fnmatch knows them: in brackets."""
    return re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], name, flags=re.DOTALL)


def _unfolded(pattern: str) -> list[str]:
    """Every pattern that {a,b} stands for."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop()
        found = _braces(text)
        if found is None:
            done.append(text)
        else:
            start, end, choices = found
            waiting += [text[:start] + choice + text[end:] for choice in reversed(choices)]
        if len(done) + len(waiting) > MOST_ALTERNATIVES:
            raise ValueError(f"it stands for more than {MOST_ALTERNATIVES} patterns")
    return done


def _braces(text: str) -> tuple[int, int, list[str]] | None:
    """(start, end, choices) of the first {a,b}; None where there is none. One without a comma is text."""
    opened: list[tuple[int, list[int]]] = []
    skip = False
    found: tuple[int, int, list[str]] | None = None
    for place, char in enumerate(text):
        if skip or char == "\\":
            skip = not skip
        elif char == "{":
            opened.append((place, []))
        elif char == "," and opened:
            opened[-1][1].append(place)
        elif char == "}" and opened:
            start, commas = opened.pop()
            if commas and (found is None or start < found[0]):
                edges = [start, *commas, place]
                found = start, place + 1, [text[a + 1 : b] for a, b in pairwise(edges)]
    return found
