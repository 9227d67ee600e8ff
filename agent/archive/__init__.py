"""Unpacks bundles and builds, which are hostile until unpacked."""

from agent.archive.unpacking import is_disk_full, unpack
from agent.archive.writer import DEFAULT_LIMITS, Checkpoint, Limits

__all__ = ["DEFAULT_LIMITS", "Checkpoint", "Limits", "is_disk_full", "unpack"]
