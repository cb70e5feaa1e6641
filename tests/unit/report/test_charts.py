"""Charts put their marks where the values say, keep names apart, and are files that any SVG program reads."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.charts import Axis, Chart, Curve, Dot, Panel, Point, _ticks, curves, dots, scatter
from bench.report.figures import distinct

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("1")</script>&amp;]]>'
names = st.text("abcdefgh-[=]+,", min_size=1, max_size=40)
seconds = st.floats(1e-3, 1e5)
gains = st.floats(-1, 1)
points = st.lists(st.builds(Point, names, gains, seconds, st.booleans()), min_size=1, max_size=20)


def parsed(chart: Chart) -> ET.Element:
    return ET.fromstring(chart.standalone())  # noqa: S314 - our own


def circles(chart: Chart) -> list[tuple[float, float]]:
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in parsed(chart).iter(f"{SVG}circle")]


@given(st.floats(-1, 1), st.floats(0, 2), st.integers(3, 8))
def test_ticks_are_round_even_and_cover_the_values(low: float, spread: float, about: int) -> None:
    ticks = _ticks(low, low + spread, about)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= low + spread - 1e-9
    assert 2 <= len(ticks) <= about + 2
    steps = {round(after - before, 9) for before, after in pairwise(ticks)}
    assert len(steps) == 1
    assert f"{steps.pop():e}"[0] in "125"


@given(gains, gains, st.floats(-3, 3))
def test_an_axis_is_linear_and_clamps(one: float, other: float, low: float) -> None:
    axis = Axis(low, low + 2, 10, 110)
    assert axis.at(low) == 10
    assert axis.at(low + 2) == 110
    assert axis.at(low - 5) == 10
    assert axis.at(low + 1) == pytest.approx(60)
    assert (axis.at(low + 1 + one) <= axis.at(low + 1 + other)) or one >= other


@settings(deadline=None)
@given(points)
def test_a_scatter_keeps_the_order_of_gains_and_of_costs(points: list[Point]) -> None:
    places = circles(scatter("gain", points, [point.method for point in points]))
    assert len(places) == len(points)
    for (one, at), (other, there) in combinations(zip(points, places, strict=True), 2):
        assert (at[0] - there[0]) * (one.seconds - other.seconds) >= 0
        assert (at[1] - there[1]) * (one.gain - other.gain) <= 0


@settings(deadline=None)
@given(points)
def test_names_in_a_scatter_run_over_nothing(points: list[Point]) -> None:
    chart = scatter("gain", points, [point.method for point in points])
    tree = parsed(chart)
    labels = [each for each in tree.findall(f"{SVG}text") if "end" not in each.attrib["class"]][-len(points) :]
    named = [each for each in labels if float(each.attrib["y"]) < chart.height - 44 + 4]
    boxes = []
    for label in named:
        middle, half = float(label.attrib["x"]), 3 * len(label.text or "")
        boxes.append((middle - half, middle + half, float(label.attrib["y"]) - 8, float(label.attrib["y"])))
    boxes += [(x - 3, x + 3, y - 3, y + 3) for x, y in circles(chart)] if boxes else []
    for i, (left, right, top, bottom) in enumerate(boxes[: len(named)]):
        assert left >= 52
        assert right <= chart.width
        for other in boxes[i + 1 :]:
            assert left >= other[1] or right <= other[0] or top >= other[3] or bottom <= other[2]


def test_a_scatter_draws_the_frontier_as_a_staircase() -> None:
    points = [Point("cheap", 0.1, 1, True), Point("dear", 0.2, 100, True), Point("worse", 0.05, 10, False)]
    chart = scatter("gain", points, ["", "", ""])
    cheap, dear, _ = circles(chart)
    (path,) = (each.attrib["d"] for each in parsed(chart).iter(f"{SVG}path") if each.attrib["class"] == "front")
    steps = path.replace("V", " ").replace("H", " ").split()
    assert [float(step) for step in steps[2:6]] == [*cheap, *dear]
    marked = [each.attrib["class"] for each in parsed(chart).iter(f"{SVG}circle")]
    assert marked == ["dot lead", "dot lead", "dot"]


def test_a_fit_in_no_time_stands_at_the_left_edge() -> None:
    first, second = circles(scatter("gain", [Point("a", 0.1, 0.0, True), Point("b", 0.2, 2.0, True)], ["", ""]))
    assert first[0] == 52 < second[0]


def test_dots_leave_gaps_and_centre_their_intervals() -> None:
    panels = [Panel("p", 0.5, (Dot(0.6, 0.1), None)), Panel("q", None, (Dot(0.2), Dot(0.9)))]
    chart = dots("ndcg", ["a", "b"], [True, False], panels, ["", ""])
    rows = parsed(chart).findall(f"{SVG}g")
    assert [len(row.findall(f"{SVG}circle")) for row in rows] == [2, 1]
    assert [row.attrib.get("class") for row in rows] == ["lead", None]
    (whisker,) = parsed(chart).iterfind(f".//{SVG}path[@class='whisker']")
    start, _, end = whisker.attrib["d"].removeprefix("M").replace("H", " ").split()
    (level,) = parsed(chart).iterfind(f".//{SVG}path[@class='level']")
    centre = float(rows[0].findall(f"{SVG}circle")[0].attrib["cx"])
    assert (float(start) + float(end)) / 2 == pytest.approx(centre, abs=0.1)
    assert float(level.attrib["d"][1:].split()[0]) == pytest.approx(float(start), abs=0.1)


@given(st.lists(st.lists(st.tuples(st.floats(0, 1e6), gains), min_size=1, max_size=6), min_size=1, max_size=10))
def test_curves_keep_the_order_of_both_axes(lines: list[list[tuple[float, float]]]) -> None:
    lines[0].append((10.0, 0.5))
    chart = curves("dev", "encodes", [Curve("a", tuple(line)) for line in lines])
    drawn = [
        [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in group.findall(f"{SVG}circle")[:-1]]
        for group in parsed(chart).findall(f"{SVG}g")  # the last circle belongs to the name
    ]
    assert [len(line) for line in drawn] == [len(line) for line in lines]
    pairs = [
        (where, at) for line, places in zip(lines, drawn, strict=True) for at, where in zip(line, places, strict=True)
    ]
    for (one, (x, y)), (other, (u, v)) in combinations(pairs, 2):
        if x < u:
            assert one[0] <= other[0]
        if y < v:
            assert one[1] >= other[1]


def test_names_of_curves_stand_below_each_other_inside_the_chart() -> None:
    chart = curves("dev", "encodes", [Curve(f"method {i}", ((0.0, 0.1), (100.0, 0.2))) for i in range(30)])
    tree = parsed(chart)
    ups = [float(group.find(f"{SVG}text").attrib["y"]) for group in tree.findall(f"{SVG}g")]  # type: ignore[union-attr]
    assert all(later - earlier >= 12 for earlier, later in pairwise(ups))
    assert ups[-1] < chart.height


def test_names_in_a_chart_leave_out_the_settings_that_all_have() -> None:
    assert distinct(["none", "c[a=1,b=2]", "c[a=1,b=3]", "c[a=1]"]) == {
        "none": "none",
        "c[a=1,b=2]": "b=2",
        "c[a=1,b=3]": "b=3",
        "c[a=1]": "c",
    }
    several = ["adaptor", "adaptor[side=document]", "f[x=1]", "g[x=1,y=2]", "g[x=1,y=3]", "f[x=1]+n"]
    assert list(distinct(several).values()) == [
        *("adaptor", "adaptor[side=document]", "f[x=1]", "g[y=2]", "g[y=3]", "f[x=1]+n")
    ]


def test_a_file_holds_names_as_text_and_needs_no_style_of_a_page() -> None:
    chart = dots(HOSTILE, [HOSTILE], [True], [Panel(HOSTILE, None, (Dot(0.5),))], [HOSTILE])
    tree = parsed(chart)
    assert not list(tree.iter(f"{SVG}script"))
    assert tree.find(f"{SVG}title").text == HOSTILE  # type: ignore[union-attr]
    assert HOSTILE in [each.text for each in tree.iter(f"{SVG}title")]
    assert "var(" not in chart.standalone()
