"""A whole system for a benchmark, and what its figures are made of."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bus_schemas.jobs import BlobRef
from qgjob.bundle.packing import pack_folder
from qgjob.bus.connect import Bus
from qgjob.client.submitting.bundles import upload
from qgjob.local.system import LocalSystem
from tests.support.pipeline import system

if TYPE_CHECKING:
    from nats.aio.msg import Msg


@contextlib.asynccontextmanager
async def running(*, agents: int, slots: int, agent_args: tuple[str, ...] = ()) -> AsyncGenerator[Bus]:
    """nats-server, Valkey, one scheduler, and agents with the benchmark's runners; yields a connection."""
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        given = running_system(Path(folder), agents=agents, slots=slots, agent_args=agent_args)
        async with given as (_, bus):
            yield bus


def running_system(
    folder: Path, *, agents: int, slots: int, **more: Any
) -> AbstractAsyncContextManager[tuple[LocalSystem, Bus]]:
    """The same in a folder of the caller's, with further options of `UpOptions`."""
    return system(folder, agents=agents, slots=slots, log_level="warning", scheduler_args=(), **more)


async def small_bundle(bus: Bus) -> BlobRef:
    """A bundle with one empty test, `t.py`, in the object store."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "bundle"
        root.mkdir()
        (root / "t.py").touch()
        packed = pack_folder(root, Path(name) / "bundle.tar.gz")
        return await upload(bus, packed.path, now=time.time())


def installed_env(folder: Path) -> dict[str, str]:
    """This environment, with modules compiled once, into a folder: an installation has them compiled."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder)}


def percentiles(samples: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest, in the samples' unit."""
    ordered = sorted(samples)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": ordered[-1]}


def stored_at(msg: Msg) -> float:
    """When the server stored a message that it repeats, in Unix seconds."""
    text = (msg.headers or {})["Nats-Time-Stamp"]
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return dt.datetime.fromisoformat(seconds).replace(tzinfo=dt.UTC).timestamp() + float(f"0.{fraction or 0}")
