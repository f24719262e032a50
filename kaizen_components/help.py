"""Help: the root help, one page, from the index alone."""

from __future__ import annotations

import shutil
import sys
import textwrap

from .ops import _index

# Where what an operation is for begins; a terminal that leaves no room beside it gets lines that are not cut.
_COLUMN = 34
_ROOM = 30


def root_help() -> str:
    """Usage, then every operation grouped by family: on a terminal within its width, else a line each."""
    lines = [
        "Usage: python kaizen.py OPERATION [FLAGS]",
        "",
        "Kaizen keeps the record of agent work: Scope, Adapt, Verify, Manage, Improve.",
        "An operation is a code (W1) or an alias (task-start), in any case. Flags may",
        "stand before or after it.",
        "",
        "  python kaizen.py OPERATION --help        its flags, and an example",
        '  python kaizen.py K0 --query "words"      find an operation by what it does',
        "  --json                                   answer with one JSON object",
        "  --version                                the version",
        "",
        "Command families",
    ]
    room = shutil.get_terminal_size().columns - _COLUMN if sys.stdout.isatty() else 0
    for letter, title in _index.FAMILIES.items():
        codes = [code for code in _index.OPS if code[0] == letter]
        if not codes:
            continue
        lines += ["", f"{letter}  {title}"]
        for code in codes:
            entry = _index.OPS[code]
            purpose = entry.purpose.split(". ")[0].rstrip(".")
            parts = textwrap.wrap(purpose, room, break_on_hyphens=False) if room >= _ROOM else [purpose]
            lines.append(f"  {code:<4} {entry.aliases[0]:<26} {parts[0]}")
            lines += [" " * _COLUMN + part for part in parts[1:]]
    return "\n".join(lines)
