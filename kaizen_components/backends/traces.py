"""Model calls in traces: that a model was asked, what it cost, and hashes in place of what was said."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..record import judge
from ..redaction import mask

if TYPE_CHECKING:
    from ..store import Row, Store


# Characters of a model's name.
MOST_NAME = 500


def ref(text: str) -> str:
    """How a trace names a text that it does not hold: sha256:<hex of its UTF-8>."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def named(text: str | None) -> str | None:
    """A model or provider as records name it: a folder by its last part, 20 words at most, nothing private. It may be a
    server that says what it is called."""
    if not text:
        return None
    name = text.rstrip("/\\").replace("\\", "/").rpartition("/")[2] if text[0] in "/~." or text[1:2] == ":" else text
    plain = "".join(letter if letter.isprintable() else " " for letter in mask(name[: 10 * MOST_NAME], personal=True)[0])
    return " ".join(plain[:MOST_NAME].split()[:20]) or None


def model_call(
    store: "Store",
    *,
    kind: str = "model_call",
    name: str,
    summary: str,
    model: str | None,
    provider: str | None,
    latency_ms: int,
    prompt: str,
    output: str | None,
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
    task_id: str | None = None,
    trace_id: str | None = None,
    parent_event_id: str | None = None,
    status: str = "recorded",
    tags: Sequence[str] | None = None,
) -> "Row":
    """Add a trace event for one call of a model, inside a unit of work; its row.

    input_ref and output_ref are hashes: neither the prompt nor the output is kept. The first of `tags` that is a lane
    (embedding, text, rerank, pii) is what B6 shows as the call's lane.
    """
    # The trace family is imported where a call is recorded, not by everything that can make one.
    from ..ops.traces import TraceEvent

    counted = [number for number in (prompt_tokens, completion_tokens) if number is not None]
    given: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "summary": summary,
        "model": named(model),
        "provider": named(provider),
        "latency_ms": latency_ms,
        "input_ref": ref(prompt),
        "output_ref": None if output is None else ref(output),
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": sum(counted) if counted else None,
        "task_id": task_id,
        "trace_id": trace_id,
        "parent_event_id": parent_event_id,
        "status": status,
        "tags": json.dumps(list(tags)) if tags else None,
    }
    return store.add(judge(TraceEvent, given))
