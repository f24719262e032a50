"""Links: the references between records, and those that lead nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..fields import ID, linked_kind, shorten
from ..ops import _index
from . import record_class
from .connection import Connection

NOTE = (
    "A reference is an orphan when it has the shape of a Kaizen id and no record of that id was ever written."
    " Other texts are external references; references to erased records are listed apart."
)


class Relationship(NamedTuple):
    """A column that refers to records: of which table, of which kind (None: any), one or a JSON list."""

    table: str
    column: str
    parent: str | None
    many: bool


def relationships() -> list[Relationship]:
    """Every column that refers to records, from the link rules of the record kinds."""
    found = []
    for kind in sorted(_index.KINDS):
        cls = record_class(kind)
        for spec in cls.specs:
            is_link, parent = linked_kind(spec.rules)
            if spec.stored and is_link:
                found.append(Relationship(cls.table, spec.name, parent, spec.name.endswith("_json")))
    return found


def integrity(connection: Connection) -> dict[str, Any]:
    """Every reference looked up: orphans, all of them, and references to erased records, by record id."""
    last = connection.stream("SELECT record_id, MAX(action = 'purge') FROM ledger GROUP BY record_id")
    erased: dict[str, bool] = {record_id: bool(purged) for record_id, purged in last}
    checked = relationships()
    orphaned: list[dict[str, Any]] = []
    to_erased: list[dict[str, Any]] = []
    missing = []
    for link in checked:
        if not connection.columns(link.table):
            missing.append(link.table)
            continue
        broken = [(child, target) for child, target in _references(connection, link) if target not in erased]
        gone = [(child, target) for child, target in _references(connection, link) if erased.get(target)]
        for pairs, listed in ((broken, orphaned), (gone, to_erased)):
            if pairs:
                listed.append(_listed(link, pairs))
    total = sum(entry["orphans"] for entry in orphaned)
    answer = {
        "ok": not total and not missing,
        "total_orphans": total,
        "relationships_checked": len(checked),
        "orphaned_relationships": orphaned,
        "references_to_erased": [_renamed(entry) for entry in to_erased],
        "note": NOTE,
    }
    return answer | ({"missing_tables": sorted(set(missing))} if missing else {})


def _listed(link: Relationship, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    parent = _index.KINDS[link.parent].table if link.parent in _index.KINDS else "any"
    sample = [{"child_id": child, "missing_ref": target} for child, target in pairs]
    return {
        "child": f"{link.table}.{link.column}",
        "parent": parent,
        "orphans": len(pairs),
        "sample": sample,
        "sample_truncated": False,
    }


def _renamed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same list, of references that lead to an erased record and are no orphans."""
    records = [{"child_id": pair["child_id"], "erased_ref": pair["missing_ref"]} for pair in entry["sample"]]
    return {"child": entry["child"], "parent": entry["parent"], "references": entry["orphans"], "records": records}


def _references(connection: Connection, link: Relationship) -> Iterator[tuple[str, str]]:
    """(child id, referred id) of every reference in a column that has the shape of a Kaizen id."""
    column = f'"{link.column}"'
    for child, value in connection.stream(f"SELECT id, {column} FROM {link.table} WHERE {column} IS NOT NULL ORDER BY id"):
        for target in _targets(value, many=link.many):
            match = ID.match(target)
            if match and match[1] in _index.PREFIXES:
                yield child, target


def _targets(value: Any, *, many: bool) -> list[str]:
    if not many:
        return [str(value)]
    try:
        parsed = json.loads(value)
    except (TypeError, ValueError):
        return [shorten(value)]
    return [target for target in parsed if isinstance(target, str)] if isinstance(parsed, list) else []


def referring(connection: Connection, record_id: str) -> list[str]:
    """Ids of the records that refer to one."""
    found: dict[str, None] = {}
    for link in relationships():
        condition = f'instr("{link.column}", ?)' if link.many else f'"{link.column}" = ?'
        for (child,) in connection.execute(f"SELECT id FROM {link.table} WHERE {condition} ORDER BY id", (record_id,)):
            found[child] = None
    found.pop(record_id, None)
    return list(found)
