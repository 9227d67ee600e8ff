"""What is asked of the bus while the dashboard goes on: logs, answers, deeds, the past.

The modules that speak to the bus are imported when they are needed: the first screen does not wait for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qgjob.errors import QgjobError
from tui.draw.times import size
from tui.navigator import Navigator
from tui.operations.deeds import Deed
from tui.platform.saving import new_file, saved_at

if TYPE_CHECKING:
    from tui.operations.doing import Outcome
    from tui.replay.tape import Tape
    from tui.screens.reading import Reading
    from tui.store.log import LogBuffer

_UNNAMED: Final = 500
_AT_ONCE: Final = 16
_PATIENCE_S: Final = 2.0
"""So long nothing is said while no answer comes."""


class Errands(Navigator):
    """Runs errands in the background; without a bus they are left alone."""

    def explain(self, job_id: str) -> None:
        """Ask the scheduler why a job is where it is, and show the answer."""
        self._read_about(f"Why is {job_id} where it is?", "explained", job_id)

    def show_report(self, job_id: str) -> None:
        """Show what a job's report found and what it left."""
        self._read_about(f"What {job_id} found and left", "reported", job_id)

    def _read_about(self, title: str, teller: str, job_id: str) -> None:
        from tui.screens.reading import Reading

        reading = Reading(title)
        self.push_screen(reading)
        if self._options is not None:
            self.run_worker(self._read(reading, teller, job_id), group="reading", exclusive=True)

    async def _read(self, reading: Reading, teller: str, job_id: str) -> None:
        client = await (await self.feed()).client()
        asking = import_module("tui.operations.asking")
        try:
            reading.show(await getattr(asking, teller)(client, job_id))
        except QgjobError as error:
            reading.fail(error.message)

    def look_up_run(self, run_id: str) -> None:
        """Ask for what events do not tell of a run: its name and metadata."""
        if self._options is not None:
            self.run_worker(self._look_up_run(run_id), group="run", exclusive=True)

    async def _look_up_run(self, run_id: str) -> None:
        client = await (await self.feed()).client()
        try:
            view = await client.run(run_id)
        except QgjobError:
            return  # what the events told is shown
        for job in view.jobs:
            self.store.see_job(job)
        self.store.jobs.runs.tell(run_id, view.org_id, size=view.size, name=view.name or "", meta=view.meta)

    def look_up_runs(self) -> None:
        """Ask for the names of the latest runs of which no event told: one looks for them by name."""
        unnamed = [run.run_id for run in self.store.jobs.runs.latest() if not run.size][:_UNNAMED]
        if self._options is not None and unnamed:
            self.run_worker(self._look_up_runs(unnamed), group="runs", exclusive=True)

    async def _look_up_runs(self, run_ids: Sequence[str]) -> None:
        client = await (await self.feed()).client()
        asking = import_module("tui.operations.asking")
        for first in range(0, len(run_ids), _AT_ONCE):
            for view in await asking.heads(client, run_ids[first : first + _AT_ONCE]):
                self.store.jobs.runs.tell(
                    view.run_id, view.org_id, size=view.size, name=view.name or "", meta=view.meta
                )

    # --- Logs ----------------------------------------------------------------------------------

    def follow(self, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]) -> None:
        """Fill a buffer with the output of jobs, or fill it on, instead of the one that was filled before."""
        if self._options is not None:
            self.followed = buffer
            buffer.complete = False
            self.run_worker(self._follow(job_ids, buffer, say), group="log", exclusive=True)

    async def _follow(self, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]) -> None:
        feed = await self.feed()
        client = await feed.client()
        log_feed = import_module("tui.feed.log_feed")
        await log_feed.follow_logs(client, self.store, job_ids, buffer, say)

    def save_logs(self, job_ids: Sequence[str]) -> None:
        """Write all stored output of jobs into a new file in the current folder."""
        if self._options is not None:
            self.run_worker(self._save_logs(job_ids), group="save")

    async def _save_logs(self, job_ids: Sequence[str]) -> None:
        client = await (await self.feed()).client()
        log_feed = import_module("tui.feed.log_feed")
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.store.clock.now()))
        path = Path(f"{job_ids[0] if len(job_ids) == 1 else 'qgjob-logs'}-{stamp}.log")
        try:
            with new_file(self, path) as file:
                written: int = await log_feed.save_logs(client, job_ids, file)
        except QgjobError as error:
            self.notify(error.message, severity="error", markup=False)
        except OSError as error:
            self.notify(f"The log was not saved: {error.strerror}.", severity="error", markup=False)
        else:
            self.notify(f"Saved {size(written)} to {saved_at(self, path)}", markup=False)

    # --- Deeds ---------------------------------------------------------------------------------

    def carry_out(self, deed: Deed) -> None:
        """Do what the user said yes to, and say what came of it."""
        if self.replay is not None:
            self.notify("That was then: nothing of it can be changed.", severity="error", markup=False)
        elif self.store.link.phase in {"connecting", "reconnecting"}:
            # It would be done some time later, when nobody expects it any more.
            self.notify(f"Not connected: no qgjob {deed.verb}.", severity="error", markup=False)
        elif self._options is not None and not self.read_only:
            self.run_worker(self._carry_out(deed), group="control")

    async def _carry_out(self, deed: Deed) -> None:
        client = await (await self.feed()).client()
        doing = import_module("tui.operations.doing")
        carrying = asyncio.ensure_future(doing.carry_out(client, deed))
        try:
            done, _ = await asyncio.wait({carrying}, timeout=_PATIENCE_S)
            if not done:
                self.notify(f"qgjob {deed.verb}: asked for, and not answered yet.", markup=False)
            outcome: Outcome = await carrying
        finally:
            carrying.cancel()
        for text, bad in outcome.told(deed):
            self.notify(text, severity="error" if bad else "information", markup=False)

    # --- The past ------------------------------------------------------------------------------

    def start_replay(self, ago_s: float) -> None:
        """Show the lab as it was, from so many seconds ago."""
        if self._options is not None:
            self.run_worker(self._start_replay(ago_s), group="replay", exclusive=True)

    async def _start_replay(self, ago_s: float) -> None:
        self.say_progress("Reading what happened …")
        try:
            client = await (await self.feed()).client()
            module = import_module("tui.replay.replay")
            since = self.live_store.clock.now() - ago_s
            tape: Tape = await module.record(client, since, self.say_progress)
        except (QgjobError, TimeoutError) as error:
            self.notify(f"What happened cannot be read: {error}", severity="error", markup=False)
            return
        finally:
            self.say_progress("")
        if not len(tape):
            self.notify("Nothing happened in that time.", markup=False)
            return
        self.show_replay(module.Replay(tape, self.live_store.link.server))

    def say_progress(self, sentence: str) -> None:
        """Show in the top line how far something is that takes a while; nothing when it is empty."""
        for store in (self.live_store, self.store):
            store.link.progress = sentence
            store.link.changed = True
