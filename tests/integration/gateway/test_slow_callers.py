"""Callers that send next to nothing: none holds a connection for ever, and a slow link is fast enough."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator

import pytest

from qgjob.bus.topology import ensure_topology
from qgjob.client import ServerOptions, open_client
from qgjob.gateway import tempo
from qgjob.gateway.service import GatewayOptions, run_gateway
from qgjob.local.ports import free_port
from tests.support.servers import NatsServer

HOST = "Host: localhost\r\n"
SUBMIT = (
    f"POST /api/jobs/submit HTTP/1.1\r\n{HOST}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
)
BUNDLE = f"POST /api/bundles HTTP/1.1\r\n{HOST}Content-Length: 1000\r\n\r\n"
NOWHERE = f"POST /nowhere HTTP/1.1\r\n{HOST}Content-Length: 100000\r\n\r\n"


@pytest.fixture
async def port(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Where a gateway listens that waits a fraction of a second."""
    monkeypatch.setattr(tempo, "HEADERS_WITHIN_S", 0.5)
    monkeypatch.setattr(tempo, "BODY_BEGINS_WITHIN_S", 0.5)
    port = free_port()
    async with open_client(ServerOptions(nats_server.url)) as client:
        await ensure_topology(client.bus)
    stop, ready = asyncio.Event(), asyncio.Event()
    options = GatewayOptions(server=ServerOptions(nats_server.url), port=port)
    serving = asyncio.create_task(run_gateway(options, stop=stop, ready=ready))
    await ready.wait()
    yield port
    stop.set()
    await serving


async def heard(port: int, begin: str, *, drip: bytes = b"") -> str:
    """What is answered until the connection is closed, while `drip` is sent again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin.encode())

    async def dripping() -> None:
        with contextlib.suppress(OSError):
            while drip:
                await asyncio.sleep(0.05)
                writer.write(drip)
                await writer.drain()

    task = asyncio.create_task(dripping())
    answer = bytearray()
    try:
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(65536):
                    answer += part
    finally:
        task.cancel()
        writer.close()
    return answer.decode()


@pytest.mark.parametrize(
    ("begin", "drip"),
    [("", b""), ("GET /api/hea", b""), (f"GET / HTTP/1.1\r\n{HOST}", b"X: y\r\n"), ("", b"\r\n")],
)
async def test_headers_that_do_not_come_are_not_waited_for(port: int, begin: str, drip: bytes) -> None:
    assert await heard(port, begin, drip=drip) == ""


@pytest.mark.parametrize("requests", ["", f"GET /nowhere HTTP/1.1\r\n{HOST}\r\n" * 9])
async def test_headers_without_an_end_are_not_kept(port: int, monkeypatch: pytest.MonkeyPatch, requests: str):
    monkeypatch.setattr(tempo, "HEADERS_WITHIN_S", 60)
    answer = await heard(port, f"{requests}GET / HTTP/1.1\r\n{HOST}X: ", drip=b"y" * 100_000)
    assert answer.count("HTTP/1.1 404 ") == requests.count("GET")


@pytest.mark.parametrize(("begin", "drip"), [(SUBMIT, b""), (BUNDLE, b""), (SUBMIT + "{", b" ")])
async def test_a_body_that_does_not_come_is_answered_and_cut_off(port: int, begin: str, drip: bytes) -> None:
    answer = await heard(port, begin, drip=drip)
    assert answer.startswith("HTTP/1.1 408 ")
    assert "content-type: application/problem+json" in answer
    assert "comes too slowly" in answer


async def test_who_goes_on_with_a_body_behind_its_answer_is_cut_off(port: int) -> None:
    answer = await heard(port, NOWHERE, drip=b"x")
    assert answer.startswith("HTTP/1.1 404 ")
    again = await heard(port, f"GET /nowhere HTTP/1.1\r\n{HOST}\r\n", drip=b"\r\n")
    assert again.startswith("HTTP/1.1 404 ")


async def test_a_slow_link_is_fast_enough(port: int) -> None:
    body = gzip.compress(bytes(100_000)) + bytes(20_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(BUNDLE.replace("1000", str(len(body))).encode())
    step = len(body) // 8 + 1
    for start in range(0, len(body), step):
        writer.write(body[start : start + step])
        await asyncio.sleep(0.15)  # 1.2 s in all, twice what a body may take that does not get on
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
    writer.close()
