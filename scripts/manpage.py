"""Write docs/qgjob.1, the manual page, from the commands themselves: `man ./docs/qgjob.1`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from qgjob import __version__
from qgjob.cli.help.command_docs import CommandDoc, Section, all_commands
from qgjob.cli.help.root_help import INTRO, OPTIONS, OUTRO
from scripts.exit_codes import EXIT_CODES

DOC = Path(__file__).parent.parent / "docs" / "qgjob.1"

REVISED = "2026-11-28"
"""Not today: the same commands shall give the same page."""
ENVIRONMENT = (
    ("QGJOB_SERVER", "The NATS server, as --server."),
    ("QGJOB_CREDS", "A NATS credentials file, as --creds."),
    ("QGJOB_TOKEN", "The server's token, or a file that holds it."),
    ("QGJOB_CONTEXT", "The lab of `qgjob context` to speak to, for this command."),
    ("QGJOB_<NAME>", "Any other option: --org-id is QGJOB_ORG_ID."),
    ("NO_COLOR", "No colours, whatever its value."),
    ("REDIS_URL", "The store of `qgjob scheduler`."),
    ("PORT", "The port of HTTP of `qgjob up` and `qgjob gateway`."),
)
FILES = (
    ("qgjob.toml", "What every submit of a project says, in the folder of its tests or above it."),
    ("~/.config/qgjob/config.toml", "The same for all projects of a user."),
    ("~/.config/qgjob/contexts.json", "The labs of `qgjob context`."),
    (".qgjobignore", "What is left out of bundles, in the syntax of .gitignore."),
)


def text() -> str:
    """The page, as it should be."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH QGJOB 1 {REVISED} "qgjob {__version__}" "User commands"'
    yield ".ad l"  # ragged: what is in it cannot be hyphenated
    yield from (".SH NAME", "qgjob \\- run mobile tests on a lab's devices")
    yield from (".SH SYNOPSIS", ".B qgjob", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR \\&...")
    yield from (".SH DESCRIPTION", *_filled(INTRO), ".PP", *_filled(OUTRO))
    yield ".SH OPTIONS"
    yield from _rows(OPTIONS)
    panel = ""
    for entry, command in all_commands():
        if entry.panel != panel:
            panel = entry.panel
            yield f".SH {_escaped(panel.upper())}"
        yield from _command(command)
    yield ".SH EXIT STATUS"
    yield from _rows((str(int(code)), meaning) for code, meaning in EXIT_CODES)
    yield ".SH ENVIRONMENT"
    yield from _rows(ENVIRONMENT)
    yield ".SH FILES"
    yield from _rows(FILES)
    yield from (".SH SEE ALSO", ".BR nats\\-server (1)")


def _command(command: CommandDoc) -> Iterator[str]:
    yield f".SS {_escaped(command.usage)}"
    yield from _paragraphs(command.text)
    for section in command.sections:
        if section.title != "Commands":
            yield from _section(section)
    yield from _paragraphs((command.epilog,) if command.epilog else ())
    if command.examples and not command.children:
        yield from (".PP", "Examples:", ".PP", ".nf", ".RS 4")
        for line, why in command.examples:
            if why:
                yield _escaped(f"# {why}")
            yield _escaped(line)
        yield from (".RE", ".fi")
    for child in command.children:
        yield from _command(child)


def _section(section: Section) -> Iterator[str]:
    rows = [row for row in section.rows if row[0] != "-h, --help"]
    if not rows:
        return
    if section.title not in {"Options", "Arguments"}:
        yield from (".PP", f"{_escaped(section.title)}:")
    yield from _rows(rows)


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in rows:
        yield from (".TP", f"\\fB{_escaped(name)}\\fR", *(_filled(meaning) or ["\\&"]))


def _paragraphs(paragraphs: tuple[str, ...]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield from _filled(paragraph)


def _filled(text: str) -> list[str]:
    """Text in short lines, as linters want it; roff fills them anew."""
    return [
        _escaped(line) for line in textwrap.wrap(text, 60, break_long_words=False, break_on_hyphens=False)
    ]


def _escaped(text: str) -> str:
    """Text for roff: nothing of it is a request or an escape; hyphens can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "\\&...").replace("–", "\\(en")
    text = re.sub(r"[\u0080-\uffff]", lambda match: f"\\[u{ord(match.group()):04X}]", text)
    return re.sub(r"^(?=[.'])", "\\&", text, flags=re.MULTILINE).replace("'", "\\(aq").replace("`", "\\(ga")


if __name__ == "__main__":
    DOC.write_text(text())
