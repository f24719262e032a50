"""Tasks: the report on tasks, with what was planned, bound, demanded, proved and learned for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .document import Document, Figure, tally
from .selection import Selection, children, chunks

if TYPE_CHECKING:
    from ..store import Row, Store

TASK = ("id", "title", "summary", "scope", "status", "source_task_id", "created_at", "updated_at", "retired_reason")
PLAN = ("id", "title", "summary", "status", "created_at")
CRITERION = ("id", "summary", "status", "plan_id", "proof_ids_json", "waiver_reason")
CONTRACT = ("id", "title", "summary", "verifier_command", "stop_rule", "status")
RETROSPECTIVE = ("id", "summary", "kept_json", "changed_json", "next_priorities_json", "created_at")
PROOF = ("id", "event_type", "basis", "conclusion", "summary", "status", "proof_id", "created_at")
STANDINGS = ("open", "met", "waived", "retired")
BELONGING = ("plans", *(f"criteria_{standing}" for standing in STANDINGS), "contracts", "retrospectives", "proofs")
SHOWN = ("id", "title", "status", "scope", "created_at", *BELONGING)


def document(store: Store, selection: Selection) -> Document:
    """Tasks, each with its plans, acceptance criteria, execution contracts, retrospectives, proofs and verifications."""
    where: dict[str, object] = {"scope": selection.scope} if selection.scope else {}
    if selection.task_id:
        parts = store.list("task", {"source_task_id": selection.task_id}, columns=("id",))
        where["id#asked"] = ("in", [selection.task_id, *(row["id"] for row in parts)])
    rows, matching = selection.rows(store, "task", TASK, where)
    _add_belonging(store, rows)
    figures = tally(rows, "status", lambda row: row["status"])
    for name in BELONGING:
        records = [record for row in rows for record in row[name]]
        if records and name != "proofs":
            figures.append(Figure(name.replace("_", " "), len(records), [record["id"] for record in records]))
    figures += tally((proof for row in rows for proof in row["proofs"]), "proofs", lambda proof: proof["basis"])
    return Document(
        report="task",
        title="Task report",
        columns=(*TASK, *BELONGING),
        table=SHOWN,
        rows=rows,
        figures=figures,
        matching=matching,
    )


def _add_belonging(store: Store, tasks: list[Row]) -> None:
    """Put into each task's row the records that belong to it."""
    ids = [task["id"] for task in tasks]
    plans = children(store, "plan", "task_id", ids, PLAN)
    of_task = children(store, "criterion", "task_id", ids, CRITERION)
    of_plan = children(store, "criterion", "plan_id", (plan["id"] for group in plans.values() for plan in group), CRITERION)
    contracts = children(store, "execution_contract", "task_id", ids, CONTRACT)
    retrospectives = children(store, "retrospective", "task_id", ids, RETROSPECTIVE)
    proofs = children(store, "verification", "task_id", ids, PROOF)
    criteria: dict[str, dict[str, Row]] = {}
    for task in tasks:
        own = [*of_task.get(task["id"], ()), *(row for plan in plans.get(task["id"], ()) for row in of_plan.get(plan["id"], ()))]
        criteria[task["id"]] = {row["id"]: row for row in own}
    linked = _linked_proofs(store, [row for group in criteria.values() for row in group.values()])
    for task in tasks:
        own_criteria = criteria[task["id"]].values()
        task["plans"] = [_only(PLAN, row) for row in plans.get(task["id"], ())]
        for standing in STANDINGS:
            task[f"criteria_{standing}"] = [_only(CRITERION, row) for row in own_criteria if row["status"] == standing]
        task["contracts"] = [_only(CONTRACT, row) for row in contracts.get(task["id"], ())]
        task["retrospectives"] = [_only(RETROSPECTIVE, row) for row in retrospectives.get(task["id"], ())]
        named = {row["id"]: row for row in proofs.get(task["id"], ())}
        for row in own_criteria:
            named |= {proof: linked[proof] for proof in _proof_ids(row) if proof in linked}
        task["proofs"] = [_only(PROOF, row) for row in named.values()]


def _linked_proofs(store: Store, criteria: list[Row]) -> dict[str, Row]:
    """The proofs that criteria name, whichever task they were made in."""
    found: dict[str, Row] = {}
    for ids in chunks(proof for row in criteria for proof in _proof_ids(row)):
        found |= {row["id"]: row for row in store.list("verification", {"id": ("in", ids)}, columns=PROOF)}
    return found


def _proof_ids(criterion: Row) -> list[str]:
    return [entry for entry in json.loads(criterion["proof_ids_json"] or "[]") if isinstance(entry, str)]


def _only(columns: tuple[str, ...], row: Row) -> Row:
    return {name: row[name] for name in columns}
