"""The examples for GitLab and Jenkins: read by a real parser, and their scripts run as those systems run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_groovy
from ruamel.yaml import YAML
from tree_sitter import Language, Node, Parser

from tests.acceptance.conftest import Qgjob
from tests.support.junit_format import problems

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"

PYTHON = """#!/bin/sh
# Makes the environment that the example asks for out of this one, and is Python otherwise.
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin" && ln -sf "$(dirname "$0")/pip" "$(dirname "$0")/qgjob" "$3/bin/"
else
  exec "$REAL_PYTHON" "$@"
fi
"""


@pytest.fixture
def machine(tmp_path: Path, qgjob: Qgjob) -> dict[str, str]:
    """The environment of a build: a checkout with a test that fails, and qgjob as it was installed."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, text in {
        "pip": '#!/bin/sh\n[ "$*" = "install --quiet qgjob-from-here" ]\n',
        "python3": PYTHON,
        "qgjob": f'#!/bin/sh\nexec {qgjob.argv[0]} "$@"\n',
    }.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / "e2e").mkdir(parents=True)
    (checkout / "app-debug.apk").write_bytes(os.urandom(16))
    (checkout / "qgjob.toml").write_text('runner = "command"\nargs = ["python3", "{test}"]\n')
    (checkout / "e2e" / "good.spec.ts").write_text("print('fine')\n")
    (checkout / "e2e" / "bad.spec.ts").write_text(
        "import os, sys\n"
        "open(os.path.join(os.environ['QGJOB_ARTIFACTS_DIR'], 'screen.png'), 'wb').write(b'png')\n"
        "sys.exit('no button')\n"
    )
    kept = {name: value for name, value in qgjob.env.items() if not name.startswith("QGJOB_")}
    return kept | {
        "PATH": f"{bin_}:/usr/bin:/bin",
        "REAL_PYTHON": sys.executable,
        "QGJOB_PACKAGE": "qgjob-from-here",
        "QGJOB_SERVER": qgjob("config", "show", "--json").json["server"]["value"],
        "HOME": "/",  # as in a container whose user has none
        "CI": "true",
    }


def run(shell: list[str], script: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell, script],
        cwd=folder / "checkout",
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def check_reports(checkout: Path) -> str:
    """Look at what a build left; returns the run's id."""
    result = json.loads((checkout / "qgjob.json").read_text())
    assert (result["state"], result["counts"]) == ("failed", {"failed": 1, "passed": 1})
    junit = (checkout / "junit.xml").read_bytes()
    assert problems(junit) == []
    assert b"no button" in junit
    pictures = sorted((checkout / "left").rglob("screen.png"))
    assert [path.read_bytes() for path in pictures] == [b"png", b"png"]  # of both attempts
    assert f"[[ATTACHMENT|{checkout / 'left'}/" in junit.decode() or b"[[ATTACHMENT|left/" in junit
    assert "no button" in (checkout / "report.html").read_text()
    return result["run_id"]


def test_the_script_for_gitlab(tmp_path: Path, machine: dict[str, str], qgjob: Qgjob):
    with (EXAMPLES / "gitlab-ci.yml").open() as file:
        job: Any = YAML(typ="safe").load(file)["e2e"]
    env = machine | {
        "GITLAB_CI": "true",
        "CI_PROJECT_PATH_SLUG": f"{tmp_path.parent.name}-{os.getpid()}",
        "CI_JOB_NAME": "e2e",
        "CI_COMMIT_REF_SLUG": "main",
        "CI_COMMIT_SHA": "beef" * 10,
        "CI_COMMIT_REF_NAME": "main",
    }
    bash = ["bash", "-eo", "pipefail", "-c"]
    ids: list[str] = []
    tracked = sorted(path.name for path in (tmp_path / "checkout").iterdir())
    for _ in range(2):  # a job that somebody retries runs its tests again
        for path in (tmp_path / "checkout").iterdir():
            if path.name not in tracked:  # GitLab cleans the checkout
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        done = run(bash, "\n".join([*job["before_script"], *job["script"]]), tmp_path, env)
        assert done.returncode == 10, done.stderr
        after = run(bash, "\n".join(job["after_script"]), tmp_path, env)
        assert after.returncode == 0, after.stderr
        ids.append(check_reports(tmp_path / "checkout"))
        found = json.loads((tmp_path / "checkout" / "codequality.json").read_text())
        assert [issue["location"]["path"] for issue in found] == ["e2e/bad.spec.ts"]
    assert ids[0] != ids[1]
    (tmp_path / "checkout" / "qgjob.json").write_text("")  # of a submit that was refused
    after = run(bash, "\n".join(job["after_script"]), tmp_path, env)
    assert (after.returncode, after.stderr) == (0, "")
    kept = {*job["artifacts"]["paths"], *job["artifacts"]["reports"].values()}
    assert all((tmp_path / "checkout" / path).exists() for path in kept)
    assert qgjob("status", ids[0], "--json").json["meta"]["branch"] == "main"


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


@pytest.fixture
def jenkinsfile() -> Node:
    parser = Parser(Language(tree_sitter_groovy.language()))
    return parser.parse((EXAMPLES / "Jenkinsfile").read_bytes()).root_node


def shell_step(root: Node) -> str:
    """The text of the only `sh` step, as Groovy reads it: a backslash at a line's end joins it with the next."""
    texts = [(node.text or b"").decode() for node in nodes(root) if node.type == "string_literal"]
    (literal,) = [text for text in texts if text.startswith("'''")]
    return literal[3:-3].replace("\\\n", "")


def test_the_pipeline_for_jenkins_is_groovy(jenkinsfile: Node):
    assert not jenkinsfile.has_error
    script = shell_step(jenkinsfile)
    assert "\\" not in script, "Groovy would read it as the beginning of something else"


def test_the_script_for_jenkins(tmp_path: Path, machine: dict[str, str], jenkinsfile: Node, qgjob: Qgjob):
    env = machine | {
        "WORKSPACE_TMP": str(tmp_path / "checkout@tmp"),
        "JENKINS_URL": "https://ci.example.com/",
        "BUILD_TAG": f"jenkins-e2e-{tmp_path.parent.name}-{os.getpid()}",
        "BUILD_URL": "https://ci.example.com/job/e2e/7/",
        "JOB_NAME": "e2e",
    }
    done = run(["sh", "-xec"], shell_step(jenkinsfile), tmp_path, env)
    assert done.returncode == 10, done.stderr
    run_id = check_reports(tmp_path / "checkout")
    assert qgjob("status", run_id, "--json").json["meta"]["url"] == env["BUILD_URL"]
    nowhere = run(
        ["sh", "-xec"], shell_step(jenkinsfile), tmp_path, env | {"QGJOB_SERVER": "nats://127.0.0.1:9"}
    )
    assert nowhere.returncode == 5, nowhere.stderr
