"""`qgjob`: the global options, and the one place where errors become words and exit codes."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qgjob.cli.arguments import is_given, is_verbose
from qgjob.cli.display.output import Output
from qgjob.cli.empty_values import refuse_empty
from qgjob.cli.lazy import LazyGroup
from qgjob.cli.options import option
from qgjob.cli.session import Session
from qgjob.errors import ExitCode, QgjobError

_POSSIBLE = re.compile(r" \(Possible options: (.+)\)\.\Z")
_OPTION = re.compile(r"(?:Invalid value for ')?(?P<flag>--[a-z][a-z-]*)(?=[ :'])")
_NO_BUG = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
)
"""What only the machine is to blame for, wherever it happens: a disk that is full, or broken, or not ours."""
_NOT_OURS = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_BROKEN_PIPE = 141  # as a program ends that SIGPIPE kills


def _show_version(value: bool) -> None:
    if value:
        from qgjob import __version__

        Output().line(f"qgjob {__version__}")
        raise typer.Exit


def _root(
    ctx: typer.Context,
    server: Annotated[
        str | None, option("--server", metavar="URL", help="The NATS server, such as nats://lab:4222.")
    ] = None,
    creds: Annotated[str | None, option("--creds", metavar="FILE", help="A NATS credentials file.")] = None,
    tls_ca: Annotated[
        str | None, option("--tls-ca", metavar="FILE", help="The CA that signed the server's certificate.")
    ] = None,
    tls_cert: Annotated[
        str | None, option("--tls-cert", metavar="FILE", help="A certificate to show to the server.")
    ] = None,
    tls_key: Annotated[str | None, option("--tls-key", metavar="FILE", help="Its private key.")] = None,
    verbose: Annotated[
        bool, option("--verbose", "-v", help="Print more on stderr, with tracebacks of errors.")
    ] = False,
    version: Annotated[  # noqa: ARG001  (its callback does it all)
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Run mobile tests on a lab's devices: grouped by build, most urgent first, nothing lost."""
    if verbose:
        import logging

        logging.basicConfig(
            level=logging.DEBUG, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s"
        )
    ctx.obj = Session(server=server, creds=creds, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)


def build() -> Any:
    """The whole command line as one command."""
    app = typer.Typer(
        name="qgjob",
        cls=LazyGroup,
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    command = typer.main.get_command(app)
    refuse_empty(command)
    return command


def main() -> None:
    """Run the command line of this process and exit."""
    codes: list[int] = []
    atexit.register(_exit_process, codes)  # before any other, so that it is called after them
    codes.append(run(sys.argv[1:]))
    sys.exit(codes[0])


def _exit_process(codes: Sequence[int]) -> None:
    """End the process here: to take hundreds of modules apart first is a tenth of a short command's time.

    Threads have ended and all that others left to be done at the exit is done.
    """
    if codes:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it any more
                stream.flush()
        os._exit(codes[0])


def run(args: list[str]) -> int:
    """Run the command line with these arguments and return its exit code; output goes where it does."""
    _open_what_was_closed()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # replaced by something that is no file
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    code = int(ExitCode.OK)
    try:
        code = _run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:  # at its very begin or end
        return int(ExitCode.DETACHED)
    except BrokenPipeError:  # the reader of our output closed the pipe
        _forget_output()
        return _BROKEN_PIPE
    except OSError as error:  # the end of the output, which had been kept back until now
        Output().error(f"The output could not be written: {error.strerror}.")
        _forget_output()
        return code or int(ExitCode.ERROR)
    return code


def _forget_output() -> None:
    """Drop unwritten output, so that the exit does not try to write it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_what_was_closed() -> None:
    """Open /dev/null for closed standard streams: a file or socket must not get their descriptors."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  (for as long as we run)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _run(args: list[str]) -> int:
    verbose = is_verbose(args, os.environ)
    out = Output()
    try:
        result = build().main(args=args, prog_name="qgjob", standalone_mode=False)
    except QgjobError as error:
        if verbose:
            traceback.print_exc()
        out.error(named_source(error.message, args), error.hint)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.DETACHED)
    except BrokenPipeError:
        raise
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # typer's own end for it, with 1
            raise error.__context__ from None
        raise
    except Exception as error:  # noqa: BLE001  (whatever it is, a person reads one line)
        if hasattr(error, "format_message"):
            return _usage(out, error, args)
        if isinstance(error, typer.Abort):
            return int(ExitCode.DETACHED)
        if isinstance(error, OSError) and error.errno in _NO_BUG:
            what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            room = "`qgjob doctor` shows how much room the disks of this machine have."
            out.error(f"{what}.", None if error.errno in _NOT_OURS else room)
            return int(ExitCode.ERROR)
        if isinstance(error, FileNotFoundError) and _is_nowhere():
            out.error("The current folder does not exist any more.", "Call qgjob in another one.")
            return int(ExitCode.USAGE)
        return _unexpected(out, error, verbose=verbose)
    return result if isinstance(result, int) else int(ExitCode.OK)


def _is_nowhere() -> bool:
    """Whether the current folder was deleted."""
    try:
        os.getcwd()  # noqa: PTH109  (as good as any)
    except FileNotFoundError:
        return True
    return False


def named_source(message: str, args: Sequence[str], variable: str | None = None) -> str:
    """The message, naming the environment variable instead of the option where the value came from there.

    `variable`: the option's, where that is not `QGJOB_` and its name.
    """
    option = _OPTION.match(message)
    if option is None:
        return message
    flag: str = option["flag"]
    variable = variable or "QGJOB_" + flag.removeprefix("--").replace("-", "_").upper()
    if not os.environ.get(variable) or is_given(args, flag):
        return message
    return message[: option.start("flag")] + variable + message[option.end("flag") :]


def _usage(out: Output, error: Any, args: Sequence[str]) -> int:
    """Report a usage error that typer found."""
    message: str = error.format_message()
    ctx = getattr(error, "ctx", None)
    if "Usage:" in message or not message.strip():  # no arguments at all: that is the help
        sys.stderr.write(message.rstrip("\n") + "\n")
        return int(error.exit_code)
    hint = f"See `{ctx.command_path} --help`." if ctx is not None else None
    message = message[0].upper() + message[1:].rstrip(".") + "."
    likely = _POSSIBLE.search(message)
    if likely:  # one likely name helps more than three possible ones
        nearest = _nearest(getattr(error, "option_name", None), likely[1].split(", "))
        message = f"{message[: likely.start()]}. Did you mean {nearest}?"
    variable = getattr(getattr(error, "param", None), "envvar", None)
    if message.startswith("Missing option") and isinstance(variable, str):
        reads_file = getattr(ctx, "default_map", None) is not None
        place = "stand in qgjob.toml or as" if reads_file else "be given as"
        hint = f"It may also {place} {variable}. {hint or ''}".rstrip()
    message = named_source(message, args, variable if isinstance(variable, str) else None)
    out.error(message.replace("?.", "?"), hint)
    return int(error.exit_code)


def _nearest(given: str | None, possible: list[str]) -> str:
    """The likeliest of what is possible, which comes in the order of the alphabet."""
    from difflib import SequenceMatcher

    return (
        max(possible, key=lambda name: SequenceMatcher(None, given, name).ratio()) if given else possible[0]
    )


def _unexpected(out: Output, error: Exception, *, verbose: bool) -> int:
    summary = f"Unexpected: {type(error).__name__}: {error}"
    if verbose:
        traceback.print_exc()
        out.error(summary)
        return int(ExitCode.ERROR)
    try:
        descriptor, path = tempfile.mkstemp(prefix="qgjob-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exc(file=file)
        hint = f"This is a bug in qgjob; the traceback is in {Path(path)}."
    except OSError:
        hint = "This is a bug in qgjob; with -v the traceback is shown."
    out.error(summary, hint)
    return int(ExitCode.ERROR)


if __name__ == "__main__":
    main()
