"""Defaults of a command's options from `qgjob.toml` and from the user's `config.toml`.

A key is the name of an option without its dashes (`max_parallel` or `max-parallel`), so that whatever
can be said on the command line can be said in the file. A few have shorter names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from qgjob.cli.settings.tomlfile import TomlFile, read_toml
from qgjob.cli.settings.versions import RULES, app_version, is_rule
from qgjob.config import config_dir, is_there
from qgjob.errors import UsageError

PROJECT_FILE: Final = "qgjob.toml"
USER_FILE: Final = "config.toml"
ALIASES: Final[Mapping[str, str]] = {
    "org": "org_id",
    "app_version": "app_version_id",
    "tests": "test",
    "labels": "require",
    "requires": "require",
    "secrets": "secret",
}
ARGV: Final = "argv"
"""The key for what stands behind `--` on the command line."""
BUNDLE: Final = "bundle"
"""The table with rules for the test bundle."""
_PATHS: Final = frozenset({"app", "test", "junit"})
_NEVER: Final = frozenset({"help", "json", "more_tests"})


@dataclass(frozen=True, slots=True)
class Setting:
    """A default, and where it stands."""

    value: Any
    file: TomlFile
    key: str

    @property
    def where(self) -> str:
        """Its place, for people."""
        return self.file.where(self.key)


@dataclass(slots=True)
class Defaults:
    """The defaults of a command, by the names of its parameters."""

    settings: dict[str, Setting] = field(default_factory=dict[str, Setting])
    ignore: tuple[str, ...] = ()
    """Further lines of the bundle's ignore file."""

    def as_map(self) -> dict[str, Any]:
        """What the command line library takes: values, and functions that make them when needed."""
        return {name: setting.value for name, setting in self.settings.items()}

    def blame(self, error: UsageError, used: Callable[[str], bool]) -> UsageError:
        """The same error, naming the place when it is about an option whose value came from a file.

        `used`: whether the setting of a parameter counted, nothing else having said its value.
        """
        for name, setting in self.settings.items():
            flag = f"--{name.replace('_', '-')}"
            if error.message.startswith((f"{flag} ", f"{flag}:")) and used(name):
                return UsageError(f"{setting.where}: {error.message}", hint=error.hint)
        return error


def defaults_of(parameters: Iterable[Any], cwd: Path, env: Mapping[str, str]) -> Defaults:
    """Defaults for a command's parameters; the project file goes before the user's own.

    Raises `UsageError` with file, line and key for what no option of any command takes.
    """
    defaults = Defaults()
    options = {parameter.name: parameter for parameter in parameters if parameter.name not in _NEVER}
    for path in (_user_file(env), find_project(cwd)):
        if path is not None:
            _take(defaults, read_toml(path), options, cwd)
    return defaults


def find_project(cwd: Path) -> Path | None:
    """The project file of a folder: in it, or in the nearest folder above."""
    for folder in (cwd, *cwd.parents):
        path = folder / PROJECT_FILE
        if is_there(path) and path.is_file():
            return path
        if is_there(folder / ".git"):
            return None
    return None


def _user_file(env: Mapping[str, str]) -> Path | None:
    path = config_dir(env) / USER_FILE
    return path if is_there(path) and path.is_file() else None


def _take(defaults: Defaults, file: TomlFile, options: Mapping[str, Any], cwd: Path) -> None:
    for key, value in file.values.items():
        name = ALIASES.get(key, key.replace("-", "_"))
        if key == BUNDLE:
            defaults.ignore = _ignore(file, value)
        elif key in {ARGV, "args"}:
            words = tuple(_texts(file, key, value))
            defaults.settings[ARGV] = Setting(words, file, key)
        elif name == "app_version_id" and isinstance(value, dict):
            if not is_rule(value):
                raise file.error(key, "this is no rule for the app version.", RULES)
            make = partial(app_version, value, file.path.parent)  # pyright: ignore[reportUnknownArgumentType]
            defaults.settings[name] = Setting(make, file, key)
        elif name in options:
            converted = _converted(file, key, value, options[name])
            if name in _PATHS:
                converted = _from_here(converted, file.path.parent, cwd)
            defaults.settings[name] = Setting(converted, file, key)
        else:
            raise _unknown(file, key, options)


def _unknown(file: TomlFile, key: str, options: Mapping[str, Any]) -> UsageError:
    import difflib

    names = [*options, *ALIASES, ARGV, BUNDLE]
    near = difflib.get_close_matches(key.replace("-", "_"), names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "The keys are the options of `qgjob submit`."
    return file.error(key, f"there is no setting {key!r}.", hint)


def _converted(file: TomlFile, key: str, value: Any, option: Any) -> Any:
    if option.multiple:
        if isinstance(value, dict):
            pairs = cast("dict[str, Any]", value)
            return [f"{name}={_text(file, key, each)}" for name, each in pairs.items()]
        return _texts(file, key, value)
    if getattr(option, "is_flag", False):
        if not isinstance(value, bool):
            raise file.error(key, f"{key} is true or false.")
        return value
    if getattr(option, "min", None) is not None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise file.error(key, f"{key} is a whole number.")
        if value < option.min or (option.max is not None and value > option.max):
            most = "" if option.max is None else f" to {option.max}"
            raise file.error(key, f"{key} is a whole number from {option.min}{most}, not {value}.")
        return value
    return _text(file, key, value)


def _texts(file: TomlFile, key: str, value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise file.error(key, f'{key} is a list of texts: ["…", "…"].')
    return [_text(file, key, each) for each in cast("list[Any]", value)]


def _text(file: TomlFile, key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise file.error(key, f"{key} is a text or a number.")
    return str(value)


def _ignore(file: TomlFile, value: Any) -> tuple[str, ...]:
    rules = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if set(rules) != {"ignore"}:
        wrong = next((f"; {name!r} is none" for name in rules if name != "ignore"), "")
        raise file.error(
            BUNDLE, f"[bundle] has one key: ignore, a list like the lines of .qgjobignore{wrong}."
        )
    return tuple(_texts(file, BUNDLE, rules["ignore"]))


def _from_here(value: str | list[str], folder: Path, cwd: Path) -> str | list[str]:
    """Resolve paths relative to the file's folder; an empty one stays so, and is refused."""

    def moved(path: str) -> str:
        return os.path.relpath(folder / path, cwd) if path else path

    return [moved(each) for each in value] if isinstance(value, list) else moved(value)
