"""Lifecycle: the verbs that every record kind shares: add, list, query, inspect, revise, retire."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, TypeAlias, cast

from .. import denial
from ..fields import Bytes, Count, RawText, Rule, Text
from ..op import Result
from ..record import CLOSED, Field, Input, Record
from ..store import Row, Store


class Moment(Rule):
    """An ISO 8601 time or date, kept as the UTC text that times are stored as; a date ends or begins its day."""

    def __init__(self, *, ends: bool) -> None:
        self.ends = ends

    def check(self, value: str, field: str) -> str:
        try:
            at = datetime.fromisoformat(value)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            if self.ends and len(value) == 10:
                at += timedelta(days=1)
            return at.astimezone(UTC).isoformat(timespec="microseconds")
        except (ValueError, OverflowError):
            raise denial.SchemaFieldType(
                "Pass a time such as 2026-11-21 or 2026-11-21T08:00:00+00:00.", field=field, value=value, expected="ISO 8601"
            ) from None


MaybeText: TypeAlias = RawText | None
Since = Annotated[str, Bytes(100), Moment(ends=False)]
Until = Annotated[str, Bytes(100), Moment(ends=True)]


class Target(Input):
    """One record, by id."""

    scanned = False
    id: RawText = Field(missing=denial.IdRequired, description="Id of the record")


class Retirement(Input):
    """A record to retire, and why."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the record")
    reason: Text = Field(missing=denial.ReasonRequired, description="Why it no longer holds")


class Listing(Input):
    """A window over a kind's records: limit, offset, times, and the filters that the kind has."""

    scanned = False
    default_limit: ClassVar[int] = 20
    filters: ClassVar[tuple[tuple[str, str], ...]] = ()

    limit: int | None = Field(None, description="At most so many; 0 is the default, negative is no limit")
    offset: Count | None = Field(None, description="Skip so many")
    since: Since | None = Field(None, description="Only records made at or after this time")
    until: Until | None = Field(None, description="Only records made before this time, or on or before this date")

    def window(self) -> tuple[int | None, int]:
        """(limit, offset) as the store takes them."""
        limit = self.limit or self.default_limit
        return (None if limit < 0 else limit), self.offset or 0

    def where(self) -> dict[str, Any]:
        """The conditions as the store takes them."""
        conditions: dict[str, Any] = {}
        if self.since:
            conditions["created_at"] = (">=", self.since)
        if self.until:
            conditions["created_at#until"] = ("<", self.until)
        for key, column in self.filters:
            value = getattr(self, key, None)
            if value is not None:
                conditions[column] = value
        return conditions


def listing(cls: type[Record], *, query: bool | None = None, limit: int = 20, filters: Sequence[str] = ()) -> Any:
    """The Listing of a kind: `query` None for no search, False for an optional one, True for a required one;
    --status, --scope and --task-id where the record has the field, and further `filters` by field name."""
    names = {spec.name: spec for spec in cls.specs}
    wanted = {"status": "status"}
    wanted |= {"scope": "scope"} if "scope" in names else {}
    wanted |= {"task_id": cls.task_column} if cls.task_column else {}
    wanted |= {names[name].key: name for name in filters}
    body: dict[str, Any] = {"default_limit": limit, "filters": tuple(wanted.items()), "__annotations__": {}}
    if query is not None:
        body["__annotations__"]["query"] = RawText if query else MaybeText
        shown = 'Words to find; all must match, "quoted phrases" exactly'
        body["query"] = Field(missing=denial.QueryRequired, description=shown) if query else Field(None, description=shown)
    for key in wanted:
        body["__annotations__"][key] = MaybeText
        body[key] = Field(None, description=f"Only records with this {key.replace('_', ' ')}")
    return type(f"{cls.__name__}Listing", (Listing,), body)


def revision(cls: type[Record], *, omit: Sequence[str] = ()) -> Any:
    """The Input that revises a kind: its id, and every field of its own as an option. What is not given stays."""
    body: dict[str, Any] = {"__annotations__": {"id": RawText}, "redaction": cls.redaction, "record": cls}
    body["refuses_personal"] = cls.refuses_personal
    body["id"] = Field(missing=denial.IdRequired, description="Id of the record to revise")
    for spec in cls.specs:
        shown = spec.flagged or spec.name in ("status", "writer_role")
        if shown and spec.name not in omit:
            kind: Any = Annotated[(spec.type, *spec.rules)] if spec.rules else spec.type
            kind = list[kind] if spec.many else kind
            body["__annotations__"][spec.key] = kind | None
            body[spec.key] = Field(None, description=spec.description, file=spec.file, file_wins=spec.file_wins)
    return type(f"{cls.__name__}Revision", (Input,), body)


def written(row: Row, **more: Any) -> Result:
    """The answer of a write: id, revision_id, content_hash, and what else the operation says."""
    content_hash = row.get("record_hash") or row["content_hash"]
    return Result(id=row["id"], revision_id=row["current_revision_id"], content_hash=content_hash, **more)


def listed(cls: type[Record], columns: Sequence[str], window: Listing, store: Store, **where: Any) -> Result:
    """A page of a kind's records, newest first."""
    limit, offset = window.window()
    records = store.list(cls.record_kind, {**window.where(), **where}, limit=limit, offset=offset, columns=columns)
    return Result(records=records, count=len(records))


def queried(cls: type[Record], columns: Sequence[str], window: Listing, store: Store, **where: Any) -> Result:
    """The records of a kind that a full-text query finds, best first; without a query, a page of them."""
    text = getattr(window, "query", None)
    if not text:
        return listed(cls, columns, window, store, **where)
    from ..store import search

    limit, offset = window.window()
    conditions = {**window.where(), **where}
    hits = search.find(store, text, kinds=(cls.record_kind,), where=conditions, limit=limit, offset=offset)
    records = search.rows(store, cls.record_kind, hits, conditions, columns)
    return Result(records=records, count=len(records), query=text)


def inspected(cls: type[Record], target: Target, store: Store) -> Result:
    """One record in full."""
    return Result(record=store.get(cls.record_kind, target.id))


def changes_of(cls: type[Record], change: Input) -> dict[str, Any]:
    """The fields that a revision gives, by column."""
    columns = {spec.key: spec.name for spec in cls.specs if spec.stored}
    given = {spec.key: getattr(change, spec.name) for spec in change.specs if spec.key != "id"}
    return {columns[key]: value for key, value in given.items() if value is not None and key in columns}


def revised(
    cls: type[Record], change: Input, store: Store, *, and_change: Mapping[str, Any] | None = None, **more: Any
) -> Result:
    """Write a further revision; a record that was retired and gets an open status is back."""
    record_id = cast(Any, change).id
    changes = {**changes_of(cls, change), **(and_change or {})}
    before = store.get(cls.record_kind, record_id)
    if before["retired_reason"] is not None and "status" in changes and changes["status"] != "retired":
        changes["retired_reason"] = None
    meant = closing_word(changes.get("status"))
    if meant:
        store.warnings.append(f'The status "{changes["status"]}" counts as open; did you mean {meant}?')
    return written(store.revise(cls.record_kind, record_id, changes), **more)


def closing_word(status: str | None) -> str | None:
    """The status that closes a record which a status is almost: done for dnoe; None for any other word."""
    word = (status or "").lower()
    if not word or word in CLOSED or word.startswith(("un", "in")):
        return None
    from difflib import get_close_matches

    swapped = [known for known in sorted(CLOSED) if sorted(known) == sorted(word)]
    return next(iter(swapped or get_close_matches(word, sorted(CLOSED), n=1, cutoff=0.8)), None)


def retired(kinds: Mapping[str, type[Record]] | Sequence[str], retirement: Retirement, store: Store) -> Result:
    """Retire a record of one of some kinds: it stays, with its reason, and counts as closed."""
    kind = store.kind_of(retirement.id)
    if kind not in kinds:
        raise denial.RecordNotFound(
            f"Pass the id of one of these kinds: {', '.join(kinds)}.", id=retirement.id, record_type=kind, expected=list(kinds)
        )
    before = store.get(kind, retirement.id)
    if before["retired_reason"] is not None:
        return written(before, already=True)
    row = store.revise(kind, retirement.id, {"status": "retired", "retired_reason": retirement.reason}, action="retire")
    return written(row)
