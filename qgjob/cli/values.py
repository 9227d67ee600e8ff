"""Parses and checks the values of options: a wrong one is refused with a sentence and exit code 2."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from qgjob.cli.choices import checked_choice
from qgjob.errors import QgjobError, UsageError

TARGETS: Final = ("emulator", "device", "simulator")

_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}\Z")
_RUNNER: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")


def identifier(name: str, value: str) -> str:
    """The value of an id option; raises `UsageError`."""
    from qgjob.client.checks import checked_id

    return checked_id(name, value)


def priority(value: str, name: str = "--priority") -> int:
    """A priority from 1 to 10, or of one of the three words; raises `UsageError`."""
    from qgjob.domain.priorities import PRIORITY_WORDS

    word = value.strip().lower()
    if word in PRIORITY_WORDS:
        return PRIORITY_WORDS[word]
    if word.isascii() and word.isdecimal() and 1 <= int(word[:6]) <= 10:
        return int(word)
    raise UsageError(
        f"{name} {value!r} is no priority: it is a whole number from 1 (least) to 10 (most urgent), "
        "or low, medium or high."
    )


def target(value: str | None) -> str | None:
    """A target, or None; raises `UsageError`."""
    if value is None:
        return None
    hint = "Leave it out when any slot will do; name other labels with --require."
    return checked_choice("--target", value, TARGETS, hint)


def labels(values: Iterable[str], option_name: str = "--require") -> tuple[str, ...]:
    """Labels, in order, each once; raises `UsageError`."""
    from bus_schemas.base import LABEL_RULE, is_label

    names = tuple(dict.fromkeys(values))
    for value in names:
        if not is_label(value):
            raise UsageError(f"{option_name} {value!r} is not a label.", hint=LABEL_RULE)
    return names


def label_list(option_name: str, value: str) -> tuple[str, ...]:
    """Labels separated by commas, at least one; raises `UsageError`."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    return labels(parts or [value], option_name)


def capability(value: str | None) -> str | None:
    """Labels joined by `+`, in their one order, or `any`; raises `UsageError`."""
    if value is None or value == "any":
        return value
    parts = [part.strip() for part in value.split("+")]
    return "+".join(sorted(labels(parts, "--capability")))


def count(option_name: str, value: str) -> int:
    """A whole number from 1 on; raises `UsageError`."""
    text = value.strip()
    if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= 1_000_000:
        return int(text)
    raise UsageError(f"{option_name} {value!r} is not a whole number from 1 to 1,000,000.")


def runner(value: str) -> str:
    """The name of a runner; raises `UsageError`."""
    if _RUNNER.match(value):
        return value
    raise UsageError(f"--runner {value!r} is not the name of a runner, such as command or pytest.")


def duration(option_name: str, value: str) -> float:
    """Seconds from `90`, `90s`, `15m`, `2h`; raises `UsageError` naming the option."""
    from qgjob.domain.durations import parse_duration

    try:
        return parse_duration(value)
    except UsageError as error:
        raise UsageError(f"{option_name}: {error.message}", hint=error.hint) from None


def maybe_duration(option_name: str, value: str | None) -> float | None:
    """Seconds, or None when the option was not given; raises `UsageError`."""
    return None if value is None else duration(option_name, value)


def moment(option_name: str, value: str) -> float:
    """Seconds since 1970 from an RFC 3339 time; raises `UsageError` naming the option."""
    from datetime import datetime

    try:
        at = datetime.fromisoformat(value.strip().upper())
    except ValueError:
        at = None
    if at is None or "T" not in value.upper().strip().replace(" ", "T"):
        raise UsageError(
            f"{option_name} {_short(value)!r} is not a time such as 2027-01-31T06:00:00+01:00 (RFC 3339)."
        )
    if at.tzinfo is None:
        raise UsageError(
            f"{option_name} {_short(value)!r} does not say where: add Z for UTC, or an offset such as +01:00."
        )
    try:
        seconds = at.timestamp()
    except (OverflowError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < 253_402_300_800:
        raise UsageError(f"{option_name} {_short(value)!r} lies before 1970 or after the year 9999.")
    return seconds


def schedule(
    cron: str | None, time_zone: str | None, *, at: str | None, wait: bool
) -> tuple[str, str | None] | None:
    """The expression and zone of --cron, or None; raises `UsageError` for what does not go with it."""
    if cron is None:
        if time_zone is not None:
            raise UsageError("--time-zone needs --cron: it says in which zone its times are.")
        return None
    if at is not None or wait:
        other = "--at" if at is not None else "--wait"
        raise UsageError(f"--cron and {other} exclude each other: a schedule has no one run.")
    if not cron.strip() or not cron.isascii() or not cron.isprintable() or len(cron) > 190:
        raise UsageError(f"--cron {_short(cron)!r} is no schedule such as '30 5 * * 1-5' or @hourly.")
    if time_zone is not None and not re.fullmatch(r"[A-Za-z0-9_+/-]{1,64}", time_zone):
        raise UsageError(f"--time-zone {_short(time_zone)!r} is no zone such as Europe/Berlin.")
    return cron.strip(), time_zone


def grace(value: str) -> float | None:
    """The value of --no-slot-grace: seconds, or None for `off`; raises `UsageError`."""
    if value.strip().lower() in {"off", "never"}:
        return None
    return 0.0 if value.strip() in {"0", "0s"} else duration("--no-slot-grace", value)


def environment(values: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` pairs of `-e`; raises `UsageError`."""
    variables: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not _ENV_NAME.match(name):
            raise UsageError(
                f"-e {_short(value)!r} is not of the form NAME=VALUE.",
                hint="A name has letters, digits and _, and begins with no digit.",
            )
        if "\0" in text or len(text) > 32_768:
            raise UsageError(f"-e {name}: the value is too long (over 32,768 characters) or holds a NUL.")
        variables[name] = text
    return variables


def secret_names(values: Iterable[str]) -> tuple[str, ...]:
    """Names of secrets; raises `UsageError`, most of all for somebody who gives the value too."""
    for value in values:
        if not _ENV_NAME.match(value) or value.startswith("QGJOB_"):
            shown = value.partition("=")[0]
            raise UsageError(
                f"--secret {_short(shown)!r}… is not the name of a secret."
                if "=" in value
                else f"--secret {_short(value)!r} is not the name of a secret.",
                hint="Its value stands on the agent, in agent.toml or a secrets file; only the name travels.",
            )
    return tuple(dict.fromkeys(values))


def metadata(values: Iterable[str]) -> dict[str, str]:
    """`KEY=VALUE` pairs of `--meta`; raises `UsageError`."""
    meta: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--meta {_short(value)!r} is not of the form KEY=VALUE.")
        if len(key) > 256 or len(text) > 4000:
            raise UsageError(f"--meta {_short(key)!r} is too long: 256 characters a key, 4,000 a value.")
        meta[key] = text
    return meta


def one_line(option_name: str, value: str | None) -> str | None:
    """A text without control characters, or None; raises `UsageError`."""
    if value is None:
        return None
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise UsageError(f"{option_name} contains a control character.")
    if not value.strip() or len(value) > 256:
        raise UsageError(f"{option_name} must have 1 to 256 characters.")
    return value


def writable(option_name: str, path: Path | None) -> Path | None:
    """A file that can be written later, or None; raises `UsageError` now rather than then."""
    if path is None:
        return None
    folder = path.parent
    reason = None
    if path.is_dir():
        reason = "it is a folder"
    elif not folder.is_dir():
        reason = f"there is no folder {folder}"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        reason = os.strerror(errno.EACCES)
    if reason:
        raise UsageError(f"{option_name} {path} cannot be written: {reason}.")
    return path


def fresh(option_name: str, path: Path | None) -> Path | None:
    """A file that can be written later and is gone by now: one of an earlier call would be taken for ours."""
    from qgjob.cli.output_file import remove_old

    checked = writable(option_name, path)
    if checked is not None:
        try:
            remove_old(checked)
        except OSError as error:
            raise unwritable(f"{option_name} {checked}", error) from None
    return checked


def unwritable(what: str, error: OSError) -> QgjobError:
    """The error for a file that cannot be written after all: a full disk is not a usage error."""
    text = f"{what} cannot be written: {error.strerror or error}."
    if error.errno in _DISK:
        return QgjobError(text, hint="`qgjob doctor` shows how much room the disks have.")
    return UsageError(text)


def _short(value: str) -> str:
    from qgjob.domain.wording import shorten

    return shorten(value, 40)
