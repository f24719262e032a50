"""Case set: what a contract is tried on: eval cases, lessons as examples and open pitfalls, as one Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..reports.markdown import code, plain

if TYPE_CHECKING:
    from ..store import Row, Store

COLUMNS = ("id", "title", "summary", "body", "scope", "status", "content_hash")
CASE = (*COLUMNS, "category", "fixture_path", "expected_json")


@dataclass(frozen=True, slots=True)
class CaseSet:
    """The records of a case set, newest first."""

    eval_cases: Sequence[Row]
    exemplars: Sequence[Row]
    gotchas: Sequence[Row]


def gather(store: Store, *, category: str | None = None, limit: int | None = None) -> CaseSet:
    """Open eval cases (of a category), LEARNED and GOTCHAs, at most `limit` of each; None is no limit."""
    return CaseSet(
        eval_cases=eval_cases(store, category=category, limit=limit),
        exemplars=store.list("learned", {"is_open": 1}, limit=limit, columns=COLUMNS),
        gotchas=store.list("gotcha", {"is_open": 1}, limit=limit, columns=COLUMNS),
    )


def eval_cases(store: Store, *, category: str | None = None, limit: int | None = None) -> list[Row]:
    """The open eval cases (of a category), newest first."""
    where: dict[str, Any] = {"is_open": 1} | ({"category": category} if category else {})
    return store.list("eval_case", where, limit=limit, columns=CASE)


def page(contract: str, cases: CaseSet, *, category: str | None = None) -> str:
    """The case set as Markdown; the same records give the same bytes."""
    return "\n".join(_lines(contract, cases, category)) + "\n"


def _lines(contract: str, cases: CaseSet, category: str | None) -> Iterator[str]:
    yield f"# Case set: {plain(contract)}"
    yield ""
    yield f"- Eval cases: {len(cases.eval_cases)}{f' of the category {plain(category)}' if category else ''}"
    yield f"- Exemplars (LEARNED): {len(cases.exemplars)}"
    yield f"- Active GOTCHAs: {len(cases.gotchas)}"
    yield from _section("Eval cases", cases.eval_cases)
    yield from _section("Exemplars", cases.exemplars)
    yield from _section("Active GOTCHAs", cases.gotchas)


def _section(title: str, rows: Sequence[Row]) -> Iterator[str]:
    yield from ("", f"## {title}")
    if not rows:
        yield from ("", "None.")
    for row in rows:
        yield from ("", f"### {plain(row['title'])}", "")
        yield f"- Id: {code(row['id'])}"
        for name in ("category", "scope", "status", "fixture_path"):
            if row.get(name):
                yield f"- {name.replace('_', ' ').capitalize()}: {plain(row[name])}"
        # With it, whoever has the plane can tell whether the record is still the one that stood here.
        yield f"- Content hash: {code(row['content_hash'])}"
        yield from ("", plain(row["summary"]))
        if row["body"]:
            yield from ("", plain(row["body"]))
        if row.get("expected_json"):
            yield from ("", f"Expected: {plain(row['expected_json'])}")
