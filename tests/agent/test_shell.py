"""What is understood of a command line, and what is not judged."""

from __future__ import annotations

import pytest

from kaizen_components.agent.permissions import shell
from kaizen_components.agent.permissions.line import HOLE


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    return tmp_path


def commands(text: str, folder) -> list[list[str]]:
    line = shell.parse(text, str(folder), "/home/me")
    assert line.unjudged == [], text
    return [[word.text for word in command.words] for command in line.commands]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git log", [["git", "log"]]),
        ("git log; id", [["git", "log"], ["id"]]),
        ("a && b || c & d\ne", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("(a; b) | { c; } |& d", [["a"], ["b"], ["c"], ["d"]]),
        ("git log $(id)", [["id"], ["git", "log", HOLE]]),
        ('echo "a $(b "$(c)") d"', [["c"], ["b", HOLE], ["echo", f"a {HOLE} d"]]),
        ("r''m -rf /", [["rm", "-rf", "/"]]),
        ("\"r\"'m' a\\ b", [["rm", "a b"]]),
        ('echo "a\\"b\\$c\\d"', [["echo", 'a"b$c\\d']]),
        ('rm -rf "$HOME" ${HOME}/x ~/y', [["rm", "-rf", "/home/me", "/home/me/x", "/home/me/y"]]),
        ("dd of=~/x a=~ b=x:~/y c='~'/x --d=~/x", [["dd", "of=/home/me/x", "a=/home/me", HOLE, "c=~/x", "--d=~/x"]]),
        ("x 'a b'c=~/x \"d\"=~ ~'me'/x", [["x", "a bc=~/x", "d=~", "~me/x"]]),
        ("echo '~' \"~\" \\~", [["echo", "~", "~", "~"]]),
        ("if a; then b; elif c; then d; else e; fi", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ('for f in *.py; do wc -l "$f"; done', [["wc", "-l", HOLE]]),
        ("while read -r x; do a; done < f", [["read", "-r", "x"], ["a"]]),
        ("! grep x y", [["grep", "x", "y"]]),
        ("[ -f x ] && [[ -d y && $a == b ]]", [["[", "-f", "x", "]"], ["[[", "-d", "y", HOLE, "==", "b", "]]"]]),
        ("a \\\n  b", [["a", "b"]]),
        ("a # b; c", [["a"]]),
        ("a b#c", [["a", "b#c"]]),
        ("cat <<'E' > x\n$(rm x)\nE\nls", [["cat"], ["ls"]]),
        ("X=1; X=$(id)", [["id"]]),
        ("LANG=C ls 2>&1", [["ls"]]),
        ("git show HEAD@{1} HEAD^ HEAD~2", [["git", "show", "HEAD@{1}", "HEAD^", "HEAD~2"]]),
        (
            "git log @{u}..HEAD {} {x} '{a,b}' \"{a,b}\" {a,b",
            [["git", "log", "@{u}..HEAD", "{}", "{x}", "{a,b}", "{a,b}", "{a,b"]],
        ),
        ("echo é 'ü'", [["echo", "é", "ü"]]),
        ("", []),
        ("# only this", []),
    ],
)
def test_a_line_is_its_commands(folder, text, expected):
    assert commands(text, folder) == expected


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("env A=b git log", ["git", "log"]),
        ("env -i -u X git log", ["git", "log"]),
        ("command -p git log", ["git", "log"]),
        ("exec git log", ["git", "log"]),
        ("nice -n 5 git log", ["git", "log"]),
        ("nohup git log", ["git", "log"]),
        ("timeout -k 5 --signal=KILL 10 git log", ["git", "log"]),
        ("time -p git log", ["git", "log"]),
        ("sudo -u root git log", ["git", "log"]),
        ("ls | xargs -0 -n 1 git log", ["git", "log"]),
        ("sh -c 'git log'", ["git", "log"]),
        ("bash -ec 'git log'", ["git", "log"]),
        ("eval git log", ["git", "log"]),
        ("find . -exec git log \\;", ["git", "log"]),
        ("busybox git log", ["git", "log"]),
        ("find -O3 -D tree -- sub -exec rm {} +", ["rm", "sub/{}"]),
        ("find - , sub -exec rm + {} \\;", ["rm", "+", "-/{}", ",/{}", "sub/{}"]),
        ("timeout 5 nice env sh -c 'time git log'", ["git", "log"]),
    ],
)
def test_what_starts_another_command_is_looked_into(folder, text, inner):
    found = commands(text, folder)
    assert inner in found


@pytest.mark.parametrize(
    "text",
    [
        "$X", "$(echo rm) x", "ev$(x)al", "eval $X", "eval \"$(cat f)\"", "sh -c \"$X\"", "echo x | sh", "bash", "bash -s < f", "sh <<E\nid\nE",
        "python x <(id)", "echo >(id)", "echo 'a", "echo \"a", "echo $(a", "if a; then", "a)", "alias ls=rm; ls", "ls() { rm x; }; ls",
        "function f { id; }", "echo \0", "echo \u200b", "ls\u00a0x", "ls \u202e", "echo \r", "echo {a,b}", "echo {1..3}", "echo $'a'", "echo $\"a\"",
        "echo !!", "echo `id`", "a\\\nb", "echo $((x))", "((x=1))", "[[ x -eq 1 ]]", "[ -v x ]", "test -v 'a[$(id)]'", "printf -v x y", "read 'a[$(id)]'",
        "echo ${!x}", "echo ${x@P}", "echo ${x:=$(id)}", "x[0]=1", "PATH=.; ls", "export FOO=1", "declare -i x=1", "for PATH in x; do ls; done", "read PATH",
        "cd \"$X\"", "cd nowhere && ls", "cd -", "pushd sub", "while a; do cd sub; cd ..; done", "source f", ". f", "trap 'id' EXIT", "set -a", "shopt -s extglob",
        "case x in a) b;; esac", "coproc id", "select x in a; do b; done", "for ((;;)); do a; done", "cat <<E\n$(id)\nE", "cat <<\"E F\"\nE F\n", "env -S 'id' x",
        "find . -exec", "timeout --odd 5 id", "bash --rcfile f", "hash -p /x ls", "enable -n echo", "let x=1",
        "true {HOME}>f", "true {PATH}>>f", "true {X}<f", "exec {IFS}>&1", "true {X[0]}>f", "echo {{x},b}", "echo {x},b}", "echo {x{y},b}", "echo {{1},..2}", "find - -exec + rm x", "find . -exec rm + x",
        "find -E . -delete", "xargs --replace rm echo", "xargs --max-lines rm echo", "xargs -Iecho echo x", "xargs -0I echo echo x", "mapfile -C id x", "unset PATH", "> $(id",
    ],
)  # fmt: skip
def test_what_cannot_be_judged_says_so(folder, text):
    assert shell.parse(text, str(folder), "/home/me").unjudged, text


@pytest.mark.parametrize("text", ["python - <<'E' && ls\nx\nE\n", "a >&-"])
def test_a_line_that_two_readings_take_differently_is_not_judged(folder, text):
    assert shell.parse(text, str(folder)).unjudged == ["it can be read in two ways"]


def test_redirects_are_kept_with_what_they_open(folder):
    line = shell.parse("a > x >> y 2> z &> q < r >| t 2>&1", str(folder))
    assert line.unjudged == []
    assert [(redirect.target.text, redirect.writes) for redirect in line.redirects] == [
        ("x", True), ("y", True), ("z", True), ("q", True), ("r", False), ("t", True),
    ]  # fmt: skip


def test_a_cd_moves_what_follows_it_and_may_have_failed(folder):
    for text in ("cd sub && a > x", "cd sub || a > x", "cd sub && cat <<E && a > x\nE"):
        assert str(folder / "sub") in shell.parse(text, str(folder)).redirects[-1].folders, text
    assert shell.parse("(cd sub && a) > x", str(folder)).redirects[0].folders == (str(folder),)
    line = shell.parse("cd sub && a; b", str(folder))
    here, there = str(folder), str(folder / "sub")
    assert [command.folders for command in line.commands] == [(here,), (there,), (here, there)]
    line = shell.parse("(cd sub; a); b", str(folder))
    assert line.commands[-1].folders == (here,)


def test_assignments_stand_with_their_command(folder):
    line = shell.parse("FOO=bar LD_PRELOAD=x git log", str(folder))
    assert [name for name, _ in line.commands[0].assignments] == ["FOO", "LD_PRELOAD"]


def test_what_a_line_that_cannot_be_judged_seems_to_hold_is_kept_for_denials(folder):
    line = shell.parse("alias x=y; rm -rf /", str(folder))
    assert line.unjudged
    assert ["rm", "-rf", "/"] in [[word.text for word in command.words] for command in line.guesses]


@pytest.mark.parametrize("text", [":(){ :|:& };:", ":() { : | : & } ; :", "b(){ b|b& };b"])
def test_a_fork_bomb_is_known_with_and_without_spaces(folder, text):
    assert shell.parse(text, str(folder)).bomb


@pytest.mark.parametrize(
    "text",
    ["(" * 3_000, "$(" * 3_000, "a;" * 3_000, "x" * 100_000, "sh -c " + "'sh -c " * 9, "\ud800", "{" * 999, "if a; then " * 400],
)
def test_no_text_is_too_much(folder, text):
    assert shell.parse(text, str(folder)).unjudged
