"""Where the installed `qgjob` begins: before anything else is imported, which takes a tenth of a second."""

from __future__ import annotations

import os
import signal


def _end(*_: object) -> None:
    os._exit(130)


def main() -> None:
    """Run the command line of this process and exit; an interruption during the imports ends it quietly."""
    usual = signal.getsignal(signal.SIGINT)
    try:
        if usual is signal.default_int_handler:  # else it is ignored, as behind `nohup` or `&` in a script
            signal.signal(signal.SIGINT, _end)
        from qgjob.cli.main import main as run

        signal.signal(signal.SIGINT, usual)
        run()
    except KeyboardInterrupt:
        _end()
