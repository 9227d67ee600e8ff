"""Guards calls of a driver, which may be a plug-in: an error or a timeout becomes a default answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final, TypeVar

from agent.drivers.base import Device

log = logging.getLogger(__name__)

CALL_S: Final = 60.0
_Answer = TypeVar("_Answer")


async def guarded(device: Device, call: Awaitable[_Answer], otherwise: _Answer) -> _Answer:
    """The call's result; `otherwise` when it raises or takes over a minute, which is cause for doubt."""
    try:
        async with asyncio.timeout(CALL_S):
            return await call
    except Exception as error:  # noqa: BLE001 - a driver may be the lab's own
        driver_failed(device, error)
        return otherwise


def driver_failed(device: Device, error: Exception) -> None:
    """Log an error that a driver should not have raised, and have its device checked before more work."""
    log.error("%s: its driver", device.name, exc_info=error)
    device.doubt(f"the driver met an error: {str(error) or type(error).__name__}")
