"""MCP servers for ComfyUI: looking at them, choosing one, and comparing its runs with those over the API."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

from .. import clock, denial, settings
from ..fields import Label, Range, RawText, RepoPath, Summary, TaskRef, Text, Word, shorten
from ..generation import comfyui, mcp, parity, runs, runtime, workflow
from ..op import Result, op
from ..record import Field, Input
from ..store import Row, Store, files
from . import lifecycle
from .artifacts import Artifact, measure
from .generation import TIMEOUT, Generation, comfy_generate
from .sources import SourceLock

ACTIONS = ("doctor", "bakeoff", "run")
NAMES = ", ".join(mcp.CANDIDATES)
Seconds = Annotated[float, Range(0.001, 31_536_000)]
Seed = Annotated[int, Range(0)]
ENDPOINT = f"Address of ComfyUI; default: KAIZEN_COMFYUI_URL or {comfyui.DEFAULT}"


class McpCall(Input):
    """What to do with the MCP servers."""

    redaction = denial.TraceRedaction

    action: Word = Field(missing=denial.ActionRequired, description=f"What to do: {', '.join(ACTIONS)}")
    candidate: Word | None = Field(None, description=f"The server: {NAMES}; bakeoff compares all without it")
    endpoint: RawText | None = Field(None, description=ENDPOINT)
    timeout: Seconds | None = Field(None, description=f"Seconds; default {mcp.PROBE:g} a server, {TIMEOUT:g} for a run")
    path: RepoPath | None = Field(None, description="run: workflow in API format, anywhere")
    prompt: Text | None = Field(None, description="run: what takes the place of {{prompt}} in the workflow")
    seed: Seed | None = Field(None, description="run: the number for every seed of the workflow")
    template: Label | None = Field(None, description="run: name of the workflow; default: the file's")
    summary: Summary | None = Field(None, file=True, description="One or two sentences")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")


class Pair(Input):
    """A workflow to run over both routes."""

    redaction = denial.TraceRedaction

    path: RepoPath = Field(missing=denial.PathRequired, description="Workflow in API format, anywhere; - reads stdin")
    seed: Seed = Field(missing=denial.SeedRequired, description="The number for every seed of the workflow")
    candidate: Word | None = Field(None, description="The MCP server; it has to be the one that is pinned")
    template: Label | None = Field(None, description="Name of the workflow; default: the file's")
    endpoint: RawText | None = Field(None, description=ENDPOINT)
    timeout: Seconds = Field(TIMEOUT, description="Seconds after which each of the runs is stopped")
    summary: Summary | None = Field(None, file=True, description="One or two sentences")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")


@op(
    "Y7",
    "comfy-mcp",
    writes=True,
    manages_store=True,
    keywords="comfyui mcp server tools probe compare choose pin run",
    example="--action run --path workflow.json",
)
def comfy_mcp(wanted: McpCall, store: Store) -> Result:
    """Look at local MCP servers for ComfyUI, choose one, or run a workflow over it.

    How a server is started is said by KAIZEN_COMFY_MCP_ARTOKUN, KAIZEN_COMFY_MCP_JOENORTON and
    KAIZEN_COMFY_MCP_SHAWNRUSHEFSKY: a command, or a JSON list of its words. It gets COMFYUI_URL and no credentials, talks
    over stdin and stdout, and is ended afterwards.

    doctor starts one and judges it: whether it starts, names its version, has a tool that runs a workflow as it is given,
    keeps stdout clean and ends when asked; score 0 to 100. bakeoff does that with each that is configured and pins the
    best: its name, version and command. run runs a workflow over the one that is pinned, as Y8 does; a server of another
    version or command than the pinned one is refused.
    """
    action = wanted.action.lower()
    if action not in ACTIONS:
        raise denial.ActionUnknown(
            f"Use one of: {', '.join(ACTIONS)}.", field="action", value=shorten(wanted.action), allowed=list(ACTIONS)
        )
    if action == "run":
        return _run(wanted, store)
    candidate = mcp.known(wanted.candidate) if action == "doctor" or wanted.candidate else None
    mcp.installed()
    place = comfyui.endpoint(wanted.endpoint)
    if action == "bakeoff":
        return _bakeoff(wanted, place, [candidate] if candidate else list(mcp.CANDIDATES), store)
    report = mcp.examine(mcp.command(store.plane, candidate or ""), place, wanted.timeout or mcp.PROBE)
    report["endpoint_reachable"] = runtime.stats(place)[0] is not None
    return Result(
        finding=not report["started"],
        action=action,
        endpoint=place.url,
        candidate=candidate,
        score=report["score"],
        report=report,
    )


def _run(wanted: McpCall, store: Store) -> Result:
    """A run over the server that is pinned."""
    if wanted.path is None:
        raise denial.PathRequired(field="path")

    def look() -> Result:
        mcp.pinned(store, wanted.candidate)
        return Result()

    first = store.perform(store.call, look)
    if first.get("replayed"):
        return first
    names = ("path", "prompt", "seed", "candidate", "template", "endpoint", "summary", "task_id")
    given: dict[str, Any] = {name: getattr(wanted, name) for name in names}
    result = comfy_generate(Generation(route="mcp", timeout=wanted.timeout or TIMEOUT, **given), store)
    result["action"] = "run"
    return result


def _bakeoff(wanted: McpCall, place: comfyui.Endpoint, names: list[str], store: Store) -> Result:
    """Examine servers, none of them under the lock, and pin the best."""

    def early() -> Result:
        store.refuse_early()
        if wanted.task_id is not None:
            store.check_link(wanted.task_id, "task", "task_id")
        return Result()

    first = store.perform(store.call, early)
    if first.get("replayed"):
        return first
    reports = [_examined(store, name, place, wanted.timeout or mcp.PROBE) for name in names]
    fit = [report for report in reports if report["started"] and report["adapter"]["confirmed"]]
    if not fit:
        reasons = {report["candidate"]: report["reason"] or report["adapter"]["reason"] for report in reports}
        if any(report["started"] for report in reports):
            raise denial.McpAdapterUnconfirmed(message="No MCP server has a tool that runs a workflow.", reasons=reasons)
        raise denial.BackendUnreachable(
            "Say how one is started: " + "; ".join(f"{mcp.variable(name)}='{mcp.CANDIDATES[name].published}'" for name in names),
            message="No MCP server starts.",
            reasons=reasons,
        )
    best = max(fit, key=lambda report: report["score"])
    shown = {"endpoint": place.url, "winner": best["candidate"], "candidates": reports}
    path = files.reserve(store.plane.ai / "generation" / "comfy-mcp", f"bakeoff-{clock.stamp()}", ".json")
    files.write_whole(path, json.dumps(shown, indent=2, ensure_ascii=False) + "\n")

    def write() -> Result:
        report = _report(store, path, wanted.summary or f"MCP servers compared: {best['candidate']} is pinned.", wanted.task_id)
        lock = _source_lock(store, best)
        pin = {"candidate": best["candidate"], "version": best["version"], "command_sha256": best["command_sha256"]}
        row = settings.put(store, mcp.SETTING, json.dumps(pin))
        brief = ("candidate", "score", "started", "version", "reason")
        return lifecycle.written(
            row,
            action="bakeoff",
            endpoint=place.url,
            winner=best["candidate"],
            winner_version=best["version"],
            candidates=[{name: report[name] for name in brief} for report in reports],
            report=shown,
            report_path=report["path"],
            report_artifact_id=report["id"],
            source_lock_id=lock["id"],
        )

    try:
        return store.perform(store.call, write)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _examined(store: Store, name: str, place: comfyui.Endpoint, seconds: float) -> dict[str, Any]:
    """The report of a candidate; of one that is not configured, what is missing."""
    try:
        return mcp.examine(mcp.command(store.plane, name), place, seconds)
    except (denial.BackendUnconfigured, denial.EnvironmentInvalid) as refusal:
        reason = f"{refusal.message} {refusal.detail.get('reason') or f'{mcp.variable(name)} is not set.'}"
        adapter = {"tool": mcp.CANDIDATES[name].tool, "confirmed": False, "reason": "it was not started"}
        return {"candidate": name, "score": 0, "started": False, "version": None, "reason": reason, "adapter": adapter}


def _report(store: Store, path: Path, summary: str, task_id: str | None) -> Row:
    """A report's file as an artifact."""
    name, sha256, size = measure(store, str(path))
    return store.add(
        Artifact(
            path=name, kind="report", summary=summary, body="", task_id=task_id, sha256=sha256, bytes=size, status="recorded"
        )
    )


def _source_lock(store: Store, report: dict[str, Any]) -> Row:
    """Where the pinned server comes from; the lock of another version is superseded."""
    name, body = f"comfy-mcp {report['candidate']}", f"Command: sha256:{report['command_sha256']}."
    found = store.list("source_lock", {"source_id": name, "is_open": 1}, limit=1)
    if found and (found[0]["version_or_commit"], found[0]["body"]) == (report["version"], body):
        return found[0]
    if found:
        store.revise("source_lock", found[0]["id"], {"status": "superseded"})
    return store.add(
        SourceLock(
            source_id=name,
            authority_tier="implementation",
            url_or_repository=report["repository"],
            version_or_commit=report["version"],
            retrieved_at=clock.now(),
            summary=f"The MCP server that runs ComfyUI workflows: {report['candidate']}.",
            body=body,
            status="active",
            content_hash=None,
            license=None,
            supersedes=found[0]["id"] if found else None,
        )
    )


@op(
    "Y9",
    "comfy-ab-run",
    writes=True,
    manages_store=True,
    keywords="comfyui compare api mcp parity same workflow seed",
    example="--path workflow.json --seed 7",
)
def comfy_ab_run(wanted: Pair, store: Store) -> Result:
    """Run a workflow with one seed over the API and over the pinned MCP server, and compare what came out.

    Both runs are recorded, with the id of the pair; so is the report: whether the workflow was the same, as ComfyUI's
    history says too, and each output: the same bytes, the same pixels, or what differs. Without parity Kaizen exits 1.
    """
    pair: dict[str, str] = {}

    def check() -> None:
        mcp.pinned(store, wanted.candidate)
        position = store.head()[0] + 1
        pair["id"] = clock.new_id("ab", position, clock.moment(position))

    call = store.call
    first = runs.reserve(store, task_id=wanted.task_id, runs=2, check=check)
    if first.get("replayed"):
        return first
    graph = workflow.load(wanted.path, store.plane).with_seed(wanted.seed)
    runs.judged(graph, wanted.template, wanted.summary)
    server, place = mcp.server(store, wanted.candidate), comfyui.endpoint(wanted.endpoint)
    # The key stands for the answer, and that comes with the report.
    keyless = dataclasses.replace(call, key=None)
    answers: list[Result] = []
    folder = store.plane.ai / "generation"
    with comfyui.Client(place) as client:
        shared: dict[str, Any] = {
            "endpoint": place.url,
            "template": wanted.template,
            "summary": wanted.summary,
            "task_id": wanted.task_id,
            "ab_pair_id": pair["id"],
            "runtime_profile": client.profile(),
            "images": graph.source.parent if graph.source else None,
        }
        for number, route in enumerate(("api", "mcp")):
            more = {} if route == "api" else {"mcp_candidate": server.candidate, "mcp_version": server.version}
            ids = {"run_id": first["run_ids"][number], "prompt_id": first["prompt_ids"][number]}
            plan = runs.prepare(store, graph, **ids, route=route, **more, **shared)
            store.call = keyless
            if route == "api":
                answer = runs.run(store, plan, lambda plan=plan: runs.execute(client, plan, timeout=wanted.timeout, show=_unseen))
            else:
                answer = runs.run(store, plan, lambda plan=plan: server.execute(plan, timeout=wanted.timeout))
            answers.append(answer)
            folder = plan.folder
            if answer.exit_code == 130:
                return answer
    return _compared(wanted, call, pair["id"], answers, folder, store)


def _compared(wanted: Pair, call: Any, pair_id: str, answers: list[Result], folder: Path, store: Store) -> Result:
    """The answer of a pair: the report as a file, and as an artifact of the plane."""
    report = parity.compared(*answers, base=store.plane.base)
    brief = ("id", "run_status", "route", "latency_ms", "outputs", "output_artifact_ids", "prompt_id", "error")
    sides = [{name: answer[name] for name in brief if name in answer} for answer in answers]
    found: dict[str, Any] = {}

    def as_submitted() -> Any:
        routes = store.list("generative_run_route", {"run_id": answers[1]["id"]}, limit=1, columns=("payload_json",))
        return json.loads(routes[0]["payload_json"] or "{}").get("graph_as_submitted") if routes else None

    def write() -> Result:
        ran = as_submitted()
        if ran is False:
            report["differences"].append("the MCP server changed the workflow before it submitted it")
            report["parity"] = False
        whole = {
            "ab_pair_id": pair_id,
            "workflow_hash": answers[0]["workflow_hash"],
            "seed": answers[0]["seed"],
            "graph_as_submitted": ran,
            **report,
            "api_run": sides[0],
            "mcp_run": sides[1],
        }
        found["path"] = folder / f"{pair_id}-parity.json"
        files.write_whole(found["path"], json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
        said = "the same" if report["parity"] else "not the same"
        artifact = _report(store, found["path"], wanted.summary or f"API and MCP made {said}.", wanted.task_id)
        result = lifecycle.written(artifact)
        result["status"] = "OK" if report["parity"] else "FAILED"
        result.exit_code = int(not report["parity"])
        result.update(
            ab_pair_id=pair_id,
            api_run=sides[0],
            mcp_run=sides[1],
            parity=report["parity"],
            report={key: whole[key] for key in ("workflow_hash", "seed", "graph_as_submitted", "outputs", "differences")},
            report_path=artifact["path"],
            report_artifact_id=artifact["id"],
        )
        return result

    return store.perform(call, write)


def _unseen(done: float, what: str, total: float) -> None:
    """Progress that nobody looks at."""
