"""Lab: cases gathered, proposals recorded, judged and compared, duplicates found. Nothing is applied by itself."""

import dataclasses
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from .. import clock, denial
from ..fields import Label, Range, RawText, TaskRef
from ..hashing import canonical, sha256
from ..lab.comparison import case_scores
from ..lab.records import ImprovementProposal
from ..op import Result, op
from ..output import many
from ..record import Field, Input
from ..store import Store, files
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision
from .quality import Category

if TYPE_CHECKING:
    from ..lab.duplicates import Candidate, Cluster, Likeness
    from ..lab.ranking import Ranked

LISTED = ("id", "contract", "title", "metric", "baseline_score", "candidate_score", "status", "created_at")
EXAMPLE = "--id ip_20260101000000_0123456789"
ASSEMBLED, JUDGED, COMPARED = 50, 10, 200
# Of the clusters, the answer shows so many; the report has all.
SHOWN_CLUSTERS = 10


class CaseSetInput(Input):
    """Which contract a case set is for, and how much goes into it."""

    scanned = False
    contract: Label = Field(missing=denial.ContractRequired, description="What is to be improved")
    category: Category | None = Field(None, description="Only eval cases of this category")
    limit: int | None = Field(
        None, description=f"At most so many of each kind; 0 is the default of {ASSEMBLED}, negative is no limit"
    )


@op(
    "O1",
    "lab-assemble",
    manages_store=True,
    keywords="cases examples pitfalls improve prompt dataset gather write file",
    example='--contract "commit messages"',
)
def lab_assemble(wanted: CaseSetInput, store: Store) -> Result:
    """Gather eval cases, LEARNED and active GOTCHAs into a Markdown case set; the newest replaces the one before."""
    from ..lab import caseset

    limit = _most(wanted.limit, ASSEMBLED)
    found = _read(store, lambda: caseset.gather(store, category=wanted.category, limit=limit))
    text = caseset.page(wanted.contract, found, category=wanted.category)
    path = store.plane.reports / f"lab-caseset-{_slug(wanted.contract)}.md"
    files.write_whole(path, text)
    counts = {
        "eval_cases": len(found.eval_cases),
        "exemplars": len(found.exemplars),
        "active_gotchas": len(found.gotchas),
    }
    return _answered(store, contract=wanted.contract, **counts, path=store.plane.relative(path), sha256=sha256(text))


@op(
    "O2",
    "lab-propose",
    writes=True,
    keywords="proposal improvement suggest candidate prompt",
    example='--contract "commit messages" --title "Name the why" --summary "Ask for the reason in the body." --metric accepted --baseline-score 0.6 --candidate-score 0.7',
)
def lab_propose(proposal: ImprovementProposal, store: Store) -> Result:
    """Record an improvement proposal."""
    case_scores(proposal.payload_json)
    return lifecycle.written(store.add(proposal))


class ContractInput(Input):
    """One contract."""

    scanned = False
    contract: Label = Field(missing=denial.ContractRequired, description="What is to be improved")


@op(
    "O3",
    "lab-report",
    manages_store=True,
    keywords="rank proposals compare paired bootstrap interval better write file",
    example='--contract "commit messages"',
)
def lab_report(wanted: ContractInput, store: Store) -> Result:
    """Rank a contract's open proposals by what their scores show, and write the ranking.

    Where a proposal's payload has scores by case, the verdict rests on the paired differences: their mean with a 95 %
    bootstrap interval, wins, losses and ties with an exact sign test. Shown to be better comes first, by the interval's
    lower bound; then the undecided, by candidate minus baseline; then shown to be worse; then what has no scores. A
    higher score is a better one.
    """
    from ..lab import ranking

    where = {"contract": wanted.contract}
    rows, total = _read(store, lambda: (ranking.proposals(store, wanted.contract), store.count("improvement_proposal", where)))
    order = ranking.ranked(rows)
    text = ranking.page(wanted.contract, order, total - len(rows))
    path = store.plane.reports / f"lab-report-{_slug(wanted.contract)}.md"
    files.write_whole(path, text)
    best = ranking.top(order)
    result = _answered(
        store,
        contract=wanted.contract,
        proposals=len(order),
        top_proposal=_id_of(best),
        promotion_path=ranking.promotion_path(wanted.contract, best),
        path=store.plane.relative(path),
        sha256=sha256(text),
        ranking=[entry.values() for entry in order],
    )
    result.view = lambda width: _ranking_page(result, width)
    return result


def _ranking_page(result: Result, width: int) -> str:
    """The ranking for a person: each proposal with its verdict and what that rests on, best first."""
    lines = []
    for place, entry in enumerate(result["ranking"], 1):
        lines += [f"{place}. {entry['title']}  ({entry['id']})"]
        said = [entry["verdict"]]
        paired = entry.get("paired")
        if entry["difference"] is not None:
            said.append(f"difference {entry['difference']:+.3g}")
        if paired:
            interval = " to ".join(f"{end:.3g}" for end in paired["interval_95"] if end is not None)
            said += [f"95 % {interval}"] if interval else []
            said.append(f"{many(paired['pairs'], 'case')}: {paired['wins']} won, {paired['losses']} lost, {paired['ties']} even")
        if entry["baseline_score"] is not None and entry["candidate_score"] is not None:
            said.append(f"{entry['baseline_score']:g} -> {entry['candidate_score']:g}")
        lines += textwrap.wrap("; ".join(said), width, initial_indent="   ", subsequent_indent="   ")
        lines += textwrap.wrap(entry.get("cases_unreadable") or "", width, initial_indent="   ", subsequent_indent="   ")
    lines += [""] if lines else []
    return "\n".join([*lines, *textwrap.wrap(result["promotion_path"], width), "", result["path"]])


def _id_of(entry: "Ranked | None") -> str | None:
    return entry.proposal["id"] if entry else None


# --- judging --------------------------------------------------------------------------------------


class Evaluation(Input):
    """Whose proposals are judged, and by which cases."""

    redaction = denial.TraceRedaction
    refuses_personal = True

    contract: Label | None = Field(None, description="What is to be improved  [required]")
    category: Category | None = Field(None, description="Only eval cases of this category")
    limit: int | None = Field(None, description=f"At most so many cases; 0 is the default of {JUDGED}, negative is no limit")
    metric: Label | None = Field(None, description="Name of the score; default: the proposal's metric, or judge")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    trace_id: RawText | None = Field(None, description="The trace it belongs to")


@op(
    "O4",
    "lab-evaluate",
    writes=True,
    manages_store=True,
    keywords="judge model proposals score cases advisory",
    example='--contract "commit messages" --limit 5',
)
def lab_evaluate(wanted: Evaluation, store: Store) -> Result:
    """Let the text model judge a contract's open proposals by the open eval cases: advice, never an acceptance.

    Each judgement is recorded as it comes, as a trace event with its score; then the proposal gets the mean as its
    candidate score, and the score of each case, which O3 compares with the baseline's where it has them. Prompts and
    answers are kept as hashes alone.
    """
    from .. import backends
    from ..lab import caseset, ranking
    from ..lab.judging import Judging

    contract = wanted.contract or ""
    given: dict[str, list[Any]] = {}

    def prepare() -> Result:
        store.refuse_early()
        if wanted.task_id is not None:
            store.check_link(wanted.task_id, "task", "task_id")
        given["cases"] = caseset.eval_cases(store, category=wanted.category, limit=_most(wanted.limit, JUDGED))
        given["proposals"] = ranking.proposals(store, contract)
        return Result()

    first = store.perform(store.call, prepare)
    if first.get("replayed"):
        return first
    model = backends.opened("text")
    if not contract:
        raise denial.ContractRequired(field="contract")
    if not given["cases"]:
        raise denial.NoEvalCases()
    # The key belongs to the unit that holds the whole answer; the units before it have none.
    call = store.call
    keyless = dataclasses.replace(call, key=None)
    judging = Judging(store, model, keyless, metric=wanted.metric, task_id=wanted.task_id, trace_id=wanted.trace_id)
    told: list[dict[str, Any]] = []
    result = _judged(contract, given["cases"], told)
    for number, proposal in enumerate(given["proposals"], 1):
        close = judging.judged(proposal, given["cases"])
        is_last = number == len(given["proposals"])

        def work(close: Callable[[], dict[str, Any]] = close) -> Result:
            told.append(close())
            store.warnings.extend(judging.warnings)
            return _judged(contract, given["cases"], told)

        result = store.perform(call if is_last else keyless, work)
    if judging.refusal is not None and not any(entry["cases"] for entry in told):
        raise judging.refusal
    return result


def _judged(contract: str, cases: list[Any], told: list[dict[str, Any]]) -> Result:
    return Result(
        advisory=True,
        contract=contract,
        evaluated=len(told),
        cases=len(cases),
        proposals=list(told),
        note="A model's opinion: it accepts and applies nothing. O3 ranks the proposals; a person decides.",
    )


# --- duplicates -----------------------------------------------------------------------------------


class Duplicates(Input):
    """Which records are compared, and how alike they have to be."""

    kind: RawText = Field("gotcha", description="gotcha, learned, learning or evidence")
    limit: int | None = Field(
        None, description=f"At most so many records, the newest; 0 is the default of {COMPARED}, negative is no limit"
    )
    threshold: Annotated[float, Range(0.0001, 1)] = Field(0.85, description="The least similarity, above 0 and up to 1")
    task_id: TaskRef | None = Field(None, description="Only records of this task")


@op(
    "O5",
    "lab-dedup",
    writes=True,
    manages_store=True,
    keywords="duplicates similar cluster near same triage merge write file",
    example="--kind gotcha --threshold 0.8",
)
def lab_dedup(wanted: Duplicates, store: Store) -> Result:
    """Group records that say nearly the same, for a person to look through; nothing is merged.

    Compared are vectors where an embedding backend is configured (of evidence, where its vectors are there), else the
    words and pairs of neighbouring words, which finds the same text in slightly other words, not the same thought.
    """
    from ..lab import duplicates

    if wanted.kind not in duplicates.KINDS:
        raise denial.DedupKind(field="kind", value=wanted.kind, allowed=list(duplicates.KINDS))
    found: list[Candidate] = []

    def prepare() -> Result:
        store.refuse_early()
        if wanted.task_id is not None:
            store.check_link(wanted.task_id, "task", "task_id")
        found.extend(duplicates.candidates(store, wanted.kind, task_id=wanted.task_id, limit=_most(wanted.limit, COMPARED)))
        return Result()

    first = store.perform(store.call, prepare)
    if first.get("replayed"):
        return first
    # The key belongs to the unit that holds the answer, not to that which notes the use of a model.
    call, store.call = store.call, dataclasses.replace(store.call, key=None)
    alike = duplicates.likeness(store, wanted.kind, found, wanted.threshold, task_id=wanted.task_id)
    clusters = duplicates.clusters(found, alike.pairs)
    text = _read(store, lambda: _dedup_page(wanted, store, found, clusters, alike.source))
    path = files.reserve(store.plane.reports, f"dedup-{wanted.kind}", ".md")
    try:
        files.write_whole(path, text)
        result = store.perform(call, lambda: _dedup_recorded(wanted, store, found, clusters, alike, path, text))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if result.get("replayed"):
        path.unlink(missing_ok=True)
    return result


DEDUP_COLUMNS = ("id", "title", "size", "similarity", "least_similarity", "records")


def _dedup_page(wanted: Duplicates, store: Store, found: "list[Candidate]", clusters: "list[Cluster]", source: str) -> str:
    """The clusters as Markdown, each with its records."""
    from ..reports import markdown
    from ..reports.document import Document

    rows = [
        {
            "id": cluster.members[0].id,
            "title": cluster.members[0].title,
            "size": len(cluster.members),
            "similarity": round(cluster.most, 4),
            "least_similarity": round(cluster.least, 4),
            "records": [{"id": member.id, "title": member.title} for member in cluster.members],
        }
        for cluster in clusters
    ]
    seq, chain_hash = store.head()
    document = Document(
        report="dedup",
        title=f"Near-duplicates: {wanted.kind}",
        columns=DEDUP_COLUMNS,
        table=DEDUP_COLUMNS,
        rows=rows,
        notes=[
            "Each row is a group of records that similar pairs link together, shown by its newest; the similarities are those"
            " of the pairs. Nothing is merged: close what repeats another, with its reason."
        ],
        facts={
            "generated_at": clock.now(seq + 1),
            "ledger": {"seq": seq, "chain_hash": chain_hash},
            "compared": {"records": len(found), "by": source, "threshold": wanted.threshold},
        },
        matching=len(rows),
        command=f"python kaizen.py O5 --kind={wanted.kind} --threshold={wanted.threshold:g} --limit=-1",
    )
    return markdown.page(document)


def _dedup_recorded(
    wanted: Duplicates,
    store: Store,
    found: "list[Candidate]",
    clusters: "list[Cluster]",
    alike: "Likeness",
    path: Path,
    text: str,
) -> Result:
    """Record the report, and answer."""
    from .reports import Report

    filters = {"kind": wanted.kind, "threshold": wanted.threshold, "records": len(found), "source": alike.source}
    report: dict[str, Any] = {
        "title": f"Near-duplicates: {wanted.kind}",
        "report_type": "dedup",
        "path": store.plane.relative(path),
        "format": "md",
        "sha256": sha256(text),
        "rows": len(clusters),
        "columns_json": canonical(list(DEDUP_COLUMNS)),
        "task_id": wanted.task_id,
        "filters_json": canonical(filters),
    }
    row = store.add(Report(status="recorded", **report))
    note = "For a person to look through: nothing was merged or closed."
    result = Result(
        id=row["id"],
        kind=wanted.kind,
        records=len(found),
        clusters=len(clusters),
        source=alike.source,
        path=row["path"],
        sha256=row["sha256"],
        top_clusters=[cluster.values() for cluster in clusters[:SHOWN_CLUSTERS]],
        note=f"{alike.note} {note}" if alike.note else note,
    )
    result.view = lambda width: _dedup_view(result)
    return result


def _dedup_view(result: Result) -> str:
    """The answer for a person: the groups, each with its records."""
    lines = [
        f"O5 lab-dedup: recorded {result['id']}",
        f"{result['path']}: {many(result['clusters'], 'group')} among {many(result['records'], 'record')} ({result['kind']}, {result['source']})",
    ]
    for cluster in result["top_clusters"]:
        lines.append(f"\n{cluster['size']} alike, {cluster['least_similarity']:.2f} to {cluster['similarity']:.2f}")
        lines += [f"  {record_id}  {title}" for record_id, title in zip(cluster["ids"], cluster["titles"], strict=True)]
    return "\n".join([*lines, "", result["note"]])


# --- the proposals --------------------------------------------------------------------------------


@op(
    "O6",
    "proposal-list",
    input=listing(ImprovementProposal, query=False, filters=("contract", "metric")),
    keywords="proposals improvements show search find",
    example='--contract "commit messages"',
)
def proposal_list(window: Listing, store: Store) -> Result:
    """List improvement proposals, newest first, or those that --query finds."""
    return lifecycle.queried(ImprovementProposal, LISTED, window, store)


@op("O7", "proposal-inspect", keywords="proposal improvement show read", example=EXAMPLE)
def proposal_inspect(target: Target, store: Store) -> Result:
    """Show one improvement proposal in full."""
    return lifecycle.inspected(ImprovementProposal, target, store)


@op(
    "O8",
    "proposal-update",
    writes=True,
    input=revision(ImprovementProposal),
    keywords="proposal improvement revise accept reject",
    example=f"{EXAMPLE} --status accepted",
)
def proposal_update(change: Input, store: Store) -> Result:
    """Revise an improvement proposal: its texts, scores or status."""
    case_scores(getattr(change, "payload_json", None))
    return lifecycle.revised(ImprovementProposal, change, store)


@op(
    "O9",
    "proposal-retire",
    writes=True,
    keywords="proposal improvement withdraw",
    example=f'{EXAMPLE} --reason "The metric was wrong."',
)
def proposal_retire(retirement: Retirement, store: Store) -> Result:
    """Retire an improvement proposal, with the reason."""
    return lifecycle.retired(("improvement_proposal",), retirement, store)


# --- shared ---------------------------------------------------------------------------------------


def _most(limit: int | None, default: int) -> int | None:
    """How many a --limit means; None is no limit."""
    most = limit or default
    return None if most < 0 else most


def _read(store: Store, work: Callable[[], Any]) -> Any:
    """Read something, and let the plane go before the work on it begins."""
    try:
        return work()
    finally:
        store.close()


def _answered(store: Store, **values: Any) -> Result:
    """The answer of a read that wrote a file, with what there is to warn of."""

    def answer() -> Result:
        store.warn_of_drift()
        return Result(**values)

    return store.perform(store.call, answer)


def _slug(contract: str) -> str:
    """A contract as part of a file name; with a piece of its hash where others would give the same."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", contract.lower()).strip("-.")[:60]
    return slug if slug == contract else f"{slug}-{sha256(contract)[:8]}".strip("-")
