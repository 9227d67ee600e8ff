"""The root of the command line: loads a command when it is called, takes global options anywhere."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from typer.core import TyperGroup
from typer.main import get_command

from qgjob.cli.arguments import globals_first, help_as_option
from qgjob.cli.empty_values import refuse_empty
from qgjob.cli.help.help_text import dress
from qgjob.cli.help.root_help import root_help
from qgjob.cli.table import COMMANDS

MEANT: Final = {
    "dashboard": "tui",
    "devices": "agents list",
    "ls": "list",
    "ps": "list",
    "run": "submit",
    "runs": "list",
    "slots": "agents list",
    "start": "up",
    "stop": "cancel",
    "upload": "app upload",
    "version": "--version",
}
"""What those mean who know other tools, where no name is near."""


class Word(NamedTuple):
    """A word that a shell may complete to."""

    value: str
    help: str | None = None
    type: str = "plain"


class LazyGroup(TyperGroup):
    """Commands from the table; only the one that is called is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the table's order."""
        del ctx
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return the command."""
        del ctx
        entry = next((entry for entry in COMMANDS if entry.name == cmd_name), None)
        if entry is None:
            return None
        command = get_command(entry.load())
        command.name = entry.name
        if entry.service is None:
            dress(command, entry.name)
            refuse_empty(command)
        return command

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete the name of a command without importing any; options as typer does."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [Word(entry.name, entry.help) for entry in COMMANDS if entry.name.startswith(incomplete)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without importing a command."""
        del ctx
        formatter.write(root_help())

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a misspelt one is answered with the likeliest."""
        if args[0] in MEANT:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {MEANT[args[0]]!r}?")
        if self.get_command(ctx, args[0]) is None:
            # Typer looks for the likeliest among these names.
            self.commands = dict.fromkeys(self.list_commands(ctx))  # pyright: ignore[reportAttributeAccessIssue]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the global options, which may also stand behind the command."""
        return super().parse_args(ctx, globals_first(help_as_option(args)))
