"""Pictures of the gallery: small files in the colours of our drawings, and all of them on one sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx
    from PIL.Image import Image

PICTURE_DOTS_PER_INCH = 85
LARGEST_PICTURE_BYTES = 120_000
LARGEST_SHEET_BYTES = 1_500_000
THUMBNAIL = (300, 168)
COLUMNS = 6
_GAP, _NAME = 12, 22


def picture(graph: nx.Graph[str]) -> Image:
    """The drawing of a fabric at the size of the gallery."""
    from PIL import Image

    from supernode.plots.topology import rendered

    return Image.open(io.BytesIO(rendered(graph, "png", dots_per_inch=PICTURE_DOTS_PER_INCH))).convert("RGB")


def thumbnail(image: Image) -> Image:
    """A picture as small as the contact sheet shows it."""
    from PIL.Image import Resampling

    return image.resize(THUMBNAIL, Resampling.LANCZOS)


def packed(image: Image, most_bytes: int) -> bytes:
    """An image as PNG in the colours of our pictures and as many tints of them as fit into ``most_bytes``."""
    from PIL.Image import Dither

    content = b""
    for tints in (6, 5, 4, 3, 2):
        buffer = io.BytesIO()
        image.quantize(palette=_palette(tints), dither=Dither.NONE).save(buffer, format="PNG", optimize=True)
        content = buffer.getvalue()
        if len(content) <= most_bytes:
            break
    return content


def _palette(tints: int) -> Image:
    """White, the pale fills, and every colour that pictures use in some steps towards white."""
    from matplotlib import colors
    from PIL import Image

    from supernode.plots.sheet import COLOURS, FILLS, GREY, PALE, plane_colour

    strong = [*COLOURS, GREY, *(plane_colour(step, _RAMP) for step in range(0, _RAMP, 3))]
    found = [colors.to_rgb(colour) for colour in ("#FFFFFF", PALE, *FILLS)]
    for red, green, blue in map(colors.to_rgb, strong):
        shares = [step / tints for step in range(1, tints + 1)]
        found += [(1 - share * (1 - red), 1 - share * (1 - green), 1 - share * (1 - blue)) for share in shares]
    image = Image.new("P", (1, 1))
    image.putpalette([round(255 * part) for colour in found for part in colour])
    return image


_RAMP = 13
"""Steps of the ramp of many planes, more than there are colours, of which every third is in the palette."""


def contact_sheet(thumbnails: Mapping[str, Image]) -> Image:
    """All pictures small, with their names under them, row by row."""
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    columns = min(COLUMNS, len(thumbnails))
    rows = -(-len(thumbnails) // columns)
    wide, tall = THUMBNAIL[0] + _GAP, THUMBNAIL[1] + _NAME + _GAP
    sheet = Image.new("RGB", (columns * wide + _GAP, rows * tall + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 14)
    for index, (name, small) in enumerate(thumbnails.items()):
        x, y = _GAP + index % columns * wide, _GAP + index // columns * tall
        sheet.paste(small, (x, y))
        draw.rectangle((x, y, x + THUMBNAIL[0] - 1, y + THUMBNAIL[1] - 1), outline="#BBBBBB")
        draw.text((x + THUMBNAIL[0] / 2, y + THUMBNAIL[1] + 3), name, fill="#222222", font=font, anchor="ma")
    return sheet
