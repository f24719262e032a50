"""Generation: runs of ComfyUI workflows, recorded with what they were made of and what came out."""

import json
from pathlib import Path
from typing import Annotated, Any

from .. import denial, progress
from ..fields import Label, Range, RawText, RepoPath, Summary, TaskRef, Text, Vocabulary
from ..generation import comfyui, runs, workflow
from ..generation.records import ROUTES, GenerativeRun, GenerativeRunRoute
from ..hashing import file_sha256
from ..op import Result, op
from ..record import Field, Input
from ..store import Row, Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

Seconds = Annotated[float, Range(0.001, 31_536_000)]
Seed = Annotated[int, Range(0)]
Route = Annotated[str, Vocabulary(*ROUTES)]

TIMEOUT = 600.0
LISTED = ("id", "status", "template", "summary", "workflow_hash", "output_dir", "created_at")
EXAMPLE = "--id gen_20260101000000_0123456789"


class Run(Input):
    """What every run takes: how it is called, where and how long it runs, what it belongs to."""

    redaction = denial.TraceRedaction

    template: Label | None = Field(None, description="Name of the workflow; default: the file's")
    endpoint: RawText | None = Field(None, description=f"Address of the server; default: KAIZEN_COMFYUI_URL or {comfyui.DEFAULT}")
    timeout: Seconds = Field(TIMEOUT, description="Seconds after which the run is stopped")
    dry_run: bool = Field(False, description="Record the run as queued, without a server")
    validate: bool = Field(False, description="Ask the server first whether it has the nodes and files")
    summary: Summary | None = Field(None, file=True, description="One or two sentences")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")


class FileRun(Run):
    """A run of a workflow in a file."""

    path: RepoPath | None = Field(None, description="Workflow in API format, anywhere; - reads stdin")
    workflow_file: RepoPath | None = Field(None, description="The same as --path")
    payload_json_file: RepoPath | None = Field(None, description="The same as --path")
    route: Route = Field("api", description="How the server is reached")


class Generation(Run):
    """A run of a workflow in a file, with a prompt and a seed of its own."""

    path: RepoPath = Field(missing=denial.PathRequired, description="Workflow in API format, anywhere; - reads stdin")
    prompt: Text | None = Field(None, description="What takes the place of {{prompt}} in the workflow")
    seed: Seed | None = Field(None, description="The number for every seed of the workflow")
    route: Route = Field("api", description="How the server is reached")
    candidate: RawText | None = Field(None, description="The MCP server of the route mcp; default: the one that is pinned")


class Replay(Run):
    """A recorded run to repeat."""

    id: RawText = Field(missing=denial.IdRequired, description="Id of the run")


class Probe(Input):
    """A server to try."""

    endpoint: RawText | None = Field(None, description=f"Address of the server; default: KAIZEN_COMFYUI_URL or {comfyui.DEFAULT}")
    timeout: Seconds = Field(10.0, description="Seconds to wait for it")


# --- runs -----------------------------------------------------------------------------------------


@op(
    "Y1",
    "comfy-run",
    writes=True,
    manages_store=True,
    keywords="comfyui image generate workflow submit",
    example="--path workflow.json --dry-run",
)
def comfy_run(wanted: FileRun, store: Store) -> Result:
    """Run a ComfyUI workflow and record it.

    Recorded are the workflow (a copy, its hash, its seed and models), the pictures that it loads and that stand beside it
    (they are uploaded), and every output, with hashes, in AI/generation/TEMPLATE. The run is written as running before it
    is submitted: one whose process dies stays so.

    A run that fails on the server is recorded as failed, and Kaizen exits 1. One that the server rejects, or that does
    not end in time, is recorded as failed, too; the refusal names it. A server that does not answer at the start costs
    nothing: nothing is recorded. After a timeout or Ctrl-C the run is stopped on the server.
    """
    given = {name: getattr(wanted, name) for name in ("path", "workflow_file", "payload_json_file")}
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        raise denial.PathRequired(field="path")
    if len(set(named.values())) > 1:
        flags = ["--" + name.replace("_", "-") for name in named]
        raise denial.FlagConflict(message=f"{' and '.join(flags)} name different workflows.", flag=flags[0], flags=flags)
    path = next(iter(named.values()))
    return _run(wanted, store, lambda: workflow.load(path, store.plane), route=wanted.route)


@op(
    "Y8",
    "comfy-generate",
    writes=True,
    manages_store=True,
    keywords="comfyui image text prompt seed make picture",
    example='--path workflow.json --prompt "a red bicycle" --seed 7 --dry-run',
)
def comfy_generate(wanted: Generation, store: Store) -> Result:
    """Run a ComfyUI workflow with a prompt and a seed, and record it.

    The prompt takes the place of {{prompt}} in the workflow; the seed that of every seed in it. What is recorded, the
    hash too, is the workflow with both of them in it. For the rest see Y1 comfy-run.
    """
    if wanted.candidate is not None and wanted.route != "mcp":
        raise denial.FlagConflict(
            "Add --route mcp, or leave --candidate out.", message="--candidate is for the route mcp.", flag="--candidate"
        )

    def made() -> workflow.Workflow:
        found = workflow.load(wanted.path, store.plane)
        if wanted.prompt is not None:
            found = found.with_prompt(wanted.prompt)
        elif found.has_prompt:
            raise denial.PromptRequired(
                'Pass --prompt "what to make".', message="The workflow waits for a prompt.", field="prompt"
            )
        return found if wanted.seed is None else found.with_seed(wanted.seed)

    return _run(wanted, store, made, route=wanted.route, candidate=wanted.candidate)


@op(
    "Y4",
    "comfy-replay",
    writes=True,
    manages_store=True,
    keywords="comfyui repeat again reproduce run",
    example=f"{EXAMPLE} --dry-run",
)
def comfy_replay(wanted: Replay, store: Store) -> Result:
    """Submit the stored workflow of a recorded run again, with the pictures that were stored with it.

    Refused where the files are not those that were recorded. The new run names the old one in replay_of.
    """
    found: dict[str, Row] = {}

    def check() -> None:
        found["run"] = store.get(GenerativeRun.record_kind, wanted.id)
        found["workflow"] = store.get("artifact", found["run"]["workflow_artifact_id"] or "")

    def stored() -> workflow.Workflow:
        again = workflow.parse(_as_recorded(store, found["workflow"]).read_text(encoding="utf-8"))
        if again.hash != found["run"]["workflow_hash"]:
            raise _changed(found["workflow"]["path"])
        return again

    def pictures() -> list[tuple[str, Path]]:
        listed = json.loads(found["run"]["inputs_json"] or "[]")
        return [(entry["name"], _as_recorded(store, entry)) for entry in listed]

    def more() -> dict[str, Any]:
        old = found["run"]
        return {"template": wanted.template or old["template"], "replay_of": old["id"], "sources": pictures()}

    return _run(wanted, store, stored, check=check, more=more)


def _run(
    wanted: Run,
    store: Store,
    read: Any,
    *,
    route: str = "api",
    candidate: str | None = None,
    check: Any = None,
    more: Any = None,
) -> Result:
    """One run, from the look-up of its key to its answer. `read` gives the workflow, `check` looks things up under the
    lock, `more` gives what the plan holds besides."""
    first = runs.reserve(store, task_id=wanted.task_id, check=check)
    if first.get("replayed"):
        return first
    graph, place = read(), comfyui.endpoint(wanted.endpoint)
    fields: dict[str, Any] = {
        "run_id": first["run_ids"][0],
        "prompt_id": first["prompt_ids"][0],
        "endpoint": place.url,
        "template": wanted.template,
        "summary": wanted.summary,
        "task_id": wanted.task_id,
        "route": route,
        "dry_run": wanted.dry_run,
        "images": graph.source.parent if graph.source else None,
        **(more() if more else {}),
    }
    runs.judged(graph, fields["template"], wanted.summary)
    server = None
    if route == "mcp":
        server = _mcp().server(store, candidate)
        fields |= {"mcp_candidate": server.candidate, "mcp_version": server.version}
    if wanted.dry_run and not wanted.validate:
        return runs.dry(store, runs.prepare(store, graph, **fields))
    with comfyui.Client(place) as client:
        fields["runtime_profile"] = client.profile()
        if wanted.validate:
            sent = dict(fields["sources"]) if "sources" in fields else workflow.beside(graph, fields["images"])
            client.check(graph, sent=sent)
        plan = runs.prepare(store, graph, **fields)
        if wanted.dry_run:
            return runs.dry(store, plan)
        if server is not None:
            return runs.run(store, plan, lambda: server.execute(plan, timeout=wanted.timeout))
        with progress.bar(plan.template) as show:
            return runs.run(store, plan, lambda: runs.execute(client, plan, timeout=wanted.timeout, show=show))


def _mcp() -> Any:
    """The route over an MCP server; DENIED_MCP_NOT_PINNED where this Kaizen has none."""
    from importlib import import_module

    try:
        return import_module("kaizen_components.generation.mcp")
    except ModuleNotFoundError:
        raise denial.McpNotPinned() from None


def _as_recorded(store: Store, file: Row) -> Path:
    """A file of the plane whose bytes are those that were recorded."""
    path = store.plane.base / file["path"]
    try:
        if file_sha256(path)[0] != file["sha256"]:
            raise _changed(file["path"])
    except OSError as fault:
        raise denial.FileNotFound(path=file["path"], reason=fault.strerror or str(fault)) from None
    return path


def _changed(path: str) -> denial.ReferenceNotFound:
    return denial.ReferenceNotFound(
        "Bring back the file as it was, or run the workflow anew: Y1 comfy-run --path PATH.",
        message="The file is not the one that was recorded.",
        field="id",
        path=path,
    )


@op("Y5", "comfy-doctor", needs_plane=False, keywords="comfyui probe server reachable version device", example="--timeout 2")
def comfy_doctor(probe: Probe) -> Result:
    """Try a ComfyUI server: does it answer, what version is it, on which devices does it run."""
    place = comfyui.endpoint(probe.endpoint)
    with comfyui.Client(place, seconds=probe.timeout) as client:
        found = client.stats()
    system = found["system"]
    return Result(
        backend=runs.BACKEND,
        endpoint=place.url,
        loopback=place.loopback,
        reachable=True,
        comfyui_version=system.get("comfyui_version"),
        python_version=system.get("python_version"),
        pytorch_version=system.get("pytorch_version"),
        devices=[{name: device.get(name) for name in ("name", "type", "vram_total", "vram_free")} for device in found["devices"]],
    )


# --- records --------------------------------------------------------------------------------------


@op("Y2", "comfy-inspect", keywords="image generation run show read", example=EXAMPLE)
def comfy_inspect(target: Target, store: Store) -> Result:
    """Show one generative run in full, with the route it took."""
    result = lifecycle.inspected(GenerativeRun, target, store)
    routes = store.list(GenerativeRunRoute.record_kind, {"run_id": target.id}, limit=1)
    result["record"] = {**result["record"], "route_info": routes[0] if routes else None}
    return result


@op(
    "Y3",
    "comfy-list",
    input=listing(GenerativeRun, query=False, filters=("template",)),
    keywords="image generation runs show search find",
    example="--limit 5",
)
def comfy_list(window: Listing, store: Store) -> Result:
    """List generative runs, newest first, or those that --query finds."""
    return lifecycle.queried(GenerativeRun, LISTED, window, store)


@op(
    "Y15",
    "comfy-update",
    writes=True,
    input=revision(
        GenerativeRun,
        omit=(
            "backend",
            "template",
            "workflow_hash",
            "endpoint",
            "workflow_artifact_id",
            "seed",
            "models_json",
            "prompt_id",
            "output_artifact_ids_json",
            "output_dir",
            "latency_ms",
        ),
    ),
    keywords="image generation run revise correct",
    example=f'{EXAMPLE} --status failed --summary "The machine was switched off."',
)
def comfy_update(change: Input, store: Store) -> Result:
    """Revise what is said of a generative run: summary, task, status. What it was made of and what came out stay."""
    return lifecycle.revised(GenerativeRun, change, store)


@op(
    "Y16",
    "comfy-retire",
    writes=True,
    keywords="image generation run withdraw",
    example=f'{EXAMPLE} --reason "Made with the wrong model."',
)
def comfy_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a generative run, with the reason; its files stay."""
    return lifecycle.retired((GenerativeRun.record_kind,), retirement, store)
