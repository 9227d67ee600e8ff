"""How services log: lines for people, JSON for collectors, and priorities for systemd's journal."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

from qgjob.errors import UsageError

_TEXT: Final = "%(levelname)-7s %(name)s: %(message)s"
_LEVELS: Final = ("debug", "info", "warning", "error")


def set_up_logging(env: Mapping[str, str], stream: TextIO) -> None:
    """Log to `stream` as `LOG_LEVEL` and `LOG_FORMAT` say; raises `UsageError` for other values."""
    level, kind = env.get("LOG_LEVEL") or "info", env.get("LOG_FORMAT") or "text"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(kind, env, stream))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if level.lower() not in _LEVELS:
        raise UsageError(f"LOG_LEVEL is {level!r}, and not debug, info, warning or error.")
    if kind not in {"text", "json"}:
        raise UsageError(f"LOG_FORMAT is {kind!r}, and neither text nor json.")
    logging.getLogger().setLevel(level.upper())


def _formatter(kind: str, env: Mapping[str, str], stream: TextIO) -> logging.Formatter:
    if kind == "json":
        return _Json()
    return _Journal(_TEXT) if _is_journal(env, stream) else logging.Formatter(f"%(asctime)s {_TEXT}")


def _is_journal(env: Mapping[str, str], stream: TextIO) -> bool:
    """Whether what is written goes to systemd's journal, which names its socket in the environment."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return env.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Journal(logging.Formatter):
    """Each line with its priority, by which `journalctl -p` selects; the journal has the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines, a traceback's too."""
        priority = 7 if record.levelno < logging.INFO else 6 if record.levelno < logging.WARNING else 4
        if record.levelno >= logging.ERROR:
            priority = 3
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's time, level, logger and message, and its traceback if it has one."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)
