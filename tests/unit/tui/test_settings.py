"""The file of settings: what it may say, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from qgjob.errors import UsageError
from tests.support.dashboard import PlayedDashboard
from tests.support.lab.model import LabModel
from tui.announcer import Announcer
from tui.settings import Notify, Settings, read_settings, settings_path

ACTIONS, ORDERS = ("overview.cancel",), ("latest", "trouble")


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "tui.toml"
    path.write_text(text)
    return read_settings(path, actions=ACTIONS, orders=ORDERS)


def test_all_of_it(tmp_path: Path) -> None:
    text = """
theme = "qgjob-light"
order = "trouble"
read_only = true
[keymap]
"overview.cancel" = "ctrl+d"
[notify]
toast = ["run"]
bell = ["alert", "failed"]
"""
    wanted = Settings(
        "qgjob-light", "trouble", True, {"overview.cancel": "ctrl+d"}, Notify(("run",), ("alert", "failed"))
    )
    assert read(tmp_path, text) == wanted
    assert read_settings(tmp_path / "none.toml", actions=ACTIONS, orders=ORDERS) == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("them = 1", "no setting them"),
        ("theme = 1", "theme is not a text"),
        ('order = "up"', "order is one of latest, trouble"),
        ('[keymap]\n"x.y" = "z"', "no action 'x.y': overview.…"),
        ('[keymap]\n"overview.cancle" = "z"', "no action 'overview.cancle': overview.cancel"),
        ('[keymap]\n"overview.cancel" = 3', "keys of 'overview.cancel'"),
        ('[notify]\nbell = ["noon"]', "without 'noon'"),
        ("= 3", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(tmp_path, text)


def test_where_it_is_looked_for(tmp_path: Path) -> None:
    assert settings_path({"QGJOB_TUI_CONFIG": "/x/y.toml"}) == Path("/x/y.toml")
    assert settings_path({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "qgjob" / "tui.toml"
    with pytest.raises(UsageError, match="no file"):
        read_settings(tmp_path / "none", actions=ACTIONS, orders=ORDERS, needed=True)


def test_an_alert_is_said_once_and_only_if_it_is_new() -> None:
    played = PlayedDashboard(LabModel(seed=4))
    announcer = Announcer(Notify(("alert",), ("alert",)))
    assert announcer.check(played.store) == ([], False)  # nothing is known yet
    played.model.lab[0].state = "quarantined"
    played.play(20)
    played.store.link.ever_answered = True
    assert announcer.check(played.store) == ([], False)  # what was so before stands on the screen
    played.model.lab[1].state = "quarantined"
    played.play(1)
    said, bell = announcer.check(played.store)
    assert said == ["lab-1/s0, lab-1/s1 in quarantine"]
    assert bell
    played.model.lab[0].state = "idle"
    played.play(1)
    assert announcer.check(played.store) == ([], False)
