"""Records: any record by its id, its history, and the ledger that holds it."""

import json
from typing import Any

from .. import denial
from ..fields import ID, Bytes, Count, RawText, Vocabulary
from ..op import Result, op
from ..record import Field, Input
from ..store import Row, Store, ledger
from .lifecycle import Annotated, Since, Target, Until

ENTRY = (
    "seq",
    "entry_id",
    "time",
    "op",
    "action",
    "kind",
    "record_id",
    "task_id",
    "agent",
    "session",
    "writer_role",
    "chain_hash",
)
EXAMPLE = "--id t_20260101000000_0123456789"


@op("K18", "record-inspect", keywords="any record show read id links", example=EXAMPLE)
def record_inspect(target: Target, store: Store) -> Result:
    """Show any record by its id, with the records it refers to and how often it changed."""
    kind = store.kind_of(target.id)
    record = store.get(kind, target.id)
    entries = store.history(target.id)
    return Result(kind=kind, record=record, links=_links(record, store), entries=len(entries))


def _links(record: Row, store: Store) -> list[Row]:
    """Ids in a record that name other records: field, id, kind, and whether it is still there."""
    found: list[Row] = []
    for name, value in record.items():
        if name in ("id", "current_revision_id") or not isinstance(value, str):
            continue
        values = json.loads(value) if name.endswith("_json") and value.startswith("[") else [value]
        for text in values:
            if isinstance(text, str) and text != record["id"] and ID.match(text):
                found.append({"field": name, "id": text, "exists": store.exists(text)})
    return found


class HistoryWindow(Input):
    """A record, and which of its entries."""

    scanned = False
    id: RawText = Field(missing=denial.IdRequired, description="Id of the record")
    limit: int | None = Field(None, description="At most so many; 0 and negative are no limit")
    offset: Count | None = Field(None, description="Skip so many")
    since: Since | None = Field(None, description="Only entries at or after this time")
    until: Until | None = Field(None, description="Only entries before this time, or on or before this date")

    def chosen(self, entries: list[Row]) -> list[Row]:
        """The entries in the window."""
        within = [
            entry
            for entry in entries
            if (not self.since or entry["time"] >= self.since) and (not self.until or entry["time"] < self.until)
        ]
        start = self.offset or 0
        return within[start : start + self.limit if self.limit and self.limit > 0 else None]


@op("K19", "record-history", keywords="any record revisions changes diff audit who when", example=EXAMPLE)
def record_history(target: HistoryWindow, store: Store) -> Result:
    """Show every ledger entry of a record, oldest first, each with what it changed."""
    entries = store.history(target.id)
    if not entries:
        raise denial.RecordNotFound(id=target.id)
    records, before = [], {}
    for entry in entries:
        content = json.loads(entry["content"]) if entry["content"] is not None else None
        after = (content or {}).get("record")
        shown: Row = {name: entry[name] for name in ENTRY}
        if content is None:
            shown["erased"] = True
        elif after is None:
            shown["reason"] = content.get("reason")
        else:
            shown["changes"] = changes(before, after)
            before = after
        records.append(shown)
    records = target.chosen(records)
    return Result(id=target.id, kind=entries[0]["kind"], records=records, count=len(records))


def changes(before: Row, after: Row) -> dict[str, dict[str, Any]]:
    """Field -> {from, to} for what differs; what a first entry sets to nothing is no change."""
    return {
        name: {"from": before.get(name), "to": value}
        for name, value in after.items()
        if value != before.get(name) and name not in ("id", "created_at")
    }


class LedgerWindow(Input):
    """A window over the ledger."""

    scanned = False
    limit: int | None = Field(None, description="At most so many; 0 is the default of 20, negative is no limit")
    offset: Count | None = Field(None, description="Skip so many")
    since: Since | None = Field(None, description="Only entries at or after this time")
    until: Until | None = Field(None, description="Only entries before this time, or on or before this date")
    task_id: RawText | None = Field(None, description="Only entries of this task")
    id: RawText | None = Field(None, description="Only entries of this record")
    kind: RawText | None = Field(None, description="Only entries of this kind of record")
    action: Annotated[str, Vocabulary(*ledger.ACTIONS)] | None = Field(None, description="Only entries of this action")
    op: RawText | None = Field(None, description="Only entries of this operation")
    agent_name: RawText | None = Field(None, description="Only entries of this agent")
    session: RawText | None = Field(None, description="Only entries of this session")


@op("K22", "ledger-list", keywords="entries log audit who when changes newest", example="--limit 5")
def ledger_list(window: LedgerWindow, store: Store) -> Result:
    """List ledger entries, newest first."""
    where: dict[str, Any] = {}
    columns = {"task_id": "task_id", "id": "record_id", "kind": "kind", "action": "action", "op": "op", "session": "session"}
    for name, column in {**columns, "agent_name": "agent"}.items():
        if getattr(window, name) is not None:
            where[column] = getattr(window, name)
    if window.since:
        where["time"] = (">=", window.since)
    if window.until:
        where["time#until"] = ("<", window.until)
    limit = window.limit or 20
    records = store.list(
        "ledger", where, order="seq DESC", limit=None if limit < 0 else limit, offset=window.offset or 0, columns=ENTRY
    )
    seq, chain_hash = store.head()
    return Result(records=records, count=len(records), head={"seq": seq, "chain_hash": chain_hash})


class EntryTarget(Input):
    """One ledger entry, by id or position."""

    scanned = False
    id: Annotated[str, Bytes(1_000)] | None = Field(None, description="Id of the entry (led_...), as revision_id names it")
    seq: Count | None = Field(None, description="Position of the entry")


@op("K23", "ledger-inspect", keywords="entry revision show read content proof", example="--seq 1")
def ledger_inspect(target: EntryTarget, store: Store) -> Result:
    """Show one ledger entry in full, its content included."""
    if not target.id and target.seq is None:
        raise denial.IdRequired("Pass --id led_... or --seq N.")
    where: dict[str, Any] = {"entry_id": target.id} if target.id else {"seq": target.seq}
    found = store.list("ledger", where, order="seq", limit=1)
    if not found:
        raise denial.RecordNotFound(id=target.id or str(target.seq), table="ledger")
    record = dict(found[0])
    record["content"] = json.loads(record["content"]) if record["content"] is not None else None
    return Result(record=record)
