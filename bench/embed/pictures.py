"""Pictures, opened when they are encoded."""

from __future__ import annotations

from PIL import Image, ImageOps

from bench.errors import BadInput, one_line
from methods import Picture


def opened(picture: Picture) -> Image.Image:
    """Reads a picture whole, and turns it upright where the camera has noted how.

    Raises:
        BadInput: when it cannot be read.
    """
    try:
        with Image.open(picture.path) as image:
            return ImageOps.exif_transpose(image)
    except Exception as error:  # noqa: BLE001 — each format fails in its own ways
        raise BadInput(
            f"{picture}: not a picture that Pillow can read ({one_line(error)}); replace it or drop its row"
        ) from None
