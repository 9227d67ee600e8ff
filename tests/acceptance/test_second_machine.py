"""A second machine joins: `up --listen` and `agent --server`, over this machine's own address."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from pathlib import Path

import psutil
import pytest

from qgjob.client import Client, ServerOptions, SubmitRequest, WaitOptions, open_client
from qgjob.errors import NotAllowedError, UnreachableError
from qgjob.local.ports import free_port
from tests.acceptance.conftest import Qgjob, clean_env
from tests.support.programs import running
from tests.support.wait import wait_for

NOT_ALLOWED = 4


@pytest.fixture(scope="module")
def address() -> str:
    """An address at which other machines would find this one; without any the test is skipped, in CI it fails."""
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family == socket.AF_INET and not ipaddress.ip_address(entry.address).is_loopback:
                return entry.address
    text = "this machine has no IPv4 address but loopback: connect it to a network"
    if os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}:
        pytest.fail(text)
    pytest.skip(text)


def machine(folder: Path, name: str, token: str) -> Qgjob:
    """A machine of its own as far as files go, with its copy of the token."""
    home = folder / name
    home.mkdir()
    file = home / "qgjob.token"
    file.touch(mode=0o600)
    file.write_text(token + "\n")
    return Qgjob(home, clean_env(home) | {"XDG_DATA_HOME": str(home / "data")})


async def test_a_second_machine_joins_with_the_token_alone(tmp_path: Path, address: str) -> None:
    token = secrets.token_urlsafe(32)
    first, second = machine(tmp_path, "first", token), machine(tmp_path, "second", token)
    stranger = machine(tmp_path, "stranger", secrets.token_urlsafe(32))
    port = free_port(address)
    server = f"nats://{address}:{port}"
    join = ("agent", "--server", server, "--token", "qgjob.token", "--labels", "rack-2", "--name")
    up = ("up", "--listen", f"{address}:{port}", "--token", "qgjob.token", "--slots", "1")
    with running(first, *up, "--data-dir", "up"), running(second, *join, "second"):

        async def agents(client: Client) -> bool:
            return {agent.agent for agent in await client.agents()} == {"local", "second"}

        async def there() -> bool:
            try:
                async with open_client(ServerOptions(url=server, token=token)) as client:
                    return await agents(client)
            except UnreachableError as error:
                raise AssertionError(error.message) from None

        await wait_for(there, 45, "both machines")

        refused = stranger(*join, "stranger")
        assert refused.code == NOT_ALLOWED, refused
        assert f"The server at {server} refused the credentials." in refused.err
        assert "Traceback" not in refused.err
        for wrong in (None, "guess"):
            with pytest.raises(NotAllowedError):
                async with open_client(ServerOptions(url=server, token=wrong)):
                    pass

        async with open_client(ServerOptions(url=server, token=token)) as client:
            request = SubmitRequest(
                org_id="acme",
                app_version_id="v1",
                tests=("t",),
                runner="command",
                argv=("true",),
                requires=("rack-2",),
            )
            submitted = await client.submit(request)
            waited = await client.wait(submitted.run_id, WaitOptions(timeout_s=60), known=submitted)
            (job,) = waited.jobs
            assert (job.state, job.attempts[-1].agent) == ("passed", "second")
            assert await agents(client), "the stranger is not among them"
    said = "".join(path.read_text() for path in tmp_path.glob("*/*.said"))
    assert token not in said
