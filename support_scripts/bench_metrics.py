"""Measure the analysis of agents' metrics: what it says of histories whose truth is known, and how long it takes.

    python support_scripts/bench_metrics.py                     the whole run, some minutes
    python support_scripts/bench_metrics.py --histories 100 --rounds 3     a quick look
    python support_scripts/bench_metrics.py --write             also replaces the run in docs/BENCHMARKS.md

Histories are drawn from fixed seeds, so what is found in them follows from the code alone. Times depend on the machine; P1 is timed
in turn with W1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kaizen_components.metrics import analysis  # noqa: E402
from kaizen_components.metrics.executions import Execution  # noqa: E402
from kaizen_components.metrics.statistics import wilson  # noqa: E402
from support_scripts.bench_kaizen import KAIZEN, environment, in_process, timed  # noqa: E402

BEGIN, END = "<!-- run: written by support_scripts/bench_metrics.py -->", "<!-- end of run of bench_metrics.py -->"
START = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = (10, 14, 20, 30, 50, 80, 80, 120, 200, 400)
RATES = (0.8, 0.85, 0.9, 0.95, 0.98)
AGENTS, EXECUTIONS = 50, 10_000


def execution(source: Random, number: int, rate: float, **more: Any) -> dict[str, Any]:
    """One execution as a line of executions.jsonl has it: a success, a quality near its bound, a skewed time, skewed tokens with ties, a
    flavor and metadata that mean nothing."""
    return {
        "timestamp": (START + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "agent": "agent",
        "success": source.random() < rate,
        "execution_time_s": round(source.lognormvariate(3, 1), 2),
        "quality_score": round(source.betavariate(9, 2), 3),
        "tokens": 100 * int(source.lognormvariate(4, 0.8)),
        "flavor": source.choice(("fast", "careful", "plain")),
        "metadata": {"model": source.choice(("small", "large")), "files": source.randrange(4), "commit": source.randrange(10**6)},
        **more,
    }


def record(number: int, told: dict[str, Any]) -> Execution:
    """The execution of a line, with an id."""
    return Execution(
        id=f"ex_20260101000000_{number:010x}",
        primary_metric={},
        session_id=None,
        helix_session_uid=None,
        repo=None,
        infra_overhead_share=None,
        origin="recorded",
        task_id=None,
        fingerprint=hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest(),
        **told,
    )


def unchanged(seed: int) -> list[Execution]:
    """A history in which nothing changes and nothing goes along with anything. Quality is fine, or in tenths, or hardly ever not 1."""
    source = Random(f"unchanged {seed}")
    size, rate, digits = source.choice(SIZES), source.choice(RATES), source.choice((3, 1, 0))
    told = [execution(source, number, rate) for number in range(size)]
    for one in told:
        one["quality_score"] = (
            round(one["quality_score"], digits) if digits else float(source.random() < 0.95) or one["quality_score"]
        )
    return [record(number, one) for number, one in enumerate(told)]


def fallen(seed: int) -> list[Execution]:
    """A history of 80 executions whose success falls from 0.9 to 0.6 after 40."""
    source = Random(f"fallen {seed}")
    return [record(number, execution(source, number, 0.9 if number < 40 else 0.6)) for number in range(80)]


def alarms(held: list[Execution]) -> list[str]:
    """Everything that an analysis flags: changes of late, places of a change, low success, correlates."""
    told = analysis.analyse("agent", held).told
    found = [f"{name} {metric['verdict']}" for name, metric in told["metrics"].items() if metric["verdict"] in ("fell", "rose")]
    found += ["low success"] if told["metrics"]["success"]["low"]["flagged"] else []
    found += [f"place of a change in {place['metric']}" for place in told["changepoints"]]
    return found + [f"{one['metric']} with {one['factor']}" for one in told["correlates"]]


def share(made: Callable[[int], list[Execution]], count: int, wanted: Callable[[list[str]], bool]) -> tuple[int, float, float]:
    """(how many of so many histories raise what is wanted, and the 95 % interval of that rate)."""
    hits = sum(wanted(alarms(made(seed))) for seed in range(count))
    return (hits, *wilson(hits, count))


def fell(found: list[str]) -> bool:
    return "success fell" in found


def lines() -> Iterator[str]:
    """Batch lines: 10,000 executions of 50 agents, ten of which get worse."""
    source = Random("plane")
    for number in range(EXECUTIONS):
        agent, place = number % AGENTS, number // AGENTS
        worse = agent < 10 and place >= 160
        told = execution(source, number, 0.65 if worse else 0.9, agent=f"agent-{agent:02}")
        yield json.dumps({"op": "P1", "payload_json": told, "no_event": True})


def run(histories: int, rounds: int) -> list[tuple[str, str, str]]:
    """Rows of (what, figure, goal)."""
    rows: list[tuple[str, str, str]] = []
    for name, made, wanted, goal in (
        ("histories without change in which anything is flagged", unchanged, bool, "at most 5 %"),
        ("falls of success from 0.9 to 0.6, 40 records on each side, that are flagged", fallen, fell, "over 85 %"),
    ):
        hits, low, high = share(made, histories, wanted)
        rows.append((name, f"{hits} of {histories}: {hits / histories:.1%} (95 % interval {low:.1%} to {high:.1%})", goal))
    return rows + times(rounds)


def times(rounds: int) -> list[tuple[str, str, str]]:
    """How long P1, P3 and P5 take over 10,000 executions of 50 agents."""
    folder = Path(tempfile.mkdtemp(prefix="kaizen-bench-"))
    rows: list[tuple[str, str, str]] = []
    try:
        root = folder / "plane"
        root.mkdir()
        env = environment(root)
        os.environ["KAIZEN_REPO_ROOT"] = str(root)
        source = folder / "lines.jsonl"
        source.write_text("\n".join(lines()) + "\n", encoding="utf-8")
        took = timed([*KAIZEN, "K8", "--path", str(source)], env)
        size = f"{EXECUTIONS:,} executions of {AGENTS} agents"
        rows.append((f"batch of {size}", f"{EXECUTIONS / took:,.0f} records/s", ""))
        pairs: list[tuple[float, float]] = []
        for number in range(rounds + 1):
            # Each time another execution: the same again would be a duplicate and write nothing.
            said = ["--agent", "agent-00", "--success", "--quality", "0.9", "--time", str(number + 1), "--json"]
            work = ["--title", "Bench", "--summary", "One more task.", "--json"]
            pairs.append((timed([*KAIZEN, "P1", *said], env), timed([*KAIZEN, "W1", *work], env)))
        mine, theirs = (statistics.median(pair[side] for pair in pairs[1:]) for side in (0, 1))
        ratio = statistics.median(one / other for one, other in pairs[1:])
        said = f"{mine * 1000:.0f} ms, W1 {theirs * 1000:.0f} ms, {ratio:.2f} times"
        rows.append(("cold P1 against cold W1 in the same plane", said, "as fast as W1"))
        listed = [in_process(["P3", "--json"]) for _ in range(rounds + 1)][1:]
        rows.append((f"P3 in-process, {size}", f"{statistics.median(listed) * 1000:.1f} ms", "under 50 ms"))
        analysed: list[float] = []
        for number in range(rounds + 1):
            in_process(["P1", "--agent", "agent-49", "--success", "--time", str(number + 1), "--json"])
            analysed.append(in_process(["P5", "--json"]))
        said = f"{statistics.median(analysed[1:]):.2f} s"
        rows.append((f"P5 in-process, {size}, one new each time", said, "under 2 s"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def table(rows: list[tuple[str, str, str]]) -> str:
    """The run as Markdown."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    text = [f"{time.strftime('%Y-%m-%d')}, {machine}.", "", "| what | figure | goal |", "|---|---|---|"]
    return "\n".join([*text, *(f"| {what} | {figure} | {goal} |" for what, figure, goal in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=400, help="simulated histories of each sort")
    parser.add_argument("--rounds", type=int, default=9, help="rounds a time")
    parser.add_argument("--write", action="store_true", help="replace the run in docs/BENCHMARKS.md")
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    text = table(run(given.histories, given.rounds))
    print(text)
    if given.write:
        path = ROOT / "docs" / "BENCHMARKS.md"
        page = path.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN, 1)
        path.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
