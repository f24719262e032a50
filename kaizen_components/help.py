"""Help: the root help, one page, from the index alone."""

from __future__ import annotations

from .ops import _index


def root_help() -> str:
    """Usage, then every operation grouped by family."""
    lines = [
        "Usage: python kaizen.py OPERATION [FLAGS]",
        "",
        "Kaizen keeps the record of agent work: Scope -> Adapt -> Verify -> Manage -> Improve.",
        "An operation is a code (W1) or an alias (task-start), in any case; flags may stand before or after it.",
        "",
        "  python kaizen.py OPERATION --help        flags of one operation, and an example",
        '  python kaizen.py K0 --query "words"      find an operation by what it does',
        "  --json                                   answer with one JSON object",
        "  --version                                the version",
        "",
        "Command families",
    ]
    for letter, title in _index.FAMILIES.items():
        codes = [code for code in _index.OPS if code[0] == letter]
        if not codes:
            continue
        lines += ["", f"{letter}  {title}"]
        for code in codes:
            entry = _index.OPS[code]
            lines.append(f"  {code:<4} {entry.aliases[0]:<26} {entry.purpose.split('. ')[0].rstrip('.')}")
    return "\n".join(lines)
