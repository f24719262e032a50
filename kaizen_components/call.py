"""Call: who calls which operation, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls which operation, and how: what the ledger says besides the record itself."""

    op: str
    test: bool = False
    key: str | None = None
    agent: str | None = None
    session: str | None = None
    request: Mapping[str, Any] | None = None
    writes: bool = False
    # The operation does nothing but add records: a batch need not set it apart.
    only_adds: bool = False


class Result(dict[str, Any]):
    """An answer: `status` first, then what the operation says. A finding is an answer with exit code 1."""

    exit_code: int = 0
    # The operation has printed its answer itself, as it came about.
    streamed: bool = False
    # The answer for a person, laid out for a width, where tables of its values would read badly.
    view: Callable[[int], str] | None = None
    # The answer for a person to the byte, where it is a text of its own: a file's content, Markdown.
    plain: str | None = None

    def __init__(self, *, finding: bool = False, exit_code: int | None = None, streamed: bool = False, **values: Any) -> None:
        super().__init__(status="FAILED" if finding else "OK", **values)
        self.exit_code = int(finding) if exit_code is None else exit_code
        self.streamed = streamed
