"""`qgjob history`: how a test went the last times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.display.output import Output, clean
from qgjob.cli.help import completing
from qgjob.cli.session import Session, run, session_of
from qgjob.clock import rfc3339
from qgjob.domain.durations import show_duration
from qgjob.domain.wording import shorten

if TYPE_CHECKING:
    from bus_schemas.history import HistoryAnswer, OutcomeRecord
    from qgjob.domain.testhistory import HistorySummary

app = typer.Typer(add_completion=False)

_SIGNS: Final = {"passed": "✓", "failed": "✗", "timed_out": "⏱", "errored": "!"}


@app.command()
def history(
    ctx: typer.Context,
    test: Annotated[
        str,
        typer.Argument(
            metavar="TEST",
            help="Its file in the bundle, as `list` shows it.",
            show_default=False,
            autocompletion=completing.tests,
        ),
    ],
    org_id: opt.MaybeOrgId = None,
    limit: Annotated[int, opt.option("--limit", min=1, max=500, help="How many of its last attempts.")] = 50,
    as_json: opt.Json = False,
) -> None:
    """Show a test's last outcomes, how long it takes and how flaky it is; kept for 90 days."""
    if org_id is not None:
        values.identifier("--org-id", org_id)
    values.identifier("TEST", test[:256])
    run(_main(session_of(ctx), test.removeprefix("./"), org_id, limit, as_json=as_json))


async def _main(session: Session, test: str, org_id: str | None, limit: int, *, as_json: bool) -> None:
    from qgjob.domain.testhistory import summarise

    async with session.client() as client:
        answer = await client.history(test, org_id=org_id, limit=limit)
    summary = summarise(answer.outcomes)
    if as_json:
        from qgjob.client.shapes import history_json

        session.out.json(history_json(test, answer, summary))
    else:
        _tell(session.out, test, answer, summary)


def _tell(out: Output, test: str, answer: HistoryAnswer, summary: HistorySummary) -> None:
    outcomes = answer.outcomes
    counts = {"passed": summary.passed, "failed": summary.failed, "errored": summary.errored}
    parts = [f"{count} {word}" for word, count in counts.items() if count]
    times = "once" if summary.jobs == 1 else f"{summary.jobs} times"
    out.line(f"{clean(test)}  ran {times}: {', '.join(parts)}")
    out.line(f"flaky     {summary.flaky} of {summary.jobs} ({summary.flakiness:.0%})")
    if summary.median_s is not None and summary.slowest_s is not None:
        expected = f", expected {show_duration(answer.expected_s)}" if answer.expected_s is not None else ""
        out.line(
            f"duration  median {show_duration(summary.median_s)}, "
            f"slowest {show_duration(summary.slowest_s)}{expected}"
        )
    oldest_first = "".join("~" if o.flaky else _SIGNS[o.outcome] for o in reversed(outcomes))
    out.line(f"attempts  {oldest_first}  (oldest first)")
    out.line()
    several = len({o.org_id for o in outcomes}) > 1
    out.table(
        ["WHEN", "OUTCOME", *(["ORG"] if several else []), "VERSION", "TIME", "SLOT", "JOB", "WHY"],
        (_row(record, several=several) for record in outcomes),
        states="OUTCOME",
    )


def _row(record: OutcomeRecord, *, several: bool) -> list[str]:
    reason = record.message or ("flaky within the attempt" if record.flaky else "")
    if record.attempt > 1:
        reason = f"attempt {record.attempt}" + (f": {reason}" if reason else "")
    return [
        rfc3339(record.at) or "",
        record.outcome,
        *([record.org_id] if several else []),
        record.app_version_id,
        "" if record.duration_s is None else show_duration(record.duration_s),
        record.slot or "",
        record.job_id,
        shorten(reason, 100),
    ]
