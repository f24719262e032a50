"""Analysis: what changed in how well agents work, and what to do about it."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Any

from .. import denial
from ..fields import RawText, RepoPath, Vocabulary
from ..metrics import naming
from ..metrics.records import RECOMMENDATION_STATUSES, AgentName, Recommendation
from ..op import Result, op
from ..output import many
from ..record import Field, Input
from ..store import Row, Store
from .lifecycle import listing, revised

if TYPE_CHECKING:
    from ..metrics.optimizing import Analysed

Page = Annotated[str, Vocabulary("html")]
LISTED = (
    *("id", "agent", "rank", "category", "text", "status", "analysis_id", "fingerprint", "created_at"),
    "evidence_json",
)


class MetricsOptimize(Input):
    """Which agents are analysed, and whether a page is written."""

    agent: AgentName | None = Field(None, description="Name of the agent; default: all of them")
    format: Page | None = Field(None, description="html: write a page with charts as well")
    out: RepoPath | None = Field(None, description="A new file in the project for that page; default: below the reports")


class RecommendationChange(Input):
    """A recommendation, and what became of it."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the recommendation")
    status: Annotated[str, Vocabulary(*RECOMMENDATION_STATUSES)] = Field(description="Where it stands now")


class RecommendationWindow(listing(Recommendation, filters=("agent", "category", "analysis_id"))):
    """Recommendations, by agent, by what they are about, by analysis, and by where they stand."""


@op(
    "P5",
    "metrics-optimize",
    writes=True,
    manages_store=True,
    keywords="agent analyse analysis change regression drop fall trend recommendations improve statistics changepoint correlate",
    example="--agent code-reviewer",
)
def metrics_optimize(wanted: MetricsOptimize, store: Store) -> Result:
    """Analyse executions: what changed of late, how sure that is, what goes along with it, and what to look at.

    Of each agent the newest records are set against those before them. With fewer than 10 records it says `insufficient`. All that is
    asked of an agent shares one rate of false alarms, 5 %. The same records give the same analysis, which is written once.
    """
    from ..metrics import optimizing
    from ..store import blobs

    if wanted.agent is not None:
        naming.checked(wanted.agent)
    if wanted.format or wanted.out:
        from ..reports import page

        page.refuse(wanted.format, wanted.out)
    imported = _take_in(store, wanted.agent)
    held = optimizing.history(store, wanted.agent)
    if wanted.agent is not None and not held:
        from .metrics import refuse_unknown

        refuse_unknown(store, wanted.agent)
    store.release()
    made = optimizing.analysed(held, wanted.agent)
    more = imported | (_page(made, wanted, store) if wanted.format else {})
    blob = blobs.stage(store.plane, made.content)

    def work() -> Result:
        before = optimizing.known(store, made)
        store.later(optimizing.project, made)
        if before is not None:
            return Result(id=before["id"], unchanged=True, **_answer(made), added=0, superseded=0, **more)
        row, added, superseded = optimizing.write(store, made, blob)
        return Result(
            id=row["id"],
            revision_id=row["current_revision_id"],
            content_hash=row["content_hash"],
            unchanged=False,
            **_answer(made),
            added=len(added),
            superseded=superseded,
            **more,
        )

    try:
        result = store.perform(store.call, work)
    except BaseException:
        _drop(more, store)
        raise
    finally:
        blob.drop()
    if result.get("replayed"):
        _drop(more, store)
    result.view = lambda width: _text(result)
    return result


def _take_in(store: Store, agent: str | None) -> dict[str, Any]:
    """Take in what others appended to the files of agents since Kaizen wrote to them; what the answer says of that."""
    from ..metrics import projection
    from .metrics import take_in

    call, imported = store.call, 0
    found = sorted(path.parent.name for path in naming.metrics(store.plane.root).glob("*/executions.jsonl"))
    for name in found if agent is None else [agent]:
        if naming.is_name(name) and projection.foreign(store.plane, name):
            unit = store.perform(dataclasses.replace(call, key=None), lambda name=name: Result(**take_in(store, name)))
            imported += unit.get("imported", 0)
    store.call = call
    return {"imported": imported} if imported else {}


def _answer(made: "Analysed") -> dict[str, Any]:
    """What an answer says of an analysis: a line an agent, and the recommendations without their records' ids."""
    told = made.told
    return {
        "fingerprint": told["fingerprint"],
        "executions": told["executions"],
        "agents": [_brief(name, one) for name, one in told["agents"].items()],
        "recommendations": [
            {name: one[name] for name in ("rank", "agent", "category", "text", "fingerprint")} for one in told["recommendations"]
        ],
        "insufficient": told["insufficient"],
        "path": ".kaizen/metrics/optimizer/analysis.json",
    }


def _brief(name: str, told: dict[str, Any]) -> dict[str, Any]:
    said = {"agent": name, "executions": told["executions"], "verdict": told["verdict"]}
    if "metrics" not in told:
        return {**said, "needed": told["needed"]}
    return {**said, "metrics": {metric: value["verdict"] for metric, value in told["metrics"].items()}}


def _page(made: "Analysed", wanted: MetricsOptimize, store: Store) -> dict[str, Any]:
    from ..metrics import pages
    from ..reports import page

    return {"report": page.save(store.plane, "metrics-optimize", wanted.out, pages.of_analysis(made))}


def _drop(more: dict[str, Any], store: Store) -> None:
    """Remove a page that belongs to no answer."""
    if "report" in more:
        (store.plane.root / more["report"]["path"]).unlink(missing_ok=True)


def _text(result: Result) -> str:
    """The answer for a person."""
    lines = [f"{many(result['executions'], 'execution')} of {many(len(result['agents']), 'agent')}; {result['path']}"]
    if result["unchanged"]:
        lines.append("These records were analysed before; nothing is added.")
    for one in result["agents"]:
        if one["verdict"] == "insufficient":
            lines.append(f"  {one['agent']}: insufficient, {one['executions']} of at least {one['needed']} records")
        else:
            changed = ", ".join(f"{name} {verdict}" for name, verdict in one["metrics"].items() if verdict in ("fell", "rose"))
            lines.append(f"  {one['agent']}: {changed or one['verdict']}")
    lines += [f"{one['rank']}. [{one['category']}] {one['text']}" for one in result["recommendations"]]
    if "report" in result:
        lines.append(f"report: {result['report']['path']}")
    return "\n".join(lines)


@op(
    "P21",
    "recommendation-list",
    keywords="recommendations metrics optimize analysis advice open evidence",
    example="--status open",
)
def recommendation_list(window: RecommendationWindow, store: Store) -> Result:
    """List what analyses recommended, the newest analysis first, each with its evidence and where it stands.

    Of the records that one rests on it gives the number; K18 --id ID shows the recommendation with all their ids.
    """
    limit, offset = window.window()
    rows = store.list(
        "recommendation", window.where(), order="created_seq DESC", limit=limit, offset=offset, columns=(*LISTED, "created_seq")
    )
    first: dict[str, int] = {}
    for row in rows:
        first[row["analysis_id"]] = row["created_seq"]
    rows.sort(key=lambda row: (-first[row["analysis_id"]], row["rank"]))
    shown = [_shown(row) for row in rows]
    result = Result(records=shown, count=len(shown))
    result.view = lambda width: "\n".join(_line(one) for one in shown) or "No recommendations; P5 analyses what is recorded."
    return result


def _shown(row: Row) -> dict[str, Any]:
    said = {name: row[name] for name in LISTED if name != "evidence_json"}
    evidence = json.loads(row["evidence_json"])
    evidence["records"] = {role: len(ids) for role, ids in evidence["records"].items()}
    return {**said, "evidence": evidence}


def _line(shown: dict[str, Any]) -> str:
    return f"{shown['id']}  {shown['status']}  {shown['rank']}. [{shown['category']}] {shown['text']}"


@op(
    "P22",
    "recommendation-update",
    writes=True,
    keywords="recommendation accept reject done decide metrics",
    example="--id rec_20260101000000_0123456789 --status accepted",
)
def recommendation_update(change: RecommendationChange, store: Store) -> Result:
    """Say what became of a recommendation."""
    return revised(Recommendation, change, store, state=change.status)
