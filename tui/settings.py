"""The dashboard's file of settings: theme, order, keymap, and what is worth a toast or the bell."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from qgjob.errors import UsageError

OCCASIONS: Final = ("alert", "run", "failed")
"""Something needs a look; a run has ended; a job has failed."""
NAME: Final = "tui.toml"


@dataclass(frozen=True, slots=True)
class Notify:
    """What is said aloud: some of `OCCASIONS`."""

    toast: tuple[str, ...] = ("alert",)
    bell: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says; everything may be left out."""

    theme: str | None = None
    order: str = "latest"
    read_only: bool = False
    keymap: Mapping[str, str] = field(default_factory=dict[str, str])
    """Keys by the name of an action, its place, a dot and its method: `"overview.cancel" = "ctrl+d"`."""
    notify: Notify = Notify()


def settings_path(environment: Mapping[str, str]) -> Path:
    """Where the file is looked for: `QGJOB_TUI_CONFIG`, else in the user's configuration folder."""
    named = environment.get("QGJOB_TUI_CONFIG")
    if named:
        return Path(named).expanduser()
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "qgjob" / NAME


def read_settings(
    path: Path, *, actions: Collection[str], orders: Collection[str], needed: bool = False
) -> Settings:
    """Read the file; without one, the defaults. Raises `UsageError` that says what is wrong in it."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if needed:
            raise UsageError(f"There is no file {path}.") from None
        return Settings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    return _Reader(path).settings(found, actions, orders)


def _near(name: str, actions: Collection[str]) -> list[str]:
    """The actions that may have been meant: those of the same place, or else the places."""
    place = name.partition(".")[0]
    places = dict.fromkeys(f"{action.partition('.')[0]}.…" for action in actions)
    return [action for action in actions if action.partition(".")[0] == place] or list(places)


class _Reader:
    """Checks what stands in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def settings(self, found: dict[str, Any], actions: Collection[str], orders: Collection[str]) -> Settings:
        self._only(found, "", ("theme", "order", "read_only", "keymap", "notify"))
        theme = self._take(found, "theme", str, None)
        order = self._take(found, "order", str, "latest")
        if order not in orders:
            self._wrong(f"order is one of {', '.join(orders)}, not {order!r}")
        keymap = self._take(found, "keymap", dict, cast("dict[str, Any]", {}))
        for name, keys in keymap.items():
            if name not in actions:
                self._wrong(f"there is no action {name!r}: {', '.join(_near(name, actions))}")
            if not isinstance(keys, str) or not keys:
                self._wrong(f'the keys of {name!r} are a text such as "ctrl+d"')
        rules = self._take(found, "notify", dict, cast("dict[str, Any]", {}))
        self._only(rules, "notify.", ("toast", "bell"))
        return Settings(
            theme,
            order,
            self._take(found, "read_only", bool, False),
            keymap,
            Notify(self._occasions(rules, "toast", ("alert",)), self._occasions(rules, "bell", ())),
        )

    def _occasions(self, rules: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        said = self._take(rules, name, list, cast("list[Any]", list(default)))
        for occasion in said:
            if occasion not in OCCASIONS:
                self._wrong(f"notify.{name} is a list of {', '.join(OCCASIONS)}, without {occasion!r}")
        return tuple(said)

    def _take(self, found: dict[str, Any], name: str, kind: type, default: Any) -> Any:
        value = found.get(name, default)
        if value is not default and not isinstance(value, kind):
            self._wrong(f"{name} is not a {_WORDS[kind]}")
        return value

    def _only(self, found: dict[str, Any], where: str, known: tuple[str, ...]) -> None:
        for name in found:
            if name not in known:
                self._wrong(f"there is no setting {where}{name}: {', '.join(known)}")

    def _wrong(self, what: str) -> None:
        raise UsageError(f"{self._path}: {what}.")


_WORDS: Final = {str: "text", bool: "true or false", dict: "table", list: "list"}
