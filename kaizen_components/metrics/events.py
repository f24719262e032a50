"""Events: what others are told of, written beside what it tells of and delivered after the commit."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from typing import Any

from .. import clock
from ..hashing import canonical
from ..redaction import mask
from ..store import Row, Store
from .records import OutboxEvent

RECORDED = "kaizen.metrics.recorded"
INSTALLED = "kaizen.agent.installed"
VERSION = "1.0"
# Receivers know the events by this name.
PUBLISHER = "kaizen-agentic"


def put(store: Store, type: str, agent: str | None, attributes: Mapping[str, Any], record_id: str | None) -> Row:
    """Write an event into the open transaction: its row. `attributes` get agent and project where they lack them.

    Its number is its place in the ledger, so numbers rise, and one that was purged is never used again.
    """
    number = store.head()[0] + 1
    at = clock.moment(number)
    event = {
        "id": str(uuid.UUID(hex=clock.token(number, "event", 16), version=4)),
        "type": type,
        "version": VERSION,
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "publisher": PUBLISHER,
        "attributes": {"agent": agent, "project": project(store), **attributes},
    }
    record = OutboxEvent(number=number, type=type, agent=agent, event_json=canonical(event), record_id=record_id)
    return store.add(record)


def project(store: Store) -> str:
    """What events call the project: KAIZEN_PROJECT_SLUG, else the name of its folder. A secret in it is masked, with a warning."""
    variable = "KAIZEN_PROJECT_SLUG"
    said = os.environ.get(variable, "").strip()
    name, hidden = mask(said or store.plane.root.name)
    if hidden:
        where = variable if said else "The name of the project's folder"
        store.warnings.append(f"{where} holds what looks like a secret; the project is called {name}.")
    return name


def subject(type: str) -> str:
    """The NATS subject of a type of event: activity.kaizen.metrics.recorded."""
    return f"activity.{re.sub(r'[^A-Za-z0-9_.-]', '_', type)}"
