"""Where the file tools may go: links, races, strange files and names, and what a write leaves behind."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from kaizen_components.agent import workspace
from kaizen_components.agent.registry import native
from kaizen_components.agent.tool import Access, Context, Outcome, ToolError

TOOLS = {
    "read_file": {},
    "write_file": {"content": "new"},
    "edit_file": {"old_string": "secret", "new_string": "new"},
    "grep": {"pattern": "secret"},
    "file_exists": {},
}
FOLDER_TOOLS = {"list_directory": {}, "glob": {"pattern": "**/*"}, "grep": {"pattern": "secret"}, "file_exists": {}}


@pytest.fixture
def place(tmp_path):
    """A workspace and a folder outside of it that holds a secret."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text("a secret\n")
    return SimpleNamespace(inside=inside, outside=outside, secret=outside / "secret.txt")


def called(name: str, base: Path, granted: tuple[Access, ...] = (), **arguments: object) -> Outcome:
    tool = native(name)
    context = Context(workspace=base, cwd=base, granted=granted)
    return tool.run(tool.takes.model_validate(arguments), context)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(name: str, base: Path, **arguments: object) -> str:
    with pytest.raises(ToolError) as fault:
        called(name, base, **arguments)
    return fault.value.kind


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOOLS)
def test_a_link_that_points_outside_is_outside(name, place):
    (place.inside / "link").symlink_to(place.secret)
    assert refusal(name, place.inside, path="link", **TOOLS[name]) == "outside_workspace"
    assert place.secret.read_text() == "a secret\n"


@pytest.mark.parametrize("name", FOLDER_TOOLS)
def test_a_link_to_a_folder_outside_is_outside(name, place):
    (place.inside / "link").symlink_to(place.outside)
    assert refusal(name, place.inside, path="link", **FOLDER_TOOLS[name]) == "outside_workspace"


@pytest.mark.parametrize("path", ["../outside/secret.txt", "{outside}/secret.txt", "link/../../outside/secret.txt"])
def test_no_spelling_leads_outside(path, place):
    (place.inside / "link").symlink_to(place.inside)
    text = path.format(outside=place.outside)
    assert refusal("read_file", place.inside, path=text) == "outside_workspace"
    assert refusal("write_file", place.inside, path=text, content="x") == "outside_workspace"


def test_a_link_to_a_file_of_the_workspace_is_that_file(place):
    (place.inside / "real.txt").write_text("old")
    (place.inside / "link").symlink_to("real.txt")
    called("write_file", place.inside, path="link", content="new")
    assert (place.inside / "link").is_symlink() and (place.inside / "real.txt").read_text() == "new"


def test_what_a_dangling_link_means_decides(place):
    (place.inside / "near").symlink_to("made.txt")
    (place.inside / "far").symlink_to(place.outside / "made.txt")
    called("write_file", place.inside, path="near", content="x")
    assert (place.inside / "made.txt").read_text() == "x"
    assert refusal("write_file", place.inside, path="far", content="x") == "outside_workspace"
    assert not (place.outside / "made.txt").exists()


def test_a_circle_of_links_leads_nowhere(place):
    (place.inside / "one").symlink_to("two")
    (place.inside / "two").symlink_to("one")
    assert refusal("read_file", place.inside, path="one") == "bad_path"
    assert native("read_file").accesses(SimpleNamespace(path="one"), Context(place.inside, place.inside))[0].way == "read"


def test_searches_pass_links_by(place):
    (place.inside / "own.txt").write_text("no secret\n")
    (place.inside / "file").symlink_to(place.secret)
    (place.inside / "folder").symlink_to(place.outside)
    (place.inside / "round").symlink_to(place.inside)
    assert called("glob", place.inside, pattern="**/*").output == ["own.txt"]
    assert called("grep", place.inside, pattern="secret", output_mode="files").output == ["own.txt"]


def test_a_listing_names_a_link_and_not_what_it_points_to(place):
    (place.inside / "folder").symlink_to(place.outside)
    [entry] = called("list_directory", place.inside, path=".").output
    assert (entry["name"], entry["type"], entry["size"]) == ("folder", "symlink", None)


# --- between check and use -----------------------------------------------------------------------


@pytest.fixture
def swapped(place, monkeypatch):
    """The folder `a` of the workspace becomes a link to the outside when its path has been judged, before it is opened."""
    (place.inside / "a").mkdir()
    (place.inside / "a" / "secret.txt").write_text("mine\n")
    real = workspace.folder_at
    done = []

    @contextlib.contextmanager
    def at(path, **options):
        if not done:
            done.append(path)
            (place.inside / "a").rename(place.inside / "b")
            (place.inside / "a").symlink_to(place.outside)
        with real(path, **options) as folder:
            yield folder

    monkeypatch.setattr(workspace, "folder_at", at)
    return done


@pytest.mark.parametrize("name", TOOLS)
def test_a_folder_swapped_for_a_link_after_the_check_is_refused(name, place, swapped):
    arguments = {**TOOLS[name], **({"old_string": "mine"} if name == "edit_file" else {})}
    assert refusal(name, place.inside, path="a/secret.txt", **arguments) == "outside_workspace"
    assert swapped and place.secret.read_text() == "a secret\n" and names(place.outside) == ["secret.txt"]


@pytest.mark.parametrize("name", FOLDER_TOOLS)
def test_a_searched_folder_swapped_for_a_link_is_refused(name, place, swapped):
    if name == "file_exists":
        assert called(name, place.inside, path="a").output["is_directory"] is False
    else:
        assert refusal(name, place.inside, path="a", **FOLDER_TOOLS[name]) == "outside_workspace"
    assert swapped


def test_new_folders_are_not_made_through_a_swapped_link(place, swapped):
    assert refusal("write_file", place.inside, path="a/new/deep/x.txt", content="x") == "outside_workspace"
    assert names(place.outside) == ["secret.txt"]


def test_swapping_without_end_never_leads_outside(place):
    inside, over = place.inside, threading.Event()
    (inside / "real").mkdir()
    (inside / "real" / "secret.txt").write_text("mine\n")
    (inside / "link").symlink_to("real")

    def swap():
        while not over.is_set():
            for target in (place.outside, Path("real")):
                (inside / "next").symlink_to(target)
                os.replace(inside / "next", inside / "link")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(40):
            with contextlib.suppress(ToolError):
                assert "a secret" not in called("read_file", inside, path="link/secret.txt").output
            with contextlib.suppress(ToolError):
                called("write_file", inside, path="link/new.txt", content="x")
    finally:
        over.set()
        thread.join()
    assert names(place.outside) == ["secret.txt"]


def test_only_the_path_that_was_judged_is_opened(place):
    (place.inside / "notes.txt").write_text("notes\n")
    (place.inside / ".env").write_text("KEY=1\n")
    (place.inside / "link").symlink_to("notes.txt")
    granted = (Access("read", str(place.inside / "notes.txt")),)
    assert "notes" in called("read_file", place.inside, granted, path="link").output
    (place.inside / "link").unlink()
    (place.inside / "link").symlink_to(".env")
    with pytest.raises(ToolError) as fault:
        called("read_file", place.inside, granted, path="link")
    assert fault.value.kind == "outside_workspace"


def test_what_the_gate_let_pass_is_reached_outside(place):
    read = (Access("read", str(place.secret)),)
    assert "a secret" in called("read_file", place.inside, read, path=str(place.secret)).output
    with pytest.raises(ToolError):
        called("write_file", place.inside, read, path=str(place.secret), content="x")
    called("write_file", place.inside, (Access("write", str(place.secret)),), path=str(place.secret), content="x")
    assert place.secret.read_text() == "x"


def test_folders_opened_for_writing_are_written_and_not_read(place):
    context = Context(place.inside, place.inside, writable=(place.outside,))
    tool = native("write_file")
    outcome = tool.run(tool.takes(path=str(place.outside / "x.txt"), content="x"), context)
    assert outcome.files[0].path == str(place.outside / "x.txt")
    reader = native("read_file")
    with pytest.raises(ToolError):
        reader.run(reader.takes(path=str(place.secret)), context)


# --- what is no file -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOOLS)
def test_pipes_and_sockets_are_refused_at_once(name, place, monkeypatch):
    os.mkfifo(place.inside / "pipe")
    monkeypatch.chdir(place.inside)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for path in ("pipe", "socket"):
            if name == "file_exists":
                assert called(name, place.inside, path=path).output == {"exists": True, "is_file": False, "is_directory": False}
            else:
                assert refusal(name, place.inside, path=path, **TOOLS[name]) == "not_a_file"


def test_devices_are_refused():
    granted = (Access("read", "/dev/zero"), Access("write", "/dev/zero"))
    for name in ("read_file", "write_file"):
        with pytest.raises(ToolError) as fault:
            called(name, Path("/tmp"), granted, path="/dev/zero", **TOOLS[name])
        assert fault.value.kind == "not_a_file"


@pytest.mark.parametrize("name", ["read_file", "write_file", "edit_file"])
def test_a_folder_is_no_file_and_a_file_no_folder(name, place):
    (place.inside / "folder").mkdir()
    (place.inside / "file").write_text("x")
    assert refusal(name, place.inside, path="folder", **TOOLS[name]) == "is_directory"
    assert refusal(name, place.inside, path="file/x", **TOOLS[name]) == "not_a_folder"
    assert refusal("list_directory", place.inside, path="file") == "not_a_folder"
    assert refusal("glob", place.inside, path="file", pattern="*") == "not_a_folder"


@pytest.mark.parametrize("name", ["read_file", "edit_file", "grep", "list_directory", "glob"])
def test_what_is_not_there_is_not_found(name, place):
    arguments = {**TOOLS, **FOLDER_TOOLS}[name]
    assert refusal(name, place.inside, path="no/such", **arguments) == "not_found"


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a..b.txt", "..a", "with\nnewline", "with space ", "-rf", "ünï", "a:b", "*"])
def test_strange_names_are_names(name, place):
    called("write_file", place.inside, path=name, content="one\n")
    assert "one" in called("read_file", place.inside, path=name).output
    called("edit_file", place.inside, path=name, old_string="one", new_string="two")
    assert (place.inside / name).read_text() == "two\n"
    assert called("grep", place.inside, pattern="two", path=name).metadata["matches"] == 1
    assert called("grep", place.inside, pattern="two").metadata["matches"] == 1
    [listed] = called("list_directory", place.inside, path=".").output
    [globbed] = called("glob", place.inside, pattern="*").output
    assert listed["name"] == globbed == name


def test_names_that_are_no_text_are_shown_escaped(place):
    Path(os.fsdecode(os.fsencode(place.inside) + b"/a\xffb")).write_text("x\n")
    [listed] = called("list_directory", place.inside, path=".").output
    assert listed["name"] == "a\\xffb"
    assert called("glob", place.inside, pattern="a*").output == ["a\\xffb"]
    assert called("grep", place.inside, pattern="x").output == "a\\xffb:1:x"
    with pytest.raises(ValueError):
        native("read_file").takes.model_validate({"path": "a\udcffb"})


def test_a_newline_in_a_name_begins_no_line_of_a_result(place):
    called("write_file", place.inside, path="a\nb:1:fake", content="x\n")
    assert called("grep", place.inside, pattern="x").output == "a\\nb:1:fake:1:x"


def test_very_long_paths(place):
    assert refusal("read_file", place.inside, path="n" * 300) == "bad_path"
    assert refusal("write_file", place.inside, path="n" * 300, content="x") == "bad_path"
    deep = "/".join(["n" * 200] * 25)
    called("write_file", place.inside, path=f"{deep}/x.txt", content="deep\n")
    assert "deep" in called("read_file", place.inside, path=f"{deep}/x.txt").output
    assert called("grep", place.inside, pattern="deep").metadata["matches"] == 1


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_cannot_be_a_path_is_refused_by_the_schema(path):
    with pytest.raises(ValueError):
        native("read_file").takes.model_validate({"path": path})


# --- rights, room, and other people ---------------------------------------------------------------


@pytest.fixture
def nobody():
    """A folder that anybody may write, while we are nobody; root may do everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(was)


def test_files_that_may_not_be_read_or_written(nobody):
    (nobody / "closed").write_text("x")
    (nobody / "closed").chmod(0)
    assert refusal("read_file", nobody, path="closed") == "permission"
    assert refusal("grep", nobody, path="closed", pattern="x") == "permission"
    assert refusal("write_file", nobody, path="closed", content="y") == "permission"
    (nobody / "fixed").write_text("x")
    (nobody / "fixed").chmod(0o444)
    assert refusal("write_file", nobody, path="fixed", content="y") == "permission"
    assert refusal("edit_file", nobody, path="fixed", old_string="x", new_string="y") == "permission"


def test_folders_that_may_not_be_written_or_listed(nobody):
    (nobody / "fixed").mkdir()
    (nobody / "fixed" / "x.txt").write_text("x")
    (nobody / "fixed").chmod(0o555)
    assert refusal("write_file", nobody, path="fixed/new.txt", content="y") == "permission"
    assert refusal("write_file", nobody, path="fixed/x.txt", content="y") == "permission"
    assert refusal("write_file", nobody, path="fixed/new/new.txt", content="y") == "permission"
    (nobody / "fixed").chmod(0o311)
    assert refusal("list_directory", nobody, path="fixed") == "permission"
    assert "x" in called("read_file", nobody, path="fixed/x.txt").output
    found = called("glob", nobody, pattern="**/*")
    assert found.output == [] and found.metadata["unread_folders"] == 1
    (nobody / "fixed").chmod(0o755)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EFBIG, "too_large"),
        (errno.EIO, "io_error"),
        (errno.EROFS, "permission"),
    ],
)
def test_a_write_that_fails_leaves_everything_as_it_was(number, kind, place, monkeypatch):
    (place.inside / "old.txt").write_text("old")

    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(workspace.os, "fsync", full)
    assert refusal("write_file", place.inside, path="old.txt", content="new") == kind
    assert refusal("write_file", place.inside, path="new/deep/x.txt", content="new") == kind
    assert names(place.inside) == ["old.txt"] and (place.inside / "old.txt").read_text() == "old"


def test_what_somebody_else_wrote_meanwhile_is_not_lost(place, monkeypatch):
    (place.inside / "x.txt").write_text("one\n")
    written = workspace._written

    def meanwhile(descriptor, data):
        written(descriptor, data)
        (place.inside / "x.txt").write_text("theirs\n")

    monkeypatch.setattr(workspace, "_written", meanwhile)
    assert refusal("edit_file", place.inside, path="x.txt", old_string="one", new_string="two") == "changed_meanwhile"
    assert (place.inside / "x.txt").read_text() == "theirs\n" and names(place.inside) == ["x.txt"]


# --- what a write leaves ---------------------------------------------------------------------------


def test_a_file_keeps_its_mode_and_a_hard_link_its_content(place):
    path = place.inside / "run.sh"
    path.write_text("old")
    path.chmod(0o750)
    os.link(path, place.inside / "other")
    called("write_file", place.inside, path="run.sh", content="new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert (place.inside / "other").read_text() == "old"


def test_a_new_file_has_the_mode_that_the_umask_leaves(place):
    before = os.umask(0o027)
    try:
        called("write_file", place.inside, path="new.txt", content="x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((place.inside / "new.txt").stat().st_mode) == 0o640


def test_a_record_gets_hashes_and_a_diff(place):
    [made] = called("write_file", place.inside, path="src/x.txt", content="one\ntwo\n").files
    assert (
        made.path == "src/x.txt"
        and made.before is None
        and made.diff.startswith("--- /dev/null\n+++ b/src/x.txt\n@@ -0,0 +1,2 @@")
    )
    [changed] = called("write_file", place.inside, path="src/x.txt", content="one\nthree").files
    assert changed.before == made.after
    assert changed.diff.endswith("@@ -1,2 +1,2 @@\n one\n-two\n+three\n\\ No newline at end of file\n")
    (place.inside / "bin").write_bytes(b"\0\1")
    [binary] = called("write_file", place.inside, path="bin", content="x").files
    assert binary.before and binary.diff is None


def test_a_text_over_a_megabyte_has_hashes_alone(place):
    [made] = called("write_file", place.inside, path="x.txt", content="x" * 1_000_001).files
    assert made.after and made.diff is None
    [smaller] = called("write_file", place.inside, path="x.txt", content="x").files
    assert smaller.before == made.after and smaller.diff is None


# --- danger --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "danger"),
    [
        ("read_file", "src/x.py", "safe"),
        ("read_file", ".env.local", "high"),
        ("write_file", "new.txt", "low"),
        ("write_file", "old.txt", "medium"),
        ("write_file", "sub/.ENV", "high"),
        ("write_file", ".git/hooks/pre-commit", "high"),
        ("edit_file", "old.txt", "medium"),
        ("edit_file", "server.pem", "high"),
        ("glob", ".", "safe"),
        ("grep", "id_rsa", "high"),
    ],
)
def test_danger_is_that_of_the_call(name, path, danger, place):
    (place.inside / "old.txt").write_text("x")
    tool = native(name)
    given = tool.takes.model_construct(path=path)
    assert tool.danger(given, Context(place.inside, place.inside)) == danger
