"""Submit tests out of a folder of this machine: select, pack, upload, store."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from pathlib import Path

from qgjob.bundle import build_bundle, collect_tests
from qgjob.bus.connect import Bus
from qgjob.client.models import SubmitRequest, Submitted, TransferProgress
from qgjob.client.submitting import bundles, submit
from qgjob.clock import Clock


async def submit_tests(
    bus: Bus, request: SubmitRequest, folder: Path, *, clock: Clock, progress: TransferProgress | None = None
) -> Submitted:
    """See `Client.submit_tests`."""
    selection = await asyncio.to_thread(collect_tests, request.tests, folder)
    with tempfile.TemporaryDirectory(prefix="qgjob-bundle-") as scratch:
        packed = await asyncio.to_thread(build_bundle, selection, Path(scratch) / "bundle.tar.gz")
        bundle = await bundles.upload(bus, packed.path, now=clock.now(), progress=progress)
    wanted = dataclasses.replace(request, tests=selection.tests, bundle=bundle)
    return await submit.submit(bus, wanted, clock=clock)
