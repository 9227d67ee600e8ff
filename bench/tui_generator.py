"""A lab at full load for the dashboard's benchmark, in a process of its own: `python -m bench.tui_generator`.

It stands in for scheduler and agents on a real nats-server: 100,000 jobs that can be listed, 1,000
slots, events and output at a steady rate. What the dashboard hears went through the real streams.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from bus_schemas import subjects
from bus_schemas.agents import GroupRef, Heartbeat, InstalledBuild, SlotStatus
from bus_schemas.base import Message, Problem
from bus_schemas.events import (
    AnyEvent,
    Attempt,
    Ended,
    Queued,
    Released,
    Running,
    Started,
    about,
    subject_of,
)
from bus_schemas.jobs import JobSpec
from bus_schemas.logs import LogChunk, LogsAnswer
from bus_schemas.queries import (
    AgentsAnswer,
    GetAnswer,
    GetQuery,
    GroupView,
    JobView,
    LeaderView,
    ListAnswer,
    ListQuery,
    Overview,
)
from qgjob.bus.connect import Bus, ServerOptions, connect
from qgjob.bus.topology import ensure_topology

if TYPE_CHECKING:
    from nats.aio.msg import Msg

LOG_JOB = "j_bench-log"
SUITES = ("checkout", "login", "search", "profile", "cart", "payment")
EVENTS_A_JOB = 5
TICKS_PER_SECOND = 20


@dataclass(frozen=True, slots=True)
class Load:
    """How much of everything."""

    jobs: int = 100_000
    slots: int = 1000
    agents: int = 200
    events_per_s: int = 500
    lines_per_s: int = 5000

    @property
    def slots_an_agent(self) -> int:
        """How many slots each agent has."""
        return self.slots // self.agents

    def agent_of(self, slot: str) -> str:
        """The agent that a slot belongs to."""
        return f"lab-{int(slot[1:]) // self.slots_an_agent}"


class Generator:
    """The jobs that are there, those that come, and what is said of them."""

    def __init__(self, bus: Bus, load: Load) -> None:
        self.bus = bus
        self.load = load
        self.began = time.time()
        self._random = random.Random(5)
        self._numbers = itertools.count(load.jobs)
        self._slots = deque(f"s{i}" for i in range(load.slots))
        self._at_work: deque[tuple[JobSpec, str, float]] = deque()
        self._busy: dict[str, str] = {}
        """The job on each slot that has one."""
        self._changed: set[str] = set()
        """Agents whose slots took or ended something since their last heartbeat."""
        self._log_seq = itertools.count()
        self._line = itertools.count()

    # --- What is there -----------------------------------------------------------------------

    def spec(self, number: int, created_at: float) -> JobSpec:
        """A job of the bench, from its number alone."""
        return JobSpec(
            job_id=f"j_{number:026d}",
            run_id=f"r_{number // 100:026d}",
            org_id=("acme", "globex")[number // 5000 % 2],
            app_version_id=f"v{1 + number // 10_000}.{number // 1000 % 10}",
            test=f"bench/suite_{SUITES[number % 6]}/test_{number % 997}.py",
            position=number % 100,
            priority=1 + number // 100 % 10,
            runner="pytest",
            created_at=created_at,
        )

    def view(self, number: int) -> JobView:
        """A job that was there before the benchmark began: most have ended."""
        spec = self.spec(number, self.began - (self.load.jobs - number) * 0.5)
        waits = number % 20 == 0
        state = "queued" if waits else "failed" if number % 25 == 7 else "passed"
        began = spec.created_at + 60
        attempt = Attempt(
            number=1,
            agent=self.load.agent_of(f"s{number % self.load.slots}"),
            slot=f"s{number % self.load.slots}",
            started_at=began,
            running_at=began + 5,
            finished_at=began + 30,
            outcome=state if state != "queued" else None,
            reason="exit_code" if state == "failed" else None,
            message="expected 3 items in the cart, found 2" if state == "failed" else None,
            installed=number % 5 == 0,
            duration_s=25.0,
            exit_code=1 if state == "failed" else 0,
        )
        return JobView(
            job_id=spec.job_id,
            run_id=spec.run_id,
            org_id=spec.org_id,
            app_version_id=spec.app_version_id,
            test=spec.test,
            position=spec.position,
            state=state,
            priority=spec.priority,
            runner=spec.runner,
            created_at=spec.created_at,
            queued_at=spec.created_at,
            updated_at=spec.created_at if waits else began + 30,
            ended_at=None if waits else began + 30,
            attempts=() if waits else (attempt,),
        )

    def log_view(self) -> JobView:
        """The job whose output is followed."""
        began = self.began
        held = Attempt(number=1, agent="lab-0", slot="s0", started_at=began, running_at=began)
        return self.view(0).model_copy(
            update={"job_id": LOG_JOB, "state": "running", "created_at": began, "attempts": (held,)}
        )

    def overview(self) -> Overview:
        """As the leader would publish it."""
        group = GroupRef(capability="any", org_id="acme", app_version_id="v1.0")
        return Overview(
            at=time.time(),
            leader=LeaderView(replica="bench", epoch=1, since=self.began),
            depths={"high": 1500, "medium": 2000 + self._random.randrange(50), "low": 1500},
            waiting=5000,
            running=len(self._at_work),
            slots_idle=len(self._slots),
            slots_busy=len(self._at_work),
            installs=1200,
            installs_avoided=40_000,
            ended={"passed": 90_000, "failed": 4000},
            groups=tuple(
                GroupView(
                    group=group.model_copy(update={"app_version_id": f"v{i}.0"}), waiting=200 - i, running=i
                )
                for i in range(100)
            ),
            groups_total=100,
        )

    def heartbeat(self, number: int) -> Heartbeat:
        """One agent with its share of the slots."""
        build = InstalledBuild(org_id="acme", app_version_id="v1.0")
        first = number * self.load.slots_an_agent
        names = [f"s{first + i}" for i in range(self.load.slots_an_agent)]
        return Heartbeat(
            agent=f"lab-{number}",
            host="bench",
            pid=1,
            version="0",
            started_at=self.began,
            at=time.time(),
            slots=tuple(
                SlotStatus(
                    name=name,
                    driver="none",
                    device=f"pixel-{name}",
                    state="busy" if name in self._busy else "idle",
                    labels=("android-14", "device"),
                    installed=(build,),
                    job_id=self._busy.get(name),
                    since=self.began,
                    jobs_done=100,
                )
                for name in names
            ),
        )

    # --- What happens ------------------------------------------------------------------------

    def events(self, count: int) -> Iterator[AnyEvent]:
        """The next events: jobs come, start on free slots, and end after their turn."""
        now = time.time()
        for _ in range(max(1, count // EVENTS_A_JOB)):
            number = next(self._numbers)
            spec = self.spec(number, now)
            yield Queued(**about(spec, 1, now), spec=spec, run_size=100)
            if not self._slots:
                yield from self._end(*self._at_work.popleft(), now)
            slot = self._slots.popleft()
            agent = self.load.agent_of(slot)
            self._busy[slot] = spec.job_id
            self._changed.add(agent)
            yield Released(**about(spec, 1, now), group="g")
            yield Started(
                **about(spec, 1, now),
                nonce="n",
                agent=agent,
                slot=slot,
                app_version_id=spec.app_version_id,
                phase="preparing",
            )
            yield Running(**about(spec, 1, now), installed=number % 5 == 0, install_s=3.0)
            self._at_work.append((spec, slot, now))

    def _end(self, spec: JobSpec, slot: str, started_at: float, now: float) -> Iterator[AnyEvent]:
        self._slots.append(slot)
        del self._busy[slot]
        self._changed.add(self.load.agent_of(slot))
        state = "failed" if spec.position % 25 == 7 else "passed"
        result = Attempt(
            number=1,
            agent=self.load.agent_of(slot),
            slot=slot,
            started_at=started_at,
            running_at=started_at,
            finished_at=now,
            outcome=state,
            duration_s=now - started_at,
        )
        yield Ended(
            **about(spec, 1, now), nonce="n", state=state, result=result, app_version_id=spec.app_version_id
        )

    def chunk(self, lines: int) -> LogChunk:
        """Some output, coloured here and there, as test runners write it."""
        text = "".join(
            f"\x1b[32mINFO\x1b[0m step {n}: tapped #pay-now after {n % 90} ms, status=ok\n"
            for n in itertools.islice(self._line, lines)
        )
        return LogChunk(
            job_id=LOG_JOB, attempt=1, seq=next(self._log_seq), at=time.time(), parts=(("out", text),)
        )

    # --- On the bus --------------------------------------------------------------------------

    async def open(self) -> None:
        """Make the streams, and begin to answer."""
        await ensure_topology(self.bus)
        answers: dict[str, Callable[[bytes], Message]] = {
            "qg.query.overview.*": lambda _: self.overview(),
            "qg.query.agents.*": lambda _: AgentsAnswer(
                agents=tuple(self.heartbeat(i) for i in range(self.load.agents))
            ),
            "qg.query.list.*": self._list,
            "qg.query.get.*": self._get,
            "qg.query.logs.*": lambda _: LogsAnswer(),
        }
        for subject, answer in answers.items():
            await self.bus.nc.subscribe(subject, cb=self._answering(answer))
        await self.bus.requests.round_trip()

    async def play(self) -> None:
        """Everything at its rate, until cancelled."""
        started = time.monotonic()
        due_events = due_lines = 0.0
        for tick in itertools.count(1):
            due_events += self.load.events_per_s / TICKS_PER_SECOND
            due_lines += self.load.lines_per_s / TICKS_PER_SECOND
            some = list(self.events(int(due_events)))
            due_events -= len(some)
            futures = [await self.bus.requests.send(subject_of(e), e.encode()) for e in some]
            if due_lines >= 1:
                log = self.chunk(int(due_lines))
                due_lines -= int(due_lines)
                futures.append(await self.bus.requests.send(subjects.logs("acme", LOG_JOB, 1), log.encode()))
            for number in range(self.load.agents):
                due = tick % (5 * TICKS_PER_SECOND) == number * 2 % (5 * TICKS_PER_SECOND)
                changed = tick % (TICKS_PER_SECOND // 4) == 0 and f"lab-{number}" in self._changed
                if due or changed:
                    beat = self.heartbeat(number)
                    self._changed.discard(beat.agent)
                    await self.bus.nc.publish(f"{subjects.LIVE_AGENTS}.{beat.agent}", beat.encode())
            if tick % (TICKS_PER_SECOND // 4) == 0:
                await self.bus.nc.publish(subjects.LIVE_OVERVIEW, self.overview().encode())
            await asyncio.gather(*futures)
            await asyncio.sleep(max(0.0, started + tick / TICKS_PER_SECOND - time.monotonic()))

    def _answering(self, answer: Callable[[bytes], Message]) -> Callable[[Msg], Awaitable[None]]:
        async def on_question(msg: Msg) -> None:
            await msg.respond(answer(msg.data).encode())

        return on_question

    def _list(self, data: bytes) -> Message:
        query = ListQuery.decode(data)
        if query.state is not None:
            return ListAnswer(jobs=(self.log_view(),) if query.state == "running" else ())
        first = self.load.jobs - 1 - query.offset
        views = tuple(self.view(n) for n in range(first, max(-1, first - query.limit), -1))
        return ListAnswer(jobs=views, more=first - query.limit >= 0)

    def _get(self, data: bytes) -> Message:
        wanted = GetQuery.decode(data).id
        if wanted == LOG_JOB:
            return GetAnswer(job=self.log_view())
        if wanted.startswith("j_") and wanted[2:].isdecimal() and int(wanted[2:]) < self.load.jobs:
            return GetAnswer(job=self.view(int(wanted[2:])))
        return GetAnswer(problem=Problem(code="not_found", message=f"There is no job {wanted}."))


async def main(url: str, load: Load) -> None:
    """Play on a server until killed."""
    generator = Generator(await connect(ServerOptions(url=url, name="bench-generator")), load)
    await generator.open()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # until then it only answers
    await generator.play()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    for field in fields(Load):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    asked = vars(parser.parse_args())
    asyncio.run(main(asked.pop("url"), Load(**asked)))
