"""Three kinds of charts as SVG, sized in pixels at which their text is read; positions are rounded to a tenth.

A chart's colours and fonts are the style sheet's, so that one drawing serves a light page, a dark one and paper.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.report.templating import paper_style, render

WIDTH, WIDE = 480, 980
_LETTER = 6.6  # mean width of a letter in a wide face at 11 px
_ROW = 19


@dataclass(frozen=True)
class Chart:
    """A drawing.

    Attributes:
        caption: what it shows.
        width: px.
        height: px.
        body: the SVG elements.
    """

    caption: str
    width: int
    height: int
    body: Markup

    def standalone(self) -> str:
        """The text of an SVG file with light colours of its own, for programs that know no CSS variables."""
        return render("figure.svg.j2", chart=self, style=Markup(paper_style()))  # noqa: S704 - our own


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` onto pixels from `start` to `end`, linearly."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value; of one beyond the ends, the pixel of that end."""
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


@dataclass(frozen=True)
class Point:
    """One method of a scatter: its gain, its fit seconds, and whether it is on the frontier."""

    method: str
    gain: float
    seconds: float
    efficient: bool


@dataclass(frozen=True)
class Dot:
    """A value, and half the width of its interval if it has one."""

    value: float
    half_width: float | None = None


@dataclass(frozen=True)
class Panel:
    """One column of a dot chart: its title, the level that others are read against, and a dot or a gap for each row."""

    title: str
    level: float | None
    dots: tuple[Dot | None, ...]


@dataclass(frozen=True)
class Curve:
    """A line through points (x, y), one or more, x from zero and rising."""

    name: str
    points: tuple[tuple[float, float], ...]


def curves(caption: str, along: str, lines: Sequence[Curve]) -> Chart:
    """Values along a logarithmic axis, with the names at the right, in the order of the lines.

    Args:
        caption: what it shows.
        along: what the axis shows.
        lines: one or more, at least one of which has an x above zero; a point at zero stands at the left edge.
    """
    height = max(330, 60 + _ROW * len(lines))
    logs = [math.log10(x) for line in lines for x, _ in line.points if x > 0]
    first, last = min(logs) - 0.1, max(logs) + 0.1
    values = [value for line in lines for _, value in line.points]
    ticks = _ticks(min(values), max(values))
    x, y = Axis(first, last, 52, WIDTH + 120), Axis(ticks[0], ticks[-1], height - 44, 14)
    body = render(
        "curves.svg.j2",
        x=x,
        y=y,
        along=along,
        columns=[(x.at(power), f"{10**power:,.0f}") for power in range(math.ceil(first), math.floor(last) + 1)],
        rows=[(y.at(tick), f"{tick:g}") for tick in ticks],
        lines=[
            (line.name, [(x.at(math.log10(at) if at > 0 else first), y.at(value)) for at, value in line.points])
            for line in lines
        ],
    )
    return Chart(caption, WIDE, height, Markup(body))  # noqa: S704 - escaped by the template


def scatter(caption: str, points: Sequence[Point], words: Sequence[str]) -> Chart:
    """Gain against fit seconds on a logarithmic axis, with the frontier as a staircase.

    Args:
        caption: what it shows.
        points: at least one with more than zero seconds; those with zero stand at the left edge.
        words: what to say of each point where the pointer rests on it.
    """
    height = 330
    decades = [math.log10(point.seconds) for point in points if point.seconds > 0]
    first, last = min(decades) - 0.3, max(decades) + 0.3
    ticks = _ticks(min(0.0, *(p.gain for p in points)), max(0.0, *(p.gain for p in points)))
    x, y = Axis(first, last, 52, WIDTH - 12), Axis(ticks[0], ticks[-1], height - 44, 14)
    at = [(x.at(math.log10(p.seconds) if p.seconds > 0 else first), y.at(p.gain)) for p in points]
    body = render(
        "scatter.svg.j2",
        x=x,
        y=y,
        zero=y.at(0),
        columns=[(x.at(power), label) for power, label in _decades(first, last)],
        rows=[(y.at(tick), f"{tick:+g}".replace("-", "−") if tick else "0") for tick in ticks],
        points=[(*place, point, said) for place, point, said in zip(at, points, words, strict=True)],
        front=_staircase([place for place, point in zip(at, points, strict=True) if point.efficient], y.at(0), x),
        labels=_labels(at, points, x, y),
    )
    return Chart(caption, WIDTH, height, Markup(body))  # noqa: S704 - escaped by the template


def dots(
    caption: str, methods: Sequence[str], lead: Sequence[bool], panels: Sequence[Panel], words: Sequence[str]
) -> Chart:
    """A row for each method and a panel for each column, all panels on one scale.

    Args:
        caption: what it shows.
        methods: names of the rows.
        lead: which of them to set apart.
        panels: one or more, with a dot or a gap for each row.
        words: what to say of each row where the pointer rests on it.
    """
    wide = len(panels) > 1
    width = WIDE if wide else WIDTH
    names = [shortened(method) for method in methods]
    left = 12 + _LETTER * max(map(len, names))
    ends = [d.value + s * (d.half_width or 0) for p in panels for d in p.dots if d for s in (-1, 1)]
    levels = [panel.level for panel in panels if panel.level is not None]
    ticks = _ticks(min(ends + levels), max(ends + levels), 3 if wide else 6)
    top = 26 if any(panel.title for panel in panels) else 6
    bottom = top + _ROW * len(names)
    step = (width - left) / len(panels)
    axes = [Axis(ticks[0], ticks[-1], left + step * i + 14, left + step * (i + 1) - 14) for i in range(len(panels))]
    body = render(
        "dots.svg.j2",
        names=[(top + _ROW * (i + 0.5), *row) for i, row in enumerate(zip(names, lead, words, strict=True))],
        panels=list(zip(panels, axes, strict=True)),
        ticks=[(tick, f"{tick:g}".replace("-", "−")) for tick in ticks],
        left=left,
        top=top,
        bottom=bottom,
    )
    return Chart(caption, width, bottom + 24, Markup(body))  # noqa: S704 - escaped by the template


def shortened(method: str, longest: int = 30) -> str:
    """A method's label, where it is too long without its settings, or cut."""
    if len(method) > longest:
        method = re.sub(r"\[[^\]]*\]", "[…]", method)
    return method if len(method) <= longest else f"{method[: longest - 1]}…"


def _ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from at most `low` to at least `high`, at steps of 1, 2 or 5 times a power of ten."""
    spread = max(high - low, 1e-3)
    power = 10.0 ** math.floor(math.log10(spread / about))
    step = next(power * times for times in (1, 2, 5, 10) if power * times * about >= spread)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * tick, 10) for tick in range(first, max(last, first + 1) + 1)]


def _decades(first: float, last: float) -> list[tuple[float, str]]:
    """Logarithms from `first` to `last`, and the seconds that they stand for: powers of ten, and their triples."""
    times = (1, 3) if last - first < 3 else (1,)
    seconds = [n * 10.0**power for power in range(math.floor(first), math.ceil(last)) for n in times]
    return [
        (math.log10(each), f"{each:,.0f} s" if each >= 1 else f"{1000 * each:g} ms")
        for each in seconds
        if first <= math.log10(each) <= last
    ]


def _staircase(places: Sequence[tuple[float, float]], zero: float, x: Axis) -> str:
    """The `d` of the path along the frontier, from no gain at no cost to the right edge."""
    steps = [f"H{across:.1f}V{up:.1f}" for across, up in sorted(places, key=lambda place: (place[0], -place[1]))]
    return f"M{x.start:.1f} {zero:.1f}{''.join(steps)}H{x.end:.1f}"


def _labels(
    at: Sequence[tuple[float, float]], points: Sequence[Point], x: Axis, y: Axis
) -> list[tuple[float, float, str, Point]]:
    """Where each name fits beside its point: (x of its middle, y of its base line, name, point).

    The frontier's come first; a name that would run over another, over a point or out of the chart is left out.
    """
    taken = [(across - 5, up - 5, across + 5, up + 5) for across, up in at]
    placed = []
    for i in sorted(range(len(points)), key=lambda i: (not points[i].efficient, -points[i].gain)):
        name = shortened(points[i].method, 26)
        half = _LETTER * len(name) / 2
        across, up = at[i]
        beside = ((across + side * (half + 8), up + 4) for side in (1, -1))
        for middle, base in (*beside, (across, up - 9), (across, up + 17)):
            box = (middle - half, base - 9, middle + half, base + 3)
            inside = box[0] >= x.start and box[2] <= x.end and box[1] >= y.end - 8 and box[3] <= y.start
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                placed.append((middle, base, name, points[i]))
                break
    return placed


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
