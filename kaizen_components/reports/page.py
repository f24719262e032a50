"""Page: one HTML file that needs nothing else: no network, no script; readable in light and dark, on a phone and on paper."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import clock, denial, paths
from ..hashing import sha256
from ..store import files

if TYPE_CHECKING:
    from ..paths import Plane

# What cannot be seen, or turns what stands around it: shown as its code point.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?(?: ?(?:s|%|ms|\$))?$")

# Characters of a cell that is never broken.
SHORT = 32

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5a6470; --line: #dfe3e8; --ground: #ffffff; --raised: #f6f7f9;
  --c1: #0b62c4; --c2: #b45309; --c3: #0f766e; --c4: #8b3fb5; --c5: #c0264b; --bad: #b3261e; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a2abb6; --line: #343b44; --ground: #14171a;
  --raised: #1d2126; --c1: #6cb0ff; --c2: #f0a85c; --c3: #4fd1bd; --c4: #cf9bf0; --c5: #ff8fa6; --bad: #ff9b92; --good: #7fd6a0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.lead, figcaption, caption, .foot, .soft { color: var(--soft); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0; }
dl div { background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 1.25rem; margin: 1rem 0; align-items: start; }
figure { margin: 0; min-width: 0; max-width: 36rem; }
figcaption { font-size: .9rem; margin-bottom: .25rem; }
svg { display: block; width: 100%; height: auto; background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .5rem 0; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
td { max-width: 30rem; overflow-wrap: break-word; white-space: pre-wrap; }
th { font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; }
td.n, td.s { white-space: nowrap; }
details { margin: .35rem 0; font-size: .9rem; }
summary { cursor: pointer; color: var(--soft); }
code, pre { font-family: ui-monospace, monospace; font-size: .875rem; }
pre { overflow-x: auto; background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; margin: .5rem 0; }
pre .del { color: var(--bad); } pre .ins { color: var(--good); }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
ul.tree, ul.tree ul { list-style: none; margin: 0; padding-left: 1rem; border-left: 2px solid var(--line); }
ul.tree { padding-left: .5rem; }
.foot { margin-top: 3rem; font-size: .85rem; }
@media print { details > * { display: block; } .charts { break-inside: avoid; } }
""".strip()


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `tone` is good, bad, soft or nothing."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, side by side."""

    facts: Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Items:
    """A numbered list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. A column whose cells are all numbers stands to the right. `folded` shows it only when asked."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing (an SVG element from charts.py), what it shows, and the table of its numbers."""

    caption: str
    svg: str
    table: Table


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts that stand side by side where there is room."""

    charts: Sequence[Chart]


@dataclass(frozen=True, slots=True)
class Difference:
    """A unified diff."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of a tree, and what hangs on it."""

    text: str
    branches: Sequence[Branch] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """Lines that come one from another."""

    branches: Sequence[Branch]


Block = Text | Facts | Items | Table | Chart | Charts | Difference | Tree


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page. `foot` says what it was made from."""

    title: str
    lead: str
    sections: Sequence[Section] = field(default_factory=list)
    foot: str = ""


def build(page: Page) -> str:
    """The page as HTML. The same page gives the same bytes."""
    return "\n".join(_lines(page)) + "\n"


def refuse(format: str | None, out: str | None) -> None:
    """Refuse, before any work, a page that cannot be drawn, and a file for a page that nobody asked for."""
    if format is None and out is not None:
        raise denial.FlagConflict("Pass --format html too.", message="--out names the file of a page.", flag="--out")
    from . import charts

    charts.refuse_missing()


def save(plane: Plane, stem: str, out: str | None, page: Page) -> dict[str, Any]:
    """Write a page to a new file in the project, or below the reports: its path, size and hash. Nothing is written over."""
    content = build(page)
    if out is None:
        path = files.reserve(plane.reports, f"{stem}-{clock.stamp()}", ".html")
        shown = plane.relative(path)
    else:
        path, shown = paths.inside(plane, out)
        if path.exists():
            raise denial.FileUnwritable("Name a file that is not there yet.", path=shown, reason="it is there already")
    files.write_whole(path, content)
    return {"path": shown, "format": "html", "bytes": len(content.encode("utf-8")), "sha256": sha256(content)}


def text(value: Any) -> str:
    """A value as text that is no HTML, whatever it holds; what cannot be seen as its code point."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        value = f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    elif isinstance(value, int):
        value = f"{value:,}"
    return html.escape(_INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value)), quote=True)


def _lines(page: Page) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    # Whatever a text of a record holds: a browser fetches and runs nothing.
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{text(page.title)}</title>"
    yield f"<style>\n{STYLE}\n</style>"
    yield "</head>"
    yield "<body>"
    yield "<main>"
    yield f"<h1>{text(page.title)}</h1>"
    yield f'<p class="lead">{text(page.lead)}</p>'
    for section in page.sections:
        yield "<section>"
        yield f"<h2>{text(section.title)}</h2>"
        for block in section.blocks:
            yield from _block(block)
        yield "</section>"
    if page.foot:
        yield f'<p class="foot">{text(page.foot)}</p>'
    yield "</main>"
    yield "</body>"
    yield "</html>"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Text(words, tone):
            yield f'<p class="{tone}">{text(words)}</p>' if tone else f"<p>{text(words)}</p>"
        case Facts(facts):
            cells = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
            yield f"<dl>{cells}</dl>"
        case Items(items):
            yield f"<ol>{''.join(f'<li>{text(item)}</li>' for item in items)}</ol>"
        case Table():
            yield from _table(block)
        case Chart(caption, svg, table):
            yield f"<figure><figcaption>{text(caption)}</figcaption>{svg}"
            yield from _table(table)
            yield "</figure>"
        case Charts(charts):
            yield '<div class="charts">'
            for chart in charts:
                yield from _block(chart)
            yield "</div>"
        case Difference(title, words):
            yield f"<details><summary>{text(title)}</summary><pre>{_difference(words)}</pre></details>"
        case Tree(branches):
            yield f'<ul class="tree">{"".join(_branch(branch) for branch in branches)}</ul>'


def _table(table: Table) -> Iterator[str]:
    count = len(table.columns)
    numeric = [bool(table.rows) and all(_is_number(row[column]) for row in table.rows) for column in range(count)]
    marks = [' class="n"' if numeric[column] else "" for column in range(count)]
    if table.folded:
        yield f"<details><summary>{text(table.caption)}</summary>"
    # What can be scrolled can be reached by the keyboard.
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{text(table.caption)}"><table>'
    if not table.folded:
        yield f"<caption>{text(table.caption)}</caption>"
    heads = "".join(f'<th scope="col"{mark}>{text(name)}</th>' for name, mark in zip(table.columns, marks, strict=True))
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    for row in table.rows:
        yield f"<tr>{''.join(_cell(cell, number) for cell, number in zip(row, numeric, strict=True))}</tr>"
    yield "</tbody></table></div>"
    if table.folded:
        yield "</details>"


def _cell(cell: Any, number: bool) -> str:
    """A cell; a short one stays on one line, however narrow the screen."""
    shown = text(cell)
    kind = ' class="n"' if number else ' class="s"' if len(shown) <= SHORT else ""
    return f"<td{kind}>{shown}</td>"


def _is_number(cell: Any) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)) or bool(_NUMBER.match(str(cell)))


def _difference(words: str) -> str:
    return "\n".join(_changed(line) for line in words.splitlines())


def _changed(line: str) -> str:
    if line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
        return f'<span class="{"ins" if line[0] == "+" else "del"}">{text(line)}</span>'
    return text(line)


def _branch(branch: Branch) -> str:
    below = f"<ul>{''.join(_branch(one) for one in branch.branches)}</ul>" if branch.branches else ""
    return f"<li>{text(branch.text)}{below}</li>"
