"""Builds a job's environment from scratch: the agent's own variables are not passed on."""

from __future__ import annotations

import json

from agent.launch import JobDirs
from agent.runners.base import AppiumSession, RunnerJob
from agent.runners.toolchain import Toolchain
from agent.storage.short_tmp import short_tmp

RESERVED_PREFIX = "QGJOB_"


def job_environment(job: RunnerJob, dirs: JobDirs, tools: Toolchain) -> dict[str, str]:
    """The whole environment of a job's process.

    First the machine's (PATH, LANG and what else is passed on), then folders of the job's own for HOME and
    TMPDIR, then the user's `-e`, then how the device is addressed, then ours: `QGJOB_` is reserved and
    cannot be set with `-e`.
    """
    users = {name: value for name, value in job.env.items() if not name.startswith(RESERVED_PREFIX)}
    return {
        **tools.environment,
        "CI": "true",
        "HOME": str(dirs.home),
        "TMPDIR": str(short_tmp(dirs.tmp)),
        # Output is followed live; a pipe would hold Python's back.
        "PYTHONUNBUFFERED": "1",
        **users,
        **job.device_env,
        "QGJOB_JOB_ID": job.job_id,
        "QGJOB_JOB_ATTEMPT": str(job.attempt),
        "QGJOB_RUN_ID": job.run_id,
        "QGJOB_ORG_ID": job.org_id,
        "QGJOB_APP_VERSION_ID": job.app_version_id,
        "QGJOB_APP_DIR": str(job.app_dir or ""),
        "QGJOB_APP_URL": job.app_url or "",
        "QGJOB_APP_PACKAGE": job.app_package or "",
        "QGJOB_DEVICE": job.device,
        "QGJOB_SLOT": job.slot,
        "QGJOB_TEST": job.test,
        "QGJOB_BUNDLE_DIR": str(dirs.bundle),
        "QGJOB_ARTIFACTS_DIR": str(dirs.artifacts),
        "QGJOB_JUNIT_FILE": str(dirs.junit),
        **_appium(job.appium),
    }


def _appium(session: AppiumSession | None) -> dict[str, str]:
    if session is None:
        return {}
    return {
        "QGJOB_APPIUM_URL": session.url,
        "QGJOB_APPIUM_CAPS": json.dumps(session.capabilities),
        "QGJOB_UDID": str(session.capabilities.get("appium:udid", "")),
    }
