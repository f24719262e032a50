"""Optimizing: an analysis of what is recorded, kept as records, and the files below .kaizen/metrics/optimizer that follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial
from ..hashing import canonical
from ..store import blobs, files
from ..store.lock import PlaneLock
from . import analysis, executions, naming, recommendations
from .analysis import AgentAnalysis
from .executions import Execution
from .records import MetricsAnalysis, Recommendation

if TYPE_CHECKING:
    from ..paths import Plane
    from ..store import Row, Store

ANALYSIS, RECOMMENDATION = "metrics_analysis", "recommendation"
# Seconds that a call waits for another that writes the same files.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Analysed:
    """An analysis that is ready to be written: what analysis.json holds, that file's bytes, and what it was made from."""

    told: dict[str, Any]
    content: bytes
    agents: Sequence[AgentAnalysis]
    drafts: Sequence[recommendations.Draft]


def analysed(held: Sequence[Execution], agent: str | None) -> Analysed:
    """The analysis of executions; the same executions give the same bytes."""
    told, agents = analysis.report(held, agent)
    drafts = recommendations.ranked(agents)
    told["recommendations"] = [draft.values(rank) for rank, draft in enumerate(drafts, 1)]
    content = json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    return Analysed(told, content.encode("utf-8", "surrogatepass"), agents, drafts)


def history(store: Store, agent: str | None) -> list[Execution]:
    """What is recorded of an agent (None: of all); the plane is let go before anything is reckoned."""
    found = executions.history(store, agent)
    store.release()
    return found


def known(store: Store, made: Analysed) -> Row | None:
    """The analysis that rests on the same records, where there is one."""
    found = store.list(ANALYSIS, {"fingerprint": made.told["fingerprint"]}, limit=1)
    return found[0] if found else None


def write(store: Store, made: Analysed, blob: blobs.Blob) -> tuple[Row, list[Row], int]:
    """Write an analysis and what it recommends: its record, the new recommendations, and how many it superseded.

    What a former analysis recommended with the same evidence stands; what it recommended of the same agents with other
    evidence, and nobody has decided on, is superseded.
    """
    told = made.told
    blob.keep()
    row = store.add(
        MetricsAnalysis(
            agent=told["agent"],
            fingerprint=told["fingerprint"],
            executions=told["executions"],
            agents=len(told["agents"]),
            insufficient=len(told["insufficient"]),
            analysis_blob=blob.sha256,
            status="done",
        )
    )
    # Names of agents are few, recommendations that are open are few: those of all agents are read.
    columns = ("id", "agent", "status", "fingerprint")
    before = {one["fingerprint"]: one for one in store.list(RECOMMENDATION, columns=columns)}
    fingerprints = [draft.fingerprint for draft in made.drafts]
    gone = [
        one["id"]
        for one in before.values()
        if one["status"] == "open" and one["agent"] in told["agents"] and one["fingerprint"] not in fingerprints
    ]
    for record_id in store.revisable(RECOMMENDATION, gone):
        store.revise(RECOMMENDATION, record_id, {"status": "superseded"})
    added = [
        _added(store, row["id"], rank, draft, fingerprint)
        for rank, (draft, fingerprint) in enumerate(zip(made.drafts, fingerprints, strict=True), 1)
        if fingerprint not in before
    ]
    return row, added, len(gone)


def _added(store: Store, analysis_id: str, rank: int, draft: recommendations.Draft, fingerprint: str) -> Row:
    return store.add(
        Recommendation(
            agent=draft.agent,
            analysis_id=analysis_id,
            rank=rank,
            category=draft.category,
            text=draft.text,
            evidence_json=canonical(draft.evidence),
            fingerprint=fingerprint,
            status="open",
        )
    )


# --- the files that follow ------------------------------------------------------------------------


def analysis_file(root: Path) -> Path:
    """The newest analysis."""
    return naming.metrics(root) / "optimizer" / "analysis.json"


def recommendations_file(root: Path) -> Path:
    """Every recommendation that was ever made, a line each."""
    return naming.metrics(root) / "optimizer" / "recommendations.jsonl"


def project(store: Store, items: list[Any]) -> None:
    """Write the files after the commit: items are Analysed, the newest last. Where that fails, the answer warns."""
    try:
        with PlaneLock(store.plane.folder / "projections" / "optimizer.lock", "metrics", seconds=PATIENCE):
            _whole(store.plane, analysis_file(store.plane.root), items[-1].content.decode("utf-8", "surrogatepass"))
            for made in items:
                _append(store.plane, made.told["recommendations"])
    except (OSError, denial.Denial) as fault:
        reason = fault.detail.get("reason", fault.message) if isinstance(fault, denial.Denial) else fault.strerror or str(fault)
        store.warnings.append(f"The analysis stands, but .kaizen/metrics/optimizer does not follow it: {reason}; P5 tries again.")


def _whole(plane: Plane, path: Path, text: str) -> None:
    _refuse_elsewhere(plane, path)
    if not path.exists() or path.read_bytes() != text.encode("utf-8", "surrogatepass"):
        files.write_whole(path, text)


def _append(plane: Plane, told: Sequence[dict[str, Any]]) -> None:
    """Add the recommendations that the file does not hold yet. What others wrote there stays as it is."""
    path = recommendations_file(plane.root)
    _refuse_elsewhere(plane, path)
    held = _fingerprints(path)
    lines = [json.dumps(one, ensure_ascii=False, sort_keys=True) for one in told if one["fingerprint"] not in held]
    if not path.exists() or lines:
        # A line that somebody else left without its end is not run into.
        opened = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
        with path.open("ab") as file:
            file.write(
                ("\n" if opened else "").encode() + "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
            )


def _fingerprints(path: Path) -> set[str]:
    """The fingerprints of the recommendations in a file; lines of another form have none."""
    found: set[str] = set()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("fingerprint"), str):
            found.add(value["fingerprint"])
    return found


def _refuse_elsewhere(plane: Plane, path: Path) -> None:
    """Refuse a file that links lead out of the project: a cloned repository may hold any."""
    if not path.resolve().is_relative_to(plane.root):
        raise denial.FileUnwritable(path=str(path), reason="a link leads out of the project")
