"""Runs: a workflow that is submitted, what comes back kept on disk, and all of it recorded, whichever route it takes.

A run is written twice: as running before anything is submitted, so that one whose process dies leaves a trace, and again
when it has ended. No lock is held in between.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .. import clock, denial
from ..call import Result
from ..fields import shorten
from ..ops import lifecycle
from ..ops.artifacts import Artifact
from ..ops.traces import TraceEvent
from ..record import Record, judge
from ..redaction import kinds, mask
from ..store import Row, Store
from .records import GatewayEvent, GenerativeRun, GenerativeRunRoute
from .workflow import Workflow, beside

if TYPE_CHECKING:
    from .comfyui import Client, Show

BACKEND = "comfyui"
ERROR_CHARACTERS = 2_000
# One output may be a long film; what is more was not meant.
OUTPUT_BYTES = 4_000_000_000
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the run, on disk and durable."""

    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that the workflow loads: the name it has there, and the copy that is kept."""

    name: str
    kept: Kept


@dataclass(frozen=True, slots=True)
class Output:
    """A file that came out: where it is kept, which node made it, and what the server calls it."""

    kept: Kept
    name: str
    node: str = ""
    type: str = "output"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that has its id and has not been written yet."""

    run_id: str
    # Chosen here, so that the record knows it before the server does.
    prompt_id: str
    workflow: Workflow
    template: str
    folder: Path
    endpoint: str
    route: str = "api"
    summary: str | None = None
    task_id: str | None = None
    dry_run: bool = False
    replay_of: str | None = None
    ab_pair_id: str | None = None
    mcp_candidate: str | None = None
    mcp_version: str | None = None
    runtime_profile: str | None = None
    sources: tuple[Source, ...] = ()


class Server(Protocol):
    """Another route to a server: what generation/mcp.py gives for server(store, candidate)."""

    candidate: str
    version: str | None

    def execute(self, plan: Plan, *, timeout: float) -> Outcome:
        """Run the plan's workflow, keep() what comes out, and answer for every ending: nothing is raised."""
        ...


@dataclass(slots=True)
class Outcome:
    """How a run ended. `refusal` is raised once that is recorded; `interrupted` ends the program with 130."""

    status: str
    prompt_id: str | None = None
    outputs: list[Output] = field(default_factory=list)
    latency_ms: int | None = None
    error: str | None = None
    refusal: denial.Denial | None = None
    interrupted: bool = False
    payload: Mapping[str, Any] | None = None


# --- before ---------------------------------------------------------------------------------------


def reserve(store: Store, *, task_id: str | None = None, runs: int = 1, check: Callable[[], None] | None = None) -> Result:
    """What has to be known before anything expensive: the answer of an earlier call with this --key (`replayed`), or a new
    answer with `run_ids` and `prompt_ids`, one a run. Refuses what the record would be refused for: a locked plane, a task
    that does not exist, and what `check` looks up in the same unit of work."""

    def work() -> Result:
        store.refuse_early()
        if task_id is not None:
            store.check_link(task_id, "task", "task_id")
        if check is not None:
            check()
        seq = store.head()[0]
        positions = range(seq + 1, seq + 1 + runs)
        run_ids = [clock.new_id(GenerativeRun.prefix, position, clock.moment(seq + 1)) for position in positions]
        prompt_ids = [str(uuid.UUID(hex=clock.token(position, "prompt", 16), version=4)) for position in positions]
        return Result(run_ids=run_ids, prompt_ids=prompt_ids)

    return store.perform(store.call, work)


def judged(workflow: Workflow, template: str | None, summary: str | None) -> str:
    """The template's name, by default that of the workflow's file. Refuses what may not be kept: DENIED_TRACE_REDACTION for
    a secret in the workflow or in the texts, and for personal data in the texts."""
    template = template or (workflow.source.stem if workflow.source else "workflow")
    texts = {"template": template, "summary": summary or "-"}
    judge(GenerativeRun, {"backend": BACKEND, "workflow_hash": workflow.hash, "status": "queued", **texts})
    if found := kinds(workflow.text, personal=False):
        raise denial.TraceRedaction(
            "Take the secret out of the workflow: it is kept with the run.", field="path", fields={"path": found}
        )
    return template


def prepare(
    store: Store,
    workflow: Workflow,
    *,
    run_id: str,
    prompt_id: str,
    endpoint: str,
    template: str | None = None,
    summary: str | None = None,
    images: Path | None = None,
    sources: Iterable[tuple[str, Path]] | None = None,
    **more: Any,
) -> Plan:
    """The plan of a run, with its texts judged, and its pictures copied: those of `sources` (name, path), else those that
    stand beside the workflow in the folder `images`. `more` are further fields of the Plan.

    Raises what judged() raises, and DENIED_FILE_UNWRITABLE.
    """
    template = judged(workflow, template, summary)
    folder = store.plane.ai / "generation" / file_name(template, "workflow")
    plan = Plan(run_id, prompt_id, workflow, template, folder, endpoint, summary=summary, **more)
    wanted = beside(workflow, images).items() if sources is None else sources
    copies = tuple(
        Source(name, keep(plan, f"input-{number:02}-{file_name(name)}", _read(path)))
        for number, (name, path) in enumerate(wanted, start=1)
    )
    return dataclasses.replace(plan, sources=copies)


def file_name(text: str, fallback: str = "file") -> str:
    """A name that is a plain file name on every system, whatever a server or a user said: no folders, no leading dot."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text.replace("\\", "/").rsplit("/", 1)[-1]).lstrip(".")
    stem, dot, suffix = plain.rpartition(".")
    short = f"{stem[:80]}{dot}{suffix[:12]}" if dot else plain[:80]
    return short.rstrip(". ") or fallback


def keep(plan: Plan, name: str, blocks: Iterable[bytes], *, most: int = OUTPUT_BYTES) -> Kept:
    """Write a file of the run, durably, under its own name: AI/generation/TEMPLATE/RUN-name. An existing one is replaced.

    Raises DENIED_FILE_UNWRITABLE, DENIED_FILE_TOO_LARGE beyond `most` bytes, and what `blocks` raises.
    """
    path = plan.folder / f"{plan.run_id}-{name}"
    part = path.with_name(f".{path.name}.part")
    digest, size = hashlib.sha256(), 0
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for block in blocks:
                size += len(block)
                if size > most:
                    raise denial.FileTooLarge("Make it smaller, or fetch it from the server by hand.", path=name, limit=most)
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as fault:
        raise denial.FileUnwritable(path=str(path), reason=fault.strerror or str(fault)) from fault
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return Kept(path, digest.hexdigest(), size)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


# --- around ---------------------------------------------------------------------------------------


def dry(store: Store, plan: Plan) -> Result:
    """Record a run as queued, without any server."""
    workflow = _keep_workflow(plan)

    def work() -> Result:
        row = _open(store, plan, workflow, "queued")
        _tell(store, plan, row, Outcome("queued", latency_ms=0))
        return _answer(store, plan, row, [])

    with _dropped_on_refusal(plan, workflow):
        return store.perform(store.call, work)


def run(store: Store, plan: Plan, execute: Callable[[], Outcome]) -> Result:
    """Write the run as running, execute it, write how it ended. `execute` answers for every ending; it raises nothing.

    A run that failed is a finding (exit 1). One that ended in a refusal is recorded as failed, and the refusal names it.
    """
    workflow = _keep_workflow(plan)
    # The key stands for the answer, and that comes with the end.
    keyless = dataclasses.replace(store.call, key=None)
    call = store.call

    def begin() -> Result:
        _open(store, plan, workflow, "running")
        return Result()

    with _dropped_on_refusal(plan, workflow):
        store.perform(keyless, begin)
    outcome = execute()
    result = store.perform(call, lambda: record(store, plan, outcome))
    if outcome.refusal is not None:
        outcome.refusal.detail["id"] = plan.run_id
        raise outcome.refusal
    return result


def execute(client: Client, plan: Plan, *, timeout: float, show: Show) -> Outcome:
    """Run the workflow on a server by its own protocol, and fetch what came out. Every ending is an Outcome: one that the
    server tells of, a refusal, `timeout` (seconds) and Ctrl-C, which both stop the run on the server, too."""
    watch, outcome = clock.Stopwatch(), Outcome("failed", prompt_id=plan.prompt_id)
    client_id = uuid.uuid4().hex
    try:
        try:
            names = {source.name: client.upload(source) for source in plan.sources}
            moved = {node: names[name] for node, name in plan.workflow.images if names.get(name, name) != name}
            graph = plan.workflow.with_images(moved)
            with client.listening(client_id) as socket:
                outcome.prompt_id = client.submit(graph, prompt_id=plan.prompt_id, client_id=client_id)
                entry = client.follow(socket, outcome.prompt_id, timeout, show)
            outcome.error = client.ending(entry)
            for output in client.fetch(plan, entry or {}, seconds=max(timeout, 60.0)):
                outcome.outputs.append(output)
            outcome.status = "failed" if outcome.error else "completed"
        except TimeoutError:
            outcome.error = f"timeout: not ended after {timeout:g} seconds"
            outcome.refusal = denial.RunTimeout(endpoint=plan.endpoint, timeout=timeout)
            _stop(client, outcome)
        except denial.Denial as refusal:
            outcome.error = " ".join(
                [refusal.message, *map(str, refusal.detail.get("errors", ())), refusal.detail.get("reason") or ""]
            )
            outcome.refusal = refusal
    except KeyboardInterrupt:
        outcome.error, outcome.interrupted = "interrupted", True
        _stop(client, outcome)
    outcome.latency_ms = watch.ms()
    return outcome


def _stop(client: Client, outcome: Outcome) -> None:
    """Stop the run on the server, as far as that still answers."""
    with contextlib.suppress(denial.Denial):
        client.cancel(outcome.prompt_id or "")


def record(store: Store, plan: Plan, outcome: Outcome) -> Result:
    """Write how a run ended, inside a unit of work: its outputs as artifacts, the run's revision, and its events."""
    error = _error(outcome)
    outputs = [_shown(store, output) for output in outcome.outputs]
    ids = [_artifact(store, plan, "output", output.kept) for output in outcome.outputs]
    changes = {
        "status": outcome.status,
        "prompt_id": outcome.prompt_id or plan.prompt_id,
        "output_artifact_ids_json": json.dumps(ids),
        "outputs_json": json.dumps(outputs, ensure_ascii=False),
        "latency_ms": outcome.latency_ms,
        "error": error,
        "summary": plan.summary or _summary(plan, outcome),
    }
    row = store.revise(GenerativeRun.record_kind, plan.run_id, changes)
    if outcome.payload:
        routes = store.list(GenerativeRunRoute.record_kind, {"run_id": plan.run_id}, limit=1, columns=("id",))
        payload = {"payload_json": json.dumps(dict(outcome.payload), ensure_ascii=False)}
        store.revise(GenerativeRunRoute.record_kind, routes[0]["id"], payload)
        if outcome.payload.get("graph_as_submitted") is False:
            store.warnings.append("What ran is not the recorded workflow: the MCP server changed it before it submitted it.")
    _tell(store, plan, row, outcome)
    return _answer(store, plan, row, outputs, exit_code=130 if outcome.interrupted else int(outcome.status != "completed"))


def _keep_workflow(plan: Plan) -> Kept:
    return keep(plan, "workflow.json", [plan.workflow.text.encode()])


@contextlib.contextmanager
def _dropped_on_refusal(plan: Plan, workflow: Kept) -> Iterator[None]:
    """Leave no file of a run that was not written."""
    try:
        yield
    except denial.Denial:
        for kept in (workflow, *(source.kept for source in plan.sources)):
            kept.path.unlink(missing_ok=True)
        raise


def _open(store: Store, plan: Plan, workflow: Kept, status: str) -> Row:
    """Write the run as it begins, with its route and the files that it is made of."""
    workflow_id = _artifact(store, plan, "workflow", workflow)
    inputs = []
    for source in plan.sources:
        kept = {"path": store.plane.relative(source.kept.path), "sha256": source.kept.sha256, "bytes": source.kept.bytes}
        inputs.append({"name": source.name, **kept, "artifact_id": _artifact(store, plan, "input", source.kept)})
    seed = plan.workflow.seed
    row = store.add(
        _new(
            GenerativeRun,
            backend=BACKEND,
            template=plan.template,
            workflow_hash=plan.workflow.hash,
            status=status,
            summary=plan.summary or f"{plan.template}: {status}.",
            task_id=plan.task_id,
            endpoint=plan.endpoint,
            workflow_artifact_id=workflow_id,
            seed=None if seed is None else str(seed),
            models_json=json.dumps(plan.workflow.models, ensure_ascii=False),
            prompt_id=None if plan.dry_run else plan.prompt_id,
            output_artifact_ids_json="[]",
            output_dir=store.plane.relative(plan.folder),
            dry_run=plan.dry_run,
            replay_of=plan.replay_of,
            inputs_json=json.dumps(inputs, ensure_ascii=False),
            outputs_json="[]",
            latency_ms=0 if plan.dry_run else None,
        ),
        record_id=plan.run_id,
    )
    store.add(
        _new(
            GenerativeRunRoute,
            run_id=plan.run_id,
            route=plan.route,
            runtime_profile=plan.runtime_profile,
            mcp_candidate=plan.mcp_candidate,
            mcp_version=plan.mcp_version,
            ab_pair_id=plan.ab_pair_id,
        )
    )
    return row


def _artifact(store: Store, plan: Plan, kind: str, kept: Kept) -> str:
    """Write a file of the run as an artifact; its id."""
    file = {"path": store.plane.relative(kept.path), "sha256": kept.sha256, "bytes": kept.bytes}
    summary = f"{kind.capitalize()} of {plan.run_id}."
    return store.add(_new(Artifact, kind=kind, summary=summary, task_id=plan.task_id, **file))["id"]


def _new(cls: type[Record], **values: Any) -> Record:
    """A record of values that are made here, not given: nothing in them has to be judged."""
    return cls(**values)


def _tell(store: Store, plan: Plan, row: Row, outcome: Outcome) -> None:
    """Write the events of a run: one of the gateway, one of the trace. They hold hashes, no text of the workflow."""
    payload = {
        "run_id": plan.run_id,
        "route": plan.route,
        "endpoint": plan.endpoint,
        "workflow_hash": plan.workflow.hash,
        "prompt_id": row["prompt_id"],
        "outputs": len(outcome.outputs),
        "latency_ms": outcome.latency_ms,
    }
    told = _summary(plan, outcome)
    store.add(
        _new(
            GatewayEvent,
            event_type="comfyui_run",
            status=outcome.status,
            summary=told,
            payload_json=json.dumps(payload, ensure_ascii=False),
            task_id=plan.task_id,
        )
    )
    digests = "".join(output.kept.sha256 for output in outcome.outputs)
    error = _error(outcome)
    store.add(
        _new(
            TraceEvent,
            kind="generative_run",
            summary=told,
            task_id=plan.task_id,
            name=plan.template,
            level="error" if outcome.status == "failed" else "default",
            status=outcome.status,
            status_message=shorten(error, 500) if error else None,
            model=shorten(mask(", ".join(plan.workflow.models), personal=True)[0], 200) or None,
            provider=BACKEND,
            latency_ms=outcome.latency_ms,
            input_ref=f"sha256:{plan.workflow.hash}",
            output_ref=f"sha256:{hashlib.sha256(digests.encode()).hexdigest()}" if digests else None,
        )
    )


def _answer(store: Store, plan: Plan, row: Row, outputs: list[dict[str, Any]], *, exit_code: int = 0) -> Result:
    result = lifecycle.written(row)
    result["status"] = "FAILED" if exit_code else "OK"
    result.exit_code = exit_code
    result.update(
        run_status=row["status"],
        dry_run=plan.dry_run,
        backend=BACKEND,
        endpoint=plan.endpoint,
        workflow_hash=plan.workflow.hash,
        workflow_artifact_id=row["workflow_artifact_id"],
        seed=row["seed"],
        models=plan.workflow.models,
        prompt_id=row["prompt_id"],
        outputs=outputs,
        output_artifact_ids=json.loads(row["output_artifact_ids_json"]),
        output_dir=row["output_dir"],
        latency_ms=row["latency_ms"],
        route=plan.route,
        ab_pair_id=plan.ab_pair_id,
    )
    if plan.replay_of is not None:
        result["replay_of"] = plan.replay_of
    if row["error"]:
        result["error"] = row["error"]
    return result


def _shown(store: Store, output: Output) -> dict[str, Any]:
    """An output as records and answers show it."""
    return {
        "path": store.plane.relative(output.kept.path),
        "sha256": output.kept.sha256,
        "bytes": output.kept.bytes,
        "node": shorten(mask(output.node)[0], 200),
        "type": output.type,
    }


def _summary(plan: Plan, outcome: Outcome) -> str:
    made = len(outcome.outputs)
    count = f", {made} output{'' if made == 1 else 's'}" if outcome.status != "queued" else ""
    return f"{plan.template}: {outcome.status}{count}."


def _error(outcome: Outcome) -> str | None:
    """What went wrong, without secrets and home folders, and not too long."""
    return shorten(mask(outcome.error, personal=True)[0], ERROR_CHARACTERS) if outcome.error else None
