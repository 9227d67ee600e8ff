"""The commands behind `:`, as a table, and how a line is read."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from qgjob.domain.durations import parse_duration
from qgjob.errors import UsageError


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    arguments: str
    """As the help shows them; in brackets what may be left out."""
    help: str
    aliases: tuple[str, ...] = ()
    mutates: bool = False

    @property
    def least(self) -> int:
        """How many arguments it needs."""
        return sum(not word.startswith("[") for word in self.arguments.split())


COMMANDS: Final[tuple[Command, ...]] = (
    Command("overview", "", "Everything at a glance.", ("ov", "pulse")),
    Command("jobs", "[FILTER]", "All jobs, or those that a filter lets through.", ("j",)),
    Command("runs", "[TEXT]", "The runs, each with its progress.", ("r",)),
    Command("slots", "[TEXT]", "Every slot with its device.", ("s", "agents", "devices")),
    Command("alerts", "", "What is wrong, and what to do about it.", ("!",)),
    Command("job", "ID", "One job with its log."),
    Command("run", "ID", "One run, its failures first."),
    Command("log", "ID [ID…]", "The output of one job, or of several as one.", ("logs",)),
    Command("order", "NAME", "Order the jobs: latest, work, newest, priority, trouble, …"),
    Command("theme", "NAME", "Another theme: qgjob-dark, qgjob-light, ansi-dark, ansi-light, …"),
    Command("export", "csv|json [FILE]", "Write the jobs of the table to a file."),
    Command("replay", "[AGO]", "Show the lab as it was: `replay 2h`, at most 24 h ago."),
    Command("seek", "AGO|HH:MM[:SS]", "In a replay: go to a time."),
    Command("live", "", "Back from a replay to what is now."),
    Command("pause", "[ORG]", "Start nothing more: of an organisation, or at all; asks first.", mutates=True),
    Command("resume", "[ORG]", "Start work again that was paused; asks first.", mutates=True),
    Command("hold", "VERB NAME", "Drain, pause, quarantine or resume a slot or an agent.", mutates=True),
    Command("picture", "", "Save the screen as an SVG picture.", ("screenshot",)),
    Command("again", "", "Read everything again from the scheduler."),
    Command("help", "", "All keys and commands.", ("h", "?")),
    Command("quit", "", "Leave the dashboard; jobs go on.", ("q", "q!", "exit")),
)


class CommandError(ValueError):
    """What was typed is no command; the text says why."""


def parse_command(line: str) -> tuple[str, list[str]]:
    """Read a line: the command's name and its arguments. Raises `CommandError`.

    The beginning of a name will do if no other command begins so.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    if not words:
        return ("", [])
    typed, arguments = words[0].casefold(), words[1:]
    exact = [c for c in COMMANDS if typed == c.name or typed in c.aliases]
    found = exact or [c for c in COMMANDS if c.name.startswith(typed)]
    if not found:
        raise CommandError(f"There is no command {words[0]!r}; `:help` lists them.")
    if len(found) > 1:
        raise CommandError(f"{words[0]!r} could be {', '.join(c.name for c in found)}.")
    command = found[0]
    if len(arguments) < command.least:
        raise CommandError(f"{command.name} needs {command.arguments}.")
    if arguments and not command.arguments:
        raise CommandError(f"{command.name} takes nothing more.")
    return (command.name, arguments)


def parse_moment(text: str, now: float) -> float:
    """A time of day, the last one that was, or how long ago. Raises `CommandError`."""
    if ":" not in text:
        return now - parse_ago(text)
    try:
        parts = [int(part) for part in text.split(":")]
        then = datetime.fromtimestamp(now).replace(  # noqa: DTZ006  (a reader's time of day is a local one)
            hour=parts[0], minute=parts[1], second=parts[2] if len(parts) > 2 else 0, microsecond=0
        )
    except (ValueError, IndexError):
        raise CommandError(f"{text!r} is no time of day: 14:03 or 14:03:20.") from None
    at = then.timestamp()
    return at if at <= now else at - 86_400


def parse_ago(text: str) -> float:
    """How long ago: `90`, `90s`, `15m`, `2h`, in seconds. Raises `CommandError`."""
    try:
        seconds = parse_duration(text)
    except UsageError:
        raise CommandError(f"{text!r} is no duration: 90s, 15m, 2h.") from None
    if seconds > 86_400:
        raise CommandError("Events are kept for 24 h.")
    return seconds
