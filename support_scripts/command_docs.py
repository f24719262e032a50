"""The command reference and the README's index, written from the operations."""

from __future__ import annotations

START, END = "<!-- command index: generated -->", "<!-- end of command index -->"


def first_line(text: str) -> str:
    return text.split("\n\n")[0].replace("\n", " ")


def commands(ops, families) -> str:
    """docs/COMMANDS.md: every operation with its flags, vocabularies and an example."""
    from kaizen_components.op import Common

    lines = [
        "# Command reference",
        "",
        "Generated from the code by `python support_scripts/generate.py`. Every operation also answers `--help`.",
        "",
        "Flags of every operation: `--json`. Flags of every operation that writes:",
        "",
        *(f"- `{spec.flag}`: {spec.description}" for spec in Common.specs),
        "",
    ]
    for letter, title in families.items():
        own = [entry for code, entry in ops.items() if code[0] == letter]
        if not own:
            continue
        lines += [f"## {letter}: {title}", ""]
        for entry in own:
            lines += [f"### {entry.code} `{'`, `'.join(entry.aliases)}`", "", entry.purpose, ""]
            specs = [spec for spec in entry.input.specs if spec.flagged] if entry.input else []
            if specs:
                lines += ["| flag | what |", "|---|---|"]
                for spec in specs:
                    flag = f"`{spec.flag}`" + (f", `{spec.flag}-file`" if spec.file else "")
                    what = spec.description
                    if spec.choices:
                        what += "; one of: " + ", ".join(f"`{word}`" for word in spec.choices)
                    if spec.many:
                        what += " (repeatable)"
                    if spec.required:
                        what = "**required** " + what
                    elif spec.type is not bool and spec.default not in (None, ""):
                        what += f" (default `{spec.default}`)"
                    lines.append(f"| {flag} | {what.replace('|', '/')} |")
                lines.append("")
            lines += ["```bash", f"python kaizen.py {entry.code} {entry.example}".rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def with_index(readme: str, ops, families) -> str:
    """The README with its command index made anew between its markers."""
    if START not in readme or END not in readme:
        return readme
    rows = ["", "| Code | Alias | Purpose |", "|---|---|---|"]
    for entry in ops.values():
        rows.append(f"| `{entry.code}` | `{entry.alias}` | {first_line(entry.purpose)} |")
    head, rest = readme.split(START, 1)
    tail = rest.split(END, 1)[1]
    return head + START + "\n" + "\n".join(rows) + "\n\n" + END + tail
