"""Describes a command's options and arguments as data, for its help, the manual page and the reference."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from qgjob.cli.help.examples import EXAMPLES, Example
from qgjob.cli.table import COMMANDS, CommandEntry

_HELP: Final = ("-h, --help", "Print this.")


@dataclass(frozen=True, slots=True)
class Section:
    """Arguments, options or commands: how each is written, and what it means."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CommandDoc:
    """A command of the command line, or a group of them."""

    path: str
    """As it is called: `qgjob agents drain`."""
    usage: str
    text: tuple[str, ...]
    """Paragraphs; the first says what it does in a sentence."""
    sections: tuple[Section, ...]
    examples: tuple[Example, ...]
    epilog: str
    children: tuple[CommandDoc, ...] = ()


def all_commands() -> Iterator[tuple[CommandEntry, CommandDoc]]:
    """Every command, in the table's order; imports them all."""
    from typer.main import get_command

    for entry in COMMANDS:
        yield entry, describe_entry(entry, get_command(entry.load()))


def describe_entry(entry: CommandEntry, command: Any) -> CommandDoc:
    """A command of the table."""
    if entry.service is None:
        return describe(command, entry.name)
    return describe_parser(importlib.import_module(entry.service).parser(), entry.name)


def describe(command: Any, path: str) -> CommandDoc:
    """A command of typer's, `path` being its name behind `qgjob`."""
    commands: dict[str, Any] = getattr(command, "commands", {})
    children = tuple(describe(child, f"{path} {name}") for name, child in commands.items())
    arguments = [p for p in command.params if p.param_type_name == "argument" and not _hidden(p)]
    options = [p for p in command.params if p.param_type_name == "option" and not _hidden(p)]
    sections: list[Section] = []
    if children:
        own = len(f"qgjob {path} ")
        sections.append(Section("Commands", tuple((c.path[own:], c.text[0]) for c in children)))
    if arguments:
        sections.append(Section("Arguments", tuple((_metavar(p), p.help or "") for p in arguments)))
    panels: dict[str, list[tuple[str, str]]] = {"Options": []}
    for option in options:
        rows = panels.setdefault(option.rich_help_panel or "Options", [])
        rows.append((_written(option), _meaning(option)))
    panels["Options"].append(_HELP)
    sections += [Section(title, tuple(rows)) for title, rows in panels.items()]
    return CommandDoc(
        path=f"qgjob {path}",
        usage=_usage(command, path, arguments, is_group=bool(children)),
        text=_paragraphs(command.help or ""),
        sections=tuple(sections),
        examples=EXAMPLES.get(path, ()),
        epilog=command.epilog or "",
        children=children,
    )


def describe_parser(parser: argparse.ArgumentParser, path: str) -> CommandDoc:
    """Describe a service, which parses its own options."""
    rows: list[tuple[str, str]] = []
    for action in parser._actions:  # noqa: SLF001  (argparse tells its options nowhere else)
        if action.help == argparse.SUPPRESS or action.dest == "help":
            continue
        metavar = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
        text = action.help or ""
        rows.append((", ".join(action.option_strings) + metavar, text[:1].upper() + text[1:] + "."))
    return CommandDoc(
        path=f"qgjob {path}",
        usage=f"qgjob {path} [OPTIONS]",
        text=_paragraphs(parser.description or ""),
        sections=(Section("Options", (*rows, _HELP)),),
        examples=EXAMPLES.get(path, ()),
        epilog=parser.epilog or "",
    )


def _hidden(parameter: Any) -> bool:
    return bool(parameter.hidden)


def _usage(command: Any, path: str, arguments: list[Any], *, is_group: bool) -> str:
    if is_group:
        return f"qgjob {path} COMMAND …"
    pieces = [command.options_metavar or "[OPTIONS]"]
    pieces += [_metavar(p) if p.required else f"[{_metavar(p)}]" for p in arguments]
    return f"qgjob {path} " + " ".join(pieces)


def _metavar(parameter: Any) -> str:
    shown = str(parameter.metavar or parameter.name.upper())
    return f"{shown}…" if parameter.nargs == -1 and "…" not in shown else shown


def _written(option: Any) -> str:
    short = [name for name in option.opts if not name.startswith("--")]
    names = ", ".join([*short, *(name for name in option.opts if name not in short)])
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    takes_value = not option.is_flag and not option.count
    return f"{names} {option.metavar}" if takes_value and option.metavar else names


def _meaning(option: Any) -> str:
    text: str = option.help or ""
    if option.required:
        return f"{text} Required."
    facts: list[str] = []
    if option.min is not None and option.max is not None:
        facts.append(f"{option.min:,} to {option.max:,}")
    default = option.default
    if option.show_default and default is not None and not isinstance(default, bool | tuple | list):
        facts.append(f"default: {default}")
    return f"{text} ({'; '.join(facts)})" if facts else text


def _paragraphs(text: str) -> tuple[str, ...]:
    """Its paragraphs, each as one line; rich's and click's marks for breaks are left out."""
    parts = text.replace("\f", "\n\n").replace("\b", "").split("\n\n")
    return tuple(" ".join(part.split()) for part in parts if part.strip()) or ("",)
