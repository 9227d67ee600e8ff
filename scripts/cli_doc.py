"""Write docs/cli.md, the reference of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from qgjob.cli.help.command_docs import CommandDoc, all_commands
from qgjob.cli.help.root_help import INTRO, OPTIONS, OUTRO
from scripts.exit_codes import EXIT_CODES

DOC = Path(__file__).parent.parent / "docs" / "cli.md"


def text() -> str:
    """The page, as it should be."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from ("# The command line", "", "Written by `make docs` from the commands themselves; `qgjob.1` is")
    yield from ("the same as a manual page.", "", _prose(INTRO), "", _prose(OUTRO), "")
    found = list(all_commands())
    panel = ""
    for entry, command in found:
        if entry.panel != panel:
            panel = entry.panel
            yield from ("", f"**{panel}**", "", "| command | |", "|---|---|")
        yield f"| [`{command.path}`](#{_anchor(command.path)}) | {_cell(entry.help)} |"
    yield from ("", "## Global options", "", *_rows(OPTIONS))
    for _, command in found:
        yield from _command(command, "##")
    yield from ("", "## Exit codes", "", "| code | meaning |", "|---|---|")
    yield from (f"| {int(code)} | {_cell(meaning)} |" for code, meaning in EXIT_CODES)
    yield from ("", "The code of a run is the first that applies of 20, 18, 10, 19, 0.")


def _command(command: CommandDoc, level: str) -> Iterator[str]:
    yield from ("", f"{level} {command.path}", "", "```", command.usage, "```", "")
    for paragraph in command.text:
        yield from (_prose(paragraph), "")
    for section in command.sections:
        rows = [row for row in section.rows if row[0] != "-h, --help"]
        if section.title == "Commands" or not rows:
            continue
        if section.title not in {"Options", "Arguments"}:
            yield from (f"*{section.title}*", "")
        yield from (*_rows(rows), "")
    if command.examples and not command.children:
        yield "```sh"
        for line, why in command.examples:
            yield f"{line}  # {why}" if why else line
        yield "```"
    if command.epilog:
        yield from ("", _prose(command.epilog))
    for child in command.children:
        yield from _command(child, level + "#")


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from ("| | |", "|---|---|")
    yield from (f"| `{name.replace('|', chr(92) + '|')}` | {_cell(meaning)} |" for name, meaning in rows)


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|")


def _prose(text: str) -> str:
    """Markdown that shows the text as it is; what stands in backticks is code already."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        for mark in "\\*_<>[]":
            parts[number] = parts[number].replace(mark, "\\" + mark)
    return "`".join(parts)


def _anchor(path: str) -> str:
    return path.replace(" ", "-")


if __name__ == "__main__":
    DOC.write_text(text())
