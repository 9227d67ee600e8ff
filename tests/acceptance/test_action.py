"""The steps of the GitHub action, run as GitHub runs them: its variables, its files, a clean environment."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qgjob.local.ports import free_port
from tests.acceptance.conftest import Qgjob, clean_env
from tests.support.wait import wait_for

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"


@dataclass
class Runner:
    """A machine on which GitHub runs the action's steps."""

    temp: Path
    workspace: Path
    env: dict[str, str]

    def step(self, script: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        process = self.start(script, **inputs)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(script, process.returncode, out, err)

    def start(self, script: str, **inputs: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", f'"$GITHUB_ACTION_PATH/ci/{script}"'],
            cwd=self.workspace,
            env=self.env | {f"INPUT_{name.upper()}": value for name, value in inputs.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def outputs(self) -> dict[str, str]:
        lines = Path(self.env["GITHUB_OUTPUT"]).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def summary(self) -> str:
        return Path(self.env["GITHUB_STEP_SUMMARY"]).read_text()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    temp, workspace, event = tmp_path / "temp", tmp_path / "workspace", tmp_path / "event.json"
    temp.mkdir()
    workspace.mkdir()
    event.write_text(json.dumps({"pull_request": {"number": 12, "head": {"sha": "feed" * 10}}}))
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LANG", "SSL_"))}
    env = {
        **kept,
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "fix/login",
        "GITHUB_SHA": "beef" * 10,
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "RUNNER_TEMP": str(temp),
        "PYTHON": sys.executable,
    }
    return Runner(temp, workspace, env)


@pytest.fixture
def installed(runner: Runner) -> Runner:
    """A runner on which the first step is done: qgjob is there."""
    (runner.temp / "qgjob").mkdir()
    (runner.temp / "qgjob" / "venv").symlink_to(sys.prefix)
    return runner


@pytest.fixture
def project(runner: Runner) -> Path:
    (runner.workspace / "qgjob.toml").write_text('org = "acme"\napp_version = "v1"\ntests = ["t/*.py"]\n')
    tests = runner.workspace / "t"
    tests.mkdir()
    (tests / "good.py").write_text("print('fine')\n")
    (tests / "bad.py").write_text("import sys\nprint('no button')\nsys.exit(3)\n")
    return tests


def server_of(qgjob: Qgjob) -> str:
    return qgjob("config", "show", "--json").json["server"]["value"]


@pytest.mark.timeout(300)
def test_the_first_step_installs_the_action_itself(runner: Runner):
    runner.env["PIP_COMPILE"] = "0"  # of the many modules it installs one command here needs few
    done = runner.step("install.sh")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("qgjob ")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The address of a lab of one machine that asks for the token of `lab.token`."""
    home = tmp_path / "lab"
    home.mkdir()
    (home / "lab.token").touch(mode=0o600)
    (home / "lab.token").write_text("open-sesame-0123456789-open-sesame\n")
    argv = [str(Path(sys.executable).with_name("qgjob")), "up", "--agents", "1", "--token", "lab.token"]
    argv += ["--listen", f"127.0.0.1:{free_port()}", "--data-dir", str(home / "data")]
    up = subprocess.Popen(argv, cwd=home, env=clean_env(home), stdout=subprocess.PIPE, text=True)
    try:
        assert up.stdout is not None
        yield re.findall(r"nats://[\d.:]+", up.stdout.readline())[0]
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=30)
    finally:
        up.kill()


def test_a_lab_with_a_token_lets_in_who_has_it(installed: Runner, project: Path, guarded: str):
    refused = installed.step("run.sh", server=guarded, token="another-one-0123456789-another-one")
    assert refused.returncode == 4, refused.stderr
    let_in = installed.step(
        "run.sh", server=guarded, tests="t/good.py", token="open-sesame-0123456789-open-sesame"
    )
    assert let_in.returncode == 0, let_in.stderr


def test_a_failure_is_shown_where_github_shows_failures(installed: Runner, project: Path, qgjob: Qgjob):
    done = installed.step("run.sh", server=server_of(qgjob), args="--name\npull request 12")
    assert done.returncode == 10, done.stderr
    assert "::error file=t/bad.py,title=t/bad.py failed::exit code 3%0Ano button\n" in done.stdout
    assert "| ❌ | `t/bad.py` | exit code 3 |" in installed.summary
    assert "no button" in installed.summary
    outputs = installed.outputs
    assert outputs["state"] == "failed"
    told = [outputs[name] for name in ("app-version-id", "passed", "failed", "flaky")]
    assert told == ["v1", "1", "1", "0"]
    assert 'name="t/bad.py"' in Path(outputs["junit"]).read_text()
    assert "no button" in Path(outputs["html"]).read_text()
    again = installed.step("run.sh", server=server_of(qgjob), tests="t/good.py")
    assert again.returncode == 0, again.stderr
    assert "no button" in Path(outputs["html"]).read_text()  # a second step of the job has reports of its own
    assert "no button" not in Path(installed.outputs["html"]).read_text()
    run = qgjob("status", outputs["run-id"], "--json").json
    assert (run["name"], run["counts"]) == ("pull request 12", {"passed": 1, "failed": 1})


def test_inputs_go_before_the_project_file(installed: Runner, project: Path, qgjob: Qgjob):
    build = installed.workspace / "app.apk"
    build.write_bytes(os.urandom(16))
    version = build.read_bytes().hex()
    inputs = {"org_id": "other", "app_version_id": version, "app": "app.apk", "tests": "t/good.py\n"}
    done = installed.step("run.sh", server=server_of(qgjob), **inputs)
    assert done.returncode == 0, done.stderr
    (job,) = qgjob("status", installed.outputs["run-id"], "--json").json["jobs"]
    assert (job["org_id"], job["app_version_id"], job["test"]) == ("other", version, "t/good.py")


def test_failures_that_are_allowed_and_shards_are_inputs_too(installed: Runner, project: Path, qgjob: Qgjob):
    (project / "conftest.py").touch()
    for name in ("one", "two"):
        (project / f"test_{name}.py").write_text(f"def test_it():\n    assert '{name}' == 'one'\n")
    inputs = {"shards": "1", "allow_failures": "1", "concurrency_key": "main", "tests": "t/test_*.py"}
    done = installed.step("run.sh", server=server_of(qgjob), runner="pytest", retries="1", **inputs)
    assert done.returncode == 0, done.stderr
    (job,) = qgjob("status", installed.outputs["run-id"], "--json").json["jobs"]
    assert (job["tests"], len(job["attempts"])) == (["t/test_one.py", "t/test_two.py"], 2)
    assert "::error file=t/test_two.py,line=" in done.stdout


async def test_a_cancelled_workflow_cancels_its_jobs(installed: Runner, project: Path, qgjob: Qgjob):
    (project / "good.py").write_text("import time\ntime.sleep(600)\n")
    version = f"v-{os.getpid()}-{project.parent.parent.name}"
    inputs = {"app_version_id": version, "tests": "t/good.py"}
    process = installed.start("run.sh", server=server_of(qgjob), **inputs)

    def states() -> list[str]:
        listed = qgjob("list", "--org-id", "acme", "--app-version-id", version, "--json").json["jobs"]
        return [job["state"] for job in listed]

    await wait_for(lambda: states() == ["running"], 30)
    process.send_signal(signal.SIGINT)  # the shell alone, as GitHub does
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    await wait_for(lambda: states() == ["cancelled"], 20)
    assert (
        'type="cancelled"' in Path(installed.outputs["junit"]).read_text()
    )  # for steps that run `if: always()`


def test_a_server_that_is_not_there_is_an_error_of_the_step(installed: Runner, project: Path):
    done = installed.step("run.sh", server="nats://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (5, "")
    assert "Nothing listens" in done.stderr


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", "examples/ci/github.yml"),
        ("vendor.gitlab-ci", "examples/ci/gitlab-ci.yml"),
    ],
)
def test_what_ci_systems_read_is_as_their_schemas_want_it(schema: str, path: str):
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_hands_on_every_input():
    text = ACTION.read_text()
    names = {line.strip(" :") for line in text.split("outputs:")[0].split("inputs:")[1].splitlines()
             if line.startswith("  ") and not line.startswith("   ")}  # fmt: skip
    assert names == {name for name in names if f"${{{{ inputs.{name} }}}}" in text}
    assert len(names) >= 17
    script = (ROOT / "ci" / "run.sh").read_text()
    handed = {name.upper().replace("-", "_") for name in names} - {"PYTHON", "WORKING_DIRECTORY"}
    assert handed == {name for name in handed if f" {name}" in script or f"INPUT_{name}" in script}
