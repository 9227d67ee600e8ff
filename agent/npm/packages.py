"""npm packages of test bundles: installed once for each lock file, then linked into the working copies.

`npm ci` runs apart from the jobs, in a folder that no job sees, and never runs the packages' own scripts.
What it made is kept by what it was made from (lock file, package.json, .npmrc, Node, organisation), so
that a second job with the same lock file gets it at the cost of some hundred links. Jobs of another
organisation get an installation of their own: a job could write into what it shares.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import JobError
from agent.launch import EndReason, Exit, LaunchSpec, StreamName
from agent.npm.errors import explain
from agent.npm.project import Project, find_project
from agent.runners.node import node_of
from agent.runners.toolchain import Toolchain, missing_tool
from agent.storage.removal import remove_tree
from agent.storage.shared import SharedWork
from agent.supervision.job_supervisor import JobSupervisor

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S: Final = 300.0
DEFAULT_LIMIT_BYTES: Final = 5 * 1024**3

_TAIL_BYTES: Final = 16 * 1024
_DOWNLOADS: Final = "npm-cache"
_PASSED_ON: Final = frozenset(
    {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmSettings:
    """How npm is used. `offline`: nothing is asked of a registry. `environment` is what npm runs in.

    `limit_bytes`: of all installations together, and as much again of what npm has downloaded.
    """

    environment: Mapping[str, str]
    timeout_s: float = DEFAULT_TIMEOUT_S
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    offline: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], tools: Toolchain) -> NpmSettings:
        """The agent's settings: `QGJOB_AGENT_NPM_TIMEOUT` in seconds, `QGJOB_AGENT_NPM_OFFLINE=1`.

        npm keeps the machine's configuration: proxies, certificates, `npm_config_…`, the user's `.npmrc`.
        """
        passed = {
            name: value
            for name, value in environ.items()
            if name.upper() in _PASSED_ON or name.lower().startswith("npm_config_")
        }
        passed.setdefault("npm_config_userconfig", str(Path.home() / ".npmrc"))
        try:
            timeout_s = float(environ.get("QGJOB_AGENT_NPM_TIMEOUT") or DEFAULT_TIMEOUT_S)
        except ValueError:
            timeout_s = DEFAULT_TIMEOUT_S
            log.warning("QGJOB_AGENT_NPM_TIMEOUT is no number of seconds; %g is used", timeout_s)
        return cls(
            environment={**tools.environment, **passed},
            timeout_s=timeout_s,
            offline=environ.get("QGJOB_AGENT_NPM_OFFLINE", "") not in {"", "0"},
        )


class NpmPackages:
    """What the slots of one agent share. Safe to use from all of them; one instance owns its folder."""

    def __init__(self, folder: Path, tools: Toolchain, settings: NpmSettings, *, mark: str) -> None:
        self._folder = folder
        self._tools = tools
        self._settings = settings
        self._mark = mark
        self._installing = SharedWork()
        self._users: dict[str, int] = {}

    def open(self) -> None:
        """Begin: what a former agent left half-done is cleared. Blocking."""
        remove_tree(self._folder / "incoming")

    @contextlib.asynccontextmanager
    async def provided(self, bundle: Path, test: str, org_id: str, say: Say) -> AsyncGenerator[bool]:
        """Within the block the packages of the test's lock file are in the working copy, if it has one.

        Yields whether they were linked. Nothing is done when a `node_modules` is there already. Raises
        `JobError`: `deps_failed`, `deps_timeout` (the lab's trouble) or `deps_broken` (the bundle's).
        """
        project = find_project(bundle, test)
        if project is None:
            yield False
            return
        if self._tools.npm is None:
            raise missing_tool(
                "the test has a package-lock.json, and this machine no npm to install it with",
                "Install Node.js with npm on the lab machine, or put node_modules into the bundle "
                "(!node_modules in .qgjobignore).",
            )
        key = await asyncio.to_thread(self._key, project, org_id)
        self._users[key] = self._users.get(key, 0) + 1
        try:
            if not self._complete(key):
                await self._install_once(key, project, say)
            await asyncio.to_thread(
                _link, self._folder / key / "node_modules", project.folder / "node_modules"
            )
            with contextlib.suppress(OSError):
                os.utime(self._folder / key)
            yield True
        except OSError as error:
            raise JobError(
                f"the test's packages cannot be put in place: {error.strerror or error}",
                reason="deps_failed",
                retryable=True,
            ) from error
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key]

    async def close(self) -> None:
        """End the installations that run."""
        await self._installing.close()

    # -- installing ---------------------------------------------------------------------------------

    def _key(self, project: Project, org_id: str) -> str:
        digest = hashlib.sha256()
        node = node_of(self._tools)
        for part in (org_id, str(Path(node).resolve()), str(self._tools.npm)):
            digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
        for name in project.files:
            data = (project.folder / name).read_bytes()
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()

    def _complete(self, key: str) -> bool:
        return (self._folder / key / "node_modules").is_dir()

    async def _install_once(self, key: str, project: Project, say: Say) -> None:
        if key in self._installing:
            say(f"waiting for the packages of {project.lock}, which another job has installed")
        else:
            say(f"installing the packages of {project.lock}")
        await self._installing.wait_for(
            key,
            lambda: self._install(key, project),
            name=f"npm ci {key[:12]}",
            alone=lambda: self._users[key] == 1,
            stopped=True,
        )

    async def _install(self, key: str, project: Project) -> None:
        incoming = self._folder / "incoming" / uuid.uuid4().hex
        began = time.monotonic()
        try:
            await asyncio.to_thread(_prepare, project, incoming)
            await self._npm_ci(incoming, project)
            (incoming / "node_modules").mkdir(exist_ok=True)  # a lock file may have no packages
            await asyncio.to_thread(remove_tree, incoming / ".home")
            await asyncio.to_thread(remove_tree, self._folder / key)
            incoming.rename(self._folder / key)
        except OSError as error:
            raise JobError(
                f"the test's packages cannot be stored: {error.strerror or error}",
                reason="deps_failed",
                retryable=True,
            ) from error
        finally:
            await asyncio.to_thread(remove_tree, incoming)
        log.info("npm ci took %.1f s for %s", time.monotonic() - began, project.lock)
        await self._make_room()
        await self._trim_downloads()

    async def _trim_downloads(self) -> None:
        """Npm never forgets a download: over the limit all of them go, unless npm runs just now."""
        downloads = self._folder / _DOWNLOADS
        if await asyncio.to_thread(_size_of, downloads) <= self._settings.limit_bytes:
            return
        if len(self._installing) == 1:  # ourselves
            await self._remove(downloads)

    async def _npm_ci(self, folder: Path, project: Project) -> None:
        settings = self._settings
        launch = LaunchSpec(
            argv=(
                node_of(self._tools),
                str(self._tools.npm),
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-update-notifier",
                "--loglevel=error",
                "--git=git",  # not one that the bundle's .npmrc names
                "--offline" if settings.offline else "--prefer-offline",
                f"--cache={self._folder / _DOWNLOADS}",
            ),
            env={**settings.environment, "HOME": str(folder / ".home"), "CI": "true", "NO_COLOR": "1"},
            cwd=folder,
        )
        output = bytearray()

        def note(_stream: StreamName, data: bytes) -> None:
            output.extend(data)
            del output[:-_TAIL_BYTES]

        supervisor = await JobSupervisor.start(mark=f"{self._mark}npm:")
        late = asyncio.get_running_loop().call_later(
            settings.timeout_s, lambda: supervisor.end(EndReason.TIMED_OUT, grace_s=1.0)
        )
        try:
            exit_ = await supervisor.run(launch, note)
        finally:
            late.cancel()
            await supervisor.close()
        self._judge(exit_, output.decode("utf-8", "replace"), project)

    def _judge(self, exit_: Exit, output: str, project: Project) -> None:
        if exit_.ended is EndReason.TIMED_OUT:
            raise JobError(
                f"installing the packages of {project.lock} took longer than {self._settings.timeout_s:g} s",
                reason="deps_timeout",
                retryable=True,
                hint="The agent's QGJOB_AGENT_NPM_TIMEOUT allows more.",
            )
        if exit_.exit_code != 0:
            fault = explain(output, offline=self._settings.offline)
            why = fault.sentence or exit_.describe()
            raise JobError(
                f"the packages of {project.lock} could not be installed: {why}",
                reason="deps_broken" if fault.bundles else "deps_failed",
                retryable=not fault.bundles,
            )

    async def _make_room(self) -> None:
        """Remove the least recently used installations while all are over the limit, but none in use."""
        found = await asyncio.to_thread(self._installations)
        over = sum(size for _, size, _ in found) - self._settings.limit_bytes
        for _, size, path in sorted(found):
            if over <= 0:
                break
            if path.name not in self._users:
                over -= size
                await self._remove(path)

    def _installations(self) -> list[tuple[float, int, Path]]:
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            if len(path.name) == 64:
                with contextlib.suppress(OSError):  # other installations end and free space, too
                    found.append((path.stat().st_mtime, _size_of(path), path))
        return found

    async def _remove(self, path: Path) -> None:
        """At first its name goes, at once: who wants it meanwhile shall not get what is half removed."""
        gone = self._folder / "incoming" / uuid.uuid4().hex
        with contextlib.suppress(OSError):
            path.rename(gone)
        await asyncio.to_thread(remove_tree, gone)


def _prepare(project: Project, incoming: Path) -> None:
    (incoming / ".home").mkdir(parents=True)
    for name in project.files:
        shutil.copyfile(project.folder / name, incoming / name)


def _link(packages: Path, into: Path) -> None:
    """Make `node_modules` a folder of the job's own, with links in it: tools put files beside them."""
    into.mkdir()
    for entry in os.scandir(packages):
        if entry.name.startswith("@") and entry.is_dir(follow_symlinks=False):
            (into / entry.name).mkdir()
            for scoped in os.scandir(entry.path):
                (into / entry.name / scoped.name).symlink_to(scoped.path)
        else:
            (into / entry.name).symlink_to(entry.path)


def _size_of(folder: Path) -> int:
    size = 0
    for root, _folders, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                size += os.lstat(f"{root}/{name}").st_size
    return size
