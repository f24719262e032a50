"""Redaction: kinds of secrets and personal data, found by scan() and hidden by mask()."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

# A key that stands inside a longer run of base64 or hex is data, not a key: hence the borders.
_BEFORE, _AFTER = r"(?<![A-Za-z0-9+/_=.-])", r"(?![A-Za-z0-9+/_-])"

_SECRETS: dict[str, re.Pattern[str]] = {
    "anthropic_key": re.compile(rf"{_BEFORE}sk-ant-[A-Za-z0-9_-]{{16,}}"),
    "openai_key": re.compile(
        rf"{_BEFORE}sk-(?!ant-)(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{{20,}}|[A-Za-z0-9]{{20,}})"
    ),
    "github_token": re.compile(rf"{_BEFORE}(?:gh[pousr]_[A-Za-z0-9]{{20,}}|github_pat_[A-Za-z0-9_]{{20,}})"),
    "aws_access_key": re.compile(rf"{_BEFORE}(?:AKIA|ASIA)[0-9A-Z]{{16}}{_AFTER}"),
    "google_api_key": re.compile(rf"{_BEFORE}AIza[0-9A-Za-z_-]{{20,}}"),
    "slack_token": re.compile(rf"{_BEFORE}xox[baprs]-[A-Za-z0-9-]{{10,}}"),
    "huggingface_token": re.compile(rf"{_BEFORE}hf_[A-Za-z0-9]{{20,}}"),
    "stripe_key": re.compile(rf"{_BEFORE}[sr]k_(?:live|test)_[A-Za-z0-9]{{16,}}"),
    "azure_account_key": re.compile(r"AccountKey=[A-Za-z0-9+/=]{40,}"),
    "db_url_credentials": re.compile(
        r"\b(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?)(?:\+[a-z0-9]+)?://[^\s:/@]*:(?P<value>[^\s/@]+)@",
        re.IGNORECASE,
    ),
    "private_key_block": re.compile(
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?:[^-]|-(?!----))*-----END (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"
        # Its end may have been cut off; the key is then as much a secret.
        r"|(?:\r?\n[A-Za-z0-9+/=]{16,}(?=\s|$))+)?"
    ),
    "jwt": re.compile(rf"{_BEFORE}eyJ[A-Za-z0-9_-]{{5,}}\.eyJ[A-Za-z0-9_-]{{5,}}\.[A-Za-z0-9_-]{{5,}}"),
    "bearer_header": re.compile(r"\bAuthorization\s*:\s*Bearer\s+(?P<value>[A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE),
    "assigned_secret": re.compile(
        r"""(?:password|passwd|secret|api[ _-]?key|access[ _-]?key|access[ _-]?token|auth[ _-]?token|bearer)["']?\s{0,4}(?::|=(?!=))\s{0,4}
        (?:"(?P<double>[^"\n]{6,200})"|'(?P<single>[^'\n]{6,200})'|(?P<bare>[^\s"'`,;()\[\]{}<>]{6,200})(?P<call>[(\[{]?))""",
        re.IGNORECASE | re.VERBOSE,
    ),
}

_PERSONAL: dict[str, re.Pattern[str]] = {
    "user_home_path": re.compile(r"\b[A-Za-z]:[\\/]+Users[\\/]+[^\\/\s\"'<>|:*?]+", re.IGNORECASE),
    "posix_home_path": re.compile(r"(?<![\w.~/-])/(?:home|Users)/[A-Za-z0-9_][\w.-]*"),
    "email": re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
}

SECRET_KINDS = tuple(_SECRETS)
PERSONAL_KINDS = tuple(_PERSONAL)

# A cheap look decides whether the patterns are worth running at all: each of them needs one of these.
_SIGNS = tuple(
    "sk- ghp_ gho_ ghu_ ghs_ ghr_ github_pat akia asia aiza xox hf_ k_live k_test accountkey :// eyj passw secret api access"
    " token bearer private users /home/ @".split()
)
_ALLOWED_MAIL = re.compile(r"(?:@example\.(?:com|org)|@anthropic\.com)$|^noreply@", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"^[<$%{\[]|[>}]$|\*{3,}|\.{3}|x{4,}|^(?:your|my|the|some|example|dummy|fake|test|changeme|placeholder|redacted|password|passwd|secret|user(?:name)?|none|null|true|false)(?:[-_ ].*|\d*)$",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"^[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+$|^[A-Za-z]+(?:_[A-Za-z]+)+$|^[A-Za-z_]+$")
_PATH_OR_URL = re.compile(r"^(?:[a-z]+://|\.{0,2}/|~/)")


class Finding(NamedTuple):
    """Where a text holds what it should not: kind and character offsets."""

    kind: str
    start: int
    end: int


def _entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _is_literal_secret(match: re.Match[str]) -> bool:
    """Whether what is assigned is a literal that looks random, not code, a name or a placeholder."""
    quoted = match["double"] or match["single"]
    value = quoted or match["bare"]
    if match["call"] or _PLACEHOLDER.search(value) or _PATH_OR_URL.match(value):
        return False
    if not quoted:
        value = value.rstrip(".:!?|\\")
    if len(value) < 6 or _IDENTIFIER.match(value) or " " in value:
        # A word alone is a secret only where it is quoted, long, and no word that a person would write.
        return bool(quoted) and len(value) >= 16 and value.isalpha() and _entropy(value) > 3.6 and not value.islower()
    letters, digits = any(c.isalpha() for c in value), any(c.isdigit() for c in value)
    symbols = any(not c.isalnum() and c not in "_-." for c in value)
    return _entropy(value) >= 2.2 and ((letters and digits) or (letters and symbols) or (digits and len(value) >= 8))


def _is_finding(kind: str, match: re.Match[str]) -> bool:
    if kind == "assigned_secret":
        return _is_literal_secret(match)
    if kind in ("db_url_credentials", "bearer_header"):
        return not _PLACEHOLDER.search(match["value"])
    if kind == "email":
        return not _ALLOWED_MAIL.search(match[0])
    return True


def scan(text: str, *, personal: bool = True) -> list[Finding]:
    """Findings in a text, in order; `personal` adds home paths and e-mail addresses to the secrets."""
    lowered = text.lower()
    if not any(sign in lowered for sign in _SIGNS):
        return []
    patterns = _SECRETS | _PERSONAL if personal else _SECRETS
    found = [
        Finding(kind, match.start(), match.end())
        for kind, pattern in patterns.items()
        for match in pattern.finditer(text)
        if _is_finding(kind, match)
    ]
    return sorted(found, key=lambda finding: (finding.start, finding.end))


def mask(text: str, *, personal: bool = False) -> tuple[str, list[Finding]]:
    """The text with every finding replaced by [REDACTED:kind], and the findings with their old offsets."""
    findings = scan(text, personal=personal)
    pieces, end = [], 0
    for finding in findings:
        if finding.start >= end:
            pieces += [text[end : finding.start], f"[REDACTED:{finding.kind}]"]
        elif finding.end <= end:
            continue
        end = finding.end
    return "".join(pieces) + text[end:], findings
