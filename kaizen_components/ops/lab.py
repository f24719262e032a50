"""Lab: cases gathered, proposals recorded and compared. Nothing is applied by itself."""

from ..lab.records import ImprovementProposal
from ..op import Result, op
from ..record import Input
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "contract", "title", "metric", "baseline_score", "candidate_score", "status", "created_at")
EXAMPLE = "--id ip_20260101000000_0123456789"


@op(
    "O2",
    "lab-propose",
    writes=True,
    keywords="proposal improvement suggest candidate prompt",
    example='--contract "commit messages" --title "Name the why" --summary "Ask for the reason in the body." --metric accepted --baseline-score 0.6 --candidate-score 0.7',
)
def lab_propose(proposal: ImprovementProposal, store: Store) -> Result:
    """Record an improvement proposal."""
    return lifecycle.written(store.add(proposal))


@op(
    "O6",
    "proposal-list",
    input=listing(ImprovementProposal, query=False, filters=("contract", "metric")),
    keywords="proposals improvements show search find",
    example='--contract "commit messages"',
)
def proposal_list(window: Listing, store: Store) -> Result:
    """List improvement proposals, newest first, or those that --query finds."""
    return lifecycle.queried(ImprovementProposal, LISTED, window, store)


@op("O7", "proposal-inspect", keywords="proposal improvement show read", example=EXAMPLE)
def proposal_inspect(target: Target, store: Store) -> Result:
    """Show one improvement proposal in full."""
    return lifecycle.inspected(ImprovementProposal, target, store)


@op(
    "O8",
    "proposal-update",
    writes=True,
    input=revision(ImprovementProposal),
    keywords="proposal improvement revise accept reject",
    example=f"{EXAMPLE} --status accepted",
)
def proposal_update(change: Input, store: Store) -> Result:
    """Revise an improvement proposal: its texts, scores or status."""
    return lifecycle.revised(ImprovementProposal, change, store)


@op(
    "O9",
    "proposal-retire",
    writes=True,
    keywords="proposal improvement withdraw",
    example=f'{EXAMPLE} --reason "The metric was wrong."',
)
def proposal_retire(retirement: Retirement, store: Store) -> Result:
    """Retire an improvement proposal, with the reason."""
    return lifecycle.retired(("improvement_proposal",), retirement, store)
