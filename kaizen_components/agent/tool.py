"""Tool: what every tool is made of, what it is told of its surroundings, and what it answers.

A tool says what it takes (a pydantic model), what a call of it would touch, how dangerous that is, and does it. It decides nothing and
records nothing: permissions/ decides, managed.py records.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from ..store import Store
    from .confinement import Confinement
    from .managed import Session
    from .permissions.settings import Policy

GROUPS = ("file", "bash", "search", "agent", "interaction", "planning", "process")


class Given(BaseModel):
    """What a tool takes. Unknown arguments are refused by name; nothing is guessed from another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ToolError(Exception):
    """A tool could not do what was asked. `kind` is a stable word: not_found, not_unique, outside_workspace, timeout ..."""

    def __init__(self, kind: str, message: str, **metadata: Any) -> None:
        super().__init__(message)
        self.kind, self.message, self.metadata = kind, message, metadata


def unfit(argument: str, kind: str, message: str, **metadata: Any) -> ToolError:
    """The refusal of an argument that is well formed and of no use here, in the way that a schema refuses one."""
    error = {"argument": argument, "message": message, "type": kind}
    return ToolError("bad_argument", f"{argument}: {message}", errors=[error], **metadata)


@dataclass(frozen=True, slots=True)
class Access:
    """Something that a call would touch: `way` is read, write, run, fetch or use; `what` is a path, a command, an address, a name.

    A path is absolute, with every symbolic link in it followed as far as it exists.
    """

    way: str
    what: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that a call changed: its SHA-256 before (None: it was not there) and after, and the texts for a diff where they are texts."""

    path: str
    before: str | None
    after: str | None
    diff: str | None = None


@dataclass(slots=True)
class Outcome:
    """What a tool did: `output` is a text or JSON for the caller, `metadata` what there is to know besides."""

    output: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    files: list[Changed] = field(default_factory=list)
    # What really held the program in; None for a tool that runs none.
    confinement: Mapping[str, Any] | None = None
    # False where the tool did its work and what it ran failed: a command that exits with 1.
    success: bool = True
    error: str | None = None
    error_kind: str | None = None


@dataclass(slots=True)
class ToolResult:
    """What a caller gets of a call."""

    success: bool
    output: Any = None
    error: str | None = None
    error_kind: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    duration_ms: int = 0
    call_id: str | None = None
    decision: str = "allow"
    rule: str | None = None
    danger: str = "safe"
    # What really held the program in, where one ran.
    confinement: dict[str, Any] | None = None
    # seq and chain_hash of the ledger when the call was recorded.
    receipt: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """success, output, error, metadata, duration_ms, and the rest."""
        names = (
            "success",
            "output",
            "error",
            "error_kind",
            "metadata",
            "duration_ms",
            "call_id",
            "decision",
            "rule",
            "danger",
            "confinement",
        )
        return {name: getattr(self, name) for name in names}


class Stop:
    """Tells a call that is under way to end. `now` ends what it runs at once, else it may finish a step."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.now = False

    def ask(self, *, now: bool = True) -> None:
        self.now = self.now or now
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until somebody asks; whether somebody did."""
        return self._asked.wait(seconds)


Answer = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]


@dataclass(slots=True)
class Context:
    """Where a call takes place.

    `workspace` is the folder that may be written; relative paths start at `cwd`, which lies in it. `store` is the plane, None where there
    is none: only what keeps records needs it, and it never holds it while something else is at work.
    """

    workspace: Path
    cwd: Path
    store: Store | None = None
    run_id: str | None = None
    task_id: str | None = None
    call_id: str | None = None
    mode: str = "default"
    # The settings file that sets the mode, where neither the call nor its run does.
    mode_source: str | None = None
    # Folders besides the workspace that rules opened for writing.
    writable: tuple[Path, ...] = ()
    # What a program must not write although it lies in what it may, and what it must not see, where rules say so.
    protected: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    network: bool = False
    # Names of environment variables that commands may see although they could be credentials.
    environment: tuple[str, ...] = ()
    confinement: Confinement | None = None
    # What the gate let pass of this call; a file that is opened turns out to be one of these paths, or to lie in the workspace.
    granted: tuple[Access, ...] = ()
    # The rules in force, for what turns up while a tool is at work: files in a folder, hosts of redirects.
    policy: Policy | None = None
    # Hosts that are not public and that a rule opened (web tools).
    hosts: tuple[str, ...] = ()
    # Answers questions at once: a program's callback, or a person at a terminal.
    ask: Answer | None = None
    stop: Stop = field(default_factory=Stop)
    # What manages this call; a tool that starts other agents hands their calls to one like it.
    session: Session | None = None
    # When the run's time is over, by time.monotonic().
    deadline: float | None = None

    def left(self, seconds: float) -> float:
        """How long a step of so many seconds may take: no longer than the run may."""
        return seconds if self.deadline is None else max(min(seconds, self.deadline - time.monotonic()), 0.0)

    def path(self, text: str) -> Path:
        """The absolute path that a text means, with symbolic links followed as far as they exist."""
        path = Path(text).expanduser()
        return (path if path.is_absolute() else self.cwd / path).resolve(strict=False)


class Tool:
    """One tool. Its docstring is what a model reads of it."""

    name: ClassVar[str]
    group: ClassVar[str]
    takes: ClassVar[type[Given]] = Given
    # The name by which rules know it, and the wider ones that rules may use for it as well.
    rule_names: ClassVar[tuple[str, ...]]
    # Nothing that it does changes anything outside the ledger.
    reads_only: ClassVar[bool] = False

    def check(self, given: Any, context: Context) -> None:
        """Refuse arguments that no permission would mend, such as the name of what is not there. Raises ToolError, made by unfit()."""

    def accesses(self, given: Any, context: Context) -> Sequence[Access]:
        """What a call would touch. Nothing is touched yet."""
        return ()

    def danger(self, given: Any, context: Context) -> str:
        """How dangerous this call is: safe, low, medium, high or critical."""
        return "safe"

    def run(self, given: Any, context: Context) -> Outcome:
        """Do it. Raises ToolError."""
        raise NotImplementedError

    def told(self, output: Any, metadata: Mapping[str, Any]) -> str:
        """What it answered, as a person reads it; programs get the output as it is."""
        if not isinstance(output, Mapping):
            return (
                output if isinstance(output, str) else "" if output is None else json.dumps(output, indent=2, ensure_ascii=False)
            )
        values = {name: value for name, value in output.items() if value is not None}
        return "\n".join(
            f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            for name, value in values.items()
        )

    @classmethod
    def purpose(cls) -> str:
        import inspect

        return inspect.getdoc(cls) or ""

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema of what it takes."""
        schema = cls.takes.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return schema
