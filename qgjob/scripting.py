"""A small synchronous face of the client, for scripts: `from qgjob import connect`.

An event loop in a thread of its own carries the connection; each call here is one call of
`qgjob.client.Client` there. What has no method here is reached through `Lab.call`.

>>> from qgjob import connect
>>> with connect() as lab:
...     run = lab.submit("tests/*.py", org_id="acme", app_version_id="1.4.0", argv=["python3", "{test}"])
...     result = run.wait(timeout_s=120)
>>> result.verdict.name
'OK'
>>> [(job.test, job.state) for job in result.jobs]
[('tests/login.py', 'passed'), ('tests/search.py', 'passed')]
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.from_thread import start_blocking_portal

from bus_schemas.agents import Heartbeat
from bus_schemas.builds import BuildRecord
from bus_schemas.control import CtlAnswer
from bus_schemas.queries import HealthAnswer, JobState, JobView, RunView
from qgjob.client.api.client import Client, open_client
from qgjob.client.models import SubmitRequest, Submitted, Waited, WaitOptions
from qgjob.connecting import server_options

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

T = TypeVar("T")


@contextlib.contextmanager
def connect(
    server: str | None = None,
    *,
    creds: str | None = None,
    token: str | None = None,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
) -> Generator[Lab]:
    """A connection to a lab for the time of a block.

    `server`: such as `nats://lab:4222`; else `QGJOB_SERVER`, the context in use (`qgjob context use`),
    a running `qgjob up` of this user, or `nats://127.0.0.1:4222`. `creds` (else `QGJOB_CREDS`) and the
    TLS files (else `QGJOB_TLS_CA`, …) are paths, `token` (else `QGJOB_TOKEN`) is the token or the name of
    a file that holds it. Credentials and TLS files of a context go with its server alone.

    Raises `qgjob.errors.UnreachableError`, `NotAllowedError`, `UsageError` or `NotFoundError` (a context
    that is not there); all errors of this
    module are `qgjob.errors.QgjobError`s, whose `message` and `hint` are for people.

    >>> from qgjob.errors import QgjobError
    >>> try:
    ...     with connect("nats://127.0.0.1:1") as lab:
    ...         lab.jobs()
    ... except QgjobError as error:
    ...     print(error.message, "Exit code:", int(error.exit_code))
    Nothing listens at nats://127.0.0.1:1. Exit code: 5
    """
    files = {"creds": creds, "tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    options = server_options({"server": server, **files}, os.environ, name="qgjob script", token=token)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_client(options)) as client,
    ):
        yield Lab(portal, client)


class Lab:
    """A connected lab; `connect` makes it. One thread uses it at a time."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self._client = client

    def call(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        """Call any other method of the client, and await it.

        >>> with connect() as lab:
        ...     overview = lab.call(lambda client: client.overview())
        >>> overview.slots_idle > 0
        True
        """

        async def asked() -> T:
            return await ask(self._client)

        return self._portal.call(asked)

    def submit(
        self,
        tests: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        org_id: str,
        app_version_id: str,
        folder: str | os.PathLike[str] = ".",
        argv: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Run:
        """Submit tests of a folder as one run, as `qgjob submit` does.

        `tests`: files, folders or globs, relative to `folder`, out of which the bundle is packed.
        `argv`: the command of runner `command`, `{test}` filled in; further arguments of others.
        `options`: any other field of `qgjob.client.SubmitRequest`: `priority`, `target`, `requires`,
        `runner`, `retries`, `timeout_s`, `name`, `meta`, `run_key`, ….

        Raises `NoTestsError` (nothing matches), `UsageError`, `RefusedError` (over a limit).

        >>> with connect() as lab:
        ...     run = lab.submit(
        ...         ["tests/login.py"],
        ...         org_id="acme",
        ...         app_version_id="1.4.0",
        ...         argv=["python3", "{test}"],
        ...         priority=9,
        ...         meta={"branch": "main"},
        ...     )
        ...     state = run.wait().jobs[0].state
        >>> state
        'passed'
        """
        request = SubmitRequest(
            org_id=org_id,
            app_version_id=app_version_id,
            tests=[os.fspath(test) for test in ((tests,) if isinstance(tests, str | os.PathLike) else tests)],
            argv=argv,
            env=dict(env or {}),
            **options,
        )
        submitted = self.call(lambda client: client.submit_tests(request, folder=Path(folder)))
        return Run(self, submitted.run_id, submitted)

    def run(self, run_id: str) -> Run:
        """A run that was submitted before."""
        return Run(self, run_id)

    def upload_app(
        self,
        path: str | os.PathLike[str],
        *,
        org_id: str,
        app_version_id: str,
        app_id: str | None = None,
        platform: str | None = None,
    ) -> BuildRecord:
        """Store a build, a file or a folder; raises `RefusedError` when that id has other bytes already."""
        return self.call(
            lambda client: client.upload_app(
                Path(path), org_id=org_id, app_version_id=app_version_id, app_id=app_id, platform=platform
            )
        )

    def jobs(
        self,
        *,
        state: JobState | None = None,
        org_id: str | None = None,
        app_version_id: str | None = None,
        run_id: str | None = None,
        limit: int = 50,
    ) -> list[JobView]:
        """Jobs that match, newest first.

        >>> with connect() as lab:
        ...     jobs = lab.jobs(org_id="acme", state="passed", limit=2)
        >>> {job.org_id for job in jobs}
        {'acme'}
        """
        return self.call(
            lambda client: client.jobs(
                state=state, org_id=org_id, app_version_id=app_version_id, run_id=run_id, limit=limit
            )
        )

    def job(self, job_id: str) -> JobView:
        """A job; raises `NotFoundError`."""
        return self.call(lambda client: client.job(job_id))

    def logs(self, job_id: str, *, tail: int | None = None) -> str:
        """What a job has written by now, stdout and stderr as they came; raises `NotFoundError`.

        `tail`: only its last so many lines.
        """

        async def read(client: Client) -> str:
            chunks = client.logs(job_id, tail=tail)
            parts = [text async for chunk in chunks for stream, text in chunk.parts if stream != "sys"]
            return "".join(parts)

        return self.call(read)

    def agents(self) -> list[Heartbeat]:
        """The agents that are alive, with their slots."""
        return self.call(lambda client: client.agents())

    def health(self) -> HealthAnswer:
        """How the system is.

        >>> with connect() as lab:
        ...     health = lab.health()
        >>> sorted(check.name for check in health.checks if not check.ok)
        []
        """
        return self.call(lambda client: client.health())


class Run:
    """A run: all jobs of one submit."""

    def __init__(self, lab: Lab, run_id: str, submitted: Submitted | None = None) -> None:
        self.id = run_id
        self._lab = lab
        self._submitted = submitted

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    def wait(self, *, timeout_s: float | None = None, no_slot_grace_s: float | None = 60.0) -> Waited:
        """Wait until all of its jobs have ended; `verdict` is what `qgjob wait` would exit with.

        After `timeout_s` seconds `timed_out` is true, and the jobs go on. `no_slot_grace_s`: when to
        cancel jobs that no slot could ever run. Restarts of servers are sat out. Ctrl-C raises
        `KeyboardInterrupt`, and the jobs go on: `cancel` ends them.
        """
        options = WaitOptions(timeout_s=timeout_s, no_slot_grace_s=no_slot_grace_s)
        return self._lab.call(lambda client: client.wait(self.id, options, known=self._submitted))

    def status(self) -> RunView:
        """The run and its jobs as they are now; raises `NotFoundError`."""
        return self._lab.call(lambda client: client.run(self.id))

    def cancel(self, reason: str | None = None) -> CtlAnswer:
        """Cancel what has not ended."""
        return self._lab.call(lambda client: client.cancel(self.id, reason=reason))

    def retry(self, *, failed: bool = True) -> CtlAnswer:
        """Try what failed once more, or with `failed=False` all that ended."""
        return self._lab.call(lambda client: client.retry(self.id, failed=failed))

    def junit(self, name: str | None = None, *, cases: bool = False) -> bytes:
        """A JUnit report of the run as it is now, with what tells why something failed.

        It is what `qgjob report` writes; `name` is the suite's, else the run's own. `cases`: a case for
        each test case, as `--junit-cases`, and not for each file.

        >>> with connect() as lab:
        ...     run = lab.submit("tests/*.py", org_id="acme", app_version_id="1.4.0", argv=["false"])
        ...     _ = run.wait()
        ...     report = run.junit()
        >>> report.count(b"<failure")
        2
        """
        from qgjob.report.junit import junit
        from qgjob.reporting import FAILURE_DETAILS_ONLY, collect

        wanted = dataclasses.replace(FAILURE_DETAILS_ONLY, reports=cases)
        found = self._lab.call(lambda client: collect(client, self.id, wanted))
        return junit(found, name=name)
