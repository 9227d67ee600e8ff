"""The text of `qgjob --help`, which imports no command."""

from __future__ import annotations

from typing import Final

from qgjob.cli.help.help_text import bold, examples, fill, section, width
from qgjob.cli.table import COMMANDS

INTRO: Final = (
    "Run mobile tests on a lab's devices: grouped by build so that each device installs a build once, "
    "urgent jobs first, no starvation, nothing lost."
)

OPTIONS: Final = (
    ("--server URL", "The NATS server; else QGJOB_SERVER, a running `qgjob up`, or this machine's."),
    ("--creds FILE", "A NATS credentials file."),
    ("--tls-ca FILE", "The CA that signed the server's certificate."),
    ("--tls-cert FILE", "A certificate to show to the server; --tls-key FILE is its key."),
    ("-v, --verbose", "Print more on stderr, with tracebacks of errors."),
    ("--version", "Print the version."),
    ("-h, --help", "Print this help; after a command, its help."),
)

_EXAMPLES: Final = (
    ("qgjob up", "start everything on this machine"),
    ("qgjob submit --org-id acme --app-version-id 1.4.0 --test 'e2e/*.spec.ts' --wait", "test a build"),
    ("qgjob watch", "see what happens"),
    ("qgjob doctor", "find out what is wrong, and what to do"),
)

_WIDTH: Final = 15

OUTRO: Final = (
    "Every option has an environment variable (--org-id: QGJOB_ORG_ID). Global options may come anywhere "
    "before --. `qgjob --install-completion` sets up shell completion, ids included."
)


def root_help() -> str:
    """The whole text; bold headings on a terminal."""
    columns = width()
    panels = list(dict.fromkeys(entry.panel for entry in COMMANDS))
    parts = [f"{bold('Usage:')} qgjob [OPTIONS] COMMAND …", fill(INTRO, columns)]
    for panel in panels:
        rows = [(entry.name, entry.help) for entry in COMMANDS if entry.panel == panel]
        parts.append(section(panel, rows, columns, _WIDTH))
    parts.append(section("Options", OPTIONS, columns, _WIDTH))
    parts.append(examples(_EXAMPLES, columns))
    parts.append(fill(OUTRO, columns))
    return "\n\n".join(parts)
