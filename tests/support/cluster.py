"""A cluster of three nats-servers, with schedulers and agents on it: what a larger lab runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.clock import SystemClock
from qgjob.errors import QgjobError
from qgjob.local import components
from qgjob.local.ports import free_port
from qgjob.local.supervisor import Supervisor
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

SIZE = 3


class NatsCluster:
    """Three servers that know each other; any one of them may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        ports = [free_port() for _ in range(SIZE)]
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
        self.servers = [
            NatsServer(
                folder / f"nats-{number}",
                extra=(
                    *("--cluster_name", "test"),
                    *("--cluster", f"nats://127.0.0.1:{port}"),
                    *("--routes", routes),
                ),
            )
            for number, port in enumerate(ports)
        ]

    @property
    def url(self) -> str:
        """All addresses, as clients are given them."""
        return ",".join(server.url for server in self.servers)

    async def start(self) -> None:
        """Start all and wait until they have elected a leader of their own."""
        await asyncio.gather(*(server.start() for server in self.servers))

        async def elected() -> bool:
            async with open_bus(ServerOptions(url=self.url)) as bus:
                await bus.requests.api("INFO")
            return True

        await wait_for(elected, 30, "a leader of the cluster")

    async def leads(self, bus: Bus, stream: str) -> NatsServer:
        """The server that leads a stream."""
        info = await bus.requests.api(f"STREAM.INFO.{stream}")
        name = info["cluster"]["leader"]
        return next(server for server in self.servers if server.name == name)

    async def healed(self, bus: Bus) -> None:
        """Wait until every server has all of every stream again."""

        async def current() -> bool:
            try:
                names = (await bus.requests.api("STREAM.NAMES"))["streams"]
                infos = await asyncio.gather(*(bus.requests.api(f"STREAM.INFO.{name}") for name in names))
            except QgjobError as error:  # while a stream elects its leader, nobody answers for it
                raise AssertionError(str(error)) from error
            groups = [info["cluster"] for info in infos]
            behind = [group for group in groups if _current(group) < SIZE - 1]
            assert not behind, behind
            return True

        await wait_for(current, 60, "three current copies of every stream")

    def stop(self) -> None:
        """End all."""
        for server in self.servers:
            server.kill()


def _current(group: dict[str, Any]) -> int:
    """How many servers beside its leader have all of a stream."""
    return sum(1 for other in group.get("replicas", ()) if other["current"])


@contextlib.asynccontextmanager
async def clustered(
    folder: Path, *, schedulers: int = 2, agents: int = 2, slots: int = 2, ack_wait_s: int = 3
) -> AsyncGenerator[tuple[NatsCluster, Bus]]:
    """A cluster with three copies of every stream, the services on it, and a connection."""
    cluster = NatsCluster(folder)
    store = ValkeyServer(folder / "valkey")
    try:
        await asyncio.gather(cluster.start(), store.start())
        async with asyncio.TaskGroup() as tasks:
            services = Supervisor(folder, tasks=tasks, clock=SystemClock(), announce=print)
            try:
                await services.start(
                    *(
                        components.scheduler(
                            f"scheduler-{number}",
                            cluster.url,
                            store.url,
                            cwd=folder,
                            log_level="info",
                            extra=("--replicas", str(SIZE), "--ack-wait", str(ack_wait_s)),
                        )
                        for number in range(schedulers)
                    )
                )
                for number in range(agents):
                    home = folder / f"agent-{number}"
                    home.mkdir()
                    await services.start(
                        components.agent(
                            str(number), cluster.url, slots=slots, labels=(), folder=home, log_level="info"
                        )
                    )
                async with open_bus(ServerOptions(url=cluster.url, name="test")) as bus:
                    yield cluster, bus
            finally:
                await services.stop()
    finally:
        cluster.stop()
        store.kill()
