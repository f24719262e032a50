"""Lineage: where a run's texts came from, what each scored on which cases, and which step brought which line of the winner."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from ..agent.runs import lives
from .cases import VALIDATION
from .records import RUNNING, SPLITS

if TYPE_CHECKING:
    from ..store import Row, Store

COLUMNS = ("id", "number", "parents_json", "origin", "text_blob", "text_bytes", "diff_blob", "status")
SCORE_COLUMNS = ("candidate_id", "case_name", "split", "score", "feedback", "cost_usd", "tokens", "duration_ms", "replay_of")


@dataclass(frozen=True, slots=True)
class Node:
    """A candidate: its place among the others, its text, its scores by split and case, and the mean of each split.

    `gain` is its mean on the validation cases minus its first parent's; None where one of them has none.
    """

    id: str
    number: int
    parents: tuple[int, ...]
    origin: str
    status: str
    text: str | None
    diff: str | None
    path: str
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    feedback: Mapping[str, str] = field(default_factory=dict)
    means: Mapping[str, float] = field(default_factory=dict)
    gain: float | None = None

    def values(self) -> dict[str, Any]:
        """As an answer shows it: without the text and the single scores."""
        scored = {split: {"mean": self.means[split], "cases": len(self.scores[split])} for split in SPLITS if split in self.means}
        names = ("id", "number", "origin", "status", "gain", "path", "diff")
        return {**{name: getattr(self, name) for name in names}, "parents": list(self.parents), "scores": scored}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the winner, the candidate that brought it, and what that step gained on the validation cases (None: unknown, or
    the baseline, which gained nothing)."""

    number: int
    text: str
    candidate: int
    gain: float | None

    def values(self) -> dict[str, Any]:
        """As an answer shows it."""
        return {"line": self.number, "candidate": self.candidate, "gain": self.gain, "text": self.text}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way from the baseline to the winner."""

    candidate: int
    parent: int
    added: int
    removed: int
    validation: float | None
    gain: float | None

    def values(self) -> dict[str, Any]:
        """As an answer shows it."""
        return {name: getattr(self, name) for name in ("candidate", "parent", "added", "removed", "validation", "gain")}


@dataclass(frozen=True, slots=True)
class Lineage:
    """A run, whole: its record, how it stands, its candidates by number, the way to the winner, blame, and cost by purpose."""

    run: Mapping[str, Any]
    stands: str
    nodes: Sequence[Node]
    winner: int | None
    path: Sequence[int]
    steps: Sequence[Step]
    blame: Sequence[Line]
    cost: Mapping[str, Mapping[str, float]]
    replays: int = 0

    @property
    def result(self) -> Mapping[str, Any] | None:
        """What the held-out cases say; None before the run has ended. `cases` has baseline and candidate by case."""
        return json.loads(self.run["result_json"]) if self.run["result_json"] else None

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """Names of the cases by split."""
        return json.loads(self.run["splits_json"])

    def values(self) -> dict[str, Any]:
        """As an answer shows it."""
        return {
            "run": {**self.run, "stands": self.stands},
            "winner": self.winner,
            "path": list(self.path),
            "tree": [node.values() for node in self.nodes],
            "steps": [step.values() for step in self.steps],
            "blame": [line.values() for line in self.blame],
            "cost": {purpose: dict(amount) for purpose, amount in self.cost.items()},
            "replays": self.replays,
        }


def read(store: Store, run_id: str) -> Lineage:
    """The lineage of a run, from its records and the texts among the blobs; a text that was deleted is None, and blame then
    empty. Raises DENIED_RECORD_NOT_FOUND."""
    run = store.get("optimizer_run", run_id)
    rows = store.list("optimizer_candidate", {"run_id": run_id}, order="number", columns=COLUMNS)
    scores = store.list("optimizer_score", {"run_id": run_id}, order="created_seq", columns=SCORE_COLUMNS)
    calls = store.list("optimizer_call", {"run_id": run_id}, columns=("purpose", "tokens", "cost_usd", "duration_ms"))
    first = [row for row in scores if row["replay_of"] is None]
    nodes = _nodes(store, rows, first, json.loads(run["splits_json"]))
    winner = _winner(run, nodes)
    path = _path(nodes, winner)
    steps = [_step(nodes, number) for number in path[1:]]
    return Lineage(
        run=run,
        stands=standing(run),
        nodes=nodes,
        winner=winner,
        path=path,
        steps=steps,
        blame=_blame(nodes, path),
        cost=_cost(calls),
        replays=len(scores) - len(first),
    )


def standing(run: Mapping[str, Any]) -> str:
    """How a run stands: its status; of one that is recorded as running, whether its process is still there."""
    if run["status"] != RUNNING:
        return run["status"]
    return "running" if lives(run["process"]) else "cut off"


def _nodes(store: Store, rows: Sequence[Row], scores: Sequence[Row], splits: Mapping[str, Sequence[str]]) -> list[Node]:
    numbers = {row["id"]: row["number"] for row in rows}
    whole = len(splits[VALIDATION])
    nodes: list[Node] = []
    for row in rows:
        own = [score for score in scores if score["candidate_id"] == row["id"]]
        by_split = {
            split: {score["case_name"]: score["score"] for score in own if score["split"] == split}
            for split in SPLITS
            if any(score["split"] == split for score in own)
        }
        means = {split: math.fsum(found.values()) / len(found) for split, found in by_split.items()}
        parents = tuple(numbers[parent] for parent in json.loads(row["parents_json"]))
        gain = None
        if parents and len(by_split.get(VALIDATION, ())) == whole == len(nodes[parents[0]].scores.get(VALIDATION, ())):
            gain = float(f"{means[VALIDATION] - nodes[parents[0]].means[VALIDATION]:.6g}")
        nodes.append(
            Node(
                id=row["id"],
                number=row["number"],
                parents=parents,
                origin=row["origin"],
                status=row["status"],
                text=_text(store, row["text_blob"]),
                diff=_text(store, row["diff_blob"]),
                path=store.plane.relative(store.plane.blobs / row["text_blob"]),
                scores=by_split,
                feedback={score["case_name"]: score["feedback"] for score in own if score["feedback"]},
                means=means,
                gain=gain,
            )
        )
    return nodes


def _text(store: Store, sha: str | None) -> str | None:
    if sha is None:
        return None
    try:
        return (store.plane.blobs / sha).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _winner(run: Mapping[str, Any], nodes: Sequence[Node]) -> int | None:
    """The winner of a run that has ended; of another, the best so far."""
    named = next((node.number for node in nodes if node.id == run["winner_id"]), None)
    if named is not None:
        return named
    whole = len(json.loads(run["splits_json"])[VALIDATION])
    tried = [node for node in nodes if len(node.scores.get(VALIDATION, ())) == whole]
    return max(tried, key=lambda node: (node.means[VALIDATION], -node.number)).number if tried else None


def _path(nodes: Sequence[Node], winner: int | None) -> list[int]:
    """Numbers from the baseline to the winner, by first parents."""
    path: list[int] = []
    while winner is not None:
        path.append(winner)
        parents = nodes[winner].parents
        winner = parents[0] if parents else None
    return path[::-1]


def _step(nodes: Sequence[Node], number: int) -> Step:
    node = nodes[number]
    before, after = (nodes[node.parents[0]].text or "").splitlines(), (node.text or "").splitlines()
    added = removed = 0
    for tag, a, b, c, d in _changes(before, after):
        if tag != "equal":
            removed, added = removed + b - a, added + d - c
    return Step(number, node.parents[0], added, removed, node.means.get(VALIDATION), node.gain)


def _blame(nodes: Sequence[Node], path: Sequence[int]) -> list[Line]:
    """Each line of the last text of a path, with the candidate that brought it: a line that a step kept stays its bringer's."""
    texts = [nodes[number].text for number in path]
    if not path or any(text is None for text in texts):
        return []
    lines = (texts[0] or "").splitlines()
    bringers = [path[0]] * len(lines)
    for number, text in zip(path[1:], texts[1:], strict=True):
        after = (text or "").splitlines()
        kept: list[int] = []
        for tag, a, b, c, d in _changes(lines, after):
            kept += bringers[a:b] if tag == "equal" else [number] * (d - c)
        lines, bringers = after, kept
    return [
        Line(at, line, bringer, nodes[bringer].gain) for at, (line, bringer) in enumerate(zip(lines, bringers, strict=True), 1)
    ]


def _changes(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()


def _cost(calls: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Calls, tokens, dollars and milliseconds by purpose, in the order of their names."""
    found: dict[str, dict[str, float]] = {}
    for call in sorted(calls, key=lambda call: call["purpose"]):
        sums = found.setdefault(call["purpose"], {"calls": 0, "tokens": 0, "cost_usd": 0.0, "duration_ms": 0})
        sums["calls"] += 1
        for name in ("tokens", "duration_ms"):
            sums[name] += call[name]
        sums["cost_usd"] = round(sums["cost_usd"] + call["cost_usd"], 12)
    return found


# --- for a person ---------------------------------------------------------------------------------


def view(lineage: Lineage) -> str:
    """The run for a person: the verdict, the tree of candidates, the winner's lines with who brought them, the cost."""
    run, result = lineage.run, lineage.result
    lines = [f"{run['id']}  {run['contract']}  ({run['engine']}, {lineage.stands})", run["summary"]]
    if run["verdict"]:
        lines.append(f"Verdict: {run['verdict']} ({run['reason']})")
    if result and result["paired"]:
        low, high = result["paired"]["interval_95"]
        lines.append(
            f"Held-out cases: baseline {result['baseline_mean']:.4g}, winner {result['winner_mean']:.4g}, difference"
            f" {result['paired']['mean_difference']:+.4g} (95 % {low:.4g} to {high:.4g})"
        )
    lines += ["", "Candidates, with their mean scores:"]
    lines += _tree(lineage, None, 0)
    if lineage.blame:
        lines += ["", "Lines of the winner, with the candidate that brought each and what that step gained on validation cases:"]
        width = max(len(_bringer(line)) for line in lineage.blame)
        lines += [f"  {_bringer(line):<{width}}  {line.text}".rstrip() for line in lineage.blame]
    lines += ["", "Cost:"]
    for purpose, sums in lineage.cost.items():
        lines.append(f"  {purpose}: {sums['calls']} calls, {sums['tokens']} tokens, {sums['cost_usd']:.4g} US dollars")
    lines += [] if lineage.cost else ["  nothing yet"]
    if run["proposal_id"]:
        lines += ["", f"Proposal {run['proposal_id']}; nothing is applied."]
    return "\n".join(lines)


def _tree(lineage: Lineage, parent: int | None, depth: int) -> list[str]:
    lines: list[str] = []
    for node in lineage.nodes:
        if (node.parents[0] if node.parents else None) != parent:
            continue
        means = ", ".join(f"{split} {mean:.4g}" for split, mean in node.means.items())
        mark = "  <- winner" if node.number == lineage.winner else ""
        lines.append(f"  {'  ' * depth}{node.number} {node.origin}, {node.status}: {means or 'no scores'}{mark}")
        lines += _tree(lineage, node.number, depth + 1)
    return lines


def _bringer(line: Line) -> str:
    return f"{line.candidate}" if line.gain is None else f"{line.candidate} {line.gain:+.3g}"
