"""What a person waits for at the command line: help, a submit of one file, a submit of two thousand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.system import installed_env, running

_QGJOB = str(Path(sys.executable).with_name("qgjob"))


def run_startup() -> dict[str, float]:
    """Seconds, medians of whole processes."""
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        os.environ |= installed_env(Path(folder))
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        return asyncio.run(_startup())


async def _startup() -> dict[str, float]:
    figures = {"help_s": await asyncio.to_thread(_timed, [_QGJOB, "--help"], Path.cwd(), 10)}
    async with running(agents=1, slots=1) as bus:
        url = bus.nc.connected_url
        server = f"nats://{url.netloc}" if url else ""
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            (root / "package.json").write_text("{}")
            (root / "tests").mkdir()
            for number in range(2000):
                (root / "tests" / f"t{number:04d}.py").write_text(f"print({number})\n")
            os.environ |= {
                "_QGJOB_COMPLETE": "complete_bash",
                "COMP_WORDS": "qgjob\nstatus\nr_",
                "COMP_CWORD": "2",
                "QGJOB_SERVER": server,
            }
            figures["completion_s"] = await asyncio.to_thread(_timed, [_QGJOB], root, 10)
            os.environ["QGJOB_SERVER"] = "nats://127.0.0.1:1"
            figures["completion_no_server_s"] = await asyncio.to_thread(_timed, [_QGJOB], root, 10)
            del os.environ["_QGJOB_COMPLETE"], os.environ["QGJOB_SERVER"]
            common = [_QGJOB, "--server", server, "submit", "--org-id", "bench", "--runner", "noop"]
            one = [*common, "--app-version-id", "v1", "--test", "tests/t0000.py"]
            figures["submit_1_s"] = await asyncio.to_thread(_timed, one, root, 7)
            many = [*common, "--app-version-id", "v2", "--test", "tests/*.py", "--json"]
            figures["submit_2000_s"] = await asyncio.to_thread(_timed, many, root, 3)
    return {name: round(value, 3) for name, value in figures.items()}


def _timed(argv: list[str], cwd: Path, times: int) -> float:
    took: list[float] = []
    for _ in range(times + 1):
        began = time.perf_counter()
        subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    return median(took[1:])
