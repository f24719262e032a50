"""Personal data in a text: by pattern, which always works, and by model, where one is configured."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

from ..redaction import Finding, scan

# Every pattern has bounded repeats: a text of any kind is read in time linear in its length.
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\w-])")
_SSN = re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_VERSION = re.compile(r"(?:\bv|version|release|==|>=|<=)\s?$", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+|(?<!\d )00(?=[1-9]))[1-9]\d{0,2}(?:[ ./-]?\(0?\d{1,4}\))?(?:[ ./-]?\d{1,5}){2,7}(?![\w-])"
    r"|(?<![\w.+-])\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}(?![\w-])"
)


def found(text: str) -> list[Finding]:
    """Secrets, home paths, e-mail addresses, account and card numbers, addresses of machines and telephone numbers."""
    # What a checksum proves comes before what only looks like it.
    hits = [*scan(text, personal=True)]
    hits += [Finding(kind, start, end) for kind, finder in _FINDERS.items() for start, end in finder(text)]
    order = {kind: rank for rank, kind in enumerate(_FINDERS)}
    kept: list[Finding] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, order.get(hit.kind, -1))):
        last = kept[-1] if kept else None
        if last is None or hit.start >= last.end or (hit.kind not in order and last.kind not in order):
            kept.append(hit)
        elif order.get(hit.kind, -1) < order.get(last.kind, -1):
            kept[-1] = hit
    return kept


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        value = match[0]
        # The words behind it may be capitals, too.
        while value:
            if _is_iban(value.replace(" ", "")):
                yield match.start(), match.start() + len(value)
                break
            value = value.rpartition(" ")[0]


def _is_iban(value: str) -> bool:
    if not 15 <= len(value) <= 34:
        return False
    turned = value[4:] + value[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = [int(letter) for letter in match[0] if letter.isdigit()]
        if 13 <= len(digits) <= 19 and len(set(digits)) > 1 and _luhn(digits):
            yield match.span()


def _luhn(digits: list[int]) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if position % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    """Addresses of the public network: those of a house are nobody's, and a version number is none."""
    for match in _IPV4.finditer(text):
        try:
            public = ipaddress.IPv4Address(match[0]).is_global
        except ValueError:
            continue
        if public and not _VERSION.search(text, max(0, match.start() - 12), match.start()):
            yield match.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        if 8 <= sum(letter.isdigit() for letter in match[0]) <= 15:
            yield match.span()


def _matches(pattern: re.Pattern[str]) -> Callable[[str], Iterator[tuple[int, int]]]:
    return lambda text: (match.span() for match in pattern.finditer(text))


_FINDERS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "iban": _ibans,
    "credit_card": _cards,
    "us_ssn": _matches(_SSN),
    "ip_address": _addresses,
    "phone": _phones,
}
