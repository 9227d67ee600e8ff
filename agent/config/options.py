"""Resolves an agent's settings: the command line, then `QGJOB_<NAME>`, then `agent.toml`, then defaults."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.config.config_file import ArtifactsTable, ConfigFile, read_config, size_of
from agent.config.secrets import checked_secrets, read_secrets
from agent.config.settings import DEFAULT_CACHE_BYTES, AgentSettings, ArtifactLimits, JobLimits
from bus_schemas.base import LABEL_RULE, is_label
from qgjob.config import default_data_dir
from qgjob.connecting import FILES, server_options
from qgjob.domain.durations import parse_duration
from qgjob.errors import UsageError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class GivenOptions:
    """Values from the command line and the environment. Raises `UsageError` naming the wrong one."""

    given: Mapping[str, Any]
    env: Mapping[str, str]

    def text(self, option: str) -> str | None:
        """The text as given; None when it was not given."""
        value = self.given.get(option)
        return value if value is not None else self.env.get(_variable(option)) or None

    def named(self, option: str) -> str:
        """The name for error messages: the option, or the variable that gave it."""
        flag = "--" + option.replace("_", "-")
        return (
            flag
            if self.given.get(option) is not None or not self.env.get(_variable(option))
            else _variable(option)
        )

    def path(self, option: str, default: str | None = None) -> Path | None:
        """A file or folder."""
        text = self.text(option) or default
        return Path(text).expanduser() if text else None

    def words(self, option: str) -> list[str] | None:
        """A list, comma-separated or given as several words."""
        given: list[str] | str | None = self.given.get(option)
        text = ",".join(given) if isinstance(given, list) else self.text(option)
        return None if text is None else [part.strip() for part in text.split(",") if part.strip()]

    def number(self, option: str, low: int, high: int) -> int | None:
        """A whole number between two."""
        text = self.text(option)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise UsageError(f"{self.named(option)} {text!r}: a whole number from {low} to {high}.")
        return int(text)

    def duration(self, option: str) -> float | None:
        """Seconds; 0 is one."""
        text = self.text(option)
        if text is None or text.strip() in {"0", "0s"}:
            return None if text is None else 0.0
        try:
            return parse_duration(text)
        except UsageError as error:
            raise UsageError(f"{self.named(option)}: {error.message}", hint=error.hint) from None

    def size(self, option: str) -> int | None:
        """Bytes."""
        text = self.text(option)
        try:
            return None if text is None else int(str(size_of(text)))
        except ValueError as error:
            raise UsageError(f"{self.named(option)} {text!r}: {error}.") from None


def settings_of(given: Mapping[str, Any], env: Mapping[str, str]) -> AgentSettings:
    """Resolve all settings from their sources; raises `UsageError` naming what is wrong."""
    said = GivenOptions(given, env)
    config = said.path("config")
    file = read_config(config) if config else ConfigFile()
    shown = _for_server(said.text("server"), file)
    name = _name(said, file)
    devices = said.words("devices")
    grace = said.duration("grace")
    default_folder = str(default_data_dir(env) / "agents" / name)
    return AgentSettings(
        server=server_options(
            {name: said.text(name) or getattr(shown, name) for name in ("server", *FILES)},
            env,
            name=f"qgjob agent {name}",
            token=said.text("token") or shown.token,
            wait_for_server=True,
        ),
        name=name,
        slots=said.number("slots", 1, 500) or file.slots or 1,
        labels=_labels(said, file),
        device_labels={device: frozenset(table.labels) for device, table in file.device.items()},
        driver=said.text("driver") or file.driver or "process",
        devices=() if devices == ["auto"] else tuple(file.devices or () if devices is None else devices),
        driver_options={key: str(value) for key, value in file.driver_options.items()},
        # Jobs, runners and installations work in folders of their own: a path must mean the same there.
        data_dir=(said.path("data_dir", file.data_dir) or Path(default_folder)).absolute(),
        install_seconds=said.duration("install_seconds") or 0.0,
        grace_s=file.grace if grace is None else grace,
        cache_bytes=said.size("cache_size") or file.cache_size or DEFAULT_CACHE_BYTES,
        secrets=_secrets(said, file, config),
        limits=_limits(said, file),
    )


def _for_server(server: str | None, file: ConfigFile) -> ConfigFile:
    """The file, without what lets one in at its own server when another one was named: as with a context."""
    if server is None or file.server is None:
        return file
    from qgjob.contexts import is_among

    return file if is_among(server, file.server) else ConfigFile()


def _name(said: GivenOptions, file: ConfigFile) -> str:
    name = said.text("name") or file.name or socket.gethostname().split(".")[0] or "agent"
    if not _NAME.match(name):
        raise UsageError(
            f"{said.named('name')} {name!r} is no name for an agent.",
            hint="Letters, digits, . _ and -, at most 100 of them.",
        )
    return name


def _labels(said: GivenOptions, file: ConfigFile) -> tuple[str, ...]:
    words = said.words("labels")
    labels = file.labels or [] if words is None else words
    for label in labels:
        if not is_label(label):
            raise UsageError(f"{said.named('labels')}: {label!r} is not a label.", hint=LABEL_RULE)
    return tuple(sorted(set(labels)))


def _secrets(said: GivenOptions, file: ConfigFile, config: Path | None) -> dict[str, str]:
    path = said.path("secrets_file", file.secrets_file)
    secrets = {**file.secrets, **(read_secrets(path) if path else {})}
    return checked_secrets(secrets, str(path or config))


def _limits(said: GivenOptions, file: ConfigFile) -> JobLimits:
    usual = JobLimits()
    return JobLimits(
        install_timeout_s=said.duration("install_timeout") or file.install_timeout or usual.install_timeout_s,
        disk_bytes=said.size("disk_limit") or file.disk_limit or usual.disk_bytes,
        artifacts=_artifact_limits(file.artifacts, usual.artifacts),
    )


def _artifact_limits(table: ArtifactsTable, usual: ArtifactLimits) -> ArtifactLimits:
    return ArtifactLimits(
        file_bytes=table.max_file or usual.file_bytes,
        total_bytes=table.max_total or usual.total_bytes,
        count=usual.count if table.max_count is None else table.max_count,
    )


def _variable(option: str) -> str:
    return "QGJOB_" + option.upper()
