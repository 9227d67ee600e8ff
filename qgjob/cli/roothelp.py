"""The text of `qgjob --help`: written here, since rich alone would cost it a tenth of a second."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Final

from qgjob.cli.commands import COMMANDS

_INTRO: Final = """\
Run mobile tests on a lab's devices: grouped by build so that installs are made once, the most
urgent first, nothing starved and nothing lost."""

_OPTIONS: Final = (
    ("--server URL", "The NATS server; else QGJOB_SERVER, a running `qgjob up`, nats://127.0.0.1:4222."),
    ("--creds FILE", "A NATS credentials file."),
    ("--tls-ca FILE", "The CA that signed the server's certificate."),
    ("--tls-cert FILE", "A certificate to show to the server; its key with --tls-key FILE."),
    ("-v, --verbose", "Say more on stderr, with tracebacks of errors."),
    ("--version", "Print the version."),
    ("-h, --help", "Print this, or with a command its own help."),
)

_EXAMPLES: Final = (
    ("qgjob up", "start everything on this machine"),
    ("qgjob submit --org-id acme --app-version-id 1.4.0 --test 'tests/*.spec.ts' --wait", ""),
    ("qgjob logs j_… --follow", "see what a test writes while it runs"),
    ("qgjob list --state failed --json", "for scripts"),
)

_WIDTH: Final = 17

_OUTRO: Final = """\
Every option may also stand in the environment: --org-id as QGJOB_ORG_ID. Global options may stand
anywhere before --. `qgjob --install-completion` lets your shell complete them."""


def root_help() -> str:
    """The whole text; bold headings on a terminal."""
    present = [entry for entry in COMMANDS if entry.present]
    panels = list(dict.fromkeys(entry.panel for entry in present))
    parts = [f"{_bold('Usage:')} qgjob [OPTIONS] COMMAND …", _INTRO]
    parts += [_section(panel, ((e.name, e.help) for e in present if e.panel == panel)) for panel in panels]
    parts.append(_section("Options", _OPTIONS))
    examples = (f"  {line}" + (f"   # {why}" if why else "") for line, why in _EXAMPLES)
    parts.append("\n".join([_bold("Examples:"), *examples]))
    parts.append(_OUTRO)
    return "\n\n".join(parts)


def _section(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"  {name:<{_WIDTH}}{text}" for name, text in rows]
    return "\n".join([_bold(f"{title}:"), *lines])


def _bold(text: str) -> str:
    plain = "NO_COLOR" in os.environ or not sys.stdout.isatty()
    return text if plain else f"\x1b[1m{text}\x1b[0m"
