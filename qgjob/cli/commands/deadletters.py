"""`qgjob deadletters`: messages that nobody could read, and that were set aside.

All of it comes from whoever wrote them: nothing of it reaches a terminal as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli.display.output import clean
from qgjob.cli.help import completing
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.wording import pluralize, shorten, show_size
from qgjob.errors import UsageError

if TYPE_CHECKING:
    from bus_schemas.deadletters import DeadLetterView

app = typer.Typer(add_completion=False, no_args_is_help=True)

MAX_NUMBER: Final = 2**53
_SUBJECT: Final = 40
_REASON: Final = 60
_BEGINNING: Final = 32
_NUMBER: Final[Any] = typer.Argument(
    metavar="NUMBER",
    min=1,
    max=MAX_NUMBER,
    help="A dead letter, as `list` shows it.",
    show_default=False,
    autocompletion=completing.dead_letters,
)


@app.callback()
def dead_letters() -> None:
    """List and drop messages that could not be read."""


@app.command("list", epilog="They are kept for 7 days in the stream QG_DEAD.")
def list_letters(
    ctx: typer.Context,
    limit: Annotated[int, opt.option("--limit", min=1, max=100_000, help="How many at most.")] = 50,
    as_json: opt.Json = False,
) -> None:
    """List them, newest first: when, where from, why, and how each begins."""
    run(_list(session_of(ctx), limit, as_json=as_json))


@app.command("show")
def show(
    ctx: typer.Context,
    number: Annotated[int, _NUMBER],
    as_json: opt.Json = False,
) -> None:
    """Show one whole, control characters escaped; `--json` has its payload as Base64."""
    run(_show(session_of(ctx), number, as_json=as_json))


@app.command("drop")
def drop(
    ctx: typer.Context,
    number: Annotated[int | None, _NUMBER] = None,
    everything: Annotated[bool, opt.option("--all", help="All that exist now.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Delete one, or all, which ends the warnings about them."""
    if (number is None) != everything:
        raise UsageError("Which? Name the NUMBER of one, or --all.")
    run(_drop(session_of(ctx), number, as_json=as_json))


async def _list(session: Session, limit: int, *, as_json: bool) -> None:
    async with session.client() as client:
        letters, total = await client.dead_letters(limit=limit)
    out = session.out
    if as_json:
        out.json({"total": total, "dead_letters": [letter_json(letter) for letter in letters]})
        return
    if not letters:
        out.note("There are no dead letters: everything could be read.")
        return
    from qgjob.clock import rfc3339

    out.table(
        ["NUMBER", "AT", "FROM", "SUBJECT", "SIZE", "WHY", "BEGINS"],
        (
            [
                str(letter.number),
                rfc3339(letter.at) or "",
                shorten(clean(letter.stream), _SUBJECT),
                shorten(clean(letter.subject), _SUBJECT),
                show_size(letter.size),
                shorten(clean(letter.reason), _REASON),
                shorten(clean(text_of(letter)), _BEGINNING),
            ]
            for letter in letters
        ),
    )
    if total > len(letters):
        out.note(f"… and {pluralize(total - len(letters), 'older one')}: --limit N shows more.")


async def _show(session: Session, number: int, *, as_json: bool) -> None:
    async with session.client() as client:
        letter = await client.dead_letter(number)
    out = session.out
    if as_json:
        out.json({**letter_json(letter), "data": letter.data})
        return
    from qgjob.clock import rfc3339

    place = "" if letter.seq is None else f", sequence {letter.seq}"
    out.say(f"number:    {letter.number}")
    out.say(f"at:        {rfc3339(letter.at)}")
    out.say(f"from:      {letter.stream}{place}")
    out.say(f"subject:   {letter.subject}")
    out.say(f"why:       {letter.reason}")
    cut = "" if letter.kept == letter.size else f", of which the first {show_size(letter.kept)} are kept"
    out.say(f"payload:   {show_size(letter.size)}{cut}")
    out.indented(text_of(letter))


async def _drop(session: Session, number: int | None, *, as_json: bool) -> None:
    async with session.client() as client:
        dropped = await client.drop_dead_letters(number)
    if as_json:
        session.out.json({"dropped": dropped})
    elif number is not None:
        session.out.say(f"Dropped dead letter {number}.")
    elif dropped:
        session.out.say(f"Dropped {pluralize(dropped, 'dead letter')}.")
    else:
        session.out.note("Nothing to do: there are no dead letters.")


def text_of(letter: DeadLetterView) -> str:
    """Its payload as far as the letter has it, as text; what is none is escaped."""
    import base64

    return base64.b64decode(letter.data).decode("utf-8", "backslashreplace")


def letter_json(letter: DeadLetterView) -> dict[str, Any]:
    """A letter as one JSON object, with the beginning of its payload as text."""
    from bus_schemas.deadletters import BEGINNING_BYTES
    from qgjob.clock import rfc3339

    return {
        **letter.model_dump(mode="json", exclude={"data"}),
        "at": rfc3339(letter.at),
        "begins": text_of(letter)[:BEGINNING_BYTES],
    }
