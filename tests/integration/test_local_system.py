"""A local system inside the test's own process, with stand-ins for the services."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import nats
import psutil
import pytest
from redis.asyncio import Redis

from qgjob.errors import RefusedError, UsageError
from qgjob.local.child import ChildError, ChildSpec
from qgjob.local.folder import DataFolder
from qgjob.local.ports import free_port
from qgjob.local.probes import nats_ready, valkey_ready
from qgjob.local.system import Addresses, LocalSystem, Services, UpOptions, default_services
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.services import polite, shell, stubborn
from tests.support.wait import wait_for


def stages(*specs: Sequence[ChildSpec]) -> Services:
    return lambda _options, _addresses, _folder: specs


def alone(folder: Path, *, valkey: bool = False, port: int | None = None) -> UpOptions:
    return UpOptions(data_dir=folder, schedulers=0, agents=0, valkey=valkey, port=port)


def gone(pid: int) -> Callable[[], bool]:
    return lambda: not psutil.pid_exists(pid)


async def test_servers_are_usable_inside_the_block_and_gone_after_it(tmp_path: Path) -> None:
    async with LocalSystem(alone(tmp_path, valkey=True)) as system:
        client = await nats.connect(system.server)
        await client.jetstream().add_stream(name="ANY", subjects=["any"])
        await client.close()
        async with Redis.from_url(system.redis_url) as store:
            assert await store.set("key", "value")
        pids = system.pids()
    assert set(pids) == {"nats", "valkey"}
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


async def test_streams_are_kept_between_runs(tmp_path: Path) -> None:
    async with LocalSystem(alone(tmp_path)) as system:
        client = await nats.connect(system.server)
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.jetstream().publish("kept", b"1")
        await client.close()
    async with LocalSystem(alone(tmp_path)) as system:
        client = await nats.connect(system.server)
        assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
        await client.close()


async def test_a_second_system_on_the_folder_is_refused_with_the_pid(tmp_path: Path) -> None:
    async with LocalSystem(alone(tmp_path)):
        with pytest.raises(RefusedError, match=rf"pid {os.getpid()}\) already runs on {tmp_path}"):
            async with LocalSystem(alone(tmp_path)):
                pytest.fail("a second one ran")
    async with LocalSystem(alone(tmp_path)):
        pass


async def test_two_systems_on_two_folders_take_two_ports(tmp_path: Path) -> None:
    async with LocalSystem(alone(tmp_path / "a")) as one, LocalSystem(alone(tmp_path / "b")) as other:
        assert one.server != other.server


async def test_a_port_that_was_asked_for_is_taken_or_refused(tmp_path: Path, shared_nats: NatsServer) -> None:
    port = free_port()
    async with LocalSystem(alone(tmp_path, port=port)) as system:
        assert system.server == f"nats://127.0.0.1:{port}"
    with pytest.raises(RefusedError, match=f"Port {shared_nats.port} is already in use"):
        async with LocalSystem(alone(tmp_path, port=shared_nats.port)):
            pytest.fail("it ran on a port of somebody else")


async def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"The data folder .* cannot be used"):
        async with LocalSystem(alone(tmp_path / "file" / "below")):
            pytest.fail("it ran without a folder")


@pytest.mark.parametrize("name", ["nats", "valkey", "scheduler"])
async def test_a_child_that_is_killed_is_started_again_aloud(tmp_path: Path, name: str) -> None:
    said: list[str] = []
    services = stages([polite("scheduler", tmp_path / "notes")])
    options = alone(tmp_path, valkey=True, port=free_port())  # nobody takes it meanwhile, as they may 4222
    async with LocalSystem(options, announce=said.append, services=services) as system:
        address, before = system.server, system.pids()[name]
        os.kill(before, signal.SIGKILL)
        await wait_for(lambda: system.pids().get(name, before) != before, what=f"another {name}")
        assert system.server == address
        client = await nats.connect(system.server)
        await client.close()
        assert psutil.pid_exists(system.pids()[name])
    text = "\n".join(said)
    assert f"{name} (pid {before}) ended unexpectedly by SIGKILL." in text
    assert f"{name} is started again in 0.25 s." in text
    assert f"{name} runs again" in text


async def test_a_restart_that_fails_is_tried_again_later(tmp_path: Path) -> None:
    said: list[str] = []
    flag = tmp_path / "flag"
    # Ready when the flag is there; without it, it complains and ends.
    script = (
        f"test -e {flag} || {{ echo no flag; exit 3; }}; echo ready >/dev/fd/$QGJOB_READY_FD; exec sleep 1000"
    )
    flag.touch()
    options = alone(tmp_path / "data")
    async with LocalSystem(
        options, announce=said.append, services=stages([shell("moody", script)])
    ) as system:
        flag.unlink()
        os.kill(system.pids()["moody"], signal.SIGTERM)
        await wait_for(lambda: any("moody ended at its start with code 3" in text for text in said))
        assert any("no flag" in text for text in said)
        assert "moody" not in system.pids()
        flag.touch()
        await wait_for(lambda: "moody" in system.pids())


async def test_a_service_that_does_not_start_ends_everything_with_its_last_words(tmp_path: Path) -> None:
    marker = tmp_path / "nats-pid"
    others = {child.pid for child in psutil.Process().children()}  # servers of the tests before
    script = f"pgrep -P {os.getpid()} nats-server > {marker}; echo what a pity; exit 7"
    with pytest.raises(
        ChildError, match=r"broken ended at its start with code 7\.\n  \| what a pity"
    ) as caught:
        async with LocalSystem(alone(tmp_path / "data"), services=stages([shell("broken", script)])):
            pytest.fail("it ran without its service")
    assert caught.value.hint == f"Its log: {tmp_path / 'data' / 'logs' / 'broken.log'}"
    (pid,) = {int(word) for word in marker.read_text().split()} - others
    assert not psutil.pid_exists(pid)


async def test_a_service_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    services = stages([shell("slow", "exec sleep 1000", ready_timeout_s=0.2)])
    with pytest.raises(ChildError, match=r"slow was not ready within 0\.2 s"):
        async with LocalSystem(alone(tmp_path), services=services):
            pytest.fail("it ran without its service")


async def test_a_service_that_cannot_be_executed_says_so(tmp_path: Path) -> None:
    services = stages([ChildSpec(name="none", argv=("/no/such/program",))])
    with pytest.raises(ChildError, match="cannot start /no/such/program: No such file"):
        async with LocalSystem(alone(tmp_path), services=services):
            pytest.fail("it ran without its service")


async def test_the_last_stage_stops_first(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    services = stages([polite("scheduler", notes)], [polite("agent", notes)])
    async with LocalSystem(alone(tmp_path / "data"), services=services) as system:
        assert list(system.pids()) == ["nats", "scheduler", "agent"]
    assert notes.read_text().split() == ["agent", "scheduler"]


async def test_a_service_that_does_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    said: list[str] = []
    services = stages([stubborn("mule")])
    async with LocalSystem(alone(tmp_path), announce=said.append, services=services) as system:
        pid = system.pids()["mule"]
    assert not psutil.pid_exists(pid)
    assert said == ["mule did not end within 0.2 s and was killed."]


async def test_hurrying_waits_for_no_grace(tmp_path: Path) -> None:
    said: list[str] = []
    services = stages([stubborn("mule", grace_s=1000)])
    async with LocalSystem(alone(tmp_path), announce=said.append, services=services) as system:
        system.hurry()
    assert said == []


async def test_logs_of_the_run_before_are_kept_beside(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        script = f"echo run {number}; echo ready >/dev/fd/$QGJOB_READY_FD; exec sleep 1000"
        async with LocalSystem(alone(tmp_path), services=stages([shell("talker", script)])):
            pass
    assert (tmp_path / "logs" / "talker.log").read_text() == "run 3\n"
    assert (tmp_path / "logs" / "talker.log.1").read_text() == "run 2\n"


async def test_a_server_of_somebody_else_on_the_port_is_not_taken_for_ours(shared_nats: NatsServer) -> None:
    assert await nats_ready(shared_nats.host, shared_nats.port)
    assert not await nats_ready(shared_nats.host, shared_nats.port, name="ours")


async def test_a_store_of_somebody_else_on_the_port_is_not_taken_for_ours(
    shared_valkey: ValkeyServer, tmp_path: Path
) -> None:
    assert await valkey_ready(shared_valkey.host, shared_valkey.port, folder=shared_valkey.folder)
    assert not await valkey_ready(shared_valkey.host, shared_valkey.port, folder=tmp_path)
    assert not await nats_ready(shared_valkey.host, shared_valkey.port)


async def test_its_own_server_is_shown_nothing_that_the_environment_has_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("QGJOB_CREDS", "QGJOB_TLS_CA", "QGJOB_TLS_CERT"):
        monkeypatch.setenv(variable, str(tmp_path / "of-another-lab"))
    async with LocalSystem(UpOptions(data_dir=tmp_path, slots=1, http=True)) as system:
        assert {"scheduler", "agent-local", "gateway"} <= set(system.pids())


async def test_http_is_served_before_the_first_agent_makes_the_system_healthy(tmp_path: Path) -> None:
    port = free_port()
    curl = f"{sys.executable} -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/docs')\""
    asking = shell("agent", f"{curl} && echo ready >/dev/fd/$QGJOB_READY_FD && exec sleep 1000")

    def services(
        options: UpOptions, addresses: Addresses, folder: DataFolder
    ) -> Sequence[Sequence[ChildSpec]]:
        return *default_services(options, addresses, folder)[:-1], [asking]

    async with LocalSystem(
        UpOptions(data_dir=tmp_path, http=True, http_port=port), services=services
    ) as system:
        assert {"gateway", "agent"} <= set(system.pids())
