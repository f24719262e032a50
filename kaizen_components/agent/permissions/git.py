"""Git: what a call of git would do, as far as its words tell. Git can run programs and write anywhere; most calls do neither."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .line import HOLE, Word

READS = frozenset(
    "status log diff show rev-parse ls-files ls-tree blame annotate describe shortlog rev-list name-rev for-each-ref show-ref merge-base grep"
    " count-objects diff-tree diff-index diff-files whatchanged cherry check-ignore check-attr range-diff show-branch version cat-file".split()
)
MAKES = frozenset("add commit tag branch notes stage gc pack-refs init update-ref symbolic-ref write-tree commit-tree".split())
CHANGES = frozenset(
    "checkout switch restore reset merge rebase cherry-pick revert stash apply am rm mv clean worktree sparse-checkout format-patch archive"
    " bundle reflog prune".split()
)
REACHES = frozenset("fetch pull push clone ls-remote".split())
# Options by which it runs programs, or reads settings from elsewhere; long ones may be shortened.
_RUNS = (
    "exec",
    "upload-pack",
    "receive-pack",
    "open-files-in-pager",
    "config",
    "template",
    "extcmd",
    "gpg-sign",
    "show-signature",
    "verify-signatures",
    "sign",
    "interactive",
    "local-user",
    "unsafe-paths",
    "recurse-submodules",
    "recursive",
    "ext-diff",
    "edit-description",
    "lost-found",
    "separate-git-dir",
    "interactive-rebase",
    "textconv",
    "filters",
)
# Long options that begin like one of those and are none.
_FINE = frozenset("edit text".split())
_RUNS_SHORT = {
    "grep": "O",
    "rebase": "xiS",
    "clone": "cu",
    "commit": "S",
    "tag": "su",
    "merge": "S",
    "cherry-pick": "S",
    "revert": "S",
    "am": "S",
    "pull": "S",
}
_PLAIN = frozenset(
    "-p --paginate -P --no-pager --no-replace-objects --literal-pathspecs --glob-pathspecs --noglob-pathspecs --icase-pathspecs"
    " --no-optional-locks --no-lazy-fetch".split()
)
# Their values are texts, not places.
_TEXTS = {
    "commit": ("-m", "--message", "--author", "--date"),
    "tag": ("-m", "--message"),
    "merge": ("-m",),
    **dict.fromkeys(("log", "shortlog", "rev-list"), ("--grep", "--author", "--since", "--until", "-S", "-G")),
}
_LOCAL = frozenset("user.name user.email".split())


@dataclass(slots=True)
class Said:
    """What a call of git would do; `places` are words that must name nothing outside, `moves` those that say where it works."""

    level: str = "safe"
    reason: str = "it only reads"
    network: bool = False
    links: bool = False
    beyond: str | None = None
    folders: tuple[str, ...] = ()
    places: list[Word] = field(default_factory=list)
    moves: list[Word] = field(default_factory=list)
    outputs: list[Word] | None = field(default_factory=list)
    # What it moves away or removes although no commit knows it.
    moved: list[Word] = field(default_factory=list)
    removed: list[Word] = field(default_factory=list)
    # What it may replace or remove by these names, and what it moves into the last of them.
    entries: list[Word] = field(default_factory=list)
    into: list[Word] = field(default_factory=list)
    # Its repository begins above the folder that it works in.
    above: bool = False

    def high(self, reason: str) -> Said:
        self.level, self.reason, self.beyond = "high", reason, reason
        return self


def judged(words: Sequence[Word], folders: tuple[str, ...]) -> Said:
    """What `git WORDS` would do, run in one of some folders."""
    said = Said(folders=folders)
    rest = list(words)
    while rest and rest[0].text.startswith("-"):
        word = rest.pop(0)
        if word.text in ("--version", "-v", "--exec-path", "--html-path", "--man-path", "--info-path") and not rest:
            return said
        if word.text == "-C" and rest:
            said.moves.append(rest.pop(0))
            if not _moved(said):
                return said.high("it works in a folder that is not there yet")
        elif word.text not in _PLAIN:
            return said.high(f"git {word.raw} can run anything, anywhere")
    if not rest:
        return said
    command = rest.pop(0)
    name = command.text
    said.places = _not_texts(name, rest)
    if HOLE in name:
        return said.high("what git does is not known before it runs")
    if name == "config":
        _config(said, rest)
    elif name == "remote":
        _remote(said, rest)
    elif name in READS:
        pass
    elif name in MAKES:
        said.level, said.reason, said.links = "low", f"git {name} adds to the repository", name == "init"
    elif name in CHANGES:
        said.level, said.reason, said.links = "medium", f"git {name} changes the workspace", True
        if name == "format-patch":
            said.beyond = "git format-patch names files by itself"
    elif name in REACHES:
        said.level, said.reason, said.network, said.links = "high", f"git {name} uses the network", True, True
    else:
        return said.high(f"git {name} can run anything")
    _options(said, name, rest)
    _unknown_to_commits(said, name, rest)
    _destinations(said, name, rest)
    if said.beyond is None and name not in ("init", "clone", "version"):
        _in_repository(said, name)
    return said


def _unknown_to_commits(said: Said, name: str, words: Sequence[Word]) -> None:
    """Files that no commit knows, and that git moves or removes all the same: those that are ignored are among them."""
    named = [word for word in words if not word.text.startswith("-")]
    options = [word.text for word in words if word.text.startswith("-")]
    if name == "mv":
        said.moved = named[:-1]
    elif name == "clean" and any(re.match(r"-[a-zA-Z]*[xX]", option) for option in options):
        said.removed = named or [Word(".", ".", -1, -1)]
    elif name == "stash" and any(re.match(r"-[a-zA-Z]*a|--al", option) for option in options):
        said.removed = [Word(".", ".", -1, -1)]


# Calls that leave the files of the workspace alone, of commands that else may change any of them.
_LEAVES = {
    "checkout": re.compile(r"-[bB] [^- ]\S*"),
    "switch": re.compile(r"-[cC] [^- ]\S*"),
    "reset": re.compile(r"(?:(?:-q|--quiet|--soft|--mixed|-N)(?: |$))*(?:[^- ]\S*(?: |$))*"),
    "stash": re.compile(r"(?:list|show|drop|clear)(?: .*)?"),
    "clean": re.compile(r"(?:-n|--dry-run)(?: [^- ]\S*)*"),
    "sparse-checkout": re.compile(r"list"),
}
_ANYTHING = frozenset(
    "checkout switch restore reset merge rebase cherry-pick revert stash apply am clean sparse-checkout pull".split()
)


def _destinations(said: Said, name: str, words: Sequence[Word]) -> None:
    """Where it writes by names that stand in its words, and whether it may write what none of them names."""
    behind = next((at for at, word in enumerate(words) if word.text == "--"), len(words))
    named = [word for at, word in enumerate(words) if at > behind or not word.text.startswith("-")]
    if name in _ANYTHING:
        leaves = _LEAVES.get(name)
        if leaves is None or not leaves.fullmatch(" ".join(word.text for word in words)):
            said.beyond = said.beyond or f"which files git {name} changes cannot be told"
            said.entries = named if name in ("checkout", "restore", "reset", "stash", "clean") else []
    elif name == "rm":
        said.entries = said.removed = named
        if any(word.pattern is not None or re.search(r"[*?\[:\\]", word.text) for word in named):
            said.beyond = said.beyond or "which files git rm removes cannot be told"
    elif name == "mv":
        said.entries, said.into = named[:-1], named
    elif name in ("worktree", "bundle"):
        said.outputs = None if said.outputs is None else [*said.outputs, *named[1:]]
    elif name == "init":
        said.outputs = None if said.outputs is None else [*said.outputs, *named]
    elif name == "clone":
        # Without a name of its own it gets that of what it is made from.
        made = [replace(word, text=re.sub(r"(?:/?\.git|\.bundle)?/*$", "", word.text).rpartition("/")[2]) for word in named]
        own = [replace(word, text=word.text.rpartition(":")[2]) for word in made]
        made = [word for word in (*made, *own) if word.text not in ("", ".", "..")]
        said.outputs = None if said.outputs is None else [*said.outputs, *named[1:], *made]
    elif name in ("update-ref", "symbolic-ref") and any(
        re.match(r"HEAD$|refs/", word.text) is None for word in named[:1] or words[:1]
    ):
        said.high(f"git {name} writes a file that is no reference")


def _not_texts(name: str, words: Sequence[Word]) -> list[Word]:
    """The words that are no texts for people. What begins with a dash may be an option whatever stands before it."""
    valued = _TEXTS.get(name, ())
    found: list[Word] = []
    skip = False
    for word in words:
        option = word.text.partition("=")[0]
        if (not skip or word.text.startswith("-")) and not (option in valued and "=" in word.text and option.startswith("--")):
            found.append(word)
        skip = not skip and (word.text in valued or (name == "commit" and re.fullmatch(r"-[aqsv]*m", word.text) is not None))
    return found


def _options(said: Said, name: str, words: Sequence[Word]) -> None:
    """What options and addresses add to it."""
    outputs: list[Word] = []
    for at, word in enumerate(said.places):
        text = word.text
        # Not even behind --, which may be the value of an option.
        if text.startswith("--"):
            option, equals, value = text[2:].partition("=")
            if option and option not in _FINE and any(run.startswith(option) for run in _RUNS):
                said.high(f"git {name} --{option.replace(HOLE, '?')} can run or write more")
                return
            if name == "branch" and option.startswith("edit"):
                said.high("it starts an editor")
                return
            if option and ("output".startswith(option) or "output-directory".startswith(option)):
                if equals:
                    outputs.append(Word(value, word.raw, -1, -1))
                elif at + 1 < len(said.places):
                    outputs.append(said.places[at + 1])
        elif re.match(r"-.", text):
            run = set(_RUNS_SHORT.get(name, "")) & set(text[1:])
            if run:
                said.high(f"git {name} -{min(run)} can run or write more")
                return
            if name in ("archive", "format-patch") and "o" in text[1:]:
                value = text.partition("o")[2]
                outputs += [Word(value, word.raw, -1, -1)] if value else said.places[at + 1 : at + 2]
        if re.search(r"(?:^|=)[A-Za-z0-9+.-]+::", text):
            said.high("it names a way of transport that can run programs")
            return
    if any("%G" in word.text for word in words):
        said.high("it starts gpg")
        return
    said.outputs = outputs


def _config(said: Said, words: Sequence[Word]) -> None:
    options = [word.text for word in words if word.text.startswith("-")]
    operands = [word.text for word in words if not word.text.startswith("-")]
    reading = {
        "--get",
        "--get-all",
        "--get-regexp",
        "--get-urlmatch",
        "--list",
        "-l",
        "--show-origin",
        "--show-scope",
        "--name-only",
        "-z",
        "--null",
        "--local",
    }
    if all(option in reading for option in options) and (
        len(operands) <= 1
        or operands[0] in ("get", "list")
        or set(options) & {"--get", "--get-all", "--get-regexp", "--get-urlmatch"}
    ):
        if operands[:1] and operands[0] in ("edit", "set", "unset"):
            said.high("git config changes what programs git runs")
        return
    if len(operands) == 2 and operands[0] in _LOCAL and set(options) <= {"--local"}:
        said.level, said.reason = "low", "it sets a name in the repository"
        return
    said.high("git config changes what programs git runs")


def _remote(said: Said, words: Sequence[Word]) -> None:
    action = next((word.text for word in words if not word.text.startswith("-")), "")
    if action in ("", "get-url"):
        return
    if action in ("show", "update", "prune"):
        said.level, said.reason, said.network = "high", "it asks another repository", True
    elif action in ("add", "rename", "remove", "rm", "set-url", "set-branches", "set-head"):
        said.level, said.reason = "medium", "it changes the other repositories that this one knows"
    else:
        said.high("git remote can do what cannot be told")


def _moved(said: Said) -> bool:
    """Go where the last -C says; False where that is not there."""
    word = said.moves[-1]
    if not word.known or word.pattern is not None:
        return False
    said.folders = tuple(dict.fromkeys(os.path.realpath(os.path.join(folder, word.text)) for folder in said.folders))  # noqa: PTH118
    return all(os.path.isdir(folder) for folder in said.folders)  # noqa: PTH112


def _in_repository(said: Said, name: str) -> None:
    """Refuse a folder that looks like a repository itself, or like the half of one: whoever could write its files could have git run
    anything."""
    for folder in said.folders:
        at = folder
        while True:
            there = {part for part in ("HEAD", "commondir", "objects", "refs") if os.path.lexists(os.path.join(at, part))}  # noqa: PTH118
            if "HEAD" in there and len(there) > 1:
                said.high(f"{at} looks like a repository without a .git folder, whose settings any file tool could have written")
                return
            if os.path.lexists(os.path.join(at, ".git")):  # noqa: PTH118
                said.above = said.above or at != folder
                break
            if at == "/":
                said.beyond = said.beyond or "there is no repository here yet"
                return
            at = os.path.dirname(at)  # noqa: PTH120
