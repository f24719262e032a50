"""Access: a plane opened late, under its lock, and closed early."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .. import denial
from ..call import Call
from ..ops import _index
from ..paths import Plane
from . import schema
from .connection import APPLICATION_ID, ENGINES, JOURNALS, Connection, header
from .creation import create, refuse_foreign, refuse_lost_plane, scratch, with_journal
from .lock import PlaneLock


class Access:
    """One caller's hold on one plane: the lock, the open file, and copies to compute on without either."""

    def __init__(self, plane: Plane, *, using: str | None = None) -> None:
        self.plane = plane
        self.call = Call(op="-")
        self.warnings: list[str] = []
        self._using = ENGINES[using] if using else None
        self._unwritable: denial.FileUnwritable | None = None
        # The plane lacks tables of this Kaizen until its first write.
        self._older = False
        self._lock: PlaneLock | None = None
        self._connection: Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether the file is open now."""
        return self._connection is not None

    def close(self) -> None:
        """Close the file, then let the lock go."""
        try:
            if self._connection is not None:
                self._connection.close()
        finally:
            self._connection = None
            if self._lock is not None:
                self._lock.__exit__(None, None, None)
                self._lock = None

    def _reading(self) -> Connection:
        """The open plane, for reading; made where it does not exist yet."""
        if self._connection is None:
            self._open()
        assert self._connection is not None
        return self._connection

    def _open(self) -> None:
        made = not self.plane.base.exists()
        try:
            if self._lock is None:
                self._lock = PlaneLock(self.plane.lock, self.call.op)
                self._lock.__enter__()
            self._admit(header(self.plane.database))
            self._connection = Connection(self.plane.database, using=self._using)
            if made:
                self.warnings.append(f"There was no folder {self.plane.base}; it was made, with an empty data plane in it.")
        except denial.FileUnwritable as fault:
            self.close()
            self._open_frozen(fault)
        except BaseException:
            self.close()
            raise

    def _open_frozen(self, fault: denial.FileUnwritable) -> None:
        """Open a plane that cannot be written, for reading alone."""
        if not self.plane.database.is_file():
            raise fault
        self._unwritable = fault
        try:
            self._lock = self._lock_for_reading()
            self._admit(header(self.plane.database))
            self._connection = Connection.frozen(self.plane.database)
        except BaseException:
            self.close()
            raise
        self.warnings.append(f"The data plane can be read but not written ({fault.detail.get('reason')}); see K10 doctor.")

    def _lock_for_reading(self) -> PlaneLock | None:
        """The lock where its file can at least be read; None where nobody could lock it, so nobody writes."""
        lock = PlaneLock(self.plane.lock, self.call.op, read_only=True)
        try:
            return lock.__enter__()
        except denial.FileUnwritable:
            return None

    def _admit(self, found: tuple[int, int] | None) -> None:
        """Make a missing plane; leave a foreign file alone; warn of another schema."""
        if found is None:
            refuse_foreign(self.plane, None)
            refuse_lost_plane(self.plane)
            create(self.plane, self.call)
            return
        application, version = found
        if application != APPLICATION_ID:
            refuse_foreign(self.plane, found)
        self._older = version < schema.SCHEMA_VERSION
        if version != schema.SCHEMA_VERSION:
            self.warnings.append(
                f"The plane has schema version {version}, this Kaizen knows {schema.SCHEMA_VERSION}; see K2 schema-status."
            )

    def warn_of_drift(self) -> None:
        """Note a schema drift in `warnings`; reads answer all the same."""
        found = self._reading().execute("SELECT manifest_hash FROM schema_version LIMIT 1")
        if not found or found[0][0] != _index.MANIFEST_HASH:
            self.warnings.append("The plane's schema manifest is not the one of this Kaizen; see K2 schema-status.")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock with the database closed: for copying, moving or hashing the file."""
        self.close()
        self._lock = PlaneLock(self.plane.lock, self.call.op)
        self._lock.__enter__()
        try:
            yield
        finally:
            self.close()

    @contextlib.contextmanager
    def locked_for_reading(self) -> Iterator[None]:
        """As locked(), of a plane that cannot be written: locked where that is possible, to be copied and nothing else."""
        self.close()
        self._lock = self._lock_for_reading()
        try:
            yield
        finally:
            self.close()

    def copy(self, target: Path) -> None:
        """A consistent single-file copy of the plane, checkpointed and taken under the lock."""
        try:
            with self.locked():
                self.copy_locked(target)
        except denial.FileUnwritable as fault:
            self.close()
            if not self.plane.database.is_file():
                raise
            self._copy_frozen(target, fault)

    def copy_locked(self, target: Path) -> None:
        """As copy(), for a caller that holds the lock."""
        self._admit(header(self.plane.database))
        connection = Connection(self.plane.database)
        try:
            connection.checkpoint()
        finally:
            connection.close()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.plane.database, target)
        except OSError as fault:
            raise denial.FileUnwritable(path=str(target), reason=fault.strerror or str(fault)) from fault

    def _copy_frozen(self, target: Path, why: denial.FileUnwritable) -> None:
        """As copy(), of a plane that cannot be written: file and journals together, checkpointed over there."""
        try:
            with self.locked_for_reading():
                self._admit(header(self.plane.database))
                shutil.copyfile(self.plane.database, target)
                for suffix in JOURNALS:
                    journal = self.plane.database.with_name(self.plane.database.name + suffix)
                    if journal.exists():
                        shutil.copyfile(journal, target.with_name(target.name + suffix))
        except OSError:
            raise why from None
        connection = Connection(target, using=ENGINES["sqlite"])
        try:
            connection.checkpoint()
        finally:
            connection.close()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Path]:
        """A copy to compute on without holding the lock, gone afterwards."""
        name = f"snapshot-{os.getpid()}-{os.urandom(4).hex()}.db"
        target = scratch(self.plane) / name
        try:
            self.copy(target)
            yield target
        finally:
            for path in with_journal(target):
                path.unlink(missing_ok=True)
