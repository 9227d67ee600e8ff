"""What the names of inks look like under the current theme."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from rich.style import Style
from textual.app import App
from textual.color import Color

from tui.draw.ansi import Colour, Look


class Ink(NamedTuple):
    """A role of the theme, how strongly it stands out from the background, and attributes."""

    role: str
    strength: float = 1.0
    attributes: str = ""
    background: float = 0.0
    """More than 0: the role tints the background so strongly instead."""


INKS: Final[dict[str, Ink]] = {
    "text": Ink("foreground"),
    "dim": Ink("foreground", 0.58, "dim"),
    "faint": Ink("foreground", 0.26, "dim"),
    "off": Ink("foreground", 0.42, "dim"),
    "bold": Ink("", 1.0, "bold"),
    "italic": Ink("", 1.0, "italic"),
    "reverse": Ink("", 1.0, "reverse"),
    "title": Ink("foreground", 0.58, "bold"),
    "key": Ink("primary", 1.0, "bold"),
    "accent": Ink("accent"),
    "wait": Ink("foreground", 0.7),
    "next": Ink("secondary"),
    "prep": Ink("warning"),
    "busy": Ink("primary"),
    "good": Ink("success"),
    "bad": Ink("error"),
    "lab": Ink("accent"),
    "high": Ink("secondary", 1.0, "bold"),
    "medium": Ink("secondary", 0.8),
    "low": Ink("secondary", 0.55, "dim"),
    "high-soft": Ink("secondary", 0.7),
    "medium-soft": Ink("secondary", 0.52),
    "low-soft": Ink("secondary", 0.36, "dim"),
    "wait-soft": Ink("foreground", 0.36, "dim"),
    "good-soft": Ink("success", 0.6),
    "bad-soft": Ink("error", 0.6),
    "busy-soft": Ink("primary", 0.5),
    "track": Ink("foreground", 0.12, "dim"),
    "mark": Ink("warning", 1.0, "bold"),
    "found": Ink("warning", 1.0, "bold", 0.35),
    "chip-good": Ink("success", 1.0, "bold", 0.16),
    "chip-busy": Ink("primary", 1.0, "bold", 0.16),
    "chip-bad": Ink("error", 1.0, "bold", 0.22),
    "on-cursor": Ink("primary", 1.0, "", 0.28),
    "on-blurred": Ink("foreground", 1.0, "", 0.07),
}
_TINTS: Final = frozenset({"on-cursor", "on-blurred"})
"""Inks that only colour the background of a whole row."""

Inks = Mapping[str, Style]


def inks_of(app: App[Any]) -> Inks:
    """The styles of all inks under the app's theme."""
    variables = app.theme_variables or app.get_css_variables()
    roles = ("foreground", "background", "primary", "secondary", "accent", "success", "warning", "error")
    named = {role: variables[role] for role in roles}
    if app.native_ansi_color and named["accent"] == named["success"]:
        named["accent"] = "ansi_magenta"  # of ansi-dark: what the lab failed would look like what passed
    return _build(tuple(named.items()), app.native_ansi_color)


def style_of(inks: Inks, names: str) -> Style:
    """The style of one ink, or of several that are laid over each other."""
    found = inks.get(names)
    if found is not None:
        return found
    style = Style.null()
    for name in names.split():
        style += inks[name]
    return style


@lru_cache(maxsize=16)
def _build(roles: tuple[tuple[str, str], ...], ansi: bool) -> Inks:
    named = dict(roles)
    return {
        "": Style.null(),
        **{
            name: _ansi(name, ink, named) if ansi else _blended(name, ink, named)
            for name, ink in INKS.items()
        },
    }


def _blended(name: str, ink: Ink, roles: dict[str, str]) -> Style:
    attributes = ink.attributes.replace("dim", "").strip()
    style = Style.parse(attributes) if attributes else Style.null()
    if not ink.role:
        return style
    ground = Color.parse(roles["background"])
    colour = Color.parse(roles[ink.role])
    if ink.background:
        style += Style(bgcolor=ground.blend(colour, ink.background).rich_color)
        if name in _TINTS:
            return style
    return style + Style(color=ground.blend(colour, ink.strength).rich_color)


def _ansi(name: str, ink: Ink, roles: dict[str, str]) -> Style:
    # The terminal's own sixteen colours cannot be mixed: faint is "dim", a tint is "reverse".
    style = Style.parse(ink.attributes) if ink.attributes else Style.null()
    if name == "on-cursor":
        return Style(reverse=True)
    if name == "on-blurred":
        return Style(underline=True)
    if ink.background:
        style += Style(reverse=True)
    colour = roles.get(ink.role, "ansi_default")
    if colour not in {"ansi_default", ""}:
        style += Style(color=colour.removeprefix("ansi_"))
    return style


@lru_cache(maxsize=4096)
def look_style(look: Look) -> Style:
    """The style that a log's own attributes ask for."""
    return Style(
        color=_colour(look.fg),
        bgcolor=_colour(look.bg),
        bold=look.bold or None,
        dim=look.dim or None,
        italic=look.italic or None,
        underline=look.underline or None,
        reverse=look.reverse or None,
        strike=look.strike or None,
    )


def _colour(colour: Colour) -> str | None:
    if colour is None:
        return None
    if isinstance(colour, tuple):
        red, green, blue = colour
        return f"rgb({red},{green},{blue})"
    return f"color({colour})"
