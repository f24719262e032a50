"""MCP: local MCP servers that run ComfyUI workflows, talked with over stdin and stdout, and the route over one of them."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import re
import shlex
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import clock, denial, process, settings
from ..backends import http
from ..fields import shorten
from ..hashing import canonical, sha256
from ..paths import Plane
from ..redaction import mask
from ..store import Store
from . import comfyui, runs
from .workflow import Graph, Workflow

INSTALL = "python -m pip install -r requirements-mcp.txt"
SETTING = "comfy_mcp"
# Seconds for a server to start and say what it offers.
PROBE = 60.0
# Seconds for one that failed to end by itself, so that its exit code is known; and between each step of ending it.
PATIENCE, GRACE = 0.5, 1.0
# All that a server may say, the pictures in base64 included; and of its tools, names, stderr, what is kept.
MOST_SAID, MOST_TOOLS, MOST_NAME, MOST_STDERR = 128_000_000, 200, 200, 2_000
# Lines that are no messages, after which nobody listens any more.
MOST_NOISE = 10_000
# Pages of tools: a list that never ends cannot hold anybody.
PAGES = 20
# What ids of prompts look like in a tool's words, where it answers with no JSON.
_PROMPT_ID = re.compile(r"prompt_?id\W{1,6}([0-9A-Za-z][0-9A-Za-z-]{7,63})", re.IGNORECASE)
_SUFFIX = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


@dataclass(frozen=True, slots=True)
class Adapter:
    """How one server is asked to run a workflow: its tool, and what its arguments are called.

    `workflow` takes the graph itself. Where a server runs only what lies in its own folder, `folder` is the variable
    that names the folder and `name` takes the file's name. `always` is passed besides, and has to be known to the tool.
    """

    tool: str
    workflow: str | None = None
    name: str | None = None
    folder: str | None = None
    always: Mapping[str, Any] = field(default_factory=dict)
    repository: str = ""
    # What its own documents say to start it with.
    published: str = ""

    @property
    def arguments(self) -> set[str]:
        """Everything that the tool is given."""
        return {name for name in (self.workflow, self.name) if name} | set(self.always)


# Without its flag, enqueue_workflow of artokun's takes another seed for each run.
CANDIDATES = {
    "artokun": Adapter(
        tool="enqueue_workflow",
        workflow="workflow",
        always={"disable_random_seed": True},
        repository="https://github.com/artokun/comfyui-mcp",
        published="npx -y comfyui-mcp@VERSION",
    ),
    "joenorton": Adapter(
        tool="run_workflow",
        name="workflow_id",
        folder="COMFY_MCP_WORKFLOW_DIR",
        repository="https://github.com/joenorton/comfyui-mcp-server",
        published="python /path/to/comfyui-mcp-server/server.py --stdio",
    ),
    "shawnrushefsky": Adapter(
        tool="run_workflow",
        workflow="workflow",
        repository="https://github.com/shawnrushefsky/comfyui-mcp",
        published="node /path/to/comfyui-mcp/dist/index.js",
    ),
}
STAGED = "kaizen_workflow"


@dataclass(slots=True)
class Seen:
    """What was seen of a server while it ran."""

    name: str | None = None
    version: str | None = None
    protocol: str | None = None
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    tool_count: int = 0
    startup_ms: int | None = None
    # Lines on stdout that are no message: a banner, a print left in.
    noise: int = 0
    ends_by_itself: bool = False
    exit_code: int | None = None
    flooded: bool = False
    stderr: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """How a candidate is started."""

    candidate: str
    argv: tuple[str, ...]
    work: Path

    @property
    def adapter(self) -> Adapter:
        return CANDIDATES[self.candidate]

    @property
    def hash(self) -> str:
        """SHA-256 of the words of the command."""
        return sha256(canonical(list(self.argv)))


class Failed(Exception):
    """A server did not do what it should; the text says what, `seen` what was seen of it before."""

    def __init__(self, why: str, seen: Seen) -> None:
        super().__init__(why)
        self.seen = seen


def variable(candidate: str) -> str:
    """The variable that says how a candidate is started."""
    return f"KAIZEN_COMFY_MCP_{candidate.upper()}"


def known(candidate: str | None) -> str:
    """The name of a candidate; DENIED_CANDIDATE_REQUIRED, DENIED_CANDIDATE_UNKNOWN."""
    if not candidate:
        raise denial.CandidateRequired(
            f"Pass --candidate {' or '.join(CANDIDATES)}.", field="candidate", allowed=list(CANDIDATES)
        )
    if candidate.lower() not in CANDIDATES:
        raise denial.CandidateUnknown(
            f"Use one of: {', '.join(CANDIDATES)}.", field="candidate", value=shorten(candidate), allowed=list(CANDIDATES)
        )
    return candidate.lower()


def command(plane: Plane, candidate: str) -> Command:
    """How a candidate is started, as its variable says: a JSON list of words, or words as for a shell, which is not involved.

    Nothing is started that nobody named. DENIED_BACKEND_UNCONFIGURED, DENIED_ENVIRONMENT_INVALID.
    """
    name = variable(candidate)
    said = os.environ.get(name, "").strip()
    if not said:
        adapter = CANDIDATES[candidate]
        raise denial.BackendUnconfigured(
            f"Set {name} to the command that starts it, by its documents: {adapter.published} ({adapter.repository}).",
            message=f"It is not said how the MCP server {candidate} is started.",
            variables=[name],
            candidate=candidate,
        )
    try:
        argv = json.loads(said) if said.startswith("[") else shlex.split(said)
        if not argv or not all(isinstance(word, str) and word for word in argv):
            raise ValueError("it is no list of words")
    except ValueError as fault:
        raise denial.EnvironmentInvalid(
            f'Set {name} to a command such as {CANDIDATES[candidate].published}, or to a JSON list such as ["npx", "-y"].',
            variable=name,
            reason=str(fault),
        ) from None
    return Command(candidate, tuple(argv), plane.ai / "work" / "comfy-mcp")


def installed() -> None:
    """Refuse where the client's package is missing: DENIED_BACKEND_UNAVAILABLE with the install line."""
    try:
        found = importlib.util.find_spec("mcp") is not None
    except ValueError:
        found = False
    if not found:
        raise denial.BackendUnavailable(f"Run: {INSTALL}", package="mcp")


# --- the route ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """The server that is pinned, as a route for runs."""

    command: Command
    version: str | None

    @property
    def candidate(self) -> str:
        return self.command.candidate

    def execute(self, plan: runs.Plan, *, timeout: float) -> runs.Outcome:
        """Run a plan's workflow over the server, fetch what came out, and answer for every ending.

        The server submits it; where it names the run's prompt_id, history and files are read from ComfyUI itself, else the
        pictures of its answer are kept.
        """
        watch, outcome = clock.Stopwatch(), runs.Outcome("failed", prompt_id=plan.prompt_id)
        try:
            try:
                self._execute(plan, time.monotonic() + timeout, timeout, outcome)
            except denial.Denial as refusal:
                reason = refusal.detail.get("reason")
                outcome.error = f"{refusal.message} {reason}" if reason else refusal.message
                outcome.refusal = refusal
        except KeyboardInterrupt:
            outcome.error, outcome.interrupted = "interrupted", True
            if outcome.payload:
                self._stop(plan, outcome)
        outcome.latency_ms = watch.ms()
        return outcome

    def _execute(self, plan: runs.Plan, until: float, timeout: float, outcome: runs.Outcome) -> None:
        place = comfyui.endpoint(plan.endpoint)
        with comfyui.Client(place) as client:
            names = {source.name: client.upload(source) for source in plan.sources}
            moved = {node: names[name] for node, name in plan.workflow.images if names.get(name, name) != name}
            graph = plan.workflow.with_images(moved)
            said = _submitted(self.command, place, graph, until - time.monotonic(), self.version)
            outcome.payload = {"tool": self.command.adapter.tool, **({"noise_lines": said.noise} if said.noise else {})}
            if said.error:
                outcome.error = f"the tool {self.command.adapter.tool} failed: {said.error}"
                return
            if said.prompt_id is None:
                self._keep_pictures(plan, said, outcome)
                return
            outcome.prompt_id = said.prompt_id
            outcome.payload |= {"prompt_id_from": "tool"}
            try:
                entry = client.follow(None, said.prompt_id, max(until - time.monotonic(), 0.001), lambda *_: None)
            except TimeoutError:
                self._stop(plan, outcome)
                raise denial.RunTimeout(endpoint=plan.endpoint, timeout=timeout, candidate=self.candidate) from None
            outcome.payload |= {"graph_as_submitted": _as_run(entry, graph)}
            outcome.error = client.ending(entry)
            outcome.outputs.extend(client.fetch(plan, entry or {}, seconds=max(until - time.monotonic(), 60.0)))
            outcome.status = "failed" if outcome.error else "completed"

    def _keep_pictures(self, plan: runs.Plan, said: Said, outcome: runs.Outcome) -> None:
        """The pictures of a tool's answer, where it names no run."""
        if not said.pictures:
            raise denial.BackendMalformed(
                "Use --route api, or another server (Y7 --action bakeoff).",
                message="The MCP server's tool answered with neither a prompt_id nor a picture.",
                candidate=self.candidate,
                tool=self.command.adapter.tool,
            )
        for number, (kind, content) in enumerate(said.pictures, start=1):
            name = f"{number:02}-picture.{_SUFFIX.get(kind, 'bin')}"
            outcome.outputs.append(runs.Output(runs.keep(plan, name, [content]), name, type="mcp"))
        outcome.payload = {**(outcome.payload or {}), "prompt_id_from": None}
        outcome.status = "completed"

    def _stop(self, plan: runs.Plan, outcome: runs.Outcome) -> None:
        """Stop the run on ComfyUI, as far as that answers and the run is known."""
        if outcome.payload and outcome.payload.get("prompt_id_from") == "tool":
            with contextlib.suppress(denial.Denial), comfyui.Client(comfyui.endpoint(plan.endpoint)) as client:
                client.cancel(outcome.prompt_id or "")


def server(store: Store, candidate: str | None = None) -> Server:
    """The server that is pinned, ready to be used as a route; a candidate that is named has to be that one.

    Raises DENIED_CANDIDATE_UNKNOWN, DENIED_MCP_NOT_PINNED, DENIED_BACKEND_UNAVAILABLE where the package mcp is missing,
    DENIED_BACKEND_UNCONFIGURED where it is no longer said how it is started.
    """
    try:
        pin = pinned(store, candidate)
    finally:
        store.release()
    installed()
    found = command(store.plane, pin["candidate"])
    if found.hash != pin["command_sha256"]:
        raise denial.McpNotPinned(
            "Compare the candidates again: Y7 --action bakeoff.",
            message="The command that starts the server is another one than the one that was pinned.",
            candidate=found.candidate,
            variable=variable(found.candidate),
        )
    return Server(found, pin.get("version"))


def pinned(store: Store, candidate: str | None = None) -> dict[str, Any]:
    """What the setting says of the pinned server: candidate, version, command_sha256. DENIED_MCP_NOT_PINNED."""
    wanted = known(candidate) if candidate is not None else None
    try:
        pin = json.loads(settings.current(store, SETTING) or "null")
    except ValueError:
        pin = None
    if not isinstance(pin, dict) or pin.get("candidate") not in CANDIDATES or not isinstance(pin.get("command_sha256"), str):
        raise denial.McpNotPinned()
    if wanted is not None and wanted != pin["candidate"]:
        raise denial.McpNotPinned(
            f"Leave --candidate out, or pin it: Y7 --action bakeoff --candidate {wanted}.",
            message=f"The MCP server that is pinned is {pin['candidate']}.",
            candidate=wanted,
            pinned=pin["candidate"],
        )
    return pin


# --- looking at a server --------------------------------------------------------------------------

# What a server is worth, of 100: what is asked, and how many points it is.
POINTS = {"starts": 25, "adapter": 40, "version": 15, "tools": 10, "quiet": 5, "ends": 5}


def examine(found: Command, place: comfyui.Endpoint, seconds: float = PROBE) -> dict[str, Any]:
    """Start a server, ask what it offers, and judge it: a report with `score` (0 to 100) and `breakdown`.

    Raises nothing for a server that fails: the report says why.
    """

    async def look(client: Any, seen: Seen) -> None:
        return None

    reason = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            seen, _ = _talk(found, place, seconds, look, _staging(found, folder))
    except Failed as fault:
        seen, reason = fault.seen, str(fault)
    fits, why = confirmed(found.adapter, seen.tools)
    started = reason is None
    earned = {
        "starts": started,
        "adapter": started and fits,
        "version": started and bool(seen.version),
        "tools": started and seen.tool_count > 0,
        "quiet": started and not seen.noise,
        "ends": started and seen.ends_by_itself,
    }
    breakdown = {name: points if earned[name] else 0 for name, points in POINTS.items()}
    return {
        "candidate": found.candidate,
        "repository": found.adapter.repository,
        "command": [mask(word, personal=True)[0] for word in found.argv],
        "command_sha256": found.hash,
        "started": started,
        "reason": reason,
        "server": seen.name,
        "version": seen.version,
        "protocol": seen.protocol,
        "tools": sorted(seen.tools)[:MOST_TOOLS],
        "tool_count": seen.tool_count,
        "adapter": {"tool": found.adapter.tool, "arguments": sorted(found.adapter.arguments), "confirmed": fits, "reason": why},
        "startup_ms": seen.startup_ms,
        "noise_lines": seen.noise,
        "stderr": seen.stderr,
        "score": sum(breakdown.values()),
        "breakdown": breakdown,
    }


def confirmed(adapter: Adapter, tools: Mapping[str, Mapping[str, Any]]) -> tuple[bool, str | None]:
    """Whether a server has the adapter's tool, and the tool takes what the adapter gives and wants no more; or why not."""
    schema = tools.get(adapter.tool)
    if schema is None:
        return False, f"it has no tool {adapter.tool}"
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    if unknown := sorted(adapter.arguments - set(properties)):
        return False, f"{adapter.tool} does not take {', '.join(unknown)}"
    required = schema.get("required")
    wanted = {str(name) for name in required} if isinstance(required, list) else set()
    if more := sorted(wanted - adapter.arguments):
        return False, shorten(f"{adapter.tool} also wants {', '.join(more)}", 500)
    if adapter.workflow is not None and not _types(properties[adapter.workflow]) & {"object", "string"}:
        return False, f"{adapter.workflow} of {adapter.tool} takes neither an object nor a text"
    return True, None


def _types(schema: Any) -> set[str]:
    """The JSON types that a schema allows; all where it names none."""
    if not isinstance(schema, dict):
        return {"object", "string"}
    named = schema.get("type")
    found = {named} if isinstance(named, str) else {name for name in named if isinstance(name, str)} if named else set()
    for kind in ("anyOf", "oneOf"):
        branches = schema.get(kind)
        for branch in branches if isinstance(branches, list) else ():
            found |= _types(branch)
    return found or {"object", "string"}


# --- talking with one -----------------------------------------------------------------------------


@dataclass(slots=True)
class Said:
    """What a tool answered."""

    prompt_id: str | None = None
    pictures: list[tuple[str, bytes]] = field(default_factory=list)
    error: str | None = None
    noise: int = 0


def _submitted(found: Command, place: comfyui.Endpoint, graph: Graph, seconds: float, version: str | None) -> Said:
    """Start the server, see that it is the one that was pinned and has the tool, and let it run the graph.

    Raises DENIED_MCP_NOT_PINNED, DENIED_MCP_ADAPTER_UNCONFIRMED, DENIED_RUN_TIMEOUT, DENIED_BACKEND_UNAVAILABLE.
    """
    adapter = found.adapter

    async def submit(client: Any, seen: Seen) -> Any:
        if seen.version != version:
            raise denial.McpNotPinned(
                "Compare the candidates again: Y7 --action bakeoff.",
                message="The server is of another version than the one that was pinned.",
                candidate=found.candidate,
                version=seen.version,
                pinned=version,
            )
        fits, why = confirmed(adapter, seen.tools)
        if not fits:
            raise denial.McpAdapterUnconfirmed(candidate=found.candidate, tool=adapter.tool, reason=why)
        arguments: dict[str, Any] = dict(adapter.always)
        if adapter.name is not None:
            arguments[adapter.name] = STAGED
        if adapter.workflow is not None:
            takes = _types((seen.tools[adapter.tool].get("properties") or {}).get(adapter.workflow))
            arguments[adapter.workflow] = graph if "object" in takes else json.dumps(graph)
        return await client.call_tool(adapter.tool, arguments)

    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            seen, answer = _talk(found, place, seconds, submit, _staging(found, folder, graph))
    except Failed as fault:
        about = {"candidate": found.candidate, "reason": str(fault), "stderr": fault.seen.stderr}
        if time.monotonic() - started >= seconds:
            raise denial.RunTimeout(
                message="The MCP server did not answer in time; it was ended.", timeout=round(seconds, 3), **about
            ) from None
        raise denial.BackendUnreachable(
            f"Look at it: Y7 --action doctor --candidate {found.candidate}.", message="The MCP server failed.", **about
        ) from None
    return _read(answer, seen)


def _read(answer: Any, seen: Seen) -> Said:
    """What a tool's answer holds: the id of the run, pictures, or what went wrong."""
    said, texts, values = Said(noise=seen.noise), [], []
    if isinstance(answer.structured_content, dict):
        values.append(answer.structured_content)
    for part in answer.content:
        if part.type == "text":
            texts.append(part.text)
            with contextlib.suppress(ValueError, RecursionError):
                values.append(http.parsed(part.text.encode()))
        elif part.type == "image":
            with contextlib.suppress(ValueError):
                content = base64.b64decode(part.data, validate=True)
                said.pictures += [(part.mime_type, content)] if content else []
    if answer.is_error:
        said.error = _cut(" ".join(texts)) or "it gave no reason"
        return said
    for value in values:
        # MCPServer puts what a function returns under "result".
        for holder in (value, value.get("result") if isinstance(value, dict) else None):
            if not isinstance(holder, dict):
                continue
            named = next((holder[key] for key in ("prompt_id", "promptId") if isinstance(holder.get(key), str)), None)
            said.prompt_id = said.prompt_id or (named if named and len(named) <= MOST_NAME else None)
            if holder.get("error"):
                said.error = said.error or _cut(str(holder["error"]))
    if said.prompt_id is None and (match := _PROMPT_ID.search(" ".join(texts)[:100_000])):
        said.prompt_id = match[1]
    if said.prompt_id is not None:
        said.error = None
    return said


def _as_run(entry: Mapping[str, Any] | None, graph: Graph) -> bool | None:
    """Whether the graph that ComfyUI ran is the one that the server was given; None where the history does not hold it."""
    prompt = (entry or {}).get("prompt")
    ran = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else None
    if not isinstance(ran, dict):
        return None
    try:
        return Workflow(ran, "").hash == Workflow(graph, "").hash
    except (ValueError, RecursionError, TypeError):
        return None


def _staging(found: Command, folder: str, graph: Graph | None = None) -> dict[str, str]:
    """The variable for a server that runs what lies in a folder, with the graph put there."""
    if found.adapter.folder is None:
        return {}
    if graph is not None:
        (Path(folder) / f"{STAGED}.json").write_text(json.dumps(graph), encoding="utf-8")
    return {found.adapter.folder: folder}


def _talk(
    found: Command,
    place: comfyui.Endpoint,
    seconds: float,
    work: Callable[[Any, Seen], Awaitable[Any]],
    more: Mapping[str, str],
) -> tuple[Seen, Any]:
    """Start a server, greet it, list its tools, do `work`, and end it: (what was seen, what work gave), within `seconds`.

    Raises Failed(why, seen) and the refusals of `work`. Whatever happens, the server and all that it started is ended.
    """
    installed()
    import logging

    import anyio
    from mcp import Client

    # What the client logs of a server's faults is said in the report.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    seen, answers, watch = Seen(), [], clock.Stopwatch()
    try:
        found.work.mkdir(parents=True, exist_ok=True)
        environment = process.environment("XDG_", COMFYUI_URL=place.url, **more)
        dialogue = process.Dialogue(found.argv, cwd=found.work, env=environment, most=MOST_SAID)
    except process.NotStarted as fault:
        raise Failed(f"{shorten(found.argv[0])}: {fault}", seen) from None
    except OSError as fault:
        raise denial.FileUnwritable(path=str(found.work), reason=fault.strerror or str(fault)) from fault

    async def main() -> None:
        with anyio.fail_after(max(seconds, 0.001)):
            async with Client(_transport(dialogue, seen), read_timeout_seconds=max(seconds, 0.001)) as client:
                await _greeted(client, seen)
                seen.startup_ms = watch.ms()
                answers.append(await work(client, seen))

    fault: BaseException | None = None
    try:
        anyio.run(main)
    except Exception as caught:
        fault = _first(caught)
    finally:
        # A server ends when its stdin is closed, as the protocol asks; how it ended is of interest only before we end it.
        seen.exit_code = dialogue.exit_code(PATIENCE if fault is not None else 0.0)
        dialogue.end(GRACE)
        seen.ends_by_itself = dialogue.ended_by_itself
        seen.stderr = _cut(dialogue.stderr.kept().decode("utf-8", "replace"))
    if isinstance(fault, denial.Denial):
        raise fault
    if fault is not None:
        raise Failed(_why(fault, seen, seconds), seen)
    return seen, answers[0]


async def _greeted(client: Any, seen: Seen) -> None:
    """What a server says of itself, and its tools."""
    info = client.server_info
    seen.name = _cut(info.name, MOST_NAME) if info else None
    seen.version = _cut(info.version, MOST_NAME) if info else None
    seen.protocol = client.protocol_version
    cursor = None
    for _ in range(PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            seen.tool_count += 1
            if len(seen.tools) < 10_000:
                seen.tools[shorten(tool.name, MOST_NAME)] = tool.input_schema
        cursor = page.next_cursor
        if not cursor:
            return


@contextlib.asynccontextmanager
async def _transport(dialogue: process.Dialogue, seen: Seen) -> AsyncIterator[Any]:
    """A dialogue as the two streams that the client wants. What blocks does so in threads that are left when time is up."""
    import anyio
    import mcp_types as types
    from anyio.to_thread import run_sync
    from mcp.shared.message import SessionMessage

    heard, listens = anyio.create_memory_object_stream[Any](0)
    speaks, spoken = anyio.create_memory_object_stream[Any](0)

    async def hear() -> None:
        async with heard:
            while True:
                try:
                    line = await run_sync(dialogue.line, abandon_on_cancel=True)
                except process.Flooded:
                    seen.flooded = True
                    return
                if line is None:
                    return
                try:
                    message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    seen.noise += bool(line.strip())
                    if seen.noise > MOST_NOISE:
                        return
                    continue
                with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await heard.send(SessionMessage(message))

    async def speak() -> None:
        async with spoken:
            async for message in spoken:
                line = message.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                try:
                    await run_sync(dialogue.say, line, abandon_on_cancel=True)
                except OSError:
                    await heard.aclose()
                    return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        tasks.start_soon(speak)
        try:
            yield listens, speaks
        finally:
            tasks.cancel_scope.cancel()
            for stream in (listens, speaks):
                stream.close()


def _first(fault: BaseException) -> BaseException:
    """The fault in a group of faults; a refusal before any other."""
    if not isinstance(fault, BaseExceptionGroup):
        return fault
    leaves: Sequence[BaseException] = [_first(item) for item in fault.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, denial.Denial)), leaves[0])


def _why(fault: BaseException, seen: Seen, seconds: float) -> str:
    """Why a server failed, in words."""
    if seen.flooded:
        return f"it said more than {MOST_SAID} bytes"
    if seen.noise > MOST_NOISE:
        return f"it said more than {MOST_NOISE} lines that are no messages"
    if isinstance(fault, TimeoutError):
        return f"no answer within {seconds:g} seconds"
    if seen.exit_code is not None:
        return (
            f"it ended with exit code {seen.exit_code}" if seen.exit_code >= 0 else f"it was killed by signal {-seen.exit_code}"
        )
    return _cut(str(fault), 500) or type(fault).__name__


def _cut(text: str | None, most: int = MOST_STDERR) -> str | None:
    """A server's words as they are kept: without secrets, home folders and what steers a terminal, and not too long; of
    more, the end."""
    masked = mask(text or "", personal=True)[0]
    masked = "".join(letter for letter in masked if letter.isprintable() or letter in "\n\t").strip()
    return (masked if len(masked) <= most else "…" + masked[-most:]) or None
