"""A stand-in for ripgrep: it takes the options that the tool grep gives and speaks ripgrep's JSON.

It honours no .gitignore, so that what is ignored has to be left out by its caller, and answers files in another order than theirs.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from pathlib import Path


def said(kind: str, data: dict) -> None:
    print(json.dumps({"type": kind, "data": data}))


def text(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"bytes": base64.b64encode(data).decode()}


def searched(path: str, pattern: re.Pattern[str], around: int) -> None:
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16").encode()
    binary = data.find(b"\0")
    offsets, lines, offset = [], data.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True), 0
    for line in lines:
        offsets.append(offset)
        offset += len(line)
    plain = [line.decode("utf-8", "replace").rstrip("\r\n") for line in lines]
    hits = {number for number, line in enumerate(plain) if pattern.search(line)}
    if not hits:
        return
    name = text(os.fsencode(path))
    said("begin", {"path": name})
    shown = sorted({near for hit in hits for near in range(max(hit - around, 0), min(hit + around + 1, len(lines)))})
    for number in shown:
        kind = "match" if number in hits else "context"
        event = {"path": name, "lines": text(lines[number]), "line_number": number + 1, "absolute_offset": offsets[number]}
        said(kind, {**event, "submatches": []})
    said("end", {"path": name, "binary_offset": binary if binary >= 0 else None, "stats": {"matched_lines": len(hits)}})


def main() -> None:
    arguments = sys.argv[1:]
    place = arguments.index("--")
    options, path = arguments[:place], arguments[place + 1]
    expression = options[options.index("--regexp") + 1]
    if "(?=" in expression:
        print("regex parse error: look-around is not supported", file=sys.stderr)
        sys.exit(2)
    around = int(options[options.index("--context") + 1]) if "--context" in options else 0
    pattern = re.compile(expression, re.IGNORECASE if "--ignore-case" in options else 0)
    if os.environ.get("TERM") == "slow":
        import time

        time.sleep(60)
    if Path(path).is_file():
        searched(path, pattern, around)
    for top, folders, names in os.walk(path):
        folder = top.rstrip("/")
        folders[:] = sorted((name for name in folders if name != ".git"), reverse=True)
        for name in sorted(names, reverse=True):
            inner = f"{folder}/{name}"
            if not Path(inner).is_symlink():
                searched(inner, pattern, around)
    said("summary", {})


main()
