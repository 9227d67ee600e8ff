"""`qgjob demo`: the whole line on real sample tests, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli.display.output import Output, clean
from qgjob.cli.options import option
from qgjob.cli.session import run, session_of
from qgjob.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from qgjob.demo.plan import Plan
    from qgjob.demo.report import Report

app = typer.Typer(add_completion=False)

_PLAIN_WIDTH: Final = 100


@app.command()
def demo(
    ctx: typer.Context,
    slots: Annotated[int, option("--slots", min=1, max=16, help="How many jobs run at once.")] = 4,
    keep: Annotated[
        bool,
        option("--keep", help="Leave the system up afterwards, until Ctrl-C."),
    ] = False,
    as_json: opt.Json = False,
) -> None:
    """Run real tests of three builds of a sample shop on a temporary system.

    Exits with 0 if each job ended once and only the tests that find the bug failed.
    """
    from qgjob.clock import SystemClock
    from qgjob.demo.plan import shop_plan
    from qgjob.demo.run import DemoOptions, run_demo
    from qgjob.demo.show import DrawnShow, PlainShow

    out = session_of(ctx).out
    plan, clock = shop_plan(), SystemClock()
    drawable = out.err_on_terminal and _has_blocks(out.console(err=True))
    show = (
        DrawnShow(plan, out.console(err=True), out.note, clock)
        if drawable
        else PlainShow(plan, out.note, clock)
    )
    options = DemoOptions(slots=slots, keep=keep)

    def tell(report: Report) -> None:
        if as_json:
            out.json(report.to_json())
        else:
            tell_report(out, plan, report, Path.cwd())
        if keep:
            out.note("The system stays up, and other commands of yours find it, until Ctrl-C.")

    report = run(run_demo(plan, options, show, clock, tell=tell))
    if report is None:
        raise typer.Exit(int(ExitCode.DETACHED))
    raise typer.Exit(int(ExitCode.OK if report.ok else ExitCode.ERROR))


def tell_report(out: Output, plan: Plan, report: Report, cwd: Path) -> None:
    """Print the drawings, the table, what was found, what was not as designed, and what to try next."""
    from qgjob.demo import summary

    colour = out.on_terminal and not out.console().no_color and _has_blocks(out.console())
    width = out.console().width if out.on_terminal else _PLAIN_WIDTH
    drawn = summary.charts(plan, report, width=width, colour=colour)
    if out.on_terminal:
        out.console().print(drawn, soft_wrap=True)
    else:
        out.line(drawn.plain)
    out.line()
    out.table(*summary.table(report))
    if not out.on_terminal:
        out.line()
    for line in (*summary.failure_lines(report), "", *summary.timing_lines(report)):
        out.line(clean(line))
    if report.ok:
        out.line()
        out.line("Try next:")
        for line in summary.format_steps(summary.next_steps(plan, cwd, summary.own_program(cwd))):
            out.line(clean(line))
    out.write("")  # whoever reads us sees it before the system is stopped
    for difference in report.differences:
        out.error(difference)


def _has_blocks(console: Console) -> bool:
    """Whether a terminal can show the characters that timelines are drawn with."""
    return console.encoding.lower().startswith("utf")
