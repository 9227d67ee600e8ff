"""What callers hear while the scheduler or the server stands still."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from qgjob.local.system import LocalSystem, UpOptions
from tests.support.http import Http
from tests.support.standstill import standing_still
from tests.support.wait import wait_for


async def _well(http: Http) -> bool:
    return (await http.get("/api/health")).status == 200


@pytest.mark.parametrize("part", ["scheduler", "nats"])
async def test_whatever_is_asked_is_answered_while_a_part_stands_still(tmp_path: Path, part: str):
    absent = "/api/jobs/j_01m870ak83d764jxh3mknhef6q"
    questions = [absent, "/api/jobs", f"{absent}/logs?follow=true", "/api/agents", "/api/jobs/queue/status"]
    asked = [*(("GET", path) for path in questions), ("POST", f"{absent}/cancel")]
    async with LocalSystem(UpOptions(data_dir=tmp_path, http=True, agents=1, slots=1)) as running:
        assert running.http is not None
        http = Http(running.http)
        await wait_for(lambda: _well(http), timeout=30)
        async with standing_still(running.pids()[part]):
            answers = await asyncio.gather(
                *(asyncio.to_thread(http.ask, method, path) for method, path in asked)
            )
            stored = await http.post("/api/bundles", gzip.compress(b"")) if part == "nats" else None
    for answer in answers:
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert "not answer" in answer.json["detail"]
        assert answer.json["hint"]
    assert "may be sent again" in answers[-1].json["hint"]
    assert stored is None or stored.json["detail"] == "The NATS server does not answer: nothing was stored."
