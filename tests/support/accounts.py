"""A nats-server with the project's nats.conf and the accounts of deploy/accounts.conf, as an operator sets them up."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path

from qgjob.bus.connect import ServerOptions
from qgjob.local.binaries import nats_config_file
from tests.support.servers import NatsServer

SAMPLE = Path(__file__).parents[2] / "deploy" / "accounts.conf"


def with_passwords() -> str:
    """The sample with names and passwords instead of keys; every user has the password `pw`."""
    return re.sub(
        r"\{ nkey: \$([A-Z]+)_NKEY \}",
        lambda user: f"{{ user: {user[1].lower()}, password: pw }}",
        SAMPLE.read_text(),
    )


def with_keys(keys: str) -> str:
    """The sample, with the lines that it shows replaced by those with keys."""
    return re.sub(r'(^# [A-Z]+_NKEY: ".*"\n)+', lambda _: keys, SAMPLE.read_text(), flags=re.MULTILINE)


def with_account_of(accounts: str, machine: str) -> str:
    """A lab machine with an account of its own beside the others', made as the sample says."""
    block = re.search(r"^  AGENTS \{.*?^  \}\n", accounts, re.MULTILINE | re.DOTALL)
    assert block is not None
    lines = (
        block[0].replace("AGENTS", machine.upper()).replace("user: agent", f"user: {machine}").splitlines()
    )
    imports = [number for number, line in enumerate(lines) if "account: LAB" in line]
    for number in (*imports[:4], imports[-2]):
        before, star, after = lines[number].partition("*")
        assert star
        lines[number] = before + machine + after
    return accounts.replace(block[0], block[0] + "\n".join(lines) + "\n")


class AccountsServer(NatsServer):
    """Every user has the password `pw`; with `uploads` CI may upload builds; `alone` is a machine's account."""

    def __init__(
        self, folder: Path, *, uploads: bool = False, alone: str | None = None, extra: tuple[str, ...] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        accounts = with_passwords()
        if alone:
            accounts = with_account_of(accounts, alone)
        if uploads:
            accounts = accounts.replace("# { service", "{ service")
            accounts = re.sub(
                r"^ *default_permissions: .*O\.qg_build_files.*$", "", accounts, flags=re.MULTILINE
            )
        (folder / "accounts.conf").write_text(accounts)
        config = folder / "nats.conf"
        config.write_text(nats_config_file().read_text().replace('# include "accounts', 'include "accounts'))
        super().__init__(folder, config=config, extra=extra)

    def address(self, name: str) -> str:
        """Where a user connects to, with name and password."""
        return f"nats://{name}:pw@{self.host}:{self.port}"

    def user(self, name: str) -> ServerOptions:
        """How a user connects."""
        return ServerOptions(self.address(name))

    async def _ready(self) -> bool:
        return "Server is ready" in self.log  # the usual probe has no name


@contextlib.asynccontextmanager
async def server_of_guests(folder: Path, *users: str) -> AsyncGenerator[NatsServer]:
    """A server that knows these users only. Who gives no name is let in: so tests see that it is there."""
    known = "\n".join(("{user: guest, password: guest}", *users))
    config = folder / "nats.conf"
    config.write_text(f"jetstream {{}}\nno_auth_user: guest\nauthorization {{ users: [ {known} ] }}\n")
    server = NatsServer(folder / "nats", config=config)
    await server.start()
    try:
        yield server
    finally:
        server.kill()
