"""What was written and not committed is never dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaizen_components import denial, paths
from kaizen_components.call import Call
from kaizen_components.ops.notes import Note
from kaizen_components.store import Store


def test_closing_over_a_pending_record_is_refused(plane: Path):
    store = Store(paths.of_root(plane))
    store.call = Call(op="W38")
    store.add(Note(summary="Pending."))
    with pytest.raises(denial.Uncommitted):
        store.close()
    store.roll_back()
    store.close()
    assert Store(paths.of_root(plane)).count("note") == 0
