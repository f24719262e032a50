"""read_file, write_file, edit_file, glob, list_directory and file_exists, as an agent uses them."""

from __future__ import annotations

import os
import random
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from kaizen_components.agent import diffs, workspace
from kaizen_components.agent.registry import native
from kaizen_components.agent.tool import Context, Outcome, ToolError
from kaizen_components.agent.tools import read_file as reading
from kaizen_components.agent.wildcards import Wildcard


@pytest.fixture
def base(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def called(name: str, base: Path, **arguments: object) -> Outcome:
    tool = native(name)
    return tool.run(tool.takes.model_validate(arguments), Context(workspace=base, cwd=base))


def fault(name: str, base: Path, **arguments: object) -> ToolError:
    with pytest.raises(ToolError) as raised:
        called(name, base, **arguments)
    return raised.value


# --- read_file -----------------------------------------------------------------------------------


def test_lines_are_numbered_from_one(base):
    (base / "x.txt").write_text("one\n\nthree\n")
    outcome = called("read_file", base, path="x.txt")
    assert outcome.output == "     1\tone\n     2\t\n     3\tthree"
    assert (outcome.metadata["total_lines"], outcome.metadata["truncated"]) == (3, False)


def test_offset_counts_lines_from_zero_and_says_where_to_go_on(base):
    (base / "x.txt").write_text("".join(f"line {number}\n" for number in range(1, 11)))
    outcome = called("read_file", base, path="x.txt", offset=3, limit=2)
    assert outcome.output == "     4\tline 4\n     5\tline 5"
    assert (outcome.metadata["total_lines"], outcome.metadata["truncated"], outcome.metadata["next_offset"]) == (10, True, 5)
    last = called("read_file", base, path="x.txt", offset=8, limit=2)
    assert last.metadata["truncated"] is False and "next_offset" not in last.metadata
    beyond = called("read_file", base, path="x.txt", offset=99)
    assert (beyond.output, beyond.metadata["total_lines"], beyond.metadata["truncated"]) == ("", 10, False)


def test_two_thousand_lines_come_by_default(base):
    (base / "x.txt").write_text("x\n" * 2_001)
    outcome = called("read_file", base, path="x.txt")
    assert (outcome.metadata["lines"], outcome.metadata["next_offset"]) == (2_000, 2_000)


@pytest.mark.parametrize(
    ("content", "lines"), [(b"", 0), (b"\n", 1), (b"a", 1), (b"a\nb", 2), (b"a\r\nb\r\n", 2), (b"\xef\xbb\xbfa\n", 1)]
)
def test_a_last_line_needs_no_newline(content, lines, base):
    (base / "x.txt").write_bytes(content)
    outcome = called("read_file", base, path="x.txt")
    assert outcome.metadata["total_lines"] == lines and "\r" not in outcome.output and "\ufeff" not in outcome.output


def test_a_long_line_is_cut_with_a_mark(base):
    (base / "x.txt").write_text("é" * 2_000 + "\n" + "é" * 3_000 + "\nend\n")
    outcome = called("read_file", base, path="x.txt")
    first, second, third = outcome.output.split("\n")
    assert first.endswith("é") and second.endswith("é [... 2000 bytes more]") and third == "     3\tend"
    assert (outcome.metadata["cut_lines"], outcome.metadata["truncated"], outcome.metadata["invalid_utf8"]) == (1, True, False)


def test_invalid_utf8_is_replaced_and_said(base):
    (base / "x.txt").write_bytes(b"good\nb\xe9d\n" + b"\xff" * 9_000 + b"\n")
    outcome = called("read_file", base, path="x.txt")
    assert "b\ufffdd" in outcome.output
    assert outcome.metadata["invalid_utf8"] is True and outcome.metadata["invalid_lines"] == [2, 3]


def test_utf16_with_a_mark_is_read(base):
    (base / "x.txt").write_bytes("one\r\nzwölf\r\n".encode("utf-16"))
    outcome = called("read_file", base, path="x.txt")
    assert outcome.output == "     1\tone\n     2\tzwölf" and outcome.metadata["encoding"] == "utf-16-le"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "a PNG image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"a\0b", None),
        (b"RIFF1234WEBPx\0", "a WebP image"),
    ],
)
def test_images_and_other_binaries_are_refused_by_name(content, what, base):
    (base / "x").write_bytes(content)
    refused = fault("read_file", base, path="x")
    assert refused.kind == "binary" and refused.metadata["looks_like"] == what and (what or "a binary file") in refused.message


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_lines_do_not_depend_on_how_the_bytes_come(block, base, monkeypatch):
    text = "".join(f"line {number} {'ü' * (number % 5)}\n" for number in range(60)) + "last"
    whole = text.split("\n")
    for offset, limit in ((0, 100), (0, 1), (5, 7), (59, 5), (60, 1), (61, 3)):
        window = reading._Window(offset, limit)
        data = text.encode()
        for start in range(0, len(data), block):
            window.add(data[start : start + block])
        window.end()
        assert (window.lines, window.number) == (whole[offset : offset + limit], len(whole))


def test_a_large_file_is_read_in_bounded_memory(base):
    with (base / "x.txt").open("wb") as file:
        for _ in range(64):
            file.write((b"x" * 99 + b"\n") * 10_000)
    tracemalloc.start()
    outcome = called("read_file", base, path="x.txt", offset=600_000, limit=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.metadata["total_lines"] == 640_000 and outcome.output.startswith("600001\txxx")
    assert peak < 8_000_000


def test_a_result_has_a_most(base):
    (base / "x.txt").write_text(("x" * 1_900 + "\n") * 400)
    outcome = called("read_file", base, path="x.txt")
    assert len(outcome.output) < 420_000 and outcome.metadata["truncated"]
    rest = called("read_file", base, path="x.txt", offset=outcome.metadata["next_offset"])
    assert outcome.metadata["lines"] + rest.metadata["lines"] == 400


@pytest.mark.parametrize("wrong", [{"offset": -1}, {"limit": 0}, {"offset": "1"}, {"lines": 3}, {"offset": 1.5}])
def test_arguments_are_judged_by_the_schema(wrong):
    with pytest.raises(ValueError):
        native("read_file").takes.model_validate({"path": "x", **wrong})


# --- write_file ----------------------------------------------------------------------------------


def test_a_write_counts_bytes_and_makes_folders(base):
    outcome = called("write_file", base, path="a/b/x.txt", content="zwölf\r\n")
    assert (base / "a/b/x.txt").read_bytes() == "zwölf\r\n".encode()
    assert outcome.metadata["bytes_written"] == 8 and outcome.metadata["created"] is True
    again = called("write_file", base, path="a/b/x.txt", content="")
    assert again.metadata["created"] is False and (base / "a/b/x.txt").read_bytes() == b""


def test_a_path_that_names_a_folder_is_no_file(base):
    assert fault("write_file", base, path="new/", content="x").kind == "is_directory"
    assert fault("write_file", base, path=".", content="x").kind == "is_directory"


# --- edit_file -----------------------------------------------------------------------------------


def test_an_edit_replaces_the_one_place(base):
    (base / "x.py").write_text("a = 1\nb = 2\n")
    outcome = called("edit_file", base, path="x.py", old_string="b = 2", new_string="b = 3")
    assert (base / "x.py").read_text() == "a = 1\nb = 3\n"
    assert (outcome.metadata["replacements"], outcome.metadata["line"]) == (1, 2)
    assert outcome.files[0].diff.endswith("@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = 3\n")


def test_an_edit_refuses_what_is_equal_absent_or_not_unique(base):
    (base / "x.py").write_text("x\nx\ny\n")
    assert fault("edit_file", base, path="x.py", old_string="x", new_string="x").kind == "not_changed"
    assert fault("edit_file", base, path="x.py", old_string="z", new_string="x").kind == "no_match"
    refused = fault("edit_file", base, path="x.py", old_string="x", new_string="z")
    assert refused.kind == "not_unique" and "2 times" in refused.message and refused.metadata["lines"] == [1, 2]
    assert called("edit_file", base, path="x.py", old_string="x", new_string="z", replace_all=True).metadata["replacements"] == 2
    assert (base / "x.py").read_text() == "z\nz\ny\n"


def test_places_that_overlap_are_not_unique(base):
    (base / "x").write_text("aaa")
    assert fault("edit_file", base, path="x", old_string="aa", new_string="b").metadata["occurrences"] == 2


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_windows_line_ends_and_the_mark_stay(mark, base):
    (base / "x.txt").write_bytes(mark + b"one\r\ntwo\r\nthree\r\n")
    called("edit_file", base, path="x.txt", old_string="one\ntwo\n", new_string="1\n2\n2b\n")
    assert (base / "x.txt").read_bytes() == mark + b"1\r\n2\r\n2b\r\nthree\r\n"


def test_mixed_line_ends_stay_as_they_are(base):
    (base / "x.txt").write_bytes(b"one\r\ntwo\nthree\r\nfour\r\n")
    called("edit_file", base, path="x.txt", old_string="three\nfour", new_string="3\n4")
    called("edit_file", base, path="x.txt", old_string="two", new_string="2")
    assert (base / "x.txt").read_bytes() == b"one\r\n2\n3\r\n4\r\n"


def test_an_edit_that_changes_line_ends_alone_changes_nothing(base):
    (base / "x.txt").write_bytes(b"one\r\ntwo\r\n")
    assert fault("edit_file", base, path="x.txt", old_string="one\n", new_string="one\r\n").kind == "not_changed"


def test_bytes_that_are_no_utf8_stay(base):
    (base / "x.txt").write_bytes(b"caf\xe9 = 1\n")
    called("edit_file", base, path="x.txt", old_string="= 1", new_string="= 2")
    assert (base / "x.txt").read_bytes() == b"caf\xe9 = 2\n"
    assert fault("edit_file", base, path="x.txt", old_string="2", new_string="zwölf").kind == "not_utf8"


def test_utf16_stays_utf16(base):
    (base / "x.txt").write_bytes("one\r\ntwo\r\n".encode("utf-16"))
    called("edit_file", base, path="x.txt", old_string="two", new_string="zwölf")
    assert (base / "x.txt").read_bytes() == "one\r\nzwölf\r\n".encode("utf-16")


def test_binaries_and_huge_files_are_not_edited(base, monkeypatch):
    (base / "x").write_bytes(b"a\0b")
    assert fault("edit_file", base, path="x", old_string="a", new_string="c").kind == "binary"
    monkeypatch.setattr("kaizen_components.agent.tools.edit_file.MOST", 10)
    (base / "y").write_text("y" * 11)
    assert fault("edit_file", base, path="y", old_string="y", new_string="c").kind == "too_large"


# --- diffs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_diff_can_be_applied(seed, base):
    chance = random.Random(seed)
    old = [f"line {chance.randrange(8)}\n" for _ in range(chance.randrange(40))]
    new = [line for line in old if chance.random() > 0.2]
    for _ in range(chance.randrange(4)):
        new.insert(chance.randrange(len(new) + 1), "new\n")
    before, after = "".join(old), "".join(new).removesuffix("\n" if seed % 3 else "")
    diff = diffs.unified(before.encode(), after.encode(), "x.txt")
    (base / "x.txt").write_text(before)
    if before != after:
        subprocess.run(["git", "apply", "--unidiff-zero", "-"], input=diff, text=True, cwd=base, check=True)
    assert (base / "x.txt").read_text() == after if (base / "x.txt").exists() else after == ""


@pytest.mark.parametrize(
    "change", [lambda lines: [line.replace("7", "x") for line in lines], lambda lines: lines[::-1], lambda lines: lines + lines]
)
def test_a_diff_of_a_megabyte_does_not_run_away(change, base):
    lines = [f"line {number}\n" for number in range(20_000)]
    (base / "x.txt").write_text("".join(lines))
    diff = diffs.unified("".join(lines).encode(), "".join(change(lines)).encode(), "x.txt")
    subprocess.run(["git", "apply", "-"], input=diff, text=True, cwd=base, check=True)
    assert (base / "x.txt").read_text() == "".join(change(lines))


# --- glob ----------------------------------------------------------------------------------------


def files(base: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text("x\n")
        os.utime(base / name, (number, number))


def test_files_come_newest_first_and_no_folders(base):
    files(base, "old.py", "src/mid.py", "src/deep/new.py", "src/x.txt")
    assert called("glob", base, pattern="**/*.py").output == ["src/deep/new.py", "src/mid.py", "old.py"]
    assert called("glob", base, pattern="*.py").output == ["old.py"]
    assert called("glob", base, pattern="src/**").output == ["src/x.txt", "src/deep/new.py", "src/mid.py"]
    assert called("glob", base, pattern="**/*.{py,txt}", path="src").output[0] == "src/x.txt"
    assert called("glob", base, pattern="nothing*").output == []


def test_what_comes_is_capped_and_says_so(base, monkeypatch):
    monkeypatch.setattr("kaizen_components.agent.tools.glob.MOST", 3)
    files(base, *(f"{number}.txt" for number in range(5)))
    outcome = called("glob", base, pattern="*")
    assert outcome.output == ["4.txt", "3.txt", "2.txt"]
    assert (outcome.metadata["count"], outcome.metadata["truncated"]) == (5, True)


def test_gitignore_is_honoured_where_it_lies_and_below(base):
    files(
        base, "a.log", "a.txt", "build/x.txt", "sub/a.txt", "sub/keep.log", "sub/deep/b.tmp", ".git/config", "sub/.git", ".hidden"
    )
    (base / ".gitignore").write_text("*.log\nbuild/\n")
    (base / "sub/.gitignore").write_text("!keep.log\n/deep/*.tmp\n")
    found = set(called("glob", base, pattern="**/*").output)
    assert found == {".gitignore", ".hidden", "a.txt", "sub/.gitignore", "sub/a.txt", "sub/keep.log"}
    assert called("glob", base, pattern="*", path="sub").output[-1] != "sub/.git"
    assert set(called("glob", base, pattern="**/*", path="sub").output) == {"sub/.gitignore", "sub/a.txt", "sub/keep.log"}
    assert called("glob", base, pattern="build/*").output == []
    # Whoever names an ignored folder wants to see it.
    assert called("glob", base, pattern="*", path="build").output == ["build/x.txt"]


@pytest.mark.parametrize("seed", range(12))
def test_gitignore_means_what_git_says(seed, base):
    chance = random.Random(seed)
    names = ["a", "b", "build", "keep", "x.log", "y.tmp", "z"]
    for _ in range(40):
        path = base.joinpath(*chance.choices(names, k=chance.randint(0, 2)))
        path = path / (chance.choice(names) + chance.choice(["", ".py", ".log"]))
        if not any(part.is_file() for part in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    parts = [
        "*.log",
        "build/",
        "/a",
        "!keep.log",
        "b/*",
        "!b/z",
        "**/z",
        "a/**",
        "x.*",
        "!*/",
        "# no",
        "",
        "\\!a",
        "y.tmp ",
        "[xy].py",
        "z/**/a",
        "**/build/**",
    ]
    for folder in [base, *(path for path in base.rglob("*") if path.is_dir() and chance.random() < 0.3)]:
        (folder / ".gitignore").write_text("\n".join(chance.sample(parts, k=4)))
    subprocess.run(["git", "init", "-q"], cwd=base, check=True)
    said = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"], cwd=base, capture_output=True, text=True, check=True
    )
    assert set(called("glob", base, pattern="**/*").output) == set(filter(None, said.stdout.split("\0")))


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*.py", ["a.py", ".py"], ["a/b.py", "a.pyc"]),
        ("**/*.py", ["a.py", "a/b.py", "a/b/c.py"], ["a.txt"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["z", "a"]),
        ("**", ["a", "a/b"], []),
        ("src/*", ["src/a"], ["src/a/b", "src"]),
        ("{a,b}/*.{x,y}", ["a/1.x", "b/1.y"], ["c/1.x", "a/1.z"]),
        ("{src/**,docs}/*.md", ["src/a.md", "src/b/a.md", "docs/a.md"], ["docs/b/a.md"]),
        ("a{,b{c,d}}", ["a", "abc", "abd"], ["ab"]),
        ("{a}", ["{a}"], ["a"]),
        ("[ab]?", ["ax", "b1"], ["cx", "a"]),
        ("[!a]", ["b"], ["a"]),
        (r"\*.txt", ["*.txt"], ["a.txt"]),
        (r"\{a,b}", ["{a,b}"], ["a"]),
        ("./a//b", ["a/b"], []),
        ("a**b", ["ab", "axb"], ["a/b"]),
    ],
)
def test_wildcards(pattern, fits, fits_not):
    wildcard = Wildcard(pattern)
    assert [path for path in fits + fits_not if wildcard.matches(path)] == fits


@pytest.mark.parametrize("pattern", ["a/../b", "{a,b}" * 20, "/", "x/.."])
def test_patterns_that_cannot_be_read(pattern, base):
    assert fault("glob", base, pattern=pattern).kind in ("bad_pattern", "outside_workspace")


def test_a_pattern_of_many_stars_is_matched_at_once():
    assert not Wildcard("*a" * 40 + "b").matches("a" * 250)


def test_a_pattern_may_say_itself_where_to_look(base):
    files(base, "src/a.py", "docs/b.py")
    assert called("glob", base, pattern=f"{base}/src/**/*.py").output == ["src/a.py"]
    assert called("glob", base, pattern="../docs/*.py", path="src").output == ["docs/b.py"]
    assert fault("glob", base, pattern="/etc/*").kind == "outside_workspace"
    assert fault("glob", base, pattern="../*").kind == "outside_workspace"
    access = native("glob").accesses(native("glob").takes(pattern="/etc/ssh/*"), Context(base, base))
    assert (access[0].way, access[0].what) == ("read", "/etc/ssh")


def test_a_walk_ends_when_its_time_is_over_or_it_is_asked_to(base):
    files(base, "a/b/c.txt")
    tool = native("glob")
    late = tool.run(tool.takes(pattern="**/*"), Context(base, base, deadline=0.0))
    assert late.output == [] and late.metadata["truncated"] is True
    context = Context(base, base)
    context.stop.ask()
    with pytest.raises(ToolError) as raised:
        tool.run(tool.takes(pattern="**/*"), context)
    assert raised.value.kind == "interrupted"


def test_descriptors_are_given_back(base):
    files(base, "a/b/c.txt", "d/e.txt")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        called("glob", base, pattern="**/*")
        called("list_directory", base, path="a")
        called("read_file", base, path="a/b/c.txt")
        called("write_file", base, path="a/new/x.txt", content="x")
        called("edit_file", base, path="a/new/x.txt", old_string="x", new_string="y")
        called("grep", base, pattern="x")
        fault("read_file", base, path="no")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# --- list_directory, file_exists -------------------------------------------------------------------


def test_a_listing_has_folders_first_with_size_and_time(base):
    files(base, "b.txt", "z/x", "a/x", ".hidden")
    os.utime(base / "b.txt", (0, 0))
    listed = called("list_directory", base, path=".").output
    assert [(entry["name"], entry["type"]) for entry in listed] == [
        ("a", "directory"),
        ("z", "directory"),
        (".hidden", "file"),
        ("b.txt", "file"),
    ]
    assert listed[3]["size"] == 2 and listed[3]["modified"] == "1970-01-01T00:00:00+00:00" and listed[0]["size"] is None


def test_a_long_listing_is_cut(base, monkeypatch):
    monkeypatch.setattr("kaizen_components.agent.tools.list_directory.MOST", 2)
    files(base, "a", "b", "c")
    outcome = called("list_directory", base, path=".")
    assert len(outcome.output) == 2 and outcome.metadata == {"path": ".", "count": 3, "truncated": True}


def test_what_exists(base):
    files(base, "a/x")
    assert called("file_exists", base, path="a/x").output == {"exists": True, "is_file": True, "is_directory": False}
    assert called("file_exists", base, path="a").output == {"exists": True, "is_file": False, "is_directory": True}
    for path in ("no", "no/no", "a/x/y"):
        assert called("file_exists", base, path=path).output == {"exists": False, "is_file": False, "is_directory": False}


# --- every one of them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["read_file", "write_file", "edit_file", "glob", "grep", "list_directory", "file_exists", "notebook_edit"]
)
def test_every_parameter_says_what_it_is_and_every_access_is_a_real_path(name, base):
    (base / "real").mkdir()
    (base / "link").symlink_to("real")
    tool = native(name)
    schema = tool.json_schema()
    assert all(value["description"] for value in schema["properties"].values()) and schema["additionalProperties"] is False
    given = tool.takes.model_construct(path="link/../link/x", notebook_path="link/../link/x", pattern="*")
    [access] = tool.accesses(given, Context(base, base))
    assert access.what == str(base / "real" / "x")
    assert access.way == ("read" if tool.reads_only else "write")
    assert workspace.access(access.way, "~", Context(base, base)).what == os.path.realpath(Path.home())
