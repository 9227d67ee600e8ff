"""Whose credentials a connection has, as the server sees it."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Final

from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError

_GLOBAL: Final = "$G"
_TIMEOUT_S: Final = 1.0


async def user_of(bus: Bus) -> str | None:
    """`user ci of account CI`; None where the server has no accounts, or does not say."""
    with contextlib.suppress(QgjobError, ValueError, KeyError, TypeError):
        answer = await bus.requests.request("$SYS.REQ.USER.INFO", timeout=_TIMEOUT_S)
        found: dict[str, Any] = json.loads(answer.data)["data"]
        if found["account"] != _GLOBAL:
            return f"user {found['user']} of account {found.get('account_name') or found['account']}"
    return None


async def start_a_scheduler(bus: Bus) -> str:
    """What to do where nothing of a scheduler's is seen: none runs, or none for these credentials."""
    hint = "Start one with `qgjob scheduler` (or the whole system with `qgjob up`)."
    user = await user_of(bus)
    return f"{hint} If one runs, these are the credentials of another role: {user}." if user else hint
