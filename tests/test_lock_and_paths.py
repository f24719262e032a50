"""Whose plane is used, and which paths a project's records may name."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import truth
from conftest import ROOT

from kaizen_components import denial, paths
from kaizen_components.paths import PIN, Plane, find, inside, main_checkout


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, where nobody has said whose plane is meant."""
    monkeypatch.delenv("KAIZEN_REPO_ROOT")
    here = tmp_path / "work" / "deep" / "deeper"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    return here


def made(root: Path) -> Path:
    """A folder that looks like one with a plane."""
    (root / "AI" / "db").mkdir(parents=True)
    (root / "AI" / "db" / "kaizen.db").touch()
    return root


def pin(folder: Path, text: str | bytes) -> None:
    (folder / PIN).parent.mkdir(parents=True, exist_ok=True)
    (folder / PIN).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def worktree(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """(main checkout, a linked worktree of it), made by git; the worktree is the current folder."""
    monkeypatch.delenv("KAIZEN_REPO_ROOT")
    main, linked = tmp_path / "main", tmp_path / "elsewhere" / "linked"

    def git(*argv: str) -> None:
        named = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        subprocess.run(
            ["git", *named, "-C", str(main), *argv],
            check=True,
            capture_output=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
        )

    main.mkdir()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "First")
    git("worktree", "add", "-q", str(linked), "-b", "side")
    monkeypatch.chdir(linked)
    return main, linked


# --- whose plane ----------------------------------------------------------------------------------


def test_the_environment_names_the_project_before_all_else(folder, tmp_path, monkeypatch):
    made(folder)
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(tmp_path / "named"))
    found = find(home=folder)
    assert (found.root, found.base, found.reason) == (tmp_path / "named", tmp_path / "named", "KAIZEN_REPO_ROOT")
    monkeypatch.setenv("KAIZEN_REPO_ROOT", "../x")
    assert find().root == folder.parent / "x"
    monkeypatch.setenv("KAIZEN_REPO_ROOT", "~/x")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find().root == tmp_path / "x"


def test_an_empty_environment_variable_names_nothing(folder, monkeypatch):
    made(folder)
    monkeypatch.setenv("KAIZEN_REPO_ROOT", "")
    assert find().base == folder


def test_the_checkout_whose_kaizen_runs_comes_next(folder, tmp_path):
    made(folder)
    found = find(home=tmp_path / "checkout")
    assert found.base == tmp_path / "checkout" and found.reason == "the checkout of kaizen.py"


def test_the_nearest_folder_above_that_holds_a_plane_is_used(folder, tmp_path):
    made(tmp_path)
    assert find().base == tmp_path
    made(tmp_path / "work")
    found = find()
    assert found.base == found.root == tmp_path / "work" and found.reason == "the nearest folder with a plane"


@pytest.mark.parametrize("text", ["../../shared", "../../shared\n", "{tmp}/shared", "~/shared"])
def test_a_pin_names_the_plane_of_another_folder(folder, tmp_path, monkeypatch, text):
    monkeypatch.setenv("HOME", str(tmp_path / "work"))
    pin(folder.parent, text.format(tmp=tmp_path / "work").replace("../../", "../"))
    made(tmp_path)
    for found in (find(), find(home=folder.parent)):
        assert (found.root, found.base) == (folder.parent, tmp_path / "work" / "shared")
        assert PIN in found.reason and str(folder.parent) in found.reason


def test_a_pin_wins_over_the_plane_beside_it(folder):
    made(folder)
    pin(folder, "../other")
    assert find().base == folder.parent / "other"


@pytest.mark.parametrize("text", [b"", b" \n", b"\xff\xfe", b"a\0b"])
def test_a_pin_that_names_nothing_is_refused(kz, folder, text):
    pin(folder, text)
    refusal = kz.denied("DENIED_PLANE_NOT_FOUND", "W9")
    assert refusal["path"] == str(folder / PIN) and PIN in refusal["required_action"]


def test_without_any_plane_the_refusal_says_how_to_make_one_and_makes_none(kz, folder):
    for code, flags in (("W9", {}), ("W1", {"title": "A", "summary": "One."})):
        refusal = kz.denied("DENIED_PLANE_NOT_FOUND", code, **flags)
        assert "K1" in refusal["required_action"] and "KAIZEN_REPO_ROOT" in refusal["required_action"]
        assert refusal["path"] == str(folder) and refusal.code == 2
    assert list(folder.iterdir()) == []


def test_k1_makes_the_plane_at_the_top_of_the_repository(kz, folder, tmp_path):
    (tmp_path / "work" / ".git").mkdir()
    kz.ok("K1")
    assert (tmp_path / "work/AI/db/kaizen.db").is_file()
    kz.ok("W1", title="A", summary="One.")
    assert len(truth.sound(tmp_path / "work")["tasks"]) == 1 and list(folder.iterdir()) == []


def test_k1_without_a_repository_makes_the_plane_here(kz, folder):
    kz.ok("K1")
    assert (folder / "AI/db/kaizen.db").is_file()


def test_a_kaizen_in_a_checkout_uses_that_checkouts_plane(folder, tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "kaizen.py").write_bytes((ROOT / "kaizen.py").read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*argv: str) -> dict:
        command = [sys.executable, str(checkout / "kaizen.py"), *argv, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)

    run("W1", "--title", "A", "--summary", "One.")
    assert run("K2")["schema"]["db_path"] == str(checkout / "AI/db/kaizen.db")
    assert len(truth.sound(checkout)["tasks"]) == 1 and list(folder.iterdir()) == []


# --- worktrees ------------------------------------------------------------------------------------


def test_a_worktree_shares_the_plane_of_its_main_checkout(kz, worktree):
    main, linked = worktree
    assert main_checkout(linked) == main and main_checkout(main) is None
    found = find(create=True)
    assert (found.root, found.base, found.reason) == (linked, main, "the main checkout of this git worktree")
    kz.ok("K1")
    (linked / "notes.txt").write_text("alpha\n")
    (linked / "sub").mkdir()
    os.chdir(linked / "sub")
    artifact = kz.ok("A1", path="notes.txt", summary="Notes.")
    assert artifact["path"] == "notes.txt" and not (linked / "AI").exists()
    assert [row["path"] for row in truth.sound(main)["artifacts"]] == ["notes.txt"]
    assert find(home=linked).base == main
    shown = kz.ok("K2")
    assert "worktree" in json.dumps(shown) and shown["schema"]["db_path"] == str(main / "AI/db/kaizen.db")


def test_a_worktree_with_a_plane_or_a_pin_of_its_own_keeps_to_it(worktree):
    main, linked = worktree
    made(main)
    made(linked)
    assert find().base == linked == find(home=linked).base
    pin(linked, "../third")
    assert find().base == linked.parent / "third" == find(home=linked).base


@pytest.mark.parametrize("text", [b"", b"gitdir: ../nowhere\n", b"no gitdir", b"\xff\xfe", b"gitdir: /etc\n"])
def test_a_git_file_that_leads_nowhere_is_no_worktree(folder, text):
    (folder / ".git").write_bytes(text)
    assert main_checkout(folder) is None
    assert find(home=folder).base == folder


def test_a_submodule_is_a_project_of_its_own(folder, tmp_path):
    (tmp_path / "work/.git/modules/deeper").mkdir(parents=True)
    (folder / ".git").write_text("gitdir: ../../.git/modules/deeper\n")
    assert main_checkout(folder) is None


# --- paths of records -----------------------------------------------------------------------------


@pytest.fixture
def project(plane) -> Plane:
    (plane / "src").mkdir()
    (plane / "src" / "a.py").write_text("x\n")
    (plane.parent / "outside.txt").write_text("x\n")
    return Plane(plane, plane, "test")


@pytest.mark.parametrize("text", ["src/a.py", "./src/a.py", "src/../src/a.py", "{root}/src/a.py", "src//a.py"])
def test_a_path_inside_is_named_from_the_root(project, text):
    assert inside(project, text.format(root=project.root)) == (project.root / "src/a.py", "src/a.py")


@pytest.mark.parametrize(
    "text", ["../outside.txt", "src/../../outside.txt", "{up}/outside.txt", "/etc/passwd", "..", "/", "~root/x"]
)
def test_a_path_outside_is_refused_or_named_by_its_last_part(project, text):
    text = text.format(up=project.root.parent)
    if text == "~root/x" and not Path("~root").expanduser().is_absolute():
        pytest.skip("no such user")
    with pytest.raises(denial.PathOutsideRepo) as refusal:
        inside(project, text)
    assert refusal.value.detail["path"] == text
    resolved, name = inside(project, text, allow_external=True)
    assert name == f"external:{resolved.name}" and resolved.is_absolute()


def test_symlinks_count_as_what_they_lead_to(kz, plane, project):
    (plane / "out").symlink_to(plane.parent)
    (plane / "leak").symlink_to(plane.parent / "outside.txt")
    (plane / "in").symlink_to(plane / "src" / "a.py")
    (plane.parent / "back").symlink_to(plane)
    for text in ("out/outside.txt", "leak", "out/nothing", "src/../../outside.txt"):
        with pytest.raises(denial.PathOutsideRepo):
            inside(project, text)
        assert kz("A1", path=text, summary="One.")["code"] == "DENIED_PATH_OUTSIDE_REPO"
    assert inside(project, "in")[1] == "src/a.py"
    assert inside(project, str(plane.parent / "back" / "src" / "a.py"))[1] == "src/a.py"
    assert inside(project, "leak", allow_external=True)[1] == "external:outside.txt"


def test_a_circle_of_symlinks_is_no_file(kz, plane):
    (plane / "a").symlink_to(plane / "b")
    (plane / "b").symlink_to(plane / "a")
    for code in ("A1", "A2"):
        kz.denied("DENIED_FILE_NOT_FOUND", code, path="a", **({"summary": "One."} if code == "A1" else {}))


@pytest.mark.parametrize("text", ["src", ".", "none.txt", "src/a.py/b", "x" * 300, "/".join(["x"] * 3000)])
def test_a_path_to_no_file_is_refused(kz, project, text):
    kz.denied("DENIED_FILE_NOT_FOUND", "A1", path=text, summary="One.")


def test_a_project_reached_through_a_symlink_is_the_same_project(kz, plane, tmp_path, monkeypatch):
    (plane / "a.txt").write_text("x\n")
    (tmp_path / "alias").symlink_to(plane)
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(tmp_path / "alias"))
    assert paths.find().root == plane
    assert kz.ok("A1", path=str(tmp_path / "alias" / "a.txt"), summary="One.")["path"] == "a.txt"


def test_what_a_plane_writes_is_named_from_the_project(project, tmp_path):
    assert project.relative(project.reports / "a.md") == "AI/db/exports/reports/a.md"
    assert project.relative(tmp_path / "x") == str(tmp_path / "x")
    shared = Plane(tmp_path / "linked", tmp_path / "main", "test")
    assert shared.relative(shared.database) == "AI/db/kaizen.db"
    assert inside(shared, "AI/db/kaizen.db") == (tmp_path / "main/AI/db/kaizen.db", "AI/db/kaizen.db")


def test_a_lock_that_is_a_link_empties_no_other_file(kz, plane, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("not of the project")
    kz.ok("W1", title="A", summary="One.")
    lock = plane / "AI" / "db" / "kaizen.lock"
    lock.unlink()
    lock.symlink_to(victim)
    kz.denied("DENIED_FILE_UNWRITABLE", "W1", title="A", summary="One.")
    assert kz.ok("W9")["count"] == 1
    assert victim.read_text() == "not of the project"


JUNK = ["", "x", "[]", "null", '{"a": 1}', '{"pid": "x", "op": 1}', '{"seq": 1e999, "chain_hash": "x"}', "[" * 100_000, "\xff"]


@pytest.mark.parametrize("junk", [*JUNK, '{"seq": 1000000000000000000000, "chain_hash": "x"}'])
def test_junk_in_the_files_beside_a_plane_breaks_no_call(kz, plane, monkeypatch, junk):
    kz.ok("W1", title="A", summary="One.")
    folder = plane / "AI" / "db"
    for name in ("ledger.head", "purge.pending"):
        (folder / name).write_text(junk)
    assert kz("V1")["status"] == "FAILED"
    for op, flags in (("W9", {}), ("W1", {"title": "B", "summary": "Two."}), ("K7", {})):
        kz.ok(op, **flags)
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0")
    with (folder / "kaizen.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(junk)
        held.flush()
        kz.denied("DENIED_DB_CONNECT_RETRY_EXHAUSTED", "W9")


def test_a_head_that_is_a_folder_is_no_head(kz, plane):
    kz.ok("W1", title="A", summary="One.")
    (plane / "AI" / "db" / "ledger.head").unlink()
    (plane / "AI" / "db" / "ledger.head").mkdir()
    assert "no ledger.head" in kz.ok("V1")["warnings"][0]
