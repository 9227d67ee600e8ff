"""What `nats.conf` shows in comments works as it is written, and keeps out whom it should."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

from bus_schemas import subjects
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.local.binaries import nats_config_file
from qgjob.local.ports import free_port
from tests.acceptance.conftest import Qgjob, clean_env
from tests.conftest import required_program
from tests.support.accounts import with_passwords
from tests.support.programs import running
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.tls import Authority
from tests.support.wait import wait_for

NAMES = ("nats-a", "nats-b", "nats-c")
PASSWORD = "of-the-servers"


def sample(block: str, authority: Authority | None = None) -> str:
    """The file with a block in force, and accounts; with an authority also what is encrypted in the block."""
    lines: list[str] = []
    inside = False
    for line in nats_config_file().read_text().splitlines():
        bare = line.removeprefix("# ")
        inside = inside or bare == f"{block} {{"
        if inside and authority:
            bare = bare.replace("# tls {", "tls {")
        lines.append(bare if inside or bare.startswith("include") else line)
        inside = inside and bare != "}"
    text = "\n".join(lines).replace("...", PASSWORD)
    if authority:
        pair = authority.pair("server")
        for name, file in (
            ("server.pem", pair.cert),
            ("server-key.pem", pair.key),
            ("ca.pem", authority.file),
        ):
            text = text.replace(f"/etc/nats/{name}", str(file))
    return text


class Member(NatsServer):
    """A server of a cluster, with accounts."""

    def __init__(self, folder: Path, text: str, routes: dict[str, int], name: str) -> None:
        folder.mkdir()
        text = text.replace("0.0.0.0:6222", f"127.0.0.1:{routes[name]}")
        for other, port in routes.items():
            text = text.replace(f"{other}:6222", f"127.0.0.1:{port}")
        (folder / "accounts.conf").write_text(with_passwords())
        (folder / "nats.conf").write_text(text)
        super().__init__(folder / "store", config=folder / "nats.conf")

    async def _ready(self) -> bool:
        """The usual probe has no name."""
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(self.host, self.port)
            writer.close()
            return True
        return False

    def address(self, name: str) -> str:
        return f"nats://{name}:pw@{self.host}:{self.port}"

    def user(self) -> ServerOptions:
        return ServerOptions(self.address("lab"))


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


async def test_a_lab_with_accounts_on_servers_that_speak_tls_among_themselves(
    tmp_path: Path, valkey_server: ValkeyServer
) -> None:
    """Every part on another server than that which leads what it asks for, or not: as it comes."""
    authority = Authority(required_program("openssl"), tmp_path / "tls")
    async with cluster(tmp_path, sample("cluster", authority)) as (servers, routes):
        qgjob = Qgjob(tmp_path, clean_env(tmp_path) | {"XDG_DATA_HOME": str(tmp_path / "data")})
        first, second, third = servers
        rack = ("agent", "--name", "rack", "--slots", "1", "--data-dir", str(tmp_path / "rack"))
        with (
            running(
                qgjob,
                *("scheduler", "--server", first.address("lab"), "--replicas", "3"),
                *("--redis-url", valkey_server.url),
            ),
            running(qgjob, *rack, "--server", second.address("agent")),
        ):
            ci = ("--server", third.address("ci"))

            async def there() -> bool:
                return "rack/s0" in (await asyncio.to_thread(qgjob, *ci, "agents", "list")).out

            await wait_for(there, 40, "the agent")
            for number in range(20):
                qgjob.file(f"{number}.t", "")
            submit = ("submit", "--org-id", "acme", "--app-version-id", "v1", "--test", "*.t", "--wait")
            done = await asyncio.to_thread(qgjob, *ci, *submit, "--", "true")
            assert done.code == 0, done
        trust = ssl.create_default_context(cafile=authority.file)
        with socket.create_connection(("127.0.0.1", routes["nats-a"]), timeout=5) as route:
            trust.wrap_socket(route, server_hostname="127.0.0.1").close()


async def test_the_servers_of_the_sample_are_a_cluster_that_no_other_joins(tmp_path: Path) -> None:
    async with cluster(tmp_path, sample("cluster")) as (servers, routes):
        first, second, _ = servers

        async def together() -> bool:
            return await heard(first.user(), second.user())

        await wait_for(together, 30, "a cluster of three")
        text = (
            "accounts { LAB: { users: [{ user: lab, password: pw }] } }\n"
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
