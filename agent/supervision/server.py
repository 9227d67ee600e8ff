"""A server on this machine under a supervisor of its own, so that it ends for certain when the agent does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from agent.launch import Exit, LaunchSpec, OutputSink
from agent.supervision.job_supervisor import JobSupervisor


class SupervisedServer:
    """One process that answers on a port of loopback. Its calls are made one at a time."""

    def __init__(self, mark: str) -> None:
        """`mark` goes into the environment of everything it starts; see `JobSupervisor.start`."""
        self._mark = mark
        self._supervisor: JobSupervisor | None = None
        self._running: asyncio.Task[Exit] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def alive(self) -> bool:
        """Whether its main process runs."""
        return self._running is not None and not self._running.done()

    async def close(self) -> None:
        """End it and everything it started."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            await supervisor.close()
        if self._running is not None:
            await asyncio.wait((self._running,))
            if not self._running.cancelled():
                self._running.exception()
            self._running = None

    def _take_port(self) -> None:
        """Another free port; somebody else may take it before the server does."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])

    async def _start_process(
        self,
        launch: LaunchSpec,
        on_output: OutputSink,
        answers: Callable[[], Awaitable[bool]],
        *,
        timeout_s: float,
        look_every_s: float,
    ) -> bool:
        """Whether it came to answer; False when it ended instead, `TimeoutError` when it did neither."""
        self._supervisor = await JobSupervisor.start(mark=self._mark)
        self._running = asyncio.create_task(self._supervisor.run(launch, on_output), name="server")
        ready = asyncio.create_task(_until(answers, look_every_s))
        try:
            done, _ = await asyncio.wait(
                (self._running, ready), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
        if not done:
            raise TimeoutError
        return self._running not in done

    def _how_it_ended(self) -> str:
        if self._running is None or not self._running.done() or self._running.cancelled():
            return "no word"
        error = self._running.exception()
        return str(error) if error is not None else self._running.result().describe()


async def _until(answers: Callable[[], Awaitable[bool]], look_every_s: float) -> None:
    while True:
        if await answers():
            return
        await asyncio.sleep(look_every_s)
