"""Lint: how wordy the text of a contract is."""

from .. import denial, paths, wordiness
from ..fields import MEGABYTE, RawText, RepoPath
from ..op import Result, op
from ..record import Field, Input
from ..store import Store

NOTE = "Counted, not understood: word lists are English, code is left out, positions are characters of the text."


class Draft(Input):
    """A contract text, given or in a file."""

    scanned = False
    body: RawText | None = Field(None, file=True, description="The text itself")
    path: RepoPath | None = Field(None, description="File inside the project that holds it")
    allow_external: bool = Field(False, description="Also a file outside the project")
    strict: bool = Field(False, description="Exit 1 on a fail verdict")


@op(
    "Q10",
    "contract-lint",
    needs_plane=False,
    keywords="wordy filler hedge vague concise prose check text",
    example='--body "The tool writes one record. It exits with 0."',
)
def contract_lint(draft: Draft, store: Store) -> Result:
    """Judge how wordy a contract text is: fillers, hedges, repeated sentences; nothing is written."""
    text, name = _text_of(draft, store)
    judged = wordiness.judge(text)
    fillers = [
        {"label": hit.phrase.label, "span": [hit.start, hit.end], "suggestion": hit.phrase.suggestion, "text": hit.text}
        for hit in judged.fillers
    ]
    result = Result(
        exit_code=int(draft.strict and judged.verdict == "fail"),
        op="Q10",
        verdict=judged.verdict,
        word_count=judged.word_count,
        sentence_count=judged.sentence_count,
        signal_per_token=judged.signal_per_token,
        hedge_density=judged.hedge_density,
        filler_hits=fillers,
        hedge_hits=[{"span": [hit.start, hit.end], "word": hit.text} for hit in judged.hedges],
        duplicate_sentences=judged.duplicates,
        reasons=judged.reasons,
        note=NOTE,
    )
    if name is not None:
        result["path"] = name
    return result


def _text_of(draft: Draft, store: Store) -> tuple[str, str | None]:
    """The text, and the name of its file where it comes from one."""
    if draft.body is not None and draft.path is not None:
        raise denial.FlagConflict("Pass --body or --path.", message="--body and --path both give a text.", flag="--path")
    text, name = (draft.body, None) if draft.path is None else _read(draft.path, draft.allow_external, store)
    if text is None or not text.strip():
        raise denial.ContractTextRequired(field="body" if draft.path is None else "path")
    return text, name


def _read(path: str, allow_external: bool, store: Store) -> tuple[str, str]:
    resolved, name = paths.inside(store.plane, path, allow_external=allow_external)
    try:
        if not resolved.is_file():
            raise denial.FileNotFound(path=path, reason="a folder" if resolved.is_dir() else "no such file")
        with resolved.open("rb") as file:
            data = file.read(MEGABYTE + 1)
    except OSError as fault:
        raise denial.FileNotFound(path=path, reason=fault.strerror or str(fault)) from None
    if len(data) > MEGABYTE:
        raise denial.FileTooBig(path=path, limit=MEGABYTE)
    try:
        return data.decode("utf-8-sig"), name
    except UnicodeDecodeError as fault:
        raise denial.FileNotUtf8(path=path, reason=str(fault)) from None
