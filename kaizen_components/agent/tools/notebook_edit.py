"""notebook_edit: one cell of a Jupyter notebook."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from ... import denial
from .. import workspace
from ..tool import Access, Context, Given, Outcome, Tool, ToolError

MOST = 100_000_000
CellType = Literal["code", "markdown", "raw"]
_PLACE = re.compile(r"cell-(\d+)")


class NotebookEditGiven(Given):
    """Which cell of which notebook, and what becomes of it."""

    notebook_path: workspace.PathText = Field(description="The notebook (.ipynb); absolute, or from the current folder")
    cell_id: str | None = Field(
        None,
        description="The cell's id; cell-N names cell N (from 0) where no cell has such an id. insert: the cell to insert after",
    )
    new_source: str | None = Field(None, description="The new source of the cell (replace, insert)")
    cell_type: CellType | None = Field(
        None, description="code, markdown or raw; insert needs it, replace keeps the type without it"
    )
    edit_mode: Literal["replace", "insert", "delete"] = Field("replace", description="What to do")


class NotebookEdit(Tool):
    """Replace, insert or delete a cell of a Jupyter notebook.

    replace gives the cell cell_id another source; another cell_type drops its outputs. insert puts a new cell after cell_id, or at the
    top without one. delete removes cell_id. The notebook is valid before and after, keeps its format version, metadata and layout, and
    is written in one step.
    """

    name = "notebook_edit"
    group = "interaction"
    takes = NotebookEditGiven
    rule_names = ("NotebookEdit", "Edit")

    def accesses(self, given: NotebookEditGiven, context: Context) -> Sequence[Access]:
        return (workspace.access("write", given.notebook_path, context),)

    def danger(self, given: NotebookEditGiven, context: Context) -> str:
        return max(workspace.danger_of_writing(given.notebook_path, context), "medium", key=("low", "medium", "high").index)

    def run(self, given: NotebookEditGiven, context: Context) -> Outcome:
        _needs(given)
        name = workspace.printable(given.notebook_path)
        if not given.notebook_path.casefold().endswith(".ipynb"):
            raise ToolError("not_a_notebook", f"{name} is no notebook (.ipynb); edit other files with edit_file.")
        read = workspace.whole(given.notebook_path, context, MOST, "write")
        layout, notebook = _read(read.data, name)
        _validate(notebook, name, "it is not valid, and is left alone")
        cell_id, number = _edited(notebook, given)
        _validate(notebook, name, "it would not be valid any more")
        change = workspace.replace(read.path, layout.written(notebook), context, read=read)
        verb = {"replace": "Replaced", "insert": "Inserted", "delete": "Deleted"}[given.edit_mode]
        shown = workspace.shown(read.path, context)
        metadata = {
            "path": shown,
            "cell_id": cell_id,
            "cell_number": number,
            "edit_mode": given.edit_mode,
            "cells": len(notebook["cells"]),
            "sha256": change.after,
        }
        return Outcome(f"{verb} cell {cell_id or number} of {workspace.printable(shown)}.", metadata, [change])


def _needs(given: NotebookEditGiven) -> None:
    """Refuse what says too little."""
    if given.edit_mode != "delete" and given.new_source is None:
        raise ToolError("source_required", f"{given.edit_mode} needs new_source.")
    if given.edit_mode == "insert" and given.cell_type is None:
        raise ToolError("type_required", "insert needs cell_type: code, markdown or raw.")
    if given.edit_mode != "insert" and given.cell_id is None:
        raise ToolError("cell_not_found", f"{given.edit_mode} needs cell_id.")
    workspace.encoded(given.new_source or "", "new_source")


# --- the notebook --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a notebook's JSON is written, so that an edit changes no other line."""

    indent: str | None
    separators: tuple[str, str]
    ascii_alone: bool
    mark: str
    newline: str
    ending: str

    def written(self, notebook: dict[str, Any]) -> bytes:
        text = json.dumps(notebook, indent=self.indent, separators=self.separators, ensure_ascii=self.ascii_alone)
        return (self.mark + text.replace("\n", self.newline) + self.ending).encode("utf-8", "surrogatepass")


def _read(data: bytes, name: str) -> tuple[_Layout, dict[str, Any]]:
    """(the layout, the notebook as JSON) of a file's bytes. Raises ToolError bad_notebook."""
    try:
        text = data.decode()
        notebook = json.loads(text.removeprefix("\ufeff"))
    except (UnicodeDecodeError, ValueError, RecursionError) as fault:
        raise ToolError("bad_notebook", f"{name} is not JSON: {fault}.") from None
    whole = isinstance(notebook, dict) and isinstance(notebook.get("cells"), list) and type(notebook.get("nbformat_minor")) is int
    if not whole or notebook.get("nbformat") != 4:
        raise ToolError(
            "bad_notebook", f"{name} is no notebook of format 4; convert it: jupyter nbconvert --to notebook --nbformat 4."
        )
    body = text.removeprefix("\ufeff")
    indented = re.match(r"\{\r?\n([ \t]*)", body)
    layout = _Layout(
        indent=indented[1] if indented else None,
        separators=("," if indented or '", ' not in body else ", ", ": " if '": ' in body else ":"),
        ascii_alone=body.isascii() and re.search(r"\\u(?!00[01])[0-9a-fA-F]{4}", body) is not None,
        mark="\ufeff" if text.startswith("\ufeff") else "",
        newline="\r\n" if indented and body.startswith("{\r\n") else "\n",
        ending=body[len(body.rstrip("\r\n \t")) :],
    )
    return layout, notebook


def _validate(notebook: dict[str, Any], name: str, what: str) -> None:
    """Refuse a notebook that breaks the format. Raises ToolError bad_notebook, DENIED_BACKEND_UNAVAILABLE."""
    try:
        import nbformat
    except ImportError:
        raise denial.BackendUnavailable(
            "Install it: python -m pip install -r requirements-tools.txt", package="nbformat"
        ) from None
    import copy
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A copy, for it may be mended where it is looked at.
            nbformat.validate(copy.deepcopy(notebook), version=4, version_minor=notebook["nbformat_minor"])
    except (nbformat.ValidationError, ValueError, TypeError, KeyError, AttributeError) as fault:
        said = str(fault).strip().splitlines()
        raise ToolError("bad_notebook", f"{name}: {what}: {said[0] if said else type(fault).__name__}") from None
    # What nbformat would mend.
    ids = [cell.get("id") for cell in notebook["cells"]]
    if notebook["nbformat_minor"] >= 5 and None in ids:
        raise ToolError("bad_notebook", f"{name}: {what}: cell {ids.index(None)} has no id, which format 4.5 wants.")
    known = [cell_id for cell_id in ids if cell_id is not None]
    if len(known) != len(set(known)):
        raise ToolError("bad_notebook", f"{name}: {what}: two of its cells have the same id.")


def _edited(notebook: dict[str, Any], given: NotebookEditGiven) -> tuple[str | None, int]:
    """Do it: (the id of the cell, its number from 0). Cells of a format before 4.5 have no ids."""
    cells: list[dict[str, Any]] = notebook["cells"]
    if given.edit_mode == "insert":
        number = 0 if given.cell_id is None else _found(cells, given.cell_id) + 1
        cell = _new(notebook, str(given.cell_type), given.new_source or "")
        cells.insert(number, cell)
    elif given.edit_mode == "delete":
        number = _found(cells, given.cell_id or "")
        cell = cells.pop(number)
    else:
        number = _found(cells, given.cell_id or "")
        cell = cells[number]
        cell["source"] = _like(cell["source"], given.new_source or "")
        if given.cell_type not in (None, cell["cell_type"]):
            _become(cell, str(given.cell_type))
    return cell.get("id"), number


def _found(cells: list[dict[str, Any]], cell_id: str) -> int:
    """The number of a cell. Raises ToolError cell_not_found."""
    for number, cell in enumerate(cells):
        if cell.get("id") == cell_id:
            return number
    place = _PLACE.fullmatch(cell_id)
    if place is not None and int(place[1]) < len(cells):
        return int(place[1])
    ids = [cell.get("id") or f"cell-{number}" for number, cell in enumerate(cells)]
    known = f"; it has {', '.join(ids[:20])}{', ...' if len(ids) > 20 else ''}" if ids else "; it has no cells"
    raise ToolError("cell_not_found", f"The notebook has no cell {cell_id!r}{known}.", cells=ids[:200])


def _new(notebook: dict[str, Any], cell_type: str, source: str) -> dict[str, Any]:
    """A new cell, with an id where the format has them, written like its neighbours."""
    cells = notebook["cells"]
    cell: dict[str, Any] = {"cell_type": cell_type}
    if notebook.get("nbformat_minor", 0) >= 5:
        taken = {other.get("id") for other in cells}
        cell["id"] = next(name for name in iter(lambda: secrets.token_hex(4), None) if name not in taken)
    cell["metadata"] = {}
    if cell_type == "code":
        # In the order in which Jupyter writes them.
        cell = {"cell_type": cell_type, "execution_count": None, **cell, "outputs": []}
    cell["source"] = _like(cells[0]["source"] if cells else [], source)
    return cell


def _become(cell: dict[str, Any], cell_type: str) -> None:
    """Make a cell one of another type: outputs go, and what only the former type has."""
    for name in ("outputs", "execution_count", "attachments") if cell_type == "code" else ("outputs", "execution_count"):
        cell.pop(name, None)
    cell["cell_type"] = cell_type
    if cell_type == "code":
        cell.update(execution_count=None, outputs=[])


def _like(former: Any, source: str) -> Any:
    """A source in the form that another has: one text, or a list of lines."""
    return source if isinstance(former, str) else source.splitlines(keepends=True)
