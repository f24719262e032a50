"""Generation: runs of ComfyUI workflows, recorded with what they were made of and what came out."""

from ..generation.records import GenerativeRun, GenerativeRunRoute
from ..op import Result, op
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Target, listing

LISTED = ("id", "status", "template", "summary", "workflow_hash", "output_dir", "created_at")
EXAMPLE = "--id gen_20260101000000_0123456789"


@op("Y2", "comfy-inspect", keywords="image generation run show read", example=EXAMPLE)
def comfy_inspect(target: Target, store: Store) -> Result:
    """Show one generative run in full, with the route it took."""
    result = lifecycle.inspected(GenerativeRun, target, store)
    routes = store.list(GenerativeRunRoute.record_kind, {"run_id": target.id}, limit=1)
    result["record"] = {**result["record"], "route_info": routes[0] if routes else None}
    return result


@op(
    "Y3",
    "comfy-list",
    input=listing(GenerativeRun, query=False, filters=("template",)),
    keywords="image generation runs show search find",
    example="--limit 5",
)
def comfy_list(window: Listing, store: Store) -> Result:
    """List generative runs, newest first, or those that --query finds."""
    return lifecycle.queried(GenerativeRun, LISTED, window, store)
