"""grep, with Python's own expressions and with ripgrep: one answer."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from kaizen_components.agent import matching
from kaizen_components.agent.registry import native
from kaizen_components.agent.tool import Access, Context, Outcome, ToolError
from kaizen_components.agent.tools import grep as searching

INSTALLED = shutil.which("rg")
ENGINES = [
    "python",
    "stand-in",
    pytest.param("ripgrep", marks=pytest.mark.skipif(INSTALLED is None, reason="ripgrep is not installed")),
]


@pytest.fixture
def base(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def use(tmp_path, monkeypatch):
    """use("python"), use("stand-in") or use("ripgrep"): what is on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    plain = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "rg").exists())

    def chosen(engine: str) -> str:
        (folder / "rg").unlink(missing_ok=True)
        if engine == "stand-in":
            program = Path(__file__).with_name("fake_rg.py").read_text()
            (folder / "rg").write_text(f"#!{sys.executable} -IS\n{program}")
            (folder / "rg").chmod(0o755)
        elif engine == "ripgrep":
            (folder / "rg").symlink_to(str(INSTALLED))
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{plain}")
        return "python" if engine == "python" else "ripgrep"

    return chosen


@pytest.fixture(params=ENGINES)
def engine(request, use) -> str:
    return use(request.param)


def searched(base: Path, pattern: str, **arguments: object) -> Outcome:
    tool = native("grep")
    return tool.run(tool.takes.model_validate({"pattern": pattern, **arguments}), Context(workspace=base, cwd=base))


def fault(base: Path, pattern: str, **arguments: object) -> ToolError:
    with pytest.raises(ToolError) as raised:
        searched(base, pattern, **arguments)
    return raised.value


def files(base: Path, **contents: str | bytes) -> None:
    for name, content in contents.items():
        path = base / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


# --- what is answered ----------------------------------------------------------------------------


def test_the_three_modes(base, engine):
    files(base, a_dot_py="x = 1\ny = 2\nx = 3\n", sub__b_dot_py="x\n", sub__c_dot_txt="none\n")
    content = searched(base, "x")
    assert content.output == "a.py:1:x = 1\na.py:3:x = 3\nsub/b.py:1:x"
    assert content.metadata == {"files": 2, "truncated": False, "engine": engine, "matches": 3}
    assert searched(base, "x", output_mode="files").output == ["a.py", "sub/b.py"]
    assert searched(base, "x", output_mode="count").output == {"a.py": 2, "sub/b.py": 1}
    assert searched(base, "x", path="sub").output == "sub/b.py:1:x"
    assert searched(base, "x", path="a.py", output_mode="count").output == {"a.py": 2}


@pytest.mark.parametrize(("mode", "empty"), [("content", ""), ("files", []), ("count", {})])
def test_no_match_is_an_answer(mode, empty, base, engine):
    files(base, a="x\n")
    assert searched(base, "absent", output_mode=mode).output == empty


def test_lines_around_a_match(base, engine):
    files(base, a="1\n2\nhit 3\n4\nhit 5\n6\n7\n8\n9\nhit 10", b="hit\n")
    assert searched(base, "hit", context=1).output.splitlines() == [
        "a-2-2", "a:3:hit 3", "a-4-4", "a:5:hit 5", "a-6-6", "--", "a-9-9", "a:10:hit 10", "--", "b:1:hit",
    ]  # fmt: skip
    assert searched(base, "hit", context=50, path="a").output.count("\n") == 9


def test_case_and_names(base, engine):
    files(base, a_dot_py="Hit\n", b_dot_py="hit\n", sub__c_dot_txt="HIT\n", sub__d_dot_min_dot_js="hit\n")
    assert searched(base, "hit", output_mode="files").output == ["b.py", "sub/d.min.js"]
    assert searched(base, "hit", case_insensitive=True, output_mode="files").metadata["files"] == 4

    def found(pattern: str) -> list[str]:
        return searched(base, "hit", case_insensitive=True, file_glob=pattern, output_mode="files").output

    assert found("*.py") == ["a.py", "b.py"]
    assert found("sub/*") == ["sub/c.txt", "sub/d.min.js"]
    assert found("**/*.{txt,js}") == ["sub/c.txt", "sub/d.min.js"]
    assert found("!*.min.js") == ["a.py", "b.py", "sub/c.txt"]
    assert found("[ab].py") == ["a.py", "b.py"]
    assert found("./sub/*.txt") == ["sub/c.txt"]


def test_what_is_ignored_is_not_searched(base, engine):
    files(
        base,
        _dot_gitignore="*.log\nbuild/\n",
        a_dot_log="x",
        a="x",
        build__b="x",
        sub__c_dot_log="x",
        _dot_git__d="x",
        _dot_hidden="x",
    )
    files(base, sub___dot_gitignore="!c.log\n")
    assert searched(base, "x", output_mode="files").output == [".hidden", "a", "sub/c.log"]
    assert searched(base, "x", output_mode="files", file_glob="*.log").output == ["sub/c.log"]
    assert searched(base, "x", path="sub", output_mode="files").output == ["sub/c.log"]
    assert searched(base, "x", path="a.log", output_mode="files").output == ["a.log"]
    assert searched(base, "x", path="build", output_mode="files").output == ["build/b"]


def test_keys_are_searched_only_where_they_are_named(base, engine):
    files(base, _dot_env="KEY=x\n", a="KEY=x\n", _dot_ssh__id_rsa="KEY=x\n", server_dot_pem="KEY=x\n")
    assert searched(base, "KEY", output_mode="files").output == ["a"]
    assert searched(base, "KEY", path=".env").output == ".env:1:KEY=x"
    assert native("grep").danger(native("grep").takes(pattern="x", path=".env"), Context(base, base)) == "high"


def test_where_nothing_is_found_the_files_that_were_withheld_are_counted(base, engine):
    files(base, _dot_env="KEY=x\n", a="other\n", sub__server_dot_pem="nothing\n", log_dot_pem="x", _dot_gitignore="log.pem\n")
    outcome = searched(base, "KEY")
    assert outcome.output == "" and outcome.metadata["withheld"] == 2 and "2 files were not searched" in outcome.metadata["note"]
    assert searched(base, "KEY", file_glob="*.pem").metadata["withheld"] == 1
    assert "withheld" not in searched(base, "KEY", file_glob="a").metadata
    assert "withheld" not in searched(base, "other").metadata


def test_files_that_rules_deny_are_not_searched(base, engine, tmp_path):
    files(
        base,
        a="x",
        private__b="x",
        sub__c="x",
        _dot_kaizen__settings_dot_json='{"permissions": {"deny": ["Read(private/**)"], "ask": ["Read(sub/c)"]}}',
    )
    assert searched(base, "x", output_mode="files", file_glob="?").output == ["a"]
    files(tmp_path, other__d="x", other___dot_env="x")
    tool = native("grep")
    granted = Context(base, base, granted=(Access("read", str(tmp_path / "other")),))
    assert tool.run(tool.takes(pattern="x", path=str(tmp_path / "other")), granted).output == f"{tmp_path}/other/d:1:x"


def test_binaries_are_passed_over_and_texts_of_any_kind_are_not(base, engine):
    files(
        base,
        bin=(b"hit" + b" " * 1_000 + b"\n") * 200 + b"\0",
        crlf=b"hit\r\n",
        bom=b"\xef\xbb\xbfhit\n",
        wide="hit zwölf\n".encode("utf-16"),
        bad=b"hit \xff\n",
        end=b"hit",
    )
    outcome = searched(base, "^hit")
    assert outcome.output.splitlines() == ["bad:1:hit \ufffd", "bom:1:hit", "crlf:1:hit", "end:1:hit", "wide:1:hit zwölf"]
    assert searched(base, "hit$", output_mode="files").output == ["bom", "crlf", "end"]
    assert searched(base, "hit", path="bin").output == ""
    files(base, image=b"\x89PNG\r\n\x1a\nhit\0")
    assert fault(base, "hit", path="image").kind == "binary"


def test_long_lines_are_cut(base, engine):
    files(base, a="x" * 5_000 + "\n")
    assert searched(base, "x+").output == "a:1:" + "x" * 2_000 + " [... 3000 characters more]"


def test_errors(base, engine):
    assert fault(base, "(").kind == "bad_pattern"
    assert fault(base, "x{99999999999}").kind == "bad_pattern"
    assert fault(base, "(" * 5_000 + ")" * 5_000).kind == "bad_pattern"
    assert fault(base, "x", path="no/such").kind == "not_found"
    assert fault(base, "x", file_glob="a/../b").kind == "bad_pattern"
    assert fault(base, "x", path="/etc").kind == "outside_workspace"


@pytest.mark.parametrize(
    "wrong", [{"context": -1}, {"output_mode": "lines"}, {"case_insensitive": 1}, {"glob": "*"}, {"pattern": ""}]
)
def test_arguments_are_judged_by_the_schema(wrong):
    with pytest.raises(ValueError):
        native("grep").takes.model_validate({"pattern": "x", **wrong})


def test_much_is_cut_at_the_same_place(base, use, monkeypatch):
    monkeypatch.setattr(searching, "MOST_MATCHES", 10)
    monkeypatch.setattr(searching, "MOST_FILES", 3)
    for number in range(6):
        files(base, **{f"f{number}": "before\n" + "hit\nbetween\n" * 4})
    said = []
    for name in ("python", "stand-in", *(["ripgrep"] if INSTALLED else [])):
        use(name)
        answers = [
            searched(base, "hit", context=context, output_mode=mode)
            for context in (0, 1)
            for mode in ("content", "files", "count")
        ]
        said.append([(answer.output, {**answer.metadata, "engine": ""}) for answer in answers])
    assert all(one == said[0] for one in said)
    content, named, counted = said[0][:3]
    assert content[0].count(":hit") == 10 and content[1]["truncated"] is True
    assert named[0] == ["f0", "f1", "f2"] and counted[0] == {"f0": 4, "f1": 4, "f2": 4} and named[1]["truncated"] is True


def test_an_answer_without_end_is_left_to_python(base, use, monkeypatch):
    use("stand-in")
    monkeypatch.setattr(searching, "MOST_SAID", 5_000)
    files(base, a="hit\n" * 200, b="hit\n")
    outcome = searched(base, "hit")
    assert outcome.metadata["engine"] == "python" and outcome.metadata["matches"] == 201


# --- one answer from both ------------------------------------------------------------------------

PATTERNS = [
    "needle", "need|thread", r"\bword\b", r"^\s*def (\w+)\(", "a.c", r"[a-c]{3}", r"x*", r"\d+", "$", "^$", r"\.", "ä+", "(?i)NEEDLE", r"\S+\s\S+$",
    r"[^a-z ]", r"(?:foo)?bar", r"w.{2,4}d", r"\w+\(\)", "a|", "--flag", r"(?P<n>a)b", r"[[]", r"[a&&b]", r"\<w", r"a++b", r"(?=n)n", r"(n)e\1?", r"\Aneedle",
    r"[-a]", r"[]a]", r"(?x) n e e d", r"\x41", "{", "interface{}", r"\t",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_engines_find_the_same(pattern, base, use):
    chance = random.Random(pattern)
    words = [
        "needle",
        "Needle",
        "thread",
        "word",
        "  def f(x)",
        "abc",
        "cab",
        "x",
        "",
        "12",
        "ä",
        "foobar",
        "bar",
        "f()",
        "--flag",
        "\t",
        "A{",
        "interface{}",
        "[",
        "ab",
        "wod <w &&",
    ]
    for number in range(12):
        end = chance.choice(["\n", "\r\n"])
        text = end.join(" ".join(chance.choices(words, k=chance.randint(0, 4))) for _ in range(30))
        files(base, **{f"d{number % 3}__f{number}_dot_txt": text + chance.choice(["", end])})
    expected = {}
    for path in sorted(base.rglob("*.txt")):
        lines = [line.removesuffix("\r") for line in path.read_bytes().decode().split("\n")]
        hits = [re.search(pattern, line) for line in (lines if lines[-1] else lines[:-1])]
        if any(hits):
            expected[path.relative_to(base).as_posix()] = sum(hit is not None for hit in hits)
    # The stand-in has Python's expressions: a few of them show that it is understood.
    engines = ["python", *(["stand-in"] if pattern in PATTERNS[:4] else []), *(["ripgrep"] if INSTALLED else [])]
    said = []
    for name in engines:
        use(name)
        ways = ({"context": 2}, {"case_insensitive": True}, {"output_mode": "count"}, {"output_mode": "files"})
        answers = [searched(base, pattern, **way) for way in (ways if len(engines) > 1 else ways[2:3])]
        said.append([(answer.output, {**answer.metadata, "engine": ""}) for answer in answers])
    assert all(one == said[0] for one in said)
    assert said[0][-2 if len(engines) > 1 else 0][0] == expected


@pytest.mark.parametrize("pattern", ["needle", r"[a-c]{3}", "ä", r"^x", "x$", r"\s+x", "(?i)K", "a|b"])
def test_pieces_of_a_file_are_searched_as_the_whole(pattern, tmp_path, monkeypatch):
    chance = random.Random(pattern)
    lines = [
        " ".join(chance.choices(["needle", "abc", "ä", "x", "\u212a", "", "kk"], k=chance.randint(0, 5))) for _ in range(400)
    ]
    (tmp_path / "x").write_text("\n".join(lines) + chance.choice(["", "\n"]))
    expected = [number for number, line in enumerate(lines, start=1) if re.search(pattern, line)]
    for block in (16, 100, 4_000, 1 << 20):
        monkeypatch.setattr(matching, "BLOCK", block)
        for context in (0, 2):
            search = matching.Search(pattern, ignore_case=False, context=context, most=1_000, mode="content")
            descriptor = os.open(tmp_path / "x", os.O_RDONLY)
            count, kept = search.file(descriptor)
            os.close(descriptor)
            assert ([number for number, _, matched in kept if matched], count) == (expected, len(expected))
            near = {near for hit in expected for near in range(hit - context, hit + context + 1) if 1 <= near <= len(lines)}
            assert [number for number, _, _ in kept] == [
                number
                for number in sorted(near)
                if lines[number - 1] or number < len(lines) or number in expected or (tmp_path / "x").read_text().endswith("\n")
            ]
            assert all(text == lines[number - 1] for number, text, _ in kept)


# --- time, and people who mean no good ------------------------------------------------------------


def test_an_expression_that_never_ends_is_ended(base, use, monkeypatch):
    use("python")
    monkeypatch.setattr(searching, "PATIENCE", 0.4)
    files(base, a="a" * 5_000 + "!\n")
    started = time.monotonic()
    assert fault(base, r"(a|aa)+$").kind == "timeout"
    assert time.monotonic() - started < 5


def test_the_end_of_the_run_ends_a_search(base, use):
    use("python")
    files(base, a="a" * 5_000 + "!\n")
    tool = native("grep")
    given = tool.takes(pattern=r"(a|aa)+$")
    with pytest.raises(ToolError) as raised:
        tool.run(given, Context(base, base, deadline=time.monotonic() + 0.3))
    assert raised.value.kind == "timeout"
    context = Context(base, base)
    threading.Timer(0.2, context.stop.ask).start()
    with pytest.raises(ToolError) as raised:
        tool.run(given, context)
    assert raised.value.kind == "interrupted"


def test_a_ripgrep_that_does_not_answer_is_ended(base, use, monkeypatch):
    use("stand-in")
    monkeypatch.setenv("TERM", "slow")
    monkeypatch.setattr(searching, "PATIENCE", 0.4)
    files(base, a="x\n")
    assert fault(base, "x").kind == "timeout"


@pytest.mark.parametrize(
    "program",
    ["#!/bin/sh\nexit 3\n", "#!/bin/sh\necho nonsense\n", "#!/no/such\n", '#!/bin/sh\necho \'{"type":"new","data":{}}\'\n'],
)
def test_a_ripgrep_that_is_none_is_done_without(program, base, use, tmp_path):
    use("stand-in")
    (tmp_path / "bin" / "rg").write_text(program)
    files(base, a="x\n")
    outcome = searched(base, "x")
    assert outcome.output == "a:1:x" and outcome.metadata["engine"] == "python"


def test_a_ripgrep_in_the_workspace_is_not_trusted(base, monkeypatch):
    files(base, rg="#!/bin/sh\ntouch ran\n", a="x\n")
    (base / "rg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{base}:/usr/bin:/bin")
    assert searched(base, "touch|x", output_mode="files").output == ["a", "rg"]
    assert not (base / "ran").exists()


def test_what_ripgrep_says_has_to_stand_in_the_file(base, use, tmp_path):
    """A folder that is a link while ripgrep opens its files, and none before and after."""
    use("stand-in")
    files(base, a__x="mine hit\n")
    outside = tmp_path / "outside"
    files(tmp_path, outside__x="secret hit\n")
    program = (tmp_path / "bin" / "rg").read_text()
    swap = f"import os\nos.rename('a', 'b')\nos.symlink({str(outside)!r}, 'a')\n"
    back = "os.unlink('a')\nos.rename('b', 'a')\n"
    program = (
        program.replace("os.walk(path)", "os.walk(path, followlinks=True)").removesuffix("main()\n") + swap + "main()\n" + back
    )
    (tmp_path / "bin" / "rg").write_text(program)
    for mode in ("content", "files", "count"):
        outcome = searched(base, "hit", output_mode=mode)
        assert "secret" not in str(outcome.output) and "a/x" not in str(outcome.output), mode
    assert (base / "a" / "x").read_text() == "mine hit\n"


def test_only_what_was_judged_is_searched(base):
    files(base, a__x="hit\n", b__x="hit\n")
    tool = native("grep")
    granted = (Access("read", str(base / "a")),)
    assert tool.run(tool.takes(pattern="hit", path="a"), Context(base, base, granted=granted)).output == "a/x:1:hit"
    with pytest.raises(ToolError):
        tool.run(tool.takes(pattern="hit", path="b"), Context(base, base, granted=granted))


@pytest.mark.slow
def test_five_thousand_files_take_less_than_a_second_without_ripgrep(tmp_path, use):
    use("python")
    for number in range(5_000):
        folder = tmp_path / "tree" / f"d{number % 100}"
        if number < 100:
            folder.mkdir(parents=True)
        (folder / f"f{number}.py").write_bytes(
            b"def f(x):\n    return x + 1\n" * 20 + (b"# needle\n" if number % 500 == 0 else b"")
        )
    (tmp_path / "tree" / ".gitignore").write_text("*.log\nbuild/\n__pycache__/\n")
    times = []
    for _ in range(3):
        started = time.perf_counter()
        outcome = searched(tmp_path / "tree", r"need\w+")
        times.append(time.perf_counter() - started)
    assert outcome.metadata["matches"] == 10
    assert min(times) < 1.0, times
