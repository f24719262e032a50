"""Pages: a run of the optimizer as an HTML page: what held-out cases say, the tree of candidates, who brought which line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..reports.page import Block, Branch, Chart, Charts, Difference, Facts, Page, Section, Table, Text, Tree
from .cases import VALIDATION
from .records import SPLITS

if TYPE_CHECKING:
    from ..reports.charts import Dots, Interval, Line
    from .lineage import Lineage, Node

TONES = {"better": "good", "worse": "bad"}


def of_run(found: Lineage) -> Page:
    """The page of a run, whether it has ended or not."""
    run = found.run
    facts = [
        ("Stands", found.stands),
        ("Engine", run["engine"]),
        ("Candidates", len(found.nodes)),
        ("Calls", run["calls"]),
        ("Tokens", run["tokens"]),
        ("Cost", f"{run['cost_usd']:.4g} US dollars"),
        *((f"{split} cases".capitalize(), len(names)) for split, names in found.splits.items()),
    ]
    sections = [Section("What came of it", _verdict(found, facts))]
    if found.result and found.result.get("paired"):
        sections.append(Section("Held-out cases, baseline against winner", _held_out(found)))
    if found.nodes:
        sections.append(Section("Candidates", _candidates(found)))
    if found.blame:
        sections.append(Section("Who brought which line of the winner", _blame(found)))
    if found.cost:
        rows = [(purpose, one["calls"], one["tokens"], f"{one['cost_usd']:.4g}") for purpose, one in found.cost.items()]
        sections.append(Section("Cost", [Table("Calls by purpose", ("purpose", "calls", "tokens", "US dollars"), rows)]))
    foot = f"Run {run['id']}, plan {run['plan_sha256']}. Nothing is applied by itself."
    return Page(f"Optimizer run: {run['contract']}", run["summary"], sections, foot)


def _verdict(found: Lineage, facts: Sequence[tuple[str, Any]]) -> list[Block]:
    run = found.run
    blocks: list[Block] = []
    if run["verdict"]:
        blocks.append(Text(f"Verdict: {run['verdict']}.", TONES.get(run["verdict"], "")))
    if run["reason"]:
        blocks.append(Text(run["reason"], "soft"))
    if run["proposal_id"]:
        blocks.append(Text(f"Proposal: {run['proposal_id']}."))
    return [*blocks, Facts(facts)]


def _held_out(found: Lineage) -> list[Block]:
    from ..reports import charts

    result = found.result or {}
    paired = result["paired"]
    low, high = paired["interval_95"]
    cases: Mapping[str, Mapping[str, float]] = result["cases"]
    pairs = [(name, pair["baseline"], pair["candidate"]) for name, pair in cases.items()]
    whole = [
        (name, float(baseline), float(candidate))
        for name, baseline, candidate in pairs
        if baseline is not None and candidate is not None
    ]
    facts = [
        ("Baseline", result["baseline_mean"]),
        ("Winner", result["winner_mean"]),
        ("Difference", f"{paired['mean_difference']:+.4g}"),
        ("95 % interval", f"{low:+.4g} to {high:+.4g}"),
        ("Won, lost, tied", f"{paired['wins']}, {paired['losses']}, {paired['ties']}"),
        ("Sign test p", f"{paired['sign_test_p']:.3g}"),
    ]
    entries: list[Interval] = [charts.Interval("mean difference", paired["mean_difference"], low, high)]
    mean = charts.intervals(entries, "Mean difference of the scores, winner minus baseline, with its interval")
    numbered = list(enumerate(whole, 1))
    series: list[Line | Dots] = [
        charts.Dots("baseline", [(number, baseline) for number, (_, baseline, _) in numbered]),
        charts.Dots("winner", [(number, candidate) for number, (_, _, candidate) in numbered]),
    ]
    rows = [
        (number, name, baseline, candidate, f"{candidate - baseline:+.4g}") for number, (name, baseline, candidate) in numbered
    ]
    table = Table("The scores, case by case", ("number", "case", "baseline", "winner", "difference"), rows, folded=True)
    shown = Table("The number", ("difference", "from", "to"), [(paired["mean_difference"], low, high)], folded=True)
    drawn = [Chart("Mean difference, winner minus baseline", mean, shown)]
    if whole:
        drawn.append(
            Chart("Scores of the held-out cases", charts.over(series, "Score of each held-out case", across="case"), table)
        )
    return [Facts(facts), Charts(drawn)]


def _candidates(found: Lineage) -> list[Block]:
    from ..reports import charts

    blocks: list[Block] = []
    scored = [(node.number, node.means[VALIDATION]) for node in found.nodes if VALIDATION in node.means]
    if scored:
        best: list[tuple[float, float | None]] = []
        for number, score in scored:
            best.append((number, max([score, *(one for _, one in best[-1:] if one is not None)])))
        series: list[Line | Dots] = [charts.Line("best so far", best), charts.Dots("candidate", scored)]
        rows = [(number, score, top) for (number, score), (_, top) in zip(scored, best, strict=True)]
        table = Table("The numbers", ("candidate", "validation", "best so far"), rows, folded=True)
        label = "Mean score on the validation cases, candidate by candidate"
        blocks.append(Charts([Chart(label, charts.over(series, label, across="candidate"), table)]))
    blocks.append(Tree(_branches(found, None)))
    rows = [
        (
            node.number,
            node.origin,
            ", ".join(map(str, node.parents)) or None,
            node.status,
            *(node.means.get(split) for split in SPLITS),
            None if node.gain is None else f"{node.gain:+.4g}",
        )
        for node in found.nodes
    ]
    columns = ("number", "origin", "parents", "status", *SPLITS, "gain")
    blocks.append(Table("Mean scores by split; gain is over the first parent, on the validation cases", columns, rows))
    return blocks + [Difference(f"Candidate {node.number} against its parent", node.diff) for node in found.nodes if node.diff]


def _branches(found: Lineage, parent: int | None) -> list[Branch]:
    """The candidates below one, each under its first parent."""
    below = [node for node in found.nodes if (node.parents[0] if node.parents else None) == parent]
    return [Branch(_named(found, node), _branches(found, node.number)) for node in below]


def _named(found: Lineage, node: Node) -> str:
    score = f", validation {node.means[VALIDATION]:.4g}" if VALIDATION in node.means else ""
    gain = f" ({node.gain:+.4g})" if node.gain is not None else ""
    merged = f", also from {', '.join(map(str, node.parents[1:]))}" if len(node.parents) > 1 else ""
    return f"{node.number}: {node.origin}{score}{gain}{merged}{' – winner' if node.number == found.winner else ''}"


def _blame(found: Lineage) -> list[Block]:
    rows = [(line.number, line.candidate, None if line.gain is None else f"{line.gain:+.4g}", line.text) for line in found.blame]
    note = Text("A gain belongs to the whole step that brought a line, not to the line alone.", "soft")
    return [note, Table("Lines of the winner", ("line", "candidate", "gain of that step", "text"), rows)]
