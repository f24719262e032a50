"""Masking: secrets in what was read are covered, each character by a star, so that every offset stays what it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..redaction import Finding, mask, scan
from .extract import Block, Extract

# Spans that are recorded; a text with more of them says how it begins.
SPANS = 10_000
_COVERED = re.compile(r"[^\r\n]")


def covered(text: str) -> tuple[str, list[Finding]]:
    """A text of the same length with its secrets covered, line ends left, and where they stood, in order."""
    findings = scan(text, personal=False)
    masked, left = text, findings
    # What stood beside a secret may look like one itself; a star never does.
    for _ in range(5):
        if not left:
            break
        masked = _covered(masked, left)
        left = [finding for finding in scan(masked, personal=False) if "*" not in masked[finding.start : finding.end]]
        findings = sorted({*findings, *left}, key=lambda finding: (finding.start, finding.end))
    return masked, findings


def _covered(text: str, findings: Sequence[Finding]) -> str:
    pieces, end = [], 0
    for finding in findings:
        start = max(finding.start, end)
        if finding.end > start:
            pieces += [text[end:start], _COVERED.sub("*", text[start : finding.end])]
            end = finding.end
    return "".join(pieces) + text[end:]


def masked(extract: Extract) -> Extract:
    """What was read, with its secrets covered: the same blocks at the same places."""
    text = extract.text
    hidden, findings = covered(text)
    blocks = extract.blocks if hidden is text else [_again(block, hidden) for block in extract.blocks]
    headings: dict[str, str] = {}
    for heading in {block.heading for block in blocks if block.heading}:
        found = mask(heading)[0]
        if found != heading:
            headings[heading] = found
    if headings:
        blocks = [replace(block, heading=headings.get(block.heading or "", block.heading)) for block in blocks]
    return replace(
        extract,
        blocks=blocks,
        title=mask(extract.title)[0] if extract.title else None,
        masked=[(finding.kind, finding.start, finding.end) for finding in findings],
    )


def _again(block: Block, text: str) -> Block:
    """A block as it is cut from a text of the same length."""
    end = block.end
    return replace(block, text=text[block.start : end], tail=text[end : end + len(block.tail)])
