"""Diffs: what changed between two texts, as unified diffs, in time that does not run away with large files."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

# Up to so many pairs of lines are compared to find what moved; beyond, what differs is shown as one piece.
MOST_PAIRS = 400_000
AROUND = 3

Opcode = tuple[str, int, int, int, int]


def unified(before: bytes | None, after: bytes, name: str) -> str | None:
    """A unified diff with three lines around each change; None where one side is no UTF-8 text. `before` is None for a new file."""
    try:
        old, new = [] if before is None else _lines(before), _lines(after)
    except UnicodeDecodeError:
        return None
    if b"\0" in (before or b"") or b"\0" in after:
        return None
    said: list[str] = []
    for group in _Known(_steps(old, new)).get_grouped_opcodes(AROUND) if old != new else ():
        said.append(f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@\n")
        for tag, a, b, c, d in group:
            if tag == "equal":
                said += (" " + line for line in old[a:b])
                continue
            said += ("-" + line for line in old[a:b])
            said += ("+" + line for line in new[c:d])
    if not said:
        return ""
    source = "/dev/null" if before is None else f"a/{name}"
    lines = (line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in said)
    return f"--- {source}\n+++ b/{name}\n" + "".join(lines)


class _Known(SequenceMatcher[str]):
    """Steps that are known already, for the grouping into pieces alone."""

    def __init__(self, steps: list[Opcode]) -> None:
        super().__init__(None, "", "")
        self._steps = steps

    def get_opcodes(self) -> Any:
        return self._steps


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8")
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _steps(old: list[str], new: list[str]) -> list[Opcode]:
    """How one list of lines becomes the other."""
    start, most = 0, min(len(old), len(new))
    while start < most and old[start] == new[start]:
        start += 1
    end = 0
    while end < most - start and old[-1 - end] == new[-1 - end]:
        end += 1
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    steps: list[Opcode] = [("equal", 0, start, 0, start)] if start else []
    if len(a) == len(b) and len(a) * len(b) > MOST_PAIRS:
        steps += _line_by_line(a, b, start)
    elif len(a) * len(b) > MOST_PAIRS:
        steps.append(("replace", start, start + len(a), start, start + len(b)))
    elif a or b:
        found = SequenceMatcher(None, a, b).get_opcodes()
        steps += [(tag, i + start, j + start, k + start, m + start) for tag, i, j, k, m in found]
    if end:
        steps.append(("equal", len(old) - end, len(old), len(new) - end, len(new)))
    return steps


def _line_by_line(a: list[str], b: list[str], start: int) -> list[Opcode]:
    """The steps between lists of one length, line against line."""
    steps: list[Opcode] = []
    begin = 0
    for number in range(1, len(a) + 1):
        if number < len(a) and (a[number] == b[number]) == (a[begin] == b[begin]):
            continue
        tag = "equal" if a[begin] == b[begin] else "replace"
        steps.append((tag, start + begin, start + number, start + begin, start + number))
        begin = number
    return steps


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
