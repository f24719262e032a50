"""Migrations: numbered steps from one schema version to the next. The store runs them under the lock, after a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .connection import Connection


class Migration(NamedTuple):
    """One step: the version it leads to, and what it does to an open database, inside a transaction."""

    version: int
    apply: Callable[[Connection], None]


def m001_record_core(connection: Connection) -> None:
    """The first schema. A new plane is made whole from schema.sql, so there is nothing to do."""


def m002_evidence(connection: Connection) -> None:
    """Tables for evidence, the lab, generative runs, gateways, scans for personal data and settings."""
    _run(connection, "m002_evidence.sql")


def m003_agents(connection: Connection) -> None:
    """Tables for runs of agents, their events and tool calls, and what was decided about them."""
    _run(connection, "m003_agents.sql")


def m004_metrics(connection: Connection) -> None:
    """Tables for executions of agents, events that go out, analyses, and optimizer runs."""
    _run(connection, "m004_metrics.sql")


def _run(connection: Connection, name: str) -> None:
    """Execute the statements of a file beside this one; no statement in it holds a semicolon of its own."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    for statement in text.split(";"):
        if statement.strip():
            connection.write(statement)


# Entries of older kind versions stay as they are and stay verifiable; a step changes tables, never the ledger.
MIGRATIONS = [
    Migration(1, m001_record_core),
    Migration(2, m002_evidence),
    Migration(3, m003_agents),
    Migration(4, m004_metrics),
]
