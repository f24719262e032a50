"""Reports: what the records say, written to a file; and the digest that a session starts with."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import clock, denial
from ..fields import Count, Hash, Range, RawText, RepoPath, Status, TaskRef, Title, Vocabulary, Word, shorten
from ..hashing import canonical, sha256
from ..op import Result, op
from ..record import Field, Input, Record
from ..reports.digest import SECTIONS, digest
from ..store import Store, files
from . import _index, lifecycle
from .lifecycle import Annotated, Listing, Retirement, Since, Target, Until, listing, revision

if TYPE_CHECKING:
    from ..reports.document import Document
    from ..reports.selection import Selection

DEFAULT_LIMIT = 50
# A report on more rows is computed on a copy, so that nobody waits for it.
MANY = 2_000
LISTED = ("id", "report_type", "title", "path", "format", "rows", "window_since", "window_until", "query", "status", "created_at")
EXAMPLE = "--id r_20260101000000_0123456789"
Format = Annotated[str, Vocabulary("md", "json", "csv")]


class Report(Record, kind="report", table="reports", prefix="r"):
    """A report that was written: where it is, what it covers, and the hash of its bytes."""

    title: Title = Field(flagged=False, search=True, description="What it is called")
    report_type: Word = Field(flagged=False, index=True, description="task, ledger, learning, proof, eval, source ...")
    path: RepoPath = Field(flagged=False, description="The file, relative to the project")
    format: Format = Field(flagged=False, description="md, json or csv")
    sha256: Hash = Field(flagged=False, description="SHA-256 of the file's bytes")
    rows: Count = Field(flagged=False, description="How many rows it has")
    columns_json: str = Field(flagged=False, description="JSON list of the columns' names")
    window_since: Since | None = Field(None, flagged=False, description="Where its window begins")
    window_until: Until | None = Field(None, flagged=False, description="Where its window ends")
    query: RawText | None = Field(None, flagged=False, search=True, description="The words that it was made for")
    scope: RawText | None = Field(None, flagged=False, description="The scope that it was made for")
    task_id: TaskRef | None = Field(None, flagged=False, description="The task that it was made for")
    filters_json: str | None = Field(None, flagged=False, description="JSON object of all its filters")
    status: Status = Field("recorded", flagged=False, description="Where it stands")


class Wanted(Input):
    """Which records a report is about, and how it is written."""

    query: RawText | None = Field(None, description='Only what these words find; all must match, "quoted phrases" exactly')
    limit: int | None = Field(
        None, description=f"At most so many rows; 0 is the default of {DEFAULT_LIMIT}, negative is no limit"
    )
    scope: RawText | None = Field(None, description="Only records of this scope; of proofs, of this scope label")
    since: Since | None = Field(None, description="Only records made at or after this time")
    until: Until | None = Field(None, description="Only records made before this time, or on or before this date")
    format: Format = Field("md", description="How the report is written")
    severity: RawText | None = Field(None, description="Only proofs of this severity; R4 alone has it")
    actionability: RawText | None = Field(None, description="Only proofs of this actionability; R4 alone has it")


class WantedOfTask(Wanted):
    """As Wanted, of records that may belong to a task."""

    task_id: TaskRef | None = Field(None, description="Only records of this task")


class Topic(WantedOfTask):
    """As Wanted, and what it is about."""

    query: RawText = Field(missing=denial.QueryRequired, description='Words to find; all must match, "quoted phrases" exactly')  # type: ignore[assignment]


# --- the session digest ---------------------------------------------------------------------------

# Below this not even the counts and the way to the rest have room.
LEAST_BUDGET = 200


class DigestInput(Input):
    """How much of the digest is shown, and of what first."""

    scanned = False
    limit: int | None = Field(
        None, description="At most so many records a section (policies: 20); 0 is the default of 5, negative is no limit"
    )
    query: RawText | None = Field(None, description="The task at hand: what these words find comes first in each section")
    budget: Annotated[int, Range(LEAST_BUDGET)] | None = Field(
        None,
        description=f"At most so many tokens for the whole reply as --json prints it, a token being 4 bytes; {LEAST_BUDGET} at least",
    )
    section: Annotated[str, Vocabulary(*SECTIONS)] | None = Field(None, description="Only this section, and the counts")


@op(
    "R0",
    "session-digest",
    keywords="session start begin context brief policies blocking open tasks gotchas lessons",
    example='--query "login" --budget 2000',
)
def session_digest(wanted: DigestInput, store: Store) -> Result:
    """Show what a session starts with: policies, pitfalls, what blocks, lessons, open tasks."""
    from ..reports import briefing

    limit = wanted.limit or 5
    shown = digest(store, None if limit < 0 else limit, wanted.query, wanted.section)
    if wanted.budget is not None:
        from ..reports.budget import Budget

        shown = Budget(wanted.budget, store.warnings, _section_commands(shown, wanted.query)).fit(shown)
    result = Result(**{name: value for name, value in shown.items() if name != "status"})
    result.view = lambda width: briefing.text(result, width)
    return result


def _section_commands(shown: dict[str, Any], query: str | None) -> dict[str, str]:
    """Section -> the command that shows all of it that this digest would have shown."""
    words = f" --query={_quoted(query)}" if query and len(query) <= 80 else ""
    return {name: f"python kaizen.py R0 --section {name} --limit {len(shown[name])}{words}" for name in SECTIONS if name in shown}


# --- the reports ----------------------------------------------------------------------------------


@op(
    "R1",
    "task-report",
    writes=True,
    manages_store=True,
    keywords="tasks plans criteria contracts retrospectives summary write file",
    example="--limit 10",
)
def task_report(wanted: WantedOfTask, store: Store) -> Result:
    """Report on tasks with their plans, criteria, contracts, retrospectives and proofs."""
    from ..reports import tasks

    return _report("R1", "task", wanted, store, tasks.document, ("task",))


@op(
    "R2",
    "ledger-report",
    writes=True,
    manages_store=True,
    keywords="ledger entries chain receipt audit write file",
    example="--since 2026-01-01 --format csv",
)
def ledger_report(wanted: WantedOfTask, store: Store) -> Result:
    """Report on the ledger's entries, with the receipt of its head."""
    return _ledger("R2", "ledger", wanted, store)


@op(
    "R3",
    "learning-report",
    writes=True,
    manages_store=True,
    keywords="lessons learning learned write file",
    example="--scope project",
)
def learning_report(wanted: WantedOfTask, store: Store) -> Result:
    """Report on LEARNING, and what of it became LEARNED."""
    from ..reports import lessons

    return _report("R3", "learning", wanted, store, lessons.document, ("learning",))


@op(
    "R4",
    "proof-report",
    writes=True,
    manages_store=True,
    keywords="proofs verdicts verification observed asserted severity write file",
    example="--severity high",
)
def proof_report(wanted: WantedOfTask, store: Store) -> Result:
    """Report on proofs and verdicts, observed and asserted."""
    from ..reports import proofs

    return _report("R4", "proof", wanted, store, proofs.document, ("verification",))


@op("R5", "eval-report", writes=True, manages_store=True, keywords="eval cases runs write file", example="--format json")
def eval_report(wanted: Wanted, store: Store) -> Result:
    """Report on eval cases, with their runs."""
    from ..reports import evals

    return _report("R5", "eval", wanted, store, evals.document, ("eval_case",))


@op(
    "R6",
    "source-report",
    writes=True,
    manages_store=True,
    keywords="sources references provenance write file",
    example="--limit -1",
)
def source_report(wanted: Wanted, store: Store) -> Result:
    """Report on source locks."""
    from ..reports import sources

    return _report("R6", "source", wanted, store, sources.document, ("source_lock",))


@op(
    "R7", "anti-pattern-report", writes=True, manages_store=True, keywords="smells anti-patterns write file", example="--limit 10"
)
def anti_pattern_report(wanted: Wanted, store: Store) -> Result:
    """Report on anti-patterns."""
    from ..reports import patterns

    return _report("R7", "anti-pattern", wanted, store, patterns.document, ("anti_pattern",))


@op(
    "R8",
    "weekly-report",
    writes=True,
    manages_store=True,
    keywords="week seven days ledger status write file",
    example="--limit -1",
)
def weekly_report(wanted: WantedOfTask, store: Store) -> Result:
    """Report on the ledger's last 7 days, or the 7 days before --until."""
    return _ledger("R8", "weekly", wanted, store, days=7)


@op(
    "R9",
    "monthly-report",
    writes=True,
    manages_store=True,
    keywords="month thirty days ledger status write file",
    example="--limit -1",
)
def monthly_report(wanted: WantedOfTask, store: Store) -> Result:
    """Report on the ledger's last 30 days, or the 30 days before --until."""
    return _ledger("R9", "monthly", wanted, store, days=30)


@op("R10", "yearly-report", writes=True, manages_store=True, keywords="year ledger status write file", example="--limit -1")
def yearly_report(wanted: WantedOfTask, store: Store) -> Result:
    """Report on the ledger's last 365 days, or the 365 days before --until."""
    return _ledger("R10", "yearly", wanted, store, days=365)


@op(
    "R11",
    "topic-report",
    writes=True,
    manages_store=True,
    keywords="topic subject words ledger search write file",
    example='--query "login"',
)
def topic_report(wanted: Topic, store: Store) -> Result:
    """Report on the ledger's entries whose records a query finds."""
    return _ledger("R11", "topic", wanted, store)


def _ledger(code: str, report_type: str, wanted: Wanted, store: Store, *, days: int | None = None) -> Result:
    from ..reports import entries

    def document(source: Store, selection: "Selection") -> "Document":
        made = entries.document(source, selection)
        made.title = f"{report_type.capitalize()} report"
        return made

    return _report(code, report_type, wanted, store, document, None, days=days)


# --- writing them ---------------------------------------------------------------------------------


def _report(
    code: str,
    report_type: str,
    wanted: Wanted,
    store: Store,
    document: "Callable[[Store, Selection], Document]",
    kinds: tuple[str, ...] | None,
    *,
    days: int | None = None,
) -> Result:
    """Select, compose, write the file, and add its record."""
    selection = _selection(code, wanted, store, kinds, days)

    def compose(source: Store) -> "Document":
        made = document(source, selection)
        made.report = report_type
        made.title += f": {shorten(selection.query)}" if selection.query else ""
        made.command = selection.command(code)
        made.facts = _facts(source, selection)
        return made

    def record(path: Path, text: str, made: "Document") -> Result:
        row = store.add(
            Report(
                status="recorded",
                title=made.title,
                report_type=report_type,
                path=store.plane.relative(path),
                format=wanted.format,
                sha256=sha256(text),
                rows=len(made.rows),
                columns_json=canonical(list(made.columns)),
                window_since=selection.window.since,
                window_until=selection.window.until,
                query=selection.query,
                scope=selection.scope,
                task_id=selection.task_id,
                filters_json=canonical(selection.filters()),
            )
        )
        told = {name: row[name] for name in ("id", "path", "rows", "sha256", "format")}
        result = Result(**told, columns=list(made.columns), matching=made.matching)
        result.view = lambda width: (
            f"{code} {report_type}-report: recorded {result['id']} as ledger entry {result['seq']}\n"
            f"{result['path']}: {result['rows']} of {result['matching']} rows that match"
        )
        return result

    most = max(len(selection.hits or ()), selection.limit or MANY + 1)
    reads_much = most > MANY or (kinds is None and selection.scope is not None)
    return _written(store, f"{report_type}-report-{{stamp}}", wanted.format, compose, record, apart=reads_much)


def _selection(code: str, wanted: Wanted, store: Store, kinds: tuple[str, ...] | None, days: int | None) -> "Selection":
    """What was asked for, the query's hits included; refusals before anything is written."""
    from ..reports.selection import Selection
    from ..reports.window import Window

    for flag in ("severity", "actionability"):
        if code != "R4" and getattr(wanted, flag) is not None:
            raise denial.FilterUnsupported(report=code, flag=f"--{flag}")
    task_id = cast(Any, wanted).task_id if isinstance(wanted, WantedOfTask) else None
    try:
        if task_id is not None:
            store.check_link(task_id, "task", "task_id")
        now = clock.moment(store.head()[0] + 1)
        hits = None
        if wanted.query:
            from ..store import search

            # Reports on a topic are no part of it.
            kinds = kinds or tuple(kind for kind in _index.KINDS if kind != "report")
            hits = search.find(store, wanted.query, kinds=kinds)
    finally:
        store.close()
    limit = wanted.limit or DEFAULT_LIMIT
    return Selection(
        window=Window.of(wanted.since, wanted.until, days, now),
        limit=None if limit < 0 else limit,
        query=wanted.query,
        scope=wanted.scope,
        task_id=task_id,
        severity=wanted.severity,
        actionability=wanted.actionability,
        hits=hits,
    )


def _facts(source: Store, selection: "Selection | None") -> dict[str, Any]:
    """What a report was made from: when, at which receipt of the ledger, over which window, with which filters."""
    seq, chain_hash = source.head()
    facts: dict[str, Any] = {"generated_at": clock.now(seq + 1), "ledger": {"seq": seq, "chain_hash": chain_hash}}
    if selection is not None:
        window = {"since": selection.window.since, "until": selection.window.until}
        facts |= {"window": window, "filters": selection.filters()}
    return facts


def _written(
    store: Store,
    stem: str,
    format: str,
    compose: "Callable[[Store], Document]",
    record: "Callable[[Path, str, Document], Result]",
    *,
    apart: bool,
) -> Result:
    """Compose a document, write it under a name that nobody else has, and answer; the file goes where that fails.

    `apart` composes it on a copy of the plane, before the unit of work begins.
    """
    from ..reports.formats import WRITERS

    made: list[Path] = []

    def drawn(source: Store) -> "tuple[Path, str, Document]":
        document = compose(source)
        text = WRITERS[format](document)
        stamp = clock.stamp(source.head()[0] + 1)
        path = files.reserve(store.plane.reports, stem.replace("{stamp}", stamp), f".{format}")
        made.append(path)
        files.write_whole(path, text)
        return path, text, document

    try:
        if apart:
            with store.reading_copy() as source:
                ready = drawn(source)
            result = store.perform(store.call, lambda: record(*ready))
        else:
            result = store.perform(store.call, lambda: record(*drawn(store)))
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    if result.get("replayed"):
        for path in made:
            path.unlink(missing_ok=True)
    return result


# --- reports on one thing -------------------------------------------------------------------------


class Review(Input):
    """A review, and how its timeline is written."""

    scanned = False
    review_id: RawText | None = Field(None, description="The review, as I1 named it  [required]")
    id: RawText | None = Field(None, description="The same, or any event of the review")
    format: Format = Field("md", description="How the report is written")


@op(
    "I5",
    "irl-report",
    manages_store=True,
    keywords="review timeline prediction correction outcome write file",
    example="--review-id PROJ-42",
)
def irl_report(wanted: Review, store: Store) -> Result:
    """Write the timeline of one review."""
    from ..reports import reviews

    named = wanted.review_id or wanted.id
    if not named:
        raise denial.ReviewIdRequired(field="review_id")
    review_id = _read(store, lambda: reviews.review_of(store, named))
    many = _read(store, lambda: store.count("irl_review", {"review_id": review_id}))

    def answer(path: Path, text: str, made: "Document") -> Result:
        store.warn_of_drift()
        return Result(
            review_id=review_id, path=store.plane.relative(path), rows=len(made.rows), sha256=sha256(text), format=wanted.format
        )

    command = f"python kaizen.py I6 --review-id={_quoted(review_id)} --limit=-1"
    compose = _single(lambda source: reviews.document(source, review_id), command)
    return _written(store, f"irl-review-{_slug(review_id)}", wanted.format, compose, answer, apart=many > MANY)


class Trace(Input):
    """The steps of a task or a trace, and how they are written."""

    scanned = False
    task_id: RawText | None = Field(None, description="The steps of this task")
    trace_id: RawText | None = Field(None, description="The steps of this trace; with --task-id, of both")
    format: Format = Field("md", description="How the report is written")


@op(
    "T3",
    "trace-report",
    manages_store=True,
    keywords="steps events tokens cost latency timeline write file",
    example="--trace-id run-7",
)
def trace_report(wanted: Trace, store: Store) -> Result:
    """Write the steps of one task or trace, with their scores, tokens and cost."""
    from ..reports import traces

    where = {name: value for name, value in (("trace_id", wanted.trace_id), ("task_id", wanted.task_id)) if value}
    if not where:
        raise denial.IdRequired("Pass --task-id or --trace-id.", field="task_id")
    key = " ".join(where.values())
    many = _read(store, lambda: store.count("trace_event", where))

    def answer(path: Path, text: str, made: "Document") -> Result:
        store.warn_of_drift()
        return Result(
            key=key,
            events=len(made.rows),
            total_tokens=traces.total_tokens(made.rows),
            total_cost=traces.total_cost(made.rows),
            path=store.plane.relative(path),
            sha256=sha256(text),
            format=wanted.format,
        )

    flags = " ".join(f"--{name.replace('_', '-')}={_quoted(value)}" for name, value in where.items())
    compose = _single(lambda source: traces.document(source, where, key), f"python kaizen.py T9 {flags} --limit=-1")
    return _written(store, f"trace-{_slug(key)}", wanted.format, compose, answer, apart=many > MANY)


def _single(document: "Callable[[Store], Document]", command: str) -> "Callable[[Store], Document]":
    def compose(source: Store) -> "Document":
        made = document(source)
        made.command, made.facts = command, _facts(source, None)
        return made

    return compose


def _read(store: Store, work: Callable[[], Any]) -> Any:
    """Read something before the unit of work."""
    try:
        return work()
    finally:
        store.close()


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _slug(key: str) -> str:
    """A key as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip("-.")[:80] or "unnamed"


# --- the reports that were written ----------------------------------------------------------------


@op(
    "R12",
    "report-list",
    input=listing(Report, query=False, filters=("report_type", "format")),
    keywords="reports show files search",
    example="--limit 5",
)
def report_list(window: Listing, store: Store) -> Result:
    """List the reports that were written, newest first, or those that --query finds."""
    return lifecycle.queried(Report, LISTED, window, store)


@op("R13", "report-inspect", keywords="report show read path hash", example=EXAMPLE)
def report_inspect(target: Target, store: Store) -> Result:
    """Show one report's record in full."""
    return lifecycle.inspected(Report, target, store)


@op("R14", "report-retire", writes=True, keywords="report withdraw", example=f'{EXAMPLE} --reason "It left out a week."')
def report_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a report, with the reason; its file stays."""
    return lifecycle.retired(("report",), retirement, store)


@op(
    "R15",
    "report-update",
    writes=True,
    input=revision(Report),
    keywords="report revise status supersede",
    example=f"{EXAMPLE} --status superseded",
)
def report_update(change: Input, store: Store) -> Result:
    """Revise where a report stands; what it says, and its file, stay as they were written."""
    return lifecycle.revised(Report, change, store)
