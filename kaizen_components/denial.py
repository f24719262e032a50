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


# --- evidence ------------------------------------------------------------------------------------


class UnsupportedMedia(Denial):
    """No reader takes files of this kind."""

    code = "DENIED_UNSUPPORTED_MEDIA"
    required_action = "Pass a text, Markdown, HTML, CSV, PDF, DOCX or XLSX file, or convert it to one of these."


class FileTooLarge(Denial):
    """The file is larger than what is read at once."""

    code = "DENIED_FILE_TOO_LARGE"
    required_action = "Split the file, or raise the limit that is named here."


class DocumentUnreadable(Denial):
    """The file is damaged, or is not what its name says."""

    code = "DENIED_DOCUMENT_UNREADABLE"
    required_action = "Open the file in its own program, save it again, and pass that."


class PdfEncrypted(Denial):
    """The PDF is encrypted."""

    code = "DENIED_PDF_ENCRYPTED"
    required_action = "Save a copy without the password and pass that."


class PdfTooManyPages(Denial):
    """The PDF has more pages than are read at once."""

    code = "DENIED_PDF_TOO_MANY_PAGES"
    required_action = "Split the PDF, or raise KAIZEN_MAX_PDF_PAGES."


class PdfUnreadable(DocumentUnreadable):
    """The PDF is damaged, or is no PDF."""

    code = "DENIED_PDF_UNREADABLE"


class PdfNoText(Denial):
    """The PDF holds no text, only pictures of it."""

    code = "DENIED_PDF_NO_TEXT"
    required_action = "Run a text recognition over it (ocrmypdf, for one) and pass the result."


class NoBlocks(Denial):
    """The document has no text to cut."""

    code = "DENIED_NO_BLOCKS"
    required_action = "Ingest a document that holds text."


class ChunkerUnsupported(Denial):
    """There is no such chunker."""

    code = "DENIED_CHUNKER_UNSUPPORTED"
    required_action = "Use one of the allowed chunkers."


class AddressRefused(Denial):
    """The address is not a public one."""

    code = "DENIED_ADDRESS_REFUSED"
    required_action = "Pass --allow-private where a local address is really meant."


class FetchFailed(Denial):
    """The page could not be fetched."""

    code = "DENIED_FETCH_FAILED"
    required_action = "Check the address and try again."


# --- models --------------------------------------------------------------------------------------


class BackendUnconfigured(Denial):
    """No backend is configured for this."""

    code = "DENIED_BACKEND_UNCONFIGURED"
    required_action = "Set the variables named here; setup/OLLAMA.md and setup/PYTORCH.md show how."


class BackendUnreachable(Denial):
    """The backend does not answer."""

    code = "DENIED_BACKEND_UNAVAILABLE"
    required_action = "Start it, or correct its address; B1 model-doctor tries all of them."


class BackendHttp(Denial):
    """The backend answered with an error."""

    code = "DENIED_BACKEND_HTTP"
    required_action = "Read `reason`; B1 model-doctor tries the backend."


class BackendMalformed(Denial):
    """The backend answered with something else than was asked for."""

    code = "DENIED_BACKEND_MALFORMED"
    required_action = "Check that the address is the right one and that the model can do this."


class BackendModel(Denial):
    """The model cannot be loaded."""

    code = "DENIED_BACKEND_MODEL"
    required_action = "Correct the variable that names the model."


class EndpointInsecure(Denial):
    """Plain http to another machine would show everything to everyone in between."""

    code = "DENIED_ENDPOINT_INSECURE"
    required_action = "Use https, or set KAIZEN_ALLOW_INSECURE_HTTP=1 where the network is trusted."


class EmbedEmpty(Denial):
    """There is nothing to embed or to search."""

    code = "DENIED_EMBED_EMPTY"
    required_action = "Pass a text with words in it."


class EmbedMismatch(Denial):
    """The model gives vectors of another size than its index holds."""

    code = "DENIED_EMBED_MISMATCH"
    required_action = "Prune that index (B7 --prune --model MODEL) and embed again (B3)."


class EmbedIndexAbsent(Denial):
    """There are no vectors of this model."""

    code = "DENIED_EMBED_INDEX_ABSENT"
    required_action = "Make them: python kaizen.py B3"


class EmbedIndexIncomplete(Denial):
    """Not everything has a vector of this model yet."""

    code = "DENIED_EMBED_INDEX_INCOMPLETE"
    required_action = "Complete it: python kaizen.py B3"


class PruneActive(Denial):
    """The index in use is not pruned."""

    code = "DENIED_PRUNE_ACTIVE"
    required_action = "Activate another one first: B7 --activate --model MODEL."


class PruneTarget(Denial):
    """It is not said what to prune."""

    code = "DENIED_PRUNE_TARGET"
    required_action = "Pass --model MODEL, --previous or --all-but-active."


class ModelRequired(Denial):
    """A model is required."""

    code = "DENIED_MODEL_REQUIRED"
    required_action = "Pass --model MODEL; B7 lists them."


class PromptRequired(Denial):
    """A prompt is required."""

    code = "DENIED_PROMPT_REQUIRED"
    required_action = 'Pass --prompt "what to ask".'


class PiiTextRequired(Denial):
    """A text to scan is required."""

    code = "DENIED_PII_TEXT_REQUIRED"
    required_action = "Pass one of --prompt, --body or --path."


class CandidateRequired(Denial):
    """A candidate is required."""

    code = "DENIED_CANDIDATE_REQUIRED"
    required_action = "Pass the candidate."


class RubricRequired(Denial):
    """A rubric is required."""

    code = "DENIED_RUBRIC_REQUIRED"
    required_action = "Pass --query RUBRIC, --expected-json JSON or --eval-case-id ID."


class EvalCaseNotFound(Denial):
    """There is no such eval case."""

    code = "DENIED_EVAL_CASE_NOT_FOUND"
    exit_code = 1
    required_action = "Pass the id of an eval case; Q14 lists them."


# --- the lab -------------------------------------------------------------------------------------


class ContractRequired(Denial):
    """A contract is required: the name of what is to be improved."""

    code = "DENIED_CONTRACT_REQUIRED"
    required_action = 'Pass --contract "what is to be improved".'


class NoEvalCases(Denial):
    """There are no eval cases to judge by."""

    code = "DENIED_NO_EVAL_CASES"
    required_action = "Record one: Q3 --title TITLE --summary SUMMARY."


class DedupKind(Denial):
    """Records of this kind are not compared."""

    code = "DENIED_DEDUP_KIND"
    required_action = "Use --kind gotcha, learned, learning or evidence."


# --- generative runs -----------------------------------------------------------------------------


class WorkflowType(Denial):
    """The file is no workflow in API format."""

    code = "DENIED_WORKFLOW_TYPE"
    required_action = "Export it from ComfyUI in API format: Workflow, Export (API)."


class WorkflowRejected(Denial):
    """The server rejected the workflow."""

    code = "DENIED_WORKFLOW_REJECTED"
    required_action = "Correct what `errors` names and submit it again."


class WorkflowNodesUnknown(Denial):
    """The server does not know some nodes of the workflow."""

    code = "DENIED_WORKFLOW_NODES_UNKNOWN"
    required_action = "Install the custom nodes named here on the server."


class AssetMissing(Denial):
    """A model or an image that the workflow names is not on the server."""

    code = "DENIED_ASSET_MISSING"
    required_action = "Put the files named here where the server looks for them."


class PromptPlaceholderMissing(Denial):
    """The workflow has no place for the prompt."""

    code = "DENIED_PROMPT_PLACEHOLDER_MISSING"
    required_action = "Put {{prompt}} where the prompt belongs in the workflow."


class SeedRequired(Denial):
    """A seed is required, so that both routes do the same."""

    code = "DENIED_SEED_REQUIRED"
    required_action = "Pass --seed NUMBER."


class ActionRequired(Denial):
    """An action is required."""

    code = "DENIED_ACTION_REQUIRED"
    required_action = "Pass --action with one of the allowed words."


class ActionUnknown(Denial):
    """There is no such action."""

    code = "DENIED_ACTION_UNKNOWN"
    required_action = "Use one of the allowed actions."


class CandidateUnknown(Denial):
    """There is no such candidate."""

    code = "DENIED_CANDIDATE_UNKNOWN"
    required_action = "Use one of the allowed candidates."


class RunTimeout(Denial):
    """The run did not end in time."""

    code = "DENIED_RUN_TIMEOUT"
    exit_code = 1
    required_action = "Raise --timeout, or look at the server."


class RuntimeMissing(Denial):
    """There is no ComfyUI here to run."""

    code = "DENIED_RUNTIME_MISSING"
    exit_code = 1
    required_action = "Set KAIZEN_COMFYUI_HOME to its folder; setup/COMFYUI.md shows how to get one."


class RuntimeAlreadyRunning(Denial):
    """The runtime is running already."""

    code = "DENIED_RUNTIME_ALREADY_RUNNING"
    required_action = "Use it as it is, or stop it first: Y6 --action stop."


class McpNotPinned(Denial):
    """No MCP server is pinned for this plane."""

    code = "DENIED_MCP_NOT_PINNED"
    required_action = "Compare the candidates and pin one: Y7 --action bakeoff."


class McpAdapterUnconfirmed(Denial):
    """The MCP server has no tool that runs a workflow as it is given."""

    code = "DENIED_MCP_ADAPTER_UNCONFIRMED"
    required_action = "Look at what it offers (Y7 --action doctor --candidate NAME), or use --route api."


# --- agents ---------------------------------------------------------------------------------------


class ToolUnknown(Denial):
    """There is no such tool."""

    code = "DENIED_TOOL_UNKNOWN"
    required_action = "List the tools: python kaizen.py N1"


class ToolGroupUnknown(Denial):
    """There is no such group of tools."""

    code = "DENIED_TOOL_GROUP_UNKNOWN"
    required_action = "Use one of the groups."


class ToolArguments(Denial):
    """The tool does not take these arguments."""

    code = "DENIED_TOOL_ARGUMENTS"
    required_action = "Give what its schema asks for: python kaizen.py N1 --tool NAME"


class PermissionDenied(Denial):
    """The call is not permitted."""

    code = "DENIED_PERMISSION"
    exit_code = 1
    required_action = "See which rule decided, with N3, and which rules there are, with N4."


class ApprovalRequired(Denial):
    """The call has to be approved by a person first."""

    code = "DENIED_APPROVAL_REQUIRED"
    exit_code = 1
    required_action = "Approve it, once, for exactly these arguments: python kaizen.py N8 --id CALL_ID"


class ApprovalNotAsked(Denial):
    """The call does not wait for approval."""

    code = "DENIED_APPROVAL_NOT_ASKED"
    exit_code = 1
    required_action = "Approve a call that was asked about: python kaizen.py N6 --decision ask"


class PermissionRuleInvalid(Denial):
    """This is no permission rule."""

    code = "DENIED_PERMISSION_RULE_INVALID"
    required_action = "Write a tool, or a tool with a specifier: Bash(git *), Edit(src/**), WebFetch(domain:example.org)."


class PermissionRuleUnknown(Denial):
    """The plane has no such rule."""

    code = "DENIED_PERMISSION_RULE_UNKNOWN"
    required_action = "List the rules: python kaizen.py N4. Rules of settings files are changed in those files."


class SettingsInvalid(Denial):
    """A settings file cannot be used."""

    code = "DENIED_SETTINGS_INVALID"
    required_action = "Correct the file; nothing is permitted before that."


class RunEnded(Denial):
    """The run has ended, and a run ends once; it takes nothing more."""

    code = "DENIED_RUN_ENDED"
    exit_code = 1
    required_action = "Go on from a checkpoint of it, with T18, or start another: python kaizen.py T5 --summary TEXT"


class RunLimit(Denial):
    """The run has used up what it may."""

    code = "DENIED_RUN_LIMIT"
    exit_code = 1
    required_action = "Finalize it: python kaizen.py T8 --id RUN_ID --status budget_exceeded --reason TEXT"


class RunInterrupted(Denial):
    """The run was asked to stop."""

    code = "DENIED_RUN_INTERRUPTED"
    exit_code = 1
    required_action = "Finalize it: python kaizen.py T8 --id RUN_ID --status interrupted --reason TEXT"


class RunUnproved(Denial):
    """Nothing shows that the run is completed."""

    code = "DENIED_RUN_UNPROVED"
    required_action = (
        "Pass --proof-id PROOF with a proof that python kaizen.py Q11 -- COMMAND made after the run began; or pass --unverified,"
        " and it ends as unverified."
    )


class RunChildrenOpen(Denial):
    """The run has children that are still open."""

    code = "DENIED_RUN_CHILDREN_OPEN"
    exit_code = 1
    required_action = "Finalize the children first."


class ResumeRefused(Denial):
    """A run goes on from a checkpoint once, when the run has ended without being completed."""

    code = "DENIED_RESUME_REFUSED"
    exit_code = 1
    required_action = "Pass --fork: another run starts from there, apart from the first."


class RunnerUnknown(Denial):
    """There is no such runner here."""

    code = "DENIED_RUNNER_UNKNOWN"
    required_action = 'Name it in .kaizen/settings.json: {"runners": {"NAME": {"command": ["program", "argument"]}}}'


class AnswersUnfit(Denial):
    """These are no answers to the questions."""

    code = "DENIED_ANSWERS_UNFIT"
    required_action = 'Answer every question with one of its labels; a text of your own as {"other": TEXT}.'


class QuestionAnswered(Denial):
    """The questions have been answered."""

    code = "DENIED_QUESTION_ANSWERED"
    exit_code = 1
    required_action = "Ask again, where the answer has to be another."


# --- metrics of agents ---------------------------------------------------------------------------


class AgentName(Denial):
    """An agent's name is the name of a folder: letters and digits, and . _ - + @ and blanks inside."""

    code = "DENIED_AGENT_NAME"
    required_action = "Pass a name such as code-reviewer, of at most 100 bytes."


class TimeAhead(Denial):
    """The time lies more than a day ahead of the clock: it did not happen yet."""

    code = "DENIED_TIME_AHEAD"
    required_action = "Pass the time when it happened, or correct the clock."


class UntilPast(Denial):
    """The time is over already."""

    code = "DENIED_UNTIL_PAST"
    required_action = "Pass a time that is still to come, such as 2099-12-31."


class AgentUnknown(Denial):
    """Nothing is recorded of this agent."""

    code = "DENIED_AGENT_UNKNOWN"
    exit_code = 1
    required_action = "P3 lists the agents; P1 --agent NAME --success records an execution."


class OutcomeRequired(Denial):
    """An execution says whether it succeeded."""

    code = "DENIED_OUTCOME_REQUIRED"
    required_action = "Pass --success or --failure."


class MemoryMissing(Denial):
    """The agent has no memory here."""

    code = "DENIED_MEMORY_MISSING"
    exit_code = 1
    required_action = "Make one: P8 --agent NAME."


# --- events, schedule, publications ---------------------------------------------------------------


class EventTarget(Denial):
    """Events cannot be sent there."""

    code = "DENIED_EVENT_TARGET"
    required_action = "Pass a NATS address, a command line or a file."


class ReceiverUnknown(Denial):
    """There is no such receiver of events."""

    code = "DENIED_RECEIVER_UNKNOWN"
    exit_code = 1
    required_action = "P17 event-list shows the receivers; P19 event-receiver --action add adds one."


class ReceiverExists(Denial):
    """There is a receiver of this name."""

    code = "DENIED_RECEIVER_EXISTS"
    exit_code = 1
    required_action = "Choose another name, or remove the first: P19 event-receiver --action remove --name NAME"


class FileInvalid(Denial):
    """The file has faults."""

    code = "DENIED_FILE_INVALID"
    exit_code = 1
    required_action = "Correct the places named in `faults`."


class ScheduleMissing(Denial):
    """There is no schedule here."""

    code = "DENIED_SCHEDULE_MISSING"
    exit_code = 1
    required_action = "Write one: python kaizen.py P11 --action init"


class ScheduleExists(Denial):
    """There is a schedule already; it is never written over."""

    code = "DENIED_SCHEDULE_EXISTS"
    exit_code = 1
    required_action = "Edit it, and see what it says: python kaizen.py P11 --action list"


class ScheduleZone(Denial):
    """There is no such timezone on this machine."""

    code = "DENIED_SCHEDULE_ZONE"
    exit_code = 1
    required_action = "Name one such as UTC or Europe/Berlin; where none is known: python -m pip install tzdata"


class ScheduleUnprintable(Denial):
    """The schedule says what this target cannot."""

    code = "DENIED_SCHEDULE_UNPRINTABLE"
    exit_code = 1
    required_action = "Print it for another target, or write the cron expression otherwise."


# --- the optimizer --------------------------------------------------------------------------------


class TextRequired(Denial):
    """The text that is to be improved is required."""

    code = "DENIED_TEXT_REQUIRED"
    required_action = "Pass --body-file PATH, or --body TEXT."


class CasesRequired(Denial):
    """Cases are required."""

    code = "DENIED_CASES_REQUIRED"
    required_action = "Pass --cases-file PATH with a JSON object a line, or --category CATEGORY for the open eval cases."


class CasesInvalid(Denial):
    """These are no cases."""

    code = "DENIED_CASES_INVALID"
    required_action = "Write a JSON object a line."


class TooFewCases(Denial):
    """There are too few cases to keep some of them from the search."""

    code = "DENIED_CASES_TOO_FEW"
    required_action = "Add cases: every split needs one, and a verdict needs six that are held out."


class ScorerRequired(Denial):
    """It is not said what scores."""

    code = "DENIED_SCORER_REQUIRED"
    required_action = "Pass a command behind --, or --scorer module:function, or --rubric TEXT for a model that judges."


class ScorerNotFound(Denial):
    """There is no such scorer in the project."""

    code = "DENIED_SCORER_NOT_FOUND"
    required_action = "Pass --scorer module:function with a module that lies in the project's folder."


class ScorerFailed(Denial):
    """The scorer failed on a case."""

    code = "DENIED_SCORER_FAILED"
    exit_code = 1
    required_action = (
        "If it failed by chance, go on: python kaizen.py P12 --resume RUN_ID. Else mend it, or let a failed case have a score"
        " (--failed-score 0), and start another run."
    )


class ScoreInvalid(Denial):
    """What the scorer gave is no score: a finite number, or an object with one."""

    code = "DENIED_SCORE_INVALID"
    exit_code = 1
    required_action = 'Let it give a number, or {"score": 0.5, "feedback": "what to do better"}.'


class ModelUnknown(Denial):
    """The server does not list this model."""

    code = "DENIED_MODEL_UNKNOWN"
    exit_code = 1
    required_action = "Use one of the models it lists, or get this one."


class BudgetTooSmall(Denial):
    """With this budget not even the baseline could be tried and compared."""

    code = "DENIED_BUDGET_TOO_SMALL"
    required_action = "Raise the budget, or use fewer cases."


class OptimizerEnded(Denial):
    """The run has ended, and its held-out cases have been looked at."""

    code = "DENIED_OPTIMIZER_ENDED"
    exit_code = 1
    required_action = "Look at it with P13, or start another run without --resume."


class OptimizerBusy(Denial):
    """Another process works on this run."""

    code = "DENIED_OPTIMIZER_BUSY"
    exit_code = 1
    required_action = "Wait for it, or stop it with Ctrl-C first."


class OptimizerChanged(Denial):
    """What the run began with has changed; its scores would not be comparable."""

    code = "DENIED_OPTIMIZER_CHANGED"
    exit_code = 1
    required_action = "Put back what it began with, or start another run."


class OptimizerUnfinished(Denial):
    """This --key began a run that was cut off; to begin it again would pay again."""

    code = "DENIED_OPTIMIZER_UNFINISHED"
    exit_code = 1
    required_action = "Go on with it: python kaizen.py P12 --resume RUN_ID"


class NoScores(Denial):
    """The run has no scores there."""

    code = "DENIED_NO_SCORES"
    exit_code = 1
    required_action = "See which there are, with P13; a run that was cut off goes on with P12 --resume."


class NothingToPublish(Denial):
    """There is no analysis to publish."""

    code = "DENIED_NOTHING_TO_PUBLISH"
    exit_code = 1
    required_action = "Make one first: python kaizen.py P5"


class PublishFailed(Denial):
    """The artifact store did not take it; nothing of it is visible there."""

    code = "DENIED_PUBLISH_FAILED"
    exit_code = 1
    required_action = "Run it again: it goes on where it stopped."


class UidRequired(Denial):
    """The uid of a session is required."""

    code = "DENIED_UID_REQUIRED"
    required_action = "Pass --uid claude:ID."


class CorrelationUnset(Denial):
    """No store of session digests is named."""

    code = "DENIED_CORRELATION_UNSET"
    required_action = "Set HELIX_STORE_DB to the SQLite file of the fleet's store."


class DigestUnreadable(Denial):
    """The store of digests cannot be read."""

    code = "DENIED_DIGEST_UNREADABLE"
    exit_code = 1
    required_action = "Check that HELIX_STORE_DB names an SQLite file that may be read."


class DigestTableMissing(Denial):
    """The store has no table of digests."""

    code = "DENIED_DIGEST_TABLE_MISSING"
    exit_code = 1
    required_action = "Set HELIX_STORE_DB to the SQLite file that has the table digests."


class DigestNotFound(Denial):
    """The store has no digest of this session."""

    code = "DENIED_DIGEST_NOT_FOUND"
    exit_code = 1
    required_action = "Check the uid; it is one such as claude:ID, and the session has to be captured first."


class ActivitiesMissing(Denial):
    """There are no activity definitions here."""

    code = "DENIED_ACTIVITIES_MISSING"
    exit_code = 1
    required_action = "Put them into .kaizen/activity-definitions, or name their folder with --path."
