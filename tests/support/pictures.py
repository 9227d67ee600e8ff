"""Screens as text that can be read and compared: characters, and below them their colours.

A picture is made from the app's own SVG and stored as a grid, which says more in a diff than SVG
does and is not changed by the order in which a library writes its elements.
"""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from textual.app import App

_CELL_WIDTH = 12.2
_LINE_HEIGHT = 24.4
_RULE = re.compile(r"\.(terminal-[\w-]+-r\d+) \{ ([^}]*) \}")
_TEXT = re.compile(
    r'<text class="(terminal-[\w-]+-r\d+)" x="([\d.]+)" y="([\d.]+)"[^>]*?line-(\d+)\)">(.*?)</text>'
)
_RECT = re.compile(
    r'<rect fill="(#[0-9a-f]{6})" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="[\d.]+" shape-rendering'
)
_NAMES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
UPDATE = "UPDATE_PICTURES"


@dataclass(frozen=True)
class Grid:
    """A screen: its text, and the style of each cell."""

    text: list[str]
    styles: list[list[str]]

    def __str__(self) -> str:
        """The form in which it is stored."""
        seen = dict.fromkeys(style for row in self.styles for style in row)
        names = {style: _NAMES[i] if i < len(_NAMES) else f"({i})" for i, style in enumerate(seen)}
        runs = [
            " ".join(f"{names[style]}{len(list(run))}" for style, run in groupby(row)) for row in self.styles
        ]
        legend = [f"{name} = {style}" for style, name in names.items()]
        return "\n".join([*(f"|{text}|" for text in self.text), "", *runs, "", *legend]) + "\n"


def lines_of(app: App[Any]) -> list[str]:
    """The text of each line of the screen: a picture of it takes twenty times as long to make and to read."""
    strips = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
    return [strip.text if strip.text.strip() else "" for strip in strips]


def grid_of(svg: str) -> Grid:
    """Read a picture that `export_screenshot` made."""
    rules = dict(_RULE.findall(svg))
    rows: dict[int, dict[int, tuple[str, str]]] = {}
    for name, x, _, line, content in _TEXT.findall(svg):
        column = round(float(x) / _CELL_WIDTH)
        for character in html.unescape(content).replace("\xa0", " "):
            if character != "\n":
                rows.setdefault(int(line), {})[column] = (
                    character,
                    rules[name].replace(";", "; ").strip("; "),
                )
            column += cell_len(character)
    grounds: dict[tuple[int, int], str] = {}
    for fill, x, y, width in _RECT.findall(svg):
        row = round((float(y) - 1.5) / _LINE_HEIGHT)
        first = round(float(x) / _CELL_WIDTH)
        for column in range(first, first + round(float(width) / _CELL_WIDTH)):
            grounds[row, column] = fill
    height = max((row for row, _ in grounds), default=-1) + 1
    height = max(height, max(rows, default=-1) + 1)
    width = max((column for _, column in grounds), default=-1) + 1
    width = max([width, *(max(cells) + 1 for cells in rows.values())])
    text: list[str] = []
    styles: list[list[str]] = []
    for row in range(height):
        cells = rows.get(row, {})
        line = ""
        style: list[str] = []
        column = 0
        while column < width:
            character, ink = cells.get(column, (" ", ""))
            size = max(1, cell_len(character))
            line += character
            shown = ink if character != " " or "underline" in ink else ""
            style += [f"{shown} on {grounds.get((row, column), '-')}".strip()] * size
            column += size
        text.append(line.rstrip() if not line.strip() else line)
        styles.append(style)
    return Grid(text, styles)


def compare(svg: str, path: Path, tmp_path: Path) -> None:
    """Fail when a screen looks different from the stored one; with UPDATE_PICTURES=1, store it."""
    found = str(grid_of(svg))
    if os.environ.get(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found, encoding="utf-8")
        return
    wanted = path.read_text(encoding="utf-8") if path.exists() else ""
    if found != wanted:
        actual = tmp_path / f"{path.stem}.svg"
        actual.write_text(svg, encoding="utf-8")
        (tmp_path / path.name).write_text(found, encoding="utf-8")
        difference = [
            f"{number + 1}: {line}"
            for number, line in enumerate(found.splitlines())
            if line not in wanted.splitlines()
        ]
        raise AssertionError(
            f"{path.name} looks different; see {actual}, and set {UPDATE}=1 if that is right:\n"
            + "\n".join(difference[:40])
        )
