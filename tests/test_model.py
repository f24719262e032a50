"""Model: after any run of operations, every view of the plane says what a few Python dictionaries say."""

from __future__ import annotations

import importlib
import json
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import truth
from conftest import Kz, Reply

from kaizen_components.record import BLOCKING, CLOSED

standalone = importlib.import_module("support_scripts.verify_ledger")
SOAK = float(os.environ.get("KAIZEN_SOAK") or 0)
WORDS = "amber birch cedar dune ember fjord grove heron islet jasper knoll lagoon".split()
# kind -> (operation that adds, revises, retires, lists; default status)
KINDS = {
    "task": ("W1", "W2", "W12", "W9", "active"),
    "plan": ("W3", "W4", "W15", "W13", "draft"),
    "note": ("W38", "W41", "W42", "W39", "recorded"),
    "gotcha": ("G1", "G5", "G6", "G2", "active"),
    "learning": ("L1", "L11", "L13", "L4", "active"),
    "learned": ("", "L12", "L13", "L7", "active"),
    "verification": ("Q2", "Q12", "Q13", "Q9", "recorded"),
    "policy": ("X1", "X7", "X8", "X2", "active"),
}
STATUSES = ("active", "Done", "resolved", "blocked", "superseded", "In progress")
CONCLUSIONS = ("VERIFIED_ACCEPTABLE", "NEEDS_HUMAN_DECISION", "VERIFICATION_FAILED")
PRIORITIES = {"critical": 0, "high": 1, "normal": 2, "low": 3}
DIGEST = {"policies": "policy", "active_gotchas": "gotcha", "recent_learned": "learned", "active_tasks": "task"}
REPORTS = {"R1": "task", "R3": "learning", "R4": "verification"}


@dataclass
class Record:
    """What the model knows of a record."""

    id: str
    kind: str
    title: str
    summary: str
    status: str
    test: bool = False
    retired: bool = False
    task: str | None = None
    source: str | None = None
    conclusion: str | None = None
    priority: str = "normal"

    @property
    def open(self) -> bool:
        return not self.retired and self.status.lower() not in CLOSED

    @property
    def blocks(self) -> bool:
        return self.open and self.conclusion in BLOCKING

    @property
    def words(self) -> set[str]:
        return {*self.title.lower().split(), *self.summary.lower().rstrip(".").split()}


@dataclass
class Model:
    """Records in the order they were made, and (action, record, task) of every entry behind the plane's own."""

    records: dict[str, Record] = field(default_factory=dict)
    entries: list[tuple[str, str, str | None]] = field(default_factory=list)
    keys: dict[str, tuple[str, dict[str, Any], Reply]] = field(default_factory=dict)
    backup: tuple[str, Model] | None = None

    def log(self, action: str, record: Record) -> None:
        self.entries.append((action, record.id, record.id if record.kind == "task" else record.task))

    def of(self, kind: str) -> list[Record]:
        return [record for record in self.records.values() if record.kind == kind]

    def copy(self) -> Model:
        twin = Model({record_id: Record(**vars(record)) for record_id, record in self.records.items()}, list(self.entries))
        twin.keys = dict(self.keys)
        return twin


class Driver:
    """Random operations on a plane and on its model."""

    def __init__(self, kz: Kz, plane: Path, seed: int) -> None:
        self.kz, self.plane, self.random, self.model = kz, plane, random.Random(seed), Model()

    def step(self) -> None:
        rare = (self.purge, self.purge_test, self.rebuild, self.back_up, self.restore, self.write_report, self.refused)
        usual = (self.add, self.add, self.add, self.revise, self.revise, self.retire, self.promote, self.batch, self.repeat)
        self.random.choice(rare if self.random.random() < 0.12 else usual)()

    # --- what is given ----------------------------------------------------------------------------

    def text(self) -> str:
        return " ".join(self.random.choices(WORDS, k=3))

    def some(self, *kinds: str) -> Record | None:
        found = [record for record in self.model.records.values() if not kinds or record.kind in kinds]
        return self.random.choice(found) if found else None

    def request(self) -> tuple[str, str, dict[str, Any]]:
        """(kind, operation, flags) of a record to add."""
        kind = self.random.choice([kind for kind, codes in KINDS.items() if codes[0]])
        flags: dict[str, Any] = {"title": self.text(), "summary": self.text().capitalize() + "."}
        if kind == "gotcha":
            flags["body"] = "Unlike any other."
        if kind == "verification":
            flags["conclusion"] = self.random.choice(CONCLUSIONS)
        if kind == "policy":
            flags["priority"] = self.random.choice([*PRIORITIES])
        task = self.some("task")
        if kind != "policy" and task is not None and self.random.random() < 0.6:
            flags["task_id"] = task.id
        if self.random.random() < 0.3 and kind not in ("verification", "note"):
            flags["status"] = self.random.choice(STATUSES)
        if self.random.random() < 0.15:
            flags["test"] = True
        return kind, KINDS[kind][0], flags

    def added(self, kind: str, flags: dict[str, Any], record_id: str) -> None:
        record = Record(
            record_id,
            kind,
            flags["title"],
            flags["summary"],
            flags.get("status", KINDS[kind][4]),
            test=flags.get("test", False),
            task=flags.get("task_id"),
            conclusion=flags.get("conclusion"),
            priority=flags.get("priority", "normal"),
        )
        self.model.records[record_id] = record
        self.model.log("add", record)

    # --- operations -------------------------------------------------------------------------------

    def add(self) -> None:
        kind, op, flags = self.request()
        key = f"key {len(self.model.keys)}" if self.random.random() < 0.3 else None
        reply = self.kz.ok(op, **flags, key=key)
        self.added(kind, flags, reply["id"])
        if key:
            self.model.keys[key] = (op, flags, reply)

    def repeat(self) -> None:
        if not self.model.keys:
            return
        key = self.random.choice([*self.model.keys])
        op, flags, first = self.model.keys[key]
        if first["id"] not in self.model.records:
            self.kz.denied("DENIED_KEY_CONFLICT", op, **flags, key=key)
            return
        again = self.kz.ok(op, **flags, key=key)
        assert {**again} == {**first, "replayed": True}
        self.kz.denied("DENIED_KEY_CONFLICT", op, **{**flags, "title": "Another"}, key=key)
        self.kz.denied("DENIED_KEY_CONFLICT", "W38", summary="Another operation.", key=key)

    def revise(self) -> None:
        record = self.some()
        if record is None:
            return
        changes: dict[str, Any] = {}
        if self.random.random() < 0.6:
            changes["status"] = self.random.choice(STATUSES)
        if not changes or self.random.random() < 0.5:
            changes["title"] = self.text()
        task = self.some("task")
        if record.kind not in ("policy", "task") and task is not None and self.random.random() < 0.2:
            changes["task_id"] = task.id
        if record.kind == "policy" and self.random.random() < 0.5:
            changes["priority"] = self.random.choice([*PRIORITIES])
        self.kz.ok(KINDS[record.kind][1], id=record.id, **changes)
        record.title = changes.get("title", record.title)
        record.status = changes.get("status", record.status)
        record.task = changes.get("task_id", record.task)
        record.priority = changes.get("priority", record.priority)
        if "status" in changes:
            record.retired = False
        self.model.log("revise", record)

    def retire(self) -> None:
        record = self.some()
        if record is None:
            return
        reply = self.kz.ok(KINDS[record.kind][2], id=record.id, reason="No longer so.")
        assert reply.get("already", False) == record.retired
        if not record.retired:
            record.retired, record.status = True, "retired"
            self.model.log("retire", record)

    def promote(self) -> None:
        source = self.some("gotcha", "learning")
        if source is None:
            return
        above = "learning" if source.kind == "gotcha" else "learned"
        before = next((record for record in self.model.of(above) if record.source == source.id), None)
        reply = self.kz.ok("L2" if source.kind == "gotcha" else "L3", id=source.id)
        assert reply.get("already", False) == (before is not None)
        if before is not None:
            assert reply["id"] == before.id
            return
        task = source.task if source.task in self.model.records else None
        target = Record(reply["id"], above, source.title, source.summary, "active", task=task, source=source.id)
        self.model.records[target.id] = target
        self.model.log("promote", target)
        source.status = "promoted"
        self.model.log("promote", source)

    def batch(self) -> None:
        atomic = self.random.random() < 0.4
        wanted = [self.request() for _ in range(self.random.randint(1, 4))]
        lines = [json.dumps({"op": op, **flags}) for _, op, flags in wanted]
        bad = self.random.randrange(len(lines) + 1) if self.random.random() < 0.5 else None
        if bad is not None:
            lines.insert(
                bad, self.random.choice(['{"op": "W1"}', "no JSON", '{"op": "W11", "id": "t_20000101000000_0000000000"}'])
            )
        reply = self.kz("K8", _stdin="\n".join(lines), atomic=atomic)
        assert bool(reply.code) == (bad is not None)
        if atomic and bad is not None:
            return
        answers = [json.loads(line) for line in reply.stdout.splitlines()]
        good = [answer for answer in answers if answer["status"] == "OK"]
        assert len(answers) == len(lines) and len(good) == len(wanted)
        for (kind, _, flags), answer in zip(wanted, good, strict=True):
            self.added(kind, flags, answer["id"])

    def forget(self, record: Record) -> None:
        self.model.log("purge", record)
        del self.model.records[record.id]

    def purge(self) -> None:
        record = self.some()
        if record is not None:
            self.kz.ok("K21", id=record.id, reason="Asked for.", confirm=record.id)
            self.forget(record)

    def purge_test(self) -> None:
        found = [record for record in self.model.records.values() if record.test]
        assert self.kz.ok("K7")["total"] == len(found)
        # Kind by kind, and within a kind as they were made.
        for record in sorted(found, key=lambda record: record.kind):
            self.forget(record)

    def rebuild(self) -> None:
        self.kz.ok("K12")

    def back_up(self) -> None:
        self.model.backup = (self.kz.ok("K3")["backup_dir"], self.model.copy())

    def restore(self) -> None:
        if self.model.backup:
            folder, model = self.model.backup
            self.kz.ok("K11", path=folder)
            self.model = model.copy()
            self.model.backup = (folder, model)

    def write_report(self) -> None:
        # A report is a record as well; written with --test and erased again, it leaves two entries and nothing else.
        op, kind = self.random.choice([*REPORTS.items()])
        made = self.kz.ok(op, limit=-1, format="json")
        rows = json.loads((self.plane / made["path"]).read_text(encoding="utf-8"))["rows"]
        assert [row["id"] for row in rows] == [record.id for record in reversed(self.model.of(kind))]
        assert [row["status"] for row in rows] == [record.status for record in reversed(self.model.of(kind))]
        self.kz.ok("K21", id=made["id"], reason="Only looked at.", confirm=made["id"])
        self.model.entries += [("add", made["id"], None), ("purge", made["id"], None)]

    def refused(self) -> None:
        record = self.some()
        if record is not None:
            kind = KINDS[record.kind]
            self.kz.denied("DENIED_RECORD_NOT_FOUND", kind[1], id=record.id[:-1] + "z", title="No such record")
            self.kz.denied("DENIED_FIELD_WORD_LIMIT", kind[1], id=record.id, summary="word " * 90)

    # --- views ------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Every view against the model, and both verifiers."""
        kz, model = self.kz, self.model
        truth.sound(self.plane)
        kz.ok("V1")
        assert standalone.verify(self.plane)[0].seq == len(model.entries) + 1
        self.compare_lists()
        self.compare_search()
        self.compare_digest()
        history = kz.ok("K22", limit=-1)["records"]
        assert [(entry["action"], entry["record_id"], entry["task_id"]) for entry in reversed(history[:-1])] == model.entries

    def compare_lists(self) -> None:
        for kind, codes in KINDS.items():
            expected = [*reversed(self.model.of(kind))]
            if kind == "policy":
                expected = sorted(self.model.of(kind), key=lambda record: PRIORITIES[record.priority])
            reply = self.kz.ok(codes[3], limit=-1)
            assert [record["id"] for record in reply["records"]] == [record.id for record in expected]
            assert reply["count"] == len(expected)
            assert [record.get("title", expected[at].title) for at, record in enumerate(reply["records"])] == [
                record.title for record in expected
            ]
            for status in STATUSES[:2]:
                found = self.kz.ok(codes[3], limit=-1, status=status)["records"]
                assert [record["id"] for record in found] == [record.id for record in expected if record.status == status]
            page = self.kz.ok(codes[3], limit=2, offset=1)["records"]
            assert [record["id"] for record in page] == [record.id for record in expected[1:3]]

    def compare_search(self) -> None:
        for words in ({self.random.choice(WORDS)}, {*self.random.sample(WORDS, 2)}):
            expected = {record.id for record in self.model.records.values() if words <= record.words}
            found = self.kz.ok("K17", query=" ".join(sorted(words)), limit=-1)["records"]
            assert len(found) == len(expected) and {record["id"] for record in found} == expected
            gotchas = self.kz.ok("G3", query=" ".join(sorted(words)), limit=-1)["records"]
            assert {record["id"] for record in gotchas} == {one for one in expected if one.startswith("g_")}

    def compare_digest(self) -> None:
        digest = self.kz.ok("R0", limit=-1)
        of = self.model.of
        for section, kind in DIGEST.items():
            expected = [record.id for record in reversed(of(kind)) if record.open]
            if kind == "policy":
                policies = sorted((one for one in of(kind) if one.open), key=lambda one: PRIORITIES[one.priority])
                expected = [one.id for one in policies][:20]
            assert [record["id"] for record in digest[section]] == expected
        blocking = [record.id for record in reversed(of("verification")) if record.blocks]
        assert [record["id"] for record in digest["blocking_verifications"]] == blocking
        entries = Counter(task for _, _, task in self.model.entries)
        idle = [task.id for task in of("task") if task.open and entries[task.id] < 2]
        assert digest["counts"] == {
            "policies_active": sum(record.open for record in of("policy")),
            "gotchas_active": sum(record.open for record in of("gotcha")),
            "blocking_verifications": len(blocking),
            "learned_total": len(of("learned")),
            "tasks_active": sum(record.open for record in of("task")),
            "active_tasks_without_ledger": len(idle),
            "ledger_events_last_7d": len(self.model.entries) + 1,
            "verifications_last_7d": len(of("verification")),
        }


def drive(kz: Kz, plane: Path, seed: int, steps: int) -> None:
    kz.ok("K1")
    driver = Driver(kz, plane, seed)
    for number in range(1, steps + 1):
        driver.step()
        if not number % 20:
            driver.compare()


@pytest.mark.parametrize("engine", ["turso", "sqlite"])
def test_every_view_says_what_was_done(kz, plane, monkeypatch, engine):
    monkeypatch.setenv("KAIZEN_DB_ENGINE", engine)
    drive(kz, plane, seed=1, steps=80)


@pytest.mark.slow
@pytest.mark.skipif(not SOAK, reason="KAIZEN_SOAK says for how many seconds")
def test_every_view_says_what_was_done_for_long(kz, tmp_path, monkeypatch):
    deadline, seed = time.monotonic() + SOAK, 100
    while time.monotonic() < deadline:
        root = tmp_path / str(seed)
        root.mkdir()
        monkeypatch.setenv("KAIZEN_REPO_ROOT", str(root))
        monkeypatch.setenv("KAIZEN_DB_ENGINE", "turso" if seed % 2 else "sqlite")
        drive(kz, root, seed, 120)
        seed += 1
