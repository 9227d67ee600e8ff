"""`python -m agent`: the slots of this machine."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the command line says of an agent."""

    server: str | None
    creds: str | None
    name: str
    slots: int
    labels: tuple[str, ...]
    driver: str
    data_dir: Path
    install_seconds: float
    grace_s: float


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    from qgjob.config import default_data_dir

    host = socket.gethostname().split(".")[0] or "agent"
    parser = argparse.ArgumentParser(prog="qgjob agent", description="Run the slots of this lab machine.")
    parser.add_argument("--server", default=None, help="the NATS server (QGJOB_SERVER)")
    parser.add_argument("--creds", default=os.environ.get("QGJOB_CREDS"), help="a NATS credentials file")
    parser.add_argument("--name", default=os.environ.get("QGJOB_NAME") or host, help="this agent's name")
    parser.add_argument(
        "--slots", type=int, default=os.environ.get("QGJOB_SLOTS", "1"), help="how many jobs at once"
    )
    parser.add_argument(
        "--labels", default=os.environ.get("QGJOB_LABELS", ""), help="labels of every slot, a,b,c"
    )
    parser.add_argument(
        "--driver", choices=("process", "none"), default="process", help="what a slot's device is"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=os.environ.get("QGJOB_DATA_DIR"),
        help="where slots, caches and work folders are kept",
    )
    parser.add_argument("--install-seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument(
        "--grace",
        type=float,
        default=os.environ.get("QGJOB_GRACE", "8"),
        help="seconds that running jobs may go on after a stop (8)",
    )
    given = parser.parse_args(argv)
    if not 1 <= given.slots <= 500:
        parser.error("--slots: from 1 to 500")
    labels = tuple(sorted({label.strip() for label in given.labels.split(",") if label.strip()}))
    settings = AgentSettings(
        server=given.server,
        creds=given.creds,
        name=given.name,
        slots=given.slots,
        labels=labels,
        driver=given.driver,
        data_dir=given.data_dir or default_data_dir(os.environ) / "agents" / given.name,
        install_seconds=given.install_seconds,
        grace_s=given.grace,
    )
    return run(settings)


def run(settings: AgentSettings) -> int:
    """Run an agent with these settings."""
    from agent.assembly import run_agent
    from qgjob.serve import serve

    return serve(lambda stop, ready: run_agent(settings, stop=stop, ready=ready))


if __name__ == "__main__":
    sys.exit(main())
