"""Who comes too often is told to wait, and nobody else feels it; against a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

from qgjob.bus.connect import open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.config import ServerOptions
from qgjob.gateway.limitoptions import http_limits
from qgjob.gateway.service import GatewayOptions, run_gateway
from qgjob.local.ports import free_port
from tests.support.http import Answer, Http
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

ONE_AN_HOUR = "0.001"
"""No test lasts so long that anybody may come again."""


@contextlib.asynccontextmanager
async def gateway(nats: NatsServer, proxies: tuple[str, ...] = (), **limits: str) -> AsyncGenerator[Http]:
    """A gateway alone: nobody leads and no agent is there."""
    options = GatewayOptions(
        server=ServerOptions(nats.url),
        port=free_port(),
        limits=http_limits(limits, {}),
        proxies=proxies,
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run_gateway(options, stop=stop, ready=ready))
    started = asyncio.create_task(ready.wait())
    await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield Http(f"http://127.0.0.1:{options.port}")
    finally:
        stop.set()
        started.cancel()
        await running


def is_problem(answer: Answer, set_by: str) -> None:
    """It says which limit, who set it, and when to come again."""
    assert (answer.status, answer.headers["content-type"]) == (429, "application/problem+json")
    said = answer.json
    assert (said["title"], said["status"]) == ("Too Many Requests", 429)
    assert said["limit"]["set_by"] == set_by
    assert int(answer.headers["retry-after"]) == said["retry_after_s"] >= 1
    assert ": come again in " in said["detail"]
    assert datetime.fromisoformat(said["retry_at"]).tzinfo is not None
    assert said["hint"]


def refusals(metrics: Answer) -> dict[str, float]:
    lines = [
        line for line in metrics.body.decode().splitlines() if line.startswith("qgjob_http_refused_total")
    ]
    return {line.partition('"')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in lines}


async def test_an_address_that_asks_too_often_is_refused_but_for_health_and_metrics(nats_server: NatsServer):
    async with gateway(nats_server, http_rate=ONE_AN_HOUR, http_burst="3") as http:
        answers = [await http.get("/openapi.json") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        is_problem(answers[3], "--http-rate")
        assert answers[3].json["limit"]["of"] == "127.0.0.1"
        is_problem(await http.post("/api/jobs/submit", {"org_id": "acme"}), "--http-rate")
        for path in ("/api/health", "/api/health/detailed", "/metrics"):
            assert (await http.get(path)).status in {200, 503}
        assert refusals(await http.get("/metrics")) == {"requests": 2, "jobs": 0}


async def test_who_comes_again_is_let_in(nats_server: NatsServer):
    async with gateway(nats_server, http_rate="5", http_burst="1") as http:

        async def refused() -> bool:
            return (await http.get("/openapi.json")).status == 429

        async def let_in() -> bool:
            return (await http.get("/openapi.json")).status == 200

        await wait_for(refused)
        await wait_for(let_in)


async def test_what_may_not_come_in_uses_up_nobodys_share(nats_server: NatsServer):
    async with gateway(nats_server, http_rate=ONE_AN_HOUR, http_burst="1") as http:
        for _ in range(3):
            assert (await http.get("/openapi.json", Origin="https://evil.example")).status == 403
        assert (await http.get("/openapi.json")).status == 200


async def test_an_address_is_taken_from_a_proxy_that_was_named_and_from_nobody_else(nats_server: NatsServer):
    async with gateway(nats_server, http_rate=ONE_AN_HOUR, http_burst="1") as http:
        answers = [await http.get("/openapi.json", X_Forwarded_For=f"10.0.0.{n}") for n in range(2)]
        assert [answer.status for answer in answers] == [200, 429]
    async with gateway(nats_server, ("127.0.0.1",), http_rate=ONE_AN_HOUR, http_burst="1") as http:
        for address in ("10.0.0.1", "10.0.0.2"):
            assert (await http.get("/openapi.json", X_Forwarded_For=address)).status == 200
        refused = await http.get("/openapi.json", X_Forwarded_For="10.0.0.2")
        assert refused.json["limit"]["of"] == "10.0.0.2"


async def test_an_organisation_that_submits_too_much_is_refused(nats_server: NatsServer):
    def run(org: str, count: int, **more: Any) -> dict[str, Any]:
        tests = [f"t{number}.py" for number in range(count)]
        return {"org_id": org, "app_version_id": "v1", "tests": tests, "runner": "noop", **more}

    async with open_bus(ServerOptions(nats_server.url)) as bus:
        await ensure_topology(bus)
    async with gateway(nats_server, http_jobs="10") as http:

        async def submit(body: dict[str, Any]) -> Answer:
            return await http.post("/api/jobs/submit", body)

        for wrong in (
            run("acme", 10, bundle="0" * 64),
            run("acme", 10, concurrency_key="x" * 99, requires=[""]),
        ):
            assert (await submit(wrong)).status in {404, 422}  # costs nothing
        assert (await submit(run("acme", 4, matrix=["a", "b"], run_key="k"))).status == 202
        again = await submit(run("acme", 2))
        assert again.status == 202
        refused = await submit(run("acme", 5))
        is_problem(refused, "--http-jobs")
        assert refused.json["limit"] | {"set_by": ""} == {
            "name": "jobs",
            "of": "acme",
            "per_minute": 10,
            "burst": 10,
            "set_by": "",
        }
        assert (await submit(run("other", 1000))).status == 202  # a run is larger, and is owed
        is_problem(await submit(run("other", 1)), "--http-jobs")
        assert refusals(await http.get("/metrics")) == {"requests": 0, "jobs": 2}


async def test_a_repeated_submit_costs_nothing(nats_server: NatsServer):
    body = {"org_id": "acme", "app_version_id": "v1", "tests": ["a", "b"], "runner": "noop", "run_key": "k"}
    async with open_bus(ServerOptions(nats_server.url)) as bus:
        await ensure_topology(bus)
    async with gateway(nats_server, http_jobs="4") as http:
        answers = [await http.post("/api/jobs/submit", body) for _ in range(6)]
        assert [answer.status for answer in answers] == [202] * 6
        other = await http.post("/api/jobs/submit", body | {"run_key": "other"})
        assert other.status == 202


async def test_openapi_says_who_may_be_refused(nats_server: NatsServer):
    async with gateway(nats_server) as http:
        schema = (await http.get("/openapi.json")).json
        page = (await http.get("/docs")).body.decode()
        limited = {
            path
            for path, methods in schema["paths"].items()
            if any("429" in route["responses"] for route in methods.values())
        }
        assert set(schema["paths"]) - limited == {"/api/health", "/api/health/detailed", "/metrics"}
        answer = schema["paths"]["/api/jobs/submit"]["post"]["responses"]["429"]
        assert answer["headers"]["Retry-After"]["schema"]["type"] == "integer"
        assert list(answer["content"]) == ["application/problem+json"]
        assert page.count("Over a rate limit") == json.dumps(schema).count('"429"')
