"""Migration: what becomes of a project's GOTCHA.md, LEARNING.md and LEARNED.md, and what can never be lost."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kaizen_components import surfaces

ROOT = Path(__file__).resolve().parents[2]
OLD = "# Pitfalls\n\nThe cache outlives a deploy.\n"
NAMES = ["GOTCHA.md", "LEARNING.md", "LEARNED.md"]


def put(path: Path, text: str = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def backups(reply) -> dict[str, str]:
    """path -> the text that was kept of it, as the manifest says."""
    manifest = Path(reply["manifest"])
    steps = json.loads(manifest.read_text(encoding="utf-8"))["actions"]
    return {step["path"]: (manifest.parent / step["backup"]).read_text(encoding="utf-8") for step in steps if step["backup"]}


def tree(root: Path) -> dict[str, str]:
    """Every file of a project but those below AI/."""
    paths = [path for path in root.rglob("*") if path.is_file() and "AI" not in path.relative_to(root).parts]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


# --- the stubs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_this_repository_holds_the_stubs_itself(name):
    assert (ROOT / "evals" / name).read_text(encoding="utf-8") == surfaces.STUBS[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_says_what_it_is_and_names_commands_that_run(kz, populated, name):
    assert surfaces.STUBS[name].startswith("This file is a Kaizen command surface")
    commands = re.findall(r"^python kaizen\.py (.+)$", surfaces.STUBS[name], re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        op, *arguments = shlex.split(command)
        reply = kz(op, _args=arguments)
        assert reply.code == 0 or reply["code"] == "DENIED_RECORD_NOT_FOUND", (command, reply.stderr)


# --- M1 -------------------------------------------------------------------------------------------


def test_scan_lists_the_surfaces_of_the_root_and_of_every_folder_with_one_or_with_a_skill(kz, plane):
    put(plane / "skills" / "one" / "SKILL.md", "# One")
    put(plane / "notes" / "LEARNED.md")
    put(plane / "other" / "README.md")
    (found,) = kz.ok("M1")["roots"]
    folders = {Path(row["old_sibling_path"]).parent for row in found["files"]}
    assert folders == {plane, plane / "skills" / "one", plane / "notes"}
    assert (found["root"], found["exists"], found["count"]) == (str(plane), True, 9)


def test_scan_says_of_each_place_whether_it_is_there_a_stub_and_its_hash(kz, plane):
    put(plane / "GOTCHA.md")
    put(plane / "evals" / "GOTCHA.md", surfaces.STUBS["GOTCHA.md"])
    row = kz.ok("M1")["roots"][0]["files"][0]
    assert row == {
        "root": str(plane),
        "target_path": str(plane / "evals" / "GOTCHA.md"),
        "target_exists": True,
        "target_stub": True,
        "target_sha256": hashlib.sha256(surfaces.STUBS["GOTCHA.md"].encode()).hexdigest(),
        "old_sibling_path": str(plane / "GOTCHA.md"),
        "old_sibling_exists": True,
        "old_sibling_stub": False,
        "old_sibling_sha256": hashlib.sha256(OLD.encode()).hexdigest(),
    }


@pytest.mark.parametrize(
    "pruned", [".git", ".agents", ".claude", "node_modules", ".venv", "__pycache__", "_src", "_corpus", "_tmp", "AI", "evals"]
)
def test_scan_never_enters_these_folders(kz, plane, pruned):
    put(plane / "skill" / pruned / "deep" / "GOTCHA.md")
    assert kz.ok("M1")["roots"][0]["count"] == 3


def test_scan_follows_no_symlinked_folder(kz, plane, tmp_path):
    put(tmp_path / "elsewhere" / "GOTCHA.md")
    (plane / "linked").symlink_to(tmp_path / "elsewhere")
    assert kz.ok("M1")["roots"][0]["count"] == 3


def test_a_root_may_be_given_more_than_once(kz, plane):
    put(plane / "a" / "GOTCHA.md")
    put(plane / "b" / "GOTCHA.md")
    reply = kz.ok("M1", root=["a", str(plane / "b")])
    assert [(root["root"], root["count"]) for root in reply["roots"]] == [(str(plane / "a"), 3), (str(plane / "b"), 3)]


def test_a_root_that_is_not_there_is_said_to_be_missing(kz, plane):
    reply = kz.ok("M1", root="nowhere")
    assert reply["roots"] == [{"root": str(plane / "nowhere"), "exists": False, "files": [], "count": 0}]
    assert "nowhere" in reply["warnings"][0]


@pytest.mark.parametrize("op", ["M1", "M2", "M3", "M4", "M5"])
def test_a_root_outside_the_project_is_refused(kz, plane, tmp_path, op):
    reply = kz.denied("DENIED_ROOT_NOT_ALLOWLISTED", op, root=str(tmp_path))
    assert (reply["root"], reply["allowed_roots"]) == (str(tmp_path), [str(plane)])


def test_a_root_that_leaves_the_project_by_a_symlink_is_refused(kz, plane, tmp_path):
    (plane / "out").symlink_to(tmp_path)
    kz.denied("DENIED_ROOT_NOT_ALLOWLISTED", "M3", root="out")


def test_the_skills_root_is_allowed_as_well(kz, tmp_path, monkeypatch):
    monkeypatch.setenv("KAIZEN_SKILLS_ROOT", str(tmp_path / "skills"))
    put(tmp_path / "skills" / "one" / "GOTCHA.md")
    reply = kz.ok("M3", root=str(tmp_path / "skills" / "one"))
    assert reply["count"] == 3 and (tmp_path / "skills" / "one" / "evals" / "GOTCHA.md").is_file()


@pytest.mark.parametrize("op", ["M1", "M2", "M3", "M4", "M5"])
def test_no_data_plane_is_made_or_opened(kz, plane, op):
    kz.ok(op)
    assert not (plane / "AI" / "db").exists()


# --- M2 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "sibling", "wanted"),
    [
        (None, None, ["create-stub"]),
        ("stub", None, ["keep-stub"]),
        (OLD, None, ["backup-and-replace-stub"]),
        ("stub", OLD, ["backup-and-remove-old-sibling"]),
        ("stub", "stub", ["backup-and-remove-old-sibling"]),
        (OLD, OLD, ["backup-and-replace-stub", "backup-and-remove-old-sibling"]),
        (None, OLD, ["relocate-sibling-to-evals"]),
        (None, "stub", ["relocate-sibling-to-evals"]),
    ],
)
def test_dry_run_names_the_action_that_each_surface_needs(kz, plane, target, sibling, wanted):
    for path, text in ((plane / "evals" / "GOTCHA.md", target), (plane / "GOTCHA.md", sibling)):
        if text:
            put(path, surfaces.STUBS["GOTCHA.md"] if text == "stub" else text)
    reply = kz.ok("M2")
    own = [action for action in reply["actions"] if action["target_path"].endswith("/GOTCHA.md")]
    assert [action["action"] for action in own] == wanted
    assert reply["dry_run"] is True and reply["count"] == len(reply["actions"])
    for action in own:
        path = Path(action["path"])
        assert action["sha256"] == (hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None)


def test_dry_run_changes_nothing(kz, plane):
    put(plane / "GOTCHA.md")
    kz.ok("M2")
    assert tree(plane) == {"GOTCHA.md": OLD} and not (plane / "AI").exists()


def test_overlapping_roots_give_each_action_once(kz, plane):
    put(plane / "a" / "GOTCHA.md")
    assert kz.ok("M2", root=[".", "a"])["count"] == 6


def test_a_stub_is_known_behind_a_byte_order_mark(kz, plane):
    put(plane / "evals" / "GOTCHA.md", "\ufeff" + surfaces.STUBS["GOTCHA.md"])
    assert kz.ok("M2")["actions"][0]["action"] == "keep-stub"


# --- M3 -------------------------------------------------------------------------------------------


def test_apply_puts_stubs_into_evals_and_keeps_every_old_text(kz, plane):
    put(plane / "GOTCHA.md", "beside\n")
    put(plane / "evals" / "GOTCHA.md", "in evals\n")
    put(plane / "skill" / "LEARNED.md", "of a skill\n")
    reply = kz.ok("M3")
    assert backups(reply) == {
        str(plane / "GOTCHA.md"): "beside\n",
        str(plane / "evals" / "GOTCHA.md"): "in evals\n",
        str(plane / "skill" / "LEARNED.md"): "of a skill\n",
    }
    assert tree(plane) == {f"{folder}evals/{name}": surfaces.STUBS[name] for folder in ("", "skill/") for name in NAMES}
    assert reply["count"] == len(reply["changed"]) == 7


def test_the_manifest_lies_where_backups_lie_and_hashes_each_copy(kz, plane):
    put(plane / "GOTCHA.md")
    manifest = Path(kz.ok("M3")["manifest"])
    assert re.fullmatch(r"AI/work/kaizen-v4-migration/backups/\d{8}T\d{6}Z/manifest.json", manifest.relative_to(plane).as_posix())
    (step,) = [step for step in json.loads(manifest.read_text())["actions"] if step["backup"]]
    assert step["backup"] == "files/0001-GOTCHA.md" and step["bytes"] == len(OLD)
    assert step["sha256"] == hashlib.sha256((manifest.parent / step["backup"]).read_bytes()).hexdigest()


def test_old_bytes_are_kept_as_they_are(kz, plane):
    (plane / "GOTCHA.md").write_bytes(b"\xff\x00\r\nno text\x80")
    manifest = Path(kz.ok("M3")["manifest"])
    assert (manifest.parent / "files" / "0001-GOTCHA.md").read_bytes() == b"\xff\x00\r\nno text\x80"


def test_a_second_run_changes_nothing(kz, plane):
    put(plane / "GOTCHA.md")
    kz.ok("M3")
    before = tree(plane)
    again = kz.ok("M3")
    assert (again["changed"], again["count"]) == ([], 0) and tree(plane) == before


def test_what_people_added_to_a_stub_stays(kz, plane):
    text = surfaces.STUBS["GOTCHA.md"] + "\nOur own remark.\n"
    put(plane / "evals" / "GOTCHA.md", text)
    kz.ok("M3")
    assert tree(plane)["evals/GOTCHA.md"] == text


def test_runs_in_the_same_second_keep_their_backups_apart(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    manifests = []
    for text in ("first\n", "second\n", "third\n"):
        put(plane / "GOTCHA.md", text)
        manifests.append(kz.ok("M3"))
    assert [backups(reply)[str(plane / "GOTCHA.md")] for reply in manifests] == ["first\n", "second\n", "third\n"]


def test_nothing_is_changed_before_every_backup_is_written(kz, plane, monkeypatch):
    for name in NAMES:
        put(plane / name)
    before = tree(plane)
    monkeypatch.setattr(surfaces, "_carry_out", lambda step: pytest.fail("stop") if tree(plane) != before else interrupt())

    def interrupt():
        raise KeyboardInterrupt

    assert kz("M3").code == 130
    (manifest,) = (plane / "AI" / "work" / "kaizen-v4-migration" / "backups").glob("*/manifest.json")
    assert backups({"manifest": manifest}) == {str(plane / name): OLD for name in NAMES}


KILLED = """
import os, sys
from pathlib import Path
from kaizen_components import cli
import kaizen_components.surfaces as surfaces

left = int(sys.argv[1])

def dying(real):
    def step(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*arguments, **options)
    return step

# The process ends at the n-th call that touches the disk, as kill -9 would end it.
os.replace = dying(os.replace)
os.fsync = dying(os.fsync)
Path.unlink = dying(Path.unlink)
Path.mkdir = dying(Path.mkdir)
sys.exit(cli.main(["M3", "--json"]))
"""


def test_a_run_that_is_killed_anywhere_loses_nothing_and_the_next_one_finishes(kz, plane):
    texts = {"GOTCHA.md": "beside\n", "evals/GOTCHA.md": "in evals\n", "skill/LEARNED.md": "of a skill\n"}
    ended = 9
    for calls in range(1, 90, 4):
        for name, text in texts.items():
            put(plane / name, text)
        ended = subprocess.run([sys.executable, "-c", KILLED, str(calls)], cwd=ROOT, capture_output=True, timeout=60).returncode
        found = set(tree(plane).values())
        for manifest in (plane / "AI" / "work" / "kaizen-v4-migration" / "backups").glob("*/manifest.json"):
            found |= set(backups({"manifest": manifest}).values())
        assert set(texts.values()) <= found, calls
        kz.ok("M3")
        assert tree(plane) == {f"{folder}evals/{name}": surfaces.STUBS[name] for folder in ("", "skill/") for name in NAMES}, (
            calls
        )
        if ended == 0:
            break
    assert ended == 0


def test_a_file_that_changes_after_its_backup_is_left_alone(kz, plane, monkeypatch):
    put(plane / "GOTCHA.md")
    write = surfaces._write_manifest

    def edited_meanwhile(*arguments):
        put(plane / "GOTCHA.md", "newer\n")
        return write(*arguments)

    monkeypatch.setattr(surfaces, "_write_manifest", edited_meanwhile)
    reply = kz.ok("M3")
    assert (plane / "GOTCHA.md").read_text() == "newer\n"
    assert "GOTCHA.md" in reply["warnings"][0] and "M3 again" in reply["warnings"][0]
    monkeypatch.undo()
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(plane))
    assert backups(kz.ok("M3")) == {str(plane / "GOTCHA.md"): "newer\n"}


@pytest.mark.parametrize("place", ["GOTCHA.md", "evals/GOTCHA.md", "evals"])
def test_a_symlink_that_leads_outside_the_root_is_refused_before_anything_changes(kz, plane, tmp_path, place):
    outside = tmp_path / "outside"
    put(outside / "GOTCHA.md", "theirs\n")
    put(plane / "LEARNED.md")
    link = plane / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside if place == "evals" else outside / "GOTCHA.md")
    for op in ("M2", "M3", "M5"):
        assert kz.denied("DENIED_PATH_OUTSIDE_REPO", op)["path"].startswith(str(link))
    assert list(outside.iterdir()) == [outside / "GOTCHA.md"] and (outside / "GOTCHA.md").read_text() == "theirs\n"
    assert link.is_symlink() and (plane / "LEARNED.md").read_text() == OLD
    assert kz("M4")["status"] == "FAILED"


def test_a_symlink_to_the_surface_in_evals_is_removed_and_its_text_kept(kz, plane):
    put(plane / "evals" / "GOTCHA.md")
    (plane / "GOTCHA.md").symlink_to("evals/GOTCHA.md")
    reply = kz.ok("M3")
    assert set(backups(reply).values()) == {OLD} and "warnings" not in reply
    assert not (plane / "GOTCHA.md").is_symlink()
    assert (plane / "evals" / "GOTCHA.md").read_text() == surfaces.STUBS["GOTCHA.md"]


def test_a_symlink_inside_the_root_is_replaced_and_what_it_led_to_stays(kz, plane):
    put(plane / "docs" / "pitfalls.md")
    (plane / "evals").mkdir()
    (plane / "evals" / "GOTCHA.md").symlink_to("../docs/pitfalls.md")
    kz.ok("M3")
    assert (plane / "docs" / "pitfalls.md").read_text() == OLD
    assert not (plane / "evals" / "GOTCHA.md").is_symlink()


@pytest.mark.parametrize("place", ["evals/GOTCHA.md/x", "evals"])
def test_something_else_in_the_place_is_refused_before_anything_changes(kz, plane, place):
    put(plane / "LEARNED.md")
    put(plane / place, "x")
    kz.denied("DENIED_FILE_UNWRITABLE", "M3")
    assert (plane / "LEARNED.md").read_text() == OLD


def test_no_temporary_file_is_left(kz, plane):
    put(plane / "evals" / ".GOTCHA.md.kaizen", "left by a killed run")
    kz.ok("M3")
    assert sorted(path.name for path in (plane / "evals").iterdir()) == sorted(NAMES)


# --- M4 -------------------------------------------------------------------------------------------


def test_verify_lists_what_is_unmigrated_and_exits_0(kz, plane):
    put(plane / "GOTCHA.md")
    reply = kz("M4")
    assert (reply.code, reply["status"], reply["count"]) == (0, "FAILED", 3)
    assert reply["unmigrated"][0]["path"] == str(plane / "GOTCHA.md")


def test_verify_exits_1_when_it_is_strict(kz, plane):
    put(plane / "GOTCHA.md")
    reply = kz("M4", strict=True)
    assert (reply.code, reply["status"]) == (1, "FAILED") and reply.stderr == ""


def test_verify_is_content_after_apply(kz, plane):
    put(plane / "GOTCHA.md")
    put(plane / "skill" / "SKILL.md", "# Skill")
    kz.ok("M3")
    reply = kz.ok("M4", strict=True)
    assert (reply["unmigrated"], reply["count"]) == ([], 0)


def test_verify_notices_a_stub_that_is_gone_and_a_skill_that_has_none(kz, plane):
    kz.ok("M3")
    (plane / "evals" / "LEARNED.md").unlink()
    put(plane / "skill" / "SKILL.md", "# Skill")
    assert [action["action"] for action in kz("M4")["unmigrated"]] == ["create-stub"] * 4


def test_a_project_that_never_had_a_surface_has_nothing_to_migrate(kz):
    assert kz.ok("M4", strict=True)["count"] == 0


def test_a_person_sees_a_line_an_action(kz, plane):
    put(plane / "GOTCHA.md")
    shown = kz("M4", _text=True).stdout.splitlines()
    assert shown[:3] == ["FAILED: migration-verify", "Unmigrated (3)", "  relocate-sibling-to-evals       GOTCHA.md"]
    assert "  old text  GOTCHA.md" in kz("M1", _text=True).stdout.splitlines()


# --- M5 -------------------------------------------------------------------------------------------


def test_report_lists_the_pending_actions_as_markdown(kz, plane):
    put(plane / "GOTCHA.md")
    reply = kz.ok("M5")
    assert re.fullmatch(r"AI/work/kaizen-v4-migration/reports/migration-report-\d{8}T\d{6}Z\.md", reply["path"])
    text = (plane / reply["path"]).read_text(encoding="utf-8")
    assert reply["count"] == 3
    assert "- `GOTCHA.md` -> `evals/GOTCHA.md`" in text and "- `evals/LEARNED.md`" in text
    assert tree(plane) == {"GOTCHA.md": OLD}


def test_reports_of_the_same_second_have_different_names(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    assert kz.ok("M5")["path"] != kz.ok("M5")["path"]


def test_a_strange_file_name_breaks_neither_report_nor_manifest(kz, plane):
    folder = plane / "a`b\nc\udcff"
    put(folder / "GOTCHA.md")
    assert "- `a?b?c?/GOTCHA.md`" in (plane / kz.ok("M5")["path"]).read_text(encoding="utf-8")
    assert backups(kz.ok("M3")) == {str(folder / "GOTCHA.md"): OLD}
