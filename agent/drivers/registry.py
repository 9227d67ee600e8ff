"""Looks drivers up by name: the built-in ones, and plug-ins.

A plug-in (`agent/plugins.py`) is a `Driver` class; it may not take the name of another driver. A built-in one
is imported when it is used.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final

from agent.drivers.base import Driver, DriverContext
from agent.plugins import Plugins, load
from qgjob.errors import UsageError

PLUGINS: Final = Plugins("driver", "qgjob.drivers", "QGJOB_DRIVER_PLUGINS")

BUILT_IN: Final[Mapping[str, str]] = {
    "adb": "agent.drivers.adb.driver:AdbDriver",
    "devicectl": "agent.drivers.apple.driver:DevicectlDriver",
    "none": "agent.drivers.marker:NoneDriver",
    "process": "agent.drivers.process:ProcessDriver",
    "simctl": "agent.drivers.apple.driver:SimctlDriver",
}


def make_driver(name: str, context: DriverContext, environ: Mapping[str, str]) -> Driver:
    """The driver of that name; raises `UsageError` as `find_driver` does, and when it cannot be made."""
    kind = find_driver(name, environ)
    return kind(context) if name in BUILT_IN else PLUGINS.instantiate(name, lambda: kind(context))


def find_driver(name: str, environ: Mapping[str, str]) -> type[Driver]:
    """The driver of that name; raises `UsageError` for an unknown one or a plug-in that cannot be used."""
    if name in BUILT_IN:
        found: type[Driver] = load(BUILT_IN[name])
        return found
    plugins: dict[str, type[Driver]] = {}
    for where, plugin in PLUGINS.discover(environ):
        if not (inspect.isclass(plugin) and issubclass(plugin, Driver)):
            raise UsageError(f"the driver plug-in {where} is no Driver class")
        if not isinstance(getattr(plugin, "name", None), str):
            raise UsageError(f"the driver plug-in {where} has no name", hint='It wants a line `name = "…"`.')
        if plugin.name in BUILT_IN or plugin.name in plugins:
            raise UsageError(f"the driver plug-in {where} takes the name of another driver: {plugin.name}")
        plugins[plugin.name] = plugin
    if name not in plugins:
        known = ", ".join(sorted({*BUILT_IN, *plugins}))
        raise UsageError(f"There is no driver {name}.", hint=f"There are: {known}.")
    return plugins[name]
