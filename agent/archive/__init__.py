"""Unpacks bundles and builds, whose contents are not trusted."""

from agent.archive.unpacking import disk_reason, is_disk_full, is_of_the_disk, unpack
from agent.archive.writer import DEFAULT_LIMITS, Checkpoint, Limits

__all__ = [
    "DEFAULT_LIMITS",
    "Checkpoint",
    "Limits",
    "disk_reason",
    "is_disk_full",
    "is_of_the_disk",
    "unpack",
]
