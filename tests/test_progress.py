"""Progress: a bar for a person on a terminal, and nothing for anybody else."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

from kaizen_components import progress


def test_nothing_is_shown_where_nobody_watches(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.bar("Reading", 3) as show:
        show(1, "a.md")
    assert stream.getvalue() == ""


def on_terminal(root: str, *arguments: str) -> str:
    """What a command prints on a terminal, while its own output goes to a terminal too."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "KAIZEN_REPO_ROOT": root, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "kaizen.py", *arguments]
    child = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    assert child.wait() == 0, said
    os.close(ours)
    return said.decode("utf-8", "replace")


def test_a_folder_that_is_read_shows_a_bar_on_a_terminal(kz, plane):
    kz.ok("K1")
    for number in range(3):
        (plane / f"part{number}.md").write_text(f"# Part {number}\n\n[bold] text.\n", encoding="utf-8")
    said = on_terminal(str(plane), "E6", "--path", ".")
    assert "Reading" in said and "3/3" in said
    assert "Reading" not in on_terminal(str(plane), "E6", "--path", ".", "--json")
