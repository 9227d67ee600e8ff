"""What goes wrong where nobody awaits it is said in the log."""

from __future__ import annotations

import asyncio

import pytest

from bus_schemas.control import CancelRequest, CtlAnswer, Order
from bus_schemas.streams import ORDERS_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.clock import SystemClock
from qgjob.scheduler.control.bulk import Bulk, Operation
from tests.support.wait import wait_for


async def test_a_fault_in_what_an_earlier_leader_began(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    request = CancelRequest(id="r_1", by="ann", reason="enough", patient=True)
    order = Order(verb="cancel", request=request.encode().decode(), at=1.0)
    await kv.put(bus, ORDERS_BUCKET, "one", order.encode())

    async def fails(data: bytes, operation: Operation) -> CtlAnswer:
        raise ZeroDivisionError(f"{data!r} of {operation.verb}")

    ready = asyncio.Event()
    ready.set()
    running = asyncio.create_task(Bulk(bus, SystemClock(), {"cancel": fails}, ready).run())
    try:
        await wait_for(lambda: "ZeroDivisionError" in caplog.text, 10, "the fault to be said")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_fault_in_a_reader_of_messages(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_: object) -> None:
        raise ZeroDivisionError("of a reader")

    await bus.nc.subscribe("any.thing", cb=fails)
    await bus.nc.publish("any.thing", b"")
    await wait_for(lambda: "ZeroDivisionError: of a reader" in caplog.text, 10, "the fault to be said")
    assert {record.levelname for record in caplog.records} == {"ERROR"}
