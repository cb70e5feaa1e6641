"""The icons that icon-clip learns from: pictures and what they are called, out of installed packages.

None of these sets is Lucide or Feather, which Lucide grew out of. Packages are read in place, without importing them.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path

_COMMON = 0.01  # A tag on more of the names than that is a category, such as "arrow" or "brand".
_STYLES = "outline|fill|filled|variant"


@dataclass(frozen=True)
class Glyph:
    """An icon.

    Attributes:
        family: the package that carries it.
        name: what it is called, in plain words, without its style.
        tags: what else it is called.
        svg: how it is drawn.
    """

    family: str
    name: str
    tags: tuple[str, ...]
    svg: str


def glyphs() -> list[Glyph]:
    """All icons of all sets; one that is drawn in several styles is there in each.

    Raises:
        PackageNotFoundError: a package of the dependency group `train` is not installed.
    """
    return sharing_tags(
        [
            *_in_folder("py-phosphor-icons", "py_phosphor_icons/svgs/flat", _phosphor_tags()),
            *_in_folder("fontawesomefree", "fontawesomefree/static/fontawesomefree/svgs", _font_awesome_tags()),
            *_in_folder("bsicons", "bsicons/icons", {}),
            *_in_folder("pytablericons", "pytablericons/icons", {}),
            *_in_archive("justmyresource-mdi", "justmyresource_mdi/icons.zip"),
            *_in_archive("justmyresource-material-icons", "justmyresource_material_icons/icons.zip"),
            *_in_archive("justmyresource-heroicons", "justmyresource_heroicons/icons.zip"),
        ]
    )


def sharing_tags(icons: Sequence[Glyph]) -> list[Glyph]:
    """Gives icons of one name each other's tags, whichever set they come from, and drops the tags that tell little."""
    tags: defaultdict[str, set[str]] = defaultdict(set)
    for icon in icons:
        tags[icon.name].update(icon.tags)
    names = Counter(tag for own in tags.values() for tag in own)
    telling = {tag for tag, count in names.items() if count <= max(1, _COMMON * len(tags))}
    return [replace(icon, tags=tuple(sorted(tags[icon.name] & telling - {icon.name}))) for icon in icons]


def _in_folder(package: str, folder: str, tags: Mapping[str, Sequence[str]]) -> Iterator[Glyph]:
    """The SVG files below a folder of a package."""
    for path in sorted(_place(package, folder).rglob("*.svg")):
        yield named(package, path.parent.name, path.stem, path.read_text(encoding="utf-8"), tags)


def _in_archive(package: str, archive: str) -> Iterator[Glyph]:
    """The SVG files in a zip of a package."""
    with zipfile.ZipFile(_place(package, archive)) as packed:
        for name in sorted(packed.namelist()):
            path = Path(name)
            yield named(package, path.parent.name, path.stem, packed.read(name).decode(), {})


def named(package: str, style: str, stem: str, svg: str, tags: Mapping[str, Sequence[str]]) -> Glyph:
    """An icon from its file: its style is taken off its name; Tabler's SVG files carry their tags in a comment."""
    name = re.sub(rf"(-({_STYLES}|{re.escape(style)}))+$", "", stem)
    written = re.search(r"^tags: \[(.*)\]$", svg, re.MULTILINE)
    own = [*tags.get(name, ()), *(written[1].split(",") if written else ())]
    return Glyph(package, plain(name), tuple(sorted({plain(tag) for tag in own} - {""})), svg)


def plain(name: str) -> str:
    """A name in words: lower case, no hyphens."""
    return " ".join(re.sub(r"[-_*\"']", " ", name).lower().split())


def _phosphor_tags() -> dict[str, list[str]]:
    icons = json.loads(_place("py-phosphor-icons", "py_phosphor_icons/search/metadata.json").read_text("utf-8"))
    return {icon["name"]: icon["tags"] for icon in icons}


def _font_awesome_tags() -> dict[str, list[str]]:
    path = _place("fontawesomefree", "fontawesomefree/static/fontawesomefree/metadata/icons.json")
    return {name: icon["search"]["terms"] for name, icon in json.loads(path.read_text("utf-8")).items()}


def _place(package: str, path: str) -> Path:
    return Path(str(distribution(package).locate_file(path)))
