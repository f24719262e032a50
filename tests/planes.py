"""Planes: one with every kind of record, every field filled, made from the field lists; and its ledger sealed anew."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from kaizen_components import paths
from kaizen_components.fields import Json, choices, linked_kind
from kaizen_components.op import Call, Result
from kaizen_components.ops import _index
from kaizen_components.ops.gotcha import Gotcha
from kaizen_components.ops.work import Task
from kaizen_components.record import Record, Spec
from kaizen_components.store import Store, purge, record_class

# What is linked to comes first.
FIRST = ("task", "plan", "verification", "eval_case", "eval_run", "trace_event", "source_lock", "irl_review", "gotcha")


def value(spec: Spec, ids: dict[str, str], number: int) -> Any:
    """A value of a field's type and vocabulary, with an existing target where it is a link."""
    if spec.type in (int, float, bool):
        return {int: 3 + number, float: 1.5 + number, bool: True}[spec.type]
    is_link, kind = linked_kind(spec.rules)
    text = ids.get(kind or "gotcha", "PROJ-42") if is_link else f"{spec.name} {number}: größer, 大きい"
    for rule in spec.rules:
        if isinstance(rule, Json):
            return f'["{text}"]' if rule.expected is list else f'{{"a": "{text}"}}'
    return choices(spec.rules)[0] if choices(spec.rules) else text


def filled(cls: type[Record], ids: dict[str, str], number: int) -> Record:
    """A record with every field filled that is stored or must be there."""
    return cls(**{spec.name: value(spec, ids, number) for spec in cls.specs if spec.stored or spec.required})


def populate(root: Path) -> None:
    """Two records of every kind, one of them revised; one retired; a keyed write; one purged, with its task's count."""
    store = Store(paths.Plane(root, root, "test"))
    ids: dict[str, str] = {}

    def perform(call: Call, work: Any) -> None:
        def answered() -> Result:
            row = work()
            return Result(id=row["id"], content_hash=row.get("record_hash") or row["content_hash"])

        store.perform(call, answered)

    def add(record: Record, kind: str, **call: Any) -> None:
        def work() -> Any:
            row = store.add(record)
            ids[kind] = row["id"]
            return row

        perform(Call(op="W1", writes=True, **call), work)

    kinds = [*FIRST, *(kind for kind in _index.KINDS if kind not in (*FIRST, "plane"))]
    with store.group():
        for kind in kinds:
            cls = record_class(kind)
            add(filled(cls, ids, 1), kind, agent="tester", session="s1")
            first = ids[kind]
            add(filled(cls, ids, 2), kind, test=True)
            changes = {"status": "Done", "writer_role": "human"}
            perform(
                Call(op="W2", writes=True), lambda kind=kind, first=first, changes=changes: store.revise(kind, first, changes)
            )
        # A number that JSON writes without its fraction, and one beyond 2^53.
        score = record_class("eval_score")
        for number in (2.0, 1e16, -0.0):
            add(score(name="n", data_type="numeric", value=str(number), value_num=number, source="human"), "eval_score")
        add(Task(title="Open", summary="Nothing was written for it."), "task", key="key-1", request={"title": "Open"})
        add(Gotcha(title="Empty", summary="s", body="b", source_task_id=ids["task"]), "gotcha")
        retired = {"status": "retired", "retired_reason": "Mistaken."}
        gone = ids["gotcha"]
        perform(Call(op="G6", writes=True), lambda: store.revise("gotcha", gone, retired, action="retire"))
        add(Gotcha(title="Secret", summary="It names a person.", body="b", source_task_id=ids["task"]), "erased")
        erased = ids["erased"]
        perform(Call(op="G5", writes=True), lambda: store.revise("gotcha", erased, {"scope": "global"}))
    store.call = Call(op="K21", writes=True)
    purge.purge_record(store, ids["erased"], "Asked for.")


def reseal(connection: sqlite3.Connection, verifier: Any) -> None:
    """Give every entry the hashes that follow from what it holds now, as somebody would who hides a change."""
    previous = verifier.START
    for values in connection.execute(f"SELECT {', '.join(verifier.COLUMNS)} FROM ledger ORDER BY seq").fetchall():
        entry = dict(zip(verifier.COLUMNS, values, strict=True))
        if entry["content"] is not None:
            entry["content_hash"] = verifier.sha256(entry["content"].encode())
        leaf = verifier.leaf_hash(entry)
        previous = verifier.chain_hash(previous, leaf)
        connection.execute(
            "UPDATE ledger SET content_hash = ?, leaf_hash = ?, chain_hash = ? WHERE seq = ?",
            (entry["content_hash"], leaf, previous, entry["seq"]),
        )
    # The tables' copies of the hashes as well.
    for table in verifier.KINDS.values():
        column = "record_hash" if table == "source_locks" else "content_hash"
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            connection.execute(
                f"UPDATE {table} SET {column} = coalesce((SELECT l.content_hash FROM ledger l WHERE l.seq = updated_seq), {column})"
            )
