"""The options and environment variables of the rate limits."""

from __future__ import annotations

import argparse
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from qgjob.errors import UsageError
from qgjob.gateway.gates import Limit
from qgjob.gateway.limits import Rate

DEFAULT_RATE: Final = "1000"
"""A second. A caller who awaits each answer before he asks again comes to 450; all together to 2,000."""
SAVED_S: Final = 10
"""What may come at once is what so many seconds allow, unless it was said."""
NONE: Final = "none"
RATE: Final = "http_rate"
BURST: Final = "http_burst"
JOBS: Final = "http_jobs"
HELP: Final[Mapping[str, str]] = {
    RATE: "requests a second from one address before HTTP answers 429, or none for any number "
    f"({int(DEFAULT_RATE):,})",
    BURST: f"how many of them may come at once after a rest (what {SAVED_S} s allow)",
    JOBS: "jobs a minute that an organisation may submit over HTTP (any number)",
}
_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What HTTP allows: requests by address, jobs by organisation; None is any number."""

    requests: Limit | None = None
    jobs: Limit | None = None


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the limits to a parser."""
    for name, text in HELP.items():
        parser.add_argument(option_of(name), metavar="N", help=text)


def http_limits(given: Mapping[str, Any], env: Mapping[str, str]) -> HttpLimits:
    """What was given, else `QGJOB_HTTP_…`, else the defaults; raises `UsageError` naming what is wrong."""
    rate_by, rate = _said(RATE, given, env) or (f"the default of {option_of(RATE)}", DEFAULT_RATE)
    burst_by, burst = _said(BURST, given, env) or ("", "")
    jobs_by, jobs = _said(JOBS, given, env) or ("", NONE)
    if rate == NONE and burst:
        raise UsageError(f"{burst_by} needs a rate, and {rate_by} is {NONE}.")
    return HttpLimits(
        None if rate == NONE else _requests(rate_by, rate, burst_by, burst),
        None if jobs == NONE else _jobs(jobs_by, jobs),
    )


def _requests(rate_by: str, rate: str, burst_by: str, burst: str) -> Limit:
    per_s = _number(rate_by, rate, 0.001, or_none=True)
    at_once = int(_number(burst_by, burst, 1)) if burst else max(1, math.ceil(per_s * SAVED_S))
    return Limit(Rate(per_s, at_once), rate_by)


def _jobs(jobs_by: str, jobs: str) -> Limit:
    a_minute = int(_number(jobs_by, jobs, 1, or_none=True))
    return Limit(Rate(a_minute / 60, a_minute), jobs_by)


def proxies_of(text: str | None) -> list[str]:
    """Addresses and networks between commas; raises `UsageError`."""
    named = [part.strip() for part in (text or "").split(",") if part.strip()]
    for each in named:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise UsageError(
                f"--proxies: {each!r} is neither an address nor a network.",
                hint="Such as 10.0.0.7, or 10.1.0.0/16; several between commas.",
            ) from None
    return named


def option_of(name: str) -> str:
    """How it is written on a command line."""
    return "--" + name.replace("_", "-")


def _said(name: str, given: Mapping[str, Any], env: Mapping[str, str]) -> tuple[str, str] | None:
    """What said it, and what."""
    variable = f"QGJOB_{name.upper()}"
    for source, value in ((option_of(name), given.get(name)), (variable, env.get(variable))):
        if value:
            return source, str(value).strip().lower()
    return None


def _number(source: str, text: str, least: float, *, or_none: bool = False) -> float:
    whole = least >= 1
    try:
        number = float(int(text) if whole else float(text))
    except ValueError:
        number = -1.0
    if not least <= number <= _MOST:
        what = "a whole number" if whole else "a number"
        allowed = f", or {NONE}" if or_none else ""
        raise UsageError(f"{source} {text!r}: {what} from {least:g} to {_MOST:,}{allowed}.")
    return number
