"""Measure what the gate, the record and the confinement cost over the bare action, and print it as rows of docs/BENCHMARKS.md.

    python support_scripts/bench_tools.py [--rounds 200]

Each figure is the median of calls in one process, paired with the bare action in the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

Rows = list[tuple[str, str, str]]


def median(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def calls(root: Path, rounds: int) -> Rows:
    """Tools against the bare action."""
    from kaizen_components.agent import Hooks, ToolRegistry, confinement
    from kaizen_components.store import engine

    registry = ToolRegistry()
    registry.register_defaults()
    session = registry.session(root)
    text = "\n".join(f"line {n} of a file that is read" for n in range(200))
    (root / "a.txt").write_text(text, encoding="utf-8")
    rows: Rows = []
    bare = median(lambda: (root / "a.txt").read_text(encoding="utf-8"), rounds)
    held = median(lambda: session.call("read_file", {"path": "a.txt"}), rounds)
    rows.append(
        (
            f"read_file of 200 lines, managed, {engine().name}",
            f"{held:.2f} ms, bare {bare:.2f} ms, {held - bare:.2f} ms more",
            "under 3 ms more",
        )
    )
    waiting, not_waiting = (median(commits(root, waits), rounds) for waits in (True, False))
    rows.append(
        (
            "floor: a commit of two rows that waits for the disk, one that does not",
            f"{waiting:.2f} ms, {not_waiting:.2f} ms",
            "read_file takes one of each, what has effects two that wait",
        )
    )
    few = max(rounds // 5, 5)
    bare = median(lambda: subprocess.run(["bash", "-c", "true"], check=True), few)
    held = median(lambda: session.call("bash_command", {"command": "true"}), few)
    name = confinement.available().name
    rows.append(
        (
            f"bash_command, managed, held in by {name}",
            f"{held:.1f} ms, bare {bare:.1f} ms, {held - bare:.1f} ms more",
            "under 25 ms more",
        )
    )
    for count in (0, 1, 10):
        hooks = Hooks()
        for _ in range(count):
            hooks.add("before", lambda payload: None)
        took = median(lambda hooks=hooks: hooks.ask_before({"tool_name": "read_file"}) if hooks.before else None, rounds * 10)
        rows.append((f"{count} hooks before a call", f"{took:.4f} ms", "under 0.01 ms with none" if not count else ""))
    session.store.leave()
    return rows


def commits(root: Path, waits: bool) -> Callable[[], None]:
    """Two rows, about as long as those of a call, in one transaction of the engine alone."""
    from itertools import count

    from kaizen_components.store.connection import Connection

    connection, numbers = Connection(root / f"floor-{waits}.db"), count()
    connection.write("CREATE TABLE ledger (seq INTEGER PRIMARY KEY, content TEXT)")
    connection.write("CREATE TABLE record (seq INTEGER PRIMARY KEY, content TEXT)")
    connection.wait_for_disk(waits)

    def commit() -> None:
        number = next(numbers)
        connection.write("BEGIN IMMEDIATE")
        connection.write("INSERT INTO ledger VALUES (?, ?)", (number, "x" * 1_500))
        connection.write("INSERT INTO record VALUES (?, ?)", (number, "x" * 1_000))
        connection.write("COMMIT")

    return commit


def looking(root: Path) -> Rows:
    """grep and glob over 5,000 files."""
    from kaizen_components.agent.registry import native
    from kaizen_components.agent.tool import Context

    many = root / "many"
    for n in range(5_000):
        folder = many / f"d{n % 50}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{n}.py").write_text(f"def function_{n}():\n    return {n}\n" * 20, encoding="utf-8")
    context = Context(workspace=root, cwd=root)
    grep, glob = native("grep"), native("glob")
    found = median(lambda: grep.run(grep.takes.model_validate({"pattern": r"function_49\d\d", "path": "many"}), context), 5)
    listed = median(lambda: glob.run(glob.takes.model_validate({"pattern": "**/*.py", "path": "many"}), context), 5)
    return [
        ("grep over 5,000 files", f"{found / 1000:.2f} s", "under 1 s without ripgrep"),
        ("glob over 5,000 files", f"{listed / 1000:.2f} s", ""),
    ]


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=200)
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="kaizen-bench-") as folder:
        root = Path(folder).resolve()
        os.environ["KAIZEN_REPO_ROOT"] = str(root)
        from kaizen_components import api

        api.call("K1")
        print("| what | figure | goal |\n|---|---|---|")
        for what, figure, goal in [*calls(root, wanted.rounds), *looking(root)]:
            print(f"| {what} | {figure} | {goal} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
