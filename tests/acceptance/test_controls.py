"""Retry, reprioritise, pause, limit and schedule as users type it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Qgjob
from tests.support.wait import wait_for

FLIPPING = "import pathlib, sys\nmark = pathlib.Path({mark!r})\nif mark.exists():\n    sys.exit(0)\nmark.touch()\nsys.exit(3)\n"
SLOW = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"
PASSING = "print('fine')\n"
RUN = ("--", "python3", "{test}")
UNKNOWN = "j_7zzzzzzzzzzzzzzzzzzzzzzzzz"

Script = Callable[[str, str], str]


def submitted(qgjob: Qgjob, *args: str) -> tuple[str, list[str]]:
    done = qgjob("submit", *args, "--json", *RUN)
    assert done.code == 0, done.err
    return done.json["run_id"], [job["job_id"] for job in done.json["jobs"]]


def state_of(qgjob: Qgjob, job_id: str) -> str:
    return str(qgjob("status", job_id, "--json").json["state"])


def test_a_failed_run_is_retried_and_waited_for(qgjob: Qgjob, script: Script) -> None:
    mark = str(qgjob.folder / "mark")
    script("flips.py", FLIPPING.format(mark=mark))
    script("fine.py", PASSING)
    run_id, (_, flips) = sorted_by_test(qgjob, "fine.py", "flips.py")
    assert qgjob("wait", run_id).code == 10
    done = qgjob("retry", run_id, "--failed")
    assert (done.code, done.out) == (0, f"retried {flips}\n")
    assert qgjob("wait", run_id).code == 0
    job = qgjob("status", flips, "--json").json
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["failed", "passed"]
    nothing = qgjob("retry", run_id, "--failed")
    assert (nothing.code, nothing.out) == (0, "")
    assert nothing.err == f"Nothing to retry: nothing of {run_id} has failed.\n"
    assert qgjob("retry", flips, "--json").json == {
        "id": flips,
        "retried": [flips],
        "not_ended": [],
        "left_out": [],
        "forgotten": 0,
    }
    assert qgjob("wait", flips).code == 0


def sorted_by_test(qgjob: Qgjob, *tests: str) -> tuple[str, list[str]]:
    return submitted(qgjob, *(word for test in tests for word in ("--test", test)))


def test_a_paused_organisation_waits_and_says_so(qgjob: Qgjob, script: Script) -> None:
    org = qgjob.env["QGJOB_ORG_ID"]
    done = qgjob("queue", "pause", "--org-id", org, "--note", "new devices")
    assert done.code == 0, done.err
    assert done.out == (
        f"Paused organisation {org}: no more of it starts until `qgjob queue resume --org-id {org}`.\n"
    )
    assert "was paused already" in qgjob("queue", "pause", "--org-id", org).err
    run_id, (job_id,) = submitted(qgjob, "--test", script("a.py", PASSING))
    status = qgjob("queue", "status").out
    assert re.search(rf"paused: +organisation {org}, by \S+ at \S+Z: new devices", status)
    document: dict[str, Any] = qgjob("queue", "status", "--json").json
    assert [p["note"] for p in document["pauses"] if p["org_id"] == org] == ["new devices"]
    assert {group["org_id"] for group in document["groups"]} == {org}
    other = qgjob("queue", "status", "--org-id", "nobody", "--capability", "emulator", "--json").json
    assert (other["groups"], other["pauses"]) == ([], [])
    assert state_of(qgjob, job_id) == "queued"
    done = qgjob("reprioritise", run_id, "high")
    assert (done.code, done.out) == (0, f"{run_id} has priority 9 now: 1 job waiting.\n")
    assert qgjob("status", job_id, "--json").json["priority"] == 9
    done = qgjob("queue", "resume", "--org-id", org)
    assert done.out.startswith(f"Resumed organisation {org}.")
    assert qgjob("wait", run_id).code == 0
    assert "was not paused" in qgjob("queue", "resume", "--org-id", org).err
    ended = qgjob("reprioritise", job_id, "2")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"Nothing was left to change: {job_id} had ended before.\n"


async def test_who_waits_hears_of_a_pause_and_of_its_end(qgjob: Qgjob, script: Script) -> None:
    org = qgjob.env["QGJOB_ORG_ID"]
    script("fine.py", PASSING)
    assert qgjob("queue", "pause", "--org-id", org, "--note", "new devices").code == 0
    waiting = qgjob.start("submit", "--test", "fine.py", "--wait", *RUN)
    assert waiting.stderr is not None
    try:
        said = await asyncio.wait_for(asyncio.to_thread(waiting.stderr.readline), 60)
        assert said.startswith(f"Nothing of it starts: the organisation {org} was paused by ")
        assert said.endswith(f": new devices. It ends with: qgjob queue resume --org-id {org}\n")
        assert qgjob("queue", "resume", "--org-id", org).code == 0
        assert await asyncio.to_thread(waiting.wait, 60) == 0
    finally:
        waiting.kill()
        waiting.communicate()


async def test_a_running_job_keeps_its_slot_when_its_priority_changes(qgjob: Qgjob, script: Script) -> None:
    _, (job_id,) = submitted(qgjob, "--test", script("slow.py", SLOW))
    await wait_for(lambda: state_of(qgjob, job_id) == "running", 30, "a running job")
    done = qgjob("reprioritise", job_id, "10")
    assert done.out == (
        f"{job_id} has priority 10 now: 1 job started already, where it counts if tried again.\n"
    )
    assert qgjob("retry", job_id).err == f"Nothing to retry: {job_id} has not ended.\n"
    assert qgjob("cancel", job_id).code == 0
    assert qgjob("wait", job_id).code == 19


def test_limits_of_an_organisation_and_of_a_run(qgjob: Qgjob, script: Script) -> None:
    org = qgjob.env["QGJOB_ORG_ID"]
    done = qgjob("queue", "limit", "--org-id", org, "--max-running", "1", "--weight", "2")
    assert done.out == f"{org} may have 1 job running at once; its weight is 2.\n"
    assert f"limit:     {org}: 0 running, at most 1; weight 2" in qgjob("queue", "status").out
    for name in ("a.py", "b.py", "c.py"):
        script(name, PASSING)
    done = qgjob("submit", "--test", "*.py", "--max-parallel", "2", "--wait", *RUN)
    assert done.code == 0, done.err
    done = qgjob("queue", "limit", "--org-id", org, "--max-running", "none", "--weight", "1")
    assert done.out == f"{org} may have any number of jobs running at once; its weight is 1.\n"


def test_a_run_for_later_is_scheduled(qgjob: Qgjob, script: Script) -> None:
    done = qgjob("submit", "--test", script("a.py", PASSING), "--at", "2999-12-31T00:00:00Z", "--json", *RUN)
    (job,) = done.json["jobs"]
    assert job["state"] == "scheduled"
    assert state_of(qgjob, job["job_id"]) == "scheduled"
    assert qgjob("cancel", done.json["run_id"]).code == 0
    assert qgjob("wait", job["job_id"]).code == 19


def test_a_schedule_is_made_listed_and_deleted(qgjob: Qgjob, script: Script) -> None:
    org = qgjob.env["QGJOB_ORG_ID"]
    script("a.py", PASSING)
    add = ("submit", "--test", "a.py", "--name", "nightly", "--run-key", "night", "--cron")
    done = qgjob(*add, "30 5 * * 1-5", "--time-zone", "Europe/Berlin", *RUN)
    assert done.code == 0, done.err
    schedule, _, said = done.out.partition(" ")
    assert said == "is a new schedule: 1 test at 0 30 5 * * 1-5 Europe/Berlin.\n"
    replaced = qgjob(*add, "@hourly", "--json", *RUN).json
    assert (replaced["replaced"], replaced["schedule"]["schedule_id"]) == (True, schedule)
    (listed,) = qgjob("cron", "list", "--org-id", org, "--json").json["schedules"]
    assert (listed["expression"], listed["zone"], listed["name"]) == ("@hourly", None, "nightly")
    assert schedule in qgjob("cron", "list").out
    assert qgjob("cron", "delete", schedule).out.startswith(f"Deleted {schedule} (@hourly UTC)")
    assert qgjob("cron", "delete", schedule).code == 6
    assert qgjob("cron", "list", "--org-id", org, "--json").json == {"schedules": []}
    wrong = qgjob(*add, "61 * * * *", *RUN)
    assert (wrong.code, wrong.out) == (2, ""), wrong.err
    assert "The server takes no schedule '0 61 * * * *'." in wrong.err


@pytest.mark.parametrize("args", [("retry", UNKNOWN), ("reprioritise", UNKNOWN, "5"), ("cancel", UNKNOWN)])
def test_what_is_unknown_is_not_found(qgjob: Qgjob, args: tuple[str, ...]) -> None:
    done = qgjob(*args)
    assert (done.code, done.out) == (6, "")
    assert f"There is no job or run {UNKNOWN}." in done.err
