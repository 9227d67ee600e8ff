from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from qgjob.cli.commands.submit import app as submit
from qgjob.cli.main import named_source, run
from qgjob.cli.settings.defaults import Defaults, defaults_of, find_project
from qgjob.config import RunningUp
from qgjob.contexts import Contexts
from qgjob.errors import NotFoundError, UsageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def defaults(project: Path, text: str, *, cwd: Path | None = None, user: str = "") -> Defaults:
    (project / "qgjob.toml").write_text(text)
    config = project.parent / "config"
    if user:
        (config / "qgjob").mkdir(parents=True, exist_ok=True)
        (config / "qgjob" / "config.toml").write_text(user)
    env = {"XDG_CONFIG_HOME": str(config)}
    return defaults_of(get_command(submit).params, cwd or project, env)


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["config", "show", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_options_take_can_stand_in_the_file(project: Path):
    found = defaults(
        project,
        'org = "acme"\napp_version = "1.0"\ntests = ["t/*.py", "u.py"]\nrequire = "android-14"\n'
        'retries = 2\npriority = 8\nwait = true\nno-slot-grace = "5s"\nargs = ["--workers=1"]\n'
        'env = {A = "b", N = 1}\n[bundle]\nignore = ["*.mp4"]\n',
    )
    assert found.as_map() == {
        "org_id": "acme",
        "app_version_id": "1.0",
        "test": ["t/*.py", "u.py"],
        "require": ["android-14"],
        "retries": 2,
        "priority": "8",
        "wait": True,
        "no_slot_grace": "5s",
        "argv": ("--workers=1",),
        "env": ["A=b", "N=1"],
    }
    assert found.ignore == ("*.mp4",)


def test_tests_are_meant_from_the_files_folder(project: Path):
    below = project / "deep" / "er"
    below.mkdir(parents=True)
    assert defaults(project, 'tests = ["t/*.py"]', cwd=below).as_map() == {"test": ["../../t/*.py"]}


def test_a_repository_ends_the_search(project: Path):
    (project.parent / "qgjob.toml").touch()
    assert find_project(project) == project.parent / "qgjob.toml"
    (project / ".git").mkdir()
    assert find_project(project) is None


def test_the_project_goes_before_the_user(project: Path):
    found = defaults(project, 'org = "acme"', user='org = "me"\nretries = 3')
    assert found.as_map() == {"org_id": "acme", "retries": 3}
    assert found.settings["retries"].where == "config.toml line 2"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("\nretrys = 1", "qgjob.toml line 2: there is no setting 'retrys'.", "Did you mean 'retries'?"),
        ("zzzzzz = 1", "qgjob.toml line 1: there is no setting 'zzzzzz'.", "The keys are"),
        ("json = true", "qgjob.toml line 1: there is no setting 'json'.", ""),
        ('retries = "1"', "qgjob.toml line 1: retries is a whole number.", "The file is"),
        ("retries = true", "qgjob.toml line 1: retries is a whole number.", "The file is"),
        ("wait = 1", "qgjob.toml line 1: wait is true or false.", "The file is"),
        ("tests = 3", "qgjob.toml line 1: tests is a list of texts", "The file is"),
        ("tests = [[]]", "qgjob.toml line 1: tests is a text or a number.", "The file is"),
        ("[org]\nx = 1", "qgjob.toml line 1: org is a text or a number.", "The file is"),
        ('app_version = {git = "tag"}', "qgjob.toml line 1: this is no rule", "app_version is a text"),
        ("[app_version]\nenv = 1", "qgjob.toml line 1: this is no rule", "app_version is a text"),
        ("\n[bundle]\nkeep = []", "qgjob.toml line 2: [bundle] has one key: ignore", "The file is"),
        ("\n\nshards = 0", "qgjob.toml line 3: shards is a whole number from 1 to 400, not 0.", ""),
        ("allow_failures = -1", "qgjob.toml line 1: allow_failures is a whole number from 0", ""),
        ("[bundle]\nignor = []", "qgjob.toml line 1: [bundle] has one key: ignore", ""),
        ("bundle = 1", "qgjob.toml line 1: [bundle] has one key: ignore", "The file is"),
        ("org = \n", "qgjob.toml line 1: this is no TOML", "The file is"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(project: Path, text: str, message: str, hint: str):
    with pytest.raises(UsageError) as raised:
        defaults(project, text)
    assert raised.value.message.startswith(message)
    assert hint in (raised.value.hint or "")


def test_a_file_that_cannot_be_read_is_named(project: Path):
    (project / "qgjob.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        defaults_of((), project, {"XDG_CONFIG_HOME": str(project)})


def test_a_wrong_value_names_the_line_of_the_file(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "qgjob.toml").write_text('org = "a"\napp_version = "1"\ntests = "t.py"\npriority = "urgent"\n')
    assert run(["submit"]) == 2
    assert "qgjob.toml line 4: --priority 'urgent' is no" in capsys.readouterr().err


def test_flags_go_before_the_environment_and_that_before_the_file(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (project / "qgjob.toml").write_text("retries = 1\ntimeout = '1m'")
    monkeypatch.setenv("QGJOB_RETRIES", "5")
    found = shown(capsys)
    assert found["retries"] == {"value": "5", "from": "QGJOB_RETRIES"}
    assert found["timeout"] == {"value": "1m", "from": "qgjob.toml line 2"}
    assert found["expires"] == {"value": "12h", "from": "default"}


class TestAppVersion:
    def version(self, project: Path, rule: str) -> str:
        return str(defaults(project, f"app_version = {{{rule}}}").as_map()["app_version_id"]())

    def test_the_commit(self, project: Path):
        with pytest.raises(UsageError, match="the commit, but that is not known"):
            self.version(project, 'git = "sha"')
        git = ["git", "-c", "user.name=n", "-c", "user.email=e@x"]
        subprocess.run([*git, "init", "-q"], cwd=project, check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=project, check=True)
        head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=project, text=True)
        assert self.version(project, 'git = "sha"') == head[:12]
        assert self.version(project, 'git = "describe"') == head[:7]

    def test_a_files_content(self, project: Path):
        with pytest.raises(UsageError, match="which cannot be read"):
            self.version(project, 'file = "app.apk"')
        (project / "app.apk").write_bytes(b"")
        assert self.version(project, 'file = "app.apk"') == "e3b0c44298fc"

    def test_a_variable(self, project: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("BUILD_ID", raising=False)
        with pytest.raises(UsageError, match="BUILD_ID, which is not set"):
            self.version(project, 'env = "BUILD_ID"')
        monkeypatch.setenv("BUILD_ID", "77")
        assert self.version(project, 'env = "BUILD_ID"') == "77"

    def test_it_is_not_asked_for_when_a_flag_says_it(self, project: Path, capsys: pytest.CaptureFixture[str]):
        (project / "qgjob.toml").write_text('org = "a"\ntests = "absent.py"\napp_version = {env = "UNSET_X"}')
        assert run(["submit", "--app-version-id", "v1"]) == 3  # and not 2
        assert run(["submit"]) == 2
        assert "UNSET_X" in capsys.readouterr().err


class TestTheEnvironment:
    """A value that a variable said is blamed on the variable, whoever finds it wrong."""

    @pytest.mark.parametrize("name", ["TIMEOUT", "PRIORITY", "RETRIES", "TARGET", "NO_SLOT_GRACE", "LABEL"])
    def test_a_wrong_value_names_its_variable(
        self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
    ):
        (project / "test_a.py").touch()
        name = "REQUIRE" if name == "LABEL" else name
        monkeypatch.setenv(f"QGJOB_{name}", "NO")
        assert run(["submit", "--org-id", "a", "--app-version-id", "v", "--test", "test_a.py"]) == 2
        assert f"QGJOB_{name}" in capsys.readouterr().err

    def test_the_flag_counts_and_is_blamed_where_both_are_said(
        self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        (project / "test_a.py").touch()
        (project / "qgjob.toml").write_text('timeout = "15m"')
        monkeypatch.setenv("QGJOB_TIMEOUT", "5m")
        assert run(["submit", "--org-id=a", "--app-version-id=v", "--test=test_a.py", "--timeout=no"]) == 2
        assert capsys.readouterr().err.startswith("Error: --timeout: 'no'")
        assert named_source("--timeout: no", ["submit", "--", "--timeout"]) == "QGJOB_TIMEOUT: no"

    def test_an_option_with_a_variable_of_its_own(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("QGJOB_HTTP_PORT", "many")
        assert run(["up"]) == 2
        assert "QGJOB_HTTP_PORT" in capsys.readouterr().err
        monkeypatch.setenv("PORT", "many")
        assert run(["gateway"]) == 2
        assert capsys.readouterr().err.startswith("PORT 'many' is no port")
        monkeypatch.setenv("LOG_LEVEL", "loud")
        monkeypatch.setenv("PORT", "0")
        assert run(["gateway"]) == 2


class TestContexts:
    def test_the_first_is_used_until_another_is(self, project: Path, capsys: pytest.CaptureFixture[str]):
        assert run(["context", "add", "lab", "nats://u:pw@lab:4222", "--creds", "lab.creds"]) == 0
        assert f"--creds: there is no file {project / 'lab.creds'} (yet)." in capsys.readouterr().err
        assert run(["context", "add", "b", "nats://b"]) == 0
        assert "there is no file" not in capsys.readouterr().err
        found = shown(capsys)
        assert found["server"] == {"value": "nats://u:…@lab:4222", "from": "context lab"}
        assert found["creds"]["value"] == str(project / "lab.creds")
        assert run(["context", "use", "b"]) == 0
        assert run(["context", "list"]) == 0
        assert capsys.readouterr().out == "* b    nats://b\n  lab  nats://u:…@lab:4222\n"
        assert run(["context", "remove", "b"]) == 0
        assert run(["context", "remove", "b"]) == 6

    @pytest.mark.usefixtures("project")
    def test_flags_and_the_environment_go_before_it(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        assert run(["context", "add", "lab", "nats://lab"]) == 0
        assert run(["context", "add", "b", "nats://b"]) == 0
        monkeypatch.setenv("QGJOB_CONTEXT", "b")
        assert shown(capsys)["server"] == {"value": "nats://b", "from": "context b"}
        monkeypatch.setenv("QGJOB_SERVER", "nats://env")
        assert shown(capsys)["server"] == {"value": "nats://env", "from": "QGJOB_SERVER"}
        assert run(["--server", "nats://flag", "config", "show", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["server"] == {"value": "nats://flag", "from": "--server"}

    @pytest.mark.parametrize(
        ("said", "used"),
        [
            (["--server", "nats://other"], False),
            (["--server=nats://lab:4333"], False),
            (["--server", "nats://a,nats://other"], False),
            (["--server", "lab:4222"], True),
            (["--server", "nats://A"], True),
            ([], True),
        ],
    )
    def test_its_credentials_go_to_its_own_server_alone(
        self, project: Path, capsys: pytest.CaptureFixture[str], said: list[str], used: bool
    ):
        (project / "lab.creds").touch()
        assert run(["context", "add", "lab", "nats://lab:4222,nats://a", "--creds", "lab.creds"]) == 0
        capsys.readouterr()
        assert run(["config", "show", "--json", *said]) == 0
        found = json.loads(capsys.readouterr().out)
        expected = {"value": str(project / "lab.creds"), "from": "context lab"}
        assert found.get("creds") == (expected if used else None)
        assert run([*said, "--creds", "mine", "config", "show", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["creds"] == {"value": "mine", "from": "--creds"}

    def test_nor_to_a_server_that_the_environment_names(
        self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        (project / "lab.creds").touch()
        assert run(["context", "add", "lab", "nats://lab", "--creds", "lab.creds"]) == 0
        monkeypatch.setenv("QGJOB_SERVER", "nats://other")
        assert "creds" not in shown(capsys)
        monkeypatch.setenv("QGJOB_CREDS", "asked-for")
        assert shown(capsys)["creds"] == {"value": "asked-for", "from": "QGJOB_CREDS"}

    @pytest.mark.usefixtures("project")
    def test_without_any_it_is_a_running_system_or_the_default(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        monkeypatch.delenv("QGJOB_SERVER", raising=False)
        monkeypatch.setenv("QGJOB_STATE_DIR", str(tmp_path / "state"))
        assert shown(capsys)["server"] == {"value": "nats://127.0.0.1:4222", "from": "default"}
        (tmp_path / "state").mkdir(mode=0o700)
        up = RunningUp("nats://127.0.0.1:4711", None, os.getpid(), str(tmp_path), time.time())
        with (tmp_path / "state" / f"up-{up.pid}.json").open("w") as file:
            file.write(up.to_json())
            file.flush()
            fcntl.flock(file, fcntl.LOCK_EX)  # as it does while it lives
            found = shown(capsys)["server"]
        assert found == {"value": "nats://127.0.0.1:4711", "from": "a running qgjob up"}

    @pytest.mark.usefixtures("project")
    def test_one_that_is_not_known_is_said(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("QGJOB_CONTEXT", "labb")
        assert run(["list"]) == 6
        assert "There is no context 'labb'." in capsys.readouterr().err
        assert run(["context", "list"]) == 0

    @pytest.mark.parametrize("text", ["", "[]", '{"contexts": 1}', '{"current": 1, "contexts": {}}'])
    def test_a_damaged_file_is_named(self, tmp_path: Path, text: str):
        (tmp_path / "qgjob").mkdir()
        (tmp_path / "qgjob" / "contexts.json").write_text(text)
        with pytest.raises(UsageError, match=r"contexts\.json cannot be read"):
            Contexts.load({"XDG_CONFIG_HOME": str(tmp_path)})

    def test_only_its_user_may_read_it(self, tmp_path: Path):
        contexts = Contexts.load({"XDG_CONFIG_HOME": str(tmp_path)})
        contexts.known["lab"] = {"server": "nats://u:pw@lab"}
        contexts.save()
        assert contexts.path.stat().st_mode & 0o077 == 0
        again = Contexts.load({"XDG_CONFIG_HOME": str(tmp_path), "QGJOB_CONTEXT": "lab"})
        assert again.active() == {"server": "nats://u:pw@lab"}
        again.current = "x"
        with pytest.raises(NotFoundError):
            again.active()


def test_settings_that_may_not_be_looked_for_are_none(tmp_path: Path):
    assert defaults_of((), tmp_path / ("f" * 300), {"HOME": "/" + "closed" * 1000}).as_map() == {}
