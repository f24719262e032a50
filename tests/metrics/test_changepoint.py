"""Changepoint: a planted one is found where it lies, and chance is given the p that counting all orders gives it."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest

from kaizen_components.metrics import changepoint


def test_a_planted_fall_is_found_where_it_lies():
    values = [1.0] * 60 + [0.0, 1.0] * 20
    found = changepoint.find(values, "s", 0.002)
    assert found is not None and abs(found.at - 60) <= 1 and not found.rose
    assert found.p_value < 1e-5 and found.method == "counted exactly"


def test_of_a_measure_the_ranks_count_and_not_one_long_run():
    source = Random(4)
    values = [source.lognormvariate(2, 0.5) for _ in range(80)]
    values[50] = 1e9
    assert changepoint.find(values, "s", 0.001) is None
    later = values[:50] + [value * 4 for value in values[50:]]
    found = changepoint.find(later, "s", 0.001)
    assert found is not None and found.rose and abs(found.at - 50) <= 6 and found.p_value <= 0.001


@pytest.mark.parametrize("values", [[1.0] * 50, [3.25] * 50, [], [1.0, 0.0] * 9])
def test_where_nothing_can_change_nothing_does(values):
    assert changepoint.find(values, "s", 0.05) is None


def test_the_p_of_zeros_and_ones_is_that_of_all_orders():
    values = [1.0] * 13 + [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    count, zeros, side = len(values), values.count(0.0), 5
    rate = (count - zeros) / count
    spread = count * rate * (1 - rate)

    def height(places: tuple[int, ...]) -> float:
        best = 0.0
        for place in range(side, count - side + 1):
            hits = place - sum(zero < place for zero in places)
            deviation = math.sqrt(place * (count - place) / (count * (count - 1)) * spread)
            best = max(best, abs(hits - place * rate) / deviation)
        return best

    seen = height(tuple(place for place, value in enumerate(values) if value == 0))
    orders = list(itertools.combinations(range(count), zeros))
    reached = sum(height(order) >= seen - 1e-9 for order in orders)
    found = changepoint.find(values, "s", 1.0)
    assert found is not None and found.p_value == pytest.approx(reached / len(orders))


def test_a_middling_change_of_a_measure_is_judged_by_permutations_drawn_from_the_seed():
    source = Random(9)
    noise = [source.gauss(0, 1) for _ in range(60)]
    shifted = [[value + (shift / 20 if number >= 30 else 0) for number, value in enumerate(noise)] for shift in range(40)]
    judged = [(values, found) for values in shifted if (found := changepoint.find(values, "s", 0.002)) is not None]
    values, found = next(pair for pair in judged if pair[1].method == "permutations")
    assert 0.001 <= found.p_value < 0.05
    assert changepoint.find(values, "s", 0.002) == found
    # A larger change needs none: the bound is enough.
    assert judged[-1][1].method == "Bonferroni's bound" and judged[-1][1].p_value < found.p_value


@pytest.mark.parametrize("count", [30, 80, 300])
def test_the_approximation_errs_on_the_safe_side_for_ranks(count):
    source = Random(count)
    flagged = 0
    for number in range(300):
        found = changepoint.find([source.random() for _ in range(count)], str(number), 0.05)
        flagged += found is not None and found.p_value <= 0.05
    assert flagged <= 300 * 0.05 + 2.5 * math.sqrt(300 * 0.05 * 0.95)
