"""Models: which are there, what they answer, and what they think of a text. All of it advises; none of it accepts."""

import dataclasses
import json
import textwrap
from collections.abc import Sequence
from typing import Annotated, Any

from .. import backends, clock, denial, output
from ..fields import JsonOrText, Phrase, ProofRef, Range, RawText, Summary, TaskRef
from ..op import Result, op
from ..record import Field, Input, judge, kinds_in
from ..redaction import mask
from ..store import Row, Store

ADVISORY = "Advisory: what a model says is no proof and accepts nothing."
NOT_KEPT = f"{ADVISORY} The text is not kept, only its hash."


# --- B1 -------------------------------------------------------------------------------------------


@op("B1", "model-doctor", needs_plane=False, keywords="backend embedding llm ollama torch configured reachable check")
def model_doctor() -> Result:
    """Try the configured models: which are there, which answer. A model of this process is loaded for it."""
    lanes = {lane: examined(lane) for lane in backends.LANES}
    result = Result()
    result.update(lanes)
    result.view = lambda width: "\n".join(_shown(lane, said, width) for lane, said in lanes.items())
    return result


def examined(lane: str) -> dict[str, Any]:
    """What there is to say of a lane: configured, backend, model, base_url; reachable and dimension or ok, or the reason
    why not. Never refused."""
    from ..backends.http import shown_url

    said: dict[str, Any] = {"configured": False}
    try:
        found = backends.config(lane)
        said |= {"backend": found.backend, "model": _safe(found.model), "base_url": shown_url(found.base_url)}
        wanted = backends.missing(found)
        if wanted:
            return said | {"reason": f"Not set: {', '.join(wanted)}.", "backends": list(backends.BACKENDS[lane])}
        said["configured"] = True
        backend = backends.opened(lane)
        said |= {"kind": backend.kind, "reachable": True}
        said |= backend.probe()
    except denial.Denial as refusal:
        told = refusal.envelope()
        reason = f"{told['message']} {told['reason']}" if told.get("reason") else told["message"]
        said |= {"reachable": False} if said["configured"] else {}
        said |= {"reason": reason, "code": told["code"], "required_action": told["required_action"]}
    return said


def _shown(lane: str, said: dict[str, Any], width: int) -> str:
    """A lane in a few lines, for a person: how it is, and what to do."""
    where = said.get("base_url") or said.get("device")
    named = f"{said.get('backend')} {said.get('model')}" + (f" at {where}" if where else "")
    size = f" ({said['dimension']} dimensions)" if "dimension" in said else ""
    if not said["configured"]:
        state = f"not configured. {said.get('reason', '')}".rstrip()
    elif not said.get("reachable"):
        state = f"{named}: does not work. {said['reason']}"
    elif said.get("ok") is False:
        state = f"{named}: answers. {said['reason']}"
    else:
        state = f"{named}: works{size}"
    beside: dict[str, Any] = {"width": max(width, 40), "subsequent_indent": " " * 11, "break_on_hyphens": False}
    beside["break_long_words"] = False
    lines = textwrap.wrap(state, **beside, initial_indent=f"{lane:<10} ")
    return "\n".join([*lines, *textwrap.wrap(said.get("required_action") or "", **beside, initial_indent=" " * 11)])


# --- B2 -------------------------------------------------------------------------------------------


class Question(Input):
    """What to ask a text model."""

    redaction = denial.TraceRedaction
    refuses_personal = True

    prompt: RawText | None = Field(None, file=True, description="What to ask")
    summary: Summary | None = Field(None, file=True, description="One or two sentences; default: which model was asked")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    trace_id: RawText | None = Field(None, description="The trace it belongs to, any text")


@op(
    "B2",
    "model-run",
    writes=True,
    manages_store=True,
    keywords="ask llm prompt generate text advisory ollama",
    example='--prompt "Name three risks of a cache."',
)
def model_run(asked: Question, store: Store) -> Result:
    """Ask the text model. The answer is advice; the trace keeps hashes of prompt and answer, not the texts."""
    first = store.perform(store.call, lambda: _refuse_early(store, asked.task_id))
    if first.get("replayed"):
        return first
    model = backends.opened("text")
    if not asked.prompt:
        raise denial.PromptRequired(field="prompt")
    prompt = asked.prompt
    completion = model.complete(prompt)
    summary = asked.summary or "A text model was asked."
    result = store.perform(
        store.call,
        lambda: _answered(store, completion, prompt=prompt, summary=summary, task_id=asked.task_id, trace_id=asked.trace_id),
    )
    if not result.get("replayed"):
        # Told, not kept: a repeat with the same --key has the hash alone.
        result["output"] = mask(completion.text)[0]
        result.view = lambda width: f"{result['output']}\n\n{result['note']} Trace event {result['id']}."
    return result


def _refuse_early(store: Store, task_id: str | None, proof_id: str | None = None) -> Result:
    """Whatever would refuse the record refuses it before a model is asked."""
    store.refuse_early()
    for target, kind, field in ((task_id, "task", "task_id"), (proof_id, "verification", "proof_id")):
        if target is not None:
            store.check_link(target, kind, field)
    return Result()


def _answered(
    store: Store, completion: backends.Completion, *, prompt: str, summary: str, task_id: str | None, trace_id: str | None
) -> Result:
    """Record the call: one unit of work."""
    row = _trace(store, completion, "model_call", "model-run", summary, prompt, task_id, trace_id)
    return Result(
        id=row["id"],
        content_hash=row["content_hash"],
        advisory=True,
        is_test=bool(row["is_test"]),
        model=row["model"],
        provider=row["provider"],
        output_ref=row["output_ref"],
        tokens={"prompt": row["prompt_tokens"], "completion": row["completion_tokens"], "total": row["total_tokens"]},
        latency_ms=row["latency_ms"],
        note=NOT_KEPT,
    )


def _trace(
    store: Store,
    completion: backends.Completion,
    kind: str,
    name: str,
    summary: str,
    prompt: str,
    task_id: str | None,
    trace_id: str | None,
) -> Row:
    from ..backends.traces import model_call

    return model_call(
        store,
        kind=kind,
        name=name,
        summary=summary,
        model=completion.model,
        provider=completion.provider,
        latency_ms=completion.latency_ms,
        prompt=prompt,
        output=completion.text,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        task_id=task_id,
        trace_id=trace_id,
        tags=["text"],
    )


# --- B4 -------------------------------------------------------------------------------------------


class Judging(Input):
    """A candidate, and what it is judged by."""

    redaction = denial.TraceRedaction
    refuses_personal = True

    body: RawText | None = Field(None, file=True, description="The text to judge")
    prompt: RawText | None = Field(None, file=True, description="The text to judge, as --body")
    query: RawText | None = Field(None, description="The rubric, in words")
    expected_json: JsonOrText | None = Field(None, file=True, description="What is expected, JSON or any text, as rubric")
    eval_case_id: RawText | None = Field(None, description="The eval case whose texts are the rubric")
    dry_run: bool = Field(False, description="Show the hash of the prompt and ask nobody; needs no model")
    metric: Phrase | None = Field(None, description="Name of the score, 40 words at most; default model-judge")
    proof_id: ProofRef | None = Field(None, description="The verification that is scored")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    trace_id: RawText | None = Field(None, description="The trace it belongs to, any text")
    summary: Summary | None = Field(None, file=True, description="One or two sentences; default: the verdict")


@op(
    "B4",
    "model-judge",
    writes=True,
    manages_store=True,
    keywords="llm judge grade score rubric verdict advisory eval",
    example='--body "The cache is cleared on deploy." --query "It says when the cache is cleared." --dry-run',
)
def model_judge(wanted: Judging, store: Store) -> Result:
    """Let the text model judge a text against a rubric: a verdict, a score from 0 to 1, and why. Advice, no acceptance."""
    from ..backends import judge as judges

    if not wanted.dry_run:
        first = store.perform(store.call, lambda: _refuse_early(store, wanted.task_id, wanted.proof_id))
        if first.get("replayed"):
            return first
    model = None if wanted.dry_run else backends.opened("text")
    candidate = _candidate(wanted)
    if not (wanted.query or wanted.expected_json or wanted.eval_case_id):
        raise denial.RubricRequired()
    rubric = _rubric(wanted, store)
    prompt = judges.prompt(candidate, rubric)
    if model is None:
        unknown = dict.fromkeys(
            ("trace_event_id", "score_id", "verdict", "score", "rationale", "model", "provider", "latency_ms")
        )
        return Result(**unknown, advisory=True, dry_run=True, prompt_sha256=prompt.sha256, note="Nobody was asked.")
    verdict = judges.judge(model, candidate, rubric)
    return store.perform(store.call, lambda: _judged(store, wanted, verdict, prompt.whole))


def _candidate(wanted: Judging) -> str:
    if wanted.body and wanted.prompt:
        raise denial.FlagConflict("Pass the text to judge once: --body or --prompt.", flag="--prompt")
    candidate = wanted.body or wanted.prompt
    if not candidate:
        raise denial.CandidateRequired("Pass the text to judge: --body TEXT, --body-file PATH or --prompt TEXT.")
    return candidate


def _rubric(wanted: Judging, store: Store) -> str:
    """All that the text is judged by: the words, the case, what is expected."""
    parts = [wanted.query or ""]
    if wanted.eval_case_id:
        parts.append(case_rubric(_case(wanted.eval_case_id, store)))
    if wanted.expected_json:
        parts.append(f"Expected:\n{wanted.expected_json}")
    return "\n\n".join(part for part in parts if part)


def _case(case_id: str, store: Store) -> Row:
    found: list[Row] = []

    def read() -> Result:
        found.append(store.get("eval_case", case_id))
        return Result()

    call = store.call
    try:
        # The key of this call stands for its write, not for this look.
        store.perform(dataclasses.replace(call, key=None), read)
    except denial.RecordNotFound as refusal:
        raise denial.EvalCaseNotFound(**refusal.detail) from None
    finally:
        store.call = call
    return found[0]


def case_rubric(case: Row) -> str:
    """An eval case as a rubric: its texts, and what it expects."""
    parts = [case["title"], case["summary"], case["body"]]
    parts += [f"Expected:\n{case['expected_json']}"] if case["expected_json"] else []
    return "\n\n".join(part for part in parts if part)


def _judged(store: Store, wanted: Judging, verdict: Any, prompt: str) -> Result:
    """Record the call and its score: one unit of work."""
    from .traces import EvalScore

    completion = verdict.completion
    summary = wanted.summary or f"A model judged a text: {verdict.verdict}, {verdict.score:g}."
    row = _trace(store, completion, "judge", "model-judge", summary, prompt, wanted.task_id, wanted.trace_id)
    rationale = _observed(verdict.rationale)
    given = {
        "name": wanted.metric or "model-judge",
        "value": verdict.score,
        "data_type": "numeric",
        "source": "model",
        "comment": rationale,
        "trace_event_id": row["id"],
        "verification_id": wanted.proof_id,
    }
    score = judge(EvalScore, given)
    score.value_num, score.value_label = verdict.score, verdict.verdict
    scored = store.add(score)
    return Result(
        id=scored["id"],
        advisory=True,
        trace_event_id=row["id"],
        score_id=scored["id"],
        verdict=verdict.verdict,
        score=verdict.score,
        rationale=rationale,
        model=row["model"],
        provider=row["provider"],
        latency_ms=row["latency_ms"],
        prompt_sha256=verdict.prompt_sha256,
        dry_run=False,
        note=ADVISORY,
    )


# --- B6 -------------------------------------------------------------------------------------------

RECENT = ("id", "kind", "name", "model", "provider", "latency_ms", "created_at", "tags_json")


class Watching(Input):
    """How long to look, and how far back."""

    scanned = False
    limit: int | None = Field(None, description="So many recent calls; 0 is the default of 10, negative is no limit")
    watch: bool = Field(False, description="Look again and again until Ctrl-C; with --json one object a line")
    interval: Annotated[float, Range(0.1, 86_400)] | None = Field(None, description="Seconds between two looks; default 2")
    probe: bool = Field(False, description="Try the configured models first, which loads them")
    hold: Annotated[int, Range(0, 86_400)] | None = Field(
        None, description="Try them, and keep them loaded so many seconds, to be seen in the list of the GPU"
    )


@op(
    "B6",
    "model-monitor",
    manages_store=True,
    keywords="gpu nvidia ollama processes loaded models recent calls watch backend status",
    example="--limit 5",
)
def model_monitor(wanted: Watching, store: Store) -> Result:
    """Show GPU, GPU processes, ollama, the configured backends and recent calls of models."""
    from ..backends import monitor

    if wanted.watch and wanted.hold is not None:
        raise denial.FlagConflict("Pass --watch or --hold: while it watches, a probed model stays loaded.", flag="--hold")
    if wanted.interval is not None and not wanted.watch:
        raise denial.FlagConflict("Pass --interval together with --watch.", flag="--interval")
    tried = {lane: examined(lane) for lane in backends.LANES} if wanted.probe or wanted.hold is not None else {}
    if not wanted.watch:
        result = _seen(wanted, store, tried)
        if wanted.hold:
            monitor.wait(wanted.hold)
        return result
    try:
        while True:
            monitor.show(_seen(wanted, store, tried), as_json=not output.is_for_people())
            monitor.wait(wanted.interval or 2.0)
    except KeyboardInterrupt:
        return Result(streamed=True)


def _seen(wanted: Watching, store: Store, tried: dict[str, dict[str, Any]]) -> Result:
    """One look."""
    from ..backends import monitor

    devices, processes = monitor.gpu()
    lanes = [_lane(lane, tried.get(lane)) for lane in backends.LANES]
    recent = store.perform(store.call, lambda: Result(recent=_recent(store, wanted.limit or 10)))
    result = Result(
        gpu=devices,
        gpu_processes=processes,
        ollama=monitor.ollama(),
        backends=lanes,
        recent=recent["recent"],
        seen_at=clock.now(),
    )
    result.view = lambda width: monitor.panel(result, width)
    return result


def _lane(lane: str, tried: dict[str, Any] | None) -> dict[str, Any]:
    """A configured backend in the monitor's words; `tried` is what a probe said."""
    try:
        found = backends.config(lane)
    except denial.Denial as refusal:
        return {"lane": lane, "configured": False, "backend": None, "model": None, "device": None, "reason": refusal.message}
    kind = backends.BACKENDS[lane].get(found.backend or "", "")
    device = "server" if kind.startswith("openai_compatible") else found.device if kind else None
    said: dict[str, Any] = {
        "lane": lane,
        "configured": not backends.missing(found),
        "backend": found.backend,
        "model": _safe(found.model),
        "device": device,
    }
    if tried is not None and tried["configured"]:
        said |= {name: tried[name] for name in ("reachable", "ok", "dimension", "device", "reason") if name in tried}
    return said


def _recent(store: Store, limit: int) -> list[dict[str, Any]]:
    """The newest calls of models, each with its lane."""
    where = {"kind": ("in", ("model_call", "judge"))}
    rows = store.list("trace_event", where, limit=limit, columns=RECENT)
    return [{"lane": _lane_of(row.pop("tags_json")), **row} for row in rows]


def _lane_of(tags: str | None) -> str:
    said: Sequence[Any] = json.loads(tags) if tags else ()
    return next((tag for tag in said if tag in backends.LANES), "text")


# --- words of models ------------------------------------------------------------------------------


def _observed(text: str) -> str:
    """A model's words for a record: nothing secret or private, nothing that cannot be stored, 120 words at most."""
    clean = text.replace("\0", " ").encode("utf-8", "ignore").decode()
    clean = " ".join(mask(clean, personal=True)[0].split()[:120])[:4_000]
    return "(withheld: it held what looks like a secret)" if kinds_in(clean, personal=True) else clean


def _safe(text: str | None) -> str | None:
    return None if text is None else mask(text)[0]
