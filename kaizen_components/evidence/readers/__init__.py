"""Readers: one file per format; each makes an Extract of a file's bytes.

A reader is a module with `blocks(data, source) -> Iterator[Block]`; `source` says what is known of the file and takes the
title. Formats that a library parses are read in a process of their own, which a limit ends.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from ... import __version__, denial
from ..extract import Block, Extract, least, placed, tidied

TEXTS = """txt text rst adoc org tex log py pyi js mjs cjs jsx ts tsx go rs java kt kts scala c h cc cpp cxx hpp hh cs m swift rb pl pm php
lua r jl hs ml ex exs erl clj lisp el vim dart zig nim sh bash zsh fish ps1 bat cmd sql proto graphql tf hcl css scss less vue
svelte cmake gradle toml yaml yml json jsonl ini cfg conf env properties xml svg diff patch"""
PROSE = frozenset({"txt", "text", "rst", "adoc", "org", "tex", "log"})
# Files without an ending that hold text all the same.
NAMES = frozenset(
    "readme license licence copying notice authors contributors changelog changes news todo install makefile dockerfile"
    " justfile rakefile gemfile procfile codeowners".split()
)


@dataclass(frozen=True, slots=True)
class Format:
    """How a kind of file is read."""

    reader: str
    media_type: str
    # What the library that reads it is called, and the name it is imported by.
    package: str | None = None
    module: str | None = None
    method: str = "native"
    confidence: float = 1.0


TEXT = Format("text", "text/plain")
CODE = Format("text", "text/x-source")
MARKDOWN = Format("markdown", "text/markdown", "markdown-it-py", "markdown_it")
HTML = Format("html", "text/html", confidence=0.9)
CSV = Format("csv", "text/csv")
PDF = Format("pdf", "application/pdf", "pypdf", "pypdf", "pdftext", 0.8)
_OFFICE = "application/vnd.openxmlformats-officedocument"
DOCX = Format("docx", f"{_OFFICE}.wordprocessingml.document", "python-docx", "docx", confidence=0.9)
XLSX = Format("xlsx", f"{_OFFICE}.spreadsheetml.sheet", "openpyxl", "openpyxl", confidence=0.9)

BY_ENDING = {
    **{ending: TEXT if ending in PROSE else CODE for ending in TEXTS.split()},
    **dict.fromkeys(("md", "markdown", "mdown", "mkd"), MARKDOWN),
    **dict.fromkeys(("html", "htm", "xhtml"), HTML),
    "csv": CSV,
    "tsv": CSV,
    "pdf": PDF,
    "docx": DOCX,
    "docm": DOCX,
    "xlsx": XLSX,
    "xlsm": XLSX,
}
BY_MEDIA_TYPE = {
    **{format.media_type: format for format in (TEXT, CODE, MARKDOWN, HTML, CSV, PDF, DOCX, XLSX)},
    "application/xhtml+xml": HTML,
    "text/x-markdown": MARKDOWN,
    "text/tab-separated-values": CSV,
    "application/json": CODE,
    "application/xml": CODE,
    "application/javascript": CODE,
    "application/toml": CODE,
    "application/yaml": CODE,
}
# Read by a library in a process of their own.
APART = frozenset({"pdf", "docx", "xlsx"})

DOCUMENT_BYTES = 25 * 1024 * 1024


@dataclass(slots=True)
class Source:
    """What is known of the bytes that a reader gets; it adds the title."""

    name: str
    media_type: str
    charset: str | None = None
    title: str | None = None

    @property
    def ending(self) -> str:
        return ending(self.name)


def ending(name: str) -> str:
    """What a file's name ends in, in lower case and without the dot."""
    return PurePosixPath(name).suffix[1:].lower()


def format_of(name: str, media_type: str | None = None) -> Format | None:
    """How a file is read, by its media type (where one is given) or its name; None where no reader takes it."""
    if media_type is not None:
        kind = media_type.partition(";")[0].strip().lower()
        found = BY_MEDIA_TYPE.get(kind)
        # Servers call many things text/plain, and bytes of no known kind octet-stream.
        if found is not None and found is not TEXT:
            return found
        if kind not in ("text/plain", "application/octet-stream", "binary/octet-stream", ""):
            return found or (TEXT if kind.startswith("text/") else None)
        found = BY_ENDING.get(ending(name)) or found
        return TEXT if kind == "text/plain" and found is not None and found.reader in APART else found
    if not PurePosixPath(name).suffix and name.lower() in NAMES:
        return TEXT
    return BY_ENDING.get(ending(name))


def largest(format: Format) -> tuple[str, int]:
    """(variable, its value in bytes): what a file of a format may have."""
    variable = "KAIZEN_MAX_PDF_BYTES" if format is PDF else "KAIZEN_MAX_DOCUMENT_BYTES"
    return variable, limit(variable, DOCUMENT_BYTES)


def limit(variable: str, default: int) -> int:
    """A limit from the environment: a whole number above 0."""
    text = os.environ.get(variable)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0):
        raise denial.EnvironmentInvalid("Set it to a whole number above 0, or unset it.", variable=variable, value=text)
    return int(text)


def refuse_large(format: Format, size: int) -> None:
    """DENIED_FILE_TOO_LARGE where a file has more bytes than are read."""
    variable, most = largest(format)
    if size > most:
        raise denial.FileTooLarge(f"Split the file, or raise {variable}.", bytes=size, limit=most)


def read(data: bytes, name: str, media_type: str | None = None) -> Extract:
    """The text of a file in blocks, secrets and all (masking.py hides those).

    DENIED_UNSUPPORTED_MEDIA, DENIED_FILE_NOT_UTF8, DENIED_FILE_TOO_LARGE, DENIED_DOCUMENT_UNREADABLE, DENIED_PDF_*,
    DENIED_NO_BLOCKS, or DENIED_BACKEND_UNAVAILABLE where the package is missing."""
    format = format_of(name, media_type)
    if format is None:
        raise denial.UnsupportedMedia(name=name, **({"media_type": media_type} if media_type else {}))
    refuse_large(format, len(data))
    version = _version(format)
    charset = _charset(media_type)
    source = Source(name, format.media_type, charset)
    if format.reader in APART:
        from . import apart

        blocks = apart.blocks(format, data, source)
    else:
        blocks = list(tidied(parsed(format, data, source), least=least(len(data))))
    placed_blocks = placed(replace(block, method=format.method, confidence=format.confidence) for block in blocks)
    if not any(block.text.strip() for block in placed_blocks):
        raise denial.PdfNoText(name=name) if format is PDF else denial.NoBlocks(message="The file holds no text.", name=name)
    return Extract(
        blocks=placed_blocks,
        media_type=format.media_type,
        backend=format.package or "kaizen",
        version=version,
        title=source.title,
        method=format.method,
        confidence=format.confidence,
    )


def parsed(format: Format, data: bytes, source: Source) -> Iterator[Block]:
    """The blocks of a file as its reader gives them, in this process."""
    reader: Any = importlib.import_module(f"{__name__}.{format.reader}")
    return reader.blocks(data, source)


def _version(format: Format) -> str:
    """The version of what reads a format; refused where it is not installed."""
    import importlib.metadata
    import importlib.util

    if format.package is None or format.module is None:
        return __version__
    try:
        if importlib.util.find_spec(format.module) is not None:
            return importlib.metadata.version(format.package)
    except (ValueError, importlib.metadata.PackageNotFoundError):
        pass
    file = "requirements-kaizen.txt" if format is MARKDOWN else "requirements-evidence.txt"
    raise denial.BackendUnavailable(f"python -m pip install -r {file}", package=format.package)


def _charset(media_type: str | None) -> str | None:
    for part in (media_type or "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'") or None
    return None
