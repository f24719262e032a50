"""Batch: many operations in one process, as JSON lines in and JSON lines out."""

import json
import os
import re
import select
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from .. import denial, output
from ..fields import RawText, parse_json
from ..op import Op, Result, load, op, run
from ..record import Field, Input
from ..store import Store

# Lines that share one commit: enough to be fast, few enough that nobody waits long for the lock or the answer.
GROUP = 256
LONGEST = 16_000_000
_REFERENCE = re.compile(r"^\$(\d+)\.([A-Za-z_]\w*(?:\.\w+)*)$")


class BatchInput(Input):
    """Where the lines come from, and whether they stand or fall together."""

    scanned = False
    path: RawText = Field("-", description="File with one JSON object a line; - reads stdin")
    atomic: bool = Field(False, description="All or nothing: one refused line takes everything back")


@op("K8", "batch", manages_store=True, keywords="bulk many import jsonl stdin fast", example="--path records.jsonl")
def batch(given: BatchInput, store: Store) -> Result:
    """Run many operations: {"op": "W1", "title": "..."} a line; "$1.id" refers to line 1's answer.

    Answers one JSON object a line, in the same order, each after its commit. Exit code 1 when a line was refused.
    """
    replies = Replies(store)
    lines = source(given.path)
    if given.atomic:
        return _atomic(replies, lines, store)
    refused = 0
    for group in lines:
        try:
            with store.group():
                answers = [replies.answer(number, line) for number, line in group]
        except denial.Denial as refusal:
            refusal.detail["line"] = group[0][0]
            refusal.message += f" Nothing was written from line {group[0][0]} on."
            raise
        refused += sum(answer["status"] != "OK" for answer in answers)
        for answer in answers:
            output.text(json.dumps(answer, default=str))
    return Result(exit_code=int(refused > 0), streamed=True)


def _atomic(replies: "Replies", lines: Iterator[list[tuple[int, bytes]]], store: Store) -> Result:
    # All is read before the plane is locked: nobody waits for a slow pipe.
    waiting = [numbered for group in lines for numbered in group]
    answers = []
    with store.group():
        for number, line in waiting:
            answer = replies.answer(number, line)
            if answer["status"] != "OK":
                message = f"Line {number} was refused, so nothing of the batch was written."
                raise denial.BatchLine(message=message, line=number, refusal=answer)
            answers.append(answer)
    for answer in answers:
        output.text(json.dumps(answer, default=str))
    return Result(streamed=True)


class Replies:
    """Answers of the lines so far, for the lines that refer to them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.answers: dict[int, dict[str, Any]] = {}
        self.operations: dict[str, Op] = {}

    def answer(self, number: int, line: bytes) -> dict[str, Any]:
        """Run one line: its answer, or its refusal, with its number."""
        try:
            result: dict[str, Any] = {"line": number, **self._run(line)}
        except denial.ConnectRetryExhausted:
            # Every further line would wait as long.
            raise
        except denial.Denial as refusal:
            result = {"line": number, **refusal.envelope()}
        except Exception as fault:
            if os.environ.get("KAIZEN_DEBUG"):
                raise
            result = {"line": number, **output.unexpected(fault)}
        self.answers[number] = result
        return result

    def _run(self, line: bytes) -> Result:
        if len(line) > LONGEST:
            raise denial.FileTooBig(
                "Put long texts into files and name them: body_file.", message="The line is too long.", limit=LONGEST
            )
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError as fault:
            raise denial.JsonInvalid(reason=str(fault)) from None
        request = _parsed(text)
        if not isinstance(request, dict) or not isinstance(request.get("op"), str):
            raise denial.PayloadType(
                'Write one JSON object a line: {"op": "W1", "title": "...", "summary": "..."}.',
                message="The line is no object with an op.",
            )
        operation = self._operation(request.pop("op"))
        values = {key: self._resolved(value) for key, value in request.items() if key != "json"}
        if operation.input is not None:
            values = _with_files(operation, values)
        return run(operation, values, self.store, from_json=True)

    def _operation(self, name: str) -> Op:
        if name not in self.operations:
            operation = load(name)
            if operation.manages_store or operation.takes_command:
                raise denial.Usage(
                    f"Run {operation.code} by itself.", message=f"{operation.code} does not run inside a batch.", operation=name
                )
            self.operations[name] = operation
        return self.operations[name]

    def _resolved(self, value: Any) -> Any:
        """ "$3.id" is what line 3 answered, also inside lists."""
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        match = _REFERENCE.match(value) if isinstance(value, str) and value.startswith("$") else None
        if not match:
            return value
        found: Any = self.answers.get(int(match[1]), {})
        if found.get("status") != "OK":
            found = None
        for key in match[2].split("."):
            if isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise denial.ReferenceNotFound(
                    "Refer to an earlier line that succeeded, and to a key of its answer.",
                    message=f"{value} names no answer.",
                    value=value,
                )
        return found


def _parsed(line: str) -> Any:
    """The JSON of a line; the refusal speaks of lines, which no flag gives."""
    try:
        return parse_json(line, "line")
    except denial.JsonInvalid as fault:
        raise denial.JsonInvalid(
            'Write one JSON object a line: {"op": "W1", "title": "...", "summary": "..."}.',
            field="line",
            reason=fault.detail["reason"],
        ) from None


def _with_files(operation: Op, values: dict[str, Any]) -> dict[str, Any]:
    from ..cli import read_files

    if any(value == "-" for key, value in values.items() if key.endswith("_file")):
        raise denial.FlagConflict("Name a file.", message="Inside a batch, stdin is the batch itself.")
    return read_files(operation.input, values)


def source(name: str) -> Iterator[list[tuple[int, bytes]]]:
    """Groups of numbered lines: full ones, or what there is when no more is ready."""
    if name != "-":
        try:
            with open(name, "rb") as file:
                yield from _groups(file, None)
        except OSError as fault:
            raise denial.FileNotFound(path=name, reason=fault.strerror) from None
        return
    if sys.stdin is None:
        raise denial.FileNotFound(path=name, reason="stdin is closed")
    stream = sys.stdin.buffer
    try:
        descriptor: int | None = sys.stdin.fileno()
    except (OSError, ValueError):
        descriptor = None
    yield from _groups(stream, descriptor)


def _groups(stream: BinaryIO, descriptor: int | None) -> Iterator[list[tuple[int, bytes]]]:
    number, rest, group = 0, b"", []
    while True:
        if group and descriptor is not None and not _is_ready(descriptor):
            yield group
            group = []
        block = stream.read1(1 << 16) if hasattr(stream, "read1") else stream.read(1 << 16)  # type: ignore[attr-defined]
        if len(rest) > LONGEST and block and b"\n" not in block:
            # Of a line that is too long, only so much is kept that it is seen to be.
            continue
        lines = (rest + block).split(b"\n")
        rest = lines.pop() if block else b""
        for line in lines:
            number += 1
            if line.strip():
                group.append((number, line))
            if len(group) >= GROUP:
                yield group
                group = []
        if not block:
            break
    if group:
        yield group


def _is_ready(descriptor: int) -> bool:
    """Whether more can be read without waiting; on Windows nobody can tell of a pipe."""
    return sys.platform != "win32" and bool(select.select([descriptor], [], [], 0)[0])
