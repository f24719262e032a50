"""A database that another program keeps locked is waited for, then refused by what was being done."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kaizen_components import denial
from kaizen_components.store.connection import ENGINES, Connection


class Locked:
    """An engine's handle while another program holds the file: the engine's own error, whatever is asked."""

    def execute(self, *_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(("name", "refusal"), [("execute", denial.ReadRetryExhausted), ("write", denial.WriteRetryExhausted)])
def test_a_locked_file_is_refused_by_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name, refusal):
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0.05")
    connection = Connection(tmp_path / "any.db", using=ENGINES["sqlite"])
    monkeypatch.setattr(connection, "_raw", Locked())
    with pytest.raises(denial.Denial) as refused:
        getattr(connection, name)("SELECT 1")
    assert type(refused.value) is refusal
    assert refused.value.detail["retryable"] is True and refused.value.detail["attempts"] > 1
    assert refusal.code in ("DENIED_DB_READ_RETRY_EXHAUSTED", "DENIED_DB_WRITE_RETRY_EXHAUSTED")
