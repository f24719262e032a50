"""Metrics: executions of agents and what they add up to."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from .. import denial
from ..fields import Count, JsonObject, Positive, RawText, RepoPath, TaskRef, Vocabulary, parse_json
from ..metrics import entry, executions, naming, projection, records, summary
from ..metrics.records import AgentName, Share
from ..op import Result, op
from ..record import Field, Input
from ..store import Store
from . import lifecycle
from .lifecycle import Since

SHOWN = 10
# Flag -> field, where they differ.
_FLAGS = {
    "time": "execution_time_s",
    "quality": "quality_score",
    "primary_metric_json": "primary_metric",
    "metadata_json": "metadata",
}
_SUMMARIES = ("agent", "executions", "success", "trend", "quality", "trend", "time", "last")
_NEWEST = ("when", "outcome", "time", "quality", "metric", "id")


class MetricsRecord(Input):
    """One execution: as flags, as a JSON payload, and from the environment."""

    agent: AgentName | None = Field(None, description="Name of the agent; the payload may say it")
    success: bool = Field(False, description="It succeeded")
    failure: bool = Field(False, description="It failed")
    time: Positive | None = Field(None, description="How long it took, in seconds")
    quality: Share | None = Field(None, description="How good it was, 0 to 1")
    primary_metric_json: JsonObject | None = Field(
        None, description='JSON object: {"name": "coverage", "value": 0.8, "target": 0.9}'
    )
    metadata_json: JsonObject | None = Field(None, description="JSON object with whatever else")
    timestamp: RawText | None = Field(None, description="When, as an ISO 8601 time; default: now")
    session_id: RawText | None = Field(None, description="The agent's own session")
    helix_session_uid: RawText | None = Field(None, description="The session in the fleet; default HELIX_SESSION_UID")
    repo: RawText | None = Field(None, description="The repository; default HELIX_REPO")
    flavor: RawText | None = Field(None, description="Which variant of the agent; default HELIX_FLAVOR")
    tokens: Count | None = Field(None, description="Tokens used; default HELIX_TOKENS")
    infra_overhead_share: Share | None = Field(
        None, description="Share of the work that went into infrastructure, 0 to 1; default HELIX_INFRA_OVERHEAD_SHARE"
    )
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    payload_json: JsonObject | None = Field(
        None, file=True, file_wins=True, description="JSON object with the whole execution, as a line of executions.jsonl has it"
    )
    emit_event: bool = Field(False, description="Put the event into the outbox, as happens without this flag too")
    no_event: bool = Field(False, description="Put no event kaizen.metrics.recorded into the outbox")


class MetricsShow(Input):
    """One agent, and how much of it is shown."""

    scanned = False
    agent: AgentName = Field(description="Name of the agent")
    limit: int | None = Field(
        None, description=f"So many of the newest executions; 0 is the default of {SHOWN}, negative is no limit"
    )
    since: Since | None = Field(None, description="Only executions at or after this time")
    format: Annotated[str, Vocabulary("html")] | None = Field(
        None, description="html: write a page with charts of the history too"
    )
    out: RepoPath | None = Field(None, description="A new file in the project for that page; default: below the reports")


class MetricsExport(Input):
    """Which executions are exported, and how."""

    scanned = False
    agent: AgentName | None = Field(None, description="Name of the agent; default: all of them")
    format: Annotated[str, Vocabulary("jsonl", "csv")] = Field("jsonl", description="How it is written")
    since: Since | None = Field(None, description="Only executions at or after this time")
    out: RepoPath | None = Field(None, description="A new file in the project; default: standard output")


class MetricsImport(Input):
    """Where others wrote metrics, and of which agent."""

    agent: AgentName | None = Field(None, description="Name of the agent; default: all of them")
    path: RepoPath = Field(".kaizen", description="The .kaizen folder, or the project that has one")


@op(
    "P1",
    "metrics-record",
    writes=True,
    keywords="agent execution success failure quality time duration performance measure log",
    example="--agent code-reviewer --success --time 42 --quality 0.9",
)
def metrics_record(given: MetricsRecord, store: Store) -> Result:
    """Record one execution of an agent, once.

    A flag wins over the payload, both over the environment (HELIX_SESSION_UID, HELIX_REPO, HELIX_FLAVOR, HELIX_TOKENS,
    HELIX_INFRA_OVERHEAD_SHARE). The same execution again writes nothing and says `duplicate`. The files below .kaizen/metrics and the
    event follow after the commit.
    """
    if given.emit_event and given.no_event:
        raise denial.FlagConflict(
            "Pass one of the two.", message="--emit-event and --no-event say opposite things.", flag="--no-event"
        )
    values, from_json = _values(given)
    position = store.head()[0] + 1
    execution = entry.execution(values, from_json=from_json, position=position)
    taken = take_in(store, execution.agent)
    known = store.list("agent_execution", {"fingerprint": execution.fingerprint}, limit=1)
    if known:
        numbers = summary.of_agent(store, execution.agent)
        return _recorded(known[0], numbers, already=True, duplicate=True, **taken)
    row = store.add(execution)
    numbers = summary.of_agent(store, execution.agent)
    store.later(projection.follow, (row, numbers))
    if not given.no_event:
        _announce(store, row, numbers)
    return _recorded(row, numbers, duplicate=False, **taken)


def _recorded(row: dict[str, Any], numbers: dict[str, Any], **more: Any) -> Result:
    """The answer of P1: the record's receipt, and the agent's summary with it."""
    result = lifecycle.written(row, agent=row["agent"], summary=numbers, **more)
    done = "was recorded before as" if result["duplicate"] else "recorded as"
    result.view = lambda width: "\n".join([f"{row['agent']}: {done} {row['id']}", *_lines(numbers)])
    return result


def _lines(numbers: dict[str, Any]) -> list[str]:
    return [f"  {phrase}" for phrase in summary.words(numbers)]


def _values(given: MetricsRecord) -> tuple[dict[str, Any], bool]:
    """What is said of an execution, by field, and whether some of it came as JSON."""
    if given.success and given.failure:
        raise denial.FlagConflict("Pass one of the two.", message="It succeeded or it failed.", flag="--failure")
    payload = parse_json(given.payload_json, "payload_json") if given.payload_json else {}
    unknown = [name for name in payload if name not in executions.FIELDS]
    if unknown:
        raise denial.SchemaUnknownFields(
            "Put what has no field of its own into metadata.", fields=unknown, allowed=list(executions.FIELDS)
        )
    flags = {_FLAGS.get(spec.key, spec.key): getattr(given, spec.name) for spec in given.specs if spec.key not in _STEERING}
    outcome = {"success": given.success} if given.success or given.failure else {}
    said = {**{name: value for name, value in payload.items() if value is not None}, **outcome}
    values = {**entry.from_environment(), **said, **{name: value for name, value in flags.items() if value is not None}}
    if "agent" not in values:
        raise denial.SchemaRequired("Pass --agent.", field="agent", fields=["agent"])
    if "success" not in values:
        raise denial.OutcomeRequired(field="success", fields=["success", "failure"])
    if "primary_metric" in values:
        entry.refuse_metric(values["primary_metric"])
    return values, bool(payload)


_STEERING = ("success", "failure", "payload_json", "emit_event", "no_event")


def take_in(store: Store, agent: str) -> dict[str, Any]:
    """Take in what others appended to the agent's file since Kaizen wrote to it; what the answer says of that."""
    naming.checked(agent)
    if not projection.foreign(store.plane, agent):
        return {}
    from ..metrics import importing

    try:
        taken = importing.take_file(store, agent)
    except (OSError, denial.FileUnwritable) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault.detail["reason"]
        where = store.plane.relative(naming.executions(store.plane.root, agent))
        store.warnings.append(f"What stands in {where} was not taken in: {reason}.")
        return {}
    for name in dict.fromkeys([agent, *taken.agents]):
        store.later(projection.renew, name)
    if taken.problem_count:
        store.warnings.append(f"{taken.problem_count} lines of {agent}'s executions.jsonl are no executions; P16 names them.")
    return {"imported": taken.imported} if taken.imported else {}


def _announce(store: Store, row: dict[str, Any], numbers: dict[str, Any]) -> None:
    from ..metrics import events

    shown = {
        "success_rate": numbers["success_rate"],
        "execution_count": numbers["execution_count"],
        "avg_quality": numbers["avg_quality_score"],
    }
    events.put(store, events.RECORDED, row["agent"], {"summary": shown}, row["id"])
    if is_awaited(store):
        store.later(deliver, row["id"])


def is_awaited(store: Store) -> bool:
    """Whether anybody is to be told of events: asked here, it spares most calls to import what delivers."""
    if os.environ.get("NATS_URL", "").strip():
        return True
    return bool(store.list("event_receiver", {"status": "active"}, limit=1, columns=("id",)))


def deliver(store: Store, items: list[Any]) -> None:
    """Deliver the events that wait; what does not get through is a warning and stays in the outbox."""
    from ..metrics import delivery

    for report in delivery.deliver(store):
        if report["error"]:
            store.warnings.append(
                f"The receiver {report['receiver']} did not take the event yet ({report['error']}); P18 tries again."
            )


@op(
    "P2",
    "metrics-show",
    keywords="agent executions summary trend success quality newest",
    example="--agent code-reviewer --limit 5",
)
def metrics_show(wanted: MetricsShow, store: Store) -> Result:
    """Show an agent's summary and its newest executions."""
    if wanted.format or wanted.out:
        from ..reports import page

        page.refuse(wanted.format, wanted.out)
    agent = naming.checked(wanted.agent)
    warn_of_foreign(store, agent)
    numbers = summary.of_agent(store, agent)
    if not numbers["execution_count"]:
        refuse_unknown(store, agent)
    limit = wanted.limit or SHOWN
    where: dict[str, Any] = {"agent": agent} | ({"timestamp": (">=", _second(wanted.since))} if wanted.since else {})
    rows = store.list("agent_execution", where, order="timestamp DESC, created_seq DESC", limit=limit)
    newest = [{"id": row["id"], **executions.line(row)} for row in rows]
    page = _page(store, wanted, numbers) if wanted.format else {}
    result = Result(agent=agent, summary=numbers, records=newest, count=len(newest), **page)
    lines = [agent, *_lines(numbers), *(["", *table(_NEWEST, map(_row, newest))] if newest else [])]
    result.view = lambda width: "\n".join([*lines, *([f"Report: {page['report']['path']}"] if page else [])])
    return result


def _page(store: Store, wanted: MetricsShow, numbers: dict[str, Any]) -> dict[str, Any]:
    """Write the page of an agent; the plane is let go before it is drawn."""
    from ..metrics import pages
    from ..reports import page

    held = executions.history(store, wanted.agent, _second(wanted.since) if wanted.since else None)
    store.release()
    return {"report": page.save(store.plane, "metrics-show", wanted.out, pages.of_agent(wanted.agent, numbers, held))}


def _row(execution: dict[str, Any]) -> list[str]:
    """An execution for a person."""
    seconds, quality = execution.get("execution_time_s"), execution.get("quality_score")
    metric = execution.get("primary_metric") or {}
    return [
        execution["timestamp"],
        "success" if execution["success"] else "failure",
        "-" if seconds is None else f"{seconds:.4g} s",
        "-" if quality is None else f"{quality:.2f}",
        f"{metric['name']} {metric['value']}" if {"name", "value"} <= set(metric) else "-",
        execution["id"],
    ]


def warn_of_foreign(store: Store, agent: str | None = None) -> None:
    """Warn of executions that others wrote and that are not taken in yet."""
    found = [name for name in projection.foreign_agents(store.plane) if agent in (None, name)]
    if found:
        named = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        store.warnings.append(
            f"What others wrote of {named} is not taken in yet: P16 does that, and so does the next P1 of the agent."
        )


def refuse_unknown(store: Store, agent: str) -> None:
    """Refuse an agent of whom nothing is recorded, with the names that are near."""
    from difflib import get_close_matches

    from ..metrics import importing, memory

    if memory.current(store, agent) is not None:
        return
    near = get_close_matches(agent, importing.known(store), n=3, cutoff=0.6)
    if projection.foreign(store.plane, agent):
        raise denial.AgentUnknown("Take in what others wrote: P16.", agent=agent)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise denial.AgentUnknown(f"{hint}P3 lists the agents; P1 --agent NAME --success records an execution.", agent=agent)


def _second(since: str) -> str:
    """A time as executions have it: what is at or after the one is at or after the other."""
    at = entry.moment(since, "since")
    return entry.second(at) if not at.microsecond else entry.second(at.replace(microsecond=0)) + "~"


@op("P3", "metrics-list", keywords="agents summaries overview trend success quality")
def metrics_list(store: Store) -> Result:
    """List all agents with their summaries."""
    warn_of_foreign(store)
    agents = [{"agent": name, **numbers} for name, numbers in summary.of_all(store).items()]
    result = Result(records=agents, count=len(agents))
    nothing = "No executions are recorded; P1 --agent NAME --success records one."
    result.view = lambda width: "\n".join(table(_SUMMARIES, map(_cells, agents))) if agents else nothing
    return result


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows under their columns, for a person, a line each."""
    lines = [columns, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cells(numbers: dict[str, Any]) -> list[str]:
    quality, seconds = numbers["avg_quality_score"], numbers["avg_execution_time_s"]
    return [
        numbers["agent"],
        str(numbers["execution_count"]),
        f"{numbers['success_rate']:.0%}",
        numbers["trend"]["success_rate"],
        "-" if quality is None else f"{quality:.2f}",
        numbers["trend"]["quality_score"],
        "-" if seconds is None else f"{seconds:.4g} s",
        numbers["last_execution"],
    ]


@op(
    "P4",
    "metrics-export",
    keywords="executions jsonl csv spreadsheet dump save",
    example="--agent code-reviewer --format csv",
)
def metrics_export(wanted: MetricsExport, store: Store) -> Result:
    """Export executions, oldest first, as JSON lines or CSV: to a new file, or to standard output."""
    from ..metrics import exporting

    if wanted.agent is not None:
        naming.checked(wanted.agent)
    warn_of_foreign(store, wanted.agent)
    if wanted.agent is not None and not store.count("agent_execution", {"agent": wanted.agent}):
        refuse_unknown(store, wanted.agent)
    where: dict[str, Any] = {"agent": wanted.agent} if wanted.agent else {}
    where |= {"timestamp": (">=", _second(wanted.since))} if wanted.since else {}
    rows = store.list("agent_execution", where, order="timestamp, created_seq")
    content = exporting.WRITERS[wanted.format](rows)
    if wanted.out is None:
        result = Result(format=wanted.format, count=len(rows), content=content)
        result.plain = content
        return result
    return Result(format=wanted.format, count=len(rows), **exporting.save(store.plane, wanted.out, content))


@op(
    "P16",
    "metrics-import",
    writes=True,
    manages_store=True,
    keywords="kaizen-agentic executions jsonl memory take in migrate existing folder",
    example="--path .",
)
def metrics_import(wanted: MetricsImport, store: Store) -> Result:
    """Take in what others wrote below .kaizen: executions and memories, record by record, once.

    Lines that are no executions are named and stay where they are. What was taken in before is known again, so an import that was
    interrupted is started once more. Analyses, recommendations and schedules are not taken in.
    """
    from ..metrics import importing

    agent = naming.checked(wanted.agent) if wanted.agent else None
    path = Path(wanted.path).expanduser()
    path = path if path.is_absolute() else store.plane.root / path
    if not path.is_dir():
        raise denial.FileNotFound(
            "Pass the .kaizen folder, or the project that has one.", field="path", path=wanted.path, reason="it is no folder"
        )
    return importing.take_all(store, importing.folder(path.resolve(), wanted.path), agent)


__all__ = ["records"]
