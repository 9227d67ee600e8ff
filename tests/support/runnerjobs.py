"""Jobs as runners get them, and folders to run them in."""

from __future__ import annotations

from agent.launch import Exit, JobDirs
from agent.runners.base import RunnerJob
from agent.runners.toolchain import Toolchain

TOOLS = Toolchain(
    python="/py",
    pytest_python="/pytest-py",
    node="/node",
    environment={"PATH": "/bin", "LANG": "de_DE.UTF-8"},
)


def job(test: str = "t.sh", *argv: str, **env: str) -> RunnerJob:
    """The second attempt of a job, with a build that runs as a server."""
    return RunnerJob(
        job_id="j_1",
        run_id="r_1",
        org_id="acme",
        app_version_id="v1",
        attempt=2,
        test=test,
        slot="s1",
        device="d1",
        argv=argv,
        env=env,
        app_url="http://127.0.0.1:1",
    )


def add(dirs: JobDirs, name: str, text: str = "", mode: int = 0o644) -> None:
    """Put a file into the bundle."""
    path = dirs.bundle / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def ended(code: int | None = None, number: int | None = None) -> Exit:
    """How a process ended: by a code, or by a signal."""
    return Exit(code=code, signal=number, duration_s=1.0)
