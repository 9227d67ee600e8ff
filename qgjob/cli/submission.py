"""One call of `submit`: upload what is needed, store the run, tell of it, and wait if that was wished."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qgjob.cli.display.output import clean
from qgjob.cli.session import Session, run
from qgjob.domain.wording import pluralize
from qgjob.errors import NotFoundError, UnreachableError

if TYPE_CHECKING:
    from bus_schemas.jobs import BlobRef
    from qgjob.bundle import Selection
    from qgjob.cli.display.output import Output
    from qgjob.cli.waiting.waiting import WaitArguments
    from qgjob.client import Client, SubmitRequest, Submitted


@dataclass(slots=True, kw_only=True)
class Submission:
    """A submit with its checked options."""

    session: Session
    request: SubmitRequest
    """Without tests and bundle, which the selection gives; with `app_file` its version may be empty."""
    selection: Selection
    app_file: Path | None = None
    waiting: WaitArguments | None = None
    """How to wait; None: not at all."""
    ignore: Sequence[str] = ()
    as_json: bool = False
    cron: tuple[str, str | None] | None = None

    def execute(self) -> int:
        """Submit, and wait if asked to; returns the exit code."""
        waiting = self.waiting
        if waiting is None:
            return run(self._main())
        from qgjob.cli.waiting.detaching import detachable

        return detachable(self.session, waiting, lambda: run(self._main()))

    async def _main(self) -> int:
        from bus_schemas.queries import META_FOLDER

        out = self.session.out
        async with self.session.client(note_slow=False) as client:
            # Before the build, which may be large: tests that cannot be packed are known at once.
            bundle = await self._bundle(client)
            version = self.request.app_version_id
            if self.app_file is not None:
                from qgjob.cli.display.transfers import bring_build

                build = await bring_build(
                    client,
                    out,
                    self.app_file,
                    org_id=self.request.org_id,
                    app_version_id=version or None,
                    platform=self.request.platform,
                )
                version = build.app_version_id
            folder = self.selection.folder
            request = dataclasses.replace(
                self.request,
                app_version_id=version,
                tests=self.selection.tests,
                bundle=bundle,
                # Annotations name files as the repository does, tests as the bundle does.
                meta={**({META_FOLDER: folder} if folder else {}), **self.request.meta},
            )
            if self.cron is not None:
                from qgjob.cli.commands.cron import print_added

                view, replaced = await client.add_schedule(request, *self.cron)
                print_added(out, view, replaced=replaced, as_json=self.as_json)
                return 0
            from qgjob.cli.display.missing_parts import warn_about_missing

            await warn_about_missing(client, out, request)
            submitted = await client.submit(request, on_run_id=self._note_sent)
            if submitted.accepted_before and self.waiting is None:
                submitted = await _with_current_states(client, out, submitted)
            self._print_submitted(submitted)
            if self.waiting is None:
                return 0
            from qgjob.cli.waiting.waiting import wait_and_print

            self.waiting.state.is_stored = True
            return await wait_and_print(client, out, submitted.run_id, self.waiting, known=submitted)

    async def _bundle(self, client: Client) -> BlobRef:
        from qgjob.bundle import build_bundle
        from qgjob.cli.display.transfers import transfer

        with tempfile.TemporaryDirectory(prefix="qgjob-bundle-") as folder:
            target = Path(folder) / "bundle.tar.gz"
            packed = await asyncio.to_thread(build_bundle, self.selection, target, ignore=self.ignore)
            with transfer(self.session.out, "tests") as progress:
                return await client.upload_bundle(packed.path, progress=progress)

    def _note_sent(self, run_id: str) -> None:
        if self.waiting is not None:
            self.waiting.state.any_id = run_id

    def _print_submitted(self, submitted: Submitted) -> None:
        out = self.session.out
        if submitted.accepted_before:
            out.note("This run key was submitted before: nothing was added, this is that run.")
        if self.as_json:
            if self.waiting is None:
                from qgjob.client.shapes import submitted_json

                out.json(submitted_json(submitted))
            else:  # with --json the one document comes at the end
                out.note(f"Submitted {submitted.run_id}.")
            return
        out.write(
            "\n".join(
                [
                    f"{submitted.run_id}  {pluralize(len(submitted.jobs), 'job')}",
                    *(f"{job.job_id}  {clean(job.title)}" for job in submitted.jobs),
                    "",
                ]
            )
        )


async def _with_current_states(client: Client, out: Output, submitted: Submitted) -> Submitted:
    """The jobs of a run that was submitted before, in the states they have by now; if that is known."""
    try:
        known = {job.job_id: job for job in (await client.run(submitted.run_id)).jobs}
    except UnreachableError:
        return submitted
    except NotFoundError as error:
        out.warn(error.message)
        return submitted
    return dataclasses.replace(submitted, jobs=tuple(known.get(job.job_id, job) for job in submitted.jobs))
