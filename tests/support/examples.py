"""How many examples a test of a property tries."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100
"""As many as a test tries that says nothing else."""


def examples(count: int) -> int:
    """So many; with `make explore` ten times as many, as all other tests of properties do there."""
    return count * settings().max_examples // _USUAL
