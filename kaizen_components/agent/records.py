"""Agent records: runs and their events, tool calls, what was decided about them, questions, to-do lists, checkpoints."""

from typing import Annotated

from .. import denial
from ..fields import (
    Bytes,
    Count,
    Hash,
    JsonAny,
    JsonList,
    JsonObject,
    Label,
    Link,
    Phrase,
    Positive,
    RawText,
    Status,
    Summary,
    TaskRef,
    Vocabulary,
    Word,
)
from ..record import Field, Record

DECISIONS = ("allow", "ask", "deny")
MODES = ("default", "accept-edits", "plan", "deny-all", "bypass")
DANGERS = ("safe", "low", "medium", "high", "critical")
# How a run can end; one that has not is running.
RUNNING = "running"
ENDINGS = (
    "completed",
    "failed",
    "max_cycles",
    "budget_exceeded",
    "timeout",
    "denied",
    "interrupted",
    "no_model",
    "unverified",
)
EVENT_TYPES = (
    "started",
    "thinking",
    "message",
    "tool_use",
    "tool_result",
    "subagent_spawn",
    "cost_update",
    "progress",
    "completed",
    "error",
)
# Of a tool call: what the gate stopped, what began and has not ended, what ended well, and what did not.
CALL_STATUSES = ("denied", "asked", "started", "succeeded", "failed")
# Of questions: done when answered.
QUESTION_STATUSES = ("open", "done")

Mode = Annotated[str, Vocabulary(*MODES)]
Decision = Annotated[str, Vocabulary(*DECISIONS)]
Danger = Annotated[str, Vocabulary(*DANGERS)]
AgentRunRef = Annotated[str, Bytes(1_000), Link("agent_run")]
AgentEventRef = Annotated[str, Bytes(1_000), Link("agent_event")]
ToolCallRef = Annotated[str, Bytes(1_000), Link("tool_call")]
CheckpointRef = Annotated[str, Bytes(1_000), Link("checkpoint")]
QuestionRef = Annotated[str, Bytes(1_000), Link("question")]


class AgentRun(Record, kind="agent_run", table="agent_runs", prefix="ar"):
    """A run of an agent: what it is for, what it may use up, how it ended, and what shows that."""

    is_work = False

    summary: Summary = Field(
        missing=denial.SummaryRequired, file=True, search=True, description="What the run is for, in one or two sentences"
    )
    task_id: TaskRef | None = Field(None, index=True, description="The task it belongs to")
    parent_run_id: AgentRunRef | None = Field(None, index=True, description="The run that started it")
    agent_type: Word | None = Field(None, search=True, description="What kind of agent it is")
    model: Label | None = Field(None, description="The model that decides")
    runner: Word | None = Field(None, description="What carries it out")
    mode: Mode = Field("default", description="Permission mode")
    max_calls: Count | None = Field(None, description="At most so many tool calls")
    max_cycles: Count | None = Field(None, description="At most so many cycles of the agent")
    max_tool_ms: Count | None = Field(None, description="At most so many milliseconds in tools")
    max_wall_ms: Count | None = Field(None, description="At most so many milliseconds from start to end")
    max_cost_usd: Positive | None = Field(None, description="At most such a cost, in US dollars")
    status: Annotated[str, Vocabulary(RUNNING, *ENDINGS)] = Field(
        RUNNING, flagged=False, index=True, description="Where it stands"
    )
    calls: Count = Field(0, flagged=False, description="Tool calls begun")
    tool_ms: Count = Field(0, flagged=False, description="Milliseconds in tools")
    cycles: Count = Field(0, flagged=False, description="Cycles of the agent")
    cost_usd: Positive = Field(0.0, flagged=False, description="What it cost, in US dollars")
    events: Count = Field(0, flagged=False, description="Events so far")
    interrupt: Annotated[str, Vocabulary("graceful", "now")] | None = Field(
        None, flagged=False, description="How it was asked to stop"
    )
    interrupt_reason: RawText | None = Field(None, flagged=False, search=True, description="Why it was asked to stop")
    reason: RawText | None = Field(None, flagged=False, search=True, description="Why it ended as it did")
    proof_ids_json: JsonList | None = Field(None, flagged=False, description="JSON list of the proofs that it rests on")
    checkpoint_id: CheckpointRef | None = Field(None, flagged=False, description="The last checkpoint")
    resumed_from: CheckpointRef | None = Field(None, flagged=False, index=True, description="The checkpoint it goes on from")
    resumed_how: Annotated[str, Vocabulary("resume", "fork")] | None = Field(
        None, flagged=False, description="Whether it goes on or apart"
    )
    allowed_prompts_json: JsonList | None = Field(None, flagged=False, description="JSON list of what leaving plan mode allowed")
    mode_before_plan: Mode | None = Field(None, flagged=False, description="The mode that plan mode interrupted")
    started_at: Label | None = Field(None, flagged=False, description="When it began")
    ended_at: Label | None = Field(None, flagged=False, description="When it ended")


class AgentEvent(Record, kind="agent_event", table="agent_events", prefix="ae"):
    """One event of a run, as it happened."""

    is_work = False
    scanned = False

    run_id: AgentRunRef = Field(index=True, description="The run")
    number: Count = Field(description="Its number in the run, from 1")
    type: Annotated[str, Vocabulary(*EVENT_TYPES)] = Field(description="What happened")
    data_json: JsonObject = Field(search=True, description="JSON object with what the type asks for")
    tool_call_id: ToolCallRef | None = Field(None, description="The tool call it is about")
    masked: Count = Field(0, flagged=False, description="Secrets masked in it")


class ToolCall(Record, kind="tool_call", table="tool_calls", prefix="tc"):
    """One call of a tool: what was asked, who decided what by which rule, what held it in, and what came of it."""

    is_work = False
    scanned = False

    tool: Word = Field(index=True, search=True, description="The tool")
    tool_group: Word = Field(description="The group it belongs to")
    run_id: AgentRunRef | None = Field(None, index=True, description="The run it belongs to")
    event_id: AgentEventRef | None = Field(None, description="The event that asked for it")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    arguments_json: JsonAny = Field(search=True, description="What was given, with its secrets masked")
    arguments_sha256: Hash = Field(index=True, description="SHA-256 of what was given, as canonical JSON")
    arguments_masked: Count = Field(0, description="Secrets masked in it")
    mode: Mode = Field(description="Permission mode")
    decision: Decision = Field(description="What the gate said")
    rule: RawText = Field(search=True, description="The rule that decided, and where it stands")
    reason: RawText | None = Field(None, description="Why, in words")
    danger: Danger = Field(index=True, description="How dangerous this call is")
    approval_id: RawText | None = Field(None, description="The approval that let it pass")
    hooks_json: JsonList | None = Field(None, description="JSON list of what hooks said")
    confinement: Word | None = Field(
        None, description="What held it in: bubblewrap, landlock, unconfined; nothing for what needs none"
    )
    confinement_json: JsonObject | None = Field(None, description="JSON object with what was held how")
    status: Annotated[str, Vocabulary(*CALL_STATUSES)] = Field(index=True, description="Where it stands")
    started_at: Label | None = Field(None, description="When it began")
    process: RawText | None = Field(None, description="The process that carries it out: its id and when it began")
    duration_ms: Count | None = Field(None, description="How long it took, in milliseconds")
    error_kind: Word | None = Field(None, description="What kind of failure it was")
    error: RawText | None = Field(None, search=True, description="What went wrong, with secrets masked")
    result_sha256: Hash | None = Field(None, description="SHA-256 of the result, as canonical JSON")
    result_bytes: Count | None = Field(None, description="Its size")
    result_blob: Hash | None = Field(None, description="SHA-256 of the file that keeps a large result, masked")
    result_masked: Count | None = Field(None, description="Secrets masked in what is kept of it")
    files_json: JsonList | None = Field(
        None, description="JSON list of the files it changed: path, sha256 before and after, diff"
    )
    metadata_json: JsonObject | None = Field(None, description="JSON object with what the tool says besides")


class Approval(Record, kind="approval", table="approvals", prefix="apv"):
    """Leave for one call of a tool, with exactly these arguments, once, for a time."""

    is_work = False

    call_id: ToolCallRef = Field(description="The call that asked for it")
    tool: Word = Field(flagged=False, search=True, description="The tool")
    arguments_sha256: Hash = Field(flagged=False, index=True, description="SHA-256 of the arguments")
    run_id: AgentRunRef | None = Field(None, flagged=False, description="The run")
    reason: RawText | None = Field(None, search=True, description="Why it is allowed")
    expires_at: Label = Field(flagged=False, description="Until when")
    used_by: ToolCallRef | None = Field(None, flagged=False, description="The call that used it")
    status: Annotated[str, Vocabulary("granted", "used")] = Field("granted", flagged=False, description="Where it stands")


class PermissionRule(Record, kind="permission_rule", table="permission_rules", prefix="pr"):
    """A rule of this plane: what calls of tools are allowed, asked about or denied."""

    is_work = False

    decision: Decision = Field(description="allow, ask or deny")
    rule: RawText = Field(search=True, index=True, description='Tool, or Tool(specifier): "Bash(git *)"')
    reason: RawText | None = Field(None, search=True, description="Why")
    status: Status = Field("active", flagged=False, description="Where it stands")


class Question(Record, kind="question", table="questions", prefix="qn"):
    """Questions that a tool call left for a person, and the answers."""

    scanned = False

    questions_json: JsonList = Field(search=True, description="JSON list of the questions")
    answers_json: JsonObject | None = Field(None, search=True, description="JSON object: question -> chosen labels")
    run_id: AgentRunRef | None = Field(None, index=True, description="The run")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    call_id: ToolCallRef | None = Field(None, description="The call that asked")
    status: Annotated[str, Vocabulary(*QUESTION_STATUSES)] = Field(
        "open", flagged=False, index=True, description="open, or done when answered"
    )


class TodoList(Record, kind="todo_list", table="todo_lists", prefix="td"):
    """What a run means to do: the list as it stands now; its history is in the ledger."""

    is_work = False
    scanned = False

    todos_json: JsonList = Field(search=True, description="JSON list: content, status, activeForm")
    run_id: AgentRunRef | None = Field(None, index=True, description="The run")
    session: RawText | None = Field(None, index=True, description="The session, where there is no run")
    status: Status = Field("active", flagged=False, description="Where it stands")


class Checkpoint(Record, kind="checkpoint", table="checkpoints", prefix="cp"):
    """A place in a run from which it can go on, or another can go apart."""

    is_work = False
    scanned = False

    run_id: AgentRunRef = Field(index=True, description="The run")
    number: Count = Field(flagged=False, description="Its number in the run, from 1")
    name: Phrase | None = Field(None, search=True, description="What it is called")
    event_number: Count = Field(0, flagged=False, description="The last event before it")
    state_json: JsonAny = Field("{}", file=True, key="state", description="JSON with whatever the agent needs to go on")
    todos_json: JsonList | None = Field(None, flagged=False, description="The to-do list at that moment")
    totals_json: JsonObject | None = Field(None, flagged=False, description="Calls, time, cycles and cost up to there")
