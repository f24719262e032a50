"""Gitstate: real repositories, and what is seen of them."""

from __future__ import annotations

import os
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


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of the user's own, without settings of git."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


def spied(folder: Path) -> str:
    return f"sh -c 'touch {folder}/started; cat'"


@pytest.mark.parametrize("how", ["clean", "process", "included", "a=b", "required"])
def test_no_filter_of_the_repository_is_started(repository, tmp_path, how):
    name = "a=b" if how == "a=b" else "x"
    (repository / ".gitattributes").write_text(f"* filter={name}\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "--quiet", "--message", "Second")
    key, value = f"filter.{name}.{'process' if how == 'process' else 'clean'}", spied(tmp_path)
    if how == "included":
        git(repository, "config", "--file", "more", key, value)
        git(repository, "config", "include.path", "../more")
    else:
        git(repository, "config", key, value)
    if how == "required":
        git(repository, "config", "filter.x.required", "true")
    (repository / "a.txt").write_text("two\n")
    state = gitstate.read(repository)
    assert not (tmp_path / "started").exists()
    assert state is not None and state.error is None and (state.branch, state.changed_files) == ("main", 1)
    # The filter does work: git itself starts it.
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, timeout=20, check=False)
    assert (tmp_path / "started").exists()


@pytest.mark.parametrize("registered", [True, False])
def test_no_filter_of_a_submodule_is_started(repository, tmp_path, registered):
    inner = repository / "m"
    inner.mkdir()
    git(inner, "init", "--quiet")
    (inner / ".gitattributes").write_text("* filter=x\n")
    (inner / "a").write_text("1\n")
    git(inner, "add", "-A")
    git(inner, "commit", "--quiet", "--message", "Inner")
    git(inner, "config", "filter.x.clean", spied(tmp_path))
    if registered:
        (repository / ".gitmodules").write_text('[submodule "m"]\n\tpath = m\n\turl = ./m\n')
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "--message", "Outer")
    clean = gitstate.read(repository)
    assert clean is not None and clean.error is None and not clean.dirty
    (inner / "a").write_text("2\n")
    state = gitstate.read(repository)
    assert state is not None and state.error is None and not (tmp_path / "started").exists()
    # What is not committed in a submodule counts; of what only looks like one, its commit does.
    assert state.dirty is registered and (state.fingerprint != clean.fingerprint) is registered
    git(inner, "-c", "filter.x.clean=cat", "commit", "--quiet", "--all", "--message", "Inner, second")
    assert gitstate.read(repository).dirty  # type: ignore[union-attr]
    git(repository, "status")
    (inner / "a").write_text("3\n")
    git(repository, "status")
    assert (tmp_path / "started").exists()


def test_a_submodule_that_leads_back_to_its_repository_ends(repository):
    (repository / "m").symlink_to(".")
    (repository / ".gitmodules").write_text('[submodule "m"]\n\tpath = m\n')
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{git(repository, 'rev-parse', 'HEAD')},m")
    state = gitstate.read(repository)
    assert state is not None and state.error is None


def test_a_filter_of_the_users_own_settings_is_used(repository, home):
    git(repository, "config", "--global", "filter.up.clean", "tr a-z A-Z")
    (repository / ".gitattributes").write_text("*.txt filter=up\n")
    git(repository, "add", "--all", "--renormalize")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Second")
    # Another content, of which the filter makes the same.
    (repository / "a.txt").write_text("One\n")
    state = gitstate.read(repository)
    assert state is not None and not state.dirty
    (repository / "a.txt").write_text("Onf\n")
    state = gitstate.read(repository)
    assert state is not None and state.changed_files == 1


def test_settings_of_the_user_that_lie_in_the_repository_are_not_trusted(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(repository))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    git(repository, "config", "--global", "filter.x.clean", spied(tmp_path))
    (repository / ".gitattributes").write_text("* filter=x\n")
    (repository / "a.txt").write_text("two\n")
    state = gitstate.read(repository)
    assert state is not None and state.error is None and not (tmp_path / "started").exists()


def test_what_git_ignores_and_how_files_are_read_is_as_the_repository_says(repository):
    git(repository, "config", "core.fileMode", "false")
    git(repository, "config", "core.excludesFile", str(repository / ".git" / "ignored"))
    (repository / ".git" / "ignored").write_text("*.log\n")
    (repository / ".git" / "info" / "exclude").write_text("*.tmp\n")
    for name in ("a.log", "a.tmp"):
        (repository / name).write_text("x")
    (repository / "a.txt").chmod(0o755)
    state = gitstate.read(repository)
    assert state is not None and state.error is None and not state.dirty


def test_a_linked_working_tree_has_its_own_branch_and_index(repository, tmp_path):
    git(repository, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    (tmp_path / "linked" / "b.txt").write_text("b\n")
    git(tmp_path / "linked", "add", "b.txt")
    linked, main = gitstate.read(tmp_path / "linked"), gitstate.read(repository)
    assert linked is not None and (linked.error, linked.branch, linked.changed_files) == (None, "other", 1)
    assert main is not None and (main.branch, main.changed_files) == ("main", 0)


def test_a_folder_of_git_that_is_none_is_passed_over(repository):
    (repository / "sub" / ".git").mkdir(parents=True)
    assert gitstate.read(repository / "sub") == gitstate.read(repository)


def test_a_pipe_in_place_of_head_holds_nobody_up(repository):
    (repository / ".git" / "HEAD").unlink()
    os.mkfifo(repository / ".git" / "HEAD")
    state = gitstate.read(repository)
    assert state is not None and "HEAD is no file" in str(state.error)


def test_the_files_of_a_folder_are_listed_without_what_the_repository_names(repository, tmp_path):
    from kaizen_components.evidence import folder

    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(spy))
    (repository / ".gitignore").write_text("out.txt\n")
    (repository / "out.txt").write_text("x")
    assert [path.name for path in folder.files(repository)] == ["a.txt"]
    assert not (tmp_path / "started").exists()


def test_where_there_are_no_links_copies_do(repository, monkeypatch):
    git(repository, "pack-refs", "--all")
    (repository / "b.txt").write_text("b\n")
    expected = gitstate.read(repository)

    def refused(*_, **__):
        raise OSError("A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    assert gitstate.read(repository) == expected and expected is not None and expected.error is None
