"""Wrong options, missing tests, no server: one clear sentence and the exit code, before anything is sent."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Qgjob
from tests.support.servers import NatsServer

SUBMIT = ("submit", "--org-id", "acme", "--app-version-id", "v1")


def one_error(err: str) -> str:
    """The sentence of an error; there is one, and no traceback."""
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    return line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--test", "a.py", "--priority", "0"], "--priority"),
        (["--test", "a.py", "--priority", "11"], "--priority"),
        (["--test", "a.py", "--priority", "urgent"], "--priority"),
        (["--test", "a.py", "--target", "phone"], "--target"),
        (["--test", "a.py", "--timeout", "soon"], "--timeout"),
        (["--test", "a.py", "--timeout", "0"], "--timeout"),
        (["--test", "a.py", "--expires", "-1"], "--expires"),
        (["--test", "a.py", "--retries", "-1"], "--retries"),
        (["--test", "a.py", "--retries", "many"], "--retries"),
        (["--test", "a.py", "--require", "A B"], "--require"),
        (["--test", "a.py", "-e", "NOVALUE"], "-e"),
        (["--test", "a.py", "--meta", "novalue"], "--meta"),
        (["--test", "a.py", "--name", "a\nb"], "--name"),
        (["--test", "a.py", "--runner", "no such"], "--runner"),
        (["--test", "a.py", "--run-key", "\x1b"], "--run-key"),
        (["--test", "a.py", "--org-id", ""], "--org-id"),
        (["--test", "a.py", "--org-id", "a\x07b"], "--org-id"),
        (["--test", "a.py", "--org-id", "x" * 257], "--org-id"),
        (["--test", "a.py", "--app-version-id", "a\tb"], "--app-version-id"),
        (["--test", "a.py", "--junit", "x.xml"], "--wait"),
        (["--test", "a.py", "--wait", "--junit", "no/such/x.xml"], "--junit"),
        (["--test", "a.py", "--wait", "--no-slot-grace", "x"], "--no-slot-grace"),
        (["--test", "a.py", "--no-such-option"], "--no-such-option"),
        ([], "--test"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(lonely: Qgjob, args: list[str], says: str):
    lonely.file("a.py")
    done = lonely(*SUBMIT, *args)
    assert done.code == 2
    assert says in one_error(done.err)
    assert done.out == ""


@pytest.mark.parametrize(
    "args",
    [
        ["submit", "--org-id", "a", "--test", "a.py"],
        ["submit", "--app-version-id", "a", "--test", "a.py"],
        ["status"],
        ["wait"],
        ["nonsense"],
        ["list", "--state", "nonsense"],
        ["list", "--limit", "0"],
        ["app", "upload"],
        ["app", "upload", "none.apk", "--org-id", "a", "--app-version-id", "\x01"],
        ["wait", "r_1", "--timeout", "x"],
    ],
    ids=" ".join,
)
def test_other_commands_say_what_is_wrong(lonely: Qgjob, args: list[str]):
    done = lonely(*args)
    assert done.code == 2
    one_error(done.err)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([*SUBMIT, "--test", "none.py", "--wait"], 3),
        ([*SUBMIT, "--test", "a.py", "--wait"], 5),
        ([*SUBMIT, "--test", "a.py", "--wait", "--priority", "11"], 2),
        (["wait", "r_00000000000000000000000000"], 5),
    ],
    ids=str,
)
def test_a_call_that_fails_at_once_leaves_no_report_of_an_earlier_one(
    lonely: Qgjob, args: list[str], code: int
):
    lonely.file("a.py")
    report = lonely.file("junit.xml", "<testsuites/>")
    done = lonely(*args, "--junit", "junit.xml")
    assert done.code == code, done.err
    assert not report.exists()


def test_a_report_stays_where_nothing_is_waited_for(lonely: Qgjob):
    lonely.file("a.py")
    report = lonely.file("junit.xml", "<testsuites/>")
    lonely.file("qgjob.toml", 'junit = "junit.xml"\n')
    for more in ((), ("--wait", "--no-such-option")):
        assert lonely(*SUBMIT, "--test", "a.py", *more).code in {2, 5}
        assert report.exists()


@pytest.mark.parametrize("test", ["none.py", "none/*.py", "*.spec.ts", "empty"])
def test_no_test_matches(lonely: Qgjob, test: str):
    (lonely.folder / "empty").mkdir()
    done = lonely(*SUBMIT, "--test", test)
    assert done.code == 3
    assert test in one_error(done.err)


def test_several_tests_after_one_option_as_an_unquoted_glob_gives_them(lonely: Qgjob):
    lonely.file("a.py")
    done = lonely(*SUBMIT, "--test", "a.py", "none.py", "--json", "--", "none2.py")
    assert done.code == 3
    assert "none.py" in one_error(done.err)


def test_a_name_without_an_address_is_5_and_says_so(lonely: Qgjob):
    done = lonely("--server", "nats://lab.invalid:4222", "list")
    assert (done.code, done.out) == (5, "")
    assert "The name in nats://lab.invalid:4222 has no address: " in done.err


@pytest.mark.parametrize(
    "args",
    [
        [*SUBMIT, "--test", "a.py"],
        ["status", "j_0000000000000000000000000a"],
        ["list"],
        ["wait", "r_0000000000000000000000000a"],
        ["logs", "j_0000000000000000000000000a"],
        ["cancel", "r_0000000000000000000000000a"],
        ["agents", "list"],
        ["queue", "status"],
        ["health"],
        ["app", "list"],
    ],
    ids=lambda args: args[0],
)
def test_without_a_server_every_command_says_so(lonely: Qgjob, args: list[str]):
    lonely.file("a.py")
    done = lonely(*args)
    assert done.code == 5
    assert "Nothing listens at nats://127.0.0.1:" in one_error(done.err)
    assert "qgjob up" in done.err
    assert done.out == ""


@pytest.mark.parametrize("url", ["http://x", "nats://", "nats://h:99999999", ":", "nats://h:0"])
def test_an_address_that_cannot_be_one(lonely: Qgjob, url: str):
    done = lonely("list", "--server", url)
    assert done.code == 2
    one_error(done.err)


def test_files_of_options_must_exist(lonely: Qgjob):
    for option in ("--creds", "--tls-ca", "--tls-cert"):
        done = lonely("list", option, "none.file")
        assert done.code == 2
        assert "none.file" in one_error(done.err)


def test_unexpected_errors_are_one_line_and_a_file(lonely: Qgjob, tmp_path: Path):
    """Nothing known raises one; a module that breaks stands for them."""
    (tmp_path / "broken" / "nats").mkdir(parents=True)
    (tmp_path / "broken" / "nats" / "__init__.py").write_text("raise ZeroDivisionError('oh')")
    env = {"PYTHONPATH": str(tmp_path / "broken"), "TMPDIR": str(tmp_path)}
    done = lonely("list", env=env)
    assert done.code == 1
    assert "ZeroDivisionError: oh" in one_error(done.err)
    (path,) = tmp_path.glob("qgjob-error-*.txt")
    assert str(path) in done.err
    assert "Traceback" in path.read_text()
    assert "Traceback" in lonely("list", "-v", env=env).err


def test_options_come_from_the_environment(lonely: Qgjob):
    done = lonely("submit", env={"QGJOB_ORG_ID": "o", "QGJOB_APP_VERSION_ID": "v", "QGJOB_TEST": "none.py"})
    assert done.code == 3
    done = lonely("list", env={"QGJOB_STATE": "nonsense"})
    assert done.code == 2


class _GuardedServer(NatsServer):
    """The usual probe knows no password: that it listens has to do."""

    async def _ready(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        writer.close()
        return True


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A server that wants a password, and lets `ci` do next to nothing."""
    config = tmp_path / "nats.conf"
    config.write_text(
        'authorization { users: [ { user: ci, password: pw, permissions: { publish: ["$JS.API.INFO"], '
        'subscribe: ["_INBOX.>"] } } ] }\njetstream {}\n'
    )
    server = _GuardedServer(tmp_path / "nats", config=config)
    try:
        await server.start()
        yield server
    finally:
        server.kill()


async def test_credentials_that_are_refused_and_rights_that_are_missing(lonely: Qgjob, guarded: NatsServer):
    lonely.file("a.py")
    done = lonely("list", "--server", guarded.url)
    assert done.code == 4
    assert "refused the credentials" in one_error(done.err)
    allowed = f"nats://ci:pw@127.0.0.1:{guarded.port}"
    for args in (["list"], [*SUBMIT, "--test", "a.py"], ["agents", "list"]):
        done = lonely(*args, "--server", allowed)
        assert done.code == 4, done.err
        assert "pw@" not in done.err
        one_error(done.err)


def test_health_as_json_says_also_that_no_server_is_there(lonely: Qgjob):
    done = lonely("health", "--json")
    assert done.code == 5
    assert done.json["ok"] is False
    assert [check["name"] for check in done.json["checks"]] == ["server"]
    assert "Nothing listens at" in one_error(done.err)


def in_shell(qgjob: Qgjob, command: str) -> subprocess.CompletedProcess[str]:
    """`qgjob`, called `$0`, as a shell runs it."""
    return subprocess.run(
        ["sh", "-c", command, *qgjob.argv],
        cwd=qgjob.folder,
        env=qgjob.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["completion bash", "--version", "config show --json"])
def test_output_that_cannot_be_written_is_one_sentence(lonely: Qgjob, command: str):
    done = in_shell(lonely, f'"$0" {command} >/dev/full')
    assert done.returncode == 1
    assert done.stderr == "Error: The output could not be written: No space left on device.\n"


def test_a_full_disk_for_bundles_is_no_bug_of_ours(qgjob: Qgjob):
    qgjob.file("a.py")
    (qgjob.folder / "data").write_bytes(random.randbytes(100_000))
    # No file of this process may grow beyond one block, as on a disk that has no more of them.
    done = in_shell(qgjob, 'ulimit -f 1; trap "" XFSZ; "$0" submit --test a.py')
    assert one_error(done.stderr) == "Error: File too large."
    assert "This is a bug" not in done.stderr
    assert done.returncode == 1


def test_a_full_disk_for_what_a_job_left_is_no_wrong_option(qgjob: Qgjob):
    qgjob.file("a.sh", 'head -c 100000 /dev/urandom >"$QGJOB_ARTIFACTS_DIR/picture"')
    done = qgjob("submit", "--test", "a.sh", "--wait", "--json")
    assert done.code == 0, done.err
    run = done.json["run_id"]
    for command in (f"artifacts {run} --download kept", f"report {run} --output report.xml"):
        done = in_shell(qgjob, f'ulimit -f 0; trap "" XFSZ; "$0" {command}')
        assert "cannot be written: File too large." in one_error(done.stderr)
        assert done.returncode == 1


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", ">&- 2>&- <&-"])
def test_a_command_runs_with_a_stream_closed(lonely: Qgjob, closed: str):
    done = in_shell(lonely, f'"$0" schema export out {closed}')
    assert done.returncode == 0
    assert re.fullmatch(r"(\d+ schemas are in out\.\n)?", done.stderr)
    assert any((lonely.folder / "out").iterdir())


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_an_error_that_nobody_hears_keeps_its_exit_code(lonely: Qgjob, stderr: str):
    assert in_shell(lonely, f'"$0" list {stderr}').returncode == 5
    assert in_shell(lonely, f'"$0" list --no-such-option {stderr}').returncode == 2


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("a b.sh\nc d.sh\n", "c d.sh"),
        ("a.sh none.sh", "none.sh"),
        ("a b.sh\n", None),
        ("'a b.sh' a.sh", None),
    ],
)
def test_a_variable_of_an_option_that_may_be_repeated_holds_lines_or_words(
    lonely: Qgjob, said: str, missing: str | None
):
    lonely.file("a b.sh")
    lonely.file("a.sh")
    done = lonely("submit", "--org-id", "acme", "--app-version-id", "v1", env={"QGJOB_TEST": said})
    assert done.code == (5 if missing is None else 3), done.err
    assert missing is None or f"no test file {missing}\n" in done.err
