"""Published figures are those of the papers, and stand beside what was measured under the same conditions."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from bench.data.catalogue import default_encoder
from bench.report import load_boards, published_tables, write_leaderboards
from bench.report.published import Published, compare_published, published
from bench.show import print_boards
from bench.spec import read_suite

if TYPE_CHECKING:
    from conftest import Cells

    from bench.record import Record
    from bench.report.published import Compared

# As the papers print them, in percent.
AVERAGES = """
| | bge-small | gte-large | clip-b32 | clip-l14 |
| none | 37.0/62.4/48.6 | 41.6/67.0/53.2 | 15.9/40.2/26.9 | 20.5/46.5/32.5 |
| adaptor | 39.5/65.5/51.6 | 45.1/68.4/55.6 | 18.5/43.5/29.9 | 24.1/50.9/36.5 |
| nudge-m | 49.7/66.6/57.2 | 52.1/73.4/61.2 | 28.6/55.1/40.9 | 30.1/58.1/43.2 |
| nudge-n | 52.1/72.5/61.3 | 53.4/74.7/62.7 | 28.8/55.4/41.1 | 30.1/58.2/43.3 |
"""
SINGLE = """
| | paper/nfcorpus | paper/nq |
| none | 31.4/33.9 | 36.3/21.2 |
| nudge-m | 38.7/40.0 | 43.6/38.6 |
| nudge-n | 43.7/44.5 | 58.0/45.9 |
"""
SECOND_HAND = """
| | not known |
| corrector | 50.6/71.0/77.7/82.7/88.4 |
| DPR | 52.1/71.8/77.2/81.2/87.1 |
"""
N = "nudge-n[compat=reference]"
PICTURES = ("paper/flickr30k", "paper/coco")


def as_printed(text: str) -> dict[tuple[str, str], list[float]]:
    head, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.strip().splitlines()]
    return {
        (column, row[0]): [float(percent) / 100 for percent in cell.split("/")]
        for row in rows
        for column, cell in zip(head[1:], row[1:], strict=True)
    }


def test_the_figures_are_those_of_the_papers() -> None:
    averages, single, second_hand = {}, {}, {}
    for table in published().tables:
        for encoder, rows in table.figures.items():
            for method, values in rows.items():
                name = method.partition("[")[0]
                if table.unmatched:
                    second_hand[encoder, name] = pytest.approx(list(values))
                elif len(table.datasets) > 1:
                    assert table.metrics == ("recall_capped@1", "recall_capped@10", "ndcg@10")
                    assert len(table.datasets) == (2 if encoder.startswith("clip") else 7)
                    averages[encoder, name] = pytest.approx(list(values))
                else:
                    assert (encoder, table.metrics) == ("bge-small", ("recall_capped@10", "ndcg@10"))
                    single[table.datasets[0], name] = pytest.approx(list(values))
    assert (averages, single, second_hand) == tuple(map(as_printed, (AVERAGES, SINGLE, SECOND_HAND)))


def test_every_published_figure_is_one_of_the_suite_of_the_paper() -> None:
    cells = {(cell.dataset, cell.encoder, cell.method) for cell in read_suite("paper").cells(default_encoder)}
    named = [
        (dataset, encoder, method)
        for table in published().tables
        if not table.unmatched
        for dataset in table.datasets
        for encoder, rows in table.figures.items()
        for method in rows
    ]
    assert set(named) <= cells
    figures = [
        (table.datasets, encoder, method, metric)
        for table in published().tables
        for encoder, rows in table.figures.items()
        for method in rows
        for metric in table.metrics
    ]
    assert len(set(figures)) == len(figures) == 70


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"figures": {"x": {"none": [37.0]}}}, "less than or equal to 1"),
        ({"figures": {"x": {"none": [-0.1]}}}, "greater than or equal to 0"),
        ({"figures": {"x": {"none": [0.1, 0.2]}}}, "none: 2 figures for 1 metrics"),
        ({"metrics": ["R@1"]}, "no metrics of ours: R@1"),
        ({"datasets": []}, "at least 1"),
        ({"source": None}, "valid string"),
        ({"note": "split"}, "not permitted"),
    ],
)
def test_a_table_that_is_not_one_is_refused(wrong: dict[str, Any], what: str) -> None:
    table = {"source": "s", "datasets": ["a"], "metrics": ["ndcg@10"], "figures": {"x": {"none": [0.37]}}}
    assert Published.model_validate(table)
    with pytest.raises(ValidationError, match=what):
        Published.model_validate({**table, **wrong})


def test_a_table_without_cells_keeps_the_names_of_its_source() -> None:
    table = {"source": "s", "datasets": ["a"], "metrics": ["R@1"], "figures": {"x": {"DPR": [0.37]}}}
    assert Published.model_validate({**table, "unmatched": "another split"})


def measure(cells: Cells, dataset: str, encoder: str, level: float = 0.0, method: str = N, **identity: Any) -> Record:
    return cells.add(method, 0, level, **{"dataset": dataset, "encoder": encoder, "split": "official", **identity})


def compared(cells: Cells) -> dict[str, Compared]:
    """The figures of one table, by metric."""
    found = compare_published(load_boards(cells.folder))
    assert len({figure.metric for figure in found}) == len(found)
    return {figure.metric: figure for figure in found}


def test_a_figure_of_one_data_set_stands_beside_its_cell(cells: Cells) -> None:
    record = measure(cells, "paper/nq", "clip-b32")
    assert compared(cells) == {}, "nothing was published of it"
    record = measure(cells, "paper/nfcorpus", "bge-small")
    found = [figure for figure in compare_published(load_boards(cells.folder)) if len(figure.table.datasets) == 1]
    assert {figure.metric: figure.published for figure in found} == {"recall_capped@10": 0.437, "ndcg@10": 0.445}
    for figure in found:
        assert figure.measured == pytest.approx(record.metrics[figure.metric])
        assert figure.difference == pytest.approx(record.metrics[figure.metric] - figure.published)


def test_an_average_waits_for_all_of_its_data_sets(cells: Cells) -> None:
    first = measure(cells, "paper/coco", "clip-b32", 0.1)
    assert {figure.missing for figure in compared(cells).values()} == {("paper/flickr30k",)}
    assert {(figure.measured, figure.difference) for figure in compared(cells).values()} == {(None, None)}
    second = measure(cells, "paper/flickr30k", "clip-b32", -0.1)
    found = compared(cells)
    assert list(found) == ["recall_capped@1", "recall_capped@10", "ndcg@10"]
    for metric, figure in found.items():
        average = (first.metrics[metric] + second.metrics[metric]) / 2
        assert figure.measured == pytest.approx(average)
        assert figure.difference == pytest.approx(average - figure.published)


@pytest.mark.parametrize(
    "other",
    [
        {"split": "random"},
        {"limit": 1000},
        {"method": "nudge-n"},
        {"encoder": "clip-l14"},
        {"encoder_revision": "r2"},
        {"encoder_settings": "dtype bfloat16"},
        {"accelerator": "NVIDIA H100"},
        {"threads": 8},
    ],
)
def test_an_average_never_mixes(cells: Cells, other: dict[str, Any]) -> None:
    measure(cells, "paper/coco", "clip-b32")
    measure(cells, "paper/flickr30k", **{"encoder": "clip-b32", **other})
    found = compare_published(load_boards(cells.folder))
    assert found
    assert {figure.measured for figure in found} == {None}


def test_a_gap_and_a_second_version_of_the_data_count_as_missing(cells: Cells) -> None:
    measure(cells, "paper/coco", "clip-b32")
    cells.lose(N, 0, "out of memory", dataset="paper/flickr30k", encoder="clip-b32", split="official")
    assert {figure.missing for figure in compared(cells).values()} == {("paper/flickr30k",)}
    measure(cells, "paper/flickr30k", "clip-b32")
    assert {figure.missing for figure in compared(cells).values()} == {()}
    measure(cells, "paper/flickr30k", "clip-b32", fingerprint="another")
    assert {figure.missing for figure in compared(cells).values()} == {("paper/flickr30k",)}


def lines(cells: Cells) -> dict[tuple[str, str], tuple[str, ...]]:
    """What the only table says: published, measured and difference by method and metric."""
    (table,) = published_tables(load_boards(cells.folder))
    assert {len(line.cells) for line in table.lines} == {len(table.header)}
    return {(line.cells[0], line.cells[1]): line.cells[2:] for line in table.lines}


@pytest.mark.parametrize(
    ("measured", "worded"),
    [
        (0.411, ("0.411", "+0.000")),
        (0.41061, ("0.411", "−0.000")),
        (0.5, ("0.500", "+0.089")),
        (0.0, ("0.000", "−0.411")),
    ],
)
def test_figures_are_rounded_once(cells: Cells, measured: float, worded: tuple[str, str]) -> None:
    from bench.record import Results

    for dataset in PICTURES:
        record = measure(cells, dataset, "clip-b32")
        metrics = {**record.metrics, "ndcg@10": measured}
        Results(cells.folder).write(record.model_copy(update={"metrics": metrics}), cells.queries(0, 0.0, 0.02))
    assert lines(cells)[N, "ndcg@10"] == ("0.411", *worded)


def test_a_table_says_what_it_is_of_and_what_is_missing(cells: Cells) -> None:
    measure(cells, "paper/coco", "clip-b32")
    assert set(lines(cells).values()) == {
        (figure, "— (1 of 2 data sets)", "—") for figure in ("0.288", "0.554", "0.411")
    }
    (table,) = published_tables(load_boards(cells.folder))
    assert table.caption.startswith(
        "mean of paper/flickr30k, paper/coco · clip-b32 · encoder revision r1 (dtype float32) · cpu, 2 threads"
    )
    assert "arXiv 2409.02343; split by caption" in table.caption
    assert table.caption.endswith("; cells are missing on paper/flickr30k")


def test_every_leaderboard_shows_them(cells: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    for dataset in PICTURES:
        for method, level in (("none", 0.0), (N, 0.1)):
            measure(cells, dataset, "clip-b32", level, method)
    figures = compare_published(load_boards(cells.folder))
    print_boards(cells.folder, as_json=False)
    printed = capsys.readouterr().out
    texts = [(cells.folder / f"leaderboard.{kind}").read_text() for kind in ("md", "html")]
    assert len(figures) == 6
    for figure in figures:
        worded = (f"{figure.published:.3f}", f"{figure.measured:.3f}", f"{figure.difference:+.3f}".replace("-", "−"))
        for text in (printed, *texts):
            assert re.search(r"\D+".join(map(re.escape, worded)), re.sub(r"<[^>]*>|\s", " ", text)), worded
    assert all("Published and measured" in text for text in (printed, *texts))
    assert '<a href="#published">' in texts[1]


def test_csv_has_published_figures_beside_measured_ones(cells: Cells) -> None:
    for dataset in PICTURES:
        measure(cells, dataset, "clip-b32")
    single = measure(cells, "paper/nfcorpus", "bge-small")
    write_leaderboards(cells.folder, load_boards(cells.folder))
    rows = list(csv.DictReader(io.StringIO((cells.folder / "leaderboard.csv").read_text())))
    found = {row["dataset"]: row for row in rows}
    assert list(found) == ["paper/coco", "paper/flickr30k", "paper/nfcorpus", "paper/flickr30k paper/coco"]
    for name, metric, published_figure in (
        ("paper/nfcorpus", "recall_capped@10", 0.437),
        ("paper/flickr30k paper/coco", "recall_capped@1", 0.288),
    ):
        row = found[name]
        assert float(row[f"{metric}_published"]) == published_figure
        assert float(row[f"{metric}_difference"]) == pytest.approx(float(row[metric]) - published_figure)
    assert float(found["paper/nfcorpus"]["ndcg@10"]) == single.metrics["ndcg@10"]
    mean = found["paper/flickr30k paper/coco"]
    assert (mean["method"], mean["encoder"], mean["seeds"], mean["recall@1"]) == (N, "clip-b32", "", "")
    assert found["paper/coco"]["ndcg@10_published"] == ""


def test_leaderboards_without_a_published_figure_say_nothing_of_it(cells: Cells) -> None:
    cells.add("none", 0)
    write_leaderboards(cells.folder, load_boards(cells.folder))
    for kind in ("md", "csv", "html"):
        assert "ublished" not in (cells.folder / f"leaderboard.{kind}").read_text()
