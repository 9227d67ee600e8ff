"""Reads and checks `agent.toml`, the configuration file of a lab machine; a wrong key or value is named."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bus_schemas.base import LABEL_RULE, Id, is_label
from bus_schemas.jobs import EnvName
from qgjob.domain.durations import parse_duration
from qgjob.errors import UsageError
from qgjob.tokenfile import file_of, refuse_if_shared

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?\Z", re.IGNORECASE)
_UNITS: Final = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_MAX_BYTES: Final = 1_000_000


def size_of(value: object) -> object:
    """Bytes from 1048576, "100MiB" or "10 GB" (all of them powers of two); other values as they are."""
    if not isinstance(value, str):
        return value
    match = _SIZE.match(value.strip())
    if match is None:
        raise ValueError('write a size such as "100MiB" or "10GiB"')
    return int(float(match[1]) * _UNITS[(match[2] or "")[:1].upper()])


def _duration_of(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except UsageError as error:
        raise ValueError(error.hint or error.message) from None


def _label_of(value: object) -> object:
    if not isinstance(value, str) or not is_label(value):
        raise ValueError(f"{value!r} is not a label. {LABEL_RULE}")
    return value


def _devices_of(value: object) -> object:
    return [] if value == "auto" else value


Size = Annotated[int, BeforeValidator(size_of), Field(gt=0)]
Seconds = Annotated[float, BeforeValidator(_duration_of), Field(ge=0, le=7 * 86_400)]
Labels = list[Annotated[str, BeforeValidator(_label_of)]]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


class DeviceTable(_Table):
    """`[device.SERIAL]`, or `[device.SLOT]`: one device."""

    labels: Labels = []


class ArtifactsTable(_Table):
    """`[artifacts]`: what of a job's files is kept."""

    max_file: Size | None = None
    max_total: Size | None = None
    max_count: Annotated[int, Field(ge=0, le=100)] | None = None


class ConfigFile(_Table):
    """The whole file; a key that is not there leaves the default."""

    server: str | None = None
    creds: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    token: str | None = None
    name: Id | None = None
    driver: str | None = None
    slots: Annotated[int, Field(ge=1, le=500)] | None = None
    devices: Annotated[list[str], BeforeValidator(_devices_of)] | None = None
    labels: Labels | None = None
    data_dir: str | None = None
    grace: Seconds | None = None
    install_timeout: Seconds | None = None
    cache_size: Size | None = None
    disk_limit: Size | None = None
    secrets_file: str | None = None
    artifacts: ArtifactsTable = ArtifactsTable()
    device: dict[str, DeviceTable] = {}
    secrets: dict[EnvName, str] = {}
    driver_options: dict[str, str | int | float | bool] = {}


_WANTED: Final = {
    "list_type": 'a list, such as ["one", "two"]',
    "string_type": 'a text, such as "one"',
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "float_type": "a number",
    "string_pattern_mismatch": "letters, digits and _, no digit first",
}
"""What is said of values of a wrong kind."""
_SECRET: Final = {"secrets", "token"}
"""What stands there is not repeated: errors go to logs."""


def read_config(path: Path) -> ConfigFile:
    """Read it; raises `UsageError` naming the key that is wrong, or what else is."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = file.read(_MAX_BYTES).decode("utf-8")
        document: dict[str, Any] = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}.") from None
    try:
        config = ConfigFile.model_validate(document)
    except ValidationError as error:
        raise UsageError(f"{path}: {_first(error)}", hint=_hint(error)) from None
    if config.secrets or (config.token and file_of(config.token) is None):
        refuse_if_shared(path, mode, "configuration (it holds secrets)")
    return config


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "extra_forbidden":
        return f"there is no key {where}."
    if wanted := _WANTED.get(problem["type"]):
        given = "" if problem["loc"][0] in _SECRET else f", not {str(problem['input'])[:60]!r}"
        return f"{where} has to be {wanted}{given}."
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"


def _hint(error: ValidationError) -> str | None:
    if error.errors()[0]["type"] != "extra_forbidden":
        return None
    place = error.errors()[0]["loc"][:-1]
    table = {"artifacts": ArtifactsTable, "device": DeviceTable}.get(
        str(place[0]) if place else "", ConfigFile
    )
    return f"There are: {', '.join(table.model_fields)}."
