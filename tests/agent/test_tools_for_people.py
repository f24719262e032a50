"""What a person sees of a call, without --json: lines, no JSON."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def called(kz, plane):
    """called("glob", pattern="*") is what N2 prints; the last line is the call's."""

    def call(tool: str, **arguments: object) -> list[str]:
        return kz("N2", tool=tool, payload_json=json.dumps(arguments), _text=True).stdout.splitlines()

    (plane / "a.txt").write_text("alpha\n", encoding="utf-8")
    (plane / "empty").mkdir()
    (plane / "sub").mkdir()
    (plane / "sub/b.txt").write_text("beta\n", encoding="utf-8")
    return call


def test_a_folder_is_a_table_and_paths_are_lines(called):
    folder = called("list_directory", path=".")
    assert folder[0].endswith("  -  AI/") and folder[2].endswith("  -  sub/") and folder[3].endswith("  6  a.txt")
    assert called("list_directory", path="empty")[0] == "The folder is empty."
    assert called("glob", pattern="**/*.txt")[:2] in (["a.txt", "sub/b.txt"], ["sub/b.txt", "a.txt"])
    assert called("glob", pattern="*.none")[0] == "No file fits."
    assert called("file_exists", path="sub")[:3] == ["exists: true", "is_file: false", "is_directory: true"]


def test_a_search_says_what_it_found_and_that_it_found_nothing(called):
    assert called("grep", pattern="alpha")[0] == "a.txt:1:alpha"
    assert called("grep", pattern="a", output_mode="count")[:2] == ["a.txt:1", "sub/b.txt:1"]
    assert called("grep", pattern="alpha", output_mode="files")[0] == "a.txt"
    assert called("grep", pattern="gamma")[0] == "No match."


def test_a_background_command_says_what_it_said_and_how_it_stands(kz, called):
    kz.ok("N4", action="add", decision="allow", rule="Bash(echo alpha)")
    started = kz.ok("N2", tool="bash_command", payload_json='{"command": "echo alpha", "run_in_background": true}')
    shell_id = started["output"]["shell_id"]
    assert called("task_output", task_id=shell_id)[:2] == ["alpha", f"[{shell_id} completed, exit code 0]"]
    assert called("kill_shell", shell_id=shell_id)[0] == f"{shell_id} was over already: completed, exit code 0"


def test_the_word_for_how_it_went_is_that_of_the_record(kz, called):
    assert "  succeeded, " in called("file_exists", path="a.txt")[-1]
    assert kz.ok("N6")["records"][0]["status"] == "succeeded"
