"""A server that falls silent while something is being stored: answered in time, and stored as a whole all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus_schemas import streams
from bus_schemas.jobs import BlobRef
from qgjob.bus.direct import read_page
from qgjob.client import Client, SubmitRequest, Submitted, TransferProgress
from qgjob.errors import RefusedError, UnreachableError
from qgjob.gateway import patience as patience_module
from qgjob.gateway.patience import Patience
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


def run_of(*tests: str) -> SubmitRequest:
    return SubmitRequest(org_id="acme", app_version_id="v1", tests=tests, runner="noop", run_key="k")


@pytest.mark.parametrize("tests", [("a.py",), ("a.py", "b.py")])
async def test_what_the_server_fell_silent_over_is_stored_as_a_whole_when_it_goes_on(
    client: Client, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, tests: tuple[str, ...]
) -> None:
    monkeypatch.setattr(patience_module, "STORED_WITHIN_S", 0.2)
    patience = Patience(client)

    async def storing() -> Submitted:
        nats_server.pause()
        return await client.submit(run_of(*tests))

    try:
        with pytest.raises(UnreachableError, match="not known yet") as caught:
            await patience.stored(storing())
    finally:
        nats_server.resume()
    assert "run_key" in str(caught.value.hint)
    await wait_for(lambda: not patience.going_on, 30)
    stored = (await read_page(client.bus, streams.JOBS, "qg.jobs.medium.acme.*")).messages
    assert len(stored) == len(tests)
    assert (await client.submit(run_of(*tests))).accepted_before


async def test_a_server_that_answers_may_take_its_time_over_a_large_run(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "STORED_WITHIN_S", 0.001)
    submitted = await Patience(client).stored(client.submit(run_of(*(f"{n}.py" for n in range(3000)))))
    assert len(submitted.jobs) == 3000


async def test_nothing_is_begun_with_a_server_that_is_silent(
    client: Client, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "SERVER_ANSWERS_S", 0.2)
    begun: list[bool] = []

    async def storing() -> None:
        begun.append(True)

    nats_server.pause()
    try:
        with pytest.raises(UnreachableError, match="nothing was stored"):
            await Patience(client).stored(storing())
    finally:
        nats_server.resume()
    assert begun == []


async def test_what_is_wrong_with_it_is_said_as_ever(client: Client) -> None:
    patience = Patience(client)
    assert not (await patience.stored(client.submit(run_of("a.py")))).accepted_before
    with pytest.raises(RefusedError, match="already used"):
        await patience.stored(client.submit(run_of("other.py")))
    assert not patience.going_on


async def test_a_file_that_gets_on_is_waited_for_and_one_that_does_not_is_cut_off(
    client: Client, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    patience = Patience(client)
    file = tmp_path / "bundle"
    file.write_bytes(b"\x1f\x8b" + bytes(2**20))
    blob = await patience.moving(lambda moved: client.upload_bundle(file, progress=moved))
    assert await client.stored_bundle(blob.digest) == blob

    file.write_bytes(b"\x1f\x8b" + bytes(3 * 2**20))

    async def sending(moved: TransferProgress) -> BlobRef:
        nats_server.pause()
        return await client.upload_bundle(file, progress=moved)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(patience_module, "STORED_WITHIN_S", 0.2)
            with pytest.raises(UnreachableError, match="nothing was stored"):
                await patience.moving(sending)
    finally:
        nats_server.resume()
    assert (await patience.moving(lambda moved: client.upload_bundle(file, progress=moved))).size > 3 * 2**20
