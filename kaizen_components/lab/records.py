"""Lab records: proposals to make something better, with their scores."""

from .. import denial
from ..fields import Body, JsonObject, Label, Number, ShortTitle, Status, Summary
from ..record import Field, Record


class ImprovementProposal(Record, kind="improvement_proposal", table="improvement_proposals", prefix="ip"):
    """A proposal of the improvement lab: advisory, until somebody applies it."""

    contract: Label = Field(missing=denial.ContractRequired, index=True, search=True, description="What is to be improved")
    title: ShortTitle = Field(missing=denial.TitleRequired, search=True, description="Short title, 40 words at most")
    summary: Summary = Field(missing=denial.SummaryRequired, file=True, search=True, description="One or two sentences")
    body: Body = Field("", file=True, search=True, description="Details, up to 1000 words")
    metric: Label | None = Field(None, description="What is measured")
    baseline_score: Number | None = Field(None, description="Score before")
    candidate_score: Number | None = Field(None, description="Score after")
    payload_json: JsonObject | None = Field(
        None,
        file=True,
        file_wins=True,
        description='JSON object; "cases": {"CASE": {"baseline": 0.5, "candidate": 0.7}} lets O3 compare case by case',
    )
    status: Status = Field("proposed", description="Where it stands: proposed, accepted, rejected ...")
