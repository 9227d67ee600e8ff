"""Distributes test files over shards such that all end at about the same time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from statistics import median
from typing import Final

OPENING_S: Final = 0.1
"""What each file takes beside its tests, in seconds: it is found, read and imported; no report tells that."""


def balance_shards(tests: Sequence[str], durations: Mapping[str, float], shards: int) -> list[list[str]]:
    """The files of each shard, in the order of `tests`; no more shards than there are files.

    Longest first, each to the shard that has least to do so far: at most a third longer than the best
    there is. What was never seen counts as the median of what was. The same input gives the same
    shards.
    """
    known = [max(durations[test], 0.0) for test in tests if test in durations]
    usual = median(known) if known else 1.0
    costs = [max(durations.get(test, usual), 0.0) + OPENING_S for test in tests]
    longest_first = sorted(range(len(tests)), key=lambda place: (-costs[place], place))
    # Among shards with equal load take the one with fewer files, so that none stays empty.
    heap = [(0.0, 0, number) for number in range(min(shards, len(tests)))]
    dealt: list[list[int]] = [[] for _ in heap]
    for place in longest_first:
        load, count, number = heappop(heap)
        dealt[number].append(place)
        heappush(heap, (load + costs[place], count + 1, number))
    return [[tests[place] for place in sorted(places)] for places in dealt]
