"""The exceptions that reading an untrusted JSON document may raise.

Beside wrong forms and types: `1e999` is read as infinite and fits into no whole number, and a document may be
deeper than the reader goes.
"""

from __future__ import annotations

from typing import Final

UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
