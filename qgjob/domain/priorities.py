"""The words for priorities: what people say instead of a number from 1 to 10."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PRIORITY_WORDS: Final[Mapping[str, int]] = MappingProxyType({"high": 9, "medium": 5, "low": 2})
