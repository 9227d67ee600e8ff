"""Ids of jobs and runs: random ones that sort by time, and ones derived from a run key."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final, Literal

from qgjob.errors import NotFoundError

Kind = Literal["job", "run"]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's, in lower case: sorts as its values do
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH: Final = 26
_RANDOM_BITS: Final = 80
_TIME_BITS: Final = 48
_PREFIXES: Final[dict[Kind, str]] = {"job": "j_", "run": "r_"}
_ID: Final = re.compile(rf"[jr]_[0-7][{_ALPHABET}]{{{_LENGTH - 1}}}\Z")


def new_ids(kind: Kind, count: int, now: float) -> list[str]:
    """Unique ids in ascending order (ULIDs); `now` is in seconds since 1970.

    48 bits of milliseconds, then 80 random bits, counted up within one call.
    """
    milliseconds = int(now * 1000) & ((1 << _TIME_BITS) - 1)
    # The top bit is left free, so that counting up does not run into the next millisecond.
    first = (milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS - 1)
    return [_PREFIXES[kind] + _encode(first + number) for number in range(count)]


def derived_id(kind: Kind, org_id: str, run_key: str, position: int = 0) -> str:
    """The id that a run key stands for: of the run, or of its job at `position`."""
    digest = hashlib.sha256()
    for part in (kind, org_id, run_key, str(position)):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return _PREFIXES[kind] + _encode(int.from_bytes(digest.digest()[:16], "big"))


def kind_of(any_id: str) -> Kind | None:
    """Whether an id names a job or a run; None when it has the form of neither."""
    if not _ID.match(any_id):
        return None
    return "job" if any_id[0] == "j" else "run"


def checked_any_id(any_id: str) -> str:
    """The id of a job or of a run itself; raises `NotFoundError` when it has the form of neither."""
    if kind_of(any_id) is None:
        raise NotFoundError(
            f"{any_id!r} is not the id of a job (j_…) or of a run (r_…).",
            hint="`qgjob list` shows the latest jobs.",
        )
    return any_id


def made_at(any_id: str) -> float:
    """When a random id was made, in seconds since 1970; of a derived id, nothing sensible."""
    value = 0
    for character in any_id[2:]:
        value = value * 32 + _VALUES[character]
    return (value >> _RANDOM_BITS) / 1000


def _encode(value: int) -> str:
    characters: list[str] = []
    for _ in range(_LENGTH):
        value, rest = divmod(value, 32)
        characters.append(_ALPHABET[rest])
    return "".join(reversed(characters))
