"""Redaction: kinds of secrets and personal data, found by scan() and hidden by mask()."""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

# A key that stands inside a longer run of base64 or hex is data, not a key: hence the borders. The letter of an escaped
# line end or tab, as in JSON inside a log, is no part of such a run; nor is a slash, behind which a name in a path begins.
_BEFORE, _AFTER = r"(?:(?<![A-Za-z0-9+_.-])|(?<=\\[nrt]))", r"(?![A-Za-z0-9+/_-])"

# What is assigned to a name: in quotes (escaped ones too, as in JSON inside a string), or bare; what follows a bare word
# tells code from text.
_VALUE = r"""(?:[bru]{0,2}\\?(?P<quote>["'`])(?P<quoted>(?:(?!(?P=quote))[^\n\\]){6,200})\\?(?P=quote)
    |(?P<bare>[^\s"'`,;()\[\]{}<>\\]{6,200})(?P<follows>\S?))"""
_ASSIGNED = rf"""\\?["'`]?(?P<sign>\s{{0,4}}(?::=|=>|:|=(?!=))\s{{0,4}}|>(?=[^\s=>])){_VALUE}"""

# kind -> (one of what has to stand, in lower case, at the start of a match; the pattern). To find the start as plain text
# and match there alone is ten times as fast as to let the pattern search; most patterns are then never compiled.
_STARTED: dict[str, tuple[tuple[str, ...], str]] = {
    "anthropic_key": (("sk-ant-",), rf"{_BEFORE}sk-ant-[A-Za-z0-9_-]{{16,}}"),
    "openai_key": (
        ("sk-",),
        rf"{_BEFORE}sk-(?!ant-)(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{{20,}}|[A-Za-z0-9]{{20,}})",
    ),
    "github_token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        rf"{_BEFORE}(?:gh[pousr]_[A-Za-z0-9]{{20,}}|github_pat_[A-Za-z0-9_]{{20,}})",
    ),
    "gitlab_token": (("glpat-",), rf"{_BEFORE}glpat-[A-Za-z0-9_-]{{20,}}"),
    "aws_access_key": (("akia", "asia"), rf"{_BEFORE}(?:AKIA|ASIA)[0-9A-Z]{{16}}{_AFTER}"),
    "google_api_key": (("aiza",), rf"{_BEFORE}AIza[0-9A-Za-z_-]{{20,}}"),
    "google_oauth_secret": (("gocspx-",), rf"{_BEFORE}GOCSPX-[A-Za-z0-9_-]{{20,}}"),
    "slack_token": (("xox",), rf"{_BEFORE}xox[baprs]-[A-Za-z0-9-]{{10,}}"),
    "slack_webhook": (
        ("hooks.slack.com/",),
        r"(?i)hooks\.slack\.com/(?:services|workflows)/[a-z0-9]{6,}/[a-z0-9]{6,}/[a-z0-9]{16,}",
    ),
    "huggingface_token": (("hf_",), rf"{_BEFORE}hf_[A-Za-z0-9]{{20,}}"),
    "npm_token": (("npm_",), rf"{_BEFORE}npm_[A-Za-z0-9]{{36}}{_AFTER}"),
    "pypi_token": (("pypi-",), rf"{_BEFORE}pypi-[A-Za-z0-9_-]{{50,}}"),
    "sendgrid_key": (("sg.",), rf"{_BEFORE}SG\.[A-Za-z0-9_-]{{16,32}}\.[A-Za-z0-9_-]{{16,64}}{_AFTER}"),
    "stripe_key": (
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_"),
        rf"{_BEFORE}[sr]k_(?:live|test)_[A-Za-z0-9]{{16,}}",
    ),
    "azure_account_key": (("accountkey=",), r"(?i)AccountKey=[a-z0-9+/=]{40,}"),
    "db_url_credentials": (
        ("postgres", "mysql", "mariadb", "mongodb", "redis", "amqp", "mssql", "clickhouse"),
        r"(?i)\b(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|clickhouse)(?:\+[a-z0-9]+)?"
        r"://[^\s:/@]*:(?P<secret>[^\s/@]+)@",
    ),
    "url_credentials": (
        ("http://", "https://", "ftp://", "ftps://", "sftp://", "ssh://", "git://", "ldap://", "ldaps://", "smtp://"),
        r"(?i)[a-z]+://[^\s:/@\"'<>]*:(?P<bare>[^\s:/@\"'<>]{6,})@",
    ),
    "private_key_block": (
        ("-----begin ",),
        r"-----BEGIN (?:[A-Z]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[^-]*(?:-(?!----)[^-]*)*-----END (?:[A-Z]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        # Its end may have been cut off; the key is then as much a secret.
        r"|(?:\r?\n[A-Za-z0-9+/=]{16,}(?=\s|$))+)?",
    ),
    "jwt": (("eyj",), rf"{_BEFORE}eyJ[A-Za-z0-9_-]{{5,}}\.eyJ[A-Za-z0-9_-]{{5,}}\.[A-Za-z0-9_-]{{5,}}"),
    "bearer_header": (
        ("authorization",),
        r"(?i)Authorization\\?[\"']?\s{0,4}[:=]\s{0,4}\\?[\"']?(?:Bearer|Basic|Token)\s{1,4}(?P<secret>[a-z0-9._~+/=-]{8,})",
    ),
    "assigned_secret": (
        ("password", "passwd", "passphrase", "passcode", "pwd", "secret", "bearer"),
        rf"""(?ix)(?:pass(?:word|wd|phrase|code)|pwd|secret(?:[ _-]?access)?(?:[ _-]?(?:key|token))?|bearer)(?:[ _-]?\d)?{_ASSIGNED}""",
    ),
}

# Names that say little by themselves: sign -> what has to stand before it. A token of no kind may be a secret, too.
_NAMED = {
    "key": r"(?i)(?:api|access|auth|account|private|secret|signing|encryption|master|license)[ _-]?$",
    "token": r"(?i)(?:access|auth|refresh|session|bot|deploy|api|oauth)[ _-]?$",
    "pass": r"[A-Za-z0-9][_-]$",
}
# How far back that is looked for.
_BACK = 12
# --password VALUE, as programs are called.
_FLAG = (
    rf"""(?ix)--(?:[a-z]+-)?(?:password|passwd|passphrase|secret|token|api-?key|access-?key|secret-?key)(?P<sign>[ ]){_VALUE}"""
)

# kind -> (one of what has to stand somewhere in the line; the pattern that is searched there).
_PERSONAL: dict[str, tuple[tuple[str, ...], str]] = {
    "user_home_path": (("users",), r"(?i)\b[a-z]:[\\/]+Users[\\/]+[^\\/\s\"'<>|:*?]+"),
    "posix_home_path": (("/home/", "/users/"), r"(?<![\w.~/-])(?<!\b[A-Za-z]:)/(?:home|Users)/[A-Za-z0-9_][\w.-]*"),
    "email": (("@",), r"(?<![\w.+-])[A-Za-z0-9][\w.+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
}

SECRET_KINDS = tuple(_STARTED)
PERSONAL_KINDS = tuple(_PERSONAL)

_ALLOWED_MAIL = r"(?i)(?:@example\.(?:com|org)|@anthropic\.com)$|^noreply@"
_PLACEHOLDER = (
    r"(?i)^[<$%{\[]|[>}]$|\$\{|\*{3,}|\.{3}|x{4,}"
    r"|^(?:your|my|the|some|example|sample|dummy|fake|test|changeme|placeholder|redacted|pass(?:word|wd|phrase)?|pwd|secret|token"
    r"|user(?:name)?|none|null|true|false|undefined)(?:[-_ ].*|\d*)$"
)
_IDENTIFIER = r"^[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+$|^[A-Za-z]+(?:_[A-Za-z]+)+$|^[A-Za-z_]+$"
_PATH_OR_URL = r"(?i)^(?:[a-z][a-z0-9+.-]*://|\.{0,2}/|~/|[a-z]:[\\/])"
# Names of methods and versions end in digits, as passwords do.
_METHOD = r"(?i)^(?:sha|md|hs|rs|es|ps|base|utf|oauth|argon|aes|rsa|ed|x|v|bcrypt|pbkdf|scrypt|python|http|tls)[-_]?\d[\w.-]*$"
_NUMBERED_WORD = r"^[A-Za-z_]+\d+$"
_HASH_OR_ID = r"(?i)^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]+|[a-z]{1,6}_\d{14}_[0-9a-f]{10})$"
_CHANGE = r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])"

_compiled = functools.cache(re.compile)


class Finding(NamedTuple):
    """Where a text holds what it should not: kind and character offsets."""

    kind: str
    start: int
    end: int


def _entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _is_literal_secret(match: re.Match[str], *, is_weak: bool = False) -> bool:
    """Whether what is assigned is a literal that looks random, not code, a name or a placeholder."""
    groups = match.groupdict()
    quoted, sign, follows = groups.get("quoted"), groups.get("sign") or "", groups.get("follows") or ""
    value = quoted or groups["bare"] or ""
    if follows in {"(", "[", "{"} or _compiled(_PLACEHOLDER).search(value) or _compiled(_PATH_OR_URL).match(value):
        return False
    if (
        not quoted
        and _compiled(_NUMBERED_WORD).match(value)
        and (sign == " = " or follows in set(",]};" if ":" in sign else ",)]};."))
    ):
        # config1, in code.
        return False
    if not quoted:
        value = value.rstrip(".:!?|&")
    if len(value) < 6 or _compiled(_IDENTIFIER).match(value) or _compiled(_METHOD).match(value) or " " in value:
        # A word alone is a secret only where it is quoted, long, and no word that a person would write.
        return bool(quoted) and len(value) >= 16 and value.isalpha() and _entropy(value) > 3.6 and not value.islower()
    if is_weak:
        mixed = len(_compiled(_CHANGE).findall(value)) >= 3 and _entropy(value) >= 3.0
        return len(value) >= 16 and mixed and not _compiled(_HASH_OR_ID).match(value)
    letters, digits = any(c.isalpha() for c in value), any(c.isdigit() for c in value)
    symbols = any(not c.isalnum() and c not in "_-." for c in value)
    return _entropy(value) >= 2.2 and ((letters and digits) or (letters and symbols) or (digits and len(value) >= 8))


def _is_finding(kind: str, match: re.Match[str]) -> bool:
    if kind in ("assigned_secret", "url_credentials"):
        return _is_literal_secret(match)
    if kind == "db_url_credentials":
        return not _compiled(_PLACEHOLDER).search(match["secret"])
    if kind == "bearer_header":
        secret = match["secret"]
        random = len(secret) >= 20 or any(c.isdigit() for c in secret) or not secret[1:].islower()
        return random and not _compiled(_PLACEHOLDER).search(secret)
    if kind == "email":
        return not _compiled(_ALLOWED_MAIL).search(match[0])
    return True


def _span(match: re.Match[str]) -> tuple[int, int]:
    """Where the secret itself is, without the name before it."""
    groups = match.groupdict()
    return match.span(next((name for name in ("secret", "quoted", "bare") if groups.get(name)), 0))


def _places(sign: str, lowered: str) -> Iterator[int]:
    at = lowered.find(sign)
    while at >= 0:
        yield at
        at = lowered.find(sign, at + len(sign))


def _at_start(text: str, lowered: str, sign: str, kind: str) -> Iterator[Finding]:
    """Secrets that begin with a sign, or are assigned to a name that does."""
    pattern, end = _compiled(_STARTED[kind][1]), 0
    for at in _places(sign, lowered):
        if at >= end and (match := pattern.match(text, at)) and _is_finding(kind, match):
            start, end = _span(match)
            yield Finding(kind, start, end)


def _at_name(text: str, lowered: str, sign: str, kind: str) -> Iterator[Finding]:
    """Secrets assigned to a name that ends in a sign."""
    pattern, before, end = _compiled(f"(?ix){sign}{_ASSIGNED}"), _compiled(_NAMED[sign]), 0
    for at in _places(sign, lowered):
        if at < end or not (match := pattern.match(text, at)):
            continue
        named = before.search(text, max(0, at - _BACK), at)
        if (named or sign == "token") and _is_literal_secret(match, is_weak=not named):
            start, end = _span(match)
            yield Finding(kind, start, end)


def _at_flag(text: str, lowered: str, sign: str, kind: str) -> Iterator[Finding]:
    """Secrets that a command line passes behind a flag."""
    pattern, end = _compiled(_FLAG), 0
    for at in _places(sign, lowered):
        if at >= end and (match := pattern.match(text, at)) and _is_literal_secret(match):
            start, end = _span(match)
            yield Finding(kind, start, end)


def _in_line(text: str, lowered: str, sign: str, kind: str) -> Iterator[Finding]:
    """Personal data, searched for in the lines that hold a sign of it."""
    pattern, end = _compiled(_PERSONAL[kind][1]), 0
    for at in _places(sign, lowered):
        if at < end:
            continue
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        end = len(text) if end < 0 else end
        yield from (Finding(kind, *match.span()) for match in pattern.finditer(text, start, end) if _is_finding(kind, match))


_Finder = Callable[[str, str, str, str], Iterator[Finding]]
_SECRET_SIGNS: tuple[tuple[str, _Finder, str], ...] = (
    *((sign, _at_start, kind) for kind, (signs, _) in _STARTED.items() for sign in signs),
    *((sign, _at_name, "assigned_secret") for sign in _NAMED),
    ("--", _at_flag, "assigned_secret"),
)
_PERSONAL_SIGNS = tuple((sign, _in_line, kind) for kind, (signs, _) in _PERSONAL.items() for sign in signs)
_ALL_SIGNS = (*_SECRET_SIGNS, *_PERSONAL_SIGNS)
# A text without one of these has no sign that holds it.
_PARTS = ("://", "_", "pass", "-", "")
_Signs = tuple[tuple[str, list[tuple[str, _Finder, str]]], ...]


def _parted(signs: Sequence[tuple[str, _Finder, str]]) -> _Signs:
    return tuple((part, [entry for entry in signs if next(one for one in _PARTS if one in entry[0]) == part]) for part in _PARTS)


_SECRET, _ANY_PERSONAL, _ANY = _parted(_SECRET_SIGNS), _parted(_PERSONAL_SIGNS), _parted(_ALL_SIGNS)


def scan(text: str, *, personal: bool = True) -> list[Finding]:
    """Findings in a text, in order; `personal` adds home paths and e-mail addresses to the secrets."""
    return _found(text, _ANY if personal else _SECRET)


# Short texts in which nothing was found, by what was looked for: records hold the same words again and again. Never one with a finding.
_clean: dict[int, set[str]] = {}
_SHORT, _MOST_CLEAN = 80, 4_096


def _found(text: str, signs: _Signs) -> list[Finding]:
    clean = _clean.setdefault(id(signs), set())
    if text in clean:
        return []
    found = _looked_for(text, signs)
    if not found and len(text) <= _SHORT:
        if len(clean) >= _MOST_CLEAN:
            clean.clear()
        clean.add(text)
    return found


def _looked_for(text: str, signs: _Signs) -> list[Finding]:
    lowered = text.lower()
    if len(lowered) != len(text):
        # One letter becomes two when lowered, and offsets would be wrong.
        lowered = text.replace("\u0130", "I").lower()
    present = [entry for part, entries in signs if part in lowered for entry in entries if entry[0] in lowered]
    found = {finding for sign, finder, kind in present for finding in finder(text, lowered, sign, kind)}
    return sorted(found, key=lambda finding: (finding.start, finding.end))


def kinds(text: str, *, personal: bool = True) -> list[str]:
    """Kinds of findings in a text and, where it is JSON, behind its escapes: each once."""
    found = [finding.kind for reading in _readings(text) for finding in scan(reading, personal=personal)]
    return list(dict.fromkeys(found))


def personal_kinds(text: str) -> list[str]:
    """Kinds of personal data alone in a text and, where it is JSON, behind its escapes: each once."""
    found = [finding.kind for reading in _readings(text) for finding in _found(reading, _ANY_PERSONAL)]
    return list(dict.fromkeys(found))


def _readings(text: str) -> Iterator[str]:
    """A text as it stands; of JSON with escapes also the same without them, and every text in it."""
    yield text
    if "\\" not in text:
        return
    try:
        value = json.loads(text)
        yield json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield from _readings(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += [*value, *value.values()]


def mask(text: str, *, personal: bool = False) -> tuple[str, list[Finding]]:
    """The text with every finding replaced by [REDACTED:kind], and the findings with their old offsets."""
    findings = scan(text, personal=personal)
    masked, left = text, findings
    # What stood beside a finding may become one itself.
    while left:
        masked = _masked(masked, left)
        left = scan(masked, personal=personal)
    return masked, findings


def _masked(text: str, findings: list[Finding]) -> str:
    pieces, end = [], 0
    for finding in findings:
        if finding.start >= end:
            pieces += [text[end : finding.start], f"[REDACTED:{finding.kind}]"]
        end = max(end, finding.end)
    return "".join(pieces) + text[end:]
