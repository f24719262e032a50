"""Comparison: baseline and candidate case by case: paired differences, their bootstrap interval and an exact sign test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from .. import denial
from ..fields import parse_json, shorten

RESAMPLES = 10_000
# Beyond so many pairs the mean is as good as normal, and resampling would only take time.
MOST_RESAMPLED = 1_000
# Fewer pairs that all go one way can be chance: of five, one time in sixteen.
LEAST_PAIRS = 6
# Of fewer pairs that differ the bootstrap's interval is too narrow: called better or worse needs the exact sign test too.
LEAST_ALONE = 30
SIGNIFICANT = 0.05
# Differences smaller than this are ties: 0.3 and 0.1 + 0.2 are the same score.
TIE = 1e-9

BETTER, WORSE, OPEN, FEW = "better", "worse", "no difference shown", "too few cases"


@dataclass(frozen=True, slots=True)
class CaseScore:
    """The scores of one case; None where it has none yet."""

    baseline: float | None = None
    candidate: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the pairs of a proposal say. `low` and `high` bound the mean difference at 95 %."""

    pairs: int
    mean: float
    low: float
    high: float
    wins: int
    losses: int
    ties: int
    p_value: float
    verdict: str
    method: str

    def values(self) -> dict[str, Any]:
        """As an answer shows it, rounded to what the numbers can bear."""
        return {
            "pairs": self.pairs,
            "mean_difference": _rounded(self.mean),
            "interval_95": [_rounded(self.low), _rounded(self.high)],
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "sign_test_p": _rounded(self.p_value),
            "verdict": self.verdict,
            "method": self.method,
        }


def case_scores(payload: str | None, field: str = "payload_json") -> dict[str, CaseScore]:
    """The scores by case of a proposal's payload, {"cases": {"CASE": {"baseline": 0.5, "candidate": 0.7}}}; empty where
    it has none. DENIED_SCHEMA_FIELD_TYPE names the first that is no number."""
    parsed = parse_json(payload, field) if payload else {}
    cases = parsed.get("cases") if isinstance(parsed, dict) else None
    if cases is None:
        return {}
    if not isinstance(cases, dict):
        raise _malformed(field, "cases", 'an object such as {"CASE": {"baseline": 0.5, "candidate": 0.7}}')
    return {name: _case(name, scores, field) for name, scores in cases.items()}


def _case(name: str, scores: Any, field: str) -> CaseScore:
    place = f"cases.{shorten(name, 60)}"
    if not isinstance(scores, dict):
        raise _malformed(field, place, "an object with baseline and candidate")
    for side in ("baseline", "candidate"):
        value = scores.get(side)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e100):
            raise _malformed(field, f"{place}.{side}", "a number")
    return CaseScore(
        *(None if scores.get(side) is None else float(scores[side]) for side in ("baseline", "candidate")),
    )


def _malformed(field: str, place: str, expected: str) -> denial.SchemaFieldType:
    return denial.SchemaFieldType(
        f"Pass {expected} at {place} of --{field.replace('_', '-')}.", field=field, place=place, expected=expected
    )


def compare(scores: Mapping[str, CaseScore], seed: str) -> Comparison | None:
    """The comparison of the cases that have both scores; None where none has. A higher score is a better one.

    The interval is the bootstrap's percentile interval, its resamples drawn from `seed`, so that a report repeats.
    """
    differences = sorted(
        _difference(case.baseline, case.candidate)
        for case in scores.values()
        if case.baseline is not None and case.candidate is not None
    )
    if not differences:
        return None
    wins, losses = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    low, high, method = interval(differences, seed)
    p_value = sign_test(wins, losses)
    return Comparison(
        pairs=len(differences),
        mean=math.fsum(differences) / len(differences),
        low=low,
        high=high,
        wins=wins,
        losses=losses,
        ties=len(differences) - wins - losses,
        p_value=p_value,
        verdict=_verdict(len(differences), wins + losses, low, high, p_value),
        method=method,
    )


def _difference(baseline: float, candidate: float) -> float:
    difference = candidate - baseline
    return 0.0 if abs(difference) <= TIE else difference


def _verdict(pairs: int, differing: int, low: float, high: float, p_value: float) -> str:
    """In words; where hardly a pair differs, an interval off zero is no proof either."""
    if pairs < LEAST_PAIRS:
        return FEW
    if differing < LEAST_PAIRS or low <= 0 <= high or (differing < LEAST_ALONE and p_value > SIGNIFICANT):
        return OPEN
    return BETTER if low > 0 else WORSE


def interval(differences: Sequence[float], seed: str) -> tuple[float, float, str]:
    """(low, high, how) of the 95 % interval of the mean difference."""
    count = len(differences)
    mean = math.fsum(differences) / count
    if count > MOST_RESAMPLED:
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (count - 1))
        half = 1.959964 * spread / math.sqrt(count)
        return mean - half, mean + half, "normal"
    if differences[0] == differences[-1]:
        return mean, mean, "bootstrap"
    source = Random(seed)
    sums = sorted(sum(source.choices(differences, k=count)) for _ in range(RESAMPLES))
    # Half of what 95 % leaves lies beyond each end.
    beyond = RESAMPLES // 40
    return _clean(sums[beyond] / count), _clean(sums[-1 - beyond] / count), "bootstrap"


def _clean(value: float) -> float:
    """Zero where a sum of differences is zero but for rounding."""
    return 0.0 if abs(value) <= TIE else value


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p value of so many wins and losses, were both equally likely; ties say nothing."""
    count = wins + losses
    term = total = 1
    for chosen in range(min(wins, losses)):
        term = term * (count - chosen) // (chosen + 1)
        total += term
    return min(1.0, 2 * total / 2**count)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
