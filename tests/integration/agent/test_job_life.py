"""The life of a job on a slot: limits of its steps, secrets, artifacts, disk, and who comes after it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bus_schemas.events import Attempt
from bus_schemas.queries import JobView
from qgjob.bus.connect import ServerOptions
from qgjob.client import Client, SubmitRequest, open_client
from qgjob.client.models import WaitOptions
from qgjob.client.requests.artifacts import of_jobs
from qgjob.errors import RefusedError
from qgjob.local.system import LocalSystem, UpOptions
from qgjob.reporting import explain
from tests.support.pipeline import idle_slots
from tests.support.wait import wait_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "correct-horse-battery"


@dataclass
class Lab:
    """A system of one slot whose agent has a configuration, and what jobs came to on it."""

    client: Client
    system: LocalSystem
    folder: Path
    jobs: list[JobView] = field(default_factory=list[JobView])

    async def run(self, *argv: str, **more: Any) -> JobView:
        request = SubmitRequest(
            org_id="acme", app_version_id="v1", tests=("t",), runner="command", argv=argv, **more
        )
        submitted = await self.client.submit(request)
        waited = await self.client.wait(submitted.run_id, WaitOptions(timeout_s=60), known=submitted)
        assert not waited.timed_out
        return waited.jobs[0]

    async def python(self, code: str, **more: Any) -> JobView:
        return await self.run(sys.executable, "-c", code, **more)

    async def text(self, job: JobView, streams: Sequence[str] = ("out", "err", "sys")) -> str:
        parts = [part async for chunk in self.client.logs(job.job_id) for part in chunk.parts]
        return "".join(text for name, text in parts if name in streams)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Lab]:
    folder = tmp_path_factory.mktemp("life")
    config = folder / "agent.toml"
    config.write_text(
        f"""
        disk_limit = "24MiB"
        labels = ["rack-3", "process"]
        [device.s0]
        labels = ["bench"]
        [artifacts]
        max_file = "1MiB"
        max_total = "2MiB"
        max_count = 5
        [secrets]
        API_KEY = "{SECRET}"
        """
    )
    config.chmod(0o600)
    options = UpOptions(
        data_dir=folder / "up", slots=1, labels=("process",), agent_args=("--config", str(config))
    )
    async with (
        LocalSystem(options) as system,
        open_client(ServerOptions(url=system.server, name="test")) as client,
    ):
        await idle_slots(client.bus, 1)
        yield Lab(client, system, folder)


def last(job: JobView) -> Attempt:
    return job.attempts[-1]


async def test_the_log_says_which_runner_was_found(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print('ran')")
    said: list[str] = []
    for runner in ("auto", "command"):
        request = SubmitRequest(org_id="acme", app_version_id="v1", tests=("a.py",), runner=runner)
        submitted = await lab.client.submit_tests(request, folder=tmp_path)
        waited = await lab.client.wait(submitted.run_id, WaitOptions(timeout_s=60), known=submitted)
        assert waited.jobs[0].state == "passed"
        said.append(await lab.text(waited.jobs[0], ("sys",)))
    assert "runner command, by the look of the test" in said[0]
    assert "by the look of the test" not in said[1]


async def test_which_runner_was_found_explains_no_failure(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("raise SystemExit(3)")
    request = SubmitRequest(org_id="acme", app_version_id="v1", tests=("a.py",))
    submitted = await lab.client.submit_tests(request, folder=tmp_path)
    waited = await lab.client.wait(submitted.run_id, WaitOptions(timeout_s=60), known=submitted)
    assert waited.jobs[0].state == "failed"
    assert (await explain(lab.client, waited.jobs)).logs == {}


async def test_what_to_do_about_an_error_is_shown_with_it(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no program")
    request = SubmitRequest(org_id="acme", app_version_id="v1", tests=("a.txt",))
    submitted = await lab.client.submit_tests(request, folder=tmp_path)
    waited = await lab.client.wait(submitted.run_id, WaitOptions(timeout_s=60), known=submitted)
    (job,) = waited.jobs
    assert (job.state, job.reason) == ("errored", "not_runnable")
    shown = (await explain(lab.client, waited.jobs)).logs[job.job_id]
    assert shown.startswith("Make it executable with a #! line"), "not where it ran and with what"


async def test_a_secret_reaches_the_test_and_not_the_log(lab: Lab) -> None:
    code = (
        "import os, sys, time\n"
        "s = os.environ['API_KEY']\n"
        "for part in ('key ', s[:7], s[7:], ' end\\n', s, '\\n'):\n"
        "    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.05)\n"
        "sys.exit(len(s))"
    )
    job = await lab.python(code, secrets=("API_KEY",))
    assert last(job).exit_code == len(SECRET)
    assert await lab.text(job, ("out",)) == "key *** end\n***\n"
    log = lab.folder / "up" / "logs" / "agent-local.log"
    line = f"local/s0: {job.job_id} attempt 1, 't' of acme v1: failed (test_failed), "
    await wait_for(lambda: line in log.read_text(), 10, "the agent to log the end")
    assert SECRET not in log.read_text()


async def test_a_secret_that_a_test_names_a_file_after_is_not_in_the_log_either(lab: Lab) -> None:
    code = (
        "import os, pathlib\n"
        "path = pathlib.Path(os.environ['QGJOB_ARTIFACTS_DIR'], os.environ['API_KEY'])\n"
        "path.write_bytes(bytes(2**21))"
    )
    job = await lab.python(code, secrets=("API_KEY",))
    assert "artifact left out: ***" in await lab.text(job)


async def test_a_job_that_names_no_secret_gets_none(lab: Lab) -> None:
    job = await lab.python("import os; print(sorted(os.environ))")
    assert job.state == "passed"
    found = set(eval(await lab.text(job, ("out",))))
    assert "API_KEY" not in found
    inherited = found & {name for name in os.environ if name not in {"PATH", "LANG", "LC_ALL", "TZ"}}
    assert inherited <= {"HOME", "TMPDIR", "CI", "PYTHONUNBUFFERED", "JAVA_HOME", "PLAYWRIGHT_BROWSERS_PATH"}


async def test_a_secret_that_no_agent_has_is_said(lab: Lab) -> None:
    job = await lab.python("print(1)", secrets=("NO_SUCH",), infra_retries=0)
    assert (job.state, job.reason) == ("errored", "secret_missing")
    assert "NO_SUCH" in (job.message or "")


async def test_a_test_that_says_nothing_is_ended(lab: Lab) -> None:
    says = "for _ in 1 2 3 4; do echo x; sleep 0.3; done; sleep 60"  # from the beginning, as Python would not
    job = await lab.run("sh", "-c", says, silence_timeout_s=1.0)
    assert (job.state, job.reason) == ("timed_out", "silent")
    assert (last(job).duration_s or 0) > 1.5, "what it said before counts"


async def test_artifacts_are_kept_within_limits_and_downloaded(lab: Lab, tmp_path: Path) -> None:
    code = (
        "import os, pathlib\n"
        "d = pathlib.Path(os.environ['QGJOB_ARTIFACTS_DIR'])\n"
        "(d / 'shots').mkdir()\n"
        "(d / 'shots' / 'login.png').write_bytes(b'\\x89PNG')\n"
        "(d / 'big.bin').write_bytes(bytes(2**20 + 1))\n"
        "os.symlink('/etc/passwd', d / 'link')\n"
        "(d / 'a\\\\b:c').write_text('x')\n"
        "for n in range(6): (d / f'z{n}').write_text(str(n))\n"
    )
    job = await lab.python(code)
    assert job.state == "passed"
    names = [artifact.name for artifact in last(job).artifacts]
    assert "shots/login.png" in names
    assert "a_b_c" in names
    assert not {"big.bin", "link"} & set(names)
    assert len(names) == 5
    assert last(job).artifacts_left_out == 4
    assert "big.bin" in await lab.text(job, ("sys",))
    for found in of_jobs([job]):
        place = await lab.client.download_artifact(found, tmp_path)
        assert place.is_relative_to(tmp_path / job.job_id / "1")
    assert (tmp_path / job.job_id / "1" / "shots" / "login.png").read_bytes() == b"\x89PNG"
    evil = of_jobs([job])[0]
    hostile = evil.artifact.model_copy(update={"name": "../../evil"})
    with pytest.raises(RefusedError):
        await lab.client.download_artifact(type(evil)(evil.job_id, 1, hostile), tmp_path)


async def test_a_test_that_fills_the_disk_is_ended(lab: Lab) -> None:
    code = (
        "import time\n"
        "with open('big', 'wb') as f:\n"
        "    for _ in range(64): f.write(bytes(2**20)); f.flush()\n"
        "time.sleep(60)"
    )
    job = await lab.python(code)
    assert (job.state, job.reason) == ("failed", "disk_limit")
    assert len(job.attempts) == 1, "another disk would be filled as well"


async def test_a_flood_of_output_keeps_its_beginning_and_its_end(lab: Lab) -> None:
    code = (
        "import os\n"
        "os.write(1, b'first line\\n')\n"
        "for n in range(70): os.write(1, (b'%d ' % n + b'x' * 1022 + b'\\n') * 1024)\n"
        "os.write(1, b'\\x1b]0;owned\\x07\\x1b[2Jlast line\\n')"
    )
    job = await lab.python(code)
    assert job.state == "passed"
    size = dropped = 0
    text = ""
    async for chunk in lab.client.logs(job.job_id):
        size += sum(len(part) for _, part in chunk.parts)
        dropped += chunk.dropped
        text = (text + "".join(part for _, part in chunk.parts))[-2000:]
    assert size < 51 * 2**20
    assert dropped > 18 * 2**20
    assert text.endswith("last line\n")


async def test_a_test_that_forks_away_leaves_nothing_and_the_next_runs(lab: Lab) -> None:
    code = (
        "import os, time\n"
        "for _ in range(20):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0: time.sleep(600)\n"
        "        os._exit(0)\n"
        "print('done')"
    )
    job = await lab.python(code)
    assert job.state == "passed"
    mark = str(lab.folder)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221
    assert "time.sleep(600)" not in listed.replace(mark, "")
    assert (await lab.python("print(1)")).state == "passed"


async def test_labels_of_a_machine_and_of_a_slot_come_from_the_configuration(lab: Lab) -> None:
    (agent,) = await lab.client.agents()
    assert {"rack-3", "bench"} - set(agent.slots[0].labels) == {"rack-3"}, "--labels goes before the file's"
    assert "bench" in agent.slots[0].labels


async def test_a_matrix_and_repetitions_make_jobs_with_names(lab: Lab) -> None:
    request = SubmitRequest(
        org_id="acme",
        app_version_id="v1",
        tests=("t",),
        runner="command",
        argv=("true",),
        matrix=("bench", "process"),
        repeat=2,
        run_key="matrix-1",
    )
    first = await lab.client.submit(request)
    assert [job.title for job in first.jobs] == [
        "t [bench #1]",
        "t [bench #2]",
        "t [process #1]",
        "t [process #2]",
    ]
    again = await lab.client.submit(request)
    assert again.accepted_before
    assert [job.job_id for job in again.jobs] == [job.job_id for job in first.jobs]
    waited = await lab.client.wait(first.run_id, WaitOptions(timeout_s=60))
    assert [job.state for job in waited.jobs] == ["passed"] * 4
    assert waited.jobs[1].variant == "bench #2"


async def test_modes_of_what_holds_secrets(lab: Lab) -> None:
    assert stat.S_IMODE((lab.folder / "agent.toml").stat().st_mode) == 0o600
    assert json.dumps(SECRET) not in (lab.folder / "up" / "logs").joinpath("agent-local.log").read_text()
