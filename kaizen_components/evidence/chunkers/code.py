"""Code: pieces that end where a function, a class or a statement ends, as a parser sees it."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from ... import denial
from . import Source, Span

LONGEST = 1536
# Classes, functions and blocks are looked into as deep as this.
DEEPEST = 6

BLACK = re.compile(r"\S")
# Lines as Python counts them.
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
LEADING = re.compile(r"[ \t]*(?:#|@)")
LANGUAGES = {
    "python": "py pyi pyw",
    "javascript": "js mjs cjs jsx",
    "typescript": "ts mts cts",
    "tsx": "tsx",
    "c": "c h",
    "cpp": "cc cpp cxx hpp hh",
    "c_sharp": "cs",
    "go": "go",
    "java": "java",
    "kotlin": "kt kts",
    "rust": "rs",
    "ruby": "rb",
    "php": "php",
    "swift": "swift",
    "scala": "scala",
    "lua": "lua",
    "bash": "sh bash",
    "sql": "sql",
    "json": "json",
    "toml": "toml",
    "yaml": "yaml yml",
    "css": "css",
    "html": "html htm",
}
BY_EXTENSION = {ending: language for language, endings in LANGUAGES.items() for ending in endings.split()}


class Place(NamedTuple):
    """Where a piece may end: before the character `at`, which begins something `depth` levels deep."""

    at: int
    depth: int


class Code:
    """Python is parsed by Python itself; other languages by tree-sitter, where their grammar is on this machine.

    Nothing is downloaded: a grammar comes as a package, such as tree-sitter-javascript.
    """

    made = f"kaizen code 1 {LONGEST}"

    def spans(self, source: Source) -> Iterator[Span]:
        text = source.text
        language = BY_EXTENSION.get(PurePosixPath(source.origin).suffix.lower().lstrip("."))
        if language is None:
            raise denial.ChunkerUnsupported(
                "Use --chunker recursive for it.",
                message="The chunker of code knows a language by the file's extension, and not this one.",
                field="chunker",
                value="code",
                path=source.origin[:500],
                allowed=sorted(BY_EXTENSION),
            )
        places = _python(text) if language == "python" else _tree(text, language)
        by_depth = [[place.at for place in places if place.depth <= depth] for depth in range(DEEPEST + 1)]
        found = BLACK.search(text)
        while found:
            start = found.start()
            end = _end(text, by_depth, start)
            yield Span(start, end)
            found = BLACK.search(text, end)


def _end(text: str, by_depth: Sequence[Sequence[int]], start: int) -> int:
    """The end of the piece that begins at `start`: before the outermost thing that begins in reach, the last of those."""
    most = start + LONGEST
    if most >= len(text):
        return len(text)
    for places in by_depth:
        at = bisect_right(places, most) - 1
        if at >= 0 and places[at] > start and text[start : places[at]].strip():
            return places[at]
    line = text.rfind("\n", start, most)
    return line if line > start else most


# --- Python ---------------------------------------------------------------------------------------


def _python(text: str) -> list[Place]:
    """Where the statements of a Python text begin, with the comments and decorators above them."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        raise denial.DocumentUnreadable(
            "Use --chunker recursive for it.", message="This is no Python that can be parsed.", reason=str(fault)[:200]
        ) from None
    offsets = [0]
    for line in LINE.findall(text):
        offsets.append(offsets[-1] + len(line))
    lines = [text[first:last] for first, last in pairwise(offsets)]
    found: dict[int, int] = {}

    def look(statements: Sequence[ast.stmt], depth: int) -> None:
        for statement in statements:
            row = min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", ()))]) - 1
            while row and LEADING.match(lines[row - 1]):
                row -= 1
            found.setdefault(offsets[row], depth)
            if depth < DEEPEST:
                for name in ("body", "handlers", "orelse", "finalbody"):
                    inner = getattr(statement, name, ())
                    look([part for part in inner if hasattr(part, "lineno")] if isinstance(inner, list) else (), depth + 1)

    look(tree.body, 0)
    return [Place(at, found[at]) for at in sorted(found)]


# --- other languages ------------------------------------------------------------------------------


def _tree(text: str, language: str) -> list[Place]:
    """Where the parts of a text begin that tree-sitter names; each at the start of its line."""
    data = text.encode("utf-8")
    tree = _parser(language).parse(data)
    found: dict[int, int] = {}

    def look(node: Any, depth: int) -> None:
        comment: Any = None
        for child in node.children:
            line = data.rfind(b"\n", 0, child.start_byte) + 1
            alone = not data[line : child.start_byte].strip()
            above = comment is not None and child.start_point[0] <= comment.end_point[0] + 1
            if alone and child.is_named and not above:
                found.setdefault(line, depth)
            comment = child if "comment" in child.type else None
            if depth < DEEPEST and child.end_byte - child.start_byte > LONGEST // 2:
                look(child, depth + 1)

    look(tree.root_node, 0)
    return _characters(data, found)


def _characters(data: bytes, found: dict[int, int]) -> list[Place]:
    """Places counted in characters, from places counted in bytes."""
    places: list[Place] = []
    at = before = 0
    for place in sorted(found):
        at += len(data[before:place].decode("utf-8"))
        before = place
        places.append(Place(at, found[place]))
    return places


def _parser(language: str) -> Any:
    """A parser whose grammar is on this machine; DENIED_BACKEND_UNAVAILABLE with what to install where none is."""
    from .library import needed

    tree_sitter = needed("tree_sitter", package="tree-sitter")
    # One package holds both.
    module = "typescript" if language == "tsx" else language
    try:
        grammar = import_module(f"tree_sitter_{module}")
        make = getattr(grammar, "language", None) or getattr(grammar, f"language_{language}")
        return tree_sitter.Parser(tree_sitter.Language(make()))
    except (ImportError, AttributeError):
        pass
    package = f"tree-sitter-{module.replace('_', '-')}"
    raise denial.BackendUnavailable(
        f"Run: python -m pip install {package}, or use --chunker recursive.",
        message=f"The grammar of {language} is not on this machine.",
        package=package,
    )
