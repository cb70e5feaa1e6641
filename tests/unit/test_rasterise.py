"""SVG to pictures."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from bench.data._rasterise import rasterised
from bench.errors import BadInput

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} 24">{}</svg>'


def test_an_icon_is_black_on_white() -> None:
    bar = '<path d="M0 12h24" stroke="currentColor" stroke-width="6"/>'
    drawn = Image.open(io.BytesIO(rasterised(SVG.format(24, bar))))
    pixels = np.asarray(drawn.convert("RGBA"))
    assert pixels.shape == (64, 64, 4)
    assert (pixels[..., 3] == 255).all()
    assert (pixels[32, :, :3] == 0).all()
    assert (pixels[:20, :, :3] == 255).all()
    assert rasterised(SVG.format(24, bar)) == rasterised(SVG.format(24, bar))


def test_proportions_are_kept() -> None:
    assert Image.open(io.BytesIO(rasterised(SVG.format(48, "")))).size == (64, 32)


@pytest.mark.parametrize("svg", ["", "no picture", "<svg"])
def test_what_is_no_svg_is_bad_input(svg: str) -> None:
    with pytest.raises(BadInput, match="not an SVG that can be drawn"):
        rasterised(svg)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(BadInput, match=r"resvg-py is not installed; pip install 'tunebench\[embedded\]'$"):
        rasterised(SVG.format(24, ""))
