"""Analysis: what changed in how well an agent works, how sure that is, and what goes along with it.

An agent's newest records (recent) are set against those before them (prior), and the whole of its history is searched for
a place where a measure changed. All these questions about an agent share one error rate: were nothing different, at most
FALSE_ALARMS of all agents would be said to have changed. See docs/METRICS.md for the reasons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..fields import shorten
from ..hashing import sha256
from . import changepoint, statistics
from .executions import Execution
from .statistics import rounded

FORMAT, VERSION = "kaizen-metrics-analysis", 1
# With fewer records nothing is said of an agent; with fewer values, nothing of a measure on that side.
LEAST_RECORDS, LEAST_VALUES = 10, 5
# Recent is the newer half, at most so many records; prior is what lies before, at most so many.
MOST_RECENT, MOST_PRIOR = 40, 160
# Older records are counted and not looked at.
HORIZON = 1_000
# The rate that holds for all questions about an agent together, and how the questions share it (in 1000ths). A fall of
# success gets most: it is what people must not miss.
FALSE_ALARMS = 0.05
SHARES = {
    "success fell": 550,
    # The mid-p test of a fall can exceed its share a little, at few records.
    "kept back": 100,
    "success rose": 40,
    "success low": 20,
    "quality_score": 50,
    "execution_time_s": 50,
    "tokens": 30,
    "change in success": 40,
    "change in quality_score": 20,
    "change in execution_time_s": 20,
    "change in tokens": 20,
    "correlates": 60,
}
# Success below this is worth a look even where it did not change.
LOW_SUCCESS = 0.8
# A factor with more values is no factor but a number or a name; more factors cost power and are left out.
MOST_VALUES, MOST_FACTORS = 6, 20
MEASURES = ("quality_score", "execution_time_s", "tokens")
LOWER_IS_BETTER = ("execution_time_s", "tokens")
INSUFFICIENT, SAME, FELL, ROSE, CHANGED = "insufficient", "no change shown", "fell", "rose", "changed"


@dataclass(slots=True)
class Question:
    """One test: its share of the error rate, its p value, and the part of the analysis that says what it found."""

    share: float
    p_value: float
    told: dict[str, Any]


@dataclass(slots=True)
class AgentAnalysis:
    """What is said of one agent, and the executions that it rests on."""

    agent: str
    told: dict[str, Any]
    prior: Sequence[Execution] = ()
    recent: Sequence[Execution] = ()
    looked_at: Sequence[Execution] = ()
    # Of a correlate, by its place in `told`: the executions that have the value.
    having: list[list[Execution]] = field(default_factory=list)


def fingerprint(executions: Iterable[Execution], agent: str | None) -> str:
    """What an analysis rests on, as one hash: the method, the agent asked for, and every record in its order."""
    lines = [f"{FORMAT} {VERSION} {json.dumps(agent)}", *(f"{one.id} {one.fingerprint}" for one in executions)]
    return sha256("\n".join(lines))


def by_agent(executions: Iterable[Execution]) -> dict[str, list[Execution]]:
    """The executions of each agent, oldest first, agents by name."""
    found: dict[str, list[Execution]] = {}
    for one in executions:
        found.setdefault(one.agent, []).append(one)
    return dict(sorted(found.items()))


def analyse(agent: str, executions: Sequence[Execution]) -> AgentAnalysis:
    """The analysis of one agent's executions, oldest first. It depends on them alone: the seed is their content."""
    told: dict[str, Any] = {
        "executions": len(executions),
        "first": executions[0].timestamp,
        "last": executions[-1].timestamp,
    }
    if len(executions) < LEAST_RECORDS:
        return AgentAnalysis(agent, {**told, "verdict": INSUFFICIENT, "needed": LEAST_RECORDS})
    looked_at = executions[-HORIZON:]
    size = min(len(looked_at) // 2, MOST_RECENT)
    recent, prior = looked_at[-size:], looked_at[:-size][-MOST_PRIOR:]
    seed = sha256("\n".join(one.fingerprint for one in looked_at))
    questions: list[Question] = []
    metrics = {"success": _success(recent, prior, questions)}
    for measure in MEASURES:
        metrics[measure] = _measure(measure, recent, prior, seed, questions)
    places = [place for name in metrics if (place := _changepoint(name, looked_at, seed, questions))]
    tested = _correlates(looked_at, questions)
    _judge(questions)
    found = [test for test in tested if test.told.pop("flagged")]
    split = [test.split(looked_at) for test in found]
    for metric in metrics.values():
        _conclude(metric)
    places = [place for place in places if place.pop("flagged")]
    changed = any(metric["verdict"] in (FELL, ROSE) for metric in metrics.values()) or bool(places)
    told |= {
        "verdict": CHANGED if changed else SAME,
        "looked_at": len(looked_at),
        "windows": {"prior": _window(prior), "recent": _window(recent)},
        "metrics": metrics,
        "changepoints": places,
        "correlates": [_told(test, *sides) for test, sides in zip(found, split, strict=True)],
        "correlates_tested": len(tested),
    }
    return AgentAnalysis(agent, told, prior, recent, looked_at, [having for having, _ in split])


def _window(executions: Sequence[Execution]) -> dict[str, Any]:
    return {"records": len(executions), "from": executions[0].timestamp, "to": executions[-1].timestamp}


# --- recent against prior -------------------------------------------------------------------------


def rate_of(executions: Sequence[Execution]) -> dict[str, Any]:
    """The success of some executions: how many, the rate, its Wilson interval."""
    hits, count = _hits(executions)
    low, high = statistics.wilson(hits, count)
    return {"records": count, "successes": hits, "rate": rounded(hits / count), "interval_95": [rounded(low), rounded(high)]}


def _hits(executions: Sequence[Execution]) -> tuple[int, int]:
    return sum(one.success for one in executions), len(executions)


def values_of(executions: Iterable[Execution], measure: str) -> list[float]:
    """The values of a measure, of those executions that have one."""
    return [float(value) for one in executions if (value := getattr(one, measure)) is not None]


def level_of(values: Sequence[float]) -> dict[str, Any]:
    """The level of some values: how many, mean, median."""
    return {
        "records": len(values),
        "mean": rounded(statistics.mean(values)) if values else None,
        "median": rounded(statistics.middle(values)) if values else None,
    }


def _success(recent: Sequence[Execution], prior: Sequence[Execution], questions: list[Question]) -> dict[str, Any]:
    newer, older = _hits(recent), _hits(prior)
    low, high = statistics.newcombe(newer, older)
    few, many = statistics.fisher(newer, older, half=True)
    rare = statistics.binomial_at_most(*newer, LOW_SUCCESS)
    told: dict[str, Any] = {
        "recent": rate_of(recent),
        "prior": rate_of(prior),
        "difference": rounded(newer[0] / newer[1] - older[0] / older[1]),
        "interval_95": [rounded(low), rounded(high)],
        "method": "Newcombe interval, Fisher's test with mid-p",
        "p_value": rounded(statistics.two_sided(few, many)),
        "low": {"below": LOW_SUCCESS, "p_value": rounded(rare)},
    }
    questions += [
        Question(SHARES["success fell"], few, told.setdefault("_fell", {})),
        Question(SHARES["success rose"], many, told.setdefault("_rose", {})),
        Question(SHARES["success low"], rare, told["low"]),
    ]
    return told


def _measure(
    measure: str, recent: Sequence[Execution], prior: Sequence[Execution], seed: str, questions: list[Question]
) -> dict[str, Any]:
    newer, older = values_of(recent, measure), values_of(prior, measure)
    told: dict[str, Any] = {"recent": level_of(newer), "prior": level_of(older)}
    if min(len(newer), len(older)) < LEAST_VALUES:
        return {**told, "needed": LEAST_VALUES}
    low, high, how = statistics.mean_difference(newer, older, f"{seed} {measure}")
    less, more, test = statistics.compare(newer, older)
    told |= {
        "difference": rounded(statistics.mean(newer) - statistics.mean(older)),
        "interval_95": [rounded(low), rounded(high)],
        "method": f"{how} interval of the means, {test}",
        "p_value": rounded(statistics.two_sided(less, more)),
    }
    side = told.setdefault("_fell" if less < more else "_rose", {})
    questions.append(Question(SHARES[measure], statistics.two_sided(less, more), side))
    return told


def _conclude(metric: dict[str, Any]) -> None:
    """Say in words what the questions about a metric found."""
    fell, rose = metric.pop("_fell", {}), metric.pop("_rose", {})
    if "interval_95" not in metric:
        metric["verdict"] = INSUFFICIENT
    else:
        metric["verdict"] = FELL if fell.get("flagged") else ROSE if rose.get("flagged") else SAME


# --- places of a change ---------------------------------------------------------------------------


def _changepoint(name: str, executions: Sequence[Execution], seed: str, questions: list[Question]) -> dict[str, Any] | None:
    measured = [one for one in executions if getattr(one, name) is not None]
    values = [float(getattr(one, name)) for one in measured]
    share = SHARES[f"change in {name}"]
    found = changepoint.find(values, f"{seed} change in {name}", FALSE_ALARMS * share / sum(SHARES.values()))
    if found is None:
        return None
    before, after = measured[: found.at], measured[found.at :]
    told = {
        "metric": name,
        "verdict": ROSE if found.rose else FELL,
        "at": after[0].timestamp,
        "record": after[0].id,
        "before": _level(before, name),
        "after": _level(after, name),
        "p_value": rounded(found.p_value),
        "method": f"largest standardised difference over all places, {found.method}",
    }
    questions.append(Question(share, found.p_value, told))
    return told


def _level(executions: Sequence[Execution], name: str) -> dict[str, Any]:
    return rate_of(executions) if name == "success" else level_of(values_of(executions, name))


# --- what goes along ------------------------------------------------------------------------------


def _factors(executions: Sequence[Execution]) -> dict[str, list[str | None]]:
    """Name -> the value of each execution (None: it has none), of the flavor and of metadata with few values."""
    found: dict[str, list[str | None]] = {"flavor": [_plain(one.flavor) for one in executions]}
    for key in sorted({key for one in executions for key in one.metadata}):
        found[f"metadata.{key}"] = [_plain(one.metadata.get(key)) for one in executions]
    kept = [(name, values) for name, values in found.items() if 2 <= len(set(values) - {None}) <= MOST_VALUES]
    return dict(kept[:MOST_FACTORS])


def _plain(value: Any) -> str | None:
    """A text, a truth or a whole number as a value of a factor; anything else is none."""
    if isinstance(value, str):
        return shorten(value, 60)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


@dataclass(frozen=True, slots=True)
class Correlate:
    """A factor's value, a metric, and on which side of the other values it is; `told` says what the test found."""

    factor: str
    value: str
    metric: str
    told: dict[str, Any]

    def split(self, executions: Sequence[Execution]) -> tuple[list[Execution], list[Execution]]:
        """The executions that have the value, and those that have another; of both, those with a value of the metric."""
        values = _factors(executions)[self.factor]
        known = [(value, one) for value, one in zip(values, executions, strict=True) if getattr(one, self.metric) is not None]
        having = [one for value, one in known if value == self.value]
        return having, [one for value, one in known if value is not None and value != self.value]


def _correlates(executions: Sequence[Execution], questions: list[Question]) -> list[Correlate]:
    """Every test of a factor's value against its other values, for each metric."""
    tests: list[tuple[Correlate, float]] = []
    factors = _factors(executions)
    for metric in ("success", *MEASURES) if factors else ():
        places = [place for place, one in enumerate(executions) if getattr(one, metric) is not None]
        values = [float(getattr(executions[place], metric)) for place in places]
        scores = values if metric == "success" else statistics.midranks(values)
        for factor, named in factors.items():
            known = [(value, score) for place, score in zip(places, scores, strict=True) if (value := named[place]) is not None]
            if len(known) < len(places) and metric != "success":
                ranks = statistics.midranks([score for _, score in known])
                known = [(value, rank) for (value, _), rank in zip(known, ranks, strict=True)]
            tests += _tests(factor, metric, known)
    # Half of the share is for success, so that many measures do not drown it.
    of_success = sum(test.metric == "success" for test, _ in tests)
    for test, p_value in tests:
        alike = of_success if test.metric == "success" else len(tests) - of_success
        questions.append(Question(SHARES["correlates"] / 2 / alike, p_value, test.told))
    return [test for test, _ in tests]


def _tests(factor: str, metric: str, known: Sequence[tuple[str, float]]) -> list[tuple[Correlate, float]]:
    """The tests of one factor and one metric; `known` holds the factor's value and the success or rank of each execution."""
    scores = [score for _, score in known]
    held = scores if metric == "success" else statistics.classes(scores)
    groups: dict[str, list[float]] = {}
    for (value, _), score in zip(known, scores if held is None else held, strict=True):
        groups.setdefault(value, []).append(score)
    made: list[tuple[Correlate, float]] = []
    wanted = sorted(groups)
    for value in wanted[:1] if len(wanted) == 2 else wanted if len(wanted) > 2 else ():
        count, total = len(groups[value]), math.fsum(groups[value])
        if min(count, len(known) - count) < LEAST_VALUES:
            continue
        if held is not None:
            few, many = statistics.fisher((int(total), count), (int(sum(held) - total), len(known) - count))
        else:
            few, many = statistics.rank_sum_of(total, count, scores)
        worse = many < few if metric in LOWER_IS_BETTER else few < many
        # Of two values the worse one is named.
        if len(wanted) == 2 and not worse:
            value, few, many = wanted[1], many, few
        p_value = statistics.two_sided(few, many)
        told = {"verdict": "lower" if few < many else "higher", "p_value": rounded(p_value)}
        made.append((Correlate(factor, value, metric, told), p_value))
    return made


def _told(test: Correlate, having: Sequence[Execution], others: Sequence[Execution]) -> dict[str, Any]:
    """A correlate with the levels on both sides."""
    named = {"factor": test.factor, "value": test.value, "metric": test.metric}
    return {**named, **test.told, "with": _level(having, test.metric), "without": _level(others, test.metric)}


# --- all questions together -----------------------------------------------------------------------


def _judge(questions: Sequence[Question]) -> None:
    """Holm's procedure with shares: the surest finding first; the share of each that holds goes to those that are left."""
    left = float(sum(SHARES.values()))
    holds = True
    for question in sorted(questions, key=lambda one: one.p_value / one.share):
        # Shares are floats: what is equal to the limit is within it.
        holds = holds and question.p_value <= FALSE_ALARMS * question.share / left + 1e-12
        question.told["flagged"] = holds
        if holds:
            left -= question.share


def settings() -> dict[str, Any]:
    """What an analysis was made with, as it says itself."""
    return {
        "least_records": LEAST_RECORDS,
        "least_values": LEAST_VALUES,
        "most_recent": MOST_RECENT,
        "most_prior": MOST_PRIOR,
        "horizon": HORIZON,
        "false_alarms": FALSE_ALARMS,
        "shares": dict(SHARES),
        "low_success": LOW_SUCCESS,
    }


def report(executions: Sequence[Execution], agent: str | None) -> tuple[dict[str, Any], list[AgentAnalysis]]:
    """The analysis of all executions, as analysis.json holds it (its recommendations excepted), and that of each agent."""
    analyses = [analyse(name, held) for name, held in by_agent(executions).items()]
    agents: Mapping[str, Any] = {one.agent: one.told for one in analyses}
    told = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint(executions, agent),
        "agent": agent,
        "executions": len(executions),
        "as_of": max((one.timestamp for one in executions), default=None),
        "settings": settings(),
        "insufficient": [one.agent for one in analyses if one.told["verdict"] == INSUFFICIENT],
        "changed": [one.agent for one in analyses if one.told["verdict"] == CHANGED],
        "agents": agents,
    }
    return told, analyses
