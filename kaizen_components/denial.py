"""Denial: one class per refusal. Its docstring is the message, its attributes are the way out."""

from __future__ import annotations

import inspect
from typing import Any


class Denial(Exception):
    """The request was refused."""

    code = "DENIED_USAGE"
    exit_code = 2
    required_action = "Run the operation with --help to see what it takes."

    def __init__(self, required_action: str | None = None, *, message: str | None = None, **detail: Any) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "")
        if required_action is not None:
            self.required_action = required_action
        self.detail = detail
        self.example: str | None = None
        super().__init__(self.message)

    def envelope(self) -> dict[str, Any]:
        """The refusal as users see it: status, code, message, detail, required_action, exit_code, example."""
        reply: dict[str, Any] = {"status": "DENIED", "code": self.code, "message": self.message}
        reply.update(self.detail)
        reply["required_action"] = self.required_action
        reply["exit_code"] = self.exit_code
        if self.example:
            reply["example"] = self.example
        return masked(reply)


def masked(value: Any) -> Any:
    """What a refusal repeats of what was typed, without the secrets in it: replies end up in logs."""
    from .redaction import mask

    if isinstance(value, str):
        return mask(value)[0]
    if isinstance(value, dict):
        return {name: masked(item) for name, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value


# --- what was typed -------------------------------------------------------------------------------


class Usage(Denial):
    """The command line is not one this operation takes."""


class FlagConflict(Denial):
    """Two flags contradict each other."""

    code = "DENIED_FLAG_CONFLICT"
    required_action = "Give one of the two flags."


class KindInvalid(Denial):
    """There is no such kind of record here."""

    code = "DENIED_KIND_INVALID"
    required_action = "Use one of the allowed kinds."


class FilterUnsupported(Denial):
    """This report has no such filter."""

    code = "DENIED_FILTER_UNSUPPORTED"
    required_action = "Use R4 proof-report to filter by severity or actionability."


# --- what is missing ------------------------------------------------------------------------------


class TitleRequired(Denial):
    """A title is required."""

    code = "DENIED_TITLE_REQUIRED"
    required_action = 'Pass --title "a short title".'


class SummaryRequired(Denial):
    """A summary is required."""

    code = "DENIED_SUMMARY_REQUIRED"
    required_action = 'Pass --summary "one or two sentences" or --summary-file PATH.'


class IdRequired(Denial):
    """A record id is required."""

    code = "DENIED_ID_REQUIRED"
    required_action = "Pass the id of an existing record; list and query operations show ids."


class QueryRequired(Denial):
    """A query is required."""

    code = "DENIED_QUERY_REQUIRED"
    required_action = 'Pass --query "words to find".'


class PathRequired(Denial):
    """A path is required."""

    code = "DENIED_PATH_REQUIRED"
    required_action = "Pass --path FILE."


class ReviewIdRequired(Denial):
    """A review id is required."""

    code = "DENIED_REVIEW_ID_REQUIRED"
    required_action = "Pass --review-id with the id that I1 returned."


class RequiredFields(Denial):
    """Required fields are missing."""

    code = "DENIED_REQUIRED_FIELDS"
    required_action = "Pass every field named in `fields`."


class ContractTextRequired(Denial):
    """A contract text is required."""

    code = "DENIED_CONTRACT_TEXT_REQUIRED"
    required_action = "Pass one of --body, --body-file or --path."


class CommandRequired(Denial):
    """A command to run is required."""

    code = "DENIED_COMMAND_REQUIRED"
    required_action = "Put the command behind a double dash: Q11 -- COMMAND ARGS."


class CommandNotFound(Denial):
    """The command could not be started, so nothing was recorded."""

    code = "DENIED_COMMAND_NOT_FOUND"
    exit_code = 1
    required_action = "Check the program's name, PATH and rights; for a shell's own words use Q11 -- sh -c 'COMMAND'."


class ReasonRequired(Denial):
    """A reason is required."""

    code = "DENIED_REASON_REQUIRED"
    required_action = 'Pass --reason "why"; it is kept in the ledger.'


# --- what the text holds --------------------------------------------------------------------------


class SummaryTooLong(Denial):
    """The summary has more sentences than a summary may have."""

    code = "DENIED_SUMMARY_TOO_LONG"
    required_action = "Keep the summary to 2 sentences and put the rest into --body."


class FieldWordLimit(Denial):
    """The field is over its word limit."""

    code = "DENIED_FIELD_WORD_LIMIT"
    required_action = "Shorten the field."


class FieldSplitRequired(Denial):
    """The field is far over its word limit and has to be split."""

    code = "DENIED_FIELD_SPLIT_REQUIRED"
    required_action = "Split the text into several entries."


class FieldTooLarge(Denial):
    """The field holds more bytes than one field may hold."""

    code = "DENIED_FIELD_TOO_LARGE"
    required_action = "Keep the text in a file and reference it with A1 artifact-add."


class FieldEncoding(Denial):
    """The text holds a character that cannot be stored: a NUL or half of a surrogate pair."""

    code = "DENIED_FIELD_ENCODING"
    required_action = "Pass valid UTF-8 text without NUL characters."


class Redaction(Denial):
    """The text holds something that looks like a secret."""

    code = "DENIED_REDACTION"
    required_action = "Remove the secret, or name where it is kept instead of what it is; rotate it if it was real."


class TraceRedaction(Redaction):
    """The text holds something that looks like a secret or personal data."""

    code = "DENIED_TRACE_REDACTION"
    required_action = "Remove the secret, home path or e-mail address; traces hold neither secrets nor personal data."


# --- what the JSON holds --------------------------------------------------------------------------


class JsonInvalid(Denial):
    """The text is not valid JSON."""

    code = "DENIED_JSON_INVALID"
    required_action = "Pass valid JSON without duplicate keys; use the -file form when the shell breaks the quoting."


class PayloadType(Denial):
    """The payload must be a JSON object."""

    code = "DENIED_PAYLOAD_TYPE"
    required_action = 'Pass a JSON object, for example --payload-json \'{"key": "value"}\'.'


class SchemaRequired(Denial):
    """A field that the schema requires is missing."""

    code = "DENIED_SCHEMA_REQUIRED"
    required_action = "Pass every field named in `fields`."


class SchemaUnknownFields(Denial):
    """The payload holds fields that the schema does not know."""

    code = "DENIED_SCHEMA_UNKNOWN_FIELDS"
    required_action = "Remove the fields named in `fields`, or use the names in `allowed`."


class SchemaUnknownType(Denial):
    """There is no record schema of this name."""

    code = "DENIED_SCHEMA_UNKNOWN_TYPE"
    required_action = "Run Q8 without --kind to list the schemas."


class SchemaType(Denial):
    """The payload is not an object."""

    code = "DENIED_SCHEMA_TYPE"
    required_action = "Pass a JSON object."


class SchemaFieldType(Denial):
    """The field has the wrong type."""

    code = "DENIED_SCHEMA_FIELD_TYPE"
    required_action = "Pass a value of the type named in `expected`."


class SchemaEnum(Denial):
    """The value is not in the field's vocabulary."""

    code = "DENIED_SCHEMA_ENUM"
    required_action = "Use one of the values in `allowed`."


class SchemaRange(Denial):
    """The number is outside its range."""

    code = "DENIED_SCHEMA_RANGE"
    required_action = "Pass a finite number within the range."


class SchemaJsonschema(Denial):
    """The value does not validate against the JSON Schema given for it."""

    code = "DENIED_SCHEMA_JSONSCHEMA"
    required_action = "Change the value until it validates; `errors` says where it fails."


class ScoreValue(Denial):
    """The score's value does not fit its data type."""

    code = "DENIED_SCORE_VALUE"
    required_action = "Numeric takes a finite number, boolean takes true, false, 1 or 0, categorical takes a text."


# --- files ----------------------------------------------------------------------------------------


class PathOutsideRepo(Denial):
    """The path lies outside the project."""

    code = "DENIED_PATH_OUTSIDE_REPO"
    required_action = "Use a file inside the project, named from the project's folder; or --allow-external where there is one."


class PathLive(Denial):
    """Kaizen itself changes this file with every call, so its hash says nothing."""

    code = "DENIED_PATH_LIVE"
    required_action = "Record the file of a backup instead: K3 db-backup makes one."


class FileNotFound(Denial):
    """There is no such file."""

    code = "DENIED_FILE_NOT_FOUND"
    exit_code = 1
    required_action = "Check the path; it must name an existing, readable file."


class FileNotUtf8(Denial):
    """The file is not UTF-8 text."""

    code = "DENIED_FILE_NOT_UTF8"
    required_action = "Save the file as UTF-8 and run the command again."


class FileTooBig(Denial):
    """The file is larger than this operation reads."""

    code = "DENIED_FILE_TOO_LARGE"
    required_action = "Use a smaller file."


class FileUnwritable(Denial):
    """A file or folder of the data plane cannot be written."""

    code = "DENIED_FILE_UNWRITABLE"
    exit_code = 1
    required_action = "Check the disk and the rights of AI/ with K10 doctor, then run the command again."


class RootNotAllowlisted(Denial):
    """The root lies outside the project and outside KAIZEN_SKILLS_ROOT."""

    code = "DENIED_ROOT_NOT_ALLOWLISTED"
    required_action = "Use a root inside the project, or set KAIZEN_SKILLS_ROOT to the folder that holds it."


# --- records --------------------------------------------------------------------------------------


class RecordNotFound(Denial):
    """There is no record with this id."""

    code = "DENIED_RECORD_NOT_FOUND"
    exit_code = 1
    required_action = "Check the id with a list or query operation."


class ReferenceNotFound(Denial):
    """A reference names a record that does not exist."""

    code = "DENIED_REFERENCE_NOT_FOUND"
    exit_code = 1
    required_action = "Reference an existing record of the expected kind, or an external name such as PROJ-42."


class CriterionUnproved(Denial):
    """The task has acceptance criteria that no proof meets."""

    code = "DENIED_CRITERION_UNPROVED"
    required_action = (
        "Prove each criterion with Q11 --criterion-id CRITERION -- COMMAND, or meet it with W24 --id CRITERION --proof-id PROOF;"
        ' what the user waives closes with --waive "reason".'
    )


class ProofUnfit(Denial):
    """The proof says that something failed or is undecided, or it was retired: it meets no criterion."""

    code = "DENIED_PROOF_UNFIT"
    required_action = "Link a proof that passed; Q11 -- COMMAND makes an observed one."


class ObservedFixed(Denial):
    """An observed proof says what happened; that cannot be revised."""

    code = "DENIED_OBSERVED_FIXED"
    required_action = "Run Q11 again for a new proof, or retire this one with Q13 and the reason."


class KeyConflict(Denial):
    """This --key was used before, with other input."""

    code = "DENIED_KEY_CONFLICT"
    required_action = "Use a new key for a new request; repeat a request with exactly its first input."


class ConfirmationRequired(Denial):
    """Erasing content cannot be undone and needs the record's id a second time."""

    code = "DENIED_CONFIRMATION_REQUIRED"
    required_action = "Show the id to a person; only they decide to pass it to --confirm."


# --- the data plane -------------------------------------------------------------------------------


class PlaneNotFound(Denial):
    """No data plane was found for this folder."""

    code = "DENIED_PLANE_NOT_FOUND"
    required_action = "Run K1 in the project's folder to make one, or set KAIZEN_REPO_ROOT to the project."


class PlaneForeign(Denial):
    """The file at AI/db/kaizen.db belongs to another program; it was left alone."""

    code = "DENIED_PLANE_FOREIGN"
    exit_code = 1
    required_action = "Point KAIZEN_REPO_ROOT at a folder for a plane of Kaizen's own; the file that is there stays as it is."


class PlaneDamaged(Denial):
    """The data plane's file cannot be read."""

    code = "DENIED_PLANE_DAMAGED"
    exit_code = 1
    required_action = (
        "Keep the file. V1 says what is wrong; K12 rebuild makes the tables anew from the ledger; K11 restores a backup."
    )


class BackupMismatch(Denial):
    """The backup is not what its manifest says, so nothing was restored."""

    code = "DENIED_BACKUP_MISMATCH"
    exit_code = 1
    required_action = "Restore another backup; AI/db/backups holds those of K3 and what a restore replaced."


class PurgeUnfinished(Denial):
    """The records are erased, but their bytes may still lie in free pages or derived files of the plane."""

    code = "DENIED_PURGE_UNFINISHED"
    exit_code = 1
    required_action = "Look at K10 doctor, make room or rights, then run K7 purge-test: it finishes what is pending."


class LedgerCut(Denial):
    """The ledger ends before the entry that ledger.head names, or holds another there: its tail was cut or exchanged."""

    code = "DENIED_LEDGER_CUT"
    exit_code = 1
    required_action = "Look at V1 ledger-verify, then restore the newest backup with K11 db-restore. Reading goes on."


class SchemaStatus(Denial):
    """The data plane's schema version does not admit this."""

    code = "DENIED_SCHEMA_STATUS"
    exit_code = 1
    required_action = "Use a Kaizen at least as new as the one that wrote the plane; K2 shows the versions."


class RestampRefused(SchemaStatus):
    """The manifest cannot be restamped: there is no plane here, or its schema is not the one of this Kaizen."""

    exit_code = 2
    required_action = "Look at K2 schema-status; K1 makes a plane where there is none."


class SchemaDrift(Denial):
    """The data plane's schema manifest does not match this Kaizen, so nothing is written."""

    code = "DENIED_SCHEMA_DRIFT"
    exit_code = 1
    required_action = "Look at K2 schema-status; when the difference is known and wanted, run K1 --restamp-manifest."


class ConnectRetryExhausted(Denial):
    """The data plane was locked by another process for longer than KAIZEN_LOCK_TIMEOUT."""

    code = "DENIED_DB_CONNECT_RETRY_EXHAUSTED"
    exit_code = 1
    required_action = "Wait for the holder named here, or raise KAIZEN_LOCK_TIMEOUT, and run the command again."


class ReadRetryExhausted(ConnectRetryExhausted):
    """The data plane could not be read: it was locked by another program."""

    code = "DENIED_DB_READ_RETRY_EXHAUSTED"


class WriteRetryExhausted(ConnectRetryExhausted):
    """The data plane could not be written: it was locked by another program."""

    code = "DENIED_DB_WRITE_RETRY_EXHAUSTED"


class BackendUnavailable(Denial):
    """A package that this operation needs is not installed."""

    code = "DENIED_BACKEND_UNAVAILABLE"
    required_action = "Install the requirements of this operation."


class EnvironmentInvalid(Denial):
    """An environment variable holds a value that cannot be used."""

    code = "DENIED_ENVIRONMENT_INVALID"
    required_action = "Correct or unset the variable."


class BatchLine(Denial):
    """A line of the batch was refused, so nothing of the batch was written."""

    code = "DENIED_BATCH_LINE"
    required_action = "Correct the line named here and run the batch again."


class Uncommitted(Denial):
    """The data plane cannot be let go of before what was written is committed."""

    code = "DENIED_UNCOMMITTED"
    required_action = "Run this operation by itself, not in one transaction with others."
