"""The feed on a real server: snapshot, live, gaps, restarts, silence; and no poll on the bus."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bus_schemas import subjects
from bus_schemas.events import Queued
from bus_schemas.queries import Overview
from qgjob.bus.connect import ServerOptions
from qgjob.bus.topology import stream_state
from qgjob.clock import SystemClock
from qgjob.errors import UsageError
from tests.support.feeding import feeding, word
from tests.support.lab.model import LabModel
from tests.support.lab.service import LabService
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.wait import wait_for
from tui.feed.feed import Feed
from tui.feed.job_pages import FIRST_PAGE
from tui.operations import catalog
from tui.operations.execute import execute
from tui.store.store import Store


def agrees(store: Store, model: LabModel) -> bool:
    """Whether the store says of every job what the model does."""
    same = {"scheduled": "queued"}
    assert len(store.jobs) == len(model.views)
    for job_id, view in model.views.items():
        job = store.jobs.get(job_id)
        assert job is not None
        assert (same.get(job.state, job.state), job.test) == (same.get(view.state, view.state), view.test)
    return True


async def test_a_snapshot_then_what_comes(lab: LabService, nats_server: NatsServer) -> None:
    async with feeding(nats_server.url) as (_, store):
        await wait_for(lambda: word(store) == "live")
        await wait_for(lambda: agrees(store, lab.model))
        assert store.overview is not None
        assert store.overview.leader is not None
        assert [record.name for record in store.lab.agents()] == ["lab-1", "lab-2"]
        for _ in range(20):
            await lab.step(2)
        await wait_for(lambda: agrees(store, lab.model))
        await wait_for(lambda: store.overview is not None and store.overview.at == lab.model.now)


async def test_whoever_waits_for_the_first_page_hears_of_it(lab: LabService, nats_server: NatsServer) -> None:
    store = Store(SystemClock(), server=nats_server.url)
    known: list[int] = []
    feed = Feed(ServerOptions(url=nats_server.url), store, lambda: known.append(len(store.jobs)))
    task = asyncio.create_task(feed.run())
    try:
        await wait_for(lambda: feed.resyncs == 1)
        assert known
        assert known[0] == len(lab.model.views)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_nothing_is_asked_while_everything_comes(lab: LabService, nats_server: NatsServer) -> None:
    async with feeding(nats_server.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1 and word(store) == "live")
        asked = len(lab.asked)
        for _ in range(30):
            await lab.step(2)
        await wait_for(lambda: agrees(store, lab.model))
        assert lab.asked[asked:] == []


async def test_many_jobs_come_in_pages(lab: LabService, nats_server: NatsServer) -> None:
    for _ in range(4):
        await lab.publish(lab.model.submit(400))
    async with feeding(nats_server.url) as (_, store):
        await wait_for(lambda: agrees(store, lab.model))
        assert len(store.jobs) > 1600


async def test_over_a_slow_link_pages_are_as_large_as_are_answered_in_time(
    lab: LabService, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.publish(lab.model.submit(400))
    async with Proxy(nats_server.port) as proxy:
        proxy.rate = 60_000  # a page of 500 jobs would take four seconds, with all else that is asked
        async with feeding(proxy.url) as (feed, store):
            await wait_for(lambda: agrees(store, lab.model), 60)
            await lab.publish_state()  # as a leader does: where pages take long it was not heard meanwhile
            await wait_for(lambda: word(store) == "live")
            assert feed.resyncs == 1
            assert max(lab.listed) < 250
    # Here it is the machine that may take long, which both writes and reads them.
    monkeypatch.setattr("tui.feed.job_pages._PAGE_S", 2.0)
    await lab.publish(lab.model.submit(1500))
    async with feeding(nats_server.url) as (_, store):
        await wait_for(lambda: agrees(store, lab.model), 60)
        assert max(lab.listed) > FIRST_PAGE


async def test_after_a_restart_of_the_server_everything_is_read_again(
    lab: LabService, nats_server: NatsServer
) -> None:
    async with feeding(nats_server.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1)
        nats_server.kill()
        await wait_for(lambda: word(store) == "reconnecting")
        # What happens meanwhile is heard by nobody.
        lab.model.play(20)
        await nats_server.start()
        await wait_for(lambda: lab.bus.connected, 20)
        await wait_for(lambda: feed.resyncs == 2, 20)
        await wait_for(lambda: agrees(store, lab.model))
        assert word(store) == "live"
        assert any("Reconnected after" in notice for notice in store.link.notices)
        await lab.step()
        await wait_for(lambda: agrees(store, lab.model))


@pytest.mark.parametrize("quiet", [False, True])
async def test_what_neither_was_heard_nor_was_in_the_snapshot_after_a_reconnect_is_read_again(
    lab: LabService, nats_server: NatsServer, *, quiet: bool
) -> None:
    """The query service was away as well, and what it shows is behind at first."""
    await lab.publish(lab.model.submit(8))
    async with Proxy(nats_server.port) as proxy, feeding(proxy.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1 and agrees(store, lab.model))
        seq = (await stream_state(lab.bus, "QG_EVENTS"))["last_seq"]
        lab.behind = (list(lab.model.views.values()), seq)
        with proxy.outage():
            for _ in range(20):
                await lab.step(2)
        await wait_for(lambda: feed.resyncs == 2, 20)
        lab.behind = None
        if not quiet:
            await lab.publish(lab.model.submit(1))
        await wait_for(lambda: agrees(store, lab.model), 20)


async def test_a_reading_that_failed_after_a_gap_is_done_again_to_its_end(
    lab: LabService, nats_server: NatsServer
) -> None:
    """All of its first page is known the second time, and what comes behind is not."""
    await lab.end_all()
    async with Proxy(nats_server.port) as proxy, feeding(proxy.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1 and agrees(store, lab.model))
        with proxy.outage():
            await lab.publish(lab.model.submit(FIRST_PAGE + 50))
            lab.refuses_behind = FIRST_PAGE
        await wait_for(lambda: "busy" in store.link.query_error)
        asked = len(lab.asked)
        for _ in range(10):
            await lab.publish_state()  # a leader that speaks as ever is no reason to ask it again at once
        await wait_for(lambda: store.overview is not None and store.overview.at == lab.model.now)
        assert len(lab.asked) == asked
        lab.refuses_behind = None
        await wait_for(lambda: agrees(store, lab.model), 20)


async def test_a_push_that_comes_after_a_gap_hides_nothing_of_it(
    lab: LabService, nats_server: NatsServer
) -> None:
    """It fills the first page, and was heard."""
    await lab.end_all()
    async with Proxy(nats_server.port) as proxy, feeding(proxy.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1 and agrees(store, lab.model))
        known = len(store.jobs)
        await lab.fall_silent()
        with proxy.outage():
            await lab.publish(lab.model.submit(50))
        await wait_for(lambda: word(store) == "no scheduler")
        lab.model.now += 1
        await lab.publish(lab.model.submit(FIRST_PAGE))
        await wait_for(lambda: len(store.jobs) == known + FIRST_PAGE)
        await lab.answer()
        await lab.publish_state()
        await wait_for(lambda: agrees(store, lab.model), 20)


async def test_over_a_link_that_is_too_slow_it_says_how_old_is_what_comes(
    lab: LabService, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tui.store.link", "tui.feed.feed"):
        monkeypatch.setattr(f"{module}.BEHIND_AFTER_S", 1.0)
    async with Proxy(nats_server.port) as proxy, feeding(proxy.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1 and agrees(store, lab.model))
        proxy.rate = 20_000
        heard = published = 0
        apply = store.apply_overview

        def count(overview: Overview) -> bool:
            nonlocal heard
            heard += 1
            return apply(overview)

        async def behind() -> bool:
            nonlocal published
            for _ in range(10):
                await lab.step(0.01)
                published += 1
            return word(store).startswith("behind by")

        monkeypatch.setattr(store, "apply_overview", count)
        await wait_for(behind, 20)
        await wait_for(lambda: heard > 0)
        for _ in range(10):
            await behind()
        proxy.rate = 0
        await wait_for(lambda: word(store) == "live", 20)
        await wait_for(lambda: agrees(store, lab.model))

        async def up_to_date() -> bool:
            await lab.publish_state()  # as a leader does every two seconds, whatever happens
            return store.overview is not None and store.overview.at == lab.model.now

        await wait_for(up_to_date)
        assert heard < published, "of what is said again anew not all was sent"


async def test_a_gap_in_the_events_is_found_and_filled(lab: LabService, nats_server: NatsServer) -> None:
    async with feeding(nats_server.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1)
        await lab.step()
        await wait_for(lambda: agrees(store, lab.model))
        # As if the server had dropped some for a slow reader.
        vars(feed)["_last_seq"] -= 3
        await lab.publish(lab.model.submit(1))
        await wait_for(lambda: feed.resyncs == 2)
        assert any("3 events were missed" in notice for notice in store.link.notices)
        await wait_for(lambda: agrees(store, lab.model))


async def test_a_paused_server_makes_it_stale(lab: LabService, nats_server: NatsServer) -> None:
    async with feeding(nats_server.url) as (_, store):
        await wait_for(lambda: word(store) == "live")
        nats_server.pause()
        try:
            await wait_for(lambda: word(store).startswith("stale for"), 20)
        finally:
            nats_server.resume()
        await wait_for(lambda: word(store) in {"live", "loading"}, 20)


async def test_without_a_scheduler_it_says_so_and_comes_back(
    lab: LabService, nats_server: NatsServer
) -> None:
    await lab.fall_silent()
    async with feeding(nats_server.url) as (_, store):
        await wait_for(lambda: word(store) == "no scheduler")
        assert "no scheduler answers" in store.link.query_error
        # Events are heard all the same.
        await lab.publish(lab.model.submit(3))
        await wait_for(lambda: len(store.jobs) >= 3)
        await lab.answer()
        await lab.publish_state()  # a leader that comes speaks: nobody has to ask again and again
        await wait_for(lambda: word(store) == "live")
        await wait_for(lambda: agrees(store, lab.model))


async def test_a_leader_that_is_no_longer_heard_is_missed_though_others_answer(
    lab: LabService, nats_server: NatsServer
) -> None:
    async with feeding(nats_server.url) as (feed, store):
        await wait_for(lambda: word(store) == "live")
        # Nobody publishes: as when the one that led stands still, and a replica answers what it heard last.
        await wait_for(lambda: word(store) == "no scheduler", 20)
        assert store.link.query_error == ""
        assert feed.resyncs == 1
        await lab.publish_state()
        await wait_for(lambda: word(store) == "live")
        assert feed.resyncs == 1


async def test_no_server_at_first(nats_server: NatsServer) -> None:
    url = nats_server.url
    nats_server.kill()
    async with feeding(url) as (_, store):
        await wait_for(lambda: store.link.reason)
        assert word(store) == "connecting"
        assert store.link.reason == f"Nothing listens at {url}."
        assert "qgjob up" in store.link.hint
        await nats_server.start()
        await wait_for(lambda: word(store) in {"loading", "no scheduler"}, 20)


async def test_an_address_that_cannot_be_one_is_given_up() -> None:
    feed = Feed(ServerOptions(url="http://nowhere"), Store(SystemClock()))
    with pytest.raises(UsageError):
        await feed.run()


async def test_poison_is_counted_and_the_rest_is_heard(lab: LabService, nats_server: NatsServer) -> None:
    async with feeding(nats_server.url) as (_, store):
        await wait_for(lambda: word(store) == "live")
        await lab.bus.requests.publish("qg.events.a.b.c.1.info", b"no JSON")
        await lab.bus.requests.publish("qg.events.a.b.c.1.info", b'{"kind": "dance"}')
        await lab.bus.nc.publish(subjects.LIVE_OVERVIEW, b"\xff\xfe")
        await lab.bus.nc.publish(f"{subjects.LIVE_AGENTS}.x", b"[]")
        await lab.publish(lab.model.submit(1))
        await wait_for(lambda: agrees(store, lab.model))
        assert store.unreadable >= 2


async def test_a_job_that_only_events_speak_of_is_looked_up(lab: LabService, nats_server: NatsServer) -> None:
    async with feeding(nats_server.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1)
        events = lab.model.submit(2)
        later = [event for event in lab.model.step(1) if not isinstance(event, Queued)]
        del events  # lost; what follows is heard
        await lab.publish(later)
        await wait_for(lambda: all(j.test for i in store.jobs if (j := store.jobs.get(i))))


async def test_cancel_says_what_came_of_it(lab: LabService, nats_server: NatsServer) -> None:
    async with feeding(nats_server.url) as (feed, store):
        await wait_for(lambda: feed.resyncs == 1)
        await wait_for(lambda: agrees(store, lab.model))
        waiting = next(i for i in store.jobs if (j := store.jobs.get(i)) and j.state == "queued")
        ended = next(i for i in store.jobs if (j := store.jobs.get(i)) and j.ended)
        operation = catalog.Operation("cancel", (waiting, ended, "j_nobody"), "Cancel?", "Yes")
        outcome = await execute(await feed.client(), operation)
        assert (outcome.done, outcome.already) == ([waiting], [ended])
        assert outcome.refused == {"There is no job j_nobody.": ["j_nobody"]}
        assert not outcome.unanswered
        await wait_for(lambda: (j := store.jobs.get(waiting)) and j.state == "cancelled")
