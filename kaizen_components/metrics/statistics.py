"""Statistics: intervals and tests for rates and for skewed measures, with nothing but the standard library."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from statistics import median

Z_95 = 1.959964
RESAMPLES = 1_000
# With more values the difference of means is as good as normal, and resampling would only take time.
MOST_RESAMPLED = 120
# Where more than this share of the values is one and the same, their ranks are as good as 0 and 1.
TIED = 0.75


def wilson(successes: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """The Wilson score interval of a rate (of `count` >= 1)."""
    rate, square = successes / count, z * z
    middle = rate + square / (2 * count)
    half = z * math.sqrt(rate * (1 - rate) / count + square / (4 * count * count))
    below = 0.0 if successes == 0 else (middle - half) / (1 + square / count)
    above = 1.0 if successes == count else (middle + half) / (1 + square / count)
    return below, above


def newcombe(recent: tuple[int, int], prior: tuple[int, int]) -> tuple[float, float]:
    """Newcombe's 95 % interval of the difference of two rates, recent minus prior; each is (successes, count)."""
    one, other = recent[0] / recent[1], prior[0] / prior[1]
    low, high = wilson(*recent)
    other_low, other_high = wilson(*prior)
    difference = one - other
    return (
        difference - math.hypot(one - low, other_high - other),
        difference + math.hypot(high - one, other - other_low),
    )


def fisher(recent: tuple[int, int], prior: tuple[int, int], *, half: bool = False) -> tuple[float, float]:
    """Fisher's exact test, one-sided both ways: (p that recent successes are so few, p that they are so many).

    `half` counts what was observed half (mid-p): exact tests of few records hold far less than their level, this one
    holds about its level.
    """
    (hits, size), (others, other_size) = recent, prior
    drawn = hits + others
    least, most = max(0, drawn - other_size), min(size, drawn)
    fixed = _log_choose(size + other_size, drawn)
    terms = [
        math.exp(_log_choose(size, number) + _log_choose(other_size, drawn - number) - fixed) for number in range(least, most + 1)
    ]
    at = hits - least
    less = terms[at] / 2 if half else 0.0
    return min(1.0, math.fsum(terms[: at + 1]) - less), min(1.0, math.fsum(terms[at:]) - less)


def binomial_at_most(successes: int, count: int, rate: float) -> float:
    """The exact p of so few successes or fewer, were the rate at least `rate` (between 0 and 1)."""
    log_yes, log_no = math.log(rate), math.log1p(-rate)
    terms = (
        math.exp(_log_choose(count, number) + number * log_yes + (count - number) * log_no) for number in range(successes + 1)
    )
    return min(1.0, math.fsum(terms))


def _log_choose(count: int, chosen: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)


def midranks(values: Sequence[float]) -> list[float]:
    """The rank of each value from 1; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        shared = (start + 1 + end) / 2
        for place in order[start:end]:
            ranks[place] = shared
        start = end
    return ranks


def classes(values: Sequence[float]) -> list[float] | None:
    """Values as 0 and 1 where they are hardly more than that: two values, or one that most have and few others. 1 is the
    higher class, and what most have is in it where the others are rather below. None for values that ranks suit.

    The sum of such ranks is far from normal: three low scores among two hundred would look like a change.
    """
    counts = Counter(values)
    if len(counts) < 2:
        return None
    common, number = counts.most_common(1)[0]
    if len(counts) > 2 and number <= TIED * len(values):
        return None
    below = sum(value < common for value in values)
    if 2 * below >= len(values) - number:
        return [float(value >= common) for value in values]
    return [float(value > common) for value in values]


def compare(recent: Sequence[float], prior: Sequence[float]) -> tuple[float, float, str]:
    """(p that recent values are so low, p that they are so high, which test): the rank-sum test, or Fisher's of classes()."""
    held = classes([*recent, *prior])
    if held is None:
        return (*rank_sum(recent, prior), "rank-sum test")
    size = len(recent)
    hits, others = int(sum(held[:size])), int(sum(held[size:]))
    return (*fisher((hits, size), (others, len(prior))), "Fisher's test of two classes")


def rank_sum(recent: Sequence[float], prior: Sequence[float]) -> tuple[float, float]:
    """The Wilcoxon rank-sum test, one-sided both ways: (p that recent values are so low, p that they are so high).

    A mean is at the mercy of one very long run; ranks are not. Normal approximation, corrected for ties and continuity.
    """
    ranks = midranks([*recent, *prior])
    return rank_sum_of(math.fsum(ranks[: len(recent)]), len(recent), ranks)


def rank_sum_of(total: float, count: int, ranks: Sequence[float]) -> tuple[float, float]:
    """As rank_sum(), of ranks that are known: `count` of them add up to `total`."""
    size = len(ranks)
    mean = (size + 1) / 2
    squares = math.fsum((rank - mean) ** 2 for rank in ranks)
    variance = count * (size - count) / (size * (size - 1)) * squares
    if variance <= 0:
        return 1.0, 1.0
    spread, distance = math.sqrt(variance), total - count * mean
    return normal_below((distance + 0.5) / spread), normal_below((0.5 - distance) / spread)


def normal_below(z: float) -> float:
    """P(Z <= z) of the standard normal."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def two_sided(low: float, high: float) -> float:
    """The two-sided p of two one-sided ones."""
    return min(1.0, 2 * min(low, high))


def mean_difference(recent: Sequence[float], prior: Sequence[float], seed: str) -> tuple[float, float, str]:
    """(low, high, how) of the 95 % interval of the mean of `recent` minus that of `prior`; both hold at least two values.

    Few values: the bootstrap's percentile interval, each side resampled by itself, drawn from `seed`. Many: normal.
    """
    one, other = len(recent), len(prior)
    difference = math.fsum(recent) / one - math.fsum(prior) / other
    if one + other > MOST_RESAMPLED:
        half = Z_95 * math.sqrt(_variance(recent) / one + _variance(prior) / other)
        return difference - half, difference + half, "normal"
    choices = Random(seed).choices
    means = sorted(sum(choices(recent, k=one)) / one - sum(choices(prior, k=other)) / other for _ in range(RESAMPLES))
    # Half of what 95 % leaves lies beyond each end.
    beyond = RESAMPLES // 40
    return means[beyond], means[-1 - beyond], "bootstrap"


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(median(values))


def mean(values: Sequence[float]) -> float:
    """The mean, exact to the last bit."""
    return math.fsum(values) / len(values)


def running_sums(values: Sequence[float]) -> list[float]:
    """The sums of the first 1, 2, 3 ... values."""
    return list(accumulate(values))


def rounded(value: float) -> float:
    """A number as answers and files show it: six digits are more than any of them can bear."""
    return float(f"{value:.6g}") + 0.0
