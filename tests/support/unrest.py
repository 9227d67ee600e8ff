"""Labs in which people change their minds: rules, holds, labels and priorities come and go beside the work."""

from __future__ import annotations

import random
from typing import Final

from qgjob.domain.placement.events import (
    BuildWithheld,
    GroupsLimited,
    JobArrived,
    JobReprioritised,
    JobWithdrawn,
    RulesChanged,
    SlotWithheld,
    Tick,
)
from qgjob.domain.placement.model import AWAIT_REPORT_S, Withheld
from qgjob.domain.placement.rules import Pause, Rules
from tests.support.placement import LABELS, World, job

_APPS: Final = ("v1", "v2", "v3")
_BUILDS_KEPT: Final = 3
_HELD: Final = Withheld("paused", "a new cable")


class Unrest:
    """What happens next in a lab, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World()
        self.orgs = [f"o{number}" for number in range(self.chance.choice((2, 4, 12)))]
        self.flood = self.chance.choice((0.0, 0.0, 0.9))
        self.number = 0
        for _ in range(self.chance.choice((2, 4, 8))):
            self._add_slot()

    def step(self) -> None:
        """One thing more happens."""
        self.world.now += self.chance.choice((0.1, 0.5, 1.0, 5.0, 60.0))
        waiting, slots = sorted(self.world.state.jobs), sorted(self.world.labels)
        match self.chance.choices(("submit", "work", "rule", "tick"), (15, 75, 5, 5))[0]:
            case "rule":
                self._rule(waiting, slots)
            case "work" if slots:
                self._work(slots)
            case "tick":
                self.world.feed(Tick())
            case _:
                self._submit()

    def _submit(self) -> None:
        chance, world = self.chance, self.world
        org = self.orgs[0] if chance.random() < self.flood else chance.choice(self.orgs)
        for _ in range(chance.choice((1, 1, 1, 8))):
            self.number += 1
            one = job(
                self.number,
                app=chance.choice(_APPS),
                org=org,
                labels=tuple(label for label in LABELS if chance.random() < 0.25),
                priority=chance.randrange(11),
                at=world.now,
            )
            one.expected_s = chance.choice((None, None, 1.0, 50.0))
            if chance.random() < 0.2:
                one.max_parallel = chance.choice((1, 2))
                one.run_id = f"r{one.max_parallel}"
            if chance.random() < 0.1:
                one.not_before = world.now + chance.choice((2.0, 30.0))
            world.feed(JobArrived(one))

    def _work(self, slots: list[str]) -> None:
        chance, world = self.chance, self.world
        name = chance.choice(slots)
        usual = "finish" if name in world.running else "take"
        match chance.choices((usual, "seen", "fail", "lose", "restart"), (80, 10, 5, 1, 3))[0]:
            case "finish":
                world.finish(name, chance.choice((0.05, 1.0, 5.0, 200.0)))
            case "fail":
                world.fail(name)
            case "restart":
                world.restart(name)
            case "take":
                before = sorted(world.installed.get(name, ()))
                world.take(name)
                now = world.installed.get(name, frozenset())
                world.installed[name] = now | {
                    *[build for build in before if build not in now][:_BUILDS_KEPT]
                }
            case what:
                world.perform(what, name)

    def _rule(self, waiting: list[str], slots: list[str]) -> None:
        chance, world = self.chance, self.world
        match chance.randrange(10):
            case 0:
                world.feed(RulesChanged(self._rules()))
            case 8:
                world.feed(RulesChanged(Rules()))
            case 1:
                build = (chance.choice(self.orgs), chance.choice(_APPS))
                world.feed(BuildWithheld(build, chance.choice((None, _HELD))))
            case 2 if slots:
                world.feed(SlotWithheld(chance.choice(slots), chance.choice((None, None, _HELD))))
            case 3 | 7:
                self._limit_groups()
            case 4 if waiting:
                world.feed(JobReprioritised(chance.choice(waiting), chance.randrange(11)))
            case 5 if waiting:
                world.feed(JobWithdrawn(chance.choice(waiting)))
            case 6 if slots and (name := chance.choice(slots)) not in world.running:
                world.labels[name] = self._labels()
                world.report(name)
            case _:
                self._add_slot()

    def _rules(self) -> Rules:
        chance = self.chance
        some = [org for org in self.orgs if chance.random() < 0.3]
        whose = chance.choice((None, *self.orgs))
        pauses = (Pause(whose, chance.choice((None, *LABELS))),) if chance.random() < 0.2 else ()
        return Rules(
            pauses=pauses,
            limits={org: chance.randrange(3) for org in some if chance.random() < 0.5},
            weights={org: chance.choice((0.5, 1.0, 4.0)) for org in some if chance.random() < 0.5},
        )

    def settle(self) -> None:
        """Nothing is held any more, what runs ends, and all slots leave."""
        world = self.world
        for event in (RulesChanged(Rules()), GroupsLimited(None)):
            world.feed(event)
        for build in list(world.state.held_builds):
            world.feed(BuildWithheld(build, None))
        for name in list(world.state.withheld):
            world.feed(SlotWithheld(name, None))
        for job_id in sorted(world.state.jobs):
            world.feed(JobWithdrawn(job_id))
        world.add_slot("a/last", LABELS)
        for name in sorted(world.labels):
            world.report(name)
        world.now += AWAIT_REPORT_S
        world.run_dry()
        world.now += 60.0
        world.feed(Tick())
        for name in sorted(world.labels):
            world.lose(name)

    def _limit_groups(self) -> None:
        """As many groups are served, and some of those with work in flight not yet."""
        chance, world = self.chance, self.world
        most = chance.choice((None, 1, 3))
        groups = [] if most is None else sorted(world.state.groups_in_flight)
        refused = frozenset(chance.sample(groups, min(len(groups), chance.randrange(3))))
        for name, group in list(world.bound.items()):
            if group in refused and name not in world.running:
                del world.bound[name]
        world.feed(GroupsLimited(most, refused))

    def _add_slot(self) -> None:
        self.number += 1
        self.world.add_slot(f"a/s{self.number}", self._labels())

    def _labels(self) -> frozenset[str]:
        return frozenset(label for label in LABELS if self.chance.random() < 0.6)
