"""Record and Input: one class is an operation's rules, its flags, its JSON Schema and, for a record, its table."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

from . import denial
from .fields import Json, Role, Rule, Status, choices, flag_name
from .hashing import canonical
from .redaction import kinds, personal_kinds

# The one definition of what is over: every other status is open.
CLOSED = frozenset(
    "resolved superseded promoted retired done complete completed closed cancelled canceled abandoned rejected"
    " archived expired withdrawn met waived finished obsolete deprecated".split()
)
# The one definition of a verdict that blocks.
BLOCKING = frozenset({"VERIFICATION_FAILED", "NEEDS_HUMAN_DECISION", "STRUCTURAL_REWORK_RECOMMENDED"})

UNSET: Any = dataclasses.MISSING
Refusal = type[denial.Denial]


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """One field as every surface sees it; `key` is the flag with underscores, `name` the attribute and column."""

    name: str
    key: str
    type: type
    many: bool
    rules: tuple[Rule, ...]
    required: bool
    default: Any
    description: str
    flagged: bool
    file: bool
    file_wins: bool
    missing: Refusal | None
    stored: bool
    index: bool
    search: bool

    @property
    def flag(self) -> str:
        return "--" + flag_name(self.key)

    @property
    def choices(self) -> tuple[str, ...]:
        return choices(self.rules)

    @property
    def column_type(self) -> str:
        return {int: "INTEGER", bool: "INTEGER", float: "REAL"}.get(self.type, "TEXT")


def Field(
    default: Any = UNSET,
    *,
    description: str = "",
    key: str | None = None,
    flagged: bool = True,
    file: bool = False,
    file_wins: bool = False,
    missing: type[denial.Denial] | None = None,
    stored: bool = True,
    index: bool = False,
    search: bool = False,
) -> Any:
    """Declare a field: its default (none: required), its help, its flag (`key`), whether --X-file exists,
    which refusal speaks when it is missing, whether it is a column, indexed, found by full-text search."""
    metadata = {
        "description": description,
        "key": key,
        "flagged": flagged,
        "file": file,
        "file_wins": file_wins,
        "missing": missing,
        "stored": stored,
        "index": index,
        "search": search,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class Input:
    """What an operation takes: typed fields with rules."""

    specs: ClassVar[tuple[Spec, ...]] = ()
    # Set where one refusal names every missing field at once.
    missing: ClassVar[type[denial.Denial] | None] = None
    # The refusal for a secret, and whether personal data is refused as well.
    redaction: ClassVar[type[denial.Redaction]] = denial.Redaction
    refuses_personal: ClassVar[bool] = False
    # Observed text is masked where authored text is refused.
    scanned: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(kw_only=True, eq=False, repr=False, match_args=False)(cls)
        hints: dict[str, Any] = {}
        for base in cls.__mro__:
            for name, hint in base.__dict__.get("__annotations__", {}).items():
                hints.setdefault(name, hint)
        declared = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        # A class's own fields come before the inherited ones, in the order they are written.
        cls.specs = tuple(_spec(declared[name], hint) for name, hint in hints.items() if name in declared)

    def values(self) -> dict[str, Any]:
        """The stored fields by column name."""
        return {spec.name: getattr(self, spec.name) for spec in self.specs if spec.stored}


def _spec(field: "dataclasses.Field[Any]", annotation: Any) -> Spec:
    rules: list[Rule] = []
    many = False
    base = annotation
    while not isinstance(base, type) or typing.get_origin(base):
        origin, arguments = typing.get_origin(base), typing.get_args(base)
        if origin is typing.Annotated:
            rules = [rule for rule in arguments[1:] if isinstance(rule, Rule)] + rules
            base = arguments[0]
        elif origin in (types.UnionType, typing.Union):
            base = next(argument for argument in arguments if argument is not type(None))
        elif origin is list:
            many, base = True, arguments[0]
        else:
            raise TypeError(f"{field.name}: a field is a str, int, float or bool with rules, not {annotation!r}")
    meta = field.metadata
    return Spec(
        name=field.name,
        key=meta.get("key") or field.name,
        type=base,
        many=many,
        rules=tuple(rules),
        required=field.default is UNSET,
        default=None if field.default is UNSET else field.default,
        description=meta.get("description", ""),
        flagged=meta.get("flagged", True),
        file=meta.get("file", False),
        file_wins=meta.get("file_wins", False),
        missing=meta.get("missing"),
        stored=meta.get("stored", True),
        index=meta.get("index", False),
        search=meta.get("search", False),
    )


class Record(Input):
    """A record kind: `record_kind`, its table, the prefix of its ids, and the column that holds its task."""

    record_kind: ClassVar[str] = ""
    table: ClassVar[str] = ""
    prefix: ClassVar[str] = ""
    version: ClassVar[int] = 1
    task_column: ClassVar[str | None] = None
    # Records of this kind can be open or done; of others nobody asks which are open.
    is_work: ClassVar[bool] = True
    # Further indexes, name -> columns: one that holds all that a question reads answers it without the rows.
    indexes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    status: Status = Field(default="recorded", flagged=False, description="Where the record stands")
    writer_role: Role = Field(default="agent", flagged=False, description="Who writes: agent, human, verifier ...")

    def __init_subclass__(cls, *, kind: str, table: str, prefix: str, version: int = 1, **options: Any) -> None:
        cls.record_kind, cls.table, cls.prefix, cls.version = kind, table, prefix, version
        super().__init_subclass__(**options)
        names = {spec.name for spec in cls.specs}
        cls.task_column = next((name for name in ("source_task_id", "task_id") if name in names), None)

    def identified(self, record_id: str) -> None:
        """Called with the record's id before it is written."""


T = TypeVar("T", bound=Input)


def judge(cls: type[T], given: Mapping[str, Any], *, from_json: bool = False) -> T:
    """An instance of `cls` from values by key, or the Denial that says what is wrong.

    Values from flags have been typed by the command line; values from JSON are typed here, by pydantic, with the
    same rules inside. Empty texts and lists count as missing.
    """
    values = {key: value for key, value in given.items() if value is not None and value != "" and value != []}
    flagged = [spec for spec in cls.specs if spec.flagged]
    _refuse_missing(cls, [spec for spec in flagged if spec.required and spec.key not in values])
    if from_json:
        values = _typed(cls, values)
    else:
        for spec in flagged:
            if spec.key in values:
                values[spec.key] = _checked(spec, values[spec.key])
    for spec in flagged:
        if spec.type is int and isinstance(number := values.get(spec.key), int) and abs(number) >= 2**53:
            raise denial.SchemaRange(field=spec.key, value=str(number))
    if cls.scanned:
        refuse_secrets(cls, {spec.key: values[spec.key] for spec in flagged if spec.key in values})
    names = {spec.key: spec.name for spec in flagged}
    return cls(**{names[key]: value for key, value in values.items()})


def _refuse_missing(cls: type[Input], absent: list[Spec]) -> None:
    if not absent:
        return
    fields = [spec.key for spec in absent]
    if cls.missing is not None:
        raise cls.missing(f"Pass {', '.join(spec.flag for spec in absent)}.", fields=fields)
    first = absent[0]
    if first.missing is not None:
        raise first.missing(field=first.key)
    raise denial.SchemaRequired(f"Pass {first.flag}.", field=first.key, fields=fields)


def _checked(spec: Spec, value: Any) -> Any:
    if spec.many:
        return [_checked_one(spec, item) for item in value]
    return _checked_one(spec, value)


def _checked_one(spec: Spec, value: Any) -> Any:
    for rule in spec.rules:
        value = rule.check(value, spec.key)
    return value


def refuse_secrets(cls: type[Input], values: Mapping[str, Any]) -> None:
    """Refuse authored text that holds a secret (or personal data, where the class says so): kinds, never values."""
    found = {key: held for key, value in values.items() if (held := kinds_in(value, personal=cls.refuses_personal))}
    if found:
        raise cls.redaction(field=next(iter(found)), fields=found)


def kinds_in(value: Any, *, personal: bool) -> list[str]:
    """Kinds of secrets (and personal data) in a text or a list of texts, each once."""
    texts = value if isinstance(value, list) else [value]
    found = [kind for text in texts if isinstance(text, str) for kind in kinds(text, personal=personal)]
    return list(dict.fromkeys(found))


def personal_data(values: Mapping[str, Any]) -> str | None:
    """JSON of field -> kinds of personal data, the mark by which an export masks them; None where there is none."""
    found: dict[str, list[str]] = {}
    for name, value in values.items():
        if isinstance(value, str) and (held := personal_kinds(value)):
            found[name] = held
    return canonical(found) if found else None


_models: dict[type[Input], Any] = {}


def model(cls: type[Input]) -> Any:
    """The pydantic model of a class's flagged fields, made once; model(cls).model_json_schema() is its JSON Schema."""
    if cls not in _models:
        from pydantic import ConfigDict, create_model
        from pydantic import Field as PydanticField

        fields: dict[str, Any] = {}
        for spec in cls.specs:
            if not spec.flagged:
                continue
            kind: Any = Annotated[(spec.type, *spec.rules)] if spec.rules else spec.type
            kind = list[kind] if spec.many else kind
            default = ... if spec.required else spec.default
            optional = kind if spec.required else kind | None
            fields[spec.key] = (optional, PydanticField(default, description=spec.description or None))
        _models[cls] = create_model(
            cls.__name__, __config__=ConfigDict(extra="forbid", strict=True), __doc__=cls.__doc__, **fields
        )
    return _models[cls]


def _typed(cls: type[Input], values: dict[str, Any]) -> dict[str, Any]:
    """Values from JSON, typed and judged by pydantic; its first error becomes a Denial."""
    from pydantic import ValidationError

    for spec in cls.specs:
        rule = next((rule for rule in spec.rules if isinstance(rule, Json)), None)
        if rule is not None and not spec.many and spec.key in values:
            values[spec.key] = rule.text(values[spec.key], spec.key)
    try:
        instance = model(cls).model_validate(values)
    except ValidationError as fault:
        error = fault.errors(include_url=False, include_context=False)[0]
        field = str(error["loc"][0]) if error["loc"] else ""
        if error["type"] == "extra_forbidden":
            allowed = [spec.key for spec in cls.specs if spec.flagged]
            unknown = [str(e["loc"][0]) for e in fault.errors() if e["type"] == "extra_forbidden"]
            raise denial.SchemaUnknownFields(fields=unknown, allowed=allowed) from None
        spec = next((spec for spec in cls.specs if spec.key == field), None)
        names = {str: "a text", int: "an integer", float: "a number", bool: "true or false"}
        expected = names.get(spec.type, "a value") if spec else "a value"
        raise denial.SchemaFieldType(
            field=field, expected=f"a list of {expected}" if spec and spec.many else expected, reason=error["msg"]
        ) from None
    return {key: getattr(instance, key) for key in values}
