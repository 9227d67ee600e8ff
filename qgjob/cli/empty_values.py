"""Refuses empty paths and addresses: `--app "$APK"`, its variable unset, would mean the current folder."""

from __future__ import annotations

import re
from typing import Any, Final

from qgjob.errors import UsageError

_PLACE: Final = re.compile(r"FILE|DIR|TRACE|URL|SLOT")
"""What the placeholders of paths, addresses and slots contain."""


def refuse_empty(command: Any) -> None:
    """Have a typer command, and those below it, refuse paths, addresses and slots that are empty."""
    for parameter in command.params:
        if _PLACE.search(parameter.metavar or ""):
            _refuse(parameter)
    for child in getattr(command, "commands", {}).values():
        refuse_empty(child)


def _refuse(parameter: Any) -> None:
    convert = parameter.process_value
    name = next((flag for flag in parameter.opts if flag.startswith("--")), parameter.metavar)

    def checked(ctx: Any, value: Any) -> Any:
        if value == "":
            raise UsageError(f"{name} must not be empty.", hint="Is a variable unset?")
        return convert(ctx, value)

    parameter.process_value = checked
