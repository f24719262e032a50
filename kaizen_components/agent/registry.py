"""Registry: the tools by name, the seven groups they come in, and their schemas as models are told of them."""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import denial
from ..fields import shorten
from .tool import GROUPS, Tool, ToolResult

if TYPE_CHECKING:
    from .managed import Session

# name -> (group, module and class); a module is imported when its tool is asked for.
NATIVE: dict[str, tuple[str, str]] = {
    "read_file": ("file", "read_file:ReadFile"),
    "write_file": ("file", "write_file:WriteFile"),
    "edit_file": ("file", "edit_file:EditFile"),
    "glob": ("file", "glob:Glob"),
    "grep": ("file", "grep:Grep"),
    "list_directory": ("file", "list_directory:ListDirectory"),
    "file_exists": ("file", "file_exists:FileExists"),
    "bash_command": ("bash", "bash_command:BashCommand"),
    "web_search": ("search", "web_search:WebSearch"),
    "web_fetch": ("search", "web_fetch:WebFetch"),
    "task": ("agent", "task:Task"),
    "skill": ("agent", "skill:Skill"),
    "todo_write": ("interaction", "todo_write:TodoWrite"),
    "ask_user_question": ("interaction", "ask_user_question:AskUserQuestion"),
    "notebook_edit": ("interaction", "notebook_edit:NotebookEdit"),
    "enter_plan_mode": ("planning", "enter_plan_mode:EnterPlanMode"),
    "exit_plan_mode": ("planning", "exit_plan_mode:ExitPlanMode"),
    "kill_shell": ("process", "kill_shell:KillShell"),
    "task_output": ("process", "task_output:TaskOutput"),
}

# A call of each: what stands in the document, and in the refusal of one that it does not take.
EXAMPLES: dict[str, dict[str, Any]] = {
    "read_file": {"path": "README.md", "limit": 5},
    "write_file": {"path": "notes.txt", "content": "Found it.\n"},
    "edit_file": {"path": "notes.txt", "old_string": "Found", "new_string": "Mended"},
    "glob": {"pattern": "**/*.md"},
    "grep": {"pattern": "TODO", "file_glob": "*.py"},
    "list_directory": {"path": "."},
    "file_exists": {"path": "README.md"},
    "bash_command": {"command": "git status"},
    "web_search": {"query": "SQLite write-ahead log", "num_results": 3},
    "web_fetch": {"url": "https://example.org/"},
    "task": {"prompt": "Look at the tests.", "subagent_type": "echo"},
    "skill": {"skill": "release-notes"},
    "todo_write": {"todos": [{"content": "Run the tests", "status": "in_progress", "activeForm": "Running the tests"}]},
    "ask_user_question": {
        "questions": [
            {"question": "Which database?", "header": "Database", "options": [{"label": "SQLite"}, {"label": "PostgreSQL"}]}
        ]
    },
    "notebook_edit": {"notebook_path": "study.ipynb", "cell_id": "cell-0", "new_source": "x = 2"},
    "enter_plan_mode": {},
    "exit_plan_mode": {"allowedPrompts": [{"tool": "Bash", "prompt": "run the tests"}]},
    "kill_shell": {"shell_id": "SHELL_ID"},
    "task_output": {"task_id": "SHELL_ID", "block": False},
}


def example(name: str, op: str = "N2") -> str:
    """A call of a native tool, as it is typed."""
    return f"python kaizen.py {op} --tool {name} --payload-json {shlex.quote(json.dumps(EXAMPLES[name]))}"


def native(name: str) -> Tool:
    """A native tool by name. Raises DENIED_TOOL_UNKNOWN."""
    if name not in NATIVE:
        raise unknown(name, NATIVE)
    module, _, cls = NATIVE[name][1].partition(":")
    return getattr(importlib.import_module(f"kaizen_components.agent.tools.{module}"), cls)()


def unknown(name: str, known: Iterable[str]) -> denial.ToolUnknown:
    """The refusal of a name that is no tool, with the nearest that are."""
    from difflib import get_close_matches

    # People who write rules know tools by other names.
    named = [tool for tool in known if tool in NATIVE and name in native(tool).rule_names[:1]]
    near = named or get_close_matches(name.lower(), [*known], n=3, cutoff=0.5)
    return denial.ToolUnknown(
        f"Did you mean {' or '.join(near)}?" if near else "List the tools: python kaizen.py N1",
        message=f"There is no tool {shorten(name)!r}.",
        tool=name,
        **({"nearest": near} if near else {}),
    )


class ToolRegistry:
    """Tools by name."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}

    def register(self, tool: Tool) -> None:
        """Add a tool; another of that name gives way."""
        self._tools[tool.name] = tool

    def register_defaults(self, categories: Sequence[str] | None = None) -> int:
        """Add the native tools of some groups (default: of all seven); how many. Raises DENIED_TOOL_GROUP_UNKNOWN."""
        for category in categories or ():
            if category not in GROUPS:
                raise denial.ToolGroupUnknown(
                    f"Use one of: {', '.join(GROUPS)}.",
                    message=f"There is no group of tools {shorten(str(category))!r}.",
                    group=category,
                    groups=list(GROUPS),
                )
        names = [name for name, (group, _) in NATIVE.items() if categories is None or group in categories]
        for name in names:
            self.register(native(name))
        return len(names)

    def session(self, root: Path | str | None = None, **options: Any) -> Session:
        """These tools under management in a project (default: as on the command line). `options` are those of managed.Session: run_id, mode,
        hooks, approve, ask ..."""
        from .. import paths
        from ..call import Call
        from ..store.staying import StayingStore
        from .managed import Session

        plane = paths.of_root(Path(root)) if root is not None else paths.find(create=True)
        store = StayingStore(plane)
        store.call = Call(op="N2", writes=True)
        return Session(store, self, plane.root.resolve(), **options)

    def run(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, root: Path | str | None = None, **options: Any
    ) -> ToolResult:
        """Call a tool under management, and wait for what comes of it."""
        return self.session(root, **options).call(name, arguments or {})

    async def execute(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, root: Path | str | None = None, **options: Any
    ) -> ToolResult:
        """The same, without blocking the event loop."""
        return await self.session(root, **options).acall(name, arguments or {})

    def get(self, name: str) -> Tool:
        """A tool by name. Raises DENIED_TOOL_UNKNOWN."""
        if name not in self._tools:
            if name not in NATIVE:
                raise unknown(name, self._tools)
            group = NATIVE[name][0]
            raise denial.ToolUnknown(
                f"Add its group: register_defaults([{group!r}]), or all of them: register_defaults().",
                message=f"The tool {name!r} is not in this registry: its group, {group}, was not registered.",
                tool=name,
                group=group,
            )
        return self._tools[name]

    def names(self) -> list[str]:
        return list(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __len__(self) -> int:
        return len(self._tools)

    def schemas(self, style: str = "json-schema") -> list[dict[str, Any]]:
        """Every tool as models are told of it: json-schema, openai, anthropic or mcp."""
        return [described(tool, style) for tool in self._tools.values()]


STYLES = ("json-schema", "openai", "anthropic", "mcp")


def described(tool: Tool, style: str) -> dict[str, Any]:
    """A tool in one of the styles."""
    purpose, schema = tool.purpose(), tool.json_schema()
    if style == "openai":
        return {"type": "function", "function": {"name": tool.name, "description": purpose, "parameters": schema}}
    if style == "anthropic":
        return {"name": tool.name, "description": purpose, "input_schema": schema}
    if style == "mcp":
        hints = {"readOnlyHint": tool.reads_only, "openWorldHint": tool.group == "search"}
        return {"name": tool.name, "description": purpose, "inputSchema": schema, "annotations": hints}
    return {
        "name": tool.name,
        "group": tool.group,
        "reads_only": tool.reads_only,
        "rule_names": list(tool.rule_names),
        "description": purpose,
        "schema": schema,
    }
