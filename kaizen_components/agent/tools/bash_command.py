"""Bash command: a command line in a shell, confined, with its exit code and what it said."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ... import process
from .. import background, confinement
from ..tool import Access, Context, Given, Outcome, Tool, ToolError, unfit

if TYPE_CHECKING:
    from ..confinement import Held

# Bytes of each stream that are kept, and seconds that a command has to end when asked to.
MOST = 1_000_000
GRACE = 2.0
LONGEST = 24 * 3_600_000
# Files of each place that are looked at for what a command changed there.
MOST_SEEN = 500


class BashCommandInput(Given):
    """What to run, where, and for how long."""

    command: str = Field(min_length=1, max_length=100_000, description="The command line, as bash reads it")
    timeout: int = Field(120_000, ge=1, le=LONGEST, description="Milliseconds after which it is ended with all that it started")
    cwd: str | None = Field(None, description="Folder in the workspace to start in")
    run_in_background: bool = Field(False, description="Return at once with a shell_id; see task_output and kill_shell")


class BashCommand(Tool):
    """Run a command line with bash, confined, and get its exit code, stdout and stderr.

    The workspace can be written, all else is read-only, and there is no network unless a rule opened it. Credentials are neither in the
    environment nor in the home folder. /tmp belongs to this one call: keep in the workspace what a later call needs. stdin is empty. A command
    that fails is an answer with success false and its output. Whatever it started ends with it; what is to go on runs in the background.
    """

    name = "bash_command"
    group = "bash"
    takes = BashCommandInput
    rule_names = ("Bash",)

    def check(self, given: BashCommandInput, context: Context) -> None:
        if "\0" in given.command:
            raise unfit("command", "nul", "it holds a NUL character; no shell takes one")
        if given.cwd is not None:
            try:
                _started_in(given, context)
            except ToolError as fault:
                raise unfit("cwd", fault.kind, fault.message) from None

    def accesses(self, given: BashCommandInput, context: Context) -> Sequence[Access]:
        return (Access("run", given.command),)

    def danger(self, given: BashCommandInput, context: Context) -> str:
        from ..permissions.danger import danger_of

        return danger_of(given.command, replace(context, cwd=_folder(given, context)))

    def run(self, given: BashCommandInput, context: Context) -> Outcome:
        cwd = _started_in(given, context)
        if "\0" in given.command:
            raise ToolError("bad_argument", "The command holds a NUL character; no shell takes one.")
        if context.store is not None and context.mode != "plan":
            # The registry of background commands is nothing that a command may write to; to be kept so, it has to be there.
            with contextlib.suppress(OSError):
                background.folder(context.store.plane).mkdir(mode=0o700, parents=True, exist_ok=True)
        env, removed = confinement.environment(context.environment)
        means = context.confinement or confinement.available()
        try:
            held = confinement.hold(means, confinement.jail(context), [*confinement.shell(), given.command], cwd)
        except OSError as fault:
            raise ToolError("not_started", f"The confinement could not be made: {fault.strerror or fault}") from None
        held.says["environment_removed"] = removed
        if given.run_in_background:
            return _in_background(given, context, held, cwd, env)
        return _in_foreground(given, context, held, cwd, env)


# --- where --------------------------------------------------------------------------------------------


def _folder(given: BashCommandInput, context: Context) -> Path:
    return context.cwd if given.cwd is None else context.path(given.cwd)


def _started_in(given: BashCommandInput, context: Context) -> Path:
    """The folder to start in, which has to be there and in the workspace."""
    folder, workspace = Path(os.path.realpath(_folder(given, context))), Path(os.path.realpath(context.workspace))
    if not folder.is_relative_to(workspace):
        raise ToolError("outside_workspace", "cwd has to lie in the workspace.", cwd=str(folder), workspace=str(workspace))
    if not folder.is_dir():
        kind = "not_a_directory" if folder.exists() else "not_found"
        raise ToolError(kind, f"There is no folder {given.cwd or folder} in the workspace.", cwd=str(folder))
    return folder


# --- running ------------------------------------------------------------------------------------------


def _in_foreground(given: BashCommandInput, context: Context, held: Held, cwd: Path, env: Mapping[str, str]) -> Outcome:
    seconds = context.left(given.timeout / 1000)
    watch = _Watch(context, held)
    try:
        ended = process.run(
            held.argv,
            cwd=cwd,
            env={**env, **held.variables},
            timeout=seconds,
            asked=lambda: context.stop.asked,
            grace=GRACE,
            most=MOST,
            within=held.within,
            mark=(background.MARK, os.urandom(8).hex()),
        )
    except (process.NotStarted, OSError) as fault:
        raise ToolError("not_started", f"The shell could not be started: {fault}") from None
    finally:
        held.tidy()
    if ended.interrupted:
        # The signal was for whoever called us: nothing more is to be begun.
        context.stop.ask()
    metadata = {
        "stdout_bytes": ended.stdout.size,
        "stdout_sha256": ended.stdout.sha256,
        "stderr_bytes": ended.stderr.size,
        "stderr_sha256": ended.stderr.sha256,
        "cwd": str(cwd),
        "files": "not tracked",
        **watch.changes(),
    }
    kind, error = _fault(ended, given, seconds)
    return Outcome(_said(ended), metadata, confinement=held.says, success=kind is None, error=error, error_kind=kind)


def _said(ended: process.Ended) -> dict[str, Any]:
    return {
        "exit_code": _exit_code(ended),
        "stdout": ended.stdout.kept().decode("utf-8", "replace"),
        "stderr": ended.stderr.kept().decode("utf-8", "replace"),
        "duration_ms": ended.duration_ms,
        "truncated": {"stdout": ended.stdout.left_out > 0, "stderr": ended.stderr.left_out > 0},
        "killed_by": ended.killed_by,
    }


def _exit_code(ended: process.Ended) -> int | None:
    """As a shell says it: 128 and the signal's number for one that a signal ended; None for one that Kaizen ended."""
    import signal

    if ended.timed_out or ended.stopped or ended.interrupted:
        return None
    if ended.killed_by is not None and ended.killed_by in signal.Signals.__members__:
        return 128 + signal.Signals[ended.killed_by]
    return ended.exit_code


def _fault(ended: process.Ended, given: BashCommandInput, seconds: float) -> tuple[str | None, str | None]:
    """(kind, words) of what went wrong."""
    if ended.timed_out:
        whose = "The command took longer than its timeout" if seconds * 1000 >= given.timeout else "The run's time was over after"
        return "timeout", f"{whose} {round(seconds * 1000)} ms; it was ended with all that it started."
    if ended.interrupted or ended.stopped:
        return "interrupted", "Somebody asked for its end; it was ended with all that it started."
    if ended.exit_code == 0:
        return None, None
    first = ended.stderr.kept()[:300].decode("utf-8", "replace").splitlines()
    if ended.exit_code == 1 and ended.stdout.size == 0 and first and first[0].startswith("bwrap: "):
        # Said by bwrap, or by a command that would like to be taken for it.
        return "exit_code", f"The command exited with 1, or its confinement could not be made: {first[0]}"
    if ended.killed_by:
        return "exit_code", f"The command was killed by {ended.killed_by}."
    return "exit_code", f"The command exited with {ended.exit_code}."


def _in_background(given: BashCommandInput, context: Context, held: Held, cwd: Path, env: Mapping[str, str]) -> Outcome:
    if context.store is None:
        held.tidy()
        raise ToolError("no_plane", "A background command is kept in a data plane, and there is none.")
    try:
        shell = background.start(
            context.store.plane,
            held,
            command=given.command,
            cwd=cwd,
            env=dict(env),
            run_id=context.run_id,
            call_id=context.call_id,
        )
    except (process.NotStarted, OSError) as fault:
        raise ToolError("not_started", f"The shell could not be started: {fault}") from None
    said = {"shell_id": shell.shell_id, "status": "running", "pid": shell.pid}
    place = background.output_file(context.store.plane, shell.shell_id)
    return Outcome(said, {"output_file": str(place), "cwd": str(cwd)}, confinement=held.says)


# --- what changed -------------------------------------------------------------------------------------


class _Watch:
    """What can be seen for next to nothing of what a command changed: git's commit, and places that were not kept from it."""

    def __init__(self, context: Context, held: Held) -> None:
        self.workspace = context.workspace
        kept = "protected" not in held.says["not_held"]
        places = confinement.protected(self.workspace)
        # The records change with every call, and verify themselves.
        self.places = [] if kept else [path for path in places if not path.is_relative_to(self.workspace / "AI")]
        # Of what hooks and runners are made of, what is not there, or is a link, cannot be kept as it is by any means.
        programs = [Path(path) for path in context.policy.programs()] if context.policy is not None else []
        self.places += [path for path in programs if not kept or path.is_symlink() or not path.exists()]
        self.cut: set[str] = set()
        # Git would take settings and hooks from where this file says. It is of no use here, and what is not there cannot be kept from being made.
        git = self.workspace / ".git"
        self.elsewhere = git / "commondir" if git.is_dir() and not os.path.lexists(git / "commondir") else None
        # A repository that a command makes decides what git runs from then on. An empty folder in its place would mislead other programs.
        self.without_git = not os.path.lexists(git)
        self.before, self.commit = self._seen(), _commit(self.workspace)

    def changes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        after = self._seen()
        changed = sorted(path for path in {*self.before, *after} if self.before.get(path) != after.get(path))
        if self.elsewhere is not None and os.path.lexists(self.elsewhere):
            with contextlib.suppress(OSError):
                self.elsewhere.unlink()
            changed.append(str(self.elsewhere.relative_to(self.workspace)))
        if self.without_git and os.path.lexists(self.workspace / ".git"):
            changed.append(".git")
        if changed:
            found["protected_changed"] = changed
        if self.cut:
            found["protected_unseen"] = [f"what lies in {name} beyond the first {MOST_SEEN} files" for name in sorted(self.cut)]
        commit = _commit(self.workspace)
        if commit or self.commit:
            found["commit"] = {"before": self.commit, "after": commit}
        return found

    def _seen(self) -> dict[str, tuple[int, int, int, int]]:
        """Size, times and number of every file in these places. Nobody can set the time of the last change of any kind."""
        found = {}
        for place in self.places:
            single = place.is_file() or place.is_symlink()
            files = [place] if single else [path for path in place.rglob("*") if not path.is_dir() or path.is_symlink()]
            if len(files) > MOST_SEEN:
                self.cut.add(self._name(place))
            for path in files[:MOST_SEEN]:
                with contextlib.suppress(OSError):
                    stat = path.lstat()
                    found[self._name(path)] = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        return found

    def _name(self, path: Path) -> str:
        """A path from the workspace, where it lies there."""
        return str(path.relative_to(self.workspace)) if path.is_relative_to(self.workspace) else str(path)


def _commit(workspace: Path) -> str | None:
    """The commit that a repository stands on, as far as its files say so at once; None else."""
    with contextlib.suppress(OSError, ValueError):
        head = (workspace / ".git" / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        return (workspace / ".git" / head.removeprefix("ref: ")).read_text(encoding="ascii").strip()
    return None
