"""`python -m qgjob.scheduler`: one replica of the scheduler."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    from qgjob.clock import SystemClock
    from qgjob.config import resolve_redis_url
    from qgjob.connecting import server_options
    from qgjob.errors import QgjobError
    from qgjob.scheduler.service import SchedulerOptions, run_scheduler
    from qgjob.scheduler.wiring import ReignSettings
    from qgjob.serve import refused, serve
    from qgjob.store.connect import DEFAULT_URL

    given = parser().parse_args(argv)
    try:
        server = server_options(
            vars(given), os.environ, name=f"qgjob scheduler {given.replica}", wait_for_server=True
        )
    except QgjobError as error:
        return refused(error)
    options = SchedulerOptions(
        server=server,
        redis_url=resolve_redis_url(given.redis_url, os.environ) or DEFAULT_URL,
        replica=given.replica,
        replicas=given.replicas,
        reign=ReignSettings(ack_wait_s=given.ack_wait, open_run_s=given.open_run),
    )
    return serve(lambda stop, ready: run_scheduler(options, SystemClock(), stop=stop, ready=ready))


def parser() -> argparse.ArgumentParser:
    """The command-line parser of `python -m qgjob.scheduler`."""
    from bus_schemas.streams import ACK_WAIT_S
    from qgjob.connecting import add_server_options

    made = argparse.ArgumentParser(prog="qgjob scheduler", description="Run one replica of the scheduler.")
    add_server_options(made)
    made.add_argument("--redis-url", help="the Redis or Valkey that holds the projection (REDIS_URL)")
    made.add_argument("--replica", default=f"{socket.gethostname()}-{os.getpid()}", help="its name")
    made.add_argument(
        "--replicas",
        type=int,
        choices=range(1, 6),
        default=1,
        metavar="N",
        help="copies of each stream: 3 on a cluster",
    )
    made.add_argument(
        "--ack-wait",
        type=_seconds,
        default=ACK_WAIT_S,
        metavar="S",
        help="seconds until an unrenewed lease is lost (30)",
    )
    made.add_argument(
        "--open-run",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="seconds until an incomplete run is refused (60)",
    )
    return made


def _seconds(text: str) -> float:
    """A time of at most a day."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) <= 86_400:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and up to 86400")


if __name__ == "__main__":
    sys.exit(main())
