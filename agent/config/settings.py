"""The settings of an agent, once they are resolved (see `options`), and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qgjob.config import ServerOptions

MIB: Final = 2**20


DEFAULT_CACHE_BYTES: Final = 10 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactLimits:
    """What of a job's files is kept."""

    file_bytes: int = 100 * MIB
    total_bytes: int = 500 * MIB
    count: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """What one job may take of the machine and of its time."""

    install_timeout_s: float = 300.0
    """Of one install, the download not included."""
    disk_bytes: int = 10 * 2**30
    """What a job may write into its folders."""
    artifacts: ArtifactLimits = field(default_factory=ArtifactLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """All settings of an agent."""

    server: ServerOptions = field(default_factory=ServerOptions)
    name: str
    slots: int = 1
    labels: tuple[str, ...] = ()
    device_labels: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Labels of single devices or slots, by their name or serial."""
    driver: str = "process"
    devices: tuple[str, ...] = ()
    """Serials to serve; empty: all that are found."""
    driver_options: Mapping[str, str] = field(default_factory=dict[str, str])
    data_dir: Path
    install_seconds: float = 0.0
    grace_s: float | None = None
    """How long running jobs may go on after a stop before they are handed back; None: to their end."""
    cache_bytes: int = DEFAULT_CACHE_BYTES
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    limits: JobLimits = field(default_factory=JobLimits)
