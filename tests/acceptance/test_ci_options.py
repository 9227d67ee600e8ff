"""What a CI author says of builds, failures and older runs, on a whole system with real agents."""

from __future__ import annotations

from tests.acceptance.conftest import Qgjob
from tests.acceptance.test_jobs import FAILING, PASSING, RUN, SLOW, Script
from tests.support.adbsim.apk import make_apk
from tests.support.wait import wait_for

UNNAMED = {"QGJOB_APP_VERSION_ID": ""}
"""An environment that does not say which build."""


def test_submit_brings_its_build_and_says_which_version_it_is(qgjob: Qgjob, script: Script):
    test = script("a.py", PASSING)
    build = make_apk(qgjob.folder / "app.apk", version_name="3.1")
    qgjob.file("qgjob.toml", 'app = "app.apk"\n')
    first = qgjob("submit", "--test", test, "--json", *RUN, env=UNNAMED)
    assert first.code == 0, first.err
    version = first.json["app_version_id"]
    assert version.startswith("3.1-")
    assert f"Build {version}: app.apk, " in first.err
    assert "uploaded" in first.err
    again = qgjob("submit", "--test", test, "--json", *RUN, env=UNNAMED)
    assert (again.json["app_version_id"], "there already" in again.err) == (version, True)
    make_apk(build, version_name="3.2")
    refused = qgjob("submit", "--test", test, "--app-version-id", version, *RUN)
    assert refused.code == 7, refused.err
    assert "has other bytes already" in refused.err


def test_tests_that_cannot_be_packed_are_refused_before_their_build_is_sent(qgjob: Qgjob, script: Script):
    test = script("a.py", PASSING)
    make_apk(qgjob.folder / "app.apk", version_name="9.9")
    (qgjob.folder / "outside").symlink_to("/etc/hostname")
    refused = qgjob("submit", "--test", test, "--app", "app.apk", "--app-version-id", "unsent", *RUN)
    assert (refused.code, "outside is a link that leaves the bundle" in refused.err) == (2, True), refused.err
    assert "unsent" not in qgjob("app", "list").out


def test_without_a_build_submit_says_what_to_give(qgjob: Qgjob, script: Script):
    done = qgjob("submit", "--test", script("a.py", PASSING), env=UNNAMED)
    assert (done.code, done.out) == (2, "")
    assert "--app-version-id V, or give its file with --app FILE" in done.err
    missing = qgjob("submit", "--test", "a.py", "--app", "no.apk")
    assert (missing.code, "--app no.apk does not exist" in missing.err) == (2, True)


def test_fail_fast_cancels_the_rest(qgjob: Qgjob, script: Script):
    script("a.py", FAILING)
    script("b.py", SLOW)
    done = qgjob("submit", "--test", "*.py", "--wait", "--fail-fast", "--json", *RUN)
    assert done.code == 10, done.err
    states = {job["test"]: (job["state"], job["message"]) for job in done.json["jobs"]}
    assert states["a.py"][0] == "failed"
    assert states["b.py"] == ("cancelled", "fail-fast: a.py failed")
    assert "--fail-fast: the rest was cancelled because of a.py." in done.err


def test_failures_and_flakes_are_judged_as_whoever_waits_wants_it(qgjob: Qgjob, script: Script):
    script("a.py", FAILING)
    flaky = "import os, sys\nsys.exit(os.environ['QGJOB_JOB_ATTEMPT'] == '1')\n"
    script("b.py", flaky)
    done = qgjob("submit", "--test", "*.py", "--retries", "1", "--wait", "--allow-failures", "1", *RUN)
    assert done.code == 0, done.err
    assert "--allow-failures: 1 is within the 1 allowed." in done.err
    run_id = done.out.split()[0]
    for options, code in (((), 10), (("--allow-failures", "1", "--fail-on-flaky"), 10),
                          (("--allow-failures", "2", "--fail-on-flaky"), 0)):  # fmt: skip
        assert qgjob("wait", run_id, *options).code == code


def test_detach_goes_before_what_the_project_file_says_of_waiting(qgjob: Qgjob, script: Script):
    script("a.py", PASSING)
    qgjob.file("qgjob.toml", "wait = true\nfail_fast = true\n")
    done = qgjob("submit", "--test", "a.py", "--detach", *RUN)
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    wrong = qgjob("submit", "--test", "a.py", "--detach", "--fail-fast", *RUN)
    assert (wrong.code, "--fail-fast needs --wait" in wrong.err) == (2, True)


def test_a_newer_run_ends_the_older_one_of_its_key(qgjob: Qgjob, script: Script):
    script("slow.py", SLOW)
    script("a.py", PASSING)
    key = ("--concurrency-key", "main")
    old = qgjob("submit", "--test", "slow.py", "--json", *key, *RUN).json["run_id"]
    new = qgjob("submit", "--test", "a.py", "--wait", *key, *RUN)
    assert new.code == 0, new.err
    waited = qgjob("wait", old)
    assert waited.code == 19
    assert f"superseded by {new.out.split()[0]}" in waited.out
    (job,) = qgjob("status", old, "--json").json["jobs"]
    assert f"superseded by {new.out.split()[0]}" in qgjob("explain", job["job_id"]).out


async def test_shards_are_balanced_by_what_earlier_runs_took_and_a_test_has_a_history(
    qgjob: Qgjob, script: Script
):
    for number in range(4):
        seconds = 1.0 if number == 3 else 0.05
        failing = "    assert False\n" if number == 0 else ""
        script(f"t/test_{number}.py", f"import time\ndef test_it():\n    time.sleep({seconds})\n{failing}")
    script("t/conftest.py", "")
    first = qgjob("submit", "--test", "t/test_*.py", "--shards", "2", "--wait", "--json", "--junit", "r.xml")
    assert first.code == 10, first.err
    shards = first.json["jobs"]
    assert [(job["test"], len(job["tests"])) for job in shards] == [("shard 1 of 2", 2), ("shard 2 of 2", 2)]
    files = {f["file"]: f["outcome"] for job in shards for f in job["attempts"][0]["files"]}
    assert files == {f"t/test_{n}.py": "failed" if n == 0 else "passed" for n in range(4)}
    assert qgjob("wait", first.json["run_id"], "--allow-failures", "1").code == 0
    shown = qgjob("status", next(job["job_id"] for job in shards if job["state"] == "failed")).out
    assert "(2 files)" in shown
    assert any(line.split()[:2] == ["t/test_0.py", "failed"] for line in shown.splitlines())

    later = ("--at", "2100-01-01T00:00:00Z", "--concurrency-key", "later")

    def dealt() -> str | None:
        again = qgjob("submit", "--test", "t/test_*.py", "--shards", "2", "--json", *later).json
        files = [job["tests"] for job in again["jobs"]]
        return again["run_id"] if files[0] == ["t/test_3.py"] and len(files[1]) == 3 else None

    last = await wait_for(dealt, 30)  # what was learned is kept every few seconds
    assert last is not None
    qgjob("cancel", last)

    told = qgjob("history", "t/test_0.py", "--json").json
    assert (told["test"], told["outcomes"][-1]["outcome"]) == ("t/test_0.py", "failed")
    assert told["outcomes"][-1]["job_id"] in {job["job_id"] for job in shards}
    text = qgjob("history", "./t/test_3.py").out
    assert text.startswith("t/test_3.py  ran ")
    unknown = qgjob("history", "t/test_9.py")
    assert (unknown.code, "Nothing is remembered" in unknown.err) == (6, True)
    assert "Did you mean t/test_3.py?" in qgjob("history", "TEST_3").err


def test_a_command_gets_the_files_of_its_shard(qgjob: Qgjob, script: Script):
    for name in "abc":
        script(f"{name}.txt", "")
    echo = ("--", "sh", "-c", 'printf "<%s>" "$@"', "sh", "{test}")
    done = qgjob("submit", "--test", "*.txt", "--shards", "1", "--wait", "--json", *echo)
    assert done.code == 0, done.err
    job_id = done.json["jobs"][0]["job_id"]
    assert qgjob("logs", job_id).out.strip() == "<a.txt><b.txt><c.txt>"
    wrong = qgjob("submit", "--test", "*.txt", "--shards", "1", "--wait", "--", "cat")
    assert (wrong.code, "with {test} as a word of its own" in wrong.out) == (20, True)
