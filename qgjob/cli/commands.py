"""The table of commands: where each is found, so that `--help` need not import any of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import typer

JOBS: Final = "Jobs"
LAB: Final = "The lab"
SYSTEM: Final = "Run the system"
OTHER: Final = "Other"


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command: its module has a `typer.Typer` named `app`."""

    name: str
    module: str
    panel: str
    help: str
    parser: str | None = None
    """The module of a service that reads its own options: it has a function `parser`."""

    def load(self) -> typer.Typer:
        """Import it."""
        app: typer.Typer = importlib.import_module(self.module).app
        return app


COMMANDS: Final = (
    CommandEntry("submit", "qgjob.cli.submit", JOBS, "Submit tests of an app version as one run."),
    CommandEntry("status", "qgjob.cli.status", JOBS, "Show a job or a run."),
    CommandEntry("list", "qgjob.cli.listing", JOBS, "List jobs, newest first."),
    CommandEntry("wait", "qgjob.cli.wait", JOBS, "Wait for a job or a run; exits with the verdict."),
    CommandEntry("watch", "qgjob.cli.watch", JOBS, "Follow a run, a job or the whole lab, line by line."),
    CommandEntry("logs", "qgjob.cli.logs", JOBS, "Print the output of a job, or follow it."),
    CommandEntry("report", "qgjob.cli.report", JOBS, "Write a report: JUnit, HTML, Markdown, annotations."),
    CommandEntry("history", "qgjob.cli.history", JOBS, "Show how a test went the last times."),
    CommandEntry("explain", "qgjob.cli.explain", JOBS, "Say why a job waits, or why it ran where it did."),
    CommandEntry("artifacts", "qgjob.cli.artifacts", JOBS, "List or download what a job left."),
    CommandEntry("cancel", "qgjob.cli.cancel", JOBS, "Cancel a job, or what is left of a run."),
    CommandEntry("retry", "qgjob.cli.retry", JOBS, "Try a job that ended once more, or a run's."),
    CommandEntry("reprioritise", "qgjob.cli.reprioritise", JOBS, "Make a job or a run more or less urgent."),
    CommandEntry("app", "qgjob.cli.app", LAB, "Upload builds, list them, let held ones go on."),
    CommandEntry("agents", "qgjob.cli.agents", LAB, "See agents and slots; drain, pause, reserve them."),
    CommandEntry("queue", "qgjob.cli.queue", LAB, "See what waits; pause, resume and limit it."),
    CommandEntry("cron", "qgjob.cli.cron", LAB, "See and delete schedules of runs."),
    CommandEntry("deadletters", "qgjob.cli.deadletters", LAB, "See and drop messages nobody could read."),
    CommandEntry("top", "qgjob.cli.top", LAB, "Show the lab on one screen: queues, slots, running jobs."),
    CommandEntry("tui", "qgjob.cli.tui", LAB, "Open the live dashboard."),
    CommandEntry("health", "qgjob.cli.health", LAB, "Check that everything works; exits 1 if not."),
    CommandEntry("doctor", "qgjob.cli.doctor", LAB, "Find out what is wrong here, and what to do about it."),
    CommandEntry("up", "qgjob.cli.up", SYSTEM, "Run the whole system on this machine."),
    CommandEntry("demo", "qgjob.cli.demo", SYSTEM, "Run real sample tests on a system of their own."),
    CommandEntry(
        "agent",
        "qgjob.cli.agent",
        SYSTEM,
        "Run an agent: the slots of this lab machine.",
        parser="agent.__main__",
    ),
    CommandEntry(
        "scheduler",
        "qgjob.cli.scheduler",
        SYSTEM,
        "Run a replica of the scheduler.",
        parser="qgjob.scheduler.__main__",
    ),
    CommandEntry(
        "gateway",
        "qgjob.cli.gateway",
        SYSTEM,
        "Serve HTTP, for those with nothing but curl.",
        parser="qgjob.gateway.__main__",
    ),
    CommandEntry("simulate", "qgjob.cli.simulate", OTHER, "Replay a trace of jobs on a lab of any size."),
    CommandEntry("context", "qgjob.cli.context", OTHER, "Remember labs by name; use one."),
    CommandEntry("config", "qgjob.cli.config", OTHER, "See what holds here, and where it was said."),
    CommandEntry(
        "completion", "qgjob.cli.completion", OTHER, "Print the script for your shell's completion."
    ),
    CommandEntry("schema", "qgjob.cli.schema", OTHER, "Export the JSON Schemas of all messages."),
)
