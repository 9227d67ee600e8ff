"""Jobs, slots and a placement of sorts on a virtual clock; what happens comes out as events."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from bus_schemas.events import (
    AnyEvent,
    Attempt,
    Cancelling,
    CaseCounts,
    Ended,
    Preparing,
    Queued,
    Released,
    Retrying,
    Running,
    Started,
)
from bus_schemas.jobs import JobSpec
from bus_schemas.queries import JobView
from qgjob.client.watching.fold import apply_event

START = 1_760_000_400.0
"""When the play begins, seconds since 1970: 09:00 UTC of an October day."""

_SUITES = (
    "checkout",
    "login",
    "search",
    "profile",
    "cart",
    "payment",
    "settings",
    "onboarding",
    "offline",
    "push",
)
_CASES = (
    "happy_path",
    "empty",
    "rotates",
    "slow_network",
    "resume",
    "back_button",
    "dark_mode",
    "a11y",
    "deep_link",
)
_MESSAGES = (
    "AssertionError: expected total 42.00, got 0.00",
    "element #pay-now not visible after 10 s",
    "expected 3 items in the cart, found 2",
)


@dataclass
class PlayedJob:
    """A job and where it stands in the play."""

    spec: JobSpec
    attempt: int = 1
    queued_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    infra: int = 0
    cancelled: bool = False


@dataclass
class PlayedSlot:
    """A slot, what it holds and what it does until when."""

    agent: str
    name: str
    labels: tuple[str, ...]
    device: str | None = None
    build: tuple[str, str] | None = None
    job: PlayedJob | None = None
    started_at: float = 0.0
    running_at: float | None = None
    prepared_at: float = 0.0
    ends_at: float = 0.0
    installs: int = 0
    done: int = 0
    state: str = "idle"
    note: str | None = None
    since: float = START
    installed_now: bool = False
    nonce: int = 0


@dataclass
class LabModel:
    """The play. `step` lets time pass and returns the events of it, in order."""

    seed: int = 7
    agents: int = 2
    slots: int = 4
    orgs: tuple[str, ...] = ("acme", "globex")
    builds: tuple[str, ...] = ("v2.4.0", "v2.4.1", "v2.5.0-rc1")
    now: float = START
    mean_test_s: float = 40.0
    install_s: float = 12.0
    jobs: dict[str, PlayedJob] = field(default_factory=dict[str, PlayedJob])
    waiting: list[PlayedJob] = field(default_factory=list[PlayedJob])
    views: dict[str, JobView] = field(default_factory=dict[str, JobView])
    runs: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    run_names: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # a play, not a secret
        self.lab = [
            PlayedSlot(
                agent=f"lab-{a + 1}",
                name=f"s{s}",
                labels=("android-14", "emulator") if s % 3 else ("android-14", "device"),
                device=None if s % 3 else f"pixel-{a + 1}{s}",
            )
            for a in range(self.agents)
            for s in range(self.slots)
        ]
        self.epoch = 3
        self.installs = 0
        self.avoided = 0
        self.ended: dict[str, int] = {}
        self.dead_letters = 0
        self.started_at = {f"lab-{a + 1}": self.now - 3600 for a in range(self.agents)}
        self._count = 0

    # --- What is put in ----------------------------------------------------------------------

    def submit(
        self, count: int, *, org: str | None = None, build: str | None = None, priority: int | None = None
    ) -> list[AnyEvent]:
        """A run of `count` jobs."""
        org = org or self.random.choice(self.orgs)
        build = build or self.random.choice(self.builds)
        priority = priority or self.random.choice((2, 5, 5, 5, 9))
        self._count += 1
        run_id = f"r_{self.seed:02d}{self._count:04d}"
        self.runs[run_id] = (org, self.now)
        target = self.random.choice((None, None, "emulator", "device"))
        requires = tuple(sorted({"android-14", target} - {None})) if target else ()
        retries = self.random.choice((0, 0, 1))
        events: list[AnyEvent] = []
        for position in range(count):
            suite = self.random.choice(_SUITES)
            spec = JobSpec(
                job_id=f"j_{self.seed:02d}{self._count:04d}{position:04d}",
                run_id=run_id,
                org_id=org,
                app_version_id=build,
                test=f"tests/{suite}/test_{suite}_{self.random.choice(_CASES)}.py",
                position=position,
                priority=priority,
                target=target,
                requires=tuple(label for label in requires if label),
                runner=self.random.choice(("pytest", "pytest", "playwright", "command")),
                retries=retries,
                created_at=self.now,
            )
            delayed = self.now + 300 if self.random.random() < 0.02 else None
            job = PlayedJob(spec, queued_at=self.now, not_before=delayed or 0.0)
            self.jobs[spec.job_id] = job
            self.waiting.append(job)
            events.append(
                self._record(Queued(**self._of(job), spec=spec, run_size=count, not_before=delayed))
            )
        return events

    def cancel(self, job_id: str) -> list[AnyEvent] | None:
        """Cancel a job; None when there is no such job, nothing when it has ended."""
        job = self.jobs.get(job_id)
        if job is None:
            return None
        if self.views[job_id].ended_at is not None:
            return []
        job.cancelled = True
        for slot in self.lab:
            if slot.job is job:
                slot.ends_at = self.now + 1
                return [
                    self._record(Cancelling(**self._of(job), by="operator", reason="cancelled by request"))
                ]
        self.waiting.remove(job)
        return [
            self._end(
                job, "cancelled", Attempt(number=job.attempt, outcome="cancelled", finished_at=self.now)
            )
        ]

    # --- Time passes -------------------------------------------------------------------------

    def step(self, seconds: float = 1.0) -> list[AnyEvent]:
        """Let time pass; returns what happened."""
        self.now += seconds
        events: list[AnyEvent] = []
        for slot in self.lab:
            if slot.job is not None:
                events.extend(self._work(slot))
        for slot in self.lab:
            if slot.job is None and slot.state == "idle":
                events.extend(self._place(slot))
        return events

    def play(
        self, seconds: int, *, keep_waiting: int = 60, run_size: int = 24, every_s: int = 0
    ) -> list[AnyEvent]:
        """Second by second; runs come when too few jobs wait, or by chance, one `every_s` seconds."""
        events: list[AnyEvent] = []
        for _ in range(seconds):
            if self.random.random() * every_s < 1 if every_s else len(self.waiting) < keep_waiting:
                events.extend(self.submit(self.random.randint(run_size // 2, run_size)))
            events.extend(self.step())
        return events

    def _place(self, slot: PlayedSlot) -> list[AnyEvent]:
        fits = [
            job
            for job in self.waiting
            if job.not_before <= self.now and set(job.spec.requires) <= set(slot.labels)
        ]
        if not fits:
            return []

        def urgency(job: PlayedJob) -> tuple[bool, bool, int, float, int]:
            spec = job.spec
            other_build = (spec.org_id, spec.app_version_id) != slot.build
            return (spec.priority < 8, other_build, -spec.priority, job.queued_at, spec.position)

        job = min(fits, key=urgency)
        self.waiting.remove(job)
        build = (job.spec.org_id, job.spec.app_version_id)
        install = slot.build != build
        slot.installed_now = install
        slot.job, slot.started_at, slot.running_at, slot.since = job, self.now, None, self.now
        slot.state = "busy"
        slot.nonce += 1
        slot.prepared_at = self.now + (self.install_s * self.random.uniform(0.6, 1.6) if install else 0)
        slot.ends_at = slot.prepared_at + max(3.0, self.random.expovariate(1 / self.mean_test_s))
        if install:
            slot.build = build
            slot.installs += 1
            self.installs += 1
        else:
            self.avoided += 1
        events: list[AnyEvent] = [
            self._record(Released(**self._of(job), group="g_" + build[1])),
            self._record(
                Started(
                    **self._of(job),
                    nonce=f"{slot.agent}{slot.name}{slot.nonce}",
                    agent=slot.agent,
                    slot=slot.name,
                    device=slot.device,
                    app_version_id=build[1],
                    phase="preparing" if install else "running",
                )
            ),
        ]
        if install:
            events.append(
                self._record(Preparing(**self._of(job), step="install", message=f"installing {build[1]}"))
            )
        else:
            slot.running_at = self.now
            events.append(self._record(Running(**self._of(job))))
        return events

    def _work(self, slot: PlayedSlot) -> list[AnyEvent]:
        job = slot.job
        assert job is not None
        events: list[AnyEvent] = []
        if slot.running_at is None and self.now >= slot.prepared_at:
            slot.running_at = self.now
            took = self.now - slot.started_at
            events.append(
                self._record(Running(**self._of(job), installed=slot.installed_now, install_s=took))
            )
        if self.now < slot.ends_at:
            return events
        slot.job = None
        slot.state = "idle"
        slot.since = self.now
        slot.done += 1
        events.extend(self._finish(slot, job))
        return events

    def _finish(self, slot: PlayedSlot, job: PlayedJob) -> list[AnyEvent]:
        dice = self.random.random()
        state = "cancelled" if job.cancelled else "passed"
        reason = message = None
        buggy = job.spec.app_version_id == self.builds[-1] and "checkout" in job.spec.test
        if not job.cancelled:
            if dice < (0.55 if buggy else 0.06):
                state, reason, message = "failed", "exit_code", self.random.choice(_MESSAGES)
            elif dice > 0.985:
                state, reason, message = "errored", "device_lost", "adb: device offline"
            elif dice > 0.975:
                state, reason, message = "timed_out", "timeout", "no end after 15m"
        again = (state in {"failed", "timed_out"} and job.failures < job.spec.retries) or (
            state == "errored" and job.infra < job.spec.infra_retries
        )
        result = Attempt(
            number=job.attempt,
            agent=slot.agent,
            slot=slot.name,
            device=slot.device,
            started_at=slot.started_at,
            running_at=slot.running_at,
            finished_at=self.now,
            outcome=state,
            reason=reason,
            message=message,
            installed=slot.installed_now,
            install_s=(slot.running_at or self.now) - slot.started_at if slot.installed_now else None,
            duration_s=self.now - (slot.running_at or self.now),
            exit_code={"passed": 0, "failed": 1}.get(state),
            cases=CaseCounts(passed=4, failed=int(state == "failed"))
            if state in {"passed", "failed"}
            else None,
        )
        events: list[AnyEvent] = [self._end(job, state, result, final=not again)]
        if again:
            job.failures += state != "errored"
            job.infra += state == "errored"
            delay = 0.0 if state != "errored" else 20.0
            events.append(
                self._record(
                    Retrying(
                        **self._of(job),
                        next_attempt=job.attempt + 1,
                        charged=state != "errored",
                        not_before=self.now + delay if delay else None,
                    )
                )
            )
            job.attempt += 1
            job.not_before = self.now + delay
            self.waiting.append(job)
        return events

    def _end(self, job: PlayedJob, state: str, result: Attempt, *, final: bool = True) -> AnyEvent:
        if final:
            self.ended[state] = self.ended.get(state, 0) + 1
        return self._record(
            Ended(
                **self._of(job),
                nonce=f"end{job.spec.job_id}{job.attempt}",
                state=state,  # type: ignore[arg-type]
                result=result,
                final=final,
                app_version_id=job.spec.app_version_id,
            )
        )

    def _of(self, job: PlayedJob) -> dict[str, Any]:
        spec = job.spec
        return {
            "org_id": spec.org_id,
            "run_id": spec.run_id,
            "job_id": spec.job_id,
            "attempt": job.attempt,
            "at": self.now,
        }

    def _record(self, event: AnyEvent) -> AnyEvent:
        view = apply_event(self.views.get(event.job_id), event)
        if view is not None:
            self.views[event.job_id] = view
        return event
