"""Where a command, a service or a script connects: what goes before what, and what goes with it."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any, NoReturn

import pytest

from agent.config.options import settings_of
from qgjob.config import DEFAULT_SERVER, STATE_DIR_VARIABLE, ServerOptions
from qgjob.connecting import no_files, server_options
from qgjob.contexts import Contexts
from qgjob.errors import NotFoundError, UsageError

LAB = {"server": "nats://lab:4222", "creds": "/lab.creds", "tls_ca": "/ca.pem"}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which a context is in use."""
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    contexts = Contexts.load(env)
    contexts.known["lab"] = dict(LAB)
    contexts.current = "lab"
    contexts.save()
    return env


def options(env: dict[str, str], **said: Any) -> ServerOptions:
    return server_options(said, env, name="test")


def of(found: ServerOptions) -> tuple[str, str | None, str | None]:
    return found.url, found.creds, found.tls_ca


def test_the_context_in_use_says_where_and_how(env: dict[str, str]) -> None:
    assert of(options(env)) == ("nats://lab:4222", "/lab.creds", "/ca.pem")
    assert of(options(env, server="lab")) == ("lab", "/lab.creds", "/ca.pem")


def test_another_server_gets_none_of_its_files(env: dict[str, str]) -> None:
    for found in (
        options(env, server="nats://other:1"),
        options({**env, "QGJOB_SERVER": "nats://other:1"}),
    ):
        assert of(found) == ("nats://other:1", None, None)


def test_what_is_said_goes_before_the_environment_before_the_context(env: dict[str, str]) -> None:
    variables = {**env, "QGJOB_CREDS": "/variable.creds", "QGJOB_TLS_CA": "/variable.pem"}
    assert of(options(env, creds="/mine.creds")) == ("nats://lab:4222", "/mine.creds", "/ca.pem")
    assert of(options(variables)) == ("nats://lab:4222", "/variable.creds", "/variable.pem")
    assert of(options(variables, creds="/mine.creds")) == ("nats://lab:4222", "/mine.creds", "/variable.pem")


def test_a_variable_that_is_empty_says_that_there_is_no_file(env: dict[str, str]) -> None:
    assert of(options({**env, "QGJOB_CREDS": ""})) == ("nats://lab:4222", None, "/ca.pem")


def test_what_up_starts_is_shown_nothing_of_any_other_server(env: dict[str, str]) -> None:
    given = {**env, "QGJOB_CREDS": "/x", "QGJOB_TLS_CA": "/x", "QGJOB_CONTEXT": "gone"} | no_files()
    found = options(given, server="nats://lab:4222")
    assert found == ServerOptions(url="nats://lab:4222", name="test")


def test_without_any_it_is_this_machine(tmp_path: Path) -> None:
    assert options({"HOME": str(tmp_path)}).url == "nats://127.0.0.1:4222"


def test_a_context_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no context 'labb'"):
        options({"HOME": str(tmp_path), "QGJOB_CONTEXT": "labb"})


def test_a_token_may_be_the_name_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lab.token"
    file.touch(mode=0o600)
    file.write_text("a-secret-of-some-length\n")
    found = server_options({}, {"HOME": str(tmp_path)}, name="test", token=str(file))
    assert found.token == "a-secret-of-some-length"


def test_the_file_of_an_agent_goes_before_the_context(env: dict[str, str], tmp_path: Path) -> None:
    def of_agent(text: str) -> ServerOptions:
        config = tmp_path / "agent.toml"
        config.write_text(text)
        return settings_of({"config": str(config), "name": "rack"}, env).server

    assert of(of_agent("")) == ("nats://lab:4222", "/lab.creds", "/ca.pem")
    assert of(of_agent('server = "nats://other"')) == ("nats://other", None, None)
    mine = of_agent('tls_ca = "/mine.pem"\ntls_cert = "/mine.cert"\ntls_key = "/mine.key"')
    assert of(mine) == ("nats://lab:4222", "/lab.creds", "/mine.pem")
    assert (mine.tls_cert, mine.tls_key) == ("/mine.cert", "/mine.key")
    assert (mine.name, mine.wait_for_server) == ("qgjob agent rack", True)


CLOSED = "/" + "closed" * 1000
"""No more can be looked into than the home of somebody else, whoever runs the tests."""


def test_a_home_that_may_not_be_looked_into_says_nothing(tmp_path: Path) -> None:
    env = {"HOME": CLOSED, STATE_DIR_VARIABLE: str(tmp_path)}
    assert server_options({}, env, name="t").url == DEFAULT_SERVER


def test_a_user_that_the_system_does_not_know_has_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(number: int) -> NoReturn:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    assert server_options({}, {STATE_DIR_VARIABLE: str(tmp_path)}, name="t").url == DEFAULT_SERVER


def test_contexts_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    contexts = Contexts.load({"XDG_CONFIG_HOME": str(tmp_path / "config")})
    with pytest.raises(UsageError, match="cannot be written"):
        contexts.save()
