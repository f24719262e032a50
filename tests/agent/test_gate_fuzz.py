"""Whatever a command line looks like: what the gate allows stays in the workspace, and bash starts nothing that the gate has not seen.

The lines are really run, by bash, in a box whose system is read-only and whose world is watched.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import boxed
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaizen_components.agent import confinement
from kaizen_components.agent.permissions import gate, rules, shell
from kaizen_components.agent.permissions.line import Command, Word
from kaizen_components.agent.permissions.settings import Policy
from kaizen_components.agent.registry import native
from kaizen_components.agent.tool import Context

NARROW = ("Bash(echo *)", "Bash(git *)", "Bash(ls *)")
WIDE = (
    *NARROW,
    *(
        f"Bash({name} *)"
        for name in "cat touch mkdir rmdir rm cp mv tee find sort sed head ln uniq truncate dd grep chmod awk tree env xargs".split()
    ),
)

# --- lines ----------------------------------------------------------------------------------------

PLACES = (
    "x a.txt l2 l2/new y y/new d/config sub sub/b.txt sub/new ../outside ../outside/canary ../outside/new link link/new link/folder/new file.lnk ./link/../outside/z .. ../zz"
    ' $OUT/new $OUT ~/.bashrc ~/new $HOME/new ${HOME}/new "$HOME/new" . / /tmp/new sub/../link/new trap/new trap .git/config'
    " 'a b' lin? l*k/new *.lnk * [l]ink/new l[^x]nk/new l[[:alpha:]]nk/new l[!x]nk/new file.[a-z]nk sub/../../outside/q {link/new,x} {{x},$OUT/new} {x},link/new} {{a}{b},file.lnk} {x}{y,../outside/new} $'link/new' 'li'nk/new li\\nk/new \"link\"/new $X $X/new ${X:-../outside/new}"
    " $(echo ../outside/new) `echo link/new` $((1+1)) ~root/x ~+/../zz -- - é"
).split(" ")
GIT = (
    "log|status|log --oneline -1|diff|add x|add -A|commit -q -m m|commit --allow-empty -qm m|init P|init --bare P|-C P status|-C P init|--git-dir=P init"
    "|--work-tree=P checkout -f|--git-dir P init|log --output=P|log --outp=P|log --output P|diff --output=P|diff -oP|archive -o P HEAD|archive --output=P HEAD"
    "|bundle create P HEAD|format-patch -o P -1|format-patch -1|worktree add P|clone . P|clone -q . x|config --global alias.x y|config --file P a.b c|config a.b c"
    "|config core.hooksPath P|config alias.z '!touch ../outside/alias'|z|-c alias.z='!touch ../outside/alias' z|checkout -q evil|checkout -q main|stash"
    "|rebase -x 'touch ../outside/rebase' HEAD~1|rebase --exec='touch ../outside/r' HEAD~1|grep -O'touch ../outside/grep' alpha|grep --open-files-in-pager=touch alpha"
    "|submodule foreach 'touch ../outside/s'|bisect run touch ../outside/b|difftool -y -x 'touch ../outside/d'|--exec-path=P log|maintenance register|maintenance start"
    "|credential approve|bugreport -o P|rm -q a.txt|mv a.txt P|mv a.txt b.txt|tag t|branch b|reset -q --hard|clean -fdq|merge evil|cherry-pick evil|apply P|show HEAD"
    "|-p log|-P log|--no-pager log|-c core.fsmonitor='touch ../outside/f' status|--config-env=core.pager=OUT log|-c core.pager='touch ../outside/p' -p log"
    "|update-index --index-info|checkout-index -a --prefix=P|checkout-index -a --prefix=../outside/|read-tree HEAD|diff --no-index a.txt P|fetch . main|push . main:x"
    "|push P main|fetch P|remote add e P|remote add e 'ext::touch% ../outside/e'|ls-remote 'ext::sh -c touch% ../outside/e'|fetch 'ext::sh -c touch% ../outside/e'"
    "|clone 'ext::sh -c touch% ../outside/e' y|clone -u 'touch ../outside/u' . y|fetch --upload-pack='touch ../outside/u' .|fetch --upl='touch ../outside/u' ."
    "|notes add -m n|replace HEAD HEAD~1|hook run pre-commit|fast-import --export-marks=P|reflog expire --all|gc -q|fsck --lost-found|blame a.txt|shortlog"
    "|instaweb|daemon|gui|send-email P|filter-branch --tree-filter 'touch ../outside/fb' HEAD|am P|log --show-signature|commit -S -m m|commit -qam '/tmp: x'"
    "|commit -F P|--version|version|--help|help log|checkout evil -- trap|restore -s evil trap|sparse-checkout set P|rev-parse --git-dir|stash list -m --output=P|log --format --output=P|log -S --output=P|notes show -m --output=P|grep -e -- -O'touch ../outside/gr' alpha|grep -1O'touch ../outside/gr' alpha|archive -o -- --output=P HEAD|log --after -S --output=P|log -n -- --output=P"
    "|push -o -- --receive-pack='touch ../outside/rp;git-receive-pack' . HEAD:refs/heads/x|push --e='touch ../outside/rp;git-receive-pack' . HEAD:refs/heads/x|fetch -o -- --upload-pack='touch ../outside/up;git-upload-pack' ."
    "|mv -- a.txt P|bundle create -q P HEAD|bundle create -- P HEAD|rebase -s -- --exec='touch ../outside/re' HEAD|clone -o -- . P|$X|log $X|log $(echo --output=link/n)"
).split("|")
OTHERS = (
    "echo P|echo -n P|echo a > P|echo a >> P|echo a >| P|echo a &> P|echo a 2> P|echo a >& P|echo a <> P|echo a 1> P 2>&1|ls P|ls -la P|ls > P|cat P|cat < P|cat P > P|touch P"
    "|touch -r a.txt P|mkdir P|mkdir -p P/q|rm P|rm -rf P|rm -r P P|rm -f -- P|cp a.txt P|cp -r sub P|cp -t P a.txt|cp -tP a.txt|cp --target-directory=P a.txt|cp P P|mv a.txt P"
    "|mv P a.txt|mv -t P a.txt|mv P P|tee P|tee -a P|tee P P|find . -name x|find P -delete|find -L . -name new -delete|find . -exec touch P ;|find . -exec touch P \\;|find P -exec rm {} +"
    "|find . -exec touch {} +|find . -exec chmod 700 {} +|find . -name link -exec touch {} \\;|find sub -execdir touch P \\;|find . -exec sed -i s/a/b/ {} +|find . -fprint P|find . -fls P|sort -o P a.txt|sort -oP a.txt|sort --output=P a.txt|sort --outp P a.txt|sort -ro P a.txt|sort -T P a.txt|sed -i s/a/b/ P|sed -i.bak s/a/b/ P"
    "|sed 's/a/b/w ../outside/sed' a.txt|sed -n 'w link/sed' a.txt|sed '1e touch ../outside/sed' a.txt|sed -n 1p P|sed --in-place=../outside/* s/a/b/ a.txt|sed -i'../outside/*' s/a/b/ a.txt"
    "|sed -n '/a/w file.lnk' a.txt|sed s/a/b/e a.txt|sed -f P a.txt|sed -s 's/alpha/touch ..\\/outside\\/sede/e' a.txt|ln -s P y|ln P y|ln -s .. sub/up|ln -sf P a.txt|ln -s ../.. sub/up|uniq a.txt P|uniq P"
    "|truncate -s 0 P|dd if=a.txt of=P|dd of=P|echo -o../outside/xs|xargs sort|sort $X|cp --parents sub/b.txt P|cp -s P y|cp -l P y|cp -l ../outside/canary y|tree -R P|dd of=~/new|dd if=a.txt of=~/new|grep a P|grep -r a P|chmod 777 P|chmod -R 777 P|chmod a+x P|awk '{print > \"../outside/awk\"}' a.txt|awk 'BEGIN{system(\"touch ../outside/awk\")}'"
    "|awk '{print $1}' P|tree -o P|tree -oP|head P|head -n 1 P|env touch P|env -C .. touch zz|env X=1 echo P|xargs touch|echo P|rmdir P|cd P|cd sub|cd link|cd ..|cd|true|false|:|true {HOME}>P|: {PATH}>/dev/null; git log|true {HOME}>/dev/null; git config --global a.b c|true {IFS}</dev/null; touch ../outsidexq|exec {X}>P|sort -T -- -o P a.txt|sort -k 1 -- -o P|tree -P -- -o P|tree -oa P|tree -Lo 2 P"
    "|touch -dt P|touch -ar a.txt P|touch -r -- P|mkdir -Z P|mkdir -m -- P|truncate -os P|truncate -s -- P|truncate -cs 0 P|uniq -- a.txt P|uniq -f 1 a.txt P|uniq -c -- a.txt P|chmod -Rx P|chmod -R -- -x P|cp -- -t sub P|cp -t -- a.txt P|mv -S -- a.txt P"
    "|find -O3 P -delete|find -- P -delete|find -D tree P -delete|find - P -delete|find , P -delete|find . -exec touch + P ;|find . -exec touch + P \\;|find . -exec touch + {} P \\;|echo a | xargs --replace touch echo P|echo P | xargs -Iecho echo hi|head -n 1 -- P|tee -- -a P"
    "|dd if=a.txt -- of=P|ln -t -- a.txt P|ln -S -- a.txt P|ln -- a.txt P|rm -- -f P|rmdir -- P|sed -e -- -i s/a/b/ P|sed -i -e s/a/b/ -- P|awk -F -- '{print}' P|env -u -- touch P|timeout -s -- 2 touch P|xargs -I -- touch P"
    "|test -f P|[ -f P ]|[[ -f P ]]|test -v 'x[$(touch ../outside/v)]'|printf -v 'x[$(touch ../outside/v)]' y|read 'x[$(touch ../outside/v)]'|X=P|export X=P|X=P; echo y > $X|HOME=.. git config --global a.b c"
    "|GIT_DIR=../outside/g git init|GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=alias.z GIT_CONFIG_VALUE_0='!touch ../outside/q' git z|PATH=. git log|LANG=C git log|exec > P|exec 3> P|echo a >&3"
    "|eval 'echo a > ../outside/e'|eval echo a|bash -c 'echo a > ../outside/e'|sh -c 'git log'|alias git=touch|git() { touch ../outside/fn; }|function ls { touch ../outside/fn; }|source P|. P"
    "|trap 'touch ../outside/t' EXIT|set -a|shopt -s expand_aliases|time ls|! ls|command touch P|builtin echo a|command -p touch P|hash -p /bin/touch ls|enable -n echo|let 'x[$(touch ../outside/l)]=1'"
    "|X='-v a[$(touch ../outside/tv)]'; test $X|A=-v; B='a[$(touch ../outside/tv)]'; [ \"$A\" \"$B\" ]|printf $X|X='-v PATH .'; printf $X|wait $X|X='5 touch ../outside/w'; timeout $X git log|X='A=1 touch ../outside/w'; env $X git log|X='1 touch ../outside/w'; env A=$X git log|X='1 touch ../outside/w'; nice -n $X git log|X='-i ../outside/canary'; sed -n p $X|X=-i; sed -n p \"$X\" ../outside/canary|X='1 BEGIN{system(\"touch_../outside/w\")}'; awk -v a=$X '{print}'|X='-o../outside/w'; sort \"$X\" a.txt|X='-t ../outside'; cp $X a.txt|echo a > '-ew file.lnk'; sed -n p *|touch -- '-o..'; sort *|timeout * git log|nice $X git log|xargs $X git log|X=--output=../outside/w; git log $X|X=--output=../outside/w; git log \"$X\"|unset 'x[$(touch ../outside/l)]'|declare -n X=Y|coproc touch P|echo <(touch P)|echo a | tee >(cat > P)|cat <<< P > P|nohup touch P|timeout 2 touch P|nice touch P"
    "|printf 'git log'|printf '../outside/x\\0' | xargs -0 touch|echo ../outside/x | xargs touch|ls | xargs -I{} touch ../outside/{}|xargs -a a.txt touch|echo '* filter=x' > .gitattributes"
    "|echo 'gitdir: ../outside/g' > sub/.git|echo '[alias] z = !touch ../outside/al' >> .git/config|echo 'touch ../outside/hook' > .git/hooks/pre-commit|mkdir -p d/refs d/objects|echo 'ref: refs/heads/x' > d/HEAD"
    "|echo '[core] fsmonitor = touch ../outside/fsm' > d/config|git -C d status|git --version P|cp -a link l2|cp -P file.lnk a.txt|mv link l2|mv trap l2|mv file.lnk a.txt|cat a.txt file.lnk > sub/b.txt"
).split("|")

# Lines in which one command prepares what another is to stumble over.
SEQUENCES = (
    "mkdir -p sub/refs sub/objects; echo 'ref: refs/heads/x' > sub/HEAD; echo '[core] fsmonitor = touch ../../outside/seq; repositoryformatversion = 0' > sub/config; git -C sub status",
    "mkdir -p sub/refs sub/objects; echo 'ref: refs/heads/x' > sub/HEAD; printf '[core]\\n\\trepositoryformatversion = 0\\n\\tfsmonitor = touch ../../outside/seq\\n' > sub/config; cd sub && git status",
    "mkdir -p sub/refs sub/objects; echo 'ref: refs/heads/x' > sub/HEAD; echo '[alias] z = !touch ../outside/seq' > sub/config; git -C sub status",
    "git checkout -q evil; git init -q trap/x",
    "git checkout -q evil; touch trap/x",
    "git checkout -q evil && cp a.txt trap",
    "git checkout -q evil && sort -o trap/x a.txt",
    "git checkout -q evil; git log --output=trap/x",
    "git checkout -q evil; git worktree add trap/w",
    "git checkout -q evil; echo x > trap/y",
    "git checkout -q evil | tee trap/y",
    "git checkout -q evil; cd trap; touch y",
    "for i in 1 2; do echo x > trap/y; git checkout -q evil; done",
    "git stash -q; git checkout -q evil -- trap; dd if=a.txt of=trap/d",
    "cd link && echo a > y",
    "cd link || echo a > y",
    "true && cd link && echo a | cat &> y",
    "! cd link && echo a > y",
    "cd link && cat > y <<E\nhi\nE",
    "cd link && cat <<E && touch y\nhi\nE",
    "cat <<E && cd link\nhi\nE\ntouch y",
    "mv link l2; echo x > l2/new",
    "mv link l2 && touch l2/new",
    "mv link sub/l2; cp a.txt sub/l2",
    "mv file.lnk x; echo a > x",
    "mv file.lnk x; sed -n p x | tee x",
    "cp -a link l2; echo x > l2/new",
    "cp -P file.lnk x; truncate -s 0 x",
    "cp -l file.lnk x; echo a > x",
    "ln -s ../outside y; echo x > y/new",
    "ln link/canary y; echo x > y",
    "cp -r . sub/c; echo x > sub/c/link/new",
    "touch -- -t; mv * link",
    "touch -- '--target-directory=link'; cp *",
    "touch -- '--output=file.lnk'; git log *",
    "touch -- '-ofile.lnk'; sort *",
    "X=link/new; touch $X",
    "X='a.txt link/new'; touch $X",
    "echo link/new | xargs touch",
    "echo '-o file.lnk' > args; xargs -a args sort",
    "find . -name link -exec touch {}/new +",
    "find . -type l -exec touch {} +",
    "find . -type l -exec tee {} \\;",
    "PATH=$PWD:$PATH; echo 'touch ../outside/p' > git; chmod +x git; git log",
    "git init -q --bare b.git; echo '[core] fsmonitor = touch ../../outside/bare' >> b.git/config; git -C b.git status",
)

# Where a place stands in a command: P, also right behind a short option.
PLACE = re.compile(r"(?:(?<![A-Za-z])|(?<=-[a-zA-Z]))P(?![A-Za-z])")
places = st.sampled_from(PLACES)
noise = st.text(alphabet="ab \t'\"\\$`{}()[];&|<>*?~#!=-./\n\rλ\u00a0\u200b", max_size=6)


@st.composite
def simple(draw: st.DrawFn) -> str:
    """A simple command, with its places filled in and sometimes spelled strangely."""
    text = draw(st.one_of(st.sampled_from(GIT).map("git {}".format), st.sampled_from(OTHERS), st.sampled_from(OTHERS)))
    text = PLACE.sub(lambda _: draw(places), text)
    strange = draw(st.integers(0, 11))
    if strange == 0:
        text = draw(
            st.sampled_from(
                ["g''it log", '"git" log', "\\git log", "gi\\t log", "$'git' log", "/usr/bin/git log", "./git log", "g{i,i}t log"]
            )
        )
    elif strange == 1:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(noise) + text[at:]
    elif strange == 2:
        text += draw(st.sampled_from([" > ", " >> ", " 2>", " &>", " >|", " < "])) + draw(places)
    elif strange == 3:
        text = (
            draw(
                st.sampled_from(
                    [
                        "FOO=bar ",
                        "LANG=C ",
                        "time ",
                        "! ",
                        "env ",
                        "command ",
                        "exec ",
                        "nice ",
                        "GIT_TRACE=link/trace ",
                        "GIT_TRACE=$OUT/t ",
                    ]
                )
            )
            + text
        )
    return text


def _joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(
        parts, st.sampled_from(["; ", " && ", " || ", " | ", " & ", "\n", " |& ", ";", "&&", " # ", " \\\n"]), parts
    ).map("".join)
    wrapped = st.tuples(
        parts,
        st.sampled_from(
            [
                "({})",
                "{{ {}; }}",
                "echo $({})",
                'echo "$({})"',
                "echo `{}`",
                "bash -c '{}'",
                "if {}; then ls; fi",
                "if ls; then {}; else {}; fi",
                "for f in link sub; do {}; done",
                "for f in ../outside/q link/r; do echo x > $f; {}; done",
                "while false; do {}; done",
                "eval '{}'",
                "x=$({})",
                "f() {{ {}; }}; f",
                "cat <<E\n{}\nE",
                "cat <<'E' > x\n{}\nE\n{}",
                "cat <<E | sh\n{}\nE",
                "ls <<< '{}'",
                "case a in a) {};; esac",
                "[[ -f x && $({}) ]]",
                "echo $(( $({}) ))",
                "coproc {}",
                "timeout 2 {}",
                'echo "a $({}) b" > x',
                "'{}'",
                '"{}"',
                "echo '{}'",
                "# {}",
                "echo a#{}",
            ]
        ),
    ).map(
        lambda pair: pair[1].replace("{{", "\1").replace("}}", "\2").replace("{}", pair[0]).replace("\1", "{").replace("\2", "}")
    )
    return st.one_of(pair, wrapped)


lines = st.recursive(simple(), _joined, max_leaves=4)


# --- the box --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    if confinement.available().name != "bubblewrap":
        pytest.skip("no bubblewrap that works here")
    folder = tmp_path_factory.mktemp("box") / "world"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch, boxed.box(folder) as found:
        patch.setenv("HOME", str(folder / "home"))
        yield found


def _allowed(line: str, world: Path, allow: tuple[str, ...]) -> bool:
    ws = world / "ws"
    policy = Policy(rules=tuple(rules.parse("allow", text, "test", project=ws, home=world / "home") for text in allow))
    tool = native("bash_command")
    return gate.authorize(tool, tool.takes(command=line), Context(ws, ws), policy).decision == "allow"


RAN: list[str] = []


def stays_inside(line: str, found: boxed.Box, allow: tuple[str, ...]) -> None:
    if not line.strip() or not _allowed(line, found.world, allow):
        return
    came = found.run(line)
    RAN.append(line)
    assert came["changed"] == [], line


def _fits(word: Word, said: str, folder: Path) -> bool:
    """Whether a word of the parser can be what a program got."""
    if word.pattern is not None or not word.known:
        return True
    return word.text == said


def starts_what_was_seen(line: str, found: boxed.Box) -> None:
    """Every program that bash starts, with every word of it, is a command that the parser named."""
    if not line.strip():
        return
    parsed = shell.parse(line, str(found.world / "ws"), str(found.world / "home"))
    if parsed.unjudged:
        return
    for argv in found.run(line, stubs=True)["started"]:
        assert any(_named(command, argv, found.world) for command in parsed.commands), (line, argv)


def _named(command: Command, argv: list[str], world: Path) -> bool:
    if command.name != argv[0]:
        return False
    if command.appended or any(not word.known or word.pattern is not None for word in command.words):
        # Words that are not known may become any number of words: those before the first of them have to fit.
        fixed = []
        for word in command.words:
            if not word.known or word.pattern is not None:
                break
            fixed.append(word.text)
        return argv[1 : len(fixed)] == fixed[1:]
    return [word.text for word in command.words[1:]] == argv[1:]


COMMON = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=60, **COMMON)
@given(lines)
def test_what_is_allowed_by_narrow_rules_changes_nothing_outside(world, line):
    stays_inside(line, world, NARROW)


@settings(max_examples=60, **COMMON)
@given(lines)
def test_what_is_allowed_by_wide_rules_changes_nothing_outside(world, line):
    stays_inside(line, world, WIDE)


@settings(max_examples=60, **COMMON)
@given(lines)
def test_bash_starts_nothing_that_was_not_seen(world, line):
    starts_what_was_seen(line, world)


@pytest.mark.slow
# The same lines each time, but in a soak.
@settings(max_examples=4_000, **{**COMMON, "derandomize": "KAIZEN_SOAK" not in os.environ})
@given(lines)
def test_many_lines_change_nothing_outside(world, line):
    stays_inside(line, world, WIDE)
    starts_what_was_seen(line, world)


@settings(max_examples=100, **COMMON)
@given(st.one_of(lines, st.text(max_size=40), st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))))
def test_the_gate_never_raises(tmp_path_factory, line):
    ws = tmp_path_factory.getbasetemp()
    tool = native("bash_command")
    judgement = gate.authorize(tool, tool.takes.model_construct(command=line, cwd=None), Context(ws, ws), Policy())
    assert judgement.decision in ("ask", "deny")
    reading = native("read_file")
    gate.authorize(reading, reading.takes.model_construct(path=line), Context(ws, ws), Policy())


def _one_by_one(world: boxed.Box, *outside: str) -> None:
    """Every command that the fuzz is made of, with places outside of the workspace: one after the other, without luck."""
    RAN.clear()
    for text in [*map("git {}".format, GIT), *OTHERS]:
        for place in outside if PLACE.search(text) else outside[:1]:
            stays_inside(PLACE.sub(lambda _, place=place: place, text), world, WIDE)
    assert len(RAN) > 30, "the gate allows nothing any more"


def test_no_command_prepares_the_ground_for_another(world):
    for line in SEQUENCES:
        stays_inside(line, world, WIDE)


@pytest.mark.slow
def test_each_command_of_the_fuzz_alone(world):
    _one_by_one(world, "link/new", "../outside/new", "$OUT/new", "file.lnk", "trap/new", "l[^x]nk/new", "~/new", "$X")
