"""The demo: one whole session, that leaves the checkout as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "support_scripts/demo.py", *words],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def git_status() -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False).stdout


@pytest.mark.slow
def test_the_demo_goes_through_and_leaves_its_plane_to_look_at(tmp_path):
    before = git_status()
    done = demo(str(tmp_path / "demo"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for heading in ("Scope", "Adapt", "Verify", "Manage", "Improve", "Done"):
        assert f"── {heading}" in done.stdout
    assert "passed: exit code 0; unittest:" in done.stdout and "Everything is as the ledger says." in done.stdout
    assert (tmp_path / "demo" / "project" / "AI" / "db" / "kaizen.db").is_file()
    assert git_status() == before


def test_the_demo_does_not_write_into_a_folder_that_is_there(tmp_path):
    done = demo(str(tmp_path))
    assert done.returncode == 2 and "exists already" in done.stderr


def test_the_demo_stops_with_exit_code_1_when_a_step_goes_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", "none")
    done = demo(str(tmp_path / "demo"))
    assert done.returncode == 1 and "should have ended with exit code 0" in done.stderr
