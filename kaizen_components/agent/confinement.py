"""Confinement: what holds a program in: bubblewrap, else Landlock, else nothing, and the record says which.

    available() tries out, once in a process, what this machine has: a program is really started and really tries to get out.
    jail(context) says what a command of a call may do; hold(...) makes of it the words, variables and way in which it is started.

What holds is named in each record, and so is what does not: nothing is claimed that was not seen or is not known of the means.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial, process

if TYPE_CHECKING:
    from .shielded import Shielded
    from .tool import Context

VARIABLE = "KAIZEN_CONFINEMENT"
CHOICES = ("auto", "bubblewrap", "landlock", "none")
# How long the trial may take, in seconds.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a confined program may use up; None is no limit. CPU time, memory and file size are those of each process."""

    cpu_seconds: int | None = 600
    memory_bytes: int | None = 4 << 30
    processes: int | None = 512
    file_bytes: int | None = 2 << 30


@dataclass(frozen=True, slots=True)
class Confinement:
    """A way to hold programs in: its name (bubblewrap, landlock, unconfined) and what it was seen to hold.

    `holds` has: writable (nothing but what is named can be written), protected (places within that stay as they are), hidden (places that
    cannot be read), network (there is none). `reason` says why there is nothing better.
    """

    name: str
    version: str | None = None
    reason: str | None = None
    holds: Mapping[str, Any] = field(default_factory=dict)
    program: str | None = None


@dataclass(frozen=True, slots=True)
class Jail:
    """What one program may do: where it may write, what is hidden or read-only within that, whether it has a network.

    `readable` is there to be read also where its surroundings, such as /tmp, are not. Paths are absolute, without symbolic links.
    """

    writable: Sequence[Path]
    readable: Sequence[Path] = ()
    protected: Sequence[Path] = ()
    hidden: Sequence[Path] = ()
    network: bool = False
    limits: Limits = Limits()
    # Where nobody looked for what would have to be hidden or protected.
    unseen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A program as it is to be started, and what holds it then."""

    argv: list[str]
    # What its record says: name, version, writable, protected, hidden, network, limits, not_held.
    says: dict[str, Any]
    variables: dict[str, str] = field(default_factory=dict)
    within: process.Within | None = None
    # A folder of its own for temporary files; whoever started it removes it.
    temporary: Path | None = None

    def tidy(self) -> None:
        """Remove what it left in its folder for temporary files."""
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)


# --- what there is ----------------------------------------------------------------------------------


def available() -> Confinement:
    """What this machine can hold programs in with. Raises DENIED_ENVIRONMENT_INVALID for a KAIZEN_CONFINEMENT that is no choice."""
    return _tried(os.environ.get(VARIABLE, "").strip() or "auto")


@functools.cache
def _tried(choice: str) -> Confinement:
    if choice not in CHOICES:
        raise denial.EnvironmentInvalid(f"Set {VARIABLE} to one of {', '.join(CHOICES)}.", variable=VARIABLE, value=choice)
    if choice == "none":
        return Confinement("unconfined", reason=f"{VARIABLE} is none")
    reasons = []
    for candidate in _candidates(choice):
        if candidate.reason is None:
            candidate = _seen(candidate)
        if candidate.reason is None:
            return replace(candidate, reason="; ".join(reasons) or None)
        reasons.append(f"{candidate.name}: {candidate.reason}")
    return Confinement("unconfined", reason="; ".join(reasons) or "this system has neither bubblewrap nor Landlock")


def _candidates(choice: str) -> list[Confinement]:
    """The means that the choice leaves, best first; one that is not there at all has a reason."""
    if sys.platform != "linux":
        return []
    from . import bubblewrap, landlock

    found = bubblewrap.candidates() if choice in ("auto", "bubblewrap") else []
    return [*found, landlock.candidate()] if choice in ("auto", "landlock") else found


# Tries to leave the jail; every word is of the shell itself. What came of it is looked up on the disk.
_TRIAL = """echo x > inside
echo x > held/file
echo x > "$1/outside"
read -r said < "$1/secret/key" && echo read
[ "$2" ] && (exec 3<>/dev/tcp/127.0.0.1/$2) && echo connected
:"""


def _seen(candidate: Confinement) -> Confinement:
    """The candidate with what it was seen to hold, or with the reason why it is of no use."""
    with contextlib.ExitStack() as stack:
        try:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kaizen-", ignore_cleanup_errors=True))).resolve()
        except OSError as fault:
            return replace(candidate, reason=f"could not be tried: {fault.strerror or fault}")
        port = ""
        # Where not even we may listen, there is nothing to connect to.
        with contextlib.suppress(OSError):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = str(listener.getsockname()[1])
        work = place / "work"
        for path in (work / "held" / "file", place / "outside", place / "secret" / "key"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("as it was\n", encoding="ascii")
        port = port if shell()[0].endswith("bash") else ""
        trial = Jail(writable=(work,), protected=(work / "held",), hidden=(place / "secret",))
        held = hold(candidate, trial, [*shell(), _TRIAL, "kaizen", str(place), port], work)
        try:
            ended = process.run(
                held.argv, cwd=work, env=environment()[0] | held.variables, timeout=PATIENCE, grace=0.5, within=held.within
            )
        except (process.NotStarted, OSError) as fault:
            return replace(candidate, reason=str(fault))
        finally:
            held.tidy()
        said = ended.stdout.kept().split()
        if ended.exit_code != 0 or not (work / "inside").exists():
            return replace(candidate, reason=_first_line(ended) or "nothing can be started in it")
        if _text(place / "outside") != "as it was\n":
            return replace(candidate, reason="what was started could write outside of it")
        return replace(
            candidate,
            holds={
                "writable": True,
                "protected": _text(work / "held" / "file") == "as it was\n",
                "hidden": b"read" not in said,
                "network": b"connected" not in said,
            },
        )


def _first_line(ended: process.Ended) -> str:
    lines = ended.stderr.kept().decode("utf-8", "replace").strip().splitlines()
    return lines[0][:300] if lines else ""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def shell() -> tuple[str, str]:
    """How a command line is run: bash -c, or sh -c where there is no bash."""
    found = shutil.which("bash") or shutil.which("sh") or "/bin/sh"
    return (found if os.path.isabs(found) else "/bin/sh", "-c")  # noqa: PTH117


# --- what a command may do --------------------------------------------------------------------------


def jail(context: Context, *, limits: Limits | None = None) -> Jail:
    """What a command of a call may do: write in the workspace and where rules opened more; in plan mode nowhere."""
    workspace = Path(os.path.realpath(context.workspace))
    opened = tuple(Path(os.path.realpath(path)) for path in context.writable)
    # A rule may open what is not there: then there is nothing to open.
    writable = () if context.mode == "plan" else (workspace, *(path for path in opened if os.path.lexists(path)))
    # No rule opens the records, nor the registry of what runs.
    kept = [path for base in _bases(context, workspace) for path in (base / "AI" / "db", base / "AI" / "work" / "processes")]
    found = _shielded(context, workspace, kept)
    # A folder that counts as a workspace is guarded like one; what a rule names is open.
    named = [path for path in opened if context.policy is None or str(path) not in context.policy.directories]
    programs = [Path(path) for path in context.policy.programs()] if context.policy is not None else []
    # A broad rule does not open what hooks and runners are made of.
    started = [path for path in programs if os.path.lexists(path) and path not in named]
    return Jail(
        writable=writable,
        readable=(workspace, *tools()),
        protected=list(
            dict.fromkeys(
                [
                    *kept,
                    *context.protected,
                    *started,
                    *(path for path in [*protected(workspace), *found.protected] if not covers(named, path)),
                ]
            )
        ),
        hidden=_outermost([*credentials(), *context.hidden, *found.hidden]),
        network=context.network,
        limits=limits or Limits(),
        unseen=found.unseen,
    )


def _outermost(places: Sequence[Path]) -> list[Path]:
    """Places without those that lie in others."""
    found = dict.fromkeys(places)
    return [path for path in found if not any(above in found for above in path.parents)]


def _shielded(context: Context, workspace: Path, skipped: Sequence[Path]) -> Shielded:
    """What lies in the workspace, and in folders that count as such, that a command must not see or change."""
    from .permissions.settings import Policy
    from .shielded import Shielded, look

    if context.confinement is not None and context.confinement.name == "unconfined":
        return Shielded()
    policy = context.policy or Policy()
    granted = {access.what for access in context.granted if access.way == "read"}
    roots = [str(workspace), *policy.directories]
    found = look(roots, policy, granted=granted, skipped=set(map(str, skipped)), bypass=context.mode == "bypass")
    for folder in policy.directories:
        # Only in the workspace is made what is not there; hooks would be run.
        found.protected += [path for path in protected(Path(folder)) if os.path.lexists(path) or path.name == "hooks"]
    return found


def _bases(context: Context, workspace: Path) -> list[Path]:
    """Where records are or could be: in the workspace, and in the plane."""
    return [workspace] if context.store is None else [workspace, Path(os.path.realpath(context.store.plane.base))]


def protected(workspace: Path) -> list[Path]:
    """What no command may change in a workspace, nor make: the records, what Kaizen and others take leave from, what git runs."""
    places = [workspace / "AI" / "db", workspace / "AI" / "work" / "processes", workspace / ".kaizen", workspace / ".claude"]
    git = workspace / ".git"
    if git.is_dir():
        from .shielded import of_git

        places += of_git(workspace)
    elif os.path.lexists(git):
        places.append(git)
    return places


# Where credentials, and what tells much about a person, are kept below a home.
_OF_A_HOME = (
    ".ssh .aws .azure .gnupg .config/gh .config/glab-cli .config/hub .config/gcloud .netrc _netrc .docker .kube .npmrc .yarnrc.yml .pypirc"
    " .git-credentials .config/git/credentials .cargo/credentials .cargo/credentials.toml .gem/credentials .m2/settings.xml"
    " .m2/settings-security.xml .gradle/gradle.properties .composer/auth.json .config/composer/auth.json .nuget/NuGet"
    " .password-store .local/share/keyrings .local/share/kwalletd .config/op .config/rclone .config/sops .config/doctl .config/heroku"
    " .config/containers/auth.json .terraform.d/credentials.tfrc.json .terraformrc .vault-token .pgpass .my.cnf .boto .s3cfg .oci"
    " .databrickscfg .snowflake .fly .huggingface .cache/huggingface/token .config/anthropic .claude/.credentials.json .claude.json"
    " .codex/auth.json .gemini .kaizen .mozilla .thunderbird .config/google-chrome .config/chromium .config/BraveSoftware"
    " .config/microsoft-edge .config/vivaldi .config/opera snap/firefox snap/chromium .var/app/org.mozilla.firefox"
    " .bash_history .zsh_history .python_history .psql_history .mysql_history .node_repl_history"
).split()
# What the system keeps; only root could read it.
_OF_THE_SYSTEM = ("/etc/shadow", "/etc/shadow-", "/etc/ssl/private", "/etc/sudoers")


def credentials() -> list[Path]:
    """The places of credentials that are there, with symbolic links followed."""
    places = [path for path in _OF_THE_SYSTEM if os.access(path, os.R_OK)]
    for home in _homes():
        # Most are not there; one look at the home shows which.
        with contextlib.suppress(OSError):
            there = set(os.listdir(home))  # noqa: PTH208
            names = [name for name in _OF_A_HOME if name.partition("/")[0] in there]
            places += [path for name in names if os.path.lexists(path := f"{home}/{name}")]
    return list(dict.fromkeys(Path(os.path.realpath(path)) for path in places))


def _homes() -> list[str]:
    """The homes that a program of ours could read: ours, and as root everybody's."""
    homes = [os.path.expanduser("~")]  # noqa: PTH111 - Path.expanduser() raises where there is none
    with contextlib.suppress(ImportError, KeyError, AttributeError):
        import pwd

        homes.append(pwd.getpwuid(os.getuid()).pw_dir)
        if os.getuid() == 0:
            with contextlib.suppress(OSError):
                homes += [entry.path for entry in os.scandir("/home") if entry.is_dir(follow_symlinks=False)]
    return list(dict.fromkeys(home for home in homes if home.startswith("/") and home != "/"))


# What tools are found by; none of it is a credential.
_OF_TOOLS = (
    "VIRTUAL_ENV CONDA_PREFIX JAVA_HOME GOROOT GOPATH CARGO_HOME RUSTUP_HOME NODE_PATH NVM_DIR PYTHONPATH PYTHONUTF8 MANPATH"
    " PKG_CONFIG_PATH NO_COLOR CI COLUMNS LINES"
).split()
# Nobody sits before a command: nothing may wait for a key.
_UNATTENDED = {
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "DEBIAN_FRONTEND": "noninteractive",
}


def environment(names: Collection[str] = ()) -> tuple[dict[str, str], int]:
    """(the environment of a command, how many variables of ours are not in it). `names` are let through whatever they hold."""
    kept = {name: os.environ[name] for name in (*_OF_TOOLS, *names) if name in os.environ}
    made = process.environment(**kept)
    # Git is to take settings from no repository that only looks like one: any file tool could have written it.
    number = made.get("GIT_CONFIG_COUNT", "0")
    number = number if number.isdecimal() else "0"
    git = {f"GIT_CONFIG_KEY_{number}": "safe.bareRepository", f"GIT_CONFIG_VALUE_{number}": "explicit"}
    return {**_UNATTENDED, **made, **git, "GIT_CONFIG_COUNT": str(int(number) + 1)}, sum(name not in made for name in os.environ)


# --- holding ----------------------------------------------------------------------------------------


def hold(confinement: Confinement, jail: Jail, argv: Sequence[str], cwd: Path) -> Held:
    """How a program is started so that it is held in. `cwd` is absolute."""
    if confinement.name == "bubblewrap":
        from . import bubblewrap

        return bubblewrap.hold(confinement, jail, argv, cwd)
    if confinement.name == "landlock":
        from . import landlock

        return landlock.hold(confinement, jail, argv)
    held, said, not_held = limited(jail.limits, argv, alone=False)
    says = {
        "name": "unconfined",
        "reason": confinement.reason,
        "network": True,
        "limits": said,
        "not_held": ["writable", "protected", "hidden", "network", "daemons", *not_held],
    }
    return Held(held, says)


# Limits of a shell -> their names, and the bytes or seconds of one unit. sh counts file sizes in blocks of 512 bytes.
_ULIMITS = {"cpu_seconds": ("t", 1), "memory_bytes": ("d", 1024), "file_bytes": ("f", 512)}


def limited(limits: Limits, argv: Sequence[str], *, alone: bool) -> tuple[list[str], dict[str, Any], list[str]]:
    """(words that start a program under limits, what the record says of these, which do not hold).

    `alone`: its processes are counted by themselves; else they are counted together with all of this user's.
    """
    try:
        import resource
    except ImportError:
        return list(argv), {}, ["limits"]
    numbers = {"cpu_seconds": resource.RLIMIT_CPU, "memory_bytes": resource.RLIMIT_DATA, "file_bytes": resource.RLIMIT_FSIZE}
    said: dict[str, Any] = {}
    lines = []
    for name, (letter, unit) in _ULIMITS.items():
        wanted, hard = getattr(limits, name), resource.getrlimit(numbers[name])[1]
        holds = [value for value in (wanted, hard) if value not in (None, resource.RLIM_INFINITY)]
        if holds:
            said[name] = min(holds)
            lines.append(f"ulimit -{letter} {max(min(holds) // unit, 1)}")
    not_held = []
    if limits.processes is not None and os.getuid() == 0:
        # The kernel does not count those of root.
        not_held.append("processes")
    elif limits.processes is not None:
        said["processes"] = limits.processes
        most = limits.processes if alone else limits.processes + _tasks()
        # dash and busybox call it -p; in bash that is the size of a pipe, which cannot be set.
        lines.append(f"ulimit -p {most} 2>/dev/null || ulimit -u {most}")
    if not lines:
        return list(argv), said, not_held
    script = "; ".join(f"{{ {line}; }} 2>/dev/null" for line in lines)
    return ["/bin/sh", "-c", f'{script}; exec "$@"', "kaizen", *argv], said, not_held


def _tasks() -> int:
    """How many tasks there are on this machine."""
    try:
        return int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return 4096


def shown(paths: Collection[Path]) -> list[str]:
    """Paths as a record names them: below the home with ~."""
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - as above
    return ["~" + text.removeprefix(home) if text.startswith(home + "/") else text for text in map(str, paths)]


def tools() -> list[Path]:
    """Where the interpreter that runs lies: read-only like all else, also where its surroundings are hidden."""
    return list(dict.fromkeys(Path(os.path.realpath(folder)) for folder in (sys.prefix, sys.base_prefix)))


def covers(folders: Collection[Path], path: Path) -> bool:
    """Whether a path is one of the folders, or in one. (As text: this is asked often, and Path.is_relative_to() is slow.)"""
    text = f"{path}/"
    return any(text.startswith(f"{str(folder).rstrip('/')}/") for folder in folders)
