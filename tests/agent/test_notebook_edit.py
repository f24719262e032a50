"""notebook_edit: valid before and after, and nothing else in the file changes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest

from kaizen_components import denial
from kaizen_components.agent.registry import native
from kaizen_components.agent.tool import Context, Outcome, ToolError


def notebook(minor: int = 5) -> dict:
    cells: list[dict] = [
        {"cell_type": "markdown", "id": "top", "metadata": {}, "source": ["# Title\n", "text"]},
        {
            "cell_type": "code",
            "execution_count": 3,
            "id": "sum",
            "metadata": {"tags": ["keep"]},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["2\n"]}],
            "source": ["print(1 + 1)"],
        },
        {"cell_type": "raw", "id": "end", "metadata": {}, "source": []},
    ]
    if minor < 5:
        for cell in cells:
            del cell["id"]
    return {
        "cells": cells,
        "metadata": {"kernelspec": {"display_name": "Zürich", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": minor,
    }


def write(base: Path, content: dict | None = None, **how: object) -> Path:
    path = base / "book.ipynb"
    options: dict = {"indent": 1, "ensure_ascii": False, **how}
    path.write_text(json.dumps(notebook() if content is None else content, **options) + "\n")
    return path


def edited(base: Path, **arguments: object) -> Outcome:
    tool = native("notebook_edit")
    given = tool.takes.model_validate({"notebook_path": "book.ipynb", **arguments})
    return tool.run(given, Context(workspace=base, cwd=base))


def fault(base: Path, **arguments: object) -> ToolError:
    with pytest.raises(ToolError) as raised:
        edited(base, **arguments)
    return raised.value


def cells(base: Path) -> list[dict]:
    book = json.loads((base / "book.ipynb").read_text())
    nbformat.validate(nbformat.from_dict(book))
    return book["cells"]


def test_a_source_is_replaced_and_no_other_line(tmp_path):
    before = write(tmp_path).read_text().splitlines()
    outcome = edited(tmp_path, cell_id="sum", new_source="a = 1\nprint(a)\n")
    after = (tmp_path / "book.ipynb").read_text().splitlines()
    assert [line for line in before if line not in after] == ['    "print(1 + 1)"']
    assert [line for line in after if line not in before] == ['    "a = 1\\n",', '    "print(a)\\n"']
    assert outcome.metadata["cell_id"] == "sum" and outcome.files[0].path == "book.ipynb" and outcome.files[0].diff
    assert cells(tmp_path)[1]["outputs"] and cells(tmp_path)[1]["metadata"] == {"tags": ["keep"]}


def test_another_type_drops_the_outputs(tmp_path):
    write(tmp_path)
    edited(tmp_path, cell_id="sum", new_source="# Sum", cell_type="markdown")
    cell = cells(tmp_path)[1]
    assert cell == {"cell_type": "markdown", "id": "sum", "metadata": {"tags": ["keep"]}, "source": ["# Sum"]}
    edited(tmp_path, cell_id="sum", new_source="1", cell_type="code")
    cell = cells(tmp_path)[1]
    assert cell["cell_type"] == "code" and cell["outputs"] == [] and cell["execution_count"] is None


def test_a_cell_is_inserted_after_another_or_at_the_top(tmp_path):
    write(tmp_path)
    first = edited(tmp_path, edit_mode="insert", cell_id="top", new_source="x = 1", cell_type="code").metadata
    assert (first["cell_number"], first["cells"]) == (1, 4)
    edited(tmp_path, edit_mode="insert", new_source="# Top\n\ntext", cell_type="markdown")
    ids = [cell["id"] for cell in cells(tmp_path)]
    assert ids[1:] == ["top", first["cell_id"], "sum", "end"] and len(set(ids)) == 5
    assert cells(tmp_path)[0]["source"] == ["# Top\n", "\n", "text"]


def test_a_cell_is_deleted(tmp_path):
    write(tmp_path)
    edited(tmp_path, edit_mode="delete", cell_id="sum")
    assert [cell["id"] for cell in cells(tmp_path)] == ["top", "end"]


def test_a_format_without_ids_gets_none(tmp_path):
    write(tmp_path, notebook(minor=2))
    edited(tmp_path, edit_mode="insert", cell_id="cell-0", new_source="x", cell_type="code")
    edited(tmp_path, cell_id="cell-2", new_source="y")
    book = json.loads((tmp_path / "book.ipynb").read_text())
    assert book["nbformat_minor"] == 2 and not any("id" in cell for cell in book["cells"])
    assert [cell["source"] for cell in book["cells"]] == [["# Title\n", "text"], ["x"], ["y"], []]


@pytest.mark.parametrize(
    "how",
    [
        {"indent": 1},
        {"indent": 2},
        {"indent": "\t"},
        {"indent": None},
        {"indent": None, "separators": (",", ":")},
        {"ensure_ascii": True},
    ],
)
def test_the_layout_stays(how, tmp_path):
    path = write(tmp_path, **how)
    before = path.read_text()
    edited(tmp_path, cell_id="sum", new_source="print(1 - 1)")
    assert path.read_text() == before.replace("1 + 1", "1 - 1")


@pytest.mark.parametrize(
    ("mark", "newline", "ending"), [("\ufeff", "\n", "\n"), ("", "\r\n", "\r\n"), ("", "\n", ""), ("", "\n", "\n\n")]
)
def test_line_ends_and_the_mark_stay(mark, newline, ending, tmp_path):
    path = write(tmp_path)
    data = (mark + path.read_text().rstrip().replace("\n", newline) + ending).encode()
    path.write_bytes(data)
    edited(tmp_path, cell_id="sum", new_source="print(1 - 1)")
    assert path.read_bytes() == data.replace(b"1 + 1", b"1 - 1")


def test_sources_that_are_one_text_stay_so(tmp_path):
    book = notebook()
    for cell in book["cells"]:
        cell["source"] = "".join(cell["source"])
    write(tmp_path, book)
    edited(tmp_path, cell_id="sum", new_source="a\nb")
    edited(tmp_path, edit_mode="insert", new_source="c\nd", cell_type="code")
    assert [cell["source"] for cell in cells(tmp_path)] == ["c\nd", "# Title\ntext", "a\nb", ""]


def test_attachments_stay_with_markdown_and_go_with_code(tmp_path):
    book = notebook()
    book["cells"][0]["attachments"] = {"a.png": {"image/png": "AA=="}}
    write(tmp_path, book)
    edited(tmp_path, cell_id="top", new_source="x")
    assert "attachments" in cells(tmp_path)[0]
    edited(tmp_path, cell_id="top", new_source="x", cell_type="code")
    assert "attachments" not in cells(tmp_path)[0]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"cell_id": "no", "new_source": "x"}, "cell_not_found"),
        ({"cell_id": "cell-9", "new_source": "x"}, "cell_not_found"),
        ({"new_source": "x"}, "cell_not_found"),
        ({"edit_mode": "delete"}, "cell_not_found"),
        ({"cell_id": "sum"}, "source_required"),
        ({"edit_mode": "insert", "new_source": "x"}, "type_required"),
        ({"notebook_path": "book.txt", "cell_id": "sum", "new_source": "x"}, "not_a_notebook"),
        ({"notebook_path": "no.ipynb", "cell_id": "sum", "new_source": "x"}, "not_found"),
        ({"notebook_path": "../book.ipynb", "cell_id": "sum", "new_source": "x"}, "outside_workspace"),
        ({"notebook_path": "link.ipynb", "cell_id": "sum", "new_source": "x"}, "outside_workspace"),
        ({"notebook_path": "folder.ipynb", "cell_id": "sum", "new_source": "x"}, "is_directory"),
        ({"notebook_path": "pipe.ipynb", "cell_id": "sum", "new_source": "x"}, "not_a_file"),
    ],
)
def test_what_cannot_be_done_changes_nothing(arguments, kind, tmp_path):
    base = tmp_path / "work"
    base.mkdir()
    before = write(base).read_bytes()
    outside = write(tmp_path)
    (base / "link.ipynb").symlink_to(outside)
    (base / "folder.ipynb").mkdir()
    os.mkfifo(base / "pipe.ipynb")
    assert fault(base, **arguments).kind == kind
    assert (base / "book.ipynb").read_bytes() == before == outside.read_bytes()


def broken(**changes: object) -> str:
    return json.dumps({**notebook(), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        broken(nbformat=3),
        broken(cells="none"),
        broken(cells=[1]),
        broken(cells=[{"cell_type": "code"}]),
        broken(cells=[notebook()["cells"][0]] * 2),
        broken(cells=notebook(minor=4)["cells"]),
        broken(metadata=1),
        broken(nbformat_minor="5"),
    ],
)
def test_what_is_not_valid_is_left_alone(text, tmp_path):
    (tmp_path / "book.ipynb").write_text(text)
    assert fault(tmp_path, edit_mode="insert", new_source="x", cell_type="code").kind == "bad_notebook"
    assert (tmp_path / "book.ipynb").read_text() == text


def test_unknown_modes_and_types_are_refused_by_the_schema():
    for wrong in ({"edit_mode": "append"}, {"cell_type": "heading"}, {"cell_number": 1}):
        with pytest.raises(ValueError):
            native("notebook_edit").takes.model_validate({"notebook_path": "x.ipynb", **wrong})


def test_without_the_package_it_says_what_to_install(tmp_path, without):
    write(tmp_path)
    without("nbformat")
    with pytest.raises(denial.BackendUnavailable) as refused:
        edited(tmp_path, cell_id="sum", new_source="x")
    assert "requirements-tools.txt" in refused.value.required_action
