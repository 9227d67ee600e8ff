"""`qgjob explain`: why a job waits, or why it ran where it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from qgjob.cli import options as opt
from qgjob.cli.session import Session, run, session_of
from qgjob.client.ids import kind_of
from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from bus_schemas.explain import AttemptWhy, ExplainAnswer, Gate, SlotsWhy
    from qgjob.cli.display.output import Output
    from qgjob.client import Client

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    ctx: typer.Context,
    job_id: opt.AnyId,
    as_json: opt.Json = False,
) -> None:
    """Say why a job waits and what would change it, or why it ran where it did.

    For a run it explains the first job that waits.
    """
    run(_main(session_of(ctx), job_id, as_json=as_json))


async def note_which_job(out: Output, client: Client, run_id: str) -> None:
    """Say how many jobs of the run wait, if that can be said now: the explanation is there without it."""
    from qgjob.domain.lifecycle import NOT_STARTED

    try:
        run = await client.run_in_short(run_id)
    except QgjobError:
        return
    if run.size > 1:
        waiting = sum(count for state, count in run.counts.items() if state in NOT_STARTED)
        headline = f"{waiting:,} of the {run.size:,} jobs of {run_id} wait"
        out.note(f"{headline}; this is the first. All of them: qgjob status {run_id}")


async def _main(session: Session, any_id: str, *, as_json: bool) -> None:
    async with session.client() as client:
        answer = await client.explain(any_id)
        if kind_of(any_id) == "run":
            await note_which_job(session.out, client, any_id)
        now = client.clock.now()
    if as_json:
        from qgjob.client.shapes import explain_json

        session.out.json(explain_json(answer))
        return
    show(session.out, answer, now)


def show(out: Output, answer: ExplainAnswer, now: float) -> None:
    """Print it, as of `now`, in seconds since 1970."""
    from qgjob.domain.durations import show_duration

    out.state_line(answer.state or "unknown", f"{answer.job_id}  attempt {answer.attempt}")
    out.say(answer.summary)
    if answer.starts_at is not None:
        left = answer.starts_at - now
        out.say(f"Starts: in about {show_duration(left)}." if left > 1 else "Starts: any moment.")
    for gate in answer.gates:
        out.say(f"  - {_gate(gate, now)}")
    if answer.group is not None:
        group = answer.group
        out.say(f"Group:  {group.org_id} {group.app_version_id}, needs {group.capability}")
    if answer.waited_s is not None:
        ahead = "very many" if answer.ahead is None else f"{answer.ahead:,}"
        out.say(
            f"Place:  {ahead} of the {answer.group_waiting:,} in its group before it; "
            f"priority {answer.priority}; {answer.urgent_waiting:,} more urgent jobs wait; "
            f"it has waited {show_duration(answer.waited_s)}"
        )
    # For a job that has its slot already the summary says everything.
    if answer.slots and any(row.kind != "chosen" for row in answer.slots):
        out.say(f"Slots ({answer.slots_total:,}):")
        for row in answer.slots:
            out.say("  " + _slots(row, now))
    if answer.changes:
        out.say("What would change it:")
        for change in answer.changes:
            out.say(f"  - {change}")
    if answer.attempts:
        out.say("Attempts:")
        for attempt in answer.attempts:
            out.say(f"  {attempt.number}. {_attempt(attempt)}")


def _gate(gate: Gate, now: float) -> str:
    from qgjob.domain.durations import show_duration

    if gate.until is None:
        return gate.why
    return f"{gate.why}, until {_clock(gate.until)} (in {show_duration(max(0.0, gate.until - now))})"


def _attempt(attempt: AttemptWhy) -> str:
    placed = f"placed because: {attempt.because}" if attempt.because else None
    outcome = attempt.outcome.replace("_", " ") if attempt.outcome else None
    return "; ".join(filter(None, [attempt.slot or "no slot", outcome, placed, attempt.why]))


def _slots(row: SlotsWhy, now: float) -> str:
    from qgjob.domain.durations import show_duration

    more = row.count - len(row.slots)
    names = ", ".join(row.slots) + (f" and {more:,} more" if row.slots and more > 0 else "")
    text = f"{names or ('1 slot' if row.count == 1 else f'{row.count:,} slots')}: {row.why}"
    if row.kind in {"busy", "held"} and row.free_at is not None:
        left = row.free_at - now
        first = "the first of them " if row.count > 1 else ""
        text += f"; {first}until about {_clock(row.free_at)}" if left > 1 else f"; {first}done any moment"
        text += f" (in {show_duration(left)})" if left > 1 else ""
    return text


def _clock(at: float) -> str:
    from qgjob.clock import rfc3339

    return (rfc3339(float(int(at))) or "").replace(".000", "")
