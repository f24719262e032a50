"""Agents: sessions, contexts and scripted programs for tests of runs and of the tools around them."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from kaizen_components import paths
from kaizen_components.agent.managed import Session
from kaizen_components.agent.registry import ToolRegistry, native
from kaizen_components.agent.tool import Context, Outcome
from kaizen_components.call import Call
from kaizen_components.store import Store


def store_of() -> Store:
    """An access to this test's plane, as an operation has it."""
    store = Store(paths.find(create=True))
    store.call = Call(op="N2", writes=True)
    return store


def act(name: str, arguments: dict[str, Any], **context: Any) -> Outcome:
    """What a tool does by itself, with no gate before it and no record of the call."""
    tool = native(name)
    root = paths.find(create=True).root
    given = tool.takes.model_validate(arguments)
    return tool.run(given, Context(workspace=root, cwd=root, **{"store": store_of(), **context}))


def session(run_id: str | None = None, **options: Any) -> Session:
    """The native tools under management in this test's project."""
    registry = ToolRegistry()
    registry.register_defaults()
    store = store_of()
    return Session(store, registry, store.plane.root, run_id=run_id, **options)


# What a scripted program has at hand.
PREAMBLE = """
import json, os, signal, sys, time

KAIZEN = ROOT + "/kaizen.py"

def say(**message):
    print(json.dumps(message), flush=True)

def hear():
    line = sys.stdin.readline()
    return json.loads(line) if line else None

def ask(**message):
    say(**message)
    return hear()

def tool(name, **arguments):
    return ask(type="call_tool", id=name, tool=name, arguments=arguments)["result"]

order = hear()
"""


def program(root: Path, name: str, script: str, **settings: Any) -> None:
    """Configure a runner that is a scripted agent: Python that has `order`, say(), hear(), ask(), tool() and
    KAIZEN, the path of kaizen.py."""
    path = root / f"{name}_agent.py"
    path.write_text(
        PREAMBLE.replace("ROOT", repr(str(Path(__file__).resolve().parent.parent))) + textwrap.dedent(script), encoding="utf-8"
    )
    file = root / ".kaizen" / "settings.json"
    file.parent.mkdir(exist_ok=True)
    held = json.loads(file.read_text()) if file.exists() else {}
    held.setdefault("runners", {})[name] = {"command": [sys.executable, "-S", str(path)], **settings}
    file.write_text(json.dumps(held), encoding="utf-8")
