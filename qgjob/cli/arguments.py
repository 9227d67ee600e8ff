"""Rearranges the words of a call before they are parsed: global options may stand anywhere before `--`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

GLOBAL_VALUES: Final = frozenset({"--server", "--creds", "--tls-ca", "--tls-cert", "--tls-key"})
GLOBAL_FLAGS: Final = frozenset({"-v", "--verbose"})
_YES: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
"""What typer takes for a flag that is set, in the environment."""


def before_dashes(args: Sequence[str]) -> Sequence[str]:
    """The arguments before `--`: those after it are for the test's program."""
    return args[: args.index("--")] if "--" in args else args


def globals_first(args: Sequence[str]) -> list[str]:
    """The arguments with the global options before the command, wherever they stood before `--`."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(before_dashes(args))
    for word in words:
        if word in GLOBAL_VALUES and (value := next(words, None)) is not None:
            first += [word, value]
        elif word in GLOBAL_FLAGS or ("=" in word and word.partition("=")[0] in GLOBAL_VALUES):
            first.append(word)
        else:
            rest.append(word)
    return [*first, *rest, *args[len(before_dashes(args)) :]]


def help_as_option(args: Sequence[str]) -> list[str]:
    """`help submit` is `submit --help`."""
    return [*args[1:], "--help"] if args and args[0] == "help" else list(args)


def is_given(args: Sequence[str], flag: str) -> bool:
    """Whether an option stands on the command line, as `--flag value` or `--flag=value`."""
    return any(word.partition("=")[0] == flag for word in before_dashes(args))


def is_verbose(args: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether tracebacks are wanted, before anything was read that could go wrong."""
    flags = GLOBAL_FLAGS.intersection(before_dashes(args))
    return bool(flags) or environ.get("QGJOB_VERBOSE", "").lower() in _YES
