"""`qgjob report`: what became of a run, for people and for CI."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.choices import checked_choice
from qgjob.cli.help.completing import one_of
from qgjob.cli.options import option
from qgjob.cli.output_file import write_whole
from qgjob.cli.session import Session, run, session_of
from qgjob.errors import UsageError

if TYPE_CHECKING:
    from qgjob.report.model import RunReport
    from qgjob.reporting import ReportOptions

app = typer.Typer(add_completion=False)

FORMATS: Final = ("junit", "html", "markdown", "github", "gitlab")
LOGS: Final = ("failed", "all", "none")


@app.command()
def report(
    ctx: typer.Context,
    any_id: opt.AnyId,
    format_: Annotated[
        str,
        option(
            "--format",
            metavar="FORMAT",
            help="junit, html, markdown, github (annotations) or gitlab.",
            autocompletion=one_of(*FORMATS),
        ),
    ] = "junit",
    output: Annotated[
        Path | None, option("--output", "-o", metavar="FILE", help="The file to write; else stdout.")
    ] = None,
    junit_cases: Annotated[
        bool,
        option("--junit-cases", help="With junit: a case for each test case, not for each file."),
    ] = False,
    attachments: Annotated[
        Path | None,
        option(
            "--attachments",
            metavar="DIR",
            help="With junit: download artifacts of jobs that did not pass, and reference them.",
        ),
    ] = None,
    logs: Annotated[
        str,
        option(
            "--logs",
            metavar="WHICH",
            help="Whose output to include: failed, all or none.",
            autocompletion=one_of(*LOGS),
        ),
    ] = "failed",
) -> None:
    """Write a report of a run or a job; for an unfinished run it says what is missing."""
    checked_choice("--format", format_, FORMATS)
    checked_choice("--logs", logs, LOGS)
    if output is not None:
        values.writable("--output", output)
    if attachments is not None and format_ != "junit":
        raise UsageError("--attachments goes with --format junit: it names files that CI keeps beside it.")
    if format_ != "junit" and opt.was_given(ctx, "junit_cases"):
        raise UsageError("--junit-cases goes with --format junit.")
    from qgjob.reporting import FAILURE_DETAILS_ONLY, ReportOptions

    wanted = dataclasses.replace(
        FAILURE_DETAILS_ONLY, attachments=attachments, reports=junit_cases and format_ == "junit"
    )
    if format_ in {"html", "markdown"}:
        html = format_ == "html"
        wanted = ReportOptions(logs=logs, cases=html, pictures=html)  # pyright: ignore[reportArgumentType] - checked
    run(_main(session_of(ctx), any_id, format_, output, wanted))


async def _main(
    session: Session, any_id: str, format_: str, output: Path | None, wanted: ReportOptions
) -> None:
    from qgjob.reporting import collect

    async with session.client() as client:
        run_report = await collect(client, any_id, wanted)
    data = rendered(run_report, format_)
    if output is None:
        session.out.write(data.decode())
    else:
        try:
            write_whole(output, data)
        except OSError as error:
            raise values.unwritable(f"--output {output}", error) from None
    if run_report.open:
        session.out.note(f"Not over yet: {run_report.missing}.")
    if run_report.unread:
        session.out.note(f"{run_report.unread}.")


def rendered(run_report: RunReport, format_: str) -> bytes:
    """A report in one of the formats."""
    match format_:
        case "junit":
            from qgjob.report.junit import junit

            return junit(run_report)
        case "html":
            from qgjob.report.html import html

            return html(run_report).encode()
        case "markdown":
            from qgjob.report.markdown import markdown

            return markdown(run_report).encode("utf-8", "replace")
        case "github":
            from qgjob.report.annotations import github

            return github(run_report).encode("utf-8", "replace")
        case _:
            from qgjob.report.annotations import gitlab

            return gitlab(run_report).encode("utf-8", "replace")
