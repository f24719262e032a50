"""Ranking: the proposals of a contract, best first, with what their scores show; as one Markdown page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import denial
from ..reports.markdown import code, plain, table
from .comparison import BETTER, LEAST_PAIRS, WORSE, Comparison, case_scores, compare

if TYPE_CHECKING:
    from ..store import Row, Store

COLUMNS = (
    "id",
    "title",
    "summary",
    "body",
    "metric",
    "baseline_score",
    "candidate_score",
    "payload_json",
    "status",
    "created_seq",
)
UNSCORED = "not scored"
# Two numbers say which is higher, not whether that is more than chance.
HIGHER, LOWER, EQUAL = "higher, not compared by case", "lower, not compared by case", "equal"


@dataclass(frozen=True, slots=True)
class Ranked:
    """A proposal, what its scores show, and why its cases could not be read, where they could not."""

    proposal: Row
    comparison: Comparison | None
    fault: str | None = None

    @property
    def difference(self) -> float | None:
        """Candidate minus baseline: of the cases that have both, else of the two scores."""
        if self.comparison is not None:
            return self.comparison.mean
        baseline, candidate = self.proposal["baseline_score"], self.proposal["candidate_score"]
        if baseline is None or candidate is None:
            return None
        # Between the largest numbers of two signs lies what is no number any more.
        return min(max(candidate - baseline, -sys.float_info.max), sys.float_info.max)

    @property
    def verdict(self) -> str:
        """What the scores show, in words."""
        if self.comparison is not None:
            return self.comparison.verdict
        difference = self.difference
        if difference is None:
            return UNSCORED
        return EQUAL if abs(difference) < 1e-9 else HIGHER if difference > 0 else LOWER

    def order(self) -> tuple[int, float, int]:
        """Shown to be better first, by the lower bound of the interval; then what is undecided, by difference; then
        what is shown to be worse; then what has no scores; the newest first among equals."""
        newest = -self.proposal["created_seq"]
        if self.difference is None:
            return 3, 0.0, newest
        if self.verdict == BETTER and self.comparison is not None:
            return 0, -self.comparison.low, newest
        return (2 if self.verdict == WORSE else 1), -self.difference, newest

    def values(self) -> dict[str, Any]:
        """As an answer shows it."""
        shown = {name: self.proposal[name] for name in ("id", "title", "status", "metric", "baseline_score", "candidate_score")}
        difference = self.difference
        shown["difference"] = None if difference is None else float(f"{difference:.6g}")
        shown["verdict"] = self.verdict
        if self.comparison is not None:
            shown["paired"] = self.comparison.values()
        if self.fault is not None:
            shown["cases_unreadable"] = self.fault
        return shown


def proposals(store: Store, contract: str) -> list[Row]:
    """The open proposals of a contract, newest first."""
    return store.list("improvement_proposal", {"contract": contract, "is_open": 1}, columns=COLUMNS)


def ranked(rows: Sequence[Row]) -> list[Ranked]:
    """The proposals, best first."""
    return sorted((_compared(row) for row in rows), key=Ranked.order)


def _compared(row: Row) -> Ranked:
    """A proposal with its comparison; cases that cannot be read cost it the comparison, not the report."""
    try:
        scores = case_scores(row["payload_json"])
    except denial.Denial as refusal:
        return Ranked(row, None, refusal.required_action)
    return Ranked(row, compare(scores, row["id"]))


def top(ranking: Sequence[Ranked]) -> Ranked | None:
    """The first, where its candidate scored higher and nothing shows that it is worse: a tie is no win."""
    first = ranking[0] if ranking else None
    if first is None or first.verdict == WORSE or (first.difference or 0.0) < 1e-9:
        return None
    return first


def promotion_path(contract: str, best: Ranked | None) -> str:
    """What a person does next; nothing is applied by itself."""
    if best is None:
        return f"No proposal for {contract!r} is ahead. Score them: O4 judges them by model, O8 takes measured scores."
    named = best.proposal["id"]
    decide = f"O8 --id {named} --status accepted, or O9 with the reason"
    if best.verdict != BETTER:
        return (
            f"{named} is ahead, which can be chance: score it case by case first (O4, or measured scores with O8"
            f" --payload-json). Then look at it (O7), apply it by hand, prove it (Q11 -- COMMAND) and record the decision ({decide})."
        )
    return f"Look at it (O7 --id {named}), apply it by hand, prove it (Q11 -- COMMAND), then record the decision ({decide})."


def page(contract: str, ranking: Sequence[Ranked], closed: int) -> str:
    """The ranking as Markdown; the same records give the same bytes."""
    return "\n".join(_lines(contract, ranking, closed)) + "\n"


def _lines(contract: str, ranking: Sequence[Ranked], closed: int) -> Iterator[str]:
    yield f"# Lab report: {plain(contract)}"
    yield ""
    yield f"- Proposals: {len(ranking)}{f', and {closed} that are closed' if closed else ''}"
    yield "- A higher score is a better one. Nothing is applied by itself."
    yield (
        "- Order: shown to be better, by the lower bound of the interval; then the undecided, by their difference; then"
        " shown to be worse; then those without both scores."
    )
    yield (
        "- Intervals hold the mean difference of the cases at 95 % (bootstrap, 10,000 resamples). Better and worse need an"
        f" interval off zero and at least {LEAST_PAIRS} cases that differ."
    )
    best = top(ranking)
    yield f"- Next: {plain(promotion_path(contract, best))}"
    yield from ("", "## Ranking", "")
    if not ranking:
        yield "No open proposals."
        return
    rows = [_row(place, entry) for place, entry in enumerate(ranking, 1)]
    yield from table(tuple(rows[0]), rows)
    for place, entry in enumerate(ranking, 1):
        yield from _details(place, entry)


def _row(place: int, entry: Ranked) -> Mapping[str, Any]:
    comparison = entry.comparison
    return {
        "place": place,
        "id": entry.proposal["id"],
        "title": entry.proposal["title"],
        "baseline": _number(entry.proposal["baseline_score"]),
        "candidate": _number(entry.proposal["candidate_score"]),
        "difference": _number(entry.difference),
        "interval 95 %": f"{_number(comparison.low)} to {_number(comparison.high)}" if comparison else "",
        "verdict": entry.verdict,
    }


def _details(place: int, entry: Ranked) -> Iterator[str]:
    proposal, comparison = entry.proposal, entry.comparison
    yield from ("", f"## {place}. {plain(proposal['title'])}", "")
    yield f"- Id: {code(proposal['id'])}"
    yield f"- Status: {plain(proposal['status'])}"
    if proposal["metric"]:
        yield f"- Metric: {plain(proposal['metric'])}"
    yield f"- Verdict: {entry.verdict}"
    if comparison is not None:
        yield (
            f"- Cases with both scores: {comparison.pairs}; won {comparison.wins}, lost {comparison.losses}, tied {comparison.ties};"
            f" sign test p = {_number(comparison.p_value)}"
        )
        yield (
            f"- Mean difference: {_number(comparison.mean)}, 95 % interval {_number(comparison.low)} to"
            f" {_number(comparison.high)} ({comparison.method})"
        )
    if entry.fault is not None:
        yield f"- Its cases could not be read: {plain(entry.fault)}"
    yield from ("", plain(proposal["summary"]))
    if proposal["body"]:
        yield from ("", plain(proposal["body"]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
