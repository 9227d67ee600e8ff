"""A wait that is interrupted when all has ended, while what its report shows is still asked for."""

from __future__ import annotations

import asyncio
import io
import signal
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from qgjob import reporting
from qgjob.cli.display.output import Output
from qgjob.cli.output_file import write_whole
from qgjob.cli.waiting import waiting as waiting_module
from qgjob.cli.waiting.waiting import WaitArguments, wait_and_print
from qgjob.client import Client, WaitOptions
from tests.support.fake_scheduler import FakeScheduler
from tests.support.views import ended, make_run, started


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that came and were not ignored."""
    heard: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    yield heard
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("asked", "text"), [("explain", None), ("read_cases", "no basket")])
async def test_an_interruption_while_a_report_is_collected_leaves_one(
    client: Client,
    scheduler: FakeScheduler,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    heard: list[int],
    asked: str,
    text: str | None,
):
    collecting = asyncio.Event()

    async def without_end(*_: object, **__: object) -> None:
        collecting.set()
        await asyncio.Event().wait()

    def write_and_be_interrupted_again(path: Path, data: bytes) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        write_whole(path, data)

    monkeypatch.setattr(reporting, asked, without_end)
    monkeypatch.setattr(waiting_module, "write_whole", write_and_be_interrupted_again)
    job = scheduler.add_job(make_run(1)[0])
    await scheduler.publish_event(started(job))
    await scheduler.publish_log(job, 0, "no basket\n")
    await scheduler.publish_log(job, 1, "", eof=True)
    await scheduler.publish_event(ended(job, "failed"))
    junit, stderr = folder / "junit.xml", io.StringIO()
    options = WaitArguments(options=WaitOptions(), junit=junit, junit_cases=True)
    waiting = asyncio.create_task(wait_and_print(client, Output(io.StringIO(), stderr), job.run_id, options))
    await asyncio.wait_for(collecting.wait(), 20)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert options.state.ended is not None  # nothing is left to detach from
    failure = ET.parse(junit).find(".//failure")
    assert failure is not None
    assert text is None or text in (failure.text or "")
    assert "junit.xml says what had ended by then" in stderr.getvalue()
    assert heard == []
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
