"""A runner that no agent has is spoken of, when that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from bus_schemas.agents import Heartbeat
from qgjob.cli.runner_warning import warn_of_runner
from qgjob.errors import UnreachableError
from tests.support.samples import HEARTBEAT


class Lab:
    def __init__(self, agents: Sequence[Heartbeat] | None) -> None:
        self._agents = agents

    async def agents(self) -> Sequence[Heartbeat]:
        if self._agents is None:
            raise UnreachableError("nobody answers")
        return self._agents


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


OLD = HEARTBEAT.model_copy(update={"runners": ()})


@pytest.mark.parametrize(
    ("agents", "name", "said"),
    [
        ([HEARTBEAT], "pytest", []),
        ([HEARTBEAT], "auto", []),
        (
            [HEARTBEAT],
            "pytset",
            ["No agent has a runner pytset: such jobs end in errors. There are: command, pytest."],
        ),
        ([HEARTBEAT, OLD], "pytset", []),
        ([], "pytset", []),
        (None, "pytset", []),
    ],
)
async def test_a_runner_that_no_agent_has(agents: Sequence[Heartbeat] | None, name: str, said: list[str]):
    notes = Notes()
    await warn_of_runner(cast("Any", Lab(agents)), cast("Any", notes), name)
    assert notes.said == said
