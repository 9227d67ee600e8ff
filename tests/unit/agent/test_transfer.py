"""What is said of a download, and how often."""

from __future__ import annotations

import asyncio

import pytest

from agent.storage.transfer import progress_text, throttled_progress


class Ear:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.heard = asyncio.Event()

    async def __call__(self, text: str) -> None:
        self.lines.append(text)
        self.heard.set()


async def test_a_quick_download_is_not_spoken_of():
    ear = Ear()
    async with throttled_progress(ear, quiet_s=60.0, every_s=0.0) as progress:
        for done in range(100):
            progress(done, 100)
            await asyncio.sleep(0)
    assert ear.lines == []


async def test_much_progress_makes_one_line_at_a_time():
    ear = Ear()
    async with throttled_progress(ear, quiet_s=0.0, every_s=60.0) as progress:
        progress(2**20, 4 * 2**20)
        await asyncio.wait_for(ear.heard.wait(), 5)
        for done in range(100):
            progress(done * 2**15, 4 * 2**20)
            await asyncio.sleep(0)
    assert ear.lines == ["fetched 1.0 of 4.0 MiB (25 %)"]


async def test_nothing_new_is_not_said_again():
    ear = Ear()
    async with throttled_progress(ear, quiet_s=0.0, every_s=0.0) as progress:
        for done in (1024, 1024, 2048):
            progress(done, 2048)
            for _ in range(20):
                await asyncio.sleep(0)
        await asyncio.wait_for(ear.heard.wait(), 5)
    assert ear.lines == ["fetched 1.0 of 2.0 KiB (50 %)", "fetched 2.0 of 2.0 KiB (100 %)"]


async def test_after_its_end_nothing_is_said():
    ear = Ear()
    async with throttled_progress(ear, quiet_s=0.0, every_s=0.0) as progress:
        pass
    progress(1, 2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert ear.lines == []


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (0, 0, "fetched 0.0 of 0.0 KiB (100 %)"),
        (12 * 2**20, 80 * 2**20, "fetched 12.0 of 80.0 MiB (15 %)"),
        (2**20 - 1, 2**20, "fetched 1.0 of 1.0 MiB (99 %)"),
        (30, 20, "fetched 0.0 of 0.0 KiB (100 %)"),
    ],
)
def test_how_far_it_is(done: int, total: int, text: str):
    assert progress_text(done, total) == text
