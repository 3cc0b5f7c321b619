"""Sheets of faces: samples of a training, and what went into a network beside what came out."""

import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND, INK, FAINT = (255, 255, 255), (30, 30, 30), (120, 120, 120)
GAP = 4  # pixels between pictures that belong together
# Of sample sheets, in pixels: around everything, between groups of columns, title, headings.
SAMPLE_MARGIN, GROUP_GAP, TITLE, HEADINGS = 12, 14, 26, 44
# Of comparison sheets, in pixels: around everything, between faces, above a face, headings.
CARD_MARGIN, CARD_GAP, CAPTION, CARD_HEADINGS = 16, 18, 20, 42
FACES_PER_SHEET = 24
LABELS = ("input", "bicubic", "IPU-Net")  # of the pictures of a face
# Matplotlib brings a font with Latin, Greek, Cyrillic and Arabic letters. It is not imported for
# that: in a notebook's child processes it would look for a backend that may not be there.
FONT = (
    Path(importlib.util.find_spec("matplotlib").origin)
    .with_name("mpl-data")
    .joinpath("fonts", "ttf", "DejaVuSans.ttf")
)


# --- Samples of a training ---------------------------------------------------------------------


def sample_sheet(columns, title):
    """Draw a labelled sheet: one row per face, one column per kind of picture.

    Args:
        columns: list of (group, label, pixels): columns of the same group stand close together
            under its name; pixels are uint8 (N, H, W, 3), the same N, H and W in all.
        title: line at the top.

    Returns:
        `PIL.Image.Image`.
    """
    count, height, width = columns[0][2].shape[:3]
    lefts, groups, x = [], {}, SAMPLE_MARGIN
    for i, (group, _, _) in enumerate(columns):
        if i:
            x += width + (GAP if group == columns[i - 1][0] else GROUP_GAP)
        lefts.append(x)
        groups.setdefault(group, []).append(x)
    top = SAMPLE_MARGIN + TITLE + HEADINGS
    sheet = Image.new(
        "RGB",
        (x + width + SAMPLE_MARGIN, top + count * (height + GAP) - GAP + SAMPLE_MARGIN),
        BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((SAMPLE_MARGIN, SAMPLE_MARGIN), title, INK, ImageFont.load_default(16))
    for group, xs in groups.items():
        middle = (xs[0] + xs[-1] + width) / 2
        draw.text((middle, top - 24), group, INK, ImageFont.load_default(15), anchor="mb")
    for left, (_, label, pixels) in zip(lefts, columns, strict=True):
        draw.text(
            (left + width / 2, top - 5), label, FAINT, ImageFont.load_default(13), anchor="mb"
        )
        for row, face in enumerate(pixels):
            sheet.paste(Image.fromarray(face), (left, top + row * (height + GAP)))
    return sheet


# --- Input, enlargement and result -------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Card:
    """One face on a sheet.

    Attributes:
        name: what the face is called.
        remark: short text beside the name.
        pictures: uint8 RGB (H, W, 3) each, such as input, enlarged, super-resolved.
    """

    name: str
    remark: str
    pictures: tuple


class ComparisonSheets:
    """Numbered sheets `comparison_001.png`, ... in a folder; those of earlier runs stay.

    Attributes:
        paths: sheets written so far.
        size: height and width of a picture on the sheet in pixels.
    """

    def __init__(self, folder, size):
        """Continue the numbers of a folder.

        Args:
            folder: `Path` of an existing folder.
            size: height and width of a picture on the sheet in pixels.
        """
        numbers = [re.fullmatch(r"comparison_(\d+)\.png", path.name) for path in folder.iterdir()]
        self.paths = []
        self._number = max((int(match[1]) for match in numbers if match), default=0)
        self._folder = folder
        self.size = size
        self._cards = []

    def add(self, card):
        """Put a `Card` on the sheet; a full sheet is written."""
        self._cards.append(card)
        if len(self._cards) == FACES_PER_SHEET:
            self.flush()

    def flush(self):
        """Write the cards that wait.

        Raises:
            OSError: the sheet cannot be written.
        """
        if not self._cards:
            return
        cards, self._cards = self._cards, []
        self._number += 1
        path = self._folder / f"comparison_{self._number:03d}.png"
        draw_sheet(cards, self.size).save(path)
        self.paths.append(path)


def draw_sheet(cards, size, labels=LABELS):
    """Draw faces as rows of labelled pictures, by default of input, enlargement and result.

    Args:
        cards: non-empty list of `Card`.
        size: height and width of a picture on the sheet in pixels.
        labels: what the pictures of every card show.

    Returns:
        `PIL.Image.Image`, with two faces side by side if there are more than three.
    """
    columns = 1 if len(cards) <= 3 else 2
    rows = -(-len(cards) // columns)
    card_width = len(labels) * (size + GAP) - GAP
    card_height = CAPTION + size + CARD_GAP
    sheet = Image.new(
        "RGB",
        (
            2 * CARD_MARGIN + columns * (card_width + 2 * CARD_GAP) - 2 * CARD_GAP,
            CARD_HEADINGS + rows * card_height - CARD_GAP + CARD_MARGIN,
        ),
        BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    big, small = (ImageFont.truetype(FONT, points) for points in (14, 12))
    lefts = [CARD_MARGIN + column * (card_width + 2 * CARD_GAP) for column in range(columns)]
    for left in lefts:
        for i, label in enumerate(labels):
            middle = left + i * (size + GAP) + size / 2
            draw.text((middle, CARD_MARGIN), label, INK, big, anchor="mt")
    for i, card in enumerate(cards):
        left = lefts[i % columns]
        top = CARD_HEADINGS + i // columns * card_height
        baseline = top + CAPTION - 7
        draw.text((left + card_width, baseline), card.remark, FAINT, small, anchor="rs")
        space = card_width - draw.textlength(card.remark, small) - 12
        draw.text((left, baseline), _shorten(card.name, space, draw, small), INK, small, "ls")
        for j, pixels in enumerate(card.pictures):
            picture = _fit(pixels, size)
            x = left + j * (size + GAP) + (size - picture.width) // 2
            y = top + CAPTION + (size - picture.height) // 2
            sheet.paste(picture, (x, y))
    return sheet


def _fit(pixels, size):
    """Bring a picture to a longer side of `size`; enlarged ones show their pixels as squares."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    factor = size / max(image.size)
    kernel = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BICUBIC
    return image.resize([max(1, round(side * factor)) for side in image.size], kernel)


def _shorten(name, space, draw, font):
    """Return a name as it is, or its end behind an ellipsis, no longer than `space` pixels."""
    # Names may hold bytes that are no text, and line breaks.
    name = "".join(c if c.isprintable() else "?" for c in name)
    if draw.textlength(name, font) <= space:
        return name
    while name and draw.textlength(f"…{name}", font) > space:
        name = name[1:]
    return f"…{name}"
