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
from qgjob.cli.waiting.progress import PlainProgress
from qgjob.cli.waiting.waiting import WaitArguments, wait_and_print
from qgjob.client import Client, WaitOptions
from qgjob.client.ids import new_ids
from qgjob.client.requests import request
from qgjob.errors import ExitCode
from tests.support.fake_scheduler import FakeScheduler
from tests.support.views import NOW, ended, make_run, started


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


@pytest.mark.parametrize("interrupted", [True, False])
async def test_a_wait_in_which_nobody_answered_leaves_no_report_without_a_test(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
):
    """CI would take it for a pass."""
    monkeypatch.setattr(request, "NO_SCHEDULER_S", 0.1)
    told = asyncio.Event()

    def tell(*_: object) -> None:
        told.set()

    monkeypatch.setattr(PlainProgress, "__call__", tell)
    junit, stderr = folder / "junit.xml", io.StringIO()
    arguments = WaitArguments(options=WaitOptions(timeout_s=60 if interrupted else 1), junit=junit)
    waiting = asyncio.create_task(
        wait_and_print(client, Output(io.StringIO(), stderr), new_ids("run", 1, NOW)[0], arguments)
    )
    await asyncio.wait_for(told.wait(), 20)
    if interrupted:
        waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled() or waiting.result() == ExitCode.WAIT_TIMEOUT
    assert not junit.exists()
    assert "says what had ended" not in stderr.getvalue()
