"""The pictures of icons: what is relevant to what, and that every byte is the same each time."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from importlib.metadata import distribution

import numpy as np
import pytest
from PIL import Image

from bench.data import icon_names, icons
from bench.data._rasterise import rasterised
from bench.data.folder import read_folder, write_folder
from bench.errors import BadInput


@pytest.fixture(scope="module")
def carried() -> set[tuple[str, str]]:
    """(icon, tag) for every tag that at most ten icons carry or, if one is named as the tag, eleven."""
    path = str(distribution("python-lucide").locate_file("lucide/data/lucide-icons.db"))
    with closing(sqlite3.connect(path)) as database:
        database.create_function("fold", 1, lambda tag: tag.strip().lower())
        rows = database.execute(
            "WITH folded AS (SELECT DISTINCT name, fold(tag) AS tag FROM icon_tags) "
            "SELECT name, tag FROM folded WHERE tag IN (SELECT tag FROM folded GROUP BY tag HAVING count(*) <= 10) "
            "UNION SELECT icons.name, tag FROM icons JOIN folded ON icons.name = replace(tag, ' ', '-') "
            "WHERE tag IN (SELECT tag FROM folded GROUP BY tag HAVING count(*) <= 10)"
        )
        return set(rows)


def test_a_tag_asks_for_the_pictures_of_its_icons(carried: set[tuple[str, str]]) -> None:
    extraction = icons.tags_to_pictures()
    names = icon_names.extract()
    assert (extraction.queries, extraction.qrels) == (names.queries, names.qrels)
    assert [key for key, _ in extraction.documents] == [key for key, _ in names.documents]
    found = {(name, extraction.queries[key]) for key, row in extraction.qrels.items() for name in row}
    assert found == carried


def test_a_picture_asks_for_its_tags(carried: set[tuple[str, str]]) -> None:
    extraction, tags = icons.pictures_to_tags(), dict(icons.pictures_to_tags().documents)
    found = {(query.removeprefix("icon:"), tags[key]) for query, row in extraction.qrels.items() for key in row}
    assert found == carried
    assert all(isinstance(content, bytes) for content in extraction.queries.values())


def test_a_picture_asks_for_those_that_share_a_tag(carried: set[tuple[str, str]]) -> None:
    extraction = icons.pictures_to_pictures()
    carriers: dict[str, set[str]] = {}
    for name, tag in carried:
        carriers.setdefault(tag, set()).add(name)
    alike = {(one, other) for names in carriers.values() for one in names for other in names if one != other}
    assert {(one, other) for one, row in extraction.qrels.items() for other in row} == alike
    documents = dict(extraction.documents)
    assert all(documents[name] == content for name, content in extraction.queries.items())


def test_no_picture_finds_itself(tmp_path) -> None:
    write_folder(tmp_path, icons.pictures_to_pictures())
    dataset = read_folder(tmp_path)
    own = [dataset.document_ids[row] for row in dataset.exclude.columns.tolist()]
    assert own == list(dataset.query_ids)


def test_pictures_are_black_on_white_and_differ() -> None:
    pictures = dict(icons.tags_to_pictures().documents)
    assert len(set(pictures.values())) > 0.99 * len(pictures)
    for name in ("heart", "anchor", "zap"):
        image = Image.open(io.BytesIO(pictures[name]))
        grey = np.asarray(image.convert("L"))
        assert grey.shape == (64, 64)
        assert (grey.min(), grey.max()) == (0, 255)
        assert 0.02 < (grey < 128).mean() < 0.4


def test_a_picture_is_the_same_to_the_byte() -> None:
    svg = icon_names.read_icons("icons").svg["anchor"]
    assert rasterised(svg) == rasterised(svg)
    icons._pictures.cache_clear()
    before = dict(icons.tags_to_pictures().documents)
    icons._pictures.cache_clear()
    assert dict(icons.tags_to_pictures().documents) == before


def test_what_is_no_svg_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^not an SVG that can be drawn \("):
        rasterised("<svg")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(BadInput, match=r"resvg-py is not installed; pip install 'tunebench\[embedded\]'"):
        rasterised("<svg/>")
