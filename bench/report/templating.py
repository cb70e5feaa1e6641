"""The templates of the page and of its charts, and the style that they share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

# Name → colour on a light and on a dark page. Text in `ink`, `soft` and `lead` has a contrast of 4.5 or more on both
# `page` and `tint`.
COLOURS = {
    "page": ("#ffffff", "#15181c"),
    "ink": ("#1b1f24", "#e4e8ec"),
    "soft": ("#57606a", "#9aa4ae"),
    "line": ("#dde2e7", "#2e343b"),
    "tint": ("#f1f6fc", "#1a2430"),
    "lead": ("#0550ae", "#79b8ff"),
}
_FOLDER = Path(__file__).with_name("templates")
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters["px"] = lambda value: f"{value:.1f}".removesuffix(".0")


def render(template: str, **values: Any) -> str:
    """Fills a template; whatever is put into it is escaped."""
    return _TEMPLATES.get_template(template).render(**values)


def _breakable(label: str) -> Markup:
    return Markup(re.sub(r"(?<=,)|(?=[\[+])", "<wbr>", escape(label)))  # noqa: S704 - escaped here


_TEMPLATES.filters["breakable"] = _breakable


def page_style() -> str:
    """The page's style sheet."""
    return render("style.css.j2", colours=COLOURS)


def paper_style() -> str:
    """A chart's style sheet with the light colours in the place of variables, which few SVG programs know."""
    return re.sub(r"var\(--(\w+)\)", lambda name: COLOURS[name[1]][0], _read("chart.css"))


def page_script() -> str:
    """The page's script."""
    return _read("page.js")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
