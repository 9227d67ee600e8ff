"""The width of text on a terminal: ideographs and emoji take two columns, combining characters none."""

from __future__ import annotations


def width_of(text: str) -> int:
    """How many columns a line of text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # its tables are worth their import where they are needed alone

    return cell_len(text)


def padded(text: str, width: int) -> str:
    """Text filled up with spaces to `width` columns; longer text is left as it is."""
    return text + " " * (width - width_of(text))


def fit(text: str, width: int) -> str:
    """Text cut to `width` columns at most, with an ellipsis where something was cut."""
    if width_of(text) <= width:
        return text
    if text.isascii():
        return text[: width - 1] + "…"
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + "…"
