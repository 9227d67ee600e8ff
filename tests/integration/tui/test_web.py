"""The dashboard in a real browser, through textual-serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

from tests.conftest import required_program
from tests.support.browser import browser, chromium
from tests.support.lab.service import LabService
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


@contextlib.asynccontextmanager
async def pages(server: str, *options: str) -> AsyncGenerator[tuple[str, asyncio.subprocess.Process]]:
    """`qgjob tui --web`, and where its pages are."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("qgjob")),
        *("--server", server, "tui", "--web", "--port", "0", *options),
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "NO_COLOR"},
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        found = re.search(rb"http://\S+", line)
        assert found, line
        yield found[0].decode(), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_browser_shows_the_lab_changes_nothing_and_asks_nobody_else(
    lab: LabService, nats_server: NatsServer, tmp_path: Path
) -> None:
    if chromium() is None:
        required_program("chromium")
    downloads = tmp_path / "downloads"
    async with (
        pages(nats_server.url) as (address, process),
        browser(tmp_path / "profile") as page,
    ):
        await page.download_to(downloads)
        await page.open(address)
        await page.seen("● live", 60)
        await page.seen("read-only")
        await page.seen("Filter")  # the footer: keys go to the dashboard from the beginning
        picture = await page.picture()
        colours = picture.getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 50  # text in its colours, not an empty page

        await page.press(*":jobs state:queued", "Enter")
        await page.seen("state:queued")
        await page.press("c", "y")  # would cancel the job, if it could
        await page.press(*":slots", "Enter")
        await page.seen("colour: build", 60)
        assert not [subject for subject in lab.asked if ".ctl." in subject]

        await page.press("P")
        await wait_for(lambda: [*downloads.glob("qgjob-*.svg")], 30)
        await wait_for(lambda: "<svg" in next(downloads.glob("qgjob-*.svg")).read_text())
        assert {urlsplit(a).netloc for a in page.addresses if "data:" not in a} == {urlsplit(address).netloc}

        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 20)
        assert process.returncode == 0
        await wait_for(lambda: page.value("document.body.classList.contains('-closed')"), 20)
