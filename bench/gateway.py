"""The HTTP gateway under 20 clients: submits and status requests a second.

The clients are one process that writes requests into open connections and reads answers by their
length, so that it costs little beside what it measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.system import percentiles, running_system

CLIENTS = 20
SECONDS = 5.0
NO_LIMIT = ("--http-rate", "none")


def run_gateway() -> dict[str, Any]:
    """Submits of one job and status requests of one job, each by 20 clients for 5 s."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        given = running_system(Path(folder), agents=1, slots=4, http=True, gateway_args=NO_LIMIT)
        async with given as (system, _):
            assert system.http
            submits = await _load(system.http, "submit", "")
            job = submits.pop("last")["jobs"][0]["job_id"]
            return {"submit": submits, "status": await _load(system.http, "status", job)}


async def _load(base: str, what: str, job: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "bench.gateway", base, what, job]
    done = await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True)
    return json.loads(done.stdout)


def _request(host: str, what: str, job: str) -> bytes:
    if what == "status":
        return f"GET /api/jobs/{job} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    body = json.dumps(
        # Nothing runs: a slot with this label does not exist.
        {
            "org_id": "bench",
            "app_version_id": "v1",
            "test_path": "t.py",
            "runner": "noop",
            "requires": ["none"],
        }
    )
    head = f"POST /api/jobs/submit HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def _client(host: str, port: int, request: bytes, until: float, took: list[float]) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    body = b""
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
            raise RuntimeError(f"{head!r} {body!r}")
        took.append(time.perf_counter() - began)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return body


async def _clients(base: str, what: str, job: str) -> dict[str, Any]:
    parts = urlsplit(base)
    assert parts.hostname
    assert parts.port
    request = _request(parts.netloc, what, job)
    took: list[float] = []
    began = time.perf_counter()
    bodies = await asyncio.gather(
        *(_client(parts.hostname, parts.port, request, began + SECONDS, took) for _ in range(CLIENTS))
    )
    elapsed = time.perf_counter() - began
    times = {name: round(value * 1000, 2) for name, value in percentiles(took).items()}
    return {"per_s": round(len(took) / elapsed), "ms": times, "last": json.loads(bodies[-1])}


if __name__ == "__main__":
    import uvloop

    result = uvloop.run(_clients(*sys.argv[1:4]))
    if sys.argv[2] == "status":
        del result["last"]
    print(json.dumps(result))
