"""Privacy: what the plane already holds that it should not."""

import json
from typing import Annotated

from ..fields import RawText, Vocabulary
from ..op import Result, op
from ..record import Field, Input
from ..redaction import PERSONAL_KINDS, SECRET_KINDS, kinds
from ..store import Store
from . import _index

PAGE = 500


class Sweep(Input):
    """What to look for, and where."""

    scanned = False
    kind: list[Annotated[str, Vocabulary(*sorted(kind for kind in _index.KINDS if kind != "plane"))]] | None = Field(
        None, description="Only records of this kind; repeat for more"
    )
    personal: bool = Field(False, description="Also report personal data: home paths and e-mail addresses")
    limit: int | None = Field(None, description="Stop after so many findings; 0 is the default of 100, negative is no limit")
    id: RawText | None = Field(None, description="Only this record")
    strict: bool = Field(False, description="Exit 1 where something was found")


@op(
    "X6",
    "redaction-scan",
    manages_store=True,
    keywords="secrets leaked keys passwords pii personal data stored audit",
    example="--personal",
)
def redaction_scan(sweep: Sweep, store: Store) -> Result:
    """Scan what is stored, old revisions included, for secrets: record, field and kind, never the value.

    Works on a copy, so nobody waits. K21 record-purge erases a record; a person decides that.
    """
    from ..store import read_copy

    limit = sweep.limit or 100
    findings: list[dict[str, object]] = []
    scanned = 0
    wanted = set(PERSONAL_KINDS if sweep.personal else ()) | set(SECRET_KINDS)
    with store.snapshot() as path, read_copy(path) as database:
        rows = database.execute(
            "SELECT seq, entry_id, kind, record_id, content FROM ledger WHERE content IS NOT NULL ORDER BY seq"
        )
        for seq, entry_id, kind, record_id, content in rows:
            if (sweep.kind and kind not in sweep.kind) or (sweep.id and record_id != sweep.id):
                continue
            scanned += 1
            for field, value in (json.loads(content).get("record") or {}).items():
                if not isinstance(value, str) or field == "personal_data_json":
                    continue
                for found in sorted({*kinds(value, personal=sweep.personal)} & wanted):
                    findings.append(
                        {"kind": kind, "id": record_id, "field": field, "found": found, "seq": seq, "entry_id": entry_id}
                    )
            if 0 < limit <= len(findings):
                break
    result = Result(
        finding=bool(findings) and sweep.strict,
        records=findings,
        count=len(findings),
        scanned_entries=scanned,
        complete=not 0 < limit <= len(findings),
    )
    if findings:
        result["required_action"] = (
            "Rotate each secret first. Then show the ids to a person: K21 record-purge erases a record for good, and only they decide it."
        )

    def answer() -> Result:
        store.warn_of_drift()
        return result

    return store.perform(store.call, answer)
