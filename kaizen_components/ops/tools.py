"""Tools: what agents act with, one gate before each call, and what came of it."""

import json
import sys
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from .. import clock, denial, output, paths
from ..agent.records import CALL_STATUSES, DANGERS, DECISIONS, MODES, AgentEventRef, AgentRunRef, Approval, ToolCall, ToolCallRef
from ..fields import JsonObject, Range, RawText, RepoPath, TaskRef, Vocabulary, parse_json
from ..op import Result, op
from ..record import Field, Input
from ..store import Row, Store
from . import _index, lifecycle
from .lifecycle import Listing, Target

GROUPS = ("file", "bash", "search", "agent", "interaction", "planning", "process")
STYLES = ("json-schema", "openai", "anthropic", "mcp")
LISTED = ("id", "tool", "status", "decision", "danger", "rule", "error_kind", "duration_ms", "run_id", "created_at")
EXAMPLE = "--id tc_20260101000000_0123456789"

Minutes = Annotated[float, Range(0.1, 10_080)]
Days = Annotated[float, Range(0, 36_500)]
Mode = Annotated[str, Vocabulary(*MODES)]


class ToolChoice(Input):
    """Which tools, and how they are told of."""

    tool: RawText | None = Field(None, description="Only this tool")
    group: list[Annotated[str, Vocabulary(*GROUPS)]] | None = Field(None, description="Only tools of this group; repeat for more")
    style: Annotated[str, Vocabulary(*STYLES)] = Field("json-schema", description="How a tool is described")


@op(
    "N1",
    "tool-list",
    needs_plane=False,
    keywords="tools native schema openai anthropic mcp function calling",
    example="--group file --style openai",
)
def tool_list(wanted: ToolChoice) -> Result:
    """List the native tools with the JSON Schema of what each takes, as models are told of them.

    For a person: a line for each tool; with --tool, what it says of itself and its arguments. The schemas come with --json.
    """
    from ..agent.registry import NATIVE, described, native

    groups = wanted.group or GROUPS
    names = [wanted.tool] if wanted.tool is not None else [name for name, (group, _) in NATIVE.items() if group in groups]
    tools = [native(name) for name in names]
    result = Result(tools=[described(tool, wanted.style) for tool in tools], count=len(tools))
    if wanted.tool is not None:
        result.view = lambda width: _told(tools[0], width)
    else:
        result.view = lambda width: "\n".join(_in_short(tool, width) for tool in tools)
    return result


def _in_short(tool: Any, width: int) -> str:
    """Name, group and first line of a tool; what does not fit goes on below."""
    begin = f"{tool.name:<18} {tool.group:<12} "
    return textwrap.fill(begin + tool.purpose().splitlines()[0], max(width, 60), subsequent_indent=" " * len(begin))


def _told(tool: Any, width: int) -> str:
    """A tool for a person: what it says of itself, how rules name it, and what it takes."""
    schema = tool.json_schema()
    named = f"Rules name it {', '.join(tool.rule_names)}.{' It only reads.' if tool.reads_only else ''}"
    lines = [f"{tool.name}  ({tool.group})", ""]
    for paragraph in tool.purpose().split("\n\n"):
        lines += [" ".join(paragraph.split()), ""]
    lines += [named, ""]
    for name, argument in schema.get("properties", {}).items():
        needed = "required" if name in schema.get("required", ()) else "optional"
        if argument.get("default") is not None:
            needed = f"default {json.dumps(argument['default'])}"
        lines += [f"  {name}  {_kind(argument)}, {needed}", f"      {argument.get('description', '')}"]
    if not schema.get("properties"):
        lines.append("It takes no arguments.")
    if "$defs" in schema:
        lines += ["", f"What is in each object: python kaizen.py N1 --tool {tool.name} --json"]
    return "\n".join(textwrap.fill(line, width, subsequent_indent=" " * (len(line) - len(line.lstrip()))) for line in lines)


def _kind(argument: Mapping[str, Any]) -> str:
    """Of which type an argument is: string, list, one of some words."""
    kinds = [one for one in argument.get("anyOf", [argument]) if one.get("type") != "null"]
    words = [one for kind in kinds for one in kind.get("enum", ())]
    return f"one of {', '.join(words)}" if words else " or ".join(str(kind.get("type", "object")) for kind in kinds)


# --- a call ---------------------------------------------------------------------------------------


class ToolToRun(Input):
    """Which tool, with which arguments, under which permissions."""

    # Arguments are observed: what the record holds of them is masked.
    scanned: ClassVar[bool] = False

    tool: RawText = Field(description="The tool's name")
    payload_json: JsonObject | None = Field(None, file=True, file_wins=True, description="JSON object with its arguments")
    run_id: AgentRunRef | None = Field(None, description="The run that it belongs to")
    event_id: AgentEventRef | None = Field(None, description="The event that asked for it")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    mode: Mode | None = Field(
        None, description="Permission mode; default: the run's, or default. bypass answers every ask with yes"
    )
    cwd: RepoPath | None = Field(None, description="Folder that relative paths start at; default: the project's")
    environment: list[RawText] | None = Field(
        None, description="Name of a variable that commands may see although it may be a credential; repeat for more"
    )


@op(
    "N2",
    "tool-run",
    writes=True,
    manages_store=True,
    keywords="tool call execute read write edit bash command grep glob fetch search",
    example='--tool read_file --payload-json \'{"path": "README.md", "limit": 5}\'',
)
def tool_run(wanted: ToolToRun, store: Store) -> Result:
    """Call a native tool: judged by the gate, confined where it runs programs, and recorded before its result is shown.

    A call that the gate denies, or asks about and nobody answers, is recorded and refused (exit code 1); on a terminal
    you are asked. N8 approves a call that waits, once, for exactly its arguments: then repeat it. A tool that fails is
    a finding with exit code 1.
    """
    from ..agent.registry import NATIVE, example

    try:
        return _called(wanted, store)
    except denial.Denial as refusal:
        refusal.example = example(wanted.tool) if wanted.tool in NATIVE else None
        raise


def _called(wanted: ToolToRun, store: Store) -> Result:
    from ..agent import questions

    first = store.perform(store.call, lambda: _refuse_early(wanted, store))
    if first.get("replayed"):
        return _replayed(first, wanted.tool, store)
    session = session_of(store, wanted.run_id, wanted.task_id, wanted.mode, wanted.cwd, tuple(wanted.environment or ()))
    session.approve = _at_terminal()
    session.ask = questions.at_terminal if questions.has_terminal() else None
    arguments = parse_json(wanted.payload_json, "payload_json") if wanted.payload_json else {}
    answer = session.call(wanted.tool, arguments, event_id=wanted.event_id)
    if answer.success or answer.decision == "allow":
        return _answered(answer, wanted.tool)
    raise _refused(answer, wanted)


def _refuse_early(wanted: ToolToRun, store: Store) -> Result:
    """Whatever would refuse the record refuses it before the tool is at work."""
    from ..agent.registry import native

    store.refuse_early()
    native(wanted.tool)
    for target, kind, name in (
        (wanted.run_id, "agent_run", "run_id"),
        (wanted.event_id, "agent_event", "event_id"),
        (wanted.task_id, "task", "task_id"),
    ):
        if target is not None:
            store.check_link(target, kind, name)
    return Result()


def session_of(
    store: Store,
    run_id: str | None,
    task_id: str | None = None,
    mode: str | None = None,
    cwd: str | None = None,
    environment: tuple[str, ...] = (),
) -> Any:
    """The native tools under management in the project of a plane; `cwd` lies in it."""
    from ..agent.managed import Session
    from ..agent.registry import ToolRegistry

    registry = ToolRegistry()
    registry.register_defaults()
    workspace = store.plane.root.resolve()
    folder = workspace if cwd is None else paths.inside(store.plane, cwd)[0]
    if not folder.is_dir():
        raise denial.FileNotFound("Pass a folder of the project.", path=cwd, looked_at=str(folder), reason="no such folder")
    return Session(
        store, registry, workspace, cwd=folder, run_id=run_id, task_id=task_id, mode=mode or "default", environment=environment
    )


def _at_terminal() -> Any:
    """Asks a person who sits at the terminal; None where there is none."""
    if not (output.is_for_people() and sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: Mapping[str, Any]) -> bool:
        from rich.console import Console
        from rich.prompt import Confirm

        console = Console(stderr=True)
        console.print(f"{question['tool_name']} (danger: {question['danger']}): {question['reason']}", markup=False)
        console.print(json.dumps(question["tool_input"], indent=2, ensure_ascii=False), markup=False)
        return Confirm.ask("Allow this call?", console=console, default=False)

    return ask


def _answered(answer: Any, tool: str) -> Result:
    """What the tool answered; a failure is a finding."""
    result = Result(finding=not answer.success, **{**answer.to_dict(), **answer.receipt})
    result.view = lambda width: _shown(result, tool)
    return result


def _shown(result: Result, tool: str) -> str:
    """How it went, for a person, in the word of its record. The output, and what went wrong, are printed before it as they are: no line is
    broken, no tab replaced."""
    from ..agent.registry import native

    given, told = result["output"], result["metadata"]
    is_cut = bool(told.get("truncated"))
    if isinstance(given, Mapping) and set(given) >= {"stdout", "stderr"}:
        is_cut = is_cut or any((given.get("truncated") or {}).values())
        given = f"{given['stdout']}{given['stderr']}"
    # What was read from a file that kept it is text, whatever it was.
    text = given if isinstance(given, str) else "" if given is None else native(tool).told(given, told)
    said = "" if result["success"] else str(result["error"] or "")
    if said and text.strip() and text.strip() in said:
        text = ""
    notes = [said] if said else []
    if is_cut:
        following = f"; go on with offset {told['next_offset']}" if "next_offset" in told else ""
        notes.append(f"There is more than is shown{following}.")
    notes += [str(told["note"])] if "note" in told else []
    if "package" in told and "required_action" in told:
        notes.append(f"{told['package']} is missing. {told['required_action']}")
    for block in (text.rstrip(), "\n".join(notes)):
        if block:
            output.text(output.clean(block))
            output.text("")
    return f"{result['call_id']}  {'succeeded' if result['success'] else 'failed'}, {result['duration_ms']} ms"


def _replayed(result: Result, tool: str, store: Store) -> Result:
    """The answer to an earlier call with this key; a large output is read from what was kept of it."""
    blob = result.pop("result_blob", None)
    if blob is not None:
        path = store.plane.blobs / blob
        result["output"] = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    result.view = lambda width: _shown(result, tool)
    return result


def _refused(answer: Any, wanted: ToolToRun) -> denial.Denial:
    """The refusal of a call that did not take place."""
    detail = {
        "tool": wanted.tool,
        "call_id": answer.call_id,
        "decision": answer.decision,
        "rule": answer.rule,
        "danger": answer.danger,
        "reason": answer.error,
    }
    if answer.error_kind in ("bad_argument", "unknown_argument", "not_json"):
        errors = answer.metadata["errors"]
        return denial.ToolArguments(
            f"See what it takes: python kaizen.py N1 --tool {wanted.tool}",
            message=answer.error,
            tool=wanted.tool,
            call_id=answer.call_id,
            errors=errors,
        )
    if answer.decision == "ask":
        return denial.ApprovalRequired(
            f"A person looks at it in full, python kaizen.py N5 --id {answer.call_id}, and approves it, once, for exactly these arguments:"
            f" python kaizen.py N8 --id {answer.call_id}; then repeat the call.",
            **detail,
        )
    return denial.PermissionDenied(_instead(answer, wanted), **detail)


def _instead(answer: Any, wanted: ToolToRun) -> str:
    """What there is to type after a denial."""
    rule = str(answer.rule or "")
    source, elsewhere = answer.metadata.get("mode_source"), 'python kaizen.py T5 --summary "The work." --mode accept-edits'
    if rule.startswith("mode ") and source is not None:
        return f"A person changes permissions.defaultMode in {source}, or passes --mode accept-edits, or starts a run with it: {elsewhere}"
    if rule.startswith("mode ") and wanted.mode in ("plan", "deny-all"):
        return f"Call without --mode {wanted.mode}."
    if rule == "mode plan":
        return (
            "Leave plan mode first, with the tool exit_plan_mode in the same run; a run that was started in it stays there, and what is"
            f" planned is done in another: {elsewhere}"
        )
    if rule.startswith("hook "):
        return "Do what the hook asks for, or mend it: python kaizen.py N4 lists the hooks, with the files that they stand in."
    if rule.startswith("mode "):
        return f"Call in a run of another mode: {elsewhere}"
    seen = f"See the call in full: python kaizen.py N5 --id {answer.call_id}"
    if "rule" in str(answer.error):
        return f"{seen}; a person may add the rule that the reason names: python kaizen.py N4 --action add --decision allow --rule RULE"
    return f"{seen}; the rules in force: python kaizen.py N4"


# --- approvals ------------------------------------------------------------------------------------


class Approving(Input):
    """Which call is approved, and for how long."""

    id: ToolCallRef = Field(description="The call that waits for approval")
    reason: RawText | None = Field(None, file=True, description="Why it is allowed")
    minutes: Minutes = Field(10, description="For so many minutes")


@op(
    "N8",
    "call-approve",
    writes=True,
    keywords="approve tool call permission ask allow once",
    example=f"{EXAMPLE} --minutes 5",
)
def call_approve(wanted: Approving, store: Store) -> Result:
    """Approve a call that the gate asked about: once, for exactly its arguments, for some minutes. For a person to decide.

    The answer shows what was approved, with secrets masked; N5 shows it before. A call is approved once: as long as the
    approval is not used and not over, the same is answered again; when it was used, the call has to be made again.
    """
    call = store.get("tool_call", wanted.id)
    if call["status"] != "asked":
        raise denial.ApprovalNotAsked(id=wanted.id, call_status=call["status"], decision=call["decision"])
    for row in approvals_of(call, store):
        if row["status"] == "used":
            raise denial.ApprovalNotAsked(
                "Make the call again, to ask again; then approve that one.",
                message=f"The call was approved already, and {row['used_by']} used that approval.",
                id=wanted.id,
                approval_id=row["id"],
                used_by=row["used_by"],
            )
        if row["expires_at"] > clock.now():
            return _approved(row, call, already=True)
    approval = Approval(
        call_id=wanted.id,
        tool=call["tool"],
        arguments_sha256=call["arguments_sha256"],
        run_id=call["run_id"],
        reason=wanted.reason,
        expires_at=clock.later(wanted.minutes * 60),
        used_by=None,
        status="granted",
    )
    return _approved(store.add(approval), call)


def _approved(row: Row, call: Row, **more: Any) -> Result:
    """What was approved, as far as a record shows it: secrets are masked."""
    return lifecycle.written(
        row,
        tool=row["tool"],
        arguments=json.loads(call["arguments_json"]),
        danger=call["danger"],
        asked_because=call["reason"],
        arguments_sha256=row["arguments_sha256"],
        expires_at=row["expires_at"],
        **more,
    )


def approvals_of(call: Row, store: Store) -> list[Row]:
    """The approvals that a call was given, newest first."""
    return store.list("approval", {"arguments_sha256": call["arguments_sha256"], "call_id": call["id"]})


# --- looking back ---------------------------------------------------------------------------------


class CallTarget(Target):
    """Which call."""

    output: bool = Field(False, description="With what was kept of its output")


@op("N5", "tool-inspect", keywords="tool call record evidence diff output", example=EXAMPLE)
def tool_inspect(target: CallTarget, store: Store) -> Result:
    """Show a tool call in full: arguments, decision and rule, approvals, confinement, outcome, and the diffs of files it changed."""
    call = store.get("tool_call", target.id)
    result = Result(record=call, under_way=under_way(call), never_finished=never_finished(call))
    if call["status"] == "asked":
        result["approvals"] = [
            {name: row[name] for name in ("id", "status", "expires_at", "used_by", "reason")} for row in approvals_of(call, store)
        ]
    files = json.loads(call["files_json"] or "[]")
    result["diffs"] = [{"path": file["path"], "diff": _kept(store, file["diff"])} for file in files if file["diff"]]
    if target.output:
        result["output"] = _kept(store, call["result_blob"])
    return result


def _kept(store: Store, sha256: str | None) -> str | None:
    """The text of a file that was kept for a call; None where none was, or it was pruned."""
    path = store.plane.blobs / sha256 if sha256 else None
    return path.read_text(encoding="utf-8", errors="replace") if path is not None and path.is_file() else None


def under_way(call: Row) -> bool:
    """Whether the process that began a call is still at it."""
    from .. import process

    if call["status"] != "started" or not call["process"]:
        return False
    pid, _, identity = call["process"].partition(" ")
    return (process.identity(int(pid)) or "") == identity


def never_finished(call: Row) -> bool:
    """Whether a call began and whoever carried it out is gone."""
    return call["status"] == "started" and not under_way(call)


class CallListing(Listing):
    """Which calls."""

    filters: ClassVar[tuple[tuple[str, str], ...]] = (
        ("run_id", "run_id"),
        ("tool", "tool"),
        ("decision", "decision"),
        ("danger", "danger"),
        ("task_id", "task_id"),
        ("status", "status"),
    )

    run_id: RawText | None = Field(None, description="Only calls of this run")
    tool: RawText | None = Field(None, description="Only calls of this tool")
    decision: Annotated[str, Vocabulary(*DECISIONS)] | None = Field(None, description="Only calls that were decided so")
    danger: Annotated[str, Vocabulary(*DANGERS)] | None = Field(None, description="Only calls of this danger")
    task_id: RawText | None = Field(None, description="Only calls that belong to this task")
    status: Annotated[str, Vocabulary(*CALL_STATUSES)] | None = Field(None, description="Only calls with this status")


@op("N6", "tool-log", keywords="tool calls list history audit decisions", example="--decision deny --limit 5")
def tool_log(wanted: CallListing, store: Store) -> Result:
    """List tool calls, newest first: what was called, what the gate said, how it ended."""
    from ..agent.registry import NATIVE, unknown

    # Programs have tools of their own; of one that was never called there is nothing to list.
    if wanted.tool is not None and wanted.tool not in NATIVE and not store.count("tool_call", {"tool": wanted.tool}):
        raise unknown(wanted.tool, NATIVE)
    return lifecycle.listed(ToolCall, LISTED, wanted, store)


# --- retention ------------------------------------------------------------------------------------


class Pruning(Input):
    """What is no longer kept."""

    days: Days = Field(description="Outputs and diffs of calls older than so many days")
    dry_run: bool = Field(False, description="Say what would go, and leave it")


@op("N9", "output-prune", writes=True, keywords="retention blobs outputs diffs delete disk space", example="--days 30 --dry-run")
def output_prune(wanted: Pruning, store: Store) -> Result:
    """Delete what was kept of old tool calls' outputs and diffs. Their hashes stay in the ledger, and a note says what went."""
    from .notes import Note

    before = clock.later(-wanted.days * 86_400)
    old = store.list("tool_call", {"created_at": ("<", before)}, columns=("result_blob", "files_json"))
    young = store.list("tool_call", {"created_at": (">=", before)}, columns=("result_blob", "files_json"))
    needed = _blobs(young) | _needed_elsewhere(store)
    gone = sorted(name for name in _blobs(old) - needed if (store.plane.blobs / name).is_file())
    freed = sum((store.plane.blobs / name).stat().st_size for name in gone)
    result = Result(files=len(gone), bytes=freed, dry_run=wanted.dry_run)
    if gone and not wanted.dry_run:
        said: dict[str, Any] = {
            "summary": f"Pruned {len(gone)} outputs and diffs of tool calls before {before[:10]}, {freed} bytes."
        }
        result["id"] = store.add(Note(**said))["id"]
        for name in gone:
            (store.plane.blobs / name).unlink(missing_ok=True)
    return result


def _needed_elsewhere(store: Store) -> set[str]:
    """The hashes of the files that records of other kinds keep."""
    kept = {row["sha256"] for row in store.list("artifact", columns=("sha256",))}
    for kind, entry in _index.KINDS.items():
        for column in entry.columns:
            if kind != "tool_call" and column.endswith("_blob"):
                kept |= {row[column] for row in store.list(kind, columns=(column,))}
    return kept


def _blobs(calls: list[Row]) -> set[str]:
    """The hashes of the files that were kept for some calls."""
    names = {call["result_blob"] for call in calls}
    for call in calls:
        names |= {file["diff"] for file in json.loads(call["files_json"] or "[]")}
    return names - {None}
