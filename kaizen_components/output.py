"""Output: replies and refusals, as JSON for programs and as text for people (rich is imported only for those)."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from .denial import Denial

if TYPE_CHECKING:
    from .op import Op, Result


def prepare_streams() -> None:
    """UTF-8 out, and no traceback for a character that a stream cannot show."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


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
    sys.stdout.write(content.rstrip("\n") + "\n")
    sys.stdout.flush()


def as_json_text(result: Mapping[str, Any]) -> str:
    """An answer as --json prints it."""
    return json.dumps(result, indent=2, default=str) + "\n"


def reply(result: Result, operation: Op | None, *, as_json: bool) -> None:
    """Print an answer on stdout."""
    if as_json:
        text(as_json_text(result))
    elif operation is None:
        text(f"kaizen {result['tool_version']}")
    else:
        from .human import show

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


def _envelope(code: str, message: str, exit_code: int) -> dict[str, Any]:
    action = "Run K10 doctor; if it finds nothing, report this with the command that you ran."
    if exit_code == 130:
        action = "Run the command again."
    return {"status": "ERROR", "code": code, "message": message, "required_action": action, "exit_code": exit_code}


def _complain(envelope: Mapping[str, Any], *, as_json: bool) -> None:
    stream: TextIO = sys.stderr
    try:
        if as_json:
            stream.write(json.dumps(envelope, indent=2, default=str) + "\n")
        else:
            stream.write(f"{envelope['code']}: {envelope['message']}\n")
            shown = ("status", "code", "message", "required_action", "exit_code", "example")
            for name, value in envelope.items():
                if name not in shown and value is not None:
                    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
                    stream.write(f"  {name}: {written}\n")
            stream.write(f"required_action: {envelope['required_action']}\n")
            if envelope.get("example"):
                stream.write(f"example: {envelope['example']}\n")
        stream.flush()
    except (BrokenPipeError, ValueError):
        silence()
