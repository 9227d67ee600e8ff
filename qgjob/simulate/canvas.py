"""Canvases: the same rectangles, lines and texts as SVG or as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Final, Literal, Protocol

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

_SCALE: Final = 2  # pixels of a PNG for each unit: sharp on the displays of today
_PIL_ANCHORS: Final[dict[Anchor, str]] = {"start": "ls", "middle": "ms", "end": "rs"}


class Canvas(Protocol):
    """Units are pixels at the usual zoom, y goes down; a text's `y` is its base line."""

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, title: str = "") -> None:
        """Fill a rectangle; some pictures show the title to a pointer that rests on it."""
        ...

    def line(self, points: Sequence[Point], stroke: str, width: float = 1.0) -> None:
        """Join points."""
        ...

    def text(
        self, x: float, y: float, text: str, *, size: float = 11, fill: str = "#333", anchor: Anchor = "start"
    ) -> None:
        """Write words."""
        ...

    def finish(self) -> bytes:
        """The picture's file."""
        ...


class SvgCanvas:
    """Writes SVG."""

    def __init__(self, width: int, height: int) -> None:
        size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
        ]

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, title: str = "") -> None:
        """See `Canvas`."""
        shape = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" fill="{fill}"'
        self._parts.append(
            f"{shape}><title>{escape(_printable(title))}</title></rect>" if title else f"{shape}/>"
        )

    def line(self, points: Sequence[Point], stroke: str, width: float = 1.0) -> None:
        """See `Canvas`."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{_n(width)}"/>'
        )

    def text(
        self, x: float, y: float, text: str, *, size: float = 11, fill: str = "#333", anchor: Anchor = "start"
    ) -> None:
        """See `Canvas`."""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{fill}" text-anchor="{anchor}">'
            f"{escape(_printable(text))}</text>"
        )

    def finish(self) -> bytes:
        """See `Canvas`."""
        return "\n".join([*self._parts, "</svg>\n"]).encode()


class PngCanvas:
    """Paints pixels, with the font that comes with the library: labs' machines often have none."""

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), "#fff")
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, title: str = "") -> None:
        """See `Canvas`."""
        del title
        left, top = round(x * _SCALE), round(y * _SCALE)
        right = max(left, round((x + width) * _SCALE) - 1)
        self._draw.rectangle((left, top, right, max(top, round((y + height) * _SCALE) - 1)), fill=fill)

    def line(self, points: Sequence[Point], stroke: str, width: float = 1.0) -> None:
        """See `Canvas`."""
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, fill=stroke, width=max(1, round(width * _SCALE)), joint="curve")

    def text(
        self, x: float, y: float, text: str, *, size: float = 11, fill: str = "#333", anchor: Anchor = "start"
    ) -> None:
        """See `Canvas`."""
        from PIL import ImageFont

        font = ImageFont.load_default(size * _SCALE)
        self._draw.text(
            (x * _SCALE, y * _SCALE), _printable(text), fill=fill, font=font, anchor=_PIL_ANCHORS[anchor]
        )

    def finish(self) -> bytes:
        """See `Canvas`."""
        file = BytesIO()
        self._image.save(file, "PNG", optimize=True)
        return file.getvalue()


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _printable(text: str) -> str:
    """Without what XML may not hold and a line of text should not."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
