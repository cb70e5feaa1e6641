"""Pictures out of SVG."""

from __future__ import annotations

from bench.errors import BadInput

SIDE = 64  # pixels of the longer side


def rasterised(svg: str) -> bytes:
    """Draws an SVG on white; what is drawn in the current colour is black.

    Returns:
        A PNG whose longer side has 64 pixels, to the byte the same wherever the same version of resvg-py draws it.

    Raises:
        BadInput: resvg-py is missing, or the SVG is none.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise BadInput("pictures: the package resvg-py is not installed; pip install 'tunebench[embedded]'") from None
    try:
        return bytes(svg_to_bytes(svg_string=svg, background="white", width=SIDE, height=SIDE, skip_system_fonts=True))
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"not an SVG that can be drawn ({reason}): {svg[:60]!r}") from None
