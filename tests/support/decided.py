"""Prints what placement decides in made-up histories, always the same ones; for whoever compares two processes."""

from __future__ import annotations

import random

from tests.support.placement import LABELS, STEP_KINDS, History, NewJob, Step, play
from tests.support.unrest import Unrest

_HISTORIES = 15
_STEPS = 150


def history(seed: int) -> History:
    """A history that is the same in every process."""
    chance = random.Random(seed)
    steps: History = []
    for _ in range(_STEPS):
        if chance.random() < 0.4:
            labels = tuple(sorted(chance.sample(LABELS, chance.randrange(3))))
            steps.append(
                NewJob(chance.choice(("v1", "v2", "v3")), chance.choice("op"), labels, chance.randint(1, 10))
            )
        else:
            steps.append(Step(chance.choice(STEP_KINDS), chance.randrange(6)))
    return steps


if __name__ == "__main__":
    for seed in range(_HISTORIES):
        world, _ = play(history(seed))
        lab = Unrest(seed)
        for _ in range(_STEPS):
            lab.step()
        for log in (world.log, lab.world.log):
            print(seed, *(repr(effect) for effect in log))
