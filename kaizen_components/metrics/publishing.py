"""Publishing: the optimizer's files given to an artifact store, whole or not at all, and once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import denial
from ..backends.http import shown_url
from ..call import Result
from ..hashing import canonical, sha256
from ..store import Row, Store
from . import events
from .artifact_store import FINAL, Client, endpoint
from .records import MetricsAnalysis, Publication

FOLDER = Path(".kaizen") / "metrics" / "optimizer"
NAMES = ("analysis.json", "recommendations.jsonl")
RETENTION = "raw-evidence"
KIND = "kaizen-optimizer-output"
VERSION = "1.0"
LARGEST = 256_000_000
STARTED, UPLOADED, PUBLISHED = "started", "uploaded", "published"


@dataclass(frozen=True, slots=True)
class Package:
    """What is published: its manifest and that one's hash, and the bytes of each file by hash, as they were read once."""

    manifest: dict[str, Any]
    sha256: str
    contents: dict[str, bytes]

    @property
    def analysis_sha256(self) -> str:
        return self.manifest["files"][0]["sha256"]


def package(folder: Path, project: str) -> Package:
    """The package of a project folder's optimizer files. DENIED_NOTHING_TO_PUBLISH, DENIED_FILE_TOO_LARGE."""
    contents: dict[str, bytes] = {}
    listed: list[dict[str, Any]] = []
    for name in NAMES:
        data = _read(folder, name)
        digest = hashlib.sha256(data).hexdigest()
        contents[digest] = data
        listed.append({"path": (FOLDER / name).as_posix(), "bytes": len(data), "sha256": digest})
    manifest = {
        "version": VERSION,
        "kind": KIND,
        "publisher": events.PUBLISHER,
        "project": project,
        "retention_class": RETENTION,
        "files": listed,
    }
    return Package(manifest, sha256(canonical(manifest)), contents)


def _read(folder: Path, name: str) -> bytes:
    path = folder / FOLDER / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise denial.PathOutsideRepo(path=(FOLDER / name).as_posix(), root=str(folder))
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise denial.NothingToPublish(path=(FOLDER / name).as_posix()) from None
    except OSError as fault:
        raise denial.FileNotFound(path=(FOLDER / name).as_posix(), reason=fault.strerror or str(fault)) from None
    if len(data) > LARGEST:
        raise denial.FileTooLarge(path=(FOLDER / name).as_posix(), limit=LARGEST)
    return data


def publish(store: Store, made: Package) -> Result:
    """Publish a package, or go on where an earlier call was stopped: the answer with the publication and what was sent.

    Every step is written down before the next one is taken; the plane is let go while the store is talked with. A package
    becomes visible as a whole with the last call. Raises DENIED_PUBLISH_FAILED, with the publication, which says how far it is.
    """
    url = endpoint()
    record = _Record(store, made, shown_url(url) or url)
    if record.row["status"] == PUBLISHED:
        return record.answer(already=True)
    try:
        with Client(url) as client:
            sent = _steps(client, record, made)
    except denial.PublishFailed as refusal:
        record.note(error=f"{refusal.message} {refusal.detail['reason']}")
        refusal.detail |= {"id": record.row["id"], "state": record.row["status"], "package_id": record.row["package_id"]}
        raise
    return record.answer(sent=sent)


def _steps(client: Client, record: _Record, made: Package) -> list[str]:
    """What is left to do: the names of the files that were sent."""
    if record.row["package_id"] is None:
        record.note(package_id=client.create(made.manifest, made.sha256))
    package = str(record.row["package_id"])
    state, there = client.state(package)
    sent = []
    if state != FINAL:
        for entry in made.manifest["files"]:
            if entry["sha256"] not in there:
                client.upload(package, entry["sha256"], made.contents[entry["sha256"]])
                there.add(entry["sha256"])
                sent.append(entry["path"])
        if record.row["status"] == STARTED:
            record.note(status=UPLOADED)
        client.finalize(package, made.sha256)
    record.note(status=PUBLISHED, error=None)
    return sent


class _Record:
    """The publication's record, and the changes to it, each in a unit of work of its own."""

    def __init__(self, store: Store, made: Package, shown: str) -> None:
        self.store, self.made = store, made
        # The first step would answer for all of them, were they one call with one key; and a repeat does no harm.
        self.call = dataclasses.replace(store.call, key=None)
        self.row: Row = {}
        where = {"manifest_sha256": made.sha256, "endpoint": shown}

        def begin() -> Result:
            found = store.list(Publication.record_kind, where, limit=1)
            if not found:
                of = {"analysis_blob": made.analysis_sha256}
                analyses = store.list(MetricsAnalysis.record_kind, of, limit=1, columns=("id",))
                fields: dict[str, Any] = {**where, "retention_class": RETENTION, "manifest_json": canonical(made.manifest)}
                found = [store.add(Publication(analysis_id=analyses[0]["id"] if analyses else None, **fields))]
            self.row = found[0]
            return Result()

        self._unit(begin)

    def note(self, **changes: Any) -> None:
        """Write how far it is."""

        def work() -> Result:
            self.row = self.store.revise(Publication.record_kind, self.row["id"], changes)
            return Result()

        self._unit(work)

    def answer(self, *, already: bool = False, sent: list[str] | None = None) -> Result:
        """What is said of it."""
        more: dict[str, Any] = {"already": True} if already else {"sent": sent or []}
        return Result(
            id=self.row["id"],
            revision_id=self.row["current_revision_id"],
            content_hash=self.row["content_hash"],
            state=self.row["status"],
            package_id=self.row["package_id"],
            endpoint=self.row["endpoint"],
            manifest_sha256=self.made.sha256,
            manifest=json.loads(self.row["manifest_json"]),
            analysis_id=self.row["analysis_id"],
            **more,
        )

    def _unit(self, work: Callable[[], Result]) -> None:
        self.store.perform(self.call, work)
        self.store.release()


def known(store: Store, made: Package, url: str) -> Row | None:
    """The publication of a package at an address, however far it is."""
    where = {"manifest_sha256": made.sha256, "endpoint": shown_url(url) or url}
    return _newest(store, where)


def latest(store: Store) -> Row:
    """The newest publication that is published; DENIED_NOTHING_TO_PUBLISH where there is none."""
    found = _newest(store, {"status": PUBLISHED})
    if found is None:
        raise denial.NothingToPublish("Publish something first: python kaizen.py P6", message="Nothing has been published yet.")
    return found


def note_kept(store: Store, id: str, until: str, reason: str) -> None:
    """Write down that the store keeps a publication until then, so that it is not asked the same again."""

    def work() -> Result:
        store.revise(Publication.record_kind, id, {"kept_until": until, "kept_reason": reason})
        return Result()

    store.perform(dataclasses.replace(store.call, key=None), work)
    store.release()


def _newest(store: Store, where: dict[str, Any]) -> Row | None:
    try:
        found = store.list(Publication.record_kind, where, limit=1)
    finally:
        store.release()
    return found[0] if found else None
