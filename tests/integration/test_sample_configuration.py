"""What `nats.conf` shows in comments works as it is written, and keeps out whom it should."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from bus_schemas import subjects
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.local.binaries import nats_config_file
from qgjob.local.ports import free_port
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

NAMES = ("nats-a", "nats-b", "nats-c")
PASSWORD = "of-the-servers"


def sample(*blocks: str) -> str:
    """The file with some of its blocks in force; what is commented out twice stays so."""
    lines: list[str] = []
    inside = False
    for line in nats_config_file().read_text().splitlines():
        bare = line.removeprefix("# ")
        inside = inside or bare in {f"{block} {{" for block in blocks}
        lines.append(bare if inside or bare.startswith("system_account") else line)
        inside = inside and bare != "}"
    return "\n".join(lines).replace("$2a$11$...", "pw").replace("...", PASSWORD)


class Member(NatsServer):
    """A server of a cluster, with accounts."""

    def __init__(self, folder: Path, text: str, routes: dict[str, int], name: str) -> None:
        folder.mkdir()
        text = text.replace("0.0.0.0:6222", f"127.0.0.1:{routes[name]}")
        for other, port in routes.items():
            text = text.replace(f"{other}:6222", f"127.0.0.1:{port}")
        (folder / "nats.conf").write_text(text)
        super().__init__(folder / "store", config=folder / "nats.conf")

    async def _ready(self) -> bool:
        """The usual probe has no name."""
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(self.host, self.port)
            writer.close()
            return True
        return False

    def user(self) -> ServerOptions:
        return ServerOptions(f"nats://service:pw@{self.host}:{self.port}")


@contextlib.asynccontextmanager
async def cluster(folder: Path, text: str) -> AsyncGenerator[tuple[list[Member], dict[str, int]]]:
    routes = {name: free_port() for name in NAMES}
    servers = [Member(folder / name, text, routes, name) for name in NAMES]
    try:
        await asyncio.gather(*(server.start() for server in servers))
        yield servers, routes
    finally:
        for server in servers:
            server.kill()


async def heard(speaker: ServerOptions, listener: ServerOptions) -> bool:
    """Whether one hears what the other says to the agents."""
    async with open_bus(speaker) as mouth, open_bus(listener) as ear:
        subscription = await ear.nc.subscribe(subjects.agent_verb("a", "bind"))
        await ear.requests.round_trip()
        for _ in range(20):
            await mouth.nc.publish(subjects.agent_verb("a", "bind"), b"")
            with contextlib.suppress(TimeoutError):
                await subscription.next_msg(0.1)
                return True
    return False


async def test_the_servers_of_the_sample_are_a_cluster_that_no_other_joins(tmp_path: Path) -> None:
    async with cluster(tmp_path, sample("accounts", "cluster")) as (servers, routes):
        first, second, _ = servers

        async def together() -> bool:
            return await heard(first.user(), second.user())

        await wait_for(together, 30, "a cluster of three")
        text = (
            "accounts { LAB: { users: [{ user: service, password: pw }] } }\n"
            'cluster { name: qgjob, listen: "0.0.0.0:6222", routes: ["nats://nats-b:6222"] }'
        )
        other = Member(tmp_path / "stranger", text, {**routes, "nats-a": free_port()}, "nats-a")
        try:
            await other.start()
            # The second one's word: the routes of those that belong together are refused for no such reason.
            await wait_for(lambda: "Authentication Failure" in second.log, 30, "a route that is refused")
            assert not await heard(other.user(), second.user())
        finally:
            other.kill()
