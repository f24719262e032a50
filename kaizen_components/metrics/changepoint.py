"""Changepoint: where in a history a measure changed, if it did, and how likely chance is to look like that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from random import Random

from .statistics import classes, midranks, normal_below, running_sums

# With fewer values no place in them can be told from the next.
LEAST = 20
# Less than a tenth of the history at an end, or fewer than five values, is no level of its own.
LEAST_SIDE, SIDE_SHARE = 5, 10
PERMUTATIONS = 999
# Besag and Clifford: after so many permutations that look as much like a change, the p value is known well enough.
ENOUGH = 10
# A place that the normal approximation gives so many times the p that counts is not looked at any further.
SCREEN = 5
# The ranks of more values are permuted no more: the approximation is as good, and errs on the safe side.
MOST_PERMUTED = 100
# Sums in another order differ in their last bits.
SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Changepoint:
    """The likeliest place of a change: `at` values lie before it. `rose` says which way; `p_value` corrects for the search."""

    at: int
    rose: bool
    p_value: float
    method: str


def find(values: Sequence[float], seed: str, level: float) -> Changepoint | None:
    """The place where the values before and after differ most, judged by the largest standardised difference over all
    places (of measures: of their ranks; where hardly more than two values occur: of 0 and 1); None where no place is worth a look.

    `level` is the p that counts as a change. p is the share of the orders of the same values that look at least as much
    like one: counted exactly for 0 and 1; of measures by permutations drawn from `seed`, or, where they are many or
    Bonferroni's bound is enough, without them.
    """
    count = len(values)
    if count < LEAST:
        return None
    held = classes(values)
    scores = midranks(values) if held is None else held
    mean = math.fsum(scores) / count
    scores = [score - mean for score in scores]
    squares = math.fsum(score * score for score in scores)
    if squares <= 0:
        return None
    side = max(LEAST_SIDE, math.ceil(count / SIDE_SHARE))
    places = range(side, count - side + 1)
    weights = [1 / math.sqrt(place * (count - place) / (count * (count - 1)) * squares) for place in places]
    window = slice(side - 1, count - side)
    sums = running_sums(scores)
    heights = list(map(mul, map(abs, sums[window]), weights))
    height = max(heights)
    at = places[heights.index(height)]
    rose = sums[at - 1] < 0
    approximate = _approximate(height, side / count)
    if approximate > SCREEN * level:
        return None
    if held is not None:
        return Changepoint(at, rose, _counted(count, int(sum(held)), side, height, weights), "counted exactly")
    bound = min(1.0, len(places) * 2 * normal_below(-height))
    if bound <= level:
        return Changepoint(at, rose, bound, "Bonferroni's bound")
    if count > MOST_PERMUTED:
        return Changepoint(at, rose, approximate, "normal approximation")
    return Changepoint(at, rose, _permuted(scores, weights, window, height, seed), "permutations")


def _approximate(height: float, share: float) -> float:
    """The p of the largest of many correlated normal heights (Miller and Siegmund), places from `share` to 1 - share."""
    if height <= 1:
        return 1.0
    density = math.exp(-height * height / 2) / math.sqrt(2 * math.pi)
    spread = 2 * math.log((1 - share) / share)
    return min(1.0, density * (4 / height + (height - 1 / height) * spread))


def _counted(count: int, hits: int, side: int, height: float, weights: Sequence[float]) -> float:
    """The share of the orders of `hits` ones among `count` values that reach the height at some place.

    `held[i]` is the share of orders that have reached it nowhere so far and hold `low + i` ones up to here.
    """
    held, low, gone = [1.0], 0, 0.0
    for place in range(1, count - side + 1):
        left = count - place + 1
        ones = [share * (hits - low - i) / left for i, share in enumerate(held)]
        held = [
            stays + comes
            for stays, comes in zip([*(a - b for a, b in zip(held, ones, strict=True)), 0.0], [0.0, *ones], strict=True)
        ]
        if place < side:
            continue
        middle, reach = place * hits / count, (height - SLACK) / weights[place - side]
        least, most = math.floor(middle - reach) + 1 - low, math.ceil(middle + reach) - low
        least, most = max(0, least), max(0, most)
        gone += math.fsum(held[:least]) + math.fsum(held[most:])
        held, low = held[least:most], low + least
    return min(1.0, gone)


def _permuted(scores: Sequence[float], weights: Sequence[float], window: slice, height: float, seed: str) -> float:
    """The share of permutations that look at least as much like a change; stops once it is known to be no small one."""
    draw = Random(seed).random
    places = range(len(scores))
    reached = 0
    for number in range(1, PERMUTATIONS + 1):
        keys = [draw() for _ in places]
        sums = running_sums([scores[place] for place in sorted(places, key=keys.__getitem__)])
        if max(map(mul, map(abs, sums[window]), weights)) >= height - SLACK:
            reached += 1
            if reached == ENOUGH:
                return reached / number
    return (reached + 1) / (PERMUTATIONS + 1)
