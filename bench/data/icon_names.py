"""The names of Lucide's icons, asked for by the tags that people gave them.

The package `python-lucide` carries icons and tags in one SQLite file; it is read in place, without importing the
package.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from bench.data._installed import installed_versions
from bench.data.dataset import Extraction
from bench.errors import BadInput

PACKAGE = "python-lucide"
DATABASE = "lucide/data/lucide-icons.db"
MOST_ICONS = 10  # A tag on more icons than that is a category, such as "arrow".


@dataclass(frozen=True)
class Icons:
    """Lucide's icons.

    Attributes:
        svg: name to picture.
        carriers: the tags that at the most ten icons carry, in alphabetical order, to their icons; one that is named as
            the tag carries it.
        source: the package's version.
    """

    svg: dict[str, str]
    carriers: dict[str, set[str]]
    source: dict[str, str]


def extract() -> Extraction:
    """Takes icon names, tags and who carries which out of the installed package.

    A document is an icon's name, hyphens and all. A query is a tag, in lower case, and its icons are relevant to it.

    Raises:
        BadInput: the package is missing or damaged.
    """
    icons = read_icons("icon-names")
    return Extraction(
        documents=[(name, name) for name in icons.svg],
        queries={tag_id(tag): tag for tag in icons.carriers},
        qrels={tag_id(tag): dict.fromkeys(sorted(names), 1) for tag, names in icons.carriers.items()},
        source=icons.source,
    )


def read_icons(data_set: str) -> Icons:
    """Reads the package; `data_set` is the name for which it is read, for errors.

    Raises:
        BadInput: the package is missing or damaged.
    """
    source = installed_versions(data_set, [PACKAGE])
    path = Path(str(distribution(PACKAGE).locate_file(DATABASE)))
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            drawn = database.execute("SELECT name, svg FROM icons ORDER BY name").fetchall()
            tagged = database.execute("SELECT name, tag FROM icon_tags").fetchall()
        if not all(isinstance(value, str) for row in (*drawn, *tagged) for value in row):
            raise sqlite3.DataError("a value that is no text")
    except sqlite3.Error as error:
        raise BadInput(f"{path}: {error}; pip install --force-reinstall {PACKAGE}") from None
    svg = dict(drawn)
    carriers = _carriers(tagged)
    for tag, names in carriers.items():
        names.update({tag.replace(" ", "-")} & svg.keys())
    return Icons(svg, carriers, source)


def _carriers(tagged: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """The icons that carry each tag, for the tags that are rare enough to ask for, in alphabetical order."""
    carriers: defaultdict[str, set[str]] = defaultdict(set)
    for name, tag in tagged:
        carriers[" ".join(tag.lower().split())].add(name)
    return {tag: names for tag, names in sorted(carriers.items()) if tag and len(names) <= MOST_ICONS}


def tag_id(tag: str) -> str:
    """One word, for ids stand in files whose columns are separated by blanks; a tag's own `_` is written `__`."""
    return "tag:" + tag.replace("_", "__").replace(" ", "_")
