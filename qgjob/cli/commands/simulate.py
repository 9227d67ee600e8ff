"""`qgjob simulate`: what this lab, or one with four more slots, would make of a day's jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.options import option
from qgjob.cli.session import session_of
from qgjob.errors import UsageError

if TYPE_CHECKING:
    from bus_schemas.queries import JobView
    from qgjob.cli.display.output import Output
    from qgjob.cli.session import Session
    from qgjob.simulate.compare import OnProgress
    from qgjob.simulate.labs import NamedLab
    from qgjob.simulate.trace import TraceJob

app = typer.Typer(add_completion=False)

_LAB: Final = "The lab"
_TRACE: Final = "The trace"
_MAX_RUNS: Final = 500
_MAX_HISTORY: Final = 100_000


@app.command()
def simulate(
    ctx: typer.Context,
    trace: Annotated[
        Path | None,
        typer.Argument(
            metavar="TRACE.csv",
            help="arrival_s,app_version_id,test,duration_s,priority[,target][,org_id]",
            show_default=False,
        ),
    ] = None,
    slots: Annotated[
        str | None,
        option(
            "--slots",
            metavar="N[,N…]",
            panel=_LAB,
            help="How many slots the lab has (8); several are compared.",
        ),
    ] = None,
    install_seconds: Annotated[
        float, option("--install-seconds", min=0, panel=_LAB, help="What installing a build takes.")
    ] = 20.0,
    labels_file: Annotated[
        Path | None,
        option(
            "--labels-file",
            "--labels",
            metavar="FILE",
            panel=_LAB,
            help="The slots one by one, instead of --slots: TOML with tables `slots` (labels, count, "
            "install_seconds), or a line a slot with its labels, a,b,c.",
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        option(
            "--add",
            metavar="N[:LABELS]",
            panel=_LAB,
            help="Compare with N more slots, as 4:emulator; may be repeated.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        option(
            "--policy", metavar="NAME,…", help="qgjob (ours), sticky, fifo or lava; several are compared."
        ),
    ] = None,
    noise: Annotated[
        float, option("--noise", min=0, max=2, help="Error of learned durations, as a sigma.")
    ] = 0.3,
    seed: Annotated[int, option("--seed", metavar="N", help="The random seed.")] = 1,
    seeds: Annotated[
        int, option("--seeds", min=1, max=100, help="Run N seeds from --seed on: means and their spread.")
    ] = 1,
    generate: Annotated[
        int | None,
        option(
            "--generate",
            min=1,
            max=1_000_000,
            panel=_TRACE,
            help="Instead of a file: generate N jobs as CI does, another trace for every seed.",
        ),
    ] = None,
    from_history: Annotated[
        bool,
        option(
            "--from-history", panel=_TRACE, help="Instead of a file: the last 24 hours of the running system."
        ),
    ] = False,
    org_id: Annotated[
        str | None,
        option("--org-id", metavar="ORG", panel=_TRACE, help="With --from-history: only this organisation."),
    ] = None,
    load: Annotated[
        float,
        option(
            "--load",
            min=0.01,
            max=100,
            panel=_TRACE,
            help="With --generate: work divided by what the lab can do.",
        ),
    ] = 0.9,
    tests_per_push: Annotated[
        float,
        option("--tests-per-push", min=1, max=10_000, panel=_TRACE, help="With --generate: the median."),
    ] = 60.0,
    orgs: Annotated[
        int, option("--orgs", min=1, max=1000, panel=_TRACE, help="With --generate: organisations that push.")
    ] = 4,
    save: Annotated[
        Path | None,
        option("--save", metavar="FILE.csv", panel=_TRACE, help="Write the trace (of the first seed)."),
    ] = None,
    plot: Annotated[
        Path | None,
        option("--plot", metavar="FILE.svg|png", help="Draw slots and waits (of the first seed)."),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Run the real placement core over a trace on a virtual clock: waits, installs, makespan.

    --json: one document for one policy in one lab (jobs, slots, installs, makespan_s,
    makespan_lower_bound_s, wait_s, install_minutes, install_minutes_saved); with --seeds its figures are
    means, beside them seeds and spread (standard deviations). Of several policies or labs: results, a
    list of such documents, each with policy and lab, and findings, a list of sentences.
    """
    from qgjob.simulate.compare import findings, simulate_all
    from qgjob.simulate.trace import write_trace

    out = session_of(ctx).out
    names = _policies(policy)
    labs = _labs(slots, install_seconds, labels_file, add or [])
    if len(names) * len(labs) * seeds > _MAX_RUNS:
        raise UsageError(f"That makes more than {_MAX_RUNS} simulations.")
    _check_plot(plot)
    values.writable("--save", save)
    if [trace is not None, generate is not None, from_history].count(True) != 1:
        raise UsageError(
            "Name a trace, or give --generate N or --from-history to make one.",
            hint="See `qgjob simulate --help`.",
        )
    if from_history:
        traces = [_history(session_of(ctx), org_id)] * seeds
    elif trace is not None:
        traces = _read(trace, seeds)
    else:
        numbers = range(seed, seed + seeds)
        traces = _generated(
            labs[0], jobs=generate or 0, load=load, tests=tests_per_push, orgs=orgs, seeds=numbers
        )
    if save is not None:
        write_trace(traces[0], save)
        out.note(f"{save} has the trace.")
    with _progress(out) as on_progress:
        results = simulate_all(traces, labs, names, noise=noise, seed=seed, on_progress=on_progress)
    if plot is not None:
        from qgjob.simulate.plot import draw

        draw(results, plot)
        out.note(f"{plot} was drawn.")
    sentences = findings(results) if len(results) > 1 else []
    if as_json:
        documents = [result.as_json() for result in results]
        if len(results) == 1:
            out.json(documents[0])
        else:
            named = [{"lab": r.lab.name, **doc} for r, doc in zip(results, documents, strict=True)]
            out.json({"results": named, "findings": sentences})
        return
    from qgjob.cli.display.simulated import show

    show(out, results, sentences, traces[0])


def _policies(given: list[str] | None) -> list[str]:
    from qgjob.simulate.baselines import POLICIES

    names = [name.strip() for text in given or ["qgjob"] for name in text.split(",") if name.strip()]
    for name in names:
        if name not in POLICIES:
            raise UsageError(f"--policy {name!r} is unknown: there are {', '.join(POLICIES)}.")
    if not names:
        raise UsageError("--policy names no policy.")
    return list(dict.fromkeys(names))


def _labs(
    slots: str | None, install_seconds: float, labels_file: Path | None, add: list[str]
) -> list[NamedLab]:
    from qgjob.simulate.engine import Lab
    from qgjob.simulate.labs import MAX_SLOTS, NamedLab, add_slots, describe, read_labels

    if labels_file is not None:
        if slots is not None:
            raise UsageError("--slots and --labels both say which slots there are: give one of them.")
        labs = [read_labels(labels_file, install_seconds)]
    else:
        labs = []
        for text in (slots or "8").split(","):
            number = int(text) if text.strip().isascii() and text.strip().isdecimal() else 0
            if not 1 <= number <= MAX_SLOTS:
                raise UsageError(f"--slots {slots!r} is not a number of slots from 1 to {MAX_SLOTS}.")
            labs.append(Lab.uniform(number, install_seconds))
    if add and len(labs) > 1:
        raise UsageError("--add changes one lab: give --slots one number.")
    named = [NamedLab(describe(lab), lab) for lab in dict.fromkeys(labs)]
    return [*named, *(add_slots(labs[0], more) for more in dict.fromkeys(add))]


def _check_plot(plot: Path | None) -> None:
    if plot is not None and plot.suffix.lower() not in {".svg", ".png"}:
        raise UsageError(f"--plot {plot.name!r}: the picture's name must end in .svg or .png.")
    values.writable("--plot", plot)


def _read(trace: Path, seeds: int) -> list[list[TraceJob]]:
    from qgjob.simulate.trace import read_trace

    return [read_trace(trace)] * seeds


def _history(session: Session, org_id: str | None) -> list[TraceJob]:
    from qgjob.cli.session import run
    from qgjob.simulate.history import trace_of

    if org_id is not None:
        values.identifier("--org-id", org_id)

    async def ask() -> list[JobView]:
        async with session.client() as client:
            return list(await client.jobs(org_id=org_id, limit=_MAX_HISTORY))

    jobs = trace_of(reversed(run(ask())))  # newest first
    if not jobs:
        raise UsageError("No job of the history has run its test.", hint="History is kept for 24 hours.")
    return jobs


def _generated(
    lab: NamedLab, *, jobs: int, load: float, tests: float, orgs: int, seeds: range
) -> list[list[TraceJob]]:
    from qgjob.simulate.generate import CiShape, ci_trace

    shape: dict[str, Any] = {
        "jobs": jobs,
        "slots": len(lab.lab.slots),
        "install_s": lab.lab.install_s,
        "load": load,
        "tests_per_push": tests,
        "orgs": orgs,
    }
    return [ci_trace(CiShape(**shape, seed=seed)) for seed in seeds]


@contextlib.contextmanager
def _progress(out: Output) -> Generator[OnProgress | None]:
    """A bar on a terminal; nothing elsewhere."""
    if not out.err_on_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out.console(err=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(what: str, total: int, done: int) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield report
