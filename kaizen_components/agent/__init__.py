"""Agent: what acts through Kaizen, behind one permission gate, with every call in the ledger.

from kaizen_components.agent import ToolRegistry

registry = ToolRegistry()
registry.register_defaults(categories=["file", "bash"])
result = registry.run("read_file", {"path": "README.md"})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hooks import Hooks
    from .managed import Session
    from .registry import ToolRegistry
    from .tool import ToolResult

__all__ = ["Hooks", "Session", "ToolRegistry", "ToolResult"]
_HOMES = {"Hooks": "hooks", "Session": "managed", "ToolRegistry": "registry", "ToolResult": "tool"}


def __getattr__(name: str) -> Any:
    """Imported late: most operations have nothing to do with tools."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
