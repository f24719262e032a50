"""Migrations: numbered steps from one schema version to the next, under the lock, after a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .. import clock
from . import files, schema
from .connection import Connection

if TYPE_CHECKING:
    from . import Store


class Migration(NamedTuple):
    """One step: the version it leads to, its name, and what it does to an open database."""

    version: int
    name: str
    apply: Callable[[Connection], None]


def m001_record_core(connection: Connection) -> None:
    """The first schema; a new plane is made from it whole, so there is nothing to do."""


MIGRATIONS = [Migration(1, "m001_record_core", m001_record_core)]


def migrate(store: Store, connection: Connection, version: int) -> None:
    """Bring an older plane to this schema: copy it, then every missing step and the plane's revised record at once.

    The caller holds the lock and is in no transaction. Entries of older kinds stay as they are and stay verifiable.
    """
    connection.checkpoint()
    folder = files.reserve_folder(store.plane.backups, f"before-schema-{schema.SCHEMA_VERSION}-{clock.stamp()}")
    shutil.copyfile(store.plane.database, folder / "kaizen.db")
    with store.migrating():
        for migration in MIGRATIONS:
            if migration.version > version:
                migration.apply(connection)
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
