"""Verification: whether a plane is still what was recorded."""

import re
from typing import Annotated

from .. import denial
from ..fields import Bytes, Rule, shorten
from ..op import Result, op
from ..record import Field, Input
from ..store import Store

_RECEIPT = re.compile(r"(0|[1-9]\d{0,17}):([0-9a-f]{64})")


class Receipt(Rule):
    """A receipt as SEQ:HASH, from the `seq` and `chain_hash` of a write's reply."""

    def check(self, value: str, field: str) -> str:
        if not _RECEIPT.fullmatch(value):
            raise denial.SchemaFieldType(
                "Pass SEQ:HASH from the reply of a write, such as 12:e3b0... with all 64 digits of its chain_hash.",
                field=field,
                value=shorten(value),
                expected="SEQ:HASH",
            )
        return value


class Verification(Input):
    """How to verify a plane."""

    scanned = False
    expect: list[Annotated[str, Bytes(200), Receipt()]] | None = Field(
        None, description="A receipt kept elsewhere, SEQ:HASH; repeat the flag for more"
    )
    files: bool = Field(False, description="Also hash the files of reports and of artifacts under AI/db")


@op("V1", "ledger-verify", manages_store=True, keywords="tamper check chain hash integrity audit receipt", example="--files")
def ledger_verify(asked: Verification, store: Store) -> Result:
    """Recompute the ledger and compare every table with it; the first fault is named.

    The ledger's end is checked against ledger.head and every --expect: a file alone cannot show that its tail was cut.
    """
    from ..store import verify

    receipts = [(int(seq), chain) for seq, chain in (text.split(":") for text in asked.expect or [])]
    fault: verify.Fault | None = None
    with verify.copied(store) as (path, head):
        verifier = verify.Verifier(path)
        try:
            verifier.run(head, receipts)
            if asked.files:
                verifier.check_files(store.plane)
        except verify.Fault as found:
            fault = found
    result = Result(finding=fault is not None)
    if fault is not None:
        result |= {"message": fault.message, "finding": fault.where}
    else:
        result |= {"message": "Everything is as the ledger says.", "seq": verifier.seq, "chain_hash": verifier.chain_hash}
    counts = {"entries": verifier.entries, "erased": verifier.erased, "records": verifier.records}
    counts |= {"counters": verifier.counters, "receipts": len(receipts)}
    result["checked"] = counts | ({"files": verifier.files} if asked.files else {})
    if verifier.warnings:
        result["warnings"] = verifier.warnings
    return result
