"""Worker: a process that uses a plane as hard as it can: worker.py WORK NAME, a line on stdin starts it.

It says "ready" when it is, then one JSON line for each reply, flushed, with the milliseconds that it took. It ends
when it has done its work, when a file called `stop` lies in the project, or when it is killed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kaizen_components import denial, paths
from kaizen_components.op import load, run
from kaizen_components.ops.batch import Replies
from kaizen_components.store import Store

ROOT = Path(os.environ["KAIZEN_REPO_ROOT"])
STOP = ROOT / "stop"


def called(code: str, **values: Any) -> dict[str, Any]:
    """One operation as the command line would run it, by a store of its own."""
    return run(load(code), values, Store(paths.find()))


def writes(name: str, count: int) -> Iterator[dict[str, Any]]:
    """So many tasks."""
    for number in range(count):
        yield called("W1", title=f"{name}-{number}", summary="One.", key=f"{name}-{number}")


def reads(name: str) -> Iterator[dict[str, Any]]:
    """Lists, until told to stop."""
    while not STOP.exists():
        yield called("W9", limit=-1)


def mixed(name: str) -> Iterator[dict[str, Any]]:
    """Single operations of several kinds, until killed."""
    number = 0
    while not STOP.exists():
        number += 1
        task = called("W1", title=f"{name}-{number}", summary="One.", criterion=["It is fast."])
        yield task
        gotcha = called(
            "G1",
            title=f"{name}-{number}",
            summary="One.",
            body="Two. " * (number % 50),
            task_id=task["id"],
            key=f"{name}-{number}",
        )
        yield gotcha
        yield called("L2", id=gotcha["id"])
        yield called("W2", id=task["id"], status="done", waive="Enough.")


def batches(name: str) -> Iterator[dict[str, Any]]:
    """Groups of lines under one commit, some of them refused, until killed."""
    number = 0
    while not STOP.exists():
        number += 1
        store, lines = Store(paths.find()), []
        replies = Replies(store)
        for line in range(12):
            lines += [
                {"op": "W1", "title": f"{name}-{number}-{line}", "summary": "One.", "criterion": ["It is fast."]},
                {"op": "W2", "id": f"${5 * line + 1}.id", "status": "done", "criterion": ["It is small."]},
                {"op": "G1", "title": "Trap", "summary": "One.", "body": "Two.", "task_id": f"${5 * line + 1}.id"},
                {"op": "L2", "id": f"${5 * line + 3}.id"},
                {"op": "W2", "id": f"${5 * line + 1}.id", "body": "x" * (number % 200)},
            ]
        with store.group():
            answers = [replies.answer(at, json.dumps(line).encode()) for at, line in enumerate(lines, start=1)]
        for answer in answers:
            if answer["status"] == "OK":
                yield answer


def main(work: str, name: str, *arguments: str) -> None:
    """Run one of the above and say what was answered."""
    print("ready", flush=True)
    sys.stdin.readline()
    replies = {"writes": writes, "reads": reads, "mixed": mixed, "batches": batches}[work](name, *map(int, arguments))
    while True:
        start = time.monotonic()
        try:
            reply = next(replies, None)
        except denial.Denial as refusal:
            reply = refusal.envelope()
        if reply is None:
            break
        print(json.dumps({**reply, "ms": round((time.monotonic() - start) * 1000, 1)}), flush=True)
        if reply["status"] != "OK":
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
