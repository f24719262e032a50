"""Output: replies and refusals, as JSON for programs and as text for people (rich is imported only for those)."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from .denial import Denial, masked

if TYPE_CHECKING:
    from .op import Op, Result


class AnswerLost(Exception):
    """What an operation did stands, but its answer could not be written: why."""


def prepare_streams() -> None:
    """UTF-8 out, and no traceback for a character that a stream cannot show, or for a stream that is closed."""
    _occupy_closed()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


def _occupy_closed() -> None:
    """Give the numbers of closed streams to nothing: else the next file to be opened, the database perhaps, would get
    them, and with them what some library prints."""
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Tell an answer that cannot be written from an operation that failed; a closed pipe is neither."""
    try:
        yield
    except (BrokenPipeError, SystemExit):
        # Rich ends the program where a pipe is closed.
        raise BrokenPipeError from None
    except OSError as fault:
        raise AnswerLost(fault.strerror or str(fault)) from fault


def silence() -> None:
    """After a closed pipe: nothing more is said, also not when the interpreter flushes at its end."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(null, stream.fileno())
    except (OSError, ValueError):
        pass


# Whether a command's stdout may go to ours: not where that is kept for JSON.
_stdout_is_free = False


def pass_stdout_through(allowed: bool) -> None:
    """Say whether the stdout of a command that Kaizen runs goes to our stdout; else it goes to stderr."""
    global _stdout_is_free
    _stdout_is_free = allowed


def many(count: int, noun: str) -> str:
    """A number of things in words: 1 chunk, 2 chunks."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_for_people() -> bool:
    """Whether the answer will be text for a person, not JSON."""
    return _stdout_is_free


class Through:
    """One stream of a running command, shown as it comes, byte for byte."""

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._stream, self._bytes = stream, getattr(stream, "buffer", None)
        self._last = b"\n"

    def write(self, block: bytes) -> None:
        """Show a block; OSError where nobody reads any more."""
        self._last = block[-1:]
        if self._bytes is None:
            self._stream.write(block.decode("utf-8", "replace"))
        else:
            self._bytes.write(block)
            self._bytes.flush()

    def finish(self) -> None:
        """End a last line that has no end, so that what Kaizen says starts a line."""
        if self._last != b"\n":
            with contextlib.suppress(OSError, ValueError):
                self.write(b"\n")


def through() -> tuple[Through, Through]:
    """Where stdout and stderr of a command go while it runs."""
    return Through(sys.stdout if _stdout_is_free else sys.stderr), Through(sys.stderr)


def text(content: str) -> None:
    """Print plain text."""
    with _answering():
        sys.stdout.write(content.rstrip("\n") + "\n")
        sys.stdout.flush()


def as_json_text(result: Mapping[str, Any]) -> str:
    """An answer as --json prints it."""
    return json.dumps(result, indent=2, default=str) + "\n"


def reply(result: Result, operation: Op | None, as_json: bool) -> None:
    """Print an answer on stdout."""
    if as_json:
        text(as_json_text(result))
    elif operation is None:
        text(f"kaizen {result['tool_version']}")
    elif result.plain is not None:
        text(result.plain)
        for warning in result.get("warnings", ()):
            sys.stderr.write(clean(f"warning: {warning}\n"))
    else:
        from .human import show

        with _answering():
            show(result, operation)
            sys.stdout.flush()


def refusal(denied: Denial, *, as_json: bool) -> None:
    """Print a refusal on stderr."""
    envelope = denied.envelope()
    _complain(envelope, as_json=as_json)


def error(code: str, message: str, exit_code: int, *, as_json: bool) -> None:
    """Print what went wrong on stderr, in the envelope of refusals."""
    _complain(_envelope(code, message, exit_code), as_json=as_json)


def unexpected(fault: Exception) -> dict[str, Any]:
    """A defect of ours, in the envelope of refusals."""
    return _envelope("ERROR_UNEXPECTED", f"{type(fault).__name__}: {fault}", 1)


_ACTIONS = {
    "ERROR_INTERRUPTED": "Look whether it was written, with K22 ledger-list; a call with --key can simply be repeated.",
    "ERROR_OUTPUT": "Make room where the output goes. What was written shows K22 ledger-list; a call with --key can be repeated.",
}


def _envelope(code: str, message: str, exit_code: int) -> dict[str, Any]:
    action = _ACTIONS.get(code, "Run K10 doctor; if it finds nothing, report this with the command that you ran.")
    return {"status": "ERROR", "code": code, "message": masked(message), "required_action": action, "exit_code": exit_code}


def _written(value: Any) -> str:
    """A value of a refusal for a person: a list of records has a line each."""
    if isinstance(value, list | tuple):
        if any(isinstance(item, dict) for item in value):
            return "".join(f"\n    {_written(item)}" for item in value)
        return ", ".join(_written(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_written(item)}" for name, item in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


# A terminal obeys control characters, and shows a text in another order than it stands; what is recorded may hold any.
_CONTROLS = {code: chr(0x2400 + code) for code in range(32) if code not in (9, 10)}
_CONTROLS |= dict.fromkeys([*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd")


def clean(text: str) -> str:
    """A text without what a terminal obeys: control characters become visible signs; line ends and tabs stay."""
    return text if text.isascii() and text.isprintable() else text.replace("\r\n", "\n").translate(_CONTROLS)


def _complain(envelope: Mapping[str, Any], *, as_json: bool) -> None:
    stream: TextIO = sys.stderr
    try:
        if as_json:
            stream.write(json.dumps(envelope, indent=2, default=str) + "\n")
        else:
            stream.write(clean(f"{envelope['code']}: {envelope['message']}\n"))
            shown = ("status", "code", "message", "required_action", "exit_code", "example")
            for name, value in envelope.items():
                if name not in shown and value is not None:
                    stream.write(clean(f"  {name}: {_written(value)}\n".replace(": \n", ":\n", 1)))
            stream.write(clean(f"required_action: {envelope['required_action']}\n"))
            if envelope.get("example"):
                stream.write(f"example: {envelope['example']}\n")
        stream.flush()
    except (OSError, ValueError):
        silence()
