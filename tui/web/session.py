"""One dashboard behind a page: `python -m tui.web.session`, started by the server for each page."""

from __future__ import annotations

import json
import os
import sys
from typing import Final

from qgjob.config import ServerOptions
from qgjob.errors import QgjobError
from tui.launch import show

OPTIONS_VARIABLE: Final = "QGJOB_WEB_SESSION"
"""The server's options, as JSON."""
READ_ONLY_VARIABLE: Final = "QGJOB_WEB_SESSION_READ_ONLY"


def main() -> int:
    """Show the dashboard until its page is closed; returns the exit code."""
    options = ServerOptions(**json.loads(os.environ.pop(OPTIONS_VARIABLE)))
    try:
        return show(options, read_only=bool(os.environ.get(READ_ONLY_VARIABLE)))
    except QgjobError as error:
        print(error.message, file=sys.stderr)  # noqa: T201  (textual-serve hands it on)
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
