"""Gateway: events of gateways: who asked, which way it went, what it spent, what was refused."""

from ..generation.records import GatewayEvent
from ..op import Result, op
from ..record import Input
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "event_type", "status", "summary", "task_id", "created_at")
EXAMPLE = "--id age_20260101000000_0123456789"


@op(
    "Y10",
    "gateway-event-add",
    writes=True,
    keywords="gateway route budget rate limit failover identity federation event",
    example='--event-type failover --status switched --summary "The first endpoint timed out."',
)
def gateway_event_add(event: GatewayEvent, store: Store) -> Result:
    """Record an event of a gateway."""
    return lifecycle.written(store.add(event))


@op(
    "Y11",
    "gateway-event-list",
    input=listing(GatewayEvent, query=False, filters=("event_type",)),
    keywords="gateway events show search find",
    example="--event-type budget --limit 5",
)
def gateway_event_list(window: Listing, store: Store) -> Result:
    """List the events of gateways, newest first, or those that --query finds."""
    return lifecycle.queried(GatewayEvent, LISTED, window, store)


@op("Y12", "gateway-event-inspect", keywords="gateway event show read", example=EXAMPLE)
def gateway_event_inspect(target: Target, store: Store) -> Result:
    """Show one event of a gateway in full."""
    return lifecycle.inspected(GatewayEvent, target, store)


@op(
    "Y13",
    "gateway-event-update",
    writes=True,
    input=revision(GatewayEvent),
    keywords="gateway event revise correct",
    example=f"{EXAMPLE} --status recovered",
)
def gateway_event_update(change: Input, store: Store) -> Result:
    """Revise an event of a gateway."""
    return lifecycle.revised(GatewayEvent, change, store)


@op(
    "Y14", "gateway-event-retire", writes=True, keywords="gateway event withdraw", example=f'{EXAMPLE} --reason "Recorded twice."'
)
def gateway_event_retire(retirement: Retirement, store: Store) -> Result:
    """Retire an event of a gateway, with the reason."""
    return lifecycle.retired(("gateway_event",), retirement, store)
