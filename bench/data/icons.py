"""The pictures of Lucide's icons, with the tags that people gave them: the image data that needs no download."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from bench.data._installed import installed_versions
from bench.data._rasterise import rasterised
from bench.data.dataset import Extraction
from bench.data.icon_names import Icons, read_icons, tag_id


def tags_to_pictures() -> Extraction:
    """The queries of `icon-names`, asked of the pictures.

    Raises:
        BadInput: a package is missing or damaged.
    """
    icons = _icons()
    return Extraction(
        documents=_pictures().items(),
        queries={tag_id(tag): tag for tag in icons.carriers},
        qrels={tag_id(tag): dict.fromkeys(sorted(names), 1) for tag, names in icons.carriers.items()},
        source=_source(icons),
    )


def pictures_to_tags() -> Extraction:
    """The other way round: a picture asks for its tags.

    Raises:
        BadInput: a package is missing or damaged.
    """
    icons = _icons()
    tags = _tags_of(icons)
    return Extraction(
        documents=[(tag_id(tag), tag) for tag in icons.carriers],
        queries={f"icon:{name}": _pictures()[name] for name in tags},
        qrels={f"icon:{name}": {tag_id(tag): 1 for tag in own} for name, own in tags.items()},
        source=_source(icons),
    )


def pictures_to_pictures() -> Extraction:
    """A picture asks for those that share a tag with it; it bears the id of its own document, so that it is not found.

    Raises:
        BadInput: a package is missing or damaged.
    """
    icons = _icons()
    tags = _tags_of(icons)
    alike = {name: {other for tag in own for other in icons.carriers[tag]} - {name} for name, own in tags.items()}
    alike = {name: others for name, others in alike.items() if others}
    return Extraction(
        documents=_pictures().items(),
        queries={name: _pictures()[name] for name in alike},
        qrels={name: dict.fromkeys(sorted(others), 1) for name, others in alike.items()},
        source=_source(icons),
    )


def _icons() -> Icons:
    return read_icons("icons")


@cache
def _pictures() -> Mapping[str, bytes]:
    return {name: rasterised(svg) for name, svg in _icons().svg.items()}


def _tags_of(icons: Icons) -> dict[str, list[str]]:
    """The tags of each icon that has one, in alphabetical order."""
    tags: dict[str, list[str]] = {}
    for tag, names in icons.carriers.items():
        for name in sorted(names):
            tags.setdefault(name, []).append(tag)
    return dict(sorted(tags.items()))


def _source(icons: Icons) -> dict[str, str]:
    return {**icons.source, **installed_versions("icons", ["resvg-py"])}
