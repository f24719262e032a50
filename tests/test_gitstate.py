"""Gitstate: real repositories, and what is seen of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kaizen_components import gitstate


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Kaizen", "-c", "user.email=kaizen@example.com"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository on branch main with one committed file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "a.txt").write_text("one\n")
    git(folder, "add", "a.txt")
    git(folder, "commit", "--quiet", "--message", "First")
    return folder


def test_outside_of_any_repository_there_is_no_state(tmp_path):
    assert gitstate.read(tmp_path) is None


def test_a_clean_tree_is_its_commit(repository):
    state = gitstate.read(repository)
    assert state is not None and not state.dirty
    assert (state.commit, state.branch) == (git(repository, "rev-parse", "HEAD"), "main")


def test_a_folder_inside_says_the_same(repository):
    (repository / "sub").mkdir()
    assert gitstate.read(repository / "sub") == gitstate.read(repository)


def test_changed_and_untracked_files_make_it_dirty(repository):
    (repository / "a.txt").write_text("two\n")
    (repository / "new file.txt").write_text("new\n")
    state = gitstate.read(repository)
    assert state is not None and state.dirty
    assert (state.changed_files, state.untracked_files) == (1, 1)


@pytest.mark.parametrize("name", ["a.txt", "untracked.txt"])
def test_a_further_change_of_a_dirty_file_changes_the_fingerprint(repository, name):
    (repository / name).write_text("two\n")
    before = gitstate.read(repository)
    (repository / name).write_text("three\n")
    assert gitstate.read(repository) != before
    (repository / name).write_text("two\n")
    assert gitstate.read(repository) == before


def test_staging_a_change_is_a_change(repository):
    (repository / "a.txt").write_text("two\n")
    before = gitstate.read(repository)
    git(repository, "add", "a.txt")
    assert gitstate.read(repository) != before


def test_a_rename_counts_once(repository):
    git(repository, "mv", "a.txt", "b.txt")
    state = gitstate.read(repository)
    assert state is not None and state.changed_files == 1


def test_before_the_first_commit_there_is_none(tmp_path):
    git(tmp_path, "init", "--quiet")
    state = gitstate.read(tmp_path)
    assert state is not None and state.commit is None and state.error is None


def test_a_detached_head_is_on_no_branch(repository):
    git(repository, "checkout", "--quiet", "--detach")
    state = gitstate.read(repository)
    assert state is not None and state.branch is None and state.commit


def test_a_hooks_variables_do_not_lead_elsewhere(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    state = gitstate.read(repository)
    assert state is not None and state.branch == "main"


def test_what_git_refuses_is_said(repository):
    (repository / ".git" / "HEAD").write_text("nonsense\n")
    state = gitstate.read(repository)
    assert state is not None and "error" in state.record()


def test_looking_starts_no_program_that_the_repository_names(repository, tmp_path):
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(spy))
    gitstate.read(repository)
    assert not (tmp_path / "started").exists()
