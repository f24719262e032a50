"""What is left for later happens once, after the commit, with the plane let go; and what is added up in the plane is right."""

from __future__ import annotations

import pytest

from kaizen_components import denial, paths
from kaizen_components.call import Call, Result
from kaizen_components.ops.notes import Note
from kaizen_components.store import Store

CALL = Call(op="W38", writes=True)


@pytest.fixture
def store(kz):
    kz.ok("G2")
    return Store(paths.find())


def test_it_happens_once_with_everything_and_without_the_lock(store, kz):
    seen = []

    def follow(given: Store, items: list) -> None:
        seen.append((items, given.committed_seq, kz.ok("W39")["count"]))

    def work() -> Result:
        for text in ("One.", "Two."):
            store.later(follow, store.add(Note(summary=text))["summary"])
        assert seen == []
        return Result()

    store.perform(CALL, work)
    assert seen == [(["One.", "Two."], None, 2)]
    store.perform(CALL, lambda: Result())
    assert len(seen) == 1


def test_it_does_not_happen_where_the_work_was_taken_back(store):
    seen = []

    def work() -> Result:
        store.later(lambda given, items: seen.append(items), 1)
        store.add(Note(summary="One."))
        raise denial.Usage()

    with pytest.raises(denial.Usage):
        store.perform(CALL, work)
    store.perform(CALL, lambda: Result())
    assert seen == []


def test_a_group_does_it_at_its_end(store):
    seen = []

    def follow(given: Store, items: list) -> None:
        seen.append((items, given.count("note")))
        given.release()

    def work(number: int) -> Result:
        store.add(Note(summary=f"Note {number}."))
        store.later(follow, number)
        return Result()

    with store.group():
        for number in range(3):
            store.perform(CALL, lambda number=number: work(number))
        assert seen == []
    assert seen == [([0, 1, 2], 3)]


def test_where_it_fails_the_record_stands_and_the_answer_warns(store, kz):
    def fail(given: Store, items: list) -> None:
        raise ValueError("no such thing")

    def work() -> Result:
        store.later(fail, None)
        store.add(Note(summary="One."))
        return Result()

    result = store.perform(CALL, work)
    assert "ValueError: no such thing" in result["warnings"][0]
    assert kz.ok("W39")["count"] == 1


def test_it_may_write_and_the_call_is_what_it_was(store, kz):
    def follow(given: Store, items: list) -> None:
        given.perform(Call(op="W38", agent="later", writes=True), lambda: (given.add(Note(summary="Two.")), Result())[1])

    def work() -> Result:
        store.later(follow, None)
        store.add(Note(summary="One."))
        return Result()

    store.perform(CALL, work)
    assert store.call == CALL and kz.ok("W39")["count"] == 2


def test_totals_add_up_by_the_values_of_a_column(store, kz):
    for agent, seconds in (("b", 1.5), ("a", 2.0), ("b", None), ("b", 4.0)):
        kz.ok("P1", agent=agent, success=True, time=seconds)
    assert store.totals("agent_execution", ("execution_time_s",), by="agent") == [
        {"agent": "a", "rows": 1, "sum_execution_time_s": 2.0, "count_execution_time_s": 1},
        {"agent": "b", "rows": 3, "sum_execution_time_s": 5.5, "count_execution_time_s": 2},
    ]
    assert store.totals("agent_execution", (), by="agent", where={"agent": "c"}) == []
    store.close()
