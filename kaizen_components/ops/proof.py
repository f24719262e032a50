"""Proof: commands that Kaizen runs itself and records as they went, so that nobody has to be believed."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from .. import denial, gitstate, output, paths, process, runners
from ..fields import Body, Bytes, Link, ProofRef, Range, RepoPath, Summary, TaskRef, Title, shorten
from ..op import Result, op
from ..record import Field, Input
from ..redaction import mask, scan
from ..store import Store, blobs
from . import criteria, lifecycle
from .artifacts import Artifact, measure, refuse_live
from .quality import Verification

CriterionRef = Annotated[str, Bytes(1_000), Link("criterion")]
Seconds = Annotated[float, Range(0.001, 31_536_000)]
ExitCode = Annotated[int, Range(0, 4_294_967_295)]

# Of each stream this much is kept as an artifact, and this much of its end is searched for a runner's numbers.
KEPT, WINDOW = 1_000_000, 1 << 18
# Of a longer command line, and of the list of masked places, the record holds the beginning.
ARGV_BYTES, SPANS = 100_000, 100

CONCLUSIONS = {"passed": "PROOF_RECORDED", "failed": "VERIFICATION_FAILED", "inconclusive": "NEEDS_HUMAN_DECISION"}


class ProofRun(Input):
    """What the command is to prove, and within which limits it runs."""

    summary: Summary | None = Field(None, file=True, description="One or two sentences; default: the command and how it ended")
    title: Title | None = Field(None, description="Short title; default: the command")
    body: Body = Field("", file=True, description="Details, up to 1000 words")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    proof_id: ProofRef | None = Field(None, description="An earlier proof that this one repeats or replaces")
    criterion_id: list[CriterionRef] | None = Field(None, description="A criterion that a pass meets; repeat for more")
    artifact: list[RepoPath] | None = Field(
        None, description="A file that the command leaves, hashed and recorded; repeat for more"
    )
    timeout: Seconds | None = Field(None, description="Seconds, after which the command and all that it started is ended")
    expect_exit: ExitCode = Field(0, description="The exit code that is a pass")
    stdin: bool = Field(False, description="The command reads Kaizen's stdin; without it, it reads nothing")


@op(
    "Q11",
    "proof-run",
    writes=True,
    manages_store=True,
    keywords="observed proof test suite run command execute build check evidence verify",
    example='--summary "Python starts." --timeout 60 -- python3 --version',
)
def proof_run(wanted: ProofRun, command: list[str], store: Store) -> Result:
    """Run a command and record what happened: an observed proof.

    No shell is involved. The command gets the caller's environment (KAIZEN_* included) and folder, and an empty stdin
    unless --stdin. Its output is shown while it runs, with --json on stderr. Recorded are the command line, folder,
    exit code or signal, duration, hash and size of stdout and stderr, a copy of each (head and tail of what is over
    1 MB) as artifacts, commit and uncommitted state before and after, the files named with --artifact, and the numbers
    of tests that well-known runners print. Secrets in any of it are masked.

    Outcome passed: the exit code is the expected one and, where a test runner is recognised, tests ran and none
    failed. Outcome inconclusive: exit code 0, but no test ran. Anything else, a timeout and an interrupt too, is
    failed. Kaizen exits 0 for passed and 1 for the others (130 when interrupted).

    A timeout or an interrupt ends the command's whole process group; what made a session of its own, or stays in the
    background after the command has ended, is left alone. If Kaizen itself is killed (SIGKILL), nothing is recorded,
    and the command may go on until it writes to its closed output.
    """
    if not command:
        raise denial.CommandRequired()
    first = store.perform(store.call, lambda: _refuse_early(wanted, store))
    if first.get("replayed"):
        return first
    seen, ended = _observe(wanted, command, store)
    copies = {name: _copy(store, stream) for name, stream in (("stdout", ended.stdout), ("stderr", ended.stderr))}
    try:
        result = store.perform(store.call, lambda: _record(wanted, seen, copies, store))
    finally:
        for _, blob in copies.values():
            if blob is not None:
                blob.drop()
    if ended.interrupted and not result.get("replayed"):
        result.exit_code = 128 + ended.interrupted
    return result


def _refuse_early(wanted: ProofRun, store: Store) -> Result:
    """Whatever would refuse the record refuses it before the command runs."""
    store.refuse_early()
    for target, kind, field in ((wanted.task_id, "task", "task_id"), (wanted.proof_id, "verification", "proof_id")):
        if target is not None:
            store.check_link(target, kind, field)
    for criterion_id in wanted.criterion_id or ():
        store.get("criterion", criterion_id)
    for path in wanted.artifact or ():
        refuse_live(store, path)
    return Result()


# --- observing ------------------------------------------------------------------------------------


def _observe(wanted: ProofRun, command: Sequence[str], store: Store) -> tuple[dict[str, Any], process.Ended]:
    """Run the command; (everything there is to say of it, how it ended)."""
    root = store.plane.root
    try:
        folder = paths.inside(store.plane, str(Path.cwd()), allow_external=True)[1]
    except FileNotFoundError:
        raise denial.FileNotFound(
            "Run it in a folder that exists.", message="The current folder was removed.", path="."
        ) from None
    before = gitstate.read(root)
    to_stdout, to_stderr = output.through()
    try:
        ended = process.run(
            command, stdin=wanted.stdin, timeout=wanted.timeout, most=KEPT, stdout=to_stdout.write, stderr=to_stderr.write
        )
    except process.NotStarted as fault:
        raise denial.CommandNotFound(command=shorten(_shown(_masked_argv(command)[0])), reason=str(fault)) from None
    to_stdout.finish()
    to_stderr.finish()
    after = gitstate.read(root)
    tests = _tests(ended)
    files = [_file(store, path) for path in dict.fromkeys(wanted.artifact or ())]
    outcome, reason = judge(
        ended, tests, wanted.expect_exit, [file["path"] for file in files if file["sha256"] is None], wanted.timeout
    )
    argv, argv_masked, argv_cut = _masked_argv(command)
    seen = {
        "outcome": outcome,
        "reason": reason,
        "argv": argv,
        "argv_masked": argv_masked,
        "argv_cut": argv_cut,
        "cwd": mask(folder)[0],
        "exit_code": ended.exit_code,
        "expected_exit": wanted.expect_exit,
        "signal": ended.killed_by,
        "timed_out": ended.timed_out,
        "timeout_seconds": wanted.timeout,
        "interrupted": ended.interrupted.name if ended.interrupted else None,
        "left_open": ended.left_open,
        "duration_ms": ended.duration_ms,
        "tests": tests.record() if tests else None,
        "git": _git(before, after),
        "files": files,
    }
    return seen, ended


def judge(
    ended: process.Ended, tests: runners.Tests | None, expected: int, missing: Sequence[str], timeout: float | None = None
) -> tuple[str, str]:
    """(outcome, the reason in words) of a run; `missing` names files that it should have left."""
    said = f"; {tests.say()}" if tests else ""
    if ended.interrupted:
        return "failed", f"interrupted by {ended.interrupted.name}{said}"
    if ended.timed_out:
        return "failed", f"ended after {timeout:g} seconds{said}" if timeout else f"timed out{said}"
    if ended.exit_code is None:
        return "failed", f"killed by {ended.killed_by or 'nobody knows what'}{said}"
    exit_code = f"exit code {ended.exit_code}"
    none_ran = tests is not None and tests.none_ran
    if ended.exit_code != expected:
        if none_ran and tests and expected == 0 and runners.NO_TESTS_EXIT.get(tests.runner) == ended.exit_code:
            return "inconclusive", f"{exit_code}, no test ran{said}"
        return "failed", f"{exit_code}{f' instead of {expected}' if expected else ''}{said}"
    if expected == 0 and tests and tests.bad:
        return "failed", f"{exit_code}, but tests failed{said}"
    if expected == 0 and none_ran:
        return "inconclusive", f"{exit_code}, but no test ran{said}"
    if missing:
        return "inconclusive", f"{exit_code}, but {', '.join(missing)} is not there{said}"
    return "passed", f"{exit_code}{said}"


def _tests(ended: process.Ended) -> runners.Tests | None:
    """The numbers of a test runner, from the end of what the command said."""
    streams = (ended.stdout, ended.stderr)
    texts = [stream.last(WINDOW).decode("utf-8", "replace") for stream in streams]
    return runners.read(*texts, partial=any(stream.size > WINDOW for stream in streams))


def _file(store: Store, path: str) -> dict[str, Any]:
    """Hash and size of a file that the command should have left; nulls where it did not, or left a way out of the project."""
    try:
        name, sha256, size = measure(store, path)
    except denial.FileNotFound:
        return {"path": paths.inside(store.plane, path)[1], "sha256": None, "bytes": None}
    except denial.PathOutsideRepo:
        return {"path": path, "sha256": None, "bytes": None}
    return {"path": name, "sha256": sha256, "bytes": size}


def _git(before: gitstate.GitState | None, after: gitstate.GitState | None) -> dict[str, Any] | None:
    """The working tree before and after, and whether the command changed it."""
    if before is None and after is None:
        return None
    return {
        "before": _named(before),
        "after": _named(after),
        "changed": before != after,
    }


def _named(state: gitstate.GitState | None) -> dict[str, Any] | None:
    """A state as it is recorded; a branch can be called anything."""
    if state is None:
        return None
    return {name: mask(value)[0] if isinstance(value, str) else value for name, value in state.record().items()}


# --- masking --------------------------------------------------------------------------------------


def _masked_argv(command: Sequence[str]) -> tuple[list[str], bool, bool]:
    """(the command line as text with its secrets masked, whether one was, whether it was cut)."""
    words: list[str] = []
    masked, room = False, ARGV_BYTES
    previous = ""
    for raw in command:
        # A word that is no UTF-8 is shown with escapes.
        word = raw.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
        text, found = mask(word)
        # --api-key VALUE names its secret as api-key=VALUE does.
        if not found and previous.startswith("-") and scan(f"{previous}={word}", personal=False):
            text, found = "[REDACTED:assigned_secret]", scan(f"{previous}={word}", personal=False)
        masked = masked or bool(found)
        room -= len(text.encode())
        if room < 0:
            return [*words, f"[and {len(command) - len(words)} more]"], masked, True
        words.append(text)
        previous = word
    return words, masked, False


def _copy(store: Store, stream: process.Capture) -> tuple[dict[str, Any], blobs.Blob | None]:
    """(what the record says of a stream, its copy on disk): hash and size are of all of it as it came; the copy is
    capped and masked. Bytes that are no UTF-8 stay as they are."""
    text = stream.kept().decode("utf-8", "surrogateescape")
    text, found = mask(text)
    content = text.encode("utf-8", "surrogateescape")
    spans = [{"kind": finding.kind, "start": finding.start, "end": finding.end} for finding in found]
    said = {
        "sha256": stream.sha256,
        "bytes": stream.size,
        "left_out": stream.left_out,
        "masked": len(spans),
        "spans": spans[:SPANS],
        "artifact_id": None,
    }
    return said, blobs.stage(store.plane, content) if content else None


def _shown(argv: Sequence[str]) -> str:
    """A command line for people."""
    return " ".join(word if word.startswith("[REDACTED") else shlex.quote(word) for word in argv).replace("\n", " ")


# --- recording ------------------------------------------------------------------------------------


def _record(
    wanted: ProofRun, seen: dict[str, Any], copies: dict[str, tuple[dict[str, Any], blobs.Blob | None]], store: Store
) -> Result:
    """Write the artifacts, the proof and, on a pass, the criteria that it meets: one unit of work."""
    shown = shorten(_shown(seen["argv"]))
    task: dict[str, Any] = {"task_id": wanted.task_id}
    artifact_ids = []
    for name, (said, blob) in copies.items():
        if blob is not None:
            blob.keep()
            file: dict[str, Any] = {"path": store.plane.relative(blob.path), "sha256": blob.sha256, "bytes": blob.bytes}
            said["artifact_id"] = store.add(Artifact(kind=name, summary=f"{name} of {shown}", **file, **task))["id"]
            artifact_ids.append(said["artifact_id"])
    for file in seen["files"]:
        if file["sha256"] is not None:
            file["artifact_id"] = store.add(Artifact(summary=f"Left by {shown}", **file, **task))["id"]
            artifact_ids.append(file["artifact_id"])
    observation = {**seen, **{name: said for name, (said, _) in copies.items()}}
    conclusion = CONCLUSIONS[seen["outcome"]]
    proof: dict[str, Any] = {
        "summary": wanted.summary or f"{shown}: {seen['outcome']}, {seen['reason']}",
        "title": wanted.title or shown,
        "body": wanted.body,
        "task_id": wanted.task_id,
        "proof_id": wanted.proof_id,
        "conclusion": conclusion,
        "artifact_ids_json": json.dumps(artifact_ids),
        "basis": "observed",
        "event_type": "proof",
        "observation_json": json.dumps(observation, ensure_ascii=False),
        "exit_code": seen["exit_code"],
        "duration_ms": seen["duration_ms"],
    }
    row = store.add(Verification(**proof))
    met = _meet(wanted, row["id"], store) if seen["outcome"] == "passed" else []
    masked = seen["argv_masked"] or any(said["masked"] for said, _ in copies.values())
    result = lifecycle.written(row)
    result["status"] = "OK" if seen["outcome"] == "passed" else "FAILED"
    result.exit_code = int(seen["outcome"] != "passed")
    result.update(
        basis="observed",
        outcome=seen["outcome"],
        conclusion=conclusion,
        message=f"{seen['outcome']}: {seen['reason']}",
        **{name: seen[name] for name in ("exit_code", "signal", "timed_out", "interrupted", "duration_ms", "tests")},
        artifact_ids=artifact_ids,
        stdout_sha256=copies["stdout"][0]["sha256"],
        stderr_sha256=copies["stderr"][0]["sha256"],
        git=seen["git"],
        masked=masked,
        criteria_met=met,
    )
    return result


def _meet(wanted: ProofRun, proof_id: str, store: Store) -> list[str]:
    """The criteria that this pass met. One that cannot be met any more is said, and costs nobody the proof."""
    met = []
    for criterion_id in dict.fromkeys(wanted.criterion_id or ()):
        try:
            criteria.criterion_meet(criteria.Meeting(id=criterion_id, proof_id=[proof_id]), store)
            met.append(criterion_id)
        except denial.Denial as refusal:
            store.warnings.append(f"{criterion_id} was not met: {refusal.message}")
    return met
