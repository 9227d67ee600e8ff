"""The dashboard's own dark and light themes; Textual's are there as well."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from textual.theme import Theme

DARK: Final = "qgjob-dark"
LIGHT: Final = "qgjob-light"
ANSI: Final = "ansi-dark"
ROUND: Final = (DARK, LIGHT, "ansi-dark", "ansi-light")
"""What the theme key goes through; the palette offers all the others."""


def own_themes() -> tuple[Theme, Theme]:
    """The dark and the light theme."""
    dark = Theme(
        name=DARK,
        primary="#5aa9f8",
        secondary="#3cc4c4",
        accent="#c594f0",
        foreground="#d6dbe5",
        background="#0d1016",
        surface="#141922",
        panel="#1b212c",
        success="#7cc75b",
        warning="#f0b350",
        error="#f2667a",
        dark=True,
        variables={
            "border": "#5aa9f8",
            "border-blurred": "#2c3442",
            "footer-background": "#141922",
            "footer-key-foreground": "#5aa9f8",
            "footer-description-foreground": "#8b94a5",
            "input-selection-background": "#5aa9f8 35%",
            "scrollbar": "#2c3442",
            "scrollbar-hover": "#3d485b",
            "scrollbar-active": "#5aa9f8",
            "scrollbar-background": "#0d1016",
            "scrollbar-background-hover": "#0d1016",
            "scrollbar-background-active": "#0d1016",
        },
    )
    light = Theme(
        name=LIGHT,
        primary="#1b6fd1",
        secondary="#0b8390",
        accent="#8a46c9",
        foreground="#262c36",
        background="#fbfbfa",
        surface="#f1f2f3",
        panel="#e6e8ea",
        success="#3c8526",
        warning="#a86400",
        error="#c9304a",
        dark=False,
        variables={
            "border": "#1b6fd1",
            "border-blurred": "#ccd1d7",
            "footer-background": "#eceef0",
            "footer-key-foreground": "#1b6fd1",
            "footer-description-foreground": "#5c6470",
            "input-selection-background": "#1b6fd1 30%",
            "scrollbar": "#ccd1d7",
            "scrollbar-hover": "#aab2bc",
            "scrollbar-active": "#1b6fd1",
            "scrollbar-background": "#fbfbfa",
            "scrollbar-background-hover": "#fbfbfa",
            "scrollbar-background-active": "#fbfbfa",
        },
    )
    return dark, light


def theme_for(environment: Mapping[str, str], known: Container[str]) -> str:
    """The theme to begin with: under `NO_COLOR` the terminal's own, else `TEXTUAL_THEME`, else dark."""
    if environment.get("NO_COLOR") is not None:
        return ANSI  # only there are no colours sent at all
    wanted = environment.get("TEXTUAL_THEME", "").split(",")
    return next((name for name in wanted if name in known), DARK)
