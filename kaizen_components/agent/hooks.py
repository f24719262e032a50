"""Hooks: what is asked before a call of a tool, in order, and told after it. A failing before-hook denies.

A hook is a Python callable, or a command that gets JSON on its stdin and may answer with JSON on its stdout. Before a call it may deny it,
with a message, or change its input; after a call it observes. What is given to it:

    {"event": "before" or "after", "tool_name", "tool_input", "run_id", "cwd", and after the call "tool_result"}

What it may answer: nothing; {"should_continue": false, "message": ...}; {"decision": "deny", "reason": ...}; {"tool_input": {...}}.
A command that exits with 2 denies with what it wrote to stderr; with any other code but 0, before a call, it failed, which denies as well.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..fields import shorten

Payload = dict[str, Any]
Hook = Callable[[Payload], Any]

TIMEOUT = 30.0
MOST_ANSWER = 1_000_000


@dataclass(frozen=True, slots=True)
class Said:
    """What a hook said: `denied` with a message, another input, and how long it took."""

    name: str
    denied: bool = False
    message: str | None = None
    given: Mapping[str, Any] | None = None
    duration_ms: int = 0

    def record(self) -> dict[str, Any]:
        """As a tool call's record keeps it."""
        return {
            "hook": self.name,
            "denied": self.denied,
            "message": self.message,
            "changed": self.given is not None,
            "duration_ms": self.duration_ms,
        }


@dataclass(frozen=True, slots=True)
class Registered:
    """A hook, and the tools that it is for (None: all)."""

    name: str
    ask: Hook
    tools: re.Pattern[str] | None = None


class Hooks:
    """The hooks of a session, in the order in which they are asked."""

    def __init__(self) -> None:
        self.before: list[Registered] = []
        self.after: list[Registered] = []

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    def add(
        self,
        event: str,
        hook: Hook | Sequence[str],
        *,
        tools: str | None = None,
        timeout: float = TIMEOUT,
        cwd: Path | None = None,
        source: str | None = None,
    ) -> None:
        """Add a callable or a command line for `before` or `after`; `tools` is a regular expression that a tool's whole name has to match,
        `source` the file that it stands in."""
        if event not in ("before", "after"):
            raise ValueError(f"a hook is for before or after, not {event!r}")
        if callable(hook):
            name, ask = getattr(hook, "__qualname__", type(hook).__name__), hook
        else:
            name = shorten(shlex.join(hook), 200) + (f" ({source})" if source is not None else "")
            ask = _command(name, list(hook), timeout, cwd)
        pattern = None if tools in (None, "", "*") else re.compile(tools)
        getattr(self, event).append(Registered(name, ask, pattern))

    def of(self, event: str, tool: str) -> list[Registered]:
        """Those that are for a tool, in the order in which they are asked."""
        return [hook for hook in getattr(self, event) if hook.tools is None or hook.tools.fullmatch(tool)]

    def ask_before(self, payload: Payload) -> list[Said]:
        """Ask each in turn, the next with the input that the one before left; the first that denies ends it."""
        heard: list[Said] = []
        for hook in self.of("before", payload["tool_name"]):
            said = _asked(hook, {**payload, "event": "before"})
            heard.append(said)
            if said.denied:
                break
            if said.given is not None:
                payload = {**payload, "tool_input": dict(said.given)}
        return heard

    def tell_after(self, payload: Payload) -> list[Said]:
        """Tell each; what one says or how it fails changes nothing."""
        return [_asked(hook, {**payload, "event": "after"}) for hook in self.of("after", payload["tool_name"])]


class _Failed(Exception):
    pass


def _asked(hook: Registered, payload: Payload) -> Said:
    started = time.perf_counter()

    def took() -> int:
        return int((time.perf_counter() - started) * 1000)

    try:
        # What a hook changes in what it is shown changes nothing: it has to answer with it.
        answer = hook.ask(copy.deepcopy(payload))
        if inspect.iscoroutine(answer):
            answer = _awaited(answer)
        denied, message, given = _read(answer)
    except Exception as fault:
        return Said(hook.name, True, f"the hook {hook.name} failed: {fault or type(fault).__name__}", None, took())
    return Said(hook.name, denied, message, given, took())


def _awaited(coroutine: Any) -> Any:
    """The answer of a hook that is a coroutine, in a loop of its own: hooks are asked from a thread that has none."""
    import asyncio

    return asyncio.run(coroutine)


def _read(answer: Any) -> tuple[bool, str | None, Mapping[str, Any] | None]:
    """(denied, message, other input) of an answer. What is no answer is a failure."""
    if answer is None or answer is True:
        return False, None, None
    if answer is False:
        return True, None, None
    if not isinstance(answer, Mapping):
        raise _Failed(f"it answered with {type(answer).__name__}, not with an object")
    message = answer.get("message") or answer.get("reason")
    go_on, decision, given = answer.get("should_continue", True), answer.get("decision", "allow"), answer.get("tool_input")
    if not isinstance(go_on, bool) or decision not in ("allow", "deny") or not isinstance(given, Mapping | None):
        raise _Failed("its answer cannot be read")
    return not go_on or decision == "deny", None if message is None else str(message), given


def _command(name: str, argv: list[str], timeout: float, cwd: Path | None) -> Hook:
    """A command as a hook."""

    def ask(payload: Payload) -> Any:
        from .. import process

        ended = process.run(argv, cwd=cwd, text=json.dumps(payload, default=str), timeout=timeout, most=MOST_ANSWER)
        stdout, stderr = (stream.kept().decode("utf-8", "replace").strip() for stream in (ended.stdout, ended.stderr))
        if ended.timed_out:
            raise _Failed(f"no answer within {timeout:g} seconds")
        if ended.exit_code == 2:
            return {"should_continue": False, "message": f"the hook {name} says: {stderr or stdout or 'exit code 2'}"}
        if ended.exit_code != 0:
            raise _Failed(stderr or f"exit code {ended.exit_code}")
        return json.loads(stdout) if stdout else None

    return ask
