"""Settings of an agent: what goes before what, and a sentence for what is wrong."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import parser
from agent.assembly import run_agent
from agent.config.config_file import read_config
from agent.config.options import settings_of
from agent.config.secrets import checked_secrets, read_secrets
from agent.config.settings import AgentSettings
from qgjob.connecting import FILES
from qgjob.errors import ExitCode, QgjobError, UsageError
from qgjob.local.listen import listen_at
from qgjob.tokenfile import read_token


def config(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_command_line_goes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    path = config(
        tmp_path, 'name = "file"\nslots = 3\nlabels = ["a"]\ninstall_timeout = "2m"\ncache_size = "1GiB"'
    )
    env = {"HOME": str(tmp_path), "QGJOB_SLOTS": "5", "QGJOB_CONFIG": str(path), "QGJOB_LABELS": "b, c"}
    settings = settings_of({"name": "said"}, env)
    assert (settings.name, settings.slots, settings.labels) == ("said", 5, ("b", "c"))
    assert settings.limits.install_timeout_s == 120
    assert settings.cache_bytes == 2**30
    assert settings.grace_s is None


@pytest.mark.parametrize(
    "words",
    [["--devices", "a", "b"], ["--devices", "a", "--devices", "b"], ["--devices", "a,b"]],
)
def test_devices_are_said_behind_one_another_or_again_and_again(tmp_path: Path, words: list[str]) -> None:
    env = {"HOME": str(tmp_path)}
    given = vars(parser().parse_args(words))
    assert settings_of(given, env).devices == ("a", "b")
    assert settings_of({}, {**env, "QGJOB_DEVICES": "a,b"}).devices == ("a", "b")
    assert settings_of(vars(parser().parse_args(["--devices", "auto"])), env).devices == ()


def test_a_data_folder_is_the_same_wherever_a_job_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"HOME": str(tmp_path)}
    assert settings_of({"data_dir": "rack"}, env).data_dir == tmp_path / "rack"
    path = config(tmp_path, 'data_dir = "other"')
    assert settings_of({"config": str(path)}, env).data_dir == tmp_path / "other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slot = 3", "there is no key slot"),
        ("slots = 0", "slots"),
        ('labels = ["UPPER"]', "labels.0"),
        ('labels = "a,b"', r"labels has to be a list, such as \[\"one\", \"two\"\], not 'a,b'"),
        ('slots = "four"', "slots has to be a whole number, not 'four'"),
        ("device = 3", "device has to be a table"),
        ("[secrets]\nPIN = 1234", r"secrets\.PIN has to be a text, such as \"one\"\.$"),
        ('disk_limit = "10 apples"', 'disk_limit: write a size such as "100MiB"'),
        ('[device.R58M]\nlabels = ["x y"]', "device.R58M.labels.0"),
        ('[artifacts]\nmax_file = "much"', "artifacts.max_file"),
        ('install_timeout = "soon"', "install_timeout"),
        ("[secrets]\n1A = 'x'", "secrets"),
        ("not toml", "no TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_config(config(tmp_path, text))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"slots": "many"}, "--slots"),
        ({"labels": "a,B"}, "--labels"),
        ({"grace": "soon"}, "--grace"),
        ({"cache_size": "big"}, "--cache-size"),
        ({"name": "../x"}, "--name"),
        ({"config": "/no/such/agent.toml"}, "agent.toml"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings_of(given, {"HOME": str(tmp_path)})


@pytest.mark.parametrize("option", ["slots", "labels", "grace", "cache_size", "name"])
def test_what_is_wrong_in_the_environment_is_named(tmp_path: Path, option: str) -> None:
    variable = f"QGJOB_{option.upper()}"
    with pytest.raises(UsageError, match=f"^{variable}[ :]"):
        settings_of({}, {"HOME": str(tmp_path), variable: "NO such/thing"})


async def test_a_data_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = AgentSettings(name="a", data_dir=tmp_path / "file" / "x")
    with pytest.raises(UsageError, match="cannot be used: Not a directory"):
        await run_agent(settings, stop=asyncio.Event(), ready=asyncio.Event())


async def test_a_full_disk_is_no_wrong_option_after_which_systemd_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    settings = AgentSettings(name="a", data_dir=tmp_path / "x")
    with pytest.raises(QgjobError, match="cannot be used: No space left") as caught:
        await run_agent(settings, stop=asyncio.Event(), ready=asyncio.Event())
    assert caught.value.exit_code is ExitCode.ERROR


def test_files_with_secrets_must_be_closed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="open to others"):
        read_config(config(tmp_path, '[secrets]\nKEY = "value-value"', 0o644))
    with pytest.raises(UsageError, match="open to others"):
        read_config(config(tmp_path, 'token = "abcdefgh-ABCDEFGH"', 0o644))
    assert read_config(config(tmp_path, 'token = "/etc/qgjob/qgjob.token"', 0o644)).token
    path = tmp_path / "secrets.env"
    path.write_text("# keys\nexport A='x y z w'\nB=plain=with=equals\n\n")
    path.chmod(0o604)
    with pytest.raises(UsageError, match="open to others"):
        read_secrets(path)
    path.chmod(0o640)
    assert read_secrets(path) == {"A": "x y z w", "B": "plain=with=equals"}
    path.write_text("A=1\nnonsense hunter2\n")
    with pytest.raises(UsageError, match="Line 2") as error:
        read_secrets(path)
    assert "hunter2" not in f"{error.value.message} {error.value.hint}"


def test_a_secret_that_cannot_be_hidden_is_refused() -> None:
    with pytest.raises(UsageError, match="PIN"):
        checked_secrets({"PIN": "123"}, "agent.toml")


def test_a_token_is_read_from_a_closed_file_or_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abcdefgh-ABCDEFGH\n")
    path.chmod(0o600)
    assert read_token(str(path)) == read_token("abcdefgh-ABCDEFGH") == "abcdefgh-ABCDEFGH"
    path.chmod(0o644)
    with pytest.raises(UsageError, match="open to others"):
        read_token(str(path))
    for bad in ("short", 'with"quote-and-more-chars', "with space and more chars", str(tmp_path / "none")):
        with pytest.raises(UsageError):
            read_token(bad)


def test_only_loopback_goes_without_a_token(tmp_path: Path) -> None:
    assert listen_at(None, None, 4300).port == 4300
    assert listen_at("127.0.0.2:4300", None, None).host == "127.0.0.2"
    for address in ("0.0.0.0", "192.0.2.2", "[::]:4222"):
        with pytest.raises(UsageError, match="without a token"):
            listen_at(address, None, None)
    path = tmp_path / "token"
    path.write_text("abcdefgh-ABCDEFGH")
    path.chmod(0o600)
    listen = listen_at("0.0.0.0:4301", path, None)
    assert (listen.port, listen.reached_at, listen.token) == (4301, "127.0.0.1", "abcdefgh-ABCDEFGH")
    for wrong in ("host:port", ":4222", "no.such.host.invalid"):
        with pytest.raises(UsageError, match="--listen"):
            listen_at(wrong, path, None)
    with pytest.raises(UsageError, match="--port"):
        listen_at("0.0.0.0:4301", path, 4302)


def test_what_lets_one_in_at_the_server_of_the_file_is_not_shown_to_another(tmp_path: Path) -> None:
    files = "\n".join(f'{name} = "/keys/{name}"' for name in FILES)
    path = config(tmp_path, f'server = "nats://lab:4222"\ntoken = "token-of-the-lab-1"\n{files}')
    env = {"HOME": str(tmp_path), "QGJOB_STATE_DIR": str(tmp_path), "QGJOB_CONFIG": str(path)}

    def shown(**said: str) -> list[str | None]:
        server = settings_of(said, env).server
        return [server.token, *(getattr(server, name) for name in FILES)]

    all_of_it = ["token-of-the-lab-1", *(f"/keys/{name}" for name in FILES)]
    assert shown() == shown(server="lab") == all_of_it
    assert shown(server="nats://elsewhere:4222") == [None] * len(all_of_it)
    assert shown(server="lab,elsewhere") == [None] * len(all_of_it)
    assert shown(server="elsewhere", creds="/mine") == [None, "/mine", None, None, None]
    env["QGJOB_SERVER"] = "elsewhere"
    assert shown() == [None] * len(all_of_it)
    path.write_text('creds = "/keys/creds"')
    assert settings_of({"server": "elsewhere"}, env).server.creds == "/keys/creds", "it names no server"
