"""`qgjob submit`: collect the tests, pack what lies beside them, store the run."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from qgjob.cli import options as opt
from qgjob.cli.ci import detected_meta
from qgjob.cli.options import option
from qgjob.cli.session import Session, run, session_of
from qgjob.cli.settings.defaults import ARGV, Defaults, defaults_of
from qgjob.errors import NotFoundError, UnreachableError, UsageError

if TYPE_CHECKING:
    from qgjob.bundle import Selection
    from qgjob.cli.waiting import WaitWishes
    from qgjob.client import Client, SubmitRequest, Submitted

_ARGV: Final = "qgjob.argv"
_DEFAULTS: Final = "qgjob.defaults"
_WHERE = "Where it runs"
_HOW = "How it runs"
_THEN = "And then"


class SubmitCommand(TyperCommand):
    """Keeps what stands behind `--` apart from the tests."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage without the tests that an unquoted glob becomes."""
        del ctx
        return [self.options_metavar or ""]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Cut at the first `--`; what is not said stands in the project file."""
        defaults = Defaults()
        if not {"--help", "-h"}.intersection(args):
            defaults = defaults_of(self.params, Path.cwd(), os.environ)
        ctx.default_map = defaults.as_map()
        ctx.meta[_DEFAULTS] = defaults
        ctx.meta[_ARGV] = ctx.default_map.get(ARGV, ())
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_ARGV] = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run it; a wrong value out of a file is shown where it stands."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise ctx.meta[_DEFAULTS].blame(error) from None


app = typer.Typer(add_completion=False)


@app.command(
    cls=SubmitCommand,
    options_metavar="--org-id ORG --app-version-id V --test PATH_OR_GLOB… [OPTIONS] [-- ARGV…]",
    epilog="Behind -- stands the command of runner `command`, with {test} and {bundle} filled in; "
    "to other runners its words are further arguments.",
)
def submit(
    ctx: typer.Context,
    org_id: opt.OrgId,
    app_version_id: opt.AppVersionId,
    test: Annotated[
        list[str] | None,
        option(
            "--test",
            metavar="PATH_OR_GLOB",
            help="A test file, a folder or a glob (quoted or not); may be repeated.",
        ),
    ] = None,
    more_tests: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    priority: Annotated[
        str,
        option("--priority", metavar="P", help="1 (least) to 10 (most urgent), or low, medium, high."),
    ] = "5",
    target: Annotated[
        str | None,
        option("--target", metavar="T", help="emulator, device or simulator; else any slot.", panel=_WHERE),
    ] = None,
    require: Annotated[
        list[str] | None,
        option("--require", metavar="LABEL", help="A label that the slot must have.", panel=_WHERE),
    ] = None,
    matrix: Annotated[
        str | None,
        option("--matrix", metavar="L1,L2", help="Run each test once on each of these labels.", panel=_WHERE),
    ] = None,
    no_slot_grace: opt.NoSlotGrace = opt.NO_SLOT_GRACE,
    runner: Annotated[
        str,
        option("--runner", metavar="NAME", help="command, pytest, appwright …; by the file.", panel=_HOW),
    ] = "auto",
    env: Annotated[
        list[str] | None,
        option("--env", "-e", metavar="K=V", help="A variable of the test's environment.", panel=_HOW),
    ] = None,
    timeout: Annotated[
        str, option("--timeout", metavar="DURATION", help="Limit of one run of a test.", panel=_HOW)
    ] = "15m",
    silence_timeout: Annotated[
        str | None,
        option(
            "--silence-timeout", metavar="DURATION", help="End a test that says nothing so long.", panel=_HOW
        ),
    ] = None,
    secret: Annotated[
        list[str] | None,
        option("--secret", metavar="NAME", help="A secret of the agent that the test gets.", panel=_HOW),
    ] = None,
    repeat: Annotated[
        int, option("--repeat", min=1, max=1000, help="Run each test so often, to hunt a flake.", panel=_HOW)
    ] = 1,
    retries: Annotated[
        int, option("--retries", min=0, max=100, help="How often to repeat a failure.", panel=_HOW)
    ] = 0,
    expires: Annotated[
        str,
        option("--expires", metavar="DURATION", help="Give up what has not started by then.", panel=_HOW),
    ] = "12h",
    at: Annotated[
        str | None,
        option("--at", metavar="TIME", help="Start nothing before: 2027-01-31T06:00:00Z.", panel=_HOW),
    ] = None,
    cron: Annotated[
        str | None,
        option(
            "--cron",
            metavar="EXPR",
            help="Submit it again and again: '30 5 * * 1-5', @hourly, '@every 2h'; see `qgjob cron`.",
            panel=_HOW,
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        option("--time-zone", metavar="ZONE", help="Of --cron: Europe/Berlin; else UTC.", panel=_HOW),
    ] = None,
    max_parallel: Annotated[
        int | None,
        option("--max-parallel", min=1, help="Most jobs of this run that run at once.", panel=_HOW),
    ] = None,
    name: Annotated[
        str | None, option("--name", metavar="TEXT", help="A name of the run, for people.", panel=_THEN)
    ] = None,
    meta: Annotated[
        list[str] | None,
        option(
            "--meta",
            metavar="K=V",
            help="Something to remember with the run; in CI also branch, commit, url.",
            panel=_THEN,
        ),
    ] = None,
    run_key: Annotated[
        str | None,
        option(
            "--run-key",
            metavar="KEY",
            help="Submit once: the same key again adds nothing and finds the same run.",
            panel=_THEN,
        ),
    ] = None,
    wait: Annotated[
        bool, option("--wait", help="Wait for the end; exit with the verdict.", panel=_THEN)
    ] = False,
    junit: opt.JUnit = None,
    as_json: opt.Json = False,
) -> None:
    """Submit tests of an app version as one run, one job for each test file."""
    from qgjob.client.models import SubmitRequest, WaitOptions

    if junit is not None and not wait:
        raise UsageError("--junit needs --wait: the report is written when all jobs have ended.")
    request = SubmitRequest(
        org_id=opt.identifier("--org-id", org_id),
        app_version_id=opt.identifier("--app-version-id", app_version_id),
        tests=(),
        priority=opt.priority(priority),
        target=opt.target(target),
        requires=opt.labels(require or ()),
        runner=opt.runner(runner),
        argv=tuple(ctx.meta.get(_ARGV, ())),
        env=opt.environment(env or ()),
        timeout_s=opt.duration("--timeout", timeout),
        silence_timeout_s=opt.maybe_duration("--silence-timeout", silence_timeout),
        secrets=opt.secret_names(secret or ()),
        matrix=opt.label_list("--matrix", matrix) if matrix else (),
        repeat=repeat,
        retries=retries,
        expires_s=opt.duration("--expires", expires),
        not_before=None if at is None else opt.moment("--at", at),
        max_parallel=max_parallel,
        name=opt.one_line("--name", name),
        meta={**detected_meta(os.environ), **opt.metadata(meta or ())},
        run_key=None if run_key is None else opt.identifier("--run-key", run_key),
    )
    schedule = opt.schedule(cron, time_zone, at=at, wait=wait)
    grace_s = opt.grace(no_slot_grace)
    wishes = None
    if wait:
        from qgjob.cli.waiting import WaitWishes

        wishes = WaitWishes(
            options=WaitOptions(no_slot_grace_s=grace_s),
            junit=opt.writable("--junit", junit),
            as_json=as_json,
        )
    tests = [*(test or ()), *(more_tests or ())]
    if not tests:
        raise UsageError("Which tests? Name files, folders or globs with --test.")
    session = session_of(ctx)
    ignore = ctx.meta[_DEFAULTS].ignore
    submission = _Submission(session, request, wishes, ignore, as_json=as_json, cron=schedule)
    from qgjob.bundle import collect_tests

    selection = collect_tests(tests, Path.cwd())
    raise typer.Exit(submission.carry_out(selection))


class _Submission:
    """One call of `submit`, its options being checked."""

    def __init__(
        self,
        session: Session,
        request: SubmitRequest,
        wishes: WaitWishes | None,
        ignore: Sequence[str],
        *,
        as_json: bool,
        cron: tuple[str, str | None] | None = None,
    ) -> None:
        self._cron = cron
        self._session = session
        self._request = request
        self._wishes = wishes
        self._ignore = ignore
        self._as_json = as_json
        self._submitted: Submitted | None = None

    def carry_out(self, selection: Selection) -> int:
        """Submit, and wait if that was wished; returns the exit code."""
        if self._wishes is None:
            return run(self._main(selection))
        from qgjob.cli.waiting import detachable

        return detachable(
            self._session,
            lambda: self._submitted.run_id if self._submitted else None,
            lambda: run(self._main(selection)),
        )

    async def _main(self, selection: Selection) -> int:
        import dataclasses

        from qgjob.bundle import build_bundle

        async with self._session.client() as client:
            with tempfile.TemporaryDirectory(prefix="qgjob-bundle-") as folder:
                target = Path(folder) / "bundle.tar.gz"
                packed = await asyncio.to_thread(build_bundle, selection, target, ignore=self._ignore)
                bundle = await client.upload_bundle(packed.path)
            request = dataclasses.replace(self._request, tests=selection.tests, bundle=bundle)
            if self._cron is not None:
                from qgjob.cli.cron import tell_added

                view, replaced = await client.add_schedule(request, *self._cron)
                tell_added(self._session.out, view, replaced=replaced, as_json=self._as_json)
                return 0
            from qgjob.cli.runner_warning import warn_of_runner

            await warn_of_runner(client, self._session.out, request.runner)
            submitted = self._submitted = await client.submit(request)
            if submitted.accepted_before and self._wishes is None:
                submitted = await _as_they_are(client, submitted)
            self._tell(submitted)
            if self._wishes is None:
                return 0
            from qgjob.cli.waiting import wait_and_tell

            return await wait_and_tell(
                client, self._session.out, submitted.run_id, self._wishes, known=submitted
            )

    def _tell(self, submitted: Submitted) -> None:
        out = self._session.out
        if submitted.accepted_before:
            out.note("This run key was submitted before: nothing was added, this is that run.")
        if self._as_json:
            if self._wishes is None:
                from qgjob.client.shapes import submitted_json

                out.json(submitted_json(submitted))
            else:  # the one document comes at the end
                out.note(f"Submitted {submitted.run_id}.")
            return
        out.write(
            "\n".join(
                [
                    f"{submitted.run_id}  {_count(len(submitted.jobs))}",
                    *(f"{job.job_id}  {_shown(job.title)}" for job in submitted.jobs),
                    "",
                ]
            )
        )


async def _as_they_are(client: Client, submitted: Submitted) -> Submitted:
    """The jobs of a run that was submitted before, in the states they have by now; if that is known."""
    import dataclasses

    try:
        run = await client.run(submitted.run_id)
    except (UnreachableError, NotFoundError):
        return submitted
    known = {job.job_id: job for job in run.jobs}
    return dataclasses.replace(submitted, jobs=tuple(known.get(job.job_id, job) for job in submitted.jobs))


def _count(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{jobs} jobs"


def _shown(text: str) -> str:
    from qgjob.cli.output import clean

    return clean(text)
