"""Passages: documents in evidence for the tests of chunks and citations, read from real files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kaizen_components import paths
from kaizen_components.call import Call, Result
from kaizen_components.evidence import readers
from kaizen_components.evidence.extract import Block
from kaizen_components.evidence.masking import masked
from kaizen_components.evidence.records import EvidenceBlock, EvidenceDocument
from kaizen_components.hashing import file_sha256
from kaizen_components.ops.sources import SourceLock
from kaizen_components.store import Row, Store

GUIDE = "# Sessions\n\n" + "\n\n".join(
    f"Users of group {n} log in. " + f"Session {n} expires after a day. " * 12 for n in range(8)
)


def store() -> Store:
    return Store(paths.find())


def kept(blocks: Sequence[Block], origin: str = "text", *, kind: str = "text", sha256: str | None = None) -> str:
    """A document of these blocks, with a source lock; its id."""
    here = store()

    def work() -> Result:
        lock = here.add(
            SourceLock(source_id=origin, authority_tier="implementation", url_or_repository=origin, summary="A text.")
        )
        said = EvidenceDocument(
            origin_kind=kind,
            origin_ref=origin,
            backend="kaizen",
            summary="A text.",
            source_lock_id=lock["id"],
            block_count=len(blocks),
            sha256=sha256,
        )
        document = here.add(said)
        for index, block in enumerate(blocks):
            here.add(
                EvidenceBlock(
                    document_id=document["id"],
                    block_index=index,
                    block_type=block.type,
                    text=block.text,
                    tail=block.tail,
                    start_index=block.start,
                    end_index=block.end,
                    heading=block.heading,
                    page=block.page,
                )
            )
        return Result(id=document["id"])

    return here.perform(Call(op="E1", writes=True), work)["id"]


def ingested(root: Path, name: str = "guide.md", text: str = GUIDE) -> str:
    """A file in the project, and the document that it was read into; its id."""
    (root / name).write_text(text, encoding="utf-8")
    read = masked(readers.read((root / name).read_bytes(), name))
    return kept(read.blocks, name, kind="file", sha256=file_sha256(root / name)[0])


def rows(kind: str, **where: object) -> list[Row]:
    """Records of a kind, oldest first."""
    here = store()
    try:
        return here.list(kind, where, order="created_seq")
    finally:
        here.close()


def head() -> tuple[int, str]:
    here = store()
    try:
        return here.head()
    finally:
        here.close()
