"""A lab with the accounts of deploy/accounts.conf: each role does its work, and gets at nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from agent.service import wait_for_streams
from bus_schemas import subjects
from bus_schemas.streams import AGENTS_BUCKET, BUNDLE_OBJECTS, SETTINGS_BUCKET, WORK, group_consumer
from qgjob.bus import kv
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.bus.direct import read_at, read_last
from qgjob.bus.pull import ACK, Puller
from qgjob.bus.topology import create_consumer, ensure_topology, missing_streams, stream_state
from qgjob.clock import SystemClock
from qgjob.errors import ExitCode, NotAllowedError
from qgjob.gateway.service import GatewayOptions, run_gateway
from qgjob.local.ports import free_port
from qgjob.scheduler.service import SchedulerOptions, run_scheduler
from tests.acceptance.conftest import Qgjob, clean_env
from tests.support.accounts import AccountsServer
from tests.support.http import Http
from tests.support.programs import running, wait_for_agent
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

ASKS = {
    # Where a role may store what it likes, and have the server say it again.
    "agent": ("qg.logs.acme.j.1", "$JS.API.DIRECT.GET.QG_LOGS"),
    "ci": (f"$O.{BUNDLE_OBJECTS}.C.mine", f"$JS.API.DIRECT.GET.OBJ_{BUNDLE_OBJECTS}"),
    "view": (None, "$JS.API.DIRECT.GET.QG_EVENTS"),
}
OF_OTHERS = (
    "$JS.API.STREAM.DELETE.QG_HISTORY",
    "$JS.API.STREAM.PURGE.QG_EVENTS",
    "qg.work.any.acme.v1.j",
    "qg.work.fence",
    "qg.agent.rack.bind",
    "qg.hello",
    "qg.history.acme.t",
    "qg.cron.plan.acme.s",
    "$KV.qg_settings.s",
    "$KV.qg_leader.leader",
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AccountsServer]:
    server = AccountsServer(tmp_path / "nats")
    await server.start()
    yield server
    server.kill()


async def test_each_role_does_its_work(server: AccountsServer, tmp_path: Path, valkey_server: ValkeyServer):
    def role(name: str) -> Qgjob:
        (tmp_path / name).mkdir()
        own = {"XDG_DATA_HOME": str(tmp_path / name), "QGJOB_SERVER": server.address(name)}
        return Qgjob(tmp_path / name, clean_env(tmp_path / name) | own)

    lab, machine, ci, view = map(role, ("lab", "agent", "ci", "view"))
    port = free_port()
    with (
        # First, and waits: it may not make the streams.
        running(machine, "agent", "--name", "rack", "--slots", "1", "--data-dir", str(tmp_path / "rack")),
        running(lab, "scheduler", "--redis-url", valkey_server.url),
        running(view, "gateway", "--port", str(port)),
    ):
        http = Http(f"http://127.0.0.1:{port}")
        await wait_for_agent(http, "rack")
        for each in (ci, view):
            each.file("t.sh", 'echo said; echo kept > "$QGJOB_ARTIFACTS_DIR/a.txt"\n')
        submit = ("submit", "--org-id", "acme", "--app-version-id", "v1", "--test", "t.sh")
        done = await asyncio.to_thread(ci, *submit, "--wait", "--json", "--", "sh", "{test}")
        assert done.code == 0, done
        (job,) = (each["job_id"] for each in json.loads(done.out)["jobs"])
        for looking in (ci, view):
            assert "said" in (await asyncio.to_thread(looking, "logs", job)).out
            assert "a.txt" in (await asyncio.to_thread(looking, "artifacts", job, "--download", "here")).out
            assert (looking.folder / "here").is_dir()
            assert "passed" in (await asyncio.to_thread(looking, "explain", job)).out
            assert "no schedules" in (await asyncio.to_thread(looking, "cron", "list")).err
        for changing in (("retry", job), submit):
            refused = await asyncio.to_thread(view, *changing)
            assert refused.code == ExitCode.NOT_ALLOWED, refused
        violations = [line for line in server.log.splitlines() if "Violation" in line]
        assert [line for line in violations if "VIEW" not in line] == []


@pytest.mark.parametrize("role", ASKS)
async def test_nobody_gets_at_what_is_not_theirs_not_by_the_servers_answers_either(
    server: AccountsServer, role: str
):
    """Whoever asks says where the answer goes: in one account that would be any subject at all."""
    stored, asked = ASKS[role]
    seen: list[str] = []

    async def witness(msg: Msg) -> None:
        seen.append(msg.subject)

    async with open_bus(server.user("lab")) as lab, open_bus(server.user(role)) as bus:
        await ensure_topology(lab)
        await lab.requests.publish("qg.events.acme.r.j.1.info", b"")
        await lab.nc.subscribe(">", cb=witness)
        await lab.requests.round_trip()
        seq = (await bus.requests.publish(stored, b"")).seq if stored else 1
        for subject in OF_OTHERS:
            await bus.nc.publish(subject, b"")
            await bus.nc.publish(asked, json.dumps({"seq": seq}).encode(), reply=subject)
        await bus.requests.request(asked, json.dumps({"seq": seq}).encode())
        await lab.requests.round_trip()
        assert asked in seen
        assert [subject for subject in OF_OTHERS if subject in seen] == []
        assert await missing_streams(lab) == []
        assert (await stream_state(lab, "QG_EVENTS"))["messages"] == 1


async def test_an_agent_with_the_credentials_of_another_role_says_so_and_ends_when_a_scheduler_answers(
    server: AccountsServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent.service.SURE_AFTER_S", 0.0)
    async with open_bus(server.user("lab")) as lab, open_bus(server.user("ci")) as bus:
        await ensure_topology(lab)
        waiting = asyncio.create_task(wait_for_streams(bus, "rack"))
        await wait_for(
            lambda: "the credentials of another role (user ci of account CI)" in caplog.text, 10, "a word"
        )

        async def answer(msg: Msg) -> None:
            await msg.respond(b"{}")

        async with lab.subscribed(subjects.query("overview"), answer):
            with pytest.raises(NotAllowedError, match=r"user ci of account CI is no agent: .*KV_qg_agents"):
                await asyncio.wait_for(waiting, 10)


async def test_without_accounts_an_agent_waits_for_its_streams_though_a_scheduler_answers(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """They may be without a leader for a while; nobody's credentials are wrong."""
    monkeypatch.setattr("agent.service.SURE_AFTER_S", 0.0)
    options = ServerOptions(nats_server.url)
    async with open_bus(options) as lab, open_bus(options) as bus:

        async def answer(msg: Msg) -> None:
            await msg.respond(b"{}")

        async with lab.subscribed(subjects.query("overview"), answer):
            await lab.requests.round_trip()
            waiting = asyncio.create_task(wait_for_streams(bus, "rack"))
            await wait_for(lambda: "waiting for a scheduler" in caplog.text, 10, "a word")
            said = bus.nc.stats["out_msgs"]
            await wait_for(lambda: waiting.done() or bus.nc.stats["out_msgs"] > said + 1, 10, "another look")
            await ensure_topology(lab)
            await asyncio.wait_for(waiting, 10)


@pytest.mark.parametrize("role", ["agent", "ci", "view", "admin"])
async def test_a_scheduler_with_the_credentials_of_another_role_says_so_and_ends(
    server: AccountsServer, valkey_server: ValkeyServer, role: str
):
    options = SchedulerOptions(server.user(role), valkey_server.url, "a")
    running = run_scheduler(options, SystemClock(), stop=asyncio.Event(), ready=asyncio.Event())
    with pytest.raises(
        NotAllowedError, match=f"^User {role} of account .* may not make the streams"
    ) as caught:
        await asyncio.wait_for(running, 10)
    assert "LAB" in str(caught.value.hint)


async def test_a_gateway_whose_credentials_bring_no_answers_says_whose_they_are(
    server: AccountsServer, caplog: pytest.LogCaptureFixture
):
    stop, ready = asyncio.Event(), asyncio.Event()
    options = GatewayOptions(server=server.user("agent"), port=free_port())
    serving = asyncio.create_task(run_gateway(options, stop=stop, ready=ready))
    try:
        await wait_for(
            lambda: "no scheduler answers user agent of account AGENTS" in caplog.text, 10, "a word"
        )
    finally:
        stop.set()
        await serving


async def test_the_system_account_is_told_that_it_has_no_streams(server: AccountsServer):
    async with open_bus(server.user("admin")) as bus:
        with pytest.raises(NotAllowedError, match="no JetStream"):
            await wait_for_streams(bus, "rack")
        with pytest.raises(NotAllowedError, match="no JetStream"):
            await read_last(bus, "QG_JOBS", ["qg.jobs.>"])
        with pytest.raises(NotAllowedError, match="no JetStream"):
            await read_at(bus, "QG_JOBS", 1)


@pytest.mark.parametrize("role", ["agent", "view"])
async def test_nobody_hears_what_is_not_theirs(server: AccountsServer, role: str):
    heard: list[str] = []

    async def hear(msg: Msg) -> None:
        heard.append(msg.subject)

    async with (
        open_bus(server.user("lab")) as lab,
        open_bus(server.user("ci")) as other,
        open_bus(server.user(role)) as bus,
    ):
        await ensure_topology(lab)
        await bus.nc.subscribe(">", cb=hear)
        await bus.requests.round_trip()
        heard.clear()
        await kv.put(lab, SETTINGS_BUCKET, "s", b"secret")
        for number, priority in enumerate(("high", "run")):
            await other.requests.publish(f"qg.jobs.{priority}.acme.{number}", b"secret")
        await lab.nc.publish("qg.agent.rack.bind", b"")
        await lab.requests.round_trip()
        await bus.requests.round_trip()
        own = [subject for subject in heard if not subject.startswith("_INBOX.")]
        assert own == (["qg.agent.rack.bind"] if role == "agent" else [])


async def test_a_machine_with_an_account_of_its_own_speaks_for_itself_alone(tmp_path: Path):
    server = AccountsServer(tmp_path / "nats", alone="rogue")
    await server.start()
    heard: dict[str, list[str]] = {"lab": [], "agent": [], "rogue": []}

    def listen(name: str) -> Callable[[Msg], Awaitable[None]]:
        async def hear(msg: Msg) -> None:
            heard[name].append(msg.subject)

        return hear

    def said_by(agent: str) -> list[str]:
        return [
            subjects.slot_next(agent, "s0"),
            subjects.live_agent(agent),
            kv.key_subject(AGENTS_BUCKET, agent),
        ]

    try:
        async with contextlib.AsyncExitStack() as stack:
            buses = {name: await stack.enter_async_context(open_bus(server.user(name))) for name in heard}
            lab, rogue = buses["lab"], buses["rogue"]
            await ensure_topology(lab)
            await buses["agent"].nc.subscribe(">", cb=listen("agent"))
            await lab.nc.subscribe(">", cb=listen("lab"))
            await rogue.nc.subscribe("qg.agent.>", cb=listen("rogue"))
            for bus in buses.values():
                await bus.requests.round_trip()
            to_agents = [subjects.agent_verb(name, "bind") for name in ("rack", "rogue")]
            for subject in to_agents:
                await lab.nc.publish(subject, b"")
            for bus in (lab, rogue):
                await bus.requests.round_trip()
            for subject in (*said_by("rack"), subjects.agent_verb("rack", "cancel"), *said_by("rogue")):
                await rogue.nc.publish(subject, b"")
            await kv.put(rogue, AGENTS_BUCKET, "rogue", b"here")
            assert await kv.get(rogue, AGENTS_BUCKET, "rogue") is not None
            for bus in (rogue, *buses.values()):
                await bus.requests.round_trip()
    finally:
        server.kill()
    told = {name: [each for each in said if each[0] not in "_$"] for name, said in heard.items()}
    assert told["agent"] == to_agents
    assert told["rogue"] == [to_agents[1], subjects.agent_verb("rack", "cancel")]  # its own word, to nobody
    assert [each for each in heard["lab"] if "rack" in each] == [to_agents[0]]
    assert set(said_by("rogue")) <= set(heard["lab"])


async def test_the_server_does_not_remember_each_request_for_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As it does for as long as somebody may still listen to the answer, and agents listen for days."""
    for name, seconds in (("INBOX_S", 0.0), ("EXPIRES_S", 0.02), ("HEARTBEAT_S", 0.005)):
        monkeypatch.setattr(f"qgjob.bus.pull.{name}", seconds)
    port = free_port()
    monitor = Http(f"http://127.0.0.1:{port}")
    server = AccountsServer(tmp_path / "nats", extra=("-m", str(port)))
    await server.start()
    requests: list[str] = []

    async def count(msg: Msg) -> None:
        requests.append(msg.subject)

    try:
        async with open_bus(server.user("lab")) as lab, open_bus(server.user("agent")) as bus:
            await ensure_topology(lab)
            group = group_consumer("any", "acme", "v1")
            await create_consumer(lab, WORK, group)
            await lab.nc.subscribe("$JS.API.CONSUMER.MSG.NEXT.>", cb=count)
            async with Puller(bus, WORK, group["name"]) as puller:
                await puller.request_one()
                await wait_for(lambda: len(requests) > 40, 20, "requests that nothing came of")
                account = (await monitor.get("/accountz?acc=LAB")).json["account_detail"]
                assert len(account.get("responses", ())) < 10
                await lab.requests.publish(subjects.work("any", "acme", "v1", "j"), b"")
                await bus.requests.request((await puller.next()).reply, ACK)
    finally:
        server.kill()
