"""Statistics: figures from textbooks, and what a simulation says of intervals and tests."""

from __future__ import annotations

import math
from random import Random

import pytest

from kaizen_components.metrics import statistics


def test_wilson_is_that_of_the_textbook():
    # Newcombe 1998, table I: 81 of 263.
    low, high = statistics.wilson(81, 263)
    assert math.isclose(low, 0.2553, abs_tol=5e-5) and math.isclose(high, 0.3662, abs_tol=5e-5)


@pytest.mark.parametrize("count", [1, 5, 400])
def test_wilson_of_all_and_of_none_ends_where_rates_end(count):
    assert statistics.wilson(0, count)[0] == 0.0 and statistics.wilson(count, count)[1] == 1.0
    assert statistics.wilson(0, count)[1] == pytest.approx(1 - statistics.wilson(count, count)[0])


def test_newcombe_is_that_of_the_textbook():
    # Newcombe 1998, table II, method 10: 56 of 70 against 48 of 80.
    low, high = statistics.newcombe((56, 70), (48, 80))
    assert math.isclose(low, 0.0524, abs_tol=5e-5) and math.isclose(high, 0.3339, abs_tol=5e-5)


def test_fisher_is_exact():
    # The lady who tasted tea: 3 of 4 right has p = 17 / 70.
    few, many = statistics.fisher((3, 4), (1, 4))
    assert many == pytest.approx(17 / 70) and few == pytest.approx(69 / 70)
    assert statistics.fisher((3, 4), (1, 4), half=True)[1] == pytest.approx(17 / 70 - 16 / 140)


def test_a_binomial_tail_is_exact():
    assert statistics.binomial_at_most(0, 3, 0.8) == pytest.approx(0.008)
    assert statistics.binomial_at_most(3, 3, 0.8) == pytest.approx(1)


def test_equal_values_share_their_rank():
    assert statistics.midranks([3, 1, 3, 2]) == [3.5, 1.0, 3.5, 2.0]


def test_the_rank_sum_test_is_near_the_exact_one():
    # All five below all five: one order of 252.
    low, high = statistics.rank_sum([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert 1 / 252 <= low < 0.008 and high > 0.99
    assert statistics.rank_sum([7.0] * 6, [7.0] * 6) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0, 5.0, 5.0], None),
        ([1, 2, 3, 4, 5, 5, 5, 5], None),
        ([0.5, 1, 1, 0.5], [0, 1, 1, 0]),
        ([1, 1, 1, 1, 1, 1, 1, 1, 0.2, 0.9], [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
        ([0, 0, 0, 0, 0, 0, 0, 0, 40, 90], [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
    ],
)
def test_values_that_are_nearly_all_the_same_are_two_classes(values, expected):
    assert statistics.classes(values) == expected


def test_three_low_scores_among_two_hundred_are_no_change():
    recent, prior = [0.2, 0.3, 0.4, *[1.0] * 37], [1.0] * 160
    assert min(statistics.rank_sum(recent, prior)) < 0.001
    low, high, _ = statistics.compare(recent, prior)
    assert low == pytest.approx(statistics.fisher((37, 40), (160, 160))[0]) and low > 0.005
    assert high > 0.99


def test_one_very_long_run_does_not_decide_the_rank_sum_test():
    source = Random(1)
    before, after = ([source.gauss(10, 1) for _ in range(40)] for _ in range(2))
    after[0] = 100_000.0
    assert min(statistics.rank_sum(after, before)) > 0.05


@pytest.mark.slow
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says():
    held = 0
    for seed in range(200):
        source = Random(seed)
        recent, prior = [source.gauss(12, 3) for _ in range(30)], [source.gauss(10, 3) for _ in range(40)]
        low, high, how = statistics.mean_difference(recent, prior, str(seed))
        assert how == "bootstrap"
        held += low <= 2 <= high
    assert 0.9 <= held / 200 <= 0.98


def test_many_values_get_the_normal_interval_and_few_the_same_one_nearly():
    source = Random(2)
    recent, prior = [source.gauss(1, 1) for _ in range(40)], [source.gauss(0, 1) for _ in range(160)]
    low, high, how = statistics.mean_difference(recent, prior, "s")
    assert how == "normal"
    few = statistics.mean_difference(recent, prior[:80], "s")
    assert few[2] == "bootstrap" and abs(few[0] - low) < 0.2 and abs(few[1] - high) < 0.2


def test_the_seed_decides_the_interval():
    values = [1.0, 2.0, 5.0, 9.0, 14.0]
    assert statistics.mean_difference(values, values[::-1], "a") == statistics.mean_difference(values, values[::-1], "a")
    assert statistics.mean_difference(values, values[::-1], "a") != statistics.mean_difference(values, values[::-1], "b")
