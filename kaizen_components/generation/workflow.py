"""Workflow: a ComfyUI graph in API format, and what can be read from it and put into it."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import denial
from ..fields import parse_json
from ..hashing import canonical, sha256
from ..paths import Plane

Graph = dict[str, Any]

# Workflows can carry pictures as base64.
LARGEST = 32_000_000
PROMPT = "{{prompt}}"
SEEDS = ("seed", "noise_seed")
# ckpt_name, lora_name, and the clip_name1 and clip_name2 of loaders that take two.
_NAME = re.compile(r"_name\d*$")
_API_FORMAT = "Export it from ComfyUI in API format: Workflow, Export (API)."
# How the pictures begin that a server may be sent: what stands beside a workflow is not all meant for it.
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")


@dataclass(frozen=True, slots=True)
class Workflow:
    """A graph: node id -> {class_type, inputs}. `text` is the JSON that is kept; `source` the file it was read from."""

    graph: Graph
    text: str
    source: Path | None = None
    hash: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", sha256(canonical(_exact(self.graph))))

    def nodes(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(node id, class, inputs) in the order of the file."""
        for node_id, node in self.graph.items():
            yield node_id, node["class_type"], node.get("inputs") or {}

    @property
    def seed(self) -> int | float | str | None:
        """The first seed or noise_seed that is a value, not a link to another node."""
        for _, _, inputs in self.nodes():
            for name in SEEDS:
                if _is_number(inputs.get(name)):
                    return inputs[name]
        return None

    @property
    def models(self) -> list[str]:
        """The texts of every input called *_name, each once, sorted."""
        found = {
            value
            for _, _, inputs in self.nodes()
            for name, value in inputs.items()
            if _NAME.search(name) and isinstance(value, str) and value
        }
        return sorted(found)

    @property
    def images(self) -> list[tuple[str, str]]:
        """(node id, file name) of every picture that a LoadImage node reads from the server's input folder."""
        found = []
        for node_id, kind, inputs in self.nodes():
            name = inputs.get("image")
            if kind.startswith("LoadImage") and isinstance(name, str) and name and not name.endswith(("[output]", "[temp]")):
                found.append((node_id, name.removesuffix(" [input]")))
        return found

    @property
    def has_prompt(self) -> bool:
        """Whether a text waits for the prompt."""
        return PROMPT in json.dumps(self.graph, ensure_ascii=False)

    def with_prompt(self, text: str) -> Workflow:
        """The workflow with the prompt in every place that says {{prompt}}; DENIED_PROMPT_PLACEHOLDER_MISSING without one."""
        if not self.has_prompt:
            raise denial.PromptPlaceholderMissing(field="prompt", path=self.source.name if self.source else None)
        return self._with(_replaced(self.graph, text))

    def with_seed(self, seed: int) -> Workflow:
        """The workflow with this number for every seed and noise_seed that is a value; DENIED_WORKFLOW_TYPE without one."""
        if self.seed is None:
            raise denial.WorkflowType(
                "Leave --seed out, or give a sampler of the workflow a seed.",
                message="The workflow has no seed to set.",
                field="seed",
            )
        graph = copy.deepcopy(self.graph)
        for node in graph.values():
            inputs = node.get("inputs") or {}
            inputs.update({name: seed for name in SEEDS if _is_number(inputs.get(name))})
        return self._with(graph)

    def with_images(self, names: dict[str, str]) -> Graph:
        """The graph with the pictures under the names that a server gave them (node id -> name). Hash and file are not
        those of it: the server's names say nothing of what the workflow is."""
        graph = copy.deepcopy(self.graph)
        for node_id, name in names.items():
            graph[node_id]["inputs"]["image"] = name
        return graph

    def _with(self, graph: Graph) -> Workflow:
        return Workflow(graph, json.dumps(graph, indent=2, ensure_ascii=False) + "\n", self.source)


def load(name: str, plane: Plane | None = None) -> Workflow:
    """The workflow in a file, or on stdin for -. A relative path starts at the current folder, then at the project.

    Raises DENIED_FILE_NOT_FOUND, DENIED_FILE_TOO_BIG, DENIED_FILE_NOT_UTF8, DENIED_JSON_INVALID and, for the format that
    the editor saves and for what is no graph, DENIED_WORKFLOW_TYPE.
    """
    source = None if name == "-" else _place(name, plane)
    try:
        if source is None:
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with source.open("rb") as file:
                data = file.read(LARGEST + 1)
    except (OSError, ValueError, AttributeError) as fault:
        raise denial.FileNotFound(field="path", path=name, reason=getattr(fault, "strerror", None) or str(fault)) from None
    if len(data) > LARGEST:
        raise denial.FileTooBig(field="path", path=name, limit=LARGEST)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise denial.FileNotUtf8(field="path", path=name, reason=str(fault)) from None
    return parse(text, source)


def parse(text: str, source: Path | None = None) -> Workflow:
    """The workflow in a JSON text; refusals as of load()."""
    try:
        graph = parse_json(text, "path")
    except denial.JsonInvalid as fault:
        raise denial.JsonInvalid(_API_FORMAT, field="path", reason=fault.detail.get("reason")) from None
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise denial.WorkflowType(message="The file is the editor's own format, not the API format.", field="path")
    if not isinstance(graph, dict) or not graph:
        raise denial.WorkflowType(field="path", reason="no object with nodes in it")
    for node_id, node in graph.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise denial.WorkflowType(field="path", node=node_id[:80], reason="a node without a class_type")
        if not isinstance(node.get("inputs", {}), dict):
            raise denial.WorkflowType(field="path", node=node_id[:80], reason="the inputs of a node are no object")
    try:
        return Workflow(graph, text, source)
    except (ValueError, RecursionError) as fault:
        raise denial.WorkflowType(field="path", reason=str(fault)) from None


def beside(workflow: Workflow, folder: Path | None) -> dict[str, Path]:
    """File name -> path of the pictures that the workflow loads and that stand in its own folder, or below it.

    A name that leads elsewhere is left alone, and so is what is no picture: a workflow that came from somebody else cannot
    have other files sent to a server.
    """
    found: dict[str, Path] = {}
    if folder is None:
        return found
    for _, name in workflow.images:
        try:
            path = (folder / name).resolve()
            inside = path.is_relative_to(folder.resolve()) and path.is_file()
        except (OSError, ValueError, RuntimeError):
            continue
        if inside and _is_picture(path):
            found[name] = path
    return found


def _place(name: str, plane: Plane | None) -> Path:
    try:
        path = Path(name).expanduser()
        if plane is not None and not path.is_absolute() and not path.exists():
            path = plane.root / path
        return path
    except (OSError, ValueError, RuntimeError) as fault:
        raise denial.FileNotFound(field="path", path=name, reason=str(fault)) from None


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return False
    return start.startswith(_PICTURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _replaced(value: Any, text: str) -> Any:
    return _mapped(value, lambda item: item.replace(PROMPT, text) if isinstance(item, str) else item)


def _exact(value: Any) -> Any:
    """The value with integers that JSON's numbers cannot hold, seeds of 64 bits for one, as their digits."""
    return _mapped(value, lambda item: str(item) if type(item) is int and abs(item) >= 2**53 else item)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value)
