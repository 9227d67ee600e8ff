"""Looks again for the tools of this machine: they are installed and removed while an agent runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from agent.runners.toolchain import Toolchain
from qgjob.clock import Clock

log = logging.getLogger(__name__)

AGAIN_S: Final = 30.0
"""A look takes some 50 ms of the processor; an idle agent looks for nothing."""


class ToolWatch:
    """Keeps the tools of an agent true, for all of its slots."""

    def __init__(self, tools: Toolchain, environ: Mapping[str, str], clock: Clock) -> None:
        self._tools = tools
        self._environ = environ
        self._clock = clock
        self._looked_at = clock.monotonic()
        self._looking: asyncio.Task[None] | None = None

    async def renew(self) -> None:
        """Before a job: look again, unless it was done a moment ago."""
        if self._looking is None:
            if self._clock.monotonic() - self._looked_at < AGAIN_S:
                return
            self._looking = asyncio.create_task(self._look(), name="tools")
        await asyncio.shield(self._looking)  # others may wait for it too

    async def _look(self) -> None:
        try:
            self._tools.take(await asyncio.to_thread(Toolchain.discover, self._environ))
        except Exception:  # those that were found may still do
            log.exception("looking for the tools of this machine")
        finally:
            self._looked_at, self._looking = self._clock.monotonic(), None
