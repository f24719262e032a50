"""Schedule: when agents are due, what they need then, and units for the host that runs them."""

import json
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

from .. import clock, denial, paths
from ..fields import Bytes, Range, RepoPath, Vocabulary
from ..metrics import schedule
from ..op import Result, op
from ..record import Field, Input
from ..store import Store, files
from .lifecycle import Since

Runs = Annotated[int, Range(1, 100)]
ACTIONS = ("init", "validate", "list", "prepare", "print")


class ScheduleCall(Input):
    """The schedule, and what to do with it."""

    action: Annotated[str, Vocabulary(*ACTIONS)] = Field(missing=denial.ActionRequired, description="What to do")
    at: Since | None = Field(None, description="The time that counts as now; list, prepare, print")
    agent: Annotated[str, Bytes(200)] | None = Field(
        None, description="This agent alone; prepare takes it whether it is due or not"
    )
    runs: Runs = Field(3, description="So many next runs of each agent; list")
    scheduler: Annotated[str, Vocabulary("systemd", "crontab", "github")] = Field(
        "systemd", description="For which scheduler; print"
    )
    out: RepoPath | None = Field(None, description="A folder in the project for the files, instead of standard output; print")


@op(
    "P11",
    "schedule",
    keywords="schedule cron cadence daily weekly monthly timer systemd crontab github workflow prepare bundle due agents",
    example="--action init",
)
def schedule_(given: ScheduleCall, store: Store) -> Result:
    """Say when agents are due, and prepare what they need: init, validate, list, prepare or print .kaizen/schedule.yml.

    init writes it, with every agent that has records; one that is there is never written over. validate names each fault with
    its line and place. list shows the next runs; daylight saving is heeded. prepare writes .kaizen/bundles/DAY-HASH for the
    agents that are due on that day: memory brief, summary, recommendations and commands of each, and a manifest with SHA-256.
    print gives units for systemd, a crontab or a GitHub workflow. Kaizen itself runs no schedule.
    """
    actions = {"init": _init, "validate": _validate, "list": _list, "prepare": _prepare, "print": _print}
    return actions[given.action](given, store)


def _init(given: ScheduleCall, store: Store) -> Result:
    agents = {row["agent"] for row in store.totals("agent_execution", (), by="agent")}
    agents |= {row["agent"] for row in store.totals("agent_memory", (), by="agent")}
    path = store.plane.root / schedule.PLACE
    store.release()
    if path.exists() or path.is_symlink():
        raise denial.ScheduleExists(path=schedule.PLACE.as_posix())
    if not path.parent.resolve().is_relative_to(store.plane.root):
        raise denial.PathOutsideRepo(path=schedule.PLACE.as_posix(), root=str(store.plane.root))
    files.write_whole(path, schedule.first(sorted(agents)))
    return Result(action="init", path=schedule.PLACE.as_posix(), agents=sorted(agents))


def _validate(given: ScheduleCall, store: Store) -> Result:
    plan, found = schedule.read(schedule.text_of(store.plane.root))
    faults = [fault.shown() for fault in found.faults]
    agents = len(plan.entries) if plan else None
    return Result(finding=bool(faults), action="validate", path=schedule.PLACE.as_posix(), agents=agents, faults=faults)


def _list(given: ScheduleCall, store: Store) -> Result:
    plan, at = schedule.load(store.plane.root), _at(given)
    shown = []
    for entry in _entries(plan, given.agent):
        runs = list(islice(schedule.runs(entry.cron, at, plan.zone), given.runs)) if entry.enabled else []
        last = schedule.last(entry.cron, at, plan.zone) if entry.enabled else None
        shown.append(
            {
                "agent": entry.agent,
                "cadence": entry.cadence,
                "cron": entry.cron,
                "enabled": entry.enabled,
                "last": last.isoformat() if last else None,
                "next": [run.isoformat() for run in runs],
            }
        )
    return Result(action="list", at=clock.iso(at), timezone=plan.timezone, records=shown, count=len(shown))


def _prepare(given: ScheduleCall, store: Store) -> Result:
    from ..metrics import bundle

    plan, at = schedule.load(store.plane.root), _at(given)
    day = bundle.day_of(plan, at)
    due = [(entry, bundle.due_on(plan, entry, day)) for entry in _entries(plan, given.agent)]
    due = [(entry, times) for entry, times in due if given.agent or (times and entry.enabled)]
    head: dict[str, Any] = {"action": "prepare", "day": day.isoformat(), "timezone": plan.timezone}
    if not due:
        return Result(**head, agents=[], message="No agent is due on this day; P11 --action list shows when.")
    texts = bundle.contents([(entry, times, _parts(entry.agent, store)) for entry, times in due], plan, day)
    store.release()
    path, already = bundle.write(store.plane, day, texts)
    more = {"already": True} if already else {}
    return Result(**head, agents=[entry.agent for entry, _ in due], path=path, files=sorted(texts), **more)


def _parts(agent: str, store: Store) -> dict[str, str]:
    """What the plane says of an agent, as the files of a bundle."""
    from ..metrics import summary
    from ..redaction import mask
    from .memory import OfAgent, memory_brief

    try:
        brief = memory_brief(OfAgent(agent=agent), store)["text"]
    except denial.AgentUnknown:
        brief = f"# {agent}\n\nNothing is recorded of this agent yet.\n"
    brief, hidden = mask(brief)
    if hidden:
        store.warnings.append(f"Secrets in the memory of {agent} are masked in the bundle.")
    columns = ("id", "rank", "category", "text", "evidence_json", "analysis_id")
    rows = store.list(
        "recommendation", {"agent": agent, "status": "open"}, order="analysis_id DESC, rank, created_seq", columns=columns
    )
    lines = [json.dumps({**row, "evidence": json.loads(row.pop("evidence_json"))}, ensure_ascii=False) for row in rows]
    return {
        "brief.md": brief,
        "summary.json": json.dumps(summary.of_agent(store, agent), indent=2) + "\n",
        "recommendations.jsonl": "".join(f"{line}\n" for line in lines),
    }


def _print(given: ScheduleCall, store: Store) -> Result:
    from ..metrics import units

    made = units.made(given.scheduler, schedule.load(store.plane.root), store.plane, _at(given))
    head: dict[str, Any] = {"action": "print", "scheduler": given.scheduler}
    if given.out is not None:
        folder, _ = paths.inside(store.plane, given.out)
        written = [folder / unit.name for unit in made]
        for path, unit in zip(written, made, strict=True):
            if path.exists() and path.read_text(encoding="utf-8", errors="replace") != unit.text:
                raise denial.FileUnwritable(
                    "Name another folder, or take the file away.",
                    path=store.plane.relative(path),
                    reason="another is there already",
                )
        for path, unit in zip(written, made, strict=True):
            files.write_whole(path, unit.text)
        return Result(**head, files=[store.plane.relative(path) for path in written])
    result = Result(**head, units=[{"name": unit.name, "place": unit.place, "text": unit.text} for unit in made])
    result.plain = units.shown(made)
    return result


def _entries(plan: schedule.Schedule, agent: str | None) -> list[schedule.Entry]:
    """The agents of a schedule, or one of them."""
    found = [entry for entry in plan.entries if agent in (None, entry.agent)]
    if agent is not None and not found:
        raise denial.AgentUnknown(
            f"Put it into {schedule.PLACE.as_posix()}.", message="The schedule does not have this agent.", agent=agent
        )
    return found


def _at(given: ScheduleCall) -> datetime:
    return datetime.fromisoformat(given.at) if given.at else clock.moment()
