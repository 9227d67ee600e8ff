"""The help of every command, the pages made from it, and what is said to who mistypes."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from qgjob.cli.arguments import globals_first
from qgjob.cli.help.command_docs import CommandDoc, all_commands
from qgjob.cli.help.examples import EXAMPLES
from qgjob.cli.help.help_text import help_text
from qgjob.cli.help.root_help import root_help
from qgjob.cli.main import run
from qgjob.cli.table import COMMANDS
from qgjob.errors import ExitCode
from scripts import cli_doc, manpage
from scripts.exit_codes import EXIT_CODES


def commands_and_children() -> Iterator[CommandDoc]:
    def below(command: CommandDoc) -> Iterator[CommandDoc]:
        yield command
        for child in command.children:
            yield from below(child)

    for _, top in all_commands():
        yield from below(top)


def test_every_command_has_an_example():
    assert [c.path for c in commands_and_children() if not c.examples] == []


def test_no_example_is_of_a_command_that_is_gone():
    paths = {command.path.removeprefix("qgjob ") for command in commands_and_children()}
    assert set(EXAMPLES) - paths == set()


def arguments(line: str) -> list[str]:
    """The arguments of the call of qgjob in a line of shell, the command first."""
    words = shlex.split(line.replace('eval "$(', "").replace(')"', ""))
    words = words[words.index("qgjob") + 1 :]
    ends = [words.index(end) for end in ("|", "||", "&&", ">") if end in words]
    first = globals_first(words[: min(ends, default=None)])
    while first[0].startswith("-"):
        del first[:2]
    return first


@pytest.mark.parametrize("path", EXAMPLES)
def test_every_example_is_read_by_its_command(path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qgjob.toml").write_text('org = "acme"\napp_version = "1"\ntests = ["*.py"]\n')
    entry = next(entry for entry in COMMANDS if entry.name == path.split(maxsplit=1)[0])
    for line, _ in EXAMPLES[path]:
        args = arguments(line)
        if entry.service is not None:
            importlib.import_module(entry.service).parser().parse_args(args[1:])
            continue
        name = args.pop(0)
        command: Any = get_command(entry.load())
        assert name == entry.name
        while hasattr(command, "commands"):
            command = command.commands[args.pop(0)]
        command.make_context(name, args)  # raises what typer finds wrong


def test_no_line_of_help_is_wider_than_the_terminal():
    for command in commands_and_children():
        examples = {f"  {line}" for line, _ in command.examples}
        wide = [
            line for line in help_text(command, 80).splitlines() if len(line) > 80 and line not in examples
        ]
        assert wide == []


def test_the_root_help_fits_eighty_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in root_help().splitlines() if len(line) > 81] == []


def test_the_reference_and_the_manual_page_are_written_from_the_commands():
    assert cli_doc.DOC.read_text() == cli_doc.text(), "run `make docs`"
    assert manpage.DOC.read_text() == manpage.text(), "run `make docs`"


def test_every_exit_code_is_explained():
    assert [code for code, _ in EXIT_CODES] == list(ExitCode)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["sbumit"], "Did you mean 'submit'?"),
        (["ls"], "Did you mean 'list'?"),
        (["agents", "lst"], "Did you mean 'list'?"),
        (["list", "--stat", "failed"], "Did you mean --state?"),
        (["list", "--state", "faild"], "Did you mean failed?"),
        (["submit", "--app-version", "1"], "Did you mean --app-version-id?"),
        (["submit", "--tiemout", "5m"], "Did you mean --timeout?"),
        (["report", "r_1", "--format", "htlm"], "Did you mean html?"),
        (["completion", "fihs"], "Did you mean fish?"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_near_one(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert run(args) == 2
    assert said in capsys.readouterr().err


def test_a_missing_option_says_where_else_it_may_stand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    monkeypatch.chdir(tmp_path)
    assert run(["submit", "--test", "a.py"]) == 2
    assert "qgjob.toml" in (err := capsys.readouterr().err)
    assert "QGJOB_ORG_ID" in err


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]):
    assert run(["help", "agents", "drain"]) == 0
    assert capsys.readouterr().out.startswith("Usage: qgjob agents drain")
    assert run(["help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: qgjob [OPTIONS] COMMAND")
