"""What docs/LEDGER.md and the standalone verifier say of the record kinds, written from the code."""

from __future__ import annotations

DOC = ("<!-- kinds: generated -->", "<!-- end of kinds -->")
SCRIPT = ("# kinds: generated", "# end of kinds")


def document(text: str, kinds) -> str:
    """docs/LEDGER.md with its lists of kinds and of words made anew."""
    from kaizen_components.record import BLOCKING, CLOSED

    rows = [
        "",
        f"Closed statuses: {', '.join(f'`{word}`' for word in sorted(CLOSED))}.",
        f"Conclusions that block: {', '.join(f'`{word}`' for word in sorted(BLOCKING))}.",
        "",
        "| kind | table | prefix of its ids |",
        "|---|---|---|",
        *(f"| `{kind}` | `{cls.table}` | `{cls.prefix}` |" for kind, cls in sorted(kinds.items())),
        "",
    ]
    return _between(text, DOC, "\n".join(rows))


def verifier(text: str, kinds) -> str:
    """support_scripts/verify_ledger.py with its constants made anew."""
    from kaizen_components.record import BLOCKING, CLOSED

    lines = ["KINDS = {", *(f'    "{kind}": "{cls.table}",' for kind, cls in sorted(kinds.items())), "}"]
    for name, words in (("CLOSED", CLOSED), ("BLOCKING", BLOCKING)):
        lines += [f"{name} = {{", *(f'    "{word}",' for word in sorted(words)), "}"]
    return _between(text, SCRIPT, "\n".join(lines))


def _between(text: str, marks: tuple[str, str], body: str) -> str:
    start, end = marks
    head, rest = text.split(start + "\n", 1)
    return head + start + "\n" + body + "\n" + end + rest.split(end, 1)[1]
