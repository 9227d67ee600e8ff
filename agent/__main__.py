"""`python -m agent`: the slots of this machine."""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.settings import AgentSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    from qgjob.errors import QgjobError

    given = parser().parse_args(argv)
    try:
        settings = settings_of(vars(given), os.environ)
    except QgjobError as error:
        print(f"{error.message}\n{error.hint or ''}".rstrip(), file=sys.stderr)  # noqa: T201 - for people
        return int(error.exit_code)
    return run(settings)


def run(settings: AgentSettings) -> int:
    """Run an agent with these settings."""
    from agent.assembly import run_agent
    from agent.stopping import StopRequests, stopped_early
    from qgjob.serve import serve

    async def service(stop: Any, ready: Any) -> None:
        with StopRequests(stop) as requests:
            agent = run_agent(settings, stop=stop, ready=ready, hurry=requests.hurry)
            await stopped_early(agent, stop=stop, ready=ready)

    return serve(service)


def settings_of(given: Mapping[str, Any], env: Mapping[str, str]) -> AgentSettings:
    """Put together what was said where; raises `UsageError` naming what is wrong."""
    from agent.configfile import ConfigFile, read_config, size_of
    from agent.secrets import checked_secrets, read_secrets
    from agent.settings import DEFAULT_CACHE_BYTES, AgentSettings, ArtifactLimits, JobLimits
    from bus_schemas.base import LABEL_RULE, is_label
    from qgjob.config import default_data_dir
    from qgjob.domain.durations import parse_duration
    from qgjob.errors import UsageError

    def said(option: str) -> str | None:
        value = given.get(option)
        return value if value is not None else env.get("QGJOB_" + option.upper()) or None

    def number(option: str, low: float, high: float) -> int | None:
        text = said(option)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise UsageError(f"{_flag(option)} {text!r}: a whole number from {low:g} to {high:g}.")
        return int(text)

    def duration(option: str) -> float | None:
        text = said(option)
        if text is None or text.strip() in {"0", "0s"}:
            return None if text is None else 0.0
        try:
            return parse_duration(text)
        except UsageError as error:
            raise UsageError(f"{_flag(option)}: {error.message}", hint=error.hint) from None

    def size(option: str) -> int | None:
        text = said(option)
        try:
            return None if text is None else int(str(size_of(text)))
        except ValueError as error:
            raise UsageError(f"{_flag(option)} {text!r} is not {error}.") from None

    path = said("config")
    file = read_config(Path(path).expanduser()) if path else ConfigFile()
    text = said("labels")
    labels = file.labels or [] if text is None else [part.strip() for part in text.split(",") if part.strip()]
    for label in labels:
        if not is_label(label):
            raise UsageError(f"--labels: {label!r} is not a label.", hint=LABEL_RULE)
    name = said("name") or file.name or socket.gethostname().split(".")[0] or "agent"
    if not _NAME.match(name):
        raise UsageError(
            f"--name {name!r} is no name for an agent.",
            hint="Letters, digits, . _ and -, at most 100 of them.",
        )
    devices = said("devices")
    secrets_file = said("secrets_file") or file.secrets_file
    secrets = dict(file.secrets)
    if secrets_file:
        secrets |= read_secrets(Path(secrets_file).expanduser())
    grace = duration("grace")
    artifacts = file.artifacts
    kept = ArtifactLimits()
    limits = JobLimits()
    return AgentSettings(
        server=said("server") or file.server,
        creds=said("creds") or file.creds,
        token=said("token") or file.token,
        name=name,
        slots=number("slots", 1, 500) or file.slots or 1,
        labels=tuple(sorted(set(labels))),
        device_labels={name: frozenset(table.labels) for name, table in file.device.items()},
        driver=said("driver") or file.driver or "process",
        devices=tuple(file.devices or () if devices is None else _devices(devices)),
        driver_options={key: str(value) for key, value in file.driver_options.items()},
        data_dir=Path(
            said("data_dir") or file.data_dir or default_data_dir(env) / "agents" / name
        ).expanduser(),
        install_seconds=duration("install_seconds") or 0.0,
        grace_s=file.grace if grace is None else grace,
        cache_bytes=size("cache_size") or file.cache_size or DEFAULT_CACHE_BYTES,
        secrets=checked_secrets(secrets, str(secrets_file or path)),
        limits=JobLimits(
            install_timeout_s=duration("install_timeout") or file.install_timeout or limits.install_timeout_s,
            disk_bytes=size("disk_limit") or file.disk_limit or limits.disk_bytes,
            artifacts=ArtifactLimits(
                file_bytes=artifacts.max_file or kept.file_bytes,
                total_bytes=artifacts.max_total or kept.total_bytes,
                count=kept.count if artifacts.max_count is None else artifacts.max_count,
            ),
        ),
    )


def _devices(text: str) -> list[str]:
    serials = [part.strip() for part in text.split(",") if part.strip()]
    return [] if serials == ["auto"] else serials


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def parser() -> argparse.ArgumentParser:
    """What an agent can be told."""
    made = argparse.ArgumentParser(
        prog="qgjob agent",
        description="Run the slots of this lab machine.",
        epilog="Every option may also be given as QGJOB_<NAME>, or in the file of --config (docs/agents.md).",
    )
    say = made.add_argument
    say("--config", metavar="FILE", help="an agent.toml: all of these, labels of single devices, secrets")
    say("--server", metavar="URL", help="the NATS server, such as nats://lab:4222")
    say("--creds", metavar="FILE", help="a NATS credentials file")
    say("--token", metavar="TOKEN", help="the server's token, better: a file that holds it")
    say("--name", help="this agent's name (the machine's)")
    say("--slots", metavar="N", help="how many jobs at once, for drivers without devices (1)")
    say("--devices", metavar="SERIALS", help="the devices to serve, a,b,c (auto: all)")
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
