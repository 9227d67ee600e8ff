"""Reach Redis or Valkey, and say in one sentence why it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from qgjob.errors import NotAllowedError, QgjobError, RefusedError, UnreachableError, UsageError
from qgjob.store.keys import Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
_CONNECT_S = 2.0
_ANSWER_S = 5.0
_PASSWORD: Final = re.compile(r"(://[^/@]*:)[^@]*@")
_DENIED_IN_SCRIPT: Final = ("ACL failure in script", "The user executing the script can't")
_SCHEMES: Final = {"redis", "rediss", "unix"}


class StoreUnavailableError(UnreachableError):
    """The store does not answer now (away, restarting, still loading): try again later."""


class NotPermittedError(NotAllowedError):
    """The store's user may not give a command, or not for these keys. It answers, and knows the user."""


@contextlib.asynccontextmanager
async def open_store(url: str, *, keys: Keys | None = None) -> AsyncGenerator[Store]:
    """A store for the time of a block; see `Store.open`. It need not answer yet."""
    store = Store.open(url, keys=keys)
    try:
        yield store
    finally:
        await store.close()


class Store:
    """A pool of connections to the store; they are made when they are first needed."""

    def __init__(self, client: Redis, url: str, keys: Keys) -> None:
        self.client = client
        self.keys = keys
        self._scripts: dict[str, AsyncScript] = {}
        self.shown = without_password(url)

    @classmethod
    def open(cls, url: str, *, keys: Keys | None = None) -> Self:
        """Prepare a pool for an address; raises `UsageError` when it cannot be one."""
        from redis.asyncio import Redis

        if not _looks_right(url):
            raise UsageError(
                f"{without_password(url)!r} is not the address of a Redis or Valkey.",
                hint="REDIS_URL looks like redis://host:6379/0 (rediss:// with TLS, or unix:///path).",
            )
        try:
            client: Redis = Redis.from_url(
                url,
                decode_responses=True,
                socket_connect_timeout=_CONNECT_S,
                # A timeout of the library's own costs a task a command, and swallows cancellations
                # (asyncio.wait_for of Python 3.11): see `asking`.
                socket_timeout=None,
                client_name="qgjob",
            )
        except ValueError as error:
            raise UsageError(f"{without_password(url)!r} cannot be used as REDIS_URL: {error}.") from error
        return cls(client, url, keys or Keys())

    def script(self, text: str) -> AsyncScript:
        """A script that runs inside the store, which is told its text once."""
        script = self._scripts.get(text)
        if script is None:
            script = self._scripts[text] = self.client.register_script(text)
        return script

    async def ping(self) -> str:
        """What answers there, such as `Valkey 9.0.2`; raises `QgjobError` when nothing does.

        Raises `NotPermittedError` where the user may not ask (INFO).
        """
        async with self.asking():
            info: dict[str, object] = await self.client.info("server")
        name = str(info.get("server_name", "redis")).capitalize()
        return f"{name} {info.get('valkey_version') or info.get('redis_version', '?')}"

    async def evicted(self) -> int:
        """How many keys, whoever's, it has thrown away for want of memory since it started.

        Raises `NotPermittedError` where the user may not ask (INFO).
        """
        async with self.asking():
            info: dict[str, object] = await self.client.info("stats")
        return int(str(info.get("evicted_keys", 0)))

    async def close(self) -> None:
        """Close all connections."""
        from redis.exceptions import RedisError

        with contextlib.suppress(RedisError, OSError):  # going away: whatever it says, we close
            await self.client.aclose()

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncGenerator[None]:
        """Bound what the store is asked inside the block to 5 s, and turn its failures into a sentence.

        `StoreUnavailableError` is worth another try; other `QgjobError`s need somebody's help.
        """
        from redis.exceptions import ReadOnlyError, RedisError

        try:
            async with asyncio.timeout(_ANSWER_S):
                yield
        except ReadOnlyError as error:
            # Where a replica took over, new connections lead to it; the old ones do not.
            with contextlib.suppress(RedisError, OSError):
                async with asyncio.timeout(_CONNECT_S):
                    await self.client.connection_pool.disconnect(inuse_connections=False)
            raise explain(error, self.shown) from error
        except (RedisError, OSError) as error:
            raise explain(error, self.shown) from error


def explain(error: BaseException, shown: str) -> QgjobError:
    """The sentence for a failure of the store at the address `shown`."""
    from redis.exceptions import (
        AuthenticationError,
        BusyLoadingError,
        ConnectionError,  # noqa: A004
        NoPermissionError,
        OutOfMemoryError,
        ReadOnlyError,
        ResponseError,
        TimeoutError,  # noqa: A004
    )

    text = str(error).strip().rstrip(".") or "no answer in time"
    if isinstance(error, NoPermissionError) or text.startswith(_DENIED_IN_SCRIPT):
        return NotPermittedError(
            f"The store at {shown} does not permit its user a command: {text}.",
            hint="Permit what is named under Valkey in docs/deploy.md.",
        )
    if isinstance(error, AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
        return NotAllowedError(
            f"The store at {shown} refused the credentials.", hint="Check the user and password in REDIS_URL."
        )
    if isinstance(error, BusyLoadingError) or text.startswith(("BUSY", "MISCONF")):
        return StoreUnavailableError(f"The store at {shown} takes no commands now: {text}.")
    if isinstance(error, OutOfMemoryError):
        return StoreUnavailableError(
            f"The store at {shown} is out of memory.", hint="Raise its maxmemory, or give qgjob its own."
        )
    if isinstance(error, ReadOnlyError):
        return StoreUnavailableError(f"The store at {shown} is a read-only replica now.")
    if isinstance(error, TimeoutError | ConnectionError | OSError):
        return StoreUnavailableError(
            f"Cannot reach the store at {shown}: {text}.", hint="Start it, or set REDIS_URL."
        )
    if isinstance(error, ResponseError):
        return RefusedError(
            f"The store at {shown} refused a command: {text}.",
            hint="qgjob needs Redis 7 or Valkey 8 or later, and a database that nothing else writes to.",
        )
    return StoreUnavailableError(f"The store at {shown} failed: {text}.")


def without_password(url: str) -> str:
    """The address as it may be shown."""
    return _PASSWORD.sub(r"\1…@", url, count=1)


def _looks_right(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname or parts.path)
