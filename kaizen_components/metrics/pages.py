"""Pages: what is measured of agents, and what analyses found, as HTML pages with charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..output import many
from ..reports.page import Block, Chart, Charts, Facts, Items, Page, Section, Table, Text
from .analysis import FALSE_ALARMS, FELL, INSUFFICIENT, LEAST_RECORDS, MEASURES, ROSE, AgentAnalysis, values_of
from .executions import Execution
from .recommendations import worded

if TYPE_CHECKING:
    from ..reports.charts import Dots, Line
    from .optimizing import Analysed

# Records that a chart draws and its table holds: the newest.
DRAWN, LISTED = 300, 100
# Agents that a page draws the history of.
MOST_DRAWN = 12
# A success share over fewer records jumps; over more it says late what has changed.
MOVING = 10
NAMES = {"success": "Success", "quality_score": "Quality", "execution_time_s": "Execution time", "tokens": "Tokens"}
UNITS = {"execution_time_s": "seconds"}


def of_agent(agent: str, summary: Mapping[str, Any], held: Sequence[Execution]) -> Page:
    """One agent: its summary, its history as charts, its newest executions. `held` is oldest first."""
    trend = summary["trend"]
    facts = [
        ("Executions", summary["execution_count"]),
        ("Success", _share(summary["success_rate"])),
        ("Success trend", trend["success_rate"]),
        ("Mean quality", summary["avg_quality_score"]),
        ("Quality trend", trend["quality_score"]),
        ("Mean time", _seconds(summary["avg_execution_time_s"])),
        ("Last execution", summary["last_execution"]),
    ]
    blocks: list[Block] = [Facts(facts)]
    sections = [Section("Summary", blocks)]
    if held:
        sections.append(Section("History", [_history(held)]))
        sections.append(Section("Newest executions", [_newest(held)]))
    return Page(f"Metrics of {agent}", _span(held), sections, "From the records of Kaizen; P2 shows the same as text.")


def of_analysis(made: Analysed) -> Page:
    """An analysis of all agents or one: what to look at, then each agent with its history and what was found."""
    told = made.told
    drafts = [f"[{draft.category}] {draft.text}" for draft in made.drafts]
    sections = [Section("What to look at", [Items(drafts) if drafts else Text("Nothing stands out.", "soft")])]
    judged = [one for one in made.agents if "metrics" in one.told]
    if judged:
        sections.append(Section("Success of late against before", [_differences(judged)]))
    drawn = _drawn(judged, [draft.agent for draft in made.drafts])
    sections += [Section(one.agent, _found(one)) for one in judged if one.agent in drawn]
    rest = [one for one in judged if one.agent not in drawn]
    if rest:
        note = Text("Of these the numbers alone are shown; P5 --agent NAME --format html draws one of them.", "soft")
        tables = [replace(_metrics(one.told["metrics"]), caption=one.agent, folded=True) for one in rest]
        sections.append(Section("Other agents", [note, *tables]))
    few = [one for one in made.agents if one.told["verdict"] == INSUFFICIENT]
    if few:
        rows = [(one.agent, one.told["executions"], one.told["needed"]) for one in few]
        note = Text(f"Nothing is said of an agent with fewer than {LEAST_RECORDS} records.", "soft")
        sections.append(Section("Too few records", [note, Table("Agents", ("agent", "records", "needed"), rows)]))
    lead = (
        f"{many(told['executions'], 'execution')} of {many(len(told['agents']), 'agent')} up to {told['as_of'] or 'now'}. Where nothing is different, at"
        f" most {FALSE_ALARMS:.0%} of agents are said to have changed. An interval is that of its one difference."
    )
    title = f"Analysis of {told['agent']}" if told["agent"] else "Analysis of all agents"
    return Page(title, lead, sections, f"Made of records with the fingerprint {told['fingerprint']}.")


def _drawn(judged: Sequence[AgentAnalysis], named: Sequence[str]) -> set[str]:
    """The agents whose history is drawn: all where they are few, else those that something is recommended of, first come first."""
    if len(judged) <= MOST_DRAWN:
        return {one.agent for one in judged}
    return set(list(dict.fromkeys(named))[:MOST_DRAWN])


def _span(held: Sequence[Execution]) -> str:
    return f"{many(len(held), 'execution')} from {held[0].timestamp} to {held[-1].timestamp}." if held else "No executions."


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.0%}"


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:,.4g} s"


# --- a history ------------------------------------------------------------------------------------


def _history(held: Sequence[Execution], places: Mapping[str, int] | None = None) -> Charts:
    """The history of success, and of each measure that has values; `places` are changes by metric: a number of a record."""
    start = max(0, len(held) - DRAWN)
    drawn = [(number, one) for number, one in enumerate(held, 1) if number > start]
    found = places or {}
    made = [_success(drawn, held, found.get("success"))]
    made += [chart for name in MEASURES if (chart := _measure(name, drawn, held, found.get(name)))]
    return Charts(made)


def _success(drawn: Sequence[tuple[int, Execution]], held: Sequence[Execution], place: int | None) -> Chart:
    from ..reports import charts

    points: list[tuple[float, float | None]] = []
    for number, _ in drawn:
        window = held[max(0, number - MOVING) : number]
        points.append((number, sum(one.success for one in window) / len(window)))
    failures = [(float(number), 0.0) for number, one in drawn if not one.success]
    series: list[Line | Dots] = [charts.Line(f"share of the last {MOVING}", points)]
    series += [charts.Dots("failure", failures)] if failures else []
    series += [charts.Line("change", [(place, 0), (place, 1)], dashed=True)] if place else []
    label = f"Share of successes among the last {MOVING} records, record by record"
    rows = [
        (number, one.timestamp, "yes" if one.success else "no", f"{share:.2f}")
        for (number, one), (_, share) in zip(drawn, points, strict=True)
        if share is not None
    ]
    table = _numbers(("record", "time", "success", f"share of the last {MOVING}"), rows)
    return Chart("Success", charts.over(series, label, low=0, high=1, across="record"), table)


def _measure(name: str, drawn: Sequence[tuple[int, Execution]], held: Sequence[Execution], place: int | None) -> Chart | None:
    from ..reports import charts

    known = [(number, float(value)) for number, one in drawn if (value := getattr(one, name)) is not None]
    if not known:
        return None
    medians: list[tuple[float, float | None]] = []
    for number, _ in known:
        window = sorted(values_of(held[max(0, number - MOVING) : number], name))
        half = len(window) // 2
        medians.append((number, window[half] if len(window) % 2 else (window[half - 1] + window[half]) / 2))
    most = max(value for _, value in known)
    series: list[Line | Dots] = [charts.Dots("record", known), charts.Line(f"median of the last {MOVING}", medians)]
    series += [charts.Line("change", [(place, 0), (place, most)], dashed=True)] if place else []
    unit = UNITS.get(name)
    label = f"{NAMES[name]} record by record, and the median of the last {MOVING}"
    rows = [
        (number, held[number - 1].timestamp, f"{value:g}", f"{median:g}")
        for (number, value), (_, median) in zip(known, medians, strict=True)
        if median is not None
    ]
    table = _numbers(("record", "time", name, "median"), rows)
    svg = charts.over(series, label, low=0, high=1 if name == "quality_score" else None, across="record")
    return Chart(f"{NAMES[name]}{f', {unit}' if unit else ''}", svg, table)


def _numbers(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    shown = rows[-LISTED:]
    caption = "The numbers" if len(shown) == len(rows) else f"The numbers of the newest {len(shown)} of {len(rows)} records"
    return Table(caption, columns, shown, folded=True)


def _newest(held: Sequence[Execution]) -> Table:
    columns = ("time", "success", "quality", "seconds", "tokens", "flavor", "id")
    newest = held[-20:][::-1]
    rows = [
        (one.timestamp, "yes" if one.success else "no", one.quality_score, one.execution_time_s, one.tokens, one.flavor, one.id)
        for one in newest
    ]
    return Table(f"The newest {len(newest)} of {len(held)}", columns, rows)


# --- what an analysis found -----------------------------------------------------------------------


def _differences(judged: Sequence[AgentAnalysis]) -> Chart:
    from ..reports import charts

    entries, rows = [], []
    for one in judged:
        metric = one.told["metrics"]["success"]
        low, high = metric["interval_95"]
        entries.append(charts.Interval(one.agent, metric["difference"], low, high))
        prior, recent = metric["prior"], metric["recent"]
        rows.append(
            (
                one.agent,
                _counted(prior),
                _counted(recent),
                f"{metric['difference']:+.2f}",
                f"{low:+.2f} to {high:+.2f}",
                metric["verdict"],
            )
        )
    label = "Difference in the success rate of each agent, recent minus prior, with its interval"
    table = Table("Success by agent", ("agent", "prior", "recent", "difference", "95 % interval", "verdict"), rows)
    return Chart("Difference in the success rate, recent minus prior", charts.intervals(entries, label), table)


def _counted(level: Mapping[str, Any]) -> str:
    return f"{level['rate']:.2f} ({level['successes']} of {level['records']})"


def _found(analysis: AgentAnalysis) -> list[Block]:
    told = analysis.told
    windows = told["windows"]
    where = (
        f"{told['executions']} records. Recent: {windows['recent']['records']} since {windows['recent']['from']}; prior:"
        f" {windows['prior']['records']} from {windows['prior']['from']}."
    )
    tone = "bad" if any(_is_worse(name, metric["verdict"]) for name, metric in told["metrics"].items()) else "soft"
    verdicts = [
        f"{NAMES[name]} {metric['verdict']}" for name, metric in told["metrics"].items() if metric["verdict"] in (FELL, ROSE)
    ]
    blocks: list[Block] = [
        Text(where, "soft"),
        Text(". ".join(verdicts) + "." if verdicts else "No change of late is shown.", tone),
    ]
    numbers = {one.id: number for number, one in enumerate(analysis.looked_at, 1)}
    places = {place["metric"]: numbers[place["record"]] for place in told["changepoints"]}
    blocks.append(_history(analysis.looked_at, places))
    blocks.append(_metrics(told["metrics"]))
    if told["changepoints"]:
        rows = [
            (
                NAMES[one["metric"]],
                one["verdict"],
                one["at"],
                numbers[one["record"]],
                _level(one, "before"),
                _level(one, "after"),
                one["p_value"],
            )
            for one in told["changepoints"]
        ]
        blocks.append(Table("Places of a change", ("metric", "verdict", "at", "record", "before", "after", "p"), rows))
    if told["correlates"]:
        rows = [
            (
                one["factor"],
                one["value"],
                f"{NAMES[one['metric']]} {one['verdict']}",
                _level(one, "with"),
                _level(one, "without"),
                one["p_value"],
            )
            for one in told["correlates"]
        ]
        columns = ("factor", "value", "what", "with it", "elsewhere", "p")
        blocks.append(Table(f"What goes along ({told['correlates_tested']} tests)", columns, rows))
    return blocks


def _is_worse(name: str, verdict: str) -> bool:
    return verdict == (ROSE if name in ("execution_time_s", "tokens") else FELL)


def _level(told: Mapping[str, Any], side: str) -> str:
    level = told[side]
    return _counted(level) if "rate" in level else f"{worded(told['metric'], level['mean'])} ({level['records']} records)"


def _metrics(metrics: Mapping[str, Any]) -> Table:
    rows = []
    for name, metric in metrics.items():
        low, high = metric.get("interval_95", (None, None))
        levels = [
            _counted(metric[side])
            if name == "success"
            else "–"
            if metric[side]["mean"] is None
            else f"{metric[side]['mean']:,.4g}"
            for side in ("prior", "recent")
        ]
        rows.append(
            (
                NAMES[name],
                *levels,
                None if low is None else worded(name, metric["difference"], signed=True),
                None if low is None else f"{worded(name, low, signed=True)} to {worded(name, high, signed=True)}",
                None if low is None else f"{metric['p_value']:.3g}",
                metric["verdict"],
            )
        )
    return Table("Recent against prior", ("metric", "prior", "recent", "difference", "95 % interval", "p", "verdict"), rows)
