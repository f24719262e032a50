"""Artifacts: files that records refer to, with their hash and size."""

from .. import denial, paths
from ..fields import Body, Count, Hash, RawText, RepoPath, Status, Summary, TaskRef, Word
from ..hashing import file_sha256
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "path", "kind", "summary", "sha256", "bytes", "task_id", "status", "created_at")
EXAMPLE = "--id a_20260101000000_0123456789"


class Artifact(Record, kind="artifact", table="artifacts", prefix="a"):
    """A file of the project as it was when it was recorded."""

    path: RepoPath = Field(missing=denial.PathRequired, search=True, index=True, description="File inside the project")
    kind: Word = Field("file", description="What it is: file, log, report, screenshot ...")
    summary: Summary | None = Field(None, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    sha256: Hash | None = Field(None, flagged=False, description="SHA-256 of the file's bytes")
    bytes: Count | None = Field(None, flagged=False, description="Size in bytes")
    status: Status = Field("recorded", flagged=False, description="Where it stands")


class FileTarget(Input):
    """A file to hash."""

    scanned = False
    path: RepoPath = Field(missing=denial.PathRequired, description="File to hash")
    allow_external: bool = Field(False, description="Also a file outside the project")


class Check(Input):
    """An artifact to compare with its file."""

    scanned = False
    id: RawText = Field(missing=denial.IdRequired, description="Id of the artifact")
    strict: bool = Field(False, description="Exit 1 where the file differs")


def measure(store: Store, path: str, *, allow_external: bool = False) -> tuple[str, str, int]:
    """(name for records, sha256, bytes) of a file; DENIED_FILE_NOT_FOUND for a folder or nothing."""
    resolved, name = paths.inside(store.plane, path, allow_external=allow_external)
    try:
        if not resolved.is_file():
            raise paths.no_file(path, resolved, "a folder" if resolved.is_dir() else "no such file")
        return name, *file_sha256(resolved)
    except (OSError, ValueError) as fault:
        raise denial.FileNotFound(path=path, reason=str(getattr(fault, "strerror", None) or fault)) from None


def refuse_live(store: Store, path: str) -> None:
    """Refuse a file whose hash is another with the next call."""
    if store.plane.is_live(paths.inside(store.plane, path)[0]):
        raise denial.PathLive(path=path)


@op(
    "A1",
    "artifact-add",
    writes=True,
    keywords="file attach reference record hash",
    example='--path README.md --summary "The text that was changed."',
)
def artifact_add(artifact: Artifact, store: Store) -> Result:
    """Record a file as an artifact, with its hash and size."""
    refuse_live(store, artifact.path)
    artifact.path, artifact.sha256, artifact.bytes = measure(store, artifact.path)
    return lifecycle.written(store.add(artifact), path=artifact.path, sha256=artifact.sha256, bytes=artifact.bytes)


@op("A2", "artifact-hash", needs_plane=False, keywords="sha256 checksum file", example="--path README.md")
def artifact_hash(target: FileTarget, store: Store) -> Result:
    """Hash a file; nothing is written."""
    path, sha256, size = measure(store, target.path, allow_external=target.allow_external)
    return Result(path=path, sha256=sha256, bytes=size)


@op("A3", "artifact-inspect", keywords="file show read", example=EXAMPLE)
def artifact_inspect(target: Target, store: Store) -> Result:
    """Show one artifact in full."""
    return lifecycle.inspected(Artifact, target, store)


@op(
    "A4",
    "artifact-list",
    input=listing(Artifact, query=False, filters=("kind", "path")),
    keywords="files show search find",
    example='--query "README"',
)
def artifact_list(window: Listing, store: Store) -> Result:
    """List artifacts, newest first, or those that --query finds."""
    return lifecycle.queried(Artifact, LISTED, window, store)


@op("A5", "artifact-verify", keywords="file changed compare check hash", example=EXAMPLE)
def artifact_verify(check: Check, store: Store) -> Result:
    """Hash an artifact's file again and compare."""
    record = store.get("artifact", check.id)
    if str(record["path"]).startswith("external:"):
        raise denial.FileNotFound(id=check.id, path=record["path"], reason="an external file has no path here")
    _, actual, _ = measure(store, record["path"])
    match = actual == record["sha256"]
    bad = check.strict and not match
    return Result(finding=bad, id=check.id, path=record["path"], expected=record["sha256"], actual=actual, match=match)


@op(
    "A6",
    "artifact-update",
    writes=True,
    input=revision(Artifact, omit=("path",)),
    keywords="file revise describe",
    example=f'{EXAMPLE} --summary "The text after the change."',
)
def artifact_update(change: Input, store: Store) -> Result:
    """Revise what is said of an artifact; path and hash stay as they were recorded."""
    return lifecycle.revised(Artifact, change, store)


@op("A7", "artifact-retire", writes=True, keywords="file withdraw", example=f'{EXAMPLE} --reason "Superseded by a newer build."')
def artifact_retire(retirement: Retirement, store: Store) -> Result:
    """Retire an artifact, with the reason."""
    return lifecycle.retired(("artifact",), retirement, store)
