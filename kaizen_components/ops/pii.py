"""Personal data: scans of a text for it. They advise, and never block."""

import hashlib
import hmac
import json
from typing import Any

from .. import clock, denial, paths
from ..backends.records import PiiScan
from ..fields import RawText, RepoPath, Summary, TaskRef
from ..op import Result, op
from ..record import Field, Input, judge, refuse_secrets
from ..redaction import mask
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing

LISTED = ("id", "summary", "source_ref", "regex_hit_count", "model_hit_count", "model", "status", "created_at")
EXAMPLE = "--id pii_20260101000000_0123456789"

# Bytes of a file, characters that a model reads, hits that a record and a reply hold.
MOST_BYTES, MOST_READ, MOST_HITS = 16_000_000, 200_000, 1_000


class Scan(Input):
    """A text to scan, given or in a file."""

    # What is scanned may hold what the scan is for; the other fields are looked at below.
    scanned = False
    redaction = denial.TraceRedaction
    refuses_personal = True

    prompt: RawText | None = Field(None, file=True, description="The text to scan")
    body: RawText | None = Field(None, file=True, description="The text to scan, as --prompt")
    path: RepoPath | None = Field(None, description="A text file to scan, inside the project")
    allow_external: bool = Field(False, description="The file may lie outside the project")
    summary: Summary | None = Field(None, file=True, description="One or two sentences; default: how much was found")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    trace_id: RawText | None = Field(None, description="The trace it belongs to, any text")


@op(
    "B5",
    "pii-scan",
    writes=True,
    manages_store=True,
    keywords="privacy personal data email phone iban card secrets detect advisory",
    example='--body "Call +44 20 7946 0958 about the invoice."',
)
def pii_scan(wanted: Scan, store: Store) -> Result:
    """Look for personal data and secrets in a text: by pattern, and by model where the lane pii is configured.

    It advises and never blocks. The record keeps labels, places and counts, not the text. span_hash tells equal spans of
    one scan from different ones; its key is thrown away, so that nobody can look up a telephone number by trying them all.
    """
    authored = ("path", "summary", "task_id", "trace_id")
    refuse_secrets(Scan, {name: value for name in authored if (value := getattr(wanted, name)) is not None})
    text, source = _text(wanted, store)
    first = store.perform(store.call, lambda: _refuse_early(wanted, store))
    if first.get("replayed"):
        return first
    by_pattern = _by_pattern(text)
    by_model, model, note = _by_model(text)
    return store.perform(store.call, lambda: _recorded(wanted, store, source, by_pattern, by_model, model, note))


def _text(wanted: Scan, store: Store) -> tuple[str, str]:
    """(the text, what the record calls it)."""
    given = [name for name in ("prompt", "body", "path") if getattr(wanted, name)]
    if not given:
        raise denial.PiiTextRequired()
    if len(given) > 1:
        raise denial.FlagConflict("Pass one of --prompt, --body and --path.", flag=f"--{given[1]}")
    if wanted.path is None:
        return wanted.prompt or wanted.body or "", given[0]
    resolved, name = paths.inside(store.plane, wanted.path, allow_external=wanted.allow_external)
    try:
        if not resolved.is_file():
            raise denial.FileNotFound(path=wanted.path, reason="a folder" if resolved.is_dir() else "no such file")
        if resolved.stat().st_size > MOST_BYTES:
            raise denial.FileTooLarge("Split the file.", path=name, limit=MOST_BYTES)
        return resolved.read_bytes().decode("utf-8-sig"), _source(name)
    except UnicodeDecodeError:
        raise denial.FileNotUtf8(path=name) from None
    except (OSError, ValueError) as fault:
        raise denial.FileNotFound(path=wanted.path, reason=str(getattr(fault, "strerror", None) or fault)) from None


def _source(name: str) -> str:
    """A file's name for the record, 10 words at most."""
    return " ".join(mask(name, personal=True)[0].encode("utf-8", "replace").decode().split()[:10])


def _refuse_early(wanted: Scan, store: Store) -> Result:
    """Whatever would refuse the record refuses it before a model reads the text."""
    store.refuse_early()
    if wanted.task_id is not None:
        store.check_link(wanted.task_id, "task", "task_id")
    return Result()


def _by_pattern(text: str) -> list[dict[str, Any]]:
    from ..backends import pii

    hits = pii.found(text)
    return [{"source": "regex", "label": hit.kind, "span_hash": None, "start": hit.start, "end": hit.end} for hit in hits]


def _by_model(text: str) -> tuple[list[dict[str, Any]], Any, str | None]:
    """(hits, the model or None, what there is to say of it)."""
    from .. import backends

    try:
        if not backends.configured("pii"):
            return [], None, "No model is configured for the lane pii; the patterns alone were used."
        recognizer = backends.opened("pii")
        spans = recognizer.spans(text[:MOST_READ])
    except denial.Denial as refusal:
        # A scan that says less is better than none.
        return [], None, f"The model did not read it: {refusal.message} {refusal.required_action}"
    key = bytes.fromhex(clock.token(0, "pii_scan", 32))
    hits = [
        {
            "source": "model",
            "label": span.label,
            "span_hash": hmac.new(key, text[span.start : span.end].encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest(),
            "start": span.start,
            "end": span.end,
        }
        for span in spans
    ]
    return hits, recognizer, f"The model read the first {MOST_READ} characters." if len(text) > MOST_READ else None


def _recorded(
    wanted: Scan,
    store: Store,
    source: str,
    by_pattern: list[dict[str, Any]],
    by_model: list[dict[str, Any]],
    model: Any,
    note: str | None,
) -> Result:
    """Record the scan: one unit of work."""
    from ..backends.traces import named

    counts = f"{len(by_pattern)} by pattern, {len(by_model)} by model"
    given = {
        "regex_hit_count": len(by_pattern),
        "model_hit_count": len(by_model),
        "summary": wanted.summary or f"Scanned for personal data: {counts}.",
        "task_id": wanted.task_id,
        "trace_id": wanted.trace_id,
        "source_ref": source,
        "hits": json.dumps([*by_pattern[:MOST_HITS], *by_model[:MOST_HITS]]),
        "model": named(model.model) if model is not None else None,
        "provider": named(model.provider) if model is not None else None,
    }
    row = store.add(judge(PiiScan, given))
    cut = max(len(by_pattern), len(by_model)) > MOST_HITS
    notes = ["Advisory: a scan blocks nothing and proves nothing."]
    notes += [note] if note else []
    notes += [f"Of each source the first {MOST_HITS} hits are listed."] if cut else []
    return lifecycle.written(
        row,
        advisory=True,
        regex_hits=by_pattern[:MOST_HITS],
        model_hits=by_model[:MOST_HITS],
        regex_hit_count=len(by_pattern),
        model_hit_count=len(by_model),
        source_ref=source,
        model=row["model"],
        note=" ".join(notes),
        message=f"{counts}",
    )


@op(
    "B8",
    "pii-list",
    input=listing(PiiScan, query=False, filters=("trace_id", "source_ref")),
    keywords="privacy scans personal data show search find",
    example="--limit 5",
)
def pii_list(window: Listing, store: Store) -> Result:
    """List the scans for personal data, newest first, or those that --query finds."""
    return lifecycle.queried(PiiScan, LISTED, window, store)


@op("B9", "pii-inspect", keywords="privacy scan personal data show read", example=EXAMPLE)
def pii_inspect(target: Target, store: Store) -> Result:
    """Show one scan for personal data in full."""
    return lifecycle.inspected(PiiScan, target, store)


@op("B10", "pii-retire", writes=True, keywords="privacy scan withdraw", example=f'{EXAMPLE} --reason "The text was a test."')
def pii_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a scan for personal data, with the reason."""
    return lifecycle.retired(("pii_scan",), retirement, store)
