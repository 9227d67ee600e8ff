"""`qgjob submit`: collect the tests, pack what lies beside them, store the run."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.ci import detected_meta
from qgjob.cli.help.completing import one_of
from qgjob.cli.options import option
from qgjob.cli.session import session_of
from qgjob.cli.settings.defaults import ARGV, Defaults, defaults_of
from qgjob.errors import UsageError

_ARGV: Final = "qgjob.argv"
_DEFAULTS: Final = "qgjob.defaults"
_WHERE = "Where it runs"
_HOW = "How it runs"
_THEN = "About the run"
_NEEDS_WAIT: Final = ("junit", "junit_cases", "fail_fast", "fail_on_flaky", "allow_failures", "no_slot_grace")


class SubmitCommand(TyperCommand):
    """Keeps what stands behind `--` apart from the tests."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage without the tests that an unquoted glob becomes."""
        del ctx
        return [self.options_metavar or ""]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Cut at the first `--`; what is not said stands in the project file."""
        for parameter in self.params:
            if getattr(parameter, "multiple", False):
                parameter.split_envvar_value = opt.lines_or_words
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
        with self._blaming_files(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        with self._blaming_files(ctx):
            return super().invoke(ctx)

    @contextmanager
    def _blaming_files(self, ctx: Any) -> Generator[None]:
        """A wrong value out of a file is shown where it stands."""
        try:
            yield
        except UsageError as error:
            defaults: Defaults = ctx.meta[_DEFAULTS]
            raise defaults.blame(error, lambda name: opt.source_of(ctx, name) == "DEFAULT_MAP") from None


app = typer.Typer(add_completion=False)


@app.command(
    cls=SubmitCommand,
    options_metavar="--org-id ORG --app-version-id V|--app FILE --test PATH_OR_GLOB… [OPTIONS] [-- ARGV…]",
    epilog="After -- comes the command for runner `command`, with {test} and {bundle} filled in, or further "
    "arguments for other runners. With --wait the exit code is that of `qgjob wait`.",
)
def submit(
    ctx: typer.Context,
    org_id: opt.OrgId,
    app_version_id: Annotated[
        str | None,
        option("--app-version-id", metavar="V", help="The build under test; without it, --app names it."),
    ] = None,
    app: Annotated[
        Path | None,
        option("--app", metavar="FILE", help="The build itself: uploaded unless it is there already."),
    ] = None,
    platform: Annotated[
        str | None,
        option(
            "--platform",
            metavar="P",
            help="Install the build of this platform; else that of the slot's labels.",
        ),
    ] = None,
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
        option(
            "--target",
            metavar="T",
            help="emulator, device or simulator; else any slot.",
            panel=_WHERE,
            autocompletion=one_of(*values.TARGETS),
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        option(
            "--require",
            metavar="LABEL",
            help="A label that the slot must have; may be repeated.",
            panel=_WHERE,
        ),
    ] = None,
    matrix: Annotated[
        str | None,
        option("--matrix", metavar="L1,L2", help="Run each test once on each of these labels.", panel=_WHERE),
    ] = None,
    runner: Annotated[
        str,
        option(
            "--runner", metavar="NAME", help="command, pytest, playwright, …; auto: by the file.", panel=_HOW
        ),
    ] = "auto",
    env: Annotated[
        list[str] | None,
        option("--env", "-e", metavar="K=V", help="A variable of the test; may be repeated.", panel=_HOW),
    ] = None,
    timeout: Annotated[
        str,
        option(
            "--timeout", metavar="DURATION", help="Limit of one attempt of a test: 90s, 15m, 2h.", panel=_HOW
        ),
    ] = "15m",
    silence_timeout: Annotated[
        str | None,
        option(
            "--silence-timeout",
            metavar="DURATION",
            help="End a test that prints nothing for this long.",
            panel=_HOW,
        ),
    ] = None,
    secret: Annotated[
        list[str] | None,
        option(
            "--secret",
            metavar="NAME",
            help="A secret of the agent for the test; may be repeated.",
            panel=_HOW,
        ),
    ] = None,
    repeat: Annotated[
        int,
        option("--repeat", min=1, max=1000, help="Run each test N times, to find flaky ones.", panel=_HOW),
    ] = 1,
    retries: Annotated[
        int, option("--retries", min=0, max=100, help="How often to retry a failure.", panel=_HOW)
    ] = 0,
    expires: Annotated[
        str,
        option(
            "--expires", metavar="DURATION", help="Expire jobs that have not started by then.", panel=_HOW
        ),
    ] = "12h",
    at: Annotated[
        str | None,
        option("--at", metavar="TIME", help="Do not start before: 2027-01-31T06:00:00Z.", panel=_HOW),
    ] = None,
    cron: Annotated[
        str | None,
        option(
            "--cron",
            metavar="EXPR",
            help="Submit on a schedule: '30 5 * * 1-5', @hourly, '@every 2h'; see `qgjob cron`.",
            panel=_HOW,
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        option("--time-zone", metavar="ZONE", help="For --cron: Europe/Berlin; else UTC.", panel=_HOW),
    ] = None,
    max_parallel: Annotated[
        int | None,
        option("--max-parallel", min=1, help="Run at most N jobs of this run at once.", panel=_HOW),
    ] = None,
    shards: Annotated[
        int | None,
        option(
            "--shards",
            min=1,
            max=400,
            help="Make N jobs of several files each, by learned durations; else one for each file.",
            panel=_HOW,
        ),
    ] = None,
    name: Annotated[
        str | None, option("--name", metavar="TEXT", help="A name for the run.", panel=_THEN)
    ] = None,
    meta: Annotated[
        list[str] | None,
        option(
            "--meta",
            metavar="K=V",
            help="Metadata of the run; in CI branch, commit and url are added.",
            panel=_THEN,
        ),
    ] = None,
    run_key: Annotated[
        str | None,
        option(
            "--run-key",
            metavar="KEY",
            help="Submit once: the same key again finds the same run.",
            panel=_THEN,
        ),
    ] = None,
    concurrency_key: Annotated[
        str | None,
        option(
            "--concurrency-key",
            metavar="KEY",
            help="Cancel what is left of older runs of the organisation with the same key.",
            panel=_THEN,
        ),
    ] = None,
    wait: Annotated[
        bool,
        option(
            "--wait/--detach",
            help="Wait for the end and exit with the verdict; --detach is the default.",
            panel=opt.WAITING,
        ),
    ] = False,
    fail_fast: opt.FailFast = False,
    fail_on_flaky: opt.FailOnFlaky = False,
    allow_failures: opt.AllowFailures = 0,
    no_slot_grace: opt.NoSlotGrace = opt.NO_SLOT_GRACE,
    junit: opt.JUnit = None,
    junit_cases: opt.JUnitCases = False,
    as_json: opt.Json = False,
) -> None:
    """Submit tests of an app version as one run, one job for each test file."""
    from qgjob.cli.submission import Submission
    from qgjob.client.models import SubmitRequest, WaitOptions
    from qgjob.domain.verdict import VerdictRules

    if not wait:
        _refuse_without_wait(ctx)
    opt.refuse_alone(ctx, junit)
    if wait and cron is None:
        values.fresh("--junit", junit)
    if app_version_id is None and app is None:
        raise UsageError(
            "Which build? Name it with --app-version-id V, or give its file with --app FILE.",
            hint='In qgjob.toml: app_version = {git = "sha"}, or app = "build/app.apk".',
        )
    request = SubmitRequest(
        org_id=values.identifier("--org-id", org_id),
        app_version_id=""
        if app_version_id is None
        else values.identifier("--app-version-id", app_version_id),
        platform=None if platform is None else values.identifier("--platform", platform),
        tests=(),
        priority=values.priority(priority),
        target=values.target(target),
        requires=values.labels(require or ()),
        runner=values.runner(runner),
        argv=tuple(ctx.meta.get(_ARGV, ())),
        env=values.environment(env or ()),
        timeout_s=values.duration("--timeout", timeout),
        silence_timeout_s=values.maybe_duration("--silence-timeout", silence_timeout),
        secrets=values.secret_names(secret or ()),
        matrix=() if matrix is None else values.label_list("--matrix", matrix),
        repeat=repeat,
        retries=retries,
        expires_s=values.duration("--expires", expires),
        not_before=None if at is None else values.moment("--at", at),
        max_parallel=max_parallel,
        name=values.one_line("--name", name),
        meta={**detected_meta(os.environ), **values.metadata(meta or ())},
        run_key=None if run_key is None else values.identifier("--run-key", run_key),
        concurrency_key=None
        if concurrency_key is None
        else values.identifier("--concurrency-key", concurrency_key),
        shards=shards,
    )
    schedule = values.schedule(cron, time_zone, at=at, wait=wait and opt.was_given(ctx, "wait"))
    grace_s = values.grace(no_slot_grace)
    waiting = None
    if wait and schedule is None:
        from qgjob.cli.waiting.waiting import WaitArguments

        waiting = WaitArguments(
            options=WaitOptions(
                no_slot_grace_s=grace_s,
                rules=VerdictRules(fail_on_flaky=fail_on_flaky, allow_failures=allow_failures),
                fail_fast=fail_fast,
            ),
            junit=junit,
            junit_cases=junit_cases,
            as_json=as_json,
        )
    tests = [*(test or ()), *(more_tests or ())]
    if not tests:
        raise UsageError("Which tests? Name files, folders or globs with --test.")
    if app is not None and not app.exists():
        raise UsageError(f"--app {app} does not exist.", hint="Build it first.")
    from qgjob.bundle import collect_tests

    submission = Submission(
        session=session_of(ctx),
        request=request,
        selection=collect_tests(tests, Path.cwd()),
        app_file=app,
        waiting=waiting,
        ignore=ctx.meta[_DEFAULTS].ignore,
        as_json=as_json,
        cron=schedule,
    )
    raise typer.Exit(submission.execute())


def _refuse_without_wait(ctx: typer.Context) -> None:
    """Refuse an option of waiting that was said on the command line, in a call that does not wait."""
    for name in _NEEDS_WAIT:
        if opt.was_given(ctx, name):
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} needs --wait: it is about the end of the run.")
