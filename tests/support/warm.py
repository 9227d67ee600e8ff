"""`qgjob` in forks of a process that has its modules: what most of a command's time goes to is done once.

A fork is a process of its own: with its arguments, environment, folder, standard streams and exit code. The first
time that a command is run the installed program is, which imports what it needs, as for a user.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
_PACKAGES = ("qgjob.cli", "qgjob.client", "qgjob.bus", "qgjob.bundle", "qgjob.reporting", "qgjob.report")
_LARGEST = 2**20


class WarmQgjob:
    """The process that forks, started when it is needed first."""

    def __init__(self) -> None:
        self._ours: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._run: set[str] = set()

    def knows(self, args: tuple[str, ...]) -> bool:
        """Whether the installed program was run with this command before; from now on it was."""
        known = bool(args) and args[0] in self._run
        self._run.update(args[:1])
        return known

    def run(
        self, argv: list[str], folder: Path, env: dict[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` does, with nothing to read."""
        ours = self._ours or self._start()
        ours.settimeout(timeout_s)
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            Path(os.devnull).open() as nothing,
        ):
            request = json.dumps({"argv": argv, "folder": str(folder), "env": env}).encode()
            streams = [nothing.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(ours, [request], streams)
            pid = int(ours.recv(_LARGEST))
            try:
                code = int(ours.recv(_LARGEST))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                ours.settimeout(None)
                ours.recv(_LARGEST)
                raise subprocess.TimeoutExpired(argv, timeout_s) from None
            return subprocess.CompletedProcess(argv, code, _text(out), _text(err))

    def close(self) -> None:
        """End it."""
        if self._ours and self._process:
            self._ours.close()
            self._process.wait(timeout=15)

    def _start(self) -> socket.socket:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for end in (self._ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
            argv = [sys.executable, "-m", __name__, str(theirs.fileno())]
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        return self._ours


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def serve(requests: socket.socket) -> None:
    """Fork for each request, one after the other, until nobody can send any more."""
    for name in _PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(module.name)
    while True:
        data, streams, _, _ = socket.recv_fds(requests, _LARGEST, 3)
        if not data:
            return
        pid = os.fork()
        if not pid:
            requests.close()
            _become(json.loads(data), streams)
        for stream in streams:
            os.close(stream)
        requests.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict[str, Any], streams: list[int]) -> None:
    for wanted, stream in enumerate(streams):
        os.dup2(stream, wanted)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = request["argv"]
    code: Any = 1
    try:
        from qgjob.cli.entry import main

        main()
    except SystemExit as end:
        code = end.code
    finally:  # what the interpreter does at its end
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given)
