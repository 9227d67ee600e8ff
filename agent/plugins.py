"""Finds plug-ins, a lab's own runners and drivers, and reports what is wrong with their code.

One is named either by an installed distribution's entry point, or in the agent's environment
(`package.module:Class,…`: for trying one out, and for tests, which install nothing).
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

from qgjob.errors import QgjobError, UsageError

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plug-ins of one kind (`runner`, `driver`)."""

    kind: str
    group: str
    """The entry points' group."""
    variable: str
    """The name in the agent's environment."""

    def discover(self, environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Each plug-in's location and object. Raises `UsageError` for one that cannot be loaded."""
        for entry in metadata.entry_points(group=self.group):
            yield entry.value, self.instantiate(entry.value, entry.load)
        for where in filter(None, (part.strip() for part in environ.get(self.variable, "").split(","))):
            if ":" not in where:
                raise UsageError(
                    f"{self.variable} wants package.module:Class, not {where!r}",
                    hint="Several are separated by commas.",
                )
            yield where, self.instantiate(where, lambda where=where: load(where))

    def instantiate(self, where: str, make: Callable[[], Made]) -> Made:
        """Call `make` for a plug-in; whatever the lab's own code raises becomes a `UsageError`."""
        try:
            return make()
        except QgjobError:
            raise
        except Exception as error:
            raise UsageError(
                f"the {self.kind} plug-in {where} cannot be loaded: {type(error).__name__}: {error}",
                hint=_raised_at(error),
            ) from error


def _raised_at(error: Exception) -> str | None:
    """The line of the plug-in's own, which a `SyntaxError` names itself and a missing module has not."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__
        and not frame.filename.startswith("<")
        and "importlib" not in frame.filename
    ]
    if isinstance(error, SyntaxError) or not frames:
        return None
    return f"It was raised in {frames[-1].filename}, line {frames[-1].lineno}."


def load(where: str) -> Any:
    """Import the object at `package.module:Class`."""
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)
