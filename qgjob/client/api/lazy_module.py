"""Lazy modules: imported when one of their attributes is first used."""

from __future__ import annotations

import importlib
from typing import Any


class LazyModule:
    """A stand-in for a module, which is imported when an attribute is first looked up."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
