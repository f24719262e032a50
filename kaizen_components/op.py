"""Op: the registry of operations, and run(), the one way into them for every surface."""

import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from . import denial
from .call import Call, Result
from .fields import Bytes
from .record import Field, Input, Record, judge

if TYPE_CHECKING:
    from .store import Store

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: how it is called, what it takes, what it does."""

    code: str
    aliases: tuple[str, ...]
    purpose: str
    keywords: str
    example: str
    function: Callable[..., Any]
    input: type[Input] | None
    writes: bool
    takes_store: bool
    takes_command: bool
    # An operation that makes its own units of work (batch, rebuild, a command that runs for minutes).
    manages_store: bool
    # It answers where there is no plane yet.
    needs_plane: bool
    # It does nothing but add records; said, or seen from an input that is a record.
    adds: bool

    @property
    def only_adds(self) -> bool:
        return self.adds or (self.input is not None and issubclass(self.input, Record))

    @property
    def alias(self) -> str:
        return self.aliases[0]


OPS: dict[str, Op] = {}


def op(
    code: str,
    *aliases: str,
    keywords: str = "",
    example: str = "",
    input: type[Input] | None = None,
    writes: bool = False,
    manages_store: bool = False,
    needs_plane: bool = True,
    only_adds: bool = False,
) -> Callable[[Function], Function]:
    """Declare an operation. The function's docstring is its help; a parameter typed as an Input or Record gives its
    flags (or `input=`, for a class made by a call); `store: Store` gives it the data plane; `command: list[str]`
    gives it what stands behind `--`."""

    def register(function: Function) -> Function:
        annotations = dict(function.__annotations__)
        declared = next((kind for kind in annotations.values() if isinstance(kind, type) and issubclass(kind, Input)), None)
        OPS[code] = Op(
            code=code,
            aliases=aliases,
            purpose=(inspect.getdoc(function) or "").strip(),
            keywords=keywords,
            example=example,
            function=function,
            input=input or declared,
            writes=writes,
            takes_store="store" in annotations,
            takes_command="command" in annotations,
            manages_store=manages_store,
            needs_plane=needs_plane,
            adds=only_adds,
        )
        return function

    return register


def load(name: str) -> Op:
    """The operation of a code or alias, in any case; imports its family alone."""
    from .ops import _index

    code = name.upper()
    if code not in _index.OPS:
        code = _index.ALIASES.get(name.lower(), "")
    if not code:
        raise unknown_operation(name)
    if code not in OPS:
        importlib.import_module(f"kaizen_components.ops.{_index.OPS[code].module}")
    return OPS[code]


def load_all() -> dict[str, Op]:
    """Every operation, by code, in the order of the index."""
    from .ops import _index

    return {code: load(code) for code in _index.OPS}


def unknown_operation(name: str) -> denial.Usage:
    """The refusal of a name that is no operation, with the nearest that are."""
    from difflib import get_close_matches

    from .ops import _index

    near = get_close_matches(name.lower(), [*_index.ALIASES, *(code.lower() for code in _index.OPS)], n=3, cutoff=0.6)
    nearest = [entry.upper() if entry.upper() in _index.OPS else entry for entry in near]
    hint = f"Did you mean {' or '.join(nearest)}? " if nearest else ""
    return denial.Usage(
        f'{hint}Find operations with: python kaizen.py K0 --query "what you want to do"',
        message=f"There is no operation {name!r}.",
        operation=name,
        **({"nearest": nearest} if nearest else {}),
    )


COMMON = ("test", "key", "agent")


class Common(Input):
    """Flags of every writing operation."""

    test: bool = Field(False, description="Mark what is written as test data, which K7 purges")
    key: Annotated[str, Bytes(1_000)] | None = Field(None, description="Idempotency key: makes the call safe to repeat")
    agent: Annotated[str, Bytes(1_000)] | None = Field(None, description="Who acts, for the ledger; default KAIZEN_AGENT")


def common_of(operation: Op) -> list[str]:
    """The common flags that an operation has. Where a flag of its own has the same name, as where --agent says which
    agent is measured, the environment alone says who acts."""
    own = {spec.key for spec in operation.input.specs if spec.flagged} if operation.input else set()
    return [name for name in COMMON if name not in own] if operation.writes else []


class Caller(Input):
    """Who calls, where the call itself does not say: judged as flags are."""

    agent: Annotated[str, Bytes(1_000)] | None = Field(None, description="KAIZEN_AGENT")
    session: Annotated[str, Bytes(1_000)] | None = Field(None, description="KAIZEN_SESSION")


def run(
    operation: Op, given: Mapping[str, Any], store: "Store", *, from_json: bool = False, command: list[str] | None = None
) -> Result:
    """Judge the input, run the operation in one unit of work, and answer after the commit.

    `given` holds values by key (flags with underscores). Raises Denial; everything else is a defect.
    """
    values = dict(given)
    flags = {name: values.pop(name, None) for name in common_of(operation)}
    try:
        if from_json:
            _refuse_unknown_keys(operation, values, flags)
        arguments: dict[str, Any] = {}
        request: dict[str, Any] = {}
        if operation.input is not None:
            judged = judge(operation.input, values, from_json=from_json)
            arguments[_input_name(operation)] = judged
            request = {spec.key: getattr(judged, spec.name) for spec in judged.specs if spec.flagged}
        common, caller = judge(Common, flags, from_json=from_json), _caller()
        if operation.takes_command:
            arguments["command"] = list(command or [])
            # A word that is no UTF-8 reaches the program as it is; what is hashed and kept has to be text.
            request["command"] = [word.encode("utf-8", "backslashreplace").decode() for word in command or ()]
        call = Call(
            op=operation.code,
            test=common.test,
            key=common.key,
            agent=common.agent or caller.agent,
            session=caller.session,
            request=request,
            writes=operation.writes,
            only_adds=operation.only_adds,
        )
        if not operation.takes_store:
            return operation.function(**arguments)
        arguments["store"] = store
        if operation.manages_store:
            store.call = call
            return operation.function(**arguments)
        return store.perform(call, lambda: _answer(operation, arguments, store))
    except denial.Denial as refusal:
        if refusal.example is None and operation.example is not None:
            refusal.example = f"python kaizen.py {operation.code} {operation.example}".strip()
        raise


def _answer(operation: Op, arguments: Mapping[str, Any], store: "Store") -> Result:
    """What the function of an operation says; a read of a plane whose schema drifted answers, and warns."""
    if operation.needs_plane and not operation.writes:
        store.warn_of_drift()
    return operation.function(**arguments)


def _caller() -> Caller:
    """Who calls, as the environment says."""
    try:
        return judge(Caller, {"agent": os.environ.get("KAIZEN_AGENT"), "session": os.environ.get("KAIZEN_SESSION")})
    except denial.Denial as refusal:
        variable = f"KAIZEN_{str(refusal.detail['field']).upper()}"
        raise denial.EnvironmentInvalid(
            f"Set {variable} to a short text without secrets, or unset it.", variable=variable, reason=refusal.message
        ) from None


def _input_name(operation: Op) -> str:
    return next(name for name in operation.function.__annotations__ if name not in ("store", "command", "return"))


def _refuse_unknown_keys(operation: Op, values: Mapping[str, Any], common: Mapping[str, Any]) -> None:
    """In JSON as on the command line: a key that is no flag of the operation is refused with the nearest that is."""
    from difflib import get_close_matches

    known = [spec.key for spec in operation.input.specs if spec.flagged] if operation.input else []
    known += [f"{spec.key}_file" for spec in operation.input.specs if spec.file] if operation.input else []
    known += list(common)
    unknown = [key for key in values if key not in known]
    if unknown:
        near = get_close_matches(unknown[0], known, n=1)
        raise denial.Usage(
            f"Use {near[0]!r}." if near else f"{operation.code} takes: {', '.join(known) or 'nothing'}.",
            message=f"{unknown[0]!r} is no field of {operation.code}.",
            flag=unknown[0],
        )
