"""Naming: what an agent may be called, as its name is the name of a folder."""

from __future__ import annotations

import re
from pathlib import Path

from .. import denial
from ..fields import shorten

# Letters and digits of any script and . _ - + @ and blanks inside; a name that begins with a dot is a hidden folder or a step up.
_NAME = re.compile(r"[\w](?:[\w.+@ -]*[\w+@-])?")
_LONGEST = 100
# The folder beside those of the agents, on a disk without letter case as well.
_OURS = "optimizer"
# Windows keeps these for itself, whatever stands behind a dot.
_KEPT = frozenset("con prn aux nul".split()) | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}


def checked(agent: str, field: str = "agent") -> str:
    """A name as it is; DENIED_AGENT_NAME where no folder can, or should, be called so."""
    if not _NAME.fullmatch(agent) or len(agent.encode("utf-8", "surrogatepass")) > _LONGEST:
        raise denial.AgentName(field=field, value=shorten(agent))
    if agent.lower() == _OURS:
        message = "An agent cannot be called optimizer: .kaizen/metrics/optimizer holds what the analysis finds."
        raise denial.AgentName(message=message, field=field, value=agent)
    if agent.partition(".")[0].lower() in _KEPT:
        raise denial.AgentName(message="An agent cannot have this name: it is kept for something else.", field=field, value=agent)
    return agent


def is_name(agent: object) -> bool:
    """Whether an agent may be called so."""
    try:
        return isinstance(agent, str) and checked(agent) == agent
    except denial.AgentName:
        return False


def metrics(root: Path) -> Path:
    """The folder of the metrics of a project."""
    return root / ".kaizen" / "metrics"


def executions(root: Path, agent: str) -> Path:
    """The file with an agent's executions."""
    return metrics(root) / checked(agent) / "executions.jsonl"


def summary(root: Path, agent: str) -> Path:
    """The file with an agent's summary."""
    return metrics(root) / checked(agent) / "summary.json"


def memory(root: Path, agent: str) -> Path:
    """The file with an agent's memory."""
    return root / ".kaizen" / "agents" / checked(agent) / "memory.md"
