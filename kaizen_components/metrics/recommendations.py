"""Recommendations: what an analysis suggests to look at, in words, with the numbers and the records that each rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..hashing import canonical, sha256
from .analysis import FELL, LOWER_IS_BETTER, ROSE, AgentAnalysis
from .executions import Execution

# What is worth a look first. Within a category the surer finding comes first.
CATEGORIES = (
    "success-fell",
    "success-low",
    "quality-fell",
    "success-differs",
    "time-rose",
    "tokens-rose",
    "quality-differs",
    "time-differs",
    "tokens-differs",
    "improved",
)
NOUNS = {"success": "success", "quality_score": "quality", "execution_time_s": "time", "tokens": "tokens"}
_UNITS = {"execution_time_s": " s", "tokens": " tokens"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A recommendation before it is written. `evidence` holds numbers, and under `records` the ids of executions by role."""

    agent: str
    category: str
    text: str
    p_value: float
    evidence: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """What makes two of them the same: agent, category, evidence."""
        return sha256(canonical({"agent": self.agent, "category": self.category, "evidence": self.evidence}))

    def values(self, rank: int) -> dict[str, Any]:
        """As analysis.json holds it."""
        told = {"rank": rank, "agent": self.agent, "category": self.category, "text": self.text}
        return {**told, "evidence": self.evidence, "fingerprint": self.fingerprint}


def ranked(analyses: Iterable[AgentAnalysis]) -> list[Draft]:
    """What all analyses suggest, the first to look at first."""
    drafts = [draft for analysis in analyses for draft in of_agent(analysis)]
    return sorted(drafts, key=lambda one: (CATEGORIES.index(one.category), one.p_value, one.agent, one.text))


def of_agent(analysis: AgentAnalysis) -> list[Draft]:
    """What one analysis suggests: of each metric what changed, lately or at a place in its history; then what goes along."""
    if "metrics" not in analysis.told:
        return []
    places = {place["metric"]: place for place in analysis.told["changepoints"]}
    made: list[Draft] = []
    for name, metric in analysis.told["metrics"].items():
        if metric["verdict"] in (FELL, ROSE):
            made.append(_changed(analysis, name, metric, places.get(name)))
        elif name in places:
            made.append(_changed_before(analysis, name, places[name]))
    if analysis.told["metrics"]["success"]["low"]["flagged"]:
        made.append(_low(analysis))
    correlates = analysis.told["correlates"]
    return made + [_differs(analysis, one, having) for one, having in zip(correlates, analysis.having, strict=True)]


def _changed(analysis: AgentAnalysis, name: str, metric: dict[str, Any], place: dict[str, Any] | None) -> Draft:
    evidence = {key: metric[key] for key in ("recent", "prior", "difference", "interval_95", "method", "p_value")}
    evidence |= {"metric": name, "changepoint": place}
    evidence["records"] = {"recent": _ids(analysis.recent, name), "prior": _ids(analysis.prior, name)}
    verdict = metric["verdict"]
    low, high = metric["interval_95"]
    text = (
        f"{_noun(name)} of {analysis.agent} {verdict} from {_level(name, metric['prior'])} to {_level(name, metric['recent'])}:"
        f" difference {worded(name, metric['difference'], signed=True)}, 95 % interval {worded(name, low, signed=True)} to"
        f" {worded(name, high, signed=True)}."
    )
    text += f" The change lies near {place['at']}." if place and place["verdict"] == verdict else ""
    return Draft(analysis.agent, _category(name, verdict), text + _hint(analysis, name, verdict), metric["p_value"], evidence)


def _changed_before(analysis: AgentAnalysis, name: str, place: dict[str, Any]) -> Draft:
    measured = [one for one in analysis.looked_at if getattr(one, name) is not None]
    cut = next(number for number, one in enumerate(measured) if one.id == place["record"])
    evidence = {**place, "records": {"before": _ids(measured[:cut], name), "after": _ids(measured[cut:], name)}}
    text = (
        f"{_noun(name)} of {analysis.agent} {place['verdict']} near {place['at']}: {_level(name, place['before'])} before,"
        f" {_level(name, place['after'])} since."
    )
    return Draft(analysis.agent, _category(name, place["verdict"]), text, place["p_value"], evidence)


def _low(analysis: AgentAnalysis) -> Draft:
    success = analysis.told["metrics"]["success"]
    low = success["low"]
    evidence = {"metric": "success", "recent": success["recent"], "below": low["below"], "p_value": low["p_value"]}
    evidence["records"] = {"recent": _ids(analysis.recent, "success"), "failed": _failed(analysis.recent)}
    text = f"Success of {analysis.agent} is below {low['below']:g}: {_level('success', success['recent'])} of late."
    return Draft(analysis.agent, "success-low", text + " Look at what the failures have in common.", low["p_value"], evidence)


def _differs(analysis: AgentAnalysis, correlate: dict[str, Any], having: Sequence[Execution]) -> Draft:
    name = correlate["metric"]
    evidence = {**correlate, "records": {"with": [one.id for one in having]}}
    text = (
        f"{_noun(name)} of {analysis.agent} is {correlate['verdict']} where {correlate['factor']} is {correlate['value']}:"
        f" {_level(name, correlate['with'])} against {_level(name, correlate['without'])} elsewhere."
        " That it goes along does not make it the cause: try both on the same tasks."
    )
    return Draft(analysis.agent, f"{NOUNS[name]}-differs", text, correlate["p_value"], evidence)


def _category(name: str, verdict: str) -> str:
    worse = (verdict == ROSE) == (name in LOWER_IS_BETTER)
    return f"{NOUNS[name]}-{verdict}" if worse else "improved"


def _hint(analysis: AgentAnalysis, name: str, verdict: str) -> str:
    """What to do about it."""
    if _category(name, verdict) == "improved":
        return " Find out what changed, and keep it."
    if name == "success":
        count = len(_failed(analysis.recent))
        return f" Look at the {count} failures since {analysis.recent[0].timestamp} first."
    return f" Look at the records since {analysis.recent[0].timestamp}."


def _ids(executions: Sequence[Execution], name: str) -> list[str]:
    return [one.id for one in executions if getattr(one, name) is not None]


def _failed(executions: Sequence[Execution]) -> list[str]:
    return [one.id for one in executions if not one.success]


def _noun(name: str) -> str:
    return {"execution_time_s": "Execution time", "tokens": "Token use"}.get(name, NOUNS[name].capitalize())


def _level(name: str, level: dict[str, Any]) -> str:
    """A level in words: a rate with what it counts, a mean with its median."""
    if name == "success":
        return f"{level['rate']:.2f} ({level['successes']} of {level['records']})"
    return f"{worded(name, level['mean'])} (median {worded(name, level['median'])}, {level['records']} records)"


def worded(name: str, value: float, *, signed: bool = False) -> str:
    """A value of a metric, or a difference, in words: with its unit, and no more digits than it can bear."""
    sign = "+" if signed else ""
    if name in ("success", "quality_score"):
        return f"{value:{sign}.2f}"
    return f"{value:{sign},.0f}{_UNITS[name]}" if abs(value) >= 1000 else f"{value:{sign}.3g}{_UNITS[name]}"
