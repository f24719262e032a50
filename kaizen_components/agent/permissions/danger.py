"""Danger: what a simple command would do, as far as its words tell: how dangerous it is, what it writes and reads, whether it needs a network.

safe      only reads, and is known to
low       makes what is new in the workspace
medium    changes the workspace, or runs a program that is not known
high      reaches beyond: other places, the network, code in its arguments, what programs are told to run
critical  can destroy a system or a home folder, takes rights, or runs what comes from the network
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..records import DANGERS
from . import git
from .files import SINKS, SYSTEM, lies_in
from .line import HOLE, Command, Line, Redirect, Word, places
from .shell import HARMLESS, parse
from .starters import SHELLS, roots_of_find

if TYPE_CHECKING:
    from ..tool import Context

SAFE, LOW, MEDIUM, HIGH, CRITICAL = DANGERS


@dataclass(frozen=True, slots=True)
class Where:
    """The folders that a command may be judged by: absolute, links followed."""

    workspace: str
    home: str
    directories: tuple[str, ...] = ()
    # Whether a rule opens a place for writing.
    opened: Callable[[str], bool] | None = None

    def holds(self, path: str) -> bool:
        return lies_in(path, self.workspace, *self.directories) or (self.opened is not None and self.opened(path))


@dataclass(slots=True)
class Effect:
    """What a command would do. `beyond`: why a rule with a wildcard is not meant to cover it; None: it is."""

    level: str = SAFE
    reason: str = "it only reads"
    writes: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    # Of what it writes, what it does to all that lies in a folder: removes, moves or closes it.
    whole: list[str] = field(default_factory=list)
    # Of these, what would then be no more, or another.
    replaced: list[str] = field(default_factory=list)
    network: bool = False
    beyond: str | None = None
    # It touches nothing, and needs no rule: cd, true, exit.
    neutral: bool = False
    # After it, a name may lead elsewhere than it did.
    links: bool = False
    # Git, in a folder that another command could make a repository of its own.
    above: bool = False

    def at_least(self, level: str, reason: str, *, beyond: bool = False) -> Effect:
        """Raise the danger; with `beyond`, also out of the reach of wildcards."""
        if DANGERS.index(level) > DANGERS.index(self.level):
            self.level, self.reason = level, reason
        if beyond and self.beyond is None:
            self.beyond = reason
        return self


# --- what programs are ----------------------------------------------------------------------------

NEUTRAL = frozenset("cd true false : exit test [ [[ pwd wait set break continue umask read sleep".split())
READERS = frozenset(
    "ls cat head tail wc stat file du df nl od hexdump strings cut tr uniq comm diff cmp paste column fold expand unexpand rev tac basename"
    " dirname realpath readlink echo printf whoami id groups uname uptime free ps which type seq expr md5sum sha1sum sha256sum sha512sum"
    " b2sum cksum sum grep egrep fgrep jq printenv nproc arch lscpu locale getconf numfmt tsort join look base64 base32 zcat zgrep sort"
    " tree xxd date hostname rg shuf iconv".split()
) | (NEUTRAL - {"cd"})
# Readers that write where they are told to: short and long options with a file, and the argument that is one.
_OUTPUTS = {
    "sort": ("oT", ("output", "temporary-directory")),
    "tree": ("o", ()),
    "shuf": ("o", ("output",)),
    "iconv": ("o", ("output",)),
    "base64": ("o", ("output",)),
}
_SECOND_IS_OUTPUT = frozenset({"uniq", "xxd"})
# Options by which readers run other programs or do more than read.
_RUNS = {
    "sort": ("compress-program",),
    "rg": ("pre", "hostname-bin"),
    "date": ("set",),
    "hostname": ("file", "boot"),
    "file": ("compile",),
}
WRITERS = frozenset("touch mkdir rmdir rm mv cp ln tee chmod chown chgrp truncate install unlink shred mkfifo split".split())
_NO_LINKS = frozenset("touch mkdir rmdir rm tee chmod chgrp chown truncate unlink".split())
# Options of those that copy and move, which are known to do no more than that.
_ANY = re.compile(r".*", re.DOTALL)
_PLAIN_OPTION = {
    "cp": re.compile(
        r"-(?:[fnprRTuviadP]+|t.*)|--?|--(?:force|verbose|no-clobber|recursive|archive|update|interactive|target-directory(?:=.*)?)"
    ),
    "mv": re.compile(r"-(?:[fnTuvi]+|t.*)|--?|--(?:force|verbose|no-clobber|update|interactive|target-directory(?:=.*)?)"),
    "install": re.compile(r"-(?:[dvpD]+|[tmog].*)|--?|--(?:directory|verbose|mode(?:=.*)?|target-directory(?:=.*)?)"),
    "ln": re.compile(r"-(?:[sfnvrT]+|t.*)|--?|--(?:symbolic|force|verbose|target-directory(?:=.*)?)"),
}
# Short options of those that change files: with a value, and without one; then long ones with a value.
_GRAMMAR = {
    "touch": ("drt", "acfhm", ("date", "reference", "time")),
    "mkdir": ("m", "pvZ", ("mode",)),
    "rmdir": ("", "pv", ()),
    "rm": ("", "fiIrRdv", ()),
    "mv": ("St", "bfinTuvZ", ("suffix", "target-directory")),
    "cp": ("St", "abdfHilLnPpRrsTuvxZ", ("suffix", "target-directory", "sparse", "no-preserve")),
    "ln": ("St", "bdfFiLnPrsTv", ("suffix", "target-directory")),
    "install": ("gmoSt", "bcCdDpsTvZ", ("group", "mode", "owner", "suffix", "target-directory", "strip-program")),
    "tee": ("", "aip", ()),
    "chmod": ("", "cfvRrwxXst", ("reference",)),
    "chown": ("", "cfhvRHLP", ("reference", "from")),
    "chgrp": ("", "cfhvRHLP", ("reference", "from")),
    "truncate": ("sr", "co", ("size", "reference")),
    "unlink": ("", "", ()),
    "shred": ("ns", "fuvxz", ("iterations", "size", "random-source")),
    "mkfifo": ("m", "Z", ("mode",)),
    "split": (
        "abClnt",
        "dxeu",
        ("suffix-length", "bytes", "line-bytes", "lines", "number", "separator", "additional-suffix", "filter"),
    ),
    "date": ("dfrs", "uR", ("date", "file", "reference", "set")),
}

TAKES_RIGHTS = frozenset(
    "sudo su doas pkexec runuser run0 sudoedit visudo passwd chpasswd useradd usermod userdel groupadd chroot nsenter".split()
)
DISKS = re.compile(
    r"(?:mkfs|mke2fs|fsck|fdisk|sfdisk|cfdisk|gdisk|sgdisk|parted|wipefs|mkswap|swapon|swapoff|losetup|cryptsetup|hdparm|badblocks|blkdiscard|mount"
    r"|umount|lvremove|vgremove|pvremove|lvcreate|debugfs|tune2fs|dmsetup|zpool|zfs|btrfs|mdadm|diskutil|format)(?:\..+)?"
)
HALTS = frozenset("shutdown reboot halt poweroff init telinit kexec insmod rmmod modprobe".split())
SERVICES = frozenset(
    "systemctl service launchctl crontab at batch iptables nft ufw sysctl ip ifconfig route useradd killall pkill kill xkill ldconfig"
    " update-alternatives loginctl setcap setfacl chattr".split()
)
NETWORK = frozenset(
    "curl wget aria2c http https xh nc ncat netcat socat telnet ftp sftp scp ssh rsync ping dig host nslookup traceroute nmap whois gh glab"
    " aws gcloud az kubectl helm docker podman apt apt-get dnf yum pacman brew apk snap lynx w3m rclone twine gem bundle composer"
    " ssh-copy-id mosh".split()
)
FETCHES = frozenset("curl wget aria2c http https xh nc ncat netcat socat ssh ftp lynx w3m".split())
# Of package tools these words need a network.
_INSTALLS = {
    "pip": "install download wheel index search",
    "pip3": "install download wheel index search",
    "uv": "pip sync add lock tool venv python publish",
    "npm": "install i ci add update publish exec audit login view outdated create init",
    "npx": "*",
    "pnpm": "install i add update publish dlx",
    "yarn": "install add upgrade publish dlx",
    "bun": "install add x update",
    "bunx": "*",
    "uvx": "*",
    "pipx": "*",
    "poetry": "install add update publish lock",
    "conda": "*",
    "cargo": "install fetch update publish add search",
    "go": "get install mod",
    "mvn": "*",
    "gradle": "*",
}
INTERPRETERS = re.compile(
    r"(?:python|pypy)[0-9.]*|perl[0-9.]*|ruby[0-9.]*|node|nodejs|deno|bun|php[0-9.]*|lua[0-9.]*|luajit|Rscript|R|osascript|tclsh|expect|guile|racket"
    r"|ghci?|scala|groovy|jshell|irb|ipython[0-9]*|zsh|ksh|mksh|fish|ash|csh|tcsh|pwsh|elvish|nu|xonsh|awk|gawk|mawk|nawk"
)
_CODE = re.compile(r"-[A-Za-z]*[ceErR]|--(?:eval|print|command|exec|run|init-command)(?:=.*)?|-p|eval|repl")
EDITORS = frozenset(
    "vi vim nvim view ex ed emacs nano pico less more man screen tmux script gdb lldb strace ltrace watch parallel entr".split()
)
HEAVY = frozenset("dd rsync tar unzip zip gzip gunzip bzip2 bunzip2 xz unxz zstd 7z ar cpio patch".split())
_ROOTS = frozenset(
    "/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /usr /var /Users /System /Library"
    " /Applications /usr/local /usr/bin /usr/lib /var/lib /tmp".split()
)


def danger_of(text: str, context: Context) -> str:
    """How dangerous a command line is in the place of a call."""
    where = Where(os.path.realpath(context.workspace), os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111 - without a home it stays
    return of_line(text, os.path.realpath(context.cwd), where)


def of_line(text: str, folder: str, where: Where) -> str:
    """How dangerous a command line is: the most that any of its commands is."""
    line = parse(text, folder, where.home)
    found = [SAFE if not line.unjudged else HIGH, of_whole(line)[0]]
    found += [effect(command, where).level for command in [*line.commands, *line.guesses]]
    for redirect in line.redirects:
        found += [of_write(path, where) for path in opened(redirect, where) or ()] if redirect.writes else []
    return max(found, key=DANGERS.index)


def of_whole(line: Line) -> tuple[str, str]:
    """(danger, why) of what only shows in the line as a whole."""
    if line.bomb:
        return CRITICAL, "it starts itself over and over"
    commands = [*line.commands, *line.guesses]
    fetching = any(command.name in FETCHES for command in commands)
    running = any(
        command.name in SHELLS or command.name in ("eval", "source", ".") or INTERPRETERS.fullmatch(command.name)
        for command in commands
    ) or any("runs what" in reason for reason in line.unjudged)
    if fetching and running and (line.unjudged or any(command.stdin or command.substituted for command in commands)):
        return CRITICAL, "it runs what comes from the network"
    if re.search(r"/dev/(?:tcp|udp)/", line.text):
        return CRITICAL, "it opens a connection by itself"
    return SAFE, ""


def opened(redirect: Redirect, where: Where) -> list[str] | None:
    """The absolute paths that a redirect may open, links followed; None where that cannot be told."""
    found = places(redirect.target, redirect.folders)
    return None if found is None else [os.path.realpath(path) for path in found]


def of_write(path: str, where: Where) -> str:
    """How dangerous it is to write to a place."""
    if path in SINKS:
        return SAFE
    if where.holds(path):
        return LOW
    return CRITICAL if lies_in(path, *SYSTEM) else HIGH


# --- one command ----------------------------------------------------------------------------------


def effect(command: Command, where: Where) -> Effect:
    """What a simple command would do."""
    name, program = command.name, command.program
    if HOLE in program:
        return Effect(HIGH, "which program it runs cannot be told", beyond="which program it runs cannot be told")
    if command.transparent and name not in TAKES_RIGHTS and name != "find":
        found = Effect(SAFE, "it only starts another command", neutral=True)
    elif "/" in program and not lies_in(os.path.realpath(program), "/usr", "/bin", "/sbin"):
        found = _unknown(command, where)
    else:
        found = _by_name(name, command, where)
    if not command.transparent and set(command.wrappers) & {"busybox", "toybox"}:
        found.at_least(MEDIUM, f"{command.wrappers[-1]} has a {name} of its own, with other options", beyond=True)
    _assigned(command, found)
    _options_unknown(name, command, found)
    if command.appended and (
        found.writes or name not in READERS or name in _OUTPUTS or name in _RUNS or name in _SECOND_IS_OUTPUT
    ):
        found.at_least(HIGH, "more words come from what it reads", beyond=True)
    if found.writes:
        for path in found.writes:
            level = of_write(path, where)
            if level in (HIGH, CRITICAL):
                found.at_least(level, f"it writes {path}")
    return found


def _options_unknown(name: str, command: Command, found: Effect) -> None:
    """What is not known before it runs may be an option; so may be the name of a file that a pattern finds."""
    plain = name in READERS and name not in _OUTPUTS and name not in _RUNS and name not in _SECOND_IS_OUTPUT
    if plain or command.transparent:
        return
    for word in command.arguments:
        if word.splits or word.text.startswith(HOLE):
            found.at_least(MEDIUM, f"{word.raw} may be an option", beyond=True)
        elif word.pattern is not None and word.text[:1] in "*?[" and name not in _NO_LINKS:
            found.at_least(LOW, f"{word.raw} may find a file that is named as an option; write ./{word.raw}", beyond=True)


def _by_name(name: str, command: Command, where: Where) -> Effect:
    words = command.arguments
    if name in TAKES_RIGHTS:
        return Effect(CRITICAL, f"{name} takes other rights", beyond=f"{name} takes other rights")
    if DISKS.fullmatch(name) and not (name == "mount" and not words):
        return Effect(CRITICAL, f"{name} works on disks", beyond=f"{name} works on disks")
    if name in HALTS:
        return Effect(CRITICAL, f"{name} stops the machine or changes its kernel", beyond=f"{name} stops the machine")
    if any(word.text in ("--version", "--help") for word in words) and len(words) == 1:
        return Effect(SAFE if name in READERS or _known(name) else MEDIUM, "it tells of itself")
    special = _SPECIAL.get(name)
    if special is not None:
        return special(command, where)
    if name in READERS:
        return _reader(name, command, where)
    if name in WRITERS:
        return _writer(name, command, where)
    if name in SERVICES:
        hard = name == "kill" and any(word.text in ("-1", "0") for word in words[1:])
        return Effect(
            CRITICAL if hard else HIGH, f"{name} works on what else runs here", beyond=f"{name} works on what else runs here"
        )
    if name in NETWORK:
        return _networked(name, command, where)
    if name in _INSTALLS:
        return _package(name, command, where)
    if INTERPRETERS.fullmatch(name):
        return _interpreter(name, command, where)
    if name in EDITORS:
        return Effect(HIGH, f"{name} can run anything")
    return _unknown(command, where)


def _known(name: str) -> bool:
    return bool(name in WRITERS or name in NETWORK or name in _INSTALLS or name in _SPECIAL or INTERPRETERS.fullmatch(name))


def _assigned(command: Command, found: Effect) -> None:
    """Variables that are set for one command."""
    strange = [name for name, _ in command.assignments if not HARMLESS.fullmatch(name)]
    if not strange:
        return
    acting = re.compile(
        r"LD_.*|DYLD_.*|BASH.*|ENV|PATH|IFS|GIT_.*|PYTHON.*|PERL.*|RUBY.*|NODE_.*|.*PAGER|.*EDITOR|HOME|SHELL.*|PROMPT_.*|PS4"
    )
    hard = [name for name in strange if acting.fullmatch(name)]
    found.at_least(HIGH if hard else MEDIUM, f"it sets {(hard or strange)[0]}", beyond=True)
    if found.beyond is None:
        found.beyond = f"it sets {strange[0]}"
    found.neutral = False


def _unknown(command: Command, where: Where) -> Effect:
    """A program that nothing is known of: it may change the workspace, and a rule that names it says so."""
    found = Effect(MEDIUM, f"what {command.name} does is not known")
    if "/" in command.program and not where.holds(os.path.realpath(os.path.join(command.folders[0], command.program))):  # noqa: PTH118
        found.at_least(HIGH, f"{command.program} lies outside of the workspace")
    return _kept_inside(command, where, found)


def _kept_inside(command: Command, where: Where, found: Effect, words: Sequence[Word] | None = None) -> Effect:
    """Out of the reach of wildcards where it names another place, or words that are not known."""
    if not all(where.holds(folder) for folder in command.folders):
        found.at_least(HIGH, "it runs outside of the workspace", beyond=True)
    for word in command.arguments if words is None else words:
        if not word.known:
            found.beyond = found.beyond or f"{word.raw} is not known before it runs"
        elif (place := outside(word, command.folders, where)) is not None:
            found.beyond = found.beyond or f"it names {place}, which lies outside of the workspace"
    return found


_ADDRESS = re.compile(r"(?:https?|ssh|git|ftp)://", re.IGNORECASE)


def outside(word: Word, folders: Sequence[str], where: Where) -> str | None:
    """The first place outside of the workspace that a word may name, as itself, behind a = or : or as an option's value."""
    if _ADDRESS.match(word.text):
        return None
    for text in _parts(word.text):
        for folder in folders:
            if (place := _outside(folder, text, where)) is not None:
                return place
    if word.pattern is not None:
        found = places(word, folders)
        for path in [word.text] if found is None else found:
            if not where.holds(real := os.path.realpath(path)) or found is None:
                return real
    return None


def _outside(folder: str, text: str, where: Where) -> str | None:
    if text.startswith("~"):
        text = where.home + text[1:]
    if len(text) > 4_000:
        return None
    real = os.path.realpath(os.path.join(folder, text))  # noqa: PTH118
    return None if real in SINKS or where.holds(real) else real


def _parts(text: str) -> Iterator[str]:
    """What in a word may be a path."""
    if not text.startswith("-"):
        yield text
    elif not text.startswith("--"):
        # The value of a short option stands right behind it, or behind others.
        for at in range(2, min(len(text), 24)):
            yield text[at:]
    for mark in ("=", ":", ","):
        if mark in text:
            yield from text.split(mark)[1:]
            yield text.split(mark)[0] if not text.startswith("-") else text.partition(mark)[2]
    if text.startswith("-"):
        for mark in ("/", "..", "~"):
            if mark in text:
                yield text[text.index(mark) :]


def _paths(words: Iterable[Word], command: Command, *, entry: bool = False) -> list[str] | None:
    """The absolute paths that words mean; None where one is not known. With `entry`, of a link the link itself."""
    found: list[str] = []
    for word in words:
        meant = places(word, command.folders)
        if meant is None:
            return None
        for path in meant:
            if entry and not path.endswith("/") and os.path.basename(path) not in (".", ".."):  # noqa: PTH119
                found.append(os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)))  # noqa: PTH118, PTH119, PTH120
            else:
                found.append(os.path.realpath(path))
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class _Call:
    """The words of a call as GNU's programs read them: options, also behind operands; `strange`: the first that is not known."""

    operands: list[Word] = field(default_factory=list)
    options: list[tuple[str, Word | None]] = field(default_factory=list)
    strange: str | None = None

    def values(self, *names: str) -> list[Word]:
        return [value for name, value in self.options if value is not None and (name in names or not names)]


def _call(name: str, words: Sequence[Word]) -> _Call:
    """What a call of one of the programs of _GRAMMAR says. With a strange option, every word may be an operand."""
    valued, flags, long = _GRAMMAR[name]
    said, rest = _Call(), list(words)
    while rest:
        word = rest.pop(0)
        text = word.text
        if text == "--":
            said.operands += rest
            break
        if not text.startswith("-") or text == "-":
            said.operands.append(word)
        elif text.startswith("--"):
            option, equals, value = text[2:].partition("=")
            if option in long and not equals:
                said.options.append((option, rest.pop(0) if rest else None))
                continue
            said.options.append((option, replace(word, text=value) if equals else None))
            if option not in long and any(known.startswith(option) for known in long):
                said.strange = said.strange or text
        else:
            for at, letter in enumerate(text[1:], 2):
                if letter in valued:
                    said.options.append((letter, replace(word, text=text[at:]) if text[at:] else rest.pop(0) if rest else None))
                    break
                said.options.append((letter, None))
                if letter not in flags:
                    said.strange = said.strange or text
    if said.strange is not None:
        said.operands = _any_operands(words)
    return said


def _any_operands(words: Sequence[Word]) -> list[Word]:
    """Every word that is an operand by any reading."""
    behind = next((at for at, word in enumerate(words) if word.text == "--"), len(words))
    return [word for at, word in enumerate(words) if at > behind or word.text == "-" or not word.text.startswith("-")]


def _second(name: str, words: Sequence[Word]) -> list[Word]:
    """The operands behind the first, of programs that read the first and write the second: all but options and the numbers of some."""
    counted = re.compile(
        r"-(?:[a-zA-Z]*[fsw]|-skip-fields|-skip-chars|-check-chars)"
        if name == "uniq"
        else r"-(?:c|cols|g|l|len|o|offset|s|seek|skip)"
    )
    behind = next((at for at, word in enumerate(words) if word.text == "--"), len(words))
    found: list[Word] = []
    for at, word in enumerate(words):
        number = (
            at <= behind and re.fullmatch(r"[-+]?(?:0x)?[0-9a-fA-F]+", word.text) and at and counted.fullmatch(words[at - 1].text)
        )
        option = at <= behind and word.text.startswith("-") and word.text != "-"
        if not number and (not option or (found and name == "xxd")):
            found.append(word)
    return found[1:]


def _lettered(words: Sequence[Word], letters: str) -> bool:
    """Whether one of some short options is given, or may be: any of the letters behind a single dash."""
    return any(re.match(rf"-(?!-).*[{letters}]", word.text, re.DOTALL) for word in words)


def _option(words: Sequence[Word], short: str, long: Sequence[str]) -> list[Word] | None:
    """Values of some options; None where one stands without a value that can be told. Long ones may be shortened. What stands behind -- is
    looked at as well, as that may be a value itself."""
    found: list[Word] = []
    for at, word in enumerate(words):
        text = word.text
        if text.startswith("--"):
            name, equals, value = text[2:].partition("=")
            if name and any(known.startswith(name) for known in long):
                if equals:
                    found.append(Word(value, value, word.start, word.end))
                elif at + 1 < len(words):
                    found.append(words[at + 1])
                else:
                    return None
        elif text.startswith("-") and short:
            place = next((n for n, char in enumerate(text) if n and char in short), None)
            if place is not None:
                if text[place + 1 :]:
                    found.append(Word(text[place + 1 :], word.raw, word.start, word.end))
                elif at + 1 < len(words):
                    found.append(words[at + 1])
                else:
                    return None
    return found


def _reader(name: str, command: Command, where: Where) -> Effect:
    words = command.arguments
    found = Effect(neutral=name in NEUTRAL)
    if name == "sleep" or name == "read":
        found.reason = "it waits"
    if name not in ("echo", "printf", "expr", "test", "[", "[[", "seq", "tr"):
        found.reads = _paths([word for word in words if not word.text.startswith("-") and word.known], command) or []
    short, long = _OUTPUTS.get(name, ("", ()))
    if short or long:
        outputs = _option(words, short, long)
        if name == "tree" and _lettered(words, "o"):
            # It takes the name from any of the words behind.
            outputs = list(words)
        _writes(found, command, outputs)
    if name in _SECOND_IS_OUTPUT:
        if any(not word.known for word in words):
            found.at_least(MEDIUM, "a word is not known before it runs", beyond=True)
        _writes(found, command, _second(name, words))
    for option in _RUNS.get(name, ()):
        for word in words:
            given = word.text[2:].partition("=")[0] if word.text.startswith("--") else ""
            if (given and option.startswith(given)) or (not word.known and name in ("sort", "rg", "date", "file")):
                found.at_least(HIGH, f"{name} --{option} does more than read", beyond=True)
    if (name == "date" and _sets_the_date(words)) or (
        name == "hostname" and any(not re.fullmatch(r"-[aAdfiIsyv]+|--[a-z-]+", word.text) for word in words)
    ):
        found.at_least(HIGH, f"{name} changes the machine", beyond=True)
    if name == "file" and _lettered(words, "C"):
        found.at_least(HIGH, "file -C writes", beyond=True)
    if name == "tree" and _lettered(words, "R"):
        found.at_least(MEDIUM, "tree -R writes files", beyond=True)
    if any(not word.known for word in words) and name in _OUTPUTS:
        found.at_least(MEDIUM, "a word is not known before it runs", beyond=True)
    return found


def _sets_the_date(words: Sequence[Word]) -> bool:
    said = _call("date", [word for word in words if not word.text.startswith("-I")])
    return (
        said.strange is not None
        or any(name in ("s", "set") for name, _ in said.options)
        or any(word.text[:1] != "+" for word in said.operands)
    )


def _writes(found: Effect, command: Command, words: Sequence[Word] | None, *, level: str = LOW, entry: bool = False) -> None:
    """Note the places that a command writes."""
    if words is None:
        found.at_least(HIGH, "what it writes cannot be told", beyond=True)
        return
    if not words:
        return
    paths = _paths(words, command, entry=entry)
    if paths is None:
        found.at_least(_unknown_place(words), "what it writes cannot be told", beyond=True)
        return
    found.writes += paths
    found.at_least(level, "it writes " + ", ".join(paths[:3]))


def _unknown_place(words: Sequence[Word]) -> str:
    """A place of which only the end is not known is less of a danger."""
    begins = all(word.known or not word.text.startswith((HOLE, "/", "~", "..")) for word in words)
    return MEDIUM if begins else HIGH


def _writer(name: str, command: Command, where: Where) -> Effect:
    words = command.arguments
    found = Effect(LOW if name in ("touch", "mkdir", "tee") else MEDIUM, f"{name} changes files", links=name not in _NO_LINKS)
    said = _call(name, words)
    operands = said.operands
    if said.strange is not None:
        found.at_least(MEDIUM, f"{name} has the option {said.strange.replace(HOLE, '?')}", beyond=True)
    if name in ("chmod", "chown", "chgrp"):
        if name == "chmod" and (any(re.search(r"s|^[2467]\d{3}$", word.text) for word in operands[:1]) or _lettered(words, "s")):
            found.at_least(HIGH, "it gives rights to whoever runs the file", beyond=True)
        if name != "chmod":
            found.at_least(HIGH, f"{name} changes who owns files", beyond=True)
        # The first is a mode or an owner, unless an option says it.
        if all(re.match(r"-[cfhvRHLP]+$|--(?:recursive|verbose|quiet|silent|changes)$|[^-]", word.text) for word in words):
            operands = operands[1:]
    if any(not word.known for word in words):
        found.at_least(_unknown_place(words), "what it changes cannot be told", beyond=True)
    strange = [
        word.text for word in words if word.text.startswith("-") and not _PLAIN_OPTION.get(name, _ANY).fullmatch(word.text)
    ]
    if strange:
        found.beyond = found.beyond or f"{name} has the option {strange[0].replace(HOLE, '?')}"
    targets = said.values("t", "target-directory") if name in ("cp", "mv", "ln", "install") else []
    if len(targets) > 1 or (targets and said.strange is not None):
        found.at_least(HIGH, "what it changes cannot be told", beyond=True)
    recursive = any(re.match(r"-[a-zA-Z]*[rRa]|--(?:rec|arc)", word.text) for word in words)
    if name in ("rm", "rmdir", "unlink", "shred"):
        _removed(name, operands, command, where, found, recursive)
    elif name == "mv":
        _writes(found, command, operands[:-1] if not targets else operands, level=MEDIUM, entry=True)
        found.whole = [*found.writes]
        _into(found, command, operands if not targets else [*operands, *targets])
        found.whole += _in_its_place(words, operands, command, "T", ("no-target-directory", "exchange"))
        found.replaced = found.whole
    elif name in ("cp", "install"):
        found.reads = _paths(operands if targets else operands[:-1], command) or []
        _into(found, command, operands if not targets else [*operands, *targets])
        found.links = recursive or any(re.match(r"-[a-zA-Z]*[dP]|--(?:no-d|pre|sym|link)", word.text) for word in words)
        if recursive:
            found.beyond = found.beyond or "what lies in the folders is not known"
        found.replaced = found.whole = _in_its_place(words, operands, command, "T", ("no-target-directory",))
    elif name == "ln":
        # Where the link lies, and where it will lead.
        names = operands[-1:] if len(operands) > 1 and not targets else targets or [Word(".", ".", -1, -1)]
        _into(found, command, [*operands, *(targets or ())] if len(operands) > 1 or targets else [*operands, *names])
        sources = operands if targets or len(operands) == 1 else operands[:-1]
        found.replaced = found.whole = _in_its_place(words, operands, command, "Tn", ("no-target-directory", "no-dereference"))
        if not any(re.match(r"-[a-zA-Z]*s|--sym", word.text) for word in words):
            # A second name of a file is a way to write it.
            _writes(found, command, sources, level=MEDIUM)
        for word in sources:
            leads = os.path.isabs(word.text) or ".." in word.text.split("/")  # noqa: PTH117
            if leads or outside(word, command.folders, where):
                found.at_least(HIGH, f"the link leads to {word.text.replace(HOLE, '?')}", beyond=True)
    else:
        _writes(found, command, operands, level=found.level)
        if name == "split":
            found.beyond = found.beyond or "split names files by itself"
    if name in ("chmod", "chown", "chgrp", "mv"):
        _roots(found, where)
    if name in ("rm", "rmdir", "unlink", "shred", "chmod", "chown", "chgrp"):
        found.whole = [*found.writes]
        found.replaced = found.whole if name in ("rm", "rmdir", "unlink", "shred") else []
    return _kept_inside(command, where, found, [*(word for word in words if word.text.startswith("-")), *said.values()])


def _in_its_place(
    words: Sequence[Word], operands: Sequence[Word], command: Command, short: str, long: Sequence[str]
) -> list[str]:
    """The place that the last word names, where options say that it is replaced, not filled, if it is a folder."""
    options = [word.text for word in words if word.text.startswith("-")]
    told = any(
        re.match(rf"-[a-zA-Z]*[{short}]", text)
        if not text.startswith("--")
        else len(text) > 5 and any(name.startswith(text[2:]) for name in long)
        for text in options
    )
    return (_paths(operands[-1:], command, entry=True) or []) if told and len(operands) > 1 else []


def _into(found: Effect, command: Command, words: Sequence[Word]) -> None:
    """What is copied or moved into the last of some words: that, or of a folder what gets the names of the others."""
    if not words:
        return
    _writes(found, command, words[-1:], level=MEDIUM)
    within = [Word(f"{words[-1].text}/{source.text.rstrip('/').rpartition('/')[2]}", source.raw, -1, -1) for source in words[:-1]]
    for word in within:
        if word.known and not any(char in word.text for char in "*?["):
            folders = [path for path in places(words[-1], command.folders) or () if os.path.isdir(path)]  # noqa: PTH112
            if folders:
                _writes(found, command, [word], level=MEDIUM)
    if any(source.pattern is not None for source in words[:-1]):
        found.beyond = found.beyond or "which files it copies cannot be told"


def _removed(name: str, operands: list[Word], command: Command, where: Where, found: Effect, recursive: bool) -> None:
    _writes(found, command, operands, level=MEDIUM, entry=name != "shred")
    _roots(found, where)
    if name == "rm" and any(word.text.startswith("--no-preserve") for word in command.arguments):
        found.at_least(CRITICAL, "it is told not to spare the root", beyond=True)
    for word in operands:
        if not word.known and re.fullmatch(rf"/?{HOLE}/?\*?", word.text) and recursive:
            found.at_least(HIGH, "what it removes is not known before it runs", beyond=True)
    if any(path == where.workspace for path in found.writes):
        found.at_least(HIGH, "it removes the whole workspace", beyond=True)


def _roots(found: Effect, where: Where) -> None:
    """What works on a whole system, or a home folder."""
    for path in found.writes:
        above = where.workspace.startswith(path.rstrip("/") + "/")
        if path in _ROOTS or path == where.home or above:
            found.at_least(CRITICAL, f"it works on {path}", beyond=True)


# --- programs with ways of their own --------------------------------------------------------------


def _find(command: Command, where: Where) -> Effect:
    texts = [word.text for word in command.arguments]
    found = Effect(SAFE, "it only looks")
    roots = list(roots_of_find(command))
    found.reads = _paths(roots, command) or []
    follows = any(text in ("-L", "-H", "-follow") for text in texts)
    acts = [text for text in texts if text in ("-delete", "-exec", "-execdir", "-ok", "-okdir")]
    written = [
        command.arguments[at + 1] for at, text in enumerate(texts[:-1]) if text in ("-fprint", "-fprint0", "-fls", "-fprintf")
    ]
    _writes(found, command, written)
    if "-delete" in acts:
        _writes(found, command, roots, level=MEDIUM)
        _roots(found, where)
    if acts:
        _kept_inside(command, where, found, roots)
    if acts and (follows or any(os.path.islink(path) for path in [str(root.text) for root in roots])):  # noqa: PTH114
        found.at_least(HIGH, "it follows links and acts on what it finds", beyond=True)
    if any(text.startswith("-files0") for text in texts):
        found.beyond = "where it looks is not known"
    for word in command.arguments:
        if not word.known:
            found.at_least(MEDIUM, f"{word.raw} is not known before it runs", beyond=True)
    return found


_SED_ADDRESS = r"(?:\d+|\$|/(?:[^/\\\n]|\\.)*/I?|\d+~\d+)"
_SED = re.compile(
    rf"\s*(?:{_SED_ADDRESS}(?:,(?:{_SED_ADDRESS}|\+\d+))?)?\s*!?\s*"
    r"(?:[pdDPqgGhHnNx=l]|q\d*|s(?P<mark>[/|#,:;@!])(?:(?!(?P=mark))[^\\\n]|\\.)*(?P=mark)(?:(?!(?P=mark))[^\\\n]|\\.)*(?P=mark)[gpiIm0-9]*"
    r"|y(?P<other>[/|#,])(?:(?!(?P=other))[^\\\n])*(?P=other)(?:(?!(?P=other))[^\\\n])*(?P=other))?\s*(?:;|\n|$)"
)


def _sed(command: Command, where: Where) -> Effect:
    words = list(command.arguments)
    found = Effect(SAFE, "it only reads")
    scripts: list[Word] = []
    files: list[Word] = []
    in_place = False
    given = False
    while words:
        word = words.pop(0)
        text = word.text
        if text in ("-e", "--expression") and words:
            scripts.append(words.pop(0))
            given = True
        elif text.startswith("--expression="):
            scripts.append(Word(text.partition("=")[2], word.raw, -1, -1))
            given = True
        elif (re.fullmatch(r"-[nErszu]*", text) and text != "-") or text in (
            "--quiet",
            "--silent",
            "--regexp-extended",
            "--null-data",
            "--debug",
            "--posix",
            "--sandbox",
        ):
            continue
        elif re.fullmatch(r"-[nErszu]*i[^/]*|--in-place(?:=[^/*]*)?", text):
            in_place = True
        elif text.startswith("-") and text not in ("-", "--"):
            found.at_least(MEDIUM, "an option of sed cannot be judged", beyond=True)
        elif not given and not scripts:
            scripts.append(word)
        else:
            files.append(word)
    for script in scripts:
        at = 0
        while script.known and at < len(script.text) and (match := _SED.match(script.text, at)) and match.end() > at:
            at = match.end()
        if not script.known or at < len(script.text):
            found.at_least(MEDIUM, "a script of sed can write and run", beyond=True)
    if in_place:
        _writes(found, command, files, level=MEDIUM)
    found.reads = _paths([word for word in files if word.known], command) or []
    return found


def _awk(command: Command, where: Where) -> Effect:
    words = list(command.arguments)
    found = Effect(SAFE, "it only reads")
    while words and words[0].text.startswith("-"):
        text = words.pop(0).text
        if text in ("-F", "-v") and words:
            words.pop(0)
        elif not re.fullmatch(r"-F.+|-v.+|--", text):
            return _unknown(command, where).at_least(MEDIUM, "an option of awk cannot be judged", beyond=True)
    program = words.pop(0) if words else None
    if (
        program is None
        or not program.known
        or re.search(r"system|getline|[|>@]|print\s+-|close|fflush|ENVIRON|extension", program.text)
    ):
        found.at_least(MEDIUM, "a program of awk can write and run", beyond=True)
    found.reads = _paths([word for word in words if word.known], command) or []
    return found


def _dd(command: Command, where: Where) -> Effect:
    found = Effect(MEDIUM, "it copies bytes")
    named = [word for word in command.arguments if word.text.startswith("of=")]
    outputs = [Word(re.sub(r"^~(?=/|$)", where.home, word.text[3:]), word.raw, -1, -1) for word in named]
    _writes(found, command, outputs, level=MEDIUM)
    return _kept_inside(command, where, found)


def _networked(name: str, command: Command, where: Where) -> Effect:
    found = Effect(HIGH, f"{name} uses the network", network=True)
    texts = [word.text for word in command.arguments]
    if name in ("nc", "ncat", "netcat") and any(re.match(r"-[a-zA-Z]*[ec]|--(?:exec|sh-exec|lua-exec)", text) for text in texts):
        found.at_least(CRITICAL, f"{name} hands a program to the network", beyond=True)
    if name == "socat" and any(re.search(r"(?:exec|system|shell)\s*:", text, re.IGNORECASE) for text in texts):
        found.at_least(CRITICAL, "socat hands a program to the network", beyond=True)
    if name == "curl":
        _writes(
            found,
            command,
            _option(
                command.arguments,
                "oDc",
                (
                    "output",
                    "output-dir",
                    "dump-header",
                    "cookie-jar",
                    "trace",
                    "trace-ascii",
                    "stderr",
                    "libcurl",
                    "etag-save",
                    "hsts",
                    "alt-svc",
                ),
            ),
            level=HIGH,
        )
        if any(re.match(r"-[OJ]|-[^-].*[OJ]|--remote-", text) for text in texts):
            # What it writes there is named by the address.
            _writes(found, command, [Word(".", ".", -1, -1)], level=HIGH)
        if _lettered(command.arguments, "K") or any(text.startswith("--conf") for text in texts):
            found.beyond = found.beyond or "curl reads its options from a file"
    if name == "wget":
        _writes(
            found,
            command,
            _option(command.arguments, "OoaP", ("output-document", "output-file", "append-output", "directory-prefix")),
            level=HIGH,
        )
        _writes(found, command, [Word(".", ".", -1, -1)], level=HIGH)
        if any(re.match(r"--(?:use-a|ex|conf)", text) for text in texts) or _lettered(command.arguments, "e"):
            found.beyond = found.beyond or "wget is told to run or to read more"
        if _lettered(command.arguments, "rmxpH") or any(
            re.match(r"--(?:rec|mir|force-d|page|cont|trust|no-h|no-d|cut|protocol-d)", text) for text in texts
        ):
            found.beyond = found.beyond or "wget names files by itself"
    if name in ("ssh", "scp", "sftp", "rsync") and (
        _lettered(command.arguments, "oFSeD")
        or any(text.startswith(("--rsh", "--rs", "--e", "--daemon", "--conf")) for text in texts)
    ):
        found.beyond = found.beyond or f"{name} can be told to run other programs"
    if name in ("scp", "rsync"):
        _writes(found, command, [word for word in command.arguments[-1:] if ":" not in word.text], level=HIGH)
    return _kept_inside(command, where, found)


def _package(name: str, command: Command, where: Where) -> Effect:
    wanted = _INSTALLS[name].split()
    said = next((word.text for word in command.arguments if not word.text.startswith("-")), "")
    if wanted == ["*"] or said in wanted or HOLE in said:
        return _kept_inside(command, where, Effect(HIGH, f"{name} {said} loads from the network", network=True))
    return _unknown(command, where)


def _interpreter(name: str, command: Command, where: Where) -> Effect:
    words = command.arguments
    texts = [word.text for word in words]
    if texts and all(re.fullmatch(r"-V+|-v|-h|--version|--help", text) for text in texts):
        return Effect(SAFE, "it tells of itself")
    found = Effect(MEDIUM, f"{name} runs a program")
    leading: list[str] = []
    for text in texts:
        if not text.startswith("-") and text not in ("eval", "repl"):
            break
        leading.append(text)
    if "-m" in leading or any(text.startswith("-m") for text in leading):
        return _kept_inside(command, where, found)
    if any(_CODE.fullmatch(text) for text in leading):
        found.at_least(HIGH, f"{name} runs code that stands in its arguments")
    elif not any(not text.startswith("-") for text in texts):
        found.at_least(HIGH, f"{name} runs what it reads", beyond=True)
    return _kept_inside(command, where, found)


def _git(command: Command, where: Where) -> Effect:
    said = git.judged(command.arguments, command.folders)
    found = Effect(said.level, said.reason, network=said.network, links=said.links, beyond=said.beyond, above=said.above)
    moved = Command(command.words, command.text, said.folders or command.folders)
    if said.outputs is None:
        found.at_least(HIGH, "what git writes cannot be told", beyond=True)
    else:
        _writes(found, moved, said.outputs)
    _writes(found, moved, said.entries, entry=True, level=MEDIUM)
    _into(found, moved, said.into)
    if any(lies_in(where.workspace, path) for path in _paths(said.entries, moved, entry=True) or []):
        found.beyond = found.beyond or "it takes the whole workspace along"
    found.replaced = _paths(said.moved, moved, entry=True) or []
    found.whole = [*found.replaced, *(_paths(said.removed, moved, entry=True) or [])]
    _kept_inside(moved, where, found, said.places)
    if said.moves and found.beyond is None:
        _kept_inside(command, where, found, said.moves)
    return found


def _shell(command: Command, where: Where) -> Effect:
    """A shell with a script of its own."""
    return _unknown(command, where)


def _cd(command: Command, where: Where) -> Effect:
    return Effect(SAFE, "it goes to a folder", neutral=True)


def _exec(command: Command, where: Where) -> Effect:
    return Effect(SAFE, "it only opens what it is told to", neutral=True)


def _command(command: Command, where: Where) -> Effect:
    return Effect(SAFE, "it only looks a program up")


_SPECIAL: dict[str, Callable[[Command, Where], Effect]] = {
    "git": _git,
    "find": _find,
    "sed": _sed,
    "gsed": _sed,
    "awk": _awk,
    "gawk": _awk,
    "mawk": _awk,
    "nawk": _awk,
    "dd": _dd,
    "cd": _cd,
    "exec": _exec,
    "command": _command,
    "env": _command,
    **dict.fromkeys(SHELLS, _shell),
}
