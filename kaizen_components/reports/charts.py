"""Charts: lines, dots and intervals as SVG elements that take their colours from the page around them."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import denial

# In units that are pixels where a chart is as wide as it is drawn.
WIDTH, HEIGHT, ROW = 480, 260, 26
INTERVALS_LABEL = 22
# Numbers from here on are written with an exponent.
MANY = 10_000_000
_LONG = re.compile(r"-?\d+\.\d{2,}")


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line, in their order; y None leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dots:
    """Points."""

    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between two bounds, under a name."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Straight:
    """A linear scale between exactly these bounds; the library's own widens them to what it thinks is round."""

    low: float
    high: float

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high

    def project(self, value: float, start: float, end: float) -> float:
        return start + (end - start) * (value - self.low) / (self.high - self.low)


def refuse_missing() -> None:
    """Refuse where the package that draws is not installed, before any work."""
    _leather()


def _leather() -> Any:
    """The library, set to the page's colours and fonts."""
    try:
        import leather
        import leather.theme as theme
    except ImportError:
        raise denial.BackendUnavailable(
            "python -m pip install -r requirements-metrics.txt", message="Charts need the package leather.", package="leather"
        ) from None
    theme.background_color = "none"
    theme.margin = 0.03
    theme.tick_color, theme.zero_color = "var(--line)", "var(--soft)"
    theme.label_color = theme.legend_color = theme.title_color = theme.axis_title_color = "var(--soft)"
    for part in ("title", "legend", "axis_title", "tick"):
        setattr(theme, f"{part}_font_family", "system-ui, sans-serif")
        setattr(theme, f"{part}_font_size", 13)
        setattr(theme, f"{part}_font_char_height", 13)
        setattr(theme, f"{part}_font_char_width", 7)
    theme.default_series_colors = [f"var(--c{number})" for number in range(1, 6)]
    return leather


def over(
    series: Sequence[Line | Dots], label: str, *, low: float | None = None, high: float | None = None, across: str = ""
) -> str:
    """A chart of series over numbers from left to right. `low` and `high` bound it from below and above; else the data do.

    `label` says in words what it shows, for whoever cannot see it; `across` names what stands from left to right.
    """
    leather = _leather()
    chart = leather.Chart()
    ys = [y for one in series for _, y in one.points if y is not None]
    xs = [x for one in series for x, _ in one.points]
    bottom, top, ticks = _scale(min(ys) if low is None else low, max(ys) if high is None else high)
    chart.set_y_scale(Straight(bottom, top))
    chart.add_y_axis(ticks=ticks, tick_formatter=_formatter(ticks))
    left, right, ticks = _scale(min(xs), max(xs), most=6)
    # A scale that began at 0 would have a number that no record has.
    left, right = min(xs), max(max(xs), min(xs) + 1)
    ticks = [tick for tick in ticks if left <= tick <= right and tick == int(tick)]
    chart.set_x_scale(Straight(left, right))
    chart.add_x_axis(ticks=ticks or [left], tick_formatter=_formatter(ticks or [left]), name=across or None)
    for number, one in enumerate(series, 1):
        colour, points = f"var(--c{(number - 1) % 5 + 1})", list(one.points)
        if isinstance(one, Dots):
            chart.add_dots(points, name=one.name, fill_color=colour, radius=3)
        else:
            chart.add_line(points, name=one.name, stroke_color=colour, width=2, stroke_dasharray="5 4" if one.dashed else None)
    return _drawn(chart, label, HEIGHT)


def intervals(entries: Sequence[Interval], label: str, *, across: str = "") -> str:
    """A chart with a row for each entry: its value as a dot, its bounds as a line, and a line at zero."""
    leather = _leather()
    chart = leather.Chart()
    count = len(entries)
    left, right, ticks = _scale(min(0.0, *(one.low for one in entries)), max(0.0, *(one.high for one in entries)), most=6)
    chart.set_x_scale(Straight(left, right))
    chart.add_x_axis(ticks=ticks, tick_formatter=_formatter(ticks), name=across or None)
    chart.set_y_scale(Straight(0.4, count + 0.6))
    names = {count - number: _short(one.name) for number, one in enumerate(entries)}
    chart.add_y_axis(ticks=sorted(names), tick_formatter=lambda value, index, size: names[int(value)])
    bounds: list[tuple[float | None, float | None]] = []
    for height, one in zip(names, entries, strict=True):
        bounds += [(one.low, height), (one.high, height), (None, None)]
    chart.add_line(bounds, name="95 % interval", stroke_color="var(--c1)", width=2)
    dots = [(one.value, height) for height, one in zip(names, entries, strict=True)]
    chart.add_dots(dots, name="difference", fill_color="var(--c1)", radius=4)
    return _drawn(chart, label, 90 + ROW * count)


def _short(name: str) -> str:
    return name if len(name) <= INTERVALS_LABEL else f"{name[: INTERVALS_LABEL - 1]}…"


def _scale(low: float, high: float, *, most: int = 5) -> tuple[float, float, list[float]]:
    """(bottom, top, ticks): round numbers around the data, at most `most` steps."""
    if high <= low:
        low, high = low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [float(f"{number * step:.10g}") for number in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _formatter(ticks: Sequence[float]) -> Callable[[float, int, int], str]:
    """All ticks of an axis with as many digits as the one that needs most."""
    if max(map(abs, ticks)) >= MANY:
        return lambda value, index, count: f"{value:.3g}"
    digits = max((len(f"{tick:.10g}".partition(".")[2]) for tick in ticks), default=0)
    return lambda value, index, count: f"{value:,.{min(digits, 6)}f}"


def _drawn(chart: Any, label: str, height: int) -> str:
    """The chart as an SVG element that is as wide as its place."""
    from xml.etree import ElementTree

    with warnings.catch_warnings():
        # Of values beyond a bound that was asked for.
        warnings.simplefilter("ignore")
        group = chart.to_svg_group(WIDTH, height)
    root = ElementTree.Element("svg", {"viewBox": f"0 0 {WIDTH} {height}", "role": "img"})
    root.set("xmlns", "http://www.w3.org/2000/svg")
    ElementTree.SubElement(root, "title").text = label
    root.append(group)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _LONG.sub(lambda found: f"{float(found[0]):.1f}", value))
    return ElementTree.tostring(root, encoding="unicode")
