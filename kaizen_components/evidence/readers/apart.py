"""Apart: a reader in a process of its own, with a limit on time and memory.

Libraries that parse PDF and office files are large, and what they are given may be made to keep them busy for ever. A start
costs a quarter of a second; a limit that holds is worth it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import denial, process
from ..extract import MOST_BLOCKS, MOST_TEXT, Block, least, tidied

if TYPE_CHECKING:
    from . import Format, Source

# Seconds, and bytes of memory, that reading one document may take.
PATIENCE, MEMORY = 120, 1_500_000_000
# With -c Python also looks for modules in the current folder; a file that is called pypdf.py there must not be run.
_START = (
    "import sys; sys.path[:] = [sys.argv[1], *filter(None, sys.path)];"
    " from kaizen_components.evidence.readers.apart import main; main(*sys.argv[2:])"
)
# Of a longer name, such as the path of a page, the end is handed over: a command line has limits.
NAME = 500


def blocks(format: Format, data: bytes, source: Source) -> list[Block]:
    """What the reader of a format makes of a file; its refusals are raised here."""
    unreadable = denial.PdfUnreadable if format.reader == "pdf" else denial.DocumentUnreadable
    root = str(Path(__file__).resolve().parents[3])
    with tempfile.TemporaryDirectory(prefix="kaizen-read-") as folder:
        copy = Path(folder) / "document"
        copy.write_bytes(data)
        argv = [sys.executable, "-c", _START, root, format.reader, str(copy), source.name[-NAME:], source.media_type]
        try:
            ended = process.run(argv, timeout=PATIENCE, grace=1.0, most=8 * MOST_TEXT)
        except process.NotStarted as fault:
            raise unreadable(name=source.name, reason=f"the reader could not be started: {fault}") from None
    if ended.interrupted:
        raise KeyboardInterrupt
    if ended.exit_code == 0 and not ended.stdout.left_out:
        return _answered(json.loads(ended.stdout.kept()), source)
    reason = f"reading it took more than {PATIENCE} seconds" if ended.timed_out else _last_line(ended.stderr.last(2_000))
    raise unreadable(name=source.name, reason=reason)


def _answered(answer: dict[str, Any], source: Source) -> list[Block]:
    """The blocks that the process read, or what it refused."""
    if "refused" in answer:
        refusal = getattr(denial, answer["refused"])
        raise refusal(answer["required_action"], message=answer["message"], **answer["detail"])
    source.title = answer["title"]
    found = [Block(*values) for values in answer["blocks"]]
    if len(found) <= MOST_BLOCKS:
        return found
    return list(tidied(found, least=least(sum(len(block.text) + len(block.tail) for block in found))))


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "the reader was ended, for want of memory perhaps"


def main(reader: str, path: str, name: str, media_type: str) -> None:
    """Read one file and answer with JSON on stdout: what runs in the process."""
    from . import Source, format_of, parsed

    _limit_memory()
    format = format_of(name, media_type)
    assert format is not None and format.reader == reader
    source = Source(name, media_type)
    try:
        found = list(tidied(parsed(format, Path(path).read_bytes(), source)))
        rows = [(block.type, block.text, block.tail, 0, block.heading, block.page) for block in found]
        answer: dict[str, Any] = {"title": source.title, "blocks": rows}
    except denial.Denial as refusal:
        said = {"message": refusal.message, "required_action": refusal.required_action, "detail": refusal.detail}
        answer = {"refused": type(refusal).__name__, **said}
    except (MemoryError, RecursionError) as fault:
        refused = "PdfUnreadable" if reader == "pdf" else "DocumentUnreadable"
        detail = {"name": name, "reason": f"reading it took too much ({type(fault).__name__})"}
        unreadable = getattr(denial, refused)()
        answer = {
            "refused": refused,
            "message": unreadable.message,
            "required_action": unreadable.required_action,
            "detail": detail,
        }
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
