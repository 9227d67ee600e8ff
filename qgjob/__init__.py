"""qgjob: a test orchestrator for mobile labs over NATS JetStream.

`from qgjob import connect` is the way in for scripts (`qgjob.scripting`), `qgjob.client` the whole
API, asynchronous. Importing this package alone costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; importing typing would cost time
if TYPE_CHECKING:
    from qgjob.scripting import connect

__version__ = "0.1.0"
__all__ = ["__version__", "connect"]


def __getattr__(name: str) -> object:
    """Import what is asked for when it is."""
    if name != "connect":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from qgjob.scripting import connect

    return connect
