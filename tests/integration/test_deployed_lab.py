"""A lab put together as docs/deploy.md says, of the files in deploy/: TLS, and a key for each role."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from qgjob.errors import ExitCode
from tests.acceptance.conftest import Qgjob, clean_env
from tests.conftest import required_program
from tests.integration.test_sample_configuration import sample
from tests.support.accounts import with_keys
from tests.support.programs import running
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.tls import Authority
from tests.support.wait import wait_for

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("lab", "agent", "ci", "view", "admin")


class DeployedServer(NatsServer):
    """The usual probe speaks no TLS."""

    async def _ready(self) -> bool:
        return "Server is ready" in self.log


def keys_made(folder: Path) -> str:
    """What the program prints that the page shows; the seeds are in the folder then."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    shown = re.search(r"python - ([a-z ]+) <<'END'\n(.*?)^END$", page, re.DOTALL | re.MULTILINE)
    assert shown is not None
    assert tuple(shown[1].split()) == ROLES
    argv = [sys.executable, "-c", shown[2], *ROLES]
    return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout


async def test_a_lab_with_a_key_for_each_role(tmp_path: Path, valkey_server: ValkeyServer) -> None:
    authority = Authority(required_program("openssl"), tmp_path / "tls")
    (tmp_path / "accounts.conf").write_text(with_keys(keys_made(tmp_path)))
    (tmp_path / "nats.conf").write_text(sample("tls", authority))
    server = DeployedServer(tmp_path / "nats", config=tmp_path / "nats.conf")
    await server.start()
    address = f"tls://127.0.0.1:{server.port}"

    def role(name: str) -> Qgjob:
        (tmp_path / f"as-{name}").mkdir()
        own = {"QGJOB_SERVER": address, "QGJOB_TLS_CA": str(authority.file)}
        own |= {"QGJOB_CREDS": str(tmp_path / f"{name}.nk")}
        return Qgjob(tmp_path / f"as-{name}", clean_env(tmp_path) | own)

    lab, ci, view = map(role, ("lab", "ci", "view"))
    config = (ROOT / "deploy" / "agent.toml").read_text()
    for installed, here in (
        ("tls://lab.example.com:4222", address),
        ("/etc/qgjob/agent.nk", str(tmp_path / "agent.nk")),
        ("/etc/qgjob/ca.pem", str(authority.file)),
    ):
        assert installed in config
        config = config.replace(installed, here)
    machine = Qgjob(tmp_path, clean_env(tmp_path) | {"QGJOB_DATA_DIR": str(tmp_path / "rack")})
    machine.file("agent.toml", config)
    try:
        with (
            running(lab, "scheduler", "--redis-url", valkey_server.url),
            running(machine, "agent", "--config", "agent.toml", "--name", "rack"),
        ):

            async def there() -> bool:
                return "rack/s3" in (await asyncio.to_thread(view, "agents", "list")).out

            await wait_for(there, 40, "the agent")
            ci.file("hello.sh", "echo hello\n")
            submit = ("submit", "--org-id", "acme", "--app-version-id", "smoke", "--test", "hello.sh")
            asked_for = ("--target", "emulator", "--require", "android-14", "--wait", "--", "sh", "{test}")
            done = await asyncio.to_thread(ci, *submit, *asked_for)
            assert done.code == 0, done
            view.file("hello.sh", "")
            assert (await asyncio.to_thread(view, *submit)).code == ExitCode.NOT_ALLOWED
    finally:
        server.kill()
