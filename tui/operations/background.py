"""The dashboard's requests to the bus, each a background worker: logs, answers, operations, replays.

The modules that speak to the bus are imported when they are needed: the first screen does not wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from qgjob.domain.wording import show_size
from qgjob.errors import QgjobError
from tui.navigator import Navigator
from tui.operations.catalog import Operation
from tui.platform.saving import dated, new_file, saved_at

if TYPE_CHECKING:
    from qgjob.client import Client
    from tui.screens.reading import Reading, Text
    from tui.store.log import LogBuffer

_MAX_UNNAMED_RUNS: Final = 500
_RUNS_PER_BATCH: Final = 16
_LOOK_AGAIN_S: Final = 0.25
_PATIENCE_S: Final = 2.0
"""So long nothing is said while no answer comes."""


class BackgroundTasks(Navigator):
    """Runs requests as background workers; without a bus nothing is requested."""

    def explain(self, job_id: str) -> None:
        """Ask the scheduler why a job is where it is, and show the answer."""

        async def load(client: Client) -> Text:
            from tui.operations.job_details import load_explanation

            return await load_explanation(client, job_id)

        self._open_details(f"Why is {job_id} where it is?", load)

    def show_report(self, job_id: str) -> None:
        """Show what a job's report found and what it left."""

        async def load(client: Client) -> Text:
            from tui.operations.job_details import load_report

            return await load_report(client, job_id)

        self._open_details(f"What {job_id} found and left", load)

    def _open_details(self, title: str, load: Callable[[Client], Awaitable[Text]]) -> None:
        from tui.screens.reading import Reading

        reading = Reading(title)
        self.push_screen(reading)
        if self._options is not None:
            self.run_worker(self._load_details(reading, load), group="reading", exclusive=True)

    async def _load_details(self, reading: Reading, load: Callable[[Client], Awaitable[Text]]) -> None:
        client = await (await self.feed()).client()
        try:
            reading.show(await load(client))
        except QgjobError as error:
            reading.fail(error.message)

    def look_up_run(self, run_id: str) -> None:
        """Ask for what events do not tell of a run: its name and metadata, and jobs that are not known."""
        if self._options is not None:
            self.run_worker(self._look_up_run(run_id), group="run", exclusive=True)

    async def _look_up_run(self, run_id: str) -> None:
        await self._look_up_runs([run_id])
        while self.store.link.snapshot_loading:  # noqa: ASYNC110  (the store is plain data, and tells nobody)
            await asyncio.sleep(_LOOK_AGAIN_S)
        run = self.store.jobs.runs.get(run_id)
        if run is not None and 0 < run.size <= run.known:
            return
        client = await (await self.feed()).client()
        try:
            view = await client.run(run_id)
        except QgjobError:
            return  # what the events told is shown
        for job in view.jobs:
            self.store.apply_view(job)

    def look_up_runs(self) -> None:
        """Ask for the names of the latest runs of which no event told: one looks for them by name."""
        unnamed = [run.run_id for run in self.store.jobs.runs.latest() if not run.size][:_MAX_UNNAMED_RUNS]
        if self._options is not None and unnamed:
            self.run_worker(self._look_up_runs(unnamed), group="runs", exclusive=True)

    async def _look_up_runs(self, run_ids: Sequence[str]) -> None:
        from tui.operations.job_details import load_run_summaries

        client = await (await self.feed()).client()
        for first in range(0, len(run_ids), _RUNS_PER_BATCH):
            for view in await load_run_summaries(client, run_ids[first : first + _RUNS_PER_BATCH]):
                self.store.jobs.runs.update(
                    view.run_id, view.org_id, size=view.size, name=view.name or "", meta=view.meta
                )

    # --- Logs ----------------------------------------------------------------------------------

    def follow_logs(self, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]) -> None:
        """Fill a buffer with the output of jobs, or fill it on, instead of the one that was filled before."""
        if self._options is not None:
            self.followed_log = buffer
            buffer.complete = False
            self.run_worker(self._follow_logs(job_ids, buffer, say), group="log", exclusive=True)

    async def _follow_logs(
        self, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]
    ) -> None:
        from tui.feed.log_feed import follow_logs

        client = await (await self.feed()).client()
        await follow_logs(client, self.store, job_ids, buffer, say)

    def save_logs(self, job_ids: Sequence[str]) -> None:
        """Write all stored output of jobs into a new file in the current folder."""
        if self._options is not None:
            self.run_worker(self._save_logs(job_ids), group="save")

    async def _save_logs(self, job_ids: Sequence[str]) -> None:
        from tui.feed.log_feed import save_logs

        client = await (await self.feed()).client()
        path = dated(job_ids[0] if len(job_ids) == 1 else "qgjob-logs", "log", self.store.clock.now())
        try:
            with new_file(self, path) as file:
                written = await save_logs(client, job_ids, file)
        except QgjobError as error:
            self.notify(error.message, severity="error", markup=False)
        except OSError as error:
            self.notify(f"The log was not saved: {error.strerror}.", severity="error", markup=False)
        else:
            self.notify(f"Saved {show_size(written)} to {saved_at(self, path)}", markup=False)

    # --- Operations ----------------------------------------------------------------------------

    def execute(self, operation: Operation) -> None:
        """Do what the user said yes to, and say what came of it."""
        if self.replay is not None:
            self.notify("That was then: nothing of it can be changed.", severity="error", markup=False)
        elif self.store.link.phase in {"connecting", "reconnecting"}:
            # It would be done some time later, when nobody expects it any more.
            self.notify(f"Not connected: no qgjob {operation.verb}.", severity="error", markup=False)
        elif self._options is not None and not self.read_only:
            self.run_worker(self._execute(operation), group="control")

    async def _execute(self, operation: Operation) -> None:
        from tui.operations.execute import execute

        client = await (await self.feed()).client()
        execution = asyncio.ensure_future(execute(client, operation))
        try:
            done, _ = await asyncio.wait({execution}, timeout=_PATIENCE_S)
            if not done:
                self.notify(f"qgjob {operation.verb}: asked for, and not answered yet.", markup=False)
            outcome = await execution
        finally:
            execution.cancel()
        for text, is_error in outcome.notices(operation):
            self.notify(text, severity="error" if is_error else "information", markup=False)

    # --- The past ------------------------------------------------------------------------------

    def start_replay(self, ago_s: float) -> None:
        """Show the lab as it was, from so many seconds ago."""
        if self._options is not None:
            self.run_worker(self._start_replay(ago_s), group="replay", exclusive=True)

    async def _start_replay(self, ago_s: float) -> None:
        from tui.replay.replay import Replay, record

        self.show_progress("Reading what happened …")
        try:
            client = await (await self.feed()).client()
            since = self.live_store.clock.now() - ago_s
            tape = await record(client, since, self.show_progress)
        except (QgjobError, TimeoutError) as error:
            self.notify(f"What happened cannot be read: {error}", severity="error", markup=False)
            return
        finally:
            self.show_progress("")
        if not len(tape):
            self.notify("Nothing happened in that time.", markup=False)
            return
        self.show_replay(Replay(tape, self.live_store.link.server))

    def show_progress(self, sentence: str) -> None:
        """Show in the top line how far something is that takes a while; nothing when it is empty."""
        for store in (self.live_store, self.store):
            store.link.progress = sentence
            store.link.changed = True
