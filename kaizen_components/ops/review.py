"""Review: IRL reviews, where a prediction meets what really happened."""

from typing import Any

from .. import denial
from ..fields import Body, ReviewRef, Status, Summary, Text, Title
from ..op import Result, op
from ..record import Field, Input, Record
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing, revision

LISTED = ("id", "review_id", "event_type", "decision", "summary", "status", "created_at")
EXAMPLE = "--id irl_20260101000000_0123456789"
REVIEW = "--review-id PROJ-42"


class IrlReview(Record, kind="irl_review", table="irl_reviews", prefix="irl"):
    """An event of a review: the review itself, a prediction, a user's correction, an observed outcome."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    title: Title | None = Field(None, search=True, description="Short title")
    decision: Text | None = Field(None, search=True, description="What is decided; default: the title, else the kind of event")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    status: Status = Field("recorded", description="Where it stands")
    review_id: ReviewRef | None = Field(None, index=True, description="The review it belongs to; default: a new one")
    event_type: str = Field("review", flagged=False, description="review, prediction, user_correction, observed_outcome")

    def identified(self, record_id: str) -> None:
        """A review that names none is its own."""
        self.review_id = self.review_id or record_id


class ReviewEvent(Input):
    """An event of a review that is already open."""

    summary: Summary = Field(missing=denial.SummaryRequired, file=True, description="One or two sentences")
    review_id: ReviewRef = Field(missing=denial.ReviewIdRequired, description="The review it belongs to")
    title: Title | None = Field(None, description="Short title")
    decision: Text | None = Field(None, description="What is decided; default: the title, else the kind of event")
    body: Body = Field("", file=True, description="Details, up to 1000 words")
    status: Status = Field("recorded", description="Where it stands")


def _add(event: Any, event_type: str, store: Store) -> Result:
    record = IrlReview(
        summary=event.summary,
        title=event.title,
        decision=event.decision or event.title or event_type,
        body=event.body,
        status=event.status,
        review_id=event.review_id,
        event_type=event_type,
    )
    row = store.add(record)
    return lifecycle.written(row, review_id=row["review_id"], event_type=event_type)


@op(
    "I1",
    "irl-create",
    writes=True,
    keywords="review open retrospective prediction",
    example='--title "Cache" --summary "Will the new cache hold?"',
)
def irl_create(review: IrlReview, store: Store) -> Result:
    """Open an IRL review."""
    return _add(review, "review", store)


@op(
    "I2",
    "irl-prediction-add",
    writes=True,
    keywords="predict expect forecast",
    example=f'{REVIEW} --summary "The hit rate will be over 90 percent."',
)
def irl_prediction_add(event: ReviewEvent, store: Store) -> Result:
    """Add a prediction to a review."""
    return _add(event, "prediction", store)


@op(
    "I3",
    "irl-correction-add",
    writes=True,
    keywords="correct user feedback wrong",
    example=f'{REVIEW} --summary "Count misses per user, not per call."',
)
def irl_correction_add(event: ReviewEvent, store: Store) -> Result:
    """Add a user's correction to a review."""
    return _add(event, "user_correction", store)


@op(
    "I4",
    "irl-outcome-add",
    writes=True,
    keywords="outcome observed result happened",
    example=f'{REVIEW} --summary "The hit rate was 82 percent."',
)
def irl_outcome_add(event: ReviewEvent, store: Store) -> Result:
    """Add an observed outcome to a review."""
    return _add(event, "observed_outcome", store)


@op(
    "I6",
    "irl-list",
    input=listing(IrlReview, query=False, filters=("review_id", "event_type")),
    keywords="reviews predictions outcomes show search",
    example="--limit 5",
)
def irl_list(window: Listing, store: Store) -> Result:
    """List review events, newest first, or those that --query finds."""
    return lifecycle.queried(IrlReview, LISTED, window, store)


@op("I7", "irl-inspect", keywords="review show read prediction outcome", example=EXAMPLE)
def irl_inspect(target: Target, store: Store) -> Result:
    """Show one review event in full, with the other events of its review."""
    result = lifecycle.inspected(IrlReview, target, store)
    review_id = result["record"]["review_id"]
    result["events"] = store.list("irl_review", {"review_id": review_id}, order="created_seq", columns=LISTED)
    return result


@op(
    "I8",
    "irl-update",
    writes=True,
    input=revision(IrlReview),
    keywords="review revise correct close",
    example=f"{EXAMPLE} --status resolved",
)
def irl_update(change: Input, store: Store) -> Result:
    """Revise a review event."""
    return lifecycle.revised(IrlReview, change, store)


@op("I9", "irl-retire", writes=True, keywords="review withdraw", example=f'{EXAMPLE} --reason "Asked twice."')
def irl_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a review event, with the reason."""
    return lifecycle.retired(("irl_review",), retirement, store)
