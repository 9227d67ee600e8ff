"""Submit, wait, look, follow and cancel as a CI does, on a whole system with real agents."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.acceptance.conftest import Done, Qgjob
from tests.support.junit_format import problems
from tests.support.proxy import Proxy
from tests.support.wait import wait_for

PASSING = "print('fine')\n"
FAILING = "import sys\nprint('broken', file=sys.stderr)\nsys.exit(3)\n"
SLOW = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"
RUN = ("--", "python3", "{test}")

Script = Callable[[str, str], str]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


def submitted(done: Done) -> tuple[str, list[str]]:
    """The ids that `submit --json` printed."""
    assert done.code == 0, done.err
    document = done.json
    return document["run_id"], [job["job_id"] for job in document["jobs"]]


def test_a_run_that_passes(qgjob: Qgjob, script: Script):
    script("tests/a.py", PASSING)
    script("tests/b.py", PASSING)
    done = qgjob("submit", "--test", "tests/*.py", "--wait", "--junit", "r.xml", *RUN)
    assert done.code == 0, done.err
    first, *jobs, last = done.out.splitlines()
    assert re.fullmatch(r"r_[0-9a-z]{26}  2 jobs", first)
    assert [line.split()[1] for line in jobs] == ["tests/a.py", "tests/b.py"]
    assert last == f"{first.split()[0]} passed: 2 passed"
    suite = ET.parse(qgjob.folder / "r.xml").getroot()
    assert problems((qgjob.folder / "r.xml").read_bytes()) == []
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "0")


def test_a_run_with_a_failure_is_10_and_says_which(qgjob: Qgjob, script: Script):
    script("a.py", PASSING)
    script("b.py", FAILING)
    done = qgjob("submit", "--test", "a.py", "--test", "b.py", "--wait", "--junit", "r.xml", "--json", *RUN)
    assert done.code == 10
    document = done.json
    assert document["state"] == "failed"
    assert document["counts"] == {"passed": 1, "failed": 1}
    states = {job["test"]: (job["state"], job["attempts"][0]["exit_code"]) for job in document["jobs"]}
    assert states == {"a.py": ("passed", 0), "b.py": ("failed", 3)}
    cases = {
        case.get("name"): [child.tag for child in case]
        for case in ET.parse(qgjob.folder / "r.xml").iter("testcase")
    }
    assert cases == {"a.py": ["system-out"], "b.py": ["failure", "system-out"]}
    failure = ET.parse(qgjob.folder / "r.xml").find(".//failure")
    assert failure is not None
    assert (failure.text or "").endswith(": exit code 3\n\nbroken")
    assert "b.py\n    │ broken\n" in done.err
    again = qgjob("wait", document["run_id"])
    assert " b.py · exit code 3\n    │ broken\n" in again.out
    for format_ in ("junit", "github", "gitlab"):
        assert "broken" in qgjob("report", document["run_id"], "--format", format_).out


def test_ids_states_and_logs_of_a_run_can_be_asked_for(qgjob: Qgjob, script: Script):
    run_id, (job_id,) = submitted(
        qgjob(
            "submit",
            "--test",
            script("a.py", FAILING),
            "--name",
            "Nightly",
            "--meta",
            "branch=main",
            "--json",
            *RUN,
        )
    )
    assert qgjob("wait", run_id).code == 10
    assert qgjob("wait", job_id).code == 10

    job: dict[str, Any] = qgjob("status", job_id, "--json").json
    assert (job["job_id"], job["run_id"], job["state"], job["test"]) == (job_id, run_id, "failed", "a.py")
    assert (job["org_id"], job["app_version_id"]) == (qgjob.env["QGJOB_ORG_ID"], "v1")
    assert TIME.match(job["created_at"])
    (attempt,) = job["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["exit_code"]) == (1, "failed", 3)
    assert TIME.match(attempt["started_at"])
    assert TIME.match(attempt["finished_at"])
    assert qgjob("status", "--job-id", job_id, "--json").json == job

    run: dict[str, Any] = qgjob("status", run_id, "--json").json
    assert (run["run_id"], run["state"], run["counts"], run["name"]) == (
        run_id,
        "failed",
        {"failed": 1},
        "Nightly",
    )
    assert run["meta"]["branch"] == "main"
    assert "branch=main" in qgjob("status", run_id).out
    assert run["jobs"] == [job]
    assert qgjob("list", "--run-id", run_id, "--json").json == {"jobs": [job]}
    assert qgjob("list", "--state", "passed", "--run-id", run_id, "--json").json == {"jobs": []}

    for any_id in (job_id, run_id):
        logs = qgjob("logs", any_id)
        assert (logs.code, logs.out) == (0, "broken\n")
        assert logs.err.splitlines()[-1] == "[qgjob] failed · exit code 3"
        assert qgjob("logs", any_id, "--tail", "1").out == "broken\n"
    for args in (["status", job_id], ["status", run_id], ["list"]):
        done = qgjob(*args)
        assert done.code == 0
        assert job_id in done.out
        assert "\x1b" not in done.out


def test_a_log_is_followed_while_it_is_written(qgjob: Qgjob, script: Script):
    script("a.py", "import time\nfor n in range(5):\n    print(n, flush=True)\n    time.sleep(0.05)\n")
    _, (job_id,) = submitted(qgjob("submit", "--test", "a.py", "--json", *RUN))
    done = qgjob("logs", job_id, "-f")
    assert (done.code, done.out) == (0, "0\n1\n2\n3\n4\n")
    assert done.err.splitlines()[-1] == "[qgjob] passed"
    script("b.py", "raise SystemExit(3)")
    _, (job_id,) = submitted(qgjob("submit", "--test", "b.py", "--json", *RUN))
    done = qgjob("logs", job_id, "-f")
    assert (done.code, done.out, done.err.splitlines()[-1]) == (0, "", "[qgjob] failed · exit code 3")


def test_a_repeated_step_with_a_run_key_submits_nothing_twice(qgjob: Qgjob, script: Script):
    step = (
        "submit",
        "--test",
        script("a.py", PASSING),
        "--run-key",
        "pipeline 7/ü",
        "--json",
        "--wait",
        *RUN,
    )
    first = qgjob(*step)
    (qgjob.folder / "report.xml").write_text("left over by the first")
    again = qgjob(*step)
    assert (first.code, again.code) == (0, 0)
    assert again.json == first.json
    assert len(qgjob("list", "--json", "--org-id", qgjob.env["QGJOB_ORG_ID"]).json["jobs"]) == 1
    other = qgjob(*step[:2], "--test", script("b.py", PASSING), *step[2:])
    assert other.code != 0


def test_another_submit_under_the_same_key_is_refused(qgjob: Qgjob, script: Script):
    script("b.py", PASSING)
    assert qgjob("submit", "--test", script("a.py", PASSING), "--run-key", "k", *RUN).code == 0
    done = qgjob("submit", "--test", "b.py", "--run-key", "k", *RUN)
    assert done.code == 7
    assert "already used" in done.err
    assert done.out == ""


def test_a_cancelled_job_is_19(qgjob: Qgjob, script: Script):
    run_id, (job_id,) = submitted(qgjob("submit", "--test", script("a.py", SLOW), "--json", *RUN))
    assert qgjob("logs", job_id).code == 0
    done = qgjob("cancel", run_id, "--reason", "no longer needed")
    assert (done.code, done.out) == (0, f"cancelled {job_id}\n")
    assert qgjob("wait", run_id).code == 19
    again = qgjob("cancel", run_id, "--json")
    assert again.json == {"id": run_id, "cancelled": [], "ended_before": [job_id]}


def test_waiting_may_run_out_of_time(qgjob: Qgjob, script: Script):
    run_id, _ = submitted(qgjob("submit", "--test", script("a.py", SLOW), "--json", *RUN))
    done = qgjob("wait", run_id, "--timeout", "500ms")
    assert done.code == 16
    assert f"qgjob wait {run_id}" in done.err
    assert qgjob("status", run_id, "--json").json["state"] in {"queued", "running"}
    qgjob("cancel", run_id)


def test_labels_that_no_slot_has_are_18_and_named(qgjob: Qgjob, script: Script):
    done = qgjob(
        "submit",
        "--test",
        script("a.py", PASSING),
        "--require",
        "gpu-9",
        "--wait",
        "--no-slot-grace",
        "1s",
        *RUN,
    )
    assert done.code == 18
    assert "no slot has gpu-9" in done.err
    assert "cancelled" in done.out
    again = qgjob("wait", done.out.split()[0])
    assert (again.code, "no slot has gpu-9" in again.err) == (18, True)


@pytest.mark.parametrize("env", [{}, {"CI": "true"}])
async def test_ctrl_c_detaches_and_the_jobs_go_on(qgjob: Qgjob, script: Script, env: dict[str, str]):
    """Also where CI is set but no CI that we know runs: containers and test suites set it."""
    script("a.py", SLOW)
    waiting = replace(qgjob, env=qgjob.env | env).start("submit", "--test", "a.py", "--wait", *RUN)
    assert waiting.stdout is not None
    run_id = waiting.stdout.readline().split()[0]
    waiting.stdout.readline()

    def runs() -> bool:
        return qgjob("status", run_id, "--json").json["counts"] == {"running": 1}

    await wait_for(runs, 20)
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=10)
    assert waiting.returncode == 130
    assert f"qgjob wait {run_id}" in err
    assert "Traceback" not in err
    assert runs()
    qgjob("cancel", run_id)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("mark", "number"),
    [("GITLAB_CI", signal.SIGINT), ("GITLAB_CI", signal.SIGTERM), ("CI", signal.SIGTERM)],
)
async def test_in_ci_an_interrupted_wait_cancels_its_jobs(
    qgjob: Qgjob, script: Script, mark: str, number: int, again: bool
):
    """A CI sends it to a whole group of processes, and a shell among them may pass it on once more."""
    script("a.py", SLOW)
    in_ci = replace(qgjob, env=qgjob.env | {mark: "true"})
    waiting = in_ci.start("submit", "--test", "a.py", "--wait", *RUN)
    assert waiting.stdout is not None
    run_id = waiting.stdout.readline().split()[0]
    waiting.stdout.readline()
    await wait_for(lambda: qgjob("status", run_id, "--json").json["counts"] == {"running": 1}, 20)
    waiting.send_signal(number)
    while again and waiting.poll() is None:
        await asyncio.sleep(0.02)
        waiting.send_signal(signal.SIGTERM)
    _, err = waiting.communicate(timeout=10)
    assert waiting.returncode == 130
    assert f"1 job was cancelled of {run_id}" in err
    await wait_for(lambda: qgjob("status", run_id, "--json").json["counts"] == {"cancelled": 1}, 20)


async def test_in_ci_a_run_that_is_on_its_way_is_cancelled_as_well(qgjob: Qgjob, script: Script):
    """Nobody would end it: who interrupted the submit knows no id, and the pipeline is gone."""
    script("a.py", SLOW)
    server = qgjob("config", "show", "--json").json["server"]["value"]
    async with Proxy(int(server.rpartition(":")[2])) as proxy:
        in_ci = replace(qgjob, env=qgjob.env | {"CI": "true", "QGJOB_SERVER": proxy.url})
        proxy.deafen(b"qg.jobs.")
        waiting = in_ci.start("submit", "--test", "a.py", "--wait", *RUN)

        async def is_running() -> bool:
            done = await asyncio.to_thread(qgjob, "list", "--org-id", qgjob.env["QGJOB_ORG_ID"], "--json")
            return [job["state"] for job in done.json["jobs"]] == ["running"]

        await wait_for(is_running, 20)
        proxy.deaf = False
        waiting.send_signal(signal.SIGTERM)
        _, err = await asyncio.to_thread(waiting.communicate, timeout=10)
    assert (waiting.returncode, "1 job was cancelled of r_" in err) == (130, True), err


@pytest.mark.parametrize(
    ("env", "beside"),
    [({"CI": "true"}, ("error", "cancelled")), ({}, ("skipped", "not ended: running"))],
    ids=["in CI", "detached"],
)
async def test_an_interrupted_wait_leaves_a_report_of_what_had_ended(
    qgjob: Qgjob, script: Script, env: dict[str, str], beside: tuple[str, str]
):
    script("bad.py", "import sys\nprint('no basket')\nsys.exit(1)\n")
    script("slow.py", SLOW)
    here = replace(qgjob, env=qgjob.env | env)
    waiting = here.start("submit", "--test", "*.py", "--wait", "--junit", "junit.xml", *RUN)
    assert waiting.stdout is not None
    run_id = waiting.stdout.readline().split()[0]
    assert waiting.stderr is not None
    assert next(line for line in waiting.stderr if "bad.py" in line)  # its end is known to who waits
    counts = {"failed": 1, "running": 1}
    await wait_for(lambda: qgjob("status", run_id, "--json").json["counts"] == counts, 20)
    waiting.send_signal(signal.SIGTERM if env else signal.SIGINT)
    _, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, "Traceback" in err) == (130, False)
    assert "junit.xml says what had ended by then" in err
    bad, slow = ET.parse(qgjob.folder / "junit.xml").iter("testcase")
    failure, other = bad.find("failure"), slow.find(beside[0])
    assert failure is not None
    assert other is not None
    assert beside[1] in (other.get("type"), other.get("message"))
    assert not env or "no basket" in (failure.text or "")
    qgjob("cancel", run_id)


def test_a_failure_that_passes_in_the_second_attempt_is_flaky_and_passed(qgjob: Qgjob, script: Script):
    script("a.py", "import os, sys\nsys.exit(int(os.environ['QGJOB_JOB_ATTEMPT'] == '1'))\n")
    done = qgjob("submit", "--test", "a.py", "--retries", "1", "--wait", "--json", *RUN)
    assert done.code == 0, done.err
    (job,) = done.json["jobs"]
    assert job["flaky"]
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["failed", "passed"]


def test_the_environment_the_arguments_and_files_beside_the_test_arrive(qgjob: Qgjob, script: Script):
    qgjob.file("data/words.txt", "from the bundle")
    qgjob.file(".gitignore", "secret.txt\n")
    qgjob.file("secret.txt", "x")
    script(
        "tests/a.py",
        "import os, sys, pathlib\n"
        "root = pathlib.Path(sys.argv[2])\n"
        "print((root / 'data/words.txt').read_text(), (root / 'secret.txt').exists())\n"
        "print(os.environ['COLOUR'], os.environ['QGJOB_APP_VERSION_ID'], sys.argv[3])\n",
    )
    done = qgjob(
        *("submit", "--test", "tests/a.py", "-e", "COLOUR=blü", "--wait", "--json"),
        *("--", "python3", "{test}", "{bundle}", "{bundle}", "--wait"),
    )
    assert done.code == 0, qgjob("logs", done.json["run_id"]).out
    assert qgjob("logs", done.json["run_id"]).out == "from the bundle False\nblü v1 --wait\n"


def test_many_files_in_one_submit(qgjob: Qgjob, script: Script):
    for number in range(600):
        script(f"t/{number}.py", PASSING)
    run_id, jobs = submitted(
        qgjob("submit", "--test", "t/1*.py", "--test", "t/*.py", "--json", "--target", "device", *RUN)
    )
    assert len(jobs) == 600
    give_up = time.monotonic() + 20
    while len(qgjob("list", "--run-id", run_id, "--limit", "5000", "--json").json["jobs"]) < 600:
        assert time.monotonic() < give_up, "a list waits a second for the projection, not longer"
    cancelled = qgjob("cancel", run_id, "--json").json
    assert len(cancelled["cancelled"]) + len(cancelled["ended_before"]) == 600
    assert qgjob("wait", run_id).code in {0, 19}


def test_a_bundle_over_the_limit_is_refused(qgjob: Qgjob, script: Script):
    (qgjob.folder / "big.bin").write_bytes(os.urandom(51 * 2**20))
    done = qgjob("submit", "--test", script("a.py", PASSING), *RUN)
    assert done.code == 7
    assert "big.bin" in done.err
    assert qgjob("list", "--org-id", qgjob.env["QGJOB_ORG_ID"], "--json").json == {"jobs": []}


@pytest.mark.parametrize("command", ["status", "wait", "logs", "cancel"])
@pytest.mark.parametrize(
    "any_id", ["j_0000000000000000000000000a", "r_0000000000000000000000000a", "nonsense", "*", "r_../x"]
)
def test_what_is_not_there_is_6(qgjob: Qgjob, command: str, any_id: str):
    done = qgjob(command, any_id)
    assert done.code == 6
    assert done.err.startswith("Error: ")
    assert done.out == ""


def test_hostile_ids_travel_whole(qgjob: Qgjob, script: Script):
    org, version = "a.b *> /ü'\"; 日本", "v " + "x" * 200
    done = qgjob(
        *("submit", "--org-id", org, "--app-version-id", version, "--test", script("a b'\".py", PASSING)),
        *("--wait", "--json", *RUN),
    )
    assert done.code == 0, done.err
    (job,) = done.json["jobs"]
    assert (job["org_id"], job["app_version_id"], job["test"]) == (org, version, "a b'\".py")
    assert qgjob("list", "--org-id", org, "--app-version-id", version, "--json").json["jobs"] == [job]


@pytest.mark.parametrize(("code", "verdict", "exit_code"), [(0, "passed", 1), (3, "failed", 10)])
def test_a_report_that_cannot_be_written_at_the_end_costs_no_verdict(
    qgjob: Qgjob, script: Callable[..., str], code: int, verdict: str, exit_code: int
):
    folder = qgjob.folder / "out"
    folder.mkdir()
    script("a.py", f"import os, sys\nos.rmdir({str(folder)!r})\nsys.exit({code})\n")
    done = qgjob("submit", "--test", "a.py", "--wait", "--junit", "out/r.xml", *RUN)
    assert done.code == exit_code
    assert f" {verdict}: 1 {verdict}" in done.out
    assert "Error: --junit out/r.xml cannot be written: No such file or directory." in done.err
    assert "qgjob report r_" in done.err
