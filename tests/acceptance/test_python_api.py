"""The examples in the docstrings and pages of the Python API, run beside a real system."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import qgjob
import qgjob.client
import qgjob.scripting
from qgjob.errors import NotFoundError

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture
def project(system: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tests, where `connect()` finds the running system."""
    monkeypatch.setenv("QGJOB_STATE_DIR", system["QGJOB_STATE_DIR"])
    (tmp_path / "qgjob.toml").touch()
    (tmp_path / "tests").mkdir()
    for name in ("login", "search"):
        (tmp_path / "tests" / f"{name}.py").write_text(f"print({name!r})\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_of_the_sync_face(project: Path):
    failed, tried = doctest.testmod(qgjob.scripting, optionflags=doctest.ELLIPSIS)
    assert (failed, tried > 10) == (0, True)


def test_the_example_of_the_client(project: Path):
    failed, tried = doctest.testmod(qgjob.client, optionflags=doctest.ELLIPSIS)
    assert (failed, tried > 3) == (0, True)


def test_the_examples_of_the_page(project: Path):
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert (failed, tried > 3) == (0, True)


def test_a_run_can_be_found_again_retried_and_reported(project: Path):
    (project / "tests" / "bad.py").write_text("import sys\nsys.exit('the basket is empty')\n")
    with qgjob.connect() as lab:
        made = lab.submit("tests/bad.py", org_id="api", app_version_id="1", argv=["python3", "{test}"])
        assert made.wait().verdict == 10
        run = lab.run(made.id)
        (job_id,) = run.retry().affected
        assert [job.state for job in run.wait().jobs] == ["failed"]
        assert len(lab.job(job_id).attempts) == 2
        report = run.junit("mine")
        assert b'name="mine" tests="1" failures="1"' in report
        assert b"the basket is empty" in report
        assert lab.logs(job_id) == "the basket is empty\n" * 2
        assert lab.logs(job_id, tail=1) == "the basket is empty\n"
        with pytest.raises(NotFoundError):
            lab.job("j_00000000000000000000000000")
        slow = project / "tests" / "slow.py"
        slow.write_text("import time; time.sleep(600)\n")
        hanging = lab.submit([slow], org_id="api", app_version_id="1", argv=["python3", "{test}"])
        assert hanging.wait(timeout_s=0.2).timed_out
        hanging.cancel()
        assert hanging.wait().verdict == 19


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys, qgjob; print([m for m in sys.modules if m in ('nats', 'asyncio', 'pydantic', 'anyio')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError):
        _ = qgjob.nothing  # pyright: ignore[reportAttributeAccessIssue]
