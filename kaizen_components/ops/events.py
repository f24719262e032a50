"""Events: what goes out, to whom, how far it has got, and what it would set off."""

import dataclasses
import json
from datetime import datetime
from typing import Annotated, Any

from .. import clock, denial, paths
from ..fields import Count, Range, RawText, RepoPath, Vocabulary, Word
from ..metrics import activities, delivery, marked, receivers
from ..metrics.records import EventReceiver, OutboxEvent
from ..op import Result, op
from ..record import Field, Input
from ..store import Row, Store
from .lifecycle import Since, listing, written

Seconds = Annotated[float, Range(0.1, 86_400)]
LISTED = ("number", "id", "type", "agent", "record_id", "created_at", "is_test", "event_json")


class EventWindow(listing(OutboxEvent, filters=("type", "agent"))):
    """Which events are listed."""


class Delivery(Input):
    """Which receivers to deliver to, and how long to wait for them."""

    receiver: Word | None = Field(None, description="Only to the receiver of this name")
    timeout: Seconds = Field(delivery.TRY, description="Seconds that a receiver has for one try")


class ReceiverChange(Input):
    """A receiver of events, and what to do with it."""

    action: Annotated[str, Vocabulary("add", "list", "remove", "pause", "resume")] = Field(
        missing=denial.ActionRequired, description="What to do"
    )
    name: Word | None = Field(None, description="Name of the receiver; add, remove, pause, resume")
    transport: Annotated[str, Vocabulary(receivers.NATS, receivers.COMMAND, receivers.FILE)] | None = Field(
        None, description="How it is reached; add"
    )
    target: RawText | None = Field(
        None, description="Where it is: a NATS address or the word NATS_URL, a command line, a path; add"
    )
    after: Count | None = Field(
        None, description="Begin behind the event of this number, 0 with the first; add (default: with the next), resume"
    )


class Evaluation(Input):
    """Which activity definitions are looked at, and at what time."""

    action: Annotated[str, Vocabulary("validate", "evaluate")] = Field("evaluate", description="What to do")
    path: RepoPath | None = Field(
        None, description="Folder of the definitions in the project; default: .kaizen/activity-definitions, else those of Kaizen"
    )
    name: Word | None = Field(None, description="Only the definition of this id")
    at: Since | None = Field(None, description="The time that counts as now; evaluate")
    since: Since | None = Field(None, description="Every time and event after this one, up to --at; evaluate")


@op("P17", "event-list", keywords="events outbox receivers delivered nats", example="--limit 5")
def event_list(given: EventWindow, store: Store) -> Result:
    """Events in the outbox, newest first, and how far each receiver has got."""
    limit, offset = given.window()
    events = store.list(OutboxEvent.record_kind, given.where(), limit=limit, offset=offset, columns=LISTED)
    result = Result(records=events, count=len(events), receivers=_shown(store))
    result.view = lambda width: _view(result)
    return result


def _view(result: Result) -> str:
    """Events for a person, each with what it says below it; then the receivers."""
    lines = []
    for row in result["records"]:
        lines += [
            f"{row['number']}  {row['type']}  {row['id']}  record {row['record_id'] or '-'}",
            *_indented(json.loads(row["event_json"]), "  "),
        ]
    lines += [] if lines else ["No events."]
    for receiver in result["receivers"]:
        said = f"{receiver['status']}, up to {receiver['delivered']}, {receiver['waiting']} waiting"
        fault = f"; {receiver['last_error']}" if receiver["last_error"] else ""
        lines.append(f"Receiver {receiver['name']} ({receiver['transport']} {receiver['target']}): {said}{fault}")
    return "\n".join(lines if result["receivers"] else [*lines, "No receivers; P19 --action add adds one."])


def _indented(values: dict[str, Any], margin: str) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{margin}{name}:", *_indented(value, margin + "  ")]
        else:
            lines.append(f"{margin}{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return lines


@op(
    "P18",
    "event-deliver",
    writes=True,
    manages_store=True,
    keywords="events deliver outbox nats command file retry",
    example="--timeout 10",
)
def event_deliver(given: Delivery, store: Store) -> Result:
    """Deliver waiting events to their receivers: each in order, at least once.

    Commands that record deliver by themselves, for two seconds at most (KAIZEN_EVENT_TIMEOUT), and leave a receiver that
    failed alone for a while. This goes on until nothing waits, and tries those as well. A receiver that fails keeps its
    place; the others get theirs. Kaizen exits 1 where one failed.
    """
    reports = delivery.run(store, name=given.receiver, patience=given.timeout)
    failed = [report.receiver for report in reports if report.state == "failed"]
    interrupted = any(report.state == "interrupted" for report in reports)
    return Result(
        finding=bool(failed),
        exit_code=130 if interrupted else None,
        taken=sum(report.taken for report in reports),
        failed=failed,
        receivers=[dataclasses.asdict(report) for report in reports],
    )


@op(
    "P19",
    "event-receiver",
    writes=True,
    keywords="events receiver add remove pause resume nats command file",
    example="--action add --name log --transport file --target .kaizen/events.jsonl",
)
def event_receiver(given: ReceiverChange, store: Store) -> Result:
    """Say where events go: add, list, remove, pause or resume a receiver.

    nats: the server at an address, or at NATS_URL; credentials come from NATS_USER and NATS_PASSWORD, NATS_TOKEN or
    NATS_CREDS. command: gets each event as a line of JSON on stdin; exit code 0 means that it took it. file: JSON lines; a
    relative path stays in the project, an absolute one is taken as it is.
    NATS_URL in the environment makes a receiver called nats by itself, and a receiver that was removed or paused stays so.
    """
    if given.action == "list":
        return Result(action="list", receivers=_shown(store))
    if given.action == "add":
        return _added(given, store)
    if given.name is None:
        raise denial.RequiredFields("Pass --name.", field="name", fields=["name"])
    row = _named(store, given.name)
    if row is None:
        raise denial.ReceiverUnknown(field="name", receiver=given.name)
    status = {"remove": "removed", "pause": "paused", "resume": "active"}[given.action]
    changes: dict[str, Any] = {"status": status, "failures": 0, "last_error": None}
    if given.action == "resume" and given.after is not None:
        changes["delivered"] = given.after
    return written(delivery.revise(store, row, **changes), action=given.action, name=given.name, receiver_status=status)


def _added(given: ReceiverChange, store: Store) -> Result:
    fields = {"name": given.name, "transport": given.transport, "target": given.target}
    if absent := [name for name, value in fields.items() if value is None]:
        raise denial.RequiredFields(f"Pass {', '.join('--' + name for name in absent)}.", field=absent[0], fields=absent)
    assert given.name is not None and given.transport is not None and given.target is not None
    if _named(store, given.name) is not None:
        raise denial.ReceiverExists(field="name", receiver=given.name)
    target = receivers.check(given.transport, given.target, store.plane)
    newest = store.list(OutboxEvent.record_kind, limit=1, columns=("number",))
    after = given.after if given.after is not None else newest[0]["number"] if newest else 0
    row = store.add(delivery.receiver(given.name, given.transport, target, after))
    return written(row, action="add", name=given.name, target=target, after=after)


def _named(store: Store, name: str) -> Row | None:
    found = store.list(EventReceiver.record_kind, {"name": name, "status": ("!=", "removed")}, limit=1)
    return found[0] if found else None


def _shown(store: Store) -> list[dict[str, Any]]:
    """The receivers that were not removed, with how far they got."""
    shown = []
    for row in store.list(EventReceiver.record_kind, {"status": ("!=", "removed")}, order="created_seq"):
        again = delivery.next_try(row)
        shown.append(
            {
                "id": row["id"],
                "name": row["name"],
                "transport": row["transport"],
                "target": row["target"],
                "status": row["status"],
                "delivered": delivery.position(store, row).number,
                "waiting": delivery.waiting(store, row),
                "failures": row["failures"],
                "last_error": row["last_error"],
                "last_at": row["last_at"],
                "next_try": clock.iso(again) if again else None,
            }
        )
    return shown


@op(
    "P20",
    "activity-evaluate",
    keywords="activity definitions triggers cron events conditions would fire why validate scheduler",
    example="--action validate",
)
def activity_evaluate(given: Evaluation, store: Store) -> Result:
    """Say which activity definitions would fire, and why or why not; or whether they are right.

    validate names every fault with file, line and place. evaluate looks at the plane at a time: cron triggers in the minute of
    --at, event triggers by the newest event of each agent; with --since at every time and every event since then. Nothing is
    run: that is a scheduler's business, and definitions come with `enabled: false`.
    """
    named = paths.inside(store.plane, given.path)[0] if given.path is not None else None
    place = activities.folder(store.plane, named)
    definitions, faults = activities.read(place)
    head: dict[str, Any] = {"action": given.action, "path": store.plane.relative(place)}
    if given.name is not None:
        definitions = [definition for definition in definitions if definition.id == given.name]
        faults = [fault for fault in faults if fault.file == f"{given.name}.md"]
        if not definitions and not faults:
            raise denial.ActivitiesMissing(message="There is no definition of this id.", path=head["path"], name=given.name)
    if given.action == "validate":
        shown = [{"id": one.id, "title": one.title, "enabled": one.enabled, "file": one.file} for one in definitions]
        return Result(finding=bool(faults), **head, records=shown, count=len(shown), faults=[fault.shown() for fault in faults])
    marked.refuse(faults, "The definitions have faults.", "Correct the places named in `faults`.")
    at = datetime.fromisoformat(given.at) if given.at else clock.moment()
    since = datetime.fromisoformat(given.since) if given.since else None
    told = [activities.evaluate(store, definition, at, since) for definition in definitions]
    return Result(
        **head,
        at=clock.iso(at),
        would_fire=[one["id"] for one in told if one["would_fire"]],
        would_if_enabled=[one["id"] for one in told if one["matches"] and not one["enabled"]],
        records=told,
        count=len(told),
    )
