"""Marked: YAML texts that people write, as plain values with the line on which each stands, and their faults by place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import denial

# Keys and numbers of items, from the outermost on.
Place = tuple[str | int, ...]
LONGEST = 256_000
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a file, and where: file, line (from 1), place such as agents.coach.cron, reason."""

    file: str
    line: int
    place: str
    reason: str

    def shown(self) -> dict[str, Any]:
        """As answers have it."""
        return asdict(self)


@dataclass(slots=True)
class Marked:
    """A text that was read: its value, the line of each place, and what was wrong with it."""

    file: str
    value: Any
    lines: dict[Place, int]
    faults: list[Fault]

    def fault(self, place: Place, reason: str) -> None:
        """Note a fault at a place; one that is not in the text stands where what should hold it stands."""
        at = place
        while at and at not in self.lines:
            at = at[:-1]
        self.faults.append(Fault(self.file, self.lines.get(at, 1), shown(place), reason))


def shown(place: Place) -> str:
    """A place as text: agents.coach.cron, triggers[0].type."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "(all of it)"


def read(text: str, file: str, *, first: int = 1) -> Marked:
    """The value of a YAML text whose first line has this number in its file. Keys are texts, and each stands once; dates stay
    texts; anchors, tags and other ways to say more than is written are faults. DENIED_BACKEND_UNAVAILABLE without PyYAML."""
    try:
        import yaml
    except ImportError:
        raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="PyYAML") from None

    marked = Marked(file, None, {(): first}, [])
    if len(text) > LONGEST:
        marked.fault((), f"it is longer than {LONGEST} characters")
        return marked
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                # Nobody means it, and it takes long.
                marked.faults.append(Fault(file, first + event.start_mark.line, shown(()), "it is nested too deeply"))
                return marked
            if getattr(event, "anchor", None):
                marked.faults.append(
                    Fault(file, first + event.start_mark.line, shown(()), "anchors and aliases are not taken: write it out")
                )
                return marked
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        marked.value = _value(node, (), marked, first) if node is not None else None
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        said = getattr(fault, "problem", None) or str(fault)
        marked.faults.append(Fault(file, first + (mark.line if mark else 0), shown(()), f"it is no YAML: {said}"))
    return marked


def _value(node: Any, place: Place, marked: Marked, first: int) -> Any:
    import yaml

    marked.lines[place] = first + node.start_mark.line
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*place, number), marked, first) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        read: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                marked.fault(place, "a key is no text")
                continue
            inner = (*place, key.value)
            if key.value in read:
                marked.faults.append(Fault(marked.file, first + key.start_mark.line, shown(inner), "it stands there twice"))
                continue
            read[key.value] = _value(item, inner, marked, first)
            marked.lines[inner] = first + key.start_mark.line
        return read
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value
    try:
        return yaml.constructor.SafeConstructor().construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as fault:
        marked.fault(place, f"it cannot be read: {getattr(fault, 'problem', None) or fault}")
        return None


def judge(marked: Marked, schema: Mapping[str, Any]) -> None:
    """Note what a JSON Schema finds wrong with the value: each unknown key by itself, the other faults as the schema says them."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(marked.value), key=lambda error: [str(part) for part in error.absolute_path]):
        _judge(marked, error)


def _judge(marked: Marked, error: Any) -> None:
    from difflib import get_close_matches

    place = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        for name in error.instance:
            if name not in known:
                near = get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
                marked.fault((*place, name), f"there is no such key here; {hint}")
    elif error.validator == "required":
        absent = [name for name in error.validator_value if name not in error.instance]
        for name in absent:
            if f"{name!r}" in error.message:
                marked.fault((*place, name), "it is missing")
    elif error.validator in ("oneOf", "anyOf"):
        # What the value seems to be is told by its type; the faults of that are what helps.
        nearest = [inner for inner in error.context or () if tuple(inner.absolute_path)[-1:] != ("type",)]
        for inner in nearest or error.context or ():
            _judge(marked, inner)
    else:
        said = error.schema.get("x-reason") or _plain(error)
        marked.fault(place, said)


def _plain(error: Any) -> str:
    """What a schema says, in plain words where it is said often."""
    given = error.instance if isinstance(error.instance, str) else str(error.instance)
    given = given if len(given) <= 60 else given[:59] + "…"
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        names = {
            "string": "a text",
            "object": "keys with values",
            "array": "a list",
            "boolean": "true or false",
            "null": "nothing",
        }
        return f"it has to be {' or '.join(names.get(name, f'a {name}') for name in wanted)}, not {given!r}"
    if error.validator == "enum":
        return f"{given!r} is none of {', '.join(str(word) for word in error.validator_value)}"
    if error.validator == "const":
        return f"it has to be {error.validator_value!r}, not {given!r}"
    if error.validator == "pattern":
        return f"{given!r} does not look as it should ({error.validator_value})"
    if error.validator in ("minLength", "minItems", "minProperties"):
        return "it is empty"
    return str(error.message)


_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)


def front_matter(text: str) -> tuple[str, str] | None:
    """The YAML between the lines --- at the head of a Markdown text, and the text behind it; None where there is none."""
    found = _FRONT.match(text.removeprefix("\ufeff"))
    return (found[1], text.removeprefix("\ufeff")[found.end() :]) if found else None


def refuse(faults: Sequence[Fault], message: str, action: str) -> None:
    """DENIED_FILE_INVALID with every fault, where there is one."""
    if faults:
        raise denial.FileInvalid(action, message=message, faults=[fault.shown() for fault in faults])
