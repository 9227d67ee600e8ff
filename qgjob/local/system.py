"""The whole system on this machine as one object: `async with LocalSystem(options) as system`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from qgjob.clock import Clock, SystemClock
from qgjob.config import RunningUp, default_data_dir
from qgjob.connecting import no_files
from qgjob.errors import QgjobError, RefusedError
from qgjob.local import components
from qgjob.local.binaries import nats_config_file
from qgjob.local.child import ChildError, ChildSpec
from qgjob.local.folder import DataFolder
from qgjob.local.listen import config_with_token, listen_at, url
from qgjob.local.ports import free_port, is_free
from qgjob.local.room import RoomWatch
from qgjob.local.statefile import published
from qgjob.local.supervisor import Announce, Supervisor

DEFAULT_LABELS = ("process", "emulator", "device", "simulator")
DEFAULT_SLOTS = 4
DEFAULT_PORT = 4222
DEFAULT_HTTP_PORT = 3000

_PORT_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What a local system consists of, and where it lives."""

    slots: int = DEFAULT_SLOTS
    """Slots of each agent."""
    labels: tuple[str, ...] = DEFAULT_LABELS
    """Labels of every slot."""
    port: int | None = None
    """The port of NATS, which must then be free; else 4222 or any that is free."""
    listen: str | None = None
    """`HOST[:PORT]` where NATS listens, so that other machines may join; else on loopback."""
    token_file: Path | None = None
    """The file of the token that NATS asks for; needed when it listens to more than loopback."""
    data_dir: Path | None = None
    """Where everything is kept; else a folder of this user's."""
    log_level: str = "info"
    http: bool = False
    """Whether the HTTP gateway belongs to it."""
    http_port: int | None = None
    """Its port, which must then be free; else 3000 or any that is free."""
    valkey: bool = True
    schedulers: int = 1
    """Scheduler processes; they elect a leader."""
    agents: int = 1
    """Agent processes, each with `slots` slots."""
    scheduler_args: tuple[str, ...] = ()
    """Further arguments of every scheduler."""
    agent_args: tuple[str, ...] = ()
    """Further arguments of every agent."""
    gateway_args: tuple[str, ...] = ()
    """Further arguments of the HTTP gateway."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a local system's servers are."""

    server: str
    redis_url: str | None
    http: str | None = None


#: Makes the children that run on top of the servers: one sequence a stage, started in this order.
Services = Callable[[UpOptions, Addresses, DataFolder], Sequence[Sequence[ChildSpec]]]


def default_services(
    options: UpOptions, addresses: Addresses, folder: DataFolder
) -> Sequence[Sequence[ChildSpec]]:
    """Return the schedulers, then the agents."""
    schedulers = [
        components.scheduler(
            _numbered("scheduler", number, options.schedulers),
            addresses.server,
            addresses.redis_url,
            cwd=folder.path,
            log_level=options.log_level,
            extra=options.scheduler_args,
        )
        for number in range(1, options.schedulers + 1)
    ]
    names = [_numbered("local", number, options.agents) for number in range(1, options.agents + 1)]
    agents = [
        components.agent(
            name,
            addresses.server,
            slots=options.slots,
            labels=options.labels,
            folder=folder.agent(name),
            log_level=options.log_level,
            extra=options.agent_args,
        )
        for name in names
    ]
    return schedulers, agents


class LocalSystem:
    """NATS, Valkey, schedulers and agents of one data folder, running while the block runs.

    Nothing it starts outlives this process, however that ends. Entering raises RefusedError when
    another `up` has the folder or the given port is taken, and ChildError when a part does not
    start; whatever was started is stopped again. Making one raises UsageError when it would listen to
    other machines without a token. With `publish`, other commands of this user
    find it (`qgjob.config.running_up`). Use it from the main thread.
    """

    def __init__(
        self,
        options: UpOptions,
        *,
        announce: Announce = lambda _: None,
        services: Services = default_services,
        publish: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.options = options
        self.folder = DataFolder(options.data_dir or default_data_dir(os.environ))
        self._announce = announce
        self._services = services
        self._publish = publish
        self._clock = clock or SystemClock()
        self.listen = listen_at(options.listen, options.token_file, options.port)
        self._supervisor: Supervisor | None = None
        self._addresses: asyncio.Future[Addresses] | None = None
        self._main: asyncio.Task[None] | None = None

    @property
    def server(self) -> str:
        """The address of NATS."""
        return self._known.server

    @property
    def redis_url(self) -> str:
        """The address of Valkey."""
        url = self._known.redis_url
        if url is None:
            raise RuntimeError("this system was started without Valkey")
        return url

    @property
    def http(self) -> str | None:
        """The address of the HTTP gateway, if there is one."""
        return self._known.http

    def pids(self) -> dict[str, int]:
        """Return the process id of every child that runs now: nats, valkey, scheduler, agent-local, …."""
        return self._supervisor.pids() if self._supervisor else {}

    def hurry(self) -> None:
        """Kill, instead of waiting for, what is being stopped."""
        if self._supervisor:
            self._supervisor.hurry()

    async def __aenter__(self) -> Self:
        self._addresses = asyncio.get_running_loop().create_future()
        # All of it lives in one task of its own, so that entering and leaving may happen in
        # different tasks, as fixtures of a test do.
        self._main = asyncio.create_task(self._run(self._addresses))
        try:
            await asyncio.wait({self._addresses, self._main}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._end()
            raise
        if self._main.done():
            self._main.result()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def failed(self) -> None:
        """Wait until the supervisor itself fails, and raise its error; until then nothing happens."""
        if self._main:
            await asyncio.shield(self._main)

    async def _end(self) -> None:
        if self._main is None:
            return
        self._main.cancel()
        await asyncio.wait({self._main})
        if not self._main.cancelled():
            self._main.result()

    @property
    def _known(self) -> Addresses:
        if self._addresses is None or not self._addresses.done():
            raise RuntimeError("the system is not running")
        return self._addresses.result()

    async def _run(self, addresses: asyncio.Future[Addresses]) -> None:
        try:
            async with self.folder.locked() as lock_fd:
                await self._run_locked(addresses, lock_fd)
        except ExceptionGroup as group:
            # A TaskGroup wraps even what its own body raised.
            match group.exceptions:
                case (QgjobError() as error,):
                    raise error from None
                case _:
                    raise

    async def _run_locked(self, addresses: asyncio.Future[Addresses], lock_fd: int) -> None:
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._supervisor = Supervisor(
                self.folder.logs, tasks=tasks, clock=self._clock, announce=self._announce
            )
            stack.push_async_callback(self._supervisor.stop)
            found = Addresses(
                await self._start_nats(self._supervisor, lock_fd),
                await self._start_valkey(self._supervisor) if self.options.valkey else None,
            )
            *before, last = self._services(self.options, found, self.folder) or ((),)
            for stage in before:
                await self._start(self._supervisor, stage)
            # Before the agents: who waits until `qgjob health` finds one calls HTTP next.
            if self.options.http:
                found = replace(found, http=await self._start_gateway(self._supervisor, found.server))
            await self._start(self._supervisor, last)
            if self._publish:
                token_file = self.listen.token_file
                state = RunningUp(
                    found.server,
                    found.redis_url,
                    os.getpid(),
                    str(self.folder.path),
                    self._clock.now(),
                    str(token_file) if token_file else None,
                    found.http,
                )
                stack.enter_context(published(state, os.environ))
            watch = RoomWatch(
                self._supervisor.log("nats"),
                self.folder.nats,
                start_again=partial(self._supervisor.start_again, "nats"),
                announce=self._announce,
                clock=self._clock,
            )
            watching = tasks.create_task(watch.run())
            stack.callback(watching.cancel)
            addresses.set_result(found)
            await asyncio.get_running_loop().create_future()  # until we are cancelled

    async def _start(self, supervisor: Supervisor, stage: Sequence[ChildSpec]) -> None:
        await supervisor.start(*(self._to_our_server(spec) for spec in stage))

    async def _start_nats(self, supervisor: Supervisor, lock_fd: int) -> str:
        listen, token = self.listen, self.listen.token
        store = self.folder.nats
        config = config_with_token(nats_config_file(), token, self.folder.path) if token else None
        _must_be_free(listen.port, "--port", listen.host)
        port = await self._start_on_port(
            supervisor,
            lambda port: components.nats(port, store, lock_fd=lock_fd, listen=listen, config=config),
            wanted=listen.port,
            prefer=DEFAULT_PORT,
            host=listen.host,
        )
        return url(listen.reached_at, port)

    def _to_our_server(self, spec: ChildSpec) -> ChildSpec:
        """To our server, and with nothing that the environment or a context has for another one."""
        file = self.listen.token_file
        token = {"QGJOB_TOKEN": str(file)} if file else {}
        return replace(spec, env={**spec.env, **no_files(), **token})

    async def _start_valkey(self, supervisor: Supervisor) -> str:
        port = await self._start_on_port(supervisor, lambda port: components.valkey(port, self.folder.valkey))
        return f"redis://{components.HOST}:{port}/0"

    async def _start_gateway(self, supervisor: Supervisor, server: str) -> str:
        wanted = self.options.http_port
        _must_be_free(wanted, "--http-port")
        port = await self._start_on_port(
            supervisor,
            lambda port: self._to_our_server(
                components.gateway(
                    server,
                    port,
                    cwd=self.folder.path,
                    log_level=self.options.log_level,
                    extra=self.options.gateway_args,
                )
            ),
            wanted=wanted,
            prefer=DEFAULT_HTTP_PORT,
        )
        return f"http://{components.HOST}:{port}"

    @staticmethod
    async def _start_on_port(
        supervisor: Supervisor,
        spec: Callable[[int], ChildSpec],
        *,
        wanted: int | None = None,
        prefer: int | None = None,
        host: str = components.HOST,
    ) -> int:
        for left in reversed(range(_PORT_TRIES)):
            port = wanted or free_port(host, prefer=prefer)
            try:
                await supervisor.start(spec(port))
            except ChildError as error:
                # Somebody else may have been quicker at the port that was free a moment ago.
                if wanted is not None or not left or "already in use" not in error.message:
                    raise
            else:
                return port
        raise AssertionError("unreachable")


def _must_be_free(port: int | None, option: str, host: str = components.HOST) -> None:
    if port is not None and not is_free(port, host):
        raise RefusedError(
            f"Port {port} is already in use on this machine.",
            hint=f"Give another one with {option}, or none to take any that is free.",
        )


def _numbered(name: str, number: int, of: int) -> str:
    return name if of == 1 else f"{name}-{number}"
