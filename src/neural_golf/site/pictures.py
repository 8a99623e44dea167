"""Pictures that are files of the site: images of the data as one sheet, and what links to a page show."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from neural_golf.data import Split

__all__ = ["preview", "samples_of", "sheet"]

Pixels = NDArray[np.uint8]
GAP = 2
CURVE = (48, 96)  # pixels of a series
INKS = ((28, 59, 110), (217, 114, 42), (20, 98, 63), (150, 40, 120), (90, 90, 90), (0, 140, 160))


def samples_of(images: Split, classes: int, each: int, seed: int = 0) -> Pixels:
    """Images [n, channels, height, width], class by class, of each class as many as of every other: `each`,
    or as many as the rarest has.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(images.labels, minlength=classes)[:classes]
    each = min(each, int(counts[counts > 0].min()))
    found = []
    for label in range(classes):
        places = np.flatnonzero(images.labels == label)
        found += rng.permutation(places)[:each].tolist()
    return np.ascontiguousarray(images.pixels[np.array(found, np.int64)])


def sheet(pixels: Pixels, columns: int) -> bytes:
    """Images as one PNG, row by row: grey ones dark on white, coloured ones as they are, series as curves."""
    tiles = np.stack([_tile(one) for one in pixels])
    n, height, width, _ = tiles.shape
    rows = -(-n // columns)
    board = np.full((rows * (height + GAP), columns * (width + GAP), 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = k // columns * (height + GAP), k % columns * (width + GAP)
        board[top : top + height, left : left + width] = tile
    return png(board)


def _tile(image: Pixels) -> Pixels:
    """An image [channels, height, width] as a picture [height, width, 3]."""
    channels, height, _ = image.shape
    if height == 1:
        return _curves(image[:, 0])
    if channels == 3:
        return np.ascontiguousarray(image.transpose(1, 2, 0))
    grey = 255 - image.astype(np.int64).mean(axis=0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _curves(series: Pixels) -> Pixels:
    """Channels [channels, steps] as curves of one picture, each in its colour."""
    height, width = CURVE
    made = np.full((height, width, 3), 250, np.uint8)
    at = np.linspace(0, series.shape[1] - 1, width).round().astype(int)
    for channel, colour in zip(series, INKS, strict=False):
        rows = ((height - 1) * (1 - channel[at] / 255)).round().astype(int)
        for x in range(1, width):
            low, high = sorted((rows[x - 1], rows[x]))
            made[low : high + 1, x] = colour
    return made


def png(pixels: Pixels) -> bytes:
    """A picture [height, width, 3] as PNG with few colours."""
    from PIL import Image  # Matplotlib brings it

    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(64, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def preview(number: str, words: str, below: str) -> bytes:
    """What a link to a page shows, 1200 by 630 pixels: a large number, and words beside and below it."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    def font(size: int, name: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{name}.ttf", size)

    board = Image.new("RGB", (1200, 630), "#fbfaf6")
    pen = ImageDraw.Draw(board)
    pen.line([(80, 150), (80, 60)], fill="#1b2230", width=5)
    pen.polygon([(82, 60), (132, 82), (82, 104)], fill="#c8431c")
    pen.text((150, 76), "Neural Golf", fill="#14623f", font=font(44, "DejaVuSans-Bold"))
    pen.text(
        (76, 190), number, fill="#c8431c", font=font(190 if len(number) < 7 else 120, "DejaVuSerif-Bold")
    )
    size = next((s for s in (46, 40, 34, 28, 22) if pen.textlength(words, font(s)) < 1040), 18)
    pen.text((80, 440), words, fill="#1b2230", font=font(size))
    size = next((s for s in (34, 28, 22) if pen.textlength(below, font(s)) < 1040), 18)
    pen.text((80, 520), below, fill="#565f6f", font=font(size))
    buffer = io.BytesIO()
    board.quantize(32).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
