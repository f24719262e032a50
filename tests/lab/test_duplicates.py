"""Duplicates: no similar pair is missed, and groups are what links make of them."""

from __future__ import annotations

import math
import os
import random
import time
from array import array
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_components.lab import duplicates
from kaizen_components.lab.duplicates import Candidate, clusters, lexical_pairs, vector_pairs
from kaizen_components.paths import of_root
from kaizen_components.store import Store

WORDS = st.lists(st.sampled_from("a b c d e f g h".split()), min_size=1, max_size=8).map(" ".join)


def every_pair(texts, threshold):
    weighed = [duplicates._terms(text) for text in texts]
    return {
        (one, other)
        for other in range(len(texts))
        for one in range(other)
        if duplicates._dot(weighed[one], weighed[other]) >= threshold - 1e-9
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=14), st.sampled_from([0.2, 0.5, 0.85, 1.0]))
def test_no_pair_is_missed_and_none_made_up(texts, threshold):
    found = lexical_pairs(texts, threshold)
    assert {(one, other) for one, other, _ in found} == every_pair(texts, threshold)
    assert len(found) == len({(one, other) for one, other, _ in found})


def test_thousands_of_records_are_compared_in_seconds():
    source = random.Random(3)
    vocabulary = [f"w{n}" for n in range(3_000)]
    texts = [" ".join(source.choices(vocabulary, k=60)) for _ in range(2_000)]
    texts[1_500] = texts[20] + " more"
    started = time.monotonic()
    assert [(one, other) for one, other, _ in lexical_pairs(texts, 0.85)] == [(20, 1_500)]
    assert time.monotonic() - started < 5


def test_case_and_punctuation_make_no_difference():
    assert lexical_pairs(["Clear the CACHE, twice!", "clear the cache twice"], 1.0) == [(0, 1, 1.0)]


def test_pairs_of_vectors_are_those_of_their_cosine():
    source = random.Random(5)
    vectors = []
    for _ in range(40):
        raw = [source.gauss(0, 1) for _ in range(8)]
        length = math.sqrt(sum(value * value for value in raw))
        vectors.append([value / length for value in raw])
    wanted = {
        (one, other)
        for other in range(40)
        for one in range(other)
        if sum(a * b for a, b in zip(vectors[one], vectors[other], strict=True)) >= 0.5
    }
    found = vector_pairs([array("f", vector).tobytes() for vector in vectors], 0.5)
    assert {(one, other) for one, other, _ in found} == wanted and wanted
    assert all(0.499 < cosine <= 1 for _, _, cosine in found)


def test_what_repeats_is_paired_with_the_first_of_its_like():
    asked: list[int] = []

    def compare(distinct):
        asked.append(len(distinct))
        return [(0, 2, 0.9)]

    zeros = bytes(8)
    assert duplicates.linked(["a", "b", "a", "c", "b", "a"], compare) == [(0, 3, 0.9), (0, 2, 1.0), (1, 4, 1.0), (0, 5, 1.0)]
    assert duplicates.linked([zeros, zeros], lambda distinct: []) == [] and asked == [3]


def test_a_text_that_stands_there_thousands_of_times_is_compared_once(kz, monkeypatch):
    entries = [Candidate(str(n), "t", "Say it again, and again!") for n in range(3_000)]
    started = time.monotonic()
    store = Store(of_root(Path(os.environ["KAIZEN_REPO_ROOT"])))
    found = duplicates.likeness(store, "gotcha", entries, 0.85)
    assert len(found.pairs) == 2_999 and found.source == "lexical" and time.monotonic() - started < 2


def test_groups_are_ordered_by_size_and_name_their_range():
    found = [Candidate(str(n), f"t{n}", "x") for n in range(6)]
    groups = clusters(found, [(4, 5, 0.99), (1, 2, 0.9), (0, 2, 0.86)])
    assert [[member.id for member in group.members] for group in groups] == [["0", "1", "2"], ["4", "5"]]
    assert (groups[0].least, groups[0].most) == (0.86, 0.9)
