"""Where a script connects when it does not say: as a command would."""

from __future__ import annotations

from pathlib import Path

from qgjob.contexts import Contexts
from qgjob.scripting import _options  # pyright: ignore[reportPrivateUsage]

NO_FILES: dict[str, str | None] = {"creds": None, "tls_ca": None}


def env_with_a_context(folder: Path) -> dict[str, str]:
    env = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    contexts = Contexts.load(env)
    contexts.known["lab"] = {"server": "nats://lab:4222", "creds": "/lab.creds", "tls_ca": "/ca.pem"}
    contexts.current = "lab"
    contexts.save()
    return env


def test_the_context_in_use_says_where_and_how(tmp_path: Path) -> None:
    options = _options(None, None, NO_FILES, env_with_a_context(tmp_path))
    assert (options.url, options.creds, options.tls_ca) == ("nats://lab:4222", "/lab.creds", "/ca.pem")


def test_what_is_said_goes_before_the_context_and_gets_none_of_its_credentials(tmp_path: Path) -> None:
    env = env_with_a_context(tmp_path)
    for options in (
        _options("nats://other:1", None, NO_FILES, env),
        _options(None, None, NO_FILES, {**env, "QGJOB_SERVER": "nats://other:1"}),
    ):
        assert (options.url, options.creds, options.tls_ca) == ("nats://other:1", None, None)
    mine = _options(None, None, {**NO_FILES, "creds": "/mine.creds"}, env)
    assert (mine.url, mine.creds) == ("nats://lab:4222", "/mine.creds")


def test_without_any_it_is_this_machine(tmp_path: Path) -> None:
    assert _options(None, None, NO_FILES, {"HOME": str(tmp_path)}).url == "nats://127.0.0.1:4222"
