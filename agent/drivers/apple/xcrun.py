"""Runs `xcrun`, with a deadline for each call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from agent.errors import JobError

ASK_S: Final = 30.0
_MAX_OUTPUT: Final = 8 * 2**20
_PASSED_ON: Final = ("PATH", "HOME", "TMPDIR", "USER", "DEVELOPER_DIR", "LANG")


class XcrunResult(NamedTuple):
    """The result of a call."""

    code: int
    output: bytes
    error: str

    @property
    def reason(self) -> str:
        """The end of its error output, in one line."""
        return " ".join(self.error.split())[-300:] or f"exit code {self.code}"


class Xcrun:
    """The program; it raises `JobError` (`device_silent`, `xcrun_missing`) and nothing else."""

    def __init__(self, environ: Mapping[str, str], program: str | None = None) -> None:
        self._program = program or shutil.which("xcrun", path=environ.get("PATH", os.defpath))
        self._environment = {name: environ[name] for name in _PASSED_ON if name in environ}

    async def run(self, *arguments: str, timeout_s: float = ASK_S) -> XcrunResult:
        """Run a tool of Xcode to its end; a cancelled or late one is killed."""
        if self._program is None:
            raise JobError(
                "there is no xcrun on this machine",
                reason="xcrun_missing",
                retryable=True,
                hint="iOS devices need a Mac with Xcode and its command line tools.",
            )
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            text = f"{self._program} cannot be started: {error.strerror}"
            raise JobError(text, reason="xcrun_missing", retryable=True) from error
        try:
            async with asyncio.timeout(timeout_s):
                output, error = await process.communicate()
        except TimeoutError:
            text = f"xcrun {' '.join(arguments[:2])} did not answer within {timeout_s:g} s"
            raise JobError(text, reason="device_silent", retryable=True) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return XcrunResult(
            process.returncode or 0, output[:_MAX_OUTPUT], error[:65536].decode("utf-8", "replace")
        )

    async def document(self, *arguments: str, timeout_s: float = ASK_S) -> dict[str, Any]:
        """The JSON that a tool writes to its output. Raises `JobError` for a failure or nonsense."""
        said = await self.run(*arguments, timeout_s=timeout_s)
        if said.code != 0:
            raise _failed(arguments, said.reason)
        return _parsed(arguments, said.output)

    async def document_in_file(self, *arguments: str, timeout_s: float = ASK_S) -> dict[str, Any]:
        """The same of `devicectl`, which writes its JSON into a file that it is given."""
        with tempfile.TemporaryDirectory(prefix="qgjob-") as folder:
            path = Path(folder) / "said.json"
            said = await self.run(*arguments, "--json-output", str(path), timeout_s=timeout_s)
            if said.code != 0:
                raise _failed(arguments, said.reason)
            try:
                return _parsed(arguments, path.read_bytes()[:_MAX_OUTPUT])
            except OSError:
                raise _failed(arguments, "it wrote no answer") from None


def _failed(arguments: tuple[str, ...], why: str) -> JobError:
    return JobError(f"xcrun {' '.join(arguments[:3])}: {why}", reason="xcrun_failed", retryable=True)


def _parsed(arguments: tuple[str, ...], data: bytes) -> dict[str, Any]:
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _failed(arguments, "it answers with nonsense")
    return cast("dict[str, Any]", document)
