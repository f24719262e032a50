"""Measure Kaizen against a floor in the same run: an interpreter that imports turso, opens, writes one row, closes.

    python support_scripts/bench_kaizen.py                      the whole run, a few minutes
    python support_scripts/bench_kaizen.py --sizes 1000         a quick look
    python support_scripts/bench_kaizen.py --write              also replaces the run in docs/BENCHMARKS.md

Every figure is a median of pairs: Kaizen, floor, Kaizen, floor ... A ratio says more than a time: machines differ and drift.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
KAIZEN = [sys.executable, str(ROOT / "kaizen.py")]
BEGIN, END = "<!-- run: written by support_scripts/bench_kaizen.py -->", "<!-- end of run -->"

FLOOR = {
    "turso": """
import sys, turso
connection = turso.connect(sys.argv[1], isolation_level=None)
connection.execute("CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY, text TEXT)")
connection.execute("INSERT INTO floor (text) VALUES ('x')")
connection.close()
""",
    "sqlite": """
import sys, sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=FULL")
connection.execute("CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY, text TEXT)")
connection.execute("INSERT INTO floor (text) VALUES ('x')")
connection.close()
""",
}
WORDS = "login cache deploy schema index token parser queue retry lock journal budget report policy lesson proof".split()


def environment(root: Path) -> dict[str, str]:
    """The caller's environment without what makes every start compile, and with the plane to use."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONDONTWRITEBYTECODE", "KAIZEN_CLOCK", "KAIZEN_ID_SEED")
    }
    return {**kept, "KAIZEN_REPO_ROOT": str(root)}


def timed(command: list[str], env: dict[str, str]) -> float:
    """Wall seconds of one process that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def paired(command: list[str], floor: list[str], env: dict[str, str], rounds: int) -> tuple[float, float, float]:
    """(median seconds, median floor seconds, median of the ratios pair by pair)."""
    for warm in (command, floor):
        timed(warm, env)
    pairs = [(timed(command, env), timed(floor, env)) for _ in range(rounds)]
    return (
        statistics.median(mine for mine, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        statistics.median(mine / theirs for mine, theirs in pairs),
    )


def lines(count: int) -> Iterator[str]:
    """Batch lines: a mix of tasks, pitfalls, verdicts, lessons and notes, with text to search."""
    for number in range(count):
        word, other = WORDS[number % len(WORDS)], WORDS[(number * 7 + 3) % len(WORDS)]
        text = {"title": f"{word} {other} {number}", "summary": f"The {word} of case {number} meets the {other}."}
        body = " ".join(WORDS[(number + step * step) % len(WORDS)] for step in range(40))
        kind = number % 5
        if kind == 0:
            yield json.dumps({"op": "W1", **text, "body": body, "status": "active" if number % 50 == 0 else "done"})
        elif kind == 1:
            yield json.dumps({"op": "G1", **text, "body": body, "status": "active" if number % 51 == 0 else "resolved"})
        elif kind == 2:
            verdict = "VERIFICATION_FAILED" if number % 500 == 2 else "VERIFIED_ACCEPTABLE"
            yield json.dumps({"op": "Q2", **text, "body": body, "conclusion": verdict})
        elif kind == 3:
            yield json.dumps({"op": "L1", **text, "body": body})
        else:
            yield json.dumps({"op": "W38", **text, "body": body})


def in_process(argv: list[str]) -> float:
    """Wall seconds of one call inside this process."""
    from kaizen_components.cli import main

    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(argv)
    if code:
        raise SystemExit(f"{argv} ended with {code}")
    return time.perf_counter() - start


def median_of(work: Callable[[], float], rounds: int) -> float:
    work()
    return statistics.median(work() for _ in range(rounds))


def in_turn(small: Path, large: Path, argv: list[str], rounds: int) -> float:
    """How many times as long a call takes in the large plane as in the small one: both in turn, medians."""
    times: dict[Path, list[float]] = {small: [], large: []}
    for _ in range(rounds + 1):
        for root, found in times.items():
            os.environ["KAIZEN_REPO_ROOT"] = str(root)
            found.append(in_process(argv))
    return statistics.median(times[large][1:]) / statistics.median(times[small][1:])


def parallel_writers(env: dict[str, str], writers: int = 16, each: int = 5) -> tuple[float, float]:
    """(p50, p99) seconds of a W1 among `writers` processes at once."""
    script = (
        "import subprocess, sys, time\n"
        "for _ in range(int(sys.argv[1])):\n"
        "    start = time.perf_counter()\n"
        "    subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)\n"
        "    print(time.perf_counter() - start)\n"
    )
    call = [*KAIZEN, "W1", "--title", "Parallel", "--summary", "One of many.", "--json"]
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(each), *call], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(writers)
    ]
    times = sorted(float(line) for process in started for line in process.communicate()[0].splitlines())
    if len(times) != writers * each:
        raise SystemExit("a writer failed")
    return statistics.median(times), times[int(len(times) * 0.99)]


def child_peak(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """(seconds, peak MB) of one process, measured in a child of its own so that no other process counts."""
    script = (
        "import resource, subprocess, sys, time\n"
        "start = time.perf_counter()\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], env=env, check=True, capture_output=True, text=True)
    seconds, peak = done.stdout.split()
    return float(seconds), float(peak) / (1024 if sys.platform != "darwin" else 1024 * 1024)


def run(sizes: list[int], rounds: int, engine: str) -> list[tuple[str, str, str]]:
    """Rows of (what, figure, goal)."""
    rows: list[tuple[str, str, str]] = []
    folder = Path(tempfile.mkdtemp(prefix="kaizen-bench-"))
    os.environ["KAIZEN_DB_ENGINE"] = engine
    try:
        for size in sizes:
            root = folder / str(size)
            root.mkdir()
            env = environment(root)
            os.environ["KAIZEN_REPO_ROOT"] = str(root)
            source = folder / "lines.jsonl"
            source.write_text("\n".join(lines(size)) + "\n", encoding="utf-8")
            took = timed([*KAIZEN, "K8", "--path", str(source)], env)
            rows.append((f"batch of {size:,}", f"{size / took:,.0f} records/s", "at least 2,000/s" if size == sizes[-1] else ""))
            floor = [sys.executable, "-c", FLOOR[engine], str(folder / "floor.db")]
            query = [*KAIZEN, "G3", "--query", "cache deploy", "--json"]
            first = timed(query, env)
            rows.append((f"first search at {size:,} (index built)", f"{first:.2f} s", ""))
            calls = {
                "W1": ["W1", "--title", "Bench", "--summary", "One more task."],
                "Q2": ["Q2", "--summary", "It holds.", "--conclusion", "VERIFIED_ACCEPTABLE"],
                "G3": ["G3", "--query", "cache deploy"],
                "R0": ["R0"],
            }
            for name, call in calls.items():
                mine, theirs, ratio = paired([*KAIZEN, *call, "--json"], floor, env, rounds)
                goal = "at most 2.1 times" if name == "W1" else ""
                rows.append(
                    (f"cold {name} at {size:,}", f"{mine * 1000:.0f} ms, floor {theirs * 1000:.0f} ms, {ratio:.2f} times", goal)
                )
            digest = median_of(lambda: in_process(["R0", "--json"]), rounds)
            rows.append((f"R0 in-process at {size:,}", f"{digest * 1000:.1f} ms", ""))
            search = median_of(lambda: in_process(["G3", "--query", "cache deploy", "--json"]), rounds)
            rows.append((f"G3 in-process at {size:,}", f"{search * 1000:.1f} ms", "under 20 ms at 100,000"))
            seconds, peak = child_peak([*KAIZEN, "V1", "--json"], env)
            rows.append(
                (f"V1 at {size:,}", f"{seconds:.2f} s, {size / seconds:,.0f} entries/s, {peak:.0f} MB", "100,000 in 10 s, 200 MB")
            )
        if len(sizes) > 1:
            ratio = in_turn(folder / str(sizes[0]), folder / str(sizes[-1]), ["R0", "--json"], rounds)
            rows.append((f"R0 in-process, {sizes[-1]:,} against {sizes[0]:,}", f"{ratio:.2f} times", "at most 1.5 times"))
        p50, p99 = parallel_writers(environment(folder / str(sizes[0])))
        rows.append(("16 parallel writers, W1", f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, none refused", ""))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def table(rows: list[tuple[str, str, str]], engine: str) -> str:
    """The run as Markdown."""
    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, engine {engine}"
    )
    text = [f"{time.strftime('%Y-%m-%d')}, {machine}.", "", "| what | figure | goal |", "|---|---|---|"]
    return "\n".join([*text, *(f"| {what} | {figure} | {goal} |" for what, figure, goal in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000,100000", help="records in the plane, comma separated")
    parser.add_argument("--rounds", type=int, default=15, help="pairs a figure")
    parser.add_argument("--engine", choices=sorted(FLOOR), default="turso")
    parser.add_argument("--write", action="store_true", help="replace the run in docs/BENCHMARKS.md")
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    text = table(run([int(size) for size in given.sizes.split(",")], given.rounds, given.engine), given.engine)
    print(text)
    if given.write:
        path = ROOT / "docs" / "BENCHMARKS.md"
        page = path.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN, 1)
        path.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
