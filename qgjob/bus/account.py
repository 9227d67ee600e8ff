"""Whose credentials a connection has, as the server sees it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from qgjob.bus.connect import Bus

USER_INFO: Final = "$SYS.REQ.USER.INFO"
START_A_SCHEDULER: Final = "Start one with `qgjob scheduler` (or the whole system with `qgjob up`)."
_GLOBAL: Final = "$G"
_TIMEOUT_S: Final = 1.0


async def user_of(bus: Bus) -> str | None:
    """`user ci of account CI`; None where the server has no accounts, or does not say."""
    with contextlib.suppress(QgjobError, ValueError, KeyError, TypeError):
        answer = await bus.requests.request(USER_INFO, timeout=_TIMEOUT_S)
        found: dict[str, Any] = json.loads(answer.data)["data"]
        if found["account"] != _GLOBAL:
            return f"user {found['user']} of account {found.get('account_name') or found['account']}"
    return None


async def start_a_scheduler(bus: Bus) -> str:
    """What to do where nothing of a scheduler's is seen: none runs, or none for these credentials."""
    user = await user_of(bus)
    other = f" If one runs, these are the credentials of another role: {user}." if user else ""
    return f"{START_A_SCHEDULER}{other}"
