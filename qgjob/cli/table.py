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
    """A command: a module in `qgjob.cli.commands` with a `typer.Typer` named `app`, or a service."""

    name: str
    panel: str
    help: str
    module: str | None = None
    """Its module in `qgjob.cli.commands`, where that is not called as the command is."""
    service: str | None = None
    """The module of a service that reads its own options: it has functions `parser` and `main`."""

    def load(self) -> typer.Typer:
        """Import it."""
        if self.service is not None:
            from qgjob.cli.services import service_app

            return service_app(self.name, self.service)
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
    CommandEntry("history", JOBS, "Show a test's last outcomes and how flaky it is."),
    CommandEntry("explain", JOBS, "Say why a job waits, or why it ran where it did."),
    CommandEntry("artifacts", JOBS, "List or download the artifacts of a job."),
    CommandEntry("cancel", JOBS, "Cancel a job, or what is left of a run."),
    CommandEntry("retry", JOBS, "Retry a job, or the jobs of a run."),
    CommandEntry("reprioritise", JOBS, "Change the priority of a job or a run."),
    CommandEntry("app", LAB, "Upload and list builds; release held ones."),
    CommandEntry("agents", LAB, "List agents and slots; drain, pause, reserve them."),
    CommandEntry("queue", LAB, "Show what waits; pause, resume and limit it."),
    CommandEntry("cron", LAB, "List and delete schedules of runs."),
    CommandEntry("deadletters", LAB, "List and drop messages that could not be read."),
    CommandEntry("top", LAB, "Show the lab on one screen: queues, slots, running jobs."),
    CommandEntry("tui", LAB, "Open the live dashboard."),
    CommandEntry("health", LAB, "Check that everything works; exits 1 if not."),
    CommandEntry("doctor", LAB, "Find out what is wrong, and what to do about it."),
    CommandEntry("up", SYSTEM, "Run the whole system on this machine."),
    CommandEntry("demo", SYSTEM, "Run sample tests on a temporary system."),
    CommandEntry("agent", SYSTEM, "Run an agent: the slots of this lab machine.", service="agent.__main__"),
    CommandEntry("scheduler", SYSTEM, "Run a replica of the scheduler.", service="qgjob.scheduler.__main__"),
    CommandEntry("gateway", SYSTEM, "Serve the HTTP API.", service="qgjob.gateway.__main__"),
    CommandEntry("simulate", OTHER, "Replay a trace of jobs on a lab of any size."),
    CommandEntry("context", OTHER, "Store labs by name, and switch between them."),
    CommandEntry("config", OTHER, "Show the settings in effect, and their origin."),
    CommandEntry("completion", OTHER, "Print the completion script for your shell."),
    CommandEntry("schema", OTHER, "Export the JSON Schemas of all messages."),
)
