"""The root of the command line: loads a command when it is called, takes global options anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from qgjob.cli.commands import COMMANDS, CommandEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

GLOBAL_VALUES: Final = frozenset({"--server", "--creds", "--tls-ca", "--tls-cert", "--tls-key"})
GLOBAL_FLAGS: Final = frozenset({"-v", "--verbose"})


def globals_first(args: Sequence[str]) -> list[str]:
    """The arguments with the global options before the command, wherever they stood before `--`."""
    first: list[str] = []
    rest: list[str] = []
    given = list(args)
    while given:
        word = given.pop(0)
        if word == "--":
            rest += [word, *given]
            break
        if word in GLOBAL_VALUES and given:
            first += [word, given.pop(0)]
        elif word in GLOBAL_FLAGS or word.partition("=")[0] in GLOBAL_VALUES:
            first.append(word)
        else:
            rest.append(word)
    return first + rest


class LazyGroup(TyperGroup):
    """Commands from the table; only the one that is called is imported."""

    _describing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the table's order."""
        del ctx
        return [entry.name for entry in COMMANDS if entry.present]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command itself; in the help only what the table says of it."""
        del ctx
        entry = next((entry for entry in COMMANDS if entry.name == cmd_name and entry.present), None)
        if entry is None:
            return None
        return _described(entry) if self._describing else _loaded(entry)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without importing a command."""
        self._describing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._describing = False

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a misspelt one is answered with the likeliest."""
        self.commands = {entry.name: _described(entry) for entry in COMMANDS if entry.present}
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the global options, which may also stand behind the command."""
        return super().parse_args(ctx, globals_first(args))


def _loaded(entry: CommandEntry) -> Any:
    command = get_command(entry.load())
    command.name = entry.name
    return command


def _described(entry: CommandEntry) -> Any:
    app = typer.Typer(add_completion=False)

    @app.command(entry.name, help=entry.help, rich_help_panel=entry.panel)
    def _() -> None: ...  # pyright: ignore[reportUnusedFunction]  (typer keeps it)

    return get_command(app)
