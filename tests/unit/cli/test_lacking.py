"""What a lab lacks for a submit is spoken of, when that is known."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bus_schemas.agents import Heartbeat, SlotStatus
from qgjob.cli.display.missing_parts import missing_runner, warn_about_missing
from qgjob.client import SubmitRequest
from qgjob.errors import UnreachableError
from tests.support.samples.lab import HEARTBEAT

PHONE = SlotStatus(name="s1", driver="adb", state="idle", labels=("device", "android"))


class Lab:
    def __init__(self, agents: Sequence[Heartbeat] | None, *versions: str) -> None:
        """`versions` may name a platform: `v2` or `v2@ios`."""
        self._agents = agents
        self._builds = [
            (version, platform or None) for version, _, platform in (v.partition("@") for v in versions)
        ]

    async def agents(self) -> Sequence[Heartbeat]:
        if self._agents is None:
            raise UnreachableError("nobody answers")
        return self._agents

    async def builds(self, *, org_id: str) -> list[Any]:
        assert org_id == "acme"
        return [SimpleNamespace(app_version_id=version, platform=on) for version, on in self._builds]

    async def build(self, org_id: str, version: str, platform: str | None) -> Any:
        assert org_id == "acme"
        return next(
            (found for found in self._builds if found in {(version, platform), (version, None)}), None
        )


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


async def said(lab: Lab, **request: Any) -> list[str]:
    notes = Notes()
    asked = SubmitRequest(org_id="acme", app_version_id="v2", tests=["a.py"], **request)
    await warn_about_missing(cast("Any", lab), cast("Any", notes), asked)
    return notes.said


@pytest.mark.parametrize(
    ("agents", "name", "text"),
    [
        ([HEARTBEAT], "pytest", None),
        ([HEARTBEAT], "auto", None),
        (
            [HEARTBEAT],
            "pytset",
            "No agent has a runner pytset: such jobs end in errors. There are: command, pytest.",
        ),
        ([], "pytset", None),
    ],
)
def test_a_runner_that_no_agent_has(agents: Sequence[Heartbeat], name: str, text: str | None):
    assert missing_runner(agents, name) == text


async def test_devices_need_a_build_and_folders_do_not():
    phones = HEARTBEAT.model_copy(update={"slots": (PHONE,)})
    both = HEARTBEAT.model_copy(update={"slots": (PHONE, *HEARTBEAT.slots)})
    assert "There is no build v2 of acme" in (await said(Lab([phones], "v1")))[0]
    assert await said(Lab([phones], "v1", "v2")) == []
    assert await said(Lab([both])) == []
    assert len(await said(Lab([both]), target="device")) == 1
    assert await said(Lab([phones]), target="simulator") == []  # that is another trouble


async def test_a_build_for_one_platform_is_not_taken_for_another():
    for slots in (HEARTBEAT.slots, (PHONE,)):
        agents = [HEARTBEAT.model_copy(update={"slots": slots})]
        assert await said(Lab(agents, "v2@android"), platform="ios") == [
            "Build v2 of acme was uploaded for android alone, not for ios: these jobs do not get it."
        ]
        assert await said(Lab(agents, "v2@android"), platform="android") == []
        assert await said(Lab(agents, "v2@android", "v2"), platform="ios") == []


async def test_slots_take_the_build_of_their_platform_and_others_none():
    phones = HEARTBEAT.model_copy(update={"slots": (PHONE,)})
    both = HEARTBEAT.model_copy(update={"slots": (PHONE, *HEARTBEAT.slots)})
    count = len(both.slots)
    end = ": there they do not get it, unless --platform says which."

    def built_for(platforms: str) -> str:
        return f"Build v2 of acme was uploaded for {platforms} alone"

    assert await said(Lab([phones], "v2@android", "v2@ios", "v1")) == []
    assert await said(Lab([both], "v2@android", "v2@ios"), target="android") == []
    assert await said(Lab([both], "v2@android", "v2@ios")) == [
        f"{built_for('android, ios')}, and {count - 1} of the {count} slots for these jobs have no such label{end}"
    ]
    assert await said(Lab([phones], "v2@ios"), requires=["device"]) == [
        f"{built_for('ios')}, and none of the slots for these jobs has such a label{end}"
    ]
    assert await said(Lab([both], "v2@android"), matrix=["android", "ios"]) == []
    assert await said(Lab([phones], "v2@ios"), target="simulator") == []  # that is another trouble


async def test_what_is_not_known_is_not_spoken_of():
    assert await said(Lab(None), runner="pytset") == []
    assert len(await said(Lab([HEARTBEAT]), runner="pytset")) == 1
