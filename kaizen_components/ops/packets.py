"""Packets: what is handed to sub-agents and diagnosticians, and what comes back."""

from typing import Any

from .. import denial
from ..fields import Body, JsonObject, Status, Summary, TaskRef, Title
from ..hashing import sha256
from ..op import Result, op
from ..record import Field, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

PACKETS = ("id", "packet_type", "title", "summary", "status", "task_id", "created_at")


class Packet(Record, kind="", table="", prefix=""):
    """What is handed over, or comes back."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    title: Title | None = Field(None, search=True, description="Short title; default: the packet's type")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    payload_json: JsonObject = Field(
        "{}", file=True, file_wins=True, search=True, description="JSON object, kept exactly as given"
    )
    payload_sha256: str | None = Field(None, flagged=False, description="SHA-256 of the payload's text")
    packet_type: str = Field("request", flagged=False, description="request or ingest")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")
    status: Status = Field("recorded", description="Where it stands")


class SubagentPacket(Packet, kind="subagent_packet", table="subagent_packets", prefix="sp"):
    """A hand-off to a sub-agent, or what came back."""


class DiagnosticPacket(Packet, kind="diagnostic_packet", table="diagnostic_packets", prefix="dp"):
    """A request for a diagnosis, or its result."""


def _packet(packet: Any, packet_type: str, store: Store) -> Result:
    packet.packet_type = packet_type
    packet.title = packet.title or f"{packet_type} packet"
    packet.payload_sha256 = sha256(packet.payload_json)
    return lifecycle.written(store.add(packet))


@op(
    "W5",
    "subagent-packet-create",
    writes=True,
    keywords="delegate hand-off subagent request",
    example='--summary "Review the login change." --payload-json \'{"files": 3}\'',
)
def subagent_packet_create(packet: SubagentPacket, store: Store) -> Result:
    """Record a hand-off packet for a sub-agent."""
    return _packet(packet, "request", store)


@op(
    "W6",
    "subagent-packet-ingest",
    writes=True,
    keywords="subagent result returned answer",
    example='--summary "The review found nothing."',
)
def subagent_packet_ingest(packet: SubagentPacket, store: Store) -> Result:
    """Record a packet returned by a sub-agent."""
    return _packet(packet, "ingest", store)


@op(
    "W7",
    "diagnostic-packet-create",
    writes=True,
    keywords="diagnose request investigate",
    example='--summary "Why does the test hang?"',
)
def diagnostic_packet_create(packet: DiagnosticPacket, store: Store) -> Result:
    """Record a request for a diagnosis."""
    return _packet(packet, "request", store)


@op(
    "W8",
    "diagnostic-result-ingest",
    writes=True,
    keywords="diagnosis result finding",
    example='--summary "A lock is taken twice."',
)
def diagnostic_result_ingest(packet: DiagnosticPacket, store: Store) -> Result:
    """Record a result of a diagnosis."""
    return _packet(packet, "ingest", store)


@op(
    "W16",
    "packet-list",
    input=listing(SubagentPacket, query=False, filters=("packet_type",)),
    keywords="packets show subagent",
    example="--limit 5",
)
def packet_list(window: Listing, store: Store) -> Result:
    """List sub-agent packets, newest first, or those that --query finds."""
    return lifecycle.queried(SubagentPacket, PACKETS, window, store)


@op(
    "W17",
    "diagnostic-list",
    input=listing(DiagnosticPacket, query=False, filters=("packet_type",)),
    keywords="diagnostics packets show",
    example="--limit 5",
)
def diagnostic_list(window: Listing, store: Store) -> Result:
    """List diagnostic packets, newest first, or those that --query finds."""
    return lifecycle.queried(DiagnosticPacket, PACKETS, window, store)


@op("W18", "packet-inspect", keywords="packet show read payload", example="--id sp_20260101000000_0123456789")
def packet_inspect(target: Target, store: Store) -> Result:
    """Show one sub-agent or diagnostic packet in full."""
    return lifecycle.inspected(_packet_class(store, target.id), target, store)


class PacketChange(revision(SubagentPacket)):
    """A further revision of a packet."""


@op(
    "W19",
    "packet-update",
    writes=True,
    keywords="packet revise correct",
    example="--id sp_20260101000000_0123456789 --status done",
)
def packet_update(change: PacketChange, store: Store) -> Result:
    """Revise a sub-agent or diagnostic packet."""
    cls = _packet_class(store, change.id)
    payload = lifecycle.changes_of(cls, change).get("payload_json")
    return lifecycle.revised(cls, change, store, and_change={"payload_sha256": sha256(payload)} if payload else None)


@op(
    "W20",
    "packet-retire",
    writes=True,
    keywords="packet retire withdraw",
    example='--id sp_20260101000000_0123456789 --reason "Sent by mistake."',
)
def packet_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a sub-agent or diagnostic packet, with the reason."""
    return lifecycle.retired(("subagent_packet", "diagnostic_packet"), retirement, store)


def _packet_class(store: Store, record_id: str) -> type[Record]:
    return DiagnosticPacket if store.kind_of(record_id) == "diagnostic_packet" else SubagentPacket
