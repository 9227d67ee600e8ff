"""Logs of a job: in pages, from the end, and below what the server takes."""

from __future__ import annotations

from bus_schemas import subjects
from bus_schemas.logs import LogChunk, LogsAnswer, LogsQuery
from qgjob.bus.connect import Bus
from qgjob.scheduler.queries.service import QueryService
from tests.support.eventlog import record
from tests.support.histories import queued
from tests.support.questions import ONE, ask, problem, put_log


async def test_logs(bus: Bus, queries: QueryService) -> None:
    assert problem(await ask(bus, "logs", LogsQuery(job_id="j_1"), LogsAnswer)) == "not_found"
    await record(bus, [queued(ONE)])
    answer = await ask(bus, "logs", LogsQuery(job_id="j_1"), LogsAnswer)
    assert answer.problem is None
    assert not answer.chunks
    for n in range(10):
        await put_log(bus, n, f"line {n}\n", attempt=1 + n // 5)
    await bus.requests.publish(subjects.logs("acme", "j_1", 2), b"no json")
    await bus.requests.publish(subjects.logs("acme", "j_2", 1), b"another job's")
    seen: list[str] = []
    after = 0
    while True:
        answer = await ask(bus, "logs", LogsQuery(job_id="j_1", after_seq=after, limit=4), LogsAnswer)
        assert 0 < len(answer.chunks) <= 4
        seen += [text for chunk in answer.chunks for _, text in chunk.parts]
        after = answer.chunks[-1].stream_seq
        if not answer.more:
            break
    assert seen[:10] == [f"line {n}\n" for n in range(10)]
    assert seen[10].startswith("[a piece of the log cannot be read: not a LogChunk")
    assert len(seen) == 11


async def test_the_end_of_a_log_is_found_without_the_rest(bus: Bus, queries: QueryService) -> None:
    """Far from the end of the stream, which is other jobs', and in chunks of one line and of many."""
    await record(bus, [queued(ONE)])
    for n in range(200):
        await put_log(bus, n, f"line {n}\n", attempt=1 + n // 150)
    many = "".join(f"line {n}\n" for n in range(200, 5000))
    await put_log(bus, 200, many, attempt=2)
    await put_log(bus, 201, "line 5000\nopen", attempt=2)
    other = LogChunk(job_id="j_2", attempt=1, seq=0, at=1.0, parts=(("out", "other\n"),)).encode()
    for _ in range(300):
        await bus.requests.publish(subjects.logs("acme", "j_2", 1), other)

    async def tail(lines: int, *, limit: int = 1000) -> str:
        answer = await ask(bus, "logs", LogsQuery(job_id="j_1", tail=lines, limit=limit), LogsAnswer)
        assert answer.more == (limit < 1000)
        assert len(answer.chunks) <= limit
        return "".join(text for chunk in answer.chunks for _, text in chunk.parts)

    assert await tail(1) == "open"
    assert await tail(3) == "line 4999\nline 5000\nopen"
    assert (await tail(4900)).startswith("line 102\n")
    assert (await tail(10_000)).startswith("line 0\n")
    assert await tail(4900, limit=2) == "line 102\nline 103\n"


async def test_the_end_of_a_log_stays_below_what_the_server_takes(bus: Bus, queries: QueryService) -> None:
    await record(bus, [queued(ONE)])
    for n in range(200):
        await put_log(bus, n, f"{n:03}" + "x" * (bus.max_payload // 10))
    answer = await ask(bus, "logs", LogsQuery(job_id="j_1", tail=1), LogsAnswer)
    # One line of 20 MB that does not end: as much as was looked at is all that is shown of it.
    assert answer.more
    assert int(answer.chunks[0].parts[0][1][:3]) > 30
    after = answer.chunks[-1].stream_seq
    answer = await ask(bus, "logs", LogsQuery(job_id="j_1", after_seq=after), LogsAnswer)
    assert answer.chunks[0].stream_seq == after + 1


async def test_pages_of_logs_stay_below_what_the_server_takes(bus: Bus, queries: QueryService) -> None:
    await record(bus, [queued(ONE)])
    size = bus.max_payload // 10
    for n in range(30):
        await put_log(bus, n, f"{n:02}" + '"' * (size // 2))
    huge = LogChunk(job_id="j_1", attempt=1, seq=30, at=1.0, parts=(("out", "x" * (bus.max_payload - 1000)),))
    await bus.requests.publish(subjects.logs("acme", "j_1", 1), huge.encode())
    seen: list[str] = []
    after, more = 0, True
    while more:
        answer = await ask(bus, "logs", LogsQuery(job_id="j_1", after_seq=after, limit=1000), LogsAnswer)
        assert answer.chunks
        seen += [chunk.parts[0][1] for chunk in answer.chunks]
        after, more = answer.chunks[-1].stream_seq, answer.more
    assert [text[:2] for text in seen[:30]] == [f"{n:02}" for n in range(30)]
    assert seen[30].startswith("[a piece of the log of")
