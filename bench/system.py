"""A whole system for a benchmark, and the submitting of jobs without bundles."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

from bench.runners import PLUGINS
from bus_schemas.jobs import BlobRef, JobSpec
from qgjob.bundle.packing import pack_folder
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.client.bundles import upload
from qgjob.client.ids import new_ids
from qgjob.client.publish_run import PlannedRun, publish_run
from qgjob.clock import SystemClock
from qgjob.local.system import LocalSystem, UpOptions
from tests.support.wait import wait_for


@contextlib.asynccontextmanager
async def running(*, agents: int, slots: int, agent_args: tuple[str, ...] = ()) -> AsyncGenerator[Bus]:
    """nats-server, Valkey, one scheduler, and agents with the benchmark's runners; yields a connection."""
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        given = running_system(Path(folder), agents=agents, slots=slots, agent_args=agent_args)
        async with given as (_, bus):
            yield bus


@contextlib.asynccontextmanager
async def running_system(
    folder: Path, *, agents: int, slots: int, **more: Any
) -> AsyncGenerator[tuple[LocalSystem, Bus]]:
    """The same in a folder of the caller's, with further options of `UpOptions`."""
    os.environ["QGJOB_RUNNER_PLUGINS"] = PLUGINS
    options = UpOptions(slots=slots, agents=agents, data_dir=folder, log_level="warning", **more)
    async with (
        LocalSystem(options, announce=lambda _: None) as system,
        open_bus(ServerOptions(url=system.server, name="bench")) as bus,
    ):
        await _slots_idle(bus, agents * slots)
        yield system, bus


async def small_bundle(bus: Bus) -> BlobRef:
    """A bundle with one empty test, `t.py`, in the object store."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "bundle"
        root.mkdir()
        (root / "t.py").touch()
        packed = pack_folder(root, Path(name) / "bundle.tar.gz")
        return await upload(bus, packed.path, now=time.time())


def planned(
    count: int,
    *,
    runner: str,
    app: str = "v1",
    argv: tuple[str, ...] = (),
    test: str = "t{}.py",
    bundle: BlobRef | None = None,
    requires: tuple[str, ...] = (),
) -> PlannedRun:
    """A run of jobs, without a bundle unless one is given."""
    now = time.time()
    run_id = new_ids("run", 1, now)[0]
    specs = [
        JobSpec(
            job_id=job_id,
            run_id=run_id,
            org_id="bench",
            app_version_id=app,
            test=test.format(position),
            position=position,
            runner=runner,
            argv=argv,
            bundle=bundle,
            requires=requires,
            created_at=now,
        )
        for position, job_id in enumerate(new_ids("job", count, now))
    ]
    return PlannedRun(
        run_id=run_id,
        org_id="bench",
        specs=specs,
        digest=run_id.encode().hex().zfill(64)[-64:],
        name=None,
        meta={},
        created_at=now,
    )


async def submit(bus: Bus, run: PlannedRun) -> None:
    """Publish a run as the client does."""
    await publish_run(bus, run, clock=SystemClock())


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


async def _slots_idle(bus: Bus, count: int) -> None:
    from bus_schemas import subjects
    from bus_schemas.requests import Overview, Query
    from qgjob.errors import QgjobError

    async def idle() -> bool:
        with contextlib.suppress(QgjobError):
            answer = await bus.requests.request(subjects.query("overview"), Query().encode(), timeout=1)
            return Overview.decode(answer.data).slots_idle >= count
        return False

    await wait_for(idle, 30, f"{count} idle slots")
