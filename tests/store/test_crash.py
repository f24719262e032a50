"""Crash: whatever is killed, and whenever: what was acknowledged is there, and nothing is half written."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
import truth
from conftest import ROOT, Kz

from kaizen_components import paths
from kaizen_components.op import load, run
from kaizen_components.ops.batch import Replies
from kaizen_components.store import Store
from kaizen_components.store.connection import Connection

SOAK = float(os.environ.get("KAIZEN_SOAK") or 0)
ENGINES = ("turso", "sqlite")


def is_there(root: Path, acknowledged: list[dict]) -> dict:
    """Assert that a plane is sound and holds every acknowledged record, where its receipt says; the dump."""
    tables = truth.sound(root)
    chain = {entry["seq"]: entry["chain_hash"] for entry in tables["ledger"]}
    records = {entry["record_id"] for entry in tables["ledger"]}
    for reply in acknowledged:
        assert reply["id"] in records
        assert "seq" not in reply or chain[reply["seq"]] == reply["chain_hash"]
    return tables


# --- at every statement ---------------------------------------------------------------------------


def killed_at(point: int, work) -> tuple[list[dict], int | None]:
    """Run `work` in a child that is killed before its n-th word to the engine or step with a file: (what it had
    acknowledged, None); or (all of it, how many steps there were) where that never came."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        steps = count()

        def counted(function):
            def stepped(*arguments, **options):
                if next(steps) == point:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)

            return stepped

        for name in ("write", "write_many", "execute", "checkpoint", "close"):
            setattr(Connection, name, counted(getattr(Connection, name)))
        os.replace = counted(os.replace)
        try:
            for reply in work():
                os.write(writing, json.dumps(reply).encode() + b"\n")
            os.write(writing, json.dumps(next(steps)).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        said = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return said, None
    *acknowledged, steps = said
    return acknowledged, steps


def first_call():
    yield run(load("W1"), {"title": "First", "summary": "One.", "criterion": ["It is fast."]}, Store(paths.find()))


def single_calls():
    gotcha = run(load("G1"), {"title": "Trap", "summary": "One.", "body": "Two.", "key": "k"}, Store(paths.find()))
    yield gotcha
    yield run(load("L2"), {"id": gotcha["id"]}, Store(paths.find()))


def group():
    store = Store(paths.find())
    replies = Replies(store)
    lines = [
        {"op": "W1", "title": "A", "summary": "One.", "criterion": ["It is fast."], "key": "one"},
        {"op": "W2", "id": "$1.id", "status": "done", "criterion": ["It is small."]},
        {"op": "G1", "title": "Trap", "summary": "One.", "body": "Two.", "task_id": "$1.id"},
        {"op": "L2", "id": "$3.id"},
    ]
    with store.group():
        answers = [replies.answer(number, json.dumps(line).encode()) for number, line in enumerate(lines, start=1)]
    yield from (answer for answer in answers if answer["status"] == "OK")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    # The plane's own entry, the one before, then what each unit adds, all of it.
    ("work", "sizes"),
    [(first_call, {1, 3}), (single_calls, {2, 3, 5}), (group, {2, 7})],
)
def test_killed_before_any_statement_it_leaves_all_or_nothing(kz, plane, tmp_path, monkeypatch, engine, work, sizes):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", engine)
    if work is not first_call:
        kz.ok("W1", title="Before", summary="One.")
    seen = set()

    def tried(point: int) -> int | None:
        root = tmp_path / "tried"
        shutil.copytree(plane, root)
        monkeypatch.setenv("KAIZEN_REPO_ROOT", str(root))
        acknowledged, steps = killed_at(point, work)
        if (root / "AI/db/kaizen.db").exists():
            seen.add(len(is_there(root, acknowledged)["ledger"]))
        else:
            assert not acknowledged
        after = kz.ok("W1", title="After", summary="One.")
        is_there(root, [*acknowledged, after])
        shutil.rmtree(root)
        return steps

    steps = tried(-1)
    points = range(steps) if SOAK else [*range(0, steps - 9, steps // 4), *range(steps - 9, steps, 2)]
    assert [tried(point) for point in points] == [None] * len(points)
    assert seen == sizes


# --- at any moment --------------------------------------------------------------------------------


class Victims:
    """Workers that are killed at some moment; what they had said until then."""

    def __init__(self, *works: list[str], **environment: str) -> None:
        command = [sys.executable, str(ROOT / "tests" / "worker.py")]
        self.processes = [
            subprocess.Popen([*command, *work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment})
            for work in works
        ]
        for process in self.processes:
            assert process.stdout.readline() == b"ready\n"
        for process in self.processes:
            process.stdin.write(b"go\n")
            process.stdin.flush()

    def killed_after(self, seconds: float) -> list[dict]:
        """Every reply that was printed whole."""
        time.sleep(seconds)
        for process in self.processes:
            process.kill()
        said = [process.communicate()[0] for process in self.processes]
        replies = [json.loads(line) for out in said for line in out.split(b"\n")[:-1]]
        assert all(reply["status"] == "OK" for reply in replies), [reply for reply in replies if reply["status"] != "OK"]
        return replies


@pytest.mark.soak
def test_writers_killed_at_random_lose_nothing_they_acknowledged(kz, plane, monkeypatch):
    """Rounds of single operations and batches, on the engines in turn, always on the same plane."""
    chance = random.Random(7)
    deadline = time.monotonic() + SOAK
    acknowledged: list[dict] = []
    for number in count():
        engine = ENGINES[number % 2]
        monkeypatch.setenv("KAIZEN_DB_ENGINE", engine)
        victims = Victims(["mixed", f"m{number}"], ["batches", f"b{number}"])
        acknowledged += victims.killed_after(chance.uniform(0.05, 0.6 if SOAK else 0.3))
        monkeypatch.setenv("KAIZEN_DB_ENGINE", chance.choice(ENGINES))
        acknowledged.append(kz.ok("W1", title="After", summary="One."))
        is_there(plane, acknowledged)
        if number >= 3 and time.monotonic() > deadline:
            break
    assert len(acknowledged) > number
    assert kz.ok("V1")["seq"] == len(truth.dump(plane)["ledger"])


@pytest.mark.soak
def test_a_plane_whose_making_is_killed_is_made_by_the_next_call(kz, tmp_path, monkeypatch):
    chance = random.Random(11)
    deadline = time.monotonic() + SOAK / 2
    for number in count():
        roots = [tmp_path / f"{number}-{n}" for n in range(4)]
        for root in roots:
            root.mkdir()
        with contextlib.ExitStack() as started:
            making = [started.enter_context(contextlib.closing(_One(root, ENGINES[n % 2]))) for n, root in enumerate(roots)]
            for one in making:
                one.victims.processes[0].stdin.flush()
            said = [one.victims.killed_after(chance.uniform(0, 0.04)) for one in making]
        for root, acknowledged in zip(roots, said, strict=True):
            monkeypatch.setenv("KAIZEN_REPO_ROOT", str(root))
            after = kz.ok("W1", title="After", summary="One.")
            is_there(root, [*acknowledged, after])
            assert not list((root / "AI/db").glob("kaizen.db.new-*"))
        if time.monotonic() > deadline:
            break


class _One:
    """One worker on a plane of its own."""

    def __init__(self, root: Path, engine: str) -> None:
        self.victims = Victims(["writes", "first", "2"], KAIZEN_REPO_ROOT=str(root), KAIZEN_DB_ENGINE=engine)

    def close(self) -> None:
        for process in self.victims.processes:
            process.kill()


def test_after_a_killed_writer_both_engines_answer_at_once(plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", "turso")
    acknowledged = Victims(["mixed", "m"]).killed_after(0.4)
    for engine in ENGINES:
        monkeypatch.setenv("KAIZEN_DB_ENGINE", engine)
        start = time.monotonic()
        assert Kz().ok("W9", limit=-1)["count"] >= sum(reply["id"].startswith("t_") for reply in acknowledged) / 2
        assert time.monotonic() - start < 5
    is_there(plane, acknowledged)
