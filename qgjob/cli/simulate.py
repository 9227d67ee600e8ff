"""`qgjob simulate`: what this lab, or one with four more slots, would make of a day's jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli.options import option
from qgjob.cli.session import session_of
from qgjob.errors import UsageError

if TYPE_CHECKING:
    from qgjob.cli.output import Output
    from qgjob.simulate.engine import Lab
    from qgjob.simulate.summary import Summary

app = typer.Typer(add_completion=False)


@app.command()
def simulate(
    ctx: typer.Context,
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE.csv", help="arrival_s,app_version_id,test,duration_s,priority[,target][,org_id]"
        ),
    ],
    slots: Annotated[int, option("--slots", min=1, max=5000, help="How many slots the lab has.")] = 8,
    install_seconds: Annotated[
        float, option("--install-seconds", min=0, help="What installing a build takes.")
    ] = 20.0,
    policy: Annotated[
        list[str] | None,
        option("--policy", metavar="NAME", help="qgjob (ours), sticky, fifo or lava; several are compared."),
    ] = None,
    labels_file: Annotated[
        Path | None,
        option("--labels-file", metavar="FILE", help="A line a slot: its labels, a,b,c. Instead of --slots."),
    ] = None,
    noise: Annotated[
        float, option("--noise", min=0, max=2, help="How far what is learned lies off, as a sigma.")
    ] = 0.3,
    seed: Annotated[int, option("--seed", help="Of everything random.")] = 1,
    plot: Annotated[
        Path | None, option("--plot", metavar="FILE.svg", help="Draw the (first) policy's slots and waits.")
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Run the real placement core over a trace on a virtual clock: waits, installs, makespan."""
    from qgjob.simulate.baselines import POLICIES
    from qgjob.simulate.engine import Simulation
    from qgjob.simulate.summary import summarize
    from qgjob.simulate.trace import read_trace

    names = policy or ["qgjob"]
    for name in names:
        if name not in POLICIES:
            raise UsageError(f"--policy {name!r} is unknown: there are {', '.join(POLICIES)}.")
    if plot is not None and plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot writes SVG pictures: name the file {plot.with_suffix('.svg').name}.")
    out = session_of(ctx).out
    jobs = read_trace(trace)
    lab = _lab(slots, install_seconds, labels_file)
    summaries: list[Summary] = []
    for place, name in enumerate(names):
        ran = Simulation(jobs, lab, POLICIES[name](seed), noise=noise, seed=seed).run()
        summaries.append(summarize(name, jobs, lab, ran))
        if plot is not None and place == 0:
            from qgjob.simulate.plot import draw

            plot.write_text(draw(summaries[0], ran), encoding="utf-8")
            out.say(f"{plot} was drawn.")
    if as_json:
        documents = [summary.as_json() for summary in summaries]
        out.json(documents[0] if len(documents) == 1 else {"policies": documents})
        return
    _table(out, summaries)


def _lab(slots: int, install_seconds: float, labels_file: Path | None) -> Lab:
    from qgjob.simulate.engine import Lab

    if labels_file is None:
        return Lab.uniform(slots, install_seconds)
    try:
        lines = labels_file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"The labels file {labels_file} cannot be read: {error.strerror}.") from None
    given = [opt.label_list("--labels-file", line) for line in lines if line.strip()]
    if not given:
        raise UsageError(f"The labels file {labels_file} names no slot.")
    return Lab(tuple(frozenset(labels) for labels in given), install_seconds)


def _table(out: Output, summaries: list[Summary]) -> None:
    first = summaries[0]
    least = f"{first.makespan_lower_bound_s:.0f} s"
    out.line(f"{first.jobs} jobs on {first.slots} slots; no schedule ends before {least}")
    columns = [
        "POLICY",
        "INSTALLS",
        "MAKESPAN",
        "× BOUND",
        "HIGH P95",
        "MEDIUM P95",
        "LOW P95",
        "MEAN",
        "LONGEST",
    ]
    bound = first.makespan_lower_bound_s or 1.0
    out.table(
        columns,
        [
            [
                summary.policy,
                str(summary.installs),
                f"{summary.makespan_s:.0f} s",
                f"{summary.makespan_s / bound:.3f}",
                *(f"{summary.wait_s[name].p95:.0f} s" for name in ("high", "medium", "low")),
                f"{summary.wait_s['all'].mean:.0f} s",
                f"{summary.wait_s['all'].max:.0f} s",
            ]
            for summary in summaries
        ],
    )
