"""The names of Lucide's icons, asked for by the tags that people gave them.

The package `python-lucide` carries icons and tags in one SQLite file; it is read in place, without importing the
package.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from importlib.metadata import distribution
from pathlib import Path

from bench.data._installed import installed_versions
from bench.data.dataset import Extraction
from bench.errors import BadInput

PACKAGE = "python-lucide"
DATABASE = "lucide/data/lucide-icons.db"
MOST_ICONS = 10  # A tag on more icons than that is a category, such as "arrow".


def extract() -> Extraction:
    """Takes icon names, tags and who carries which out of the installed package.

    A document is an icon's name, hyphens and all. A query is a tag that at most ten icons carry, in lower case; these
    icons are relevant to it, and so is one that is named as the tag.

    Raises:
        BadInput: the package is missing or damaged.
    """
    source = installed_versions("icon-names", [PACKAGE])
    icons, tagged = _read(Path(str(distribution(PACKAGE).locate_file(DATABASE))))
    carriers = _carriers(tagged)
    for tag, names in carriers.items():
        names.update({tag.replace(" ", "-")} & icons)
    return Extraction(
        documents=[(name, name) for name in sorted(icons)],
        queries={_query_id(tag): tag for tag in carriers},
        qrels={_query_id(tag): dict.fromkeys(sorted(names), 1) for tag, names in carriers.items()},
        source=source,
    )


def _read(path: Path) -> tuple[set[str], list[tuple[str, str]]]:
    """Reads all icon names and all (icon name, tag) pairs."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            icons = {name for (name,) in database.execute("SELECT name FROM icons")}
            return icons, database.execute("SELECT name, tag FROM icon_tags").fetchall()
    except sqlite3.Error as error:
        raise BadInput(f"{path}: {error}; pip install --force-reinstall {PACKAGE}") from None


def _carriers(tagged: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """The icons that carry each tag, for the tags that are rare enough to ask for, in alphabetical order."""
    carriers: defaultdict[str, set[str]] = defaultdict(set)
    for name, tag in tagged:
        carriers[" ".join(tag.lower().split())].add(name)
    return {tag: names for tag, names in sorted(carriers.items()) if tag and len(names) <= MOST_ICONS}


def _query_id(tag: str) -> str:
    """One word, for ids stand in files whose columns are separated by blanks; a tag's own `_` is written `__`."""
    return "tag:" + tag.replace("_", "__").replace(" ", "_")
