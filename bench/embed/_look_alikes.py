"""Which pictures show the same glyph as others, so that none is both learnt from and asked for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_COSINE = 0.85  # found by looking: below it nearly all pairs differ in what they show, above it most look alike
_SIDE = 32  # pixels to which a glyph's longer side is brought
_WAVES = 12  # the lowest frequencies along each side; higher ones tell thin strokes from thick ones
_INK = 64  # of 255: what is lighter does not belong to the glyph's box
_BLOCK = 2048  # rows of the similarity matrix held at a time


def look_alikes(pictures: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Marks the pictures that look like one of the others, wherever and however large the glyph is in them.

    Two look alike when their perceptual hashes are near: the low frequencies of the discrete cosine transform of the
    glyph's bounding box, compared by their cosine rather than by their signs.

    Args:
        pictures: (n, height, width), 255 for black.
        others: (m, height, width).

    Returns:
        (n,) bool.
    """
    theirs = _hashes(others).T
    mine = _hashes(pictures)
    blocks = [(mine[at : at + _BLOCK] @ theirs).max(axis=1) > _COSINE for at in range(0, len(mine), _BLOCK)]
    return np.concatenate(blocks)


def _hashes(pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.stack([_hash(picture) for picture in pictures])


def _hash(ink: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(143,) float32 of unit length; zeros for a blank picture."""
    from PIL import Image, ImageOps
    from scipy.fft import dctn

    rows, columns = (np.flatnonzero((ink > _INK).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros(_WAVES**2 - 1, np.float32)
    glyph = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    square = np.asarray(ImageOps.pad(glyph, (_SIDE, _SIDE), Image.Resampling.BILINEAR, color=0), np.float32)
    waves = dctn(square, norm="ortho")[:_WAVES, :_WAVES].ravel()[1:]
    return (waves / (np.linalg.norm(waves) or 1)).astype(np.float32)
