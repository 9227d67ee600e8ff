"""`qgjob watch`: what happens to a run, a job or in the whole lab, a line each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.help import completing
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.wording import pluralize
from qgjob.errors import UsageError

if TYPE_CHECKING:
    from bus_schemas.queries import JobView
    from qgjob.cli.display.output import Output
    from qgjob.client.watching.labfeed import AgentChanged

app = typer.Typer(add_completion=False)

_LOOK_S: Final = 3600.0


@app.command(
    epilog="With --json each line is one object; its `event` is job, run or agent. A lost connection is "
    "reported on stderr and retried. For a verdict use `qgjob wait`."
)
def watch(
    ctx: typer.Context,
    any_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A job (j_…) or a run (r_…), followed to its end; else everything, until Ctrl-C.",
            show_default=False,
            autocompletion=completing.jobs_and_runs,
        ),
    ] = None,
    org_id: opt.MaybeOrgId = None,
    as_json: Annotated[bool, opt.option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Follow a run, a job or the whole lab: a line for each start, end or change."""
    session = session_of(ctx)
    if any_id is None:
        org_id = None if org_id is None else values.identifier("--org-id", org_id)
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
            run(_lab(session, _Lines(session.out, as_json=as_json, wide=True), org_id))
    elif org_id is not None and opt.was_given(ctx, "org_id"):
        raise UsageError("--org-id is for watching everything: an id says whose it is.")
    else:
        run(_one(session, _Lines(session.out, as_json=as_json), any_id))


async def _one(session: Session, lines: _Lines, any_id: str) -> None:
    async with session.client(note_slow=False) as client, client.watch(any_id) as watched:
        shown = {job.job_id: _place(job) for job in watched.jobs}
        lines.begin(watched.jobs, watched.run, ended=watched.ended)
        problem: str | None = None
        while not watched.ended:
            await watched.changes(_LOOK_S)
            if watched.problem != problem:
                problem = watched.problem
                session.out.note(f"{problem} Waiting for it." if problem else "It answers again.")
            for job in watched.jobs:
                if shown.get(job.job_id) != _place(job):
                    shown[job.job_id] = _place(job)
                    lines.job(job, job.updated_at or client.clock.now())
        await watched.settle()
        lines.end(any_id, watched.jobs, watched.run)


async def _lab(session: Session, lines: _Lines, org_id: str | None) -> None:
    from qgjob.client.watching.labfeed import JobChanged

    async with session.client(note_slow=False) as client, client.lab_feed() as lab:
        lines.lab(lab.overview, len(lab.agents))
        problem: str | None = None
        while True:
            if lab.problem != problem:
                problem = lab.problem
                session.out.note(f"{problem} Waiting for it." if problem else "It answers again.")
            for change in await lab.changes(_LOOK_S):
                if not isinstance(change, JobChanged):
                    lines.agent(change)
                elif org_id in {None, change.job.org_id}:
                    lines.job(change.job, change.at)


def _place(job: JobView) -> tuple[str, int, str | None]:
    last = job.attempts[-1] if job.attempts else None
    return (job.state, len(job.attempts), last and f"{last.agent}/{last.slot}")


class _Lines:
    """How each is told: as words, or as JSON."""

    def __init__(self, out: Output, *, as_json: bool, wide: bool = False) -> None:
        self._out = out
        self._as_json = as_json
        self._wide = wide

    def begin(self, jobs: tuple[JobView, ...], run: Any, *, ended: bool) -> None:
        """A job or a run as it is at first; with --json every job of it."""
        if self._as_json:
            for job in jobs:
                self.job(job, job.updated_at or job.created_at)
        elif not ended:
            self._total(jobs, run)

    def end(self, any_id: str, jobs: tuple[JobView, ...], run: Any) -> None:
        """It is over."""
        from qgjob.domain.verdict import counts_of, run_state_of

        if not self._as_json:
            self._total(jobs, run)
        elif run is not None:
            state = run_state_of(jobs)
            self._object({"event": "run", "run_id": any_id, "state": state, "counts": counts_of(jobs)})

    def lab(self, overview: Any, agents: int) -> None:
        """The lab as it is at first, for people."""
        if not self._as_json and overview is not None:
            there = pluralize(agents, "agent")
            self._out.note(f"{there}, {overview.waiting} waiting, {overview.running} running. Ctrl-C ends.")

    def job(self, job: JobView, at: float) -> None:
        """A job is in another state, or elsewhere."""
        from qgjob.cli.display.render import last_attempt, took, where, why
        from qgjob.client.shapes import job_json

        if self._as_json:
            from qgjob.clock import rfc3339

            self._object({"event": "job", "at": rfc3339(at), **job_json(job)})
            return
        if job.state == "dispatched":  # for people: a slot has it in a moment
            return
        last = last_attempt(job)
        parts = [job.title]
        if self._wide:
            parts.append(f"{job.org_id} {job.app_version_id}")
        parts += [part for part in (where(last), took(last), why(job)) if part]
        parts.append(job.job_id)
        self._words(job.state, "  ".join(parts), at)

    def agent(self, change: AgentChanged) -> None:
        """An agent or one of its slots."""
        name = change.agent if change.slot is None else f"{change.agent}/{change.slot}"
        if self._as_json:
            from qgjob.clock import rfc3339

            fields = {"agent": change.agent, "slot": change.slot, "state": change.what, "note": change.note}
            self._object({"event": "agent", "at": rfc3339(change.at), **fields})
        else:
            kind = "agent" if change.slot is None else "slot"
            self._words(
                kind, f"{name} {change.what}" + (f": {change.note}" if change.note else ""), change.at
            )

    def _total(self, jobs: tuple[JobView, ...], run: Any) -> None:
        from qgjob.cli.display.render import summary
        from qgjob.domain.verdict import run_state_of

        if run is not None:
            self._out.say(f"{run.run_id} {run_state_of(jobs)}: {summary(jobs)}")
        else:
            self._out.say(f"{jobs[0].job_id} {jobs[0].state}: {jobs[0].title}")

    def _object(self, document: dict[str, Any]) -> None:
        import json

        self._out.write(json.dumps(document) + "\n")

    def _words(self, state: str, text: str, at: float) -> None:
        import time

        clock = time.strftime("%H:%M:%S", time.localtime(at))
        self._out.stamped(clock, state, text)
