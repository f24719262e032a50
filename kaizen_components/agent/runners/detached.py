"""Detached: a run that is carried out in a process of its own, and goes on when the call that began it is over.

Its orders lie in a file that only we can read, until the process has read them. It has the hooks of the settings; nobody can be asked
there, so questions and approvals wait in the plane.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ... import process
from ...call import Call
from ...paths import Plane
from . import Order, carry_out, chosen

# The checkout or the installation that this code is in.
HOME = Path(__file__).resolve().parents[3]
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from kaizen_components.agent.runners import detached; detached.main(sys.argv[2])"


def begin(order: Order) -> int:
    """Start the process; its id. Raises process.NotStarted."""
    plane = order.store.plane
    said = {
        "plane": [str(plane.root), str(plane.base), plane.reason],
        "run_id": order.run_id,
        "prompt": order.prompt,
        "agent_type": order.agent_type,
        "model": order.model,
        "state": order.state,
        "workspace": str(order.session.workspace),
        "cwd": None if order.session.cwd is None else str(order.session.cwd),
        "task_id": order.session.task_id,
        "environment": list(order.session.environment),
        "agent": order.store.call.agent,
        "session": order.store.call.session,
    }
    # In the plane's own folder: a command that is held in cannot write there. What is left behind is cleared after a day.
    folder = plane.blobs / ".staging"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{order.run_id}.order"
    with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(said, file)
    try:
        argv = [sys.executable, "-c", CODE, str(HOME), str(path)]
        started = process.detached(argv, cwd=order.session.workspace, env=os.environ, log=path.with_suffix(".log"))
    except process.NotStarted:
        path.unlink()
        raise
    started.let_go()
    return started.pid


def main(path: str) -> None:
    """Carry out what a file of orders says; the file is gone before anything else is done."""
    from ...store import Store
    from ..managed import Session
    from ..registry import ToolRegistry

    said = json.loads(Path(path).read_text(encoding="utf-8"))
    Path(path).unlink()
    root, base, reason = said["plane"]
    store = Store(Plane(Path(root), Path(base), reason))
    store.call = Call(op="N2", writes=True, agent=said["agent"], session=said["session"])
    registry = ToolRegistry()
    registry.register_defaults()
    session = Session(
        store,
        registry,
        Path(said["workspace"]),
        cwd=None if said["cwd"] is None else Path(said["cwd"]),
        run_id=said["run_id"],
        task_id=said["task_id"],
        environment=tuple(said["environment"]),
    )
    order = Order(store, said["run_id"], said["prompt"], session, said["agent_type"], said["model"], said["state"])
    carry_out(order, chosen(said["agent_type"], session.workspace))
    log = Path(path).with_suffix(".log")
    if log.is_file() and not log.stat().st_size:
        log.unlink()
