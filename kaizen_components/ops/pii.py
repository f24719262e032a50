"""Personal data: scans of a text for it. They advise, and never block."""

from ..backends.records import PiiScan
from ..op import Result, op
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing

LISTED = ("id", "summary", "source_ref", "regex_hit_count", "model_hit_count", "model", "status", "created_at")
EXAMPLE = "--id pii_20260101000000_0123456789"


@op(
    "B8",
    "pii-list",
    input=listing(PiiScan, query=False, filters=("trace_id", "source_ref")),
    keywords="privacy scans personal data show search find",
    example="--limit 5",
)
def pii_list(window: Listing, store: Store) -> Result:
    """List the scans for personal data, newest first, or those that --query finds."""
    return lifecycle.queried(PiiScan, LISTED, window, store)


@op("B9", "pii-inspect", keywords="privacy scan personal data show read", example=EXAMPLE)
def pii_inspect(target: Target, store: Store) -> Result:
    """Show one scan for personal data in full."""
    return lifecycle.inspected(PiiScan, target, store)


@op("B10", "pii-retire", writes=True, keywords="privacy scan withdraw", example=f'{EXAMPLE} --reason "The text was a test."')
def pii_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a scan for personal data, with the reason."""
    return lifecycle.retired(("pii_scan",), retirement, store)
