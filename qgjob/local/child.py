"""One child process: started under the guard, awaited until ready, ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from qgjob.errors import QgjobError
from qgjob.local import guard
from qgjob.local.logs import ChildLog
from qgjob.ready import READY_FD_VARIABLE, READY_LINE

#: Asks a server whether it is usable; must come back by itself within a second or so.
Probe = Callable[[], Awaitable[bool]]

_PROBE_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run, how it shows that it is ready, and how long it may take to end."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to our own environment."""
    cwd: str | None = None
    probe: Probe | None = None
    """Without one the child is awaited to write `ready` on the descriptor it is given (`qgjob.ready`)."""
    ready_timeout_s: float = 30.0
    stop_grace_s: float = 5.0
    """From SIGTERM to SIGKILL."""
    keep_fds: tuple[int, ...] = ()
    """Descriptors of ours that the child inherits."""


class ChildError(QgjobError):
    """A child did not start; the text ends with the last lines it wrote."""


class Child:
    """A running child process; made by `start_child`."""

    def __init__(self, spec: ChildSpec, process: asyncio.subprocess.Process, watch_fd: int | None) -> None:
        self.spec = spec
        self._process = process
        self._watch_fd = watch_fd

    @property
    def pid(self) -> int:
        """The process id (of its guard, where the kernel does not do the guarding)."""
        return self._process.pid

    async def exited(self) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        code = await self._process.wait()
        self._sweep()
        return code

    async def stop(self, hurry: asyncio.Event) -> bool:
        """SIGTERM, the child's grace or until `hurry` is set, SIGKILL. Whether it ended by itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        ended = asyncio.ensure_future(self._process.wait())
        hurried = asyncio.ensure_future(hurry.wait())
        try:
            await asyncio.wait(
                {ended, hurried}, timeout=self.spec.stop_grace_s, return_when=asyncio.FIRST_COMPLETED
            )
            in_time = ended.done()
        finally:
            hurried.cancel()
            self._sweep()
            await ended
        return in_time

    def kill(self) -> None:
        """SIGKILL, for it and what it left in its process group."""
        self._sweep()

    def _sweep(self) -> None:
        # The child leads a process group of its own. A group that is empty is gone: no error.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._watch_fd is not None:
            os.close(self._watch_fd)
            self._watch_fd = None


async def start_child(spec: ChildSpec, log: ChildLog, *, watch: bool = sys.platform != "linux") -> Child:
    """Start a child and return when it is ready.

    With `watch` the guard watches a pipe instead of asking the kernel (see `qgjob.local.guard`).
    Raises ChildError when it ends before it is ready, or takes longer than its `ready_timeout_s`.
    """
    ready_read, ready_write = os.pipe()
    watch_read, watch_write = os.pipe() if watch else (-1, None)
    inherited = [fd for fd in (ready_write, watch_read, *spec.keep_fds) if fd >= 0]
    guarded = (sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(watch_read), *spec.argv)
    try:
        with log.open() as output:
            process = await asyncio.create_subprocess_exec(
                *guarded,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **spec.env, READY_FD_VARIABLE: str(ready_write)},
                cwd=spec.cwd,
                # A group of its own: Ctrl-C in the terminal reaches us alone, and we stop in order.
                start_new_session=True,
                pass_fds=inherited,
            )
    except BaseException:
        os.close(ready_read)
        if watch_write is not None:
            os.close(watch_write)
        raise
    finally:
        os.close(ready_write)
        if watch_read >= 0:
            os.close(watch_read)
    child = Child(spec, process, watch_write)
    try:
        await _until_ready(child, ready_read)
    except BaseException as error:
        child.kill()
        await child.exited()
        if isinstance(error, _NotReadyError):
            raise ChildError(
                f"{spec.name} {error}.\n{log.tail()}".rstrip(), hint=f"Its log: {log.path}"
            ) from None
        raise
    finally:
        os.close(ready_read)
    return child


class _NotReadyError(Exception):
    """Why a child is not ready: the end of a sentence that begins with its name."""


async def _until_ready(child: Child, ready_fd: int) -> None:
    spec = child.spec
    ready = asyncio.ensure_future(_probed(spec.probe) if spec.probe else _wait_for_ready(ready_fd))
    ended = asyncio.ensure_future(child.exited())
    try:
        await asyncio.wait({ready, ended}, timeout=spec.ready_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise _NotReadyError(f"ended at its start {describe_exit(ended.result())}")
        if not ready.done():
            raise _NotReadyError(f"was not ready within {spec.ready_timeout_s:g} s")
        ready.result()
    finally:
        ready.cancel()
        ended.cancel()
        await asyncio.wait({ready, ended})


async def _probed(probe: Probe) -> None:
    while not await probe():  # noqa: ASYNC110  (another process: there is no event to wait for)
        await asyncio.sleep(_PROBE_PAUSE_S)


async def _wait_for_ready(descriptor: int) -> None:
    """Wait for the line; a child that closes the pipe without it has still not said it."""
    loop = asyncio.get_running_loop()
    said: asyncio.Future[None] = loop.create_future()
    received = b""

    def read() -> None:
        nonlocal received
        piece = os.read(descriptor, 64)
        received = (received + piece)[-64:]
        if not piece or READY_LINE in received:
            loop.remove_reader(descriptor)
            if piece and not said.done():
                said.set_result(None)

    loop.add_reader(descriptor, read)
    try:
        await said
    finally:
        loop.remove_reader(descriptor)


def describe_exit(code: int) -> str:
    """Return how a process ended, as the end of a sentence: `with code 1`, `by SIGKILL`."""
    if code >= 0:
        return f"with code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
