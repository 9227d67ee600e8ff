"""How help looks: plain text in columns, bold headings on a terminal, as wide as it is.

Written here, since rich alone would cost `--help` a tenth of a second, and its boxes half of the width.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from qgjob.cli.help.command_docs import CommandDoc

_MAX_WIDTH: Final = 100
_MIN_WIDTH: Final = 60
_MAX_NAME: Final = 26
"""Longer names have a line of their own, and their meaning below it."""


def width() -> int:
    """How wide help is written."""
    return max(_MIN_WIDTH, min(_MAX_WIDTH, shutil.get_terminal_size((80, 24)).columns))


def bold(text: str) -> str:
    """A heading: bold on a terminal."""
    plain = "NO_COLOR" in os.environ or not sys.stdout.isatty()
    return text if plain else f"\x1b[1m{text}\x1b[0m"


def help_text(command: CommandDoc, columns: int | None = None) -> str:
    """The whole help of a command."""
    columns = columns or width()
    usage = textwrap.fill(
        command.usage.replace("[-- ", "[--\xa0"),  # no line break between them
        columns - 7,
        subsequent_indent="         ",
        break_on_hyphens=False,
    ).replace("\xa0", " ")
    parts = [f"{bold('Usage:')} {usage}"]
    parts += [fill(paragraph, columns) for paragraph in command.text]
    parts += [section(part.title, part.rows, columns) for part in command.sections]
    if command.examples:
        parts.append(examples(command.examples, columns))
    if command.epilog:
        parts.append(fill(command.epilog, columns))
    return "\n\n".join(parts)


def fill(text: str, columns: int) -> str:
    """A paragraph."""
    return textwrap.fill(text, columns, break_on_hyphens=False, break_long_words=False)


def section(title: str, rows: Iterable[tuple[str, str]], columns: int, name_width: int = 0) -> str:
    """A heading, and below it names with what they mean, in two columns."""
    rows = list(rows)
    fitting = [len(name) for name, _ in rows if len(name) <= _MAX_NAME]
    left = name_width or max(fitting, default=_MAX_NAME)
    lines = [bold(f"{title}:")]
    for name, text in rows:
        indent = " " * (left + 4)
        meaning = textwrap.wrap(
            text, columns - len(indent), break_on_hyphens=False, break_long_words=False
        ) or [""]
        if len(name) > left:
            lines.append(f"  {name}")
        else:
            lines.append(f"  {name:<{left}}  {meaning.pop(0)}".rstrip())
        lines += [indent + line for line in meaning]
    return "\n".join(lines)


def examples(shown: Sequence[tuple[str, str]], columns: int) -> str:
    """Commands to copy, each with what it is for above it, or beside it where there is room."""
    lines = [bold("Examples:")]
    fitting = [len(line) for line, why in shown if why and len(line) + len(why) + 6 <= columns]
    for line, why in shown:
        room = max((length for length in fitting if length + len(why) + 6 <= columns), default=0)
        if why and len(line) <= room:
            lines.append(f"  {line:<{room}}  # {why}")
        else:
            lines += [f"  # {why}", f"  {line}"] if why else [f"  {line}"]
    return "\n".join(lines)


def dress(command: Any, path: str) -> None:
    """Have a typer command, and those below it, print this help."""

    def format_help(ctx: Any, formatter: Any) -> None:
        from qgjob.cli.help.command_docs import describe

        del ctx
        formatter.write(help_text(describe(command, path)))

    command.format_help = format_help
    for name, child in getattr(command, "commands", {}).items():
        dress(child, f"{path} {name}")
