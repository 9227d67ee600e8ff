"""The limits that agents set when they unpack: what is packed here must not be refused there."""

from __future__ import annotations

from typing import Final

UNPACKED_LIMIT: Final = 8 * 1024**3
"""Bytes."""
UNPACKED_RATIO: Final = 200
"""Unpacked to packed bytes; only counts above the floor."""
UNPACKED_RATIO_FLOOR: Final = 64 * 1024**2
