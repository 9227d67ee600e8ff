"""A lab behind TLS: services and commands connect with the files of the context in use, and never without TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions, connect, open_bus
from qgjob.errors import UnreachableError
from qgjob.local.ports import free_port
from tests.acceptance.conftest import Qgjob, clean_env
from tests.conftest import required_program
from tests.support.http import Http
from tests.support.programs import running, wait_for_agent
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.tls import Authority, TlsServer
from tests.support.wait import wait_for


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(required_program("openssl"), tmp_path / "tls")


@pytest.fixture
async def server(tmp_path: Path, authority: Authority) -> AsyncIterator[TlsServer]:
    server = TlsServer(tmp_path / "nats", authority)
    await server.start()
    yield server
    server.kill()


@pytest.fixture
def lab(tmp_path: Path, authority: Authority, server: TlsServer) -> Qgjob:
    """`qgjob` where a context of that server is in use."""
    qgjob = Qgjob(tmp_path, clean_env(tmp_path) | {"XDG_DATA_HOME": str(tmp_path / "data")})
    mine = authority.pair("me")
    files = ("--tls-ca", str(authority.file), "--tls-cert", str(mine.cert), "--tls-key", str(mine.key))
    added = qgjob("context", "add", "lab", server.url, *files)
    assert added.code == 0, added
    return qgjob


async def test_all_services_connect_as_the_commands_do(
    lab: Qgjob, tmp_path: Path, valkey_server: ValkeyServer
):
    port = free_port()
    agent = ("agent", "--name", "rack", "--data-dir", str(tmp_path / "rack"))
    with (
        running(lab, "scheduler", "--redis-url", valkey_server.url),
        running(lab, *agent),
        running(lab, "gateway", "--port", str(port)),
    ):
        http = Http(f"http://127.0.0.1:{port}")
        await wait_for_agent(http, "rack")
        submit = ("submit", "--org-id", "acme", "--app-version-id", "v1", "--test", "t.py", "--wait")
        lab.file("t.py")
        done = await asyncio.to_thread(lab, *submit, "--", "true")
        assert (done.code, "ssl" in done.err) == (0, False), done.err


async def test_files_are_named_on_the_command_line_in_the_environment_or_in_the_agents_own(
    tmp_path: Path, authority: Authority, server: TlsServer, valkey_server: ValkeyServer
):
    mine = authority.pair("me")
    files = {"server": server.url, "tls_ca": authority.file, "tls_cert": mine.cert, "tls_key": mine.key}
    bare = Qgjob(tmp_path, clean_env(tmp_path) | {"XDG_DATA_HOME": str(tmp_path / "data")})
    said = Qgjob(tmp_path, bare.env | {f"QGJOB_{name.upper()}": str(value) for name, value in files.items()})
    flags = [part for name, value in files.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    bare.file("agent.toml", "".join(f'{name} = "{value}"\n' for name, value in files.items()))
    with (
        running(bare, "scheduler", "--redis-url", valkey_server.url, *flags),
        running(
            bare, "agent", "--name", "rack", "--data-dir", str(tmp_path / "rack"), "--config", "agent.toml"
        ),
    ):

        async def there() -> bool:
            listed = await asyncio.to_thread(said, "agents", "list", "--json")
            return listed.code == 0 and [a["agent"] for a in listed.json["agents"]] == ["rack"]

        await wait_for(there, 30, "the agent")


async def test_who_has_no_certificate_or_trusts_another_authority_is_told(
    tmp_path: Path, authority: Authority, server: TlsServer
):
    with pytest.raises(UnreachableError, match="TLS"):
        await connect(ServerOptions(server.url))
    other = Authority(required_program("openssl"), tmp_path / "other")
    mine = authority.pair("me")
    options = ServerOptions(
        server.url, tls_ca=str(other.file), tls_cert=str(mine.cert), tls_key=str(mine.key)
    )
    with pytest.raises(UnreachableError, match="TLS"):
        await connect(options)


@pytest.mark.parametrize("by_scheme", [True, False])
async def test_a_server_that_speaks_no_tls_gets_no_secret(
    nats_server: NatsServer, authority: Authority, by_scheme: bool
):
    """Somebody in between could say so to see the token; the client library would go on without."""
    options = (
        ServerOptions(nats_server.url.replace("nats://", "tls://"), token="secret")
        if by_scheme
        else ServerOptions(nats_server.url, tls_ca=str(authority.file), token="secret")
    )
    with pytest.raises(UnreachableError, match="speaks no TLS"):
        await connect(options)


async def test_the_scheme_alone_asks_for_tls(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    """With a CA that the whole machine knows no file needs to be named."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    server = TlsServer(tmp_path / "open", authority, wants_certificate=False)
    await server.start()
    try:
        async with open_bus(ServerOptions(server.url.replace("nats://", "tls://"))) as bus:
            assert await bus.requests.api("INFO")
    finally:
        server.kill()


async def test_a_service_reads_certificates_again_that_were_renewed(
    authority: Authority, server: TlsServer, tmp_path: Path
) -> None:
    mine, ca = tmp_path / "mine", tmp_path / "ca.pem"

    def hand_out(by: Authority) -> ServerOptions:
        pair = by.pair("agent")
        for source, file in ((pair.cert, "cert.pem"), (pair.key, "key.pem")):
            (mine / file).write_bytes(source.read_bytes())
        ca.write_bytes(by.file.read_bytes())
        return ServerOptions(
            server.url,
            tls_ca=str(ca),
            tls_cert=str(mine / "cert.pem"),
            tls_key=str(mine / "key.pem"),
            wait_for_server=True,
        )

    mine.mkdir()
    async with open_bus(hand_out(authority)) as bus:
        server.kill()
        await wait_for(lambda: not bus.connected, 20, "the connection to be lost")
        hand_out(later := Authority(required_program("openssl"), tmp_path / "later"))
        server.trust(later)
        await server.start()
        await wait_for(lambda: bus.connected, 20, "the connection")
        assert await bus.requests.api("INFO")


async def test_a_service_says_why_it_does_not_get_at_a_server_that_speaks_tls_now_and_ends(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    server = TlsServer(tmp_path / "nats", authority, wants_certificate=False)
    encrypted = (tmp_path / "nats" / "nats.conf").read_text()
    (tmp_path / "nats" / "nats.conf").write_text("jetstream {}\n")
    await server.start()
    try:
        async with open_bus(ServerOptions(server.url, wait_for_server=True)) as bus:
            server.kill()
            (tmp_path / "nats" / "nats.conf").write_text(encrypted)
            await server.start()
            await wait_for(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text, 20, "the reason")
            assert not bus.connected
    finally:
        server.kill()


def test_a_command_that_is_refused_behind_tls_says_that_alone(tmp_path: Path, authority: Authority) -> None:
    server = TlsServer(tmp_path / "nats", authority, wants_certificate=False)
    config = tmp_path / "nats" / "nats.conf"
    config.write_text(config.read_text() + 'authorization { token: "right" }\n')
    asyncio.run(server.start())
    try:
        qgjob = Qgjob(tmp_path, clean_env(tmp_path))
        refused = qgjob("--server", server.url, "--tls-ca", str(authority.file), "list")
        assert (refused.code, "refused" in refused.err, "ssl" in refused.err) == (4, True, False), refused.err
    finally:
        server.kill()
