"""Carries out one step of the recovery ladder; see `recovery`."""

from __future__ import annotations

from agent.drivers.adb.recovery import Step
from agent.drivers.adb.server import AdbServer
from agent.drivers.adb.wire import deadline


async def take_step(
    step: Step, server: AdbServer, serial: str, *, network: bool, answer_s: float, now: float
) -> None:
    """Carry out a step; a health check tells whether it helped. Raises `AdbError` or another `JobError`.

    `network`: its serial is an address. `answer_s`: how long it may take to answer. `now`: monotonic.
    """
    match step:
        case Step.CONNECT:
            await server.connect(serial)
        case Step.RECONNECT if network:
            await server.disconnect(serial)
            await server.connect(serial)
        case Step.RECONNECT:
            await server.reconnect(serial)
        case Step.KILL_SERVER:
            await server.kill(now)
            if network:
                await server.connect(serial)
        case Step.REBOOT:
            async with deadline(answer_s, serial), server.service(serial, "reboot:"):
                pass
