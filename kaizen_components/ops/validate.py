"""Validate: payloads checked against a record's schema, or against a JSON Schema of the user's own."""

import importlib.util
from typing import Any

from .. import denial
from ..fields import JsonAny, JsonObject, RawText, parse_json
from ..op import Result, op
from ..record import Field, Input, judge, model
from ..store import record_class
from . import _index


class Validation(Input):
    """A payload and what it is held against."""

    scanned = False
    kind: RawText | None = Field(None, description="Record schema; none lists the schemas")
    payload_json: JsonAny | None = Field(None, file=True, file_wins=True, description="The JSON to validate")
    schema_json: JsonObject | None = Field(
        None, file=True, file_wins=True, description="A JSON Schema of your own to validate against, instead of --kind"
    )
    show: bool = Field(False, description="Show the JSON Schema of --kind instead")


@op(
    "Q8",
    "output-validate",
    needs_plane=False,
    keywords="json schema check payload structure",
    example='--kind trace_event --payload-json \'{"kind": "tool_call", "summary": "Ran the linter."}\'',
)
def output_validate(given: Validation) -> Result:
    """Validate a JSON payload against a record schema or your own JSON Schema; without either, list the schemas."""
    accelerator = importlib.util.find_spec("jsonschema") is not None
    if given.schema_json is not None:
        _against_schema(_payload(given), parse_json(given.schema_json, "schema_json"))
        return Result(record_type="schema", valid=True, jsonschema_accelerator=accelerator)
    if given.kind is None:
        if given.payload_json is not None:
            raise denial.Usage(
                "Pass --kind NAME; Q8 without flags lists the names.",
                message="A payload needs --kind or --schema-json.",
                flag="--kind",
            )
        return Result(schemas=names(), jsonschema_accelerator=accelerator)
    if given.kind not in names():
        raise denial.SchemaUnknownType(record_type=given.kind, allowed=names())
    cls = record_class(given.kind)
    if given.show:
        return Result(record_type=given.kind, schema=model(cls).model_json_schema())
    payload = _payload(given)
    if not isinstance(payload, dict):
        raise denial.SchemaType(record_type=given.kind, expected="a JSON object")
    empty = (None, "", [])
    absent = [spec.key for spec in cls.specs if spec.flagged and spec.required and payload.get(spec.key) in empty]
    if absent:
        raise denial.SchemaRequired(f"Pass {', '.join(absent)}.", record_type=given.kind, field=absent[0], fields=absent)
    judge(cls, payload, from_json=True)
    return Result(record_type=given.kind, valid=True, jsonschema_accelerator=accelerator)


def names() -> list[str]:
    """Names of the record schemas."""
    return sorted(kind for kind in _index.KINDS if kind != "plane")


def _payload(given: Validation) -> Any:
    if given.payload_json is None:
        raise denial.Usage(
            "Pass --payload-json JSON or --payload-json-file PATH.",
            message="There is no payload to validate.",
            flag="--payload-json",
        )
    return parse_json(given.payload_json, "payload_json")


def _against_schema(payload: Any, schema: dict[str, Any]) -> None:
    """Hold a payload against a JSON Schema, draft 2020-12 unless it names another."""
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
    except ImportError:
        raise denial.BackendUnavailable("Run: python -m pip install -r requirements-kaizen.txt", package="jsonschema") from None
    validator = validator_for(schema, default=Draft202012Validator)
    try:
        validator.check_schema(schema)
        faults = sorted(validator(schema).iter_errors(payload), key=lambda fault: list(map(str, fault.absolute_path)))
    except SchemaError as fault:
        raise denial.JsonInvalid(
            "Pass a valid JSON Schema in --schema-json.", message="The schema is no JSON Schema.", reason=fault.message
        ) from None
    except Exception as fault:
        raise denial.JsonInvalid(
            "Pass a JSON Schema that refers to nothing outside itself.", message="The schema cannot be used.", reason=str(fault)
        ) from None
    if faults:
        errors = [{"path": fault.json_path, "message": fault.message[:200]} for fault in faults[:20]]
        raise denial.SchemaJsonschema(errors=errors, field=errors[0]["path"])
