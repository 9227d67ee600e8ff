"""The doctor beside real parts that are really stopped, refused or out of step."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus_schemas import streams
from qgjob.bus import kv
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.cli.checkup.finding import Finding
from qgjob.cli.commands.doctor import examine
from qgjob.cli.session import Session
from qgjob.clock import SystemClock
from qgjob.errors import ExitCode
from qgjob.local.ports import free_port
from qgjob.local.system import LocalSystem, UpOptions
from qgjob.scheduler.queries.service import QueryService
from qgjob.store.connect import open_store
from qgjob.store.reader import Reader
from tests.support.accounts import AccountsServer
from tests.support.samples.lab import HEARTBEAT
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.standstill import standing_still
from tests.support.wait import wait_for


async def looked(server: str, http: str | None = None) -> tuple[dict[str, Finding], ExitCode]:
    findings, code = await examine(Session(server=server), http)
    for finding in findings:
        assert finding.status in {"ok", "unknown"} or finding.hint, f"{finding} does not say what to do"
    return {finding.name: finding for finding in findings}, code


async def seen(server: str, http: str | None, names: tuple[str, ...]) -> bool:
    found, code = await looked(server, http)
    wrong = {name for name, finding in found.items() if finding.status == "wrong"}
    return wrong >= set(names) and code != ExitCode.OK


async def test_a_system_whose_parts_are_stopped_one_by_one(tmp_path: Path):
    async with LocalSystem(UpOptions(data_dir=tmp_path, http=True, agents=1, slots=1)) as up:
        assert up.http is not None

        async def well() -> bool:
            found, code = await looked(up.server, up.http)
            assert [f for f in found.values() if f.status == "wrong"] == []
            return code == ExitCode.OK

        await wait_for(well, 30)
        for parts, names in ((("valkey", "gateway"), ("store", "http")), (("scheduler",), ("scheduler",))):
            async with standing_still(*(up.pids()[part] for part in parts)):
                await wait_for(lambda names=names: seen(up.server, up.http, names), 30, str(names))
        async with standing_still(up.pids()["nats"]):
            found, code = await looked(up.server)
            assert (found["server"].status, code) == ("wrong", ExitCode.UNREACHABLE)


async def test_nothing_listens():
    found, code = await looked(f"nats://127.0.0.1:{free_port('127.0.0.1')}")
    assert (found["server"].status, code) == ("wrong", ExitCode.UNREACHABLE)
    assert "qgjob up" in (found["server"].hint or "")


async def test_a_lab_without_leader_projection_agents_and_with_a_late_clock(
    nats_server: NatsServer, valkey_server: ValkeyServer
):
    async with (
        open_bus(ServerOptions(nats_server.url)) as bus,
        open_store(valkey_server.url) as store,
    ):
        await ensure_topology(bus)
        answering = asyncio.create_task(QueryService(bus, Reader(store), lambda: None).run())
        try:
            await wait_for(lambda: seen(nats_server.url, None, ("leader",)))
            found, code = await looked(nats_server.url)
            assert code == ExitCode.ERROR
            assert {"leader", "projector", "agents"} <= {n for n, f in found.items() if f.status == "wrong"}
            assert found["control"].status == "unknown"  # nobody is there to answer
            now = SystemClock().now()
            for name, at, schema in (("late", now - 100, 1), ("newer", now, 2)):
                beat = HEARTBEAT.model_copy(update={"agent": name, "at": at, "schema_version": schema})
                await kv.put(bus, streams.AGENTS_BUCKET, name, beat.encode())
            found, _ = await looked(nats_server.url)
            assert found["clocks"].status == "wrong"
            # By as much more as it took to be stored.
            assert re.search(r"late is 1\d\d\.\d s late \(±1\.0 s\)", found["clocks"].detail)
            assert found["versions"].status == "warning"
            assert "newer 2" in found["versions"].detail
            await bus.requests.api(f"STREAM.DELETE.{streams.LOGS}")
            assert await seen(nats_server.url, None, ("streams",))
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


class Guarded(NatsServer):
    """A server with users; the usual probe, which has no name, may ask for JetStream alone."""

    def user(self, name: str) -> ServerOptions:
        return ServerOptions(f"nats://{name}:pw@{self.host}:{self.port}")


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Users with few rights, in an account whose store is nearly full."""
    may = '["qg.query.>", "qg.jobs.run.acme.>", "$O.qg_bundle_files.>"]'
    config = tmp_path / "nats.conf"
    config.write_text(
        "jetstream { max_file: 1GB }\naccounts { LAB: { jetstream: { max_file: 10485760 }, users: [\n"
        "{ user: service, password: pw }\n"
        '{ user: probe, password: pw, permissions: { publish: ["$JS.API.INFO"], subscribe: ["_INBOX.>"] } }\n'
        f'{{ user: little, password: pw, permissions: {{ publish: {may}, subscribe: ["_INBOX.>"] }} }}\n'
        '{ user: blind, password: pw, permissions: { publish: ["qg.jobs.>"], subscribe: ["_INBOX.>"] } }\n'
        "] } }\nno_auth_user: probe\n"
    )
    server = Guarded(tmp_path / "nats", config=config)
    await server.start()
    yield server
    server.kill()


async def test_rights_that_are_missing_and_a_store_that_is_full(guarded: Guarded):
    async with open_bus(guarded.user("service")) as bus:
        for name, subject in (("QG_JOBS", "qg.jobs.>"), ("OBJ_qg_bundle_files", "$O.qg_bundle_files.>")):
            await bus.requests.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": [subject]})
        for number in range(10):
            await bus.requests.publish(f"qg.jobs.low.acme.{number}", bytes(1_030_000))
    little = f"nats://little:pw@{guarded.host}:{guarded.port}"
    findings, _ = await examine(Session(server=little), org_id="acme")
    found = {finding.name: finding for finding in findings}
    assert {n: found[n].status for n in ("submit", "upload", "control", "follow")} == {
        "submit": "ok",
        "upload": "warning",
        "control": "warning",
        "follow": "warning",
    }
    assert "pw" not in found["address"].detail
    assert found["jetstream"].status == "unknown"
    assert (await looked(little))[0]["submit"].status == "warning"  # not for others than acme
    service = f"nats://service:pw@{guarded.host}:{guarded.port}"
    assert (await looked(service))[0]["jetstream"].status == "wrong"
    async with open_bus(guarded.user("service")) as bus:
        info = await bus.requests.api("STREAM.INFO.QG_JOBS")
        assert info["state"]["messages"] == 10, "the doctor stores nothing"
    blind = f"nats://blind:pw@{guarded.host}:{guarded.port}"
    found, code = await looked(blind)
    assert (found["query"].status, found["server"].status, code) == ("wrong", "ok", ExitCode.NOT_ALLOWED)
    refused = f"nats://little:wrong@{guarded.host}:{guarded.port}"
    assert (await looked(refused))[1] == ExitCode.NOT_ALLOWED


async def test_streams_of_another_account_are_none_of_its_business(tmp_path: Path):
    server = AccountsServer(tmp_path / "nats")
    await server.start()
    try:
        async with open_bus(server.user("lab")) as bus:
            await ensure_topology(bus)
            found, _ = await looked(server.address("ci"))
    finally:
        server.kill()
    assert {n: found[n].status for n in ("jetstream", "submit", "upload")} == {
        "jetstream": "unknown",
        "submit": "ok",
        "upload": "warning",
    }
