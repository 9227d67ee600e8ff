"""Where the servers are found, and when a state file is believed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from qgjob.config import (
    DEFAULT_SERVER,
    STATE_DIR_VARIABLE,
    RunningUp,
    default_data_dir,
    resolve_redis_url,
    resolve_server,
    running_up,
    shown_server,
    state_dirs,
)
from qgjob.errors import QgjobError
from qgjob.local.statefile import published


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {STATE_DIR_VARIABLE: str(tmp_path / "state")}


def an_up(*, pid: int | None = None, port: int = 4222, started_at: float = 1.0) -> RunningUp:
    return RunningUp(
        server=f"nats://127.0.0.1:{port}",
        redis_url="redis://127.0.0.1:6400/0",
        pid=pid or os.getpid(),
        data_dir="/data",
        started_at=started_at,
    )


def test_without_anything_it_is_the_default(env: dict[str, str]) -> None:
    assert resolve_server(None, env) == DEFAULT_SERVER
    assert resolve_redis_url(None, env) is None


def test_given_wins_over_the_environment_and_that_over_a_running_up(env: dict[str, str]) -> None:
    with published(an_up(port=4333), env):
        assert resolve_server(None, env) == "nats://127.0.0.1:4333"
        assert resolve_redis_url(None, env) == "redis://127.0.0.1:6400/0"
        said = env | {"QGJOB_SERVER": "nats://said:1", "REDIS_URL": "redis://said:1"}
        assert resolve_server(None, said) == "nats://said:1"
        assert resolve_redis_url(None, said) == "redis://said:1"
        assert resolve_server("nats://given:1", said) == "nats://given:1"
        assert resolve_redis_url("redis://given:1", said) == "redis://given:1"
    assert resolve_server(None, env) == DEFAULT_SERVER


def test_what_is_published_is_read_back_and_taken_away(env: dict[str, str]) -> None:
    with published(an_up(), env) as path:
        assert running_up(env) == an_up()
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert running_up(env) is None
    assert list(path.parent.iterdir()) == []


def test_of_several_the_latest_is_found_and_the_older_again_when_it_ended(env: dict[str, str]) -> None:
    with published(an_up(pid=1, port=1, started_at=1), env):
        with published(an_up(pid=2, port=2, started_at=2), env):
            assert resolve_server(None, env) == "nats://127.0.0.1:2"
        assert resolve_server(None, env) == "nats://127.0.0.1:1"


def test_a_file_that_nobody_holds_is_stale_and_swept_by_the_next(env: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    left = folder / "up-1.json"
    # The pid in it lives, and still it is stale: the lock decides, not the number.
    left.write_text(an_up(pid=os.getpid()).to_json())
    assert running_up(env) is None
    with published(an_up(pid=2), env):
        assert not left.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"server": 3}', "\x00\xff", "9" * 5000])
def test_a_state_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        RunningUp.from_json(text)


def test_a_link_is_not_followed(env: dict[str, str], tmp_path: Path) -> None:
    elsewhere = {STATE_DIR_VARIABLE: str(tmp_path / "elsewhere")}
    (tmp_path / "state").mkdir()
    with published(an_up(), elsewhere) as path:
        (tmp_path / "state" / "up-1.json").symlink_to(path)
        assert running_up(elsewhere) is not None
        assert running_up(env) is None


def test_the_runtime_folder_comes_first_then_the_state_folder_then_a_temporary_one(tmp_path: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": "/home/somebody"}
    folders = [str(path) for path in state_dirs(env)]
    assert folders[0] == f"{tmp_path}/qgjob"
    assert "/home/somebody/.local/state/qgjob" in folders
    assert folders[-1].endswith(f"/qgjob-{os.getuid()}")
    assert f"{tmp_path}/no/qgjob" not in map(str, state_dirs({"XDG_RUNTIME_DIR": f"{tmp_path}/no"}))


def test_when_the_first_folder_cannot_be_written_the_next_one_is(tmp_path: Path) -> None:
    (tmp_path / "qgjob").write_text("a file is in the way")
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path / "home")}
    with published(an_up(), env) as path:
        assert path.parent == tmp_path / "home" / ".local" / "state" / "qgjob"
        assert running_up(env) == an_up()


def test_when_no_folder_can_be_written_it_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(QgjobError, match="No folder for the state file can be written"),
        published(an_up(), {STATE_DIR_VARIABLE: str(tmp_path / "file")}),
    ):
        pytest.fail("it was published nowhere")


def test_data_is_kept_where_the_user_keeps_data() -> None:
    assert default_data_dir({"HOME": "/home/a"}) == Path("/home/a/.local/share/qgjob/up")
    assert default_data_dir({"HOME": "/home/a", "XDG_DATA_HOME": "/data"}) == Path("/data/qgjob/up")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("nats://lab:4222", "nats://lab:4222"),
        ("lab", "lab"),
        ("nats://ci:hidden@lab:4222", "nats://ci:…@lab:4222"),
        ("nats://hidden@lab:4222", "nats://…@lab:4222"),
        ("ci:hidden@lab", "ci:…@lab"),
        ("nats://ci:hid@den@a:1, tls://ci:hidden@b:2", "nats://ci:…@a:1, tls://ci:…@b:2"),
    ],
)
def test_an_address_is_shown_without_what_lets_one_in(address: str, shown: str) -> None:
    assert shown_server(address) == shown
