"""What a command says: data on stdout, words for people on stderr.

Colours and boxes appear on a terminal alone, and never with NO_COLOR; JSON is one document.
Names, messages and logs come from others: on a terminal their control characters are made visible.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from qgjob.cli.display.cells import padded, width_of
from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STYLES: Final[dict[str, str]] = {
    "passed": "green",
    "failed": "bold red",
    "timed_out": "bold red",
    "errored": "bold magenta",
    "cancelled": "yellow",
    "expired": "yellow",
    "running": "cyan",
    "preparing": "cyan",
    "dispatched": "blue",
    "queued": "blue",
    "scheduled": "blue",
}
"""How the state of a job looks on a terminal."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_IN_JSON: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_IN_LOGS: Final = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\ud800-\udfff]")
_CI_COMMAND: Final = re.compile(r"##(?=\w*\[)")
_GAP: Final = 3
"""Between two columns on a terminal that has the room."""
_SHORT: Final = 10
_LEAST: Final = 5
_ESCAPE: Final = re.compile(r"\x1b(\[[0-9;:]*m)?")


def clean(text: str) -> str:
    """One line of text in which nothing moves a cursor: control characters are shown escaped."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def clean_log(text: str) -> str:
    """Output of a job for a terminal: lines, tabs and colours stay, every other escape is shown."""
    text = text.replace("\r\n", "\n")
    text = _NOT_IN_LOGS.sub(lambda match: repr(match.group())[1:-1], text)
    return _ESCAPE.sub(lambda match: match.group() if match.group(1) else "\\x1b", text)


class OutputError(QgjobError):
    """What stdout leads to does not take the output."""


@contextlib.contextmanager
def written() -> Generator[None]:
    """Raise an `OutputError` for an error of writing data; a reader that closed the pipe is none."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"The output could not be written: {error.strerror}.") from error


class Output:
    """Where a command writes.

    Raises `OutputError` when stdout takes no data. What is for people is lost without a word when nobody
    hears it any more: the command goes on, and its exit code tells how it went.
    """

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._consoles: dict[bool, Console] = {}

    @property
    def on_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return self._stdout.isatty()

    @property
    def err_on_terminal(self) -> bool:
        """Whether stderr is a terminal that can be drawn on."""
        return self._stderr.isatty() and os.environ.get("TERM") != "dumb"

    def console(self, *, err: bool = False) -> Console:
        """A rich console; only worth its import on a terminal."""
        if err not in self._consoles:
            from rich.console import Console

            stream = self._stderr if err else self._stdout
            self._consoles[err] = Console(file=stream, highlight=False, emoji=False, markup=False)
        return self._consoles[err]

    def line(self, text: str = "") -> None:
        """A line of data."""
        with written():
            self._stdout.write(text + "\n")

    def write(self, text: str) -> None:
        """Data as it is, written at once."""
        with written():
            self._stdout.write(text)
            self._stdout.flush()

    def say(self, text: str) -> None:
        """A line of data, written at once."""
        self.write(clean(text) + "\n")

    def json(self, document: Any) -> None:
        """The one document of a command with `--json`."""
        utf8 = (self._stdout.encoding or "").lower().replace("-", "") == "utf8"
        indent = 2 if self.on_terminal else None
        text = json.dumps(document, ensure_ascii=not utf8, indent=indent)
        # JSON itself escapes no more than those below U+0020; in its own form the others mean the same.
        self.line(_NOT_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text))

    def note(self, text: str) -> None:
        """A line for people."""
        with contextlib.suppress(OSError):
            self._stderr.write(clean(text) + "\n")
            self._stderr.flush()

    def warn(self, text: str) -> None:
        """A line for people that they should not miss."""
        self._label("Warning", "yellow", text)

    def error(self, text: str, hint: str | None = None) -> None:
        """What went wrong, with the lines that show it, and on the next line what to do about it."""
        first, *shown = text.split("\n")
        self._label("Error", "bold red", first)
        for line in shown:
            self.note(line)
        if hint:
            self.note(hint)

    def _label(self, label: str, style: str, text: str) -> None:
        if self.err_on_terminal:
            from rich.text import Text

            with contextlib.suppress(OSError):
                self.console(err=True).print(
                    Text.assemble((f"{label}:", style), " ", clean(text)), soft_wrap=True
                )
        else:
            self.note(f"{label}: {text}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, states: str = "") -> None:
        """Rows of text as data: drawn on a terminal, aligned columns otherwise.

        `states`: the column whose cells are states of jobs, to be coloured.
        """
        cleaned = [[clean(cell) for cell in row] for row in rows]
        if not self.on_terminal:
            widths = [max(map(width_of, column)) for column in zip(columns, *cleaned, strict=True)]
            for row in (list(columns), *cleaned):
                self.line("  ".join(map(padded, row, widths)).rstrip())
            return
        from rich import box
        from rich.table import Table

        console = self.console()
        widths = [max(map(width_of, column)) for column in zip(columns, *cleaned, strict=True)]
        shown = list(range(len(columns)))
        narrow = sum(widths) + _GAP * len(columns) > console.width
        if narrow:
            shown = [i for i in shown if not i or any(row[i] for row in cleaned)]
        # What a row is named by stays whole: an id in two lines can be neither copied nor typed. Short words
        # do where that leaves room for the others.
        whole = [i for i in shown if not i or widths[i] <= _SHORT]
        if sum(widths[i] + 1 for i in whole) + _LEAST * (len(shown) - len(whole)) > console.width:
            whole = [0]
        table = Table(
            box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=0 if narrow else (0, 1)
        )
        for i in shown:
            table.add_column(columns[i], overflow="fold", no_wrap=i in whole)
        coloured = columns.index(states) if states else -1
        for row in cleaned:
            table.add_row(*(self._cell(row[i], as_state=i == coloured) for i in shown))
        console.print(table)

    def state_line(self, state: str, text: str) -> None:
        """A line of data that begins with a state."""
        if self.on_terminal:
            from rich.text import Text

            styled = Text.assemble((state, STYLES.get(state, "")), " ", clean(text))
            self.console().print(styled, soft_wrap=True)
        else:
            self.line(f"{state} {clean(text)}")

    def indented(self, text: str, *, err: bool = False) -> None:
        """Print foreign lines (a test's output) indented below the line before.

        In CI none of them is a command to whoever reads the output: GitHub takes `::` at the beginning of
        a line for one whatever the indent, and `##[` anywhere.
        """
        write = self.note if err else self.line
        for line in text.splitlines():
            shown = f"    │ {_CI_COMMAND.sub('# #', clean(line))}".rstrip()
            if self.err_on_terminal if err else self.on_terminal:
                from rich.text import Text

                self.console(err=err).print(Text(shown, style="dim"), soft_wrap=True)
            else:
                write(shown)

    def stamped(self, clock: str, state: str, text: str) -> None:
        """A line of data with its time and a state in columns, written at once."""
        if self.on_terminal:
            from rich.text import Text

            padded = f"{state:<10}"
            styled = Text.assemble((clock, "dim"), "  ", (padded, STYLES.get(state, "")), " ", clean(text))
            self.console().print(styled, soft_wrap=True)
        else:
            self.write(f"{clock}  {state:<10} {clean(text)}\n")

    @staticmethod
    def _cell(cell: str, *, as_state: bool) -> Text:
        from rich.text import Text

        return Text(cell, style=STYLES.get(cell, "") if as_state else "")
