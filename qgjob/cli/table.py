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
    """A command: its module in `qgjob.cli.commands` has a `typer.Typer` named `app`."""

    name: str
    panel: str
    help: str
    module: str | None = None
    """Its module in `qgjob.cli.commands`, where that is not called as the command is."""
    parser: str | None = None
    """The module of a service that reads its own options: it has a function `parser`."""

    def load(self) -> typer.Typer:
        """Import it."""
        app: typer.Typer = importlib.import_module(f"qgjob.cli.commands.{self.module or self.name}").app
        return app


COMMANDS: Final = (
    CommandEntry("submit", JOBS, "Submit tests of an app version as one run."),
    CommandEntry("status", JOBS, "Show a job or a run."),
    CommandEntry("list", JOBS, "List jobs, newest first.", module="listing"),
    CommandEntry("wait", JOBS, "Wait for a job or a run; exits with the verdict."),
    CommandEntry("watch", JOBS, "Follow a run, a job or the whole lab, line by line."),
    CommandEntry("logs", JOBS, "Print the output of a job, or follow it."),
    CommandEntry("report", JOBS, "Write a report: JUnit, HTML, Markdown, annotations."),
    CommandEntry("history", JOBS, "Show how a test went the last times."),
    CommandEntry("explain", JOBS, "Say why a job waits, or why it ran where it did."),
    CommandEntry("artifacts", JOBS, "List or download what a job left."),
    CommandEntry("cancel", JOBS, "Cancel a job, or what is left of a run."),
    CommandEntry("retry", JOBS, "Try a job that ended once more, or a run's."),
    CommandEntry("reprioritise", JOBS, "Make a job or a run more or less urgent."),
    CommandEntry("app", LAB, "Upload builds, list them, let held ones go on."),
    CommandEntry("agents", LAB, "See agents and slots; drain, pause, reserve them."),
    CommandEntry("queue", LAB, "See what waits; pause, resume and limit it."),
    CommandEntry("cron", LAB, "See and delete schedules of runs."),
    CommandEntry("deadletters", LAB, "See and drop messages nobody could read."),
    CommandEntry("top", LAB, "Show the lab on one screen: queues, slots, running jobs."),
    CommandEntry("tui", LAB, "Open the live dashboard."),
    CommandEntry("health", LAB, "Check that everything works; exits 1 if not."),
    CommandEntry("doctor", LAB, "Find out what is wrong here, and what to do about it."),
    CommandEntry("up", SYSTEM, "Run the whole system on this machine."),
    CommandEntry("demo", SYSTEM, "Run real sample tests on a system of their own."),
    CommandEntry(
        "agent",
        SYSTEM,
        "Run an agent: the slots of this lab machine.",
        parser="agent.__main__",
    ),
    CommandEntry(
        "scheduler",
        SYSTEM,
        "Run a replica of the scheduler.",
        parser="qgjob.scheduler.__main__",
    ),
    CommandEntry(
        "gateway",
        SYSTEM,
        "Serve HTTP, for those with nothing but curl.",
        parser="qgjob.gateway.__main__",
    ),
    CommandEntry("simulate", OTHER, "Replay a trace of jobs on a lab of any size."),
    CommandEntry("context", OTHER, "Remember labs by name; use one."),
    CommandEntry("config", OTHER, "See what holds here, and where it was said."),
    CommandEntry("completion", OTHER, "Print the script for your shell's completion."),
    CommandEntry("schema", OTHER, "Export the JSON Schemas of all messages."),
)
