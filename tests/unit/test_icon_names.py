"""The icon names: their counts, ids and judgements, against plain queries to the database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from importlib.metadata import PackageNotFoundError, distribution, version

import pytest

from bench.data import _installed, icon_names
from bench.data.dataset import Extraction
from bench.errors import BadInput

PINNED = pytest.mark.skipif(version("python-lucide") != "0.5.11", reason="the counts are those of 0.5.11")


@pytest.fixture(scope="module")
def extraction() -> Extraction:
    return icon_names.extract()


@pytest.fixture(scope="module")
def carriers() -> dict[str, set[str]]:
    """All tags, and the icons that carry each, as the database itself puts them together."""
    path = str(distribution("python-lucide").locate_file("lucide/data/lucide-icons.db"))
    with closing(sqlite3.connect(path)) as database:
        database.create_function("fold", 1, lambda tag: tag.strip().lower())  # SQLite's own knows ASCII only
        rows = database.execute("SELECT fold(tag), json_group_array(name) FROM icon_tags GROUP BY fold(tag)")
        return {tag: set(json.loads(names)) for tag, names in rows}


@PINNED
def test_counts(extraction: Extraction) -> None:
    assert len(extraction.documents) == 1903
    assert len(extraction.queries) == 3906
    assert sum(len(names) for names in extraction.qrels.values()) == 9776
    named = [key for key, text in extraction.queries.items() if text.replace(" ", "-") in extraction.qrels[key]]
    assert len(named) == 274
    assert extraction.source == {"python-lucide": "0.5.11"}


def test_only_tags_on_more_than_ten_icons_are_left_out(extraction: Extraction, carriers: dict[str, set[str]]) -> None:
    assert set(extraction.queries.values()) == {tag for tag, icons in carriers.items() if len(icons) <= 10}
    assert max(len(icons) for icons in carriers.values()) > 10


def test_a_tag_is_relevant_to_its_carriers_and_to_its_namesake(
    extraction: Extraction, carriers: dict[str, set[str]]
) -> None:
    for key, tag in extraction.queries.items():
        namesake = {tag.replace(" ", "-")} & dict(extraction.documents).keys()
        assert extraction.qrels[key] == dict.fromkeys(carriers[tag] | namesake, 1)
    assert {"circle-off", "circle-slash"} <= extraction.qrels["tag:ø"].keys()


def test_judgements_stand_on_what_is_there(extraction: Extraction) -> None:
    assert list(extraction.qrels) == list(extraction.queries)
    assert all(names and names.keys() <= dict(extraction.documents).keys() for names in extraction.qrels.values())
    assert all(key == text for key, text in extraction.documents)
    assert len(set(extraction.queries.values())) == len(extraction.queries)
    assert not any(character.isspace() for key in extraction.queries for character in key)
    assert extraction.queries["tag:font_size"] == "font size"


def test_ids_of_different_tags_differ() -> None:
    tags = ["a b", "a_b", "a__b", "a _b", "a-b", "ab"]
    assert len({icon_names.tag_id(tag) for tag in tags}) == len(tags)


def test_tags_meet_when_they_differ_in_case_and_blanks_only() -> None:
    tagged = [("one", "Two  Words "), ("two", "two words"), ("three", " ")]
    assert icon_names._carriers(tagged) == {"two words": {"one", "two"}}


def test_two_extractions_agree_to_the_last_detail(extraction: Extraction) -> None:
    assert repr(icon_names.extract()) == repr(extraction)


def test_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_installed, "version", absent)
    with pytest.raises(BadInput, match=r"^icon-names: .*python-lucide .*pip install 'tunebench\[embedded\]'$"):
        icon_names.extract()


@pytest.mark.parametrize("file", ["lucide/core.py", "lucide/no-such-file.db"])
def test_damaged_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setattr(icon_names, "DATABASE", file)
    with pytest.raises(BadInput, match=rf"{file}: .*; pip install --force-reinstall python-lucide$"):
        icon_names.extract()
