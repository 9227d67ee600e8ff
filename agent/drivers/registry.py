"""The drivers there are: the built-in ones, and plug-ins.

A plug-in is a `Driver` class, named either by an installed distribution's entry point in the group
`qgjob.drivers`, or in the agent's environment: `QGJOB_DRIVER_PLUGINS=package.module:Class,…` (for tests,
which install nothing). A plug-in may not take the name of another driver. A built-in one is imported when
it is used.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Final

from agent.drivers.base import Driver
from qgjob.errors import UsageError

ENTRY_POINT_GROUP: Final = "qgjob.drivers"
PLUGINS_VARIABLE: Final = "QGJOB_DRIVER_PLUGINS"

BUILT_IN: Final[Mapping[str, str]] = {
    "adb": "agent.drivers.adb.driver:AdbDriver",
    "devicectl": "agent.drivers.apple.driver:DevicectlDriver",
    "none": "agent.drivers.marker:NoneDriver",
    "process": "agent.drivers.process:ProcessDriver",
    "simctl": "agent.drivers.apple.driver:SimctlDriver",
}


def find_driver(name: str, environ: Mapping[str, str]) -> type[Driver]:
    """The driver of that name; raises `UsageError` for an unknown one or a plug-in that cannot be used."""
    if name in BUILT_IN:
        found: type[Driver] = _load(BUILT_IN[name])
        return found
    plugins: dict[str, type[Driver]] = {}
    for where, plugin in _plugins(environ):
        if not (inspect.isclass(plugin) and issubclass(plugin, Driver)):
            raise UsageError(f"the driver plug-in {where} is no Driver class")
        if plugin.name in BUILT_IN or plugin.name in plugins:
            raise UsageError(f"the driver plug-in {where} takes the name of another driver: {plugin.name}")
        plugins[plugin.name] = plugin
    if name not in plugins:
        known = ", ".join(sorted({*BUILT_IN, *plugins}))
        raise UsageError(f"There is no driver {name}.", hint=f"There are: {known}.")
    return plugins[name]


def _plugins(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for entry in metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            yield entry.value, entry.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(f"the driver plug-in {entry.value} cannot be loaded: {error}") from error
    for where in filter(None, (part.strip() for part in environ.get(PLUGINS_VARIABLE, "").split(","))):
        if ":" not in where:
            raise UsageError(
                f"{PLUGINS_VARIABLE} wants package.module:Class, not {where!r}",
                hint="Several are separated by commas.",
            )
        try:
            yield where, _load(where)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"the driver plug-in {where} cannot be loaded: {error}") from error


def _load(where: str) -> Any:
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)
