"""The feed with credentials that a server refuses, or that are another role's."""

from __future__ import annotations

from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions
from qgjob.clock import SystemClock
from qgjob.errors import NotAllowedError
from tests.support.accounts import AccountsServer, server_of_guests
from tests.support.feeding import feeding, word
from tests.support.wait import wait_for
from tui.feed.feed import Feed
from tui.store.store import Store


async def test_refused_credentials_are_given_up(tmp_path: Path) -> None:
    async with server_of_guests(tmp_path) as server:
        url = server.url.replace("://", "://intruder:guess@")
        with pytest.raises(NotAllowedError):
            await Feed(ServerOptions(url=url), Store(SystemClock())).run()


@pytest.mark.parametrize(
    ("role", "denied", "shown", "said"),
    [
        ("agent", "", "no scheduler", "no scheduler answers user agent of account AGENTS"),
        ("view", "qg.query.>", "not allowed", "User view of account VIEW may not look at the lab"),
    ],
)
async def test_credentials_of_another_role_are_named(
    tmp_path: Path, role: str, denied: str, shown: str, said: str
) -> None:
    server = AccountsServer(tmp_path / "nats")
    accounts = tmp_path / "nats" / "accounts.conf"
    if denied:
        accounts.write_text(
            accounts.read_text().replace('"qg.jobs.>", "$O.>"', f'"{denied}", "qg.jobs.>", "$O.>"')
        )
    await server.start()
    try:
        async with feeding(server.address(role)) as (_, store):
            await wait_for(lambda: word(store) == shown, 10)
            assert said in store.link.query_error
    finally:
        server.kill()


async def test_credentials_of_a_producer_are_told_once_what_they_do_not_hear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.feed.signs_of_life._EVERY_S", 0.02)
    producer = (
        "{user: ci, password: p, permissions: {\n"
        '  publish: ["qg.query.>"], subscribe: ["_INBOX.>", "qg.live.events.>", "qg.live.overview"] }}'
    )
    async with (
        server_of_guests(tmp_path, producer) as server,
        feeding(server.url.replace("://", "://ci:p@")) as (feed, store),
    ):
        bus = (await feed.client()).bus
        await wait_for(lambda: sum("_inbox" in text.lower() for text in bus.denied) > 20)
        await wait_for(lambda: store.link.notices)
        assert [notice.split(":")[0] for notice in store.link.notices] == [
            "These credentials may not hear qg.live.agents.*"
        ]
