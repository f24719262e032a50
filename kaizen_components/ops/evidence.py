"""Evidence: documents read from files, pages and folders, kept with a lock on their source."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from .. import denial, paths, progress
from ..evidence.records import CHUNKERS, EvidenceDocument
from ..fields import Phrase, Range, RawText, Ref, RepoPath, Summary, TaskRef, Vocabulary, Word, shorten
from ..op import Result, op
from ..output import many
from ..record import Field, Input
from ..store import Row, Store
from . import lifecycle
from .lifecycle import Listing, Retirement, listing, revision
from .sources import TIERS

LISTED = ("id", "title", "origin_ref", "media_type", "block_count", "chunk_count", "chunker", "status", "created_at")
EXAMPLE = "--id ed_20260101000000_0123456789"

Tier = Annotated[str, Vocabulary(*TIERS)]
ChunkerName = Annotated[str, Vocabulary(*CHUNKERS)]
Seconds = Annotated[float, Range(0.001, 86_400)]

# A commit of a folder holds so many files, of so many bytes: what is lost when it is cut off is that much.
FILES, BYTES = 16, 400_000
# Of a folder, so many documents and refusals are named in the answer, and so many documents to a person.
NAMED, SHOWN = 200, 10
REFUSED = "files were refused"
NONE_THERE = "There is no file that a reader takes. Hidden files, links, and what git ignores are passed over."
NOT_CUT = "New documents are not cut into chunks, and no search finds them: repeat this with --chunker recursive."


class FileToRead(Input):
    """A file to read, and what is known of it."""

    path: RepoPath = Field(missing=denial.PathRequired, description="File to read")
    summary: Summary | None = Field(None, file=True, description="One or two sentences; default: its title or first words")
    source_id: Phrase | None = Field(None, description="Name of the source; default: the file's name")
    authority_tier: Tier = Field("implementation", description="How much the source counts")
    version_or_commit: RawText | None = Field(None, description="Version, tag or commit that is read")
    license: Word | None = Field(None, description="Its license, 10 words at most")
    supersedes: Ref | None = Field(None, description="The source lock that this one replaces; default: of the same file")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    allow_external: bool = Field(False, description="Also a file outside the project")
    chunker: ChunkerName | None = Field(None, description="Also cut it into chunks, which makes it searchable")


class PageToRead(Input):
    """A page to fetch and read, and what is known of it."""

    url: RawText = Field(description="Address of the page, http or https")
    summary: Summary | None = Field(None, file=True, description="One or two sentences; default: its title or first words")
    source_id: Phrase | None = Field(None, description="Name of the source; default: host and path")
    authority_tier: Tier = Field("official_docs", description="How much the source counts")
    version_or_commit: RawText | None = Field(None, description="Version that is read")
    license: Word | None = Field(None, description="Its license, 10 words at most")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    allow_private: bool = Field(False, description="Also an address that is not public, such as localhost")
    timeout: Seconds = Field(30.0, description="Seconds for all of it")
    chunker: ChunkerName | None = Field(None, description="Also cut it into chunks, which makes it searchable")


class FolderToRead(Input):
    """A folder whose files are to be read."""

    path: RepoPath = Field(missing=denial.PathRequired, description="Folder to read")
    glob: list[RawText] | None = Field(
        None, description="Only files of this pattern, such as *.md or docs/**/*.rst; repeat for more"
    )
    chunker: ChunkerName | None = Field(None, description="Also cut each into chunks, which makes it searchable")
    authority_tier: Tier = Field("implementation", description="How much the sources count")
    task_id: TaskRef | None = Field(None, description="The task they belong to")
    limit: int | None = Field(None, description="At most so many files; 0 and negative are no limit")
    allow_external: bool = Field(False, description="Also a folder outside the project")
    strict: bool = Field(False, description="Exit 1 where a file was refused")


@op(
    "E1",
    "evidence-ingest-file",
    writes=True,
    manages_store=True,
    keywords="read document import text markdown html csv pdf docx xlsx source evidence",
    example="--path README.md --chunker recursive",
)
def evidence_ingest_file(wanted: FileToRead, store: Store) -> Result:
    """Read a file into evidence: a lock on its source, the document, its blocks.

    Text, source code, Markdown, HTML and CSV; PDF, DOCX and XLSX with requirements-evidence.txt. Secrets in it are covered
    with stars. The same bytes from the same place are there already; other bytes make a document that
    supersedes it, and is cut as that one was.
    """
    from ..evidence import ingest

    if store.call.key:
        # What was done is answered again, whatever became of the file.
        early = store.perform(store.call, lambda: _early(store, wanted.task_id, None, wanted.supersedes))
        if early.get("replayed"):
            return early
    origin = ingest.file_origin(store, wanted.path, allow_external=wanted.allow_external)
    return _ingested(store, origin, wanted, supersedes=wanted.supersedes)


@op(
    "E2",
    "evidence-ingest-url",
    writes=True,
    manages_store=True,
    keywords="fetch read web page download http source evidence",
    example="--url https://example.org/ --timeout 10",
)
def evidence_ingest_url(wanted: PageToRead, store: Store) -> Result:
    """Fetch a page over http or https and read it into evidence, as E1 does a file.

    Addresses that are not public are refused, at each redirect too, unless --allow-private. No proxy is used, whatever
    HTTP_PROXY and HTTPS_PROXY say: nobody could judge the address that it connects to.
    """
    from .. import web
    from ..evidence import ingest

    early = store.perform(store.call, lambda: _early(store, wanted.task_id, None))
    if early.get("replayed"):
        return early
    page = web.fetch(wanted.url, allow_private=wanted.allow_private, timeout=wanted.timeout)
    ref = web.address(wanted.url)
    place = PurePosixPath(ref.partition("?")[0])
    origin = ingest.Origin("url", ref, page.body, place.name, page.content_type, page.retrieved)
    # What is read from it is what was fetched: its name is the address, and a name that ends in .html says nothing of it.
    named = wanted.source_id or shorten(web.shown(ref.partition("://")[2].partition("?")[0]).rstrip("/"), 200)
    result = _ingested(store, origin, wanted, source_id=named)
    if "replayed" not in result:
        result.update(
            final_url=web.shown(page.final_url), redirects=[web.shown(url) for url in page.redirects], bytes=len(page.body)
        )
    return result


@op(
    "E6",
    "evidence-ingest-folder",
    writes=True,
    manages_store=True,
    keywords="read many documents directory tree import project source evidence",
    example='--path . --glob "*.md" --chunker recursive',
)
def evidence_ingest_folder(wanted: FolderToRead, store: Store) -> Result:
    """Read every file of a folder that a reader takes; what is there and unchanged is left as it is.

    Hidden files, and in a git checkout what git ignores, are passed over. Files are written some at a time: what was
    cut off goes on where it ended. A file that cannot be read is named in `refused` and stops nothing.
    """
    from ..evidence import folder

    root, name = paths.inside(store.plane, wanted.path, allow_external=wanted.allow_external)
    if not root.is_dir():
        raise denial.FileNotFound(
            "Pass a folder; E1 takes a file.", path=wanted.path, looked_at=str(root), reason="no such folder"
        )
    known: dict[str, list[Row]] = {}
    early = store.perform(store.call, lambda: _early(store, wanted.task_id, known))
    if early.get("replayed"):
        return early
    if wanted.chunker is not None:
        from ..evidence import chunkers

        # What a chunker lacks is said once, not of each file.
        chunkers.opened(wanted.chunker)
    found = folder.files(root, wanted.glob or ())
    if wanted.limit and wanted.limit > 0:
        found = found[: wanted.limit]
    reading = Reading(store, wanted, root, name, known)
    with progress.bar("Reading", len(found)) as show:
        # The last group says what the whole call did: with --key, its entry holds the answer.
        waiting: list[Any] = []
        for group in reading.groups(found, show):
            reading.write(waiting)
            waiting = group
        result = reading.finish(waiting)
    result.view = lambda width: _folder_page(result, wanted.chunker, width)
    return result


def _folder_page(result: Result, chunker: str | None, width: int) -> str:
    """The answer for a person: the counts, what was refused, and where the documents are."""
    counted = {"new": "ingested", "there already": "already", "empty": "empty", "refused": "refused_count"}
    counts = ", ".join(f"{result[name]} {said}" for said, name in counted.items())
    lines = [f"FAILED: {REFUSED}"] if result["status"] != "OK" else []
    lines.append(f"{result['path']}: {many(result['files'], 'file')}: {counts}; {many(result['chunk_count'], 'chunk')}")
    for one in result["refused"]:
        lines += ["", f"{one['path']}  {one['code']}"]
        said = f"{one['message']} {one['required_action']}"
        lines += textwrap.wrap(said, max(width, 30), initial_indent="    ", subsequent_indent="    ")
    shown = result["documents"][:SHOWN]
    lines += ["", *(f"  {one}" for one in shown)] if shown else []
    if len(result["documents"]) > len(shown):
        lines.append("  and more: E7 lists documents.")
    if chunker is None and result["ingested"] and not result["chunk_count"]:
        lines += ["", *textwrap.wrap(NOT_CUT, width)]
    return "\n".join(lines)


class Reading:
    """A folder that is being read: what was written, was there already, was refused."""

    def __init__(self, store: Store, wanted: FolderToRead, root: Path, name: str, known: dict[str, list[Row]]) -> None:
        self.store, self.wanted, self.root, self.name, self.known = store, wanted, root, name, known
        self.files = self.ingested = self.already = self.empty = self.chunks = self.unnamed = 0
        self.documents: list[str] = []
        self.refused: list[dict[str, Any]] = []

    def groups(self, found: Sequence[Path], show: progress.Show) -> Iterator[list[Any]]:
        """The files that are new, read and some at a time."""
        group: list[Any] = []
        size = 0
        for path in found:
            self.files += 1
            prepared = self._prepared(path)
            if prepared is not None:
                group.append(prepared)
                size += len(prepared.origin.data)
            if len(group) >= FILES or size >= BYTES:
                yield group
                group, size = [], 0
            show(self.files, path.name)
        if group:
            yield group

    def _prepared(self, path: Path) -> Any:
        """A file that is new, read; None where it is there already, is empty, or is refused."""
        from ..evidence import ingest

        ref = self._ref(path)
        try:
            if self.store.plane.is_live(path):
                raise denial.PathLive(path=ref)
            origin = ingest.opened(path, ref, ref)
            if not origin.data.strip():
                self.empty += 1
                return None
            before = self.known.get(origin.ref, ())
            row = ingest.same(before, origin.sha256)
            if row is not None and row["status"] == "active" and self.wanted.chunker in (None, row["chunker"]):
                self.already += 1
                return None
            said = ingest.Said(self.wanted.authority_tier, task_id=self.wanted.task_id)
            return ingest.prepare(origin, said, self.wanted.chunker or ingest.cut_by(before))
        except denial.Denial as refusal:
            self._refuse(ref, refusal)
        return None

    def _ref(self, path: Path) -> str:
        from ..evidence import ingest

        name = ingest.kept(path.relative_to(self.root).as_posix())
        if self.name.startswith("external:"):
            return f"{self.name}/{name}"
        return name if self.name == "." else f"{self.name}/{name}"

    def _refuse(self, ref: str, refusal: denial.Denial) -> None:
        said = refusal.detail.get("reason")
        message = f"{refusal.message} ({said})" if said else refusal.message
        entry = {"path": ref, "code": refusal.code, "message": message, "required_action": refusal.required_action}
        self.refused.append(entry)

    def write(self, group: Sequence[Any]) -> None:
        """Write some files in one commit; where that is refused, each by itself."""
        call = replace(self.store.call, key=None)
        own = self.store.call
        try:
            if group:
                answers = self._written(call, group)
                self._count(answers)
        except denial.Denial as refusal:
            if len(group) == 1:
                self._refuse(group[0].origin.ref, refusal)
                return
            for prepared in group:
                self.write([prepared])
        finally:
            self.store.call = own

    def _written(self, call: Any, group: Sequence[Any]) -> list[dict[str, Any]]:
        from ..evidence import ingest

        answers: list[dict[str, Any]] = []

        def work() -> Result:
            answers.extend(ingest.write(self.store, prepared) for prepared in group)
            return Result()

        self.store.perform(call, work)
        return answers

    def _count(self, answers: Iterable[dict[str, Any]]) -> None:
        for answer in answers:
            if answer.get("already"):
                self.already += 1
            else:
                self.ingested += 1
            self.chunks += answer.get("chunk_count") or 0
            if len(self.documents) < NAMED:
                self.documents.append(answer["id"])

    def finish(self, group: Sequence[Any]) -> Result:
        """Write the last files, and answer for all of them."""
        from ..evidence import ingest

        def work() -> Result:
            answers = [ingest.write(self.store, prepared) for prepared in group]
            self._count(answers)
            return self._answer()

        if not group:
            return self._answer()
        before = self.ingested, self.already, self.chunks, len(self.documents)
        try:
            return self.store.perform(self.store.call, work)
        except denial.KeyConflict:
            raise
        except denial.Denial:
            self.ingested, self.already, self.chunks = before[:3]
            del self.documents[before[3] :]
            for prepared in group:
                self.write([prepared])
            return self._answer()

    def _answer(self) -> Result:
        result = Result(
            finding=bool(self.wanted.strict and self.refused),
            path=self.name,
            files=self.files,
            ingested=self.ingested,
            already=self.already,
            empty=self.empty,
            chunk_count=self.chunks,
            refused=self.refused[:NAMED],
            refused_count=len(self.refused),
            documents=self.documents,
        )
        if not self.files:
            self.store.warnings.append(NONE_THERE)
            result["warnings"] = list(self.store.warnings)
        if self.refused:
            self.store.warnings.append(f"{len(self.refused)} of {self.files} files were not read; `refused` says why.")
            result["warnings"] = list(self.store.warnings)
        return result


def _early(store: Store, task_id: str | None, known: dict[str, list[Row]] | None, supersedes: str | None = None) -> Result:
    """Whatever would refuse the records refuses them before anything is read; fills in what is known already."""
    from ..evidence import ingest

    store.refuse_early()
    for target, kind, field in ((task_id, "task", "task_id"), (supersedes, None, "supersedes")):
        if target is not None:
            store.check_link(target, kind, field)
    if known is not None:
        known.update(ingest.everything(store))
    return Result()


def _ingested(store: Store, origin: Any, wanted: Any, *, source_id: str | None = None, supersedes: str | None = None) -> Result:
    """Read what was opened or fetched, then write it in one unit."""
    from ..evidence import ingest

    digest, there, before = origin.sha256, [], []

    def early() -> Result:
        result = _early(store, wanted.task_id, None, supersedes)
        before.extend(ingest.current(store, origin.ref))
        row = ingest.same(before, digest)
        if row is not None and wanted.chunker in (None, row["chunker"]):
            there.append(row)
            return Result(**ingest.known_again(store, row))
        return result

    first = store.perform(store.call, early)
    if first.get("replayed") or there:
        return first
    said = ingest.Said(
        authority_tier=wanted.authority_tier,
        source_id=source_id or wanted.source_id,
        summary=wanted.summary,
        version_or_commit=wanted.version_or_commit,
        license=wanted.license,
        supersedes=supersedes,
        task_id=wanted.task_id,
    )
    prepared = ingest.prepare(origin, said, wanted.chunker or ingest.cut_by(before))
    return store.perform(store.call, lambda: Result(**ingest.write(store, prepared)))


@op(
    "E7",
    "evidence-list",
    input=listing(EvidenceDocument, query=False, filters=("origin_ref", "source_lock_id", "chunker")),
    keywords="documents sources show search find",
    example="--status drifted",
)
def evidence_list(window: Listing, store: Store) -> Result:
    """List the documents in evidence, newest first, or those that --query finds."""
    result = lifecycle.queried(EvidenceDocument, LISTED, window, store)
    result.view = lambda width: _documents_page(result["records"], width)
    return result


def _documents_page(records: Sequence[Row], width: int) -> str:
    """Documents for a person: each with where it comes from, and what there is of it."""
    inner = {"width": max(width, 30), "initial_indent": "    ", "subsequent_indent": "    "}
    lines: list[str] = []
    for record in records:
        chunks = f"{many(record['chunk_count'], 'chunk')} ({record['chunker']})" if record["chunk_count"] else "not cut"
        lines.append(f"{record['id']}  {record['origin_ref']}")
        lines += textwrap.wrap(record["title"] or "", **inner)
        said = (
            record["status"],
            record["media_type"],
            many(record["block_count"] or 0, "block"),
            chunks,
            record["created_at"][:10],
        )
        lines += textwrap.wrap(", ".join(said), **inner, break_on_hyphens=False)
    return "\n".join([*lines, many(len(records), "document") if records else "No documents."])


@op(
    "E9",
    "evidence-update",
    writes=True,
    input=revision(
        EvidenceDocument,
        omit=tuple(spec.name for spec in EvidenceDocument.specs if spec.name not in ("summary", "task_id", "status")),
    ),
    keywords="document revise correct describe",
    example=f'{EXAMPLE} --summary "How the parser reads numbers."',
)
def evidence_update(change: Input, store: Store) -> Result:
    """Revise what is said of a document; what was read stays as it was. A status that is over takes it out of search."""
    from ..evidence import ingest
    from ..record import CLOSED

    target: Any = change
    before = store.get("evidence_document", target.id)
    if target.status in CLOSED and before["is_open"]:
        ingest.withdraw(store, target.id, target.status)
    elif target.status and target.status not in CLOSED and not before["is_open"]:
        ingest.restore(store, before)
    return lifecycle.revised(EvidenceDocument, change, store)


@op(
    "E10",
    "evidence-retire",
    writes=True,
    keywords="document withdraw remove",
    example=f'{EXAMPLE} --reason "Of an older release."',
)
def evidence_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a document, with the reason: it stays to be read, and no search finds its chunks any more."""
    from ..evidence import ingest

    before = store.get("evidence_document", retirement.id)
    if before["retired_reason"] is not None:
        return lifecycle.written(before, already=True)
    return lifecycle.written(ingest.withdraw(store, retirement.id, "retired", retired_reason=retirement.reason))
