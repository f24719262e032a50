"""Api: the operations as a Python function, for programs that would rather not start a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import paths
from .call import Result
from .op import load, run
from .store import Store


def call(operation: str, *, root: Path | str | None = None, command: list[str] | None = None, **values: Any) -> Result:
    """Run one operation by code or alias: call("W1", title="Fix login", summary="Users cannot log in.")["id"].

    `values` are the flags with underscores; JSON fields take lists and objects as they are. `root` is the project
    (default: as on the command line), `command` what Q11 runs. Returns the answer, a dict with `status` first; raises
    kaizen_components.denial.Denial, whose envelope() is the refusal that the command line prints.
    """
    found = load(operation)
    plane = paths.of_root(Path(root)) if root is not None else paths.find(create=not found.needs_plane)
    return run(found, values, Store(plane), from_json=True, command=command)
