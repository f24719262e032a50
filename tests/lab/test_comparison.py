"""Comparison: intervals and tests that can be checked by hand, or against a simulation."""

from __future__ import annotations

import math
import random
import time

import pytest

from kaizen_components.lab.comparison import CaseScore, compare, interval, sign_test


def scores(*differences: float) -> dict[str, CaseScore]:
    return {str(n): CaseScore(0.5, 0.5 + value) for n, value in enumerate(differences)}


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (3, 3, 1.0), (8, 2, 0.109375), (2, 8, 0.109375)],
)
def test_the_sign_test_is_exact(wins, losses, p):
    assert sign_test(wins, losses) == p


def test_the_sign_test_of_many_pairs_is_quick_and_small():
    started = time.monotonic()
    assert 0 <= sign_test(15_000, 5_000) < 1e-300
    assert math.isclose(sign_test(5_200, 4_800), 0.0000663, rel_tol=0.01)
    assert time.monotonic() - started < 5


def test_the_interval_is_that_of_the_normal_where_that_is_known():
    source = random.Random(7)
    differences = sorted(source.gauss(0.2, 1) for _ in range(400))
    low, high, how = interval(differences, "seed")
    mean = sum(differences) / 400
    half = 1.96 * math.sqrt(sum((value - mean) ** 2 for value in differences) / 399 / 400)
    assert how == "bootstrap"
    assert abs(low - (mean - half)) < 0.01 and abs(high - (mean + half)) < 0.01


def test_many_pairs_take_bounded_time():
    source = random.Random(7)
    started = time.monotonic()
    assert interval(sorted(source.random() for _ in range(20_000)), "s")[2] == "normal"
    assert time.monotonic() - started < 1


def test_the_seed_decides_the_interval():
    differences = [-0.2, -0.1, 0.1, 0.15, 0.3, 0.4, 0.5]
    assert interval(differences, "a") == interval(differences, "a")


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.1] * 6, "better"),
        ([-0.1] * 6, "worse"),
        ([0.1] * 5, "too few cases"),
        ([0.0] * 50, "no difference shown"),
        ([1.0] * 5 + [0.0] * 60, "no difference shown"),
        ([0.4, -0.3] * 10, "no difference shown"),
        ([0.1 + 0.2 - 0.3] * 9, "no difference shown"),
        ([0.2, 0.1, 0.3] * 4 + [-0.05], "better"),
        # The interval is off zero, but six of seven go one way by chance one time in eight.
        ([0.3] * 6 + [-0.05], "no difference shown"),
        ([0.3] * 24 + [-0.05] * 16, "better"),
    ],
)
def test_verdicts(differences, verdict):
    found = compare(scores(*differences), "seed")
    assert found is not None and found.verdict == verdict


def test_cases_without_both_scores_do_not_count():
    given = {"a": CaseScore(0.5, None), "b": CaseScore(None, 0.7), "c": CaseScore(0.5, 0.6)}
    found = compare(given, "seed")
    assert found is not None and found.pairs == 1
    assert compare({"a": CaseScore(0.5, None)}, "seed") is None


@pytest.mark.parametrize("pairs", [6, 8, 12])
def test_no_difference_is_called_better_or_worse_more_than_rarely(pairs):
    source = random.Random(11)
    called = 0
    for trial in range(60):
        found = compare(scores(*(source.gauss(0, 0.2) for _ in range(pairs))), str(trial))
        called += found is not None and found.verdict != "no difference shown"
    assert called <= 5
