"""Builds, agents, queues, health and schemas through the command."""

from __future__ import annotations

import json
import subprocess
import zipfile

from tests.acceptance.conftest import Qgjob


def make_zip(qgjob: Qgjob, name: str, text: str) -> str:
    with zipfile.ZipFile(qgjob.folder / name, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.txt"), text)
    return name


def test_a_build_is_uploaded_once_and_other_bytes_are_refused(qgjob: Qgjob):
    upload = ("app", "upload", make_zip(qgjob, "a.zip", "one"), "--app-id", "com.acme", "--json")
    first = qgjob(*upload)
    assert first.code == 0, first.err
    assert qgjob(*upload).json == first.json
    other = qgjob("app", "upload", make_zip(qgjob, "b.zip", "two"))
    assert other.code == 7
    assert "other bytes" in other.err
    builds = qgjob("app", "list", "--json").json["builds"]
    assert builds == [first.json]
    assert (first.json["app_version_id"], first.json["app_id"], first.json["format"]) == (
        "v1",
        "com.acme",
        "zip",
    )


def test_the_installed_build_is_what_the_test_meets(qgjob: Qgjob):
    assert qgjob("app", "upload", make_zip(qgjob, "a.zip", "build one")).code == 0
    qgjob.file("t.py", "import os\nprint(open(os.environ['QGJOB_APP_DIR'] + '/app.txt').read())\n")
    done = qgjob("submit", "--test", "t.py", "--wait", "--json", "--", "python3", "{test}")
    run_id = done.json["run_id"]
    assert done.code == 0, qgjob("logs", run_id).out
    assert qgjob("logs", run_id).out == "build one\n"


def test_a_build_for_a_platform_is_what_tests_of_that_platform_meet(qgjob: Qgjob):
    assert qgjob("app", "upload", make_zip(qgjob, "a.zip", "for ios"), "--platform", "ios").code == 0
    qgjob.file("t.py", "import os\nprint(open(os.environ['QGJOB_APP_DIR'] + '/app.txt').read())\n")
    submit = ("submit", "--test", "t.py", "--wait", "--json")
    done = qgjob(*submit, "--platform", "ios", "--", "python3", "{test}")
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    assert qgjob("logs", done.json["run_id"]).out == "for ios\n"
    left_out = qgjob(*submit, "--", "python3", "{test}")
    assert "uploaded for ios alone" in left_out.err


def test_a_corrupt_archive_and_a_file_that_is_not_there(qgjob: Qgjob):
    (qgjob.folder / "bad.zip").write_bytes(b"PK\x03\x04 no more")
    for name in ("bad.zip", "none.zip"):
        done = qgjob("app", "upload", name)
        assert done.code == 2
        assert name in done.err
    assert qgjob("app", "list", "--json").json == {"builds": []}


def test_agents_and_queues(qgjob: Qgjob):
    agents = qgjob("agents", "list", "--json").json["agents"]
    slots = [slot for agent in agents for slot in agent["slots"]]
    assert len(slots) == 4
    assert {"process", "emulator", "device", "simulator"} <= set(slots[0]["labels"])
    assert slots[0]["health"]["ok"]
    assert slots[0]["health"]["free_mib"] > 0
    listed = qgjob("agents", "list").out
    assert slots[0]["slot"] in listed
    assert "iB" in listed
    queue = qgjob("queue", "status", "--json").json
    assert {"depths", "waiting", "running", "groups", "leader"} <= set(queue)
    assert "waiting:" in qgjob("queue", "status").out


def test_health(qgjob: Qgjob):
    done = qgjob("health", "--json")
    assert done.code == 0, done.out
    assert done.json["ok"]
    assert qgjob("health").code == 0


def test_schemas_are_exported(qgjob: Qgjob):
    assert qgjob("schema", "export", "out/schemas").code == 0
    files = {path.name: json.loads(path.read_text()) for path in (qgjob.folder / "out/schemas").iterdir()}
    assert "JobMessage.json" in files
    assert "spec" in files["JobMessage.json"]["properties"]
    (qgjob.folder / "file").write_text("x")
    assert qgjob("schema", "export", "file").code == 2


def test_a_reader_that_has_enough_is_no_error(qgjob: Qgjob):
    reader = subprocess.run(
        ["bash", "-c", '"$0" schema export s; "$0" --help | head -1', qgjob.argv[0]],
        cwd=qgjob.folder,
        env=qgjob.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in reader.stderr
    assert "Broken" not in reader.stderr
