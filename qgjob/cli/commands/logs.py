"""`qgjob logs`: what a job wrote, as it was or as it comes."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli.display.output import Output, clean_log
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.wording import show_size
from qgjob.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from bus_schemas.logs import StoredChunk
    from bus_schemas.queries import JobView
    from qgjob.client import Client

app = typer.Typer(add_completion=False)

_CUT_ESCAPE: Final = re.compile(r"\x1b(\[[0-9;:]{0,32})?\Z|\r\Z")


@app.command()
def logs(
    ctx: typer.Context,
    any_id: opt.AnyId,
    follow: Annotated[
        bool, opt.option("--follow", "-f", help="Follow the output until the job ends.")
    ] = False,
    tail: Annotated[
        int | None,
        opt.option("--tail", "-n", metavar="N", min=1, max=10_000, help="Only the last N lines of each job."),
    ] = None,
) -> None:
    """Print the output of a job, or of the jobs of a run one after the other.

    stdout and stderr of the test go to stdout, messages of the agent to stderr.
    """
    session = session_of(ctx)
    try:
        run(_main(session, any_id, follow=follow, tail=tail))
    except KeyboardInterrupt:
        raise typer.Exit(int(ExitCode.DETACHED)) from None


async def _main(session: Session, any_id: str, *, follow: bool, tail: int | None) -> None:
    from bus_schemas.queries import RunView

    async with session.client(note_slow=False) as client:
        view = await client.get(any_id)
        if not isinstance(view, RunView):
            await _print(client, session.out, view, follow=follow, tail=tail)
            return
        if follow and len(view.jobs) != 1:
            raise UsageError(
                f"{any_id} is a run of {view.size} jobs; only one job can be followed.",
                hint=f"Its jobs: qgjob status {any_id}",
            )
        for job in view.jobs:
            session.out.note(f"==> {job.title} ({job.job_id}, {job.state})")
            await _print(client, session.out, job, follow=follow, tail=tail)


async def _print(client: Client, out: Output, job: JobView, *, follow: bool, tail: int | None) -> None:
    """Print the output of a job, and what came of it: a test that was ended did not say so itself."""
    printer = LogPrinter(out)
    chunks = client.logs(job.job_id, follow=follow, tail=tail)
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            printer.chunk(chunk)
    printer.end()
    if follow:
        job = await client.job(job.job_id)
    if follow or (job.ended_at is not None and job.state != "passed"):
        from qgjob.cli.display.render import why

        out.note(" · ".join(part for part in (f"[qgjob] {job.state}", why(job)) if part))


class LogPrinter:
    """Writes chunks of output; on a terminal nothing but colours passes unseen."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._attempt: int | None = None
        self._held = ""

    def chunk(self, chunk: StoredChunk) -> None:
        """Write a chunk."""
        if self._attempt is not None and chunk.attempt != self._attempt:
            self.end()
            if not any(stream == "sys" and part.startswith("--- ") for stream, part in chunk.parts[:1]):
                self._out.note(f"--- attempt {chunk.attempt} ---")  # the agent's own line on that was lost
        self._attempt = chunk.attempt
        if chunk.dropped:
            self._out.note(f"… {show_size(chunk.dropped)} were left out here: the log is over its limit …")
        text = ""
        for stream, part in chunk.parts:
            if stream == "sys":
                self._write(text)
                text = ""
                for line in part.splitlines():
                    self._out.note(f"[qgjob] {line}")
            else:
                text += part
        self._write(text)

    def end(self) -> None:
        """Write what was held back."""
        held, self._held = self._held, ""
        if held:
            self._out.write(clean_log(held))

    def _write(self, text: str) -> None:
        if not text:
            return
        if not self._out.on_terminal:
            self._out.write(text)
            return
        text = self._held + text
        cut = _CUT_ESCAPE.search(text)  # the rest of it comes with the next chunk
        self._held = text[cut.start() :] if cut else ""
        self._out.write(clean_log(text[: cut.start()] if cut else text))
