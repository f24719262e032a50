"""Budget: what a run may use up, what it has used up, and the refusal of a call that could break a limit."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .. import clock

# Tokens that a server adds around a prompt, at most.
AROUND = 64


@dataclass(frozen=True, slots=True)
class Amount:
    """Something used up: paid calls, tokens, US dollars, seconds."""

    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    wall_s: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.calls + other.calls,
            self.tokens + other.tokens,
            round(self.cost_usd + other.cost_usd, 12),
            self.wall_s + other.wall_s,
        )

    def times(self, count: int) -> Amount:
        """So many of it."""
        return Amount(self.calls * count, self.tokens * count, self.cost_usd * count, self.wall_s * count)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use up at most; None is no limit."""

    calls: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens."""

    input: float = 0.0
    output: float = 0.0

    def cost(self, prompt_tokens: int, answer_tokens: int) -> float:
        """US dollars."""
        return round((prompt_tokens * self.input + answer_tokens * self.output) / 1_000_000, 12)

    def worst(self, texts: tuple[str, ...], most: int) -> Amount:
        """The most that one call of a model can use up: no token is shorter than a byte, and `most` is its longest answer."""
        prompt = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + AROUND
        return Amount(1, prompt + most, self.cost(prompt, most))


class Exceeded(BaseException):
    """The next call could break a limit. No Exception: an engine may catch those and go on."""

    def __init__(self, limit: str, allowed: float, used: float, needed: float) -> None:
        self.limit, self.allowed = limit, allowed
        shown = f"{limit.replace('_', '-')} is {allowed:g}, {used:g} are used"
        super().__init__(f"{shown}, and the next step could need {needed:g}")


class Budget:
    """What is left of the limits. Time runs while this exists; `wall_s` are the seconds of earlier processes."""

    def __init__(self, limits: Limits, wall_s: float = 0.0) -> None:
        self.limits = limits
        self._spent = Amount()
        self._before, self._start = wall_s, time.monotonic()
        self._dearest: dict[str, Amount] = {}

    @property
    def used(self) -> Amount:
        """What was used up so far."""
        # Under KAIZEN_CLOCK nothing measured is said, as it does not repeat.
        seconds = 0.0 if clock.is_fixed() else self._before + time.monotonic() - self._start
        return self._spent + Amount(wall_s=round(seconds, 3))

    def dearest(self, purpose: str) -> Amount:
        """Tokens and dollars of the most expensive calls so far, for what tells its cost only afterwards."""
        return self._dearest.get(purpose, Amount())

    def check(self, purpose: str, worst: Amount, reserve: Amount) -> None:
        """Raise Exceeded where a call that needs `worst` could break a limit, or what has to stay for the report."""
        dearest = self.dearest(purpose)
        tokens, cost = max(worst.tokens, dearest.tokens), max(worst.cost_usd, dearest.cost_usd)
        used = self.used
        for name, limit, spent, needed in (
            ("max_calls", self.limits.calls, used.calls, worst.calls + reserve.calls),
            ("max_tokens", self.limits.tokens, used.tokens, tokens + reserve.tokens),
            ("max_cost_usd", self.limits.cost_usd, used.cost_usd, cost + reserve.cost_usd),
            ("max_wall_s", self.limits.wall_s, used.wall_s, reserve.wall_s),
        ):
            if limit is None:
                continue
            # Sums of dollars are compared to the billionth.
            if spent + needed > limit + 1e-9 or (name == "max_wall_s" and spent >= limit):
                raise Exceeded(name, limit, round(spent, 6), round(needed, 6))

    def add(self, purpose: str, amount: Amount) -> None:
        """Count what a call has used up."""
        self._spent += amount
        before = self.dearest(purpose)
        self._dearest[purpose] = Amount(tokens=max(before.tokens, amount.tokens), cost_usd=max(before.cost_usd, amount.cost_usd))
