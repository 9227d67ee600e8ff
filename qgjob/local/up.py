"""`qgjob up`: the local system in the foreground until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from urllib.parse import urlsplit

from qgjob.domain.wording import pluralize
from qgjob.local.listen import url
from qgjob.local.signals import StopSignals
from qgjob.local.system import LocalSystem, Services, UpOptions, default_services

__all__ = ["UpOptions", "run_up"]


async def run_up(
    options: UpOptions,
    *,
    announce: Callable[[str], None],
    services: Services = default_services,
) -> int:
    """Run the system until SIGINT, SIGTERM or SIGHUP, then stop it in order; return the exit code.

    A second signal kills what is still being waited for. Raises what entering a LocalSystem
    raises. Call it in the main thread, as the body of `asyncio.run`.
    """

    def say(text: str) -> None:
        # A terminal that was closed must not keep us from stopping in order.
        with contextlib.suppress(OSError):
            for line in text.split("\n"):  # the last words of a service come with it
                announce(line)

    system = LocalSystem(options, announce=say, services=services, publish=True)
    signals = StopSignals(
        system, say, "Stopping; running jobs are finished or handed back. Ctrl-C again stops at once."
    )
    try:
        with signals:
            async with system:
                slots = pluralize(options.slots * options.agents, "slot")
                say(f"qgjob is up at {system.server} with {slots} ({', '.join(options.labels)}).")
                if system.listen.token_file:
                    say(f"Another machine joins with: {_joining(system)}")
                if system.http:
                    say(f"HTTP for curl is at {system.http} (see {system.http}/docs).")
                say(f"Data and logs are in {system.folder.path}. Ctrl-C stops everything.")
                await system.failed()
    except asyncio.CancelledError:
        signals.own_cancel()
    say("qgjob has stopped.")
    return 0


def _joining(system: LocalSystem) -> str:
    port = urlsplit(system.server).port or 4222
    token = system.listen.token_file
    return f"qgjob agent --server {url(system.listen.shown, port)} --token {token.name if token else 'FILE'}"
