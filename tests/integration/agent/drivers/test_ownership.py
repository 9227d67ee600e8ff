"""Two agents of one machine never serve one device, whatever each of them sees of the disk."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Final

import pytest

from agent.drivers import ownership
from agent.drivers.ownership import Ownership
from agent.errors import JobError
from tests.support.mounts import OWN_MOUNTS, skip_without_mounts

_OWN_TMP: Final = 'mount -t tmpfs tmpfs /tmp && exec "$@"'
_OTHER_AGENT: Final = (
    "import sys; from agent.drivers.ownership import Ownership; Ownership(sys.argv[1]).take()"
)


@pytest.mark.skipif(sys.platform != "linux", reason="as systemd does it")
async def test_a_service_with_a_tmp_of_its_own_is_kept_out_too() -> None:
    if Path(ownership.__file__).is_relative_to("/tmp"):
        pytest.skip("the programs lie where the test covers them")
    await asyncio.to_thread(skip_without_mounts)
    device = f"phone-{secrets.token_hex(6)}"

    async def other_agent() -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(*OWN_MOUNTS, "sh", "-c", _OWN_TMP, "sh", sys.executable, "-c", _OTHER_AGENT, device),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        return process.returncode, said.decode()

    ours = Ownership(device)
    ours.take()
    code, said = await other_agent()
    assert f"another agent of this machine serves {device}" in said
    assert code
    ours.release()
    assert (await other_agent())[0] == 0


def test_where_sockets_have_no_names_of_their_own_it_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership.sys, "platform", "darwin")
    monkeypatch.setattr(ownership, "_BASE", tmp_path)
    mine, theirs = Ownership("phone"), Ownership("phone")
    mine.take()
    mine.take()
    with pytest.raises(JobError, match="another agent of this machine serves phone"):
        theirs.take()
    mine.release()
    theirs.take()
    theirs.release()
