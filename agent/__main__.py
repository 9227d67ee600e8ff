"""`python -m agent`: the slots of this machine."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.config.settings import AgentSettings


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    given = parser().parse_args(argv)  # before the imports: `--help` need not wait for them
    from agent.config.options import settings_of
    from qgjob.errors import QgjobError
    from qgjob.serve import refused

    try:
        settings = settings_of(vars(given), os.environ)
    except QgjobError as error:
        return refused(error)
    return run(settings)


def run(settings: AgentSettings) -> int:
    """Run an agent with these settings."""
    from agent.assembly import run_agent
    from agent.stopping import StopRequests
    from qgjob.serve import serve

    async def service(stop: Any, ready: Any) -> None:
        with StopRequests(stop) as requests:
            await run_agent(settings, stop=stop, ready=ready, hurry=requests.hurry)

    return serve(service)


def parser() -> argparse.ArgumentParser:
    """The command-line parser of `python -m agent`."""
    from qgjob.connecting import add_server_options

    made = argparse.ArgumentParser(
        prog="qgjob agent",
        description="Run the slots of this lab machine.",
        epilog="Every option may also be given as QGJOB_<NAME>, or in the file of --config (docs/agents.md).",
    )
    say = made.add_argument
    say(
        "--config",
        metavar="FILE",
        help="an agent.toml: all of these options, labels of single devices, secrets",
    )
    add_server_options(made)
    say("--token", metavar="TOKEN", help="a file with the server's token, or the token itself")
    say("--name", help="this agent's name (the machine's)")
    say("--slots", metavar="N", help="how many jobs at once, for drivers without devices (1)")
    serials = "the devices to serve, A B C or A,B,C (auto: all)"
    say("--devices", metavar="SERIAL", nargs="+", action="extend", help=serials)
    say("--labels", metavar="LABELS", help="labels of every slot, a,b,c")
    say("--driver", metavar="DRIVER", help="what a slot's device is: process, none, adb, … (process)")
    say("--data-dir", metavar="DIR", help="where slots, caches and work folders are kept")
    say("--secrets-file", metavar="FILE", help="NAME=VALUE lines that jobs may ask for by name")
    say("--install-timeout", metavar="DURATION", help="limit of one install (5m)")
    say("--cache-size", metavar="SIZE", help="what downloaded builds and bundles may take, each (10GiB)")
    say("--disk-limit", metavar="SIZE", help="what one job may write (10GiB)")
    say("--grace", metavar="DURATION", help="how long jobs may go on after a stop (to their end)")
    say("--install-seconds", metavar="S", help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main())
