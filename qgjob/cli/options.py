"""Options that commands share; what their values may be stands in `qgjob.cli.values`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from qgjob.cli.help import completing
from qgjob.errors import UsageError


def option(*flags: str, help: str, panel: str | None = None, **more: Any) -> Any:  # noqa: A002
    """An option that may also be given as `QGJOB_<NAME>`."""
    name = next(flag for flag in flags if flag.startswith("--")).partition("/")[0]
    # Else the help shows a type: `<int range>`, and `<bool>` for a flag that takes no value.
    more.setdefault("metavar", "N" if "min" in more else "")
    variable = "QGJOB_" + name.removeprefix("--").replace("-", "_").upper()
    more.setdefault("envvar", variable)
    return typer.Option(*flags, help=help, show_envvar=False, rich_help_panel=panel, **more)


OrgId = Annotated[
    str,
    option(
        "--org-id",
        metavar="ORG",
        help="The organisation.",
        autocompletion=completing.organisations,
    ),
]
MaybeOrgId = Annotated[
    str | None,
    option(
        "--org-id",
        metavar="ORG",
        help="Only those of this organisation.",
        autocompletion=completing.organisations,
    ),
]
AppVersionId = Annotated[
    str,
    option(
        "--app-version-id",
        metavar="V",
        help="The build under test, as uploaded.",
        autocompletion=completing.builds,
    ),
]
MaybeAppVersionId = Annotated[
    str | None,
    option(
        "--app-version-id",
        metavar="V",
        help="Only those of this app version.",
        autocompletion=completing.builds,
    ),
]
Json = Annotated[bool, option("--json", help="Print one JSON document.")]
WAITING: Final = "Waiting"
JUnit = Annotated[
    Path | None,
    option("--junit", metavar="FILE", help="Write a JUnit report at the end.", panel=WAITING),
]
JUnitCases = Annotated[
    bool,
    option(
        "--junit-cases",
        help="In the JUnit report a case for each test case, not for each file.",
        panel=WAITING,
    ),
]
NoSlotGrace = Annotated[
    str,
    option(
        "--no-slot-grace",
        metavar="DURATION",
        help="Cancel a job when no slot could ever run it for this long; `off`: never.",
        panel=WAITING,
    ),
]
FailFast = Annotated[
    bool,
    option("--fail-fast", help="Cancel what is left once the run cannot pass any more.", panel=WAITING),
]
FailOnFlaky = Annotated[
    bool,
    option("--fail-on-flaky", help="A test that passed only on a retry counts as failed.", panel=WAITING),
]
AllowFailures = Annotated[
    int,
    option("--allow-failures", min=0, max=100_000, help="Pass despite up to N failures.", panel=WAITING),
]
NO_SLOT_GRACE: Final = "60s"
_WORD: Final = re.compile(r"""(?:"([^"]*)"|'([^']*)')(?!\S)|(\S+)""")
AnyId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A job (j_…) or a run (r_…).",
        show_default=False,
        autocompletion=completing.jobs_and_runs,
    ),
]


def lines_or_words(rv: str) -> list[str]:
    """The values of a repeatable option in a variable: one a line, or in a single line one a word.

    A word in quotes may have spaces; within a word quotes are its own (`K={"a": 1}`).
    """
    if "\n" in rv:
        return [line for line in rv.splitlines() if line.strip()]
    return ["".join(found) for found in _WORD.findall(rv)]


def refuse_alone(ctx: typer.Context, junit: Path | None) -> None:
    """Refuse `--junit-cases` on the command line where no JUnit file is written."""
    if junit is None and was_given(ctx, "junit_cases"):
        raise UsageError("--junit-cases needs --junit FILE: it says what stands in that file.")


def source_of(ctx: typer.Context, name: str) -> str | None:
    """Where the value of a parameter came from, in the command line library's words."""
    source = ctx.get_parameter_source(name)
    return source.name if source is not None else None


def was_given(ctx: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, and not only in the environment or a file."""
    return source_of(ctx, name) == "COMMANDLINE"
