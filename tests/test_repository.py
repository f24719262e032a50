"""The repository: what is in it, and what must never get into it."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = set(
    ".gitignore AGENTS.md CHANGELOG.md CLAUDE.md CONTRIBUTING.md Kaizen_System.md LICENSE README.md SECURITY.md kaizen.py pyproject.toml"
    " requirements-kaizen.txt requirements-test.txt AI docs evals kaizen_components setup support_scripts tests".split()
)


def git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that git knows, and those it would take."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        pytest.skip("no git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_agents_and_claude_read_the_same():
    assert (ROOT / "AGENTS.md").read_bytes() == (ROOT / "CLAUDE.md").read_bytes()


def test_the_agents_page_is_short_enough_to_be_loaded_every_time():
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").split()) <= 600


def test_everything_that_belongs_at_the_top_is_there():
    assert all((ROOT / name).exists() for name in TOP)


def test_nothing_private_is_in_git(tracked):
    for path in tracked:
        name = path.relative_to(ROOT).as_posix()
        assert not re.match(r"AI/(db|work|generation)/|\.venv/|.*\.(db|db-wal|pyc)$", name), name


def test_no_tracked_file_holds_a_home_folder_or_the_name_of_this_machine(tracked):
    host = socket.gethostname()
    own = re.compile(
        rf"/home/(?!name\b|alice\b|user\b)[a-z]\w*/|/Users/(?!name\b|alice\b|user\b)\w+/|/root/|{re.escape(str(ROOT))}(?![\w-])"
        + (rf"|\b{re.escape(host)}\b" if len(host) > 7 else "")
    )
    for path in tracked:
        text = path.read_text(encoding="utf-8", errors="replace")
        found = own.search(text)
        assert not found or path == Path(__file__) or path.is_relative_to(ROOT / "tests"), f"{path}: {found}"


def test_git_ignores_what_a_session_writes():
    if git("rev-parse") is None:
        pytest.skip("no git checkout")
    for name in (
        "AI/db/kaizen.db",
        "AI/db/exports/reports/x.md",
        "AI/work/x",
        "AI/generation/x",
        ".venv/bin/python",
        ".agents/skills",
    ):
        assert git("check-ignore", "-q", name) is not None, name


def test_a_session_leaves_git_status_clean(tmp_path, process, monkeypatch):
    project = tmp_path / "clean"
    project.mkdir()
    run = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(project)]
    subprocess.run([*run, "init", "-q"], check=True)
    subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "start"], check=True)
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(project))
    assert process("W1", "--title", "Task", "--summary", "A task.").returncode == 0
    assert process("R2").returncode == 0 and process("K3").returncode == 0
    assert subprocess.run([*run, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout == ""
