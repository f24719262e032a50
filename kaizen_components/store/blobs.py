"""Blobs: files that Kaizen keeps for its records, named by the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from .. import denial
from ..paths import Plane


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that waits beside its place until the record that needs it is written."""

    sha256: str
    bytes: int
    path: Path
    staged: Path

    def keep(self) -> None:
        """Move it into place; the same bytes may be there already."""
        try:
            os.replace(self.staged, self.path)
        except OSError as fault:
            raise denial.FileUnwritable(path=str(self.path), reason=fault.strerror or str(fault)) from fault

    def drop(self) -> None:
        """Forget it, where it was not kept."""
        self.staged.unlink(missing_ok=True)


def stage(plane: Plane, content: bytes) -> Blob:
    """Write bytes to disk, durably; keep() then costs a rename, which may be done under the lock."""
    digest = hashlib.sha256(content).hexdigest()
    staging = plane.blobs / ".staging"
    staged = staging / f"{digest}.{os.getpid()}-{os.urandom(4).hex()}"
    try:
        staging.mkdir(parents=True, exist_ok=True)
        _clear(staging)
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        staged.unlink(missing_ok=True)
        raise denial.FileUnwritable(path=str(plane.blobs), reason=fault.strerror or str(fault)) from fault
    return Blob(digest, len(content), plane.blobs / digest, staged)


def _clear(staging: Path) -> None:
    """Remove what callers that were killed a day ago or longer left behind."""
    for left in staging.iterdir():
        try:
            if time.time() - left.stat().st_mtime > 86_400:
                left.unlink()
        except OSError:
            continue
