"""`python -m qgjob.scheduler`: one replica of the scheduler."""

from __future__ import annotations

import argparse
import os
import socket
import sys


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="qgjob scheduler", description="Run one replica of the scheduler.")
    parser.add_argument("--server", default=None, help="the NATS server (QGJOB_SERVER)")
    parser.add_argument("--creds", default=os.environ.get("QGJOB_CREDS"), help="a NATS credentials file")
    parser.add_argument("--redis-url", default=None, help="the Redis or Valkey of the projection (REDIS_URL)")
    parser.add_argument(
        "--replica", default=f"{socket.gethostname()}-{os.getpid()}", help="this replica's name"
    )
    parser.add_argument("--replicas", type=int, default=1, help="copies of each stream: 3 on a cluster")
    given = parser.parse_args(argv)
    return run(
        server=given.server,
        creds=given.creds,
        redis_url=given.redis_url,
        replica=given.replica,
        replicas=given.replicas,
    )


def run(*, server: str | None, creds: str | None, redis_url: str | None, replica: str, replicas: int) -> int:
    """Run a replica with these settings, each None taken from the environment."""
    from qgjob.bus.connect import ServerOptions
    from qgjob.clock import SystemClock
    from qgjob.config import resolve_redis_url, resolve_server
    from qgjob.scheduler.service import SchedulerOptions, run_scheduler
    from qgjob.serve import serve

    options = SchedulerOptions(
        server=ServerOptions(
            url=resolve_server(server, os.environ),
            creds=creds,
            name=f"qgjob scheduler {replica}",
            wait_for_server=True,
        ),
        redis_url=resolve_redis_url(redis_url, os.environ) or "redis://127.0.0.1:6379/0",
        replica=replica,
        replicas=replicas,
    )
    return serve(lambda stop, ready: run_scheduler(options, SystemClock(), stop=stop, ready=ready))


if __name__ == "__main__":
    sys.exit(main())
